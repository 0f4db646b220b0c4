//! What is in a volume: one sled database with the records, and where the events of each run are.
//!
//! ```text
//! e position part   records, whole and behind each other, in at most 4 KiB; a record that is larger stands
//!                   alone in as many parts as it needs
//! i run number      the positions of the run's events from that number on: the first, then the steps
//! ```
//! Numbers in keys are big-endian, so that they sort. It promises that a panic of sled is an error and that
//! what it gives is whole and what was asked for; it does not know whether a volume is sealed.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use enact_core::ids::{EventSeq, Position, RunId};
use enact_core::store::StoreError;
use sled::IVec;

use super::watch::{Calls, Watch};
use crate::codec::bytes::{Reader, put_varint};
use crate::codec::{self, CodecError, Record};
use crate::files::{self, Tried};

/// sled keeps values in leaves of up to 128 KiB only where they are small; this size was measured to be safe.
pub(crate) const CHUNK_BYTES: usize = 4 * 1024;
/// How many events one entry of the index names at most; it then stays far under [`CHUNK_BYTES`].
const ENTRY_EVENTS: u64 = 1000;
/// What sled may keep in memory.
const CACHE_BYTES: u64 = 2 * 1024 * 1024;
/// How often, and after which rest, opening is tried again while sled's threads let go of the lock: two seconds.
const LOCK_TRIES: u32 = 400;
const LOCK_REST: Duration = Duration::from_millis(5);
const RECORDS: u8 = b'e';
const INDEX: u8 = b'i';

/// Why a volume could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    /// What is there is not what was written, or sled says so.
    #[error("{0}")]
    Damaged(String),
    /// The disk said no.
    #[error("{0}")]
    Disk(io::Error),
    /// A later build wrote it.
    #[error("{0}")]
    Newer(CodecError),
    /// What another part of the store said.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl VolumeError {
    /// As an error of the store, with the file or folder.
    pub(crate) fn at(self, path: &Path) -> StoreError {
        match self {
            Self::Damaged(what) => StoreError::Corrupt { path: path.to_owned(), what },
            Self::Disk(error) => StoreError::io(format!("using the volume {}", path.display()), error),
            Self::Newer(error) => error.at(path, "a record"),
            Self::Store(error) => error,
        }
    }
}

impl From<sled::Error> for VolumeError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => Self::Disk(error),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<CodecError> for VolumeError {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::Newer { .. } => Self::Newer(error),
            CodecError::Damaged(what) => Self::Damaged(what),
        }
    }
}

fn damaged(what: impl Into<String>) -> VolumeError {
    VolumeError::Damaged(what.into())
}

/// Calls sled, which panics at some damage.
fn contained<T>(call: impl FnOnce() -> Result<T, VolumeError>) -> Result<T, VolumeError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
        Err(damaged(format!("sled panicked: {said}")))
    })
}

