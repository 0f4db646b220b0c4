//! `insert_row` and `update_row` through the runtime, against the same statements by plain tokio-postgres on the same
//! server at the same time of day: rounds take turns, and medians are compared.
//!
//! "Plain" is what a careful program sends: BEGIN, for an update SELECT … FOR UPDATE, the change with RETURNING,
//! COMMIT. "Bare" is the change alone, committed by itself, which keeps nothing to undo it with. Both and the
//! runtime's server sync at every commit.

use std::sync::Arc;
use std::time::Instant;

use enact::postgres::{InsertRow, Postgres, UpdateRow, Values};
use enact::prelude::*;
use enact_benches::{Result, median, scratch};
use enact_testkit::postgres::{Database, Server};
use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, NoTls, Statement};

const ROUNDS: usize = 7;

/// What a lane does, many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Work {
    Insert,
    Update,
    UpdateHot,
}

/// How it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Bare,
    Plain,
    Enact,
}

#[derive(Debug, Serialize, Deserialize)]
struct Task {
    work: Work,
    lane: i32,
    first: i32,
    times: i32,
}

/// One run that acts many times, so that actions are measured and not runs.
struct Many;

impl Workflow for Many {
    const NAME: &'static str = "many";
    const VERSION: u32 = 1;
    type Input = Task;
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, task: Task) -> std::result::Result<(), Error> {
        let db = cx.connector::<Postgres>("db")?;
        for number in task.first..task.first + task.times {
            match task.work {
                Work::Insert => {
                    let data = Values::new().with("lane", &task.lane)?.with("number", &number)?;
                    db.act(InsertRow::new("inserted", data)).await?;
                }
                Work::Update | Work::UpdateHot => {
                    let data = Values::new().with("number", &number)?;
                    let rows = Values::new().with("id", &task.row())?;
                    db.act(UpdateRow::new("updated", data, rows)).await?;
                }
            }
        }
        Ok(())
    }
}

impl Task {
    fn row(&self) -> i32 {
        if self.work == Work::UpdateHot { 0 } else { self.lane }
    }
}

/// A connection with its statements.
struct Plain {
    client: Client,
    insert: Statement,
    lock: Statement,
    update: Statement,
}

impl Plain {
    async fn connect(url: &str) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let insert = "INSERT INTO inserted (lane, number) VALUES ($1, $2) RETURNING *";
        Ok(Self {
            insert: client.prepare(insert).await?,
            lock: client.prepare("SELECT * FROM updated WHERE id = $1 FOR UPDATE").await?,
            update: client.prepare("UPDATE updated SET number = $1 WHERE id = $2 RETURNING *").await?,
            client,
        })
    }

    async fn carry(&self, task: &Task, how: How) -> std::result::Result<(), tokio_postgres::Error> {
        for number in task.first..task.first + task.times {
            if how == How::Plain {
                self.client.batch_execute("BEGIN").await?;
            }
            if task.work == Work::Insert {
                self.client.query(&self.insert, &[&task.lane, &number]).await?;
            } else {
                if how == How::Plain {
                    self.client.query(&self.lock, &[&task.row()]).await?;
                }
                self.client.query(&self.update, &[&number, &task.row()]).await?;
            }
            if how == How::Plain {
                self.client.batch_execute("COMMIT").await?;
            }
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result {
    let server = Server::start(&[("fsync", "on"), ("synchronous_commit", "on"), ("max_connections", "300")]);
    let db = server.database().await;
    db.exec(
        "CREATE TABLE inserted (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, lane int, number int, \
           note text DEFAULT 'a few more bytes', at timestamptz DEFAULT now()); \
         CREATE TABLE updated (id int PRIMARY KEY, number int, note text DEFAULT 'a few more bytes'); \
         INSERT INTO updated SELECT g, -1 FROM generate_series(0, 1000) g;",
    )
    .await;
    println!("milliseconds an action, medians of {ROUNDS} rounds that take turns");
    println!(
        "{:>10} {:>10} {:>8} {:>8} {:>8} {:>14} {:>13}",
        "", "concurrent", "bare", "plain", "enact", "enact / plain", "enact / bare"
    );
    for (work, lanes, times) in [
        (Work::Insert, 1, 600),
        (Work::Update, 1, 600),
        (Work::Insert, 64, 60),
        (Work::Update, 64, 60),
        (Work::UpdateHot, 64, 20),
    ] {
        compare(&db, work, lanes, times).await?;
    }
    Ok(())
}

async fn compare(db: &Database, work: Work, lanes: i32, times: i32) -> Result {
    let dir = scratch()?;
    let store = Arc::new(SledStore::open(dir.path().join("store"))?);
    let toolbox = Postgres::new(&db.url())?.allow(["insert_row", "update_row"])?.max_concurrency(64);
    let enact = Enact::builder()
        .store(Arc::clone(&store) as _)
        .connector("db", toolbox)
        .workflow(Many)
        .start()
        .await?;
    let mut plain = Vec::new();
    for _ in 0..lanes {
        plain.push(Arc::new(Plain::connect(&db.url()).await?));
    }
    let (mut bare, mut careful, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    let mut first = 0;
    for round in 0..=ROUNDS {
        for (how, figures) in [(How::Bare, &mut bare), (How::Plain, &mut careful), (How::Enact, &mut ours)] {
            let task = |lane| Task { work, lane, first, times };
            let begun = Instant::now();
            let carried = (0..lanes).zip(&plain).map(|(lane, plain)| {
                let (enact, plain, task) = (enact.clone(), Arc::clone(plain), task(lane));
                tokio::spawn(async move { carry(&enact, &plain, task, how).await })
            });
            for lane in carried.collect::<Vec<_>>() {
                lane.await??;
            }
            let per_action = begun.elapsed().as_secs_f64() * 1000.0 / f64::from(lanes * times);
            first += times;
            // The first round prepares statements and warms up.
            if round > 0 {
                figures.push(per_action);
            }
        }
    }
    let (bare, careful, ours) = (median(bare), median(careful), median(ours));
    println!(
        "{:>10} {lanes:>10} {bare:>8.3} {careful:>8.3} {ours:>8.3} {:>14.2} {:>13.2}",
        format!("{work:?}"),
        ours / careful,
        ours / bare
    );
    enact.shutdown(std::time::Duration::from_secs(10)).await;
    store.close()?;
    Ok(())
}

async fn carry(enact: &Enact, plain: &Plain, task: Task, how: How) -> std::result::Result<(), String> {
    if how != How::Enact {
        return plain.carry(&task, how).await.map_err(|error| error.to_string());
    }
    let run = enact.run(Many, "bench@example.com", task).await.map_err(|error| error.to_string())?;
    if run.status() == RunStatus::Completed {
        Ok(())
    } else {
        Err(format!("run {} is {}", run.id, run.status()))
    }
}
