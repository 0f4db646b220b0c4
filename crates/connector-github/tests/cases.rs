//! The cases of GitHub that break others, each by its number.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_core::action::EffectClass;
use enact_core::ids::Direction;
use enact_core::{Capture, ErrorCode};
use enact_testkit::github::{Fault, What};
use serde_json::json;
use world::{ALL, Hub, REPO, usual};

#[tokio::test]
async fn case_23_another_owners_pull_request_of_the_same_branch_name_is_not_taken_for_ours() {
    let hub = Hub::new();
    let fork = hub.repo.fork("eve");
    fork.person("eve").push("feature", [("evil.txt", "x\n")]);
    let theirs = hub.repo.person("eve").open_pull("eve:feature", "main", "Theirs", "");
    let params = json!({ "repo": REPO, "title": "Ours", "head": "feature" });
    let done = hub.act("create_pr", params.clone()).await.unwrap();
    assert!(!done.already);
    assert_ne!(done.output["pr_number"], theirs);
    // Asked again, ours is there already; into another base it is another one.
    let again = hub.act("create_pr", params).await.unwrap();
    assert!(again.already);
    assert_eq!(again.output["pr_number"], done.output["pr_number"]);
    hub.undo(&done, false).await.unwrap();
    assert!(hub.repo.pull(theirs).issue.open, "theirs was closed");
    assert!(!hub.repo.pull(done.output["pr_number"].as_u64().unwrap()).issue.open);
}

#[tokio::test]
async fn case_23_a_pull_request_from_a_fork_is_opened_with_its_owner() {
    let hub = Hub::new();
    let fork = hub.repo.fork("eve");
    fork.person("eve").push("fix/1", [("fix.txt", "x\n")]);
    let done = hub
        .act("create_pr", json!({ "repo": REPO, "title": "Fix", "head": "eve:fix/1", "draft": true }))
        .await
        .unwrap();
    let number = done.output["pr_number"].as_u64().unwrap();
    assert_eq!(hub.repo.pull(number).head, "eve:fix/1");
    assert!(hub.repo.pull(number).draft);
    hub.undo(&done, false).await.unwrap();
    assert!(!hub.repo.pull(number).issue.open);
}

#[tokio::test]
async fn case_24_an_issue_or_pull_request_of_the_same_title_is_not_taken_for_ours() {
    let hub = Hub::new();
    let theirs = hub.repo.person("ann").open_issue("Broken", "body");
    hub.repo.person("ann").open_pull("feature", "main", "Broken", "body");
    let lost = hub.server.fault(Fault::drop_before("POST", "/repos/octo/app/issues"));
    let action =
        hub.prepare("create_issue", &json!({ "repo": REPO, "title": "Broken", "body": "body" })).unwrap();
    let settled = hub.act_or_probe(action, hub.cx(Direction::Forward, false)).await.unwrap();
    assert!(lost.was_reached());
    assert!(matches!(settled, world::Settled::Nothing(_)), "{settled:?}");
    assert!(hub.repo.issue(theirs).open);
}

#[tokio::test]
async fn case_24_the_mark_is_not_shown_and_the_body_is_kept() {
    let hub = Hub::new();
    let done =
        hub.act("create_issue", json!({ "repo": REPO, "title": "T", "body": "a\n\nb" })).await.unwrap();
    let body = hub.repo.issue(done.output["issue_number"].as_u64().unwrap()).body.unwrap();
    assert_eq!(body, format!("a\n\nb\n\n<!-- enact:{} -->", done.cx.effect()));
}

#[tokio::test]
async fn case_25_a_look_up_that_fails_is_an_error_and_not_an_absence() {
    for (action, params) in [
        ("create_branch", json!({ "repo": REPO, "branch": "x" })),
        ("delete_branch", json!({ "repo": REPO, "branch": "gone" })),
    ] {
        let hub = Hub::new();
        let broken = hub.server.fault(Fault::status("GET", "/repos/octo/app/git/ref/**", 502));
        let error = hub.act(action, params).await.unwrap_err();
        assert!(broken.was_reached());
        assert_eq!(error.code(), ErrorCode::Unavailable, "{action}: {error}");
        assert!(error.is_retryable());
        assert_eq!(hub.effects(), []);
    }
}