/// The store's own lock keeps other processes out, so a lock on a volume can only be our own.
fn is_locked(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

/// The database of a volume. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Contents(Arc<Database>);

#[derive(Debug)]
struct Database {
    db: Option<sled::Db>,
    path: PathBuf,
    calls: Arc<Calls>,
    watch: Option<Watch>,
}

impl Contents {
    /// Opens a volume, or makes an empty one. sled makes files for everybody: the folder is private before it does, and
    /// the files are when this has returned.
    pub(crate) fn open(path: &Path) -> Result<Self, VolumeError> {
        files::create_dir(path)?;
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .print_profile_on_drop(false);
        let mut tries = 0;
        let db = loop {
            match contained(|| Ok(config.open()?)) {
                // A database that was just closed here keeps its lock until sled's own threads let go of it.
                Err(VolumeError::Disk(error)) if is_locked(&error) && tries < LOCK_TRIES => {
                    tries += 1;
                    std::thread::sleep(LOCK_REST);
                }
                opened => break opened?,
            }
        };
        let calls = Arc::default();
        let watch = Some(Watch::over(&db, &calls));
        let opened = Self(Arc::new(Database { db: Some(db), path: path.to_owned(), calls, watch }));
        files::make_private(path)?;
        Ok(opened)
    }

    /// Opens a volume that has to be there.
    pub(crate) fn open_existing(path: &Path) -> Result<Self, VolumeError> {
        let db = path.join("db");
        match fs::metadata(&db).needed("looking at", &db)? {
            found if found.is_file() => Self::open(path),
            _ => Err(StoreError::Corrupt { path: db, what: "it is no file".into() }.into()),
        }
    }

    /// Sets what is done, again and again, while no call into it gets on.
    pub(crate) fn when_stuck(&self, tell: impl Fn() + Send + Sync + 'static) {
        self.0.calls.when_stuck(tell);
    }

    /// Calls sled.
    fn calling<T>(&self, call: impl FnOnce(&sled::Db) -> Result<T, VolumeError>) -> Result<T, VolumeError> {
        self.0.calling(call)
    }

    /// Writes a batch. It may be seen before this has returned.
    pub(crate) fn put(&self, batch: &Batch) -> Result<(), VolumeError> {
        self.calling(|db| {
            for (key, chunk) in &batch.chunks {
                db.insert(key, chunk.as_slice())?;
            }
            let open = batch.runs.iter().map(|(run, entry)| (*run, entry));
            for (run, entry) in batch.full.iter().map(|(run, entry)| (*run, entry)).chain(open) {
                db.insert(index_key(run, entry.first_seq), entry.positions.as_slice())?;
            }
            Ok(())
        })
    }

    /// Hands all to the operating system.
    fn flush(&self) -> Result<(), VolumeError> {
        self.0.flush()
    }

    /// Where the events of a run from number `from` on are, at most `limit`.
    pub(crate) fn positions(
        &self,
        run: RunId,
        from: EventSeq,
        limit: usize,
    ) -> Result<Vec<Position>, VolumeError> {
        self.calling(|db| {
            let start = match db.get_lt(index_key(run, from.next()))? {
                Some((key, _)) if key.starts_with(&run_prefix(run)) => key,
                _ => IVec::from(&index_key(run, from)),
            };
            let mut positions = Vec::new();
            let mut next = None;
            for entry in db.range(start..IVec::from(&index_key(run, EventSeq(u64::MAX)))) {
                let (key, value) = entry?;
                let (first, entry) = read_entry(&key, &value)?;
                if next.replace(first + entry.len() as u64).is_some_and(|next| next != first) {
                    return Err(damaged(format!("the index of run {run} has a hole before event {first}")));
                }
                let skip = usize::try_from(from.0.saturating_sub(first)).unwrap_or(usize::MAX);
                positions.extend(entry.into_iter().skip(skip));
                if positions.len() >= limit {
                    positions.truncate(limit);
                    break;
                }
            }
            Ok(positions)
        })
    }

    /// The records at these positions, which rise, until `visit` wants no more.
    pub(crate) fn records_at(&self, positions: &[Position], visit: Visit<'_>) -> Result<(), VolumeError> {
        self.calling(|db| {
            let (mut chunk, mut offset) = (IVec::default(), 0);
            for wanted in positions {
                if chunk.get(offset..).and_then(first_position).is_none_or(|first| first > *wanted) {
                    (chunk, offset) = (Chunks::at(db, *wanted)?.next()?.unwrap_or_default(), 0);
                }
                loop {
                    let rest = chunk.get(offset..).unwrap_or_default();
                    if rest.is_empty() {
                        let next = Chunks::at(db, *wanted)?.next()?.unwrap_or_default();
                        if next == chunk || next.is_empty() {
                            return Err(damaged(format!("position {wanted} is missing")));
                        }
                        (chunk, offset) = (next, 0);
                        continue;
                    }
                    let (record, behind) = Record::split(rest)?;
                    let own = rest.get(..rest.len() - behind.len()).unwrap_or_default();
                    offset += own.len();
                    if record.position == *wanted {
                        if !visit(record, own)? {
                            return Ok(());
                        }
                        break;
                    }
                }
            }
            Ok(())
        })
    }

    /// The records from position `from` on, until `visit` wants no more. Their positions follow each other; that
    /// they do not end too early is for the caller to see.
    pub(crate) fn scan(&self, from: Position, visit: Visit<'_>) -> Result<(), VolumeError> {
        self.calling(|db| {
            let mut chunks = Chunks::at(db, from)?;
            let mut expected = None;
            while let Some(chunk) = chunks.next()? {
                let mut rest = chunk.as_ref();
                while !rest.is_empty() {
                    let (record, behind) = Record::split(rest)?;
                    let own = rest.get(..rest.len() - behind.len()).unwrap_or_default();
                    rest = behind;
                    let follows =
                        expected.replace(record.position.next()).is_none_or(|next| next == record.position);
                    if !follows {
                        return Err(damaged(format!("position {} follows a hole", record.position)));
                    }
                    if record.position >= from && !visit(record, own)? {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
    }

    /// How many events the index names.
    pub(crate) fn indexed(&self) -> Result<u64, VolumeError> {
        self.calling(|db| {
            let mut count = 0;
            for entry in db.scan_prefix([INDEX]) {
                let (key, value) = entry?;
                count += read_entry(&key, &value)?.1.len() as u64;
            }
            Ok(count)
        })
    }

    /// Closes the database, of which this is the last clone. All of it is then in files, as far as sled says; nothing is
    /// synced.
    pub(crate) fn close(self) -> Result<(), VolumeError> {
        self.flush()
    }
}

impl Database {
    fn calling<T>(&self, call: impl FnOnce(&sled::Db) -> Result<T, VolumeError>) -> Result<T, VolumeError> {
        let db = self.db.as_ref().ok_or_else(|| damaged("the volume is closed"))?;
        let _call = self.calls.begin();
        contained(|| call(db))
    }

    fn flush(&self) -> Result<(), VolumeError> {
        self.calling(|db| Ok(db.flush().map(drop)?))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // While it is watched. sled flushes by itself when it is dropped: then nothing is left to wait for, or it
        // has its error and does not wait.
        let flushed = self.flush();
        self.watch = None;
        let db = self.db.take();
        let dropped = contained(|| {
            drop(db);
            Ok(())
        });
        if let Err(error) = flushed.and(dropped) {
            tracing::warn!(path = %self.path.display(), %error, "closing a volume");
        }
    }
}

/// Gets each record with its bytes, and says whether it wants another.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(Record<'_>, &[u8]) -> Result<bool, VolumeError>;

/// Goes through chunks of records, putting together those that stand in several parts.
struct Chunks(sled::Iter);

impl Chunks {
    /// From the chunk on that holds a position.
    fn at(db: &sled::Db, position: Position) -> Result<Self, VolumeError> {
        let start = match db.get_lt(record_key(position.next(), 0))? {
            Some((key, _)) if key.first() == Some(&RECORDS) => {
                let first = Reader::new(key.get(1..).unwrap_or_default()).be_u64().map_or(position, Position);
                record_key(first, 0)
            }
            _ => record_key(position, 0),
        };
        Ok(Self(db.range(start.as_slice()..[INDEX].as_slice())))
    }

    fn next(&mut self) -> Result<Option<IVec>, VolumeError> {
        let Some((_, first)) = self.0.next().transpose()? else { return Ok(None) };
        let size = codec::record_size(&first).ok_or_else(|| damaged("a chunk is cut off"))?;
        if size <= first.len() {
            return Ok(Some(first));
        }
        let mut whole = first.to_vec();
        while whole.len() < size {
            let (_, part) = self.0.next().transpose()?.ok_or_else(|| damaged("a large record is cut off"))?;
            whole.extend_from_slice(&part);
        }
        Ok(Some(whole.into()))
    }
}

fn first_position(bytes: &[u8]) -> Option<Position> {
    Record::split(bytes).ok().map(|(record, _)| record.position)
}

fn record_key(position: Position, part: u32) -> [u8; 13] {
    let mut key = [RECORDS; 13];
    let numbers = position.0.to_be_bytes().into_iter().chain(part.to_be_bytes());
    key.iter_mut().skip(1).zip(numbers).for_each(|(to, from)| *to = from);
    key
}

fn run_prefix(run: RunId) -> [u8; 17] {
    let mut key = [INDEX; 17];
    key.iter_mut().skip(1).zip(run.as_bytes()).for_each(|(to, from)| *to = *from);
    key
}

fn index_key(run: RunId, seq: EventSeq) -> [u8; 25] {
    let mut key = [0; 25];
    let bytes = run_prefix(run).into_iter().chain(seq.0.to_be_bytes());
    key.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    key
}

/// The number of an entry's first event, and the positions of its events.
fn read_entry(key: &[u8], value: &[u8]) -> Result<(u64, Vec<Position>), VolumeError> {
    let cut_off = || damaged("an entry of the index is cut off");
    let first = Reader::new(key.get(17..).unwrap_or_default()).be_u64().ok_or_else(cut_off)?;
    let mut reader = Reader::new(value);
    let (mut positions, mut position) = (Vec::new(), 0_u64);
    while !reader.is_empty() {
        position = reader.varint().and_then(|step| position.checked_add(step)).ok_or_else(cut_off)?;
        positions.push(Position(position));
    }
    Ok((first, positions))
}

/// Records on their way into a volume, packed as they will stand there.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    chunks: Vec<([u8; 13], Vec<u8>)>,
    runs: HashMap<RunId, Entry>,
    full: Vec<(RunId, Entry)>,
    /// The sum of the records, in bytes.
    pub(crate) bytes: usize,
}

/// An entry of the index.
#[derive(Debug)]
struct Entry {
    first_seq: EventSeq,
    positions: Vec<u8>,
    last: Position,
    count: u64,
}

impl Batch {
    /// Adds the record that follows in the log.
    pub(crate) fn push(&mut self, record: &Record<'_>, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.pack(record.position, bytes);
        let new = || Entry { first_seq: record.seq, positions: Vec::new(), last: Position(0), count: 0 };
        let entry = self.runs.entry(record.run).or_insert_with(new);
        put_varint(&mut entry.positions, record.position.0 - entry.last.0);
        entry.last = record.position;
        entry.count += 1;
        if entry.count == ENTRY_EVENTS {
            self.full.extend(self.runs.remove(&record.run).map(|entry| (record.run, entry)));
        }
    }

    fn pack(&mut self, position: Position, bytes: &[u8]) {
        match self.chunks.last_mut() {
            Some((_, chunk)) if chunk.len() + bytes.len() <= CHUNK_BYTES => chunk.extend_from_slice(bytes),
            _ => {
                let parts = bytes.chunks(CHUNK_BYTES).zip(0..);
                self.chunks.extend(parts.map(|(part, number)| (record_key(position, number), part.to_vec())));
            }
        }
    }
}
