//! The cases of Postgres that break others, each by its number.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_core::action::Undo;
use enact_core::ids::Direction;
use enact_core::json::JsonText;
use enact_core::{Capture, ErrorCode};
use serde_json::{Value, json};
use world::Tables;

const PEOPLE: &str = "CREATE TABLE people (id int PRIMARY KEY, name text, town text, age int); \
     INSERT INTO people VALUES (1, 'Ada', 'London', 36), (2, 'Bob', 'Paris', 20), (3, 'Eve', 'London', 50);";

#[tokio::test]
async fn case_15_an_update_of_several_rows_gives_each_of_them_back() {
    let world = Tables::with(PEOPLE).await;
    let params =
        json!({ "table": "people", "data": { "age": 1, "name": "x" }, "where": { "town": "London" } });
    let done = world.there_and_back("update_row", params).await;
    assert_eq!(done.output["rows_updated"], 2);
    assert_eq!(done.output["rows"][1], json!({ "id": 3, "name": "x", "town": "London", "age": 1 }));
}

#[tokio::test]
async fn case_16_an_update_of_the_column_that_it_looks_for_is_undone() {
    let world = Tables::with(PEOPLE).await;
    let params = json!({ "table": "people", "data": { "town": "Rome" }, "where": { "town": "London" } });
    world.there_and_back("update_row", params).await;
    // The key itself too.
    let params = json!({ "table": "people", "data": { "id": 9 }, "where": { "id": 1 } });
    world.there_and_back("update_row", params).await;
}

#[tokio::test]
async fn case_17_an_insert_is_undone_by_its_primary_key_wherever_that_stands() {
    let world = Tables::with(
        "CREATE TABLE logs (kind text, at int, note text, PRIMARY KEY (note, at)); \
         INSERT INTO logs VALUES ('info', 1, 'a'), ('info', 2, 'b');",
    )
    .await;
    let params = json!({ "table": "logs", "data": { "kind": "info", "at": 1, "note": "b" } });
    world.there_and_back("insert_row", params).await;
}

#[tokio::test]
async fn case_17_rows_without_a_primary_key_are_not_changed_unless_that_is_configured() {
    let sql = "CREATE TABLE loose (a int, b text); INSERT INTO loose VALUES (1, 'x'), (1, 'x'), (2, 'y');";
    let world = Tables::with(sql).await;
    for (action, params) in [
        ("update_row", json!({ "table": "loose", "data": { "b": "z" }, "where": { "a": 2 } })),
        ("delete_row", json!({ "table": "loose", "where": { "a": 2 } })),
    ] {
        let error = world.refused(action, params.clone()).await;
        assert_eq!(error.code(), ErrorCode::Irreversible, "{error}");
        assert!(error.message().contains("allow_irreversible"), "{error}");
        let permitted = Tables::of(sql, |postgres| postgres.allow_irreversible(true)).await;
        let done = permitted.act(action, params).await.unwrap();
        assert!(done.facts["irreversible"].is_string(), "policies are not told: {:?}", done.facts);
        let undo = done.action.undo(&done.pre, Some(&JsonText::encode(&done.output).unwrap()));
        assert!(matches!(undo.unwrap(), Undo::Irreversible(_)));
    }
}

#[tokio::test]
async fn case_17_a_new_row_without_a_key_is_taken_back_only_where_just_one_is_like_it() {
    let world = Tables::with("CREATE TABLE loose (a int, b text); INSERT INTO loose VALUES (1, 'x');").await;
    let done =
        world.there_and_back("insert_row", json!({ "table": "loose", "data": { "a": 2, "b": null } })).await;
    assert_eq!(done.facts.get("irreversible"), Some(&json!(null)));
    let done =
        world.act("insert_row", json!({ "table": "loose", "data": { "a": 1, "b": "x" } })).await.unwrap();
    let error = world.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PreconditionFailed, "force would not help: {error}");
    assert_eq!(world.value("SELECT count(*)::text FROM loose").await, "2");
}

#[tokio::test]
async fn case_18_what_is_captured_cannot_change_before_it_is_committed() {
    let world = Tables::with(PEOPLE).await;
    let update = json!({ "table": "people", "data": { "age": 37 }, "where": { "id": 1 } });
    let action = world.prepare("update_row", &update).unwrap();
    let cx = world.cx(Direction::Forward, false);
    let Capture::Ready { pre, ready, .. } = action.capture(&cx).await.unwrap() else { panic!() };
    // Somebody else wants the row between capture and commit: they wait, and come after.
    let client = world.db.client().await;
    client.batch_execute("SET lock_timeout = '50ms'").await.unwrap();
    let other = client.batch_execute("UPDATE people SET age = 99 WHERE id = 1").await.unwrap_err();
    assert_eq!(other.code().unwrap().code(), "55P03", "the row is not locked");
    action.perform(&cx, ready).await.unwrap();
    assert!(pre.as_str().contains("\"36\""), "{pre:?}");
}

