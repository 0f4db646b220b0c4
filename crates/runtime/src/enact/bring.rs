//! Bringing a person's request to a run.

use enact_core::error::{Error, ErrorCode};
use enact_core::ids::RunId;
use tokio::sync::oneshot;

use super::{Enact, Run, gone};
use crate::backoff::{backoff, is_blip};
use crate::coordinator::CoordinatorMsg;
use crate::run::Command;

/// How often a request is brought to a run whose actor ends under it, or whose log is not to be had.
const COMMAND_TRIES: u32 = 10;

impl Enact {
    /// Brings a request to a run and waits for the run's end. A request that met an actor which was just ending
    /// is brought again: it is recorded at most once.
    pub(super) async fn command(&self, run: RunId, command: Command) -> Result<Run, Error> {
        if command.by().trim().is_empty() {
            let message = "the request needs somebody who asks: `by` is empty";
            return Err(Error::new(ErrorCode::InvalidParameters, message).left_nothing());
        }
        let mut last = gone();
        for tried in 1..=COMMAND_TRIES {
            let (reply, answer) = oneshot::channel();
            self.send(CoordinatorMsg::Command { run, command: command.clone(), reply })?;
            match answer.await {
                Ok(Ok(())) => return self.wait(run).await,
                Ok(Err(refused)) if is_blip(&refused) => last = refused,
                Ok(Err(refused)) => return Err(refused),
                Err(_) => match self.state(run).await {
                    Err(error) if !is_blip(&error) => return Err(error),
                    Err(error) => last = error,
                    Ok(_) => continue,
                },
            }
            tokio::time::sleep(backoff(tried, &last, &*self.shared.clock)).await;
        }
        Err(last)
    }
}
