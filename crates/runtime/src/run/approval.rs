//! Leave to go on: what a policy or the workflow wants a person to approve.
//!
//! Nothing is held while a person is waited for: no key, no permit, no transaction. When the word comes, the action goes
//! through the gate again, and what it then asks leave for has to be exactly what was approved.

use std::sync::Arc;
use std::time::Duration;

use enact_core::action::Facts;
use enact_core::connector::Identity;
use enact_core::error::{Error, ErrorCode};
use enact_core::event::{
    ActionCall, ActionRefused, ApprovalDecided, ApprovalReason, ApprovalRequested, ApprovalWord, Event,
};
use enact_core::ids::Seq;
use enact_core::json::JsonText;
use enact_core::policy::{Approval, VerdictRecord};
use enact_core::run::{ApprovalState, Phase, RunState, RunStatus, is_same_person};
use enact_core::store::Durability;
use enact_core::time::Timestamp;

use super::forward::Asking;
use super::{Go, Run, Told};
use crate::coordinator::CoordinatorMsg;
use crate::gate::{Judged, Permitted, digest};

/// Under which name the workflow itself wants an approval.
pub(crate) const WORKFLOW: &str = "workflow";

/// Whether something may go on.
pub(super) enum Leave {
    /// It may.
    Given,
    /// A person is asked already.
    Asked,
    /// A person has to be asked this.
    Ask(Arc<ApprovalRequested>),
    /// It may not.
    Refused(Error),
}

/// A no, and to what.
pub(super) struct No {
    pub(super) request: Arc<ApprovalRequested>,
    pub(super) error: Error,
    /// The end of the time for a word, where that is not recorded yet.
    pub(super) decided: Option<ApprovalDecided>,
}

impl Run {
    /// Whether an action, or the run, may go on where that much is wanted: in that system, on those facts.
    pub(super) fn leave(
        &self,
        state: &RunState,
        call: Option<&Arc<ActionCall>>,
        (identity, facts): (Option<&Identity>, Option<JsonText>),
        verdicts: Vec<VerdictRecord>,
        wanted: Vec<(String, Approval)>,
    ) -> Leave {
        if wanted.is_empty() {
            return Leave::Given;
        }
        let (seq, now) = (call.map(|call| call.seq), self.shared.clock.now());
        let digest = match call {
            Some(call) => digest(&("action", self.id, call, &facts)),
            None => digest(&("run", self.id, &state.accepted)),
        };
        let digest = match digest {
            Ok(digest) => digest,
            Err(error) => return Leave::Refused(error),
        };
        let policies = &self.shared.policies_digest;
        let is_current = |known: &&ApprovalState| {
            let request = &known.request;
            request.policies == *policies && request.identity.as_ref() == identity && now < request.expires_at
        };
        if let Some(known) = state.approval(seq, &digest).filter(is_current) {
            match known.decided.as_ref().map(|decided| decided.word) {
                Some(ApprovalWord::Approved) => return Leave::Given,
                None => return Leave::Asked,
                // A no was heard before.
                Some(ApprovalWord::Denied | ApprovalWord::Expired) => {}
            }
        }
        let (reasons, approvers, within) = match merged(wanted, &state.accepted.user) {
            Ok(merged) => merged,
            Err(error) => return Leave::Refused(error),
        };
        Leave::Ask(Arc::new(ApprovalRequested {
            call: call.map(Arc::clone),
            verdicts,
            facts,
            reasons,
            approvers,
            identity: identity.cloned(),
            digest,
            policies: policies.clone(),
            expires_at: now.after(within),
        }))
    }

    /// The no that was said to an action, or to the run, and to which there is no second asking: by a person, or because
    /// nobody said anything in time. What was open for too long is over with it.
    pub(super) fn said_no(&self, seq: Option<Seq>) -> Result<Option<No>, Error> {
        let state = self.state()?;
        if let Some(known) = state.refused_approval(seq) {
            let word = known.decided.as_ref().map(|decided| decided.word);
            let error = match word {
                Some(ApprovalWord::Expired) => expired(known.request.expires_at),
                _ => denied(known),
            };
            return Ok(Some(No { request: Arc::clone(&known.request), error, decided: None }));
        }
        let now = self.shared.clock.now();
        let over = |open: &&ApprovalState| open.seq() == seq && now >= open.request.expires_at;
        Ok(state.open_approvals().find(over).map(|open| {
            let (digest, word) = (open.request.digest.clone(), ApprovalWord::Expired);
            No {
                request: Arc::clone(&open.request),
                error: expired(open.request.expires_at),
                decided: Some(ApprovalDecided { seq, digest, word, by: None, reason: None }),
            }
        }))
    }

    /// Ends an action to which somebody said no. True, where it has ended by that.
    pub(super) async fn is_refused(&mut self, seq: Seq) -> Result<bool, Error> {
        let Some(No { request, error, decided }) = self.said_no(Some(seq))? else { return Ok(false) };
        if let Some(decided) = decided {
            self.record_one(Event::ApprovalDecided(decided)).await?;
        }
        if let Some(call) = &request.call {
            self.refuse(call, request.verdicts.clone(), &error).await?;
        }
        Ok(true)
    }

