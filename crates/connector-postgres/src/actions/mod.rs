//! The actions, one file each: parameters, what they touch, how they are carried out, proved and undone.

pub mod delete_row;
pub mod insert_row;
pub mod restore_rows;
pub mod select_rows;
pub mod update_row;

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use enact_core::action::{Action, LockKey, Target, Undo};
use enact_core::error::{Error, ErrorCode};
use enact_core::json::JsonText;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Value, json};

pub use self::delete_row::DeleteRow;
pub use self::insert_row::InsertRow;
pub use self::restore_rows::RestoreRows;
pub use self::select_rows::SelectRows;
pub use self::update_row::UpdateRow;
use crate::Postgres;
use crate::catalog::Table;
use crate::name::{TableName, quoted};
use crate::rows::{Image, image, literal, same_key, shapes, unnested};
use crate::tx::{Param, Tx};
use crate::value::{self, Text, from_json};
use crate::work::Written;

/// Columns and their values, as JSON: `{"name": "Ada", "born": null}`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Values(BTreeMap<String, JsonText>);

impl Values {
    /// Values of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the value of a column.
    ///
    /// # Errors
    /// As [`JsonText::encode`].
    pub fn with<T: Serialize + ?Sized>(mut self, column: &str, value: &T) -> Result<Self, Error> {
        self.0.insert(column.to_owned(), JsonText::encode(value)?);
        Ok(self)
    }

    /// The names of the columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each column, as SQL, with the parameter for its value.
    fn params(&self, table: &Table) -> Result<Vec<(String, Text)>, Error> {
        let param =
            |(name, value): (&String, &JsonText)| Ok((quoted(name), from_json(table.column(name)?, value)?));
        self.0.iter().map(param).collect()
    }

    /// The condition that all of them hold of the row `enact_t`, as SQL, with its parameters from `$1` on.
    pub(crate) fn condition(&self, table: &Table) -> Result<(String, Vec<Text>), Error> {
        let (mut terms, mut params) = (Vec::new(), Vec::new());
        for (name, value) in &self.0 {
            let column = table.column(name)?;
            let row = format!("enact_t.{}", quoted(name));
            let text = from_json(column, value)?;
            let place = params.len() + 1;
            terms.push(if text.0.is_none() {
                // Plain IS NULL would hold of a composite of nulls as well.
                format!("{row} IS NOT DISTINCT FROM NULL")
            } else if column.is_plain_json() {
                format!("{row}::jsonb = ${place}::jsonb")
            } else {
                format!("{row} = ${place}::{}", column.type_name)
            });
            if text.0.is_some() {
                params.push(text);
            }
        }
        let all = if terms.is_empty() { "true".to_owned() } else { terms.join(" AND ") };
        Ok((all, params))
    }
}

