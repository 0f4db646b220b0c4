//! The durable event store: a journal as its only commit point, and volumes behind it.

mod backup;
mod beside;
pub(crate) mod closed;
mod erase;
mod ledger;
mod mark;
pub(crate) mod open;
pub(crate) mod order;
mod provable;
mod prune;
mod rotate;
mod threads;
mod verify;
pub(crate) mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use enact_core::blob::BlobStore;
use enact_core::event::StoredEvent;
use enact_core::ids::{EventSeq, Position, Pseudonym, RunId};
use enact_core::query::{RunPage, RunQuery};
use enact_core::store::{Append, Appended, EventStore, MAX_PAGE, StoreError};
use enact_merkle::Hash;
use futures::future::{BoxFuture, Either, select};
use parking_lot::Mutex;

use self::mark::Mark;
use self::open::Opened;
use self::order::{Candidate, Known, Lookup, OnDisk, Order, Placed, key_hash};
use self::threads::Thread;
use self::writer::Writer;
use crate::blobs::{FileBlobs, Keys, RunBlobs};
use crate::group::Content;
use crate::identity::StoreIdentity;
use crate::journal::disk::{Disk, RealDisk};
use crate::journal::{Journal, Segments};
use crate::lock::StoreLock;
use crate::run_index::RunIndex;
use crate::secrets::{MasterKey, RunKey};
use crate::volume::Volumes;
use crate::volume::applier::Applier;
use crate::watermark::Watermark;

pub use ledger::{Ledger, LedgerLines};
pub use provable::{ProvableEvent, Salts};
pub use prune::{Held, HeldBy, Pruned};
pub use verify::Verified;

/// The size at which a volume is sealed, where nothing else is said.
const VOLUME_BYTES: u64 = 64 * 1024 * 1024;
/// The size of a segment of the journal, where nothing else is said.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
/// The most leaf hashes that one call of [`SledStore::leaves`] gives: 2 MiB of them.
pub const MAX_LEAVES: usize = 64 * 1024;
/// How long an idempotency key is kept, where nothing else is said.
const KEY_RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long closing waits for the threads of the store. What is not done then need not be: the journal has
/// everything, and the next opening makes the active volume anew.
const CLOSING: Duration = Duration::from_secs(10);

/// How a store is opened. What is said here may differ from one opening to the next.
#[derive(Clone, Debug)]
pub struct Options {
    volume_bytes: u64,
    pub(crate) segment_bytes: u64,
    key_retention: Duration,
    pub(crate) closing: Duration,
    pub(crate) master_key: Option<MasterKey>,
    pub(crate) without_key: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            volume_bytes: VOLUME_BYTES,
            segment_bytes: SEGMENT_BYTES,
            key_retention: KEY_RETENTION,
            closing: CLOSING,
            master_key: None,
            without_key: false,
        }
    }
}

impl Options {
    /// Seals a volume when its records have this size, in bytes; 64 MiB by default. Opening a store that was not
    /// closed reads as much of the journal at most.
    #[must_use]
    pub fn volume_bytes(mut self, bytes: u64) -> Self {
        self.volume_bytes = bytes.max(1);
        self
    }

    /// The size of the journal's segments, in bytes; 8 MiB by default, at least 64 KiB.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes.max(64 * 1024);
        self
    }

    /// For how long an idempotency key is kept after its run was accepted; seven days by default. Then another
    /// run may have it.
    #[must_use]
    pub fn key_retention(mut self, retention: Duration) -> Self {
        self.key_retention = retention;
        self
    }

    /// The key under which what is recorded is encrypted. A store that is made with one cannot be opened without it
    /// any more. Where a store was made without, its runs to come are encrypted from now on, and the older ones stay
    /// as they are.
    #[must_use]
    pub fn master_key(mut self, key: MasterKey) -> Self {
        self.master_key = Some(key);
        self
    }

    /// Opens a store that is encrypted also where the master key is not given: for verifying, which reads hashes and no
    /// content. Whoever appends to it, or reads what is encrypted, gets [`StoreError::WrongKey`].
    #[must_use]
    pub fn without_key(mut self) -> Self {
        self.without_key = true;
        self
    }

    /// Opens the store in a folder, or makes one there.
    ///
    /// # Errors
    /// As [`SledStore::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<SledStore, StoreError> {
        SledStore::start(path.as_ref(), &self, Arc::new(RealDisk))
    }
}

