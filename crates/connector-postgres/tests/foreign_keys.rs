//! Foreign keys: whatever a change reaches through them is captured and comes back, or the change is refused.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_connector_postgres::Postgres;
use enact_core::ErrorCode;
use enact_testkit::postgres::Server;
use serde_json::json;
use world::Tables;

/// By the first key rows are reached of which the second one finds most again.
#[tokio::test]
async fn rows_that_a_second_key_reaches_are_found_behind_those_that_are_known() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, grp int, \
                 a int REFERENCES t ON DELETE CASCADE, b int REFERENCES t ON DELETE CASCADE); \
               INSERT INTO t VALUES (1, 1, NULL, 1), (2, 1, NULL, 1), (3, 1, NULL, 1), (4, 1, NULL, 1), \
                 (5, 0, 1, 1), (6, 0, 1, 1), (7, 0, 1, 1), (8, 0, NULL, 1);";
    let delete = json!({ "table": "t", "where": { "grp": 1 } });
    let world = Tables::of(sql, |postgres: Postgres| postgres.max_rows(4)).await;
    let done = world.there_and_back("delete_row", delete.clone()).await;
    assert_eq!(done.facts["cascades"], json!({ "public.t": 4 }));
    world.db.exec("INSERT INTO t VALUES (9, 0, NULL, 8)").await;
    let error = world.refused("delete_row", delete).await;
    assert!(error.message().contains("max_rows"), "{error}");
}

/// A row that is set by one key and deleted by another counts once.
#[tokio::test]
async fn a_row_that_is_reached_in_two_ways_counts_once() {
    let sql = "CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1); \
               CREATE TABLE c (id int PRIMARY KEY, a int REFERENCES p ON DELETE SET NULL, \
                 b int REFERENCES p ON DELETE CASCADE); INSERT INTO c VALUES (1, 1, 1), (2, 1, 1);";
    let world = Tables::of(sql, |postgres: Postgres| postgres.max_rows(2)).await;
    world.there_and_back("delete_row", json!({ "table": "p", "where": { "id": 1 } })).await;
}

/// The first key that reaches a row sets one column, and the second one another, which a third one follows.
#[tokio::test]
async fn rows_that_follow_a_second_column_of_a_row_are_found() {
    let world = Tables::with(
        "CREATE TABLE p (id int PRIMARY KEY, k int UNIQUE); \
         CREATE TABLE c (id int PRIMARY KEY, a int REFERENCES p (id) ON UPDATE CASCADE, \
           b int UNIQUE REFERENCES p (k) ON UPDATE CASCADE); \
         CREATE TABLE d (id int PRIMARY KEY, b int REFERENCES c (b) ON UPDATE CASCADE); \
         INSERT INTO p VALUES (1, 1); INSERT INTO c VALUES (1, 1, 1); INSERT INTO d VALUES (1, 1);",
    )
    .await;
    let params = json!({ "table": "p", "data": { "id": 2, "k": 3 }, "where": { "id": 1 } });
    let done = world.there_and_back("update_row", params).await;
    assert_eq!(done.facts["cascades"], json!({ "public.c": 1, "public.d": 1 }));
}

#[tokio::test]
async fn an_insert_whose_undo_could_not_see_who_points_at_the_row_is_refused() {
    let role = "enact_test_pointed_at";
    let db = Server::shared().database().await;
    db.exec(&format!(
        "DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$; \
         CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE); \
         CREATE TABLE q (id int PRIMARY KEY); CREATE TABLE d (id int PRIMARY KEY, q int REFERENCES q); \
         ALTER TABLE c ENABLE ROW LEVEL SECURITY; ALTER TABLE d ENABLE ROW LEVEL SECURITY; \
         GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};"
    ))
    .await;
    let url = db.url_as(role);
    let world = Tables::at(db, &url, |postgres| postgres);
    let error = world.refused("insert_row", json!({ "table": "p", "data": { "id": 1 } })).await;
    assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
    assert!(
        error.message().contains("row-level security") && error.message().contains("public.c"),
        "{error}"
    );
    // Here the server refuses what would reach a row.
    world.there_and_back("insert_row", json!({ "table": "q", "data": { "id": 1 } })).await;
}

