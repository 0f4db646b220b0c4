//! The order of the log: every append gets its place here, or is refused, and waits here to be written.
//!
//! It knows what is ordered and not yet in a volume, and asks a [`Known`] for the rest. It does not know files.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use enact_core::event::Event;
use enact_core::ids::{EventSeq, Position, RunId};
use enact_core::store::{Append, Appended, Durability, MAX_APPEND_BYTES, StoreError};
use enact_core::time::Timestamp;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use crate::codec::Prepared;
use crate::codec::payload;
use crate::group::{AppendHeader, Content};
use crate::secrets::RunKey;
use enact_merkle::Hash;

/// How long an append that nobody waits for may stay unwritten.
const ENQUEUED_WAIT: Duration = Duration::from_millis(500);
/// A group is closed when it has this size; one append that is larger is a group of its own.
const GROUP_BYTES: usize = 1024 * 1024;
/// How much may wait to be written; more has to wait before it is ordered.
const WAITING_BYTES: u32 = 8 * 1024 * 1024;
/// Of how many runs it is remembered that appends were taken back.
const TAKEN_BACK: usize = 10_000;

/// What is known of runs and keys beyond what waits here.
pub(crate) trait Known {
    /// The number of the run's last event.
    fn version(&self, run: RunId) -> Lookup<EventSeq>;

    /// The run that has a key at the time of who asks.
    fn key(&self, key: &Hash, now: Timestamp) -> Lookup<RunId>;

    /// Changes whenever the answer to a slow look-up may have changed.
    fn generation(&self) -> u64;
}

/// What memory says of something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lookup<T> {
    /// This.
    Found(T),
    /// It is nowhere.
    Nowhere,
    /// It may be on the disk.
    OnDisk,
}

/// The answer of a slow look-up for one append.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnDisk {
    pub(crate) generation: u64,
    pub(crate) version: EventSeq,
    pub(crate) key: Option<RunId>,
}

/// An append, encoded, without a place yet.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) run: RunId,
    pub(crate) key: Option<Hash>,
    expected: EventSeq,
    mark: enact_core::store::RunMark,
    /// What its writer's clock said.
    pub(crate) at: Timestamp,
    blobs: Vec<Hash>,
    content: Content,
    events: Vec<Prepared>,
    bytes: usize,
    barrier: bool,
}

/// The hash under which an idempotency key is kept in a store with this salt.
pub(crate) fn key_hash(salt: &[u8; 32], key: &str) -> Hash {
    enact_merkle::sha256(&[b"enact.key.2", salt, key.as_bytes()])
}

impl Candidate {
    /// Encodes an append, and encrypts it where its run has a key.
    pub(crate) fn new(append: &Append, salt: &[u8; 32], secret: Option<&RunKey>) -> Result<Self, StoreError> {
        let Some(first) = append.events.first() else {
            let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, "it has no events");
            return Err(StoreError::io(format!("appending to run {}", append.run), error));
        };
        let prepare = |(event, offset): (_, u64)| {
            let seq = EventSeq(append.expected.0.saturating_add(1).saturating_add(offset));
            Prepared::new(event, append.run, seq, secret)
        };
        let events = append.events.iter().zip(0..).map(prepare).collect::<Result<Vec<_>, _>>()?;
        let bytes = events.iter().map(Prepared::record_bytes).sum();
        if bytes > MAX_APPEND_BYTES {
            return Err(StoreError::TooLarge { size: bytes, limit: MAX_APPEND_BYTES });
        }
        let erasure = append.events.iter().find_map(|new| match &new.event {
            Event::ContentErased(erased) => Some(erased),
            _ => None,
        });
        let references = append.events.iter().flat_map(|event| payload::blobs(&event.event));
        let (content, blobs) = match (erasure, secret) {
            (Some(erased), _) => (Content::Erased, erased.blobs.clone()),
            (None, secret) => {
                let files = references.filter_map(|blob| crate::blobs::file_of(&blob.sha256, secret));
                (secret.map_or(Content::Plain, |key| Content::Under(key.wrapped)), files.collect())
            }
        };
        Ok(Self {
            run: append.run,
            key: append.key.as_deref().map(|key| key_hash(salt, key)),
            expected: append.expected,
            mark: append.mark,
            at: first.at,
            blobs,
            content,
            events,
            bytes,
            barrier: append.durability == Durability::Barrier,
        })
    }
}

