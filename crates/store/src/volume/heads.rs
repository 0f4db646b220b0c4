//! What is known in memory of the runs of the active volume: how far each is, its keys, its blobs.
//!
//! A fold over the appends of the volume; everything in it can be had again from the journal, beginning with
//! the open runs that the volume before handed over.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use enact_core::ids::{EventSeq, Position, RunId};
use enact_core::store::RunMark;
use enact_core::time::Timestamp;

use crate::codec::bytes::{Reader, put_u32, put_u64};
use crate::group::{AppendHeader, Content};
use crate::secrets::{WRAPPED, Wrapped};
use enact_merkle::Hash;

/// What is known of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    /// The number of its first event in this volume; 0 where it has none in it.
    pub(crate) first_seq: EventSeq,
    /// The number of its last event.
    pub(crate) version: EventSeq,
    pub(crate) mark: RunMark,
    pub(crate) kept: Kept,
}

/// How a run's content is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kept {
    /// As it is.
    Plain,
    /// Encrypted; the key is elsewhere.
    Encrypted,
    /// Its key was taken away, or is to be.
    Erased,
}

impl From<&Content> for Kept {
    fn from(content: &Content) -> Self {
        match content {
            Content::Plain => Self::Plain,
            Content::Under(_) => Self::Encrypted,
            Content::Erased => Self::Erased,
        }
    }
}

impl Head {
    /// Whether the run began in this volume.
    pub(crate) fn began_here(&self) -> bool {
        self.first_seq == EventSeq(1)
    }

    /// Whether the run has events in this volume.
    pub(crate) fn is_here(&self) -> bool {
        self.first_seq != EventSeq(0)
    }
}

/// Who has an idempotency key, and since when: the log's time when it was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KeyHeld {
    pub(crate) run: RunId,
    pub(crate) at: Timestamp,
}

const OPEN: u8 = 1;
const ENCRYPTED: u8 = 2;
const ERASED: u8 = 4;

/// The size of a run in a table.
pub(crate) const RUN_BYTES: usize = 33;
/// The size of a key in a table.
pub(crate) const KEY_BYTES: usize = 56;
/// The size of a run's wrapped key in a table.
pub(crate) const SECRET_BYTES: usize = 16 + WRAPPED;
/// The size of a blob's hash in a table.
pub(crate) const BLOB_BYTES: usize = 32;

/// A run is encrypted and its key is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NoSecret;

/// A run that one volume hands over to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried {
    pub(crate) run: RunId,
    pub(crate) version: EventSeq,
    pub(crate) content: Content,
}

/// What is known of the active volume.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Heads {
    pub(crate) runs: BTreeMap<RunId, Head>,
    pub(crate) keys: HashMap<Hash, KeyHeld>,
    pub(crate) blobs: BTreeSet<Hash>,
    /// The blobs of the runs that were erased in this volume: they are not there, or are to be deleted.
    pub(crate) gone: BTreeSet<Hash>,
    /// The wrapped keys of the runs, as far as their content is encrypted and not erased.
    pub(crate) secrets: BTreeMap<RunId, Wrapped>,
    /// The log's time: the newest that an event of it has.
    pub(crate) now: Timestamp,
    /// The oldest and the newest time in this volume.
    pub(crate) times: Option<(Timestamp, Timestamp)>,
    /// The last position.
    pub(crate) last: Position,
    /// The size of the records in this volume.
    pub(crate) bytes: u64,
}

impl Heads {
    /// Of a volume that follows position `last`.
    pub(crate) fn after(last: Position, now: Timestamp, open: impl Iterator<Item = Carried>) -> Self {
        let mut heads = Self { now, last, ..Self::default() };
        for Carried { run, version, content } in open {
            let kept = Kept::from(&content);
            heads.runs.insert(run, Head { first_seq: EventSeq(0), version, mark: RunMark::Open, kept });
            heads.take_secret(run, &content);
        }
        heads
    }

    fn take_secret(&mut self, run: RunId, content: &Content) {
        match content {
            Content::Plain => {}
            Content::Under(wrapped) => drop(self.secrets.insert(run, *wrapped)),
            Content::Erased => drop(self.secrets.remove(&run)),
        }
    }

