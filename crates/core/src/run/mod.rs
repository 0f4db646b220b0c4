//! The state of a run, folded from its events.
//!
//! [`RunState::apply`] is the whole table of legal transitions and [`RunState::next`] the whole of what comes
//! next. Both are pure. Whoever wants to know or to decide anything of a run asks here: the workflow actor,
//! recovery, replay, projections, the verifier.
//!
//! An action may take several attempts; each has its own intent. Undoing goes by intents, newest first, and
//! each undo is tried until it succeeds, turns out to be impossible, or its budget is spent.

mod apply;
mod approval;
mod attempt;
mod back;
mod due;
mod erased;
mod forward;
mod next;
mod operator;
mod whole;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::error::{ErrorRecord, Remains};
use crate::event::{ActionCall, ActionIntended, CompensationIntended, RunAccepted, StoredEvent};
use crate::ids::{CallPath, EventSeq, RunId, Seq};
use crate::json::JsonText;
use crate::policy::VerdictRecord;
use crate::time::Timestamp;

pub use apply::IllegalTransition;
pub use approval::{ApprovalState, Void, is_same_person};
pub use erased::{ERASED_NAME, Erasure};
pub use next::Next;

use due::Due;

/// How often one compensation is tried for one request to roll back: with the runtime's waits in between, for as long as
/// a server takes to restart.
pub const UNDO_BUDGET: u32 = 7;

/// How many attempts of one action are made at most, and how often at most one undo that was interrupted is
/// begun again for one request to roll back. Both are counted in the log, so that a run which takes its process
/// down with it again and again comes to an end, whatever its workflow says of retries.
pub const ATTEMPT_BUDGET: u32 = 100;

/// Why an event may not follow.
type Refusal = String;

/// What is known of a run after some of its events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunState {
    /// The run.
    pub id: RunId,
    /// The number of the last event.
    pub version: EventSeq,
    /// How it was asked for.
    pub accepted: Arc<RunAccepted>,
    /// When it was accepted.
    pub started_at: Timestamp,
    /// When it ended; `None` while it has not.
    pub ended_at: Option<Timestamp>,
    /// Where it stands.
    pub phase: Phase,
    /// The verdicts on the run as a whole.
    pub verdicts: Vec<VerdictRecord>,
    /// Whether the policies have passed it.
    is_passed: bool,
    /// Its actions.
    pub actions: BTreeMap<Seq, ActionState>,
    /// What of it was to be approved, in the order in which that was asked for.
    pub approvals: Vec<ApprovalState>,
    /// What the workflow's code asked for, by its place in the code.
    pub calls: BTreeMap<CallPath, Call>,
    /// All forward intents, in the order of the log.
    pub intents: Vec<(Seq, u32)>,
    /// The workflow's output.
    pub output: Option<JsonText>,
    /// What failed; kept when the effects are undone.
    pub error: Option<ErrorRecord>,
    /// The newest rollback.
    pub rollback: Option<Rollback>,
    /// That its content was erased, where it was. Nothing can happen to it any more.
    pub erased: Option<Erasure>,
    /// Its events are read without their content.
    is_blank: bool,
    /// What of the intents is due.
    due: Due,
}

/// Where a run stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Accepted; the policies have not passed it.
    Judging,
    /// The workflow decides.
    Running,
    /// Its effects are being undone.
    RollingBack,
    /// Going forward needs an operator.
    Quarantined,
    /// It has ended.
    Ended(RunEnd),
}

/// How a run has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunEnd {
    /// The workflow ended normally.
    Completed,
    /// It was refused before any effect.
    Blocked,
    /// It failed and its effects are kept.
    Failed,
    /// Nothing that was to be undone is left.
    RolledBack,
    /// Something is left.
    PartiallyRolledBack,
}

