//! What else the real GitHub does: odd names, protected branches and rulesets, tokens that lack something, archived and
//! renamed repositories, other servers, files of every kind.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use std::time::Duration;

use enact_connector_github::GitHub;
use enact_core::ids::Direction;
use enact_core::json::JsonText;
use enact_core::{Capture, ErrorCode};
use enact_testkit::github::{Fault, Protection, Ruleset, What};
use serde_json::{Value, json};
use world::{Hub, REPO, connect, usual};

/// As it is configured by default.
fn settling(github: GitHub) -> GitHub {
    github.settle_window(Duration::from_secs(60))
}

#[tokio::test]
async fn policies_are_told_which_files_a_merge_changes_and_not_those_of_others() {
    for method in ["merge", "squash", "rebase"] {
        let hub = Hub::new();
        let ann = hub.repo.person("ann");
        ann.push("mine", [("src/a.rs", "a\n"), ("README.md", "other\n")]);
        ann.push_removal("mine", "bin/run");
        hub.repo.person("bob").push("main", [("theirs.txt", "theirs\n")]);
        let number = ann.open_pull("mine", "main", "Mine", "");
        let params = json!({ "repo": REPO, "pr_number": number, "method": method });
        let done = hub.act("merge_pr", params).await.unwrap();
        assert_eq!(done.facts["paths"], json!(["README.md", "bin/run", "src/a.rs"]), "{method}");
        assert_eq!(done.facts["deleted_paths"], json!(["bin/run"]));
        assert_eq!(done.facts["paths_complete"], true);
    }
}

