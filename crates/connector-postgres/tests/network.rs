//! A network that loses messages: whatever is lost, a change is there once or not at all, and the log knows.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test by panicking")]

mod served;

use enact_core::ErrorCode;
use enact_core::run::{RunStatus, UNDO_BUDGET, UndoOutcome};
use enact_testkit::postgres::Fault;
use futures::StreamExt as _;
use served::{COMMIT, FLUSH, Kind, STATUS, Scene, act, acting, outcomes, roll_back, rolling_back, until};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

/// Tries each case on a scene of its own, some at the same time.
async fn side_by_side<T>(cases: impl IntoIterator<Item = T>, tried: impl AsyncFn(T)) {
    futures::stream::iter(cases).for_each_concurrent(6, |case| tried(case)).await;
}

type Lose = fn(&enact_testkit::postgres::Proxy, &str) -> Fault;

const REQUEST: Lose = |proxy, word| proxy.lose_request(word);
const REPLY: Lose = |proxy, word| proxy.lose_reply(word);

#[tokio::test]
async fn a_commit_that_was_lost_is_proved_not_to_have_happened_and_made_again() {
    for kind in Kind::ALL {
        let scene = Scene::new().await;
        let enact = scene.enact().await;
        let lost = scene.proxy.lose_request(COMMIT);
        let run = act(&enact, kind).await;
        assert!(lost.was_reached());
        assert_eq!(outcomes(&run), ["not applied", "done"], "{kind:?}");
        scene.assert_once_and_back(&enact, &run, kind).await;
        scene.assert_nobody_left().await;
    }
}

#[tokio::test]
async fn a_commit_that_is_lost_every_time_leaves_nothing() {
    for kind in Kind::ALL {
        let scene = Scene::new().await;
        let enact = scene.enact().await;
        let lost = [COMMIT; 3].map(|word| scene.proxy.lose_request(word));
        let run = act(&enact, kind).await;
        assert!(lost.iter().all(Fault::was_reached));
        assert_eq!(outcomes(&run), ["not applied"; 3], "{kind:?}");
        assert_eq!(run.status(), RunStatus::RolledBack);
        assert!(scene.ledger().await.is_empty());
        scene.assert_as_before().await;
        scene.assert_nobody_left().await;
    }
}

#[tokio::test]
async fn a_commit_whose_reply_was_lost_is_found_and_not_made_again() {
    for kind in Kind::ALL {
        let scene = Scene::new().await;
        let enact = scene.enact().await;
        let lost = scene.proxy.lose_reply(COMMIT);
        let run = act(&enact, kind).await;
        assert!(lost.was_reached());
        assert_eq!(outcomes(&run), ["done"], "{kind:?}");
        let names = scene.event_names(run.id).await;
        assert!(names.contains(&"ActionFailed") && names.contains(&"ActionResolved"), "{names:?}");
        scene.assert_once_and_back(&enact, &run, kind).await;
    }
}

#[tokio::test]
async fn the_commit_of_an_undo_takes_effect_once_whichever_side_of_it_is_lost() {
    for (lose, kind) in [REQUEST, REPLY].into_iter().flat_map(|lose| Kind::ALL.map(|kind| (lose, kind))) {
        let scene = Scene::new().await;
        let enact = scene.enact().await;
        let run = act(&enact, kind).await;
        let lost = lose(&scene.proxy, COMMIT);
        let undone = roll_back(&enact, run.id).await;
        assert!(lost.was_reached());
        scene.assert_undone_once(&undone, kind).await;
        let names = scene.event_names(run.id).await;
        assert!(names.contains(&"CompensationResolved"), "{names:?}");
        scene.assert_nobody_left().await;
    }
}

/// The statements before COMMIT, those of a new connection included.
fn statements_before_commit(kind: Kind) -> Vec<&'static str> {
    let mut words = vec![
        "SELECT pg_catalog.current_setting",
        "SET DateStyle",
        "BEGIN READ",
        "SELECT pg_catalog.json_build_object",
    ];
    if kind != Kind::Insert {
        words.push("SELECT enact_t");
    }
    words.extend([kind.statement(), "SET CONSTRAINTS"]);
    if kind != Kind::Delete {
        // What the triggers left.
        words.push("SELECT k");
    }
    words.push(FLUSH);
    words
}

