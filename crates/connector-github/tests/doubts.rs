//! What others do or see at the wrong moment: marks, clocks, bases, merges and refusals are taken for what they are.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_core::action::Doubt;
use enact_core::connector::Cx;
use enact_core::error::Remains;
use enact_core::ids::Direction;
use enact_core::json::JsonText;
use enact_core::{Capture, ErrorCode, Prepared};
use enact_testkit::github::Fault;
use serde_json::{Value, json};
use world::{Hub, REPO, connect};

/// Performs an action whose reply is lost.
async fn in_doubt(hub: &Hub, action: &Prepared, lost: Fault) -> (Cx, JsonText) {
    let lost = hub.server.fault(lost);
    let cx = hub.cx(Direction::Forward, false);
    let Capture::Ready { pre, ready, .. } = action.capture(&cx).await.unwrap() else {
        panic!("done already")
    };
    let error = action.perform(&cx, ready).await.unwrap_err();
    assert!(lost.was_reached());
    assert_eq!(error.code(), ErrorCode::InDoubt, "{error}");
    (cx, pre)
}

/// The makers of issues and pull requests, and where they are sent.
fn makers() -> [(&'static str, Value, &'static str); 2] {
    [
        ("create_issue", json!({ "repo": REPO, "title": "Ours" }), "/repos/octo/app/issues"),
        ("create_pr", json!({ "repo": REPO, "title": "Ours", "head": "feature" }), "/repos/octo/app/pulls"),
    ]
}

#[tokio::test]
async fn a_mark_that_somebody_else_wrote_is_not_ours() {
    for (name, params, path) in makers() {
        let hub = Hub::new();
        let action = hub.prepare(name, &params).unwrap();
        let (cx, pre) = in_doubt(&hub, &action, Fault::drop_before("POST", path)).await;
        let mark = format!("<!-- enact:{} -->", cx.effect());
        hub.repo.person("eve").open_issue("Theirs", &mark);
        hub.repo.person("eve").open_pull("feature", "main", "Theirs", &mark);
        let found = action.probe(&cx, &pre).await.unwrap();
        assert!(matches!(found, Doubt::NotApplied), "{name}: {found:?}");
        let undo = hub.undo_from(&action, &pre);
        assert!(hub.carry_out(undo, hub.cx(Direction::Undo, false)).await.unwrap().already);
        assert!(hub.repo.issue(1).open && hub.repo.issue(2).open, "{name}: theirs was closed");
        // Nor is it taken for an earlier attempt of the same action.
        if name == "create_pr" {
            let again = hub.carry_out(action, hub.again(&cx)).await.unwrap();
            assert!(again.already);
        }
    }
}

#[tokio::test]
async fn ours_is_found_with_a_clock_that_is_an_hour_ahead() {
    for (name, params, path) in makers() {
        let hub = Hub::new();
        hub.server.advance_clock(-3600);
        let action = hub.prepare(name, &params).unwrap();
        let (cx, pre) = in_doubt(&hub, &action, Fault::drop_after("POST", path)).await;
        hub.repo.person("ann").push("other", [("other.txt", "x\n")]);
        hub.repo.person("ann").open_pull("other", "main", "Theirs", "");
        hub.repo.person("ann").open_issue("Theirs", "");
        let found = action.probe(&cx, &pre).await.unwrap();
        assert!(matches!(found, Doubt::Applied(_)), "{name}: {found:?}");
    }
}

#[tokio::test]
async fn a_pull_request_whose_base_was_changed_is_not_merged() {
    for method in ["merge", "squash", "rebase"] {
        let hub = Hub::new();
        let ann = hub.repo.person("ann");
        ann.create_branch("dev", "main");
        let number = ann.open_pull("feature", "dev", "Mine", "");
        let params = json!({ "repo": REPO, "pr_number": number, "method": method });
        let action = hub.prepare("merge_pr", &params).unwrap();
        let cx = hub.cx(Direction::Forward, false);
        let Capture::Ready { ready, .. } = action.capture(&cx).await.unwrap() else {
            panic!("merged already")
        };
        ann.retarget(number, "main");
        let error = action.perform(&cx, ready).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::PreconditionFailed, "{method}: {error}");
        assert!(error.is_retryable() && error.remains() == Remains::Nothing, "{method}: {error}");
        assert_eq!(hub.effects(), []);
    }
}