#[tokio::test]
async fn odd_names_are_made_and_unmade() {
    for name in ["a/b/c", "fix#149", "50%25", "50%", "grün/日本語", "a&b=c+d", "it's", "{x}", "a@b"] {
        for by_graphql in [true, false] {
            let hub = Hub::of(usual, |github| github.revert_pushes(true));
            hub.server.set_update_refs(by_graphql);
            let made = hub.act("create_branch", json!({ "repo": REPO, "branch": name })).await.unwrap();
            assert_eq!(hub.repo.head(name), hub.repo.head("main"), "{name}");
            let files = json!([{ "path": format!("{name}/x.txt"), "content": "x" }]);
            let params = json!({ "repo": REPO, "branch": name, "message": "M", "files": files });
            let pushed = hub.act("push_commit", params).await.unwrap();
            assert_eq!(hub.repo.read(name, &format!("{name}/x.txt")).as_deref(), Some("x"));
            let params = json!({ "repo": REPO, "title": name, "head": name });
            let opened = hub.act("create_pr", params.clone()).await.unwrap();
            assert!(hub.act("create_pr", params).await.unwrap().already, "{name} is not found again");
            let deleted = hub.act("delete_branch", json!({ "repo": REPO, "branch": name })).await.unwrap();
            assert_eq!(deleted.output["closed_prs"], json!([1]), "{name}");
            for done in [&deleted, &opened, &pushed, &made] {
                hub.undo(done, false).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            assert_eq!(hub.repo.head(name), None, "{name}");
        }
    }
}

#[tokio::test]
async fn a_run_of_branch_push_and_pull_request_is_undone_whole() {
    let hub = Hub::of(usual, |github| github.revert_pushes(true));
    let made = hub.act("create_branch", json!({ "repo": REPO, "branch": "agent/x" })).await.unwrap();
    let push = |name: &str| {
        let files = json!([{ "path": name, "content": name }]);
        json!({ "repo": REPO, "branch": "agent/x", "message": name, "files": files })
    };
    let first = hub.act("push_commit", push("one")).await.unwrap();
    let second = hub.act("push_commit", push("two")).await.unwrap();
    let opened =
        hub.act("create_pr", json!({ "repo": REPO, "title": "T", "head": "agent/x" })).await.unwrap();
    let main = hub.repo.head("main");
    let merged = hub.act("merge_pr", json!({ "repo": REPO, "pr_number": 1 })).await.unwrap();
    for force in [false, true] {
        let error = hub.undo(&opened, force).await.unwrap_err();
        assert_eq!(
            error.code(),
            ErrorCode::PreconditionFailed,
            "a merged pull request stays merged: {error}"
        );
        assert!(error.message().contains("merged by this run"), "{error}");
    }
    hub.undo(&merged, false).await.unwrap();
    assert!(hub.undo(&opened, false).await.unwrap().already, "nothing of it is left");
    for done in [&second, &first, &made] {
        hub.undo(done, false).await.unwrap();
    }
    assert_eq!(hub.repo.head("agent/x"), None);
    assert_eq!(hub.repo.tree("main"), hub.repo.tree(&main.unwrap()));
}

#[tokio::test]
async fn somebodys_commit_among_ours_keeps_the_branch() {
    let hub = Hub::of(usual, |github| github.revert_pushes(true));
    let made = hub.act("create_branch", json!({ "repo": REPO, "branch": "agent/x" })).await.unwrap();
    let files = json!([{ "path": "x", "content": "x" }]);
    let params = json!({ "repo": REPO, "branch": "agent/x", "message": "M", "files": files });
    let pushed = hub.act("push_commit", params).await.unwrap();
    hub.repo.person("bob").push("agent/x", [("bob.txt", "bob\n")]);
    hub.undo(&pushed, false).await.unwrap();
    assert!(!hub.repo.tree("agent/x").contains_key("x"));
    let error = hub.undo(&made, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
    assert_eq!(hub.repo.read("agent/x", "bob.txt").as_deref(), Some("bob\n"));
}

#[tokio::test]
async fn files_of_every_kind_are_pushed_as_they_are() {
    let hub = Hub::new();
    let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let long = "line\r\n".repeat(30_000);
    let params = json!({ "repo": REPO, "branch": "feature", "message": "All kinds\n\nbody", "files": [
        { "path": "README.md", "content": "no line end" },
        { "path": "windows.txt", "content": "a\r\nb\r\n" },
        { "path": "long.txt", "content": long },
        { "path": "empty", "content": "" },
        { "path": "deep/er/bin.dat", "content_base64": base64(&binary) },
        { "path": "bin/run", "content": "#!/bin/sh\ntrue\n" },
        { "path": "tool", "content": "x", "mode": "100755" },
        { "path": "to", "content": "deep/er", "mode": "120000" },
        { "path": "link", "delete": true },
    ]});
    let done = hub.act("push_commit", params).await.unwrap();
    let tree = hub.repo.tree("feature");
    let file = |path: &str| (tree[path].0.as_str(), tree[path].1.as_slice());
    assert_eq!(file("README.md"), ("100644", b"no line end".as_slice()));
    assert_eq!(file("windows.txt").1, b"a\r\nb\r\n");
    assert_eq!(file("long.txt").1, long.as_bytes());
    assert_eq!(file("empty").1, b"");
    assert_eq!(file("deep/er/bin.dat").1, binary);
    assert_eq!(file("bin/run").0, "100755", "a file keeps its mode");
    assert_eq!(file("tool").0, "100755");
    assert_eq!(file("to"), ("120000", b"deep/er".as_slice()));
    assert!(!tree.contains_key("link") && tree.contains_key("feature.txt"));
    assert_eq!(hub.repo.head("feature").as_deref(), done.output["sha"].as_str());
    assert_eq!(hub.repo.git(["log", "-1", "--format=%B", "feature"]), "All kinds\n\nbody");
    assert_eq!(hub.effects().len(), 1);
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test]
async fn files_that_cannot_stand_there_are_refused_before_anything() {
    let hub = Hub::new();
    for (file, code) in [
        (json!({ "path": "nowhere", "delete": true }), ErrorCode::NotFound),
        (json!({ "path": "bin", "content": "x" }), ErrorCode::PreconditionFailed),
        (json!({ "path": "README.md/x", "content": "x" }), ErrorCode::PreconditionFailed),
        (json!({ "path": "link", "content": "x" }), ErrorCode::PreconditionFailed),
    ] {
        let params = json!({ "repo": REPO, "branch": "feature", "message": "M", "files": [file] });
        let error = hub.act("push_commit", params).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    for params in [
        json!({ "repo": REPO, "branch": "x", "message": "M", "files": [{ "path": "a", "content": "" }, { "path": "a", "content": "" }] }),
        json!({ "repo": REPO, "branch": "x", "message": "M", "files": [{ "path": "a/b/c", "content": "" }, { "path": "a", "content": "" }] }),
        json!({ "repo": REPO, "branch": "x", "message": " ", "files": [{ "path": "a", "content": "" }] }),
    ] {
        assert_eq!(hub.act("push_commit", params).await.unwrap_err().code(), ErrorCode::InvalidParameters);
    }
    // A file that gives way to a folder is no contradiction.
    let files = json!([{ "path": "README.md", "delete": true }, { "path": "README.md/x", "content": "x" }]);
    let params = json!({ "repo": REPO, "branch": "feature", "message": "M", "files": files });
    hub.prepare("push_commit", &params).unwrap();
    assert_eq!(hub.effects(), []);
}

#[tokio::test]
async fn a_folder_that_is_not_shown_whole_is_not_taken_for_one_without_the_file() {
    let hub = Hub::new();
    let listing = json!({ "sha": "0".repeat(40), "tree": [], "truncated": true });
    let cut = hub.server.fault(Fault::answer("GET", "/repos/octo/app/git/trees/*", 200, listing).times(2));
    let files = json!([{ "path": "README.md", "delete": true }]);
    let params = json!({ "repo": REPO, "branch": "feature", "message": "M", "files": files });
    let error = hub.act("push_commit", params).await.unwrap_err();
    assert!(cut.was_reached());
    assert_eq!(error.code(), ErrorCode::PreconditionFailed, "{error}");
    assert!(error.message().contains("more entries than GitHub shows"), "{error}");
}

#[tokio::test]
async fn a_push_is_never_forced() {
    for by_graphql in [true, false] {
        let hub = Hub::new();
        hub.server.set_update_refs(by_graphql);
        let files = json!([{ "path": "x", "content": "x" }]);
        let params = json!({ "repo": REPO, "branch": "feature", "message": "M", "files": files });
        let action = hub.prepare("push_commit", &params).unwrap();
        let cx = hub.cx(Direction::Forward, false);
        let Capture::Ready { ready, .. } = action.capture(&cx).await.unwrap() else { panic!() };
        let theirs = hub.repo.person("bob").push("feature", [("bob.txt", "bob\n")]);
        let error = action.perform(&cx, ready).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
        assert_eq!(hub.repo.head("feature"), Some(theirs));
        let expected = json!({ "repo": REPO, "branch": "feature", "message": "M", "files": files,
            "expected_head_sha": hub.repo.head("main") });
        let error = hub.act("push_commit", expected).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
    }
}

#[tokio::test]
async fn what_protection_refuses_is_forbidden_in_githubs_words() {
    let protect = |hub: &Hub| hub.repo.protect(Protection::of("main").require_pull_request());
    let rule = |hub: &Hub| hub.repo.add_ruleset(Ruleset::of("main").require_pull_request());
    let by: [&dyn Fn(&Hub); 2] = [&protect, &rule];
    for (number, protected) in by.iter().enumerate() {
        for by_graphql in [true, false] {
            let hub = Hub::of(usual, |github| github.revert_pushes(true));
            hub.server.set_update_refs(by_graphql);
            let files = json!([{ "path": "x", "content": "x" }]);
            let push = json!({ "repo": REPO, "branch": "main", "message": "M", "files": files });
            let done = hub.act("push_commit", push.clone()).await.unwrap();
            protected(&hub);
            let error = hub.act("push_commit", push).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Forbidden, "{number}: {error}");
            assert!(error.message().contains("protected branch or a ruleset"), "{error}");
            let head = hub.repo.head("main");
            let error = hub.undo(&done, false).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Forbidden, "{number}: {error}");
            assert_eq!(hub.repo.head("main"), head);
        }
    }
}

#[tokio::test]
async fn a_ruleset_refuses_new_branches_deletions_and_merges() {
    let hub = Hub::new();
    hub.repo.add_ruleset(Ruleset::of("release/*").restrict_creations());
    let error = hub.act("create_branch", json!({ "repo": REPO, "branch": "release/1" })).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden, "{error}");
    hub.repo.add_ruleset(Ruleset::of("feature").restrict_deletions());
    let error = hub.act("delete_branch", json!({ "repo": REPO, "branch": "feature" })).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden, "{error}");
    hub.repo.protect(Protection::of("main").require_check("ci"));
    let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let error = hub.act("merge_pr", json!({ "repo": REPO, "pr_number": number })).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden, "{error}");
    assert_eq!(hub.effects(), []);
}

