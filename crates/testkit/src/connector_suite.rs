//! What every connector's actions must do, as one suite.
//!
//! A connector's author gives a [`World`], which is a connector and a way to look at what it works on, and a
//! [`Case`] per action; [`check`] carries the action out in every way in which the runtime may, each time in a
//! fresh world, and compares what the world is with what it was. It works through the same erased door as the
//! runtime, so names, parameters and JSON forms are tested as well.
//!
//! It knows the contract of [`Perform`](enact_core::connector::Perform) and nothing of any system.
//!
//! ```
//! # async fn example<W: enact_testkit::connector_suite::World + 'static>(fresh: impl AsyncFn() -> W, touch: fn(&W)) {
//! use enact_testkit::connector_suite::{Case, check};
//! use serde_json::json;
//!
//! let case = Case::new("write_file", json!({ "path": "a.txt", "content": "new" }))
//!     .requires(["path", "content"])
//!     .disturbed_by(touch);
//! check(&case, fresh).await;
//! # }
//! ```

mod checks;
mod stage;

use std::fmt;
use std::future::Future;

use enact_core::connector::Toolbox;
use serde_json::Value;

/// A connector under test and the outside world that it works on.
pub trait World: Send + Sync {
    /// The connector, with the action under test allowed.
    fn toolbox(&self) -> Toolbox;

    /// All of the world that actions may change, in words that can be compared and read. What undo does not
    /// promise to restore does not belong in it.
    fn observe(&self) -> impl Future<Output = String> + Send;
}

/// One action with its parameters, and what the suite cannot know of it.
pub struct Case<W> {
    action: String,
    params: Value,
    required: Vec<String>,
    refused: Vec<(Value, String)>,
    disturb: Option<Disturb<W>>,
    kept: Option<String>,
    may_stay_in_doubt: bool,
}

type Disturb<W> = Box<dyn Fn(&W) + Send + Sync>;

impl<W> Case<W> {
    /// The action is possible in a fresh world with these parameters, and is not already done there.
    pub fn new(action: impl Into<String>, params: Value) -> Self {
        Self {
            action: action.into(),
            params,
            required: Vec::new(),
            refused: Vec::new(),
            disturb: None,
            kept: None,
            may_stay_in_doubt: false,
        }
    }

    /// Parameters without one of these fields are refused, naming the field.
    #[must_use]
    pub fn requires<S: Into<String>>(mut self, fields: impl IntoIterator<Item = S>) -> Self {
        self.required.extend(fields.into_iter().map(Into::into));
        self
    }

    /// These parameters are refused, with a message that contains `naming`.
    #[must_use]
    pub fn refuses(mut self, params: Value, naming: impl Into<String>) -> Self {
        self.refused.push((params, naming.into()));
        self
    }

    /// Somebody else changes what the action has left, so that undoing it would take that change away.
    #[must_use]
    pub fn disturbed_by(mut self, change: impl Fn(&W) + Send + Sync + 'static) -> Self {
        self.disturb = Some(Box::new(change));
        self
    }

    /// These words of that change are in the record of an undo that overwrote it by force.
    #[must_use]
    pub fn keeping(mut self, words: impl Into<String>) -> Self {
        self.kept = Some(words.into());
        self
    }

    /// The system cannot always tell whether an action whose reply was lost was done: a probe may leave it to a
    /// person. Without this it may not.
    #[must_use]
    pub fn may_stay_in_doubt(mut self) -> Self {
        self.may_stay_in_doubt = true;
        self
    }
}

impl<W> fmt::Debug for Case<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action, self.params)
    }
}

/// Checks all that the contract asks of the action, each in a world that `fresh` makes. Every such world must
/// look the same.
///
/// # Panics
/// Where the contract does not hold: names each check that failed, and how.
pub async fn check<W: World>(case: &Case<W>, fresh: impl AsyncFn() -> W) {
    let failures = checks::all(case, &fresh).await;
    assert!(failures.is_empty(), "{case:?} breaks the contract of a connector:\n{}", failures.join("\n"));
}