/// The durable event store, in a folder of its own.
///
/// Appends are durable when a sync of the journal has returned; a background thread moves them into volumes of
/// sled. `docs/store.md` says how it works and what it promises. Dropping it closes it, and waits for that.
#[derive(Debug)]
pub struct SledStore {
    path: PathBuf,
    identity: StoreIdentity,
    order: Arc<Order>,
    durable: Arc<Watermark>,
    volumes: Arc<Volumes>,
    segments: Arc<Segments>,
    blobs: FileBlobs,
    index: Arc<RunIndex>,
    maintenance: Arc<Maintenance>,
    running: Mutex<Option<Running>>,
    closing: Duration,
}

#[derive(Debug)]
struct Running {
    writer: Thread<Option<Journal>>,
    applier: Thread<bool>,
}

/// The lock on the folder while the store is open, and who may use the folder beside the two threads: backup,
/// pruning and verifying, one at a time.
#[derive(Debug)]
struct Maintenance(Mutex<Option<Arc<StoreLock>>>);

impl Maintenance {
    /// Does what needs the folder, which stays ours until it has ended.
    fn carry_out<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let lock = self.0.lock();
        if lock.is_none() {
            return Err(StoreError::Closed);
        }
        work()
    }
}

impl SledStore {
    /// Opens the store in a folder, or makes one there. The folder above has to be writable, and the folder
    /// itself empty or a store.
    ///
    /// # Errors
    /// [`StoreError::Locked`], where another process has it; [`StoreError::Corrupt`], where what is there is not
    /// what was written; [`StoreError::NewerFormat`], where a later build wrote it; [`StoreError::Io`]. Nothing
    /// has changed then.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::options().open(path)
    }

    /// How to open a store, with other sizes and times than the usual.
    #[must_use]
    pub fn options() -> Options {
        Options::default()
    }

    fn start(path: &Path, options: &Options, disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let path = std::path::absolute(path).map_err(|error| StoreError::io("finding the store", error))?;
        let opened = open::open(&path, options, disk)?;
        let Opened { lock, identity, keys, journal, sealed, cut, heads, was_closed } = opened;
        let order = Arc::new(Order::new(journal.cursor().next, heads.now));
        let durable = Arc::new(Watermark::new(heads.last));
        let place = lock.place()?;
        let volumes =
            Volumes::new(place, &path, identity.id, options.key_retention, keys, (sealed, cut), heads);
        let volumes = Arc::new(volumes);
        let segments = journal.segments();
        let applier = Applier {
            volumes: Arc::clone(&volumes),
            segments: Arc::clone(&segments),
            order: Arc::clone(&order),
            volume_bytes: options.volume_bytes,
            was_closed,
        };
        let mark = Mark::open(&path, identity.id)?;
        mark.set(durable.get());
        let writer = Writer {
            order: Arc::clone(&order),
            journal,
            mark,
            durable: Arc::clone(&durable),
            backlog: Arc::clone(&volumes.backlog),
        };
        let blobs = FileBlobs::open(&path.join(open::BLOBS))?;
        let index = Arc::new(RunIndex::new(&path));
        if let Some(up_to) = erase::take_away(&volumes, &blobs, &index)? {
            tracing::info!(path = %path.display(), "finishing what was begun to be erased");
            volumes.backlog.want_sealed(up_to);
        }
        let lock = Arc::new(lock);
        let applier = Thread::spawn("enact-volumes", &lock, || applier.run())?;
        let writer = Thread::spawn("enact-journal", &lock, || writer.run())?;
        let running = Some(Running { writer, applier });
        Ok(Self {
            path,
            identity,
            order,
            durable,
            volumes,
            segments,
            blobs,
            index,
            maintenance: Arc::new(Maintenance(Mutex::new(Some(lock)))),
            running: Mutex::new(running),
            closing: options.closing,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which store this is: 32 hexadecimal digits, made at random with it. A copy of it has the same.
    #[must_use]
    pub fn id(&self) -> String {
        crate::digits(&self.identity.id)
    }

    /// How many syncs the journal has had since the store was made. What something takes is the difference of two.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.segments.syncs()
    }

    /// The leaf hashes of the durable records from a position on, at most `limit` and at most [`MAX_LEAVES`], in the order
    /// of the log. Those of pruned records too. Empty past the end.
    ///
    /// # Errors
    /// As for reading events.
    pub async fn leaves(&self, from: Position, limit: usize) -> Result<Vec<Hash>, StoreError> {
        self.reading(move |volumes| volumes.leaves(from, limit.min(MAX_LEAVES))).await
    }

    /// Closes the store: writes what was appended, refuses more, and leaves a note with which the next opening is
    /// quick. Waits for a backup or pruning that is under way. Closing a closed store does nothing. Blocks.
    ///
    /// A thread that does not end in ten seconds, as it may where the disk does not answer, is left alone: the folder
    /// stays locked until it ends or the process does, there is no note, and the next opening reads the journal.
    ///
    /// # Errors
    /// Those of the disk; every event that was said to be durable is so nevertheless.
    pub fn close(&self) -> Result<(), StoreError> {
        let Some(running) = self.running.lock().take() else { return Ok(()) };
        self.order.close(StoreError::Closed);
        let has_ended = self.wait_for(&running);
        self.volumes.applied.stop(&StoreError::Closed);
        self.volumes.sealed.stop(&StoreError::Closed);
        let mut lock = self.maintenance.0.lock();
        if !has_ended {
            tracing::warn!(
                path = %self.path.display(),
                "the store does not come to its end, and is left as after a crash: the next opening reads its \
                 journal, which has everything; until then the folder stays locked by this process"
            );
            *lock = None;
            return Ok(());
        }
        let journal = running.writer.join().flatten();
        let is_whole = running.applier.join().unwrap_or(false);
        self.volumes.forget_opened();
        let heads = self.volumes.heads.read();
        let noted = match &journal {
            Some(journal) if is_whole && heads.last.next() == journal.cursor().next => {
                let write = |()| closed::write(&self.path, &self.identity.id, &journal.cursor(), &heads);
                self.volumes.place.check().and_then(write)
            }
            // The next opening reads the journal.
            _ => Ok(()),
        };
        // With the journal goes the thread that may prepare a segment. Only then is the folder anybody's.
        drop(journal);
        *lock = None;
        noted
    }

    /// Waits for the threads to end. `false`: it took too long.
    fn wait_for(&self, running: &Running) -> bool {
        let deadline = Instant::now() + self.closing;
        if !running.writer.ends_before(deadline) {
            // It may wait for the applier, which does not get on.
            let why = "the store was closed while its volumes did not get on";
            self.volumes.backlog.broken(StoreError::Poisoned(why.into()));
            return running.writer.ends_before(Instant::now() + self.closing) && running.applier.has_ended();
        }
        running.applier.ends_before(deadline)
    }

    /// The key under which events of a run are encrypted; `None` where they are not.
    async fn secret_for(&self, run: RunId, expected: EventSeq) -> Result<Option<RunKey>, StoreError> {
        let Some(ring) = self.volumes.keys.keys(&self.path)? else { return Ok(None) };
        if expected == EventSeq(0) {
            let failed = |error| StoreError::io("making the key of a run", io::Error::other(error));
            return ring.new_run(run).map(Some).map_err(failed);
        }
        self.secret_of(run).await
    }

    /// The key of a run that is there; `None` where it has none.
    async fn secret_of(&self, run: RunId) -> Result<Option<RunKey>, StoreError> {
        let content = match content_in_memory(&self.order, &self.volumes, run)? {
            None => {
                let volumes = Arc::clone(&self.volumes);
                off_worker(move || volumes.content_on_disk(run)).await?
            }
            found => found,
        };
        content.map_or(Ok(None), |content| self.volumes.unwrap(run, &content))
    }

    /// Gives an append its place, looking on the disk where memory does not know enough.
    async fn put(&self, append: Append) -> Result<Appended, StoreError> {
        let secret = self.secret_for(append.run, append.expected).await?;
        let mut candidate = Candidate::new(&append, &self.identity.salt, secret.as_ref())?;
        drop((append, secret));
        let room = self.order.room_for(&candidate).await?;
        let mut on_disk = None;
        loop {
            match self.order.place(candidate, &*self.volumes, on_disk.take())? {
                Placed::Appended(appended) => {
                    // Given back when it is written.
                    room.forget();
                    return Ok(appended);
                }
                Placed::AskDisk(asking) => {
                    let (run, key, now) = (asking.run, asking.key, asking.at);
                    let volumes = Arc::clone(&self.volumes);
                    let look = move || {
                        let generation = volumes.generation();
                        let version = volumes.version_on_disk(run)?;
                        let key = key.map(|key| volumes.key_on_disk(&key, now)).transpose()?.flatten();
                        Ok(OnDisk { generation, version, key })
                    };
                    on_disk = Some(off_worker(look).await?);
                    candidate = asking;
                }
            }
        }
    }

    /// Reads when all is in volumes that was durable when this was called.
    async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Volumes) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.volumes.caught_up(self.durable.get()).await?;
        let volumes = Arc::clone(&self.volumes);
        let read = std::pin::pin!(off_worker(move || read(&volumes)));
        // The thread that reads may be stuck with it.
        let stuck = std::pin::pin!(self.volumes.until_stuck());
        match select(read, stuck).await {
            Either::Left((read, _)) => read,
            Either::Right((why, _)) => Err(why),
        }
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the store was not closed in order; the next opening reads its journal");
        }
    }
}

