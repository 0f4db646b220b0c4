//! Groups that are durable in the journal and not yet in a volume: between the writer and the applier.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use enact_core::ids::Position;
use enact_core::store::StoreError;
use parking_lot::{Condvar, Mutex};

/// How much may wait; the writer waits beyond that, or refuses where the applier is in trouble.
const WAITING_BYTES: usize = 16 * 1024 * 1024;
/// How much the applier takes at once, and what it waits for while nobody reads: full chunks and one entry of the
/// index for several appends of a run cost less.
const BATCH_BYTES: usize = 512 * 1024;
/// How long it waits for that at most.
const GATHERING: Duration = Duration::from_millis(10);
/// How long the applier rests before it tries again what failed.
const REST: Duration = Duration::from_secs(1);
/// How long the writer waits for room while the applier says nothing at all.
const SILENCE: Duration = Duration::from_secs(30);

/// A group as it stands in the journal.
#[derive(Debug)]
pub(crate) struct Group {
    frame: Vec<u8>,
    body: Range<usize>,
    pub(crate) last: Position,
}

impl Group {
    /// The group whose body is that part of `frame`.
    pub(crate) fn new(frame: Vec<u8>, body: Range<usize>, last: Position) -> Self {
        Self { frame, body, last }
    }

    pub(crate) fn body(&self) -> &[u8] {
        self.frame.get(self.body.clone()).unwrap_or_default()
    }
}

/// What waits, and how the applier is.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    state: Mutex<State>,
    /// Something for the applier.
    work: Condvar,
    /// Something from the applier: room, or how it is.
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    groups: VecDeque<Arc<Group>>,
    bytes: usize,
    /// Why nothing will come any more.
    closed: Option<StoreError>,
    /// When the first of the groups came.
    since: Option<Instant>,
    /// Somebody waits for what is here to be in a volume.
    wanted: bool,
    /// The active volume can be read.
    ready: bool,
    /// Somebody found the active volume damaged.
    distrusted: bool,
    /// Why the applier does not get on.
    trouble: Option<StoreError>,
    /// It will not get on any more.
    broken: bool,
    /// Up to where somebody wants all to be in sealed volumes.
    to_seal: Option<Position>,
}

/// What the applier has to do.
#[derive(Debug)]
pub(crate) enum Work {
    /// To apply these; they stay here until [`Backlog::done`].
    Groups(Vec<Arc<Group>>),
    /// To make the active volume anew.
    Rebuild,
    /// To seal the active volume.
    Seal,
    /// To stop: nothing waits and nothing will come.
    Stop,
}

impl Backlog {
    /// Waits until there is room for a group.
    ///
    /// # Errors
    /// Why there is none, where the applier is in trouble or was silent for long.
    pub(crate) fn room(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        while state.bytes >= WAITING_BYTES || state.broken {
            if let Some(trouble) = &state.trouble {
                return Err(trouble.clone());
            }
            if self.news.wait_for(&mut state, SILENCE).timed_out() {
                let error = std::io::Error::from(std::io::ErrorKind::TimedOut);
                return Err(StoreError::io("waiting for the volumes, which do not get on", error));
            }
        }
        Ok(())
    }

    /// Puts a group behind the others.
    pub(crate) fn push(&self, group: Group) {
        let mut state = self.state.lock();
        state.bytes += group.frame.len();
        state.groups.push_back(Arc::new(group));
        let is_first = state.groups.len() == 1;
        if is_first {
            state.since = Some(Instant::now());
        }
        let wakes = is_first || state.wanted || state.bytes >= BATCH_BYTES;
        drop(state);
        if wakes {
            self.work.notify_one();
        }
    }

    /// Says that somebody waits for what is here, or just coming, to be in a volume.
    pub(crate) fn want(&self) {
        self.state.lock().wanted = true;
        self.work.notify_one();
    }

    /// Says that nothing will come any more, and why.
    pub(crate) fn close(&self, why: &StoreError) {
        self.state.lock().closed.get_or_insert_with(|| why.clone());
        self.work.notify_all();
        self.news.notify_all();
    }

    /// Waits for work.
    pub(crate) fn next(&self) -> Work {
        let mut state = self.state.lock();
        loop {
            if state.distrusted || !state.ready {
                return Work::Rebuild;
            }
            match state.due() {
                Some(due) if due <= Instant::now() => return Work::Groups(state.batch()),
                Some(due) => drop(self.work.wait_until(&mut state, due)),
                None if state.to_seal.is_some() => return Work::Seal,
                None if state.closed.is_some() => return Work::Stop,
                None => self.work.wait(&mut state),
            }
        }
    }

