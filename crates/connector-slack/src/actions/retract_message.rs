//! The undo of `post_message`: the message is deleted, as long as nobody has edited it. Replies in its thread stay.

use enact_core::action::{Action, Captured, Doubt, EffectClass, Facts, Left, LockKey, NoUndo, Target, Undo};
use enact_core::connector::{Cx, Perform};
use enact_core::{Error, ErrorCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::post_message::{MessagePosted, PostMessagePre};
use super::{message_lock, message_target};
use crate::Slack;
use crate::compare::changed;
use crate::error::{conflict, is_blind};
use crate::message::Message;
use crate::name::{ChannelId, Place, Ts};
use crate::pace::was_tried;

/// Deletes a message that was posted by an intent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetractMessage {
    /// Where it was to be posted.
    pub channel: Place,
    /// The message that it was to answer.
    pub thread_ts: Option<Ts>,
    /// The message, where it is known; else it is found by its mark.
    pub posted: Option<MessagePosted>,
    /// The intent that posted it.
    pub made: PostMessagePre,
}

/// What undoing `post_message` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessageRetracted {
    /// The conversation; nothing where there was no message.
    pub channel: Option<ChannelId>,
    /// The message; nothing where there was none.
    pub ts: Option<Ts>,
    /// How many replies are left in its thread; nothing where that could not be seen.
    pub replies_left: Option<u64>,
}

/// What the probe needs to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetractMessagePre {
    /// The conversation.
    pub channel: ChannelId,
    /// The message.
    pub ts: Ts,
    /// The message that it answers.
    pub thread_ts: Option<Ts>,
    /// How many replies its thread has; nothing where that could not be seen.
    pub replies: Option<u64>,
}

impl RetractMessagePre {
    fn output(&self) -> MessageRetracted {
        MessageRetracted {
            channel: Some(self.channel.clone()),
            ts: Some(self.ts.clone()),
            replies_left: self.replies,
        }
    }
}

impl RetractMessage {
    /// Compares the message with what was left of it.
    fn check(&self, cx: &Cx, message: &Message) -> Result<(), Error> {
        let kept = self.posted.as_ref().map(|posted| &posted.kept);
        match changed(kept, message).filter(|_| !cx.force()) {
            None => Ok(()),
            Some(what) => {
                Err(conflict(format!("message {} is not as it was posted: {what}; it was left", message.ts)))
            }
        }
    }

    /// What is to be said where the message cannot be read.
    fn blind(&self, error: &Error) -> Error {
        let message = format!(
            "the message cannot be compared with what was posted ({}); let the token read it, or undo it with --force",
            error.message()
        );
        Error::new(ErrorCode::Forbidden, message).left_nothing()
    }

    fn already(&self, message: Option<&Message>) -> Captured<Self, ()> {
        let (channel, ts) = match &self.posted {
            Some(posted) => (Some(posted.channel.clone()), Some(posted.ts.clone())),
            None => (None, None),
        };
        let replies_left = message.map(|message| message.reply_count);
        Captured::AlreadyDone(MessageRetracted { channel, ts, replies_left })
    }

    fn ready(&self, cx: &Cx, channel: ChannelId, message: &Message) -> Captured<Self, ()> {
        let replies = message.reply_count;
        if replies > 0 {
            cx.note(&format!("{replies} replies in the thread of message {} stay", message.ts));
        }
        let facts = Facts::from_iter([("replies_left".to_owned(), json!(replies))]);
        let (ts, thread_ts) = (message.ts.clone(), message.answers().cloned());
        let pre = RetractMessagePre { channel, ts, thread_ts, replies: Some(replies) };
        Captured::Ready { pre, facts, held: () }
    }
}

impl Action for RetractMessage {
    const NAME: &'static str = "retract_message";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "it is an undo, and has none";
    type Output = MessageRetracted;
    type PreState = RetractMessagePre;
    type Undo = NoUndo;

