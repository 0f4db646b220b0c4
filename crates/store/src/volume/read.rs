//! Reading across volumes. Every answer is checked to be complete: an event that ought to be there and is not
//! is damage, never a shorter answer.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use enact_core::event::StoredEvent;
use enact_core::ids::{EventSeq, Position, RunId};
use enact_core::store::StoreError;
use enact_merkle::Hash;

use super::contents::{Contents, VolumeError};
use super::heads::{self, Head};
use super::sealed::{self, Sealed, folder};
use super::{View, Volumes};
use crate::codec::Record;
use crate::secrets::RunKey;

/// A page ends when it has this size, in bytes of records; it has at least one event.
const PAGE_BYTES: usize = 16 * 1024 * 1024;

/// Which volume an answer comes from.
#[derive(Clone, Debug)]
enum Source {
    Sealed(Arc<Sealed>),
    Active,
}

/// Why an answer cannot be given now.
enum Trouble {
    /// The active volume is being made, or, with a reason, is damaged and has to be.
    Active(Option<VolumeError>),
    /// For good.
    Store(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What is read of an event.
type Take<T> = fn(StoredEvent, &Record<'_>) -> T;

/// The events of a page, with what is left of its limits.
struct Page<'a, T> {
    events: Vec<T>,
    take: Take<T>,
    last: EventSeq,
    limit: usize,
    bytes: usize,
    volumes: &'a Volumes,
    view: &'a View,
    /// The keys of the runs of the page; none for one that was erased.
    secrets: HashMap<RunId, Option<RunKey>>,
}

impl<'a, T> Page<'a, T> {
    fn new(limit: usize, volumes: &'a Volumes, view: &'a View, take: Take<T>) -> Self {
        let (events, secrets) = (Vec::new(), HashMap::new());
        Self { events, take, last: EventSeq(0), limit, bytes: 0, volumes, view, secrets }
    }

    /// Adds an event, and says whether there is room for another.
    fn push(&mut self, record: &Record<'_>, bytes: &[u8]) -> Result<bool, VolumeError> {
        let event = if record.is_encrypted() {
            let secret = match self.secrets.entry(record.run) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(self.volumes.secret(self.view, record.run)?),
            };
            secret.as_ref().map_or_else(|| Ok(record.erased()), |key| record.event(Some(key)))?
        } else {
            record.event(None)?
        };
        self.last = event.event_seq;
        self.events.push((self.take)(event, record));
        self.bytes += bytes.len();
        Ok(!self.is_full())
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.limit || self.bytes >= PAGE_BYTES
    }
}

/// The volumes, as they stay while somebody reads.
struct Seen<'a> {
    view: &'a View,
    active: Option<&'a Contents>,
}

impl Volumes {
    /// The events of a run, from number `from`, at most `limit`.
    pub(crate) fn read_run(
        &self,
        run: RunId,
        from: EventSeq,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.read_run_as(run, from, limit, |event, _| event)
    }

    /// The same, and of each event what `take` takes.
    pub(crate) fn read_run_as<T>(
        &self,
        run: RunId,
        from: EventSeq,
        limit: usize,
        take: Take<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.reading(|seen| {
            let mut page = Page::new(limit, self, seen.view, take);
            let mut next = from.max(EventSeq(1));
            let head = self.heads.read().runs.get(&run).copied();
            let pieces = pieces(seen.view, head, run)?;
            for (source, first, version) in pieces {
                if version < next || page.is_full() {
                    continue;
                }
                if first > next {
                    let path = sealed::volumes_dir(&self.store);
                    let what = format!("run {run} has no events from number {next} up to number {first}");
                    return Err(StoreError::Corrupt { path, what }.into());
                }
                self.in_volume(seen, &source, |contents| {
                    read_piece(contents, run, next, version, &mut page)
                })?;
                next = next.max(page.last.next());
            }
            Ok(page.events)
        })
    }

