//! Business rules: what may happen, judged on a run and on each exact action.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{EffectClass, Facts, Target};
use crate::ids::{RunId, Seq};
use crate::run::ActionState;
use crate::time::Timestamp;

/// How long a person has to decide, where a policy does not say.
pub const APPROVAL_EXPIRES_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A business rule. Pure: the same request always gets the same verdict; time, attributes and what the run
/// did so far come with the request.
///
/// A policy that panics has said no.
pub trait Policy: Debug + Send + Sync + 'static {
    /// The name under which verdicts are recorded.
    fn name(&self) -> &str;

    /// Judges one request. A policy that has nothing to say about it passes it.
    fn judge(&self, request: &Request<'_>) -> Verdict;

    /// All that it goes by, as text. An approval that was given under another text is not one any more. By default, how it
    /// is printed for debugging.
    fn version(&self) -> String {
        format!("{self:?}")
    }

    /// How far back it asks what was admitted ([`Request::recent`]). The runtime remembers that much, over restarts too.
    fn looks_back(&self) -> Duration {
        Duration::ZERO
    }
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
    /// The actions that the run has asked for, with what became of them; see [`Request::past`].
    pub actions: &'a BTreeMap<Seq, ActionState>,
    /// What was admitted lately in all runs.
    pub recent: &'a dyn Recent,
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
    /// Its number in the run.
    pub seq: Seq,
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

    /// What capture found, at the gate that comes after it.
    #[must_use]
    pub fn facts(&self) -> Option<&'a Facts> {
        match &self.stage {
            Stage::Captured(_, facts) => Some(facts),
            Stage::Run | Stage::Action(_) => None,
        }
    }

    /// The other actions that the run has asked for until now, in the order of their numbers.
    pub fn past(&self) -> impl Iterator<Item = &'a ActionState> {
        let judged = self.action().map(|action| action.seq);
        self.actions.iter().filter(move |(seq, _)| Some(**seq) != judged).map(|(_, action)| action)
    }
}

/// What was admitted lately, in all runs of the runtime: actions that passed the gate, whatever became of them. An action
/// counts once, however often it is tried; the one under judgement does not count.
pub trait Recent: Debug {
    /// How many actions of this kind were admitted since a time. What lies further back than
    /// [`Policy::looks_back`] is not known.
    fn count(&self, of: &Counted<'_>, since: Timestamp) -> u64;
}

/// Which actions are counted: those for which all that is given holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counted<'a> {
    /// Who asked for the run.
    pub user: Option<&'a str>,
    /// The connector's name.
    pub connector: Option<&'a str>,
    /// The action's name.
    pub action: Option<&'a str>,
}

/// What a policy says.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing against it.
    Pass,
    /// No, for this reason.
    Deny(String),
    /// Nothing against it, once a person has approved it.
    NeedsApproval(Approval),
}

impl Verdict {
    /// A no with its reason.
    pub fn deny(reason: impl Into<String>) -> Self {
        Self::Deny(reason.into())
    }

    /// Only when a person other than the run's user has approved it, within [`APPROVAL_EXPIRES_AFTER`].
    pub fn needs_approval(reason: impl Into<String>) -> Self {
        Self::NeedsApproval(Approval::new(reason))
    }
}

/// What a policy wants to have approved, and by whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approval {
    /// Why, for whoever decides.
    pub reason: String,
    /// Who may approve; anybody but the run's user, where it is empty.
    pub approvers: Vec<String>,
    /// How long they have.
    pub expires_after: Duration,
}

impl Approval {
    /// By anybody but the run's user, within [`APPROVAL_EXPIRES_AFTER`].
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), approvers: Vec::new(), expires_after: APPROVAL_EXPIRES_AFTER }
    }

    /// By one of these.
    #[must_use]
    pub fn by<S: Into<String>>(mut self, approvers: impl IntoIterator<Item = S>) -> Self {
        self.approvers = approvers.into_iter().map(Into::into).collect();
        self
    }

    /// Within this time.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.expires_after = time;
        self
    }
}

/// The name of a policy. To clone it costs next to nothing: a run keeps many verdicts of few policies.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyName(Arc<str>);

impl PolicyName {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: AsRef<str> + ?Sized> From<&T> for PolicyName {
    fn from(name: &T) -> Self {
        Self(name.as_ref().into())
    }
}

impl Deref for PolicyName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for PolicyName {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for PolicyName {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A verdict as the log keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VerdictRecord {
    /// The policy's name.
    pub policy: PolicyName,
    /// Whether it passed.
    pub passed: bool,
    /// Why not; what it asks for, where it passed on a condition, such as a person's approval; else empty.
    pub reason: String,
}
