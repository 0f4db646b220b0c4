//! What a change reaches beyond its own rows: the rows of other tables that foreign keys delete, or set, with it.
//!
//! All of them are locked and read before the change, so that undo can give them back. What cannot be read or
//! found again is a reason to refuse the change.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use enact_core::Error;

use crate::Postgres;
use crate::catalog::{Catalog, Column, ForeignKey, Referential, Table};
use crate::error::{precondition, unsupported, wrong};
use crate::name::quoted;
use crate::rows::{Image, RowChange, TableChange, find, image, literal, same_key, shapes, unnested};
use crate::tx::Tx;

/// What happens to rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Happens {
    /// They are deleted.
    Deleted,
    /// These columns are changed.
    Changed(BTreeSet<String>),
}

/// Rows of one table that a change reaches, as they are before it.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) table: Arc<Table>,
    pub(crate) rows: Vec<ReachedRow>,
}

/// A row that a change reaches, and how.
#[derive(Debug)]
pub(crate) struct ReachedRow {
    /// The row before the change.
    pub(crate) before: Image,
    deleted: bool,
    /// The columns that change, as far as that is known beforehand.
    changed: BTreeSet<String>,
}

/// Finds what changes reach. The rows of a table are known by their keys.
pub(crate) struct Search<'a> {
    tx: &'a Tx,
    catalog: &'a Catalog,
    /// How many rows may be reached.
    budget: usize,
    /// The columns, by table, that changed in an earlier try although nobody asked for it, and that others follow.
    unasked: BTreeMap<u32, BTreeSet<String>>,
}

/// What is known to be reached in a table, by key.
struct Known {
    table: Arc<Table>,
    rows: BTreeMap<Image, ReachedRow>,
}

/// Rows whose consequences are still to be looked at.
struct Pending {
    table: Arc<Table>,
    rows: Vec<Image>,
    happens: Happens,
}

impl<'a> Search<'a> {
    pub(crate) fn new(postgres: &'a Postgres, tx: &'a Tx) -> Self {
        Self { tx, catalog: &postgres.catalog, budget: postgres.max_rows, unasked: BTreeMap::new() }
    }

    /// The rows that are reached when `happens` to `rows` of `table`, those rows themselves left out.
    pub(crate) async fn reached(
        &self,
        table: &Arc<Table>,
        rows: &[Image],
        happens: &Happens,
    ) -> Result<Vec<Reached>, Error> {
        let happens = &match happens {
            Happens::Deleted => Happens::Deleted,
            Happens::Changed(columns) => self.changed(table, columns),
        };
        if table.incoming.iter().all(|key| effect(key, happens) == Referential::Refuse) {
            return Ok(Vec::new());
        }
        let mut known = BTreeMap::new();
        note(&mut known, table, rows, happens);
        let own = count(&known);
        let first = Pending { table: Arc::clone(table), rows: rows.to_vec(), happens: happens.clone() };
        let mut pending = VecDeque::from([first]);
        while let Some(next) = pending.pop_front() {
            for key in &next.table.incoming {
                let effect = effect(key, &next.happens);
                if effect == Referential::Refuse || next.rows.is_empty() {
                    continue;
                }
                let left = self.budget.saturating_sub(count(&known).saturating_sub(own));
                let (child, rows) = self.pointing(key, &next, &known, left).await?;
                let happens = match next.happens {
                    Happens::Deleted if effect == Referential::Cascade => Happens::Deleted,
                    _ => self.changed(&child, &key.columns),
                };
                check_key_stays(key, &child, &rows, &happens)?;
                let fresh = note(&mut known, &child, &rows, &happens);
                if count(&known) > own.saturating_add(self.budget) {
                    return Err(self.too_many());
                }
                pending.push_back(Pending { table: child, rows: fresh, happens });
            }
        }
        let own: BTreeSet<Image> = rows.iter().map(|row| key_of(table, row)).collect();
        let reached = known.into_values().map(|known| {
            let is_own = |key: &Image| known.table.oid == table.oid && own.contains(key);
            let rows = known.rows.into_iter().filter(|(key, _)| !is_own(key)).map(|(_, row)| row).collect();
            Reached { table: known.table, rows }
        });
        Ok(reached.filter(|reached| !reached.rows.is_empty()).collect())
    }

