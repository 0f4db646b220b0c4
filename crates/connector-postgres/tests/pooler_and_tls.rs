//! What stands between the connector and its server: a pooler, and TLS.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test by panicking")]

mod served;
mod world;

use enact_connector_postgres::Postgres;
use enact_core::error::Remains;
use enact_core::run::RunStatus;
use enact_core::{Error, ErrorCode};
use enact_testkit::postgres::{Bouncer, Database, Server};
use futures::future::join_all;
use serde_json::json;
use served::{Kind, Scene, act, asked, configured, enact, roll_back};
use world::Tables;

const THINGS: &str =
    "CREATE TABLE things (id int PRIMARY KEY, n int); INSERT INTO things VALUES (1, 10), (2, 20), (3, 30);";

#[tokio::test]
async fn a_pooler_in_session_mode_works_for_every_action_and_its_undo() {
    let scene = Scene::new().await;
    let bouncer = Bouncer::start(scene.db.server(), "session");
    let enact = enact(Postgres::new(&bouncer.url(&scene.db)).unwrap(), &scene.store).await;
    for kind in Kind::ALL {
        let run = act(&enact, kind).await;
        assert_eq!(run.status(), RunStatus::Completed, "{kind:?}: {:?}", run.state().error);
        assert_eq!(roll_back(&enact, run.id).await.status(), RunStatus::RolledBack, "{kind:?}");
        scene.assert_as_before().await;
    }
    let read = enact.run_to_end(asked("select_rows", &json!({ "table": "things" }))).await.unwrap();
    assert_eq!(read.status(), RunStatus::Completed, "{:?}", read.state().error);
    assert_eq!(scene.ledger().await, ["INSERT", "DELETE", "UPDATE", "UPDATE", "DELETE", "INSERT"]);
}

/// Sessions come back from other clients, who left settings behind, and go to others.
#[tokio::test]
async fn a_pooler_in_session_mode_works_when_its_sessions_go_from_hand_to_hand() {
    let scene = Scene::new().await;
    let bouncer = Bouncer::start_with(scene.db.server(), "session", &[("default_pool_size", "3")]);
    for round in 0..3 {
        let enact = enact(Postgres::new(&bouncer.url(&scene.db)).unwrap(), &scene.store).await;
        let run = act(&enact, Kind::Update).await;
        assert_eq!(run.status(), RunStatus::Completed, "{round}: {:?}", run.state().error);
        assert_eq!(roll_back(&enact, run.id).await.status(), RunStatus::RolledBack, "{round}");
        enact.shutdown(std::time::Duration::from_secs(60)).await;
    }
    scene.assert_as_before().await;
}

/// Every action is refused, with the reason, and nothing is changed.
async fn refused(db: Database, url: &str) -> Database {
    let world = Tables::at(db, url, |postgres| postgres);
    for (action, params) in [
        ("update_row", json!({ "table": "things", "data": { "n": 1 }, "where": { "id": 1 } })),
        ("insert_row", json!({ "table": "things", "data": { "id": 4 } })),
        ("delete_row", json!({ "table": "things", "where": { "id": 1 } })),
        ("select_rows", json!({ "table": "things" })),
    ] {
        let error = world.refused(action, params).await;
        assert_eq!(error.code(), ErrorCode::Unsupported, "{action}: {error}");
        assert!(error.message().contains("pool_mode = session"), "{action}: {error}");
        assert_eq!(error.remains(), Remains::Nothing);
    }
    world.db
}

/// Clients of a pooler that never stop asking, until they are dropped.
#[expect(clippy::async_yields_async, reason = "what is given is the task that goes on asking")]
async fn busy(url: &str, clients: usize) -> Vec<tokio::task::JoinHandle<()>> {
    let connect = (0..clients).map(|_| async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.simple_query("SELECT 1").await.unwrap();
        tokio::spawn(async move { while client.simple_query("SELECT 1").await.is_ok() {} })
    });
    join_all(connect).await
}

