//! What a change of rows would touch, for a plan: read in a transaction that can only read.

use std::sync::Arc;

use enact_core::Error;
use enact_core::action::{Preview, Shown};
use enact_core::json::JsonText;
use serde::Serialize;
use serde_json::json;

use crate::Postgres;
use crate::actions::{SelectRows, Values};
use crate::catalog::Table;
use crate::name::TableName;
use crate::tx::{Param, Tx};
use crate::work::facts;

/// How many of the rows are shown.
const SAMPLE: usize = 5;

/// Rows that a condition holds for.
pub(crate) struct Matched {
    pub(crate) table: Arc<Table>,
    /// How many there are.
    pub(crate) count: usize,
    /// The first of them.
    sample: Vec<JsonText>,
}

#[derive(Serialize)]
struct Before<'a> {
    rows: usize,
    sample: &'a [JsonText],
}

#[derive(Serialize)]
struct Changed<'a> {
    rows: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<&'a Values>,
    /// Code of the database's own that runs along.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// Whether rows of other tables point here, which may change along; a run looks, and captures them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    others_point_here: bool,
}

impl Matched {
    /// Counts the rows, and reads the first ones.
    pub(crate) async fn find(
        postgres: &Postgres,
        tx: &Tx,
        (name, rows): (&TableName, &Values),
    ) -> Result<Self, Error> {
        let table = postgres.writable(tx, name).await?;
        let (condition, params) = rows.condition(&table)?;
        let params: Vec<Param<'_>> = params.iter().map(|text| text as Param<'_>).collect();
        let sql = format!(
            "SELECT pg_catalog.count(*) FROM (SELECT FROM {} AS enact_t WHERE {condition} LIMIT {}) AS enact_r",
            table.sql(),
            postgres.max_rows.saturating_add(1)
        );
        let doing = format!("count the rows of {name}");
        let found = tx.query_table(&doing, (&table, name), &sql, &params).await?;
        let count = found.first().map_or(0, |row| row.get::<_, i64>(0));
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > postgres.max_rows {
            return Err(postgres.too_many(name));
        }
        let sample = SelectRows::new(name.clone()).only(rows.clone()).rows(postgres, tx, SAMPLE).await?.rows;
        Ok(Self { table, count, sample })
    }

    /// The preview of changing them, `set` to new values or taken away.
    pub(crate) fn preview<O>(&self, set: Option<&Values>) -> Result<Preview<O>, Error> {
        let before = Before { rows: self.count, sample: &self.sample };
        self.table.preview(JsonText::encode(&before)?, self.count, set)
    }
}

impl Table {
    /// The preview of a change to so many rows.
    pub(crate) fn preview<O>(
        &self,
        before: JsonText,
        rows: usize,
        set: Option<&Values>,
    ) -> Result<Preview<O>, Error> {
        let were_there = before != JsonText::null();
        let others_point_here = were_there && !self.incoming.is_empty();
        let change = Changed { rows, set, warnings: self.warnings(), others_point_here };
        let lost = format!("{} has no primary key; its rows cannot be found again", self.table_name());
        let irreversible = self.key.is_empty().then_some(lost);
        let mut facts = facts(self, rows, &[]);
        // As capture says it: of rows that were there before.
        facts.insert("irreversible".into(), json!(irreversible.as_ref().filter(|_| were_there)));
        // Only a run reads all of the rows, and binds an approval to them.
        facts.insert("keys".into(), json!(null));
        let shown = Shown { before, change: JsonText::encode(&change)? };
        Ok(Preview { already_done: None, facts, shown, irreversible })
    }
}
