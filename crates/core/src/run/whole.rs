//! Transitions of the run as a whole: judged, ended, stopped, to be undone.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{ErrorCode, ErrorRecord};
use crate::event::{CancelRequested, OnFailure, PoliciesEvaluated, RollbackRequested, RunFailed};
use crate::ids::Seq;
use crate::json::JsonText;

use super::forward::attempt_mut;
use super::{Attempt, Next, Phase, Refusal, Rollback, RunEnd, RunState, UndoOutcome, Undoing};

impl RunState {
    /// A refusal that was cut off before its conclusion leaves the run unjudged: it is judged anew.
    pub(super) fn judged(&mut self, event: &PoliciesEvaluated) -> Result<(), Refusal> {
        let is_passed = event.verdicts.iter().all(|verdict| verdict.passed);
        if is_passed {
            self.refuse_the_refused(None)?;
        }
        self.verdicts.clone_from(&event.verdicts);
        self.withdraw_approval(None);
        self.is_passed = is_passed;
        if is_passed {
            self.phase = Phase::Running;
        }
        Ok(())
    }

    pub(super) fn blocked(&mut self, error: &ErrorRecord) -> Result<(), Refusal> {
        self.refuse_effects()?;
        self.error = Some(error.clone());
        self.phase = Phase::Ended(RunEnd::Blocked);
        Ok(())
    }

    pub(super) fn succeed(&mut self, output: &JsonText) -> Result<(), Refusal> {
        self.refuse_open_intents()?;
        self.output = Some(output.clone());
        self.phase = Phase::Ended(RunEnd::Completed);
        Ok(())
    }

    pub(super) fn fail(&mut self, event: &RunFailed) -> Result<(), Refusal> {
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

    /// Nothing is under way but what ends by itself; an operator says how it goes on.
    pub(super) fn quarantined(&mut self, error: &ErrorRecord) -> Result<(), Refusal> {
        self.error = Some(error.clone());
        self.phase = Phase::Quarantined;
        Ok(())
    }

    pub(super) fn cancel(&mut self, event: &CancelRequested) -> Result<(), Refusal> {
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

    pub(super) fn roll_back(&mut self, event: &RollbackRequested) -> Result<(), Refusal> {
        if !self.can_roll_back(event.to) {
            return Err("everything that it covers is settled".into());
        }
        self.start_rollback(Some(event.by.clone()), event.reason.clone(), event.to, event.force);
        self.change_covered(Attempt::make_abandoned_due);
        self.reopen_beneath(None);
        Ok(())
    }

    /// Sets the scope, and makes what an earlier rollback left undone due again.
    pub(super) fn start_rollback(
        &mut self,
        by: Option<String>,
        reason: Option<String>,
        to: Option<Seq>,
        force: bool,
    ) {
        let rollback = Rollback { by, reason, to, force };
        self.rollback = Some(rollback);
        self.change_covered(Attempt::make_due);
        self.reopen_beneath(None);
        self.phase = Phase::RollingBack;
    }

    /// What is still to be undone puts back what was there before it, so what lies beneath it is looked at again,
    /// whatever an earlier rollback found of it. Looking costs a capture, and touches nothing unless the state is
    /// exactly the one that the action left.
    ///
    /// What only looked undone is looked at beneath anything of its connector: a row may have gone along with one of
    /// another table. What was undone, beneath what is of the same kind and id, however else the two describe it.
    ///
    /// `by_hand` is what an operator says was undone: that put back what looked undone beneath it.
    pub(super) fn reopen_beneath(&mut self, by_hand: Option<(Seq, u32)>) {
        let (mut connectors, mut things) = (BTreeSet::new(), BTreeSet::new());
        for &(seq, number) in self.intents.iter().rev() {
            let is_covered = self.is_covered(seq);
            let attempt = attempt_mut(&mut self.actions, seq, number).filter(|_| is_covered);
            let Some(attempt) = attempt else { continue };
            let call = Arc::clone(&attempt.intent.call);
            let connector = call.connector.clone();
            let target = call.target.as_ref().map(|target| (target.kind.clone(), target.id.clone()));
            let thing = (connector.clone(), target);
            let may_be_back = match attempt.undoing {
                Undoing::Settled(UndoOutcome::AlreadyUndone, ..) => connectors.contains(&connector),
                Undoing::Settled(UndoOutcome::Undone, ..) => things.contains(&thing),
                _ => false,
            };
            if may_be_back {
                attempt.begin_anew();
            }
            let is_above = attempt.is_undo_due() || attempt.outcome.is_unsettled();
            if is_above || by_hand == Some((seq, number)) {
                connectors.insert(connector);
            }
            if is_above {
                things.insert(thing);
            }
        }
        self.change_covered(|_| {});
    }

    pub(super) fn finish_rollback(&mut self) -> Result<(), Refusal> {
        match self.next() {
            Next::FinishRollback => {
                self.phase = Phase::Ended(self.rollback_end());
                Ok(())
            }
            next => Err(format!("the rollback is not over: {next:?} comes next")),
        }
    }

    /// Changes every attempt within the scope of the newest rollback, and files all anew.
    pub(super) fn change_covered(&mut self, change: fn(&mut Attempt)) {
        for (seq, action) in &mut self.actions {
            let covered = self.rollback.as_ref().is_none_or(|rollback| rollback.covers(*seq));
            for attempt in &mut action.attempts {
                if covered {
                    change(attempt);
                }
                self.due.file(attempt, covered);
            }
        }
    }

    pub(super) fn rollback_end(&self) -> RunEnd {
        let residue = self.undo_outcomes().iter().any(|(_, outcome, _)| outcome.is_residue());
        if residue { RunEnd::PartiallyRolledBack } else { RunEnd::RolledBack }
    }

    fn refuse_open_intents(&self) -> Result<(), Refusal> {
        match self.due.oldest_unsettled().or(self.due.oldest_unknown()) {
            Some(place) => Err(format!("intent {} of the run is not settled", place.saturating_add(1))),
            None => Ok(()),
        }
    }

    fn refuse_effects(&self) -> Result<(), Refusal> {
        if self.may_have_effects() {
            return Err("it has effects; they are undone or kept, never passed over".into());
        }
        Ok(())
    }
}
