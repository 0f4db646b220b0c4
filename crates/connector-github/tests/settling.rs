//! What is not to be seen yet is not taken for lost, and what is slow is waited for.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use std::time::Duration;

use enact_core::action::Doubt;
use enact_core::connector::Cx;
use enact_core::ids::Direction;
use enact_core::json::JsonText;
use enact_core::{Capture, ErrorCode, Prepared};
use enact_testkit::github::Fault;
use serde_json::json;
use world::{Hub, REPO, usual};

fn patient() -> Hub {
    Hub::of(usual, |github| github.settle_window(Duration::from_secs(60)))
}

/// Performs an action whose reply is lost.
async fn in_doubt(hub: &Hub, action: &Prepared) -> (Cx, JsonText) {
    let cx = hub.cx(Direction::Forward, false);
    let Capture::Ready { pre, ready, .. } = action.capture(&cx).await.unwrap() else {
        panic!("done already")
    };
    let error = action.perform(&cx, ready).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InDoubt, "{error}");
    (cx, pre)
}

/// Actions with the request that is their effect, on the usual repository with pull request 1.
fn effects() -> [(&'static str, serde_json::Value, &'static str, &'static str); 4] {
    let file = json!([{ "path": "x", "content": "x" }]);
    [
        ("create_issue", json!({ "repo": REPO, "title": "T" }), "POST", "/repos/octo/app/issues"),
        (
            "create_pr",
            json!({ "repo": REPO, "title": "T", "head": "feature" }),
            "POST",
            "/repos/octo/app/pulls",
        ),
        ("create_branch", json!({ "repo": REPO, "branch": "x" }), "POST", "/repos/octo/app/git/refs"),
        (
            "push_commit",
            json!({ "repo": REPO, "branch": "fresh", "message": "M", "files": file }),
            "POST",
            "/repos/octo/app/git/refs",
        ),
    ]
}

#[tokio::test]
async fn a_request_that_lands_late_is_ours_and_not_sent_again() {
    for (name, params, method, path) in effects() {
        let hub = patient();
        let late = hub.server.fault(Fault::late(method, path));
        let action = hub.prepare(name, &params).unwrap();
        let (cx, pre) = in_doubt(&hub, &action).await;
        // Too early to say that it is lost; the error says when to ask again.
        let error = action.probe(&cx, &pre).await.unwrap_err();
        assert!(error.is_retryable() && error.wait().unwrap() > Duration::from_secs(30), "{name}: {error}");
        late.land();
        assert!(matches!(action.probe(&cx, &pre).await.unwrap(), Doubt::Applied(_)), "{name}");
        assert_eq!(hub.effects().len(), 1);
    }
}

#[tokio::test]
async fn a_request_that_never_landed_counts_as_lost_after_the_window() {
    for (name, params, method, path) in effects() {
        let hub = patient();
        let lost = hub.server.fault(Fault::drop_before(method, path));
        let action = hub.prepare(name, &params).unwrap();
        let (cx, pre) = in_doubt(&hub, &action).await;
        assert!(lost.was_reached());
        assert!(action.probe(&cx, &pre).await.is_err(), "{name}");
        hub.around.advance(Duration::from_secs(61));
        assert!(matches!(action.probe(&cx, &pre).await.unwrap(), Doubt::NotApplied), "{name}");
    }
}

#[tokio::test]
async fn a_list_that_shows_the_new_item_late_is_read_again() {
    let hub = patient();
    hub.server.hide_new_items_for(2);
    let lost = hub.server.fault(Fault::drop_after("POST", "/repos/octo/app/issues"));
    let action = hub.prepare("create_issue", &json!({ "repo": REPO, "title": "T" })).unwrap();
    let (cx, pre) = in_doubt(&hub, &action).await;
    assert!(lost.was_reached());
    let mut tries = 0;
    let found = loop {
        tries += 1;
        match action.probe(&cx, &pre).await {
            Ok(found) => break found,
            Err(error) => assert!(error.is_retryable() && tries < 5, "{error}"),
        }
    };
    assert!(matches!(found, Doubt::Applied(_)), "{found:?}");
    assert!(tries > 1, "the list was not late");
}

#[tokio::test]
async fn a_request_that_came_too_late_to_be_told_from_a_lost_one_is_not_sent() {
    let hub = patient();
    let action = hub.prepare("create_issue", &json!({ "repo": REPO, "title": "T" })).unwrap();
    let cx = hub.cx(Direction::Forward, false);
    let Capture::Ready { ready, .. } = action.capture(&cx).await.unwrap() else { panic!("done already") };
    hub.around.advance(Duration::from_secs(45));
    let error = action.perform(&cx, ready).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(hub.effects(), []);
}

#[tokio::test]
async fn a_branch_left_from_a_merge_that_came_late_is_removed() {
    let hub = patient();
    let number = hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    let done = hub.act("merge_pr", json!({ "repo": REPO, "pr_number": number })).await.unwrap();
    hub.repo.person("bob").push("main", [("later.txt", "later\n")]);
    let late = hub.server.fault(Fault::late("POST", "/repos/octo/app/git/refs"));
    let undo = hub.undo_of(&done);
    let cx = hub.cx(Direction::Undo, false);
    let Capture::Ready { pre, ready, .. } = undo.capture(&cx).await.unwrap() else {
        panic!("undone already")
    };
    let error = undo.perform(&cx, ready).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InDoubt, "{error}");
    late.land();
    assert_eq!(hub.leftovers().len(), 1, "nothing was left, so nothing is tested");
    hub.around.advance(Duration::from_secs(61));
    assert!(matches!(undo.probe(&cx, &pre).await.unwrap(), Doubt::NotApplied));
    assert_eq!(hub.leftovers(), [""; 0]);
}