    fn target(&self) -> Target {
        match &self.posted {
            Some(posted) => message_target(&posted.channel, &posted.ts),
            None => Target::new("message", format!("{} of {}", self.channel, self.made.effect)),
        }
    }

    fn lock(&self) -> Option<LockKey> {
        self.posted.as_ref().map(|posted| message_lock(&posted.channel, &posted.ts))
    }
}

impl Slack {
    /// The message of a post whose reply is known. A list that does not show it yet is asked again.
    async fn shown(
        &self,
        cx: &Cx,
        undo: &RetractMessage,
        posted: &MessagePosted,
    ) -> Result<Option<Message>, Error> {
        let look = || self.message(cx, &posted.channel, posted.thread_ts.as_ref(), &posted.ts);
        self.settle().settled(cx, undo.made.at, look).await
    }
}

impl Perform<RetractMessage> for Slack {
    type Held = ();

    async fn capture(&self, cx: &Cx, action: &RetractMessage) -> Result<Captured<RetractMessage, ()>, Error> {
        let Some(posted) = &action.posted else {
            let found = self.posted(cx, &action.channel, action.thread_ts.as_ref(), &action.made).await;
            let found = found.map_err(|error| {
                if is_blind(&error) {
                    error.context("nobody can see whether there is a message to undo")
                } else {
                    error
                }
            })?;
            return Ok(match found {
                Some((channel, message)) if !self.gone.has(cx.effect()) => {
                    action.check(cx, &message)?;
                    action.ready(cx, channel, &message)
                }
                found => action.already(found.as_ref().map(|(_, message)| message)),
            });
        };
        if self.gone.has(cx.effect()) {
            return Ok(action.already(None));
        }
        let unseen = |replies| {
            let MessagePosted { channel, ts, thread_ts, .. } = posted.clone();
            Captured::ready(RetractMessagePre { channel, ts, thread_ts, replies }, ())
        };
        match self.shown(cx, action, posted).await {
            Ok(Some(message)) if !message.is_tombstone() => {
                action.check(cx, &message)?;
                Ok(action.ready(cx, posted.channel.clone(), &message))
            }
            // An earlier try may have deleted it; deleted again, it is undone, and not by somebody else.
            Ok(gone) if was_tried(cx.effect()) => Ok(unseen(gone.map(|message| message.reply_count))),
            Ok(gone) => Ok(action.already(gone.as_ref())),
            Err(error) if is_blind(&error) && cx.force() => Ok(unseen(None)),
            Err(error) if is_blind(&error) => Err(action.blind(&error)),
            Err(error) => Err(error),
        }
    }

    async fn perform(
        &self,
        cx: &Cx,
        _: &RetractMessage,
        pre: &RetractMessagePre,
        (): (),
    ) -> Result<MessageRetracted, Error> {
        self.delete(cx, &pre.channel, &pre.ts).await?;
        Ok(pre.output())
    }

    /// Deleting what is deleted changes nothing, so an answer needs no window, and no right to look.
    async fn probe(
        &self,
        cx: &Cx,
        _: &RetractMessage,
        pre: &RetractMessagePre,
    ) -> Result<Doubt<MessageRetracted>, Error> {
        match self.message(cx, &pre.channel, pre.thread_ts.as_ref(), &pre.ts).await {
            Ok(Some(message)) if message.is_tombstone() => Ok(Doubt::Applied(pre.output())),
            // A list that has never shown it may be behind.
            Ok(None) if pre.replies.is_some() => Ok(Doubt::Applied(pre.output())),
            Ok(_) => Ok(Doubt::NotApplied),
            Err(error) if is_blind(&error) => Ok(Doubt::NotApplied),
            Err(error) => Err(error),
        }
    }

    fn undo(&self, _: &RetractMessage, _: &RetractMessagePre, _: Left<'_, MessageRetracted>) -> Undo<NoUndo> {
        Undo::Irreversible(<RetractMessage as Action>::REVERSAL.into())
    }
}