#[tokio::test]
async fn a_connection_that_is_lost_before_commit_leaves_nothing_and_the_next_attempt_succeeds() {
    let lost_at = async |(kind, word, lose): (Kind, &'static str, Lose)| {
        let scene = Scene::new().await;
        let enact = scene.enact().await;
        let lost = lose(&scene.proxy, word);
        let run = act(&enact, kind).await;
        assert!(lost.was_reached(), "{kind:?}: {word}");
        // Nothing was intended by the attempt that failed.
        assert_eq!(outcomes(&run), ["done"], "{kind:?}: {word}");
        scene.assert_once_and_back(&enact, &run, kind).await;
        scene.assert_nobody_left().await;
    };
    let points = Kind::ALL.into_iter().flat_map(|kind| {
        let words = statements_before_commit(kind).into_iter();
        words.flat_map(move |word| [REQUEST, REPLY].map(|lose| (kind, word, lose)))
    });
    side_by_side(points, lost_at).await;
}

#[tokio::test]
async fn a_connection_that_is_lost_before_the_commit_of_an_undo_leaves_nothing_undone() {
    let lost_at = async |(kind, word, lose): (Kind, &'static str, Lose)| {
        let scene = Scene::new().await;
        let enact = scene.enact().await;
        let run = act(&enact, kind).await;
        let lost = lose(&scene.proxy, word);
        let undone = roll_back(&enact, run.id).await;
        assert!(lost.was_reached(), "{kind:?}: {word}");
        scene.assert_undone_once(&undone, kind).await;
        scene.assert_nobody_left().await;
    };
    let points = Kind::ALL.into_iter().flat_map(|kind| {
        let words = ["BEGIN READ", "SELECT k", "WITH", "SET CONSTRAINTS", FLUSH].into_iter();
        words.flat_map(move |word| [REQUEST, REPLY].map(|lose| (kind, word, lose)))
    });
    side_by_side(points, lost_at).await;
}

/// COMMIT is on its way for so long that it is given up: the server is asked, ends the connection that would still
/// commit, and only then is it made again.
async fn commit_is_held_for_good(kind: Kind) {
    let scene = Scene::new().await;
    let enact = scene.enact_within(1).await;
    let held = scene.proxy.hold(COMMIT);
    let acting = acting(&enact, kind);
    held.reached().await;
    let run = acting.await.unwrap();
    assert_eq!(outcomes(&run), ["not applied", "done"], "{kind:?}");
    assert_eq!(scene.ledger().await, [kind.noted()]);
    // It arrives now, and nobody is there any more.
    held.release();
    scene.assert_nobody_left().await;
    scene.assert_once_and_back(&enact, &run, kind).await;
}

#[tokio::test]
async fn a_commit_that_is_on_its_way_for_too_long_is_ended_before_it_is_made_again() {
    let [insert, update, delete] = Kind::ALL;
    tokio::join!(
        commit_is_held_for_good(insert),
        commit_is_held_for_good(update),
        commit_is_held_for_good(delete)
    );
}

#[tokio::test]
async fn the_commit_of_an_undo_that_is_on_its_way_for_too_long_is_ended_before_it_is_made_again() {
    let held_for_good = async |kind| {
        let scene = Scene::new().await;
        let enact = scene.enact_within(1).await;
        let run = act(&enact, kind).await;
        let held = scene.proxy.hold(COMMIT);
        let undoing = rolling_back(&enact, run.id);
        held.reached().await;
        let undone = undoing.await.unwrap();
        scene.assert_undone_once(&undone, kind).await;
        held.release();
        scene.assert_nobody_left().await;
        scene.assert_undone_once(&undone, kind).await;
    };
    let [insert, update, delete] = Kind::ALL;
    tokio::join!(held_for_good(insert), held_for_good(update), held_for_good(delete));
}

#[tokio::test]
async fn a_commit_that_arrives_while_the_server_is_asked_about_it_is_found() {
    for kind in Kind::ALL {
        let scene = Scene::new().await;
        let enact = scene.enact_within(1).await;
        let held = scene.proxy.hold(COMMIT);
        let acting = acting(&enact, kind);
        held.reached().await;
        until("the server is asked", || scene.proxy.seen(STATUS) > 0).await;
        held.release();
        let run = acting.await.unwrap();
        assert_eq!(outcomes(&run), ["done"], "{kind:?}");
        scene.assert_once_and_back(&enact, &run, kind).await;
    }
}

