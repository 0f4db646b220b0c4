//! A request that got no answer, as one error of the contract.

use std::error::Error as StdError;
use std::fmt::Display;
use std::time::Duration;

use enact_core::{Error, ErrorCode};

use crate::cause::innermost;

/// What a request may do to the world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nature {
    /// It looks, or makes what nobody sees: sent twice, it is as sent once.
    Harmless,
    /// It changes something that people see.
    Change,
}

/// The error of a request to `service` whose connection was lost. A change is in doubt, unless it was `not_sent`: then,
/// and where nothing can have changed, nothing was left and it may be sent again.
pub fn unanswered(
    service: &str,
    doing: impl Display,
    nature: Nature,
    not_sent: bool,
    error: impl StdError + Send + Sync + 'static,
) -> Error {
    let cause = innermost(&error);
    if nature == Nature::Change && !not_sent {
        let message =
            format!("cannot {doing}: the connection was lost ({cause}); whether it was done is not known");
        return Error::new(ErrorCode::InDoubt, message).with_source(error);
    }
    let message = format!("cannot {doing}: {service} cannot be reached ({cause})");
    Error::new(ErrorCode::Unavailable, message).retryable().left_nothing().with_source(error)
}

/// The error of a request whose answer did not come in time.
pub fn late(doing: impl Display, nature: Nature, after: Duration) -> Error {
    match nature {
        Nature::Change => Error::new(
            ErrorCode::InDoubt,
            format!("cannot {doing}: no answer within {after:?}; whether it was done is not known"),
        ),
        Nature::Harmless => {
            Error::new(ErrorCode::Timeout, format!("cannot {doing}: no answer within {after:?}"))
                .retryable()
                .left_nothing()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use enact_core::error::Remains;

    use super::*;

    #[test]
    fn a_change_that_may_have_been_sent_is_in_doubt_and_all_else_left_nothing() {
        let lost = || io::Error::other("reset");
        for (error, is_doubt) in [
            (unanswered("Slack", "post it", Nature::Change, false, lost()), true),
            (unanswered("Slack", "post it", Nature::Change, true, lost()), false),
            (unanswered("Slack", "look", Nature::Harmless, false, lost()), false),
            (late("post it", Nature::Change, Duration::from_secs(1)), true),
            (late("look", Nature::Harmless, Duration::from_secs(1)), false),
        ] {
            assert_eq!(error.code() == ErrorCode::InDoubt, is_doubt, "{error}");
            assert_eq!(error.is_retryable(), !is_doubt, "{error}");
            assert_eq!(error.remains() == Remains::Perhaps, is_doubt, "{error}");
        }
    }
}
