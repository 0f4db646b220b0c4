//! A server that is killed: what was committed is known, and nothing else is taken for it (docs/adr/0007).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test by panicking")]

mod served;

use enact_connector_postgres::Postgres;
use enact_core::ids::RunId;
use enact_core::run::RunStatus;
use enact_core::store::EventStore as _;
use enact_runtime::Run;
use enact_testkit::postgres::{Database, Hold, Server};
use served::{
    COMMIT, Kind, LAZY, Life, Scene, act, acting, enact, outcomes, roll_back, rolling_back, until_async,
};

/// When the server dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// COMMIT was sent and did not arrive.
    BeforeCommit,
    /// It was carried out, and nobody heard so.
    AfterCommit,
}

impl Moment {
    const BOTH: [Self; 2] = [Self::BeforeCommit, Self::AfterCommit];

    fn armed(self, scene: &Scene) -> Hold {
        match self {
            Self::BeforeCommit => scene.proxy.hold(COMMIT),
            Self::AfterCommit => scene.proxy.delay_reply(COMMIT),
        }
    }

    fn outcomes(self) -> &'static [&'static str] {
        match self {
            Self::BeforeCommit => &["not applied", "done"],
            Self::AfterCommit => &["done"],
        }
    }
}

/// Every case of a moment and a change.
fn cases() -> impl Iterator<Item = (Moment, Kind)> {
    Moment::BOTH.into_iter().flat_map(|moment| Kind::ALL.map(|kind| (moment, kind)))
}

/// Transactions of other sessions; gives their ids.
async fn others_work(db: &Database) -> Vec<String> {
    let client = db.client().await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        let sql = "INSERT INTO others VALUES (1) RETURNING pg_current_xact_id()::text";
        ids.push(client.query_one(sql, &[]).await.unwrap().get(0));
    }
    ids
}

/// The ids of the transactions that the run's intents name.
async fn intended_ids(scene: &Scene, run: RunId) -> Vec<String> {
    let mut ids = Vec::new();
    for stored in scene.events(run).await {
        let pre = match &stored.event {
            enact_core::event::Event::ActionIntended(intent) => intent.pre.value(),
            enact_core::event::Event::CompensationIntended(intent) => intent.pre.value(),
            _ => continue,
        };
        ids.push(pre.pointer("/transaction/xid").unwrap().as_str().unwrap().to_owned());
    }
    ids
}

/// The server dies as it is told to, comes back, and others work on it before anybody asks about our transaction.
async fn dies(scene: &Scene, how: fn(&Server), run: RunId) {
    how(scene.db.server());
    scene.db.server().restart();
    let ours = intended_ids(scene, run).await;
    let theirs = others_work(&scene.db).await;
    assert!(!ours.is_empty() && theirs.iter().all(|id| !ours.contains(id)), "{ours:?} and {theirs:?}");
}

async fn only_run(scene: &Scene) -> RunId {
    *scene.store.runs(None, 1).await.unwrap().first().unwrap()
}

/// The danger itself, on the server without us.
#[tokio::test]
async fn an_id_that_was_not_flushed_is_given_to_another_transaction_after_a_kill() {
    for flushed in [false, true] {
        let server = Server::start(LAZY);
        let scene = Scene::on(&server).await;
        let open = scene.db.client().await;
        open.batch_execute("BEGIN; UPDATE things SET n = 0").await.unwrap();
        let row = open.query_one("SELECT pg_current_xact_id()::text", &[]).await.unwrap();
        let id: String = row.get(0);
        if flushed {
            let flush = "BEGIN; SELECT pg_logical_emit_message(true, 'enact', ''); COMMIT";
            scene.db.exec(flush).await;
        }
        server.kill_9();
        server.restart();
        let theirs = others_work(&scene.db).await;
        scene.assert_as_before().await;
        let status = scene.db.client().await;
        let row = status.query_one("SELECT pg_xact_status($1::text::xid8)", &[&id]).await.unwrap();
        let status: Option<String> = row.get(0);
        if flushed {
            assert!(!theirs.contains(&id), "{id} in {theirs:?}");
            assert_eq!(status.as_deref(), Some("aborted"));
        } else {
            assert!(theirs.contains(&id), "{id} in {theirs:?}");
            assert_eq!(status.as_deref(), Some("committed"), "and it is not ours");
        }
    }
}

