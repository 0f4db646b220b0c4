//! The table of legal transitions. Anything that is not in it is an [`IllegalTransition`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::error::{ErrorCode, ErrorRecord};
use crate::event::{
    ActionCall, ActionFailed, ActionIntended, ActionResolved, CancelRequested, CompensationFailed,
    CompensationIntended, CompensationResolved, Decision, Event, Finding, OnFailure, OperatorDecided,
    PoliciesEvaluated, RollbackRequested, RunFailed, Skipped, StoredEvent,
};
use crate::ids::{CallPath, EventSeq, RunId, Seq};
use crate::json::JsonText;
use crate::policy::VerdictRecord;
use crate::time::Timestamp;

use super::{
    ActionEnd, ActionState, Attempt, Call, Next, Outcome, Phase, Rollback, RunEnd, RunState, UndoOutcome,
    Undoing,
};

/// An event that may not follow those before it. The log is wrong, or its writer is.
#[derive(Clone, Debug, thiserror::Error)]
#[error("event {number} of run {run} cannot be {event}: {why}")]
pub struct IllegalTransition {
    /// The run.
    pub run: RunId,
    /// The number that the event has or would have.
    pub number: EventSeq,
    /// The event's kind.
    pub event: &'static str,
    /// What it contradicts.
    pub why: String,
}

impl IllegalTransition {
    pub(super) fn out_of_order(state: &RunState, event: &StoredEvent) -> Self {
        Self {
            run: state.id,
            number: event.event_seq,
            event: event.event.name(),
            why: format!("the last event was number {}", state.version),
        }
    }
}

type Refusal = String;

impl RunState {
    /// The state after a run's first event.
    ///
    /// # Errors
    /// Where that is not its acceptance.
    pub fn begin(
        id: RunId,
        number: EventSeq,
        at: Timestamp,
        event: &Event,
    ) -> Result<Self, IllegalTransition> {
        let illegal = |why: &str| IllegalTransition { run: id, number, event: event.name(), why: why.into() };
        let Event::RunAccepted(accepted) = event else {
            return Err(illegal("a run begins with RunAccepted"));
        };
        if number != EventSeq(1) {
            return Err(illegal("a run's first event has number 1"));
        }
        Ok(Self {
            id,
            version: number,
            accepted: Arc::clone(accepted),
            started_at: at,
            ended_at: None,
            phase: Phase::Judging,
            verdicts: Vec::new(),
            actions: BTreeMap::new(),
            calls: BTreeMap::new(),
            intents: Vec::new(),
            output: None,
            error: None,
            rollback: None,
        })
    }

    /// Folds the next event. On an error the state is as it was.
    ///
    /// # Errors
    /// Where the event may not follow those before it.
    pub fn apply(&mut self, at: Timestamp, event: &Event) -> Result<(), IllegalTransition> {
        self.transition(event).map_err(|why| IllegalTransition {
            run: self.id,
            number: self.version.next(),
            event: event.name(),
            why,
        })?;
        self.version = self.version.next();
        self.ended_at = if self.has_ended() { self.ended_at.or(Some(at)) } else { None };
        Ok(())
    }