/// An append that has its place and is not yet written.
#[derive(Debug)]
pub(crate) struct Ordered {
    pub(crate) header: AppendHeader,
    pub(crate) events: Vec<Prepared>,
    bytes: usize,
    /// What was known of the run here before, for the case that there is no space.
    before: Option<RunHead>,
    durable: oneshot::Sender<Result<(), StoreError>>,
}

impl Ordered {
    /// Tells the one who waits.
    pub(crate) fn done(self, result: Result<(), StoreError>) {
        // Nobody need wait.
        drop(self.durable.send(result));
    }
}

#[derive(Clone, Copy, Debug)]
struct RunHead {
    version: EventSeq,
    last: Position,
    content: Content,
}

#[derive(Clone, Copy, Debug)]
struct KeyHead {
    run: RunId,
    position: Position,
}

/// The order of the log.
#[derive(Debug)]
pub(crate) struct Order {
    state: Mutex<State>,
    /// Something to write, or an end.
    wake: Condvar,
    space: Semaphore,
}

#[derive(Debug)]
struct State {
    next: Position,
    /// What the clock of the last writer said, also of one who was refused; the log's time until there was one.
    now: Timestamp,
    /// Runs with events that are not in a volume yet.
    runs: HashMap<RunId, RunHead>,
    keys: HashMap<Hash, KeyHead>,
    /// Runs of which appends were taken back, and why: whoever goes on with them is told that, and not that
    /// somebody else wrote them.
    taken_back: HashMap<RunId, StoreError>,
    waiting: VecDeque<Ordered>,
    /// Those who wait for all up to a position to be written: they are told when that is taken back.
    flushes: Vec<(Position, oneshot::Sender<StoreError>)>,
    waiting_bytes: usize,
    barrier: bool,
    oldest: Option<Instant>,
    stopped: Option<StoreError>,
}

/// What became of a candidate.
#[derive(Debug)]
pub(crate) enum Placed {
    /// It is in the log.
    Appended(Appended),
    /// The disk has to be asked first.
    AskDisk(Candidate),
}

impl Order {
    /// A log that goes on at `next`.
    pub(crate) fn new(next: Position, now: Timestamp) -> Self {
        let state = State {
            next,
            now,
            runs: HashMap::new(),
            keys: HashMap::new(),
            taken_back: HashMap::new(),
            waiting: VecDeque::new(),
            flushes: Vec::new(),
            waiting_bytes: 0,
            barrier: false,
            oldest: None,
            stopped: None,
        };
        let space = Semaphore::new(WAITING_BYTES as usize);
        Self { state: Mutex::new(state), wake: Condvar::new(), space }
    }

