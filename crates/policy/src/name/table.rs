//! Names of tables, read as the connector reads them.

use super::fold;
use super::pattern::{Patterns, alternatives};

/// Between the parts of a name in the form in which it is compared, and where wildcards stop.
const BETWEEN: char = '/';

/// Stands for it within a part. Folding leaves no such character.
const WITHIN: &str = "\u{2044}";

/// A table's name in the broad form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Table {
    schema: Option<String>,
    table: String,
}

impl Table {
    /// Reads `table`, `schema.table`, and both with parts in double quotes; more parts than two are taken for the last two.
    pub(crate) fn read(text: &str) -> Self {
        let mut parts = parts(text);
        let table = parts.pop().unwrap_or_default();
        Self { schema: parts.pop(), table }
    }
}

/// The parts of a name, quotes taken off. As in the connector, a quote opens only at the beginning of a part.
fn parts(text: &str) -> Vec<String> {
    let (mut parts, mut rest) = (Vec::new(), Some(text));
    while let Some(text) = rest {
        let (part, after) = match text.strip_prefix('"') {
            Some(inside) => quoted(inside),
            None => match text.split_once('.') {
                Some((part, after)) => (part.to_owned(), Some(after)),
                None => (text.to_owned(), None),
            },
        };
        parts.push(fold(&part).trim().replace(BETWEEN, WITHIN));
        rest = after;
    }
    parts
}

/// What a quote holds that was opened, and what comes after it and its dot.
fn quoted(text: &str) -> (String, Option<&str>) {
    let (mut part, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('"') {
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return (part, after.strip_prefix('.')),
        }
    }
    (part + rest, None)
}

/// Tables that a rule is about: names and patterns, with a schema or without, which means in any schema.
#[derive(Debug)]
pub(crate) struct Tables {
    bare: Patterns,
    qualified: Patterns,
    /// The tables of those with a schema, for names that have none.
    of_qualified: Patterns,
}

impl Tables {
    pub(crate) fn new(patterns: &[String]) -> Result<Self, String> {
        let mut read = Vec::new();
        for pattern in &alternatives(patterns)? {
            let parts = parts(pattern);
            if parts.len() > 2 || parts.iter().any(String::is_empty) {
                return Err(format!("'{pattern}' is no table: write table, schema.table or schema.*"));
            }
            read.push(Table::read(pattern));
        }
        let (qualified, bare): (Vec<_>, Vec<_>) = read.into_iter().partition(|table| table.schema.is_some());
        let as_is = |text: &str| text.to_owned();
        Ok(Self {
            bare: Patterns::new(bare.iter().map(|table| &table.table), as_is)?,
            qualified: Patterns::new(qualified.iter().map(joined), as_is)?,
            of_qualified: Patterns::new(qualified.iter().map(|table| &table.table), as_is)?,
        })
    }

    /// Whether a name is one of them. One without a schema is, where it may be one of them.
    pub(crate) fn may_have(&self, table: &Table) -> bool {
        self.has(table) || (table.schema.is_none() && self.of_qualified.has(&table.table))
    }

    /// Whether a name is certainly one of them.
    pub(crate) fn has(&self, table: &Table) -> bool {
        self.bare.has(&table.table) || (table.schema.is_some() && self.qualified.has(&joined(table)))
    }
}

fn joined(table: &Table) -> String {
    format!("{}{BETWEEN}{}", table.schema.as_deref().unwrap_or_default(), table.table)
}
