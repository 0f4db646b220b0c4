//! The undo as one statement. Foreign keys are checked at its end, so rows that point at each other can be given
//! back in any order, in a circle too.

use std::fmt::Write as _;

use enact_core::Error;

use super::plan::{Step, TablePlan};
use crate::error::precondition;
use crate::name::quoted;
use crate::rows::{Image, literal, same_key, unnested};
use crate::tx::{Param, Tx};
use crate::value::{self, Text};

/// Parts of one statement, each `WITH` a name of its own, and their parameters.
#[derive(Default)]
struct Parts {
    sql: Vec<String>,
    params: Vec<Text>,
    rows: usize,
}

/// Carries out what is to be done in all tables; gives the number of rows and the transaction's id.
pub(super) async fn carry_out(tx: &Tx, tables: &[TablePlan]) -> Result<(usize, String), Error> {
    let mut parts = Parts::default();
    for table in tables {
        parts.delete(table);
        parts.update(table);
        parts.insert(table);
    }
    let mut sql = String::from("WITH ");
    for (number, part) in parts.sql.iter().enumerate() {
        let comma = if number > 0 { ", " } else { "" };
        let _infallible = write!(sql, "{comma}c{number} AS ({part} RETURNING 1)");
    }
    let counts = (0..parts.sql.len()).map(|number| format!("(SELECT count(*) FROM c{number})"));
    let counts = counts.collect::<Vec<_>>().join(" + ");
    let _infallible = write!(sql, " SELECT ({counts})::int8, pg_current_xact_id()::text");
    let params: Vec<Param<'_>> = parts.params.iter().map(|text| text as Param<'_>).collect();
    let row = tx.query_one("give rows back", &sql, &params).await?;
    let done = usize::try_from(row.get::<_, i64>(0)).unwrap_or_default();
    if done != parts.rows {
        return Err(precondition(format!(
            "{} rows were to be given back, and the server would give back {done}: a trigger or row-level security \
             leaves some out; nothing was changed",
            parts.rows
        )));
    }
    Ok((done, row.get(1)))
}

impl Parts {
    fn param(&mut self, text: Text) -> String {
        self.params.push(text);
        format!("${}", self.params.len())
    }

    fn rows<'a>(&mut self, plan: &TablePlan, images: impl IntoIterator<Item = &'a Image>) -> String {
        self.param(literal(&plan.table, &plan.change.columns, images))
    }

    /// Rows that were not there before.
    fn delete(&mut self, plan: &TablePlan) {
        let gone: Vec<&Step> = plan.steps.iter().filter(|step| step.wanted.is_none()).collect();
        if gone.is_empty() {
            return;
        }
        self.rows += gone.len();
        let (source, joined) = if plan.change.key.is_empty() {
            let param = self.param(value::tids(gone.iter().filter_map(|step| step.place.as_deref())));
            (format!("unnest({param}::tid[]) AS k(f)"), "enact_t.ctid = k.f".to_owned())
        } else {
            let param = self.rows(plan, gone.iter().filter_map(|step| step.now.as_ref()));
            (unnested(&plan.table, &param, "k"), same_key(&plan.table, "enact_t", "k"))
        };
        self.sql.push(format!("DELETE FROM {} AS enact_t USING {source} WHERE {joined}", plan.table.sql()));
    }

    /// Rows that are there and were otherwise.
    fn update(&mut self, plan: &TablePlan) {
        let pairs: Vec<(&Image, &Image)> =
            plan.steps.iter().filter_map(|step| Some((step.now.as_ref()?, step.wanted.as_ref()?))).collect();
        let columns = plan.differing().into_iter().filter(|name| !plan.is_generated(name));
        let set: Vec<String> = columns
            .filter_map(|name| Some(format!("{} = b.f{}", quoted(name), plan.table.position(name)?)))
            .collect();
        if pairs.is_empty() || set.is_empty() {
            return;
        }
        self.rows += pairs.len();
        let now = self.rows(plan, pairs.iter().map(|(now, _)| *now));
        let wanted = self.rows(plan, pairs.iter().map(|(_, wanted)| *wanted));
        self.sql.push(format!(
            "UPDATE {} AS enact_t SET {} FROM {} JOIN {} ON a.n = b.n WHERE {}",
            plan.table.sql(),
            set.join(", "),
            unnested(&plan.table, &now, "a"),
            unnested(&plan.table, &wanted, "b"),
            same_key(&plan.table, "enact_t", "a"),
        ));
    }

    /// Rows that are gone.
    fn insert(&mut self, plan: &TablePlan) {
        let gone: Vec<&Image> = plan
            .steps
            .iter()
            .filter(|step| step.now.is_none())
            .filter_map(|step| step.wanted.as_ref())
            .collect();
        if gone.is_empty() {
            return;
        }
        self.rows += gone.len();
        let kept = |name: &str| plan.change.columns.iter().any(|column| column.name == name);
        let columns = plan.table.columns.iter().enumerate();
        let columns: Vec<(usize, String)> = columns
            .filter(|(_, column)| !column.generated && kept(&column.name))
            .map(|(place, column)| (place, quoted(&column.name)))
            .collect();
        let names = columns.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", ");
        let fields = columns.iter().map(|(place, _)| format!("k.f{place}")).collect::<Vec<_>>().join(", ");
        let param = self.rows(plan, gone);
        self.sql.push(format!(
            "INSERT INTO {} ({names}) OVERRIDING SYSTEM VALUE SELECT {fields} FROM {}",
            plan.table.sql(),
            unnested(&plan.table, &param, "k"),
        ));
    }
}
