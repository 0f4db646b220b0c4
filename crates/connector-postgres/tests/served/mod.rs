//! A runtime on a real database, whose effects are counted at the server.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test by panicking")]

use std::sync::Arc;
use std::time::Duration;

use enact_connector_postgres::{Config, Postgres};
use enact_core::connector::{Allow, ConfigEnv, Connector as _};
use enact_core::event::StoredEvent;
use enact_core::ids::{EventSeq, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::run::{Attempt, Outcome, RunStatus};
use enact_core::store::EventStore as _;
use enact_runtime::{Enact, RollbackOptions, Run, RunRequest};
use enact_store::MemoryStore;
use enact_testkit::postgres::{Database, Proxy, Server};
use serde_json::{Value, json};

pub(crate) const ME: &str = "me@example.com";

/// Every action.
const ALL: [&str; 4] = ["select_rows", "insert_row", "update_row", "delete_row"];

/// A table whose committed changes are noted by a trigger, in a ledger that belongs to nobody's state.
const TABLES: &str = "
    CREATE TABLE ledger (number int GENERATED ALWAYS AS IDENTITY, did text);
    CREATE TABLE things (id int PRIMARY KEY, n int, note text);
    INSERT INTO things VALUES (1, 10, 'one'), (2, 20, NULL), (3, 30, 'three');
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO ledger (did) VALUES (TG_OP); RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON things FOR EACH ROW EXECUTE FUNCTION note();
    CREATE TABLE others (id int);";

/// The statement that the connector commits with. It holds no other that begins so.
pub(crate) const COMMIT: &str = "SET LOCAL";
/// The statement that makes a transaction's id durable.
pub(crate) const FLUSH: &str = "BEGIN READ WRITE; SET LOCAL";
/// The question what became of a transaction.
pub(crate) const STATUS: &str = "SELECT pg_catalog.pg_xact_status";

/// A change that is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Insert,
    Update,
    Delete,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Insert, Self::Update, Self::Delete];

    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Insert => "insert_row",
            Self::Update => "update_row",
            Self::Delete => "delete_row",
        }
    }

    pub(crate) fn params(self) -> Value {
        match self {
            Self::Insert => json!({ "table": "things", "data": { "id": 4, "n": 40 } }),
            Self::Update => json!({ "table": "things", "data": { "n": 11 }, "where": { "id": 1 } }),
            Self::Delete => json!({ "table": "things", "where": { "id": 1 } }),
        }
    }

    /// How the statement begins that makes the change.
    pub(crate) fn statement(self) -> &'static str {
        match self {
            Self::Insert => "INSERT INTO",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE FROM",
        }
    }

    /// What the ledger notes of it.
    pub(crate) fn noted(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    /// What the ledger notes of it and of its undo.
    pub(crate) fn noted_both(self) -> [&'static str; 2] {
        match self {
            Self::Insert => ["INSERT", "DELETE"],
            Self::Update => ["UPDATE", "UPDATE"],
            Self::Delete => ["DELETE", "INSERT"],
        }
    }
}

/// A database behind a proxy, and a log.
pub(crate) struct Scene {
    pub(crate) db: Database,
    pub(crate) proxy: Proxy,
    pub(crate) store: MemoryStore,
    before: String,
}

impl Scene {
    pub(crate) async fn on(server: &Server) -> Self {
        let db = server.database().await;
        db.exec(TABLES).await;
        db.exec("TRUNCATE ledger").await;
        let before = rows(&db).await;
        Self { proxy: Proxy::start(server).await, db, store: MemoryStore::new(), before }
    }

    /// On the server of all tests.
    pub(crate) async fn new() -> Self {
        Self::on(&Server::shared()).await
    }

    /// A runtime whose connector works through the proxy.
    pub(crate) async fn enact(&self) -> Enact {
        enact(Postgres::new(&self.proxy.url(&self.db)).unwrap(), &self.store).await
    }

    /// The same, with a connector that waits this long for an answer.
    pub(crate) async fn enact_within(&self, timeout_s: u64) -> Enact {
        enact(within(&self.proxy.url(&self.db), timeout_s), &self.store).await
    }

    /// Asserts that all is as it was, whatever the ledger says.
    pub(crate) async fn assert_as_before(&self) {
        assert_eq!(rows(&self.db).await, self.before);
    }

    pub(crate) async fn assert_changed(&self) {
        assert_ne!(rows(&self.db).await, self.before);
    }

