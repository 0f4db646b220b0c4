//! What a change reaches beyond its own rows: the rows of other tables that foreign keys delete, or set, with it.
//!
//! All of them are locked and read before the change, so that undo can give them back. What cannot be read or
//! found again is a reason to refuse the change.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use enact_core::Error;

use crate::catalog::{Catalog, ForeignKey, Referential, Table};
use crate::error::{unsupported, wrong};
use crate::name::quoted;
use crate::rows::{Image, RowChange, TableChange, find, image, literal, shapes, unnested};
use crate::tx::Tx;

/// What happens to rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Happens {
    /// They are deleted.
    Deleted,
    /// These columns are changed.
    Changed(Vec<String>),
}

/// Rows of one table that a change reaches, as they are before it.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) table: Arc<Table>,
    pub(crate) rows: Vec<Image>,
}

/// Finds what changes reach. The rows of a table are known by their keys.
pub(crate) struct Search<'a> {
    pub(crate) tx: &'a Tx,
    pub(crate) catalog: &'a Catalog,
    /// How many rows may be reached.
    pub(crate) budget: usize,
}

/// A table with what is known to be reached in it, by key.
type Known = BTreeMap<u32, (Arc<Table>, BTreeMap<Image, (Image, bool)>)>;

/// Rows whose consequences are still to be looked at.
struct Pending {
    table: Arc<Table>,
    rows: Vec<Image>,
    happens: Happens,
}

impl Search<'_> {
    /// The rows that are reached when `happens` to `rows` of `table`, those rows themselves left out.
    pub(crate) async fn reached(
        &self,
        table: &Arc<Table>,
        rows: &[Image],
        happens: Happens,
    ) -> Result<Vec<Reached>, Error> {
        if table.incoming.iter().all(|key| effect(key, &happens) == Referential::Refuse) {
            return Ok(Vec::new());
        }
        let mut known = Known::new();
        note(&mut known, table, rows, happens == Happens::Deleted);
        let mut pending =
            VecDeque::from([Pending { table: Arc::clone(table), rows: rows.to_vec(), happens }]);
        let mut left = self.budget;
        while let Some(next) = pending.pop_front() {
            for key in &next.table.incoming {
                let effect = effect(key, &next.happens);
                if effect == Referential::Refuse || next.rows.is_empty() {
                    continue;
                }
                let (child, rows) = self.pointing(key, &next, left).await?;
                let deleted = next.happens == Happens::Deleted && effect == Referential::Cascade;
                check_key_stays(key, &child, &rows, deleted)?;
                let fresh = note(&mut known, &child, &rows, deleted);
                left = left.checked_sub(fresh.len()).ok_or_else(|| self.too_many())?;
                let happens = if deleted { Happens::Deleted } else { Happens::Changed(key.columns.clone()) };
                pending.push_back(Pending { table: child, rows: fresh, happens });
            }
        }
        let own: BTreeSet<Image> = rows.iter().map(|row| key_of(table, row)).collect();
        let reached = known.into_values().map(|(of, rows)| {
            let is_own = |key: &Image| of.oid == table.oid && own.contains(key);
            let rows = rows.into_iter().filter(|(key, _)| !is_own(key)).map(|(_, (row, _))| row).collect();
            Reached { table: of, rows }
        });
        Ok(reached.filter(|reached| !reached.rows.is_empty()).collect())
    }

    /// The rows that point, by `key`, at rows to which something happens; locked.
    async fn pointing(
        &self,
        key: &ForeignKey,
        at: &Pending,
        left: usize,
    ) -> Result<(Arc<Table>, Vec<Image>), Error> {
        let name = key.child();
        let child = self.catalog.table(self.tx, &name).await?;
        let refuse = |why: &str| {
            unsupported(format!(
                "{name} points at {} by foreign key '{}' and would be changed too, but {why}; nothing was changed",
                at.table.table_name(),
                key.name
            ))
        };
        if child.row_security {
            return Err(refuse("row-level security hides some of its rows from this role"));
        }
        child.check_writable().map_err(|error| refuse(error.message()))?;
        let equal = key.columns.iter().zip(&key.referenced).map(|(column, referenced)| {
            let place = at.table.position(referenced).unwrap_or_default();
            format!("enact_t.{} = k.f{place}", quoted(column))
        });
        let sql = format!(
            "SELECT {} FROM {} AS enact_t JOIN {} ON {}{} LIMIT {} FOR UPDATE OF enact_t",
            child.image("enact_t"),
            child.sql(),
            unnested(&at.table, "$1", "k"),
            equal.collect::<Vec<_>>().join(" AND "),
            child.lock_order("enact_t"),
            left.saturating_add(self.budget).saturating_add(1),
        );
        let rows = literal(&at.table, &shapes(&at.table), &at.rows);
        let doing = format!("read the rows of {name} that foreign key '{}' changes too", key.name);
        let rows = self.tx.query_table(&doing, (&child, &name), &sql, &[&rows]).await?;
        if !rows.is_empty() && child.key.is_empty() {
            return Err(refuse("it has no primary key by which its rows could be found again"));
        }
        let rows = rows.iter().map(|row| image(row, 0)).collect();
        Ok((child, rows))
    }

    fn too_many(&self) -> Error {
        wrong(format!(
            "more than {} rows would be changed, with those that foreign keys change too; nothing was changed. \
             Narrow 'where', or raise 'max_rows'",
            self.budget
        ))
    }
}

