//! What people ask of a run: to stop it, to undo it, to decide what it cannot.

use enact_core::error::{Error, ErrorCode};
use enact_core::event::{
    ApprovalDecided, ApprovalWord, CancelRequested, Decision, Event, OperatorDecided, RollbackRequested,
};
use enact_core::ids::Seq;
use enact_core::run::{ApprovalState, Phase, RunEnd};
use enact_core::store::Durability;
use enact_core::time::Timestamp;
use tokio::sync::oneshot;

use super::{Go, Run, Word};

/// What somebody asks of a run.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Go on.
    Resume { by: String },
    /// Stop it; what it did is undone.
    Cancel { by: String, reason: Option<String> },
    /// Undo it.
    Rollback(RollbackOptions),
    /// An operator's word.
    Decide(Word),
    /// A person's word on what waits for an approval.
    Approve(Approving),
}

/// A person's word on what waits for an approval.
#[derive(Clone, Debug)]
pub(crate) struct Approving {
    pub(crate) by: String,
    /// The action; where it is not said, the one thing that waits.
    pub(crate) seq: Option<Seq>,
    pub(crate) approved: bool,
    pub(crate) reason: Option<String>,
}

impl Command {
    /// Who asks.
    pub(crate) fn by(&self) -> &str {
        match self {
            Self::Resume { by } | Self::Cancel { by, .. } => by,
            Self::Rollback(options) => &options.by,
            Self::Decide(word) => &word.by,
            Self::Approve(word) => &word.by,
        }
    }
}

/// How a run is to be undone.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct RollbackOptions {
    /// Actions up to this one are kept; `None` keeps none. It is one that the run has, or 0.
    pub to: Option<Seq>,
    /// Overwrite what others changed since.
    pub force: bool,
    /// Who asks.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

impl RollbackOptions {
    /// Undo all of it, on behalf of `by`, and leave alone what others changed.
    pub fn by(by: impl Into<String>) -> Self {
        Self { by: by.into(), ..Self::default() }
    }

    /// Keep the actions up to this one.
    #[must_use]
    pub fn to(mut self, to: Option<Seq>) -> Self {
        self.to = to;
        self
    }

    /// Overwrite what others changed since.
    #[must_use]
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Say why.
    #[must_use]
    pub fn reason(mut self, reason: Option<String>) -> Self {
        self.reason = reason;
        self
    }
}

impl Run {
    /// Records what is asked; the fold then says what follows. What cannot be asked of the run as it stands is
    /// refused, and nothing is changed. Whether something may follow.
    pub(super) async fn commanded(
        &mut self,
        command: Command,
        reply: oneshot::Sender<Result<(), Error>>,
    ) -> Result<bool, Error> {
        let now = self.shared.clock.now();
        let events = match self.events_of(command, now) {
            Ok(events) => events,
            Err(refused) => {
                drop(reply.send(Err(refused)));
                // Where the run was taken up for this request alone, it is put down again.
                if self.go == Go::Wait {
                    self.finish().await?;
                }
                return Ok(false);
            }
        };
        let decided = events.iter().find_map(|event| match event {
            Event::ApprovalDecided(decided) => decided.seq,
            _ => None,
        });
        if !events.is_empty() {
            if let Err(error) = self.record_durably(now, events).await {
                drop(reply.send(Err(error.clone())));
                return Err(error);
            }
            self.stop_code_unless_running()?;
        }
        self.go = Go::On;
        drop(reply.send(Ok(())));
        if let Some(seq) = decided {
            self.retry(seq).await?;
        }
        Ok(true)
    }

    async fn record_durably(&mut self, at: Timestamp, events: Vec<Event>) -> Result<(), Error> {
        Ok(self.record_at(at, events, Durability::Barrier, None).await?.durable().await?)
    }

    fn stop_code_unless_running(&mut self) -> Result<(), Error> {
        if self.state()?.phase != Phase::Running {
            self.stop_code();
            self.code_end = None;
        }
        Ok(())
    }

    fn events_of(&self, command: Command, now: Timestamp) -> Result<Vec<Event>, Error> {
        let state = self.state()?;
        if state.erased.is_some() {
            return Err(
                self.refused("carried on, undone or decided on: its content was erased; nothing was changed")
            );
        }
        let phase = state.phase;
        match command {
            Command::Resume { by } => Ok(match phase {
                Phase::Quarantined => {
                    let decision = Decision::Retry;
                    vec![Event::OperatorDecided(OperatorDecided { by, seq: None, decision })]
                }
                _ => Vec::new(),
            }),
            Command::Cancel { by, reason } => match phase {
                Phase::Judging | Phase::Running | Phase::Quarantined => {
                    Ok(vec![Event::CancelRequested(CancelRequested { by, reason })])
                }
                Phase::RollingBack | Phase::Ended(RunEnd::RolledBack) => Ok(Vec::new()),
                Phase::Ended(_) => Err(self.refused("cancelled: it has ended; roll it back instead")),
            },
            Command::Rollback(options) => {
                let last = state.actions.last_key_value().map_or(Seq(0), |(seq, _)| *seq);
                if let Some(to) = options.to.filter(|to| *to > last) {
                    return Err(self.no_action(to, last));
                }
                Ok(self.rollback_events(options, phase))
            }
            Command::Decide(word) => {
                if !matches!(phase, Phase::Quarantined | Phase::Ended(RunEnd::PartiallyRolledBack)) {
                    return Err(self.refused("resolved: nothing of it waits for an operator's word"));
                }
                let Word { by, seq, decision } = word;
                let event = Event::OperatorDecided(OperatorDecided { by, seq, decision });
                // Tried on a copy: a word on an action that is not in doubt changes nothing.
                self.check(&event, now).map_err(|why| self.refused(&format!("resolved: {why}")))?;
                Ok(vec![event])
            }
            Command::Approve(word) => self.approval_events(word, now),
        }
    }

