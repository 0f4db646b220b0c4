//! Policies on files of folders and of commits.

mod common;

use common::{commit, facts, no, passes};
use enact_policy::{
    Builtin, Case, DontDeleteFile, RestrictPaths, block_extensions, dont_delete_file, restrict_paths,
};
use proptest::prelude::*;
use serde_json::json;

fn file(action: &str, path: &str) -> Case {
    Case::action("filesystem", action, json!({ "path": path }))
}

fn denied(paths: &[&str]) -> Builtin {
    RestrictPaths { allow: vec![], deny: paths.iter().map(|path| (*path).to_owned()).collect() }.into_policy()
}

#[test]
fn a_denied_path_is_known_in_every_writing_and_so_is_what_is_below() {
    let policy = denied(&[".github/workflows", "secrets/**"]);
    for path in [
        ".github/workflows",
        ".github/workflows/ci.yml",
        ".GitHub/Workflows/ci.yml",
        "./.github//workflows/ci.yml",
        ".github\\workflows\\ci.yml",
        "x/../.github/workflows/ci.yml",
        ".github/workflows./ci.yml",
        ".github /workflows/ci.yml",
        ".g\u{456}thub/workflows/ci.yml",
        ".git\u{200b}hub/workflows/ci.yml",
        "secrets/a",
        "ＳＥＣＲＥＴＳ/a",
        "secrets/\u{2100}",
        "../x",
        "/secrets/a",
    ] {
        for action in ["read_file", "write_file", "delete_file"] {
            no(&file(action, path), &policy);
        }
        no(&commit(json!([{ "path": "ok" }, { "path": path, "content": "" }])), &policy);
    }
    for path in ["github/workflows/x", "src/secrets.rs", "secretsx/a", ".github/CODEOWNERS"] {
        passes(&file("write_file", path), &policy);
    }
}

/// A merge as capture found it.
fn merge(paths: &[&str], deleted: &[&str], complete: bool) -> Case {
    Case::action("github", "merge_pr", json!({ "repo": "octo/app", "pr_number": 1 }))
        .facts(facts(json!({ "paths": paths, "deleted_paths": deleted, "paths_complete": complete })))
}

#[test]
fn a_merge_is_judged_by_the_files_that_it_brings_along() {
    let (restrict, block) = (denied(&[".github"]), block_extensions(["exe"]));
    let allow = restrict_paths(["src/**"]);
    passes(&Case::action("github", "merge_pr", json!({ "repo": "octo/app", "pr_number": 1 })), &restrict);
    let fine = merge(&["src/a.rs", "src/b.rs"], &[], true);
    for policy in [&restrict, &block, &allow, &dont_delete_file()] {
        passes(&fine, policy);
    }
    no(&merge(&["src/a.rs", ".GitHub/workflows/ci.yml"], &[], true), &restrict);
    no(&merge(&["src/a.rs", ".github/x"], &[".github/x"], true), &restrict);
    no(&merge(&["src/a.rs", "docs/a.md"], &[], true), &allow);
    no(&merge(&["src/a.EXE"], &[], true), &block);
    passes(&merge(&["src/a.exe"], &["src/a.exe"], true), &block);
    no(&merge(&["src/a.rs"], &["src/a.rs"], true), &dont_delete_file());
}

#[test]
fn a_merge_whose_files_are_not_all_known_is_refused() {
    let bare = |found| {
        Case::action("github", "merge_pr", json!({ "repo": "octo/app", "pr_number": 1 })).facts(facts(found))
    };
    for policy in
        [denied(&[".github"]), block_extensions(["exe"]), restrict_paths(["**"]), dont_delete_file()]
    {
        let said = no(&merge(&["src/a.rs"], &[], false), &policy);
        assert!(said.contains("not all files are known"), "{said}");
        no(&bare(json!({ "head": "x" })), &policy);
        no(&bare(json!({ "paths": ["a"], "deleted_paths": [], "paths_complete": "yes" })), &policy);
        no(&bare(json!({ "paths": [1], "deleted_paths": [], "paths_complete": true })), &policy);
        no(&bare(json!({ "paths": null, "deleted_paths": [], "paths_complete": true })), &policy);
    }
}

