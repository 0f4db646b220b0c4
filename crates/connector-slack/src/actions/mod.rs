//! The actions, one file each: parameters, what they touch, how they are carried out, proved and undone.

pub mod delete_message;
pub mod post_message;
pub mod retract_message;

use enact_core::Error;
use enact_core::action::{LockKey, Target};
use enact_core::connector::Cx;
use serde_json::Map;

pub use self::delete_message::DeleteMessage;
pub use self::post_message::PostMessage;
pub use self::retract_message::RetractMessage;
use crate::Slack;
use crate::client::Call;
use crate::error::{Refusal, just_gone};
use crate::name::{ChannelId, Ts};
use crate::pace::was_tried;

fn message_target(channel: &ChannelId, ts: &Ts) -> Target {
    Target::new("message", format!("{channel} {ts}")).with("channel", channel.as_str())
}

fn message_lock(channel: &ChannelId, ts: &Ts) -> LockKey {
    LockKey(format!("{channel} {ts}"))
}

impl Slack {
    /// Deletes a message. Sent twice, it is as sent once: what is gone at a later try counts as gone by an earlier one,
    /// whose reply may have been lost.
    ///
    /// # Errors
    /// What Slack says. That it was gone before the first try, the next capture knows.
    async fn delete(&self, cx: &Cx, channel: &ChannelId, ts: &Ts) -> Result<(), Error> {
        let doing = format!("delete message {ts} of {channel}");
        let call = Call::change("chat.delete", Map::new(), doing).with("channel", channel).with("ts", ts);
        let answer = self.client.send(Some(cx), &call).await?;
        if answer.is_ok() {
            return Ok(());
        }
        if Refusal::of(&answer) == Some(Refusal::NoMessage) {
            if was_tried(cx.effect()) {
                return Ok(());
            }
            self.gone.note(cx.effect());
            return Err(just_gone(format!("message {ts} of {channel} is gone already")));
        }
        Err(call.refused(&answer))
    }
}