    /// Waits until there is room for a candidate. The room is given back with the guard, or, when the candidate
    /// was placed, when it is written.
    pub(crate) async fn room_for(&self, candidate: &Candidate) -> Result<SemaphorePermit<'_>, StoreError> {
        self.space.acquire_many(permits(candidate.bytes)).await.map_err(|_| self.why_stopped())
    }

    /// Why everything is refused.
    pub(crate) fn why_stopped(&self) -> StoreError {
        self.state.lock().stopped.clone().unwrap_or(StoreError::Closed)
    }

    /// Gives a candidate its place, if it may have one.
    pub(crate) fn place(
        &self,
        candidate: Candidate,
        known: &dyn Known,
        on_disk: Option<OnDisk>,
    ) -> Result<Placed, StoreError> {
        let mut state = self.state.lock();
        if let Some(why) = &state.stopped {
            return Err(why.clone());
        }
        // Looked at when memory has answered: what is sealed between the two makes the disk's answer an old one.
        let on_disk = || on_disk.filter(|answer| answer.generation == known.generation());
        state.now = candidate.at;
        let before = state.runs.get(&candidate.run).copied();
        let version =
            match before.map_or_else(|| known.version(candidate.run), |head| Lookup::Found(head.version)) {
                Lookup::Found(version) => version,
                Lookup::Nowhere => EventSeq(0),
                Lookup::OnDisk => match on_disk() {
                    Some(answer) => answer.version,
                    None => return Ok(Placed::AskDisk(candidate)),
                },
            };
        if version < candidate.expected
            && let Some(why) = state.taken_back.remove(&candidate.run)
        {
            return Err(why);
        }
        if version != candidate.expected {
            let (run, expected) = (candidate.run, candidate.expected);
            return Err(StoreError::Conflict { run, expected, actual: version });
        }
        if let Some(key) = &candidate.key {
            let holder = match state.key(key, known, candidate.at) {
                Lookup::Found(run) => Some(run),
                Lookup::Nowhere => None,
                Lookup::OnDisk => match on_disk() {
                    Some(answer) => answer.key,
                    None => return Ok(Placed::AskDisk(candidate)),
                },
            };
            if let Some(holder) = holder.filter(|holder| *holder != candidate.run) {
                return Err(StoreError::KeyTaken(holder));
            }
        }
        let writer_sleeps = candidate.barrier || state.waiting.is_empty();
        let appended = state.push(candidate, before);
        let writer_sleeps = writer_sleeps || state.waiting_bytes >= GROUP_BYTES;
        drop(state);
        if writer_sleeps {
            self.wake.notify_one();
        }
        Ok(Placed::Appended(appended))
    }

    /// Lets what waits be written at once, and gives the last position that has its place, with what tells why
    /// that was taken back.
    pub(crate) fn hurry(&self) -> (Position, oneshot::Receiver<StoreError>) {
        let mut state = self.state.lock();
        if !state.waiting.is_empty() {
            state.barrier = true;
            self.wake.notify_one();
        }
        let last = Position(state.next.0.saturating_sub(1));
        let (sender, taken_back) = oneshot::channel();
        state.flushes.retain(|(_, flush)| !flush.is_closed());
        state.flushes.push((last, sender));
        (last, taken_back)
    }

    /// The run that has a key, as far as memory knows.
    pub(crate) fn key(&self, key: &Hash, known: &dyn Known) -> Lookup<RunId> {
        let state = self.state.lock();
        state.key(key, known, state.now)
    }

    /// How the content of a run is kept, where it has events that are not in a volume yet.
    pub(crate) fn content(&self, run: RunId) -> Option<Content> {
        self.state.lock().runs.get(&run).map(|head| head.content)
    }

    /// What the clock of the last writer said.
    pub(crate) fn now(&self) -> Timestamp {
        self.state.lock().now
    }

    /// Waits for something to write: what somebody waits for, or what has waited for long. `None` at the end.
    pub(crate) fn take_group(&self) -> Option<Vec<Ordered>> {
        let mut state = self.state.lock();
        loop {
            if !state.waiting.is_empty() {
                let due = state.oldest.map(|oldest| oldest + ENQUEUED_WAIT);
                let now = Instant::now();
                let full = state.waiting_bytes >= GROUP_BYTES;
                if state.barrier || full || state.stopped.is_some() || due.is_none_or(|due| due <= now) {
                    return Some(state.take_group());
                }
                if let Some(due) = due {
                    self.wake.wait_until(&mut state, due);
                }
            } else if state.stopped.is_some() {
                return None;
            } else {
                self.wake.wait(&mut state);
            }
        }
    }

    /// Gives back the room of a group that was taken.
    pub(crate) fn release(&self, group: &[Ordered]) {
        let room = group.iter().map(|append| permits(append.bytes) as usize).sum();
        self.space.add_permits(room);
    }

    /// Takes a group, and all that is ordered behind it, out of the log again: the journal refused it.
    pub(crate) fn take_back(&self, group: Vec<Ordered>, why: &StoreError) {
        let mut state = self.state.lock();
        let mut undone: Vec<_> = group.into_iter().chain(state.take_all()).collect();
        if state.taken_back.len() + undone.len() > TAKEN_BACK {
            state.taken_back.clear();
        }
        for append in undone.iter().rev() {
            state.undo(append);
            state.taken_back.insert(append.header.run, why.clone());
        }
        let next = state.next;
        let lost: Vec<_> = state.flushes.extract_if(.., |(last, _)| *last >= next).collect();
        drop(state);
        // One who does not wait any more need not be told.
        lost.into_iter().for_each(|(_, flush)| drop(flush.send(why.clone())));
        self.release(&undone);
        undone.drain(..).for_each(|append| append.done(Err(why.clone())));
    }

    /// Carries something out while nothing gets a place. It is told which runs have events that may be in no volume
    /// yet, and how far each is. Where it leaves the store poisoned, nothing gets a place afterwards either.
    pub(crate) fn standing_still<T>(
        &self,
        carry_out: impl FnOnce(&[(RunId, EventSeq)]) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let state = self.state.lock();
        let runs: Vec<_> = state.runs.iter().map(|(run, head)| (*run, head.version)).collect();
        let carried_out = carry_out(&runs);
        if let Err(why @ StoreError::Poisoned(_)) = &carried_out {
            self.poison_at(state, why);
        }
        carried_out
    }

    /// Forgets what is in a volume now.
    pub(crate) fn applied(&self, up_to: Position) {
        let mut state = self.state.lock();
        state.runs.retain(|_, head| head.last > up_to);
        state.keys.retain(|_, head| head.position > up_to);
    }

    /// Refuses everything from now on. What is ordered already is still to be written.
    pub(crate) fn close(&self, why: StoreError) {
        self.state.lock().stopped.get_or_insert(why);
        self.space.close();
        self.wake.notify_all();
    }

    /// Refuses everything from now on, also what is ordered and not written.
    pub(crate) fn poison(&self, why: &StoreError) {
        self.poison_at(self.state.lock(), why);
    }

    fn poison_at(&self, mut state: MutexGuard<'_, State>, why: &StoreError) {
        state.stopped = Some(why.clone());
        let waiting = state.take_all();
        drop(state);
        self.space.close();
        self.wake.notify_all();
        waiting.into_iter().for_each(|append| append.done(Err(why.clone())));
    }
}