#[tokio::test]
async fn a_ruleset_that_refuses_the_branch_for_the_merge_leaves_all_as_it_is() {
    let hub = Hub::new();
    let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let done = hub.act("merge_pr", json!({ "repo": REPO, "pr_number": number })).await.unwrap();
    hub.repo.person("bob").push("main", [("later.txt", "later\n")]);
    hub.repo.add_ruleset(Ruleset::of("enact-tmp/*").restrict_creations());
    let head = hub.repo.head("main");
    let error = hub.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden, "{error}");
    assert!(error.message().contains("for the time of the merge"), "{error}");
    assert_eq!(hub.repo.head("main"), head);
}

#[tokio::test]
async fn a_token_that_lacks_a_permission_is_told_which() {
    let hub = Hub::new();
    let token = hub.server.user("agent").fine_grained(["contents:read", "pull_requests:read", "issues:read"]);
    let toolbox = connect(&hub.server, &token, |github| github);
    for (action, params) in [
        ("create_issue", json!({ "repo": REPO, "title": "T" })),
        ("create_branch", json!({ "repo": REPO, "branch": "x" })),
        ("create_pr", json!({ "repo": REPO, "title": "T", "head": "feature" })),
        ("delete_branch", json!({ "repo": REPO, "branch": "feature" })),
    ] {
        let prepared = toolbox.prepare(action, &JsonText::encode(&params).unwrap()).unwrap();
        let error = hub.carry_out(prepared, hub.cx(Direction::Forward, false)).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Forbidden, "{action}: {error}");
        assert!(error.message().contains("=write"), "{action}: {error}");
    }
    assert_eq!(hub.effects(), []);
    hub.server.user("agent").revoke(&hub.token);
    let error = hub.act("create_issue", json!({ "repo": REPO, "title": "T" })).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unauthenticated, "{error}");
    assert!(!format!("{error:?}").contains(&hub.token));
}

