//! A second rollback takes up what only looked undone in the first.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test by panicking")]

mod served;

use std::sync::Arc;

use enact_connector_postgres::{DeleteRow, InsertRow, Postgres};
use enact_core::Error;
use enact_core::connector::Allow;
use enact_core::run::{RunStatus, UndoOutcome};
use enact_runtime::{Enact, Workflow, WorkflowCx};
use enact_store::MemoryStore;
use enact_testkit::postgres::Server;
use serde_json::json;
use served::roll_back;

/// Inserts a row and deletes another one, of the same table or of one that takes it along.
struct InsertAndDelete;

impl Workflow for InsertAndDelete {
    const NAME: &'static str = "insert-and-delete";
    const VERSION: u32 = 1;
    type Input = String;
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, deleted_from: String) -> Result<(), Error> {
        let db = cx.connector::<Postgres>("db")?;
        let insert = json!({ "table": "children", "data": { "id": 1, "parent": 1 } });
        db.act(serde_json::from_value::<InsertRow>(insert).unwrap()).await?;
        let delete = json!({ "table": deleted_from, "where": { "id": 1 } });
        db.act(serde_json::from_value::<DeleteRow>(delete).unwrap()).await.map(drop)
    }
}

#[tokio::test]
async fn an_insert_that_looked_undone_beneath_a_deletion_is_undone_when_the_deletion_is() {
    for deleted_from in ["children", "parents"] {
        // Given a row that was inserted and deleted, or went along, and a rollback whose re-insertion was refused,
        let db = Server::shared().database().await;
        db.exec(
            "CREATE TABLE parents (id int PRIMARY KEY); INSERT INTO parents VALUES (1); \
             CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE);",
        )
        .await;
        let toolbox = Postgres::new(&db.url()).unwrap().allow(["insert_row", "delete_row"]).unwrap();
        let store = Arc::new(MemoryStore::new());
        let builder = Enact::builder().store(store).connector("db", toolbox).workflow(InsertAndDelete);
        let enact = builder.start().await.unwrap();
        let run = enact.run(InsertAndDelete, "me@example.com", deleted_from.to_owned()).await.unwrap();
        assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
        db.exec("ALTER TABLE children ADD CONSTRAINT refused CHECK (id <> 1)").await;
        let part = roll_back(&enact, run.id).await;
        assert_eq!(part.status(), RunStatus::PartiallyRolledBack);
        let insert = part.state().undo_outcomes().last().map(|(_, outcome, _)| *outcome);
        assert_eq!(insert, Some(UndoOutcome::AlreadyUndone));

        // when the next one can re-insert it, then the insertion is undone as well.
        db.exec("ALTER TABLE children DROP CONSTRAINT refused").await;
        let undone = roll_back(&enact, run.id).await;
        assert_eq!(undone.status(), RunStatus::RolledBack, "{:?}", undone.document().rollback);
        let client = db.client().await;
        let count = async |table| {
            let count = format!("SELECT count(*) FROM {table}");
            client.query_one(&count, &[]).await.unwrap().get::<_, i64>(0)
        };
        assert_eq!((count("children").await, count("parents").await), (0, 1), "deleted from {deleted_from}");
    }
}
