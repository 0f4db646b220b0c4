//! The table of legal transitions. Anything that is not in it is an [`IllegalTransition`].

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::{Event, StoredEvent};
use crate::ids::{EventSeq, RunId};
use crate::time::Timestamp;

use super::due::Due;
use super::{ActionEnd, Call, Outcome, Phase, Refusal, RunEnd, RunState, erased};

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
        let accepted = match event {
            Event::RunAccepted(accepted) => Arc::clone(accepted),
            Event::PayloadErased(_) => erased::unknown(),
            _ => return Err(illegal("a run begins with RunAccepted")),
        };
        if number != EventSeq(1) {
            return Err(illegal("a run's first event has number 1"));
        }
        Ok(Self {
            id,
            version: number,
            accepted,
            is_blank: matches!(event, Event::PayloadErased(_)),
            erased: None,
            started_at: at,
            ended_at: None,
            phase: Phase::Judging,
            verdicts: Vec::new(),
            is_passed: false,
            approvals: Vec::new(),
            actions: BTreeMap::new(),
            calls: BTreeMap::new(),
            intents: Vec::new(),
            output: None,
            error: None,
            rollback: None,
            due: Due::default(),
        })
    }

    /// Folds the next event. On an error the state is as it was.
    ///
    /// # Errors
    /// Where the event may not follow those before it.
    pub fn apply(&mut self, at: Timestamp, event: &Event) -> Result<(), IllegalTransition> {
        self.transition(at, event).map_err(|why| IllegalTransition {
            run: self.id,
            number: self.version.next(),
            event: event.name(),
            why,
        })?;
        self.version = self.version.next();
        self.withdraw_where_over();
        self.ended_at = if self.has_ended() { self.ended_at.or(Some(at)) } else { None };
        Ok(())
    }

    /// The table. Rows that share a phase stand together; the helpers check what the phase does not tell.
    fn transition(&mut self, at: Timestamp, event: &Event) -> Result<(), Refusal> {
        use Phase::{Ended, Judging, Quarantined, RollingBack, Running};
        if self.erased.is_some() {
            return Err("its content was erased".into());
        }
        match (self.phase, event) {
            (_, Event::PayloadErased(_)) => self.pass_over(),
            (_, Event::ContentErased(e)) => self.erase(at, e),
            (Judging, Event::PoliciesEvaluated(e)) => self.judged(e),
            (Judging | Running, Event::RunBlocked(e)) => self.blocked(&e.error),
            (Judging | Running, Event::ApprovalRequested(e)) => self.approval_requested(at, e),
            (Judging | Running, Event::ApprovalDecided(e)) => self.approval_decided(at, e),

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
            (Judging | Running, Event::RunQuarantined(e)) => self.quarantined(&e.error),
            (Judging | Running | Quarantined, Event::CancelRequested(e)) => self.cancel(e),
            (Quarantined | RollingBack | Ended(_), Event::RollbackRequested(e)) => self.roll_back(e),

            (RollingBack, Event::CompensationIntended(e)) => self.undo_intended(e),
            (RollingBack, Event::CompensationSucceeded(e)) => self.undo_succeeded(e.seq, e.attempt),
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
