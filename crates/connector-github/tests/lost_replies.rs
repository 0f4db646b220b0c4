//! Every request of every action and of every undo is lost once: before it happens, after it happened, behind a
//! gateway's 502, and behind a page that somebody in between gives with 200. Driven as the runtime drives them, each effect is there once, and undone it is gone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_core::action::Doubt;
use enact_core::connector::Cx;
use enact_core::ids::{Direction, EffectId};
use enact_core::json::JsonText;
use enact_core::{Capture, Error, ErrorCode, Prepared};
use enact_testkit::connector_suite::World as _;
use enact_testkit::github::Fault;
use serde_json::{Value, json};
use world::{Hub, REPO, usual};

/// How often something is tried before the test gives up.
const TRIES: usize = 6;

/// A request, so that it is met again in another world.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Met {
    method: String,
    path: String,
    nth: usize,
}

/// The requests so far; names of commits differ from world to world.
fn met(hub: &Hub) -> Vec<Met> {
    let mut all: Vec<Met> = Vec::new();
    for request in hub.server.requests() {
        let is_sha = |part: &str| part.len() == 40 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let compares = |part: &str| part.contains("...");
        let hide = |part: &str| if is_sha(part) || compares(part) { "*".to_owned() } else { part.to_owned() };
        let path = request.path.split('/').map(hide).collect::<Vec<_>>().join("/");
        let nth = all.iter().filter(|met| met.method == request.method && met.path == path).count() + 1;
        all.push(Met { method: request.method, path, nth });
    }
    all
}

/// Carries an action out as the runtime does: tried again where that is safe, looked up where it is in doubt. Gives the
/// pre-state of the attempt that is there.
async fn drive(hub: &Hub, action: &Prepared, first: Cx) -> Result<Option<JsonText>, Error> {
    let mut cx = first;
    for _ in 0..TRIES {
        match attempt(hub, action, &cx).await {
            Ok(Some(done)) => return Ok(done),
            Ok(None) => {}
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(error),
        }
        let effect = cx.effect();
        cx = match effect.direction {
            Direction::Forward => hub.again(&cx),
            Direction::Undo => hub.with(EffectId { undo_try: effect.undo_try + 1, ..effect }),
        };
    }
    panic!("{action:?} does not come to an end");
}

