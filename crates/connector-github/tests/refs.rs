//! Branches that others move, delete and make at the same time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_core::action::Doubt;
use enact_core::connector::Cx;
use enact_core::ids::Direction;
use enact_core::json::JsonText;
use enact_core::{Capture, ErrorCode, Prepared};
use enact_testkit::github::{Fault, Ruleset};
use serde_json::{Value, json};
use world::{Hub, REPO, usual};

/// Performs an action, or what undoes one, whose reply is lost.
async fn in_doubt(hub: &Hub, action: &Prepared, cx: &Cx, fault: Fault) -> JsonText {
    let Capture::Ready { pre, ready, .. } = action.capture(cx).await.unwrap() else { panic!("done already") };
    let lost = hub.server.fault(fault);
    let error = action.perform(cx, ready).await.unwrap_err();
    assert!(lost.was_reached());
    assert_eq!(error.code(), ErrorCode::InDoubt, "{error}");
    pre
}

/// Where GraphQL moves branches.
const GRAPHQL: &str = "/graphql#updateRefs";

/// What a probe of an action finds whose reply was lost, and after which others did something.
async fn probed(
    hub: &Hub,
    (name, params): (&str, Value),
    fault: Fault,
    others: impl FnOnce(),
) -> Doubt<JsonText> {
    let action = hub.prepare(name, &params).unwrap();
    let cx = hub.cx(Direction::Forward, false);
    let pre = in_doubt(hub, &action, &cx, fault).await;
    others();
    action.probe(&cx, &pre).await.unwrap()
}

#[tokio::test]
async fn a_branch_that_somebody_else_deleted_is_not_counted_as_deleted_by_the_run() {
    for by_graphql in [true, false] {
        let hub = Hub::new();
        hub.server.set_update_refs(by_graphql);
        let params = json!({ "repo": REPO, "branch": "feature" });
        let action = hub.prepare("delete_branch", &params).unwrap();
        let cx = hub.cx(Direction::Forward, false);
        let Capture::Ready { ready, .. } = action.capture(&cx).await.unwrap() else { panic!("gone already") };
        hub.repo.person("ann").delete_branch("feature");
        let error = action.perform(&cx, ready).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Conflict, true), "{error}");
        // The next try finds it done already, so that there is nothing to take back.
        assert!(hub.act("delete_branch", params).await.unwrap().already);
        assert_eq!(hub.effects(), []);
    }
}

#[tokio::test]
async fn a_branch_that_somebody_made_again_is_not_deleted_once_more() {
    let hub = Hub::new();
    let delete = ("delete_branch", json!({ "repo": REPO, "branch": "feature" }));
    let others = || {
        hub.repo.person("bob").push("feature", [("bob.txt", "bob\n")]);
    };
    let found = probed(&hub, delete, Fault::drop_after("POST", GRAPHQL), others).await;
    let Doubt::Unknown(seen) = found else { panic!("{found:?}") };
    assert!(seen.contains("somebody moved it, or made it again"), "{seen}");
}

#[tokio::test]
async fn a_branch_that_is_where_it_was_is_not_deleted_yet() {
    let hub = Hub::new();
    let delete = ("delete_branch", json!({ "repo": REPO, "branch": "feature" }));
    let found = probed(&hub, delete, Fault::drop_before("POST", GRAPHQL), || {}).await;
    assert!(matches!(found, Doubt::NotApplied), "{found:?}");
}

