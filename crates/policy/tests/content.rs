//! The policy on secrets in what is written.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{commit, facts, no, passes};
use enact_policy::{Builtin, Case, NoSecretsInContent, no_secrets_in_content, redacted, redacted_json};
use proptest::prelude::*;
use serde_json::json;

/// How many secrets there are.
const SECRETS: usize = 41;

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
        ("password", format!("postgresql+asyncpg://app:{}@db/app", "hunter2x")),
        ("password", format!("postgres:\\/\\/app:{}@db\\/app", "hunter2x")),
        ("password", format!("postgres://app@example.com:{}@db/app", "hunter2x")),
        ("password", format!("ftp://app:{}@files", "hunter2x")),
        ("GitHub", format!("ghs_12345_eyJ{}.eyJ{}.{}", body(20), body(30), body(43))),
        ("GitLab", format!("gldt-{}", body(20))),
        ("Slack token", format!("xoxc-{}", body(24))),
        ("Slack webhook", format!("https://hooks.slack.com/triggers/T0000/B0000/{}", body(24))),
        ("AWS secret", format!("\"SecretAccessKey\": \"{}\"", body(40))),
        ("Stripe", format!("sk_org_live_{}", body(24))),
        ("JSON web token", format!("eyAi{}.ewog{}.{}", body(20), body(30), body(43))),
        ("JSON web token", format!("eyJ{}..{}.{}.{}", body(20), body(16), body(30), body(22))),
        ("private key", format!("AGE-{}-KEY-1{}", "SECRET", body(58).to_uppercase())),
        ("Hugging Face", format!("api_org_{}", body(34))),
        ("DigitalOcean", format!("DO00{}", body(16).to_uppercase())),
        ("Shopify", format!("shpua_{}", lower(32))),
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
fn a_secret_behind_an_escape_of_another_language_is_found_and_its_line_is_told() {
    assert_eq!(secrets().len(), SECRETS);
    for (kind, secret) in secrets() {
        let reason = no(&write(&format!("{{\n \"keys\": \"a\\n{secret}\"\n}}")), &no_secrets_in_content());
        assert!(
            reason.contains(kind) && reason.contains("in line 2 of content of 'a.txt'"),
            "{kind}: {reason}"
        );
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
        "token='abcdefgh1234'",
        "'api-key': 'abcdefgh1234'",
        "Api-Key: abcdefgh12345678",
        "the api key: abcdefgh12345678",
        "github_token: 4f2a9c1be77d0c5a",
        "SLACK_TOKEN=abcdefgh",
        "config[\"password\"] = \"correcthorse\"",
        "os.environ['PASSWORD'] = 'correcthorse'",
        "const password: &str = \"correcthorse\";",
        "password: str = b'correcthorse'",
        "password = \"\"\"correcthorse\"\"\"",
        "password = [\"correcthorse\"]",
        "password = `correcthorse`",
        "{\\\"password\\\":\\\"correcthorse\\\"}",
        "password += \"correcthorse\"",
        "ENV DB_PASSWORD=hunter22",
        "  - DB_PASSWORD=hunter22",
    ] {
        passes(&write(text), &no_secrets_in_content());
        no(&write(text), &generic());
    }
    for text in [
        "password = \"$PASSWORD\"",
        "password: '<yours>'",
        "the password is long",
        "secret = read_secret(name)",
        "secret = configuration.read_secret(name)",
        "token: AccessTokenResponse,",
        "password: process.env.DB_PASSWORD",
        "password = self.config.database.password",
        "secret: kubernetes-secret-name",
        "let token = lexer.next_token_of_the_stream2();",
        "max_tokens: 4096",
        "primary_key = 'deployment_id'",
    ] {
        passes(&write(text), &generic());
    }
    let row = |column: &str, value: &str| {
        Case::action("postgres", "insert_row", json!({ "data": { column: value } }))
    };
    let reason = no(&row("user_password", "correct-horse"), &generic());
    assert!(reason.contains("data.user_password") && !reason.contains("horse"), "{reason}");
    for column in ["secret_token", "Api-Key", "apiKey", "x-access-token"] {
        no(&row(column, "abcdefgh1234"), &generic());
    }
    passes(&row("key", "abcdefgh1234"), &generic());
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
fn a_path_that_is_left_out_and_leads_elsewhere_is_looked_into() {
    let (_, token) = secrets().swap_remove(0);
    let policy =
        NoSecretsInContent { except_paths: vec!["testdata/**".into()], ..NoSecretsInContent::default() }
            .into_policy();
    let file = Case::action("filesystem", "write_file", json!({ "path": "testdata/a", "content": token }));
    let leads_to = |path: &str| file.clone().facts(facts(json!({ "real_path": path, "exists": false })));
    passes(&file, &policy);
    passes(&leads_to("testdata/b/a"), &policy);
    no(&leads_to("other/a"), &policy);
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
    fn a_secret_among_other_text_is_found(before in "[ -~\n]{0,40}[ \n\"'=]", after in "([ \n\"'][ -~\n]{0,40})?", at in 0..SECRETS) {
        let (_, secret) = secrets().swap_remove(at);
        no(&write(&format!("{before}{secret}{after}")), &no_secrets_in_content());
    }
}

#[test]
fn each_kind_of_secret_is_left_out_of_what_is_shown() {
    for (kind, secret) in secrets() {
        let hidden = secret.rsplit_once(" = ").map_or(secret.as_str(), |(_, value)| value);
        let hidden = if kind == "password" { "hunter2x" } else { hidden.trim_matches('"') };
        let hidden = hidden.rsplit_once("\": \"").map_or(hidden, |(_, value)| value);
        for text in [
            secret.clone(),
            format!("before\n{secret}\nafter"),
            format!("é{secret} ü"),
            format!("{secret}, {secret}"),
        ] {
            let shown = redacted(&text);
            assert!(shown.contains("[redacted: ") && !shown.contains(hidden), "{kind}: {shown}");
            let json = json!({ "a": [1, text], "n": "plain \" text" }).to_string();
            let shown = redacted_json(&json);
            let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
            assert_eq!((&read["n"], &read["a"][0]), (&json!("plain \" text"), &json!(1)));
            let text = read["a"][1].as_str().unwrap();
            assert!(text.contains("[redacted: ") && !text.contains(hidden), "{kind}: {text}");
        }
    }
}

#[test]
fn a_private_key_is_left_out_to_its_end_and_what_is_around_a_secret_stays() {
    let key = |end: &str| format!("-----BEGIN {0} KEY-----\nMIIEabc\ndef=={end}", "RSA PRIVATE");
    let end = format!("\n-----END {} KEY-----", "RSA PRIVATE");
    assert_eq!(redacted(&format!("a {} b", key(&end))), "a [redacted: a private key] b");
    assert_eq!(redacted(&format!("a {}", key(""))), "a [redacted: a private key]");
    let token = &secrets()[0].1;
    let text = format!("one {token}, two {token} and postgres://me:hunter2x@db/x");
    let left = "one [redacted: a GitHub token], two [redacted: a GitHub token] and \
                postgres://me:[redacted: a password]@db/x";
    assert_eq!(redacted(&text), left);
}

#[test]
fn what_holds_no_secret_is_shown_to_the_letter() {
    for text in [
        "",
        "a",
        "{\"b\": 1.10e5, \"a\":\n \"\\u00e9\\\"\\\\\", \"a\": 12345678901234567890123}",
        "\"",
        "\\\"",
        "{\"a",
    ] {
        assert_eq!(redacted(text), text);
        assert_eq!(redacted_json(text), text);
    }
    // No JSON is no reason to show more.
    let token = &secrets()[0].1;
    for text in [format!("{{\"a\": \"{token}"), format!("\"\\q\" {token}")] {
        assert!(!redacted_json(&text).contains(token.as_str()), "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_it_is_a_document_stays_one_when_secrets_are_left_out(
        before in any::<String>(), after in any::<String>(), at in 0_usize..25
    ) {
        let secret = &secrets()[at].1;
        let document = json!({ before.clone(): format!("{before}{secret}{after}"), "x": [after, 1.5] });
        for text in [document.to_string(), serde_json::to_string_pretty(&document).unwrap()] {
            let shown = redacted_json(&text);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&shown).is_ok(), "{}", shown);
        }
        let text = format!("{before} {secret} {after}");
        prop_assert!(!redacted(&text).contains(secret.as_str()), "{}", text);
    }
}