    /// Tries an event on a copy: what it contradicts.
    fn check(&self, event: &Event, now: Timestamp) -> Result<(), String> {
        let mut state = self.state().map_err(|error| error.to_string())?.clone();
        state.apply(now, event).map_err(|illegal| illegal.why)
    }

    fn approval_events(&self, word: Approving, now: Timestamp) -> Result<Vec<Event>, Error> {
        let Approving { by, seq, approved, reason } = word;
        let what = if approved { "approved" } else { "denied" };
        let open: Vec<_> = self.state()?.open_approvals().collect();
        let wanted = |open: &&&ApprovalState| seq.is_none() || open.seq() == seq;
        let request = match open.iter().filter(wanted).collect::<Vec<_>>()[..] {
            [one] => &one.request,
            [] if !open.is_empty() => {
                let seq = seq.map_or_else(String::new, |seq| seq.to_string());
                let why =
                    format!("{what}: action {seq} does not wait for an approval, but {}", waiting(&open));
                return Err(self.refused(&why));
            }
            [] => {
                let hint = match self.state()?.phase {
                    Phase::Judging | Phase::Running => format!("; `enact resume {}` carries it on", self.id),
                    _ => String::new(),
                };
                let why = format!("{what}: nothing of it waits for an approval{hint}");
                return Err(self.refused(&why));
            }
            _ => {
                let why = format!("{what}: {} wait for an approval; say which one", waiting(&open));
                return Err(self.refused(&why));
            }
        };
        let (seq, digest) = (request.seq(), request.digest.clone());
        if now >= request.expires_at {
            // The word is none. That the time is over is recorded, and the run goes on from there.
            let decided =
                ApprovalDecided { seq, digest, word: ApprovalWord::Expired, by: None, reason: None };
            return Ok(vec![Event::ApprovalDecided(decided)]);
        }
        if approved && let Some(why) = request.refuses(&by, &self.state()?.accepted.user) {
            let message = format!("run {} was not approved: {why}; it waits on", self.id);
            return Err(Error::new(ErrorCode::ApprovalDenied, message).left_nothing());
        }
        let word = if approved { ApprovalWord::Approved } else { ApprovalWord::Denied };
        let decided = ApprovalDecided { seq, digest, word, by: Some(by), reason };
        let event = Event::ApprovalDecided(decided);
        self.check(&event, now).map_err(|why| self.refused(&format!("{what}: {why}")))?;
        Ok(vec![event])
    }

    fn rollback_events(&self, options: RollbackOptions, phase: Phase) -> Vec<Event> {
        let RollbackOptions { to, force, by, reason } = options;
        let cancel = CancelRequested { by: by.clone(), reason: reason.clone() };
        let request = Event::RollbackRequested(RollbackRequested { by, reason, to, force });
        match phase {
            Phase::Judging | Phase::Running => vec![Event::CancelRequested(cancel), request],
            Phase::Quarantined => vec![request],
            Phase::RollingBack => {
                let under_way = self.state.as_ref().and_then(|state| state.rollback.as_ref());
                let same = under_way.is_some_and(|now| now.to == to && now.force == force);
                if same { Vec::new() } else { vec![request] }
            }
            Phase::Ended(_) => {
                let useful = self.state.as_ref().is_some_and(|state| state.can_roll_back(to));
                if useful { vec![request] } else { Vec::new() }
            }
        }
    }

    fn no_action(&self, seq: Seq, last: Seq) -> Error {
        let message = format!(
            "run {} has {last} actions; there is no action {seq} up to which they could be kept; nothing was undone",
            self.id
        );
        Error::new(ErrorCode::InvalidParameters, message).left_nothing()
    }

    fn refused(&self, what: &str) -> Error {
        Error::new(ErrorCode::Conflict, format!("run {} cannot be {what}", self.id))
    }
}

/// Who asks for something with one of the events.
pub(super) fn asker(events: &[Event]) -> Option<&str> {
    events.iter().rev().find_map(|event| match event {
        Event::CancelRequested(event) => Some(event.by.as_str()),
        Event::RollbackRequested(event) => Some(event.by.as_str()),
        Event::OperatorDecided(event) => Some(event.by.as_str()),
        Event::ApprovalDecided(event) => event.by.as_deref(),
        _ => None,
    })
}

/// What waits for approvals, in words.
fn waiting(open: &[&ApprovalState]) -> String {
    let what = |open: &&ApprovalState| {
        open.seq().map_or_else(|| "the run as a whole".to_owned(), |seq| format!("action {seq}"))
    };
    open.iter().map(what).collect::<Vec<_>>().join(", ")
}
