//! What ends a command early, and with which exit code.

use enact::audit::AuditError;
use enact::error::{Error, ErrorCode};
use enact::ids::RunId;
use enact::run::RunStatus;
use enact::store::StoreError;
use serde_json::{Value, json};

use crate::policies::problems_of;

/// How the process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Exit(pub(crate) u8);

impl Exit {
    pub(crate) const OK: Self = Self(0);
    pub(crate) const INTERNAL: Self = Self(1);
    pub(crate) const USAGE: Self = Self(2);
    pub(crate) const BLOCKED: Self = Self(3);
    pub(crate) const FAILED: Self = Self(4);
    pub(crate) const NEEDS_A_PERSON: Self = Self(5);
    pub(crate) const CORRUPT: Self = Self(6);
    pub(crate) const INTERRUPTED: Self = Self(130);

    /// By the final status of a run. `undoing`: the command asked for the run to be undone.
    pub(crate) fn of(status: RunStatus, undoing: bool) -> Self {
        match status {
            RunStatus::Completed => Self::OK,
            RunStatus::RolledBack if undoing => Self::OK,
            RunStatus::RolledBack | RunStatus::Failed => Self::FAILED,
            RunStatus::Blocked => Self::BLOCKED,
            RunStatus::AwaitingApproval | RunStatus::Quarantined | RunStatus::PartiallyRolledBack => {
                Self::NEEDS_A_PERSON
            }
            RunStatus::Running | RunStatus::RollingBack => Self::INTERRUPTED,
        }
    }
}

/// What ended a command before it had its answer.
#[derive(Debug)]
pub(crate) enum Failure {
    Error(Error),
    /// SIGINT or SIGTERM.
    Interrupted,
    /// One of these when there was a run already.
    Of(RunId, Box<Failure>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Error(error.into())
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Store(error) => error.into(),
            AuditError::Disproved { .. } | AuditError::Receipt(_) => {
                Error::new(ErrorCode::Internal, error.to_string()).with_source(error).into()
            }
            _ => usage(error.to_string()),
        }
    }
}

/// A mistake in what was asked for.
pub(crate) fn usage(message: impl Into<String>) -> Failure {
    Error::new(ErrorCode::InvalidParameters, message).into()
}

impl Failure {
    /// The same, of a run where it is known. Whoever reads it goes on with the run, and does not ask for it again.
    pub(crate) fn of(self, run: Option<RunId>) -> Self {
        match run {
            Some(run) => Self::Of(run, Box::new(self)),
            None => self,
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Of(_, failure) => failure.exit(),
            Self::Interrupted => Exit::INTERRUPTED,
            Self::Error(error) if is_corrupt(error) => Exit::CORRUPT,
            Self::Error(error) => match error.code() {
                ErrorCode::Internal | ErrorCode::Unavailable => Exit::INTERNAL,
                _ => Exit::USAGE,
            },
        }
    }

    /// Whether another process has the store open.
    pub(crate) fn is_locked(&self) -> bool {
        let Self::Error(error) = self else { return false };
        let source = std::error::Error::source(error);
        matches!(source.and_then(|source| source.downcast_ref()), Some(StoreError::Locked { .. }))
    }

    /// The document of the contract; where there is a run, with its id.
    pub(crate) fn document(&self) -> Value {
        match self {
            Self::Of(run, _) => json!({ "run_id": run, "error": self.error() }),
            _ => json!({ "error": self.error() }),
        }
    }

    /// The error alone, as documents have it.
    pub(crate) fn error(&self) -> Value {
        let (code, message) = (self.code(), self.message());
        match self.problems() {
            Value::Null => json!({ "code": code, "message": message }),
            problems => json!({ "code": code, "message": message, "problems": problems }),
        }
    }

    /// What is wrong with the policies, each on its own, where that is it.
    fn problems(&self) -> Value {
        match self {
            Self::Of(_, failure) => failure.problems(),
            Self::Error(error) => problems_of(error),
            Self::Interrupted => Value::Null,
        }
    }

    /// What it says, for people: a line for each thing that is wrong with the policies, else all of it.
    pub(crate) fn told(&self) -> Vec<String> {
        let message = self.message();
        if self.problems().is_null() { vec![message] } else { message.lines().map(str::to_owned).collect() }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Of(_, failure) => failure.code(),
            Self::Error(error) => error.code().as_str(),
            Self::Interrupted => ErrorCode::Unavailable.as_str(),
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::Error(error) => error.message().to_owned(),
            Self::Interrupted => {
                "interrupted; what was under way is left resumable: `enact resume` finishes it".to_owned()
            }
            Self::Of(run, failure) => match **failure {
                Self::Interrupted => {
                    format!("interrupted; run {run} is left resumable: `enact resume {run}` finishes it")
                }
                _ if failure.exit() == Exit::INTERNAL => {
                    let message = failure.message();
                    format!(
                        "{message}; run {run} is in the log as far as it came: `enact resume {run}` finishes it"
                    )
                }
                _ => failure.message(),
            },
        }
    }
}

fn is_corrupt(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if matches!(error.downcast_ref(), Some(StoreError::Corrupt { .. }))
            || matches!(error.downcast_ref(), Some(AuditError::Disproved { .. } | AuditError::Receipt(_)))
        {
            return true;
        }
        source = error.source();
    }
    false
}