    /// Ends an action that waits for a person and for which the workflow's code waits no more, as where its sleep was over
    /// first: the run has gone on without it, so a late word must not let it happen. True, where it has ended by that.
    pub(super) async fn is_given_up(&mut self, seq: Seq) -> Result<bool, Error> {
        let waits = |asking: &&Asking| (asking.is_put_off || asking.is_held_back) && asking.reply.is_closed();
        let Some(asking) = self.asked.get(&seq).filter(waits) else { return Ok(false) };
        let known = self.state()?.actions.get(&seq);
        let Some(call) = asking.call.clone().or_else(|| known.map(|known| Arc::clone(&known.call))) else {
            return Ok(false);
        };
        let verdicts = known.map_or_else(Vec::new, |known| known.verdicts.clone());
        let message = "the workflow went on without it before there was a word; it is not done any more";
        let error = Error::new(ErrorCode::ApprovalExpired, message).left_nothing();
        self.refuse(&call, verdicts, &error).await?;
        Ok(true)
    }

    /// Keeps what is wanted of an action on its parameters. True, where a person is asked for it already: then nothing is
    /// looked at, and nobody has to be there but the log.
    pub(super) fn waits_already(
        &mut self,
        seq: Seq,
        permitted: &Permitted,
        judged: Judged,
    ) -> Result<bool, Error> {
        let Judged { verdicts, mut wanted } = judged;
        let call = permitted.call();
        let Some(asking) = self.asked.get_mut(&seq) else { return Ok(true) };
        if asking.tries.approval {
            let reason = format!("the workflow wants {}.{} approved", call.connector, call.action);
            wanted.push((WORKFLOW.to_owned(), Approval::new(reason)));
        }
        let is_wanted = !wanted.is_empty();
        asking.call = Some(Arc::clone(call));
        asking.params = Arc::clone(permitted.params());
        asking.verdicts = verdicts;
        asking.wanted = wanted;
        asking.is_put_off = false;
        let open = self.state()?.open_approvals().find(|open| open.seq() == Some(seq));
        let open = open.map(|open| &open.request).filter(|open| {
            open.policies == self.shared.policies_digest
                && open.call.as_ref() == Some(call)
                && (is_wanted || open.facts.is_some())
        });
        let Some(expires_at) = open.map(|open| open.expires_at) else { return Ok(false) };
        self.put_off(Some(seq), expires_at);
        Ok(true)
    }

    /// Leave for an action on its parameters. Where it is not given, the action waits or has ended.
    pub(super) async fn has_leave(&mut self, seq: Seq, identity: &Identity) -> Result<bool, Error> {
        let Some(asking) = self.asked.get(&seq) else { return Ok(false) };
        if asking.wanted.is_empty() {
            return Ok(true);
        }
        let (verdicts, wanted) = (asking.verdicts.clone(), asking.wanted.clone());
        self.ask_leave(seq, (identity, None), verdicts, wanted).await
    }

    /// Leave for an action on what capture found. What was approved with the parameters is not asked for again.
    pub(super) async fn has_leave_on(
        &mut self,
        seq: Seq,
        (identity, facts): (&Identity, &Facts),
        judged: Judged,
    ) -> Result<bool, Error> {
        let Judged { verdicts, mut wanted } = judged;
        if let Some(asking) = self.asked.get(&seq) {
            wanted.retain(|want| !asking.wanted.contains(want));
        }
        if wanted.is_empty() {
            return Ok(true);
        }
        self.ask_leave(seq, (identity, Some(JsonText::encode(facts)?)), verdicts, wanted).await
    }

    async fn ask_leave(
        &mut self,
        seq: Seq,
        (identity, facts): (&Identity, Option<JsonText>),
        verdicts: Vec<VerdictRecord>,
        wanted: Vec<(String, Approval)>,
    ) -> Result<bool, Error> {
        let Some(call) = self.asked.get(&seq).and_then(|asking| asking.call.clone()) else {
            return Ok(false);
        };
        let on = (Some(identity), facts);
        match self.leave(self.state()?, Some(&call), on, verdicts.clone(), wanted) {
            Leave::Given => return Ok(true),
            Leave::Asked => {}
            Leave::Ask(request) => {
                let events = vec![Event::ApprovalRequested(request)];
                self.last = Some(self.record(events, Durability::Barrier).await?);
            }
            Leave::Refused(error) => self.refuse(&call, verdicts, &error).await?,
        }
        let open = self.state()?.open_approvals().find(|open| open.seq() == Some(call.seq));
        if let Some(expires_at) = open.map(|open| open.request.expires_at) {
            self.put_off(Some(call.seq), expires_at);
        }
        Ok(false)
    }