    /// The table. Rows that share a phase stand together; the helpers check what the phase does not tell.
    fn transition(&mut self, event: &Event) -> Result<(), Refusal> {
        use Phase::{Ended, Judging, Quarantined, RollingBack, Running};
        match (self.phase, event) {
            (Judging, Event::PoliciesEvaluated(e)) => self.judged(e),
            (Judging | Running, Event::RunBlocked(e)) => self.blocked(&e.error),

            (Running, Event::ActionRefused(e)) => {
                self.end_call(&e.call, &e.verdicts, ActionEnd::Refused(e.error.clone()))
            }
            (Running, Event::ActionCaptureFailed(e)) => {
                self.end_call(&e.call, &e.verdicts, ActionEnd::CaptureFailed(e.error.clone()))
            }
            (Running, Event::ActionRead(e)) => {
                self.end_call(&e.call, &e.verdicts, ActionEnd::Read(e.output.clone()))
            }
            (Running, Event::ActionAlreadyDone(e)) => {
                self.end_call(&e.call, &e.verdicts, ActionEnd::AlreadyDone(e.output.clone()))
            }
            (Running, Event::ActionIntended(e)) => self.intended(e),

            // What is under way when a run turns ends as it ends.
            (Running | Quarantined | RollingBack, Event::ActionSucceeded(e)) => {
                self.settle(e.seq, e.attempt, Outcome::Done(Some(e.output.clone())))
            }
            (Running | Quarantined | RollingBack, Event::ActionFailed(e)) => self.failed(e),
            (Running | Quarantined | RollingBack, Event::ActionResolved(e)) => self.resolved(e),

            (Running, Event::TimerSet(e)) => self.new_call(&e.path, Call::Timer { due: e.due, fired: false }),
            (Running, Event::TimerFired(e)) => self.fire(&e.path),
            (Running, Event::ValueRecorded(e)) => {
                self.new_call(&e.path, Call::Value { what: e.what.clone(), value: e.value.clone() })
            }

            (Running, Event::RunSucceeded(e)) => self.succeed(&e.output),
            (Judging | Running, Event::RunFailed(e)) => self.fail(e),
            (Judging | Running, Event::RunQuarantined(e)) => {
                self.error = Some(e.error.clone());
                self.phase = Quarantined;
                Ok(())
            }
            (Judging | Running | Quarantined, Event::CancelRequested(e)) => self.cancel(e),
            (Quarantined | RollingBack | Ended(_), Event::RollbackRequested(e)) => self.roll_back(e),

            (RollingBack, Event::CompensationIntended(e)) => self.undo_intended(e),
            (RollingBack, Event::CompensationSucceeded(e)) => {
                self.end_intended_undo(e.seq, e.attempt, UndoOutcome::Undone)
            }
            (RollingBack, Event::CompensationSkipped(e)) => self.skip_undo(e.seq, e.attempt, &e.why),
            (RollingBack, Event::CompensationConflicted(e)) => self.conflict_undo(e.seq, e.attempt, &e.error),
            (RollingBack, Event::CompensationFailed(e)) => self.undo_failed(e),
            (RollingBack, Event::CompensationResolved(e)) => self.undo_resolved(e),
            (RollingBack, Event::RollbackFinished) => self.finish_rollback(),

            (Quarantined, Event::OperatorDecided(e)) => self.decide_quarantined(e),
            (Ended(RunEnd::PartiallyRolledBack), Event::OperatorDecided(e)) => self.decide_residue(e),

            (phase, _) => Err(format!("the run is {}", describe(phase))),
        }
    }

    // The run as a whole.

    fn judged(&mut self, event: &PoliciesEvaluated) -> Result<(), Refusal> {
        if !self.verdicts.is_empty() {
            return Err("the policies have judged the run already".into());
        }
        self.verdicts.clone_from(&event.verdicts);
        if self.verdicts.iter().all(|verdict| verdict.passed) {
            self.phase = Phase::Running;
        }
        Ok(())
    }

    fn blocked(&mut self, error: &ErrorRecord) -> Result<(), Refusal> {
        self.refuse_effects()?;
        self.error = Some(error.clone());
        self.phase = Phase::Ended(RunEnd::Blocked);
        Ok(())
    }

    fn succeed(&mut self, output: &JsonText) -> Result<(), Refusal> {
        self.refuse_open_intents()?;
        self.output = Some(output.clone());
        self.phase = Phase::Ended(RunEnd::Completed);
        Ok(())
    }

    fn fail(&mut self, event: &RunFailed) -> Result<(), Refusal> {
        match self.accepted.on_failure {
            OnFailure::Keep => {
                self.refuse_open_intents()?;
                self.phase = Phase::Ended(RunEnd::Failed);
            }
            OnFailure::Rollback => self.start_rollback(None, None, None, false),
        }
        self.error = Some(event.error.clone());
        Ok(())
    }

    fn cancel(&mut self, event: &CancelRequested) -> Result<(), Refusal> {
        if self.error.is_none() {
            let reason = event.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            self.error = Some(ErrorRecord {
                code: ErrorCode::Conflict,
                message: format!("cancelled by {}{reason}", event.by),
                retryable: false,
            });
        }
        self.start_rollback(Some(event.by.clone()), event.reason.clone(), None, false);
        Ok(())
    }

    fn roll_back(&mut self, event: &RollbackRequested) -> Result<(), Refusal> {
        if !self.can_roll_back(event.to) {
            return Err("everything that it covers is settled".into());
        }
        self.start_rollback(Some(event.by.clone()), event.reason.clone(), event.to, event.force);
        Ok(())
    }

