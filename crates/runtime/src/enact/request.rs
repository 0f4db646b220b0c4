//! What a run is asked for with.

use enact_core::error::{Error, ErrorCode};
use enact_core::event::{OnFailure, RunAccepted, WorkflowSource};
use enact_core::ids::RunId;
use enact_core::json::JsonText;
use serde_json::{Map, Value};

use crate::act::ActWorkflow;
use crate::foreseen::Foreseen;
use crate::workflow::{DynWorkflow, Workflow, erase};

/// What a run is asked for with.
#[derive(Clone, Debug)]
pub struct RunRequest {
    workflow: String,
    version: u32,
    source: WorkflowSource,
    on_failure: OnFailure,
    user: String,
    attributes: Map<String, Value>,
    input: JsonText,
    pub(super) key: Option<String>,
    checked: Result<(), Error>,
    pub(crate) foreseen: Vec<Foreseen>,
}

impl RunRequest {
    /// A run of a workflow on behalf of a user, with an input; `null` is the input of workflows that take none.
    pub fn new(workflow: &dyn DynWorkflow, user: impl Into<String>, input: JsonText) -> Self {
        Self {
            workflow: workflow.name().to_owned(),
            version: workflow.version(),
            source: workflow.source(),
            on_failure: workflow.on_failure(),
            user: user.into(),
            attributes: Map::new(),
            checked: workflow.check_input(&input),
            foreseen: workflow.foreseen(),
            input,
            key: None,
        }
    }

    /// A run of a workflow written in Rust, with an input of its own type.
    ///
    /// # Errors
    /// `internal`, where the input has no JSON form.
    pub fn of<W: Workflow>(workflow: W, user: impl Into<String>, input: &W::Input) -> Result<Self, Error> {
        Ok(Self::new(&*erase(workflow), user, JsonText::encode(input)?))
    }

    /// One action as a run of its own.
    pub fn act(connector: &str, action: &str, params: JsonText, user: impl Into<String>) -> Self {
        match ActWorkflow::input(connector, action, &params) {
            Ok(input) => Self {
                foreseen: vec![Foreseen::new("", connector, action).params(Some(params))],
                ..Self::new(&*erase(ActWorkflow), user, input)
            },
            Err(error) => {
                Self { checked: Err(error), ..Self::new(&*erase(ActWorkflow), user, JsonText::null()) }
            }
        }
    }

    /// What is said of the user, for policies.
    #[must_use]
    pub fn attributes(mut self, attributes: Map<String, Value>) -> Self {
        self.attributes = attributes;
        self
    }

    /// An idempotency key: the same key never runs twice.
    #[must_use]
    pub fn key(mut self, key: Option<String>) -> Self {
        self.key = key;
        self
    }

    pub(crate) fn accepted(self) -> Result<RunAccepted, Error> {
        self.checked?;
        if self.user.trim().is_empty() {
            return Err(Error::new(ErrorCode::InvalidParameters, "a run needs a user").left_nothing());
        }
        if self.key.as_ref().is_some_and(|key| key.trim().is_empty()) {
            return Err(
                Error::new(ErrorCode::InvalidParameters, "the idempotency key is empty").left_nothing()
            );
        }
        Ok(RunAccepted {
            workflow: self.workflow,
            version: self.version,
            source: self.source,
            user: self.user,
            attributes: JsonText::encode(&self.attributes)?,
            input: self.input,
            on_failure: self.on_failure,
            key: self.key,
        })
    }
}

/// A run that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Submitted {
    /// The run.
    pub run: RunId,
    /// Whether it is an earlier run with the same idempotency key.
    pub existing: bool,
}