    /// How the content of a run is kept that is known here.
    ///
    /// # Errors
    /// Where it is encrypted and the key is not here.
    pub(crate) fn content(&self, run: RunId) -> Option<Result<Content, NoSecret>> {
        let head = self.runs.get(&run)?;
        Some(match (head.kept, self.secrets.get(&run)) {
            (Kept::Plain, _) => Ok(Content::Plain),
            (Kept::Erased, _) => Ok(Content::Erased),
            (Kept::Encrypted, Some(wrapped)) => Ok(Content::Under(*wrapped)),
            (Kept::Encrypted, None) => Err(NoSecret),
        })
    }

    /// The runs whose content is to be erased, and that may not be done.
    pub(crate) fn erased(&self) -> impl Iterator<Item = RunId> {
        self.runs.iter().filter(|(_, head)| head.kept == Kept::Erased).map(|(run, _)| *run)
    }

    /// Takes an append in; `times` are the oldest and the newest of its events, `bytes` the size of its records.
    pub(crate) fn take(&mut self, append: &AppendHeader, times: (Timestamp, Timestamp), bytes: usize) {
        let version = append.version();
        let kept = Kept::from(&append.content);
        let new = Head { first_seq: append.first_seq, version, mark: append.mark, kept };
        let head = self.runs.entry(append.run).or_insert(new);
        if !head.is_here() {
            head.first_seq = append.first_seq;
        }
        (head.version, head.mark, head.kept) = (version, append.mark, kept);
        self.take_secret(append.run, &append.content);
        self.now = self.now.max(times.1);
        if let Some(key) = append.key {
            self.keys.insert(key, KeyHeld { run: append.run, at: self.now });
        }
        match append.content {
            Content::Erased => self.gone.extend(&append.blobs),
            Content::Plain | Content::Under(_) => self.blobs.extend(&append.blobs),
        }
        let (oldest, newest) = self.times.unwrap_or(times);
        self.times = Some((oldest.min(times.0), newest.max(times.1)));
        self.last = append.last();
        self.bytes += bytes as u64;
    }

    /// The runs that are not closed.
    pub(crate) fn open(&self) -> impl Iterator<Item = RunId> {
        self.runs.iter().filter(|(_, head)| head.mark == RunMark::Open).map(|(run, _)| *run)
    }

    /// What the next volume is handed over.
    pub(crate) fn carried(&self) -> impl Iterator<Item = Carried> {
        self.open().filter_map(|run| {
            let version = self.runs.get(&run)?.version;
            let content = self.content(run)?.ok()?;
            Some(Carried { run, version, content })
        })
    }

    /// The keys, sorted.
    pub(crate) fn sorted_keys(&self) -> Vec<(Hash, KeyHeld)> {
        let mut keys: Vec<_> = self.keys.iter().map(|(key, held)| (*key, *held)).collect();
        keys.sort_unstable_by_key(|(key, _)| *key);
        keys
    }