#[tokio::test]
async fn a_table_that_cannot_be_changed_counts_only_where_its_rows_point_at_what_goes_away() {
    let world = Tables::with(
        "CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1), (2); \
         CREATE UNLOGGED TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE); \
         INSERT INTO c VALUES (1, 1);",
    )
    .await;
    world.there_and_back("insert_row", json!({ "table": "p", "data": { "id": 3 } })).await;
    world.there_and_back("delete_row", json!({ "table": "p", "where": { "id": 2 } })).await;
    let error = world.refused("delete_row", json!({ "table": "p", "where": { "id": 1 } })).await;
    assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
    assert!(error.message().contains("not logged"), "{error}");
}

#[tokio::test]
async fn what_comes_back_to_a_row_by_way_of_another_table_is_recorded_of_it() {
    let world = Tables::with(
        "CREATE TABLE p (id int PRIMARY KEY, c int); \
         CREATE TABLE c (id int PRIMARY KEY, k int UNIQUE REFERENCES p (id) ON UPDATE CASCADE); \
         INSERT INTO p VALUES (1, NULL); INSERT INTO c VALUES (1, 1); UPDATE p SET c = 1; \
         ALTER TABLE p ADD FOREIGN KEY (c) REFERENCES c (k) ON UPDATE CASCADE;",
    )
    .await;
    let params = json!({ "table": "p", "data": { "id": 2 }, "where": { "id": 1 } });
    let done = world.there_and_back("update_row", params).await;
    assert_eq!(done.output["rows"], json!([{ "id": 2, "c": 2 }]));
}

#[tokio::test]
async fn rows_follow_a_generated_column_and_come_back() {
    let world = Tables::with(
        "CREATE TABLE g (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a * 2) STORED UNIQUE); \
         CREATE TABLE c (id int PRIMARY KEY, g int REFERENCES g (g) ON UPDATE CASCADE ON DELETE SET NULL, \
           h int GENERATED ALWAYS AS (g + 1) STORED UNIQUE); \
         CREATE TABLE d (id int PRIMARY KEY, h int REFERENCES c (h) ON UPDATE CASCADE ON DELETE SET NULL); \
         INSERT INTO g (id, a) VALUES (1, 1), (2, 2); INSERT INTO c VALUES (1, 2), (2, 4); \
         INSERT INTO d VALUES (1, 3), (2, 5);",
    )
    .await;
    let params = json!({ "table": "g", "data": { "a": 5 }, "where": { "id": 1 } });
    let done = world.there_and_back("update_row", params).await;
    assert_eq!(done.facts["cascades"], json!({ "public.c": 1, "public.d": 1 }));
    let done = world.there_and_back("delete_row", json!({ "table": "g", "where": { "id": 1 } })).await;
    assert_eq!(done.facts["cascades"], json!({ "public.c": 1, "public.d": 1 }));
}

#[tokio::test]
async fn rows_follow_a_column_that_a_trigger_sets_and_come_back() {
    let world = Tables::with(
        "CREATE TABLE p (id int PRIMARY KEY, name text, code text UNIQUE); \
         CREATE FUNCTION code() RETURNS trigger LANGUAGE plpgsql AS \
           $$ BEGIN NEW.code = upper(NEW.name); RETURN NEW; END $$; \
         CREATE TRIGGER code BEFORE INSERT OR UPDATE ON p FOR EACH ROW EXECUTE FUNCTION code(); \
         CREATE TABLE c (id int PRIMARY KEY, code text REFERENCES p (code) ON UPDATE CASCADE); \
         INSERT INTO p VALUES (1, 'a'), (2, 'b'); INSERT INTO c VALUES (1, 'A'), (2, 'B');",
    )
    .await;
    let params = json!({ "table": "p", "data": { "name": "x" }, "where": { "id": 1 } });
    let done = world.there_and_back("update_row", params).await;
    assert_eq!(done.facts["cascades"], json!({ "public.c": 1 }));
}

