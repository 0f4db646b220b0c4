//! `update_row`: new values for some columns of the rows that a condition holds for.

use std::sync::Arc;

use enact_core::Error;
use enact_core::action::{Action, EffectClass, FactKind, LockKey, Preview, Target, Undo};
use enact_core::connector::Cx;
use enact_core::json::JsonText;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Locked, RestoreRows, Values, check_reversible, lock, lock_rows, read_of, some_values, target};
use crate::Postgres;
use crate::catalog::Table;
use crate::error::precondition;
use crate::name::TableName;
use crate::preview::Matched;
use crate::reach::{Happens, Reached, Search, outcome, recorded, warnings};
use crate::rows::{Found, Image, RowChange, TableChange, find_whole, wanted};
use crate::tx::{Param, Tx};
use crate::value::Text;
use crate::work::{Change, ChangesRows, FACTS, Tried, Written, facts};

/// Updates rows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateRow {
    /// The table.
    pub table: TableName,
    /// The new values.
    #[serde(deserialize_with = "some_values")]
    #[schemars(extend("minProperties" = 1))]
    pub data: Values,
    /// Which rows: all of it holds.
    #[serde(rename = "where", deserialize_with = "some_values")]
    #[schemars(extend("minProperties" = 1))]
    pub rows: Values,
}

/// What `update_row` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RowsUpdated {
    /// How many rows were changed.
    pub rows_updated: usize,
    /// The rows as they are now, with all their columns.
    pub rows: Vec<JsonText>,
}

impl UpdateRow {
    /// Sets `data` in the rows for which `rows` holds. Both name at least one column.
    pub fn new(table: impl Into<TableName>, data: Values, rows: Values) -> Self {
        Self { table: table.into(), data, rows }
    }

    /// Carries it out on exactly the locked rows; gives them in their order, and the transaction's id.
    async fn update(
        &self,
        tx: &Tx,
        table: &Arc<Table>,
        locked: &Locked,
        values: &[(String, Text)],
    ) -> Result<(Vec<Found>, String), Error> {
        let (source, joined, rows) = locked.source(table);
        let set = values.iter().enumerate().map(|(at, (column, _))| format!("{column} = ${}", at + 2));
        let sql = format!(
            "UPDATE {} AS enact_t SET {} FROM {source} WHERE {joined} \
             RETURNING k.n, pg_catalog.pg_current_xact_id()::text, {}",
            table.sql(),
            set.collect::<Vec<_>>().join(", "),
            wanted(table)
        );
        let params: Vec<Param<'_>> = std::iter::once(&rows as Param<'_>)
            .chain(values.iter().map(|(_, text)| text as Param<'_>))
            .collect();
        let doing = format!("update {}", self.table);
        let mut updated = tx.query_table(&doing, (table, &self.table), &sql, &params).await?;
        if updated.len() != locked.rows.len() {
            return Err(precondition(format!(
                "{} rows of {} were to be updated, and the server would update {}: a trigger or row-level security \
                 leaves some out; nothing was changed",
                locked.rows.len(),
                self.table,
                updated.len()
            )));
        }
        updated.sort_by_key(|row| row.get::<_, i64>(0));
        let xid = updated.first().map(|row| row.get(1)).unwrap_or_default();
        Ok((updated.iter().map(|row| Found::read(row, 2)).collect::<Result<_, _>>()?, xid))
    }

    /// Whether every row had the wanted values before.
    fn is_there(&self, table: &Table, before: &[Image], after: &[Found]) -> bool {
        let places: Vec<usize> = self.data.columns().filter_map(|name| table.position(name)).collect();
        before
            .iter()
            .zip(after)
            .all(|(before, after)| places.iter().all(|place| before.get(*place) == after.image.get(*place)))
    }

    /// The rows after what runs afterwards: triggers, and foreign keys that come back to the table, from itself or
    /// from the tables that are reached.
    async fn settled(
        &self,
        tx: &Tx,
        table: &Table,
        after: Vec<Found>,
        reached: &[Reached],
    ) -> Result<Vec<Found>, Error> {
        let changed_once_more = !table.triggers.is_empty() || !reached.is_empty() || table.points_at_itself();
        if !changed_once_more || table.key.is_empty() {
            return Ok(after);
        }
        let images: Vec<&Image> = after.iter().map(|row| &row.image).collect();
        let again = find_whole(tx, table, &images).await?;
        let gone =
            || precondition(format!("a trigger of {} took a row away; nothing was changed", self.table));
        again.into_iter().map(|row| row.ok_or_else(gone)).collect()
    }

    fn change(
        &self,
        tx: &Tx,
        table: &Table,
        (before, after): (Vec<Image>, Vec<Found>),
        others: Vec<TableChange>,
        xid: String,
    ) -> Result<Change<RowsUpdated>, Error> {
        let facts = facts(table, after.len(), &others);
        let output = RowsUpdated {
            rows_updated: after.len(),
            rows: after.iter().map(|row| row.json.clone()).collect(),
        };
        let pairs = before.into_iter().zip(after);
        let rows = pairs.map(|(before, after)| RowChange { before: Some(before), after: Some(after.image) });
        let mut own = TableChange::of(table, tx.role()?, rows.collect());
        own.set = self.data.columns().map(str::to_owned).collect();
        let changes = std::iter::once(own).chain(others).collect();
        Ok(Change { xid, changes, output, warnings: Vec::new(), facts })
    }
}

impl Action for UpdateRow {
    const NAME: &'static str = "update_row";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "restores every row's captured values, if unchanged";
    const FACTS: &'static [(&'static str, FactKind)] = FACTS;
    type Output = RowsUpdated;
    type PreState = Written<RowsUpdated>;
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

