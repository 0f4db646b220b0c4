//! Reading a whole store, byte by byte, to find what is not as it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use enact_core::ids::Position;
use enact_core::store::StoreError;

use super::SledStore;
use crate::codec::Record;
use crate::group::{AppendHeader, Content, GroupAppend};
use crate::journal;
use crate::secrets::Unlocked;
use crate::volume::applier::each_append;
use crate::volume::contents::{Contents, VolumeError};
use crate::volume::sealed::Sealed;
use enact_merkle::{Frontier, Hash};

/// The most volumes that are read at a time: each takes memory.
const MAX_THREADS: usize = 4;

/// What was read, and found to be as it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    /// How many events.
    pub events: u64,
    /// The last position that was durable when it began.
    pub up_to: Position,
    /// How many blobs.
    pub blobs: u64,
}

/// The blobs that events refer to, and those that went with the content of runs that were erased.
#[derive(Debug, Default)]
pub(super) struct Referenced {
    pub(super) blobs: BTreeSet<Hash>,
    pub(super) gone: BTreeSet<Hash>,
}

impl Referenced {
    /// Those that have to be there.
    pub(super) fn needed(self) -> BTreeSet<Hash> {
        self.blobs.difference(&self.gone).copied().collect()
    }

    /// Takes in what is known of another part of the log, which comes behind.
    fn extend(&mut self, other: Self) {
        self.blobs.extend(other.blobs);
        self.gone.extend(other.gone);
    }

    /// Takes in what is known of an append.
    fn take(&mut self, append: &AppendHeader) {
        let is_erasure = append.content == Content::Erased;
        let blobs = if is_erasure { &mut self.gone } else { &mut self.blobs };
        blobs.extend(&append.blobs);
    }
}

impl SledStore {
    /// Reads the whole store: every record and its hashes in sealed volumes and the journal, every table, every
    /// blob, and that each blob is there that an event refers to. Takes as long as reading all of it from the disk. Blocks.
    ///
    /// # Errors
    /// The first damage in the order of the log, as [`StoreError::Corrupt`].
    pub fn verify(&self) -> Result<Verified, StoreError> {
        self.verify_leaves(&mut |_| ())
    }

    /// As [`verify`](Self::verify), and gives the leaf hash of each record, in the order of the log, when it was compared with the
    /// record; of pruned volumes, which have leaf hashes alone, when they were compared with their root. What was given
    /// holds only where this returns `Ok`. Needs no master key.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_leaves(&self, leaf: &mut dyn FnMut(&Hash)) -> Result<Verified, StoreError> {
        self.maintenance.carry_out(|| self.read_everything(leaf))
    }

    /// Every run key of a volume has to open, where the master key is there.
    fn verify_secrets(&self, sealed: &Sealed) -> Result<(), StoreError> {
        let Unlocked::Open(ring) = &self.volumes.keys else { return Ok(()) };
        if !sealed.has_secrets() {
            return Ok(());
        }
        for (run, wrapped) in sealed.secrets.all()? {
            if ring.run(run, &wrapped).is_err() {
                let what = format!("the key of run {run} is not as it was written");
                return Err(StoreError::Corrupt { path: sealed.secrets.path().to_owned(), what });
            }
        }
        Ok(())
    }

    /// Reads a sealed volume, and gives how many events it has, and the blobs that it refers to and that are not there: those of
    /// runs that were erased since, or lost.
    fn verify_volume(&self, sealed: &Sealed) -> Result<(u64, Referenced), StoreError> {
        self.verify_secrets(sealed)?;
        let mut referenced = Referenced::default();
        let events = verify_sealed(sealed, || self.volumes.open_sealed(sealed), &mut referenced);
        // sled holds much of a volume that is open in memory.
        self.volumes.close_sealed(sealed);
        let events = events?;
        referenced.blobs.retain(|blob| !self.blobs.has(blob));
        Ok((events, referenced))
    }

    fn read_everything(&self, leaf: &mut dyn FnMut(&Hash)) -> Result<Verified, StoreError> {
        let (_pin, segments, end) = self.segments.pin();
        let sealed = self.volumes.view().sealed.clone();
        let (mut events, mut referenced) = (0, Referenced::default());
        let mut next = Position(1);
        in_turn(
            &sealed,
            |sealed| self.verify_volume(sealed),
            |sealed, found| {
                if sealed.entry.first != next {
                    let what = format!("the manifest has nothing for position {next}");
                    return Err(StoreError::Corrupt { path: sealed.folder.clone(), what });
                }
                next = sealed.entry.last.next();
                let (count, found) = found?;
                events += count;
                referenced.extend(found);
                sealed.leaves.each(&mut |hash| {
                    leaf(hash);
                    true
                })
            },
        )?;
        let journal = self.path.join(journal::FOLDER);
        journal::read_all(&journal, &self.identity.id, end, &segments, &mut |header, body| {
            if header.last < next {
                return Ok(());
            }
            if header.first > next {
                let what = format!("position {next} is neither in the journal nor in a volume");
                return Err(StoreError::Corrupt { path: journal.clone(), what });
            }
            let (mut wrong, mut count) = (None, 0);
            let check = |record: &Record<'_>, _: &_| {
                count += 1;
                leaf(&record.leaf);
                if !record.leaf_is_right() {
                    wrong.get_or_insert(record.position);
                }
            };
            let take = &mut |append: GroupAppend<'_>, _, _| referenced.take(&append.header);
            each_append(body, check, take).map_err(|error| error.at(&journal, "a group"))?;
            events += count;
            next = header.last.next();
            wrong
                .map_or(Ok(()), |at| Err(StoreError::Corrupt { path: journal.clone(), what: wrong_leaf(at) }))
        })?;
        if next < end.next {
            let what = format!("it has nothing for position {next}, which was durable");
            return Err(StoreError::Corrupt { path: journal.clone(), what });
        }
        let pruned: u64 =
            sealed.iter().filter(|sealed| sealed.entry.pruned).map(|sealed| sealed.entry.count()).sum();
        let there_are = next.0.saturating_sub(1).saturating_sub(pruned);
        if events != there_are {
            let what = format!("{events} events are there, and {there_are} ought to be");
            return Err(StoreError::Corrupt { path: self.path.clone(), what });
        }
        let blobs = self.blobs.verify(referenced.needed())?;
        Ok(Verified { events, up_to: Position(next.0.saturating_sub(1)), blobs })
    }
}