#[tokio::test]
async fn a_short_rate_limit_is_waited_for_and_told() {
    let hub = Hub::new();
    let limited = hub.server.fault(Fault::secondary("POST", "/repos/octo/app/issues", Some(1)));
    hub.act("create_issue", json!({ "repo": REPO, "title": "T" })).await.unwrap();
    assert!(limited.was_reached());
    assert_eq!(hub.effects().len(), 1);
    let notes = hub.around.notes.lock().clone();
    assert_eq!(notes, ["waiting 1 s for GitHub's rate limit"]);
}

#[tokio::test]
async fn a_long_rate_limit_is_an_error_that_says_how_long() {
    for fault in [
        Fault::secondary("POST", "/repos/octo/app/issues", Some(900)),
        Fault::rate_limited("POST", "/repos/octo/app/issues"),
    ] {
        let hub = Hub::new();
        let limited = hub.server.fault(fault);
        let error = hub.act("create_issue", json!({ "repo": REPO, "title": "T" })).await.unwrap_err();
        assert!(limited.was_reached());
        assert_eq!(error.code(), ErrorCode::RateLimited, "{error}");
        assert!(error.is_retryable());
        assert!(error.wait().unwrap() > Duration::from_secs(60), "{:?}", error.wait());
        assert_eq!(error.remains(), enact_core::error::Remains::Nothing);
        assert_eq!(hub.effects(), []);
    }
}

#[tokio::test]
async fn a_rate_limit_of_graphql_is_told_as_any_other() {
    let hub = Hub::new();
    let limited = hub.server.fault(Fault::rate_limited("POST", "/graphql#updateRefs"));
    let error = hub.act("delete_branch", json!({ "repo": REPO, "branch": "feature" })).await.unwrap_err();
    assert!(limited.was_reached());
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::RateLimited, true), "{error}");
    // Until its hour ends, and not for the minute of a limit that says nothing.
    assert!(error.wait().unwrap() > Duration::from_secs(60), "{:?}", error.wait());
    assert_eq!(hub.effects(), []);
}

#[tokio::test]
async fn a_limit_is_waited_for_only_as_long_as_the_action_has_time() {
    let hub = Hub::new();
    let limited = hub.server.fault(Fault::secondary("POST", "/repos/octo/app/issues", Some(30)));
    let action = hub.prepare("create_issue", &json!({ "repo": REPO, "title": "T" })).unwrap();
    let cx = hub.cx(Direction::Forward, false);
    let due = cx.now().after(Duration::from_secs(10));
    let cx = cx.until(due);
    let Capture::Ready { ready, .. } = action.capture(&cx).await.unwrap() else { panic!("done already") };
    let error = action.perform(&cx, ready).await.unwrap_err();
    assert!(limited.was_reached());
    assert_eq!((error.code(), error.wait()), (ErrorCode::RateLimited, Some(Duration::from_secs(30))));
}

#[tokio::test]
async fn a_server_that_hangs_is_left_in_doubt_after_the_timeout() {
    let hub = Hub::of(usual, |github| github.timeout(Duration::from_millis(300)));
    let hangs = hub.server.fault(Fault::hang_after("POST", "/repos/octo/app/issues"));
    let action = hub.prepare("create_issue", &json!({ "repo": REPO, "title": "T" })).unwrap();
    let settled = hub.act_or_probe(action, hub.cx(Direction::Forward, false)).await.unwrap();
    assert!(hangs.was_reached());
    assert!(matches!(settled, world::Settled::Done(..)), "{settled:?}");
    assert_eq!(hub.effects().len(), 1);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_no_doubt() {
    let hub = Hub::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let toolbox = world::connect(&hub.server, &hub.token, |github| {
        github.base_url(&format!("http://{nobody}")).unwrap()
    });
    let params = JsonText::encode(&json!({ "repo": REPO, "title": "T" })).unwrap();
    let action = toolbox.prepare("create_issue", &params).unwrap();
    let error = action.capture(&hub.cx(Direction::Forward, false)).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Unavailable, true), "{error}");
}
