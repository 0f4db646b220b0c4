//! What comes next for a run. Pure: whoever carries it out records what happened and asks again.

use crate::ids::Seq;

use super::{Phase, RunState, Undoing};

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// The policies judge the run; or it waits for a person, where they wanted that.
    Judge,
    /// The workflow's code decides.
    AskWorkflow,
    /// Find out whether this intent took effect.
    Settle {
        /// The action.
        seq: Seq,
        /// The attempt.
        attempt: u32,
    },
    /// The outside system cannot tell whether this intent took effect: only an operator can.
    Quarantine {
        /// The action.
        seq: Seq,
    },
    /// Undo this attempt.
    Compensate {
        /// The action.
        seq: Seq,
        /// The attempt.
        attempt: u32,
    },
    /// Find out whether the undo of this attempt took effect.
    SettleUndo {
        /// The action.
        seq: Seq,
        /// The attempt.
        attempt: u32,
    },
    /// Everything that was to be undone is settled.
    FinishRollback,
    /// An operator has to decide.
    AwaitOperator,
    /// Nothing; the run has ended.
    Nothing,
}

impl RunState {
    /// What comes next.
    #[must_use]
    pub fn next(&self) -> Next {
        match self.phase {
            Phase::Judging => Next::Judge,
            Phase::Running => self.next_forward(),
            Phase::RollingBack => self.unsettled().unwrap_or_else(|| self.next_undo()),
            Phase::Quarantined => Next::AwaitOperator,
            Phase::Ended(_) => Next::Nothing,
        }
    }

    fn next_forward(&self) -> Next {
        let unknown = || self.intent(self.due.oldest_unknown()?).map(|(seq, _)| Next::Quarantine { seq });
        self.unsettled().or_else(unknown).unwrap_or(Next::AskWorkflow)
    }

    /// The oldest intent whose outcome is to be found out.
    fn unsettled(&self) -> Option<Next> {
        let (seq, attempt) = self.intent(self.due.oldest_unsettled()?)?;
        Some(Next::Settle { seq, attempt })
    }

    /// Undoing goes by intents, newest first, one at a time.
    fn next_undo(&self) -> Next {
        let newest = || {
            let (seq, attempt) = self.intent(self.due.newest_undo()?)?;
            Some(match self.attempt(seq, attempt)?.undoing {
                Undoing::Intended(_) | Undoing::InDoubt(..) => Next::SettleUndo { seq, attempt },
                Undoing::Not | Undoing::Retrying(_) | Undoing::Settled(..) => {
                    Next::Compensate { seq, attempt }
                }
            })
        };
        newest().unwrap_or(Next::FinishRollback)
    }

    fn intent(&self, place: usize) -> Option<(Seq, u32)> {
        self.intents.get(place).copied()
    }
}
