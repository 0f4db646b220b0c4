//! When "not there" counts: a request whose reply was lost may land after the first look, and lists show new items late.
//! So what is missing is looked for until a settle window after the intent has passed, and then once more.

use std::time::Duration;

use enact_core::connector::Cx;
use enact_core::time::Timestamp;
use enact_core::{Error, ErrorCode};

/// The default of `settle_window_s`.
pub const DEFAULT_WINDOW: Duration = Duration::from_secs(60);

/// The longest window. A look-up that is asked to come back is repeated five times, each after five minutes at most: an
/// action whose window is longer could never be settled.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(15 * 60);

/// How long to wait until the next look within the window.
const PAUSE: Duration = Duration::from_secs(5);

/// How many looks that began after the window have to find nothing.
const LOOKS: u32 = 2;

/// The longest wait between two such looks: the same moment of the same replica is no second look.
const APART: Duration = Duration::from_secs(1);

/// What is left of a call's time after a wait, at the least.
const AFTER_WAIT: Duration = Duration::from_secs(10);

/// How long the outside system may take to show what has landed at the last moment.
const MARGIN: Duration = Duration::from_secs(5);

/// When an effect that is not to be seen counts as absent.
#[derive(Clone, Copy, Debug)]
pub struct Settle {
    window: Duration,
    timeout: Duration,
}

impl Settle {
    /// An effect may stay invisible for `window` after its intent, and a request may be under way for `timeout`.
    #[must_use]
    pub const fn new(window: Duration, timeout: Duration) -> Self {
        Self { window, timeout }
    }

    /// Looks until something is found, or two looks that began after the window, and some time apart, have found nothing.
    ///
    /// # Errors
    /// What a look says. Where the call has not so much time: `unavailable`, with when to ask again.
    pub async fn settled<T, F>(self, cx: &Cx, at: Timestamp, look: impl Fn() -> F) -> Result<Option<T>, Error>
    where
        F: Future<Output = Result<Option<T>, Error>>,
    {
        let end = at.after(self.window);
        let mut looks = 0;
        loop {
            let is_over = cx.now() >= end;
            if let Some(found) = look().await? {
                return Ok(Some(found));
            }
            looks += u32::from(is_over);
            if looks >= LOOKS {
                return Ok(None);
            }
            let left = if is_over { self.apart() } else { end.since(cx.now()) };
            let patience = match cx.remaining() {
                Some(remaining) => remaining.saturating_sub(AFTER_WAIT),
                // Nobody waits for a window where nobody says how long a call may take.
                None if is_over => left,
                None => Duration::ZERO,
            };
            if patience < left {
                return Err(too_early(left));
            }
            if !is_over {
                let seconds = left.as_secs().saturating_add(1);
                cx.note(&format!("not to be seen yet; it counts as lost in {seconds} s"));
            }
            tokio::time::sleep(left.min(PAUSE)).await;
        }
    }

    /// The context of what is to be sent for an intent: only as long as it lands within the window whatever becomes of
    /// it, and in the first half at the latest. What lands after the window would have been taken for lost.
    #[must_use]
    pub fn in_time(self, cx: &Cx, at: Timestamp) -> Cx {
        if self.window.is_zero() {
            return cx.clone();
        }
        let latest = at.after(self.time_to_send());
        let own = cx.remaining().map_or(latest, |left| cx.now().after(left));
        cx.clone().until(latest.min(own))
    }

    /// What an operator should know of the two times.
    #[must_use]
    pub fn warning(self) -> Option<String> {
        if self.window >= self.timeout.saturating_mul(2) {
            return None;
        }
        let what = match self.landing() {
            Some(_) => {
                format!("so a change that waits {} s is not sent any more", self.time_to_send().as_secs())
            }
            None => "so a request that is still on its way may count as lost, and be sent again".to_owned(),
        };
        let (window, timeout) = (self.window.as_secs(), self.timeout.as_secs());
        Some(format!("'settle_window_s' ({window}) is less than twice 'timeout_s' ({timeout}), {what}"))
    }

    /// How long a request may wait to be sent and still land within the window; nothing where none can.
    fn landing(self) -> Option<Duration> {
        self.window.checked_sub(self.timeout.saturating_add(MARGIN)).filter(|left| !left.is_zero())
    }

