//! What real PostgreSQL servers, the proxy and pgbouncer promise to tests.
#![cfg(all(feature = "postgres", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::path::Path;

use enact_testkit::postgres::{Bouncer, Database, Proxy, Server};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// A database with a table `t` that has one column.
async fn with_a_table(server: &Server) -> Database {
    let database = server.database().await;
    database.exec("CREATE TABLE t (n bigint PRIMARY KEY)").await;
    database
}

async fn numbers(database: &Database) -> i64 {
    number(&database.client().await, "SELECT count(*) FROM t").await
}

#[tokio::test]
async fn the_shared_server_is_one_and_its_databases_are_apart() {
    let (one, other) = (Server::shared(), Server::shared());
    assert_eq!((one.port(), one.socket_folder()), (other.port(), other.socket_folder()));
    let (a, b) = (with_a_table(&one).await, with_a_table(&other).await);
    a.exec("INSERT INTO t VALUES (1)").await;
    assert_eq!((numbers(&a).await, numbers(&b).await), (1, 0));
}

#[tokio::test]
async fn a_database_of_the_shared_server_is_gone_with_its_handle() {
    let server = Server::shared();
    let (gone, stays) = (server.database().await, server.database().await);
    let _still_connected = gone.client().await;
    let name = gone.name().to_owned();
    drop(gone);
    let client = stays.client().await;
    let left: Vec<String> = client
        .query("SELECT datname FROM pg_database", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(left.contains(&stays.name().to_owned()) && !left.contains(&name), "{left:?}");
}

#[tokio::test]
async fn a_database_is_reached_by_both_ways_and_as_any_role() {
    let database = with_a_table(&Server::shared()).await;
    let role = format!("role of {}", database.name());
    database.exec(&format!("CREATE ROLE \"{role}\" LOGIN")).await;
    for (url, user) in [
        (database.url(), "postgres"),
        (database.url_tcp(), "postgres"),
        (database.url_as(&role), role.as_str()),
    ] {
        let client = connect(&url).await;
        let is: String =
            client.query_one("SELECT current_user || ' ' || current_database()", &[]).await.unwrap().get(0);
        assert_eq!(is, format!("{user} {}", database.name()));
    }
    database.exec(&format!("DROP ROLE \"{role}\"")).await;
}

#[tokio::test]
async fn a_dump_is_the_same_for_the_same_rows_and_another_one_for_others() {
    let server = Server::shared();
    let (one, other) = (server.database().await, server.database().await);
    let tables = "CREATE SCHEMA s; CREATE TABLE s.\"Odd name\" (row_of int, b bytea);
                  CREATE TABLE parts (n int, t text) PARTITION BY LIST (n);
                  CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
                  CREATE TABLE parent (n int); CREATE TABLE child () INHERITS (parent);";
    one.exec(tables).await;
    other.exec(tables).await;
    one.exec("INSERT INTO parts VALUES (1, 'a'), (1, NULL); INSERT INTO child VALUES (7)").await;
    other.exec("INSERT INTO parts VALUES (1, NULL), (1, 'a'); INSERT INTO child VALUES (7)").await;
    other.exec("ALTER DATABASE :d SET bytea_output = escape".replace(":d", other.name()).as_str()).await;
    for database in [&one, &other] {
        database.exec("INSERT INTO s.\"Odd name\" VALUES (2, '\\x00ff')").await;
    }
    assert_eq!(one.dump().await, other.dump().await);
    assert_eq!(
        one.dump().await,
        "public.child (n)\n7\n\npublic.parent (n)\n\npublic.part_1 (n, t)\n1\t\\N\n1\ta\n\n\
         s.\"Odd name\" (row_of, b)\n2\t\\\\x00ff\n\n"
    );
    other.exec("UPDATE parts SET t = 'b' WHERE t = 'a'").await;
    assert_ne!(one.dump().await, other.dump().await);
}

#[tokio::test]
async fn a_server_that_is_killed_keeps_what_was_committed_and_nothing_else() {
    let server = Server::start(&[("max_connections", "17")]);
    let database = with_a_table(&server).await;
    database.exec("INSERT INTO t VALUES (1)").await;
    let open = database.client().await;
    open.batch_execute("BEGIN; INSERT INTO t VALUES (2)").await.unwrap();
    let (port, url) = (server.port(), database.url());

    server.kill_9();
    assert!(open.batch_execute("COMMIT").await.is_err());
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err(), "nobody listens");
    server.restart();

    assert_eq!((server.port(), database.url()), (port, url));
    assert_eq!(numbers(&database).await, 1);
    let client = database.client().await;
    let limit: String = client.query_one("SHOW max_connections", &[]).await.unwrap().get(0);
    assert_eq!(limit, "17");
}