/// The status of a run in the words of the public contract.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Under way.
    Running,
    /// A person has to decide.
    AwaitingApproval,
    /// Being undone.
    RollingBack,
    /// Ended normally.
    Completed,
    /// Refused before any effect.
    Blocked,
    /// Nothing of it is left outside.
    RolledBack,
    /// Ended by an error, effects kept.
    Failed,
    /// Some effect could not be undone.
    PartiallyRolledBack,
    /// Going forward needs an operator.
    Quarantined,
}

impl RunStatus {
    /// Every status.
    pub const ALL: [Self; 9] = [
        Self::Running,
        Self::AwaitingApproval,
        Self::RollingBack,
        Self::Completed,
        Self::Blocked,
        Self::RolledBack,
        Self::Failed,
        Self::PartiallyRolledBack,
        Self::Quarantined,
    ];

    /// Whether a run that stands so has ended.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Running | Self::AwaitingApproval | Self::RollingBack | Self::Quarantined)
    }

    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::AwaitingApproval => "awaiting_approval",
            Self::RollingBack => "rolling_back",
            Self::Completed => "completed",
            Self::Blocked => "blocked",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::PartiallyRolledBack => "partially_rolled_back",
            Self::Quarantined => "quarantined",
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the workflow's code asked for at a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call {
    /// An action.
    Action(Seq),
    /// Sleep.
    Timer {
        /// Until when.
        due: Timestamp,
        /// Whether that has come.
        fired: bool,
    },
    /// A recorded value.
    Value {
        /// What was asked for.
        what: String,
        /// What was given.
        value: JsonText,
    },
}

/// One action of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActionState {
    /// As it was asked for.
    pub call: Arc<ActionCall>,
    /// The verdicts on it, of the newest attempt.
    pub verdicts: Vec<VerdictRecord>,
    /// Its attempts, oldest first; empty where it never came to an intent.
    pub attempts: Vec<Attempt>,
    /// How it ended; `None` while another attempt or an answer is to come.
    pub end: Option<ActionEnd>,
}

/// How an action ended for the workflow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ActionEnd {
    /// Refused before anything happened.
    Refused(ErrorRecord),
    /// What it needs is not there.
    CaptureFailed(ErrorRecord),
    /// Read.
    Read(JsonText),
    /// The wanted state was there already.
    AlreadyDone(JsonText),
    /// Done; the output is `null` where an operator said so.
    Done(JsonText),
    /// Failed.
    Failed(ErrorRecord),
}

impl ActionEnd {
    /// What the workflow is handed.
    ///
    /// # Errors
    /// Those of the action.
    pub fn result(&self) -> Result<&JsonText, &ErrorRecord> {
        match self {
            Self::Read(output) | Self::AlreadyDone(output) | Self::Done(output) => Ok(output),
            Self::Refused(error) | Self::CaptureFailed(error) | Self::Failed(error) => Err(error),
        }
    }
}

/// One attempt of an action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Its intent.
    pub intent: Arc<ActionIntended>,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether it was recorded that its outcome was not known, as after a timeout.
    pub was_in_doubt: bool,
    /// What became of its undo.
    pub undoing: Undoing,
    /// How often its undo was intended, over all rollbacks.
    pub undo_tries: u32,
    /// How often its undo failed since the newest request to roll back.
    pub undo_failures: u32,
    /// How often its undo was intended and then found not to have happened, since the newest request to roll
    /// back.
    pub undo_interruptions: u32,
    /// Its place in the order of all intents of the run.
    place: usize,
}

/// What became of an intent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Nothing is recorded: under way, or interrupted.
    Pending,
    /// It is recorded that the outcome is not known.
    InDoubt(ErrorRecord),
    /// The system was asked and cannot tell; what was seen.
    Unknown(String),
    /// The effect is there. The output is `None` where only an operator said so.
    Done(Option<JsonText>),
    /// It failed.
    Failed(ErrorRecord, Remains),
    /// The effect is not there and will not come.
    NotApplied,
    /// An operator gave it up; it may or may not be there. A person's later request to roll back looks it up again.
    Abandoned,
}