    /// Sets the scope, and makes what an earlier rollback left undone due again.
    fn start_rollback(&mut self, by: Option<String>, reason: Option<String>, to: Option<Seq>, force: bool) {
        let rollback = Rollback { by, reason, to, force };
        for (seq, action) in &mut self.actions {
            if rollback.covers(*seq) {
                action.attempts.iter_mut().for_each(Attempt::make_due);
            }
        }
        self.rollback = Some(rollback);
        self.phase = Phase::RollingBack;
    }

    fn finish_rollback(&mut self) -> Result<(), Refusal> {
        match self.next() {
            Next::FinishRollback => {
                self.phase = Phase::Ended(self.rollback_end());
                Ok(())
            }
            next => Err(format!("the rollback is not over: {next:?} comes next")),
        }
    }

    fn rollback_end(&self) -> RunEnd {
        let residue = self.undo_outcomes().iter().any(|(_, outcome, _)| outcome.is_residue());
        if residue { RunEnd::PartiallyRolledBack } else { RunEnd::RolledBack }
    }

    fn refuse_open_intents(&self) -> Result<(), Refusal> {
        match self.attempts().find(|(_, _, attempt)| {
            attempt.outcome.is_unsettled() || matches!(attempt.outcome, Outcome::Unknown(_))
        }) {
            Some((seq, number, _)) => Err(format!("attempt {number} of action {seq} is not settled")),
            None => Ok(()),
        }
    }

    fn refuse_effects(&self) -> Result<(), Refusal> {
        if self.may_have_effects() {
            return Err("it has effects; they are undone or kept, never passed over".into());
        }
        Ok(())
    }

    // Actions.

    fn new_call(&mut self, path: &CallPath, call: Call) -> Result<(), Refusal> {
        match self.calls.entry(path.clone()) {
            Entry::Vacant(place) => {
                place.insert(call);
                Ok(())
            }
            Entry::Occupied(_) => Err(format!("call {path} is recorded already")),
        }
    }

    fn fire(&mut self, wanted: &CallPath) -> Result<(), Refusal> {
        match self.calls.get_mut(wanted) {
            Some(Call::Timer { fired: fired @ false, .. }) => {
                *fired = true;
                Ok(())
            }
            _ => Err(format!("no timer waits at call {wanted}")),
        }
    }

    /// The state of the action: a new one, or one that waits for its next attempt.
    fn open_action(&mut self, call: &Arc<ActionCall>) -> Result<&mut ActionState, Refusal> {
        match self.calls.get(&call.path) {
            None if self.actions.contains_key(&call.seq) || call.seq == Seq(0) => {
                return Err(format!("number {} cannot be given to another action", call.seq));
            }
            None => {
                self.calls.insert(call.path.clone(), Call::Action(call.seq));
            }
            Some(Call::Action(seq)) if *seq == call.seq => {}
            Some(_) => return Err(format!("call {} is recorded as something else", call.path)),
        }
        let action = self.actions.entry(call.seq).or_insert_with(|| ActionState {
            call: Arc::clone(call),
            verdicts: Vec::new(),
            attempts: Vec::new(),
            end: None,
        });
        if action.end.is_some() {
            return Err(format!("action {} has ended", call.seq));
        }
        if action.attempts.last().is_some_and(|last| !last.may_be_followed()) {
            return Err(format!("the last attempt of action {} is not settled", call.seq));
        }
        Ok(action)
    }

    fn end_call(
        &mut self,
        call: &Arc<ActionCall>,
        verdicts: &[VerdictRecord],
        end: ActionEnd,
    ) -> Result<(), Refusal> {
        let action = self.open_action(call)?;
        if matches!(end, ActionEnd::AlreadyDone(_))
            && action.attempts.iter().any(|attempt| attempt.outcome.may_have_effect())
        {
            return Err(format!("action {} may have an effect of its own", call.seq));
        }
        action.verdicts = verdicts.to_vec();
        action.end = Some(end);
        Ok(())
    }

    fn intended(&mut self, intent: &Arc<ActionIntended>) -> Result<(), Refusal> {
        let tried = self.actions.get(&intent.call.seq).map_or(0, |action| action.attempts.len());
        let next = u32::try_from(tried).unwrap_or(u32::MAX).saturating_add(1);
        if intent.attempt != next {
            return Err(format!("attempt {next} of action {} comes next", intent.call.seq));
        }
        let action = self.open_action(&intent.call)?;
        action.verdicts.clone_from(&intent.verdicts);
        action.attempts.push(Attempt {
            intent: Arc::clone(intent),
            outcome: Outcome::Pending,
            undoing: Undoing::Not,
            undo_tries: 0,
            undo_failures: 0,
        });
        self.intents.push((intent.call.seq, intent.attempt));
        Ok(())
    }