async fn attempt(hub: &Hub, action: &Prepared, cx: &Cx) -> Result<Option<Option<JsonText>>, Error> {
    let (pre, ready) = match action.capture(cx).await? {
        Capture::AlreadyDone(_) => return Ok(Some(None)),
        Capture::Ready { pre, ready, .. } => (pre, ready),
    };
    match action.perform(cx, ready).await {
        Ok(_) => return Ok(Some(Some(pre))),
        Err(error) if error.code() == ErrorCode::InDoubt => {}
        Err(error) => return Err(error),
    }
    for _ in 0..TRIES {
        match action.probe(cx, &pre).await {
            Ok(Doubt::Applied(_)) => return Ok(Some(Some(pre))),
            Ok(Doubt::NotApplied) => return Ok(None),
            Ok(Doubt::Unknown(seen)) => panic!("it is not known: {seen} in {:?}", hub.effects()),
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
    panic!("{action:?} is not settled");
}

/// What happened, as the server counted it.
fn kinds(hub: &Hub) -> Vec<String> {
    let name = |what| format!("{what:?}").split([' ', '(']).next().unwrap_or_default().to_owned();
    hub.effects().into_iter().map(name).collect()
}

/// An action and its undo in a world of its own, with one request lost: what happened, and the requests.
async fn there_and_back(
    hub: &Hub,
    (action, params): (&str, &Value),
    between: fn(&Hub),
) -> (Vec<String>, Vec<Met>) {
    let before = hub.observe().await;
    let action = hub.prepare(action, params).unwrap();
    let pre = drive(hub, &action, hub.cx(Direction::Forward, false)).await.unwrap();
    let pre = pre.unwrap();
    between(hub);
    let undo = hub.undo_from(&action, &pre);
    drive(hub, &undo, hub.cx(Direction::Undo, false)).await.unwrap();
    let strip =
        |text: String| text.lines().filter(|line| !line.contains("later.txt")).collect::<Vec<_>>().join("\n");
    assert_eq!(strip(hub.observe().await), strip(before));
    assert_eq!(hub.leftovers(), [""; 0]);
    (kinds(hub), met(hub))
}

async fn every_request_is_lost_once(fresh: impl Fn() -> Hub, action: (&str, Value), between: fn(&Hub)) {
    let (action, params) = (action.0, &action.1);
    let (clean, requests) = there_and_back(&fresh(), (action, params), between).await;
    let looks: &[fn(&str, &str) -> Fault] =
        &[Fault::drop_before, |method, path| Fault::page_after(method, path, 200)];
    let changes: &[fn(&str, &str) -> Fault] = &[
        Fault::drop_before,
        Fault::drop_after,
        |method, path| Fault::status_after(method, path, 502),
        |method, path| Fault::page_after(method, path, 200),
    ];
    for Met { method, path, nth } in &requests {
        let faults = if method == "GET" { looks } else { changes };
        for (number, fault) in faults.iter().enumerate() {
            let hub = fresh();
            let lost = hub.server.fault(fault(method, path).nth(*nth));
            let (happened, _) = there_and_back(&hub, (action, params), between).await;
            assert!(lost.was_reached(), "{method} {path} was not asked for the {nth}. time");
            assert_eq!(happened, clean, "{action}: {method} {path} ({nth}), fault {number}");
        }
    }
}

fn nothing(_: &Hub) {}

/// Others go on working, so that an undo has to merge.
fn later(hub: &Hub) {
    hub.repo.person("bob").push("main", [("later.txt", "later\n")]);
}

/// A world with a pull request, which counts no longer when it is merged.
fn with_pull() -> Hub {
    let hub = Hub::of(usual, |github| github.revert_pushes(true));
    hub.repo.person("bob").push("main", [("other.txt", "other\n")]);
    hub.repo.person("ann").open_pull("feature", "main", "later.txt", "");
    hub
}

fn reverting() -> Hub {
    Hub::of(usual, |github| github.revert_pushes(true))
}

#[tokio::test]
async fn create_branch() {
    every_request_is_lost_once(
        Hub::new,
        ("create_branch", json!({ "repo": REPO, "branch": "a/b" })),
        nothing,
    )
    .await;
}

#[tokio::test]
async fn create_pr() {
    let params = json!({ "repo": REPO, "title": "T", "head": "feature" });
    every_request_is_lost_once(Hub::new, ("create_pr", params), nothing).await;
}

#[tokio::test]
async fn create_issue() {
    every_request_is_lost_once(Hub::new, ("create_issue", json!({ "repo": REPO, "title": "T" })), nothing)
        .await;
}

#[tokio::test]
async fn delete_branch() {
    let world = || {
        let hub = Hub::new();
        hub.repo.person("ann").open_pull("feature", "main", "Mine", "");
        hub
    };
    every_request_is_lost_once(
        world,
        ("delete_branch", json!({ "repo": REPO, "branch": "feature" })),
        nothing,
    )
    .await;
}

/// A server without `updateRefs`.
fn old() -> Hub {
    let hub = reverting();
    hub.server.set_update_refs(false);
    hub
}

#[tokio::test]
async fn on_a_server_that_cannot_compare_and_set() {
    every_request_is_lost_once(old, ("create_branch", json!({ "repo": REPO, "branch": "a/b" })), nothing)
        .await;
    every_request_is_lost_once(old, ("delete_branch", json!({ "repo": REPO, "branch": "feature" })), nothing)
        .await;
    let files = json!([{ "path": "x", "content": "x" }]);
    let params = json!({ "repo": REPO, "branch": "main", "message": "M", "files": files });
    every_request_is_lost_once(old, ("push_commit", params), nothing).await;
}

#[tokio::test]
async fn merge_pr() {
    let params = json!({ "repo": REPO, "pr_number": 1 });
    every_request_is_lost_once(with_pull, ("merge_pr", params), nothing).await;
}

#[tokio::test]
async fn merge_pr_among_later_work() {
    let params = json!({ "repo": REPO, "pr_number": 1, "method": "squash" });
    every_request_is_lost_once(with_pull, ("merge_pr", params), later).await;
}

#[tokio::test]
async fn merge_pr_by_rebase() {
    let params = json!({ "repo": REPO, "pr_number": 1, "method": "rebase" });
    every_request_is_lost_once(with_pull, ("merge_pr", params), later).await;
}

#[tokio::test]
async fn push_commit() {
    let files = json!([{ "path": "x", "content_base64": "AP8=" }]);
    let params = json!({ "repo": REPO, "branch": "main", "message": "M", "files": files });
    every_request_is_lost_once(reverting, ("push_commit", params), later).await;
}

#[tokio::test]
async fn push_commit_onto_a_new_branch() {
    let files = json!([{ "path": "x", "content": "x" }]);
    let params = json!({ "repo": REPO, "branch": "fresh", "message": "M", "files": files });
    every_request_is_lost_once(reverting, ("push_commit", params), nothing).await;
}
