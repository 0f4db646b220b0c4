//! Transitions of the way forward: calls, intents and their outcomes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::error::{ErrorCode, ErrorRecord};
use crate::event::{ActionCall, ActionFailed, ActionIntended, ActionResolved, Finding};
use crate::ids::{CallPath, Seq};
use crate::policy::VerdictRecord;

use super::{ATTEMPT_BUDGET, ActionEnd, ActionState, Attempt, Call, Outcome, Refusal, RunState, Undoing};

impl RunState {
    pub(super) fn new_call(&mut self, path: &CallPath, call: Call) -> Result<(), Refusal> {
        match self.calls.entry(path.clone()) {
            Entry::Vacant(place) => {
                place.insert(call);
                Ok(())
            }
            Entry::Occupied(_) => Err(format!("call {path} is recorded already")),
        }
    }

    pub(super) fn fire(&mut self, wanted: &CallPath) -> Result<(), Refusal> {
        match self.calls.get_mut(wanted) {
            Some(Call::Timer { fired: fired @ false, .. }) => {
                *fired = true;
                Ok(())
            }
            _ => Err(format!("no timer waits at call {wanted}")),
        }
    }

    pub(super) fn end_call(
        &mut self,
        call: &Arc<ActionCall>,
        verdicts: &[VerdictRecord],
        end: ActionEnd,
    ) -> Result<(), Refusal> {
        self.check_call(call)?;
        if matches!(end, ActionEnd::AlreadyDone(_)) {
            self.refuse_own_effect(call.seq)?;
        }
        if end.result().is_ok() {
            self.refuse_the_refused(Some(call.seq))?;
        }
        self.withdraw_approval(Some(call.seq));
        let action = self.action_of(call);
        action.verdicts = verdicts.to_vec();
        action.end = Some(end);
        Ok(())
    }

    pub(super) fn intended(&mut self, intent: &Arc<ActionIntended>) -> Result<(), Refusal> {
        self.check_call(&intent.call)?;
        let seq = intent.call.seq;
        let tried = self.actions.get(&seq).map_or(0, |action| action.attempts.len());
        let number = u32::try_from(tried).unwrap_or(u32::MAX).saturating_add(1);
        self.refuse_the_refused(Some(seq))?;
        if intent.attempt != number {
            return Err(format!("attempt {number} of action {seq} comes next"));
        }
        self.withdraw_approval(Some(seq));
        let attempt = Attempt::new(Arc::clone(intent), self.intents.len());
        self.due.file(&attempt, true);
        self.intents.push((seq, number));
        let action = self.action_of(&intent.call);
        action.verdicts.clone_from(&intent.verdicts);
        action.attempts.push(attempt);
        Ok(())
    }

    /// Whether the call may come to an end or to an intent: it is a new one, or waits for its next attempt.
    pub(super) fn check_call(&self, call: &ActionCall) -> Result<(), Refusal> {
        let seq = call.seq;
        match self.calls.get(&call.path) {
            None if self.actions.contains_key(&seq) || seq == Seq(0) => {
                return Err(format!("number {seq} cannot be given to another action"));
            }
            None => return Ok(()),
            Some(Call::Action(known)) if *known == seq => {}
            Some(_) => return Err(format!("call {} is recorded as something else", call.path)),
        }
        let Some(action) = self.actions.get(&seq) else { return Ok(()) };
        if action.end.is_some() {
            return Err(format!("action {seq} has ended"));
        }
        if (&action.call.connector, &action.call.action) != (&call.connector, &call.action) {
            return Err(format!("action {seq} is {}.{}", action.call.connector, action.call.action));
        }
        if action.attempts.last().is_some_and(|last| !last.may_be_followed()) {
            return Err(format!("the last attempt of action {seq} is not settled"));
        }
        Ok(())
    }

    fn refuse_own_effect(&self, seq: Seq) -> Result<(), Refusal> {
        let own = self
            .actions
            .get(&seq)
            .is_some_and(|action| action.attempts.iter().any(|attempt| attempt.outcome.may_have_effect()));
        if own { Err(format!("action {seq} may have an effect of its own")) } else { Ok(()) }
    }

