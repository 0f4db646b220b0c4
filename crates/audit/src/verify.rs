//! Holding a whole log against what was signed.

use std::path::PathBuf;
use std::sync::Arc;

use enact_core::store::StoreError;
use enact_merkle::{Frontier, Hash};
use enact_store::{Ledger, LedgerLines, SledStore, Verified};
use tokio::task::spawn_blocking;

use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::kept::{BadLine, Kept};
use crate::key::{PublicKey, PublicKeys};
use crate::notary::origin;
use crate::note::{BadNote, SignedNote};
use crate::receipt::{Registered, Remade};

/// A log that was read as a whole, and is what was signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proved {
    /// The name of the log.
    pub origin: String,
    /// What the store has: each event has the hash it was written with.
    pub verified: Verified,
    /// The root over the whole log, also over what is not signed yet.
    pub root: Hash,
    /// How many checkpoints are kept with the log, each of them signed and with the root of the events that it counts.
    pub checkpoints: u64,
    /// The last position that a checkpoint signs; 0 where none does. What is behind it is whole, and could have been written by
    /// whoever keeps the log.
    pub signed: u64,
    /// What became of the receipts that were given.
    pub receipts: Receipts,
}

/// The receipts that were given of a log's runs, as far as what they say could be made again.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Receipts {
    /// Say what the log says, and are signed by a key that is trusted.
    pub same: u64,
    /// Are of runs that were erased or pruned since.
    pub gone: u64,
    /// Cannot be made again without the master key.
    pub locked: u64,
}

/// A checkpoint that was kept elsewhere than with the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptElsewhere {
    path: PathBuf,
    note: String,
    checkpoint: Checkpoint,
}

impl KeptElsewhere {
    /// Reads one. `path` is for messages. The signature is looked at when the log is held against it.
    ///
    /// # Errors
    /// [`AuditError::Disproved`], where it is no checkpoint.
    pub fn parse(path: impl Into<PathBuf>, note: &str) -> Result<Self, AuditError> {
        let (path, note) = (path.into(), note.to_owned());
        let read = SignedNote::parse(&note).map_err(Into::into).and_then(|note| Checkpoint::read(&note));
        match read {
            Ok(checkpoint) => Ok(Self { path, note, checkpoint }),
            Err(bad) => Err(AuditError::Disproved { path, what: bad.to_string() }),
        }
    }
}

/// Reads the whole store, record by record, and holds it against each checkpoint that is kept with it, and those that were kept
/// elsewhere; then makes again what each receipt says that was given. `trusted` are the public keys of the log, or the first of
/// them: keys that they hand over to are trusted from there on. Needs no master key but for receipts, and writes nothing. Reads
/// a volume for each processor at a time, four at most, which take some 100 MiB of memory each; beyond that, memory grows with the
/// logarithm of the log, with the blobs of runs that were erased, and with the largest run of which a receipt was given.
///
/// # Errors
/// The first damage in the order of the log, as [`StoreError::Corrupt`](enact_core::store::StoreError::Corrupt), with its position where it is a record's;
/// [`AuditError::Disproved`], where all is as it was written, and what was written is not what was signed: it says between which
/// positions, or of which run.
pub async fn verify(
    store: &Arc<SledStore>,
    trusted: PublicKeys,
    elsewhere: Vec<KeptElsewhere>,
) -> Result<Proved, AuditError> {
    let log = Arc::clone(store);
    let reading = spawn_blocking(move || {
        let mut walk = Walk::start(&log, trusted, elsewhere)?;
        let verified = log.verify_leaves(&mut |leaf| walk.take(leaf))?;
        walk.end(verified)
    });
    let (mut proved, trusted) = reading.await.map_err(|_| StoreError::Closed)??;
    proved.receipts = receipts(store, &trusted).await?;
    Ok(proved)
}

/// Holds the log against the receipts that were given of its runs.
async fn receipts(store: &Arc<SledStore>, trusted: &PublicKeys) -> Result<Receipts, AuditError> {
    let (mut receipts, mut kept, mut number) = (Receipts::default(), store.kept(Ledger::Receipts)?, 0);
    while let Some((line, is_whole)) = kept.next_line()? {
        number += 1;
        let disproved = |what: String| {
            let what = format!("line {number}: {what}");
            AuditError::Disproved { path: kept.path().to_owned(), what }
        };
        let registered = match Registered::parse(&line) {
            Err(error) if error.is_eof() && !is_whole => break,
            Err(error) => return Err(disproved(format!("it is not one of a receipt: {error}"))),
            Ok(registered) => registered,
        };
        match registered.remake(store, trusted).await {
            Err(AuditError::Receipt(bad)) => {
                let run = registered.run_id;
                return Err(disproved(format!("the receipt of run {run} does not hold: {bad}")));
            }
            Err(other) => return Err(other),
            Ok(Remade::Same) => receipts.same += 1,
            Ok(Remade::Gone) => receipts.gone += 1,
            Ok(Remade::Locked) => receipts.locked += 1,
        }
    }
    Ok(receipts)
}

/// The way through the log, with the next checkpoint that is to be met.
struct Walk {
    origin: String,
    tree: Frontier,
    kept: LedgerLines,
    trust: Trust,
    next: Option<Kept>,
    line: u64,
    signed: u64,
    elsewhere: Vec<(KeptElsewhere, Option<Hash>)>,
    found: Option<AuditError>,
}

