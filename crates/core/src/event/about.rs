//! What an event is about.

use super::Event;
use crate::ids::Seq;

impl Event {
    /// The number of the action that it is about; `None` where it is about the run as a whole.
    #[must_use]
    pub fn action(&self) -> Option<Seq> {
        match self {
            Self::ApprovalRequested(e) => e.seq(),
            Self::ApprovalDecided(e) => e.seq,
            Self::ActionRefused(e) => Some(e.call.seq),
            Self::ActionRead(e) => Some(e.call.seq),
            Self::ActionAlreadyDone(e) => Some(e.call.seq),
            Self::ActionIntended(e) => Some(e.call.seq),
            Self::ActionSucceeded(e) => Some(e.seq),
            Self::ActionFailed(e) => Some(e.seq),
            Self::ActionResolved(e) => Some(e.seq),
            Self::ActionCaptureFailed(e) => Some(e.call.seq),
            Self::CompensationIntended(e) => Some(e.seq),
            Self::CompensationSucceeded(e) => Some(e.seq),
            Self::CompensationSkipped(e) => Some(e.seq),
            Self::CompensationConflicted(e) => Some(e.seq),
            Self::CompensationFailed(e) => Some(e.seq),
            Self::CompensationResolved(e) => Some(e.seq),
            Self::RunQuarantined(e) => e.seq,
            Self::OperatorDecided(e) => e.seq,
            Self::RunAccepted(_)
            | Self::PoliciesEvaluated(_)
            | Self::RunBlocked(_)
            | Self::TimerSet(_)
            | Self::TimerFired(_)
            | Self::ValueRecorded(_)
            | Self::CancelRequested(_)
            | Self::RunSucceeded(_)
            | Self::RunFailed(_)
            | Self::RollbackRequested(_)
            | Self::RollbackFinished
            | Self::ContentErased(_)
            | Self::PayloadErased(_) => None,
        }
    }
}
