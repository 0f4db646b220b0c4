//! What a plan sees of GitHub: by reading alone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_core::action::Preview;
use enact_core::ids::Direction;
use enact_core::json::JsonText;
use enact_core::{Error, ErrorCode};
use serde_json::{Value, json};
use world::{Hub, REPO, usual};

/// Looks at an action, and holds that nothing was asked of the server but to be read.
async fn look(hub: &Hub, action: &str, params: Value) -> Result<Preview<JsonText>, Error> {
    let action = hub.prepare(action, &params).unwrap();
    let before = hub.server.requests().len();
    let seen = action.preview(&hub.cx(Direction::Forward, false)).await;
    let requests = hub.server.requests();
    let sent = &requests[before..];
    assert!(!sent.is_empty() && sent.iter().all(|request| request.method == "GET"), "{sent:?}");
    seen
}

#[tokio::test]
async fn a_commit_is_planned_without_anything_being_made() {
    let hub = Hub::of(usual, |github| github.revert_pushes(true));
    hub.repo.person("ann").push("main", [("old.txt", "old")]);
    let files = json!([
        { "path": "new.txt", "content": "new" },
        { "path": "old.txt", "content": "other" },
        { "path": "README.md", "delete": true },
    ]);
    let params = json!({ "repo": REPO, "branch": "main", "message": "M", "files": files });
    let preview = look(&hub, "push_commit", params.clone()).await.unwrap();
    let change = preview.shown.change.value();
    assert_eq!(change["branch"], "goes on");
    let files: Vec<_> =
        change["files"].as_array().unwrap().iter().map(|file| file["change"].clone()).collect();
    assert_eq!(files, ["adds", "changes", "deletes"]);
    assert_eq!((&preview.facts["exists"], &preview.irreversible), (&json!(true), &None));

    let missing = json!([{ "path": "nowhere.txt", "delete": true }]);
    let params = json!({ "repo": REPO, "branch": "main", "message": "M", "files": missing });
    assert_eq!(look(&hub, "push_commit", params).await.unwrap_err().code(), ErrorCode::NotFound);

    let for_good = Hub::of(usual, |github| github);
    let files = json!([{ "path": "a", "content": "a" }]);
    let params = json!({ "repo": REPO, "branch": "agent/new", "message": "M", "files": files });
    let preview = look(&for_good, "push_commit", params).await.unwrap();
    assert_eq!(preview.shown.change.value()["branch"], "is made");
    assert!(preview.irreversible.unwrap().contains("revert_pushes"));
}

#[tokio::test]
async fn each_action_says_what_it_would_do() {
    let hub = Hub::of(usual, |github| github);
    hub.act("create_branch", json!({ "repo": REPO, "branch": "agent/x" })).await.unwrap();
    let files = json!([{ "path": "x.txt", "content": "x" }]);
    let push = json!({ "repo": REPO, "branch": "agent/x", "message": "M", "files": files });
    hub.act("push_commit", push).await.unwrap();
    hub.act("create_pr", json!({ "repo": REPO, "title": "T", "head": "agent/x" })).await.unwrap();
    for (action, params, words) in [
        ("create_branch", json!({ "repo": REPO, "branch": "agent/y" }), "creates branch agent/y"),
        ("create_issue", json!({ "repo": REPO, "title": "Broken" }), "opens an issue in"),
        ("delete_branch", json!({ "repo": REPO, "branch": "agent/x" }), "GitHub closes #1"),
        ("merge_pr", json!({ "repo": REPO, "pr_number": 1 }), "into main by a merge commit"),
    ] {
        let preview = look(&hub, action, params).await.unwrap();
        let change = preview.shown.change.value();
        assert!(change.as_str().unwrap().contains(words), "{action}: {change}");
    }
    let there =
        look(&hub, "create_pr", json!({ "repo": REPO, "title": "T", "head": "agent/x" })).await.unwrap();
    assert_eq!(there.already_done.unwrap().value()["pr_number"], 1);
    hub.server.check();
}