/// The keys that are trusted.
struct Trust {
    /// For the checkpoints that come next.
    now: PublicKeys,
    /// For any, also those before a key was handed over.
    ever: PublicKeys,
}

impl Walk {
    fn start(
        store: &SledStore,
        trusted: PublicKeys,
        elsewhere: Vec<KeptElsewhere>,
    ) -> Result<Self, AuditError> {
        let mut walk = Self {
            origin: origin(store),
            tree: Frontier::default(),
            kept: store.kept(Ledger::Checkpoints)?,
            trust: Trust { ever: trusted.clone(), now: trusted },
            next: None,
            line: 0,
            signed: 0,
            elsewhere: elsewhere.into_iter().map(|checkpoint| (checkpoint, None)).collect(),
            found: None,
        };
        walk.advance()?;
        walk.compare()?;
        Ok(walk)
    }

    fn take(&mut self, leaf: &Hash) {
        self.tree.push(*leaf);
        if self.found.is_none() {
            self.found = self.compare().err();
        }
    }

    /// Holds the log as far as it was read against the checkpoints of this size.
    fn compare(&mut self) -> Result<(), AuditError> {
        let size = self.tree.size();
        for (_, root) in self.elsewhere.iter_mut().filter(|(it, _)| it.checkpoint.size == size) {
            *root = Some(self.tree.root());
        }
        while let Some(kept) = self.next.take_if(|kept| kept.checkpoint.size == size) {
            if kept.tree != self.tree {
                let what = differs(&kept.checkpoint, self.signed);
                return Err(self.disproved(&what));
            }
            self.signed = size;
            self.advance()?;
        }
        Ok(())
    }

    /// Reads the next checkpoint that is kept.
    fn advance(&mut self) -> Result<(), AuditError> {
        let Some((line, is_whole)) = self.kept.next_line()? else { return Ok(()) };
        self.line += 1;
        let kept = match Kept::verify(&line, &self.trust.now) {
            // A crash cut it off while it was written.
            Err(BadLine::CutOff) if !is_whole => {
                self.line -= 1;
                return Ok(());
            }
            Err(bad) => return Err(self.disproved(&bad.to_string())),
            Ok(kept) => kept,
        };
        let Checkpoint { origin, size, successor, .. } = &kept.checkpoint;
        if *origin != self.origin {
            return Err(
                self.disproved(&format!("it is of the log '{origin}', and this one is '{}'", self.origin))
            );
        }
        if *size < self.tree.size() {
            return Err(self.disproved(&format!(
                "it is of {size} events, and the one before it of {}: they are not in order",
                self.tree.size()
            )));
        }
        if let Some(successor) = successor {
            self.trust
                .hand_over(&kept.note, successor.clone())
                .map_err(|bad| self.disproved(&bad.to_string()))?;
        }
        self.next = Some(kept);
        Ok(())
    }

    /// What was found, and every key that is trusted for what was signed in between.
    fn end(self, verified: Verified) -> Result<(Proved, PublicKeys), AuditError> {
        let size = self.tree.size();
        if let Some(found) = self.found {
            return Err(found);
        }
        if let Some(kept) = &self.next {
            return Err(self.disproved(&ends_early(&kept.checkpoint, size)));
        }
        for (elsewhere, root) in &self.elsewhere {
            self.meet(elsewhere, *root)
                .map_err(|what| AuditError::Disproved { path: elsewhere.path.clone(), what })?;
        }
        let (root, checkpoints) = (self.tree.root(), self.line);
        let signed = self.elsewhere.iter().map(|(it, _)| it.checkpoint.size).fold(self.signed, u64::max);
        let receipts = Receipts::default();
        Ok((Proved { origin: self.origin, verified, root, checkpoints, signed, receipts }, self.trust.ever))
    }

    /// Holds a checkpoint that was kept elsewhere against the root that the log had at its size.
    fn meet(&self, elsewhere: &KeptElsewhere, root: Option<Hash>) -> Result<(), String> {
        let checkpoint =
            Checkpoint::verify(&elsewhere.note, &self.trust.ever).map_err(|bad| bad.to_string())?;
        if checkpoint.origin != self.origin {
            return Err(format!(
                "it is of the log '{}', and this one is '{}'",
                checkpoint.origin, self.origin
            ));
        }
        match root {
            None => Err(ends_early(&checkpoint, self.tree.size())),
            Some(root) if root != checkpoint.root => Err(differs(&checkpoint, 0)),
            Some(_) => Ok(()),
        }
    }

    fn disproved(&self, what: &str) -> AuditError {
        AuditError::Disproved {
            path: self.kept.path().to_owned(),
            what: format!("line {}: {what}", self.line),
        }
    }
}

impl Trust {
    /// From a checkpoint on that hands over, its successor is trusted, and those that signed it are not.
    fn hand_over(&mut self, note: &str, successor: PublicKey) -> Result<(), BadNote> {
        let note = SignedNote::parse(note)?;
        let retired = self.now.clone();
        self.now.remove(&note.verify(&retired)?);
        self.now.add(successor.clone());
        self.ever.add(successor);
        Ok(())
    }
}

fn differs(checkpoint: &Checkpoint, signed: u64) -> String {
    let (from, to) = (signed + 1, checkpoint.size);
    format!(
        "the events up to position {to} are not those that were signed; one from position {from} to {to} is another"
    )
}

fn ends_early(checkpoint: &Checkpoint, size: u64) -> String {
    format!(
        "{} events were signed, and the log has {size}: what was behind position {size} is cut off",
        checkpoint.size
    )
}
