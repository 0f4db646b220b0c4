//! The store in memory, for tests: the same contract, with crashes and failures on demand.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Debug};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use enact_core::blob::BlobStore;
use enact_core::event::{NewEvent, StoredEvent};
use enact_core::ids::{EventSeq, Position, Pseudonym, RunId};
use enact_core::store::{
    Append, Appended, Durability, EventStore, MAX_APPEND_BYTES, MAX_PAGE, RunMark, StoreError,
};
use futures::future::BoxFuture;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::codec::{Prepared, Record};
use crate::memory_blobs::MemoryBlobs;

/// How long an append that nobody waits for may stay undurable.
const ENQUEUED_WAIT: Duration = Duration::from_millis(500);

/// An event store in memory. Clones are the same store.
///
/// What is durable and what is only ordered are kept apart as on a disk: a barrier makes all before it
/// durable, and [`crash`](Self::crash) gives what a crash would leave.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    blobs: MemoryBlobs,
    salt: [u8; 32],
}

#[derive(Default)]
struct Shared {
    log: Mutex<Log>,
    /// Something was enqueued, or nobody holds the store any more.
    enqueued: Condvar,
}

#[derive(Default)]
struct Log {
    /// Records as they would be on a disk; position 1 first.
    records: Vec<Arc<[u8]>>,
    streams: BTreeMap<RunId, Stream>,
    keys: HashMap<String, RunId>,
    durable: usize,
    waiting: Vec<Waiting>,
    held: bool,
    fail_next_sync: bool,
    stopped: Option<StoreError>,
    flusher_runs: bool,
}

#[derive(Clone, Default)]
struct Stream {
    positions: Vec<usize>,
    /// What the run was after its event of a number.
    marks: Vec<(usize, RunMark)>,
    key: Option<String>,
}

struct Waiting {
    count: usize,
    told: oneshot::Sender<Result<Position, StoreError>>,
}

impl Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = self.shared.log.lock();
        f.debug_struct("MemoryStore")
            .field("events", &log.records.len())
            .field("durable", &log.durable)
            .finish_non_exhaustive()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { shared: Arc::default(), blobs: MemoryBlobs::default(), salt: rand::random() }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The store as it is opened again after it was closed in order: all events and the blobs. This store is
    /// closed.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let mut log = self.shared.log.lock();
        log.sync();
        self.closed(&mut log)
    }

    /// The store that a crash at this moment leaves: the durable events and the blobs. This store is closed.
    #[must_use]
    pub fn crash(&self) -> Self {
        self.closed(&mut self.shared.log.lock())
    }

    fn closed(&self, log: &mut Log) -> Self {
        let left = log.durable_part();
        log.stop(StoreError::Closed);
        Self {
            shared: Arc::new(Shared { log: Mutex::new(left), ..Shared::default() }),
            blobs: self.blobs.clone(),
            salt: self.salt,
        }
    }

    /// Holds back durability, or lets it go on: while it is held, nothing becomes durable and all who wait for
    /// it wait.
    pub fn hold_durability(&self, hold: bool) {
        let mut log = self.shared.log.lock();
        log.held = hold;
        if !hold && log.waiting.iter().any(|waiting| waiting.count > log.durable) {
            log.sync();
        }
    }

    /// Lets the next sync fail, which poisons the store.
    pub fn fail_next_sync(&self) {
        self.shared.log.lock().fail_next_sync = true;
    }

    fn put(&self, append: Append) -> Result<Appended, StoreError> {
        let mut log = self.shared.log.lock();
        log.check(&append)?;
        let first = EventSeq(append.expected.0 + 1);
        let records = log.encode(append.run, first, &append.events)?;
        log.push(&append, records);
        if append.durability == Durability::Barrier {
            log.sync();
        } else {
            self.flush_later(&mut log);
        }
        let count = log.records.len();
        let version = EventSeq(append.expected.0 + append.events.len() as u64);
        let told = log.durable_at(count);
        let store = Arc::downgrade(&self.shared);
        let durable = Box::pin(async move { ask(told, &store).await.map(drop) });
        Ok(Appended::new(version, Position(count as u64), durable))
    }

    /// What is enqueued becomes durable within a second, also when nobody asks.
    fn flush_later(&self, log: &mut Log) {
        if !log.flusher_runs {
            let shared = Arc::downgrade(&self.shared);
            let flusher = thread::Builder::new().name("enact-memory-store".into());
            log.flusher_runs = flusher.spawn(move || flush_now_and_then(&shared)).is_ok();
        }
        self.shared.enqueued.notify_one();
    }

    fn page(
        &self,
        positions: impl Iterator<Item = usize>,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let records: Vec<_> = {
            let log = self.shared.log.lock();
            let durable = positions.take_while(|position| *position <= log.durable);
            durable.take(limit.min(MAX_PAGE)).filter_map(|at| log.records.get(at - 1).cloned()).collect()
        };
        records.iter().map(|record| read(record)).collect()
    }
}

