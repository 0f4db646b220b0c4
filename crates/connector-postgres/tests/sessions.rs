//! Connections of a pool: one that is dead, in the midst of something, or another server's is not taken for a good one.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test by panicking")]

mod served;
mod world;

use enact_core::ErrorCode;
use enact_core::action::Doubt;
use enact_core::ids::Direction;
use enact_core::json::JsonText;
use enact_core::{Capture, Prepared};
use enact_testkit::postgres::{Proxy, Server};
use serde_json::json;
use served::{FLUSH, Kind, LAZY, STATUS, until_async, within};
use tokio::net::{TcpListener, TcpStream};
use world::Tables;

const THINGS: &str =
    "CREATE TABLE things (id int PRIMARY KEY, n int); INSERT INTO things VALUES (1, 10), (2, 20), (3, 30);";

/// A database, and a connector on it by way of a proxy, that waits a second for an answer.
async fn by_proxy(server: &Server) -> (Proxy, Tables) {
    let db = server.database().await;
    db.exec(THINGS).await;
    let proxy = Proxy::start(server).await;
    let url = proxy.url(&db);
    (proxy, Tables::at(db, &url, |_| within(&url, 1)))
}

fn update(world: &Tables) -> Prepared {
    world.prepare("update_row", &Kind::Update.params()).unwrap()
}

/// The intent of a change that was then given up.
async fn intended(world: &Tables) -> (Prepared, JsonText) {
    let action = update(world);
    match action.capture(&world.cx(Direction::Forward, false)).await.unwrap() {
        Capture::Ready { pre, .. } => (action, pre),
        Capture::AlreadyDone(_) => panic!("it was so already"),
    }
}

/// Whoever asked has gone: what a connection is in the midst of is not handed on to the next who asks.
#[tokio::test]
async fn a_connection_that_was_given_up_in_the_midst_of_a_question_is_not_used_again() {
    for word in ["BEGIN READ ONLY", FLUSH] {
        let (proxy, world) = by_proxy(&Server::shared()).await;
        let held = proxy.hold(word);
        let (action, cx) = (update(&world), world.cx(Direction::Forward, false));
        let given_up = tokio::spawn(async move { action.capture(&cx).await.map(drop) });
        held.reached().await;
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
        // While it is still held, another one is taken.
        intended(&world).await;
        drop(held);
    }
}

#[tokio::test]
async fn a_connection_that_did_not_answer_what_became_of_a_change_is_not_asked_again() {
    let (proxy, world) = by_proxy(&Server::shared()).await;
    let (action, pre) = intended(&world).await;
    let held = proxy.delay_reply(STATUS);
    let cx = world.cx(Direction::Forward, false);
    let error = action.probe(&cx, &pre).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Timeout, true), "{error}");
    assert!(held.was_reached());
    // It still says nothing.
    assert!(matches!(action.probe(&cx, &pre).await.unwrap(), Doubt::NotApplied));
    drop(held);
}

/// A standby may follow the very server, which comes back.
#[tokio::test]
async fn what_became_of_a_change_is_asked_again_where_a_standby_answers() {
    let server = Server::start(LAZY);
    let (_proxy, world) = by_proxy(&server).await;
    let (action, pre) = intended(&world).await;
    server.restart_as_standby();
    let cx = world.cx(Direction::Forward, false);
    let error = action.probe(&cx, &pre).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Unavailable, true), "{error}");
    // Once it has taken over it is on another timeline, and a person is asked, whatever the pool still has.
    world.act("select_rows", json!({ "table": "things" })).await.unwrap();
    world.db.exec("SELECT pg_promote()").await;
    assert!(matches!(action.probe(&cx, &pre).await.unwrap(), Doubt::Unknown(_)));
}

/// A way to a server that lets two connections through and is gone for all others.
async fn two_connections_to(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for _ in 0..2 {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
            });
        }
    });
    own
}

/// The connection that would make the transaction's id durable is gone, and the next one goes to another host.
#[tokio::test]
async fn a_change_whose_id_was_made_durable_at_another_server_is_not_intended() {
    let (server, other) = (Server::start(LAZY), Server::start_initialised(&[]));
    let db = server.database().await;
    db.exec(THINGS).await;
    let elsewhere = other.database().await;
    elsewhere.exec(&format!("CREATE DATABASE {}", db.name())).await;
    let way = two_connections_to(server.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{way},127.0.0.1:{}/{}", other.port(), db.name());
    let world = Tables::at(db, &url, |_| within(&url, 30));
    let holding = world.db.client().await;
    holding.batch_execute("BEGIN; UPDATE things SET n = n").await.unwrap();
    let (action, cx) = (update(&world), world.cx(Direction::Forward, false));
    let (captured, ()) = tokio::join!(action.capture(&cx), async {
        until_async("it waits for the row", async || is_there(&world, "wait_event_type = 'Lock'").await)
            .await;
        let idle = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE state = 'idle' AND \
                    application_name = 'enact'";
        assert_eq!(world.value(idle).await, "true");
        until_async("the other one is gone", async || !is_there(&world, "state = 'idle'").await).await;
        holding.batch_execute("COMMIT").await.unwrap();
    });
    let error = captured.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Unavailable, true), "{error}");
}

/// Whether the connector has a connection that is like this.
async fn is_there(world: &Tables, like: &str) -> bool {
    let sql =
        format!("SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'enact' AND {like}");
    world.value(&sql).await != "0"
}
