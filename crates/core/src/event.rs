//! What the log says. Each event is a fact that happened to one run; [`RunState`](crate::run::RunState) says in
//! which order they may follow each other.
//!
//! Types here are plain: no untagged or flattened forms, no `Value`. They are written in a format that does
//! not describe itself, so a released type never changes. A new field makes a new version of the record, and so does
//! a new variant or word in its body, such as an `ErrorCode`: an older build reads that version as `NewerFormat`, and
//! a word that it does not know as damage.

mod about;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::action::{EffectClass, Target};
use crate::blob::BlobRef;
use crate::connector::Identity;
use crate::error::{ErrorRecord, Remains};
use crate::ids::{CallPath, EventSeq, Position, Pseudonym, RunId, Seq};
use crate::json::JsonText;
use crate::policy::VerdictRecord;
use crate::run::RunStatus;
use crate::time::Timestamp;

macro_rules! events {
    ($($(#[$doc:meta])* $code:literal $name:ident $(($body:ty))?,)*) => {
        /// One fact of a run.
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
        #[serde(tag = "kind", content = "data")]
        pub enum Event {
            $($(#[$doc])* $name $(($body))?,)*
        }

        impl Event {
            /// The number of the kind in the clear header of a record. Stable for ever; never used again.
            #[must_use]
            pub fn code(&self) -> u16 {
                match self { $(events!(@pattern $name $($body)?) => $code,)* }
            }

            /// The kind's name.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(events!(@pattern $name $($body)?) => stringify!($name),)* }
            }

            /// The names of all kinds that are recorded, in the order of their numbers.
            pub fn kinds() -> impl Iterator<Item = &'static str> {
                [$(stringify!($name),)*].into_iter().filter(|name| *name != "PayloadErased")
            }

            /// The name of the kind that has a number; `unknown` where none has.
            #[must_use]
            pub fn name_of(code: u16) -> &'static str {
                match code { $($code => stringify!($name),)* _ => "unknown" }
            }
        }
    };
    (@pattern $name:ident $body:ty) => { Self::$name(_) };
    (@pattern $name:ident) => { Self::$name };
}

events! {
    /// The run is accepted; from here on it ends in a final status or waits for a person.
    1 RunAccepted(Arc<RunAccepted>),
    /// The policies judged the run as a whole.
    2 PoliciesEvaluated(PoliciesEvaluated),
    /// Refused before any effect. The run has ended.
    3 RunBlocked(RunBlocked),
    /// The run, or one of its actions, waits for a person's approval. Durable before anybody is told.
    4 ApprovalRequested(Arc<ApprovalRequested>),
    /// A person's word on it, or that there is no more time for one.
    5 ApprovalDecided(ApprovalDecided),
    /// The action was refused: by the allowlist, a policy, or because its parameters are wrong.
    10 ActionRefused(ActionRefused),
    /// A read-only action and what it gave.
    11 ActionRead(ActionRead),
    /// The wanted state was there already; nothing was changed.
    12 ActionAlreadyDone(ActionAlreadyDone),
    /// One attempt is about to be performed. Durable before it is.
    13 ActionIntended(Arc<ActionIntended>),
    /// The attempt succeeded.
    14 ActionSucceeded(ActionSucceeded),
    /// The attempt failed, or its outcome is not known (`in_doubt`).
    15 ActionFailed(ActionFailed),
    /// A probe's word on an attempt whose outcome was not known.
    16 ActionResolved(ActionResolved),
    /// The action ended before any intent of this attempt: what it needs is not there.
    17 ActionCaptureFailed(ActionCaptureFailed),
    /// The workflow sleeps until a time.
    20 TimerSet(TimerSet),
    /// The time has come.
    21 TimerFired(TimerFired),
    /// The workflow was given a value that is not to be asked for again: the time, a random number.
    22 ValueRecorded(ValueRecorded),
    /// Somebody stops the run; what it did will be undone.
    30 CancelRequested(CancelRequested),
    /// The workflow ended normally. The run has ended.
    31 RunSucceeded(RunSucceeded),
    /// The workflow ended with an error; its effects are undone or kept as the run was accepted.
    32 RunFailed(RunFailed),
    /// Somebody wants the run undone.
    40 RollbackRequested(RollbackRequested),
    /// One try of a compensation is about to be performed. Durable before it is.
    41 CompensationIntended(Arc<CompensationIntended>),
    /// The compensation succeeded: the attempt is undone.
    42 CompensationSucceeded(CompensationSucceeded),
    /// There was nothing to do, or there is no way to do it.
    43 CompensationSkipped(CompensationSkipped),
    /// Somebody changed the target since; it was left as it is.
    44 CompensationConflicted(CompensationConflicted),
    /// The try failed, or its outcome is not known (`in_doubt`).
    45 CompensationFailed(CompensationFailed),
    /// A probe's word on a compensation whose outcome was not known.
    46 CompensationResolved(CompensationResolved),
    /// The rollback is over; what could not be undone is in the events before.
    47 RollbackFinished,
    /// Going forward needs an operator.
    50 RunQuarantined(RunQuarantined),
    /// An operator's word.
    51 OperatorDecided(OperatorDecided),
    /// The content of the run was erased: its key is gone, and with it what every event before said.
    60 ContentErased(ContentErased),
    /// What is read in place of an event whose content was erased. Never appended.
    61 PayloadErased(PayloadErased),
}

/// See [`Event::ContentErased`]. All that stays known of the run, beside the times, kinds and pseudonyms of its events.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ContentErased {
    /// How the run had ended.
    pub status: RunStatus,
    /// How many actions it had.
    pub actions: u64,
    /// When it had ended.
    pub ended_at: Timestamp,
    /// The files of its blobs in the store, which are deleted with the key; nothing can be told from them.
    pub blobs: Vec<[u8; 32]>,
}