/// What a foreign key does when that happens to the rows that it points at.
fn effect(key: &ForeignKey, happens: &Happens) -> Referential {
    match happens {
        Happens::Deleted => key.on_delete(),
        Happens::Changed(columns) if columns.iter().any(|column| key.referenced.contains(column)) => {
            key.on_update()
        }
        Happens::Changed(_) => Referential::Refuse,
    }
}

/// Rows whose own key is changed with the key that they point at could not be found again.
fn check_key_stays(key: &ForeignKey, child: &Table, rows: &[Image], deleted: bool) -> Result<(), Error> {
    if deleted || rows.is_empty() || !key.columns.iter().any(|column| child.key.contains(column)) {
        return Ok(());
    }
    Err(unsupported(format!(
        "foreign key '{}' would change the primary key of rows of {} too, which could not be found again; nothing \
         was changed",
        key.name,
        child.table_name()
    )))
}

/// Notes rows; gives those to which something new happens.
fn note(known: &mut Known, table: &Arc<Table>, rows: &[Image], deleted: bool) -> Vec<Image> {
    let (_, noted) = known.entry(table.oid).or_insert_with(|| (Arc::clone(table), BTreeMap::new()));
    let mut fresh = Vec::new();
    for row in rows {
        match noted.get_mut(&key_of(table, row)) {
            Some((_, was_deleted)) if *was_deleted || !deleted => {}
            Some((_, was_deleted)) => {
                *was_deleted = true;
                fresh.push(row.clone());
            }
            None => {
                noted.insert(key_of(table, row), (row.clone(), deleted));
                fresh.push(row.clone());
            }
        }
    }
    fresh
}

/// The key's values of a row; the whole row in a table without a key.
pub(crate) fn key_of(table: &Table, row: &Image) -> Image {
    if table.key.is_empty() {
        return row.clone();
    }
    table.key.iter().map(|name| table.position(name).and_then(|at| row.get(at)).cloned().flatten()).collect()
}

/// What people should know of the tables that a change touches.
pub(crate) fn warnings(table: &Table, reached: &[Reached]) -> Vec<String> {
    let others = reached.iter().filter(|reached| reached.table.oid != table.oid);
    others.fold(table.warnings(), |mut all, reached| {
        all.extend(reached.table.warnings());
        all
    })
}

/// Rows that are about to change along, before it is known how.
pub(crate) fn outcome_of(tx: &Tx, reached: &Reached) -> Result<TableChange, Error> {
    let rows = reached.rows.iter().map(|before| RowChange { before: Some(before.clone()), after: None });
    Ok(TableChange::of(&reached.table, tx.role()?, rows.collect()))
}

/// What has become of the rows that were reached, after the change.
pub(crate) async fn outcome(tx: &Tx, reached: Vec<Reached>) -> Result<Vec<TableChange>, Error> {
    let mut changes = Vec::with_capacity(reached.len());
    for Reached { table, rows } in reached {
        let after = find(tx, &table, &shapes(&table), &rows.iter().collect::<Vec<_>>()).await?;
        let pairs = rows.into_iter().zip(after);
        let rows = pairs.map(|(before, after)| RowChange { before: Some(before), after });
        changes.push(TableChange::of(&table, tx.role()?, rows.collect()));
    }
    Ok(changes)
}