    /// The events of all runs, from a position, at most `limit`.
    pub(crate) fn read_from(&self, from: Position, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.reading(|seen| {
            let (mut page, view) = (Page::new(limit, self, seen.view, |event, _| event), seen.view);
            let sealed = view.sealed.iter().filter(|sealed| !sealed.entry.pruned);
            let mut sources: Vec<_> = sealed
                .map(|sealed| (Source::Sealed(Arc::clone(sealed)), sealed.entry.first, sealed.entry.last))
                .collect();
            sources.push((Source::Active, view.last_sealed().next(), self.heads.read().last));
            for (source, first, last) in sources {
                if last < from || last < first || page.is_full() {
                    continue;
                }
                self.in_volume(seen, &source, |contents| {
                    scan_piece(contents, from.max(first), last, &view.cut, &mut page)
                })?;
            }
            Ok(page.events)
        })
    }

    /// The leaf hashes from a position on, at most `limit`; those of pruned volumes too.
    pub(crate) fn leaves(&self, from: Position, limit: usize) -> Result<Vec<Hash>, StoreError> {
        self.reading(|seen| {
            let mut leaves = Vec::new();
            let mut next = from.max(Position(1));
            for sealed in &seen.view.sealed {
                if leaves.len() >= limit {
                    break;
                }
                if sealed.entry.last < next {
                    continue;
                }
                sealed.leaves.each_from(next.0 - sealed.entry.first.0, &mut |leaf| {
                    leaves.push(*leaf);
                    leaves.len() < limit
                })?;
                next = sealed.entry.last.next();
            }
            let last = self.heads.read().last;
            if leaves.len() < limit && next <= last {
                let scan = |contents: &Contents| active_leaves(contents, next, last, limit, &mut leaves);
                self.in_volume(seen, &Source::Active, scan)?;
            }
            Ok(leaves)
        })
    }

    /// The runs that are not closed, oldest first.
    pub(crate) fn open_runs(&self) -> Vec<RunId> {
        self.heads.read().open().collect()
    }

    /// Runs older than `before`, newest first.
    pub(crate) fn runs(&self, before: Option<RunId>, limit: usize) -> Result<Vec<RunId>, StoreError> {
        let _stays = self.active.read();
        let view = self.view();
        let mut found: Vec<RunId> = {
            let heads = self.heads.read();
            let older = heads.runs.iter().rev().filter(|(run, _)| before.is_none_or(|before| **run < before));
            older.filter(|(_, head)| head.began_here()).map(|(run, _)| *run).take(limit).collect()
        };
        let mut sealed: Vec<_> = view.sealed.iter().filter(|sealed| !sealed.entry.pruned).collect();
        sealed.sort_by_key(|sealed| std::cmp::Reverse(sealed.entry.touched.1));
        for volume in sealed {
            if found.len() >= limit && found.last().is_some_and(|last| *last > volume.entry.touched.1) {
                break;
            }
            let mut more = Vec::new();
            let key = before.map(|before| *before.as_bytes());
            volume.runs.each_below(key.as_ref().map(<[u8; 16]>::as_slice), &mut |entry| {
                let began = heads::read_run(entry).filter(|(_, head)| head.began_here());
                more.extend(began.map(|(run, _)| run));
                more.len() < limit
            })?;
            found.extend(more);
            found.sort_unstable_by(|a, b| b.cmp(a));
            found.truncate(limit);
        }
        Ok(found)
    }