    /// Where nothing lands within the window for certain, which is warned of, the half of it.
    fn time_to_send(self) -> Duration {
        let half = self.window / 2;
        self.landing().map_or(half, |landing| landing.min(half))
    }

    /// How long to wait between two looks after the window: as good as nothing where there is none.
    fn apart(self) -> Duration {
        (self.window / 60).min(APART)
    }
}

fn too_early(left: Duration) -> Error {
    let message = format!(
        "it cannot be seen, and may still become visible for {} s; that is to be waited for",
        left.as_secs().saturating_add(1)
    );
    Error::new(ErrorCode::Unavailable, message).retryable().left_nothing().retry_after(left)
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::paused::{cx, secs};

    const SETTLE: Settle = Settle::new(secs(60), secs(30));

    /// When each look began that is needed until nothing counts as nothing; each takes so long.
    async fn looks(takes: Duration) -> Vec<Duration> {
        let (cx, began) = (cx(Some(secs(600))), Mutex::new(Vec::new()));
        let at = cx.now();
        let look = || async {
            began.lock().push(cx.now().since(at));
            tokio::time::sleep(takes).await;
            Ok(None::<()>)
        };
        assert_eq!(SETTLE.settled(&cx, at, look).await.unwrap(), None);
        began.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_counts_after_two_looks_that_began_after_the_window_and_apart() {
        for takes in [secs(0), secs(1), secs(7), secs(61)] {
            let began = looks(takes).await;
            let after: Vec<_> = began.iter().filter(|began| **began >= secs(60)).collect();
            assert_eq!(after.len(), 2, "{began:?}");
            assert!(*after[1] >= *after[0] + takes + secs(1), "{began:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_appears_at_the_very_last_look_is_found() {
        let last = looks(secs(0)).await.len();
        let (cx, count) = (cx(Some(secs(600))), Mutex::new(0));
        let look = || async {
            *count.lock() += 1;
            Ok((*count.lock() == last).then_some("there"))
        };
        assert_eq!(SETTLE.settled(&cx, cx.now(), look).await.unwrap(), Some("there"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_the_time_to_wait_says_when_to_ask_again() {
        for lasts in [None, Some(secs(20)), Some(secs(69))] {
            let cx = cx(lasts);
            let error = SETTLE.settled(&cx, cx.now(), async || Ok(None::<()>)).await.unwrap_err();
            assert!(error.is_retryable(), "{error}");
            assert!(error.wait().is_some_and(|wait| !wait.is_zero() && wait <= secs(60)), "{error}");
        }
        let late = cx(Some(secs(5)));
        let long_ago = Timestamp::from_unix_us(0);
        let error = Settle::new(secs(1), secs(1)).settled(&late, long_ago, async || Ok(None::<()>)).await;
        assert!(error.unwrap_err().is_retryable(), "one look alone proves nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_lands_within_the_window_however_long_it_takes() {
        for (window, timeout) in [(60, 30), (60, 45), (60, 5), (900, 30), (40, 30)] {
            let cx = cx(None);
            let settle = Settle::new(secs(window), secs(timeout));
            let left = settle.in_time(&cx, cx.now()).remaining().unwrap();
            assert!(!left.is_zero() && left + secs(timeout) < secs(window), "{window} {timeout}: {left:?}");
            assert!(left <= secs(window) / 2);
        }
        let cx = cx(Some(secs(3)));
        assert_eq!(SETTLE.in_time(&cx, cx.now()).remaining(), Some(secs(3)), "the call's own end stays");
    }

    #[test]
    fn a_window_that_is_too_short_for_a_request_is_warned_of() {
        let warning = |window, timeout| Settle::new(secs(window), secs(timeout)).warning();
        assert_eq!(warning(60, 30), None);
        let less = warning(60, 45).unwrap();
        assert!(less.contains("(60)") && less.contains("(45)") && less.contains("waits 10 s"), "{less}");
        for (window, timeout) in [(60, 55), (30, 30), (0, 1)] {
            assert!(warning(window, timeout).unwrap().contains("may count as lost"));
        }
    }
}