#[tokio::test]
async fn a_commit_whose_reply_comes_too_late_is_found() {
    for kind in Kind::ALL {
        let scene = Scene::new().await;
        let enact = scene.enact_within(1).await;
        let held = scene.proxy.delay_reply(COMMIT);
        let run = act(&enact, kind).await;
        assert!(held.was_reached());
        assert_eq!(outcomes(&run), ["done"], "{kind:?}");
        scene.assert_once_and_back(&enact, &run, kind).await;
        let held = scene.proxy.delay_reply(COMMIT);
        let run = act(&enact, kind).await;
        drop(held);
        let undone = roll_back(&enact, run.id).await;
        assert_eq!(undone.status(), RunStatus::RolledBack);
        scene.assert_as_before().await;
    }
}

/// The question itself is lost, again and again: the doubt stays, and a later question settles it.
#[tokio::test]
async fn a_doubt_stays_as_long_as_nobody_answers_and_is_settled_by_the_next_who_asks() {
    for (kind, lose, outcome) in [
        (Kind::Insert, REPLY, ["done"].as_slice()),
        (Kind::Update, REPLY, &["done"]),
        (Kind::Delete, REQUEST, &["not applied", "done"]),
    ] {
        let scene = Scene::new().await;
        let enact = scene.enact().await;
        let lost = lose(&scene.proxy, COMMIT);
        // As often as the runtime asks.
        let unanswered = [STATUS; 5].map(|word| scene.proxy.lose_reply(word));
        let run = act(&enact, kind).await;
        assert!(lost.was_reached() && unanswered.iter().all(Fault::was_reached));
        assert_eq!(run.status(), RunStatus::Quarantined, "{kind:?}");
        assert_eq!(outcomes(&run), ["unknown"]);
        let run = enact.resume(run.id, served::ME).await.unwrap();
        assert_eq!(outcomes(&run), outcome, "{kind:?}");
        scene.assert_once_and_back(&enact, &run, kind).await;
    }
}

/// Somebody who listens and never says a word.
#[tokio::test]
async fn a_server_that_says_nothing_is_a_timeout_that_changed_nothing() {
    let scene = Scene::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let listening = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Ok((mut client, _)) = silent.accept().await {
            heard.push(tokio::spawn(async move {
                let mut bytes = Vec::new();
                client.read_to_end(&mut bytes).await.map(|_| bytes.len())
            }));
        }
    });
    let url = format!("postgres://postgres@127.0.0.1:{port}/{}", scene.db.name());
    let enact = served::enact(served::within(&url, 1), &scene.store).await;
    let run = act(&enact, Kind::Update).await;
    let error = run.state().error.clone().unwrap();
    assert_eq!((error.code, error.retryable), (ErrorCode::Timeout, true), "{error:?}");
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert!(outcomes(&run).is_empty(), "nothing was intended");
    scene.assert_as_before().await;
    listening.abort();
}

/// A connection that dies without a word in the midst of an attempt: the attempt ends by itself, and the next one
/// takes another connection.
#[tokio::test]
async fn a_statement_that_is_never_answered_leaves_nothing_and_the_next_attempt_succeeds() {
    let words = ["BEGIN READ", "SELECT enact_t", "UPDATE", "SET CONSTRAINTS", FLUSH];
    side_by_side(words, async |word| {
        let scene = Scene::new().await;
        let enact = scene.enact_within(1).await;
        let held = scene.proxy.delay_reply(word);
        let run = act(&enact, Kind::Update).await;
        assert!(held.was_reached(), "{word}");
        assert_eq!(outcomes(&run), ["done"], "{word}");
        scene.assert_once_and_back(&enact, &run, Kind::Update).await;
        drop(held);
    })
    .await;
}

#[tokio::test]
async fn an_undo_that_fails_as_often_as_it_is_tried_is_made_by_the_next_rollback() {
    for kind in Kind::ALL {
        let scene = Scene::new().await;
        let enact = scene.enact().await;
        let run = act(&enact, kind).await;
        let lost: Vec<_> = (0..UNDO_BUDGET).map(|_| scene.proxy.lose_reply("WITH")).collect();
        let undone = roll_back(&enact, run.id).await;
        assert!(lost.iter().all(Fault::was_reached));
        assert_eq!(undone.status(), RunStatus::PartiallyRolledBack);
        let rollback = undone.document().rollback.unwrap();
        assert_eq!(rollback.actions.first().unwrap().outcome, UndoOutcome::Failed);
        assert_eq!(scene.ledger().await, [kind.noted()]);
        let undone = roll_back(&enact, run.id).await;
        scene.assert_undone_once(&undone, kind).await;
    }
}