#[tokio::test]
async fn a_pooler_that_shares_sessions_is_refused_idle_or_busy() {
    for mode in ["transaction", "statement"] {
        for (clients, size) in [(0, "20"), (0, "1"), (12, "2"), (12, "20")] {
            let db = Server::shared().database().await;
            db.exec(THINGS).await;
            let bouncer = Bouncer::start_with(db.server(), mode, &[("default_pool_size", size)]);
            let asking = busy(&bouncer.url(&db), clients).await;
            let url = bouncer.url(&db);
            let db = refused(db, &url).await;
            // Nor do sessions that were marked before, and are still there, hide it from the next.
            drop(refused(db, &url).await);
            asking.iter().for_each(tokio::task::JoinHandle::abort);
        }
    }
}

/// The connector on a server that asks for TLS and a password.
fn by_tls(url: &str, server: &Server, trusting: bool) -> Postgres {
    let ca_file = trusting.then(|| server.ca_file().unwrap().to_owned());
    configured(url, |config| config.ca_file = ca_file)
}

async fn error_of(postgres: Postgres) -> Error {
    let db = Server::shared().database().await;
    let world = Tables::at(db, "postgres://localhost", |_| postgres);
    world
        .act("update_row", json!({ "table": "things", "data": { "n": 1 }, "where": { "id": 1 } }))
        .await
        .unwrap_err()
}

#[tokio::test]
async fn tls_is_used_with_a_certificate_that_is_trusted_and_clear_errors_otherwise() {
    let server = Server::start_tls(&[]);
    let db = server.database().await;
    db.exec(THINGS).await;
    let before = db.dump().await;
    let url = db.url_tcp();
    assert!(url.contains("sslmode=require"), "{url}");

    // Nobody has signed for it; not its name; not encrypted; the wrong password.
    let untrusted = error_of(by_tls(&url, &server, false)).await;
    assert_eq!((untrusted.code(), untrusted.is_retryable()), (ErrorCode::Unavailable, false), "{untrusted}");
    assert!(
        untrusted.message().contains("ertificate") && untrusted.message().contains("UnknownIssuer"),
        "{untrusted}"
    );
    let misnamed = error_of(by_tls(
        &format!("{}&hostaddr=127.0.0.1", url.replace("localhost", "other.example")),
        &server,
        true,
    ))
    .await;
    assert_eq!((misnamed.code(), misnamed.is_retryable()), (ErrorCode::Unavailable, false), "{misnamed}");
    assert!(misnamed.message().contains("ertificate"), "{misnamed}");
    let plain = error_of(by_tls(&url.replace("sslmode=require", "sslmode=disable"), &server, true)).await;
    assert_eq!((plain.code(), plain.is_retryable()), (ErrorCode::Unauthenticated, false), "{plain}");
    assert!(["no encryption", "SSL off"].iter().any(|words| plain.message().contains(words)), "{plain}");
    let stranger =
        error_of(by_tls(&url.replace("postgres:postgres@", "postgres:other@"), &server, true)).await;
    assert_eq!((stranger.code(), stranger.is_retryable()), (ErrorCode::Unauthenticated, false), "{stranger}");
    assert_eq!(db.dump().await, before);

    let world = Tables::at(db, &url, |_| by_tls(&url, &server, true));
    let params = json!({ "table": "things", "data": { "n": 1 }, "where": { "id": 1 } });
    let done = world.act("update_row", params).await.unwrap();
    let encrypted = "SELECT bool_and(ssl)::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE application_name = 'enact'";
    assert_eq!(world.value(encrypted).await, "true");
    world.undo(&done, false).await.unwrap();
    assert_eq!(world.db.dump().await, before);
}

/// `sslmode=require` against a server that has no TLS does not fall back to none.
#[tokio::test]
async fn tls_that_is_required_and_not_there_is_an_error() {
    let db = Server::shared().database().await;
    let error = error_of(Postgres::new(&format!("{}?sslmode=require", db.url_tcp())).unwrap()).await;
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Unavailable, false), "{error}");
    assert!(error.message().contains("TLS"), "{error}");
}
