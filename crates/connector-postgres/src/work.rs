//! How every action of this connector is carried out: the change in an open transaction, its record, COMMIT, and the
//! server's word on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use enact_core::Error;
use enact_core::action::{
    Action, Captured, Doubt, EffectClass, FactKind, Facts, Left, Preview, Record, Undo,
};
use enact_core::connector::{Cx, Perform};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::Postgres;
use crate::actions::restore_rows::rehearse;
use crate::catalog::{Table, is_stale};
use crate::error::{internal, wrong};
use crate::name::TableName;
use crate::rows::{ColumnShape, Kept, TableChange};
use crate::tx::{Access, TransactionId, Tx, fate};

/// What an intent keeps of a change: enough to find out whether it was committed, and to take it back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound = "O: Record")]
pub struct Written<O> {
    /// The transaction that carries it out.
    pub transaction: TransactionId,
    /// The rows, before and after, of every table that it changes.
    pub changes: Kept<Vec<TableChange>>,
    /// What the action gives.
    pub output: Kept<O>,
    /// What people should know: code of the database's own that runs along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Why it cannot be taken back, where it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irreversible: Option<String>,
}

/// A change that waits for its COMMIT. Dropped, it is rolled back.
#[derive(Debug)]
pub struct Open<O> {
    tx: Tx,
    output: O,
}

/// A change that was carried out in a transaction that is still open.
pub(crate) struct Change<O> {
    /// The transaction's id, as a statement gave it.
    pub(crate) xid: String,
    pub(crate) changes: Vec<TableChange>,
    pub(crate) output: O,
    pub(crate) warnings: Vec<String>,
    pub(crate) facts: Facts,
}

/// What came of trying a change.
pub(crate) enum Tried<O> {
    /// It is there, and waits for COMMIT.
    Changed(Box<Change<O>>),
    /// There is nothing to do.
    AlreadyDone(O),
}

/// An action that changes rows. All of them are captured, performed, proved and undone in the same way.
pub(crate) trait ChangesRows:
    Action<PreState = Written<<Self as Action>::Output>, Output: Clone>
{
    /// Carries the change out in an open transaction.
    fn attempt(
        &self,
        postgres: &Postgres,
        tx: &Tx,
        cx: &Cx,
    ) -> impl Future<Output = Result<Tried<Self::Output>, Error>> + Send;

    /// Looks at what it would change, in a transaction that can only read. What else the database would change along,
    /// by foreign keys and triggers, is not looked at.
    fn look(
        &self,
        postgres: &Postgres,
        tx: &Tx,
    ) -> impl Future<Output = Result<Preview<Self::Output>, Error>> + Send {
        let _: (&Postgres, &Tx) = (postgres, tx);
        async { Err(internal(format!("{} is an undo, which nobody plans", Self::NAME))) }
    }

    /// What undoes it, from its record alone.
    fn undone_by(pre: &Self::PreState) -> Undo<Self::Undo>;
}

impl<A: ChangesRows> Perform<A> for Postgres {
    type Held = Open<A::Output>;

    async fn capture(&self, cx: &Cx, action: &A) -> Result<Captured<A, Open<A::Output>>, Error> {
        let (tx, tried) = match self.attempt(cx, action).await {
            Err(error) if is_stale(&error) => {
                self.catalog.forget();
                self.attempt(cx, action).await?
            }
            other => other?,
        };
        let Change { xid, changes, output, warnings, mut facts } = match tried {
            Tried::Changed(change) => *change,
            Tried::AlreadyDone(output) => {
                tx.rollback().await;
                return Ok(Captured::AlreadyDone(output));
            }
        };
        let transaction = tx.named(xid).await?;
        let irreversible = changes.iter().find_map(irreversible);
        facts.insert("irreversible".into(), json!(irreversible));
        facts.insert("keys".into(), json!(keys(&changes)?));
        let changes = Kept::keep(cx, changes).await?;
        let kept = Kept::keep(cx, output.clone()).await?;
        let pre = Written { transaction, changes, output: kept, warnings, irreversible };
        Ok(Captured::Ready { pre, facts, held: Open { tx, output } })
    }

    async fn preview(&self, _: &Cx, action: &A) -> Result<Preview<A::Output>, Error> {
        match self.look(action).await {
            Err(error) if is_stale(&error) => {
                self.catalog.forget();
                self.look(action).await
            }
            other => other,
        }
    }

    /// COMMIT, the one effect.
    async fn perform(
        &self,
        _: &Cx,
        _: &A,
        _: &Written<A::Output>,
        held: Open<A::Output>,
    ) -> Result<A::Output, Error> {
        held.tx.commit().await?;
        Ok(held.output)
    }

    /// The server's word on the transaction.
    async fn probe(&self, cx: &Cx, _: &A, pre: &Written<A::Output>) -> Result<Doubt<A::Output>, Error> {
        Ok(match fate(&self.client, &pre.transaction).await? {
            Doubt::Applied(()) => Doubt::Applied(pre.output.load(cx).await?),
            Doubt::NotApplied => Doubt::NotApplied,
            Doubt::Unknown(seen) => Doubt::Unknown(seen),
        })
    }

