//! The connector suite, on every action.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test by panicking")]

mod world;

use enact_testkit::connector_suite::{Case, check};
use serde_json::json;
use world::{Hub, REPO, usual};

#[tokio::test]
async fn create_branch() {
    let case = Case::new("create_branch", json!({ "repo": REPO, "branch": "agent/fix#149" }))
        .requires(["repo", "branch"])
        .refuses(json!({ "repo": "app", "branch": "x" }), "repo")
        .refuses(json!({ "repo": REPO, "branch": "a..b" }), "branch")
        .refuses(json!({ "repo": REPO, "branch": "x", "from_sha": "abc" }), "from_sha")
        .disturbed_by(|hub: &Hub| {
            hub.repo.person("bob").push("agent/fix#149", [("more.txt", "more\n")]);
        });
    check(&case, async || Hub::new()).await;
}

#[tokio::test]
async fn create_pr() {
    let params = json!({ "repo": REPO, "title": "New", "body": "text", "head": "feature", "base": "main" });
    let case = Case::new("create_pr", params)
        .requires(["repo", "title", "head"])
        .refuses(json!({ "repo": REPO, "title": "", "head": "feature" }), "title")
        .refuses(json!({ "repo": REPO, "title": "x", "head": "a/b:feature" }), "head");
    check(&case, async || Hub::new()).await;
}

#[tokio::test]
async fn create_issue() {
    let case = Case::new("create_issue", json!({ "repo": REPO, "title": "Broken", "labels": ["bug"] }))
        .requires(["repo", "title"])
        .refuses(json!({ "repo": REPO, "title": "x".repeat(300) }), "title");
    check(&case, async || Hub::new()).await;
}

#[tokio::test]
async fn delete_branch() {
    let case = Case::new("delete_branch", json!({ "repo": REPO, "branch": "feature" }))
        .requires(["repo", "branch"])
        .disturbed_by(|hub: &Hub| hub.repo.person("bob").create_branch("feature", "main"));
    check(&case, async || Hub::new()).await;
}

#[tokio::test]
async fn delete_branch_with_open_pull_requests() {
    let case = Case::new("delete_branch", json!({ "repo": REPO, "branch": "feature" }));
    let world = async || {
        let hub = Hub::new();
        hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
        hub
    };
    check(&case, world).await;
}

#[tokio::test]
async fn merge_pr_by_each_method() {
    for method in ["merge", "squash", "rebase"] {
        let case = Case::new("merge_pr", json!({ "repo": REPO, "pr_number": 1, "method": method }))
            .requires(["repo", "pr_number"])
            .refuses(json!({ "repo": REPO, "pr_number": 0 }), "pr_number")
            .refuses(json!({ "repo": REPO, "pr_number": 1, "method": "octopus" }), "method");
        let world = async || {
            let hub = Hub::new();
            hub.repo.person("ann").push("feature", [("second.txt", "2\n")]);
            hub.repo.person("bob").push("main", [("other.txt", "other\n")]);
            // An open pull request stays merged when its merge is taken back, so it is none of the world.
            assert_eq!(hub.repo.person("ann").open_pull("feature", "main", "Mine", ""), 1);
            hub
        };
        check(&case, async || Quiet(world().await)).await;
    }
}

/// A world in which only branches count.
struct Quiet(Hub);

impl enact_testkit::connector_suite::World for Quiet {
    fn toolbox(&self) -> enact_core::connector::Toolbox {
        self.0.toolbox.clone()
    }

    async fn observe(&self) -> String {
        let all = enact_testkit::connector_suite::World::observe(&self.0).await;
        all.lines().filter(|line| !line.starts_with("pull ")).collect::<Vec<_>>().join("\n")
    }
}

#[tokio::test]
async fn push_commit() {
    let files = json!([
        { "path": "README.md", "content": "one\ntwo and a half\nthree\n" },
        { "path": "data/blob.bin", "content_base64": "AP/+AA==" },
        { "path": "bin/run", "content": "#!/bin/sh\necho\n" },
        { "path": "link", "delete": true },
        { "path": "to", "content": "data/blob.bin", "mode": "120000" },
    ]);
    let params = json!({ "repo": REPO, "branch": "feature", "message": "Change", "files": files });
    let case = Case::new("push_commit", params.clone())
        .requires(["repo", "branch", "message", "files"])
        .refuses(json!({ "repo": REPO, "branch": "feature", "message": "x", "files": [] }), "files");
    let reverting = async || Hub::of(usual, |github| github.revert_pushes(true));
    check(&case, reverting).await;
    // What cannot be undone is proved all the same.
    check(&Case::new("push_commit", params), async || Hub::new()).await;
}

#[tokio::test]
async fn push_commit_onto_a_new_branch() {
    let files = json!([{ "path": "new.txt", "content": "new\n" }]);
    let params = json!({ "repo": REPO, "branch": "fresh", "message": "Begin", "files": files });
    let case = Case::new("push_commit", params).disturbed_by(|hub: &Hub| {
        hub.repo.person("bob").push("fresh", [("more.txt", "more\n")]);
    });
    check(&case, async || Hub::of(usual, |github| github.revert_pushes(true))).await;
}
