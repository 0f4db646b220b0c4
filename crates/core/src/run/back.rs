//! Transitions of the way back: compensations.

use std::sync::Arc;

use crate::error::{ErrorCode, ErrorRecord};
use crate::event::{CompensationFailed, CompensationIntended, CompensationResolved, Finding, Skipped};
use crate::ids::Seq;

use super::{ATTEMPT_BUDGET, Attempt, Next, Refusal, RunState, UndoOutcome, Undoing};

impl RunState {
    pub(super) fn undo_intended(&mut self, intent: &Arc<CompensationIntended>) -> Result<(), Refusal> {
        let (seq, number) = (intent.seq, intent.attempt);
        self.check_undo_due(seq, number)?;
        self.change(seq, number, |attempt| {
            let next = attempt.undo_tries.saturating_add(1);
            if intent.undo_try != next {
                return Err(format!("try {next} of undoing action {seq} comes next"));
            }
            attempt.undo_tries = next;
            attempt.undoing = Undoing::Intended(Arc::clone(intent));
            Ok(())
        })
    }

    pub(super) fn undo_succeeded(&mut self, seq: Seq, number: u32) -> Result<(), Refusal> {
        self.change(seq, number, |attempt| {
            let Undoing::Intended(intent) = &attempt.undoing else {
                return Err(format!("the undo of action {seq} is not under way"));
            };
            attempt.undoing = Undoing::Settled(UndoOutcome::Undone, None, Some(Arc::clone(intent)));
            Ok(())
        })
    }

    pub(super) fn skip_undo(&mut self, seq: Seq, number: u32, why: &Skipped) -> Result<(), Refusal> {
        let (outcome, error) = match why {
            Skipped::AlreadyUndone => (UndoOutcome::AlreadyUndone, None),
            Skipped::NothingToUndo => (UndoOutcome::NothingToUndo, None),
            Skipped::Irreversible(reason) => {
                let code = ErrorCode::Irreversible;
                let error = ErrorRecord { code, message: reason.clone(), retryable: false };
                (UndoOutcome::Irreversible, Some(error))
            }
        };
        self.check_undo_due(seq, number)?;
        self.change(seq, number, |attempt| {
            attempt.undoing = Undoing::Settled(outcome, error, None);
            Ok(())
        })
    }

    pub(super) fn conflict_undo(
        &mut self,
        seq: Seq,
        number: u32,
        error: &ErrorRecord,
    ) -> Result<(), Refusal> {
        self.check_undo_under_way_or_due(seq, number)?;
        self.change(seq, number, |attempt| {
            attempt.undoing = Undoing::Settled(UndoOutcome::Conflict, Some(error.clone()), None);
            Ok(())
        })
    }

    pub(super) fn undo_failed(&mut self, event: &CompensationFailed) -> Result<(), Refusal> {
        self.check_undo_under_way_or_due(event.seq, event.attempt)?;
        self.change(event.seq, event.attempt, |attempt| {
            let error = event.error.clone();
            attempt.undo_failures = attempt.undo_failures.saturating_add(1);
            attempt.undoing = match (&attempt.undoing, error.code) {
                (Undoing::Intended(intent), ErrorCode::InDoubt) => {
                    Undoing::InDoubt(Arc::clone(intent), error)
                }
                _ if event.will_retry => Undoing::Retrying(error),
                _ => Undoing::Settled(UndoOutcome::Failed, Some(error), None),
            };
            Ok(())
        })
    }

    pub(super) fn undo_resolved(&mut self, event: &CompensationResolved) -> Result<(), Refusal> {
        self.change(event.seq, event.attempt, |attempt| {
            let (intent, error) = match &attempt.undoing {
                Undoing::Intended(intent) => (Arc::clone(intent), None),
                Undoing::InDoubt(intent, error) => (Arc::clone(intent), Some(error.clone())),
                _ => return Err(format!("the undo of action {} is not in doubt", event.seq)),
            };
            match &event.finding {
                Finding::Applied(_) => {
                    attempt.undoing = Undoing::Settled(UndoOutcome::Undone, None, Some(intent));
                }
                Finding::NotApplied => attempt.undo_was_not_applied(),
                Finding::Unknown(seen) => {
                    let message = match error {
                        Some(error) => format!("{}; {seen}", error.message),
                        None => seen.clone(),
                    };
                    let error = ErrorRecord { code: ErrorCode::InDoubt, message, retryable: false };
                    attempt.undoing = Undoing::Settled(UndoOutcome::InDoubt, Some(error), Some(intent));
                }
            }
            Ok(())
        })
    }

    fn check_undo_under_way_or_due(&self, seq: Seq, number: u32) -> Result<(), Refusal> {
        match self.attempt(seq, number).map(|attempt| &attempt.undoing) {
            Some(Undoing::Intended(_)) => Ok(()),
            _ => self.check_undo_due(seq, number),
        }
    }

    fn check_undo_due(&self, seq: Seq, number: u32) -> Result<(), Refusal> {
        match self.next() {
            Next::Compensate { seq: due, attempt } if (due, attempt) == (seq, number) => Ok(()),
            next => Err(format!("{next:?} comes next")),
        }
    }
}

impl Attempt {
    /// It is begun again, until its budget is spent.
    fn undo_was_not_applied(&mut self) {
        self.undo_interruptions = self.undo_interruptions.saturating_add(1);
        self.undoing = if self.undo_interruptions < ATTEMPT_BUDGET {
            Undoing::Not
        } else {
            let message = format!(
                "begun {ATTEMPT_BUDGET} times and interrupted each time; nothing of it happened. Ask for the \
                 rollback again when it can work"
            );
            let error = ErrorRecord { code: ErrorCode::Unavailable, message, retryable: false };
            Undoing::Settled(UndoOutcome::Failed, Some(error), None)
        };
    }
}