/// The runtime lives on, and asks when the server is back.
async fn killed_under_a_run(how: fn(&Server), moment: Moment, kind: Kind, server: &Server) {
    let scene = Scene::on(server).await;
    let enact = scene.enact().await;
    let held = moment.armed(&scene);
    let acting = acting(&enact, kind);
    held.reached().await;
    dies(&scene, how, only_run(&scene).await).await;
    held.cut();
    let run = acting.await.unwrap();
    assert_eq!(outcomes(&run), moment.outcomes(), "{moment:?} {kind:?}");
    scene.assert_once_and_back(&enact, &run, kind).await;
}

async fn killed_under_a_rollback(how: fn(&Server), moment: Moment, kind: Kind, server: &Server) {
    let scene = Scene::on(server).await;
    let enact = scene.enact().await;
    let run = act(&enact, kind).await;
    let held = moment.armed(&scene);
    let undoing = rolling_back(&enact, run.id);
    held.reached().await;
    dies(&scene, how, run.id).await;
    held.cut();
    scene.assert_undone_once(&undoing.await.unwrap(), kind).await;
}

#[tokio::test]
async fn a_server_that_is_killed_under_a_run_did_it_once_or_not_at_all() {
    let server = Server::start(LAZY);
    for (moment, kind) in cases() {
        killed_under_a_run(Server::kill_9, moment, kind, &server).await;
    }
}

#[tokio::test]
async fn a_server_that_is_killed_under_a_rollback_undid_it_once_or_not_at_all() {
    let server = Server::start(LAZY);
    for (moment, kind) in cases() {
        killed_under_a_rollback(Server::kill_9, moment, kind, &server).await;
    }
}

#[tokio::test]
async fn a_server_that_is_stopped_at_once_did_it_once_or_not_at_all() {
    let server = Server::start(LAZY);
    for moment in Moment::BOTH {
        killed_under_a_run(Server::stop_immediate, moment, Kind::Update, &server).await;
        killed_under_a_rollback(Server::stop_immediate, moment, Kind::Delete, &server).await;
    }
}

/// Server and runtime die together; the next life takes the run up from the log.
#[tokio::test]
async fn a_server_that_is_killed_together_with_the_runtime_did_it_once_or_not_at_all() {
    let server = Server::start(LAZY);
    for (moment, kind) in cases() {
        let mut scene = Scene::on(&server).await;
        let (life, held) = (Life::new(), moment.armed(&scene));
        let (url, store) = (scene.proxy.url(&scene.db), scene.store.clone());
        life.does(async move { act(&enact(Postgres::new(&url).unwrap(), &store).await, kind).await });
        held.reached().await;
        scene.store = scene.store.crash();
        life.killed();
        let run = only_run(&scene).await;
        dies(&scene, Server::kill_9, run).await;
        held.cut();
        let enact = scene.enact().await;
        let run = enact.wait(run).await.unwrap();
        assert_eq!(outcomes(&run), moment.outcomes(), "{moment:?} {kind:?}");
        scene.assert_once_and_back(&enact, &run, kind).await;
    }
}

#[tokio::test]
async fn a_server_that_is_killed_together_with_a_rollback_undid_it_once_or_not_at_all() {
    let server = Server::start(LAZY);
    for (moment, kind) in cases() {
        let mut scene = Scene::on(&server).await;
        let enact_before = scene.enact().await;
        let run = act(&enact_before, kind).await.id;
        enact_before.shutdown(std::time::Duration::from_secs(60)).await;
        let (life, held) = (Life::new(), moment.armed(&scene));
        let (url, store) = (scene.proxy.url(&scene.db), scene.store.clone());
        life.does(async move { roll_back(&enact(Postgres::new(&url).unwrap(), &store).await, run).await });
        held.reached().await;
        scene.store = scene.store.crash();
        life.killed();
        dies(&scene, Server::kill_9, run).await;
        held.cut();
        let enact = scene.enact().await;
        let undone = enact.wait(run).await.unwrap();
        scene.assert_undone_once(&undone, kind).await;
    }
}

/// The last statement before the id is made durable.
fn last_statement(kind: Kind, undo: bool) -> &'static str {
    match (kind, undo) {
        (Kind::Insert, true) | (Kind::Delete, false) => "SET CONSTRAINTS",
        _ => "SELECT k",
    }
}

