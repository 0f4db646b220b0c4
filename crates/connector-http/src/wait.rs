//! How long a connector may wait within a call, for a service that wants slower requests.

use std::time::Duration;

use enact_core::connector::Cx;
use enact_core::{Error, ErrorCode};

/// How often one request is refused for its rate before that is the answer.
pub const MAX_WAITS: u32 = 10;

/// The longest wait where nobody says how long a call may take.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What is left of a call's time after a wait, at the least.
const AFTER_WAIT: Duration = Duration::from_secs(2);

/// The longest wait that the call has time for. Without a call, nobody waits.
#[must_use]
pub fn patience(cx: Option<&Cx>) -> Duration {
    match cx {
        None => Duration::ZERO,
        Some(cx) => cx.remaining().map_or(LONGEST_WAIT, |left| left.saturating_sub(AFTER_WAIT)),
    }
}

/// Waits, and tells who watches why.
pub async fn pause(cx: Option<&Cx>, wait: Duration, why: &str) {
    if let Some(cx) = cx {
        let seconds = wait.as_millis().div_ceil(1000);
        cx.note(&format!("waiting {seconds} s {why}"));
    }
    tokio::time::sleep(wait).await;
}

/// An error where a change would be sent too late: nobody would know its outcome.
///
/// # Errors
/// `timeout`; nothing was sent.
pub fn check_time(cx: Option<&Cx>, doing: &str) -> Result<(), Error> {
    if !cx.and_then(Cx::remaining).is_some_and(|left| left.is_zero()) {
        return Ok(());
    }
    let message = format!("cannot {doing}: it took too long to come to it, so it was not sent; ask again");
    Err(Error::new(ErrorCode::Timeout, message).retryable().left_nothing())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paused::{cx, secs};

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_as_long_as_it_has_time_for_what_comes_after() {
        assert_eq!(patience(None), secs(0));
        assert_eq!(patience(Some(&cx(None))), secs(60));
        let cx = cx(Some(secs(30)));
        assert_eq!(patience(Some(&cx)), secs(28));
        pause(Some(&cx), secs(20), "for a test").await;
        assert_eq!(patience(Some(&cx)), secs(8));
        assert_eq!(cx.remaining(), Some(secs(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_not_sent_when_its_time_is_over() {
        let cx = cx(Some(secs(1)));
        check_time(None, "post it").unwrap();
        check_time(Some(&cx), "post it").unwrap();
        tokio::time::advance(secs(1)).await;
        let error = check_time(Some(&cx), "post it").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Timeout);
        assert!(error.is_retryable() && error.message().contains("was not sent"), "{error}");
    }
}
