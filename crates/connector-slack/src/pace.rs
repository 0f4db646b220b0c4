//! What the connector remembers between actions: when it may post again, and which messages Slack said are gone.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use enact_connector_http::wait;
use enact_core::Error;
use enact_core::connector::Cx;
use enact_core::time::Timestamp;
use parking_lot::Mutex;

use crate::error;
use crate::name::{ChannelId, Ts};

/// Slack takes one message a second in each conversation. Source: "Rate limits".
const APART: Duration = Duration::from_secs(1);

/// How many messages are remembered as gone.
const MAX_GONE: usize = 1024;

/// When each conversation takes its next message.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<HashMap<String, Timestamp>>);

impl Pace {
    /// Takes the next free second of a conversation, and waits for it.
    ///
    /// # Errors
    /// `rate_limited`, where there is no time to wait for it. The second is then left to others.
    pub(crate) async fn wait(&self, cx: &Cx, channel: &str, doing: &str) -> Result<(), Error> {
        let wait = self.take(cx.now(), channel, wait::patience(Some(cx))).map_err(|wait| {
            error::rate_limited(doing, wait, "many messages wait for this conversation, one a second")
        })?;
        if !wait.is_zero() {
            wait::pause(Some(cx), wait, "for Slack takes one message a second in a conversation").await;
        }
        Ok(())
    }

    /// Notes that a message has arrived: the next second begins at the earliest now.
    pub(crate) fn arrived(&self, now: Timestamp, channel: &str) {
        let mut free = self.0.lock();
        let next = now.after(APART);
        let at = free.entry(channel.to_owned()).or_insert(next);
        *at = next.max(*at);
    }

    /// How long to wait; an error is that it is too long.
    fn take(&self, now: Timestamp, channel: &str, patience: Duration) -> Result<Duration, Duration> {
        let mut free = self.0.lock();
        free.retain(|_, at| *at > now);
        let at = free.get(channel).copied().unwrap_or(now);
        let wait = at.since(now);
        if wait > patience {
            return Err(wait);
        }
        free.insert(channel.to_owned(), at.after(APART));
        Ok(wait)
    }
}

/// Messages of which Slack said that they are not there. An id is never given again, so that stays true.
#[derive(Debug, Default)]
pub(crate) struct Gone(Mutex<HashSet<(ChannelId, Ts)>>);

impl Gone {
    pub(crate) fn note(&self, channel: &ChannelId, ts: &Ts) {
        let mut gone = self.0.lock();
        if gone.len() >= MAX_GONE {
            gone.clear();
        }
        gone.insert((channel.clone(), ts.clone()));
    }

    pub(crate) fn has(&self, channel: &ChannelId, ts: &Ts) -> bool {
        self.0.lock().contains(&(channel.clone(), ts.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_to_one_conversation_are_a_second_apart() {
        let pace = Pace::default();
        let at = |ms: u64| Timestamp::from_unix_us(1_000_000_000 + ms * 1000);
        let (long, ms) = (Duration::from_secs(60), Duration::from_millis);
        assert_eq!(pace.take(at(0), "C1", long), Ok(ms(0)));
        assert_eq!(pace.take(at(0), "C2", long), Ok(ms(0)), "another conversation does not wait");
        assert_eq!(pace.take(at(400), "C1", long), Ok(ms(600)));
        assert_eq!(pace.take(at(500), "C1", long), Ok(ms(1500)));
        assert_eq!(pace.take(at(500), "C1", ms(1000)), Err(ms(2500)));
        assert_eq!(pace.take(at(500), "C1", long), Ok(ms(2500)), "who did not wait took nothing");
        assert_eq!(pace.take(at(9000), "C1", long), Ok(ms(0)));
        assert_eq!(pace.0.lock().len(), 1, "what is over is forgotten");
        pace.arrived(at(9300), "C1");
        assert_eq!(pace.take(at(9300), "C1", long), Ok(ms(1000)), "it was on its way for 300 ms");
    }
}
