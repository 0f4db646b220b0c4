//! What an undo has to do: the rows as they are now, compared with what the action left and with what was there before.

use std::collections::BTreeSet;
use std::sync::Arc;

use enact_core::Error;
use enact_core::action::Facts;
use serde_json::json;

use super::statement::carry_out;
use crate::Postgres;
use crate::catalog::{Referential, Table, unless_altered};
use crate::error::{conflict, precondition};
use crate::reach::{Happens, Reached, Search, key_of};
use crate::rows::{Image, Place, RowChange, TableChange, find, lock_equal, places, shapes, shown};
use crate::tx::Tx;

/// How many rows a conflict names.
const NAMED: usize = 5;

/// What is to be done in all tables.
pub(super) struct Plan {
    pub(super) tables: Vec<TablePlan>,
    /// The rows, those of others too, that foreign keys would change along.
    reached: Vec<Reached>,
}

/// What is to be done in one table.
pub(super) struct TablePlan {
    pub(super) table: Arc<Table>,
    /// What the action did; its images have the columns that the table had then.
    pub(super) change: TableChange,
    pub(super) steps: Vec<Step>,
}

/// One row that is not yet as it was.
pub(super) struct Step {
    /// The row as it was before the action; none where it was not there.
    pub(super) wanted: Option<Image>,
    /// The row as it is now, in the columns of the change; none where it is not there.
    pub(super) now: Option<Image>,
    /// Where it is now, in a table without a key.
    pub(super) place: Option<Place>,
}

impl Plan {
    /// Locks and compares every row.
    ///
    /// # Errors
    /// `conflict`, naming rows that somebody else changed; with `force` they are overwritten.
    pub(super) async fn make(
        postgres: &Postgres,
        tx: &Tx,
        changes: &[TableChange],
        force: bool,
    ) -> Result<Self, Error> {
        let (mut tables, mut foreign) = (Vec::new(), Vec::new());
        for change in changes {
            let table = postgres.writable(tx, &change.table).await?;
            check_table(&table, change, force).map_err(unless_altered)?;
            check_shape(&table, change).map_err(unless_altered)?;
            check_role(tx, change)?;
            let steps = if change.key.is_empty() {
                compare_keyless(tx, &table, change, &mut foreign).await?
            } else {
                compare(tx, &table, change, &mut foreign).await?
            };
            tx.check_table(&table, &change.table).await?;
            tables.push(TablePlan { table, change: change.clone(), steps });
        }
        if !foreign.is_empty() && !force {
            let more = foreign.len().saturating_sub(NAMED);
            let named = foreign.into_iter().take(NAMED).collect::<Vec<_>>().join("; ");
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            return Err(conflict(format!("rows were changed since and are left as they are: {named}{more}")));
        }
        let reached = reached(postgres, tx, &tables).await?;
        let plan = Self { tables, reached };
        if !force {
            plan.check_others()?;
        }
        Ok(plan)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.iter().all(|table| table.steps.is_empty())
    }

    /// Asks once more whether the tables are still as they were, now that rows are changed: until then a foreign key or
    /// a trigger may be made on them.
    pub(super) async fn check_tables(&self, tx: &Tx) -> Result<(), Error> {
        for plan in &self.tables {
            tx.check_table(&plan.table, &plan.change.table).await?;
        }
        Ok(())
    }

    /// Rows that the action did not touch must not change along with those that it did.
    fn check_others(&self) -> Result<(), Error> {
        for reached in &self.reached {
            let left =
                |plan: &TablePlan| plan.keys(plan.change.rows.iter().filter_map(|row| row.after.as_ref()));
            if let Some(other) = self.others(reached, left).next() {
                let change = TableChange::of(&reached.table, String::new(), Vec::new());
                return Err(conflict(format!(
                    "{} points at a row that is to be taken back, and would be changed or deleted with it; \
                     nothing was changed",
                    shown(&change, other)
                )));
            }
        }
        Ok(())
    }

