//! The policy on secrets in what is written.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{commit, no, passes};
use enact_policy::{Builtin, Case, NoSecretsInContent, no_secrets_in_content};
use proptest::prelude::*;
use serde_json::json;

/// Secrets of each kind, put together here: a scanner of this repository is not to find them.
fn secrets() -> Vec<(&'static str, String)> {
    let letters = "Ab3dEf6hIjK9mNoPqRsTuVwXyZ0123456789abCDefGH";
    let body = |length: usize| letters.chars().cycle().take(length).collect::<String>();
    let lower = |length: usize| "0a1b2c3d4e5f6789".chars().cycle().take(length).collect::<String>();
    vec![
        ("GitHub", format!("ghp_{}", body(36))),
        ("GitHub", format!("ghs_{}", body(36))),
        ("GitHub", format!("github_pat_{}_{}", body(22), body(59))),
        ("GitLab", format!("glpat-{}", body(20))),
        ("Slack token", format!("xoxb-{}-{}", "123456789012", body(24))),
        ("Slack token", format!("xapp-1-{}", body(20))),
        ("Slack webhook", format!("https://hooks.slack.com/services/T0000/B0000/{}", body(24))),
        ("AWS access", format!("AKIA{}", "QWERTYUIOPASDFGH")),
        ("AWS secret", format!("aws_secret_access_key = {}", body(40))),
        ("AWS secret", format!("\"AWS_SECRET_ACCESS_KEY\": \"{}\"", body(40))),
        ("Google API", format!("AIza{}", body(35))),
        ("Stripe", format!("sk_live_{}", body(24))),
        ("private key", format!("-----BEGIN {} KEY-----\nMIIE", "RSA PRIVATE")),
        ("private key", format!("-----BEGIN {} KEY-----", "OPENSSH PRIVATE")),
        ("private key", format!("-----BEGIN {} KEY BLOCK-----", "PGP PRIVATE")),
        ("JSON web token", format!("eyJ{}.eyJ{}.{}", body(20), body(30), body(43))),
        ("npm", format!("npm_{}", body(36))),
        ("PyPI", format!("pypi-{}", body(60))),
        ("Anthropic", format!("sk-ant-api03-{}", body(40))),
        ("OpenAI", format!("sk-proj-{}", body(40))),
        ("OpenAI", format!("sk-{}", body(48))),
        ("DigitalOcean", format!("dop_v1_{}", lower(64))),
        ("password", format!("postgres://app:{}@db.example.com/app", "hunter2x")),
        ("password", format!("POSTGRESQL://app:{}@db.example.com/app", "hunter2x")),
        ("password", format!("redis://:{}@cache:6379", "hunter2x")),
    ]
}

fn write(content: &str) -> Case {
    Case::action("filesystem", "write_file", json!({ "path": "a.txt", "content": content }))
}

#[test]
fn each_kind_of_secret_is_named_and_never_shown() {
    for (kind, secret) in secrets() {
        for text in [secret.clone(), format!("x = '{secret}'\nmore"), format!("é {secret}")] {
            for policy in [no_secrets_in_content(), generic()] {
                let reason = no(&write(&text), &policy);
                assert!(reason.contains(kind) && reason.contains("content of 'a.txt'"), "{kind}: {reason}");
                assert!(!reason.contains(&secret), "{reason}");
            }
        }
    }
}

#[test]
fn a_secret_is_found_wherever_it_stands() {
    let (_, token) = secrets().swap_remove(0);
    let coded = STANDARD.encode(format!("token: {token}"));
    let wide: Vec<u8> = token.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let act = |kind, action, params| Case::action(kind, action, params);
    for (case, place) in [
        (
            commit(json!([{ "path": "ok", "content": "" }, { "path": "k8s.yml", "content_base64": coded }])),
            "files[1].content_base64 of 'k8s.yml'",
        ),
        (
            commit(json!([{ "path": "wide", "content_base64": STANDARD.encode(wide) }])),
            "files[0].content_base64",
        ),
        (commit(json!([{ "path": token, "content": "" }])), "files[0].path"),
        (act("github", "push_commit", json!({ "message": token })), "message"),
        (act("github", "create_issue", json!({ "title": "x", "body": token })), "body"),
        (act("github", "create_pr", json!({ "title": token })), "title"),
        (act("slack", "post_message", json!({ "text": token })), "text"),
        (
            act("slack", "post_message", json!({ "blocks": [{ "text": { "text": token } }] })),
            "blocks[0].text.text",
        ),
        (act("postgres", "insert_row", json!({ "data": { "note": token } })), "data.note"),
        (
            act("postgres", "update_row", json!({ "data": { "doc": { "deep": [token] } } })),
            "data.doc.deep[0]",
        ),
        (act("postgres", "select_rows", json!({ "where": { "key": token } })), "where.key"),
        (act("own", "send", json!({ token.as_str(): 1 })), "a key of the parameters"),
    ] {
        let reason = no(&case, &no_secrets_in_content());
        assert!(reason.contains(place), "{place}: {reason}");
        assert!(!reason.contains(&token), "{reason}");
    }
}

