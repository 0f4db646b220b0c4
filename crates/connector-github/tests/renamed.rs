//! Names of repositories lead elsewhere in time: renamed, deleted, given to another one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_core::ErrorCode;
use enact_core::ids::Direction;
use enact_testkit::github::{Fault, Repo};
use serde_json::json;
use world::{Hub, REPO, usual};

/// Renames the repository, and gives its name to a new one that looks the same.
fn replace(hub: &Hub) -> Repo {
    hub.repo.rename("octo/app-old");
    let new = usual(hub.server.repo(REPO)).create();
    new.person("ann").push("feature", [("feature.txt", "new\n")]);
    new
}

#[tokio::test]
async fn a_name_that_was_given_to_another_repository_leads_to_that_one() {
    let hub = Hub::new();
    hub.repo.rename("octo/app-old");
    let issue = json!({ "repo": REPO, "title": "T" });
    hub.act("create_issue", issue.clone()).await.unwrap();
    assert_eq!(hub.repo.issues().len(), 1, "by its old name it is found");
    let new = usual(hub.server.repo(REPO)).create();
    hub.act("create_issue", issue).await.unwrap();
    assert_eq!((hub.repo.issues().len(), new.issues().len()), (1, 1));
}

#[tokio::test]
async fn policies_are_told_the_name_that_a_repository_has_now() {
    let hub = Hub::new();
    let pull = json!({ "repo": REPO, "title": "T", "head": "feature" });
    let pull = hub.act("create_pr", pull).await.unwrap();
    hub.repo.rename("octo/app-new");
    let file = json!([{ "path": "a", "content": "a" }]);
    for (action, params) in [
        ("create_issue", json!({ "repo": REPO, "title": "T" })),
        ("create_branch", json!({ "repo": REPO, "branch": "x" })),
        ("push_commit", json!({ "repo": REPO, "branch": "y", "message": "M", "files": file })),
        ("create_pr", json!({ "repo": REPO, "title": "T", "head": "feature", "base": "x" })),
        ("merge_pr", json!({ "repo": REPO, "pr_number": pull.output["pr_number"] })),
        ("delete_branch", json!({ "repo": REPO, "branch": "feature" })),
    ] {
        let cx = hub.cx(Direction::Forward, false);
        let preview = hub.prepare(action, &params).unwrap().preview(&cx).await.unwrap();
        let done = hub.act(action, params).await.unwrap();
        assert_eq!(preview.facts["repo"], "octo/app-new", "{action}");
        assert_eq!(done.facts["repo"], "octo/app-new", "{action}");
    }
}

#[tokio::test]
async fn a_ref_is_changed_in_the_repository_in_which_it_was_looked_at() {
    let hub = Hub::new();
    let made = hub.act("create_branch", json!({ "repo": REPO, "branch": "x" })).await.unwrap();
    hub.act("delete_branch", json!({ "repo": REPO, "branch": "feature" })).await.unwrap();
    let new = replace(&hub);
    new.person("ann").create_branch("x", "main");
    hub.undo(&made, false).await.unwrap();
    assert!(new.head("x").is_none() && hub.repo.head("x").is_some());
}

#[tokio::test]
async fn an_undo_closes_nothing_in_another_repository_of_the_same_name() {
    let hub = Hub::new();
    let issue = hub.act("create_issue", json!({ "repo": REPO, "title": "T" })).await.unwrap();
    let pull = hub.act("create_pr", json!({ "repo": REPO, "title": "T", "head": "feature" })).await.unwrap();
    let new = replace(&hub);
    new.person("ann").open_issue("Theirs", "");
    new.person("ann").open_pull("feature", "main", "Theirs", "");
    for done in [&issue, &pull] {
        for force in [false, true] {
            let error =
                hub.carry_out(hub.undo_of_known(done), hub.cx(Direction::Undo, force)).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::PreconditionFailed, "{error}");
            assert!(error.message().contains("another repository"), "{error}");
        }
    }
    assert!(new.issue(1).open && new.issue(2).open);
}

#[tokio::test]
async fn what_is_not_to_be_seen_any_more_is_not_undone() {
    let hub = Hub::new();
    let issue = hub.act("create_issue", json!({ "repo": REPO, "title": "T" })).await.unwrap();
    let pull = hub.act("create_pr", json!({ "repo": REPO, "title": "T", "head": "feature" })).await.unwrap();
    for (done, path) in [(&issue, "/repos/octo/app/issues/1"), (&pull, "/repos/octo/app/pulls/2")] {
        let hidden = hub.server.fault(Fault::status("GET", path, 404));
        let error = hub.carry_out(hub.undo_of_known(done), hub.cx(Direction::Undo, false)).await.unwrap_err();
        assert!(hidden.was_reached());
        assert_eq!(error.code(), ErrorCode::NotFound, "{error}");
    }
    // An issue that was deleted is known to be gone.
    hub.repo.person("ann").delete_issue(1);
    let undo = hub.undo_of_known(&issue);
    assert!(hub.carry_out(undo, hub.cx(Direction::Undo, false)).await.unwrap().already);
}