    /// Calls `read` until the active volume, if it is needed, can be read.
    fn reading<T>(&self, read: impl Fn(&Seen<'_>) -> Result<T, Trouble>) -> Result<T, StoreError> {
        let mut was_damaged = false;
        loop {
            let answer = {
                let active = self.active.read();
                let view = self.view();
                let seen = Seen { view: &view, active: active.as_ref() };
                read(&seen).map_err(|trouble| (trouble, view.active_number()))
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err((Trouble::Store(error), _)) => return Err(error),
                Err((Trouble::Active(Some(error)), number)) if was_damaged => {
                    return Err(error.at(&folder(&self.store, number)));
                }
                Err((Trouble::Active(Some(error)), number)) => {
                    tracing::warn!(volume = number, %error, "the active volume is damaged; it is made anew from the journal");
                    was_damaged = true;
                    self.backlog.distrust();
                }
                Err((Trouble::Active(None), _)) => {}
            }
            self.backlog.wait_ready()?;
        }
    }

    fn in_volume(
        &self,
        seen: &Seen<'_>,
        source: &Source,
        read: impl FnOnce(&Contents) -> Result<(), VolumeError>,
    ) -> Result<(), Trouble> {
        match source {
            Source::Active => {
                let contents = seen.active.ok_or(Trouble::Active(None))?;
                read(contents).map_err(|error| Trouble::Active(Some(error)))
            }
            Source::Sealed(sealed) => {
                let read = self.open_sealed(sealed).and_then(|contents| read(&contents));
                read.map_err(|error| Trouble::Store(error.at(&sealed.folder)))
            }
        }
    }
}

/// The volumes that hold events of a run, which has this head in the active one, oldest first, with the first and the last number in each. None where
/// the run's beginning was pruned.
fn pieces(
    view: &View,
    head: Option<Head>,
    run: RunId,
) -> Result<Vec<(Source, EventSeq, EventSeq)>, StoreError> {
    let mut pieces = Vec::new();
    if view.cut.contains(&run) {
        return Ok(pieces);
    }
    for sealed in &view.sealed {
        if let Some(head) = sealed.head(run)? {
            pieces.push((Source::Sealed(Arc::clone(sealed)), head.first_seq, head.version));
        }
    }
    if let Some(head) = head.filter(Head::is_here) {
        pieces.push((Source::Active, head.first_seq, head.version));
    }
    let from_its_beginning = pieces.first().is_some_and(|(_, first, _)| *first == EventSeq(1));
    Ok(if from_its_beginning { pieces } else { Vec::new() })
}

fn read_piece<T>(
    contents: &Contents,
    run: RunId,
    start: EventSeq,
    version: EventSeq,
    page: &mut Page<'_, T>,
) -> Result<(), VolumeError> {
    let there = usize::try_from(version.0 - start.0 + 1).unwrap_or(usize::MAX);
    let wanted = there.min(page.limit - page.events.len());
    let positions = contents.positions(run, start, wanted)?;
    if positions.len() != wanted {
        let what = format!("run {run} has {} of {wanted} events from number {start}", positions.len());
        return Err(VolumeError::Damaged(what));
    }
    let mut expected = start;
    contents.records_at(&positions, &mut |record, bytes| {
        if (record.run, record.seq) != (run, expected) {
            let what =
                format!("position {} holds another event than number {expected} of {run}", record.position);
            return Err(VolumeError::Damaged(what));
        }
        expected = expected.next();
        page.push(&record, bytes)
    })
}

fn active_leaves(
    contents: &Contents,
    start: Position,
    last: Position,
    limit: usize,
    leaves: &mut Vec<Hash>,
) -> Result<(), VolumeError> {
    let mut next = start;
    contents.scan(start, &mut |record, _| {
        if record.position > last {
            return Ok(false);
        }
        if record.position != next {
            return Err(VolumeError::Damaged(format!("position {next} is missing")));
        }
        next = next.next();
        leaves.push(record.leaf);
        Ok(leaves.len() < limit)
    })?;
    if next <= last && leaves.len() < limit {
        return Err(VolumeError::Damaged(format!("position {next} is missing")));
    }
    Ok(())
}

fn scan_piece(
    contents: &Contents,
    start: Position,
    last: Position,
    cut: &BTreeSet<RunId>,
    page: &mut Page<'_, StoredEvent>,
) -> Result<(), VolumeError> {
    let mut next = start;
    contents.scan(start, &mut |record, bytes| {
        if record.position > last {
            return Ok(false);
        }
        if record.position != next {
            return Err(VolumeError::Damaged(format!("position {next} is missing")));
        }
        next = next.next();
        if cut.contains(&record.run) {
            return Ok(true);
        }
        page.push(&record, bytes)
    })?;
    if next <= last && !page.is_full() {
        return Err(VolumeError::Damaged(format!("position {next} is missing")));
    }
    Ok(())
}
