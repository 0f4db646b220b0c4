//! What is left of a run whose content was erased: how it ended, and that it did.

use std::sync::Arc;

use crate::event::{ContentErased, OnFailure, RunAccepted, WorkflowSource};
use crate::json::JsonText;
use crate::time::Timestamp;

use super::{Phase, Refusal, RunEnd, RunState, RunStatus};

/// What stands where a name was erased.
pub const ERASED_NAME: &str = "(erased)";

/// What is known of a run whose content was erased.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Erasure {
    /// When it was erased.
    pub at: Timestamp,
    /// How many actions it had.
    pub actions: u64,
}

/// The acceptance of a run that nobody can read any more.
pub(super) fn unknown() -> Arc<RunAccepted> {
    Arc::new(RunAccepted {
        workflow: ERASED_NAME.into(),
        version: 0,
        source: WorkflowSource::Code,
        user: ERASED_NAME.into(),
        attributes: JsonText::null(),
        input: JsonText::null(),
        on_failure: OnFailure::Keep,
        key: None,
    })
}

impl RunState {
    /// An event whose content is gone.
    pub(super) fn pass_over(&mut self) -> Result<(), Refusal> {
        if self.is_blank { Ok(()) } else { Err("the run's content was not erased".into()) }
    }

    pub(super) fn erase(&mut self, at: Timestamp, event: &ContentErased) -> Result<(), Refusal> {
        let end = ended_as(event.status).ok_or_else(|| format!("no run ends as {}", event.status))?;
        if self.is_blank {
            (self.phase, self.ended_at) = (Phase::Ended(end), Some(event.ended_at));
        } else if self.phase != Phase::Ended(end) {
            return Err(format!("the run is {}, and only one that has ended is erased", self.status()));
        }
        self.erased = Some(Erasure { at, actions: event.actions });
        Ok(())
    }
}

fn ended_as(status: RunStatus) -> Option<RunEnd> {
    match status {
        RunStatus::Completed => Some(RunEnd::Completed),
        RunStatus::Blocked => Some(RunEnd::Blocked),
        RunStatus::Failed => Some(RunEnd::Failed),
        RunStatus::RolledBack => Some(RunEnd::RolledBack),
        RunStatus::PartiallyRolledBack => Some(RunEnd::PartiallyRolledBack),
        RunStatus::Running
        | RunStatus::AwaitingApproval
        | RunStatus::RollingBack
        | RunStatus::Quarantined => None,
    }
}