#[tokio::test]
async fn case_25_a_repository_that_cannot_be_seen_is_not_an_absence() {
    let hub = Hub::of(|builder| usual(builder).private(), |github| github);
    let stranger = hub.server.user("mallory").token(["repo"]);
    let toolbox = world::connect(&hub.server, &stranger, |github| github);
    let action = toolbox
        .prepare(
            "delete_branch",
            &enact_core::json::JsonText::encode(&json!({ "repo": REPO, "branch": "feature" })).unwrap(),
        )
        .unwrap();
    let error = action.capture(&hub.cx(Direction::Forward, false)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert!(error.message().contains("no permission to see it"), "{error}");
}

#[tokio::test]
async fn case_26_commits_pushed_since_are_not_deleted_with_the_branch() {
    let hub = Hub::new();
    let done = hub.act("create_branch", json!({ "repo": REPO, "branch": "agent/x" })).await.unwrap();
    let theirs = hub.repo.person("bob").push("agent/x", [("work.txt", "work\n")]);
    let error = hub.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
    assert_eq!(hub.repo.head("agent/x"), Some(theirs));
    // Somebody's pull request from it is work too.
    let hub = Hub::new();
    let params = json!({ "repo": REPO, "branch": "agent/x", "from_branch": "feature" });
    let done = hub.act("create_branch", params).await.unwrap();
    hub.repo.person("bob").open_pull("agent/x", "main", "Bob's", "");
    let error = hub.undo(&done, false).await.unwrap_err();
    assert!(error.message().contains("#1"), "{error}");
}

#[tokio::test]
async fn case_26_a_push_between_look_and_deletion_is_not_lost() {
    for by_graphql in [true, false] {
        let hub = Hub::new();
        hub.server.set_update_refs(by_graphql);
        let done = hub.act("create_branch", json!({ "repo": REPO, "branch": "agent/x" })).await.unwrap();
        let undo = hub.undo_of(&done);
        let cx = hub.cx(Direction::Undo, false);
        let Capture::Ready { ready, .. } = undo.capture(&cx).await.unwrap() else {
            panic!("nothing to undo")
        };
        let theirs = hub.repo.person("bob").push("agent/x", [("work.txt", "work\n")]);
        let error = undo.perform(&cx, ready).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert_eq!(hub.repo.head("agent/x"), Some(theirs));
    }
}

#[tokio::test]
async fn case_27_a_branch_that_is_there_again_elsewhere_is_not_restored() {
    let hub = Hub::new();
    let sha = hub.repo.head("feature").unwrap();
    let done = hub.act("delete_branch", json!({ "repo": REPO, "branch": "feature" })).await.unwrap();
    assert_eq!(done.output["sha"], sha.as_str());
    hub.repo.person("bob").create_branch("feature", "main");
    let error = hub.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict);
    assert_eq!(hub.repo.head("feature"), hub.repo.head("main"));
    // Gone again, it comes back where it was.
    hub.repo.person("bob").delete_branch("feature");
    hub.undo(&done, false).await.unwrap();
    assert_eq!(hub.repo.head("feature"), Some(sha));
}

#[tokio::test]
async fn case_27_pull_requests_that_the_deletion_closed_are_named_and_opened_again() {
    let hub = Hub::new();
    let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let done = hub.act("delete_branch", json!({ "repo": REPO, "branch": "feature" })).await.unwrap();
    assert_eq!(done.output["closed_prs"], json!([number]));
    assert!(!hub.repo.pull(number).issue.open);
    let undone = hub.undo(&done, false).await.unwrap();
    assert_eq!(undone.output["not_reopened"], json!([]));
    assert!(hub.repo.pull(number).issue.open);
}

#[tokio::test]
async fn case_28_undoing_a_merge_keeps_later_work() {
    let hub = Hub::new();
    let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let done = hub.act("merge_pr", json!({ "repo": REPO, "pr_number": number })).await.unwrap();
    hub.repo.person("bob").push("main", [("later.txt", "later\n"), ("README.md", "one\ntwo\nthree\nfour\n")]);
    hub.undo(&done, false).await.unwrap();
    let tree = hub.repo.tree("main");
    assert!(!tree.contains_key("feature.txt"), "the merge is there still");
    assert_eq!(hub.repo.read("main", "later.txt").as_deref(), Some("later\n"));
    assert_eq!(hub.repo.read("main", "README.md").as_deref(), Some("one\ntwo\nthree\nfour\n"));
    assert_eq!(hub.leftovers(), [""; 0]);
    assert_eq!(hub.repo.git(["log", "-1", "--format=%an", "main"]), "agent");
}