#[tokio::test]
async fn a_branch_that_somebody_made_again_is_a_conflict_for_the_undo_that_had_deleted_it() {
    let hub = Hub::new();
    let made = hub.act("create_branch", json!({ "repo": REPO, "branch": "agent/x" })).await.unwrap();
    let undo = hub.undo_of(&made);
    let cx = hub.cx(Direction::Undo, false);
    let pre = in_doubt(&hub, &undo, &cx, Fault::drop_after("POST", GRAPHQL)).await;
    let theirs = hub.repo.person("bob").push("agent/x", [("bob.txt", "bob\n")]);
    assert!(matches!(undo.probe(&cx, &pre).await.unwrap(), Doubt::NotApplied));
    let error = hub.undo(&made, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
    assert_eq!(hub.repo.head("agent/x"), Some(theirs));
}

/// A branch of the run with a push that is taken back again, and a commit of somebody in place of the one that takes it
/// back, with its message, as `git commit --amend` and a squash keep it. What keeps the branch.
async fn kept_for(commit: impl FnOnce(&Hub, &str) -> String) -> String {
    let hub = Hub::of(usual, |github| github.revert_pushes(true));
    let made = hub.act("create_branch", json!({ "repo": REPO, "branch": "agent/x" })).await.unwrap();
    let pushed = hub.act("push_commit", push("agent/x").1).await.unwrap();
    hub.undo(&pushed, false).await.unwrap();
    let message = hub.repo.git(["log", "-1", "--format=%B", "agent/x"]);
    let theirs = commit(&hub, &message);
    hub.repo.person("bob").set_branch("agent/x", &theirs);
    let error = hub.undo(&made, false).await.unwrap_err();
    assert_eq!(hub.repo.head("agent/x"), Some(theirs));
    assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
    error.message().to_owned()
}

const BOB: [&str; 4] = ["-c", "user.name=bob", "-c", "user.email=bob@example.com"];

#[tokio::test]
async fn work_in_a_commit_that_says_that_it_takes_a_push_back_is_not_deleted_with_the_branch() {
    let amended = |hub: &Hub, message: &str| {
        hub.repo.person("bob").push("work", [("bob.txt", "bob\n")]);
        let commit = ["commit-tree", "work^{tree}", "-p", "agent/x^", "-m", message];
        hub.repo.git(BOB.into_iter().chain(commit))
    };
    let why = kept_for(amended).await;
    assert!(why.contains("it points at"), "{why}");
}

#[tokio::test]
async fn what_a_merge_brought_is_not_deleted_with_the_branch_though_nothing_of_it_is_seen() {
    let merged = |hub: &Hub, message: &str| {
        // Older than the branch, so that the list of its commits ends before it.
        let old = std::process::Command::new("git")
            .args(BOB)
            .args(["commit-tree", "main^{tree}", "-m", "Old work"])
            .env("GIT_COMMITTER_DATE", "2001-01-01T00:00:00Z")
            .current_dir(hub.repo.folder())
            .output()
            .unwrap();
        let old = String::from_utf8(old.stdout).unwrap();
        let commit = ["commit-tree", "main^{tree}", "-p", "agent/x^", "-p", old.trim(), "-m", message];
        hub.repo.git(BOB.into_iter().chain(commit))
    };
    let why = kept_for(merged).await;
    assert!(why.contains("it points at"), "{why}");
}

/// A merge with later work, so that its undo has to merge in a branch of its own.
async fn merged_among_later_work(hub: &Hub) -> world::Done {
    let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let done = hub.act("merge_pr", json!({ "repo": REPO, "pr_number": number })).await.unwrap();
    hub.repo.person("bob").push("main", [("later.txt", "later\n")]);
    done
}

#[tokio::test]
async fn a_branch_for_the_merge_that_a_rule_keeps_is_named_and_is_no_success() {
    let hub = Hub::new();
    let done = merged_among_later_work(&hub).await;
    hub.repo.add_ruleset(Ruleset::of("enact-tmp/*").restrict_deletions());
    let head = hub.repo.head("main");
    for _ in 0..2 {
        let error = hub.undo(&done, false).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Forbidden, "{error}");
        assert_eq!(hub.repo.head("main"), head);
        let left = hub.leftovers();
        assert_eq!(left.len(), 1, "another one was made: {left:?}");
        assert!(error.message().contains(&left[0]), "{error}");
    }
    hub.repo.unprotect();
    hub.undo(&done, false).await.unwrap();
    assert_eq!(hub.leftovers(), [""; 0]);
    assert!(!hub.repo.tree("main").contains_key("feature.txt"));
}