#[tokio::test]
async fn case_19_generated_and_identity_columns_and_json_come_back_as_they_were() {
    let world = Tables::with(
        "CREATE TABLE odd (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n numeric(12, 3), \
           twice numeric GENERATED ALWAYS AS (n * 2) STORED, j json, b jsonb); \
         INSERT INTO odd (n, j, b) VALUES (1.500, '{\"b\" : 1,  \"a\":1, \"a\": 2}', '{\"b\": 1.10}'), \
           ('NaN', NULL, 'null');",
    )
    .await;
    world.there_and_back("delete_row", json!({ "table": "odd", "where": { "id": 1 } })).await;
    let data = json!({ "n": 7, "j": null, "b": [1, { "x": null }] });
    world.there_and_back("update_row", json!({ "table": "odd", "data": data, "where": { "id": 1 } })).await;
    world.there_and_back("insert_row", json!({ "table": "odd", "data": { "n": "NaN" } })).await;
}

#[tokio::test]
async fn case_19_an_undo_gives_back_all_rows_or_none() {
    let world = Tables::with(PEOPLE).await;
    let params = json!({ "table": "people", "data": { "age": 1 }, "where": { "town": "London" } });
    let done = world.act("update_row", params).await.unwrap();
    world.db.exec("UPDATE people SET name = 'else' WHERE id = 3").await;
    let between = world.db.dump().await;
    let error = world.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict);
    assert!(error.message().contains("id = 3") && error.message().contains("name"), "{error}");
    assert_eq!(world.db.dump().await, between, "a part was given back");
}

#[tokio::test]
async fn case_19_rows_that_foreign_keys_change_along_come_back_through_any_number_of_tables() {
    let world = Tables::with(
        "CREATE TABLE a (id int PRIMARY KEY); \
         CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE); \
         CREATE TABLE c (id text, n int, b int REFERENCES b ON DELETE CASCADE, PRIMARY KEY (id, n)); \
         CREATE TABLE d (id int PRIMARY KEY, b int DEFAULT 8 REFERENCES b ON DELETE SET DEFAULT, \
           c text, n int, FOREIGN KEY (c, n) REFERENCES c ON DELETE SET NULL); \
         ALTER TABLE a ADD parent int REFERENCES a ON DELETE CASCADE, \
           ADD friend int REFERENCES d ON DELETE SET NULL; \
         INSERT INTO a VALUES (1, NULL, NULL), (2, 1, NULL), (3, 2, NULL), (9, NULL, NULL); \
         INSERT INTO b VALUES (10, 1), (11, 2), (8, 9); \
         INSERT INTO c VALUES ('x', 1, 10), ('x', 2, 11), ('y', 1, 8); \
         INSERT INTO d VALUES (1, 10, 'x', 1), (2, 8, 'x', 2), (3, 11, 'y', 1); \
         UPDATE a SET friend = 1 WHERE id IN (2, 9);",
    )
    .await;
    let done = world.there_and_back("delete_row", json!({ "table": "a", "where": { "id": 1 } })).await;
    assert_eq!(done.output["rows_deleted"], 1);
    let cascades = &done.facts["cascades"];
    assert_eq!(cascades["public.b"], 2, "{cascades}");
}

#[tokio::test]
async fn case_19_a_row_that_points_at_itself_follows_its_own_key_and_comes_back() {
    let world = Tables::with(
        "CREATE TABLE t (id int PRIMARY KEY, boss int REFERENCES t ON UPDATE CASCADE); \
         INSERT INTO t VALUES (1, 1), (2, 1);",
    )
    .await;
    let params = json!({ "table": "t", "data": { "id": 9 }, "where": { "id": 1 } });
    let done = world.there_and_back("update_row", params).await;
    assert_eq!(done.output["rows"], json!([{ "id": 9, "boss": 9 }]));
}

