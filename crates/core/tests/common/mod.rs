//! Events of a run, made short.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test takes what it needs of these"
)]

use std::sync::Arc;

use enact_core::action::{EffectClass, Target};
use enact_core::connector::Identity;
use enact_core::error::{ErrorCode, ErrorRecord, Remains};
use enact_core::event::*;
use enact_core::ids::{CallPath, EventSeq, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::policy::VerdictRecord;
use enact_core::run::{IllegalTransition, RunState};
use enact_core::time::Timestamp;

pub(crate) fn run_id() -> RunId {
    RunId::from_parts(1_700_000_000_000, [7; 10])
}

pub(crate) fn at(us: u64) -> Timestamp {
    Timestamp::from_unix_us(1_700_000_000_000_000 + us)
}

pub(crate) fn json(text: &str) -> JsonText {
    JsonText::parse(text).unwrap()
}

pub(crate) fn error(code: ErrorCode) -> ErrorRecord {
    ErrorRecord { code, message: format!("a {code} error"), retryable: false }
}

pub(crate) fn accepted(on_failure: OnFailure) -> Event {
    Event::RunAccepted(Arc::new(RunAccepted {
        workflow: "tidy".into(),
        version: 1,
        source: WorkflowSource::Code,
        user: "agent@company.com".into(),
        attributes: json("{}"),
        input: json("{}"),
        on_failure,
        key: None,
    }))
}

pub(crate) fn verdict(passed: bool) -> VerdictRecord {
    let reason = if passed { "" } else { "no" };
    VerdictRecord { policy: "house".into(), passed, reason: reason.into() }
}

pub(crate) fn judged(passed: bool) -> Event {
    Event::PoliciesEvaluated(PoliciesEvaluated { verdicts: vec![verdict(passed)], policies: None })
}

pub(crate) fn approval_requested(seq: Option<u64>, digest: &str, seconds: u64) -> Event {
    Event::ApprovalRequested(Arc::new(ApprovalRequested {
        call: seq.map(call),
        verdicts: vec![verdict(true)],
        facts: None,
        reasons: vec![ApprovalReason { policy: "house".into(), reason: "look".into() }],
        approvers: Vec::new(),
        identity: seq.map(|_| Identity("here".into())),
        digest: digest.into(),
        policies: "all".into(),
        expires_at: Timestamp::from_unix_us(seconds * 1_000_000),
    }))
}

pub(crate) fn approval_decided(
    seq: Option<u64>,
    digest: &str,
    word: ApprovalWord,
    by: Option<&str>,
) -> Event {
    let (seq, by) = (seq.map(Seq), by.map(Into::into));
    Event::ApprovalDecided(ApprovalDecided { seq, digest: digest.into(), word, by, reason: None })
}

pub(crate) fn path(number: u64) -> CallPath {
    CallPath::root(u32::try_from(number).unwrap())
}

pub(crate) fn call(seq: u64) -> Arc<ActionCall> {
    call_at(seq, path(seq))
}

pub(crate) fn call_at(seq: u64, path: CallPath) -> Arc<ActionCall> {
    Arc::new(ActionCall {
        seq: Seq(seq),
        path,
        connector: "files".into(),
        action: "write_file".into(),
        version: 1,
        effect: EffectClass::Reversible,
        params: json(&format!(r#"{{"path":"{seq}"}}"#)),
        target: Some(Target::new("file", seq.to_string())),
    })
}

pub(crate) fn intended(call: &Arc<ActionCall>, attempt: u32) -> Event {
    Event::ActionIntended(Arc::new(ActionIntended {
        call: Arc::clone(call),
        attempt,
        verdicts: vec![verdict(true)],
        facts: json("{}"),
        pre: json(r#"{"was":"absent"}"#),
        blobs: Vec::new(),
        identity: Identity("root".into()),
    }))
}

pub(crate) fn succeeded(seq: u64, attempt: u32) -> Event {
    let output = json(&format!(r#"{{"wrote":{seq}}}"#));
    Event::ActionSucceeded(ActionSucceeded { seq: Seq(seq), attempt, output })
}

pub(crate) fn failed(seq: u64, attempt: u32, code: ErrorCode, remains: Remains, will_retry: bool) -> Event {
    Event::ActionFailed(ActionFailed { seq: Seq(seq), attempt, error: error(code), remains, will_retry })
}

pub(crate) fn resolved(seq: u64, attempt: u32, finding: Finding, will_retry: bool) -> Event {
    Event::ActionResolved(ActionResolved { seq: Seq(seq), attempt, finding, will_retry })
}

pub(crate) fn refused(seq: u64) -> Event {
    let error = error(ErrorCode::PermissionDenied);
    Event::ActionRefused(ActionRefused { call: call(seq), verdicts: vec![verdict(false)], error })
}

pub(crate) fn read(seq: u64) -> Event {
    Event::ActionRead(ActionRead { call: call(seq), verdicts: Vec::new(), output: json("\"text\"") })
}

pub(crate) fn already_done(seq: u64) -> Event {
    Event::ActionAlreadyDone(ActionAlreadyDone { call: call(seq), verdicts: Vec::new(), output: json("{}") })
}

pub(crate) fn capture_failed(seq: u64) -> Event {
    let error = error(ErrorCode::NotFound);
    Event::ActionCaptureFailed(ActionCaptureFailed { call: call(seq), verdicts: Vec::new(), error })
}

pub(crate) fn run_succeeded() -> Event {
    Event::RunSucceeded(RunSucceeded { output: json("\"done\"") })
}

pub(crate) fn run_failed() -> Event {
    Event::RunFailed(RunFailed { error: error(ErrorCode::Unavailable) })
}

pub(crate) fn blocked() -> Event {
    Event::RunBlocked(RunBlocked { error: error(ErrorCode::PolicyDenied) })
}

pub(crate) fn cancelled() -> Event {
    Event::CancelRequested(CancelRequested { by: "os:ann".into(), reason: None })
}

pub(crate) fn rollback(to: Option<u64>, force: bool) -> Event {
    let by = "os:ann".into();
    Event::RollbackRequested(RollbackRequested { by, reason: None, to: to.map(Seq), force })
}

pub(crate) fn undo_intended(seq: u64, attempt: u32, undo_try: u32) -> Event {
    Event::CompensationIntended(Arc::new(CompensationIntended {
        seq: Seq(seq),
        attempt,
        undo_try,
        action: "restore_file".into(),
        version: 1,
        params: json("{}"),
        pre: json("{}"),
        blobs: Vec::new(),
        identity: Identity("root".into()),
        by: "os:ann".into(),
    }))
}

pub(crate) fn undo_succeeded(seq: u64, attempt: u32) -> Event {
    Event::CompensationSucceeded(CompensationSucceeded { seq: Seq(seq), attempt, output: JsonText::null() })
}

pub(crate) fn undo_skipped(seq: u64, attempt: u32, why: Skipped) -> Event {
    Event::CompensationSkipped(CompensationSkipped { seq: Seq(seq), attempt, why })
}

pub(crate) fn undo_conflicted(seq: u64, attempt: u32) -> Event {
    let error = error(ErrorCode::Conflict);
    Event::CompensationConflicted(CompensationConflicted { seq: Seq(seq), attempt, error })
}

pub(crate) fn undo_failed(seq: u64, attempt: u32, code: ErrorCode, will_retry: bool) -> Event {
    let error = error(code);
    Event::CompensationFailed(CompensationFailed { seq: Seq(seq), attempt, error, will_retry })
}

pub(crate) fn undo_resolved(seq: u64, attempt: u32, finding: Finding) -> Event {
    Event::CompensationResolved(CompensationResolved { seq: Seq(seq), attempt, finding })
}

pub(crate) fn quarantined(seq: Option<u64>) -> Event {
    Event::RunQuarantined(RunQuarantined { error: error(ErrorCode::InDoubt), seq: seq.map(Seq) })
}

pub(crate) fn decided(seq: Option<u64>, decision: Decision) -> Event {
    Event::OperatorDecided(OperatorDecided { by: "os:ann".into(), seq: seq.map(Seq), decision })
}

/// Folds events that are numbered and timed one after the other.
pub(crate) fn fold(events: &[Event]) -> Result<RunState, IllegalTransition> {
    let mut state = RunState::begin(run_id(), EventSeq(1), at(1), &events[0])?;
    for (number, event) in (2..).zip(&events[1..]) {
        state.apply(at(number), event)?;
    }
    Ok(state)
}

/// A run that its policies passed.
pub(crate) fn running() -> Vec<Event> {
    vec![accepted(OnFailure::Rollback), judged(true)]
}

/// The events of `begin` and then of `more`.
pub(crate) fn then(mut begin: Vec<Event>, more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    begin.extend(more);
    begin
}