#[tokio::test]
async fn a_merge_into_a_base_that_was_chosen_at_the_last_moment_is_told() {
    let hub = Hub::new();
    let ann = hub.repo.person("ann");
    ann.create_branch("dev", "main");
    let number = ann.open_pull("feature", "dev", "Mine", "");
    let quicker =
        Fault::just_before("PUT", "/repos/octo/app/pulls/1/merge", move || ann.retarget(number, "main"));
    let quicker = hub.server.fault(quicker);
    let done = hub.act("merge_pr", json!({ "repo": REPO, "pr_number": number })).await.unwrap();
    assert!(quicker.was_reached());
    for undo in [hub.undo_of(&done), hub.undo_of_known(&done)] {
        let error = hub.carry_out(undo, hub.cx(Direction::Undo, false)).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
        assert!(error.message().contains("go into main, and not into dev"), "{error}");
    }
}

/// The merged pull request, as GitHub would show it before it knows its commit.
fn without_commit(hub: &Hub, number: u64) -> Value {
    let pull = hub.repo.pull(number);
    json!({
        "number": number, "html_url": "http://x", "state": "closed", "title": "Mine", "body": null,
        "head": { "ref": "feature", "sha": pull.head_sha }, "base": { "ref": "main", "sha": pull.head_sha },
        "created_at": "2026-01-31T12:00:00Z", "merged_at": "2026-01-31T12:00:00Z", "merge_commit_sha": null,
    })
}

#[tokio::test]
async fn a_merge_whose_commit_is_not_shown_yet_is_not_taken_for_none() {
    let hub = Hub::new();
    let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let action = hub.prepare("merge_pr", &json!({ "repo": REPO, "pr_number": number })).unwrap();
    let lost = Fault::drop_after("PUT", "/repos/octo/app/pulls/1/merge");
    let (cx, pre) = in_doubt(&hub, &action, lost).await;
    let shown = without_commit(&hub, number);
    let hide = || Fault::answer("GET", "/repos/octo/app/pulls/1", 200, shown.clone());
    let hidden = hub.server.fault(hide());
    let error = action.probe(&cx, &pre).await.unwrap_err();
    assert!(hidden.was_reached() && error.is_retryable(), "{error}");
    let hidden = hub.server.fault(hide());
    let undo = hub.undo_from(&action, &pre).capture(&hub.cx(Direction::Undo, false)).await.map(|_| ());
    let error = undo.unwrap_err();
    assert!(hidden.was_reached() && error.is_retryable(), "{error}");
    assert!(matches!(action.probe(&cx, &pre).await.unwrap(), Doubt::Applied(_)));
}

#[tokio::test]
async fn a_token_that_may_not_reopen_is_an_error_and_not_an_undone_deletion() {
    let hub = Hub::new();
    let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let done = hub.act("delete_branch", json!({ "repo": REPO, "branch": "feature" })).await.unwrap();
    let token = hub.server.user("agent").fine_grained(["contents:write", "pull_requests:read"]);
    let toolbox = connect(&hub.server, &token, |github| github);
    let undo = hub.undo_of_known(&done);
    let undo = toolbox.prepare_undo(undo.spec().name, undo.params()).unwrap();
    let error = hub.carry_out(undo, hub.cx(Direction::Undo, false)).await.unwrap_err();
    assert_eq!((error.code(), error.remains()), (ErrorCode::Forbidden, Remains::Perhaps), "{error}");
    assert!(error.message().contains("pull_requests=write"), "{error}");
    assert!(hub.repo.head("feature").is_some() && !hub.repo.pull(number).issue.open);
    let undo = hub.undo_of_known(&done);
    hub.carry_out(undo, hub.cx(Direction::Undo, false)).await.unwrap();
    assert!(hub.repo.pull(number).issue.open);
}

#[tokio::test]
async fn a_pull_request_that_github_does_not_reopen_is_named_with_the_reason() {
    let hub = Hub::new();
    let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let done = hub.act("delete_branch", json!({ "repo": REPO, "branch": "feature" })).await.unwrap();
    hub.repo.person("ann").set_branch("main", done.output["sha"].as_str().unwrap());
    let undone = hub.carry_out(hub.undo_of_known(&done), hub.cx(Direction::Undo, false)).await.unwrap();
    assert_eq!(undone.output["not_reopened"], json!([number]));
    assert!(undone.output["reasons"][0].as_str().unwrap().contains("no new commits"), "{undone:?}");
}