#[tokio::test]
async fn case_19_a_delete_whose_consequences_cannot_be_captured_is_refused_with_the_reason() {
    let world = Tables::with(&format!(
        "{PEOPLE} CREATE TABLE notes (person int REFERENCES people ON DELETE CASCADE, text text); \
         INSERT INTO notes VALUES (1, 'hello');"
    ))
    .await;
    let error = world.refused("delete_row", json!({ "table": "people", "where": { "id": 1 } })).await;
    assert_eq!(error.code(), ErrorCode::Unsupported);
    assert!(error.message().contains("notes") && error.message().contains("primary key"), "{error}");
    // Nobody points at this one.
    world.there_and_back("delete_row", json!({ "table": "people", "where": { "id": 2 } })).await;
}

#[tokio::test]
async fn case_20_an_undo_leaves_alone_what_others_wrote_until_it_is_forced() {
    let world = Tables::with(PEOPLE).await;
    let before = world.db.dump().await;
    let update = json!({ "table": "people", "data": { "age": 1 }, "where": { "id": 1 } });
    let delete = json!({ "table": "people", "where": { "id": 2 } });
    let insert = json!({ "table": "people", "data": { "id": 4, "name": "new" } });
    for (action, params, meddle) in [
        ("update_row", &update, "UPDATE people SET town = 'Bath' WHERE id = 1"),
        ("update_row", &update, "DELETE FROM people WHERE id = 1"),
        ("delete_row", &delete, "INSERT INTO people VALUES (2, 'else')"),
        ("insert_row", &insert, "UPDATE people SET name = 'mine' WHERE id = 4"),
    ] {
        let done = world.act(action, params.clone()).await.unwrap();
        world.db.exec(meddle).await;
        let between = world.db.dump().await;
        let error = world.undo(&done, false).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Conflict, "{meddle}: {error}");
        assert_eq!(world.db.dump().await, between, "{meddle}");
        let forced = world.undo(&done, true).await.unwrap();
        assert_eq!(world.db.dump().await, before, "{meddle}");
        // What was overwritten is kept.
        let kept: Value = forced.pre.value()["changes"]["here"][0]["rows"][0]["before"].clone();
        assert_eq!(kept.is_null(), meddle.starts_with("DELETE"), "{kept}");
    }
}

#[tokio::test]
async fn case_20_an_undo_does_not_take_away_rows_that_others_hung_on_a_new_one() {
    let world = Tables::with(&format!(
        "{PEOPLE} CREATE TABLE pets (id int PRIMARY KEY, owner int REFERENCES people ON DELETE CASCADE); \
         CREATE TABLE cars (id int PRIMARY KEY, owner int REFERENCES people);"
    ))
    .await;
    let insert = json!({ "table": "people", "data": { "id": 4, "name": "new" } });
    // Force takes a row along that would be deleted with the new one, and none that keeps it from being deleted.
    for (child, code) in [("pets", ErrorCode::Conflict), ("cars", ErrorCode::PreconditionFailed)] {
        let done = world.act("insert_row", insert.clone()).await.unwrap();
        world.db.exec(&format!("INSERT INTO {child} VALUES (1, 4)")).await;
        let between = world.db.dump().await;
        let error = world.undo(&done, false).await.unwrap_err();
        assert_eq!(error.code(), code, "{child}: {error}");
        assert!(error.message().contains(child), "{error}");
        assert_eq!(world.db.dump().await, between);
        world.db.exec(&format!("DELETE FROM {child}")).await;
        world.undo(&done, false).await.unwrap();
    }
}

#[tokio::test]
async fn case_20_an_undo_leaves_a_table_alone_that_has_taken_the_place_of_the_changed_one() {
    let world = Tables::with(PEOPLE).await;
    let insert = json!({ "table": "people", "data": { "id": 4, "name": "new" } });
    let done = world.act("insert_row", insert).await.unwrap();
    let swap = "ALTER TABLE people RENAME TO people_old; CREATE TABLE people (LIKE people_old INCLUDING ALL); \
                INSERT INTO people SELECT * FROM people_old;";
    world.db.exec(swap).await;
    let between = world.db.dump().await;

    let error = world.undo(&done, false).await.unwrap_err();

    assert_eq!(error.code(), ErrorCode::Conflict, "{error}");
    assert!(error.message().contains("another table has the name public.people"), "{error}");
    assert_eq!(world.db.dump().await, between);
    world.undo(&done, true).await.unwrap();
    assert_eq!(world.value("SELECT count(*)::text FROM people WHERE id = 4").await, "0");
    assert_eq!(world.value("SELECT count(*)::text FROM people_old WHERE id = 4").await, "1");
}