impl State {
    fn key(&self, key: &Hash, known: &dyn Known, now: Timestamp) -> Lookup<RunId> {
        match self.keys.get(key) {
            Some(head) => Lookup::Found(head.run),
            None => known.key(key, now),
        }
    }

    fn push(&mut self, candidate: Candidate, before: Option<RunHead>) -> Appended {
        let Candidate { run, key, expected, mark, blobs, content, events, bytes, barrier, .. } = candidate;
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let (first_seq, first) = (expected.next(), self.next);
        let header = AppendHeader { run, first_seq, first, count, mark, key, blobs, content };
        let (version, last) = (header.version(), header.last());
        self.runs.insert(run, RunHead { version, last, content });
        if let Some(key) = key {
            self.keys.entry(key).or_insert(KeyHead { run, position: last });
        }
        self.next = last.next();
        self.barrier |= barrier;
        self.oldest.get_or_insert_with(Instant::now);
        self.waiting_bytes += bytes;
        let (durable, told) = oneshot::channel();
        self.waiting.push_back(Ordered { header, events, bytes, before, durable });
        let durable = Box::pin(async { told.await.unwrap_or(Err(StoreError::Closed)) });
        Appended::new(version, last, durable)
    }

    fn take_group(&mut self) -> Vec<Ordered> {
        let mut bytes = 0;
        let mut group = Vec::new();
        while let Some(append) = self.waiting.front() {
            let size = append.bytes;
            if !group.is_empty() && bytes + size > GROUP_BYTES {
                break;
            }
            bytes += size;
            group.extend(self.waiting.pop_front());
        }
        self.waiting_bytes -= bytes;
        if self.waiting.is_empty() {
            self.barrier = false;
            self.oldest = None;
        }
        group
    }

    fn take_all(&mut self) -> Vec<Ordered> {
        self.waiting_bytes = 0;
        self.barrier = false;
        self.oldest = None;
        self.waiting.drain(..).collect()
    }

    fn undo(&mut self, append: &Ordered) {
        let header = &append.header;
        match append.before {
            Some(before) => self.runs.insert(header.run, before),
            None => self.runs.remove(&header.run),
        };
        if let Some(key) = header.key {
            self.keys.retain(|held, head| *held != key || head.position != header.last());
        }
        self.next = header.first;
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, WAITING_BYTES)
}