/// A push onto a branch.
fn push(branch: &str) -> (&'static str, Value) {
    let files = json!([{ "path": "x", "content": "x" }]);
    ("push_commit", json!({ "repo": REPO, "branch": branch, "message": "M", "files": files }))
}

#[tokio::test]
async fn a_push_that_somebody_may_have_taken_away_is_not_made_again() {
    let others: [fn(&Hub); 3] = [
        |hub| hub.repo.person("bob").delete_branch("feature"),
        |hub| hub.repo.person("bob").set_branch("feature", &hub.repo.head("main").unwrap()),
        |hub| {
            hub.repo.person("bob").delete_branch("feature");
            hub.repo.person("bob").push("feature", [("bob.txt", "bob\n")]);
        },
    ];
    for others in others {
        let hub = Hub::new();
        let found = probed(&hub, push("feature"), Fault::drop_after("POST", GRAPHQL), || others(&hub)).await;
        let Doubt::Unknown(seen) = found else { panic!("{found:?}") };
        assert!(seen.contains("somebody set it back, deleted or made it"), "{seen}");
    }
    // Nor is a branch that somebody made taken for the one that the push was to make.
    let hub = Hub::new();
    let made = || hub.repo.person("bob").create_branch("fresh", "feature");
    let lost = Fault::drop_before("POST", "/repos/octo/app/git/refs");
    let found = probed(&hub, push("fresh"), lost, made).await;
    assert!(matches!(found, Doubt::Unknown(_)), "{found:?}");
}

#[tokio::test]
async fn a_push_that_others_only_went_on_without_is_made_again() {
    let hub = Hub::new();
    let others = || drop(hub.repo.person("bob").push("feature", [("bob.txt", "bob\n")]));
    let found = probed(&hub, push("feature"), Fault::drop_before("POST", GRAPHQL), others).await;
    assert!(matches!(found, Doubt::NotApplied), "{found:?}");
    hub.act("push_commit", push("feature").1).await.unwrap();
    assert_eq!(hub.repo.read("feature", "bob.txt").as_deref(), Some("bob\n"));
}

#[tokio::test]
async fn an_error_of_graphql_that_is_no_refusal_leaves_the_push_in_doubt() {
    for error in [
        json!({ "type": "INTERNAL", "message": "Could not update the refs", "path": ["updateRefs"] }),
        json!({ "type": "NEVER_HEARD_OF", "message": "no", "path": ["updateRefs"] }),
    ] {
        let hub = Hub::new();
        let said = json!({ "data": { "updateRefs": null }, "errors": [error] });
        let found = probed(&hub, push("feature"), Fault::answer("POST", GRAPHQL, 200, said), || {}).await;
        assert!(matches!(found, Doubt::NotApplied), "{found:?}");
    }
}

#[tokio::test]
async fn one_404_of_graphql_does_not_end_comparing_and_setting() {
    let hub = Hub::new();
    let away = hub.server.fault(Fault::answer("POST", GRAPHQL, 404, json!({ "message": "Not Found" })));
    let done = hub.act("delete_branch", json!({ "repo": REPO, "branch": "feature" })).await.unwrap();
    assert!(away.was_reached());
    hub.undo(&done, false).await.unwrap();
    hub.act("delete_branch", json!({ "repo": REPO, "branch": "feature" })).await.unwrap();
    assert_eq!(hub.server.count("POST", GRAPHQL), 2);
    assert_eq!(hub.server.count("DELETE", "/repos/octo/app/git/refs/heads/feature"), 1);
}

