//! Tables that others alter while they are used: what was known of them is looked up anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_core::ErrorCode;
use enact_testkit::postgres::{Proxy, Server};
use serde_json::json;
use world::Tables;

/// How the questions begin that are asked of the catalog: whether a description is still right, and what to describe.
const QUESTIONS: [&str; 2] = [
    "SELECT pg_catalog.current_setting('enact.session', true), pg_catalog.concat_ws",
    "SELECT pg_catalog.json_build_object",
];

#[tokio::test]
async fn a_table_that_was_altered_meanwhile_is_looked_up_anew() {
    let world =
        Tables::with("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1);").await;
    let update =
        |column: &str, value: i32| json!({ "table": "t", "data": { column: value }, "where": { "id": 1 } });
    let first = world.act("update_row", update("v", 2)).await.unwrap();
    // An undo looks, too.
    world.db.exec("ALTER TABLE t ADD u int").await;
    world.undo(&first, false).await.unwrap();
    for (ddl, column) in [
        ("ALTER TABLE t ADD w int", "w"),
        ("ALTER TABLE t RENAME v TO x", "x"),
        ("ALTER TABLE t ALTER x TYPE bigint", "x"),
        ("DROP TABLE t; CREATE TABLE t (y int, id int PRIMARY KEY); INSERT INTO t VALUES (0, 1)", "y"),
    ] {
        world.db.exec(ddl).await;
        let done = world.act("update_row", update(column, 77)).await.unwrap();
        assert_eq!(done.output["rows"][0][column], 77, "{ddl}");
        world.undo(&done, false).await.unwrap();
    }
    // A foreign key that is new is not overlooked.
    let delete = json!({ "table": "t", "where": { "id": 1 } });
    world.there_and_back("delete_row", delete.clone()).await;
    world
        .db
        .exec("CREATE TABLE c (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE); INSERT INTO c VALUES (1, 1)")
        .await;
    world.there_and_back("delete_row", delete).await;
}

#[tokio::test]
async fn an_undo_onto_an_altered_table_is_refused_where_a_column_is_gone_and_else_goes_on() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 2);";
    let world = Tables::with(sql).await;
    let done = world.act("delete_row", json!({ "table": "t", "where": { "id": 1 } })).await.unwrap();
    world.db.exec("ALTER TABLE t ADD w text DEFAULT 'new'").await;
    world.undo(&done, false).await.unwrap();
    assert_eq!(
        world.value("SELECT string_agg(concat(id, v, w), ',' ORDER BY id) FROM t").await,
        "11new,22new"
    );
    let done = world.act("delete_row", json!({ "table": "t", "where": { "id": 1 } })).await.unwrap();
    world.db.exec("ALTER TABLE t DROP v").await;
    let error = world.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PreconditionFailed);
    assert!(error.message().contains("'v'"), "{error}");
}

/// Whichever of the questions about a table comes too late to see the old one.
#[tokio::test]
async fn a_foreign_key_that_is_made_while_a_table_is_looked_up_is_not_overlooked() {
    let server = Server::shared();
    for word in QUESTIONS {
        let db = server.database().await;
        db.exec(
            "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int); \
             INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1);",
        )
        .await;
        let proxy = Proxy::start(&server).await;
        let url = proxy.url(&db);
        let world = Tables::at(db, &url, |postgres| postgres);
        let before = world.db.dump().await;
        let held = proxy.hold(word);
        let (done, ()) =
            tokio::join!(world.act("delete_row", json!({ "table": "p", "where": { "id": 1 } })), async {
                held.reached().await;
                world.db.exec("ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE").await;
                held.release();
            });
        let done = done.unwrap();
        assert_eq!(done.facts["cascades"], json!({ "public.c": 1 }), "{word}");
        world.undo(&done, false).await.unwrap();
        assert_eq!(world.db.dump().await, before, "{word}");
    }
}

#[tokio::test]
async fn a_column_whose_type_became_another_is_compared_as_the_new_type() {
    let world =
        Tables::with("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 5);").await;
    let delete = json!({ "table": "t", "where": { "v": 5 } });
    world.there_and_back("delete_row", delete.clone()).await;
    // There is no operator for a text and a number.
    world.db.exec("ALTER TABLE t ALTER v TYPE text").await;
    let found = world.act("select_rows", delete.clone()).await.unwrap();
    assert_eq!(found.output["rows"], json!([{ "id": 1, "v": "5" }]));
    world.db.exec("ALTER TABLE t ALTER v TYPE int USING v::int").await;
    world.there_and_back("delete_row", delete).await;
}

