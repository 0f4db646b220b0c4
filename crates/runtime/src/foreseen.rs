//! What a workflow will ask for, checked before its run is accepted: a mistake in the last step is found before the
//! first one has changed anything.
//!
//! It knows which connectors there are and what their actions take. What is allowed is for the gate to say, in the run,
//! where it is recorded.

use enact_core::connector::Toolbox;
use enact_core::error::{Error, ErrorCode};
use enact_core::json::JsonText;

use crate::shared::Shared;

/// An action that a workflow may ask for, as far as that is known before it runs.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Foreseen {
    /// Where the workflow asks for it, for messages: `step 'note'`; empty where it is asked for by itself.
    pub place: String,
    /// The connector's name.
    pub connector: String,
    /// The action's name.
    pub action: String,
    /// The parameters, where all of them are known.
    pub params: Option<JsonText>,
}

impl Foreseen {
    /// An action at a place of the workflow, with parameters that only the run has.
    pub fn new(place: impl Into<String>, connector: impl Into<String>, action: impl Into<String>) -> Self {
        Self { place: place.into(), connector: connector.into(), action: action.into(), params: None }
    }

    /// With these parameters, where they are known.
    #[must_use]
    pub fn params(mut self, params: Option<JsonText>) -> Self {
        self.params = params;
        self
    }

    /// Refuses what cannot be asked for, whatever comes before it.
    pub(crate) fn check(&self, shared: &Shared) -> Result<(), Error> {
        let toolbox = shared.connector(&self.connector).map_err(|error| self.refused("action", error))?;
        self.check_with(toolbox.toolbox())
    }

    /// Names the place, and the field that is wrong there.
    fn refused(&self, field: &str, error: Error) -> Error {
        let error = if self.place.is_empty() { error } else { error.context(field).context(&self.place) };
        error.left_nothing()
    }

    fn check_with(&self, toolbox: &Toolbox) -> Result<(), Error> {
        if !toolbox.actions().any(|(spec, _)| spec.name == self.action) {
            let names = toolbox.actions().map(|(spec, _)| spec.name).collect::<Vec<_>>().join(", ");
            let message = format!("'{}' has no action '{}'; it has: {names}", self.connector, self.action);
            return Err(self.refused("action", Error::new(ErrorCode::InvalidParameters, message)));
        }
        match &self.params {
            Some(params) if toolbox.check_allowed(&self.action).is_ok() => {
                toolbox.prepare(&self.action, params).map(drop).map_err(|error| self.refused("with", error))
            }
            _ => Ok(()),
        }
    }
}