    fn undo(&self, _: &A, pre: &Written<A::Output>, _: Left<'_, A::Output>) -> Undo<A::Undo> {
        A::undone_by(pre)
    }
}

impl Postgres {
    /// Tries a change in a transaction of its own. Where the description of a table turns out to be out of date, that
    /// begins anew once; nothing has happened until then.
    async fn attempt<A: ChangesRows>(&self, cx: &Cx, action: &A) -> Result<(Tx, Tried<A::Output>), Error> {
        let tx = Tx::begin(&self.client, Access::Write).await?;
        let tried = async {
            let tried = action.attempt(self, &tx, cx).await?;
            match &tried {
                Tried::Changed(change) if A::EFFECT == EffectClass::Reversible => {
                    self.rehearse(&tx, &change.changes).await?;
                }
                _ => {}
            }
            Ok(tried)
        };
        match tried.await {
            Ok(tried) => Ok((tx, tried)),
            Err(error) => {
                tx.rollback().await;
                Err(error)
            }
        }
    }

    async fn look<A: ChangesRows>(&self, action: &A) -> Result<Preview<A::Output>, Error> {
        let tx = Tx::begin(&self.client, Access::Read).await?;
        let seen = action.look(self, &tx).await;
        tx.rollback().await;
        seen
    }

    /// Tries the undo, and takes that back, where rows may be changed that a constraint would not let in again.
    async fn rehearse(&self, tx: &Tx, changes: &[TableChange]) -> Result<(), Error> {
        let changes_rows = |change: &&TableChange| change.rows.iter().any(|row| row.before.is_some());
        for change in changes.iter().filter(|change| !change.key.is_empty()).filter(changes_rows) {
            let table = self.catalog.table(tx, &change.table).await?;
            if table.unvalidated || change.moves_what_is_pointed_at(&table) {
                return rehearse(self, tx, changes).await;
            }
        }
        Ok(())
    }

    /// More rows than are captured.
    pub(crate) fn too_many(&self, table: &TableName) -> Error {
        let max_rows = self.max_rows;
        wrong(format!(
            "'where' holds for more than {max_rows} rows of {table}; nothing was changed. Narrow it, or raise 'max_rows'"
        ))
    }

    /// The table that a request names, which must be one that can be changed.
    pub(crate) async fn writable(&self, tx: &Tx, name: &TableName) -> Result<Arc<Table>, Error> {
        let table = self.catalog.table(tx, name).await?;
        table.check_writable()?;
        Ok(table)
    }
}

/// Why a change cannot be taken back: rows without a key that were there before cannot be found again.
fn irreversible(change: &TableChange) -> Option<String> {
    let lost = change.key.is_empty() && change.rows.iter().any(|row| row.before.is_some());
    lost.then(|| format!("{} has no primary key; its rows cannot be found again", change.table))
}

/// Which rows these are that were there before, whatever else is in them: SHA-256 of the sorted primary keys of each table,
/// in hexadecimal digits. Rows without a primary key are what is in them. `None` where there are no such rows: what a new
/// one is called is another time another number of a sequence.
fn keys(changes: &[TableChange]) -> Result<Option<String>, Error> {
    let mut tables: BTreeMap<String, Vec<Vec<&Option<String>>>> = BTreeMap::new();
    for change in changes {
        let is_key = |column: &ColumnShape| change.key.is_empty() || change.key.contains(&column.name);
        let key = |row| change.columns.iter().zip(row).filter(|(column, _)| is_key(column));
        let before = change.rows.iter().filter_map(|row| row.before.as_ref());
        let rows = before.map(|row| key(row).map(|(_, value)| value).collect());
        tables.entry(change.table.to_string()).or_default().extend(rows);
    }
    tables.retain(|_, rows| !rows.is_empty());
    if tables.is_empty() {
        return Ok(None);
    }
    tables.values_mut().for_each(|rows| rows.sort_unstable());
    let text = serde_json::to_vec(&tables)
        .map_err(|error| internal(format!("the keys of the rows have no JSON form: {error}")))?;
    Ok(Some(format!("{:x}", Sha256::digest(text))))
}

/// What [`facts`] gives; why the change cannot be undone, where it cannot; and which rows it is of.
pub(crate) const FACTS: &[(&str, FactKind)] = &[
    ("table", FactKind::Text),
    ("rows", FactKind::Number),
    ("primary_key", FactKind::Texts),
    ("triggers", FactKind::Texts),
    ("cascades", FactKind::Map),
    ("irreversible", FactKind::Text),
    ("keys", FactKind::Text),
];

/// What policies may ask about a change: of which table, of how many rows, and what else it touches.
pub(crate) fn facts(table: &Table, rows: usize, others: &[TableChange]) -> Facts {
    let mut facts = Facts::new();
    facts.insert("table".into(), json!(table.table_name()));
    facts.insert("rows".into(), json!(rows));
    facts.insert("primary_key".into(), json!(table.key));
    facts.insert("triggers".into(), json!(table.triggers));
    let others: serde_json::Map<_, _> =
        others.iter().map(|change| (change.table.to_string(), json!(change.rows.len()))).collect();
    facts.insert("cascades".into(), json!(others));
    facts
}
