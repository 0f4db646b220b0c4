//! The documents of the public contract, made from a run's state.
//!
//! Who asks for an action gets its whole output. Whoever looks into the log later is shown binary content as
//! `{"base64", "size", "sha256"}`, above 64 KiB without the bytes: [`RunDocument::detailed`],
//! [`RunDocument::abridged`] and [`event`] see to that, and all of them by one function.

mod changes;

use serde::Serialize;

use crate::action::{EffectClass, Target};
use crate::content::show_binary;
use crate::error::{ErrorCode, ErrorRecord};
use crate::event::{ApprovalReason, ApprovalWord, StoredEvent};
use crate::exact::Exact;
use crate::ids::{Position, RunId, Seq};
use crate::json::JsonText;
use crate::policy::VerdictRecord;
use crate::run::{
    ActionEnd, ActionState, ApprovalState, Erasure, Outcome, RunState, RunStatus, UndoOutcome, Undoing,
};
use crate::time::Timestamp;

pub use changes::{Before, Change};

/// One run, as commands and services show it.
#[derive(Clone, Debug, Serialize)]
pub struct RunDocument {
    /// The run.
    pub run_id: RunId,
    /// The workflow's name.
    pub workflow: String,
    /// The workflow's version.
    pub version: u32,
    /// Who asked for the run.
    pub user: String,
    /// Where it stands.
    pub status: RunStatus,
    /// Its actions by number; left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<ActionResult>>,
    /// All verdicts, those on the run first.
    pub policy_results: Vec<PolicyResult>,
    /// What of it was to be approved, and what became of that; left out where there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalResult>,
    /// The newest rollback.
    pub rollback: Option<RollbackResult>,
    /// What failed.
    pub error: Option<RunError>,
    /// When the run was accepted.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// That its content was erased: then nothing but status and times is known. Left out where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erased: Option<Erasure>,
}

/// One action of a run.
#[derive(Clone, Debug, Serialize)]
pub struct ActionResult {
    /// Its number.
    pub seq: Seq,
    /// The connector's name.
    pub connector: String,
    /// The action's name within the connector.
    pub action: String,
    /// Whether it did what was asked, or that was so already.
    pub success: bool,
    /// Whether it was so already.
    pub already_done: bool,
    /// What it gave; whole, where the document is not abridged.
    pub output: JsonText,
    /// Why it did not.
    pub error: Option<ErrorRecord>,
    /// What `show` adds.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub detail: Option<ActionDetail>,
}

/// What `show` adds to an action.
#[derive(Clone, Debug, Serialize)]
pub struct ActionDetail {
    /// What it touches.
    pub target: Option<Target>,
    /// Its exact parameters, but for binary content.
    pub params: JsonText,
    /// The state that the newest attempt was about to change.
    pub pre_state: JsonText,
    /// How many attempts came to an intent.
    pub attempts: usize,
    /// What is known of its undo.
    pub reversal: Reversal,
}

/// What is known of an action's undo.
#[derive(Clone, Debug, Serialize)]
pub struct Reversal {
    /// Whether it can be undone at all.
    pub effect: EffectClass,
    /// The undoing action of the newest attempt, once it was intended.
    pub action: Option<String>,
    /// Its parameters.
    pub params: Option<JsonText>,
    /// What became of it.
    pub outcome: Option<UndoOutcome>,
}

/// A verdict and what it is on.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyResult {
    /// The verdict.
    #[serde(flatten)]
    pub verdict: VerdictRecord,
    /// The action; `None` for the run as a whole.
    pub seq: Option<Seq>,
}

/// A request for approval and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct ApprovalResult {
    /// The action; `None` for the run as a whole.
    pub seq: Option<Seq>,
    /// The action's name, as `CONNECTOR.ACTION`.
    pub action: Option<String>,
    /// What it touches.
    pub target: Option<Target>,
    /// Its exact parameters, but for binary content.
    pub params: Option<JsonText>,
    /// What capture found, where that is a part of what is to be approved.
    pub facts: Option<JsonText>,
    /// Which system it is about.
    pub system: Option<String>,
    /// Why it is asked for.
    pub reasons: Vec<ApprovalReason>,
    /// Who may approve; anybody but the run's user, where it is empty.
    pub approvers: Vec<String>,
    /// SHA-256 of exactly what is to be approved.
    pub digest: String,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// Until when it can be given, and used.
    pub expires_at: Timestamp,
    /// What became of it; `None` while a word is waited for.
    pub word: Option<ApprovalOutcome>,
    /// Whose.
    pub by: Option<String>,
    /// The reason that was given.
    pub reason: Option<String>,
    /// Why it is good for nothing any more, also where it was approved; `None` while it is.
    pub void: Option<String>,
}