/// Only what a change does change is captured: a trigger alone makes nobody follow.
#[tokio::test]
async fn rows_that_point_at_a_key_that_stays_are_left_out() {
    let sql = "CREATE TABLE p (id int PRIMARY KEY, name text, changed int DEFAULT 0); \
               CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN NEW.changed = OLD.changed + 1; RETURN NEW; END $$; \
               CREATE TRIGGER touch BEFORE UPDATE ON p FOR EACH ROW EXECUTE FUNCTION touch(); \
               CREATE TABLE c (p int REFERENCES p ON UPDATE CASCADE); \
               INSERT INTO p VALUES (1, 'a'); INSERT INTO c SELECT 1 FROM generate_series(1, 9);";
    let world = Tables::of(sql, |postgres: Postgres| postgres.max_rows(5)).await;
    let params = json!({ "table": "p", "data": { "name": "x" }, "where": { "id": 1 } });
    let done = world.act("update_row", params).await.unwrap();
    assert_eq!(done.facts["cascades"], json!({}));
    world.undo(&done, false).await.unwrap();
    // Nor is a row that was found and stayed as it was somebody's conflict later.
    let params = json!({ "table": "p", "data": { "id": 1, "name": "y" }, "where": { "id": 1 } });
    world.db.exec("TRUNCATE c; ALTER TABLE c ADD id int PRIMARY KEY; INSERT INTO c VALUES (1, 1)").await;
    let done = world.act("update_row", params).await.unwrap();
    assert_eq!(done.facts["cascades"], json!({}));
    world.db.exec("DELETE FROM c").await;
    world.undo(&done, false).await.unwrap();
}

#[tokio::test]
async fn a_forced_undo_keeps_rows_of_others_in_the_same_table_that_go_with_it() {
    let world = Tables::with(
        "CREATE TABLE staff (id int PRIMARY KEY, boss int REFERENCES staff ON DELETE CASCADE, name text);",
    )
    .await;
    let insert = json!({ "table": "staff", "data": { "id": 7, "name": "new" } });
    let done = world.act("insert_row", insert).await.unwrap();
    world.db.exec("INSERT INTO staff VALUES (8, 7, 'theirs')").await;
    let error = world.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
    let forced = world.undo(&done, true).await.unwrap();
    assert_eq!(world.value("SELECT count(*)::text FROM staff").await, "0");
    let changes = forced.pre.value()["changes"]["here"].clone();
    let kept = changes.as_array().unwrap().iter().flat_map(|change| change["rows"].as_array().unwrap());
    let kept: Vec<_> = kept.map(|row| row["before"].clone()).collect();
    assert_eq!(kept, [json!(["7", null, "new"]), json!(["8", "7", "theirs"])]);
}

/// Once without triggers, and once with one that does nothing to it.
#[tokio::test]
async fn rows_that_follow_what_comes_back_to_a_row_are_found() {
    for more in ["", "CREATE TRIGGER same BEFORE UPDATE ON c FOR EACH ROW EXECUTE FUNCTION same();"] {
        let world = Tables::with(&format!(
            "CREATE TABLE p (id int PRIMARY KEY, c int UNIQUE); \
             CREATE TABLE c (id int PRIMARY KEY, k int UNIQUE REFERENCES p (id) ON UPDATE CASCADE); \
             INSERT INTO p VALUES (1, NULL); INSERT INTO c VALUES (1, 1); UPDATE p SET c = 1; \
             ALTER TABLE p ADD FOREIGN KEY (c) REFERENCES c (k) ON UPDATE CASCADE; \
             CREATE TABLE e (id int PRIMARY KEY, c int REFERENCES p (c) ON UPDATE CASCADE); INSERT INTO e VALUES (1, 1); \
             CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; {more}"
        ))
        .await;
        let params = json!({ "table": "p", "data": { "id": 2 }, "where": { "id": 1 } });
        let done = world.there_and_back("update_row", params).await;
        assert_eq!(done.facts["cascades"], json!({ "public.c": 1, "public.e": 1 }), "{more}");
    }
}
