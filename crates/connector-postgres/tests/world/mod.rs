//! A database of its own on a real server, with a connector on it, and a way to see all of it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use enact_connector_postgres::Postgres;
use enact_core::action::{Facts, Undo};
use enact_core::blob::BlobStore;
use enact_core::connector::{Allow, Cx, Toolbox};
use enact_core::ids::{Direction, EffectId, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::{Capture, Error, Prepared};
use enact_store::MemoryBlobs;
use enact_testkit::connector_suite::World;
use enact_testkit::postgres::{Database, Server};
use serde_json::Value;

/// Every action.
pub(crate) const ALL: [&str; 4] = ["select_rows", "insert_row", "update_row", "delete_row"];

/// A database and a connector on it.
pub(crate) struct Tables {
    pub(crate) db: Database,
    pub(crate) toolbox: Toolbox,
    blobs: Arc<dyn BlobStore>,
    effects: AtomicU32,
}

impl World for Tables {
    fn toolbox(&self) -> Toolbox {
        self.toolbox.clone()
    }

    async fn observe(&self) -> String {
        self.db.dump().await
    }
}

impl Tables {
    /// A new database of the shared server, in which `sql` was run.
    pub(crate) async fn with(sql: &str) -> Self {
        Self::of(sql, |postgres| postgres).await
    }

    /// As [`Tables::with`], and a connector with options.
    pub(crate) async fn of(sql: &str, options: impl FnOnce(Postgres) -> Postgres) -> Self {
        let db = Server::shared().database().await;
        db.exec(sql).await;
        let url = db.url();
        Self::at(db, &url, options)
    }

    /// A connector that reaches the database by a URL.
    pub(crate) fn at(db: Database, url: &str, options: impl FnOnce(Postgres) -> Postgres) -> Self {
        let toolbox = options(Postgres::new(url).unwrap()).allow(ALL).unwrap();
        Self { db, toolbox, blobs: Arc::new(MemoryBlobs::default()), effects: AtomicU32::new(1) }
    }

    /// The context of a new intent.
    pub(crate) fn cx(&self, direction: Direction, force: bool) -> Cx {
        let attempt = self.effects.fetch_add(1, Ordering::Relaxed);
        let undo_try = u32::from(direction == Direction::Undo);
        let run = RunId::from_parts(1_700_000_000_000, [7; 10]);
        let effect = EffectId { run, seq: Seq(1), attempt, direction, undo_try };
        Cx::new(effect, force, Arc::clone(&self.blobs))
    }

    pub(crate) fn prepare(&self, action: &str, params: &Value) -> Result<Prepared, Error> {
        self.toolbox.prepare(action, &JsonText::encode(params)?)
    }

    /// Captures and performs, as the runtime does.
    pub(crate) async fn act(&self, action: &str, params: Value) -> Result<Done, Error> {
        let prepared = self.prepare(action, &params)?;
        self.carry_out(prepared, self.cx(Direction::Forward, false)).await
    }

    pub(crate) async fn carry_out(&self, action: Prepared, cx: Cx) -> Result<Done, Error> {
        Ok(match action.capture(&cx).await? {
            Capture::AlreadyDone(output) => Done {
                action,
                cx,
                pre: JsonText::null(),
                output: output.value(),
                facts: Facts::new(),
                already: true,
            },
            Capture::Ready { pre, ready, facts } => {
                let output = action.perform(&cx, ready).await?.value();
                Done { action, cx, pre, output, facts, already: false }
            }
        })
    }

    /// What undoes it, from its record alone.
    pub(crate) fn undo_of(&self, done: &Done) -> Prepared {
        match done.action.undo(&done.pre, None).unwrap() {
            Undo::By(undo) => self.toolbox.prepare_undo(undo.name, &undo.params).unwrap(),
            other => panic!("no undo: {other:?}"),
        }
    }

    /// Undoes what was done, as the runtime does.
    pub(crate) async fn undo(&self, done: &Done, force: bool) -> Result<Done, Error> {
        self.carry_out(self.undo_of(done), self.cx(Direction::Undo, force)).await
    }

    /// Acts and undoes; the database has to be as before, and to have been otherwise in between.
    pub(crate) async fn there_and_back(&self, action: &str, params: Value) -> Done {
        let before = self.db.dump().await;
        let done = self.act(action, params).await.unwrap();
        assert!(!done.already, "it was so already");
        assert_ne!(self.db.dump().await, before, "the action changed nothing");
        let undone = self.undo(&done, false).await.unwrap();
        assert!(!undone.already, "there was nothing to undo");
        assert_eq!(self.db.dump().await, before);
        done
    }

    /// Acts with parameters that are refused: the error, and nothing is changed.
    pub(crate) async fn refused(&self, action: &str, params: Value) -> Error {
        let before = self.db.dump().await;
        let error = self.act(action, params).await.unwrap_err();
        assert_eq!(self.db.dump().await, before, "{error}");
        error
    }

    /// The first column of the first row of a query, as text.
    pub(crate) async fn value(&self, sql: &str) -> String {
        let row = self.db.client().await.query_one(sql, &[]).await.unwrap();
        row.get(0)
    }
}

/// An action that was carried out.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) action: Prepared,
    pub(crate) cx: Cx,
    pub(crate) pre: JsonText,
    pub(crate) output: Value,
    pub(crate) facts: Facts,
    pub(crate) already: bool,
}

/// Runs statements from where nothing can be awaited: somebody else's doing.
pub(crate) fn meanwhile(db: &Database, sql: &str) {
    std::thread::scope(|threads| {
        let runtime = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(db.exec(sql));
        };
        threads.spawn(runtime).join().unwrap();
    });
}
