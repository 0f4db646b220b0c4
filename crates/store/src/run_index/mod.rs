//! Which runs have what, so that a question about runs need not read all of them.
//!
//! A projection: it is made of the log alone, is not behind it when it answers, and can be deleted at any time. It gives
//! candidates; the answer is what the runs themselves say.
//!
//! It consists of entries: a term of a run, and the run. The term is there as a keyed hash. The key is derived from the store's own
//! and a number in the index's folder, and where a run is erased or pruned the whole index goes, that number first: then nothing
//! can be told from what may be left of its files on the disk. The next question makes it anew.

mod parts;

use std::path::{Path, PathBuf};

use enact_core::ids::{EventSeq, RunId};
use enact_core::query::{RunPage, RunQuery, Term, damaged};
use enact_core::run::RunState;
use enact_core::store::{MAX_PAGE, StoreError};
use parking_lot::Mutex;

use self::parts::{Hashed, Parts};
use crate::volume::Volumes;

/// How many candidates are looked for at a time.
const STEP: usize = 256;
/// By how many milliseconds the time in a run's id may differ from when it was accepted.
const SLACK_MS: u64 = 24 * 60 * 60 * 1000;

/// The index of a store, opened by the first question.
#[derive(Debug)]
pub(crate) struct RunIndex {
    folder: PathBuf,
    open: Mutex<Option<Parts>>,
}

impl RunIndex {
    pub(crate) fn new(store: &Path) -> Self {
        Self { folder: store.join("runs-index"), open: Mutex::new(None) }
    }

    /// Answers, from all events that are in volumes.
    pub(crate) fn find(&self, volumes: &Volumes, query: &RunQuery) -> Result<RunPage, StoreError> {
        volumes.place.check()?;
        let mut open = self.open.lock();
        loop {
            let answer = self.caught_up(&mut open, volumes).and_then(|parts| answer(parts, volumes, query));
            match answer {
                Err(StoreError::Corrupt { path, what }) if path.starts_with(&self.folder) => {
                    tracing::warn!(path = %path.display(), what, "the index of runs is made anew from the log");
                    self.delete(&mut open)?;
                }
                answer => return answer,
            }
        }
    }

    /// Deletes it, so that nothing of it tells anything of a run that goes.
    pub(crate) fn forget(&self) -> Result<(), StoreError> {
        self.delete(&mut self.open.lock())
    }

    fn delete(&self, open: &mut Option<Parts>) -> Result<(), StoreError> {
        *open = None;
        parts::delete(&self.folder)
    }

    /// The index, with all events that are in volumes.
    fn caught_up<'a>(&self, open: &'a mut Option<Parts>, volumes: &Volumes) -> Result<&'a Parts, StoreError> {
        let parts = match open.take() {
            Some(parts) => parts,
            None => Parts::open(&self.folder, &volumes.keys, volumes.applied.get())?,
        };
        let parts = open.insert(parts);
        loop {
            let events = volumes.read_from(parts.position().next(), MAX_PAGE)?;
            let Some(last) = events.last() else {
                parts.settle()?;
                return Ok(parts);
            };
            let up_to = last.position;
            for event in &events {
                for term in Term::of_event(&event.event) {
                    parts.add(&term, event.run_id);
                }
            }
            parts.came_to(up_to)?;
        }
    }
}

fn answer(parts: &Parts, volumes: &Volumes, query: &RunQuery) -> Result<RunPage, StoreError> {
    let from = Candidates::of(parts, volumes, query)?;
    let oldest = query.since.map(|since| bound(since.unix_ms().saturating_sub(SLACK_MS), 0));
    let newest = query.until.map(|until| bound(until.unix_ms().saturating_add(SLACK_MS), 255));
    let (mut page, mut before) = (RunPage::default(), query.before);
    if let Some(newest) = newest {
        before = Some(before.map_or(newest, |before| before.min(newest)));
    }
    loop {
        let candidates = from.below(before)?;
        let Some(last) = candidates.last() else { return Ok(page) };
        before = Some(*last);
        for run in candidates {
            if oldest.is_some_and(|oldest| run < oldest) {
                return Ok(page);
            }
            if page.runs.len() >= query.limit {
                page.next = page.runs.last().map(|run| run.id);
                return Ok(page);
            }
            page.runs.extend(state(volumes, run)?.filter(|state| query.takes(state)));
        }
    }
}

fn bound(unix_ms: u64, rest: u8) -> RunId {
    RunId::from_parts(unix_ms, [rest; 10])
}

/// Where runs are looked for that a query may take.
enum Candidates<'a> {
    /// Among those that have the rarest of its terms.
    With(&'a Parts, Hashed),
    /// Among those that have not ended.
    Open(Vec<RunId>),
    /// Among all.
    All(&'a Volumes),
}

impl<'a> Candidates<'a> {
    fn of(parts: &'a Parts, volumes: &'a Volumes, query: &RunQuery) -> Result<Self, StoreError> {
        if query.status.is_some_and(|status| !status.is_final()) {
            let mut open = volumes.open_runs();
            open.sort_unstable_by(|a, b| b.cmp(a));
            return Ok(Self::Open(open));
        }
        let mut rarest: Option<(u64, Hashed)> = None;
        for term in Term::of_query(query) {
            let hashed = parts.hashed(&term);
            let count = parts.count(&hashed)?;
            if rarest.is_none_or(|(fewest, _)| count < fewest) {
                rarest = Some((count, hashed));
            }
        }
        Ok(rarest.map_or(Self::All(volumes), |(_, hashed)| Self::With(parts, hashed)))
    }

    /// The next of them below a run, newest first.
    fn below(&self, before: Option<RunId>) -> Result<Vec<RunId>, StoreError> {
        match self {
            Self::With(parts, hashed) => parts.below(hashed, before, STEP),
            Self::Open(open) => {
                let below = open.iter().copied().filter(|run| before.is_none_or(|before| *run < before));
                Ok(below.take(STEP).collect())
            }
            Self::All(volumes) => volumes.runs(before, STEP),
        }
    }
}

/// The state of a run; `None` where it is not there any more.
fn state(volumes: &Volumes, run: RunId) -> Result<Option<RunState>, StoreError> {
    let (mut state, mut from) = (None, EventSeq(1));
    loop {
        let events = volumes.read_run(run, from, MAX_PAGE)?;
        let Some(last) = events.last() else { return Ok(state) };
        from = last.event_seq.next();
        for event in &events {
            state = Some(RunState::step(state, event).map_err(|error| damaged(run, &error))?);
        }
    }
}
