//! What the connector remembers between actions: when it may post again, and which of them Slack told that their message is
//! gone.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use enact_connector_http::wait;
use enact_core::Error;
use enact_core::connector::Cx;
use enact_core::ids::{Direction, EffectId};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::error;

/// Slack takes one message a second in each conversation. Source: "Rate limits".
const APART: Duration = Duration::from_secs(1);

/// How many effects without a message are remembered. Of one that is forgotten, the deletion counts as its own.
const MAX_GONE: usize = 1024;

/// When each conversation takes its next message, by a clock that nobody sets.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<HashMap<String, Instant>>);

impl Pace {
    /// Takes the next free second of a conversation, and waits for it.
    ///
    /// # Errors
    /// `rate_limited`, where there is no time to wait for it. The second is then left to others.
    pub(crate) async fn wait(&self, cx: &Cx, channel: &str, doing: &str) -> Result<(), Error> {
        let wait = self.take(Instant::now(), channel, wait::patience(Some(cx))).map_err(|wait| {
            error::rate_limited(doing, wait, "many messages wait for this conversation, one a second")
        })?;
        if !wait.is_zero() {
            wait::pause(Some(cx), wait, "for Slack takes one message a second in a conversation").await;
        }
        Ok(())
    }

    /// Notes that a message has arrived: the next second begins at the earliest now.
    pub(crate) fn arrived(&self, channel: &str) {
        let mut free = self.0.lock();
        let next = Instant::now() + APART;
        let at = free.entry(channel.to_owned()).or_insert(next);
        *at = next.max(*at);
    }

    /// How long to wait; an error is that it is too long.
    fn take(&self, now: Instant, channel: &str, patience: Duration) -> Result<Duration, Duration> {
        let mut free = self.0.lock();
        free.retain(|_, at| *at > now);
        let at = free.get(channel).copied().unwrap_or(now);
        let wait = at.saturating_duration_since(now);
        if wait > patience {
            return Err(wait);
        }
        free.insert(channel.to_owned(), at + APART);
        Ok(wait)
    }
}

/// Effects of which the first request was told that there is no such message: somebody else has deleted it.
#[derive(Debug, Default)]
pub(crate) struct Gone(Mutex<HashSet<EffectId>>);

impl Gone {
    pub(crate) fn note(&self, effect: EffectId) {
        let mut gone = self.0.lock();
        if gone.len() >= MAX_GONE {
            gone.clear();
        }
        gone.insert(whichever_try(effect));
    }

    pub(crate) fn has(&self, effect: EffectId) -> bool {
        self.0.lock().contains(&whichever_try(effect))
    }
}

/// The effect, whichever try of it. That an undo has `attempt` of what it undoes is no try of its own.
fn whichever_try(effect: EffectId) -> EffectId {
    match effect.direction {
        Direction::Forward => EffectId { attempt: 0, ..effect },
        Direction::Undo => EffectId { undo_try: 0, ..effect },
    }
}

/// Whether an earlier request of the same effect may have come through: what is gone now may be its doing.
pub(crate) fn was_tried(effect: EffectId) -> bool {
    match effect.direction {
        Direction::Forward => effect.attempt > 1,
        Direction::Undo => effect.undo_try > 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn messages_to_one_conversation_are_a_second_apart() {
        let (pace, began) = (Pace::default(), Instant::now());
        let (long, ms) = (Duration::from_secs(60), Duration::from_millis);
        let take = |at_ms, channel, patience| pace.take(began + ms(at_ms), channel, patience);
        assert_eq!(take(0, "C1", long), Ok(ms(0)));
        assert_eq!(take(0, "C2", long), Ok(ms(0)), "another conversation does not wait");
        assert_eq!(take(400, "C1", long), Ok(ms(600)));
        assert_eq!(take(500, "C1", long), Ok(ms(1500)));
        assert_eq!(take(500, "C1", ms(1000)), Err(ms(2500)));
        assert_eq!(take(500, "C1", long), Ok(ms(2500)), "who did not wait took nothing");
        assert_eq!(take(9000, "C1", long), Ok(ms(0)));
        assert_eq!(pace.0.lock().len(), 1, "what is over is forgotten");
        tokio::time::advance(ms(9300)).await;
        pace.arrived("C1");
        assert_eq!(take(9300, "C1", long), Ok(ms(1000)), "it was on its way for 300 ms");
    }
}
