//! The actions, one file each: parameters, what they touch, how they are carried out, proved and undone.

pub mod delete_message;
pub mod post_message;
pub mod retract_message;

use enact_core::Error;
use enact_core::action::{LockKey, Target};
use enact_core::connector::Cx;
use serde_json::json;

pub use self::delete_message::DeleteMessage;
pub use self::post_message::PostMessage;
pub use self::retract_message::RetractMessage;
use crate::Slack;
use crate::client::Call;
use crate::error::{Refusal, just_gone};
use crate::name::{ChannelId, Ts};

fn message_target(channel: &ChannelId, ts: &Ts) -> Target {
    Target::new("message", format!("{channel} {ts}")).with("channel", channel.as_str())
}

fn message_lock(channel: &ChannelId, ts: &Ts) -> LockKey {
    LockKey(format!("{channel} {ts}"))
}

impl Slack {
    /// Deletes a message. Sent twice, it is as sent once.
    ///
    /// # Errors
    /// What Slack says. Of one that is gone already, the next capture knows.
    async fn delete(&self, cx: &Cx, channel: &ChannelId, ts: &Ts) -> Result<(), Error> {
        let doing = format!("delete message {ts} of {channel}");
        let call = Call::change("chat.delete", json!({ "channel": channel, "ts": ts }), doing);
        let answer = self.client.send(Some(cx), &call).await?;
        if answer.is_ok() {
            return Ok(());
        }
        if Refusal::of(&answer) == Some(Refusal::NoMessage) {
            self.gone.note(channel, ts);
            return Err(just_gone(format!("message {ts} of {channel} is gone already")));
        }
        Err(call.refused(&answer))
    }
}