    /// As bytes, for a store that is closed in order.
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        put_u64(to, self.now.unix_us());
        let (oldest, newest) = self.times.unwrap_or_default();
        to.push(u8::from(self.times.is_some()));
        put_u64(to, oldest.unix_us());
        put_u64(to, newest.unix_us());
        put_u64(to, self.last.0);
        put_u64(to, self.bytes);
        put_u32(to, u32::try_from(self.runs.len()).unwrap_or(u32::MAX));
        self.runs.iter().for_each(|(run, head)| to.extend_from_slice(&run_entry(*run, *head)));
        put_u32(to, u32::try_from(self.keys.len()).unwrap_or(u32::MAX));
        self.sorted_keys().into_iter().for_each(|(key, held)| to.extend_from_slice(&key_entry(key, held)));
        for blobs in [&self.blobs, &self.gone] {
            put_u32(to, u32::try_from(blobs.len()).unwrap_or(u32::MAX));
            blobs.iter().for_each(|blob| to.extend_from_slice(blob));
        }
        put_u32(to, u32::try_from(self.secrets.len()).unwrap_or(u32::MAX));
        self.secrets.iter().for_each(|(run, wrapped)| to.extend_from_slice(&secret_entry(*run, wrapped)));
    }

    /// What [`write`](Self::write) wrote.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut heads = Self { now: Timestamp::from_unix_us(reader.u64()?), ..Self::default() };
        let has_times = reader.u8()? == 1;
        let times = (Timestamp::from_unix_us(reader.u64()?), Timestamp::from_unix_us(reader.u64()?));
        heads.times = has_times.then_some(times);
        heads.last = Position(reader.u64()?);
        heads.bytes = reader.u64()?;
        for _ in 0..reader.u32()? {
            let (run, head) = read_run(&reader.array()?)?;
            heads.runs.insert(run, head);
        }
        for _ in 0..reader.u32()? {
            let (key, held) = read_key(&reader.array()?)?;
            heads.keys.insert(key, held);
        }
        for blobs in [&mut heads.blobs, &mut heads.gone] {
            for _ in 0..reader.u32()? {
                blobs.insert(reader.array()?);
            }
        }
        for _ in 0..reader.u32()? {
            let (run, wrapped) = read_secret(&reader.array()?)?;
            heads.secrets.insert(run, wrapped);
        }
        Some(heads)
    }
}

/// A run as it stands in a table, sorted by its id.
pub(crate) fn run_entry(run: RunId, head: Head) -> [u8; RUN_BYTES] {
    let mut entry = [0; RUN_BYTES];
    let numbers = head.first_seq.0.to_le_bytes().into_iter().chain(head.version.0.to_le_bytes());
    let kept = match head.kept {
        Kept::Plain => 0,
        Kept::Encrypted => ENCRYPTED,
        Kept::Erased => ERASED,
    };
    let mark = u8::from(head.mark == RunMark::Open) | kept;
    let bytes = run.as_bytes().iter().copied().chain(numbers).chain([mark]);
    entry.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    entry
}

/// A run from a table.
pub(crate) fn read_run(entry: &[u8; RUN_BYTES]) -> Option<(RunId, Head)> {
    let mut reader = Reader::new(entry);
    let run = RunId::from_bytes(reader.array()?);
    let (first_seq, version) = (EventSeq(reader.u64()?), EventSeq(reader.u64()?));
    let flags = reader.u8()?;
    let mark = if flags & OPEN == 0 { RunMark::Closed } else { RunMark::Open };
    let kept = match flags & (ENCRYPTED | ERASED) {
        0 => Kept::Plain,
        ENCRYPTED => Kept::Encrypted,
        _ => Kept::Erased,
    };
    Some((run, Head { first_seq, version, mark, kept }))
}

/// A run's wrapped key as it stands in a table, sorted by the run's id.
pub(crate) fn secret_entry(run: RunId, wrapped: &Wrapped) -> [u8; SECRET_BYTES] {
    let mut entry = [0; SECRET_BYTES];
    let bytes = run.as_bytes().iter().chain(wrapped);
    entry.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    entry
}

/// A run's wrapped key from a table.
pub(crate) fn read_secret(entry: &[u8; SECRET_BYTES]) -> Option<(RunId, Wrapped)> {
    let mut reader = Reader::new(entry);
    Some((RunId::from_bytes(reader.array()?), reader.array()?))
}

/// A key as it stands in a table, sorted by its hash.
pub(crate) fn key_entry(key: Hash, held: KeyHeld) -> [u8; KEY_BYTES] {
    let mut entry = [0; KEY_BYTES];
    let at = held.at.unix_us().to_le_bytes();
    let bytes = key.into_iter().chain(held.run.as_bytes().iter().copied()).chain(at);
    entry.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    entry
}

/// A key from a table.
pub(crate) fn read_key(entry: &[u8; KEY_BYTES]) -> Option<(Hash, KeyHeld)> {
    let mut reader = Reader::new(entry);
    let key = reader.array()?;
    let run = RunId::from_bytes(reader.array()?);
    Some((key, KeyHeld { run, at: Timestamp::from_unix_us(reader.u64()?) }))
}
