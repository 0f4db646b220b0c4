//! Transitions by an operator's word.

use crate::event::{Decision, OperatorDecided};
use crate::ids::Seq;
use crate::json::JsonText;

use super::{ActionEnd, Attempt, Next, Outcome, Phase, Refusal, RunState};

impl RunState {
    pub(super) fn decide_quarantined(&mut self, event: &OperatorDecided) -> Result<(), Refusal> {
        let Some(seq) = event.seq else {
            if event.decision != Decision::Retry {
                return Err("the run as a whole can only be tried again, cancelled or rolled back".into());
            }
            self.change_covered(Attempt::make_unknown_due);
            self.resume_from_quarantine();
            return Ok(());
        };
        let number = self.unknown_attempt(seq)?;
        self.change(seq, number, |attempt| {
            match event.decision {
                Decision::Applied => attempt.outcome = Outcome::Done(None),
                Decision::NotApplied => attempt.outcome = Outcome::NotApplied,
                Decision::Retry => attempt.make_unknown_due(),
                Decision::Abandon => attempt.outcome = Outcome::Abandoned,
            }
            Ok(())
        })?;
        if event.decision == Decision::Abandon {
            self.start_rollback(Some(event.by.clone()), None, None, false);
            return Ok(());
        }
        if event.decision == Decision::Applied {
            self.end_action(seq, ActionEnd::Done(JsonText::null()));
        }
        if self.due.oldest_unknown().is_none() {
            self.resume_from_quarantine();
        }
        Ok(())
    }

    fn resume_from_quarantine(&mut self) {
        self.error = None;
        self.phase = if self.is_passed { Phase::Running } else { Phase::Judging };
    }

    fn unknown_attempt(&self, seq: Seq) -> Result<u32, Refusal> {
        let attempts = self.actions.get(&seq).map_or(&[][..], |action| &action.attempts);
        attempts
            .iter()
            .position(|attempt| matches!(attempt.outcome, Outcome::Unknown(_)))
            .and_then(|index| u32::try_from(index).ok()?.checked_add(1))
            .ok_or_else(|| format!("action {seq} is not in doubt"))
    }

    pub(super) fn decide_residue(&mut self, event: &OperatorDecided) -> Result<(), Refusal> {
        let seq = event.seq.ok_or("after a rollback, an operator's word is on one action")?;
        if !self.is_covered(seq) {
            return Err(format!("action {seq} was kept; ask for a rollback that goes back as far first"));
        }
        let attempts = self.actions.get(&seq).map_or(&[][..], |action| &action.attempts);
        let number = attempts
            .iter()
            .rposition(|attempt| attempt.undo_outcome().0.is_residue())
            .and_then(|index| u32::try_from(index).ok()?.checked_add(1))
            .ok_or_else(|| format!("nothing is left of action {seq} to decide"))?;
        self.change(seq, number, |attempt| attempt.decide_residue(event.decision))?;
        let by_hand = (event.decision == Decision::Applied).then_some((seq, number));
        self.reopen_beneath(by_hand);
        self.phase = Phase::RollingBack;
        if self.next() == Next::FinishRollback {
            self.phase = Phase::Ended(self.rollback_end());
        }
        Ok(())
    }
}