#[tokio::test]
async fn case_28_later_work_on_the_same_lines_is_a_conflict() {
    let hub = Hub::new();
    let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let done = hub.act("merge_pr", json!({ "repo": REPO, "pr_number": number })).await.unwrap();
    let theirs = hub.repo.person("bob").push("main", [("feature.txt", "other\n")]);
    let error = hub.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
    assert_eq!(hub.repo.head("main"), Some(theirs));
    assert_eq!(hub.leftovers(), [""; 0]);
}

#[tokio::test]
async fn case_29_squash_and_rebase_merges_are_undone_among_later_work() {
    for method in ["squash", "rebase"] {
        let hub = Hub::new();
        hub.repo.person("ann").push("feature", [("second.txt", "2\n")]);
        hub.repo.person("ann").push("feature", [("README.md", "zero\none\ntwo\nthree\n")]);
        let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
        hub.repo.person("bob").push("main", [("before.txt", "b\n")]);
        let params = json!({ "repo": REPO, "pr_number": number, "method": method });
        let done = hub.act("merge_pr", params).await.unwrap();
        assert!(hub.repo.tree("main").contains_key("second.txt"));
        hub.repo.person("bob").push("main", [("README.md", "zero\none\ntwo\nthree\nfour\n")]);
        hub.undo(&done, false).await.unwrap();
        let tree = hub.repo.tree("main");
        assert!(!tree.contains_key("second.txt") && !tree.contains_key("feature.txt"), "{method}: {tree:?}");
        assert!(tree.contains_key("before.txt"));
        assert_eq!(
            hub.repo.read("main", "README.md").as_deref(),
            Some("one\ntwo\nthree\nfour\n"),
            "{method}"
        );
    }
}

#[tokio::test]
async fn case_30_a_head_that_moved_is_not_merged() {
    let hub = Hub::new();
    let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let action = hub.prepare("merge_pr", &json!({ "repo": REPO, "pr_number": number })).unwrap();
    let cx = hub.cx(Direction::Forward, false);
    let Capture::Ready { ready, .. } = action.capture(&cx).await.unwrap() else { panic!("done already") };
    hub.repo.person("eve").push("feature", [("evil.txt", "x\n")]);
    let error = action.perform(&cx, ready).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
    assert!(hub.repo.pull(number).merged.is_none());
    let sha = "0".repeat(40);
    let params = json!({ "repo": REPO, "pr_number": number, "expected_head_sha": sha });
    let error = hub.act("merge_pr", params).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PreconditionFailed, "{error}");
}

#[tokio::test]
async fn case_30_what_is_not_merged_is_no_success() {
    let hub = Hub::new();
    let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    hub.repo.person("bob").push("main", [("feature.txt", "other\n")]);
    let error = hub.act("merge_pr", json!({ "repo": REPO, "pr_number": number })).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PreconditionFailed, "{error}");
    // Merged already is done already, and nothing to be undone.
    let hub = Hub::new();
    let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let sha = hub.repo.person("bob").merge(number, "merge");
    let done = hub.act("merge_pr", json!({ "repo": REPO, "pr_number": number })).await.unwrap();
    assert!(done.already);
    assert_eq!(done.output, json!({ "merged": true, "sha": sha }));
}

#[test]
fn case_31_every_action_of_the_kind_is_there() {
    let hub = Hub::new();
    let names: Vec<&str> = hub.toolbox.actions().map(|(spec, _)| spec.name).collect();
    let mut all = ALL.to_vec();
    all.sort_unstable();
    assert_eq!(names, all);
    let effect =
        |hub: &Hub| hub.toolbox.actions().find(|(spec, _)| spec.name == "push_commit").unwrap().0.effect;
    assert_eq!(effect(&hub), EffectClass::Irreversible);
    let reverting = Hub::of(usual, |github| github.revert_pushes(true));
    assert_eq!(effect(&reverting), EffectClass::Reversible);
}

#[tokio::test]
async fn a_merged_pull_request_is_not_closed() {
    let hub = Hub::new();
    let done = hub.act("create_pr", json!({ "repo": REPO, "title": "T", "head": "feature" })).await.unwrap();
    hub.repo.person("bob").merge(done.output["pr_number"].as_u64().unwrap(), "merge");
    let error = hub.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PreconditionFailed, "{error}");
    assert!(!error.message().contains("by this run"), "{error}");
    let merged = |what: &What| matches!(what, What::PullMerged { .. } | What::PullClosed(_));
    assert!(!hub.effects().iter().any(merged));
}