    /// The rows that are reached and have none of the keys that `known` gives of each plan.
    fn others<'a>(
        &self,
        reached: &'a Reached,
        known: impl Fn(&TablePlan) -> BTreeSet<Image>,
    ) -> impl Iterator<Item = &'a Image> {
        let plans = self.tables.iter().filter(|plan| plan.table.oid == reached.table.oid);
        let known: BTreeSet<Image> = plans.flat_map(known).collect();
        let rows = reached.rows.iter().map(|row| &row.before);
        rows.filter(move |row| !known.contains(&key_of(&reached.table, row)))
    }

    /// What the undo replaces, for its own record: also what others did, where `force` overwrites it.
    pub(super) fn replaces(&self, tx: &Tx) -> Result<Vec<TableChange>, Error> {
        let mut replaced = Vec::new();
        for plan in &self.tables {
            let steps = plan.steps.iter();
            let rows = steps.map(|step| RowChange { before: step.now.clone(), after: step.wanted.clone() });
            replaced.push(TableChange { rows: rows.collect(), ..plan.change.clone() });
        }
        for reached in &self.reached {
            let given_back =
                |plan: &TablePlan| plan.keys(plan.steps.iter().filter_map(|step| step.now.as_ref()));
            // What becomes of them is not known yet.
            let others = self.others(reached, given_back);
            let rows: Vec<_> =
                others.map(|row| RowChange { before: Some(row.clone()), after: None }).collect();
            if !rows.is_empty() {
                replaced.push(TableChange::of(&reached.table, tx.role()?, rows));
            }
        }
        Ok(replaced)
    }

    /// Compares what is there after the undo with what was there before the action, and writes once more what the
    /// foreign keys of the undo itself wrote over: a key that is given back passes itself on, and 1.0 in a row that
    /// points at 1 becomes 1. A trigger may have set columns anew that the action itself did not ask for; anything
    /// else that differs is an error, unless forced.
    pub(super) async fn settle(&self, tx: &Tx, force: bool) -> Result<BTreeSet<String>, Error> {
        let mut found = self.outcome(tx).await?;
        let again = self.written_over(&found);
        if again.iter().any(|plan| !plan.steps.is_empty()) {
            carry_out(tx, &again).await?;
            found = self.outcome(tx).await?;
        }
        let mut by_triggers = BTreeSet::new();
        for (plan, found) in self.tables.iter().zip(&found) {
            for (wanted, found) in plan.wanted().zip(found) {
                for column in plan.deviations(wanted, found.as_ref()) {
                    if !force && !plan.may_be_set_by_triggers(column) {
                        return Err(precondition(format!(
                            "{} cannot be given back: its column '{column}' came out otherwise, because a trigger or \
                             the table's definition changed; nothing was changed",
                            shown(&plan.change, wanted)
                        )));
                    }
                    by_triggers.insert(format!("{}.{column}", plan.change.table));
                }
            }
        }
        Ok(by_triggers)
    }

    /// What is there now in place of each row that was given back, in each table.
    async fn outcome(&self, tx: &Tx) -> Result<Vec<Vec<Option<Image>>>, Error> {
        let mut all = Vec::with_capacity(self.tables.len());
        for plan in &self.tables {
            let wanted: Vec<&Image> = plan.wanted().collect();
            let found = find(tx, &plan.table, &plan.change.columns, &wanted).await?;
            let then =
                |found: Option<Image>| found.map(|found| in_columns_then(&plan.table, &plan.change, &found));
            all.push(found.into_iter().map(then).collect());
        }
        Ok(all)
    }

    /// Rows that were given back and are otherwise in columns of foreign keys that pass something on. What triggers
    /// do is left as it is.
    fn written_over(&self, found: &[Vec<Option<Image>>]) -> Vec<TablePlan> {
        let again = |(plan, found): (&TablePlan, &Vec<Option<Image>>)| {
            let steps = plan.wanted().zip(found).filter_map(|(wanted, found)| {
                let mut otherwise = plan
                    .deviations(wanted, found.as_ref())
                    .filter(|column| !plan.may_be_set_by_triggers(column))
                    .peekable();
                otherwise.peek()?;
                let now = found.clone().filter(|_| otherwise.all(|column| self.passes_on(plan, column)))?;
                Some(Step { wanted: Some(wanted.clone()), now: Some(now), place: None })
            });
            TablePlan { table: Arc::clone(&plan.table), change: plan.change.clone(), steps: steps.collect() }
        };
        self.tables.iter().zip(found).map(again).collect()
    }

    /// Whether a foreign key sets the column when rows of this plan change.
    fn passes_on(&self, plan: &TablePlan, column: &str) -> bool {
        let mut keys = self.tables.iter().flat_map(|parent| &parent.table.incoming);
        keys.any(|key| {
            let sets = [key.on_delete(), key.on_update()].iter().any(|effect| *effect != Referential::Refuse);
            sets && key.child() == plan.table.table_name() && key.columns.iter().any(|name| name == column)
        })
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        self.tables.iter().flat_map(|plan| plan.table.warnings()).collect()
    }

    pub(super) fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        let rows = self.tables.iter().map(|plan| plan.steps.len()).sum::<usize>();
        facts.insert("rows".into(), json!(rows));
        facts
    }
}