/// Waits until it is durable. Asking is what makes enqueued events durable at once, unless that is held back.
async fn ask(
    told: oneshot::Receiver<Result<Position, StoreError>>,
    store: &Weak<Shared>,
) -> Result<Position, StoreError> {
    if let Some(shared) = store.upgrade() {
        shared.log.lock().sync_for_waiting();
    }
    told.await.unwrap_or(Err(StoreError::Closed))
}

fn flush_now_and_then(shared: &Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        let mut log = shared.log.lock();
        if log.durable < log.records.len() {
            log.sync();
        }
        shared.enqueued.wait_for(&mut log, ENQUEUED_WAIT);
    }
}

fn read(record: &[u8]) -> Result<StoredEvent, StoreError> {
    let damaged = |error: crate::codec::CodecError| error.at("memory".as_ref(), "a record");
    let (record, _) = Record::split(record).map_err(damaged)?;
    record.event(None).map_err(damaged)
}

impl Log {
    fn check(&self, append: &Append) -> Result<(), StoreError> {
        if let Some(why) = &self.stopped {
            return Err(why.clone());
        }
        if append.events.is_empty() {
            let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, "it has no events");
            return Err(StoreError::io(format!("appending to run {}", append.run), error));
        }
        let version = self.streams.get(&append.run).map_or(0, |stream| stream.positions.len() as u64);
        if version != append.expected.0 {
            let (run, expected) = (append.run, append.expected);
            return Err(StoreError::Conflict { run, expected, actual: EventSeq(version) });
        }
        match append.key.as_ref().and_then(|key| self.keys.get(key)) {
            Some(holder) if *holder != append.run => Err(StoreError::KeyTaken(*holder)),
            _ => Ok(()),
        }
    }

    fn encode(&self, run: RunId, first: EventSeq, events: &[NewEvent]) -> Result<Vec<Arc<[u8]>>, StoreError> {
        let place = |(event, offset): (&NewEvent, u64)| {
            let position = Position(self.records.len() as u64 + 1 + offset);
            let mut record = Vec::new();
            let seq = EventSeq(first.0 + offset);
            Prepared::new(event, run, seq, None)?.write(run, seq, position, &mut record);
            Ok(record.into())
        };
        let records = events.iter().zip(0..).map(place).collect::<Result<Vec<Arc<[u8]>>, _>>()?;
        match records.iter().map(|record| record.len()).sum() {
            size if size > MAX_APPEND_BYTES => Err(StoreError::TooLarge { size, limit: MAX_APPEND_BYTES }),
            _ => Ok(records),
        }
    }

    fn push(&mut self, append: &Append, records: Vec<Arc<[u8]>>) {
        let stream = self.streams.entry(append.run).or_default();
        for record in records {
            self.records.push(record);
            stream.positions.push(self.records.len());
        }
        stream.marks.push((self.records.len(), append.mark));
        if let Some(key) = &append.key {
            self.keys.insert(key.clone(), append.run);
            stream.key = Some(key.clone());
        }
    }

    /// Makes all durable that is ordered.
    fn sync(&mut self) {
        if self.held || self.stopped.is_some() {
            return;
        }
        if std::mem::take(&mut self.fail_next_sync) {
            return self.stop(StoreError::Poisoned("a sync failed, as a test wanted".into()));
        }
        self.durable = self.records.len();
        let durable = self.durable;
        for waiting in self.waiting.extract_if(.., |waiting| waiting.count <= durable) {
            // One who does not wait any more need not be told.
            drop(waiting.told.send(Ok(Position(durable as u64))));
        }
    }

    fn sync_for_waiting(&mut self) {
        let ordered = self.records.len();
        self.waiting.retain(|waiting| !waiting.told.is_closed());
        if self.waiting.iter().any(|waiting| waiting.count <= ordered) {
            self.sync();
        }
    }

    fn stop(&mut self, why: StoreError) {
        for waiting in self.waiting.drain(..) {
            drop(waiting.told.send(Err(why.clone())));
        }
        self.stopped.get_or_insert(why);
    }

    fn durable_at(&mut self, count: usize) -> oneshot::Receiver<Result<Position, StoreError>> {
        let (told, receiver) = oneshot::channel();
        if self.durable >= count {
            drop(told.send(Ok(Position(self.durable as u64))));
        } else if let Some(why) = &self.stopped {
            drop(told.send(Err(why.clone())));
        } else {
            self.waiting.push(Waiting { count, told });
        }
        receiver
    }

    fn durable_part(&self) -> Self {
        let mut left = Self { records: self.records.clone(), durable: self.durable, ..Self::default() };
        left.records.truncate(self.durable);
        for (run, stream) in &self.streams {
            let mut stream = stream.clone();
            stream.positions.retain(|position| *position <= self.durable);
            stream.marks.retain(|(position, _)| *position <= self.durable);
            if stream.positions.is_empty() {
                continue;
            }
            left.keys.extend(stream.key.clone().map(|key| (key, *run)));
            left.streams.insert(*run, stream);
        }
        left
    }
}