impl Outcome {
    /// Whether a probe is due.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        matches!(self, Self::Pending | Self::InDoubt(_))
    }

    /// Whether the attempt came to nothing.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self, Self::Failed(..) | Self::NotApplied)
    }

    /// Whether there is, or may be, something to undo.
    #[must_use]
    pub fn may_have_effect(&self) -> bool {
        !matches!(self, Self::NotApplied | Self::Failed(_, Remains::Nothing))
    }
}

/// What became of the undo of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Undoing {
    /// Not begun.
    Not,
    /// Intended: under way, or interrupted.
    Intended(Arc<CompensationIntended>),
    /// It is recorded that the outcome of this intent is not known.
    InDoubt(Arc<CompensationIntended>, ErrorRecord),
    /// The last try failed and another follows.
    Retrying(ErrorRecord),
    /// Settled. The intent is there where one was settled by its own outcome, or its outcome is not known.
    Settled(UndoOutcome, Option<ErrorRecord>, Option<Arc<CompensationIntended>>),
}

/// The outcome of undoing an action, in the words of the public contract; worst last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoOutcome {
    /// It left nothing.
    NothingToUndo,
    /// The state before was there already.
    AlreadyUndone,
    /// Undone.
    Undone,
    /// There is no way.
    Irreversible,
    /// Others changed the target; it was left as it is.
    Conflict,
    /// The undo failed.
    Failed,
    /// It is not known whether it is there, or whether it was undone.
    InDoubt,
}

impl UndoOutcome {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NothingToUndo => "nothing_to_undo",
            Self::AlreadyUndone => "already_undone",
            Self::Undone => "undone",
            Self::Irreversible => "irreversible",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
            Self::InDoubt => "in_doubt",
        }
    }

    /// Whether something is, or may be, left outside.
    #[must_use]
    pub fn is_residue(self) -> bool {
        self >= Self::Irreversible
    }

    /// Whether a new request to roll back tries again.
    #[must_use]
    pub fn is_tried_again(self) -> bool {
        matches!(self, Self::Conflict | Self::Failed | Self::InDoubt)
    }
}

/// A rollback: why, how far, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rollback {
    /// Who asked for it; `None` where the run's own failure did.
    pub by: Option<String>,
    /// The reason that was given.
    pub reason: Option<String>,
    /// Actions up to this one are kept.
    pub to: Option<Seq>,
    /// Whether to overwrite what others changed.
    pub force: bool,
}

impl Rollback {
    /// Whether the action is to be undone.
    #[must_use]
    pub fn covers(&self, seq: Seq) -> bool {
        self.to.is_none_or(|to| seq > to)
    }
}