/// See [`Event::PayloadErased`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PayloadErased {
    /// The kind of the event that it was.
    pub was: String,
}

/// See [`Event::RunAccepted`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunAccepted {
    /// The workflow's name.
    pub workflow: String,
    /// Its version.
    pub version: u32,
    /// Where its steps come from.
    pub source: WorkflowSource,
    /// Who asked for the run.
    pub user: String,
    /// What is said of the user; a JSON object.
    pub attributes: JsonText,
    /// The workflow's input.
    pub input: JsonText,
    /// What becomes of its effects when it fails.
    pub on_failure: OnFailure,
    /// The idempotency key under which it was asked for.
    pub key: Option<String>,
}

/// Where a workflow's steps come from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowSource {
    /// Rust code, registered under name and version.
    Code,
    /// A declarative workflow; this is its text.
    Text(String),
}

/// What becomes of a run's effects when it fails.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// They are undone.
    #[default]
    Rollback,
    /// They are kept.
    Keep,
}

/// See [`Event::PoliciesEvaluated`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PoliciesEvaluated {
    /// All verdicts.
    pub verdicts: Vec<VerdictRecord>,
    /// SHA-256 of all policies as they were, in hexadecimal digits; `None` where an older build did not record it.
    pub policies: Option<String>,
}

/// See [`Event::RunBlocked`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunBlocked {
    /// The refusal.
    pub error: ErrorRecord,
}

/// See [`Event::ApprovalRequested`]. The digest is of exactly what would be approved, and no approval is good for anything
/// else.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApprovalRequested {
    /// The action; `None` where it is the run as a whole.
    pub call: Option<Arc<ActionCall>>,
    /// All verdicts on it.
    pub verdicts: Vec<VerdictRecord>,
    /// What capture found, where that is a part of what is to be approved; a JSON object.
    pub facts: Option<JsonText>,
    /// Why it is asked for: each policy that wants it, or the workflow, with its reason.
    pub reasons: Vec<ApprovalReason>,
    /// Who may approve; anybody but the run's user, where it is empty.
    pub approvers: Vec<String>,
    /// Which system the action is about; `None` where it is the run as a whole.
    pub identity: Option<Identity>,
    /// SHA-256 of the run or the action, with its facts, in hexadecimal digits.
    pub digest: String,
    /// SHA-256 of all policies as they were, in hexadecimal digits.
    pub policies: String,
    /// Until when it can be given, and used.
    pub expires_at: Timestamp,
}

/// Who wants an approval, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApprovalReason {
    /// The policy's name; `workflow`, where the workflow itself wants it.
    pub policy: String,
    /// The reason.
    pub reason: String,
}

