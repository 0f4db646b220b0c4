//! Random tables, random rows, random actions, all undone in reverse order: the database is byte for byte as before.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};
use world::Tables;

/// Types with values that are telling.
const TYPES: &[(&str, &[&str])] = &[
    ("int", &["0", "7", "-2147483648"]),
    ("text", &["", "a\"b\\,{}", "NULL", "ü\n"]),
    ("numeric", &["1.50", "NaN", "-0.000"]),
    ("float8", &["-0", "Infinity", "0.1"]),
    ("timestamptz", &["2026-11-25 01:02:03.4+00", "-infinity"]),
    ("bytea", &["\\x", "\\x00ff"]),
    ("int4[]", &["{}", "{1,NULL}", "[2:3]={1,2}"]),
    ("char(4)", &["", "ab"]),
    ("interval", &["1 mon -1 day", "00:00:00.000001"]),
    ("bool", &["t", "f"]),
];

/// A column beside the key: its type, whether it is NOT NULL, its values for each row.
#[derive(Clone, Debug)]
struct Column {
    kind: (&'static str, &'static [&'static str]),
    required: bool,
    values: Vec<Option<Index>>,
}

/// A table with a key of one or two columns, and perhaps a foreign key onto the one before it or onto itself.
#[derive(Clone, Debug)]
struct Table {
    composite: bool,
    rows: usize,
    columns: Vec<Column>,
    points: Option<(bool, &'static str, &'static str)>,
    generated: bool,
}

#[derive(Clone, Debug)]
enum Act {
    Insert { table: Index, key: usize, values: Vec<Option<Index>> },
    Update { table: Index, by_key: Option<usize>, column: Index, value: Option<Index> },
    Move { table: Index, from: usize, to: usize },
    Delete { table: Index, key: usize },
}

fn column() -> impl Strategy<Value = Column> {
    let values = prop::collection::vec(prop::option::of(any::<Index>()), 6);
    (select(TYPES), any::<bool>(), values).prop_map(|(kind, required, values)| Column {
        kind,
        required,
        values,
    })
}

fn table() -> impl Strategy<Value = Table> {
    let on_delete = select(&["CASCADE", "SET NULL", "RESTRICT", "NO ACTION"][..]);
    let on_update = select(&["CASCADE", "SET NULL", "NO ACTION DEFERRABLE INITIALLY DEFERRED"][..]);
    let points = prop::option::of((any::<bool>(), on_delete, on_update));
    (any::<bool>(), 1..6_usize, prop::collection::vec(column(), 1..4), points, any::<bool>()).prop_map(
        |(composite, rows, columns, points, generated)| Table { composite, rows, columns, points, generated },
    )
}

fn act() -> impl Strategy<Value = Act> {
    let value = || prop::option::of(any::<Index>());
    prop_oneof![
        (any::<Index>(), 1..9_usize, prop::collection::vec(value(), 3))
            .prop_map(|(table, key, values)| Act::Insert { table, key, values }),
        (any::<Index>(), prop::option::of(1..7_usize), any::<Index>(), value())
            .prop_map(|(table, by_key, column, value)| Act::Update { table, by_key, column, value }),
        (any::<Index>(), 1..7_usize, 1..12_usize).prop_map(|(table, from, to)| Act::Move { table, from, to }),
        (any::<Index>(), 1..7_usize).prop_map(|(table, key)| Act::Delete { table, key }),
    ]
}

/// Names that have to be quoted.
fn name(at: usize) -> String {
    format!("t \"{at}.x")
}

fn sql_name(at: usize) -> String {
    format!("\"{}\"", name(at).replace('"', "\"\""))
}

/// The name as a parameter gives it: it holds a dot.
fn param_name(at: usize) -> String {
    sql_name(at)
}

fn schema(tables: &[Table]) -> String {
    let mut sql = String::new();
    for (at, table) in tables.iter().enumerate() {
        write!(sql, "CREATE TABLE {} (id int UNIQUE, ", sql_name(at)).unwrap();
        if table.composite {
            sql.push_str("\"select\" text DEFAULT 'k', ");
        }
        for (number, column) in table.columns.iter().enumerate() {
            let required = if column.required { " NOT NULL" } else { "" };
            write!(sql, "c{number} {}{required}, ", column.kind.0).unwrap();
        }
        if table.generated {
            sql.push_str("twice int GENERATED ALWAYS AS (id * 2) STORED, ");
        }
        if let Some((itself, on_delete, on_update)) = table.points {
            let at = if itself { at } else { at.saturating_sub(1) };
            let to = sql_name(at);
            write!(sql, "up int REFERENCES {to} (id) ON DELETE {on_delete} ON UPDATE {on_update}, ").unwrap();
        }
        sql.push_str(if table.composite {
            "PRIMARY KEY (id, \"select\"));\n"
        } else {
            "PRIMARY KEY (id));\n"
        });
        for row in 1..=table.rows {
            let mut names = "id".to_owned();
            let mut values = row.to_string();
            for (number, column) in table.columns.iter().enumerate() {
                write!(names, ", c{number}").unwrap();
                match text(column, column.values[row - 1].as_ref()) {
                    Some(text) => write!(values, ", '{}'", text.replace('\'', "''")).unwrap(),
                    None => values.push_str(", NULL"),
                }
            }
            writeln!(sql, "INSERT INTO {} ({names}) VALUES ({values});", sql_name(at)).unwrap();
        }
    }
    for (at, table) in tables.iter().enumerate() {
        if let Some((itself, ..)) = table.points {
            let (own, to) = (sql_name(at), sql_name(if itself { at } else { at.saturating_sub(1) }));
            writeln!(
                sql,
                "UPDATE {own} AS c SET up = (SELECT id FROM {to} WHERE id = 1 + (c.id * 7 % 5)) WHERE c.id % 3 > 0;"
            )
            .unwrap();
        }
    }
    sql
}

fn text(column: &Column, value: Option<&Index>) -> Option<&'static str> {
    match value {
        Some(value) => Some(column.kind.1[value.index(column.kind.1.len())]),
        None if column.required => Some(column.kind.1[0]),
        None => None,
    }
}

fn request(tables: &[Table], act: &Act) -> (&'static str, Value) {
    let find = |table: &Index| {
        let at = table.index(tables.len());
        (param_name(at), &tables[at])
    };
    match act {
        Act::Insert { table, key, values } => {
            let (name, table) = find(table);
            let mut data = Map::from_iter([("id".to_owned(), json!(key))]);
            for (number, column) in table.columns.iter().enumerate() {
                data.insert(format!("c{number}"), json!(text(column, values[number].as_ref())));
            }
            ("insert_row", json!({ "table": name, "data": data }))
        }
        Act::Update { table, by_key, column, value } => {
            let (name, table) = find(table);
            let number = column.index(table.columns.len());
            let column = &table.columns[number];
            let condition = match by_key {
                Some(key) => json!({ "id": key }),
                None => json!({ (format!("c{number}")): text(column, column.values[0].as_ref()) }),
            };
            let data = json!({ (format!("c{number}")): text(column, value.as_ref()) });
            ("update_row", json!({ "table": name, "data": data, "where": condition }))
        }
        Act::Move { table, from, to } => {
            let (name, _) = find(table);
            ("update_row", json!({ "table": name, "data": { "id": to }, "where": { "id": from } }))
        }
        Act::Delete { table, key } => {
            ("delete_row", json!({ "table": find(table).0, "where": { "id": key } }))
        }
    }
}

/// Carries the actions out as far as they are possible, and undoes them all.
async fn there_and_back(tables: &[Table], acts: &[Act]) {
    let world = Tables::with(&schema(tables)).await;
    let before = world.db.dump().await;
    let mut done = Vec::new();
    for act in acts {
        let (action, params) = request(tables, act);
        let now = world.db.dump().await;
        match world.act(action, params.clone()).await {
            Ok(acted) if acted.already => assert_eq!(world.db.dump().await, now, "{action} {params}"),
            Ok(acted) => done.push((now, format!("{action} {params}"), acted)),
            // It is refused by the tables, or because it could not be undone.
            Err(error) => assert_eq!(world.db.dump().await, now, "{action} {params}: {error}"),
        }
    }
    for (then, what, acted) in done.iter().rev() {
        let undone = world.undo(acted, false).await;
        assert!(undone.is_ok(), "{what} is not undone: {undone:?}");
        assert_eq!(world.db.dump().await, *then, "{what} is undone otherwise");
    }
    assert_eq!(world.db.dump().await, before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_whatever_tables_comes_back(
        tables in prop::collection::vec(table(), 1..4),
        acts in prop::collection::vec(act(), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(there_and_back(&tables, &acts));
    }
}