#[test]
fn a_denied_name_is_denied_at_any_depth() {
    let policy = denied(&[".env", "*.pem", "id_*"]);
    for path in [".env", "a/b/.ENV", "key.pem", "a/Key.PEM", "a/id_rsa", ".env/x", "a/.env ", "key.pem."] {
        no(&file("read_file", path), &policy);
    }
    passes(&file("read_file", "a/env.md"), &policy);
}

#[test]
fn one_pattern_can_deny_several() {
    let policy = denied(&["{secrets,private}/**", "*.{pem,key}", "a*z/{b,c}"]);
    for path in ["Secrets/a", "private/b/c", "x/y.PEM", "y.key", "a1z/B", "az/c/d"] {
        no(&file("read_file", path), &policy);
    }
    for path in ["secret/a", "x/y.pen", "a/z/b", "az/d"] {
        passes(&file("read_file", path), &policy);
    }
}

#[test]
fn an_allowed_path_is_allowed_as_it_is() {
    let policy = restrict_paths(["src/**", "docs/*.md", "README.{md,txt}"]);
    for path in ["src/a/b.rs", "docs/x.md", "README.md", "README.txt", "./src//a.rs"] {
        passes(&file("write_file", path), &policy);
    }
    for path in [
        "SRC/a.rs",
        "docs/a/x.md",
        "readme.md",
        "src/../Cargo.toml",
        "\u{455}rc/a.rs",
        "src\\a.rs",
        "src/a\u{200b}.rs",
        "src/a.rs ",
        "src/a.rs.",
        "/src/a.rs",
        "src",
        "",
    ] {
        no(&file("write_file", path), &policy);
    }
}

#[test]
fn a_deny_beats_an_allow() {
    let policy =
        RestrictPaths { allow: vec!["src/**".into()], deny: vec!["src/vendor".into()] }.into_policy();
    passes(&file("write_file", "src/a.rs"), &policy);
    no(&file("write_file", "src/Vendor/a.rs"), &policy);
}

#[test]
fn where_a_path_really_leads_is_judged_too() {
    let policy = restrict_paths(["notes/**"]);
    let led = |real| file("read_file", "notes/a").facts(facts(real));
    passes(&led(json!({ "real_path": "notes/b" })), &policy);
    no(&led(json!({ "real_path": "private/b" })), &policy);
    no(&led(json!({ "real_path": null })), &policy);
    no(&led(json!({})), &policy);
}

#[test]
fn a_list_shows_what_is_below() {
    passes(&file("list_dir", "src"), &restrict_paths(["src/**"]));
    no(&file("list_dir", "."), &restrict_paths(["src/**"]));
    no(&file("list_dir", "src"), &restrict_paths(["src/*.rs"]));
    no(&file("list_dir", "Secrets"), &denied(&["secrets/**"]));
    passes(&file("list_dir", "."), &denied(&["secrets/**"]));
}

#[test]
fn a_link_in_a_commit_leads_to_where_it_may() {
    let link = |path: &str, to: &str| commit(json!([{ "path": path, "content": to, "mode": "120000" }]));
    let policy = restrict_paths(["docs/**"]);
    passes(&link("docs/a/l", "../b"), &policy);
    for to in ["../../x", "../../../x", "/etc/passwd"] {
        no(&link("docs/a/l", to), &policy);
    }
    no(&link("x", ".env"), &denied(&[".env"]));
    no(&commit(json!([{ "path": "docs/l", "content_base64": "eA==", "mode": "120000" }])), &policy);
}

