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

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// What is left of a call's time after a wait, at the least.
const AFTER_WAIT: Duration = Duration::from_secs(10);

/// How long an effect may stay invisible.
#[derive(Clone, Copy, Debug)]
pub struct Settle(pub Duration);

impl Settle {
    /// Looks until something is found, or the window after `at` has passed and two looks in a row found nothing.
    ///
    /// # Errors
    /// What a look says. Where the call has not so much time: `unavailable`, with when to ask again.
    pub async fn settled<T, F>(self, cx: &Cx, at: Timestamp, look: impl Fn() -> F) -> Result<Option<T>, Error>
    where
        F: Future<Output = Result<Option<T>, Error>>,
    {
        let end = at.after(self.0);
        loop {
            if let Some(found) = look().await? {
                return Ok(Some(found));
            }
            let left = end.since(cx.now());
            if left.is_zero() {
                return look().await;
            }
            let patience = cx.remaining().unwrap_or_default().saturating_sub(AFTER_WAIT);
            if patience < left {
                return Err(too_early(left));
            }
            let seconds = left.as_secs().saturating_add(1);
            cx.note(&format!("not to be seen yet; it counts as lost in {seconds} s"));
            tokio::time::sleep(left.min(PAUSE)).await;
        }
    }

    /// The context of what is to be sent for an intent: in the first half of its window only, so that no request can
    /// land after the window, where it would have been taken for lost.
    #[must_use]
    pub fn in_time(self, cx: &Cx, at: Timestamp) -> Cx {
        if self.0.is_zero() {
            return cx.clone();
        }
        let half = at.after(self.0 / 2);
        let own = cx.remaining().map_or(half, |left| cx.now().after(left));
        cx.clone().until(half.min(own))
    }
}

fn too_early(left: Duration) -> Error {
    let message = format!(
        "it cannot be seen, and may still become visible for {} s; that is to be waited for",
        left.as_secs().saturating_add(1)
    );
    Error::new(ErrorCode::Unavailable, message).retryable().left_nothing().retry_after(left)
}
