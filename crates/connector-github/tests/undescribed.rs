//! A success in whose answer does not stand what GitHub describes for the request is no success: it is looked up what
//! became of it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_core::ids::Direction;
use enact_core::{Capture, ErrorCode, Prepared};
use enact_testkit::github::Fault;
use serde_json::{Value, json};
use world::{Hub, REPO, Settled, usual};

/// What stands in the way of GitHub may answer all of these.
fn bodies() -> Vec<Value> {
    vec![
        json!("<html>Sign in</html>"),
        json!({}),
        json!(null),
        json!([]),
        json!({ "message": "ok" }),
        json!(""),
    ]
}

/// Actions with the request that is their effect; the last ones on a server without `updateRefs`.
fn effects() -> Vec<(bool, &'static str, Value, &'static str, &'static str)> {
    let files = json!([{ "path": "x", "content": "x" }]);
    let push = json!({ "repo": REPO, "branch": "main", "message": "M", "files": files });
    let delete = json!({ "repo": REPO, "branch": "feature" });
    let branch = json!({ "repo": REPO, "branch": "fresh" });
    vec![
        (true, "create_branch", branch, "POST", "/repos/octo/app/git/refs"),
        (true, "create_issue", json!({ "repo": REPO, "title": "T" }), "POST", "/repos/octo/app/issues"),
        (
            true,
            "create_pr",
            json!({ "repo": REPO, "title": "T", "head": "feature" }),
            "POST",
            "/repos/octo/app/pulls",
        ),
        (true, "merge_pr", json!({ "repo": REPO, "pr_number": 1 }), "PUT", "/repos/octo/app/pulls/1/merge"),
        (true, "push_commit", push.clone(), "POST", "/graphql"),
        (true, "delete_branch", delete.clone(), "POST", "/graphql"),
        (false, "push_commit", push, "PATCH", "/repos/octo/app/git/refs/heads/main"),
        (false, "delete_branch", delete, "DELETE", "/repos/octo/app/git/refs/heads/feature"),
    ]
}

fn hub(update_refs: bool, action: &str) -> Hub {
    let hub = Hub::of(usual, |github| github.revert_pushes(true));
    hub.server.set_update_refs(update_refs);
    if action == "merge_pr" {
        hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
    }
    hub
}

/// Carries it out, and finds out what became of it; the error has to be a doubt, and of a length to be read.
async fn doubted(hub: &Hub, action: Prepared, direction: Direction) -> Settled {
    let cx = hub.cx(direction, false);
    let Capture::Ready { ready, .. } = action.capture(&cx).await.unwrap() else { panic!("done already") };
    let error = action.perform(&cx, ready).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InDoubt, "{action:?}: {error}");
    assert!(error.message().len() < 1000, "{error}");
    hub.act_or_probe(action, cx).await.unwrap()
}

#[tokio::test]
async fn a_success_without_its_answer_is_looked_up() {
    for (update_refs, name, params, method, path) in effects() {
        let hub = hub(update_refs, name);
        let before = hub.effects().len();
        for body in bodies() {
            for status in [200, 201] {
                let odd = hub.server.fault(Fault::answer(method, path, status, body.clone()).times(2));
                let found = doubted(&hub, hub.prepare(name, &params).unwrap(), Direction::Forward).await;
                assert!(odd.was_reached());
                assert!(matches!(found, Settled::Nothing(_)), "{name}: {body}");
                assert_eq!(hub.effects().len(), before, "{name}: {body}");
                odd.disarm();
            }
        }
    }
}

#[tokio::test]
async fn a_branch_that_is_said_to_be_elsewhere_is_looked_up() {
    let hub = Hub::new();
    let head = hub.repo.head("main").unwrap();
    let other = hub.repo.head("feature").unwrap();
    let answer = |name: &str, sha: &str| json!({ "ref": name, "object": { "type": "commit", "sha": sha } });
    for body in [answer("refs/heads/fresh", &other), answer("refs/heads/other", &head)] {
        let path = "/repos/octo/app/git/refs";
        let odd = hub.server.fault(Fault::answer("POST", path, 201, body.clone()).times(2));
        let action = hub.prepare("create_branch", &json!({ "repo": REPO, "branch": "fresh" })).unwrap();
        let found = doubted(&hub, action, Direction::Forward).await;
        assert!(odd.was_reached() && matches!(found, Settled::Nothing(_)), "{body}");
        odd.disarm();
    }
    assert_eq!(hub.repo.head("fresh"), None);
}

#[tokio::test]
async fn a_token_that_the_server_repeats_is_in_no_error() {
    let hub = Hub::new();
    let bearer = format!("Bearer {}", hub.token);
    let said = json!({ "message": format!("bad {bearer}"), "errors": [bearer], "ref": bearer });
    for status in [200, 302, 400, 401, 403, 422, 502] {
        let odd = hub.server.fault(Fault::answer("POST", "/repos/octo/app/git/refs", status, said.clone()));
        let error = hub.act("create_branch", json!({ "repo": REPO, "branch": "x" })).await.unwrap_err();
        assert!(odd.was_reached());
        assert!(!format!("{error:?}").contains(&hub.token), "{error:?}");
    }
    let odd = hub.server.fault(Fault::answer("GET", "/repos/octo/app", 200, json!({ "id": bearer })));
    let error = hub.act("create_branch", json!({ "repo": REPO, "branch": "x" })).await.unwrap_err();
    assert!(odd.was_reached() && error.message().contains("[secret]"), "{error}");
}

#[tokio::test]
async fn a_redirect_says_why_it_is_not_followed() {
    let hub = Hub::new();
    let path = "/repos/octo/app/git/refs";
    let odd = hub.server.fault(Fault::answer("POST", path, 302, json!({})));
    let error = hub.act("create_branch", json!({ "repo": REPO, "branch": "x" })).await.unwrap_err();
    assert!(odd.was_reached());
    assert_eq!(error.code(), ErrorCode::Unsupported);
    assert!(error.message().contains("the token is sent nowhere else"), "{error}");
}

#[tokio::test]
async fn what_is_said_to_be_closed_is_looked_up() {
    for (name, params, path) in [
        ("create_issue", json!({ "repo": REPO, "title": "T" }), "/repos/octo/app/issues/1"),
        ("create_pr", json!({ "repo": REPO, "title": "T", "head": "feature" }), "/repos/octo/app/pulls/1"),
    ] {
        let hub = Hub::new();
        let done = hub.act(name, params).await.unwrap();
        for body in bodies() {
            let odd = hub.server.fault(Fault::answer("PATCH", path, 200, body.clone()).times(2));
            let found = doubted(&hub, hub.undo_of(&done), Direction::Undo).await;
            assert!(odd.was_reached() && matches!(found, Settled::Nothing(_)), "{name}: {body}");
            odd.disarm();
        }
    }
}
