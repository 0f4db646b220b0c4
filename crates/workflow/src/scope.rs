//! What expressions may ask for.

use std::collections::BTreeMap;

use enact_core::json::JsonText;
use minijinja::Value;
use serde_json::{Map, Value as Json};

use crate::value::from_json;

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
}

impl Scope {
    /// Of a run that has done nothing yet.
    pub(crate) fn new(payload: Json, user: &str, attributes: Map<String, Json>, run_id: &str) -> Self {
        let fixed = [
            ("payload", from_json(payload)),
            ("user", Value::from(user)),
            ("attributes", from_json(Json::Object(attributes))),
            ("run", Value::from_pairs([("id", run_id)])),
        ];
        Self { fixed, steps: BTreeMap::new() }
    }

    /// Adds a step; `output` is that of the outcome, parsed.
    pub(crate) fn add(&mut self, id: &str, outcome: &Outcome, output: Json) {
        let done = matches!(outcome, Outcome::Done(_));
        let step =
            [("output", from_json(output)), ("success", Value::from(done)), ("skipped", Value::from(!done))];
        self.steps.insert(id.to_owned(), Value::from_pairs(step));
    }

    /// The values as expressions see them now.
    pub(crate) fn view(&self) -> Value {
        let steps = Value::from_pairs(self.steps.iter().map(|(id, step)| (id.as_str(), step.clone())));
        let fixed = self.fixed.iter().map(|(name, value)| (*name, value.clone()));
        Value::from_pairs(fixed.chain([("steps", steps)]))
    }
}