impl TablePlan {
    /// Rows that go away, and rows that change, as they are now in the table's columns now.
    fn takes_away(&self) -> (Vec<Image>, Vec<Image>) {
        let (mut deleted, mut changed) = (Vec::new(), Vec::new());
        for step in &self.steps {
            let Some(now) = step.now.as_ref().map(|now| self.in_columns_now(now)) else { continue };
            if step.wanted.is_some() { changed.push(now) } else { deleted.push(now) }
        }
        (deleted, changed)
    }

    /// The rows that are to be there. Without a key there are none.
    fn wanted(&self) -> impl Iterator<Item = &Image> {
        self.steps.iter().filter_map(|step| step.wanted.as_ref())
    }

    /// The columns in which some row differs from what it is to be.
    pub(super) fn differing(&self) -> Vec<&str> {
        let differs = |place: usize| {
            self.steps.iter().any(|step| match (&step.now, &step.wanted) {
                (Some(now), Some(wanted)) => now.get(place) != wanted.get(place),
                _ => false,
            })
        };
        let columns = self.change.columns.iter().enumerate();
        columns.filter(|(place, _)| differs(*place)).map(|(_, column)| column.name.as_str()).collect()
    }

    /// Whether the server computes the column.
    pub(super) fn is_generated(&self, name: &str) -> bool {
        self.table.columns.iter().any(|column| column.name == name && column.generated)
    }

    fn may_be_set_by_triggers(&self, column: &str) -> bool {
        let updated = self.change.rows.iter().all(|row| row.before.is_some() && row.after.is_some());
        updated && !self.table.triggers.is_empty() && !self.change.set.iter().any(|set| set == column)
    }

    fn deviations<'a>(
        &'a self,
        wanted: &'a Image,
        found: Option<&'a Image>,
    ) -> impl Iterator<Item = &'a str> {
        self.change.columns.iter().enumerate().filter_map(move |(place, column)| {
            let same = found.is_some_and(|found| found.get(place) == wanted.get(place));
            (!same && !self.is_generated(&column.name)).then_some(column.name.as_str())
        })
    }

    /// The keys of images in the columns of the change.
    fn keys<'a>(&self, images: impl Iterator<Item = &'a Image>) -> BTreeSet<Image> {
        images.map(|image| key_of(&self.table, &self.in_columns_now(image))).collect()
    }

    /// An image in the columns of the change, in the table's columns now.
    fn in_columns_now(&self, image: &Image) -> Image {
        let places = places(&self.table, &self.change.columns);
        places.into_iter().map(|place| place.and_then(|at| image.get(at)?.clone())).collect()
    }
}

/// An image of a table's columns now, in those of a change.
fn in_columns_then(table: &Table, change: &TableChange, image: &Image) -> Image {
    let columns = change.columns.iter();
    columns.map(|column| table.position(&column.name).and_then(|at| image.get(at)?.clone())).collect()
}

/// The rows that foreign keys change along with those that are to be given back.
async fn reached(postgres: &Postgres, tx: &Tx, tables: &[TablePlan]) -> Result<Vec<Reached>, Error> {
    let search = Search::new(postgres, tx);
    let mut all = Vec::new();
    for plan in tables {
        let (deleted, changed) = plan.takes_away();
        all.extend(search.reached(&plan.table, &deleted, &Happens::Deleted).await?);
        let columns = plan.differing().into_iter().map(str::to_owned).collect();
        all.extend(search.reached(&plan.table, &changed, &Happens::Changed(columns)).await?);
    }
    Ok(all)
}

/// The rows of a table that was put in the place of another are somebody else's, however like ours they are.
fn check_table(table: &Table, change: &TableChange, force: bool) -> Result<(), Error> {
    if force || table.oid == change.oid {
        return Ok(());
    }
    Err(conflict(format!(
        "another table has the name {} now (oid {}; the action changed oid {}), and its rows are left as they are; \
         rename the right one back, or force the undo onto this one",
        change.table, table.oid, change.oid
    )))
}

