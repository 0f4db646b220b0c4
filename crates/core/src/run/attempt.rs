//! One attempt: what may become of it and of its undo.

use crate::error::{ErrorCode, ErrorRecord, Remains};
use crate::event::Decision;

use super::{Attempt, Outcome, Refusal, UndoOutcome, Undoing};

impl Attempt {
    /// Whether another attempt of the action may follow.
    pub(super) fn may_be_followed(&self) -> bool {
        self.outcome.has_failed()
    }

    /// Whether it counts against the attempts that a workflow gives an action. One that was only interrupted, and
    /// turned out not to have happened, does not.
    #[must_use]
    pub fn counts_as_failure(&self) -> bool {
        match self.outcome {
            Outcome::Failed(..) => true,
            Outcome::NotApplied => self.was_in_doubt,
            _ => false,
        }
    }

    pub(super) fn may_become(&self, outcome: &Outcome) -> bool {
        match (&self.outcome, outcome) {
            (Outcome::Pending, _) => true,
            (Outcome::InDoubt(_), next) => !matches!(next, Outcome::InDoubt(_)),
            // A failure that may have left something can turn out to have done all of it.
            (Outcome::Failed(_, Remains::Perhaps), Outcome::Done(_)) => true,
            _ => false,
        }
    }

    /// Whether its undo is to be begun, tried again or found out about.
    pub(super) fn is_undo_due(&self) -> bool {
        let to_begin = matches!(self.undoing, Undoing::Not | Undoing::Retrying(_));
        let may_be_there = matches!(self.outcome, Outcome::Done(_) | Outcome::Failed(_, Remains::Perhaps));
        self.undo_was_begun() || (to_begin && may_be_there)
    }

    /// Whether its undo was intended, and what became of that is to be found out.
    pub(super) fn undo_was_begun(&self) -> bool {
        matches!(self.undoing, Undoing::Intended(_) | Undoing::InDoubt(..))
    }

    /// Whether it may or may not be undone.
    pub(super) fn undo_is_in_doubt(&self) -> bool {
        self.undo_was_begun() || matches!(self.undoing, Undoing::Settled(UndoOutcome::InDoubt, ..))
    }

    /// A new request to roll back tries again what can be tried again.
    pub(super) fn make_due(&mut self) {
        self.make_unknown_due();
        self.undo_failures = 0;
        self.undo_interruptions = 0;
        self.undoing = match std::mem::replace(&mut self.undoing, Undoing::Not) {
            Undoing::Settled(UndoOutcome::InDoubt, error, Some(intent)) => {
                let error = error.unwrap_or_else(|| in_doubt("the undo's outcome is not known"));
                Undoing::InDoubt(intent, error)
            }
            Undoing::Settled(outcome, ..) if outcome.is_tried_again() => Undoing::Not,
            other => other,
        };
    }

    /// Its undo is to be begun, as if nobody had tried.
    pub(super) fn begin_anew(&mut self) {
        self.undoing = Undoing::Not;
        self.undo_failures = 0;
        self.undo_interruptions = 0;
    }

    /// What was given up is looked up once more when a person asks for a rollback: the system may tell now.
    pub(super) fn make_abandoned_due(&mut self) {
        if self.outcome == Outcome::Abandoned {
            self.outcome = Outcome::InDoubt(in_doubt("it was given up without being known"));
        }
    }

    pub(super) fn make_unknown_due(&mut self) {
        if let Outcome::Unknown(seen) = &self.outcome {
            self.outcome = Outcome::InDoubt(in_doubt(seen));
        }
    }

    /// An operator's word on what a rollback left.
    pub(super) fn decide_residue(&mut self, decision: Decision) -> Result<(), Refusal> {
        match (&self.outcome, decision) {
            (_, Decision::Retry) => return Err("ask for the rollback again instead".into()),
            (_, Decision::Abandon) => {}
            (Outcome::Unknown(_), Decision::Applied) => self.outcome = Outcome::Done(None),
            (Outcome::Unknown(_), Decision::NotApplied) => self.outcome = Outcome::NotApplied,
            (Outcome::Abandoned, _) => return Err("it was given up".into()),
            (_, Decision::Applied) => self.undoing = Undoing::Settled(UndoOutcome::Undone, None, None),
            (_, Decision::NotApplied) => self.begin_anew(),
        }
        Ok(())
    }

    pub(super) fn undo_outcome(&self) -> (UndoOutcome, Option<&ErrorRecord>) {
        match (&self.outcome, &self.undoing) {
            (Outcome::NotApplied | Outcome::Failed(_, Remains::Nothing), _) => {
                (UndoOutcome::NothingToUndo, None)
            }
            (Outcome::InDoubt(error), _) => (UndoOutcome::InDoubt, Some(error)),
            (Outcome::Pending | Outcome::Unknown(_) | Outcome::Abandoned, _) => (UndoOutcome::InDoubt, None),
            (_, Undoing::Settled(outcome, error, _)) => (*outcome, error.as_ref()),
            (_, Undoing::InDoubt(_, error)) => (UndoOutcome::InDoubt, Some(error)),
            (_, Undoing::Intended(_)) => (UndoOutcome::InDoubt, None),
            (_, Undoing::Retrying(error)) => (UndoOutcome::Failed, Some(error)),
            (_, Undoing::Not) => (UndoOutcome::Failed, None),
        }
    }

    pub(super) fn is_to_undo_again(&self) -> bool {
        match (&self.outcome, &self.undoing) {
            (Outcome::NotApplied | Outcome::Failed(_, Remains::Nothing), _) => false,
            (_, Undoing::Settled(outcome, ..)) => outcome.is_tried_again(),
            _ => true,
        }
    }
}

pub(super) fn in_doubt(message: &str) -> ErrorRecord {
    ErrorRecord { code: ErrorCode::InDoubt, message: message.to_owned(), retryable: false }
}
