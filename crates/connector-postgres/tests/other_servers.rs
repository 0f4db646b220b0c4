//! Another server behind the same URL: a copy that took over, one from before, a standby, a stranger. Only the very server
//! that carried a change out can say what became of it, and only there it is taken back.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test by panicking")]

mod served;

use enact_connector_postgres::Postgres;
use enact_core::ErrorCode;
use enact_core::event::Decision;
use enact_core::ids::Seq;
use enact_core::run::{Outcome, RunStatus, UndoOutcome};
use enact_core::store::EventStore as _;
use enact_runtime::Run;
use enact_testkit::postgres::{Proxy, Server};
use futures::future::join_all;
use serde_json::json;
use served::{COMMIT, Kind, LAZY, ME, Scene, act, acting, asked, attempts, enact, outcomes, roll_back};

/// What a person is told of the one action in doubt.
fn doubt(run: &Run) -> String {
    match attempts(run) {
        [attempt] => match &attempt.outcome {
            Outcome::Unknown(seen) => seen.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// What became of the undo of the one action.
fn undo(run: &Run) -> (UndoOutcome, Option<ErrorCode>) {
    let rollback = run.document().rollback.unwrap();
    let [action] = rollback.actions.as_slice() else { panic!("{rollback:?}") };
    (action.outcome, action.error.as_ref().map(|error| error.code))
}

#[tokio::test]
async fn after_a_failover_a_person_is_asked_what_became_of_a_run() {
    let server = Server::start(LAZY);
    for (committed, kind) in [false, true].into_iter().flat_map(|c| Kind::ALL.map(|kind| (c, kind))) {
        let scene = Scene::on(&server).await;
        let enact = scene.enact().await;
        let held = if committed { scene.proxy.delay_reply(COMMIT) } else { scene.proxy.hold(COMMIT) };
        let acting = acting(&enact, kind);
        held.reached().await;
        server.kill_9();
        server.restart_on_a_new_timeline();
        held.cut();
        let run = acting.await.unwrap();
        assert_eq!(run.status(), RunStatus::Quarantined);
        assert!(doubt(&run).contains("timeline"), "{}", doubt(&run));
        let ledger: &[&str] = if committed { &[kind.noted()] } else { &[] };
        assert_eq!(scene.ledger().await, ledger, "{kind:?}: nothing was touched");

        // The person looks at the rows.
        let word = if committed { Decision::Applied } else { Decision::NotApplied };
        let run = enact.resolve(run.id, Seq(1), word, ME).await.unwrap();
        let undone = roll_back(&enact, run.id).await;
        assert_eq!(undone.status(), RunStatus::RolledBack, "{:?}", undone.document().rollback);
        scene.assert_as_before().await;
        // What had not happened was made again before it was taken back.
        assert_eq!(scene.ledger().await, kind.noted_both());
    }
}

#[tokio::test]
async fn after_a_failover_a_person_is_asked_what_became_of_an_undo() {
    let server = Server::start(LAZY);
    for (committed, kind) in [false, true].into_iter().flat_map(|c| Kind::ALL.map(|kind| (c, kind))) {
        let scene = Scene::on(&server).await;
        let enact = scene.enact().await;
        let run = act(&enact, kind).await;
        let held = if committed { scene.proxy.delay_reply(COMMIT) } else { scene.proxy.hold(COMMIT) };
        let undoing = served::rolling_back(&enact, run.id);
        held.reached().await;
        server.kill_9();
        server.restart_on_a_new_timeline();
        held.cut();
        let undone = undoing.await.unwrap();
        assert_eq!(undone.status(), RunStatus::PartiallyRolledBack);
        assert_eq!(undo(&undone).0, UndoOutcome::InDoubt);
        let both = kind.noted_both();
        assert_eq!(scene.ledger().await, if committed { &both[..] } else { &both[..1] }, "{kind:?}");

        // Asked again, the server still cannot tell; the person can.
        let undone = roll_back(&enact, run.id).await;
        assert_eq!(undo(&undone).0, UndoOutcome::InDoubt);
        let word = if committed { Decision::Applied } else { Decision::NotApplied };
        let undone = enact.resolve(run.id, Seq(1), word, ME).await.unwrap();
        let undone = if committed { undone } else { roll_back(&enact, undone.id).await };
        scene.assert_undone_once(&undone, kind).await;
    }
}

/// What was settled before the failover is taken back after it: the rows say whether they are as they were left.
#[tokio::test]
async fn what_was_done_before_a_failover_is_undone_after_it() {
    let server = Server::start(LAZY);
    for kind in Kind::ALL {
        let scene = Scene::on(&server).await;
        let enact = scene.enact().await;
        let run = act(&enact, kind).await;
        server.restart_on_a_new_timeline();
        scene.assert_once_and_back(&enact, &run, kind).await;
    }
}

#[tokio::test]
async fn a_copy_from_before_does_not_know_the_transaction_and_a_person_is_asked() {
    for kind in Kind::ALL {
        let server = Server::start(LAZY);
        let scene = Scene::on(&server).await;
        server.restart_and_keep_copy();
        let enact = scene.enact().await;
        let held = scene.proxy.delay_reply(COMMIT);
        let acting = acting(&enact, kind);
        held.reached().await;
        server.kill_9();
        server.restart_from_copy();
        held.cut();
        let run = acting.await.unwrap();
        assert_eq!(run.status(), RunStatus::Quarantined);
        assert!(doubt(&run).contains("copy from before"), "{}", doubt(&run));
        assert!(scene.ledger().await.is_empty(), "{kind:?}");
        scene.assert_as_before().await;
    }
}

#[tokio::test]
async fn a_doubt_is_not_settled_by_another_cluster_behind_the_url() {
    let (server, other) = (Server::start(LAZY), Server::start_initialised(&[]));
    for (undoing, kind) in [false, true].into_iter().flat_map(|u| Kind::ALL.map(|kind| (u, kind))) {
        let scene = Scene::on(&server).await;
        let enact_before = scene.enact().await;
        let done = if undoing { Some(act(&enact_before, kind).await.id) } else { None };
        let held = scene.proxy.delay_reply(COMMIT);
        let under_way = match done {
            Some(run) => served::rolling_back(&enact_before, run),
            None => acting(&enact_before, kind),
        };
        held.reached().await;
        let left = scene.store.crash();
        under_way.abort();
        // The stranger has the very same rows.
        let stranger = Scene::on(&other).await;
        act(&stranger.enact().await, kind).await;
        let before = stranger.db.dump().await;

        let there = enact(Postgres::new(&stranger.proxy.url(&stranger.db)).unwrap(), &left).await;
        let run = there.wait(*left.runs(None, 1).await.unwrap().first().unwrap()).await.unwrap();
        if undoing {
            assert_eq!(undo(&run).0, UndoOutcome::InDoubt, "{kind:?}");
        } else {
            assert_eq!(run.status(), RunStatus::Quarantined, "{kind:?}");
            assert!(doubt(&run).contains("now speaks to"), "{}", doubt(&run));
        }
        assert_eq!(stranger.db.dump().await, before, "{kind:?}");
    }
}

#[tokio::test]
async fn an_undo_on_another_cluster_or_database_is_refused_and_touches_nothing() {
    let (server, other) = (Server::start(LAZY), Server::start_initialised(&[]));
    for kind in Kind::ALL {
        let scene = Scene::on(&server).await;
        let run = act(&scene.enact().await, kind).await;

        let stranger = Scene::on(&other).await;
        stranger.db.exec(&format!("CREATE DATABASE {}", scene.db.name())).await;
        let proxy = Proxy::start(&other).await;
        let there = proxy.url(&scene.db);
        act(&enact(Postgres::new(&there).unwrap(), &stranger.store).await, kind).await;
        let on_another_cluster = enact(Postgres::new(&there).unwrap(), &scene.store).await;
        let undone = roll_back(&on_another_cluster, run.id).await;
        assert_eq!(undo(&undone), (UndoOutcome::Conflict, Some(ErrorCode::PreconditionFailed)), "{kind:?}");
        assert_eq!(scene.ledger().await, [kind.noted()]);

        // The database of this name is a copy by now, with the same rows.
        let (aside, name) = (server.database().await, scene.db.name());
        on_another_cluster.shutdown(std::time::Duration::from_secs(60)).await;
        scene.proxy.cut_all();
        aside
            .exec(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
            .await;
        aside.exec(&format!("ALTER DATABASE {name} RENAME TO {name}_old")).await;
        aside.exec(&format!("CREATE DATABASE {name} TEMPLATE {name}_old")).await;
        let on_a_copy = scene.enact().await;
        let undone = roll_back(&on_a_copy, run.id).await;
        assert_eq!(undo(&undone), (UndoOutcome::Conflict, Some(ErrorCode::PreconditionFailed)), "{kind:?}");
        assert_eq!(scene.ledger().await, [kind.noted()], "the copy is not touched");
        aside.exec(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
        aside.exec(&format!("ALTER DATABASE {name}_old RENAME TO {name}")).await;

        // And on the very one it is undone.
        let undone = roll_back(&scene.enact().await, run.id).await;
        scene.assert_undone_once(&undone, kind).await;
    }
}

#[tokio::test]
async fn a_standby_refuses_and_the_request_may_be_sent_again() {
    let server = Server::start(LAZY);
    let scene = Scene::on(&server).await;
    server.restart_as_standby();
    let enact = scene.enact().await;
    for kind in Kind::ALL {
        let run = act(&enact, kind).await;
        let error = run.state().error.clone().unwrap();
        assert_eq!((error.code, error.retryable), (ErrorCode::Unavailable, true), "{kind:?}: {error:?}");
        assert!(outcomes(&run).is_empty());
    }
    scene.assert_as_before().await;
    let read = enact.run_to_end(asked("select_rows", &json!({ "table": "things" }))).await.unwrap();
    assert_eq!(read.status(), RunStatus::Completed, "it can be read: {:?}", read.state().error);
}

/// Many connections wait in the pool, and none of them is alive any more.
#[tokio::test]
async fn a_pool_whose_connections_all_died_heals_within_the_attempts_of_one_action() {
    let server = Server::start(LAZY);
    for end in [Server::stop_immediate as fn(&Server), Server::kill_9] {
        let scene = Scene::on(&server).await;
        let enact = scene.enact().await;
        let inserts = (100..140).map(|id| {
            let params = json!({ "table": "things", "data": { "id": id, "n": 0 } });
            enact.run_to_end(asked("insert_row", &params))
        });
        for run in join_all(inserts).await {
            assert_eq!(run.unwrap().status(), RunStatus::Completed);
        }
        assert!(scene.proxy.connections() > 5, "{}", scene.proxy.connections());
        // Nobody here can see it happen: the thread waits.
        end(&server);
        server.restart();
        let run = act(&enact, Kind::Update).await;
        assert_eq!(outcomes(&run), ["done"], "{:?}", run.state().error);
        assert_eq!(roll_back(&enact, run.id).await.status(), RunStatus::RolledBack);
    }
}
