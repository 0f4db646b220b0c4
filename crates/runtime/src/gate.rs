//! The gate: the allowlist and the policies. What passes is [`Permitted`], and only what is permitted can be
//! handed to a connector actor. The right to probe and to undo comes from the recorded intent, and from
//! nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use enact_core::Prepared;
use enact_core::action::{EffectClass, Facts, Target, Undo};
use enact_core::error::{Error, ErrorCode};
use enact_core::event::{ActionCall, CompensationIntended};
use enact_core::ids::{CallPath, Seq};
use enact_core::json::JsonText;
use enact_core::policy::{ActionRequest, Approval, Policy, Request, Stage, Verdict, VerdictRecord};
use enact_core::run::{Attempt, Outcome, RunState};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::recent::{Admitted, Shown};
use crate::shared::Shared;

/// A typed request that may be handed to a connector. Made here only.
#[derive(Debug)]
pub(crate) struct Permitted {
    call: Arc<ActionCall>,
    prepared: Prepared,
    params: Arc<Value>,
}

impl Permitted {
    /// What no policy is asked about: an undo, and what is only looked up.
    fn unjudged(call: &Arc<ActionCall>, prepared: Prepared) -> Self {
        Self { call: Arc::clone(call), prepared, params: Arc::default() }
    }

    pub(crate) fn call(&self) -> &Arc<ActionCall> {
        &self.call
    }

    pub(crate) fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// What policies see of it.
    pub(crate) fn parts(&self) -> (&ActionCall, &Value) {
        (&self.call, &self.params)
    }

    /// The parameters as policies see them; null where there are none.
    pub(crate) fn params(&self) -> &Arc<Value> {
        &self.params
    }

    /// The key under which it waits for others.
    pub(crate) fn lock_key(&self) -> Option<String> {
        self.prepared.lock().map(|key| format!("{}\u{0}{}", self.call.connector, key.0))
    }
}

/// A refusal, with all that is to be recorded of it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) call: Arc<ActionCall>,
    pub(crate) verdicts: Vec<VerdictRecord>,
    pub(crate) error: Error,
}

/// What of a run policies see, parsed once.
#[derive(Debug, Default)]
pub(crate) struct Subject {
    attributes: Map<String, Value>,
    payload: Value,
}

impl Subject {
    pub(crate) fn new(state: &RunState) -> Self {
        Self {
            attributes: state.accepted.attributes.decode().unwrap_or_default(),
            payload: state.accepted.input.value(),
        }
    }
}

/// What the policies said, all of them.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) verdicts: Vec<VerdictRecord>,
    /// What a person has to approve, and which policy wants it.
    pub(crate) wanted: Vec<(String, Approval)>,
}

impl Judged {
    /// The first refusal among the verdicts.
    pub(crate) fn refusal(&self) -> Option<Error> {
        refusal(&self.verdicts)
    }
}

/// The first refusal among verdicts.
pub(crate) fn refusal(verdicts: &[VerdictRecord]) -> Option<Error> {
    verdicts.iter().find(|verdict| !verdict.passed).map(|verdict| {
        let message = format!("policy '{}' denied it: {}", verdict.policy, verdict.reason);
        Error::new(ErrorCode::PolicyDenied, message).left_nothing()
    })
}

/// Judges the run as a whole.
pub(crate) fn judge_run(shared: &Shared, state: &RunState, subject: &Subject) -> Judged {
    shared.recent.look(|admitted| judge(shared, state, subject, Stage::Run, admitted))
}

/// An action as the workflow's code asks for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) seq: Seq,
    pub(crate) path: &'a CallPath,
    pub(crate) connector: &'a str,
    pub(crate) action: &'a str,
    pub(crate) params: &'a JsonText,
}