impl Stream {
    /// What the run is, as far as that is durable; `None` for a run that is not there yet.
    fn durable_mark(&self, durable: usize) -> Option<RunMark> {
        self.marks.iter().rev().find(|(position, _)| *position <= durable).map(|(_, mark)| *mark)
    }
}

impl EventStore for MemoryStore {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, StoreError>> {
        Box::pin(async move { self.put(append) })
    }

    fn read(
        &self,
        run: RunId,
        from: EventSeq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredEvent>, StoreError>> {
        Box::pin(async move {
            let skip = usize::try_from(from.0.saturating_sub(1)).unwrap_or(usize::MAX);
            let positions = {
                let log = self.shared.log.lock();
                let stream = log.streams.get(&run).map(|stream| stream.positions.iter().skip(skip));
                stream.into_iter().flatten().take(MAX_PAGE).copied().collect::<Vec<_>>()
            };
            self.page(positions.into_iter(), limit)
        })
    }

    fn read_all(&self, from: Position, limit: usize) -> BoxFuture<'_, Result<Vec<StoredEvent>, StoreError>> {
        Box::pin(async move {
            self.page(usize::try_from(from.0.max(1)).unwrap_or(usize::MAX)..=usize::MAX, limit)
        })
    }

    fn durable(&self) -> Position {
        Position(self.shared.log.lock().durable as u64)
    }

    fn beyond(&self, position: Position) -> BoxFuture<'_, Result<Position, StoreError>> {
        let wanted = usize::try_from(position.0.saturating_add(1)).unwrap_or(usize::MAX);
        Box::pin(async move {
            let told = self.shared.log.lock().durable_at(wanted);
            ask(told, &Arc::downgrade(&self.shared)).await
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let told = {
            let mut log = self.shared.log.lock();
            let ordered = log.records.len();
            log.durable_at(ordered)
        };
        Box::pin(async move { ask(told, &Arc::downgrade(&self.shared)).await.map(drop) })
    }

    fn open_runs(&self) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        Box::pin(async move {
            let log = self.shared.log.lock();
            let open =
                log.streams.iter().filter(|(_, run)| run.durable_mark(log.durable) == Some(RunMark::Open));
            Ok(open.map(|(run, _)| *run).collect())
        })
    }

    fn runs(&self, before: Option<RunId>, limit: usize) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        Box::pin(async move {
            let log = self.shared.log.lock();
            let older =
                log.streams.iter().rev().filter(|(run, _)| before.is_none_or(|before| **run < before));
            let durable = older.filter(|(_, stream)| stream.durable_mark(log.durable).is_some());
            Ok(durable.map(|(run, _)| *run).take(limit).collect())
        })
    }

    fn find_key(&self, key: &str) -> BoxFuture<'_, Result<Option<RunId>, StoreError>> {
        let found = self.shared.log.lock().keys.get(key).copied();
        Box::pin(async move { Ok(found) })
    }

    fn blobs(&self, _: RunId) -> Arc<dyn BlobStore> {
        Arc::new(self.blobs.clone())
    }

    fn pseudonym(&self, user: &str) -> Pseudonym {
        crate::pseudonym(&self.salt, user)
    }
}
