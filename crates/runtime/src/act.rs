//! One action as a run of its own.

use enact_core::error::Error;
use enact_core::json::JsonText;
use serde::{Deserialize, Serialize};

use crate::cx::{Tries, WorkflowCx};
use crate::workflow::Workflow;

/// The workflow that asks for one action.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActWorkflow;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActInput {
    connector: String,
    action: String,
    params: JsonText,
}

impl ActWorkflow {
    pub(crate) fn input(connector: &str, action: &str, params: &JsonText) -> Result<JsonText, Error> {
        JsonText::encode(&ActInput {
            connector: connector.to_owned(),
            action: action.to_owned(),
            params: params.clone(),
        })
    }
}

impl Workflow for ActWorkflow {
    const NAME: &'static str = "act";
    const VERSION: u32 = 1;
    type Input = ActInput;
    type Output = JsonText;

    async fn run(&self, cx: &WorkflowCx, input: ActInput) -> Result<JsonText, Error> {
        let acted = cx.act(&input.connector, &input.action, input.params, Tries::default()).await?;
        Ok(acted.output)
    }
}
