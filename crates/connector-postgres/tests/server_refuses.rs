//! What a server says no to: each refusal has the contract's code, says whether the same request may be sent again, and
//! leaves nothing.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod served;
mod world;

use enact_core::error::Remains;
use enact_core::run::RunStatus;
use enact_core::{Error, ErrorCode};
use enact_testkit::postgres::{Database, Server};
use serde_json::{Value, json};
use served::{COMMIT, Kind, Scene, acting, configured, outcomes, roll_back, until_async};
use tokio_postgres::Client;
use world::Tables;

const THINGS: &str =
    "CREATE TABLE things (id int PRIMARY KEY, n int); INSERT INTO things VALUES (1, 10), (2, 20), (3, 30);";

fn all_rows() -> Value {
    json!({ "table": "things", "data": { "n": 7 }, "where": { "n": 10 } })
}

/// The error leaves nothing, and has this code and this word on sending it again.
#[track_caller]
fn is(error: &Error, code: ErrorCode, retryable: bool) {
    let found = (error.code(), error.is_retryable(), error.remains());
    assert_eq!(found, (code, retryable, Remains::Nothing), "{error}");
}

/// A connector on a database of its own; settings of the database are set before it connects.
async fn with(settings: &str, set: impl FnOnce(&mut enact_connector_postgres::Config)) -> Tables {
    let db = Server::shared().database().await;
    db.exec(THINGS).await;
    if !settings.is_empty() {
        db.exec(&format!("ALTER DATABASE {} SET {settings}", db.name())).await;
    }
    let url = db.url();
    Tables::at(db, &url, |_| configured(&url, set))
}