    fn failed(&mut self, event: &ActionFailed) -> Result<(), Refusal> {
        if event.error.code == ErrorCode::InDoubt {
            return self.settle(event.seq, event.attempt, Outcome::InDoubt(event.error.clone()));
        }
        self.settle(event.seq, event.attempt, Outcome::Failed(event.error.clone(), event.remains))?;
        if !event.will_retry {
            self.end_action(event.seq, ActionEnd::Failed(event.error.clone()));
        }
        Ok(())
    }

    fn resolved(&mut self, event: &ActionResolved) -> Result<(), Refusal> {
        let outcome = match &event.finding {
            Finding::Applied(output) => Outcome::Done(Some(output.clone())),
            Finding::NotApplied => Outcome::NotApplied,
            Finding::Unknown(seen) => Outcome::Unknown(seen.clone()),
        };
        let ends = outcome == Outcome::NotApplied && !event.will_retry;
        let was = self.attempt(event.seq, event.attempt).map(|attempt| attempt.outcome.clone());
        self.settle(event.seq, event.attempt, outcome)?;
        if ends {
            let error = match was {
                Some(Outcome::InDoubt(error)) => {
                    ErrorRecord { code: ErrorCode::Timeout, message: error.message, retryable: false }
                }
                _ => ErrorRecord {
                    code: ErrorCode::Unavailable,
                    message: "interrupted; a probe found that nothing happened".into(),
                    retryable: false,
                },
            };
            self.end_action(event.seq, ActionEnd::Failed(error));
        }
        Ok(())
    }

    fn settle(&mut self, seq: Seq, number: u32, outcome: Outcome) -> Result<(), Refusal> {
        let attempt = self.attempt_mut(seq, number)?;
        if !attempt.may_become(&outcome) {
            return Err(format!("attempt {number} of action {seq} is settled"));
        }
        if let Outcome::Done(Some(output)) = &outcome {
            let end = ActionEnd::Done(output.clone());
            attempt.outcome = outcome;
            self.end_action(seq, end);
        } else {
            attempt.outcome = outcome;
        }
        Ok(())
    }

    fn end_action(&mut self, seq: Seq, end: ActionEnd) {
        if let Some(action) = self.actions.get_mut(&seq) {
            action.end = Some(end);
        }
    }

    fn attempt_mut(&mut self, seq: Seq, number: u32) -> Result<&mut Attempt, Refusal> {
        let index = usize::try_from(number).unwrap_or(usize::MAX).wrapping_sub(1);
        self.actions
            .get_mut(&seq)
            .and_then(|action| action.attempts.get_mut(index))
            .ok_or_else(|| format!("action {seq} has no attempt {number}"))
    }

    // Undoing.

    fn undo_intended(&mut self, intent: &Arc<CompensationIntended>) -> Result<(), Refusal> {
        let (seq, number) = (intent.seq, intent.attempt);
        match self.next() {
            Next::Compensate { seq: due, attempt } if (due, attempt) == (seq, number) => {}
            next => return Err(format!("{next:?} comes next")),
        }
        let attempt = self.attempt_mut(seq, number)?;
        let next = attempt.undo_tries.saturating_add(1);
        if intent.undo_try != next {
            return Err(format!("try {next} of undoing action {seq} comes next"));
        }
        attempt.undo_tries = next;
        attempt.undoing = Undoing::Intended(Arc::clone(intent));
        Ok(())
    }

    fn end_intended_undo(&mut self, seq: Seq, number: u32, outcome: UndoOutcome) -> Result<(), Refusal> {
        let attempt = self.attempt_mut(seq, number)?;
        let Undoing::Intended(intent) = &attempt.undoing else {
            return Err(format!("the undo of action {seq} is not under way"));
        };
        attempt.undoing = Undoing::Settled(outcome, None, Some(Arc::clone(intent)));
        Ok(())
    }

    fn due_undo(&mut self, seq: Seq, number: u32) -> Result<&mut Attempt, Refusal> {
        match self.next() {
            Next::Compensate { seq: due, attempt } if (due, attempt) == (seq, number) => {}
            next => return Err(format!("{next:?} comes next")),
        }
        self.attempt_mut(seq, number)
    }