    /// Ends an action that is refused.
    pub(super) async fn refuse(
        &mut self,
        call: &Arc<ActionCall>,
        verdicts: Vec<VerdictRecord>,
        error: &Error,
    ) -> Result<(), Error> {
        let event = ActionRefused { call: Arc::clone(call), verdicts, error: error.record() };
        self.record_one(Event::ActionRefused(event)).await?;
        self.hand_back(call.seq)
    }

    /// It goes on when there is a word, or no more time for one.
    pub(super) fn put_off(&mut self, seq: Option<Seq>, until: Timestamp) {
        if let Some(asking) = seq.and_then(|seq| self.asked.get_mut(&seq)) {
            asking.is_put_off = true;
        }
        let wait = until.since(self.shared.clock.now());
        // In place of the one that was there.
        self.expiries.insert(seq, self.later(wait, Told::ApprovalDue(seq)));
    }

    /// The time for a word is over, or that of an earlier request was.
    pub(super) async fn approval_due(&mut self, seq: Option<Seq>) -> Result<(), Error> {
        self.expiries.remove(&seq);
        match seq {
            Some(seq) if self.asked.get(&seq).is_some_and(|asking| asking.is_put_off) => {
                self.retry(seq).await
            }
            // The run is judged anew when this is taken.
            _ => Ok(()),
        }
    }

    /// Tells the coordinator when a person is waited for and nothing else, as the run then stands, and when that is over.
    pub(super) async fn say_who_is_waited_for(&mut self) -> Result<(), Error> {
        let waits = !self.finished && self.waits_for_a_person();
        let state = self.state.as_ref().filter(|_| waits).map(|state| Arc::new((**state).clone()));
        let version = state.as_ref().map(|state| state.version);
        if version == self.put_off_at {
            return Ok(());
        }
        if waits {
            // Whoever is told may ask the log.
            self.shared.store.flush().await?;
        }
        self.tell_put_off(state);
        Ok(())
    }

    /// Tells the coordinator that the run waits for a person, as it stands, or does not.
    pub(super) fn tell_put_off(&mut self, state: Option<Arc<RunState>>) {
        self.put_off_at = state.as_ref().map(|state| state.version);
        let told = CoordinatorMsg::PutOff { run: self.id, actor: self.myself.get_id(), state };
        if self.coordinator.send_message(told).is_err() {
            tracing::debug!(run = %self.id, "the runtime is gone");
        }
    }

    fn waits_for_a_person(&self) -> bool {
        let Some(state) = self.state.as_ref().filter(|_| self.go == Go::On) else { return false };
        // The code of this life has to have come as far, and may ask otherwise by now.
        let has_asked = |seq| self.asked.contains_key(&seq);
        state.status() == RunStatus::AwaitingApproval
            && (state.phase == Phase::Judging || self.code.is_some())
            && state.open_approvals().filter_map(ApprovalState::seq).all(has_asked)
            && self.jobs.is_empty()
            && self.timers.is_empty()
            && self.asked.values().all(|asking| asking.is_put_off)
    }
}

fn reason_of((policy, approval): &(String, Approval)) -> ApprovalReason {
    ApprovalReason { policy: policy.clone(), reason: approval.reason.clone() }
}

/// What several policies want together: whoever approves may do so for each of them, within the shortest time, and is not the
/// user who asked for the run.
fn merged(
    wanted: Vec<(String, Approval)>,
    user: &str,
) -> Result<(Vec<ApprovalReason>, Vec<String>, Duration), Error> {
    let reasons = wanted.iter().map(reason_of).collect();
    let within = wanted.iter().map(|(_, approval)| approval.expires_after).min().unwrap_or_default();
    let mut lists =
        wanted.into_iter().map(|(_, approval)| approval.approvers).filter(|list| !list.is_empty());
    let Some(mut approvers) = lists.next() else { return Ok((reasons, Vec::new(), within)) };
    for list in lists {
        approvers.retain(|one| list.iter().any(|other| is_same_person(one, other)));
    }
    let refused = |message: String| Error::new(ErrorCode::PolicyDenied, message).left_nothing();
    if approvers.is_empty() {
        let message = "the policies that want an approval name nobody who may give it for all of them";
        return Err(refused(message.to_owned()));
    }
    approvers.retain(|one| !is_same_person(one, user));
    if approvers.is_empty() {
        let message =
            format!("nobody but {user} may approve it, who asked for the run; let somebody else ask");
        return Err(refused(message));
    }
    Ok((reasons, approvers, within))
}

fn denied(approval: &ApprovalState) -> Error {
    let decided = approval.decided.as_ref();
    let by = decided.and_then(|decided| decided.by.as_deref()).unwrap_or_default();
    let reason = decided.and_then(|decided| decided.reason.as_deref());
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    Error::new(ErrorCode::ApprovalDenied, format!("{by} did not approve it{reason}")).left_nothing()
}

fn expired(at: Timestamp) -> Error {
    let message = format!("nobody approved it until {at}; ask for it again");
    Error::new(ErrorCode::ApprovalExpired, message).left_nothing()
}