/// The forward gate: allowlist first, then the parameters, then all policies on the exact action.
pub(crate) fn admit(
    shared: &Shared,
    state: &RunState,
    subject: &Subject,
    asked: &Asked<'_>,
) -> Result<(Permitted, Judged), Box<Refusal>> {
    let refused =
        |error| Box::new(Refusal { call: Arc::new(unread_call(asked)), verdicts: Vec::new(), error });
    let permitted = prepare(shared, asked).map_err(refused)?;
    // Counted and admitted in one step: two runs cannot both be the last that a limit allows.
    let judged = shared.recent.look(|admitted| {
        let judged = judge_action(shared, state, subject, permitted.parts(), None, admitted);
        if judged.refusal().is_none() {
            admitted.admit(shared, state, &permitted.call);
        }
        judged
    });
    match judged.refusal() {
        Some(error) => Err(Box::new(Refusal { call: permitted.call, verdicts: judged.verdicts, error })),
        None => Ok((permitted, judged)),
    }
}

/// Whether an action would be allowed on its parameters without anybody's leave. Nothing is counted.
pub(crate) fn would_be_allowed(
    shared: &Shared,
    state: &RunState,
    subject: &Subject,
    asked: &Asked<'_>,
) -> bool {
    let Ok(permitted) = prepare(shared, asked) else { return false };
    let judged = shared
        .recent
        .look(|admitted| judge_action(shared, state, subject, permitted.parts(), None, admitted));
    judged.refusal().is_none() && judged.wanted.is_empty()
}

/// The allowlist, and the parameters.
fn prepare(shared: &Shared, asked: &Asked<'_>) -> Result<Permitted, Error> {
    let toolbox = shared.connector(asked.connector)?.toolbox();
    toolbox.check_allowed(asked.action)?;
    let prepared = toolbox.prepare(asked.action, asked.params)?;
    let spec = prepared.spec();
    let call = Arc::new(ActionCall {
        version: spec.version,
        effect: spec.effect,
        params: prepared.params().clone(),
        target: Some(prepared.target()),
        ..unread_call(asked)
    });
    let params = if shared.policies.is_empty() { Value::Null } else { call.params.value() };
    Ok(Permitted { call, prepared, params: Arc::new(params) })
}

/// The call, as long as its parameters are not read.
pub(crate) fn unread_call(asked: &Asked<'_>) -> ActionCall {
    ActionCall {
        seq: asked.seq,
        path: asked.path.clone(),
        connector: asked.connector.to_owned(),
        action: asked.action.to_owned(),
        version: 0,
        effect: EffectClass::ReadOnly,
        params: asked.params.clone(),
        target: None,
    }
}

/// The last gate before the intent: all policies again, on what capture found.
pub(crate) fn judge_captured(
    shared: &Shared,
    state: &RunState,
    subject: &Subject,
    action: (&ActionCall, &Value),
    facts: &Facts,
) -> Judged {
    shared.recent.look(|admitted| judge_action(shared, state, subject, action, Some(facts), admitted))
}

fn judge_action(
    shared: &Shared,
    state: &RunState,
    subject: &Subject,
    (call, params): (&ActionCall, &Value),
    facts: Option<&Facts>,
    admitted: &Admitted,
) -> Judged {
    if shared.policies.is_empty() {
        return Judged::default();
    }
    let kind = shared.connector(&call.connector).map_or("", |connector| connector.toolbox().kind());
    let unknown = Target::new("unknown", "");
    let action = ActionRequest {
        connector: &call.connector,
        seq: call.seq,
        kind,
        action: &call.action,
        params,
        target: call.target.as_ref().unwrap_or(&unknown),
        effect: call.effect,
    };
    let stage = match facts {
        Some(facts) => Stage::Captured(action, facts),
        None => Stage::Action(action),
    };
    judge(shared, state, subject, stage, admitted)
}