#[tokio::test]
async fn a_commit_that_cannot_be_read_is_not_taken_for_a_rewritten_history() {
    let hub = Hub::new();
    let done = merged_among_later_work(&hub).await;
    let gone = || json!({ "message": "Not Found" });
    let hidden = Fault::answer("GET", "/repos/octo/app/compare/**", 404, gone());
    let compared = hub.server.fault(hidden);
    let merge = done.output["sha"].as_str().unwrap();
    let commit = format!("/repos/octo/app/git/commits/{merge}");
    // Its undo reads the commit twice before.
    let read = hub.server.fault(Fault::answer("GET", &commit, 404, gone()).nth(3));
    let error = hub.undo(&done, false).await.unwrap_err();
    assert!(compared.was_reached() && read.was_reached(), "{error}");
    assert_eq!(error.code(), ErrorCode::NotFound, "{error}");
    assert!(error.message().contains(merge), "{error}");
    hub.undo(&done, false).await.unwrap();
}

#[tokio::test]
async fn a_history_that_was_rewritten_from_its_first_commit_is_a_conflict() {
    let hub = Hub::new();
    let done = merged_among_later_work(&hub).await;
    let other = hub.repo.git(BOB.into_iter().chain(["commit-tree", "main^{tree}", "-m", "All anew"]));
    hub.repo.person("bob").set_branch("main", &other);
    let error = hub.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
    assert!(error.message().contains("history was rewritten"), "{error}");
}

/// What the probe of a restored branch finds whose reply was lost, and after which others did something. Forced, it was
/// there again with somebody's commits before.
async fn restored(hub: &Hub, force: bool, fault: Fault, others: impl FnOnce()) -> Doubt<JsonText> {
    hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let done = hub.act("delete_branch", json!({ "repo": REPO, "branch": "feature" })).await.unwrap();
    if force {
        hub.repo.person("bob").push("feature", [("bob.txt", "bob\n")]);
    }
    let undo = hub.undo_of(&done);
    let cx = hub.cx(Direction::Undo, force);
    let pre = in_doubt(hub, &undo, &cx, fault).await;
    others();
    undo.probe(&cx, &pre).await.unwrap()
}

const REFS: &str = "/repos/octo/app/git/refs";

#[tokio::test]
async fn a_restored_branch_that_others_go_on_with_counts_as_restored() {
    // The reply to the last request is lost: the pull request is open again.
    let hub = Hub::new();
    let go_on = || drop(hub.repo.person("bob").push("feature", [("bob.txt", "bob\n")]));
    let lost = Fault::drop_after("PATCH", "/repos/octo/app/pulls/1");
    let found = restored(&hub, false, lost, go_on).await;
    assert!(matches!(found, Doubt::Applied(_)), "{found:?}");
    // The reply to the first one is lost, and what is closed still is named.
    let hub = Hub::new();
    let go_on = || drop(hub.repo.person("bob").push("feature", [("bob.txt", "bob\n")]));
    let found = restored(&hub, false, Fault::drop_after("POST", REFS), go_on).await;
    let Doubt::Unknown(seen) = found else { panic!("{found:?}") };
    assert!(seen.contains("restored and moved on") && seen.contains("#1"), "{seen}");
}

#[tokio::test]
async fn a_branch_that_somebody_else_made_in_place_of_the_restored_one_is_not_known() {
    let hub = Hub::new();
    let made = || hub.repo.person("bob").create_branch("feature", "main");
    let found = restored(&hub, false, Fault::drop_before("POST", REFS), made).await;
    assert!(matches!(found, Doubt::Unknown(_)), "{found:?}");
}

#[tokio::test]
async fn a_restoration_that_did_not_land_is_tried_again() {
    let hub = Hub::new();
    let found = restored(&hub, false, Fault::drop_before("POST", REFS), || {}).await;
    assert!(matches!(found, Doubt::NotApplied), "{found:?}");
    let hub = Hub::new();
    let found = restored(&hub, true, Fault::drop_before("POST", GRAPHQL), || {}).await;
    assert!(matches!(found, Doubt::NotApplied), "{found:?}");
}
