//! Many runs at once on the same few rows: nothing is lost, and an undo takes back the newest change alone.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod served;

use std::collections::BTreeMap;

use enact_core::run::{RunStatus, UndoOutcome};
use enact_runtime::{Enact, Run};
use enact_store::MemoryStore;
use enact_testkit::postgres::{Database, Server};
use futures::future::join_all;
use serde_json::json;
use served::{asked, attempts, roll_back, within};

/// How many runs are under way at once.
const RUNS: usize = 64;

/// A database with some counters, all of them 0, and a runtime on it.
async fn counters(rows: usize) -> (Database, Enact) {
    let db = Server::shared().database().await;
    db.exec(&format!(
        "CREATE TABLE counters (id int PRIMARY KEY, n int); \
         INSERT INTO counters SELECT g, 0 FROM generate_series(0, {rows} - 1) g;"
    ))
    .await;
    let enact = served::enact(within(&db.url(), 30), &MemoryStore::default()).await;
    (db, enact)
}

/// Runs that set the counters to values that nobody else sets, all at once. Every second one looks for its row by other
/// words, so that the server too makes them wait for each other.
async fn set_all(enact: &Enact, rows: usize) -> Vec<Run> {
    let runs = (1..=RUNS).map(|value| {
        let row = value % rows;
        let condition = if (value / rows).is_multiple_of(2) {
            json!({ "id": row })
        } else {
            json!({ "id": row.to_string() })
        };
        let params = json!({ "table": "counters", "data": { "n": value }, "where": condition });
        enact.run_to_end(asked("update_row", &params))
    });
    join_all(runs).await.into_iter().map(Result::unwrap).collect()
}

/// The counter that a run changed, and its value before and after, by the run's own record.
fn record(run: &Run) -> (String, String, String) {
    let pre = attempts(run).last().unwrap().intent.pre.value();
    let row = &pre["changes"]["here"][0]["rows"][0];
    let text = |image: &str, place: usize| row[image][place].as_str().unwrap().to_owned();
    (text("after", 0), text("before", 1), text("after", 1))
}

/// The runs of each counter in the order in which they changed it: each found what the one before had left.
fn chains(runs: Vec<Run>) -> BTreeMap<String, Vec<Run>> {
    let mut chains = BTreeMap::<String, BTreeMap<String, Run>>::new();
    for run in runs {
        assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
        let (counter, before, _) = record(&run);
        let other = chains.entry(counter).or_default().insert(before, run);
        assert!(other.is_none(), "two runs found the same value: one of them is lost");
    }
    let in_order = |(counter, mut by_before): (String, BTreeMap<String, Run>)| {
        let (mut chain, mut value) = (Vec::new(), "0".to_owned());
        while let Some(run) = by_before.remove(&value) {
            value = record(&run).2;
            chain.push(run);
        }
        assert!(by_before.is_empty(), "what {} runs found was left by nobody", by_before.len());
        (counter, chain)
    };
    chains.into_iter().map(in_order).collect()
}

async fn many_runs_on(rows: usize) {
    let (db, enact) = counters(rows).await;
    let before = db.dump().await;
    // When all of them change the same few rows at once
    let chains = chains(set_all(&enact, rows).await);
    // Then each is there, one after the other, and what the last ones left is what is there
    assert_eq!(chains.values().map(Vec::len).sum::<usize>(), RUNS);
    let after = db.dump().await;
    for (counter, chain) in &chains {
        let line = format!("{counter}\t{}", record(chain.last().unwrap()).2);
        assert!(after.contains(&line), "{line} is not in {after}");
    }
    // When all but the last ones are undone at once: others have changed the rows since
    let older = chains.values().flat_map(|chain| chain.split_last().unwrap().1);
    for undone in join_all(older.map(|run| roll_back(&enact, run.id))).await {
        assert_eq!(undone.status(), RunStatus::PartiallyRolledBack);
        let outcomes: Vec<_> = undone.document().rollback.unwrap().actions;
        assert_eq!(outcomes[0].outcome, UndoOutcome::Conflict);
    }
    assert_eq!(db.dump().await, after, "somebody's change was written over");
    // When they are undone from the newest on, the counters side by side
    join_all(chains.values().map(async |chain| {
        for run in chain.iter().rev() {
            assert_eq!(roll_back(&enact, run.id).await.status(), RunStatus::RolledBack);
        }
    }))
    .await;
    // Then all is as it was
    assert_eq!(db.dump().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_runs_at_once_on_one_hot_row_lose_nothing_and_come_back_in_order() {
    many_runs_on(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_runs_at_once_on_a_few_hot_rows_lose_nothing_and_come_back_in_order() {
    many_runs_on(4).await;
}