    fn skip_undo(&mut self, seq: Seq, number: u32, why: &Skipped) -> Result<(), Refusal> {
        let attempt = self.due_undo(seq, number)?;
        let (outcome, error) = match why {
            Skipped::AlreadyUndone => (UndoOutcome::AlreadyUndone, None),
            Skipped::NothingToUndo => (UndoOutcome::NothingToUndo, None),
            Skipped::Irreversible(reason) => {
                let code = ErrorCode::Irreversible;
                let error = ErrorRecord { code, message: reason.clone(), retryable: false };
                (UndoOutcome::Irreversible, Some(error))
            }
        };
        attempt.undoing = Undoing::Settled(outcome, error, None);
        Ok(())
    }

    fn conflict_undo(&mut self, seq: Seq, number: u32, error: &ErrorRecord) -> Result<(), Refusal> {
        let attempt = self.undo_under_way_or_due(seq, number)?;
        attempt.undoing = Undoing::Settled(UndoOutcome::Conflict, Some(error.clone()), None);
        Ok(())
    }

    fn undo_failed(&mut self, event: &CompensationFailed) -> Result<(), Refusal> {
        let attempt = self.undo_under_way_or_due(event.seq, event.attempt)?;
        let error = event.error.clone();
        attempt.undo_failures = attempt.undo_failures.saturating_add(1);
        attempt.undoing = match (&attempt.undoing, error.code) {
            (Undoing::Intended(intent), ErrorCode::InDoubt) => Undoing::InDoubt(Arc::clone(intent), error),
            _ if event.will_retry => Undoing::Retrying(error),
            _ => Undoing::Settled(UndoOutcome::Failed, Some(error), None),
        };
        Ok(())
    }

    fn undo_under_way_or_due(&mut self, seq: Seq, number: u32) -> Result<&mut Attempt, Refusal> {
        if let Some(Undoing::Intended(_)) = self.attempt(seq, number).map(|attempt| &attempt.undoing) {
            return self.attempt_mut(seq, number);
        }
        self.due_undo(seq, number)
    }

    fn undo_resolved(&mut self, event: &CompensationResolved) -> Result<(), Refusal> {
        let seq = event.seq;
        let attempt = self.attempt_mut(seq, event.attempt)?;
        let (intent, error) = match &attempt.undoing {
            Undoing::Intended(intent) => (Arc::clone(intent), None),
            Undoing::InDoubt(intent, error) => (Arc::clone(intent), Some(error.clone())),
            _ => return Err(format!("the undo of action {seq} is not in doubt")),
        };
        attempt.undoing = match &event.finding {
            Finding::Applied(_) => Undoing::Settled(UndoOutcome::Undone, None, Some(intent)),
            Finding::NotApplied => Undoing::Not,
            Finding::Unknown(seen) => {
                let message = match error {
                    Some(error) => format!("{}; {seen}", error.message),
                    None => seen.clone(),
                };
                let error = ErrorRecord { code: ErrorCode::InDoubt, message, retryable: false };
                Undoing::Settled(UndoOutcome::InDoubt, Some(error), Some(intent))
            }
        };
        Ok(())
    }

    // An operator's word.

    fn decide_quarantined(&mut self, event: &OperatorDecided) -> Result<(), Refusal> {
        let Some(seq) = event.seq else {
            if event.decision != Decision::Retry {
                return Err("the run as a whole can only be tried again, cancelled or rolled back".into());
            }
            for action in self.actions.values_mut() {
                action.attempts.iter_mut().for_each(Attempt::make_unknown_due);
            }
            self.resume_from_quarantine();
            return Ok(());
        };
        let number = self.unknown_attempt(seq)?;
        let attempt = self.attempt_mut(seq, number)?;
        match event.decision {
            Decision::Applied => {
                attempt.outcome = Outcome::Done(None);
                self.end_action(seq, ActionEnd::Done(JsonText::null()));
            }
            Decision::NotApplied => attempt.outcome = Outcome::NotApplied,
            Decision::Retry => attempt.make_unknown_due(),
            Decision::Abandon => {
                attempt.outcome = Outcome::Abandoned;
                self.start_rollback(Some(event.by.clone()), None, None, false);
                return Ok(());
            }
        }
        if !self.attempts().any(|(_, _, attempt)| matches!(attempt.outcome, Outcome::Unknown(_))) {
            self.resume_from_quarantine();
        }
        Ok(())
    }