/// What became of a request for approval.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalOutcome {
    /// Somebody said yes.
    Approved,
    /// Somebody said no.
    Denied,
    /// Nobody said anything in time.
    Expired,
    /// Nobody said anything before it was not wanted any more.
    Withdrawn,
}

impl ApprovalOutcome {
    fn of(approval: &ApprovalState) -> Option<Self> {
        match approval.decided.as_ref().map(|decided| decided.word) {
            Some(ApprovalWord::Approved) => Some(Self::Approved),
            Some(ApprovalWord::Denied) => Some(Self::Denied),
            Some(ApprovalWord::Expired) => Some(Self::Expired),
            None => approval.void.map(|_| Self::Withdrawn),
        }
    }
}

/// The outcome of a rollback, newest action first.
#[derive(Clone, Debug, Serialize)]
pub struct RollbackResult {
    /// One entry for each action that it covers.
    pub actions: Vec<UndoResult>,
    /// Whether it was asked for with force: for advice, and not part of the document.
    #[serde(skip)]
    pub forced: bool,
}

/// The outcome of undoing one action.
#[derive(Clone, Debug, Serialize)]
pub struct UndoResult {
    /// The action.
    pub seq: Seq,
    /// What became of it.
    pub outcome: UndoOutcome,
    /// Why it is not undone.
    pub error: Option<ErrorRecord>,
}

/// What failed.
#[derive(Clone, Debug, Serialize)]
pub struct RunError {
    /// The code.
    pub code: ErrorCode,
    /// The message for people.
    pub message: String,
}

impl RunDocument {
    /// The document of `run`, `act`, `resume`, `rollback` and the like.
    #[must_use]
    pub fn new(state: &RunState) -> Self {
        let actions = state.actions.iter().map(|(seq, action)| ActionResult::new(*seq, action));
        Self { actions: Some(actions.collect()), ..Self::summary(state) }
    }

    /// The same with what `show` adds, abridged.
    #[must_use]
    pub fn detailed(state: &RunState) -> Self {
        let actions = state.actions.iter().map(|(seq, action)| {
            let detail = ActionDetail::new(state, *seq, action);
            ActionResult { detail: Some(detail), ..ActionResult::new(*seq, action) }
        });
        Self { actions: Some(actions.collect()), ..Self::summary(state) }.abridged()
    }

    /// The same with binary content as `show` and `replay` have it.
    #[must_use]
    pub fn abridged(mut self) -> Self {
        self.actions.iter_mut().flatten().for_each(ActionResult::abridge);
        self
    }

    /// The same without the actions, for lists.
    #[must_use]
    pub fn summary(state: &RunState) -> Self {
        Self {
            run_id: state.id,
            workflow: state.accepted.workflow.clone(),
            version: state.accepted.version,
            user: state.accepted.user.clone(),
            status: state.status(),
            actions: None,
            policy_results: policy_results(state),
            approvals: state.approvals.iter().map(ApprovalResult::new).collect(),
            rollback: state.rollback.is_some().then(|| RollbackResult::new(state)),
            error: state.error.as_ref().map(RunError::new),
            started_at: state.started_at,
            ended_at: state.ended_at,
            erased: state.erased,
        }
    }
}

/// One event of the log as `events` shows it: an object of JSON, in one line. What holds no binary content is shown as it
/// was recorded, to the letter.
///
/// # Errors
/// Where the event has no JSON form.
pub fn event(event: &StoredEvent) -> serde_json::Result<String> {
    line(event)
}

/// Anything that holds what was recorded, shown as [`event`] shows an event.
///
/// # Errors
/// Where it has no JSON form.
pub fn line(what: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string(what)?;
    let mut value = Exact::read(&text)?;
    if show_binary(&mut value) { serde_json::to_string(&value) } else { Ok(text) }
}

