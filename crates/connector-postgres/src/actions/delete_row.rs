//! `delete_row`: the rows that a condition holds for are taken away.

use enact_core::Error;
use enact_core::action::{Action, EffectClass, FactKind, LockKey, Preview, Target, Undo};
use enact_core::connector::Cx;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Locked, RestoreRows, Values, check_reversible, lock, lock_rows, read_of, some_values, target};
use crate::Postgres;
use crate::catalog::Table;
use crate::error::precondition;
use crate::name::TableName;
use crate::preview::Matched;
use crate::reach::{Happens, Search, outcome, recorded, warnings};
use crate::rows::{RowChange, TableChange};
use crate::tx::{Param, Tx};
use crate::work::{Change, ChangesRows, FACTS, Tried, Written, facts};

/// Deletes rows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteRow {
    /// The table.
    pub table: TableName,
    /// Which rows: all of it holds.
    #[serde(rename = "where", deserialize_with = "some_values")]
    #[schemars(extend("minProperties" = 1))]
    pub rows: Values,
}

/// What `delete_row` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RowsDeleted {
    /// How many rows of the table were deleted, without those of other tables that foreign keys deleted too.
    pub rows_deleted: usize,
}

impl DeleteRow {
    /// Deletes the rows for which `rows` holds, which names at least one column.
    pub fn new(table: impl Into<TableName>, rows: Values) -> Self {
        Self { table: table.into(), rows }
    }

    /// Deletes exactly the locked rows; gives the transaction's id.
    async fn delete(&self, tx: &Tx, table: &Table, locked: &Locked) -> Result<String, Error> {
        let (source, joined, rows) = locked.source(table);
        let sql = format!(
            "DELETE FROM {} AS enact_t USING {source} WHERE {joined} RETURNING pg_catalog.pg_current_xact_id()::text",
            table.sql()
        );
        let doing = format!("delete from {}", self.table);
        let params = [&rows as Param<'_>];
        let deleted = tx.query_table(&doing, (table, &self.table), &sql, &params).await?;
        match deleted.first() {
            Some(row) if deleted.len() == locked.rows.len() => Ok(row.get(0)),
            _ => Err(precondition(format!(
                "{} rows of {} were to be deleted, and the server would delete {}: a trigger or row-level security \
                 leaves some out; nothing was changed",
                locked.rows.len(),
                self.table,
                deleted.len()
            ))),
        }
    }
}

impl Action for DeleteRow {
    const NAME: &'static str = "delete_row";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str =
        "re-inserts every captured row, and gives back what foreign keys took with them";
    const FACTS: &'static [(&'static str, FactKind)] = FACTS;
    type Output = RowsDeleted;
    type PreState = Written<RowsDeleted>;
    type Undo = RestoreRows;

    fn target(&self) -> Target {
        target("row", &self.table, Some(&self.rows))
    }

    fn lock(&self) -> Option<LockKey> {
        lock(&self.table, &self.rows)
    }

    fn shown_by(&self) -> Option<(&'static str, Value)> {
        read_of(&self.table, &self.rows)
    }
}

impl ChangesRows for DeleteRow {
    async fn attempt(&self, postgres: &Postgres, tx: &Tx, _: &Cx) -> Result<Tried<RowsDeleted>, Error> {
        let table = postgres.writable(tx, &self.table).await?;
        check_reversible(&table, postgres.allow_irreversible)?;
        let locked = lock_rows(tx, (&table, &self.table), &self.rows, postgres).await?;
        if locked.rows.is_empty() {
            return Ok(Tried::AlreadyDone(RowsDeleted { rows_deleted: 0 }));
        }
        let mut search = Search::new(postgres, tx);
        let (xid, warnings, others) = loop {
            let reached = search.reached(&table, &locked.rows, &Happens::Deleted).await?;
            let ready = search.get_ready(&table, &Happens::Deleted, &reached).await?;
            let xid = self.delete(tx, &table, &locked).await?;
            if table.deferrable || !table.triggers.is_empty() || !reached.is_empty() {
                tx.check_constraints().await?;
            }
            let warnings = warnings(&table, &reached);
            let others = outcome(tx, reached).await?;
            let own = std::iter::empty();
            if search.has_found_all(ready, (&table, &Happens::Deleted), own, &others).await? {
                break (xid, warnings, recorded(tx, others)?);
            }
        };
        let rows =
            locked.rows.into_iter().map(|before| RowChange { before: Some(before), after: None }).collect();
        let own = TableChange::of(&table, tx.role()?, rows);
        let output = RowsDeleted { rows_deleted: own.rows.len() };
        let facts = facts(&table, own.rows.len(), &others);
        let changes = std::iter::once(own).chain(others).collect();
        Ok(Tried::Changed(Box::new(Change { xid, changes, output, warnings, facts })))
    }

    async fn look(&self, postgres: &Postgres, tx: &Tx) -> Result<Preview<RowsDeleted>, Error> {
        let matched = Matched::find(postgres, tx, (&self.table, &self.rows)).await?;
        check_reversible(&matched.table, postgres.allow_irreversible)?;
        if matched.count == 0 {
            return Ok(Preview::already_done(RowsDeleted { rows_deleted: 0 }));
        }
        matched.preview(None)
    }

    fn undone_by(pre: &Written<RowsDeleted>) -> Undo<RestoreRows> {
        super::undo(pre)
    }
}
