//! Runs whose events are kept as fixtures: between them every kind, and every form that a kind has.

use std::sync::Arc;

use enact_core::action::{EffectClass, Target};
use enact_core::blob::BlobRef;
use enact_core::connector::Identity;
use enact_core::error::{ErrorCode, ErrorRecord, Remains};
use enact_core::event::*;
use enact_core::ids::{CallPath, EventSeq, Position, Pseudonym, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::policy::VerdictRecord;
use enact_core::run::RunStatus;
use enact_core::time::Timestamp;

pub(super) struct Run {
    pub(super) name: &'static str,
    pub(super) events: Vec<StoredEvent>,
}

pub(super) fn runs() -> Vec<Run> {
    let mut first = 1;
    let mut run = |name, events: Vec<Event>| {
        let run = stored(name, first, events);
        first += run.events.len() as u64;
        run
    };
    vec![
        run("undone-in-part", [forward(), in_doubt(), undone()].concat()),
        run("blocked", blocked()),
        run("cancelled", cancelled()),
        run("failed-and-kept", failed_and_kept()),
        run("approved", approved()),
        run("erased", [blocked(), vec![content_erased()]].concat()),
        run("judged", judged_by_known_policies()),
    ]
}

/// Puts events into a log from a position on, a second after one another.
fn stored(name: &'static str, first: u64, events: Vec<Event>) -> Run {
    let run_id = RunId::from_parts(1_700_000_000_000 + first, [0xab; 10]);
    let place = |(event, number): (Event, u64)| StoredEvent {
        position: Position(first + number),
        run_id,
        event_seq: EventSeq(number + 1),
        at: Timestamp::from_unix_us(1_700_000_000_000_001 + (first + number) * 1_000_000),
        by: Pseudonym(*b"0123456789abcdef"),
        event,
    };
    Run { name, events: events.into_iter().zip(0..).map(place).collect() }
}

/// An event that holds `text`.
pub(super) fn value(text: &str) -> Event {
    let value = JsonText::encode(text).unwrap();
    Event::ValueRecorded(ValueRecorded { path: CallPath::root(5), what: "now".into(), value })
}

fn json(text: &str) -> JsonText {
    JsonText::parse(text).unwrap()
}

fn error(code: ErrorCode, message: &str, retryable: bool) -> ErrorRecord {
    ErrorRecord { code, message: message.into(), retryable }
}

fn verdicts(passed: bool) -> Vec<VerdictRecord> {
    let reason = if passed { "" } else { "not on a Friday" };
    vec![VerdictRecord { policy: "weekdays".into(), passed, reason: reason.into() }]
}

fn accepted(source: WorkflowSource, on_failure: OnFailure, key: Option<&str>) -> Event {
    Event::RunAccepted(Arc::new(RunAccepted {
        workflow: "agent-pr".into(),
        version: 3,
        source,
        user: "agent@example.org".into(),
        attributes: json(r#"{"team":"größe"}"#),
        input: json(r#"{"n":1.50,"list":[null,true]}"#),
        on_failure,
        key: key.map(Into::into),
    }))
}

/// Whether an event has what a version of its kind can say.
pub(super) fn is_of_version(version: u16, event: &Event) -> bool {
    match event {
        Event::PoliciesEvaluated(judged) => judged.policies.is_some() == (version >= 2),
        _ => true,
    }
}

fn judged(passed: bool) -> Event {
    Event::PoliciesEvaluated(PoliciesEvaluated { verdicts: verdicts(passed), policies: None })
}

fn judged_by_known_policies() -> Vec<Event> {
    let policies = Some("5e".repeat(32));
    let judged = |passed| {
        let verdicts = verdicts(passed);
        Event::PoliciesEvaluated(PoliciesEvaluated { verdicts, policies: policies.clone() })
    };
    vec![
        accepted(WorkflowSource::Code, OnFailure::Keep, None),
        judged(false),
        judged(true),
        Event::RunSucceeded(RunSucceeded { output: json("null") }),
    ]
}

fn call(seq: u64, effect: EffectClass) -> Arc<ActionCall> {
    let number = u32::try_from(seq).unwrap();
    Arc::new(ActionCall {
        seq: Seq(seq),
        path: if seq == 6 { CallPath::root(8).branch(0, 1) } else { CallPath::root(number + 20) },
        connector: "files".into(),
        action: "write_file".into(),
        version: 2,
        effect,
        params: json(r#"{"path":"a.txt","content":"new"}"#),
        target: Some(Target::new("file", "a.txt").with("root", "/work")),
    })
}

fn intended(seq: u64, attempt: u32) -> Event {
    Event::ActionIntended(Arc::new(ActionIntended {
        call: call(seq, if seq == 9 { EffectClass::Irreversible } else { EffectClass::Reversible }),
        attempt,
        verdicts: verdicts(true),
        facts: json(r#"{"exists":true}"#),
        pre: json(r#"{"content":"old"}"#),
        blobs: vec![BlobRef { sha256: "ab".repeat(32), size: 1 << 33 }],
        identity: Identity("dev 1 inode 2".into()),
    }))
}

fn succeeded(seq: u64, attempt: u32) -> Event {
    let output = json(r#"{"path":"a.txt"}"#);
    Event::ActionSucceeded(ActionSucceeded { seq: Seq(seq), attempt, output })
}

fn failed(seq: u64, attempt: u32, error: ErrorRecord, remains: Remains, will_retry: bool) -> Event {
    Event::ActionFailed(ActionFailed { seq: Seq(seq), attempt, error, remains, will_retry })
}

fn resolved(seq: u64, finding: Finding) -> Event {
    Event::ActionResolved(ActionResolved { seq: Seq(seq), attempt: 1, finding, will_retry: false })
}

fn decided(seq: u64, decision: Decision) -> Event {
    Event::OperatorDecided(OperatorDecided { by: "os:op".into(), seq: Some(Seq(seq)), decision })
}

fn undo_intended(seq: u64, attempt: u32, undo_try: u32) -> Event {
    Event::CompensationIntended(Arc::new(CompensationIntended {
        seq: Seq(seq),
        attempt,
        undo_try,
        action: "restore_file".into(),
        version: 1,
        params: json(r#"{"path":"a.txt"}"#),
        pre: json("null"),
        blobs: Vec::new(),
        identity: Identity("dev 1 inode 2".into()),
        by: "boss@example.org".into(),
    }))
}

fn undo_failed(seq: u64, attempt: u32, error: ErrorRecord, will_retry: bool) -> Event {
    Event::CompensationFailed(CompensationFailed { seq: Seq(seq), attempt, error, will_retry })
}

fn undo_resolved(seq: u64, attempt: u32, finding: Finding) -> Event {
    Event::CompensationResolved(CompensationResolved { seq: Seq(seq), attempt, finding })
}

fn undone_by(seq: u64, attempt: u32) -> Event {
    Event::CompensationSucceeded(CompensationSucceeded { seq: Seq(seq), attempt, output: json("{}") })
}

fn skipped(seq: u64, attempt: u32, why: Skipped) -> Event {
    Event::CompensationSkipped(CompensationSkipped { seq: Seq(seq), attempt, why })
}

fn rollback(reason: Option<&str>, to: Option<u64>, force: bool) -> Event {
    let (reason, to) = (reason.map(Into::into), to.map(Seq));
    Event::RollbackRequested(RollbackRequested { by: "boss@example.org".into(), reason, to, force })
}

/// Everything that a workflow asks for and that ends at once, and an action that succeeds at its second attempt.
fn forward() -> Vec<Event> {
    let verdicts = || verdicts(true);
    let refused = ActionCall { target: None, ..(*call(3, EffectClass::Irreversible)).clone() };
    let output = || json(r#"{"content":"old"}"#);
    let not_found = error(ErrorCode::NotFound, "there is no b.txt", false);
    let path = CallPath::root(6);
    vec![
        accepted(WorkflowSource::Text("name: agent-pr\n".into()), OnFailure::Rollback, Some("once")),
        judged(true),
        Event::ActionRead(ActionRead {
            call: call(1, EffectClass::ReadOnly),
            verdicts: verdicts(),
            output: output(),
        }),
        Event::ActionAlreadyDone(ActionAlreadyDone {
            call: call(2, EffectClass::Reversible),
            verdicts: verdicts(),
            output: output(),
        }),
        Event::ActionRefused(ActionRefused {
            call: Arc::new(refused),
            verdicts: self::verdicts(false),
            error: error(ErrorCode::PolicyDenied, "not on a Friday", false),
        }),
        Event::ActionCaptureFailed(ActionCaptureFailed {
            call: call(4, EffectClass::Reversible),
            verdicts: verdicts(),
            error: not_found,
        }),
        value("2023-11-14T22:13:20Z"),
        Event::TimerSet(TimerSet { path: path.clone(), due: Timestamp::from_unix_us(1_700_000_000_000_000) }),
        Event::TimerFired(TimerFired { path }),
        intended(5, 1),
        failed(5, 1, error(ErrorCode::Unavailable, "busy", true), Remains::Nothing, true),
        intended(5, 2),
        succeeded(5, 2),
    ]
}

/// Actions in doubt, settled by a probe or by an operator.
fn in_doubt() -> Vec<Event> {
    vec![
        intended(6, 1),
        failed(6, 1, error(ErrorCode::InDoubt, "no reply", false), Remains::Perhaps, false),
        resolved(6, Finding::Applied(json("{}"))),
        intended(7, 1),
        resolved(7, Finding::Unknown("two candidates".into())),
        Event::RunQuarantined(RunQuarantined {
            error: error(ErrorCode::InDoubt, "two candidates", false),
            seq: Some(Seq(7)),
        }),
        decided(7, Decision::Retry),
        resolved(7, Finding::Unknown("two candidates".into())),
        Event::RunQuarantined(RunQuarantined {
            error: error(ErrorCode::InDoubt, "two candidates still", false),
            seq: None,
        }),
        decided(7, Decision::NotApplied),
        intended(7, 2),
        succeeded(7, 2),
        intended(8, 1),
        resolved(8, Finding::NotApplied),
        intended(9, 1),
        succeeded(9, 1),
        Event::RunSucceeded(RunSucceeded { output: json("[1,2]") }),
    ]
}

/// A rollback in which every way that a compensation ends happens, an operator's words, and a second rollback.
fn undone() -> Vec<Event> {
    vec![
        rollback(Some("a mistake"), None, false),
        skipped(9, 1, Skipped::Irreversible("it was sent".into())),
        undo_intended(7, 2, 1),
        undo_failed(7, 2, error(ErrorCode::InDoubt, "no reply", false), false),
        undo_resolved(7, 2, Finding::NotApplied),
        undo_intended(7, 2, 2),
        undo_failed(7, 2, error(ErrorCode::RateLimited, "slower", true), true),
        undo_intended(7, 2, 3),
        undone_by(7, 2),
        undo_intended(6, 1, 1),
        Event::CompensationConflicted(CompensationConflicted {
            seq: Seq(6),
            attempt: 1,
            error: error(ErrorCode::Conflict, "changed since", false),
        }),
        skipped(5, 2, Skipped::AlreadyUndone),
        Event::RollbackFinished,
        decided(9, Decision::Abandon),
        decided(9, Decision::Applied),
        rollback(None, Some(5), true),
        undo_intended(6, 1, 2),
        undo_resolved(6, 1, Finding::Unknown("cannot tell".into())),
        Event::RollbackFinished,
    ]
}

fn blocked() -> Vec<Event> {
    let error = error(ErrorCode::PolicyDenied, "not on a Friday", false);
    vec![
        accepted(WorkflowSource::Code, OnFailure::Rollback, None),
        judged(false),
        Event::RunBlocked(RunBlocked { error }),
    ]
}

fn content_erased() -> Event {
    Event::ContentErased(ContentErased {
        status: RunStatus::Blocked,
        actions: 0,
        ended_at: Timestamp::from_unix_us(1_700_000_000_000_000),
        blobs: vec![[0xcd; 32]],
    })
}

fn approval_requested(call: Option<Arc<ActionCall>>, facts: Option<JsonText>, digest: &str) -> Event {
    let reasons = vec![ApprovalReason { policy: "weekdays".into(), reason: "it is Friday".into() }];
    Event::ApprovalRequested(Arc::new(ApprovalRequested {
        identity: call.as_ref().map(|_| Identity("device 1 inode 2".into())),
        call,
        verdicts: verdicts(true),
        facts,
        reasons,
        approvers: vec!["boss@example.org".into()],
        digest: digest.repeat(32),
        policies: "cd".repeat(32),
        expires_at: Timestamp::from_unix_us(4_000_000_000_000_000),
    }))
}

fn approval_decided(seq: Option<u64>, digest: &str, word: ApprovalWord, reason: Option<&str>) -> Event {
    let (digest, by) = (digest.repeat(32), Some("boss@example.org".into()));
    Event::ApprovalDecided(ApprovalDecided {
        seq: seq.map(Seq),
        digest,
        word,
        by,
        reason: reason.map(Into::into),
    })
}

/// The run and one action are approved, another is not.
fn approved() -> Vec<Event> {
    let error = error(ErrorCode::ApprovalDenied, "boss@example.org did not approve it: no", false);
    vec![
        accepted(WorkflowSource::Code, OnFailure::Keep, None),
        approval_requested(None, None, "01"),
        approval_decided(None, "01", ApprovalWord::Approved, None),
        judged(true),
        approval_requested(Some(call(1, EffectClass::Reversible)), Some(json(r#"{"rows":3}"#)), "02"),
        approval_decided(Some(1), "02", ApprovalWord::Approved, Some("fine")),
        intended(1, 1),
        succeeded(1, 1),
        approval_requested(Some(call(2, EffectClass::Reversible)), None, "03"),
        approval_decided(Some(2), "03", ApprovalWord::Denied, Some("no")),
        Event::ActionRefused(ActionRefused {
            call: call(2, EffectClass::Reversible),
            verdicts: verdicts(true),
            error: error.clone(),
        }),
        Event::RunFailed(RunFailed { error }),
    ]
}

fn cancelled() -> Vec<Event> {
    let cancel = CancelRequested { by: "boss@example.org".into(), reason: Some("enough".into()) };
    vec![
        accepted(WorkflowSource::Code, OnFailure::Rollback, None),
        judged(true),
        intended(1, 1),
        succeeded(1, 1),
        intended(2, 1),
        Event::CancelRequested(cancel),
        succeeded(2, 1),
        skipped(2, 1, Skipped::NothingToUndo),
        undo_intended(1, 1, 1),
        undo_resolved(1, 1, Finding::Applied(json("{}"))),
        Event::RollbackFinished,
    ]
}

fn failed_and_kept() -> Vec<Event> {
    let timeout = || error(ErrorCode::Timeout, "too slow", false);
    vec![
        accepted(WorkflowSource::Code, OnFailure::Keep, None),
        judged(true),
        intended(1, 1),
        failed(1, 1, timeout(), Remains::Perhaps, false),
        Event::RunFailed(RunFailed { error: timeout() }),
    ]
}
