//! Whatever the tables, whatever was done by the connector: undone in reverse order, everything is as it was.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

#[path = "random_tables/schema.rs"]
mod schema;
#[path = "random_tables/types.rs"]
mod types;
mod world;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed, TestError, TestRunner};
use schema::{Column, ForeignSpec, Table, TableSpec, foreign, make, quoted, table};
use serde_json::{Map, Value, json};
use tokio_postgres::Client;
use types::{OWN_TYPES, text};
use world::{Done, Tables};

/// How long cases are tried, where `PROPTEST_CASES` does not say how many.
const TIME: Duration = Duration::from_secs(60);

/// What is drawn for one case.
#[derive(Clone, Debug)]
struct Case {
    tables: Vec<TableSpec>,
    foreign: Vec<ForeignSpec>,
    rows: Vec<(u8, [u8; 18])>,
    actions: Vec<Draw>,
}

/// An action as it is drawn; columns, rows and values are numbers that are taken as far as there are any.
#[derive(Clone, Debug)]
enum Draw {
    Insert { table: u8, values: [u8; 18], left_out: u32 },
    Update { table: u8, set: Vec<u8>, values: [u8; 18], at: At },
    Delete { table: u8, at: At },
}

/// Which rows: those that have the values of one that is there.
#[derive(Clone, Debug)]
struct At {
    row: u8,
    columns: Vec<u8>,
}

fn case() -> impl Strategy<Value = Case> {
    (
        prop::collection::vec(table(), 1..5),
        prop::collection::vec(foreign(), 0..8),
        prop::collection::vec(any::<(u8, [u8; 18])>(), 10..50),
        prop::collection::vec(draw(), 4..16),
    )
        .prop_map(|(tables, foreign, rows, actions)| Case { tables, foreign, rows, actions })
}

fn draw() -> impl Strategy<Value = Draw> {
    // The first columns are those of the key, the last ones those of foreign keys.
    let column = |key| prop_oneof![key => 0..2_u8, 3 => any::<u8>()];
    let at = || {
        (any::<u8>(), prop::collection::vec(column(5), 1..3)).prop_map(|(row, columns)| At { row, columns })
    };
    let set = prop::collection::vec(column(1), 1..3);
    prop_oneof![
        2 => any::<(u8, [u8; 18], u32)>()
            .prop_map(|(table, values, left_out)| Draw::Insert { table, values, left_out }),
        5 => (any::<u8>(), set, any::<[u8; 18]>(), at())
            .prop_map(|(table, set, values, at)| Draw::Update { table, set, values, at }),
        4 => (any::<u8>(), at()).prop_map(|(table, at)| Draw::Delete { table, at }),
    ]
}

/// What came of the cases, so that a test that tests nothing shows.
#[derive(Default, Debug)]
struct Tally {
    cases: usize,
    unmade: usize,
    done: usize,
    along: usize,
    nothing: usize,
    refused: usize,
}

/// Values as parameters give them.
fn values<'a>(columns: impl IntoIterator<Item = (&'a Column, Option<String>)>) -> Value {
    let value = |(column, text): (&Column, Option<String>)| {
        let value = match text {
            Some(text) if column.of.is_json() => serde_json::from_str(&text).unwrap(),
            text => Value::from(text),
        };
        (column.name.clone(), value)
    };
    columns.into_iter().map(value).collect::<Map<_, _>>().into()
}

/// The values that were drawn for some columns.
async fn data(client: &Client, table: &Table, places: &[usize], drawn: &[u8]) -> Value {
    let columns: Vec<&Column> = places.iter().map(|at| &table.columns[*at]).collect();
    let drawn =
        places.iter().map(|at| format!("({})::{}", table.drawn(*at, drawn), table.columns[*at].of.sql));
    let texts = drawn.map(|value| text(&value)).collect::<Vec<_>>().join(", ");
    let row = client.query_one(&format!("SELECT ARRAY[{texts}]::text[]"), &[]).await;
    let texts: Vec<Option<String>> = row.unwrap_or_else(|error| panic!("{texts}: {error:?}")).get(0);
    values(columns.into_iter().zip(texts))
}

