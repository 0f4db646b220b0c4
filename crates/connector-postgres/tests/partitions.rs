//! Tables in partitions: what a partition has of its own counts for the whole table.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_core::ErrorCode;
use serde_json::json;
use world::Tables;

#[tokio::test]
async fn partitioned_tables_move_rows_between_partitions_and_back() {
    let world = Tables::with(
        "CREATE TABLE m (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at); \
         CREATE TABLE m1 PARTITION OF m FOR VALUES FROM ('2026-01-01') TO ('2026-02-01'); \
         CREATE TABLE m2 PARTITION OF m FOR VALUES FROM ('2026-02-01') TO ('2026-03-01'); \
         INSERT INTO m VALUES (1, '2026-01-05', 'a'), (2, '2026-02-05', 'b');",
    )
    .await;
    let data = json!({ "at": "2026-02-07" });
    world.there_and_back("update_row", json!({ "table": "m", "data": data, "where": { "id": 1 } })).await;
    world.there_and_back("delete_row", json!({ "table": "m", "where": { "v": "b" } })).await;
    world.there_and_back("delete_row", json!({ "table": "m1", "where": { "id": 1 } })).await;
    let data = json!({ "id": 3, "at": "2026-01-31" });
    world.there_and_back("insert_row", json!({ "table": "m", "data": data })).await;
}

#[tokio::test]
async fn rows_that_point_at_a_partition_come_back_with_a_row_of_the_whole_table() {
    let world = Tables::with(
        "CREATE TABLE m (id int, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at); \
         CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10); ALTER TABLE m1 ADD UNIQUE (id); \
         CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20); \
         CREATE TABLE c (id int PRIMARY KEY, m int REFERENCES m1 (id) ON DELETE CASCADE ON UPDATE CASCADE); \
         INSERT INTO m VALUES (1, 5), (1, 15), (2, 5); INSERT INTO c VALUES (1, 1), (2, 2);",
    )
    .await;
    let one = json!({ "table": "m", "where": { "id": 1, "at": 5 } });
    let done = world.there_and_back("delete_row", one.clone()).await;
    assert_eq!(done.facts["cascades"], json!({ "public.c": 1 }));
    let data = json!({ "id": 7 });
    world
        .there_and_back("update_row", json!({ "table": "m", "data": data, "where": { "id": 1, "at": 5 } }))
        .await;
    // At its namesake in another partition nobody points.
    let done = world.there_and_back("delete_row", json!({ "table": "m", "where": { "at": 15 } })).await;
    assert_eq!(done.facts["cascades"], json!({}));
    world.there_and_back("insert_row", json!({ "table": "m", "data": { "id": 2, "at": 15 } })).await;
    // A key that is new is not overlooked.
    world
        .db
        .exec("CREATE TABLE d (id int PRIMARY KEY REFERENCES m1 (id) ON DELETE CASCADE); INSERT INTO d VALUES (1)")
        .await;
    let done = world.there_and_back("delete_row", one).await;
    assert_eq!(done.facts["cascades"], json!({ "public.c": 1, "public.d": 1 }));
}

#[tokio::test]
async fn a_table_with_a_partition_that_is_foreign_or_not_logged_is_not_changed() {
    let world = Tables::with(
        "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere; \
         CREATE TABLE f (id int, v int) PARTITION BY LIST (id); CREATE TABLE f1 PARTITION OF f FOR VALUES IN (1); \
         CREATE TABLE u (id int PRIMARY KEY, v int) PARTITION BY LIST (id); \
         CREATE TABLE u1 PARTITION OF u FOR VALUES IN (1);",
    )
    .await;
    for (table, partition, reason) in [
        ("f", "CREATE FOREIGN TABLE f2 PARTITION OF f FOR VALUES IN (2) SERVER far", "foreign"),
        ("u", "CREATE UNLOGGED TABLE u2 PARTITION OF u FOR VALUES IN (2)", "not logged"),
    ] {
        let insert = json!({ "table": table, "data": { "id": 1, "v": 1 } });
        let done = world.act("insert_row", insert.clone()).await.unwrap();
        world.undo(&done, false).await.unwrap();
        // Also where it is known already what the table is like.
        world.db.exec(partition).await;
        let error = world.act("insert_row", insert).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
        assert!(error.message().contains(reason), "{error}");
        let there = format!("SELECT count(*)::text FROM ONLY {table}1");
        assert_eq!(world.value(&there).await, "0");
    }
}

#[tokio::test]
async fn triggers_of_partitions_are_named_and_what_they_set_does_not_stop_the_undo() {
    let world = Tables::with(
        "CREATE TABLE q (id int PRIMARY KEY, v text, changed int DEFAULT 0) PARTITION BY LIST (id); \
         CREATE TABLE q1 PARTITION OF q FOR VALUES IN (1); CREATE TABLE q2 PARTITION OF q FOR VALUES IN (2); \
         CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS \
           $$ BEGIN NEW.changed = OLD.changed + 1; RETURN NEW; END $$; \
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
         CREATE TRIGGER touch BEFORE UPDATE ON q1 FOR EACH ROW EXECUTE FUNCTION touch(); \
         CREATE TRIGGER note AFTER UPDATE ON q FOR EACH ROW EXECUTE FUNCTION note(); \
         INSERT INTO q VALUES (1, 'a'), (2, 'b');",
    )
    .await;
    let update = json!({ "table": "q", "data": { "v": "z" }, "where": { "id": 1 } });
    let done = world.act("update_row", update).await.unwrap();
    assert_eq!(done.facts["triggers"], json!(["note (AFTER UPDATE)", "touch on public.q1 (BEFORE UPDATE)"]));
    let undone = world.undo(&done, false).await.unwrap();
    assert_eq!(undone.output["set_by_triggers"], json!(["public.q.changed"]));
    // A partition that is named itself has those of the whole table too.
    let update = json!({ "table": "q1", "data": { "v": "z" }, "where": { "id": 1 } });
    let done = world.act("update_row", update).await.unwrap();
    assert_eq!(done.facts["triggers"], json!(["note (AFTER UPDATE)", "touch (BEFORE UPDATE)"]));
}

/// The first rows of both partitions are in the same place of their files.
#[tokio::test]
async fn a_new_row_without_a_key_is_taken_back_alone_whatever_is_in_other_partitions() {
    let world = Tables::with(
        "CREATE TABLE k (a int, v text) PARTITION BY LIST (a); CREATE TABLE k1 PARTITION OF k FOR VALUES IN (1); \
         CREATE TABLE k2 PARTITION OF k FOR VALUES IN (2); INSERT INTO k VALUES (2, 'x');",
    )
    .await;
    world.there_and_back("insert_row", json!({ "table": "k", "data": { "a": 1, "v": "y" } })).await;
}
