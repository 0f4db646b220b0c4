//! What expressions may ask for.

use std::collections::BTreeMap;

use enact_core::exact::Exact;
use enact_core::json::JsonText;
use minijinja::Value;

use crate::value::{from_entries, from_json, has_unheld};

/// The names that expressions may begin with.
pub(crate) const NAMES: [&str; 5] = ["payload", "user", "attributes", "run", "steps"];

/// What may be asked of a step.
pub(crate) const OF_A_STEP: [&str; 3] = ["output", "success", "skipped"];

/// What may be asked of the run.
pub(crate) const OF_THE_RUN: [&str; 1] = ["id"];

/// What became of a step.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Its action succeeded, with this output.
    Done(JsonText),
    /// Its `when` was false.
    Skipped,
}

impl Outcome {
    /// The output as the run gives it; `null` for a skipped step.
    pub(crate) fn output(&self) -> JsonText {
        match self {
            Self::Done(output) => output.clone(),
            Self::Skipped => JsonText::null(),
        }
    }
}

/// The values of one run: fixed at its beginning, and the steps so far.
#[derive(Debug)]
pub(crate) struct Scope {
    fixed: [(&'static str, Value); 4],
    steps: BTreeMap<String, Value>,
    /// The payload, and the outputs of steps by their ids, that have numbers in them which expressions cannot hold.
    unheld: (Option<JsonText>, BTreeMap<String, JsonText>),
}

/// What expressions see of a scope.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// By name.
    pub(crate) values: Value,
    scope: &'a Scope,
}

/// A step of a plain path into a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Key(String),
    Item(usize),
}

impl Scope {
    /// Of a run that has done nothing yet.
    pub(crate) fn new(payload: JsonText, user: &str, attributes: &Exact, run_id: &str) -> Self {
        let exact = payload.exact();
        let fixed = [
            ("payload", from_json(&exact)),
            ("user", Value::from(user)),
            ("attributes", from_json(attributes)),
            ("run", Value::from_pairs([("id", run_id)])),
        ];
        Self {
            fixed,
            steps: BTreeMap::new(),
            unheld: (has_unheld(&exact).then_some(payload), BTreeMap::new()),
        }
    }

    /// Adds a step.
    pub(crate) fn add(&mut self, id: &str, outcome: &Outcome) {
        let done = matches!(outcome, Outcome::Done(_));
        let output = outcome.output();
        let exact = output.exact();
        let step =
            [("output", from_json(&exact)), ("success", Value::from(done)), ("skipped", Value::from(!done))];
        self.steps.insert(id.to_owned(), from_entries(step.into_iter()));
        if has_unheld(&exact) {
            self.unheld.1.insert(id.to_owned(), output);
        }
    }

    /// The values as expressions see them now.
    pub(crate) fn view(&self) -> View<'_> {
        let steps = Value::from_pairs(self.steps.iter().map(|(id, step)| (id.as_str(), step.clone())));
        let fixed = self.fixed.iter().map(|(name, value)| (*name, value.clone()));
        View { values: Value::from_pairs(fixed.chain([("steps", steps)])), scope: self }
    }
}

impl View<'_> {
    /// What stands at a path, digit for digit; `None` where nothing stands there, and where expressions hold it anyway.
    pub(crate) fn exact(&self, path: &[Part]) -> Option<Exact> {
        let (payload, outputs) = &self.scope.unheld;
        let names = |part: &Part, name: &str| matches!(part, Part::Key(key) if key == name);
        let (text, rest) = match path {
            [root, rest @ ..] if names(root, "payload") => (payload.as_ref()?, rest),
            [root, Part::Key(id), what, rest @ ..] if names(root, "steps") && names(what, "output") => {
                (outputs.get(id)?, rest)
            }
            _ => return None,
        };
        let whole = text.exact();
        let found = rest.iter().try_fold(&whole, |value, part| match part {
            Part::Key(key) => value.get(key),
            Part::Item(index) => value.item(*index),
        });
        found.cloned()
    }
}