#[test]
fn a_path_that_is_a_secret_is_not_shown_beside_its_content() {
    let (_, token) = secrets().swap_remove(0);
    let reason = no(&commit(json!([{ "path": token, "content": token }])), &no_secrets_in_content());
    assert!(!reason.contains(&token), "{reason}");
}

#[test]
fn what_only_reminds_of_a_secret_passes() {
    for text in [
        "ghp_short",
        "use sk-learn and task-manager",
        "the class sk-spinner-three-bounce-is-not-a-key-of-anybody",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "postgres://localhost/app",
        "postgres://app@localhost/app",
        "postgres://app:$PASSWORD@localhost/app",
        "postgres://app:{{ password }}@localhost/app",
        "https://example.com/a:b@c",
        "password = \"correct horse\"",
        "4f2a9c1be77d0c5a8f3e6b1d2c4a5e6f7a8b9c0d",
    ] {
        passes(&write(text), &no_secrets_in_content());
    }
}

fn generic() -> Builtin {
    NoSecretsInContent { generic: true, ..NoSecretsInContent::default() }.into_policy()
}

#[test]
fn anything_that_is_called_a_secret_counts_where_it_is_wanted() {
    for text in [
        "password = \"correct-horse\"",
        "PASSWORD: 'correct-horse'",
        "\"api_key\": \"abcdefgh12\"",
        "client_secret := \"abcdefgh12\"",
        "export DB_PASSWORD=correct-horse-battery",
    ] {
        passes(&write(text), &no_secrets_in_content());
        no(&write(text), &generic());
    }
    for text in [
        "password = \"$PASSWORD\"",
        "password: '<yours>'",
        "the password is long",
        "secret = read_secret(name)",
    ] {
        passes(&write(text), &generic());
    }
    let row = |column: &str, value: &str| {
        Case::action("postgres", "insert_row", json!({ "data": { column: value } }))
    };
    let reason = no(&row("user_password", "correct-horse"), &generic());
    assert!(reason.contains("data.user_password") && !reason.contains("horse"), "{reason}");
    passes(&row("password_hash", "correct-horse"), &generic());
    passes(&row("password", "short"), &generic());
}

#[test]
fn files_of_some_paths_can_be_left_out() {
    let (_, token) = secrets().swap_remove(0);
    let policy =
        NoSecretsInContent { except_paths: vec!["testdata/**".into()], ..NoSecretsInContent::default() }
            .into_policy();
    let file = |path: &str| commit(json!([{ "path": path, "content": token }]));
    passes(&file("testdata/a"), &policy);
    no(&file("TestData/a"), &policy);
    no(&file("testdata/../a"), &policy);
    no(&file("a"), &policy);
    no(&commit(json!([{ "path": format!("testdata/{token}"), "content": "" }])), &policy);
}

#[test]
fn content_that_does_not_decode_cannot_be_judged() {
    no(&commit(json!([{ "path": "a", "content_base64": "?" }])), &no_secrets_in_content());
    NoSecretsInContent { except_paths: vec!["/x".into()], generic: false }
        .into_policy()
        .check()
        .expect_err("no path");
}

proptest! {
    #[test]
    fn a_secret_among_other_text_is_found(before in "[ -~\n]{0,40}[ \n\"'=]", after in "([ \n\"'][ -~\n]{0,40})?", at in 0usize..25) {
        let (_, secret) = secrets().swap_remove(at);
        no(&write(&format!("{before}{secret}{after}")), &no_secrets_in_content());
    }
}