#[test]
fn no_file_is_deleted_also_not_by_a_commit() {
    let gone = |path: &str| commit(json!([{ "path": path, "delete": true }]));
    no(&file("delete_file", "a"), &dont_delete_file());
    no(&gone("a"), &dont_delete_file());
    passes(&file("write_file", "a"), &dont_delete_file());
    passes(&commit(json!([{ "path": "a", "content": "" }])), &dont_delete_file());
    passes(&gone("a"), &dont_delete_file().on(["files"]));
    let some = DontDeleteFile { paths: vec!["migrations".into()] }.into_policy();
    no(&gone("Migrations/001.sql"), &some);
    no(&file("delete_file", "db/migrations/001.sql"), &some);
    passes(&file("delete_file", "a"), &some);
    no(&commit(json!([{ "path": "a", "delete": "yes" }])), &some);
}

#[test]
fn an_extension_is_known_wherever_it_stands() {
    let policy = block_extensions(["exe", ".sh", "env", "tar.gz"]);
    for path in [
        "a.exe",
        "A.EXE",
        "a.exe.",
        "a.exe ",
        "a.exe.txt",
        "invoice.pdf.exe",
        "run.sh",
        ".env",
        ".env.local",
        "prod.env",
        "a.tar.gz",
        "a.tar.gz.sig",
        "a.е\u{445}е",
        "a.e\u{200b}xe",
        "a.exe::$DATA",
        "dir.d\\a.exe",
    ] {
        no(&file("write_file", path), &policy);
        no(&commit(json!([{ "path": path, "content": "" }])), &policy);
    }
    for path in ["exe", "a.exec", "sh/a.txt", "x.sh/a.txt", "a.gz", "environment"] {
        passes(&file("write_file", path), &policy);
    }
    passes(&file("read_file", "a.exe"), &policy);
    passes(&commit(json!([{ "path": "a.exe", "delete": true }])), &policy);
}

#[test]
fn what_cannot_be_read_is_refused() {
    for (policy, action) in [
        (restrict_paths(["src/**"]), "read_file"),
        (block_extensions(["exe"]), "write_file"),
        (dont_delete_file(), "delete_file"),
        (DontDeleteFile { paths: vec!["a".into()] }.into_policy(), "delete_file"),
    ] {
        no(&Case::action("filesystem", action, json!({})), &policy);
        no(&Case::action("filesystem", action, json!({ "path": 1 })), &policy);
        no(&commit(json!(null)), &policy);
        no(&commit(json!([{ "content": "" }])), &policy);
        no(&commit(json!(["a"])), &policy);
    }
}

#[test]
fn nonsense_is_refused() {
    for policy in [
        restrict_paths(Vec::<String>::new()),
        restrict_paths(["/src/**"]),
        restrict_paths(["./src/**"]),
        restrict_paths(["src/"]),
        restrict_paths(["../x"]),
        restrict_paths(["src/{a"]),
        denied(&["secrets/"]),
        denied(&["[a-z]"]),
        denied(&[" "]),
        block_extensions(Vec::<String>::new()),
        block_extensions(["."]),
        block_extensions(["*"]),
    ] {
        policy.check().expect_err("it is nonsense");
    }
}

proptest! {
    #[test]
    fn what_is_allowed_lies_below_what_is_allowed(path in "(src/|SRC/|\\./|/)?[a-c./\\\\ \u{200b}]{0,8}") {
        if file("write_file", &path).judge(&restrict_paths(["src/**"])) == enact_core::policy::Verdict::Pass {
            let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
            prop_assert!(parts[0] == "src" && !parts.contains(&"..") && !path.starts_with('/'), "{}", path);
        }
    }

    #[test]
    fn every_writing_of_a_denied_path_is_denied(parts in prop::collection::vec(prop::sample::select(vec!["", ".", "x/..", "\u{200b}"]), 3), capital: bool) {
        let path = format!("{}/secrets/{}/{}/a", parts[0], parts[1], parts[2]);
        let path = path.trim_start_matches('/');
        let path = if capital { path.to_uppercase() } else { path.to_owned() };
        no(&file("write_file", &path), &denied(&["secrets/**"]));
    }
}