fn wrong_leaf(position: Position) -> String {
    format!("the record at position {position} does not have the hash that it was written with")
}

/// Reads a sealed volume, and gives how many events it has; 0 for one that is pruned, whose leaves are read.
pub(super) fn verify_sealed(
    sealed: &Sealed,
    open: impl FnOnce() -> Result<Arc<Contents>, VolumeError>,
    referenced: &mut Referenced,
) -> Result<u64, StoreError> {
    sealed.leaves.verify()?;
    let root: Frontier = sealed.leaves.entries()?.collect::<Result<_, _>>()?;
    if root.root() != sealed.entry.root {
        let what = "the leaf hashes do not have the root that the manifest says".to_owned();
        return Err(StoreError::Corrupt { path: sealed.leaves.path().to_owned(), what });
    }
    if sealed.entry.pruned {
        return Ok(0);
    }
    sealed.runs.verify()?;
    sealed.keys.verify()?;
    sealed.blobs.verify()?;
    if sealed.entry.secrets {
        sealed.secrets.all()?;
    }
    sealed.blobs.each(&mut |blob| {
        referenced.blobs.insert(*blob);
        true
    })?;
    let (mut leaves, mut count) = (sealed.leaves.entries()?, 0);
    let read = open().and_then(|contents| {
        contents.scan(sealed.entry.first, &mut |record, _| {
            let is_its_leaf = leaves.next().transpose()? == Some(record.leaf);
            if !is_its_leaf || !record.leaf_is_right() {
                return Err(VolumeError::Damaged(wrong_leaf(record.position)));
            }
            referenced.gone.extend(record.gone()?);
            count += 1;
            Ok(true)
        })
    });
    read.map_err(|error| error.at(&sealed.folder))?;
    if count == sealed.entry.count() {
        return Ok(count);
    }
    let what = format!("it has {count} events, and the manifest says {}", sealed.entry.count());
    Err(StoreError::Corrupt { path: sealed.folder.clone(), what })
}

/// Does the work for each item on as many threads as there are processors, and takes what comes of it in the order of the
/// items until that fails.
fn in_turn<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut take: impl FnMut(&T, R) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS).min(items.len());
    let (next, work) = (&AtomicUsize::new(0), &work);
    let (done, results) = mpsc::channel();
    thread::scope(|scope| {
        // Here, so that the threads stop where this returns.
        let results = results;
        for _ in 0..threads {
            let done = done.clone();
            let each = move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { break };
                    if done.send((at, work(item))).is_err() {
                        break;
                    }
                }
            };
            let thread = thread::Builder::new().name("verify".into()).spawn_scoped(scope, each);
            thread.map_err(|error| StoreError::io("starting a thread to verify", error))?;
        }
        drop(done);
        let mut early = BTreeMap::new();
        for (at, item) in items.iter().enumerate() {
            while !early.contains_key(&at)
                && let Ok((at, result)) = results.recv()
            {
                early.insert(at, result);
            }
            // Where none comes any more, a thread panicked, and so does the scope.
            let Some(result) = early.remove(&at) else { break };
            take(item, result)?;
        }
        Ok(())
    })
}