impl ChangesRows for UpdateRow {
    async fn attempt(&self, postgres: &Postgres, tx: &Tx, _: &Cx) -> Result<Tried<RowsUpdated>, Error> {
        let table = postgres.writable(tx, &self.table).await?;
        check_reversible(&table, postgres.allow_irreversible)?;
        let values = self.data.params(&table)?;
        let locked = lock_rows(tx, (&table, &self.table), &self.rows, postgres).await?;
        if locked.rows.is_empty() {
            return Ok(Tried::AlreadyDone(RowsUpdated { rows_updated: 0, rows: Vec::new() }));
        }
        let asked = Happens::Changed(self.data.columns().map(str::to_owned).collect());
        let mut search = Search::new(postgres, tx);
        loop {
            let reached = search.reached(&table, &locked.rows, &asked).await?;
            let ready = search.get_ready(&table, &asked, &reached).await?;
            let (after, xid) = self.update(tx, &table, &locked, &values).await?;
            if self.is_there(&table, &locked.rows, &after) {
                return already_there(after, locked.json);
            }
            if table.deferrable || !table.triggers.is_empty() || !reached.is_empty() {
                tx.check_constraints().await?;
            }
            let after = self.settled(tx, &table, after, &reached).await?;
            let warnings = warnings(&table, &reached);
            let others = outcome(tx, reached).await?;
            let own = locked.rows.iter().zip(after.iter().map(|row| &row.image));
            if search.has_found_all(ready, (&table, &asked), own, &others).await? {
                let others = recorded(tx, others)?;
                let change = self.change(tx, &table, (locked.rows, after), others, xid)?;
                return Ok(Tried::Changed(Box::new(Change { warnings, ..change })));
            }
        }
    }

    async fn look(&self, postgres: &Postgres, tx: &Tx) -> Result<Preview<RowsUpdated>, Error> {
        let matched = Matched::find(postgres, tx, (&self.table, &self.rows)).await?;
        check_reversible(&matched.table, postgres.allow_irreversible)?;
        self.data.params(&matched.table)?;
        if matched.count == 0 {
            return Ok(Preview::already_done(RowsUpdated { rows_updated: 0, rows: Vec::new() }));
        }
        matched.preview(Some(&self.data))
    }

    fn undone_by(pre: &Written<RowsUpdated>) -> Undo<RestoreRows> {
        super::undo(pre)
    }
}

/// Every row had the wanted values before: as it was then, where triggers made something else of it.
fn already_there(after: Vec<Found>, before: Vec<Option<String>>) -> Result<Tried<RowsUpdated>, Error> {
    let as_it_was = |(row, json): (Found, Option<String>)| match json {
        Some(json) => JsonText::parse(&json),
        None => Ok(row.json),
    };
    let rows = after.into_iter().zip(before).map(as_it_was).collect::<Result<_, _>>()?;
    Ok(Tried::AlreadyDone(RowsUpdated { rows_updated: 0, rows }))
}