#[tokio::test]
async fn a_refusal_that_says_nothing_of_the_account_is_not_kept_as_one() {
    let hub = Hub::new();
    let known = hub.toolbox.identity().await.unwrap();
    assert!(!known.0.contains("agent"), "a login may change: {known:?}");
    let toolbox = connect(&hub.server, &hub.token, |github| github);
    let message = json!({ "message": "Although you appear to have the correct authorization credentials, the \
        organization has an IP allow list enabled, and your IP address is not permitted to access this resource." });
    let refused = hub.server.fault(Fault::answer("GET", "/user", 403, message));
    let error = toolbox.identity().await.unwrap_err();
    assert!(refused.was_reached());
    assert_eq!(error.code(), ErrorCode::Forbidden, "{error}");
    assert_eq!(toolbox.identity().await.unwrap(), known);
}

#[tokio::test]
async fn what_was_taken_back_is_seen_among_commits_of_another_clock() {
    let hub = Hub::new();
    let ann = hub.repo.person("ann");
    hub.server.advance_clock(3600);
    let number = ann.open_pull("feature", "main", "Mine", "");
    let done = hub.act("merge_pr", json!({ "repo": REPO, "pr_number": number })).await.unwrap();
    let merge = hub.repo.head("main").unwrap();
    hub.undo(&done, false).await.unwrap();
    // A line that goes off before it is merged: what was taken back by our clock is listed last.
    ann.create_branch("side", &merge);
    ann.push("side", [("side.txt", "side\n")]);
    let side = ann.open_pull("side", "main", "Side", "");
    ann.merge(side, "merge");
    let listed = hub.repo.git(["log", "--format=%H", "main"]);
    assert!(!listed.ends_with(&merge) && listed.contains(&merge));
    assert!(hub.undo(&done, false).await.unwrap().already);
}

/// So many commits that change nothing on a branch, made by git itself.
fn push_many(hub: &Hub, branch: &str, many: usize) {
    let head = hub.repo.head(branch).unwrap();
    let mut stream = String::new();
    for number in 0..many {
        let from = if number == 0 { format!("from {head}\n") } else { String::new() };
        let who = format!("ann <ann@example.com> {} +0000", 2_000_000_000 + number);
        stream += &format!("commit refs/heads/{branch}\ncommitter {who}\ndata 1\nc\n{from}\n");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), stream).unwrap();
    let import = std::process::Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(hub.repo.folder())
        .stdin(std::fs::File::open(file.path()).unwrap())
        .status();
    assert!(import.unwrap().success());
}

#[tokio::test]
async fn a_merge_is_left_where_more_came_after_it_than_is_read() {
    let hub = Hub::new();
    let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let done = hub.act("merge_pr", json!({ "repo": REPO, "pr_number": number })).await.unwrap();
    push_many(&hub, "main", 1001);
    let error = hub.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
    assert!(error.message().contains("more commits came after it than are read"), "{error}");
}

#[tokio::test]
async fn a_look_up_of_the_new_name_that_fails_is_its_own_error() {
    let hub = Hub::new();
    hub.repo.rename("octo/app-old");
    let failed = hub.server.fault(Fault::status("GET", "/repos/octo/app", 502).nth(2));
    let error = hub.act("create_issue", json!({ "repo": REPO, "title": "T" })).await.unwrap_err();
    assert!(failed.was_reached());
    assert!(error.code() == ErrorCode::Unavailable && error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_rebase_of_which_no_commit_is_listed_is_not_undone_already() {
    let hub = Hub::new();
    let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let params = json!({ "repo": REPO, "pr_number": number, "method": "rebase" });
    let done = hub.act("merge_pr", params).await.unwrap();
    let none = hub.server.fault(Fault::answer("GET", "/repos/octo/app/pulls/1/commits", 200, json!([])));
    let error = hub.carry_out(hub.undo_of_known(&done), hub.cx(Direction::Undo, false)).await.unwrap_err();
    assert!(none.was_reached());
    assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
}
