//! Saying of a run what a receipt says: from its events, and the state that they fold to.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use enact_core::action::Target;
use enact_core::error::ErrorRecord;
use enact_core::event::{ApprovalWord, Decision, Event, OnFailure, WorkflowSource};
use enact_core::ids::Seq;
use enact_core::json::JsonText;
use enact_core::policy::VerdictRecord;
use enact_core::run::{
    ActionEnd, ActionState, ApprovalState, Attempt, Outcome, RunState, UndoOutcome, Undoing,
};
use enact_store::{ProvableEvent, Salts};
use ring::hmac;
use sha2::{Digest, Sha256};

use super::proof::Disclosed;
use super::statement::{
    ActionSaid, ApprovalSaid, AttemptSaid, EventSaid, ReasonSaid, SaltedDigest, Statement, TYPE, TargetSaid,
    UndoSaid, VerdictSaid, WordSaid, WorkflowSaid, label,
};

/// Says of a run what its events say, and keeps what is under each digest for those who may see it.
pub(super) struct Speaker<'a> {
    salts: &'a Salts,
    /// What the digests are of.
    pub(super) disclosed: Vec<Disclosed>,
}

impl<'a> Speaker<'a> {
    pub(super) fn new(salts: &'a Salts) -> Self {
        Self { salts, disclosed: Vec::new() }
    }

    /// Says it. `state` is that of the events.
    pub(super) fn statement(&mut self, log: &str, state: &RunState, events: &[ProvableEvent]) -> Statement {
        let accepted = &state.accepted;
        let on_failure = match accepted.on_failure {
            OnFailure::Rollback => "rollback",
            OnFailure::Keep => "keep",
        };
        let sha256 = match &accepted.source {
            WorkflowSource::Code => None,
            WorkflowSource::Text(text) => Some(hex(&Sha256::digest(text))),
        };
        Statement {
            r#type: TYPE.to_owned(),
            log: log.to_owned(),
            run_id: state.id.to_string(),
            workflow: WorkflowSaid { name: accepted.workflow.clone(), version: accepted.version, sha256 },
            user: accepted.user.clone(),
            attributes: accepted.attributes.as_str().to_owned(),
            key: accepted.key.clone(),
            input: self.digest(label::INPUT.to_owned(), &accepted.input),
            on_failure: on_failure.to_owned(),
            status: state.status().as_str().to_owned(),
            output: state.output.as_ref().map(|output| self.digest(label::OUTPUT.to_owned(), output)),
            error: state.error.as_ref().map(code),
            accepted_at: state.started_at.to_string(),
            ended_at: state.ended_at.map(|at| at.to_string()),
            policies: events.iter().rev().find_map(policies),
            verdicts: verdicts(&state.verdicts),
            approvals: state.approvals.iter().map(approval).collect(),
            actions: self.actions(state),
            words: events.iter().filter_map(word).collect(),
            events: events.iter().map(event).collect(),
        }
    }

    fn digest(&mut self, label: String, content: &JsonText) -> SaltedDigest {
        let salt = self.salts.of(&label);
        let content = content.as_str().to_owned();
        let digest = salted(&salt, &content);
        self.disclosed.push(Disclosed { label, salt: STANDARD.encode(salt), content });
        digest
    }

    fn actions(&mut self, state: &RunState) -> Vec<ActionSaid> {
        let undone: BTreeMap<_, _> =
            state.undo_outcomes().into_iter().map(|(seq, outcome, _)| (seq, outcome)).collect();
        let actions = state.actions.iter();
        actions.map(|(seq, action)| self.action(*seq, action, undone.get(seq).copied())).collect()
    }

    fn action(&mut self, seq: Seq, action: &ActionState, undone: Option<UndoOutcome>) -> ActionSaid {
        let call = &action.call;
        let params = self.digest(label::params(seq.0), &call.params);
        let attempts =
            (1..).zip(&action.attempts).map(|(number, attempt)| self.attempt(seq, number, attempt)).collect();
        let result = action.end.as_ref().map(ActionEnd::result);
        let output = match result {
            Some(Ok(output)) => Some(self.digest(label::output(seq.0), output)),
            _ => None,
        };
        ActionSaid {
            seq: seq.0,
            connector: call.connector.clone(),
            action: call.action.clone(),
            version: call.version,
            effect: call.effect.to_string(),
            target: call.target.as_ref().map(target),
            params,
            verdicts: verdicts(&action.verdicts),
            attempts,
            outcome: action.end.as_ref().map(|end| ended(end).to_owned()),
            output,
            error: result.and_then(Result::err).map(code),
            reversal: undone.map(|outcome| outcome.as_str().to_owned()),
        }
    }