impl RunState {
    /// Folds a stream from its first event.
    ///
    /// # Errors
    /// The first event that may not follow those before it. An empty stream has no state.
    pub fn fold<'a>(
        events: impl IntoIterator<Item = &'a StoredEvent>,
    ) -> Result<Option<Self>, IllegalTransition> {
        let mut state: Option<Self> = None;
        for event in events {
            state = Some(Self::step(state, event)?);
        }
        Ok(state)
    }

    /// Folds one stored event onto the state of the events before it.
    ///
    /// # Errors
    /// Where the event may not follow, or its number is not the next.
    pub fn step(state: Option<Self>, event: &StoredEvent) -> Result<Self, IllegalTransition> {
        let mut state = match state {
            None => return Self::begin(event.run_id, event.event_seq, event.at, &event.event),
            Some(state) => state,
        };
        if event.event_seq != state.version.next() {
            return Err(IllegalTransition::out_of_order(&state, event));
        }
        state.apply(event.at, &event.event)?;
        Ok(state)
    }

    /// The status in the words of the contract.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        match self.phase {
            Phase::Judging | Phase::Running if self.open_approvals().next().is_some() => {
                RunStatus::AwaitingApproval
            }
            Phase::Judging | Phase::Running => RunStatus::Running,
            Phase::RollingBack => RunStatus::RollingBack,
            Phase::Quarantined => RunStatus::Quarantined,
            Phase::Ended(RunEnd::Completed) => RunStatus::Completed,
            Phase::Ended(RunEnd::Blocked) => RunStatus::Blocked,
            Phase::Ended(RunEnd::Failed) => RunStatus::Failed,
            Phase::Ended(RunEnd::RolledBack) => RunStatus::RolledBack,
            Phase::Ended(RunEnd::PartiallyRolledBack) => RunStatus::PartiallyRolledBack,
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// The attempt of an action, by its number from 1.
    #[must_use]
    pub fn attempt(&self, seq: Seq, attempt: u32) -> Option<&Attempt> {
        let index = usize::try_from(attempt).ok()?.checked_sub(1)?;
        self.actions.get(&seq)?.attempts.get(index)
    }

    /// All attempts, in the order of their intents.
    pub fn attempts(&self) -> impl DoubleEndedIterator<Item = (Seq, u32, &Attempt)> {
        self.intents.iter().filter_map(|(seq, number)| Some((*seq, *number, self.attempt(*seq, *number)?)))
    }

    /// Whether there is, or may be, an effect outside that was not undone.
    #[must_use]
    pub fn may_have_effects(&self) -> bool {
        self.attempts().any(|(_, _, attempt)| attempt.outcome.may_have_effect())
    }

    /// Who asked for the rollback under way: the person, or the run's own user.
    #[must_use]
    pub fn rollback_by(&self) -> &str {
        self.rollback.as_ref().and_then(|rollback| rollback.by.as_deref()).unwrap_or(&self.accepted.user)
    }

    /// Whether a request to roll back to `to` would change anything of a run that has ended.
    #[must_use]
    pub fn can_roll_back(&self, to: Option<Seq>) -> bool {
        match self.phase {
            _ if self.erased.is_some() => false,
            Phase::Ended(RunEnd::RolledBack | RunEnd::PartiallyRolledBack) => {
                let scope = Rollback { by: None, reason: None, to, force: false };
                self.attempts().any(|(seq, _, attempt)| scope.covers(seq) && attempt.is_to_undo_again())
            }
            _ => true,
        }
    }

    /// Whether the newest rollback, where there was one, covers an action.
    fn is_covered(&self, seq: Seq) -> bool {
        self.rollback.as_ref().is_none_or(|rollback| rollback.covers(seq))
    }

    /// The outcome of the newest rollback for one action; `None` where there was none, or it does not cover it.
    pub(crate) fn undo_outcome(&self, seq: Seq, action: &ActionState) -> Option<UndoOutcome> {
        let covers = self.rollback.as_ref().is_some_and(|rollback| rollback.covers(seq));
        covers.then(|| action.undo_outcome().0)
    }

    /// The outcome of the newest rollback for each action that it covers, newest first; empty where there was
    /// none. An action that it keeps is there where an earlier one may or may not have undone it.
    #[must_use]
    pub fn undo_outcomes(&self) -> Vec<(Seq, UndoOutcome, Option<&ErrorRecord>)> {
        let Some(rollback) = &self.rollback else { return Vec::new() };
        self.actions
            .iter()
            .rev()
            .filter(|(seq, action)| {
                rollback.covers(**seq) || action.attempts.iter().any(Attempt::undo_is_in_doubt)
            })
            .map(|(seq, action)| {
                let (outcome, error) = action.undo_outcome();
                (*seq, outcome, error)
            })
            .collect()
    }
}

impl ActionState {
    /// The worst of its attempts' outcomes.
    fn undo_outcome(&self) -> (UndoOutcome, Option<&ErrorRecord>) {
        self.attempts
            .iter()
            .map(Attempt::undo_outcome)
            .max_by_key(|(outcome, _)| *outcome)
            .unwrap_or((UndoOutcome::NothingToUndo, None))
    }
}