#[tokio::test]
async fn case_21_a_statement_that_failed_leaves_no_connection_in_a_broken_transaction() {
    let world = Tables::with(PEOPLE).await;
    for _ in 0..20 {
        let params = json!({ "table": "people", "data": { "id": 1 } });
        assert_eq!(world.refused("insert_row", params).await.code(), ErrorCode::AlreadyExists);
        world.there_and_back("insert_row", json!({ "table": "people", "data": { "id": 5 } })).await;
    }
    let left = "SELECT count(*)::text FROM pg_stat_activity \
                WHERE datname = current_database() AND application_name = 'enact' AND state LIKE '%in transaction%'";
    assert_eq!(world.value(left).await, "0");
}

#[tokio::test]
async fn case_22_null_is_found_by_is_null() {
    let world = Tables::with(
        "CREATE TYPE pair AS (a int, b int); \
         CREATE TABLE t (id int PRIMARY KEY, x int, p pair); \
         INSERT INTO t VALUES (1, NULL, NULL), (2, 0, ROW(NULL, NULL)), (3, NULL, ROW(1, 2));",
    )
    .await;
    let found = |condition: Value| {
        let params = json!({ "table": "t", "columns": ["id"], "where": condition });
        async { world.act("select_rows", params).await.unwrap().output["rows"].clone() }
    };
    assert_eq!(found(json!({ "x": null })).await, json!([{ "id": 1 }, { "id": 3 }]));
    // A composite of nulls is a value.
    assert_eq!(found(json!({ "p": null })).await, json!([{ "id": 1 }]));
    world.there_and_back("delete_row", json!({ "table": "t", "where": { "x": null } })).await;
}

/// What a capture finds of the rows' keys; it is not performed.
async fn keys(world: &Tables, action: &str, params: &Value) -> Value {
    let prepared = world.prepare(action, params).unwrap();
    match prepared.capture(&world.cx(Direction::Forward, false)).await.unwrap() {
        Capture::Ready { facts, .. } => facts["keys"].clone(),
        Capture::AlreadyDone(output) => panic!("it is so already: {output:?}"),
    }
}

#[tokio::test]
async fn an_approval_is_for_the_very_rows_and_not_for_their_number() {
    let world = Tables::with(PEOPLE).await;
    let params = json!({ "table": "people", "data": { "age": 1 }, "where": { "town": "London" } });
    let found = keys(&world, "update_row", &params).await;
    assert_eq!(found.as_str().unwrap().len(), 64, "{found}");
    world.db.exec("UPDATE people SET name = 'Ada L.', age = 37 WHERE id = 1").await;
    assert_eq!(
        keys(&world, "update_row", &params).await,
        found,
        "they are the same rows, whatever is in them"
    );
    world
        .db
        .exec("DELETE FROM people WHERE id = 1; INSERT INTO people VALUES (1, 'Ada', 'London', 36)")
        .await;
    assert_eq!(keys(&world, "update_row", &params).await, found, "in whatever order they are found");
    world
        .db
        .exec("UPDATE people SET town = CASE id WHEN 2 THEN 'London' ELSE 'Paris' END WHERE id < 3")
        .await;
    assert_ne!(keys(&world, "update_row", &params).await, found, "two rows as before, and others");
}

#[tokio::test]
async fn rows_that_foreign_keys_change_along_and_rows_without_a_key_are_named_too() {
    let world = Tables::of(
        "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1), (2); \
         CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE); INSERT INTO b VALUES (1, 1), (2, 2); \
         CREATE TABLE c (t text, n int); INSERT INTO c VALUES ('x', 1), ('y', 1);",
        |postgres| postgres.allow_irreversible(true),
    )
    .await;
    let parent = json!({ "table": "a", "where": { "id": 1 } });
    let found = keys(&world, "delete_row", &parent).await;
    world.db.exec("UPDATE b SET a = 3 - a").await;
    assert_ne!(keys(&world, "delete_row", &parent).await, found, "another row goes along");
    let keyless = json!({ "table": "c", "where": { "n": 1 } });
    let found = keys(&world, "delete_row", &keyless).await;
    assert_eq!(keys(&world, "delete_row", &keyless).await, found);
    world.db.exec("UPDATE c SET t = 'z' WHERE t = 'y'").await;
    assert_ne!(keys(&world, "delete_row", &keyless).await, found);
    let new = json!({ "table": "a", "data": { "id": 3 } });
    assert_eq!(keys(&world, "insert_row", &new).await, Value::Null, "there was no row before");
}