    fn attempt(&mut self, seq: Seq, number: u32, attempt: &Attempt) -> AttemptSaid {
        let undo = match &attempt.undoing {
            Undoing::Intended(intent) | Undoing::InDoubt(intent, _) => Some(intent),
            Undoing::Settled(_, _, intent) => intent.as_ref(),
            Undoing::Not | Undoing::Retrying(_) => None,
        };
        AttemptSaid {
            system: attempt.intent.identity.0.clone(),
            pre_state: self.digest(label::pre_state(seq.0, number), &attempt.intent.pre),
            outcome: outcome(&attempt.outcome).to_owned(),
            undo: undo.map(|undo| UndoSaid {
                action: undo.action.clone(),
                params: self.digest(label::undo(seq.0, number), &undo.params),
                tries: attempt.undo_tries,
            }),
        }
    }
}

/// The digest of a content under its salt.
pub(super) fn salted(salt: &[u8], content: &str) -> SaltedDigest {
    hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), content.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn code(error: &ErrorRecord) -> String {
    error.code.as_str().to_owned()
}

fn verdicts(verdicts: &[VerdictRecord]) -> Vec<VerdictSaid> {
    let said = |verdict: &VerdictRecord| VerdictSaid {
        policy: verdict.policy.to_string(),
        passed: verdict.passed,
        reason: verdict.reason.clone(),
    };
    verdicts.iter().map(said).collect()
}

fn policies(event: &ProvableEvent) -> Option<String> {
    match &event.event.event {
        Event::PoliciesEvaluated(judged) => judged.policies.clone(),
        Event::ApprovalRequested(asked) if asked.call.is_none() => Some(asked.policies.clone()),
        _ => None,
    }
}

fn approval(approval: &ApprovalState) -> ApprovalSaid {
    let (request, decided) = (&approval.request, approval.decided.as_ref());
    let reasons = request.reasons.iter();
    ApprovalSaid {
        action: request.seq().map(|seq| seq.0),
        digest: request.digest.clone(),
        policies: request.policies.clone(),
        reasons: reasons
            .map(|why| ReasonSaid { policy: why.policy.clone(), reason: why.reason.clone() })
            .collect(),
        approvers: request.approvers.clone(),
        asked_at: approval.asked_at.to_string(),
        expires_at: request.expires_at.to_string(),
        word: decided.map(|decided| approval_word(decided.word).to_owned()),
        by: decided.and_then(|decided| decided.by.clone()),
        void: approval.void.is_some(),
    }
}

fn approval_word(word: ApprovalWord) -> &'static str {
    match word {
        ApprovalWord::Approved => "approved",
        ApprovalWord::Denied => "denied",
        ApprovalWord::Expired => "expired",
    }
}

fn target(target: &Target) -> TargetSaid {
    let attributes = target.attributes.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    TargetSaid { kind: target.kind.to_string(), id: target.id.clone(), attributes }
}

fn ended(end: &ActionEnd) -> &'static str {
    match end {
        ActionEnd::Refused(_) => "refused",
        ActionEnd::CaptureFailed(_) => "capture_failed",
        ActionEnd::Read(_) => "read",
        ActionEnd::AlreadyDone(_) => "already_done",
        ActionEnd::Done(_) => "done",
        ActionEnd::Failed(_) => "failed",
    }
}

fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Pending | Outcome::InDoubt(_) | Outcome::Unknown(_) => "in_doubt",
        Outcome::Done(_) => "done",
        Outcome::Failed(..) => "failed",
        Outcome::NotApplied => "not_applied",
        Outcome::Abandoned => "abandoned",
    }
}

/// What a person said by an event.
fn word(event: &ProvableEvent) -> Option<WordSaid> {
    let (word, by, action, reason) = match &event.event.event {
        // Where the time was over, nobody said anything.
        Event::ApprovalDecided(decided) => {
            (approval_word(decided.word), decided.by.as_ref()?, decided.seq, decided.reason.clone())
        }
        Event::CancelRequested(asked) => ("cancel", &asked.by, None, asked.reason.clone()),
        Event::RollbackRequested(asked) => {
            let word = if asked.force { "force_rollback" } else { "rollback" };
            (word, &asked.by, asked.to, asked.reason.clone())
        }
        Event::OperatorDecided(decided) => {
            let word = match decided.decision {
                Decision::Applied => "applied",
                Decision::NotApplied => "not_applied",
                Decision::Abandon => "abandon",
                Decision::Retry => "retry",
            };
            (word, &decided.by, decided.seq, None)
        }
        _ => return None,
    };
    Some(WordSaid {
        event_seq: event.event.event_seq.0,
        word: word.to_owned(),
        by: by.clone(),
        action: action.map(|seq| seq.0),
        reason,
    })
}

fn event(event: &ProvableEvent) -> EventSaid {
    EventSaid {
        event_seq: event.event.event_seq.0,
        position: event.event.position.0,
        at: event.event.at.to_string(),
        kind: event.event.event.name().to_owned(),
        action: event.event.event.action().map(|seq| seq.0),
        header: STANDARD.encode(event.header),
        payload: STANDARD.encode(event.payload),
    }
}