#[tokio::test]
async fn a_fine_grained_token_with_its_permissions_is_enough() {
    let hub = Hub::new();
    let words = ["contents:write", "pull_requests:write", "issues:write", "metadata:read"];
    let token = hub.server.user("agent").fine_grained(words);
    let toolbox = connect(&hub.server, &token, settling);
    assert_eq!(toolbox.warnings().await.unwrap(), [""; 0]);
    let params = JsonText::encode(&json!({ "repo": REPO, "branch": "feature" })).unwrap();
    let done = hub
        .carry_out(toolbox.prepare("delete_branch", &params).unwrap(), hub.cx(Direction::Forward, false))
        .await
        .unwrap();
    hub.undo(&done, false).await.unwrap();
}

#[tokio::test]
async fn warnings_name_what_the_token_lacks() {
    let hub = Hub::of(usual, settling);
    assert_eq!(hub.toolbox.warnings().await.unwrap(), [""; 0]);
    let agent = hub.server.user("agent");
    for (token, naming) in [
        (agent.token([]), "'repo'"),
        (agent.token(["read:user"]), "read:user"),
        (agent.token(["public_repo"]), "public repositories only"),
        ("ghp_wrong".to_owned(), "Bad credentials"),
    ] {
        let warnings = connect(&hub.server, &token, settling).warnings().await.unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(naming), "{warnings:?}");
    }
}

#[tokio::test]
async fn an_archived_repository_is_left_alone() {
    let hub = Hub::new();
    let done = hub.act("create_issue", json!({ "repo": REPO, "title": "T" })).await.unwrap();
    hub.repo.set_archived(true);
    let error = hub.act("create_issue", json!({ "repo": REPO, "title": "T" })).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden);
    assert!(error.message().contains("archived"), "{error}");
    let error = hub.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden);
    assert!(error.message().contains("archived"), "{error}");
}

