//! What an event changed in its run, in the words of the documents.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ActionDetail, ActionResult, ApprovalResult, RunError, abridge};
use crate::event::{Event, RunAccepted};
use crate::exact::Exact;
use crate::ids::{CallPath, Seq};
use crate::json::JsonText;
use crate::policy::VerdictRecord;
use crate::run::{Call, Erasure, RunState, RunStatus};
use crate::time::Timestamp;

/// Something that is another than before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Change {
    /// Where, as names and numbers with dots between them: `status`, `actions.3.reversal.outcome` of the action with number 3,
    /// `approvals.0.word` of the first approval, `calls.6` of what the workflow's code asked for at place 6.
    pub path: String,
    /// What was there; `None` where there was nothing.
    pub before: Option<Exact>,
    /// What is there; `None` where there is nothing.
    pub after: Option<Exact>,
}

/// A run as its documents show it, as far as an event can change that: taken before the event, and held against what is after it.
#[derive(Debug)]
pub struct Before {
    event: Touched,
    seen: Seen,
}

impl Before {
    /// Looks at a state, to which the event comes next. Binary content is shown as in
    /// [`RunDocument::detailed`](super::RunDocument::detailed). Takes as long as the action is large that the event is about, and as
    /// all actions where it is about the run as a whole.
    ///
    /// # Errors
    /// None that is known of.
    pub fn new(state: &RunState, event: &Event) -> serde_json::Result<Self> {
        let event = touched(event);
        Ok(Self { seen: Seen::new(state, &event)?, event })
    }

    /// What is another after the event, in the order of the document.
    ///
    /// # Errors
    /// None that is known of.
    pub fn changes(self, after: &RunState) -> serde_json::Result<Vec<Change>> {
        let (mut before, after) = (self.seen, Seen::new(after, &self.event)?);
        let mut found = Vec::new();
        differ("", Some(before.head), Some(after.head), &mut found);
        for (path, part) in after.parts {
            let was = before.parts.remove(&path);
            differ(&path, was, Some(part), &mut found);
        }
        Ok(found)
    }
}

/// What an event can change beside the head.
#[derive(Debug)]
enum Touched {
    Action(Seq),
    Actions,
    Call(CallPath),
}

fn touched(event: &Event) -> Touched {
    match event {
        Event::TimerSet(set) => Touched::Call(set.path.clone()),
        Event::TimerFired(fired) => Touched::Call(fired.path.clone()),
        Event::ValueRecorded(recorded) => Touched::Call(recorded.path.clone()),
        // An operator's word on one action may set the undo of others going.
        Event::OperatorDecided(_) => Touched::Actions,
        event => event.action().map_or(Touched::Actions, Touched::Action),
    }
}

#[derive(Debug)]
struct Seen {
    head: Exact,
    /// By their paths.
    parts: BTreeMap<String, Exact>,
}

impl Seen {
    fn new(state: &RunState, touched: &Touched) -> serde_json::Result<Self> {
        let mut parts = BTreeMap::new();
        let mut see = |seq: &Seq| {
            let Some(action) = state.actions.get(seq) else { return Ok(()) };
            let mut result = ActionResult::new(*seq, action);
            result.detail = Some(ActionDetail::new(state, *seq, action));
            result.abridge();
            tree(&result).map(|result| drop(parts.insert(format!("actions.{seq}"), result)))
        };
        match touched {
            Touched::Action(seq) => see(seq)?,
            Touched::Actions => state.actions.keys().try_for_each(see)?,
            Touched::Call(path) => {
                if let Some(known) = state.calls.get(path) {
                    parts.insert(format!("calls.{path}"), tree(&call(known))?);
                }
            }
        }
        Ok(Self { head: tree(&head(state))?, parts })
    }
}

/// What a run's document says beside its actions.
#[derive(Serialize)]
struct Head<'a> {
    status: RunStatus,
    workflow: &'a str,
    user: &'a str,
    policy_results: &'a [VerdictRecord],
    approvals: Vec<ApprovalResult>,
    rollback: Option<Asked<'a>>,
    output: Option<JsonText>,
    error: Option<RunError>,
    ended_at: Option<Timestamp>,
    erased: Option<Erasure>,
}

/// How a rollback was asked for.
#[derive(Serialize)]
struct Asked<'a> {
    by: Option<&'a str>,
    reason: Option<&'a str>,
    to: Option<Seq>,
    force: bool,
}

fn head(state: &RunState) -> Head<'_> {
    let RunAccepted { workflow, user, .. } = &*state.accepted;
    let rollback = state.rollback.as_ref().map(|rollback| Asked {
        by: rollback.by.as_deref(),
        reason: rollback.reason.as_deref(),
        to: rollback.to,
        force: rollback.force,
    });
    let mut output = state.output.clone();
    output.iter_mut().for_each(abridge);
    Head {
        status: state.status(),
        workflow,
        user,
        policy_results: &state.verdicts,
        approvals: state.approvals.iter().map(ApprovalResult::new).collect(),
        rollback,
        output,
        error: state.error.as_ref().map(RunError::new),
        ended_at: state.ended_at,
        erased: state.erased,
    }
}

/// What the workflow's code asked for at a place.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Asking<'a> {
    Action(Seq),
    Sleep { until: Timestamp, is_over: bool },
    Value { what: &'a str, value: JsonText },
}

fn call(call: &Call) -> Asking<'_> {
    match call {
        Call::Action(seq) => Asking::Action(*seq),
        Call::Timer { due, fired } => Asking::Sleep { until: *due, is_over: *fired },
        Call::Value { what, value } => Asking::Value { what, value: value.clone() },
    }
}

fn tree(what: &impl Serialize) -> serde_json::Result<Exact> {
    Exact::read(&serde_json::to_string(what)?)
}

/// Finds what differs below a path: each value that is another, as deep as both sides have one.
fn differ(path: &str, before: Option<Exact>, after: Option<Exact>, found: &mut Vec<Change>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Exact::Object(before)), Some(Exact::Object(after))) => {
            let is_gone = |(name, _): &(String, Exact)| !after.iter().any(|(other, _)| other == name);
            let gone: Vec<_> = before.iter().filter(|entry| is_gone(entry)).cloned().collect();
            for (name, value) in after {
                let was = before.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone());
                differ(&below(&name), was, Some(value), found);
            }
            for (name, value) in gone {
                differ(&below(&name), Some(value), None, found);
            }
        }
        (Some(Exact::List(before)), Some(Exact::List(after))) => {
            let longest = before.len().max(after.len());
            let (mut before, mut after) = (before.into_iter(), after.into_iter());
            for place in 0..longest {
                differ(&below(&place.to_string()), before.next(), after.next(), found);
            }
        }
        (before, after) => found.push(Change { path: path.to_owned(), before, after }),
    }
}