    fn resume_from_quarantine(&mut self) {
        self.error = None;
        let unjudged = self.verdicts.is_empty() && self.calls.is_empty();
        self.phase = if unjudged { Phase::Judging } else { Phase::Running };
    }

    fn unknown_attempt(&self, seq: Seq) -> Result<u32, Refusal> {
        self.attempts()
            .find(|(of, _, attempt)| *of == seq && matches!(attempt.outcome, Outcome::Unknown(_)))
            .map(|(_, number, _)| number)
            .ok_or_else(|| format!("action {seq} is not in doubt"))
    }

    fn decide_residue(&mut self, event: &OperatorDecided) -> Result<(), Refusal> {
        let seq = event.seq.ok_or("after a rollback, an operator's word is on one action")?;
        let number = self
            .attempts()
            .filter(|(of, _, attempt)| *of == seq && attempt.undo_outcome().0.is_residue())
            .map(|(_, number, _)| number)
            .next_back()
            .ok_or_else(|| format!("nothing is left of action {seq} to decide"))?;
        let decision = event.decision;
        self.attempt_mut(seq, number)?.decide(decision)?;
        let due = matches!(self.next_if_rolling_back(), Next::FinishRollback);
        self.phase = if due { Phase::Ended(self.rollback_end()) } else { Phase::RollingBack };
        Ok(())
    }

    fn next_if_rolling_back(&mut self) -> Next {
        self.phase = Phase::RollingBack;
        self.next()
    }
}

impl Attempt {
    fn may_be_followed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(..) | Outcome::NotApplied)
    }

    fn may_become(&self, outcome: &Outcome) -> bool {
        match (&self.outcome, outcome) {
            (Outcome::Pending, _) => true,
            (Outcome::InDoubt(_), next) => !matches!(next, Outcome::InDoubt(_)),
            // A failure that may have left something can turn out to have done all of it.
            (Outcome::Failed(_, super::Remains::Perhaps), Outcome::Done(_)) => true,
            _ => false,
        }
    }

    /// A new request to roll back tries again what can be tried again.
    fn make_due(&mut self) {
        self.make_unknown_due();
        self.undo_failures = 0;
        self.undoing = match std::mem::replace(&mut self.undoing, Undoing::Not) {
            Undoing::Settled(UndoOutcome::InDoubt, error, Some(intent)) => {
                let error = error.unwrap_or_else(|| in_doubt("the undo's outcome is not known"));
                Undoing::InDoubt(intent, error)
            }
            Undoing::Settled(outcome, ..) if outcome.is_tried_again() => Undoing::Not,
            other => other,
        };
    }

    fn make_unknown_due(&mut self) {
        if let Outcome::Unknown(seen) = &self.outcome {
            self.outcome = Outcome::InDoubt(in_doubt(seen));
        }
    }

    fn decide(&mut self, decision: Decision) -> Result<(), Refusal> {
        match (&self.outcome, decision) {
            (_, Decision::Retry) => Err("ask for the rollback again instead".into()),
            (_, Decision::Abandon) => Ok(()),
            (Outcome::Unknown(_), Decision::Applied) => {
                self.outcome = Outcome::Done(None);
                Ok(())
            }
            (Outcome::Unknown(_), Decision::NotApplied) => {
                self.outcome = Outcome::NotApplied;
                Ok(())
            }
            (Outcome::Abandoned, _) => Err("it was given up".into()),
            (_, Decision::Applied) => {
                self.undoing = Undoing::Settled(UndoOutcome::Undone, None, None);
                Ok(())
            }
            (_, Decision::NotApplied) => {
                self.undoing = Undoing::Not;
                self.undo_failures = 0;
                Ok(())
            }
        }
    }
}

fn in_doubt(message: &str) -> ErrorRecord {
    ErrorRecord { code: ErrorCode::InDoubt, message: message.to_owned(), retryable: false }
}

fn describe(phase: Phase) -> &'static str {
    match phase {
        Phase::Judging => "not passed by its policies yet",
        Phase::Running => "running",
        Phase::RollingBack => "being rolled back",
        Phase::Quarantined => "in quarantine",
        Phase::Ended(RunEnd::Completed) => "completed",
        Phase::Ended(RunEnd::Blocked) => "blocked",
        Phase::Ended(RunEnd::Failed) => "failed",
        Phase::Ended(RunEnd::RolledBack) => "rolled back",
        Phase::Ended(RunEnd::PartiallyRolledBack) => "partially rolled back",
    }
}