#[tokio::test]
async fn a_repository_is_found_by_its_old_name() {
    let hub = Hub::new();
    let done = hub.act("create_branch", json!({ "repo": REPO, "branch": "x" })).await.unwrap();
    hub.repo.rename("orga/renamed");
    let pull = json!({ "repo": REPO, "title": "T", "head": "feature" });
    assert!(!hub.act("create_pr", pull.clone()).await.unwrap().already);
    assert!(hub.act("create_pr", pull).await.unwrap().already, "by the owner's old name it is not found");
    let issue = hub.act("create_issue", json!({ "repo": REPO, "title": "T" })).await.unwrap();
    assert_eq!(hub.repo.issues().len(), 1);
    hub.undo(&issue, false).await.unwrap();
    hub.undo(&done, false).await.unwrap();
    assert_eq!(hub.repo.head("x"), None);
    // A write that is redirected first was not done, and is sent once.
    let hub = Hub::new();
    let action = hub.prepare("create_issue", &json!({ "repo": REPO, "title": "T" })).unwrap();
    let cx = hub.cx(Direction::Forward, false);
    let Capture::Ready { ready, .. } = action.capture(&cx).await.unwrap() else { panic!() };
    hub.repo.rename("octo/renamed");
    action.perform(&cx, ready).await.unwrap();
    assert_eq!(hub.effects(), [What::IssueOpened(1)]);
}

#[tokio::test]
async fn an_enterprise_server_is_spoken_to_below_its_own_base() {
    for update_refs in [true, false] {
        let hub = Hub::new();
        hub.server.set_update_refs(update_refs);
        let base = hub.server.enterprise_url();
        let toolbox = connect(&hub.server, &hub.token, |github| github.base_url(&base).unwrap());
        let identity = toolbox.identity().await.unwrap();
        assert!(identity.0.contains("/api/v3 as user "), "{identity:?}");
        let params = JsonText::encode(&json!({ "repo": REPO, "branch": "feature" })).unwrap();
        let action = toolbox.prepare("delete_branch", &params).unwrap();
        hub.carry_out(action, hub.cx(Direction::Forward, false)).await.unwrap();
        assert_eq!(hub.repo.head("feature"), None);
        assert_eq!(hub.server.count("POST", "/graphql#updateRefs"), 1);
        assert_eq!(
            hub.server.count("DELETE", "/repos/octo/app/git/refs/heads/feature"),
            usize::from(!update_refs)
        );
    }
}

#[tokio::test]
async fn identity_names_server_and_account() {
    let hub = Hub::new();
    let ours = hub.toolbox.identity().await.unwrap();
    let other = hub.server.user("other").token(["repo"]);
    let theirs = connect(&hub.server, &other, |github| github).identity().await.unwrap();
    assert_ne!(ours, theirs);
    // Another token of the same account is the same.
    let again = hub.server.user("agent").token(["repo"]);
    assert_eq!(ours, connect(&hub.server, &again, |github| github).identity().await.unwrap());
}

#[tokio::test]
async fn what_stands_on_a_later_page_is_found() {
    let hub = Hub::new();
    let lost = hub.server.fault(Fault::drop_after("POST", "/repos/octo/app/issues"));
    let action = hub.prepare("create_issue", &json!({ "repo": REPO, "title": "Ours" })).unwrap();
    let cx = hub.cx(Direction::Forward, false);
    let Capture::Ready { pre, ready, .. } = action.capture(&cx).await.unwrap() else { panic!() };
    let error = action.perform(&cx, ready).await.unwrap_err();
    assert!(lost.was_reached());
    assert_eq!(error.code(), ErrorCode::InDoubt);
    for number in 0..120 {
        hub.repo.person("ann").open_issue(&format!("Theirs {number}"), "");
    }
    let found = action.probe(&cx, &pre).await.unwrap();
    assert!(matches!(found, enact_core::action::Doubt::Applied(_)), "{found:?}");
    let undo = hub.undo_from(&action, &pre);
    hub.carry_out(undo, hub.cx(Direction::Undo, false)).await.unwrap();
    let open: Vec<Value> =
        hub.repo.issues().iter().filter(|issue| issue.open).map(|issue| json!(issue.title)).collect();
    assert_eq!(open.len(), 120);
    assert!(!open.contains(&json!("Ours")));
}
