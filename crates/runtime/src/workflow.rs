//! What a workflow is: code that asks for actions, and can be run again.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::future::Future;
use std::sync::Arc;

use enact_core::action::Record;
use enact_core::error::{Error, ErrorCode};
use enact_core::event::{OnFailure, RunAccepted, WorkflowSource};
use enact_core::json::JsonText;
use futures::future::BoxFuture;

use crate::cx::WorkflowCx;
use crate::foreseen::Foreseen;

/// A workflow written in Rust.
///
/// # Contract
/// After a crash the code runs again from its beginning, and what it asked for before is handed back without
/// being performed. So it is deterministic: time, randomness and sleep come from the [`WorkflowCx`], and it
/// touches the outside world through connectors only. Code that asks for something else than before puts the
/// run into quarantine; a changed workflow gets a new `VERSION`, beside the old one while runs of it are open.
pub trait Workflow: Send + Sync + 'static {
    /// The name under which runs are recorded.
    const NAME: &'static str;
    /// Raised when the code asks for other things than before.
    const VERSION: u32;
    /// What becomes of the effects of a run that fails.
    const ON_FAILURE: OnFailure = OnFailure::Rollback;
    /// What a run is started with.
    type Input: Record;
    /// What it gives.
    type Output: Record;

    /// Does it. An error ends the run; its effects are then undone, or kept, as `ON_FAILURE` says.
    fn run(
        &self,
        cx: &WorkflowCx,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output, Error>> + Send;
}

/// A workflow whose types are erased: what the runtime carries out. Implemented for every [`Workflow`], and by
/// declarative ones.
pub trait DynWorkflow: Send + Sync + 'static {
    /// The name under which runs are recorded.
    fn name(&self) -> &str;
    /// The version.
    fn version(&self) -> u32;
    /// What a run records of it.
    fn source(&self) -> WorkflowSource;
    /// What becomes of the effects of a run that fails.
    fn on_failure(&self) -> OnFailure;
    /// Checks an input before the run is accepted.
    ///
    /// # Errors
    /// `invalid_parameters`, naming the field.
    fn check_input(&self, input: &JsonText) -> Result<(), Error>;
    /// The actions that it may ask for, as far as they are known before it runs. What cannot be asked for is refused
    /// before the run is accepted. Nothing is foreseen of code.
    fn foreseen(&self) -> Vec<Foreseen> {
        Vec::new()
    }
    /// Does it.
    fn run<'a>(&'a self, cx: &'a WorkflowCx, input: JsonText) -> BoxFuture<'a, Result<JsonText, Error>>;
}

impl Debug for dyn DynWorkflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}", self.name(), self.version())
    }
}

/// A typed workflow, erased.
struct Erased<W>(W);

impl<W: Workflow> DynWorkflow for Erased<W> {
    fn name(&self) -> &str {
        W::NAME
    }

    fn version(&self) -> u32 {
        W::VERSION
    }

    fn source(&self) -> WorkflowSource {
        WorkflowSource::Code
    }

    fn on_failure(&self) -> OnFailure {
        W::ON_FAILURE
    }

    fn check_input(&self, input: &JsonText) -> Result<(), Error> {
        input.decode::<W::Input>().map(drop).map_err(|error| error.context("input").left_nothing())
    }

    fn run<'a>(&'a self, cx: &'a WorkflowCx, input: JsonText) -> BoxFuture<'a, Result<JsonText, Error>> {
        Box::pin(async move {
            let input = input.decode::<W::Input>().map_err(|error| error.context("input"))?;
            JsonText::encode(&self.0.run(cx, input).await?)
        })
    }
}

/// Erases the types of a workflow.
pub fn erase<W: Workflow>(workflow: W) -> Arc<dyn DynWorkflow> {
    Arc::new(Erased(workflow))
}

/// Makes declarative workflows from the text that their runs keep.
pub trait LoadText: Send + Sync + 'static {
    /// Reads a workflow's text.
    ///
    /// # Errors
    /// `invalid_parameters`, with line and field.
    fn load(&self, text: &str) -> Result<Arc<dyn DynWorkflow>, Error>;
}

/// The workflows that a runtime can carry out: Rust ones by name and version, declarative ones by their text.
#[derive(Default)]
pub(crate) struct Workflows {
    code: HashMap<(String, u32), Arc<dyn DynWorkflow>>,
    loader: Option<Arc<dyn LoadText>>,
}

impl Debug for Workflows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.code.values()).finish()
    }
}

impl Workflows {
    /// Adds a workflow; true where it took the place of another.
    pub(crate) fn add(&mut self, workflow: Arc<dyn DynWorkflow>) -> bool {
        self.code.insert((workflow.name().to_owned(), workflow.version()), workflow).is_some()
    }

    pub(crate) fn set_loader(&mut self, loader: Arc<dyn LoadText>) {
        self.loader = Some(loader);
    }

    /// The workflow as the run was accepted with.
    pub(crate) fn of_run(&self, run: &RunAccepted) -> Result<Arc<dyn DynWorkflow>, Error> {
        match (&run.source, &self.loader) {
            (WorkflowSource::Code, _) => self
                .code
                .get(&(run.workflow.clone(), run.version))
                .map(Arc::clone)
                .ok_or_else(|| unknown(&run.workflow, run.version)),
            (WorkflowSource::Text(text), Some(loader)) => loader.load(text),
            (WorkflowSource::Text(_), None) => Err(Error::new(
                ErrorCode::Unsupported,
                format!(
                    "run of the declarative workflow '{}': this runtime has no loader for them",
                    run.workflow
                ),
            )),
        }
    }
}

fn unknown(name: &str, version: u32) -> Error {
    Error::new(
        ErrorCode::Unsupported,
        format!(
            "workflow '{name}' version {version} is not registered; register it beside newer ones and resume"
        ),
    )
}
