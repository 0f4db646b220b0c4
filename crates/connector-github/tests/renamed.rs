//! Names of repositories lead elsewhere in time: renamed, deleted, given to another one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_testkit::github::Repo;
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
async fn a_ref_is_changed_in_the_repository_in_which_it_was_looked_at() {
    let hub = Hub::new();
    let made = hub.act("create_branch", json!({ "repo": REPO, "branch": "x" })).await.unwrap();
    hub.act("delete_branch", json!({ "repo": REPO, "branch": "feature" })).await.unwrap();
    let new = replace(&hub);
    new.person("ann").create_branch("x", "main");
    hub.act("delete_branch", json!({ "repo": REPO, "branch": "feature" })).await.unwrap();
    assert_eq!(new.head("feature"), None);
    hub.repo.person("ann").create_branch("feature", "main");
    hub.undo(&made, true).await.unwrap();
    assert!(new.head("x").is_none() && hub.repo.head("x").is_some());
}
