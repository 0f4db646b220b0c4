//! What was admitted lately, for policies that ask: kept as far back as they look, and read from the log at start.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use enact_core::error::Error;
use enact_core::event::{ActionCall, Event, StoredEvent};
use enact_core::ids::{Position, Pseudonym, RunId, Seq};
use enact_core::policy::{Counted, Recent};
use enact_core::run::RunState;
use enact_core::store::{EventStore, MAX_PAGE};
use enact_core::time::Timestamp;
use parking_lot::Mutex;

use crate::shared::Shared;

/// How many admissions are remembered at most: about 200 MB. The oldest are forgotten first; who asks about the time before
/// is told that there were more than any limit allows.
const MOST: usize = 1_000_000;

/// An action of a run.
type Action = (RunId, Seq);

/// Who asked, the connector, the action.
type Kind = (Pseudonym, Arc<str>, Arc<str>);

/// The memory that all runs share.
pub(crate) struct Recollection {
    window: Duration,
    admitted: Mutex<Admitted>,
}

/// What is remembered: of each kind, and of each action.
#[derive(Default)]
pub(crate) struct Admitted {
    kinds: HashMap<Kind, VecDeque<(Timestamp, Action)>>,
    actions: HashMap<Action, (Timestamp, Kind)>,
    order: VecDeque<Action>,
    /// What was before is forgotten, though somebody may ask for it.
    known_since: Option<Timestamp>,
}

impl fmt::Debug for Recollection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recollection").field("window", &self.window).finish_non_exhaustive()
    }
}

impl Recollection {
    /// Reads back from the end of the log as far as `window` goes. An action counts from its first event that is not a
    /// refusal.
    pub(crate) async fn load(
        store: &dyn EventStore,
        window: Duration,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let mut admitted = Admitted::default();
        let mut found = Vec::new();
        let mut end = if window.is_zero() { 0 } else { store.durable().0 };
        while end > 0 && found.len() < MOST {
            let from = end.saturating_sub(MAX_PAGE as u64).saturating_add(1);
            let count = usize::try_from(end - from + 1).unwrap_or(MAX_PAGE);
            // What was pruned is not there.
            let page = store.read_all(Position(from), count).await?;
            let is_recent = page.iter().any(|event| now.since(event.at) <= window);
            let recent = page.iter().rev().filter(|event| now.since(event.at) <= window);
            found.extend(recent.filter_map(|event| {
                let call = admitted_by(event)?;
                let kind = (event.by, (&*call.connector).into(), (&*call.action).into());
                Some(((event.run_id, call.seq), event.at, kind))
            }));
            end = if is_recent { from - 1 } else { 0 };
        }
        if end > 0 {
            admitted.known_since = found.last().map(|(_, at, _)| *at);
        }
        for (action, at, kind) in found.into_iter().rev() {
            admitted.add(action, at, kind);
        }
        Ok(Self { window, admitted: Mutex::new(admitted) })
    }

    /// Nothing else is admitted meanwhile. Where nobody asks, nothing is remembered.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Admitted) -> T) -> T {
        if self.window.is_zero() {
            return look(&mut Admitted::default());
        }
        look(&mut self.admitted.lock())
    }
}

fn admitted_by(event: &StoredEvent) -> Option<&ActionCall> {
    match &event.event {
        Event::ActionIntended(intended) if intended.attempt == 1 => Some(&intended.call),
        Event::ActionRead(read) => Some(&read.call),
        Event::ActionAlreadyDone(done) => Some(&done.call),
        Event::ActionCaptureFailed(failed) => Some(&failed.call),
        Event::ApprovalRequested(asked) => asked.call.as_deref(),
        _ => None,
    }
}

impl Admitted {
    /// Remembers an action, once.
    pub(crate) fn admit(&mut self, shared: &Shared, state: &RunState, call: &ActionCall) {
        let (now, window) = (shared.clock.now(), shared.recent.window);
        if window.is_zero() {
            return;
        }
        let by = shared.store.pseudonym(&state.accepted.user);
        self.forget(now, window);
        self.add((state.id, call.seq), now, (by, (&*call.connector).into(), (&*call.action).into()));
    }

    fn add(&mut self, action: Action, at: Timestamp, kind: Kind) {
        if self.actions.contains_key(&action) {
            return;
        }
        self.kinds.entry(kind.clone()).or_default().push_back((at, action));
        self.actions.insert(action, (at, kind));
        self.order.push_back(action);
    }

    fn forget(&mut self, now: Timestamp, window: Duration) {
        while let Some(oldest) = self.order.front() {
            let is_over = match self.actions.get(oldest) {
                Some((at, _)) => now.since(*at) > window || self.order.len() >= MOST,
                None => true,
            };
            if !is_over {
                break;
            }
            let Some((at, kind)) = self.order.pop_front().and_then(|oldest| self.actions.remove(&oldest))
            else {
                continue;
            };
            if now.since(at) <= window {
                self.known_since = Some(at);
            }
            if let Some(of_kind) = self.kinds.get_mut(&kind) {
                of_kind.pop_front();
                if of_kind.is_empty() {
                    self.kinds.remove(&kind);
                }
            }
        }
    }
}

/// What a policy is shown: all but the action under judgement.
pub(crate) struct Shown<'a> {
    pub(crate) admitted: &'a Admitted,
    pub(crate) but: Option<Action>,
    pub(crate) store: &'a dyn EventStore,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} admitted actions", self.admitted.actions.len())
    }
}

impl Recent for Shown<'_> {
    fn count(&self, of: &Counted<'_>, since: Timestamp) -> u64 {
        if self.admitted.known_since.is_some_and(|known| since <= known) {
            return u64::MAX;
        }
        let user = of.user.map(|user| self.store.pseudonym(user));
        let counts = |(by, connector, action): &Kind| {
            user.is_none_or(|user| user == *by)
                && of.connector.is_none_or(|wanted| *wanted == **connector)
                && of.action.is_none_or(|wanted| *wanted == **action)
        };
        let kinds = self.admitted.kinds.iter().filter(|(kind, _)| counts(kind));
        let all: usize =
            kinds.map(|(_, times)| times.iter().rev().take_while(|(at, _)| *at >= since).count()).sum();
        let own = self.but.and_then(|but| self.admitted.actions.get(&but));
        let own = own.is_some_and(|(at, kind)| *at >= since && counts(kind));
        (all as u64).saturating_sub(u64::from(own))
    }
}