/// How the content of a run is kept, as far as memory knows.
fn content_in_memory(order: &Order, volumes: &Volumes, run: RunId) -> Result<Option<Content>, StoreError> {
    match order.content(run) {
        // What leaves the order is in memory's heads already, and what leaves those is on the disk.
        None => volumes.content_in_memory(run),
        found => Ok(found),
    }
}

/// The keys of a store's runs, for their blobs.
#[derive(Debug)]
struct RunKeys {
    order: Arc<Order>,
    volumes: Arc<Volumes>,
}

impl Keys for RunKeys {
    fn key(&self, run: RunId) -> Result<Option<RunKey>, StoreError> {
        if self.volumes.keys.keys(&self.volumes.store)?.is_none() {
            return Ok(None);
        }
        let content = match content_in_memory(&self.order, &self.volumes, run)? {
            None => self.volumes.content_on_disk(run)?,
            found => found,
        };
        let Some(content) = content else {
            let error = io::Error::new(io::ErrorKind::NotFound, "there is no such run, and so no key of it");
            return Err(StoreError::io(format!("using the blobs of run {run}"), error));
        };
        self.volumes.unwrap(run, &content)
    }
}

/// Calls what reads files, not on a thread that others' futures need.
async fn off_worker<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return call() };
    match runtime.spawn_blocking(call).await {
        Ok(answer) => answer,
        Err(error) if error.is_panic() => {
            Err(StoreError::io("reading the store", io::Error::other("the thread that read panicked")))
        }
        // The runtime ends.
        Err(_) => Err(StoreError::Closed),
    }
}

