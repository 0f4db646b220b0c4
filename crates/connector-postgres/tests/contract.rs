//! The connector suite, on every action.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test by panicking")]

mod world;

use enact_testkit::connector_suite::{Case, check};
use serde_json::json;
use world::{Tables, meanwhile};

const SHOP: &str = r#"
    CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE TABLE users (
        id int PRIMARY KEY, name text NOT NULL, email text UNIQUE, mood mood, born date, meta jsonb,
        shown text GENERATED ALWAYS AS (name || '!') STORED
    );
    CREATE TABLE orders (
        id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        customer int REFERENCES users ON DELETE CASCADE ON UPDATE CASCADE,
        boss int REFERENCES users ON DELETE SET NULL, total numeric(10, 2), tags text[]
    );
    INSERT INTO users VALUES (1, 'Ada', 'a@x', 'glad', '1815-12-10', '{"k": [1.50, null]}'),
        (2, 'Bob', NULL, NULL, NULL, NULL), (3, 'Eve', 'e@x', 'sad', NULL, '"x"');
    INSERT INTO orders (customer, boss, total, tags) VALUES (1, 2, 9.90, '{a,"b c",NULL}'), (1, 1, 0, NULL),
        (2, 1, NULL, '[3:3]={x}');
"#;

async fn shop() -> Tables {
    Tables::with(SHOP).await
}

#[tokio::test]
async fn insert_row() {
    let data = json!({ "id": 9, "name": "Zoë", "mood": "sad", "born": "2000-02-29", "meta": { "a": [1] } });
    let case = Case::new("insert_row", json!({ "table": "users", "data": data }))
        .requires(["table", "data"])
        .refuses(json!({ "table": "a.b.c", "data": {} }), "table")
        .refuses(json!({ "table": "", "data": {} }), "table")
        .refuses(json!({ "table": "users", "data": [] }), "data")
        .disturbed_by(|world: &Tables| meanwhile(&world.db, "UPDATE users SET name = 'else' WHERE id = 9"))
        .keeping("else");
    check(&case, shop).await;
}

#[tokio::test]
async fn insert_row_with_a_key_that_the_server_gives() {
    let data = json!({ "customer": 3, "total": 1.25, "tags": ["x", null, "y,z"] });
    let case = Case::new("insert_row", json!({ "table": "public.orders", "data": data })).disturbed_by(
        |world: &Tables| meanwhile(&world.db, "UPDATE orders SET total = 2 WHERE customer = 3"),
    );
    check(&case, shop).await;
}

#[tokio::test]
async fn update_row_of_several_rows() {
    let params =
        json!({ "table": "users", "data": { "mood": "glad", "meta": null }, "where": { "born": null } });
    let case = Case::new("update_row", params)
        .requires(["table", "data", "where"])
        .refuses(json!({ "table": "users", "data": { "name": "x" }, "where": {} }), "where")
        .refuses(json!({ "table": "users", "data": {}, "where": { "id": 1 } }), "data")
        .disturbed_by(|world: &Tables| meanwhile(&world.db, "UPDATE users SET meta = '1' WHERE id = 3"));
    check(&case, shop).await;
}

#[tokio::test]
async fn update_row_of_a_key_that_others_follow() {
    let params = json!({ "table": "users", "data": { "id": 7 }, "where": { "name": "Ada" } });
    // Only `customer` follows; `boss` would refuse.
    let world = async || Tables::with(&format!("{SHOP} UPDATE orders SET boss = NULL;")).await;
    let case = Case::new("update_row", params)
        .disturbed_by(|world: &Tables| meanwhile(&world.db, "UPDATE users SET born = NULL WHERE id = 7"));
    check(&case, world).await;
}

#[tokio::test]
async fn delete_row_with_what_foreign_keys_take_along() {
    let case = Case::new("delete_row", json!({ "table": "users", "where": { "id": 1 } }))
        .requires(["table", "where"])
        .refuses(json!({ "table": "users", "where": {} }), "where")
        .disturbed_by(|world: &Tables| {
            meanwhile(&world.db, "INSERT INTO users (id, name) VALUES (1, 'another')");
        })
        .keeping("another");
    check(&case, shop).await;
}

#[tokio::test]
async fn select_rows() {
    let params = json!({
        "table": "users", "columns": ["name", "meta"], "where": { "mood": "glad" }, "order_by": "name desc",
        "limit": 5
    });
    let case = Case::new("select_rows", params)
        .requires(["table"])
        .refuses(json!({ "table": "users", "limit": -1 }), "limit")
        .refuses(json!({ "table": "users", "columns": "name" }), "columns");
    check(&case, shop).await;
}

#[tokio::test]
async fn update_row_of_more_than_a_record_holds() {
    let many = "CREATE TABLE big (id int PRIMARY KEY, text text, n int DEFAULT 0); \
                INSERT INTO big SELECT g, repeat('x', 500), 0 FROM generate_series(1, 400) g;";
    let case = Case::new("update_row", json!({ "table": "big", "data": { "n": 1 }, "where": { "n": 0 } }))
        .disturbed_by(|world: &Tables| meanwhile(&world.db, "UPDATE big SET text = 'y' WHERE id = 77"));
    check(&case, async || Tables::with(many).await).await;
}