/// See [`Event::ApprovalDecided`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApprovalDecided {
    /// The action; `None` where it is the run as a whole.
    pub seq: Option<Seq>,
    /// The digest of what was decided on.
    pub digest: String,
    /// The word.
    pub word: ApprovalWord,
    /// Whose; `None` where the time was over.
    pub by: Option<String>,
    /// The reason that was given.
    pub reason: Option<String>,
}

/// What became of a request for approval.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalWord {
    /// Yes.
    Approved,
    /// No.
    Denied,
    /// Nobody said anything in time.
    Expired,
}

/// An action as it was asked for: said once, in the first event of the action, and again with each intent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ActionCall {
    /// The action's number.
    pub seq: Seq,
    /// Where in the code it was asked for.
    pub path: CallPath,
    /// The connector's name.
    pub connector: String,
    /// The action's name within the connector.
    pub action: String,
    /// The version of the parameters' form.
    pub version: u32,
    /// What the action does to the world.
    pub effect: EffectClass,
    /// The exact parameters.
    pub params: JsonText,
    /// What it touches; `None` where the parameters could not be read.
    pub target: Option<Target>,
}

/// See [`Event::ActionRefused`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ActionRefused {
    /// The action.
    pub call: Arc<ActionCall>,
    /// All verdicts on it.
    pub verdicts: Vec<VerdictRecord>,
    /// Why.
    pub error: ErrorRecord,
}

/// See [`Event::ActionRead`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ActionRead {
    /// The action.
    pub call: Arc<ActionCall>,
    /// All verdicts on it.
    pub verdicts: Vec<VerdictRecord>,
    /// What it gave.
    pub output: JsonText,
}

/// See [`Event::ActionAlreadyDone`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ActionAlreadyDone {
    /// The action.
    pub call: Arc<ActionCall>,
    /// All verdicts on it.
    pub verdicts: Vec<VerdictRecord>,
    /// What it gave.
    pub output: JsonText,
}

/// See [`Event::ActionCaptureFailed`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ActionCaptureFailed {
    /// The action.
    pub call: Arc<ActionCall>,
    /// All verdicts on it.
    pub verdicts: Vec<VerdictRecord>,
    /// Why.
    pub error: ErrorRecord,
}

/// See [`Event::ActionIntended`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ActionIntended {
    /// The action.
    pub call: Arc<ActionCall>,
    /// The attempt, from 1.
    pub attempt: u32,
    /// All verdicts on it.
    pub verdicts: Vec<VerdictRecord>,
    /// What capture found beside the pre-state; a JSON object.
    pub facts: JsonText,
    /// The state that is about to be changed, and all that undo and probe need.
    pub pre: JsonText,
    /// Content of the pre-state that is kept in blobs.
    pub blobs: Vec<BlobRef>,
    /// Which system the connector speaks to.
    pub identity: Identity,
}

/// See [`Event::ActionSucceeded`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ActionSucceeded {
    /// The action.
    pub seq: Seq,
    /// The attempt.
    pub attempt: u32,
    /// What it gave.
    pub output: JsonText,
}

/// See [`Event::ActionFailed`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ActionFailed {
    /// The action.
    pub seq: Seq,
    /// The attempt.
    pub attempt: u32,
    /// Why; the code `in_doubt` where the outcome is not known.
    pub error: ErrorRecord,
    /// Whether something may be left outside.
    pub remains: Remains,
    /// Whether another attempt follows. Decided once, here, so that running the code again decides the same.
    pub will_retry: bool,
}

/// See [`Event::ActionResolved`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ActionResolved {
    /// The action.
    pub seq: Seq,
    /// The attempt.
    pub attempt: u32,
    /// What the probe found.
    pub finding: Finding,
    /// Whether another attempt follows; only after [`Finding::NotApplied`].
    pub will_retry: bool,
}

/// What a probe found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The effect is there, with this output.
    Applied(JsonText),
    /// The effect is not there and will not come.
    NotApplied,
    /// It cannot be told; what was seen.
    Unknown(String),
}

/// See [`Event::TimerSet`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimerSet {
    /// Where in the code.
    pub path: CallPath,
    /// When it ends.
    pub due: Timestamp,
}