    /// What was committed, in its order.
    pub(crate) async fn ledger(&self) -> Vec<String> {
        let client = self.db.client().await;
        let rows = client.query("SELECT did FROM ledger ORDER BY number", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Asserts that the run did its change once, and undoes it.
    pub(crate) async fn assert_once_and_back(&self, enact: &Enact, run: &Run, kind: Kind) {
        assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
        assert_eq!(self.ledger().await, [kind.noted()]);
        self.assert_changed().await;
        let undone = enact.rollback(run.id, RollbackOptions::by(ME)).await.unwrap();
        self.assert_undone_once(&undone, kind).await;
    }

    pub(crate) async fn assert_undone_once(&self, undone: &Run, kind: Kind) {
        assert_eq!(undone.status(), RunStatus::RolledBack, "{:?}", undone.document().rollback);
        assert_eq!(self.ledger().await, kind.noted_both());
        self.assert_as_before().await;
    }

    /// Asserts that nobody is in the midst of a transaction, but one who ends it.
    pub(crate) async fn assert_nobody_left(&self) {
        let client = self.db.client().await;
        let open = "SELECT count(*) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xid IS NOT NULL";
        until_async("no transaction is left open", async || {
            client.query_one(open, &[]).await.unwrap().get::<_, i64>(0) == 0
        })
        .await;
    }

    pub(crate) async fn events(&self, run: RunId) -> Vec<StoredEvent> {
        self.store.read(run, EventSeq(1), 1000).await.unwrap()
    }

    /// The names of a run's events.
    pub(crate) async fn event_names(&self, run: RunId) -> Vec<&'static str> {
        self.events(run).await.iter().map(|stored| stored.event.name()).collect()
    }
}

/// All rows but those of the ledger and of others.
async fn rows(db: &Database) -> String {
    let dump = db.dump().await;
    let ours = |table: &&str| !table.starts_with("public.ledger ") && !table.starts_with("public.others ");
    dump.split("\n\n").filter(ours).collect::<Vec<_>>().join("\n\n")
}

/// A connector that waits this long for an answer, and for a lock.
pub(crate) fn within(url: &str, timeout_s: u64) -> Postgres {
    configured(url, |config| config.timeout_s = timeout_s)
}

pub(crate) fn configured(url: &str, set: impl FnOnce(&mut Config)) -> Postgres {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("url"), url).unwrap();
    let config = JsonText::parse(r#"{ "url_file": "url" }"#).unwrap();
    let mut config: Config = config.decode().unwrap();
    set(&mut config);
    Postgres::open(config, &ConfigEnv { name: "db", dir: dir.path() }).unwrap()
}

/// A runtime with this connector, named `db`.
pub(crate) async fn enact(postgres: Postgres, store: &MemoryStore) -> Enact {
    let toolbox = postgres.allow(ALL).unwrap();
    Enact::builder().store(Arc::new(store.clone())).connector("db", toolbox).start().await.unwrap()
}

pub(crate) fn request(kind: Kind) -> RunRequest {
    asked(kind.action(), &kind.params())
}

pub(crate) fn asked(action: &str, params: &Value) -> RunRequest {
    RunRequest::act("db", action, JsonText::encode(params).unwrap(), ME)
}

pub(crate) async fn act(enact: &Enact, kind: Kind) -> Run {
    enact.run_to_end(request(kind)).await.unwrap()
}

pub(crate) async fn roll_back(enact: &Enact, run: RunId) -> Run {
    enact.rollback(run, RollbackOptions::by(ME)).await.unwrap()
}

/// The same, beside what the test does.
pub(crate) fn acting(enact: &Enact, kind: Kind) -> tokio::task::JoinHandle<Run> {
    let enact = enact.clone();
    tokio::spawn(async move { act(&enact, kind).await })
}

pub(crate) fn rolling_back(enact: &Enact, run: RunId) -> tokio::task::JoinHandle<Run> {
    let enact = enact.clone();
    tokio::spawn(async move { roll_back(&enact, run).await })
}

/// What became of each attempt of a run's one action.
pub(crate) fn outcomes(run: &Run) -> Vec<&'static str> {
    attempts(run).iter().map(|attempt| outcome(&attempt.outcome)).collect()
}

pub(crate) fn attempts(run: &Run) -> &[Attempt] {
    run.state().actions.get(&Seq(1)).map(|action| action.attempts.as_slice()).unwrap_or_default()
}

fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Pending => "pending",
        Outcome::InDoubt(_) => "in doubt",
        Outcome::Unknown(_) => "unknown",
        Outcome::Done(_) => "done",
        Outcome::Failed(..) => "failed",
        Outcome::NotApplied => "not applied",
        Outcome::Abandoned => "abandoned",
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    until_async(what, async || holds()).await;
}

/// The same, where one has to ask for it.
pub(crate) async fn until_async(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..30_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("{what}: did not come about");
}

/// Settings of a server that writes its log only when it has to, so that what was not flushed is lost when it is killed.
pub(crate) const LAZY: &[(&str, &str)] = &[
    ("autovacuum", "off"),
    ("bgwriter_delay", "10s"),
    ("wal_writer_delay", "10s"),
    ("wal_writer_flush_after", "0"),
];

/// A process of its own for the runtime, as far as a thread can be one: what it holds is gone when it is killed.
pub(crate) struct Life {
    runtime: tokio::runtime::Runtime,
}

impl Life {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Self { runtime: runtime.unwrap() }
    }

    /// Does what is asked for in this life.
    pub(crate) fn does<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(work)
    }

    pub(crate) fn killed(self) {
        self.runtime.shutdown_background();
    }
}
