//! `select_rows`: reading.

use enact_core::Error;
use enact_core::action::{Action, Captured, Doubt, EffectClass, Left, LockKey, NoUndo, Target, Undo};
use enact_core::connector::{Cx, Perform};
use enact_core::json::JsonText;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Values, target};
use crate::Postgres;
use crate::catalog::{Table, is_stale};
use crate::error::{internal, wrong};
use crate::name::{TableName, quoted};
use crate::tx::{Access, Param, Tx};

/// The default of `limit`.
pub const DEFAULT_LIMIT: usize = 1000;

/// Reads rows of a table or a view.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectRows {
    /// The table or view.
    pub table: TableName,
    /// The columns wanted; all of them by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Which rows: all of it holds; every row by default.
    #[serde(default, rename = "where", skip_serializing_if = "Values::is_empty")]
    pub rows: Values,
    /// In which order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_by: Option<OrderBy>,
    /// The most rows to give; [`DEFAULT_LIMIT`] by default, and at most the connector's `max_rows`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// An order of rows: `"name"`, `"born desc"`, or a list of such.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OrderBy {
    /// By one column.
    One(String),
    /// By several, the first one first.
    Several(Vec<String>),
}

/// What `select_rows` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RowsSelected {
    /// The rows.
    pub rows: Vec<JsonText>,
    /// Whether there are more than `limit`.
    pub truncated: bool,
}

impl SelectRows {
    /// All columns of the first 1,000 rows.
    pub fn new(table: impl Into<TableName>) -> Self {
        Self { table: table.into(), columns: None, rows: Values::new(), order_by: None, limit: None }
    }

    /// Only rows with these values.
    #[must_use]
    pub fn only(mut self, rows: Values) -> Self {
        self.rows = rows;
        self
    }

    async fn select(&self, postgres: &Postgres) -> Result<RowsSelected, Error> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT.min(postgres.max_rows));
        if limit > postgres.max_rows {
            return Err(wrong(format!(
                "'limit' is {limit}, and the connector gives at most {} rows ('max_rows')",
                postgres.max_rows
            )));
        }
        let tx = Tx::begin(&postgres.client, Access::Read).await?;
        let rows = self.rows(postgres, &tx, limit).await;
        tx.rollback().await;
        rows
    }

    pub(crate) async fn rows(
        &self,
        postgres: &Postgres,
        tx: &Tx,
        limit: usize,
    ) -> Result<RowsSelected, Error> {
        let table = postgres.catalog.table(tx, &self.table).await?;
        let (sql, params) = self.statement(&table, limit)?;
        let params: Vec<Param<'_>> = params.iter().map(|text| text as Param<'_>).collect();
        let doing = format!("select from {}", self.table);
        let found = tx.query_table(&doing, (&table, &self.table), &sql, &params).await?;
        let read = |row: &tokio_postgres::Row| {
            JsonText::parse(row.get(0)).map_err(|error| error.context("a row cannot be given as JSON"))
        };
        let rows = found.iter().take(limit).map(read).collect::<Result<_, _>>()?;
        Ok(RowsSelected { rows, truncated: found.len() > limit })
    }

    fn statement(&self, table: &Table, limit: usize) -> Result<(String, Vec<crate::value::Text>), Error> {
        let (condition, params) = self.rows.condition(table)?;
        let columns = match &self.columns {
            Some(names) if names.is_empty() => {
                return Err(wrong("'columns' is empty; name some, or leave it out"));
            }
            Some(names) => {
                let names = names.iter().map(|name| Ok(quoted(&table.column(name)?.name)));
                names.collect::<Result<Vec<_>, Error>>()?.join(", ")
            }
            None => "*".to_owned(),
        };
        let order = match &self.order_by {
            Some(order) => format!(" ORDER BY {}", order.sql(table)?),
            None => table.lock_order("enact_t"),
        };
        let sql = format!(
            "SELECT pg_catalog.to_json(enact_r.*)::text FROM (SELECT {columns} FROM {} AS enact_t WHERE {condition}{order} \
             LIMIT {}) AS enact_r",
            table.sql(),
            limit.saturating_add(1)
        );
        Ok((sql, params))
    }
}

impl OrderBy {
    fn sql(&self, table: &Table) -> Result<String, Error> {
        let terms = match self {
            Self::One(term) => std::slice::from_ref(term),
            Self::Several(terms) => terms.as_slice(),
        };
        let sql = terms.iter().map(|term| {
            // A column may be called "a desc"; its whole name comes first.
            let (name, direction) = match term.rsplit_once(' ') {
                Some((name, word)) if table.position(term).is_none() => (name.trim_end(), word),
                _ => (term.as_str(), "asc"),
            };
            let direction = match direction.to_ascii_lowercase().as_str() {
                "asc" => "ASC",
                "desc" => "DESC",
                other => return Err(wrong(format!("'order_by': '{other}' is neither asc nor desc"))),
            };
            Ok(format!("enact_t.{} {direction}", quoted(&table.column(name)?.name)))
        });
        let sql = sql.collect::<Result<Vec<_>, _>>()?;
        if sql.is_empty() { Err(wrong("'order_by' is empty; name a column")) } else { Ok(sql.join(", ")) }
    }
}

impl Action for SelectRows {
    const NAME: &'static str = "select_rows";
    const EFFECT: EffectClass = EffectClass::ReadOnly;
    const REVERSAL: &'static str = "nothing to undo";
    type Output = RowsSelected;
    type PreState = ();
    type Undo = NoUndo;

    fn target(&self) -> Target {
        target("table", &self.table, Some(&self.rows))
    }

    /// None: a read sees one moment of the database and changes nothing.
    fn lock(&self) -> Option<LockKey> {
        None
    }
}

impl Perform<SelectRows> for Postgres {
    type Held = ();

    async fn capture(&self, _: &Cx, _: &SelectRows) -> Result<Captured<SelectRows, ()>, Error> {
        Ok(Captured::ready((), ()))
    }

    async fn perform(&self, _: &Cx, action: &SelectRows, (): &(), (): ()) -> Result<RowsSelected, Error> {
        match action.select(self).await {
            Err(error) if is_stale(&error) => {
                self.catalog.forget();
                action.select(self).await
            }
            other => other,
        }
    }

    async fn probe(&self, _: &Cx, _: &SelectRows, (): &()) -> Result<Doubt<RowsSelected>, Error> {
        Err(internal("a read-only action has no outcome to find out"))
    }

    fn undo(&self, _: &SelectRows, (): &(), _: Left<'_, RowsSelected>) -> Undo<NoUndo> {
        Undo::Nothing
    }
}