impl At {
    /// A table that has rows, and a condition with the values of one of them. The first rows of tables that foreign
    /// keys point at are taken more often.
    async fn of<'a>(&self, client: &Client, tables: &'a [Table], number: u8) -> (&'a Table, Value) {
        let mut tables: Vec<&Table> = tables.iter().collect();
        let first = usize::from(number) % tables.len();
        tables.rotate_left(first);
        tables.sort_by_key(|table| number > 90 && !table.pointed_at);
        for table in &tables {
            let texts: Vec<String> =
                table.columns.iter().map(|column| text(&format!("t.{}", quoted(&column.name)))).collect();
            let sql = format!("SELECT ARRAY[{}] FROM {} AS t ORDER BY t::text", texts.join(", "), table.name);
            let rows = client.query(&sql, &[]).await.unwrap();
            if rows.is_empty() {
                continue;
            }
            let row = usize::from(self.row) % rows.len().min(5);
            let mut texts: Vec<Option<String>> = rows[row].get(0);
            let at = |number: &u8| usize::from(*number) % table.columns.len();
            let columns = self.columns.iter().map(at).collect::<BTreeSet<_>>().into_iter();
            return (table, values(columns.map(|at| (&table.columns[at], texts[at].take()))));
        }
        (tables[0], json!({ "": null }))
    }
}

impl Draw {
    async fn request(&self, client: &Client, tables: &[Table]) -> (&'static str, Value) {
        match self {
            Self::Insert { table, values, left_out } => {
                let table = &tables[usize::from(*table) % tables.len()];
                let given = |at: &usize| !table.columns[*at].own && (left_out >> at) & 7 != 0;
                let columns: Vec<usize> = (0..table.columns.len()).filter(given).collect();
                let data = data(client, table, &columns, values).await;
                ("insert_row", json!({ "table": table.name, "data": data }))
            }
            Self::Update { table, set, values, at } => {
                let (table, at) = at.of(client, tables, *table).await;
                let columns: Vec<usize> = set.iter().map(|at| table.settable(usize::from(*at))).collect();
                let data = data(client, table, &columns, values).await;
                ("update_row", json!({ "table": table.name, "data": data, "where": at }))
            }
            Self::Delete { table, at } => {
                let (table, at) = at.of(client, tables, *table).await;
                ("delete_row", json!({ "table": table.name, "where": at }))
            }
        }
    }
}

/// Statements that fill the tables; each that the server refuses is left out.
fn fill(tables: &[Table], rows: &[(u8, [u8; 18])]) -> String {
    let mut sql = String::from("DO $do$ BEGIN\n");
    for (table, drawn) in rows {
        let table = &tables[usize::from(*table) % tables.len()];
        let (mut names, mut literals) = (Vec::new(), Vec::new());
        for (at, column) in table.columns.iter().enumerate().filter(|(_, column)| !column.own) {
            names.push(quoted(&column.name));
            literals.push(table.drawn(at, drawn));
        }
        let what = if names.is_empty() {
            "DEFAULT VALUES".to_owned()
        } else {
            format!("({}) VALUES ({})", names.join(", "), literals.join(", "))
        };
        let name = &table.name;
        writeln!(
            sql,
            "BEGIN INSERT INTO {name} {what}; SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED; \
             EXCEPTION WHEN integrity_constraint_violation OR check_violation THEN NULL; END;"
        )
        .unwrap();
    }
    sql + "END $do$"
}

/// Makes the tables; whether the server has them so.
async fn set_up(world: &Tables, case: &Case, schema: &str) -> Option<Vec<Table>> {
    let client = world.db.client().await;
    let (tables, sql) = make(schema, &case.tables, &case.foreign);
    client.batch_execute(&format!("CREATE SCHEMA \"{schema}\"")).await.unwrap();
    for statement in &sql {
        if let Err(error) = client.batch_execute(statement).await {
            // A key that cannot be pointed at, a default that a domain refuses.
            if std::env::var_os("ENACT_SHOW").is_some() {
                println!("{statement}\n  {}", error.as_db_error().unwrap());
            }
            if statement.starts_with("CREATE") {
                return None;
            }
        }
    }
    let rows = fill(&tables, &case.rows);
    client.batch_execute(&rows).await.unwrap_or_else(|error| panic!("{rows}: {error:?}"));
    Some(tables)
}