    /// These columns of a table are changed, and with them those of which that was seen in an earlier try.
    fn changed<'c>(&self, table: &Table, columns: impl IntoIterator<Item = &'c String>) -> Happens {
        let mut all: BTreeSet<String> = columns.into_iter().cloned().collect();
        all.extend(self.unasked.get(&table.oid).into_iter().flatten().cloned());
        Happens::Changed(all)
    }

    /// Refuses where it could not be seen who points at a row when it is taken back.
    pub(crate) async fn check_seen(&self, table: &Table) -> Result<(), Error> {
        for key in table.incoming.iter().filter(|key| key.on_delete() != Referential::Refuse) {
            self.child(key, table).await?;
        }
        Ok(())
    }

    /// The table that points at another by `key`, whose rows can all be seen.
    async fn child(&self, key: &ForeignKey, at: &Table) -> Result<Arc<Table>, Error> {
        let child = self.catalog.table(self.tx, &key.child()).await?;
        if child.row_security {
            return Err(refuse(key, at, "row-level security hides some of its rows from this role"));
        }
        Ok(child)
    }

    /// The rows that point, by `key`, at rows to which something happens; locked. `left` more may be reached than are
    /// known.
    async fn pointing(
        &self,
        key: &ForeignKey,
        at: &Pending,
        known: &BTreeMap<u32, Known>,
        left: usize,
    ) -> Result<(Arc<Table>, Vec<Image>), Error> {
        let (name, child) = (key.child(), self.child(key, &at.table).await?);
        let equal = key.columns.iter().zip(&key.referenced).map(|(column, referenced)| {
            let place = at.table.position(referenced).unwrap_or_default();
            format!("enact_t.{} = k.f{place}", quoted(column))
        });
        let mut equal = equal.collect::<Vec<_>>().join(" AND ");
        if let Some(partition) = key.partition().filter(|_| !at.table.key.is_empty()) {
            // Rows of other partitions may have the same values.
            let row = same_key(&at.table, "enact_p", "k");
            equal += &format!(" WHERE EXISTS (SELECT FROM {} AS enact_p WHERE {row})", partition.sql());
        }
        // Those that are known may come first; one more than is left is too many.
        let known = known.get(&child.oid).map_or(0, |known| known.rows.len());
        let sql = format!(
            "SELECT {} FROM {} AS enact_t JOIN {} ON {equal}{} LIMIT {} FOR UPDATE OF enact_t",
            child.image("enact_t"),
            child.sql(),
            unnested(&at.table, "$1", "k"),
            child.lock_order("enact_t"),
            known.saturating_add(left).saturating_add(1),
        );
        let rows = literal(&at.table, &shapes(&at.table), &at.rows);
        let doing = format!("read the rows of {name} that foreign key '{}' changes too", key.name);
        let rows = self.tx.query_table(&doing, (&child, &name), &sql, &[&rows]).await?;
        if !rows.is_empty() {
            child.check_writable().map_err(|error| refuse(key, &at.table, error.message()))?;
            if child.key.is_empty() {
                let why = "it has no primary key by which its rows could be found again";
                return Err(refuse(key, &at.table, why));
            }
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

/// Why rows that point at others cannot be changed along.
fn refuse(key: &ForeignKey, at: &Table, why: &str) -> Error {
    unsupported(format!(
        "{} points at {} by foreign key '{}' and would be changed too, but {why}; nothing was changed",
        key.child(),
        at.table_name(),
        key.name
    ))
}

/// What a foreign key does when that happens to the rows that it points at.
fn effect(key: &ForeignKey, happens: &Happens) -> Referential {
    match happens {
        Happens::Deleted => key.on_delete(),
        Happens::Changed(columns) if key.referenced.iter().any(|column| columns.contains(column)) => {
            key.on_update()
        }
        Happens::Changed(_) => Referential::Refuse,
    }
}

/// Rows whose own key is changed with the key that they point at could not be found again.
fn check_key_stays(key: &ForeignKey, child: &Table, rows: &[Image], happens: &Happens) -> Result<(), Error> {
    let stays = match happens {
        Happens::Deleted => true,
        Happens::Changed(columns) => !child.key.iter().any(|column| columns.contains(column)),
    };
    if stays || rows.is_empty() {
        return Ok(());
    }
    Err(unsupported(format!(
        "foreign key '{}' would change the primary key of rows of {} too, which could not be found again; nothing \
         was changed",
        key.name,
        child.table_name()
    )))
}

/// How many rows are known.
fn count(known: &BTreeMap<u32, Known>) -> usize {
    known.values().map(|known| known.rows.len()).sum()
}

/// Notes what happens to rows; gives those to which that is new.
fn note(
    known: &mut BTreeMap<u32, Known>,
    table: &Arc<Table>,
    rows: &[Image],
    happens: &Happens,
) -> Vec<Image> {
    let known =
        known.entry(table.oid).or_insert_with(|| Known { table: Arc::clone(table), rows: BTreeMap::new() });
    let is_new = |row: &&Image| {
        let noted = known.rows.entry(key_of(table, row)).or_insert_with(|| ReachedRow {
            before: (*row).clone(),
            deleted: false,
            changed: BTreeSet::new(),
        });
        noted.note(happens)
    };
    rows.iter().filter(is_new).cloned().collect()
}

impl ReachedRow {
    /// Notes what happens to the row; whether that is new.
    fn note(&mut self, happens: &Happens) -> bool {
        match happens {
            _ if self.deleted => false,
            Happens::Deleted => {
                self.deleted = true;
                true
            }
            Happens::Changed(columns) => {
                let before = self.changed.len();
                self.changed.extend(columns.iter().cloned());
                self.changed.len() > before
            }
        }
    }
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

/// What has become of rows that were reached.
#[derive(Debug)]
pub(crate) struct Outcome {
    reached: Reached,
    after: Vec<Option<Image>>,
}

/// What has become of the rows that were reached, after the change.
pub(crate) async fn outcome(tx: &Tx, reached: Vec<Reached>) -> Result<Vec<Outcome>, Error> {
    let mut outcomes = Vec::with_capacity(reached.len());
    for reached in reached {
        let table = &reached.table;
        let before: Vec<&Image> = reached.rows.iter().map(|row| &row.before).collect();
        let after = find(tx, table, &shapes(table), &before).await?;
        let mut pairs = reached.rows.iter().zip(&after);
        if pairs.any(|(row, after)| after.is_none() && !row.deleted) {
            return Err(precondition(format!(
                "a row of {} that a foreign key was to change is gone: a trigger took it away; nothing was changed",
                table.table_name()
            )));
        }
        outcomes.push(Outcome { reached, after });
    }
    Ok(outcomes)
}

/// Rows that were reached and changed, for the record.
pub(crate) fn recorded(tx: &Tx, outcomes: Vec<Outcome>) -> Result<Vec<TableChange>, Error> {
    let mut changes = Vec::with_capacity(outcomes.len());
    for Outcome { reached: Reached { table, rows }, after } in outcomes {
        let pairs = rows.into_iter().zip(after);
        let rows = pairs.map(|(row, after)| RowChange { before: Some(row.before), after });
        let rows: Vec<RowChange> = rows.filter(|row| row.before != row.after).collect();
        if !rows.is_empty() {
            changes.push(TableChange::of(&table, tx.role()?, rows));
        }
    }
    Ok(changes)
}

/// Columns may change that nobody named: the server computes them, or a trigger sets them. Which of them others follow is
/// seen when the change was carried out; then it is taken back, and made again after a search that knows of them. Each
/// time at least one column more is known, so that comes to an end.
impl Search<'_> {
    /// Gets ready for a change that may have to be taken back; gives whether that may be. Without triggers and generated
    /// columns nothing changes but what was asked for and what the search has followed.
    pub(crate) async fn get_ready(
        &self,
        table: &Table,
        happens: &Happens,
        reached: &[Reached],
    ) -> Result<bool, Error> {
        let own = std::iter::once(table);
        let all = || own.clone().chain(reached.iter().map(|reached| &*reached.table));
        let stay = || all().skip(usize::from(*happens == Happens::Deleted));
        let computed = stay().any(|table| followed(table).any(|(_, column)| column.generated));
        let set = stay().any(|table| followed(table).next().is_some())
            && all().any(|table| !table.triggers.is_empty());
        if computed || set {
            self.tx.execute("get ready for a change", "SAVEPOINT enact_change").await?;
        }
        Ok(computed || set)
    }

    /// Whether all rows were found that the change has reached. Where they were not, the change was taken back.
    pub(crate) async fn has_found_all<'r>(
        &mut self,
        ready: bool,
        (table, happens): (&Table, &Happens),
        own: impl Iterator<Item = (&'r Image, &'r Image)>,
        others: &[Outcome],
    ) -> Result<bool, Error> {
        if !ready {
            return Ok(true);
        }
        let mut learned = false;
        if let Happens::Changed(columns) = happens {
            for (before, after) in own {
                learned |= self.learn(table, columns, before, after);
            }
        }
        for Outcome { reached, after } in others {
            for (row, after) in reached.rows.iter().zip(after) {
                let after = after.as_ref();
                learned |=
                    after.is_some_and(|after| self.learn(&reached.table, &row.changed, &row.before, after));
            }
        }
        if !learned {
            return Ok(true);
        }
        self.tx.execute("take a change back", "ROLLBACK TO enact_change").await?;
        Ok(false)
    }

    /// Notes the columns that changed although nobody asked for it, and that others follow; whether there are new ones.
    fn learn(&mut self, table: &Table, asked: &BTreeSet<String>, before: &Image, after: &Image) -> bool {
        let mut learned = false;
        for (place, column) in followed(table) {
            if before.get(place) != after.get(place) && !asked.contains(&column.name) {
                let known = self.unasked.entry(table.oid).or_default();
                learned |= known.insert(column.name.clone());
            }
        }
        learned
    }
}

/// The columns of a table, with their places, that other rows follow when they change.
fn followed(table: &Table) -> impl Iterator<Item = (usize, &Column)> {
    let keys = || table.incoming.iter().filter(|key| key.on_update() != Referential::Refuse);
    let columns = table.columns.iter().enumerate();
    columns.filter(move |(_, column)| keys().any(|key| key.referenced.contains(&column.name)))
}
