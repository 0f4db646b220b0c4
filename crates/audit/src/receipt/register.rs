//! Giving receipts, and the register of those that were given: with it the log can be held against each of them, long after.
//!
//! A line has no word of what a receipt says, so that nothing of an erased run stays with the store: which run it is of, how far its
//! log went, the hash of the statement, and what signs that. Whoever verifies makes the statement again.

use std::sync::Arc;

use enact_core::ids::{EventSeq, RunId};
use enact_core::run::RunState;
use enact_core::store::{MAX_PAGE, StoreError};
use enact_merkle::Inclusion;
use enact_store::{Ledger, MAX_LEAVES, ProvableEvent, SledStore};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::proof::{Disclosed, Paths};
use super::said::Speaker;
use super::{BadReceipt, Receipt, Signed, Statement, sha256};
use crate::error::AuditError;
use crate::key::PublicKeys;
use crate::notary::{Notary, origin};

/// A line of the register.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registered {
    pub(crate) run_id: RunId,
    /// How many events the run had.
    events: u64,
    sha256: String,
    signatures: Vec<String>,
}

/// What came of making again what a receipt says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Remade {
    /// It is what was signed.
    Same,
    /// The run was erased or pruned: there is nothing to make it from.
    Gone,
    /// The store was opened without its master key.
    Locked,
}

/// A run, as far as it can be said.
struct Said {
    statement: Statement,
    disclosed: Vec<Disclosed>,
}

impl Notary {
    /// Gives a receipt of a run as far as it went, proved by a checkpoint of now, and enters it in the register of the store. Where
    /// `disclose` is set, everything that the digests are of goes with it, for those who may see it. A run that goes on, or is
    /// undone later, can be given another.
    ///
    /// Reads the leaf hashes of the whole log, 32 bytes an event.
    ///
    /// # Errors
    /// [`AuditError::NoReceipt`], where there is no such run, it was erased or pruned, or it is not encrypted; those of the store.
    pub async fn receipt(&self, run: RunId, disclose: bool) -> Result<Receipt, AuditError> {
        let events = read(self.store(), run, u64::MAX).await?;
        let none = |why: &str| AuditError::NoReceipt { run, why: why.to_owned() };
        let Some(Said { statement, disclosed }) = say(self.store(), run, &events).await? else {
            return Err(none("there is no such run, or it was pruned"));
        };
        let (size, checkpoint) = self.signed().await?;
        let checkpoint = checkpoint.ok_or_else(|| none("the log is empty"))?;
        let registered = Registered::sign(run, events.len() as u64, &statement, self)?;
        let indices = events.iter().map(|event| event.event.position.0 - 1).collect();
        let proof = Paths::of(&prove(self.store(), size, indices).await?);
        registered.enter(self.store()).await?;
        let disclosed = if disclose { disclosed } else { Vec::new() };
        Ok(Receipt { statement, signatures: registered.signatures, checkpoint, proof, disclosed })
    }
}

impl Registered {
    /// Reads a line of the register.
    pub(crate) fn parse(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }

    fn sign(run: RunId, events: u64, statement: &Statement, notary: &Notary) -> Result<Self, AuditError> {
        let (log, run_id, sha256) = (&statement.log, &statement.run_id, sha256(statement)?);
        let signatures = Signed { log, run_id, events, sha256: &sha256 }.sign(notary.key())?;
        Ok(Self { run_id: run, events, sha256, signatures })
    }

    /// Enters it, where it is not there: what was signed again is the same to the letter.
    async fn enter(&self, store: &SledStore) -> Result<(), AuditError> {
        let mut kept = store.kept(Ledger::Receipts)?;
        while let Some((line, _)) = kept.next_line()? {
            if Self::parse(&line).is_ok_and(|line| line == *self) {
                return Ok(());
            }
        }
        Ok(store.keep(Ledger::Receipts, serde_json::json!(self).to_string()).await?)
    }

    /// Makes again what the receipt says, and holds it against what was signed.
    pub(crate) async fn remake(
        &self,
        store: &Arc<SledStore>,
        trusted: &PublicKeys,
    ) -> Result<Remade, AuditError> {
        let (log, run_id, sha256) = (origin(store), self.run_id.to_string(), &self.sha256);
        Signed { log: &log, run_id: &run_id, events: self.events, sha256 }
            .verify(&self.signatures, trusted)?;
        let events = match read(store, self.run_id, self.events).await {
            Err(StoreError::WrongKey { .. }) => return Ok(Remade::Locked),
            events => events?,
        };
        let said = match say(store, self.run_id, &events).await {
            Err(AuditError::NoReceipt { .. }) | Ok(None) => return Ok(Remade::Gone),
            Ok(Some(said)) => said,
            Err(error) => return Err(error),
        };
        if super::sha256(&said.statement)? == self.sha256 {
            Ok(Remade::Same)
        } else {
            Err(BadReceipt::Other.into())
        }
    }
}

/// The first events of a run.
async fn read(store: &SledStore, run: RunId, count: u64) -> Result<Vec<ProvableEvent>, StoreError> {
    let mut events: Vec<ProvableEvent> = Vec::new();
    loop {
        let there_are = events.len() as u64;
        let limit = usize::try_from(count - there_are).unwrap_or(MAX_PAGE).min(MAX_PAGE);
        let page = store.read_provable(run, EventSeq(there_are + 1), limit).await?;
        if page.is_empty() {
            return Ok(events);
        }
        events.extend(page);
    }
}

/// Says what the events of a run say; `None` where there are none.
async fn say(
    store: &Arc<SledStore>,
    run: RunId,
    events: &[ProvableEvent],
) -> Result<Option<Said>, AuditError> {
    let none = |why: &str| AuditError::NoReceipt { run, why: why.to_owned() };
    let state = RunState::fold(events.iter().map(|event| &event.event));
    let state = state.map_err(|error| StoreError::Corrupt {
        path: store.path().to_owned(),
        what: format!("run {run} does not read: {error}"),
    })?;
    let Some(state) = state else { return Ok(None) };
    let salts = match store.salts(run).await {
        Err(StoreError::Erased(_)) => return Err(none("its content was erased")),
        salts => salts?.ok_or_else(|| {
            none("it was recorded without encryption, so that there is no key to salt digests with")
        })?,
    };
    let mut speaker = Speaker::new(&salts);
    let statement = speaker.statement(&origin(store), &state, events);
    Ok(Some(Said { statement, disclosed: speaker.disclosed }))
}

/// Proves leaves of the log, in its first `size` ones.
async fn prove(store: &Arc<SledStore>, size: u64, indices: Vec<u64>) -> Result<Vec<Inclusion>, AuditError> {
    let (store, handle) = (Arc::clone(store), Handle::current());
    let proving = spawn_blocking(move || {
        let mut failed = Ok(());
        let proofs = Inclusion::prove(size, indices, |take| {
            let mut next = enact_core::ids::Position(1);
            while next.0 <= size && failed.is_ok() {
                match handle.block_on(store.leaves(next, MAX_LEAVES)) {
                    Ok(leaves) if leaves.is_empty() => return,
                    Ok(leaves) => {
                        next.0 += leaves.len() as u64;
                        leaves.into_iter().for_each(&mut *take);
                    }
                    Err(error) => failed = Err(error),
                }
            }
        });
        failed.map(|()| proofs)
    });
    Ok(proving.await.map_err(|_| StoreError::Closed)??)
}
