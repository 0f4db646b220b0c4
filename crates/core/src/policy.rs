//! Business rules: what may happen, judged on a run and on each exact action.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{EffectClass, Facts, Target};
use crate::ids::RunId;
use crate::time::Timestamp;

/// A business rule. Pure: the same request always gets the same verdict; time, attributes and what the run
/// did so far come with the request.
///
/// A policy that panics has said no.
pub trait Policy: Debug + Send + Sync + 'static {
    /// The name under which verdicts are recorded.
    fn name(&self) -> &str;

    /// Judges one request. A policy that has nothing to say about it passes it.
    fn judge(&self, request: &Request<'_>) -> Verdict;
}

/// What is judged.
#[derive(Debug)]
pub struct Request<'a> {
    /// The run.
    pub run: RunId,
    /// The workflow's name.
    pub workflow: &'a str,
    /// Who asked for the run.
    pub user: &'a str,
    /// What is said of the user: roles, teams.
    pub attributes: &'a serde_json::Map<String, Value>,
    /// The run's input.
    pub payload: &'a Value,
    /// The time of the judgement.
    pub now: Timestamp,
    /// How many actions the run has asked for before this one.
    pub actions_so_far: usize,
    /// What of the run is judged.
    pub stage: Stage<'a>,
}

/// At which gate a request stands.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stage<'a> {
    /// The run as a whole, before its first action.
    Run,
    /// An action, on its exact parameters.
    Action(ActionRequest<'a>),
    /// The same action, with what capture found, before the intent.
    Captured(ActionRequest<'a>, &'a Facts),
}

/// The exact action that will be performed if nobody says no.
#[derive(Clone, Copy, Debug)]
pub struct ActionRequest<'a> {
    /// The connector's name in the configuration.
    pub connector: &'a str,
    /// The connector's kind.
    pub kind: &'a str,
    /// The action's name.
    pub action: &'a str,
    /// Its parameters.
    pub params: &'a Value,
    /// What it touches.
    pub target: &'a Target,
    /// What it does to the world.
    pub effect: EffectClass,
}

impl<'a> Request<'a> {
    /// The action under judgement, at either of its gates.
    #[must_use]
    pub fn action(&self) -> Option<&ActionRequest<'a>> {
        match &self.stage {
            Stage::Run => None,
            Stage::Action(action) | Stage::Captured(action, _) => Some(action),
        }
    }
}

/// What a policy says.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing against it.
    Pass,
    /// No, for this reason.
    Deny(String),
}

impl Verdict {
    /// A no with its reason.
    pub fn deny(reason: impl Into<String>) -> Self {
        Self::Deny(reason.into())
    }
}

/// A verdict as the log keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VerdictRecord {
    /// The policy's name.
    pub policy: String,
    /// Whether it passed.
    pub passed: bool,
    /// Why not; empty where it passed.
    pub reason: String,
}