#[tokio::test]
async fn a_server_that_is_stopped_at_once_is_started_again_by_a_restart() {
    let server = Server::start(&[]);
    let database = with_a_table(&server).await;
    let client = database.client().await;
    server.stop_immediate();
    assert!(client.simple_query("SELECT 1").await.is_err());
    server.restart();
    server.restart();
    assert_eq!(numbers(&database).await, 0);
}

#[tokio::test]
async fn a_paused_server_answers_when_it_goes_on() {
    let server = Server::start(&[]);
    let database = with_a_table(&server).await;
    let client = database.client().await;
    server.pause();
    let mut answer = Box::pin(client.batch_execute("INSERT INTO t VALUES (1)"));
    // Each poll hands what there is to the server, which does not answer.
    for _ in 0..100 {
        tokio::select! {
            biased;
            answer = &mut answer => panic!("a paused server answers: {answer:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    server.resume();
    answer.await.unwrap();
    assert_eq!(numbers(&database).await, 1);
}

#[tokio::test]
async fn a_killed_backend_takes_all_connections_with_it_and_a_terminated_one_its_own_alone() {
    let server = Server::start(&[]);
    let database = with_a_table(&server).await;
    let (victim, other) = (database.client().await, database.client().await);
    let pid = async |client: &Client| -> i32 {
        client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0)
    };

    server.terminate_backend(pid(&victim).await);
    assert!(victim.simple_query("SELECT pg_sleep(1000)").await.is_err());
    assert_eq!(number(&other, "SELECT count(*) FROM t").await, 0);

    server.kill_backend(pid(&other).await);
    assert!(other.simple_query("SELECT pg_sleep(1000)").await.is_err());
}

#[test]
#[should_panic(expected = "shared by all tests")]
fn the_shared_server_is_killed_by_nobody() {
    Server::shared().kill_9();
}

#[tokio::test]
async fn a_server_of_ones_own_leaves_nothing_behind() {
    let server = Server::start(&[]);
    let folder = server.socket_folder();
    let folder = folder.parent().unwrap();
    assert!(folder.exists() && processes_that_name(folder) > 0);
    drop(server);
    assert!(!folder.exists());
    assert_eq!(processes_that_name(folder), 0);
}

/// Counts by the command lines, in which every process of a server has its folder's name.
fn processes_that_name(folder: &Path) -> usize {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let lines = std::fs::read_dir("/proc").unwrap().flatten();
    lines
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| line.windows(name.len()).any(|part| part == name.as_bytes()))
        .count()
}

#[tokio::test]
async fn a_server_with_tls_refuses_who_comes_without_it_and_shows_who_signed_it() {
    let server = Server::start_tls(&[]);
    let database = server.database().await;
    let ca = std::fs::read_to_string(server.ca_file().unwrap()).unwrap();
    assert!(ca.contains("BEGIN CERTIFICATE"), "{ca}");
    let plain = database.url_tcp().replace("sslmode=require", "sslmode=disable");
    let refused = tokio_postgres::connect(&plain, NoTls).await.err().unwrap();
    assert!(format!("{refused:?}").contains("no encryption"), "{refused:?}");
    assert_eq!(number(&database.client().await, "SELECT count(*) FROM pg_database").await, 4);
}

#[tokio::test]
async fn a_commit_whose_request_is_lost_is_not_committed() {
    let database = with_a_table(&Server::shared()).await;
    let proxy = Proxy::start(database.server()).await;
    let mut client = connect(&proxy.url(&database)).await;
    let lost = proxy.lose_request("COMMIT");
    let transaction = client.transaction().await.unwrap();
    transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();
    assert!(!lost.was_reached());

    assert!(transaction.commit().await.is_err());
    lost.reached().await;

    assert_eq!(numbers(&database).await, 0);
    assert_eq!(proxy.seen("commit"), 1, "the client has sent it");
}

#[tokio::test]
async fn a_commit_whose_reply_is_lost_is_committed() {
    let database = with_a_table(&Server::shared()).await;
    let proxy = Proxy::start(database.server()).await;
    let mut client = connect(&proxy.url(&database)).await;
    let lost = proxy.lose_reply("COMMIT");
    let transaction = client.transaction().await.unwrap();
    transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();

    assert!(transaction.commit().await.is_err());
    lost.reached().await;

    assert!(lost.was_reached());
    assert_eq!(numbers(&database).await, 1);
}

#[tokio::test]
async fn a_prepared_statement_is_known_by_its_text() {
    let database = with_a_table(&Server::shared()).await;
    let proxy = Proxy::start(database.server()).await;
    let client = connect(&proxy.url(&database)).await;
    let lost = proxy.lose_request("INSERT INTO t");
    let late = proxy.lose_reply("INSERT INTO t");
    assert!(client.execute("INSERT INTO t VALUES ($1)", &[&1_i64]).await.is_err());
    lost.reached().await;
    assert_eq!(numbers(&database).await, 0);
    assert!(!late.was_reached(), "one fault for one statement");

    let client = connect(&proxy.url(&database)).await;
    assert!(client.execute("INSERT INTO t VALUES ($1)", &[&2_i64]).await.is_err());
    late.reached().await;
    assert_eq!(numbers(&database).await, 1);
    assert_eq!((proxy.connections(), proxy.seen("INSERT")), (2, 2), "{:?}", proxy.statements());
}

#[tokio::test]
async fn a_held_commit_lands_after_its_client_has_gone() {
    let database = with_a_table(&Server::shared()).await;
    let proxy = Proxy::start(database.server()).await;
    let held = proxy.hold("COMMIT");
    let (client, connection) = tokio_postgres::connect(&proxy.url(&database), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
    let commit = tokio::spawn(async move { client.batch_execute("COMMIT").await });
    held.reached().await;
    connection.abort();
    assert!(commit.await.unwrap().is_err());
    assert_eq!(numbers(&database).await, 0);

    held.release();

    // The same row waits for the end of the transaction that has it, and is not inserted if that commits.
    let client = database.client().await;
    let inserted = client.execute("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", &[]).await.unwrap();
    assert_eq!(inserted, 0);
}

#[tokio::test]
async fn what_is_held_is_cut_with_its_handle_and_a_delayed_reply_comes_when_released() {
    let database = with_a_table(&Server::shared()).await;
    let proxy = Proxy::start(database.server()).await;
    let client = connect(&proxy.url(&database)).await;
    let held = proxy.hold("INSERT");
    let insert = tokio::spawn(async move { client.batch_execute("INSERT INTO t VALUES (1)").await });
    held.reached().await;
    held.cut();
    assert!(insert.await.unwrap().is_err());
    assert_eq!(numbers(&database).await, 0);

    let client = connect(&proxy.url(&database)).await;
    let delayed = proxy.delay_reply("INSERT");
    let insert = tokio::spawn(async move {
        client.execute("INSERT INTO t VALUES ($1)", &[&1_i64]).await.unwrap();
        client
    });
    delayed.reached().await;
    assert_eq!(numbers(&database).await, 1);
    assert!(!insert.is_finished());
    delayed.release();
    let client = insert.await.unwrap();

    proxy.cut_all();
    assert!(client.simple_query("SELECT 1").await.is_err());
}

#[tokio::test]
async fn rows_and_cancellation_pass_through_the_proxy_as_they_are() {
    use futures::{SinkExt, TryStreamExt};
    let database = with_a_table(&Server::shared()).await;
    let proxy = Proxy::start(database.server()).await;
    let client = connect(&proxy.url(&database)).await;

    let copy = proxy.delay_reply("COPY t FROM");
    let mut sink =
        Box::pin(client.copy_in::<_, std::io::Cursor<Vec<u8>>>("COPY t FROM STDIN").await.unwrap());
    let rows: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    sink.send(std::io::Cursor::new(rows.into_bytes())).await.unwrap();
    let (copied, ()) = tokio::join!(sink.as_mut().finish(), async {
        copy.reached().await;
        copy.release();
    });
    assert_eq!(copied.unwrap(), 20_000);
    let out = client.copy_out("COPY t TO STDOUT").await.unwrap();
    let parts: Vec<_> = out.try_collect().await.unwrap();
    assert_eq!(parts.len(), 20_000);

    let cancel = client.cancel_token();
    let watching = database.client().await;
    let (slept, ()) = tokio::join!(client.batch_execute("SELECT pg_sleep(1000)"), async {
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'
                        AND datname = current_database()";
        while number(&watching, sleeping).await == 0 {}
        cancel.cancel_query(NoTls).await.unwrap();
    });
    assert!(slept.unwrap_err().code() == Some(&tokio_postgres::error::SqlState::QUERY_CANCELED));
    assert_eq!(number(&client, "SELECT count(*) FROM t").await, 20_000);
}

#[tokio::test]
async fn pgbouncer_gives_each_transaction_a_connection_and_takes_it_back() {
    let database = with_a_table(&Server::shared()).await;
    let bouncer = Bouncer::start_with(database.server(), "transaction", &[("default_pool_size", "1")]);
    let (one, other) = (connect(&bouncer.url(&database)).await, connect(&bouncer.url(&database)).await);
    let mut backends = BTreeSet::new();
    for (client, n) in [(&one, 1), (&other, 2), (&one, 3)] {
        let sql = format!("BEGIN; INSERT INTO t VALUES ({n}); SELECT pg_backend_pid(); COMMIT");
        for message in client.simple_query(&sql).await.unwrap() {
            if let SimpleQueryMessage::Row(row) = message {
                backends.insert(row.get(0).unwrap().to_owned());
            }
        }
    }
    assert_eq!(backends.len(), 1, "one connection serves both clients: {backends:?}");
    assert_eq!(numbers(&database).await, 3);
}

#[tokio::test]
async fn pgbouncer_knows_the_roles_of_the_server() {
    let database = with_a_table(&Server::shared()).await;
    let role = format!("role_{}", database.name());
    database.exec(&format!("CREATE ROLE {role} LOGIN")).await;
    for mode in ["session", "statement"] {
        let bouncer = Bouncer::start(database.server(), mode);
        let client = connect(&bouncer.url_as(&role, &database)).await;
        let answer = client.simple_query("SELECT current_user").await.unwrap();
        let is = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        assert_eq!(is, Some(role.as_str()), "{mode}");
    }
    database.exec(&format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_server_comes_back_on_a_new_timeline_from_a_copy_as_a_standby_or_as_another_one() {
    let timeline = "SELECT timeline_id::bigint FROM pg_control_checkpoint()";
    let system = "SELECT system_identifier FROM pg_control_system()";
    let server = Server::start(&[]);
    let database = with_a_table(&server).await;
    server.restart_and_keep_copy();
    database.exec("INSERT INTO t VALUES (1)").await;
    server.restart_on_a_new_timeline();
    assert_eq!(numbers(&database).await, 1);
    database.exec("INSERT INTO t VALUES (2)").await;
    assert_eq!(number(&database.client().await, timeline).await, 2);
    server.restart_from_copy();
    assert_eq!(numbers(&database).await, 0);
    assert_eq!(number(&database.client().await, timeline).await, 1);
    server.restart_as_standby();
    assert_eq!(numbers(&database).await, 0);
    assert!(database.client().await.batch_execute("INSERT INTO t VALUES (1)").await.is_err());
    let other = Server::start_initialised(&[]).database().await;
    let (one, other) = (database.client().await, other.client().await);
    assert_ne!(number(&one, system).await, number(&other, system).await);
}