/// That nothing is to be read any more of these positions, as `events` shows it: an object of JSON, in one line.
///
/// # Errors
/// None that is known of.
pub fn pruned(first: Position, last: Position) -> serde_json::Result<String> {
    serde_json::to_string(&Pruned { r#type: "pruned", first, position: last })
}

/// A part of the log that is pruned. `position` is where it ends, as that of an event: behind it the log goes on.
#[derive(Serialize)]
struct Pruned {
    r#type: &'static str,
    first: Position,
    position: Position,
}

/// Leaves what holds no binary content as it was recorded, to the letter.
fn abridge(text: &mut JsonText) {
    let mut value = text.exact();
    if show_binary(&mut value)
        && let Ok(shown) = JsonText::encode(&value)
    {
        *text = shown;
    }
}

fn policy_results(state: &RunState) -> Vec<PolicyResult> {
    let on_run = state.verdicts.iter().map(|verdict| PolicyResult { verdict: verdict.clone(), seq: None });
    let on_actions = state.actions.iter().flat_map(|(seq, action)| {
        action.verdicts.iter().map(|verdict| PolicyResult { verdict: verdict.clone(), seq: Some(*seq) })
    });
    on_run.chain(on_actions).collect()
}

impl RunError {
    fn new(error: &ErrorRecord) -> Self {
        Self { code: error.code, message: error.message.clone() }
    }
}

impl ActionResult {
    fn abridge(&mut self) {
        abridge(&mut self.output);
        let Some(detail) = &mut self.detail else { return };
        abridge(&mut detail.pre_state);
        abridge(&mut detail.params);
        detail.reversal.params.iter_mut().for_each(abridge);
    }

    fn new(seq: Seq, action: &ActionState) -> Self {
        let (success, output, error) = match action.end.as_ref().map(ActionEnd::result) {
            Some(Ok(output)) => (true, output.clone(), None),
            Some(Err(error)) => (false, JsonText::null(), Some(error.clone())),
            None => (false, JsonText::null(), action.open_error()),
        };
        Self {
            seq,
            connector: action.call.connector.clone(),
            action: action.call.action.clone(),
            success,
            already_done: matches!(action.end, Some(ActionEnd::AlreadyDone(_))),
            output,
            error,
            detail: None,
        }
    }
}

impl ApprovalResult {
    fn new(approval: &ApprovalState) -> Self {
        let request = &approval.request;
        let call = request.call.as_ref();
        let decided = approval.decided.as_ref();
        let shown = |text: &JsonText| {
            let mut text = text.clone();
            abridge(&mut text);
            text
        };
        Self {
            seq: request.seq(),
            action: call.map(|call| format!("{}.{}", call.connector, call.action)),
            target: call.and_then(|call| call.target.clone()),
            params: call.map(|call| shown(&call.params)),
            facts: request.facts.as_ref().map(shown),
            system: request.identity.as_ref().map(|identity| identity.0.clone()),
            reasons: request.reasons.clone(),
            approvers: request.approvers.clone(),
            digest: request.digest.clone(),
            asked_at: approval.asked_at,
            expires_at: request.expires_at,
            word: ApprovalOutcome::of(approval),
            by: decided.and_then(|decided| decided.by.clone()),
            reason: decided.and_then(|decided| decided.reason.clone()),
            void: approval.void.map(|why| why.to_string()),
        }
    }
}

impl ActionState {
    /// What is wrong with an action that has not ended, where something is.
    fn open_error(&self) -> Option<ErrorRecord> {
        let in_doubt = |message: &str| {
            Some(ErrorRecord { code: ErrorCode::InDoubt, message: message.to_owned(), retryable: false })
        };
        match &self.attempts.last()?.outcome {
            Outcome::InDoubt(error) | Outcome::Failed(error, _) => Some(error.clone()),
            Outcome::Unknown(seen) => in_doubt(seen),
            Outcome::Abandoned => in_doubt("given up by an operator; it may or may not have happened"),
            Outcome::Pending | Outcome::Done(_) | Outcome::NotApplied => None,
        }
    }
}

impl ActionDetail {
    fn new(state: &RunState, seq: Seq, action: &ActionState) -> Self {
        let newest = action.attempts.last();
        let outcome = state.undo_outcome(seq, action);
        let undo = newest.and_then(|attempt| match &attempt.undoing {
            Undoing::Intended(intent) | Undoing::InDoubt(intent, _) => Some(intent),
            Undoing::Settled(_, _, intent) => intent.as_ref(),
            Undoing::Not | Undoing::Retrying(_) => None,
        });
        Self {
            target: action.call.target.clone(),
            params: action.call.params.clone(),
            pre_state: newest.map_or_else(JsonText::null, |attempt| attempt.intent.pre.clone()),
            attempts: action.attempts.len(),
            reversal: Reversal {
                effect: action.call.effect,
                action: undo.map(|undo| undo.action.clone()),
                params: undo.map(|undo| undo.params.clone()),
                outcome,
            },
        }
    }
}

impl RollbackResult {
    fn new(state: &RunState) -> Self {
        let actions = state
            .undo_outcomes()
            .into_iter()
            .map(|(seq, outcome, error)| UndoResult { seq, outcome, error: error.cloned() })
            .collect();
        Self { actions, forced: state.rollback.as_ref().is_some_and(|rollback| rollback.force) }
    }
}
