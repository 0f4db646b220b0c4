//! The one error type: what happened, whether trying again is safe, and whether something may be left.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What kind of error it is, in the words of the public contract. The words are stable for ever.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable word for the code.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// The action is not in the connector's allowlist.
    PermissionDenied = "permission_denied",
    /// A policy said no, or failed to say anything.
    PolicyDenied = "policy_denied",
    /// A person said no.
    ApprovalDenied = "approval_denied",
    /// Nobody decided in time.
    ApprovalExpired = "approval_expired",
    /// Unknown, missing or wrong parameters; nothing was tried.
    InvalidParameters = "invalid_parameters",
    /// The outside system said that the target does not exist.
    NotFound = "not_found",
    /// The target exists and is not what was asked for.
    AlreadyExists = "already_exists",
    /// Somebody else changed the target; it was left as it is.
    Conflict = "conflict",
    /// The state is not the one that the request requires.
    PreconditionFailed = "precondition_failed",
    /// The outside system asks for slower requests.
    RateLimited = "rate_limited",
    /// The credentials are missing or not accepted.
    Unauthenticated = "unauthenticated",
    /// The credentials are accepted and not sufficient.
    Forbidden = "forbidden",
    /// The outside system, or the store, cannot be reached or does not serve now.
    Unavailable = "unavailable",
    /// It took too long, and nothing was changed.
    Timeout = "timeout",
    /// The effect was intended, and whether it happened is not known.
    InDoubt = "in_doubt",
    /// There is no way to undo it.
    Irreversible = "irreversible",
    /// This build, or this outside system, cannot do it.
    Unsupported = "unsupported",
    /// A defect or a broken environment; never caused by input.
    Internal = "internal",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ErrorCode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| Error::new(Self::InvalidParameters, format!("'{text}' is not an error code")))
    }
}

// By its word in every format: an enum's index would read back wrong after a change of order.
impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl ErrorCode {
    /// Whether the code is a refusal by the allowlist, a policy or a person.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::PermissionDenied | Self::PolicyDenied | Self::ApprovalDenied | Self::ApprovalExpired
        )
    }
}

/// Whether a failed attempt may have left something outside.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remains {
    /// Certainly nothing.
    Nothing,
    /// Perhaps a part. The undo looks and decides.
    Perhaps,
}

/// What went wrong. Connectors map each foreign error into one of these, once, in one place.
///
/// By default an error is not retryable, and a failure in [`perform`](crate::connector::Perform::perform)
/// may have left something: both are claims that only the connector can make, with
/// [`Error::retryable`] and [`Error::left_nothing`].
#[derive(Clone)]
pub struct Error {
    code: ErrorCode,
    message: String,
    retryable: bool,
    remains: Remains,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn std::error::Error + Send + Sync + 'static>>,
}

impl Error {
    /// An error that is not retryable and may have left something. The message is one sentence for the
    /// person who has to act on it, without secrets.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message, retryable: false, remains: Remains::Perhaps, retry_after: None, source: None }
    }

    /// Claims that the same request may be sent again without doubling an effect.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// Claims that nothing was left outside.
    #[must_use]
    pub fn left_nothing(mut self) -> Self {
        self.remains = Remains::Nothing;
        self
    }

    /// Says how long the outside system asked to wait before the next try.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Keeps the error that caused this one, for traces.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Puts `context` and a colon before the message.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The message, without the code.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same request may be sent again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// Whether something may be left outside.
    #[must_use]
    pub fn remains(&self) -> Remains {
        self.remains
    }

    /// How long the outside system asked to wait.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What the log and documents keep of it.
    #[must_use]
    pub fn record(&self) -> ErrorRecord {
        ErrorRecord { code: self.code, message: self.message.clone(), retryable: self.retryable }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        if self.retryable {
            f.write_str(" [retryable]")?;
        }
        match &self.source {
            Some(source) => write!(f, ", caused by: {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// An error as it stands in the log and in documents: `{"code", "message", "retryable"}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// The code.
    pub code: ErrorCode,
    /// The message for people.
    pub message: String,
    /// Whether the same request may be sent again.
    pub retryable: bool,
}

impl From<ErrorRecord> for Error {
    fn from(record: ErrorRecord) -> Self {
        let error = Self::new(record.code, record.message);
        if record.retryable { error.retryable() } else { error }
    }
}

impl fmt::Display for ErrorRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_from_its_word() {
        for code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse::<ErrorCode>().unwrap(), *code);
        }
        assert_eq!(ErrorCode::ALL.len(), 18, "the contract lists eighteen codes");
    }

    #[test]
    fn an_error_claims_neither_safety_nor_cleanliness_by_default() {
        let error = Error::new(ErrorCode::Unavailable, "gone");
        assert!(!error.is_retryable());
        assert_eq!(error.remains(), Remains::Perhaps);
    }
}