/// Waits until somebody waits for a lock in this database.
async fn somebody_waits(db: &Database) {
    let client = db.client().await;
    let waiting = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until_async("somebody waits for a lock", async || {
        client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
}

/// Somebody else in a transaction that has changed a row.
async fn holding(db: &Database, id: i32) -> Client {
    let other = db.client().await;
    other.batch_execute(&format!("BEGIN; UPDATE things SET n = n + 1 WHERE id = {id}")).await.unwrap();
    other
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_unavailable_for_now() {
    let server = Server::start(&[("max_connections", "6"), ("superuser_reserved_connections", "0")]);
    let db = server.database().await;
    db.exec(THINGS).await;
    let url = db.url();
    let world = Tables::at(db, &url, |postgres| postgres);
    let mut clients = Vec::new();
    until_async("no connection is left", async || {
        match tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                clients.push(client);
                false
            }
            Err(error) => error.code() == Some(&tokio_postgres::error::SqlState::TOO_MANY_CONNECTIONS),
        }
    })
    .await;
    is(&world.act("update_row", all_rows()).await.unwrap_err(), ErrorCode::Unavailable, true);
    // One is not enough: an action needs two.
    drop(clients.pop());
    let open = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    until_async("one is free", async || clients[0].query_one(open, &[]).await.unwrap().get::<_, i64>(0) == 5)
        .await;
    is(&world.act("update_row", all_rows()).await.unwrap_err(), ErrorCode::Unavailable, true);
    drop(clients);
    until_async("an action succeeds", async || world.act("update_row", all_rows()).await.is_ok()).await;
    assert_eq!(world.value("SELECT sum(n)::text FROM things").await, "57");
}

#[tokio::test]
async fn a_row_that_others_hold_for_too_long_is_a_timeout() {
    let world = with("", |config| config.lock_timeout_s = 1).await;
    let other = holding(&world.db, 1).await;
    for (action, params) in
        [("update_row", all_rows()), ("delete_row", json!({ "table": "things", "where": { "id": 1 } }))]
    {
        is(&world.act(action, params).await.unwrap_err(), ErrorCode::Timeout, true);
    }
    other.batch_execute("ROLLBACK").await.unwrap();
    world.there_and_back("update_row", all_rows()).await;
}

#[tokio::test]
async fn a_row_that_others_hold_while_it_is_to_be_given_back_is_a_timeout() {
    let world = with("", |config| config.lock_timeout_s = 1).await;
    let done = world.act("update_row", all_rows()).await.unwrap();
    let other = holding(&world.db, 1).await;
    is(&world.undo(&done, false).await.unwrap_err(), ErrorCode::Timeout, true);
    other.batch_execute("ROLLBACK").await.unwrap();
    world.undo(&done, false).await.unwrap();
    assert_eq!(world.value("SELECT sum(n)::text FROM things").await, "60");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_a_timeout() {
    let world = with("", |config| config.timeout_s = 1).await;
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN PERFORM pg_sleep(1000); RETURN NEW; END $$; \
                CREATE TRIGGER slow BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION slow();";
    world.db.exec(slow).await;
    is(&world.act("update_row", all_rows()).await.unwrap_err(), ErrorCode::Timeout, true);
    assert_eq!(world.value("SELECT sum(n)::text FROM things").await, "60");
}

/// The server chooses the one that looks first; the other one never looks.
#[tokio::test]
async fn a_deadlock_is_a_conflict_that_may_be_tried_again() {
    let world = with("deadlock_timeout = '3s'", |_| ()).await;
    world.db.exec("ALTER TABLE things ADD kind text DEFAULT 'x'").await;
    let other = world.db.client().await;
    other
        .batch_execute("SET deadlock_timeout = '1h'; BEGIN; UPDATE things SET n = 0 WHERE id = 3")
        .await
        .unwrap();
    let params = json!({ "table": "things", "data": { "n": 7 }, "where": { "kind": "x" } });
    let (acted, ()) = tokio::join!(world.act("update_row", params), async {
        somebody_waits(&world.db).await;
        other.batch_execute("UPDATE things SET n = 0 WHERE id = 1; COMMIT").await.unwrap();
    });
    is(&acted.unwrap_err(), ErrorCode::Conflict, true);
    assert_eq!(world.value("SELECT string_agg(n::text, ' ' ORDER BY id) FROM things").await, "0 20 0");
}

#[tokio::test]
async fn a_row_that_changed_under_a_stricter_isolation_is_a_conflict_that_may_be_tried_again() {
    for isolation in ["serializable", "'repeatable read'"] {
        let world = with(&format!("default_transaction_isolation = {isolation}"), |_| ()).await;
        let other = holding(&world.db, 1).await;
        let (acted, ()) = tokio::join!(world.act("update_row", all_rows()), async {
            somebody_waits(&world.db).await;
            other.batch_execute("COMMIT").await.unwrap();
        });
        is(&acted.unwrap_err(), ErrorCode::Conflict, true);
        assert_eq!(world.value("SELECT sum(n)::text FROM things").await, "61", "{isolation}");
    }
}

/// COMMIT itself is refused: that is an answer, and no doubt.
#[tokio::test]
async fn a_commit_that_the_server_refuses_left_nothing_and_is_tried_again() {
    let scene = Scene::new().await;
    let serializable = "SET default_transaction_isolation = serializable";
    scene.db.exec(&format!("ALTER DATABASE {} {serializable}", scene.db.name())).await;
    let enact = scene.enact().await;
    let held = scene.proxy.hold(COMMIT);
    let acting = acting(&enact, Kind::Update);
    held.reached().await;
    // It reads what we write, writes where we read, and is first.
    let other = scene.db.client().await;
    let skew = "BEGIN; SELECT n FROM things WHERE id = 1; INSERT INTO things VALUES (9, 90); COMMIT";
    other.batch_execute(skew).await.unwrap();
    held.release();
    let run = acting.await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(outcomes(&run), ["failed", "done"]);
    assert_eq!(scene.ledger().await, ["INSERT", "UPDATE"]);
    assert_eq!(roll_back(&enact, run.id).await.status(), RunStatus::RolledBack);
    scene.db.exec("DELETE FROM things WHERE id = 9").await;
    scene.assert_as_before().await;
}

/// A role that is to read alone stays so: the server's word counts.
#[tokio::test]
async fn a_read_only_role_or_database_is_not_written_to() {
    let world = with("default_transaction_read_only = on", |_| ()).await;
    let error = world.refused("update_row", all_rows()).await;
    is(&error, ErrorCode::Forbidden, false);
    assert!(error.message().contains("default_transaction_read_only"), "{error}");
    world.act("select_rows", json!({ "table": "things" })).await.unwrap();
    let owner = world.db.client().await;
    owner.batch_execute("SET default_transaction_read_only = off").await.unwrap();
    let reset = format!("ALTER DATABASE {} RESET default_transaction_read_only", world.db.name());
    owner.batch_execute(&reset).await.unwrap();
    world.there_and_back("update_row", all_rows()).await;
}