/// See [`Event::TimerFired`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimerFired {
    /// Where in the code.
    pub path: CallPath,
}

/// See [`Event::ValueRecorded`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ValueRecorded {
    /// Where in the code.
    pub path: CallPath,
    /// What was asked for: `now`, `random`.
    pub what: String,
    /// What was given.
    pub value: JsonText,
}

/// See [`Event::CancelRequested`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CancelRequested {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// See [`Event::RunSucceeded`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunSucceeded {
    /// The workflow's output.
    pub output: JsonText,
}

/// See [`Event::RunFailed`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunFailed {
    /// What ended it.
    pub error: ErrorRecord,
}

/// See [`Event::RollbackRequested`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RollbackRequested {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// Actions up to this one are kept.
    pub to: Option<Seq>,
    /// Whether to overwrite what others changed since.
    pub force: bool,
}

/// See [`Event::CompensationIntended`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CompensationIntended {
    /// The action that is undone.
    pub seq: Seq,
    /// The attempt that is undone.
    pub attempt: u32,
    /// The try, from 1.
    pub undo_try: u32,
    /// The name of the undoing action.
    pub action: String,
    /// The version of its parameters' form.
    pub version: u32,
    /// Its exact parameters.
    pub params: JsonText,
    /// The state that it is about to change.
    pub pre: JsonText,
    /// Content of the pre-state that is kept in blobs.
    pub blobs: Vec<BlobRef>,
    /// Which system the connector speaks to.
    pub identity: Identity,
    /// Who asked for the rollback.
    pub by: String,
}

/// See [`Event::CompensationSucceeded`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CompensationSucceeded {
    /// The action that is undone.
    pub seq: Seq,
    /// The attempt that is undone.
    pub attempt: u32,
    /// What the undoing action gave.
    pub output: JsonText,
}

/// See [`Event::CompensationSkipped`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CompensationSkipped {
    /// The action.
    pub seq: Seq,
    /// The attempt.
    pub attempt: u32,
    /// Why.
    pub why: Skipped,
}

/// Why a compensation was not performed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    /// The state before the action is there already.
    AlreadyUndone,
    /// The action left nothing.
    NothingToUndo,
    /// There is no way; the reason.
    Irreversible(String),
}

/// See [`Event::CompensationConflicted`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CompensationConflicted {
    /// The action.
    pub seq: Seq,
    /// The attempt.
    pub attempt: u32,
    /// What was found.
    pub error: ErrorRecord,
}

/// See [`Event::CompensationFailed`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CompensationFailed {
    /// The action.
    pub seq: Seq,
    /// The attempt.
    pub attempt: u32,
    /// Why; the code `in_doubt` where the outcome is not known.
    pub error: ErrorRecord,
    /// Whether another try follows.
    pub will_retry: bool,
}

/// See [`Event::CompensationResolved`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CompensationResolved {
    /// The action.
    pub seq: Seq,
    /// The attempt.
    pub attempt: u32,
    /// What the probe found.
    pub finding: Finding,
}

/// See [`Event::RunQuarantined`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunQuarantined {
    /// Why, and what to do.
    pub error: ErrorRecord,
    /// The action that is in doubt, where that is why.
    pub seq: Option<Seq>,
}

/// See [`Event::OperatorDecided`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OperatorDecided {
    /// Who.
    pub by: String,
    /// The action that the word is on; `None` for the run as a whole.
    pub seq: Option<Seq>,
    /// The word.
    pub decision: Decision,
}

/// An operator's word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It did happen.
    Applied,
    /// It did not happen and will not.
    NotApplied,
    /// Leave it as it is, whatever that is.
    Abandon,
    /// Try to go on.
    Retry,
}

/// An event to be appended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewEvent {
    /// When it happened.
    pub at: Timestamp,
    /// Who made it happen.
    pub by: Pseudonym,
    /// What happened.
    pub event: Event,
}

/// An event of the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StoredEvent {
    /// Its place in the whole log.
    pub position: Position,
    /// The run.
    pub run_id: RunId,
    /// Its number within the run.
    pub event_seq: EventSeq,
    /// When it happened.
    pub at: Timestamp,
    /// Who made it happen.
    pub by: Pseudonym,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}
