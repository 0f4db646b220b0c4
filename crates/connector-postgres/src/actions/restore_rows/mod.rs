//! `restore_rows`: the undo of every change. It gives each row back as it was, all of them or none.
//!
//! A row is given back only where it is as the action left it. What somebody else changed since is a conflict, and
//! so are rows of others that would change along, because they point at a row that goes away.

use std::collections::BTreeSet;

use enact_core::Error;
use enact_core::action::{Action, EffectClass, LockKey, NoUndo, Target, Undo};
use enact_core::connector::Cx;
use serde::{Deserialize, Serialize};

use self::plan::Plan;
use crate::Postgres;
use crate::error::{Violated, precondition, violated};
use crate::rows::{Kept, TableChange};
use crate::tx::Tx;
use crate::work::{Change, ChangesRows, Tried, Written};

mod plan;
mod statement;

/// Gives rows back as they were. Made from the record of a change, never asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreRows {
    /// What the change did to each table.
    pub changes: Kept<Vec<TableChange>>,
}

/// What `restore_rows` gives.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RowsRestored {
    /// How many rows were given back; the others were so already.
    pub rows_restored: usize,
    /// Columns, as `table.column`, that triggers of the database set anew, as they do at every change.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub set_by_triggers: BTreeSet<String>,
}

/// What a constraint that refuses an undo says.
fn of_constraint(error: Error) -> Error {
    let made = match violated(&error) {
        Some(Violated::ByRows) => {
            precondition(format!("somebody else's rows stand in the way: {}", error.message()))
        }
        Some(Violated::ByValues) => {
            precondition(format!("the table no longer takes a row as it was: {}", error.message()))
        }
        None => return error,
    };
    made.with_source(error)
}

/// Undoes changes within the transaction that made them, and takes that back.
///
/// # Errors
/// Whatever keeps the undo from being carried out; the transaction is then of no use any more.
pub(crate) async fn rehearse(postgres: &Postgres, tx: &Tx, changes: &[TableChange]) -> Result<(), Error> {
    tx.execute("begin a rehearsal of the undo", "SAVEPOINT enact_rehearsal").await?;
    let undone = async {
        let plan = Plan::make(postgres, tx, changes, false).await?;
        statement::carry_out(tx, &plan.tables).await?;
        tx.check_constraints().await?;
        plan.settle(tx, false).await
    };
    undone.await.map_err(|error| match violated(&error) {
        Some(_) => precondition(format!(
            "it could not be undone, since a constraint, such as one that is NOT VALID, would not let a row in again; nothing was \
             changed: {}",
            error.message()
        ))
        .with_source(error),
        None => error.context("the undo was tried, and failed"),
    })?;
    tx.execute("end a rehearsal of the undo", "ROLLBACK TO enact_rehearsal; RELEASE enact_rehearsal").await
}

impl Action for RestoreRows {
    const NAME: &'static str = "restore_rows";
    const EFFECT: EffectClass = EffectClass::Irreversible;
    const REVERSAL: &'static str = "an undo is not undone; what it replaces is kept in the record";
    type Output = RowsRestored;
    type PreState = Written<RowsRestored>;
    type Undo = NoUndo;

    fn target(&self) -> Target {
        let tables: Vec<String> = match &self.changes {
            Kept::Here(changes) => changes.iter().map(|change| change.table.to_string()).collect(),
            Kept::Apart(_) => vec!["many rows".to_owned()],
        };
        Target::new("row", tables.join(", "))
    }

    /// None: the rows are locked at the server, in the order in which every action locks them.
    fn lock(&self) -> Option<LockKey> {
        None
    }
}

impl ChangesRows for RestoreRows {
    async fn attempt(&self, postgres: &Postgres, tx: &Tx, cx: &Cx) -> Result<Tried<RowsRestored>, Error> {
        let changes = self.changes.load(cx).await?;
        let plan = Plan::make(postgres, tx, &changes, cx.force()).await?;
        if plan.is_empty() {
            return Ok(Tried::AlreadyDone(RowsRestored::default()));
        }
        let replaced = plan.replaces(tx)?;
        let (rows_restored, xid) = statement::carry_out(tx, &plan.tables).await.map_err(of_constraint)?;
        plan.check_tables(tx).await?;
        tx.check_constraints().await.map_err(of_constraint)?;
        let set_by_triggers = plan.settle(tx, cx.force()).await.map_err(of_constraint)?;
        Ok(Tried::Changed(Box::new(Change {
            xid,
            changes: replaced,
            output: RowsRestored { rows_restored, set_by_triggers },
            warnings: plan.warnings(),
            facts: plan.facts(),
        })))
    }

    fn undone_by(_: &Written<RowsRestored>) -> Undo<NoUndo> {
        Undo::Irreversible(Self::REVERSAL.into())
    }
}