    /// Says that somebody wants all up to a position, which is in a volume, to be in sealed ones.
    pub(crate) fn want_sealed(&self, position: Position) {
        let mut state = self.state.lock();
        state.to_seal = state.to_seal.max(Some(position));
        drop(state);
        self.work.notify_all();
    }

    /// Whether somebody wants what is applied up to here to be sealed.
    pub(crate) fn wants_sealed(&self, applied: Position) -> bool {
        self.state.lock().to_seal.is_some_and(|wanted| wanted <= applied)
    }

    /// All up to here is in sealed volumes.
    pub(crate) fn sealed(&self, up_to: Position) {
        let mut state = self.state.lock();
        state.to_seal = state.to_seal.filter(|wanted| *wanted > up_to);
    }

    /// Forgets the first groups: they are in a volume.
    pub(crate) fn done(&self, count: usize) {
        let mut state = self.state.lock();
        let bytes: usize = state.groups.drain(..count).map(|group| group.frame.len()).sum();
        state.bytes -= bytes;
        state.wanted &= !state.groups.is_empty();
        state.trouble = None;
        drop(state);
        self.news.notify_all();
    }

    /// The active volume can be read.
    pub(crate) fn ready(&self) {
        let mut state = self.state.lock();
        (state.ready, state.distrusted, state.trouble) = (true, false, None);
        drop(state);
        self.news.notify_all();
    }

    /// The applier exchanges the active volume; [`ready`](Self::ready) follows.
    pub(crate) fn not_ready(&self) {
        self.state.lock().ready = false;
    }

    /// The active volume cannot be read; the applier makes it anew.
    pub(crate) fn distrust(&self) {
        let mut state = self.state.lock();
        (state.ready, state.distrusted) = (false, true);
        drop(state);
        self.work.notify_all();
    }

    /// Says why the applier does not get on, and rests, whoever waits for it. `false`: it is time to give up.
    pub(crate) fn rest(&self, trouble: StoreError) -> bool {
        let mut state = self.state.lock();
        (state.ready, state.trouble) = (false, Some(trouble));
        self.news.notify_all();
        let rested = Instant::now() + REST;
        while state.closed.is_none() && !self.work.wait_until(&mut state, rested).timed_out() {}
        state.closed.is_none()
    }

    /// The applier is in the midst of something that does not get on.
    pub(crate) fn is_stuck(&self, trouble: StoreError) {
        self.state.lock().trouble = Some(trouble);
        self.news.notify_all();
    }

    /// The applier has ended for good: nothing here will be in a volume before the store is opened again.
    pub(crate) fn broken(&self, why: StoreError) {
        let mut state = self.state.lock();
        (state.ready, state.broken, state.trouble) = (false, true, Some(why));
        drop(state);
        self.news.notify_all();
    }

    /// Waits until the active volume can be read.
    ///
    /// # Errors
    /// Why it cannot.
    pub(crate) fn wait_ready(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        loop {
            if state.ready {
                return Ok(());
            }
            if let Some(trouble) = &state.trouble {
                return Err(trouble.clone());
            }
            if let Some(why) = &state.closed {
                return Err(why.clone());
            }
            self.news.wait(&mut state);
        }
    }
}

impl State {
    /// When the groups are to be applied; `None` where there are none.
    fn due(&self) -> Option<Instant> {
        let since = self.since.filter(|_| !self.groups.is_empty())?;
        let at_once = self.wanted || self.closed.is_some() || self.bytes >= BATCH_BYTES;
        Some(if at_once { since } else { since + GATHERING })
    }

    fn batch(&self) -> Vec<Arc<Group>> {
        let mut bytes = 0;
        let within = |group: &&Arc<Group>| {
            let first = bytes == 0;
            bytes += group.frame.len();
            first || bytes <= BATCH_BYTES
        };
        self.groups.iter().take_while(within).map(Arc::clone).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn who_waits_does_not_cut_the_rest_of_the_applier_short() {
        let (backlog, rested) = (Arc::new(Backlog::default()), Arc::new(AtomicBool::new(false)));
        let reader = thread::spawn({
            let (backlog, rested) = (Arc::clone(&backlog), Arc::clone(&rested));
            move || {
                while !rested.load(Ordering::SeqCst) {
                    backlog.want();
                    thread::yield_now();
                }
            }
        });
        let began = Instant::now();
        assert!(backlog.rest(StoreError::Closed));
        rested.store(true, Ordering::SeqCst);
        reader.join().unwrap();
        // Never less: that it may be more is for the machine to say.
        assert!(began.elapsed() >= REST, "{:?}", began.elapsed());
    }

    #[test]
    fn closing_ends_the_rest_of_the_applier() {
        let backlog = Backlog::default();
        backlog.close(&StoreError::Closed);
        assert!(!backlog.rest(StoreError::Closed));
    }
}