    pub(super) fn action_of(&mut self, call: &Arc<ActionCall>) -> &mut ActionState {
        self.calls.entry(call.path.clone()).or_insert(Call::Action(call.seq));
        self.actions.entry(call.seq).or_insert_with(|| ActionState {
            call: Arc::clone(call),
            verdicts: Vec::new(),
            attempts: Vec::new(),
            end: None,
        })
    }

    pub(super) fn failed(&mut self, event: &ActionFailed) -> Result<(), Refusal> {
        if event.error.code == ErrorCode::InDoubt {
            return self.settle(event.seq, event.attempt, Outcome::InDoubt(event.error.clone()));
        }
        self.settle(event.seq, event.attempt, Outcome::Failed(event.error.clone(), event.remains))?;
        if !event.will_retry || event.attempt >= ATTEMPT_BUDGET {
            self.end_action(event.seq, ActionEnd::Failed(event.error.clone()));
        }
        Ok(())
    }

    pub(super) fn resolved(&mut self, event: &ActionResolved) -> Result<(), Refusal> {
        match &event.finding {
            Finding::Applied(output) => {
                self.settle(event.seq, event.attempt, Outcome::Done(Some(output.clone())))
            }
            Finding::Unknown(seen) => self.settle(event.seq, event.attempt, Outcome::Unknown(seen.clone())),
            Finding::NotApplied => self.found_not_applied(event),
        }
    }

    fn found_not_applied(&mut self, event: &ActionResolved) -> Result<(), Refusal> {
        let spent = event.attempt >= ATTEMPT_BUDGET;
        let error = match self.attempt(event.seq, event.attempt).map(|attempt| &attempt.outcome) {
            Some(Outcome::InDoubt(error)) => {
                ErrorRecord { code: ErrorCode::Timeout, message: error.message.clone(), retryable: false }
            }
            _ if spent => not_applied(format!(
                "interrupted again and again: none of {ATTEMPT_BUDGET} attempts came to an end, and nothing happened"
            )),
            _ => not_applied("interrupted; a probe found that nothing happened".into()),
        };
        self.settle(event.seq, event.attempt, Outcome::NotApplied)?;
        if spent || !event.will_retry {
            self.end_action(event.seq, ActionEnd::Failed(error));
        }
        Ok(())
    }

    pub(super) fn settle(&mut self, seq: Seq, number: u32, outcome: Outcome) -> Result<(), Refusal> {
        if self.actions.get(&seq).is_some_and(|action| action.end.is_some()) {
            return Err(format!("action {seq} has ended"));
        }
        let end = match &outcome {
            Outcome::Done(Some(output)) => Some(ActionEnd::Done(output.clone())),
            _ => None,
        };
        self.change(seq, number, |attempt| {
            if !attempt.may_become(&outcome) {
                return Err(format!("attempt {number} of action {seq} is settled"));
            }
            attempt.was_in_doubt |= matches!(outcome, Outcome::InDoubt(_));
            attempt.outcome = outcome;
            Ok(())
        })?;
        if let Some(end) = end {
            self.end_action(seq, end);
        }
        Ok(())
    }

    /// Changes one attempt and files it anew. What refuses, changes nothing.
    pub(super) fn change(
        &mut self,
        seq: Seq,
        number: u32,
        change: impl FnOnce(&mut Attempt) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let covered = self.is_covered(seq);
        let attempt = attempt_mut(&mut self.actions, seq, number)
            .ok_or_else(|| format!("action {seq} has no attempt {number}"))?;
        change(attempt)?;
        self.due.file(attempt, covered);
        Ok(())
    }

    pub(super) fn end_action(&mut self, seq: Seq, end: ActionEnd) {
        if let Some(action) = self.actions.get_mut(&seq) {
            action.end = Some(end);
        }
    }
}

impl Attempt {
    fn new(intent: Arc<ActionIntended>, place: usize) -> Self {
        Self {
            intent,
            outcome: Outcome::Pending,
            was_in_doubt: false,
            undoing: Undoing::Not,
            undo_tries: 0,
            undo_failures: 0,
            undo_interruptions: 0,
            place,
        }
    }
}

fn not_applied(message: String) -> ErrorRecord {
    ErrorRecord { code: ErrorCode::Unavailable, message, retryable: false }
}

pub(super) fn attempt_mut(
    actions: &mut BTreeMap<Seq, ActionState>,
    seq: Seq,
    number: u32,
) -> Option<&mut Attempt> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    actions.get_mut(&seq)?.attempts.get_mut(index)
}