impl Debug for Values {
    /// The columns alone: their values do not belong in traces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Reads values of which there has to be one.
fn some_values<'de, D: Deserializer<'de>>(from: D) -> Result<Values, D::Error> {
    let values = Values::deserialize(from)?;
    if values.is_empty() {
        return Err(de::Error::custom(
            "it is empty; name at least one column, so that not every row is meant",
        ));
    }
    Ok(values)
}

/// What an action on a table touches.
fn target(kind: &'static str, table: &TableName, rows: Option<&Values>) -> Target {
    let columns = rows.map(|rows| rows.columns().collect::<Vec<_>>().join(", ")).unwrap_or_default();
    let target = Target::new(kind, table.to_string()).with("table", table.to_string());
    if columns.is_empty() { target } else { target.with("where", columns) }
}

/// Requests for the same rows wait for each other here, before they take a connection. Requests that mean the same
/// rows by other words wait for each other at the server.
fn lock(table: &TableName, rows: &Values) -> Option<LockKey> {
    let rows = rows.0.iter().map(|(name, value)| format!("{name:?}: {}", value.as_str()));
    Some(LockKey(format!("{table} {}", rows.collect::<Vec<_>>().join(", "))))
}

/// The action that reads these rows, for [`Action::shown_by`].
fn read_of(table: &TableName, rows: &Values) -> Option<(&'static str, Value)> {
    Some((SelectRows::NAME, json!({ "table": table, "where": rows })))
}

/// The rows that a request means, locked.
struct Locked {
    rows: Vec<Image>,
    /// Where each row is. That stays so while it is locked.
    places: Vec<String>,
    /// Each row as JSON, where triggers may make something else of it.
    json: Vec<Option<String>>,
}

/// Locks and reads the rows of a table for which `rows` holds.
async fn lock_rows(
    tx: &Tx,
    (table, name): (&Table, &TableName),
    rows: &Values,
    postgres: &Postgres,
) -> Result<Locked, Error> {
    let (condition, params) = rows.condition(table)?;
    let json = if table.triggers.is_empty() { "NULL" } else { "pg_catalog.to_json(enact_t.*)" };
    let sql = format!(
        "SELECT enact_t.ctid::text, {}, {json}::text FROM {} AS enact_t WHERE {condition}{} LIMIT {} FOR UPDATE",
        table.image("enact_t"),
        table.sql(),
        table.lock_order("enact_t"),
        postgres.max_rows.saturating_add(1)
    );
    let params: Vec<Param<'_>> = params.iter().map(|text| text as Param<'_>).collect();
    let doing = format!("read the rows of {name}");
    let found = tx.query_table(&doing, (table, name), &sql, &params).await?;
    if found.len() > postgres.max_rows {
        return Err(postgres.too_many(name));
    }
    let rows = found.iter().map(|row| image(row, 1)).collect();
    let places = found.iter().map(|row| row.get(0)).collect();
    Ok(Locked { rows, places, json: found.iter().map(|row| row.get(2)).collect() })
}

impl Locked {
    /// A source `k` of these rows for `FROM` and `USING`, numbered by `n`, the condition that joins it with `enact_t`,
    /// and its parameter `$1`. Rows are found by their place; in a partitioned table, where a place is not one row's
    /// alone, by their key.
    fn source(&self, table: &Table) -> (String, String, Text) {
        let by_place = "enact_t.ctid = k.f".to_owned();
        if table.is_partitioned() {
            let rows = literal(table, &shapes(table), &self.rows);
            return (unnested(table, "$1", "k"), same_key(table, "enact_t", "k"), rows);
        }
        // The server plans this one once, and would plan an array of unknown length each time.
        if let [place] = self.places.as_slice() {
            let one = "(SELECT $1::tid AS f, 1::int8 AS n) AS k".to_owned();
            return (one, by_place, Text(Some(place.clone())));
        }
        let places = value::list(self.places.iter().map(String::as_str));
        ("pg_catalog.unnest($1::tid[]) WITH ORDINALITY AS k(f, n)".to_owned(), by_place, places)
    }
}

/// Refuses what could not be undone, where that is not allowed.
fn check_reversible(table: &Table, allow: bool) -> Result<(), Error> {
    if !table.key.is_empty() {
        return Ok(());
    }
    let name = table.table_name();
    if !allow {
        return Err(Error::new(
            ErrorCode::Irreversible,
            format!(
                "{name} has no primary key, so its rows could not be found again for an undo; nothing was changed. \
                 'allow_irreversible = true' permits it, for good"
            ),
        )
        .left_nothing());
    }
    if table.is_partitioned() {
        return Err(crate::error::unsupported(format!(
            "{name} is partitioned and has no primary key: its rows cannot be told apart; nothing was changed"
        )));
    }
    Ok(())
}

/// The undo of a change, from its record alone. Rows without a key cannot be found again.
fn undo<O>(pre: &Written<O>) -> Undo<RestoreRows> {
    match &pre.irreversible {
        Some(reason) => Undo::Irreversible(reason.clone()),
        None => Undo::By(RestoreRows { changes: pre.changes.clone() }),
    }
}