/// The change was carried out by a server that was killed before the id was durable. The one that came back would make
/// another transaction's id durable, and that may have the same number.
#[tokio::test]
async fn an_id_from_before_a_kill_is_not_taken_for_one_of_the_server_that_came_back() {
    let server = Server::start(LAZY);
    for kind in Kind::ALL {
        let scene = Scene::on(&server).await;
        let enact = scene.enact().await;
        let held = scene.proxy.delay_reply(last_statement(kind, false));
        let acting = acting(&enact, kind);
        held.reached().await;
        server.kill_9();
        server.restart();
        // Meanwhile the runtime sees that its other connections are gone.
        others_work(&scene.db).await;
        held.release();
        let run = acting.await.unwrap();
        assert_eq!(outcomes(&run), ["done"], "{kind:?}: nothing was intended before");
        scene.assert_once_and_back(&enact, &run, kind).await;
    }
}

#[tokio::test]
async fn an_id_of_an_undo_from_before_a_kill_is_not_taken_for_one_of_the_server_that_came_back() {
    let server = Server::start(LAZY);
    for kind in Kind::ALL {
        let scene = Scene::on(&server).await;
        let enact = scene.enact().await;
        let run = act(&enact, kind).await;
        let changed = scene.proxy.delay_reply("WITH");
        let undoing = rolling_back(&enact, run.id);
        changed.reached().await;
        let held = scene.proxy.delay_reply(last_statement(kind, true));
        changed.release();
        held.reached().await;
        server.kill_9();
        server.restart();
        // Meanwhile the runtime sees that its other connections are gone.
        others_work(&scene.db).await;
        held.release();
        scene.assert_undone_once(&undoing.await.unwrap(), kind).await;
    }
}

/// One of the server's processes is killed: it ends all connections, recovers, and goes on under the same number.
#[tokio::test]
async fn a_server_that_loses_one_process_did_it_once_or_not_at_all() {
    let server = Server::start(LAZY);
    for moment in Moment::BOTH {
        let scene = Scene::on(&server).await;
        let enact = scene.enact().await;
        let (victim, bystander) = (scene.db.client().await, scene.db.client().await);
        let held = moment.armed(&scene);
        let acting = acting(&enact, Kind::Update);
        held.reached().await;
        server.kill_backend(victim.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0));
        until_async("the server ends everybody", async || bystander.simple_query("").await.is_err()).await;
        let url = scene.db.url();
        until_async("the server is back", async || {
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_ok()
        })
        .await;
        others_work(&scene.db).await;
        held.cut();
        let run: Run = acting.await.unwrap();
        assert_eq!(outcomes(&run), moment.outcomes(), "{moment:?}");
        scene.assert_once_and_back(&enact, &run, Kind::Update).await;
    }
}

/// A server that does not come back while it is asked: the doubt stays, and is settled when somebody resumes the run.
#[tokio::test]
async fn a_run_whose_server_stays_away_waits_for_a_person_and_is_settled_when_it_is_back() {
    let server = Server::start(LAZY);
    for (moment, kind) in cases() {
        let scene = Scene::on(&server).await;
        let enact = scene.enact().await;
        let held = moment.armed(&scene);
        let acting = acting(&enact, kind);
        held.reached().await;
        server.kill_9();
        held.cut();
        let run = acting.await.unwrap();
        assert_eq!(run.status(), RunStatus::Quarantined, "{moment:?} {kind:?}");
        server.restart();
        others_work(&scene.db).await;
        let run = enact.resume(run.id, served::ME).await.unwrap();
        assert_eq!(outcomes(&run), moment.outcomes(), "{moment:?} {kind:?}");
        scene.assert_once_and_back(&enact, &run, kind).await;
    }
}

#[tokio::test]
async fn a_server_that_stops_answering_at_commit_is_asked_when_it_goes_on() {
    let server = Server::start(LAZY);
    for kind in Kind::ALL {
        let scene = Scene::on(&server).await;
        let enact = scene.enact_within(1).await;
        let held = scene.proxy.hold(COMMIT);
        let acting = acting(&enact, kind);
        held.reached().await;
        server.pause();
        held.release();
        let run = acting.await.unwrap();
        assert_eq!(run.status(), RunStatus::Quarantined, "{kind:?}");
        server.resume();
        let run = enact.resume(run.id, served::ME).await.unwrap();
        assert_eq!(outcomes(&run).last(), Some(&"done"), "{kind:?}");
        scene.assert_once_and_back(&enact, &run, kind).await;
        scene.assert_nobody_left().await;
    }
}