/// Does all of it and takes it back; what is wrong, in words.
async fn run(world: &Tables, case: &Case, schema: &str, tally: &RefCell<Tally>) -> Result<(), String> {
    tally.borrow_mut().cases += 1;
    let Some(tables) = set_up(world, case, schema).await else {
        tally.borrow_mut().unmade += 1;
        return Ok(());
    };
    let client = world.db.client().await;
    let mut dumps = vec![world.db.dump().await];
    let mut done: Vec<(Value, Done)> = Vec::new();
    for draw in &case.actions {
        let (action, params) = draw.request(&client, &tables).await;
        let outcome = world.act(action, params.clone()).await;
        let dump = world.db.dump().await;
        let mut tally = tally.borrow_mut();
        match outcome {
            Ok(one) if !one.already => {
                tally.done += 1;
                tally.along +=
                    usize::from(one.facts.get("cascades").is_some_and(|along| *along != json!({})));
                done.push((json!({ action: params }), one));
                dumps.push(dump);
            }
            other => {
                match &other {
                    Err(error) if error.code() == enact_core::ErrorCode::Internal => {
                        return Err(format!("{action} {params}: {error}"));
                    }
                    Err(error) => {
                        tally.refused += 1;
                        if std::env::var_os("ENACT_SHOW").is_some() {
                            println!("{action} {params}\n  {error}");
                        }
                    }
                    Ok(_) => tally.nothing += 1,
                }
                if dumps.last() != Some(&dump) {
                    return Err(format!("{action} {params} changed something: {other:?}"));
                }
            }
        }
    }
    let mut after = dumps.pop();
    for (request, one) in done.iter().rev() {
        let before = dumps.pop();
        if let Err(error) = world.undo(one, false).await {
            return Err(format!("{request} is not undone: {error}\n{}", one.pre.as_str()));
        }
        let now = Some(world.db.dump().await);
        if now != before {
            let texts = [before, after, now].map(Option::unwrap_or_default).join("\n---\n");
            return Err(format!("{request} is undone otherwise: before, after, now:\n{texts}"));
        }
        after = now;
    }
    Ok(())
}

#[test]
fn undone_in_reverse_order_all_tables_are_as_they_were() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(Tables::with(OWN_TYPES));
    let soak = std::env::var("PROPTEST_CASES").ok().map(|cases| cases.parse().unwrap());
    // A failing case prints its input, and its seed is kept beside this file.
    let mut runner = TestRunner::new(ProptestConfig {
        cases: soak.unwrap_or(400),
        max_shrink_iters: 400,
        source_file: Some(file!()),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        // The same cases at each run, so that a change is held to what it changed; others where they are asked for.
        rng_seed: if soak.is_some() { ProptestConfig::default().rng_seed } else { RngSeed::Fixed(1) },
        ..ProptestConfig::default()
    });
    let (tally, began) = (RefCell::new(Tally::default()), Instant::now());
    let outcome = runner.run(&case(), |case| {
        if soak.is_none() && began.elapsed() > TIME {
            return Ok(());
        }
        let schema = format!("s {}", tally.borrow().cases);
        let outcome = runtime.block_on(async {
            let outcome = run(&world, &case, &schema, &tally).await;
            world.db.exec(&format!("DROP SCHEMA \"{schema}\" CASCADE")).await;
            outcome
        });
        outcome.map_err(TestCaseError::fail)
    });
    println!("{:?}", tally.borrow());
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => {
            let (_, sql) = make("s", &case.tables, &case.foreign);
            panic!("{why}\n{}\n{case:?}", sql.join("\n"));
        }
        Err(error) => panic!("{error}"),
    }
    let tally = tally.into_inner();
    assert!(tally.done > tally.cases && tally.along > 0 && tally.unmade * 4 < tally.cases, "{tally:?}");
}
