//! Policies on tables and their rows. All of them are for connectors of the kind `postgres`.

use enact_core::action::Facts;
use serde::{Deserialize, Serialize};

use crate::builtin::{Builtin, Judged, Judging, Made, Params, Refusal, Rule, policies};
use crate::name::table::{Table, Tables};
use crate::read::{fact, fact_text};
use crate::scope::Scope;

pub(crate) const KINDS: &[&str] = &["postgres"];

/// The actions that change rows.
pub(crate) const WRITES: &[&str] = &["insert_row", "update_row", "delete_row"];

/// No row is deleted: of no table, or where `tables` are given, of none of those, also not by a foreign key of theirs that
/// follows a deletion elsewhere.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DontDeleteRow {
    /// The tables whose rows stay: `table` (in any schema), `schema.table`, with `*`; all, where none is named.
    pub tables: Vec<String>,
}

/// No change of these tables: no row is inserted, updated or deleted, also not by a foreign key of theirs that follows a
/// change elsewhere.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtectTables {
    /// The tables: `table` (in any schema), `schema.table`, with `*`.
    pub tables: Vec<String>,
    /// Whether they are not to be read either.
    #[serde(default)]
    pub reads: bool,
}

/// No change of more rows than this, those of other tables included that foreign keys change too. It is judged on the rows
/// that were found and locked.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxRowsAffected {
    /// The most rows of one action.
    pub max: u64,
}

policies!(DontDeleteRow, ProtectTables, MaxRowsAffected);

/// [`DontDeleteRow`], for all tables.
#[must_use]
pub fn dont_delete_row() -> Builtin {
    DontDeleteRow::default().into()
}

/// [`ProtectTables`], from changes.
#[must_use]
pub fn protect_tables<S: Into<String>>(tables: impl IntoIterator<Item = S>) -> Builtin {
    ProtectTables { tables: tables.into_iter().map(Into::into).collect(), reads: false }.into()
}

/// [`MaxRowsAffected`].
#[must_use]
pub fn max_rows_affected(max: u64) -> Builtin {
    MaxRowsAffected { max }.into()
}

fn read_tables(tables: &[String]) -> Result<Tables, String> {
    if tables.is_empty() {
        return Err("'tables' is empty; name at least one".into());
    }
    Tables::new(tables).map_err(|wrong| format!("'tables': {wrong}"))
}

/// The tables that foreign keys change along, with how many of their rows.
fn cascades(facts: &Facts) -> Result<impl Iterator<Item = (&str, Option<u64>)>, Refusal> {
    let cascades = fact(facts, "cascades")?
        .as_object()
        .ok_or("the fact 'cascades' is no object, so it cannot be judged")?;
    Ok(cascades.iter().map(|(table, rows)| (table.as_str(), rows.as_u64())))
}

/// How many rows a change touches, of its own table and of others.
pub(crate) fn rows_affected(facts: &Facts) -> Result<u64, Refusal> {
    let no_number = "a number of rows among the facts is none, so it cannot be judged";
    let own = fact(facts, "rows")?.as_u64().ok_or(no_number)?;
    cascades(facts)?.try_fold(own, |sum, (_, rows)| Ok(sum.saturating_add(rows.ok_or(no_number)?)))
}

/// A no, where an action is on one of the tables. By the parameters alone, a name without a schema is left to what capture
/// finds; of a read, nothing is captured.
fn refuse_on(tables: &Tables, verb: &str, judging: &Judging<'_>) -> Judged {
    let asked = judging.text("table")?;
    let named = Table::read(asked);
    let is_one = match judging.facts {
        _ if !judging.is(WRITES) => tables.may_have(&named),
        None => tables.has(&named),
        Some(facts) => tables.has(&named) || tables.has(&Table::read(fact_text(facts, "table")?)),
    };
    if !is_one {
        Ok(())
    } else if !judging.is(WRITES) && !tables.has(&named) {
        Err(format!(
            "it {verb} '{asked}', which names no schema and may be one that is protected; name its schema, such as \
             public.{asked}"
        )
        .into())
    } else {
        Err(format!("it {verb} '{asked}', which is protected").into())
    }
}

/// A no, where foreign keys change one of the tables along.
fn refuse_along(tables: &Tables, judging: &Judging<'_>) -> Judged {
    let Some(facts) = judging.facts else { return Ok(()) };
    match cascades(facts)?.find(|(table, _)| tables.may_have(&Table::read(table))) {
        Some((table, _)) => Err(format!("a foreign key changes '{table}' along, which is protected").into()),
        None => Ok(()),
    }
}

/// Rows of all tables, or of some.
#[derive(Debug)]
struct NoDelete(Option<Tables>);

impl Rule for NoDelete {
    fn judge(&self, _: &Scope, judging: &Judging<'_>) -> Judged {
        if !judging.is(&["delete_row"]) {
            return Ok(());
        }
        match &self.0 {
            None => Err(format!("it deletes rows of '{}'", judging.text("table")?).into()),
            Some(tables) => {
                refuse_on(tables, "deletes rows of", judging)?;
                refuse_along(tables, judging)
            }
        }
    }
}

impl Params for DontDeleteRow {
    const NAME: &'static str = "dont_delete_row";
    const KINDS: &'static [&'static str] = KINDS;

    fn rule(&self, _: &Scope) -> Made {
        let tables = if self.tables.is_empty() { None } else { Some(read_tables(&self.tables)?) };
        Ok(Box::new(NoDelete(tables)))
    }
}

#[derive(Debug)]
struct Protected {
    tables: Tables,
    reads: bool,
}

impl Rule for Protected {
    fn judge(&self, _: &Scope, judging: &Judging<'_>) -> Judged {
        if judging.is(WRITES) {
            refuse_on(&self.tables, "changes", judging)?;
            refuse_along(&self.tables, judging)
        } else if self.reads && judging.is(&["select_rows"]) {
            refuse_on(&self.tables, "reads", judging)
        } else {
            Ok(())
        }
    }
}

impl Params for ProtectTables {
    const NAME: &'static str = "protect_tables";
    const KINDS: &'static [&'static str] = KINDS;

    fn rule(&self, _: &Scope) -> Made {
        Ok(Box::new(Protected { tables: read_tables(&self.tables)?, reads: self.reads }))
    }
}

#[derive(Debug)]
struct MaxRows(u64);

impl Rule for MaxRows {
    fn judge(&self, _: &Scope, judging: &Judging<'_>) -> Judged {
        let Some(facts) = judging.facts.filter(|_| judging.is(WRITES)) else { return Ok(()) };
        let (rows, max) = (rows_affected(facts)?, self.0);
        if rows > max { Err(format!("it changes {rows} rows, more than {max}").into()) } else { Ok(()) }
    }
}

impl Params for MaxRowsAffected {
    const NAME: &'static str = "max_rows_affected";
    const KINDS: &'static [&'static str] = KINDS;

    fn rule(&self, _: &Scope) -> Made {
        if self.max == 0 {
            return Err("'max' is 0; to forbid changes, leave the actions out of allowed_actions".into());
        }
        Ok(Box::new(MaxRows(self.max)))
    }
}