/// All policies are asked and all verdicts kept. A policy that panics has said no.
fn judge(
    shared: &Shared,
    state: &RunState,
    subject: &Subject,
    stage: Stage<'_>,
    admitted: &Admitted,
) -> Judged {
    let but = match &stage {
        Stage::Action(action) | Stage::Captured(action, _) => Some((state.id, action.seq)),
        _ => None,
    };
    let recent = Shown { admitted, but, store: &*shared.store };
    let request = Request {
        run: state.id,
        workflow: &state.accepted.workflow,
        user: &state.accepted.user,
        attributes: &subject.attributes,
        payload: &subject.payload,
        now: shared.clock.now(),
        actions: &state.actions,
        recent: &recent,
        stage,
    };
    let mut judged = Judged { verdicts: Vec::with_capacity(shared.policies.len()), wanted: Vec::new() };
    for (name, policy) in &shared.policies {
        let verdict = catch_unwind(AssertUnwindSafe(|| policy.judge(&request)));
        let (passed, reason) = match verdict {
            Ok(Verdict::Pass) => (true, String::new()),
            Ok(Verdict::Deny(reason)) => (false, reason),
            Ok(Verdict::NeedsApproval(approval)) => {
                let reason = format!("needs a person's approval: {}", approval.reason);
                judged.wanted.push((name.to_string(), approval));
                (true, reason)
            }
            Ok(_) => (false, "the policy gave a verdict that this runtime does not know".to_owned()),
            Err(_) => (false, "the policy panicked".to_owned()),
        };
        judged.verdicts.push(VerdictRecord { policy: name.clone(), passed, reason });
    }
    judged
}

/// SHA-256 of all policies, in their order: an approval that was given under others is none.
pub(crate) fn digest_of_policies(policies: &[Arc<dyn Policy>]) -> Result<String, Error> {
    let all: Vec<(&str, String)> = policies.iter().map(|policy| (policy.name(), policy.version())).collect();
    digest(&all)
}

/// SHA-256 of something as JSON, in hexadecimal digits. JSON says where each part ends; what has no JSON has no digest.
pub(crate) fn digest(what: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_vec(what).map_err(|source| {
        Error::new(ErrorCode::Internal, format!("what is to be bound has no JSON form: {source}"))
            .with_source(source)
    })?;
    Ok(format!("{:x}", Sha256::digest(text)))
}

/// The right to probe an intent: that it is recorded.
pub(crate) fn recorded(shared: &Shared, call: &Arc<ActionCall>) -> Result<Permitted, Error> {
    let toolbox = shared.connector(&call.connector)?.toolbox();
    let prepared = toolbox.prepare(&call.action, &call.params)?;
    Ok(Permitted::unjudged(call, prepared))
}

/// The right to probe the undo of an intent: that it is recorded.
pub(crate) fn recorded_undo(
    shared: &Shared,
    call: &Arc<ActionCall>,
    undo: &CompensationIntended,
) -> Result<Permitted, Error> {
    let toolbox = shared.connector(&call.connector)?.toolbox();
    let prepared = toolbox.prepare_undo(&undo.action, &undo.params)?;
    Ok(Permitted::unjudged(call, prepared))
}

/// What undoing an attempt takes, and the right to it: the recorded intent.
pub(crate) fn compensation(
    shared: &Shared,
    call: &Arc<ActionCall>,
    attempt: &Attempt,
) -> Result<Undo<(Permitted, enact_core::UndoAction)>, Error> {
    let toolbox = shared.connector(&call.connector)?.toolbox();
    let action = toolbox.prepare(&call.action, &call.params)?;
    let output = match &attempt.outcome {
        Outcome::Done(output) => output.as_ref(),
        _ => None,
    };
    Ok(match action.undo(&attempt.intent.pre, output)? {
        Undo::By(undo) => {
            let prepared = toolbox.prepare_undo(undo.name, &undo.params)?;
            Undo::By((Permitted::unjudged(call, prepared), undo))
        }
        Undo::Nothing => Undo::Nothing,
        Undo::Irreversible(reason) => Undo::Irreversible(reason),
    })
}
