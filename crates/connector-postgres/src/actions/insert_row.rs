//! `insert_row`: one new row.

use enact_core::Error;
use enact_core::action::{Action, EffectClass, FactKind, LockKey, Preview, Target, Undo};
use enact_core::connector::Cx;
use enact_core::json::JsonText;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RestoreRows, Values, target};
use crate::Postgres;
use crate::catalog::Table;
use crate::error::precondition;
use crate::name::TableName;
use crate::reach::Search;
use crate::rows::{Found, RowChange, TableChange, find_whole, wanted};
use crate::tx::{Param, Tx};
use crate::work::{Change, ChangesRows, FACTS, Tried, Written, facts};

/// Inserts a row. Columns that are not named get their defaults.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InsertRow {
    /// The table.
    pub table: TableName,
    /// The values of the new row.
    pub data: Values,
}

/// What `insert_row` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RowInserted {
    /// The row with all its columns.
    pub row: JsonText,
}

impl InsertRow {
    /// Inserts a row with these values.
    pub fn new(table: impl Into<TableName>, data: Values) -> Self {
        Self { table: table.into(), data }
    }

    async fn insert(&self, tx: &Tx, table: &Table) -> Result<(Found, String), Error> {
        let values = self.data.params(table)?;
        let columns = values.iter().map(|(column, _)| column.as_str()).collect::<Vec<_>>().join(", ");
        let places = (1..=values.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
        let what = if values.is_empty() {
            "DEFAULT VALUES".to_owned()
        } else {
            format!("({columns}) VALUES ({places})")
        };
        let sql = format!(
            "INSERT INTO {} AS enact_t {what} RETURNING pg_catalog.pg_current_xact_id()::text, {}",
            table.sql(),
            wanted(table)
        );
        let params: Vec<Param<'_>> = values.iter().map(|(_, text)| text as Param<'_>).collect();
        let doing = format!("insert into {}", self.table);
        let rows = tx.query_table(&doing, (table, &self.table), &sql, &params).await?;
        let [row] = rows.as_slice() else {
            return Err(precondition(format!(
                "a trigger of {} let no row in; nothing was changed",
                self.table
            )));
        };
        Ok((Found::read(row, 1)?, row.get(0)))
    }
}

impl Action for InsertRow {
    const NAME: &'static str = "insert_row";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "deletes that row by primary key, if unchanged";
    const FACTS: &'static [(&'static str, FactKind)] = FACTS;
    type Output = RowInserted;
    type PreState = Written<RowInserted>;
    type Undo = RestoreRows;

    fn target(&self) -> Target {
        target("row", &self.table, None)
    }

    /// None: no other request can mean a row that does not exist yet.
    fn lock(&self) -> Option<LockKey> {
        None
    }
}

impl ChangesRows for InsertRow {
    async fn attempt(&self, postgres: &Postgres, tx: &Tx, _: &Cx) -> Result<Tried<RowInserted>, Error> {
        let table = postgres.writable(tx, &self.table).await?;
        Search::new(postgres, tx)
            .check_seen(&table)
            .await
            .map_err(|error| error.context("its undo would fail"))?;
        let (mut inserted, xid) = self.insert(tx, &table).await?;
        if table.deferrable || !table.triggers.is_empty() {
            tx.check_constraints().await?;
        }
        if !table.triggers.is_empty() && !table.key.is_empty() {
            // A trigger that runs afterwards may have changed the row once more.
            let again = find_whole(tx, &table, &[&inserted.image]).await?;
            inserted = again.into_iter().next().flatten().ok_or_else(|| {
                precondition(format!(
                    "a trigger of {} took the row away again; nothing was changed",
                    self.table
                ))
            })?;
        }
        let rows = vec![RowChange { before: None, after: Some(inserted.image) }];
        Ok(Tried::Changed(Box::new(Change {
            xid,
            facts: facts(&table, 1, &[]),
            changes: vec![TableChange::of(&table, tx.role()?, rows)],
            output: RowInserted { row: inserted.json },
            warnings: table.warnings(),
        })))
    }

    async fn look(&self, postgres: &Postgres, tx: &Tx) -> Result<Preview<RowInserted>, Error> {
        let table = postgres.writable(tx, &self.table).await?;
        self.data.params(&table)?;
        let preview = table.preview(JsonText::null(), 1, Some(&self.data))?;
        Ok(Preview { irreversible: None, ..preview })
    }

    fn undone_by(pre: &Written<RowInserted>) -> Undo<RestoreRows> {
        super::undo(pre)
    }
}