impl EventStore for SledStore {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, StoreError>> {
        Box::pin(self.put(append))
    }

    fn read(
        &self,
        run: RunId,
        from: EventSeq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredEvent>, StoreError>> {
        Box::pin(self.reading(move |volumes| volumes.read_run(run, from, limit.min(MAX_PAGE))))
    }

    fn read_all(&self, from: Position, limit: usize) -> BoxFuture<'_, Result<Vec<StoredEvent>, StoreError>> {
        Box::pin(self.reading(move |volumes| volumes.read_from(from, limit.min(MAX_PAGE))))
    }

    fn durable(&self) -> Position {
        self.durable.get()
    }

    fn beyond(&self, position: Position) -> BoxFuture<'_, Result<Position, StoreError>> {
        Box::pin(self.durable.reached(position.next()))
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let (ordered, taken_back) = self.order.hurry();
        Box::pin(async move {
            // First whether it was taken back: its positions may belong to others by now.
            match select(taken_back, pin!(self.durable.reached(ordered))).await {
                Either::Left((Ok(why), _)) => Err(why),
                Either::Left((Err(_), durable)) => durable.await.map(drop),
                Either::Right((durable, _)) => durable.map(drop),
            }
        })
    }

    fn open_runs(&self) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        Box::pin(self.reading(|volumes| Ok(volumes.open_runs())))
    }

    fn runs(&self, before: Option<RunId>, limit: usize) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        Box::pin(self.reading(move |volumes| volumes.runs(before, limit)))
    }

    fn find_runs(&self, query: RunQuery) -> BoxFuture<'_, Result<RunPage, StoreError>> {
        let index = Arc::clone(&self.index);
        Box::pin(self.reading(move |volumes| index.find(volumes, &query)))
    }

    fn find_key(&self, key: &str) -> BoxFuture<'_, Result<Option<RunId>, StoreError>> {
        let key = key_hash(&self.identity.salt, key);
        Box::pin(async move {
            match self.order.key(&key, &*self.volumes) {
                Lookup::Found(run) => Ok(Some(run)),
                Lookup::Nowhere => Ok(None),
                Lookup::OnDisk => {
                    let (volumes, now) = (Arc::clone(&self.volumes), self.order.now());
                    off_worker(move || volumes.key_on_disk(&key, now)).await
                }
            }
        })
    }

    fn blobs(&self, run: RunId) -> Arc<dyn BlobStore> {
        let keys = RunKeys { order: Arc::clone(&self.order), volumes: Arc::clone(&self.volumes) };
        Arc::new(RunBlobs { blobs: self.blobs.clone(), run, keys })
    }

    fn pseudonym(&self, user: &str) -> Pseudonym {
        crate::pseudonym(&self.identity.salt, user)
    }
}

#[cfg(test)]
mod tests;