/// The table is known, and the statement that gives its rows back was never prepared.
#[tokio::test]
async fn the_first_undo_onto_a_table_of_which_a_column_is_gone_is_refused() {
    let world =
        Tables::with("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 5);").await;
    let done = world.act("delete_row", json!({ "table": "public.t", "where": { "id": 1 } })).await.unwrap();
    world.db.exec("ALTER TABLE t DROP v").await;
    let error = world.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PreconditionFailed, "{error}");
    assert!(error.message().contains("'v'"), "{error}");
}

#[tokio::test]
async fn a_primary_key_that_became_another_is_looked_up_anew() {
    let world = Tables::with(
        "CREATE TABLE t (a int NOT NULL, b int NOT NULL, v int, CONSTRAINT pk PRIMARY KEY (a)); \
         INSERT INTO t VALUES (1, 2, 0);",
    )
    .await;
    let update = json!({ "table": "t", "data": { "v": 1 }, "where": { "v": 0 } });
    world.there_and_back("update_row", update.clone()).await;
    world.db.exec("ALTER TABLE t DROP CONSTRAINT pk; ALTER TABLE t ADD PRIMARY KEY (b)").await;
    let done = world.there_and_back("update_row", update.clone()).await;
    assert_eq!(done.facts["primary_key"], json!(["b"]));
    world.db.exec("ALTER TABLE t DROP CONSTRAINT t_pkey").await;
    assert_eq!(world.refused("update_row", update).await.code(), ErrorCode::Irreversible);
}

/// Rows that are locked do not keep a foreign key from being made; rows that are changed do.
#[tokio::test]
async fn a_foreign_key_that_is_made_between_the_look_at_a_row_and_its_change_is_not_overlooked() {
    let server = Server::shared();
    for at in ["p", "c"] {
        let db = server.database().await;
        db.exec(
            "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE); \
             INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1); \
             CREATE TABLE d (id int PRIMARY KEY, up int); INSERT INTO d VALUES (1, 1);",
        )
        .await;
        let proxy = Proxy::start(&server).await;
        let url = proxy.url(&db);
        let world = Tables::at(db, &url, |postgres| postgres);
        let delete = json!({ "table": "p", "where": { "id": 1 } });
        // A statement that is new to the server locks the table earlier.
        world.there_and_back("delete_row", delete.clone()).await;
        let before = world.db.dump().await;
        let key = format!("ALTER TABLE d ADD FOREIGN KEY (up) REFERENCES {at} ON DELETE CASCADE");
        let held = proxy.hold("DELETE FROM");
        let (done, ()) = tokio::join!(world.act("delete_row", delete), async {
            held.reached().await;
            world.db.exec(&key).await;
            held.release();
        });
        let done = done.unwrap();
        assert_eq!(done.facts["cascades"], json!({ "public.c": 1, "public.d": 1 }), "{key}");
        world.undo(&done, false).await.unwrap();
        assert_eq!(world.db.dump().await, before, "{key}");
    }
}

/// The undo takes no rows of others along, and finds that out before its COMMIT.
#[tokio::test]
async fn a_foreign_key_that_is_made_while_a_row_is_taken_back_is_not_overlooked() {
    let server = Server::shared();
    let db = server.database().await;
    db.exec("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int)").await;
    let proxy = Proxy::start(&server).await;
    let url = proxy.url(&db);
    let world = Tables::at(db, &url, |postgres| postgres);
    let insert = json!({ "table": "p", "data": { "id": 1 } });
    world.there_and_back("insert_row", insert.clone()).await;
    let done = world.act("insert_row", insert).await.unwrap();
    let held = proxy.hold("WITH");
    let (undone, ()) = tokio::join!(world.undo(&done, false), async {
        held.reached().await;
        let key =
            "INSERT INTO c VALUES (1, 1); ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE";
        world.db.exec(key).await;
        held.release();
    });
    let error = undone.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
    assert_eq!(world.value("SELECT count(*)::text FROM c").await, "1");
}