/// Images name columns; each of them has to be there still, of the same type, and the key has to be the same.
fn check_shape(table: &Table, change: &TableChange) -> Result<(), Error> {
    let now = shapes(table);
    let altered = change.columns.iter().find(|column| !now.contains(column));
    if let Some(column) = altered {
        return Err(precondition(format!(
            "table {} was altered since: it has no column '{}' of type {} any more; nothing was changed",
            change.table, column.name, column.type_name
        )));
    }
    if table.key != change.key {
        return Err(precondition(format!(
            "the primary key of {} was ({}) and is ({}) now; nothing was changed",
            change.table,
            change.key.join(", "),
            table.key.join(", ")
        )));
    }
    Ok(())
}

/// Row-level security shows each role its own rows: only the same role can find them all again.
fn check_role(tx: &Tx, change: &TableChange) -> Result<(), Error> {
    let now = tx.role()?;
    match &change.role {
        Some(then) if *then != now => Err(precondition(format!(
            "row-level security applies to {}, the change was made as '{then}', and the connector is '{now}' now; \
             nothing was changed",
            change.table
        ))),
        _ => Ok(()),
    }
}

/// Finds each row by its key, now and before, and says what is to be done. Rows that somebody else changed are named.
async fn compare(
    tx: &Tx,
    table: &Table,
    change: &TableChange,
    foreign: &mut Vec<String>,
) -> Result<Vec<Step>, Error> {
    // Under the key that the action left, and where that is gone or never was, under the one from before.
    let left: Vec<&Image> =
        change.rows.iter().filter_map(|row| row.after.as_ref().or(row.before.as_ref())).collect();
    let was: Vec<&Image> =
        change.rows.iter().filter_map(|row| row.before.as_ref().or(row.after.as_ref())).collect();
    let found = find(tx, table, &change.columns, &left).await?;
    let earlier = if left == was { found.clone() } else { find(tx, table, &change.columns, &was).await? };
    let mut steps = Vec::new();
    for ((row, found), earlier) in change.rows.iter().zip(found).zip(earlier) {
        let now = found.or(earlier).map(|found| in_columns_then(table, change, &found));
        if now == row.before {
            continue;
        }
        if now != row.after {
            foreign.push(difference(change, row, now.as_ref()));
        }
        steps.push(Step { wanted: row.before.clone(), now, place: None });
    }
    Ok(steps)
}

/// A new row without a key is known by all its columns, if there is just one like it.
async fn compare_keyless(
    tx: &Tx,
    table: &Table,
    change: &TableChange,
    foreign: &mut Vec<String>,
) -> Result<Vec<Step>, Error> {
    let mut steps = Vec::new();
    for row in &change.rows {
        let Some(after) = &row.after else { continue };
        let places = lock_equal(tx, table, &change.columns, after).await?;
        match <[Place; 1]>::try_from(places) {
            Ok([place]) => {
                steps.push(Step { wanted: None, now: Some(after.clone()), place: Some(place) });
            }
            Err(none) if none.is_empty() => {
                foreign.push(format!("the row in {} is not there as it was left", change.table));
            }
            Err(several) => {
                return Err(precondition(format!(
                    "{} has no primary key and {} rows that are equal to the one to be taken back; nothing was changed",
                    change.table,
                    several.len()
                )));
            }
        }
    }
    Ok(steps)
}

/// How a row differs from what the action left, without its values.
fn difference(change: &TableChange, row: &RowChange, now: Option<&Image>) -> String {
    let known = row.after.as_ref().or(row.before.as_ref());
    let name = known.map_or_else(|| change.table.to_string(), |image| shown(change, image));
    match (&row.after, now) {
        (Some(after), Some(now)) => {
            let columns = change.columns.iter().enumerate();
            let changed = columns.filter(|(place, _)| after.get(*place) != now.get(*place));
            let changed = changed.map(|(_, column)| column.name.as_str()).collect::<Vec<_>>().join(", ");
            format!("{name} has other values in {changed}")
        }
        (Some(_), None) => format!("{name} is gone"),
        (None, _) => format!("{name} is there again, with other values"),
    }
}
