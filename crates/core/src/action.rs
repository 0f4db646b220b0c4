//! What a typed request to the outside world is, and what its undo is: another action.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::JsonText;

/// What the log can keep: any plain type with a stable JSON form.
pub trait Record: Serialize + DeserializeOwned + Debug + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Debug + Send + Sync + 'static> Record for T {}

/// A typed request to the outside world. Its serialised form is what the log keeps and what policies judge.
///
/// # Contract
/// - `NAME` is stable for ever; the JSON form only grows, by optional fields.
/// - Unknown fields are refused: derive `Deserialize` with `#[serde(deny_unknown_fields)]`.
/// - [`target`](Action::target) and [`lock`](Action::lock) depend on the parameters alone. Two requests that
///   can touch the same thing give the same lock key.
pub trait Action: Record {
    /// The action's name within its connector, such as `insert_row`.
    const NAME: &'static str;
    /// The version of the JSON form, from 1; raised when a field is added.
    const VERSION: u32 = 1;
    /// What it does to the outside world, where the connector's configuration does not say otherwise.
    const EFFECT: EffectClass;
    /// How it is undone, in a few words for people: "deletes the branch, if it still points at `sha`".
    const REVERSAL: &'static str;
    /// What capture may find, by name. Policies in Cedar can ask for what is named here, and for nothing else.
    /// The same state gives the same facts, whenever it is captured: an approval is bound to them.
    const FACTS: &'static [(&'static str, FactKind)] = &[];
    /// What the caller gets.
    type Output: Record;
    /// What undo and probe need to know of the state before.
    type PreState: Record;
    /// The action that undoes this one; [`NoUndo`] where there is none.
    type Undo: Action;

    /// What it touches.
    fn target(&self) -> Target;

    /// The key under which requests for the same thing wait for each other; `None` where no other request
    /// can touch the same thing.
    fn lock(&self) -> Option<LockKey>;

    /// The action of the connector, and its parameters, that reads what a preview of this one shows of what is there;
    /// `None` where that holds no content. A plan shows it only to whom that action would be allowed.
    fn shown_by(&self) -> Option<(&'static str, Value)> {
        None
    }
}

/// What an action does to the outside world.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectClass {
    /// Changes nothing.
    ReadOnly,
    /// Changes something and can be undone.
    Reversible,
    /// Changes something for good.
    Irreversible,
}

impl fmt::Display for EffectClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "read_only",
            Self::Reversible => "reversible",
            Self::Irreversible => "irreversible",
        })
    }
}

/// What an action touches, in words that policies and people compare: a kind and an id, such as `file` and
/// `notes/a.md`, and what else identifies it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Target {
    /// The kind of thing: `file`, `row`, `branch`.
    pub kind: Cow<'static, str>,
    /// Which one, in the system's own words.
    pub id: String,
    /// What else identifies it, such as `repo`.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

impl Target {
    /// A target of a kind with an id.
    pub fn new(kind: &'static str, id: impl Into<String>) -> Self {
        Self { kind: Cow::Borrowed(kind), id: id.into(), attributes: BTreeMap::new() }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

/// Requests with equal keys are carried out one after the other within a runtime. The runtime adds the
/// connector's name, so keys need to be unique within a connector only.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LockKey(pub String);

/// What kind of value a fact has. One that is not known is left out, or is `null`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FactKind {
    /// True or false.
    Flag,
    /// A whole number.
    Number,
    /// A text.
    Text,
    /// A list of whole numbers.
    Numbers,
    /// A list of texts.
    Texts,
    /// An object, with whatever values.
    Map,
}

impl FactKind {
    /// Whether a value is of this kind; what is not known is of every kind.
    #[must_use]
    pub fn holds(self, value: &Value) -> bool {
        let all = |is: fn(&Value) -> bool| value.as_array().is_some_and(|values| values.iter().all(is));
        value.is_null()
            || match self {
                Self::Flag => value.is_boolean(),
                Self::Number => value.is_i64(),
                Self::Text => value.is_string(),
                Self::Numbers => all(Value::is_i64),
                Self::Texts => all(Value::is_string),
                Self::Map => value.is_object(),
            }
    }
}

/// What capture found that policies need and parameters do not tell: rows affected, base branch, what exists.
pub type Facts = serde_json::Map<String, Value>;

/// What capture gives.
#[derive(Debug)]
pub enum Captured<A: Action, H> {
    /// The effect is wanted and possible.
    Ready {
        /// The state that is about to be changed.
        pre: A::PreState,
        /// What policies may ask about it; the same state gives the same, since an approval is bound to them.
        facts: Facts,
        /// What `perform` needs to keep from capture, such as an open transaction. Dropped, not performed,
        /// when the action is refused.
        held: H,
    },
    /// The wanted state is there already: nothing will be changed and nothing undone.
    AlreadyDone(A::Output),
}

impl<A: Action, H> Captured<A, H> {
    /// Ready, with no facts.
    pub fn ready(pre: A::PreState, held: H) -> Self {
        Self::Ready { pre, facts: Facts::new(), held }
    }
}

/// What an action would do, as far as looking tells. Nothing is changed for it.
#[derive(Clone, PartialEq, Debug)]
pub struct Preview<O> {
    /// What it would give, where the wanted state is there already and nothing would be changed.
    pub already_done: Option<O>,
    /// What policies may ask about it, as capture would find it.
    pub facts: Facts,
    /// What is there and would change.
    pub shown: Shown,
    /// Why it could not be undone, where it is known that it could not.
    pub irreversible: Option<String>,
}

impl<O> Preview<O> {
    /// Nothing would be changed.
    pub fn already_done(output: O) -> Self {
        Self { already_done: Some(output), facts: Facts::new(), shown: Shown::default(), irreversible: None }
    }
}

/// What would change, for people: JSON of whatever form says it best, without bulk. Text of several lines, such as a
/// diff, is shown as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// What is there now; `null`, where there is nothing or it is not told.
    pub before: JsonText,
    /// What would become of it.
    pub change: JsonText,
}

/// What a probe found out about an intent whose outcome is unknown.
#[derive(Debug)]
pub enum Doubt<O> {
    /// The effect is there.
    Applied(O),
    /// The effect is not there, and the original request can no longer land, or sending it again is
    /// idempotent.
    NotApplied,
    /// The system cannot tell; a person has to. The reason says what was seen.
    Unknown(String),
}

/// How much of an action is there to undo.
#[derive(Debug)]
pub enum Left<'a, O> {
    /// All of it; this was its output.
    Done(&'a O),
    /// Some or all of it: it failed midway, or its reply was lost.
    Partly,
}

/// What undoing takes.
#[derive(Debug)]
pub enum Undo<U> {
    /// This action.
    By(U),
    /// Nothing: the action leaves nothing behind.
    Nothing,
    /// It cannot be done; the reason is for people.
    Irreversible(String),
}

/// The undo of an action that has none. It has no values.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum NoUndo {}

impl Action for NoUndo {
    const NAME: &'static str = "";
    const EFFECT: EffectClass = EffectClass::ReadOnly;
    const REVERSAL: &'static str = "";
    type Output = ();
    type PreState = ();
    type Undo = NoUndo;

    fn target(&self) -> Target {
        match *self {}
    }

    fn lock(&self) -> Option<LockKey> {
        match *self {}
    }
}
