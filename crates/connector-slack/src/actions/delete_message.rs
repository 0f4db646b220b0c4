//! `delete_message`: a message goes, for good. What it said is kept in the record, where the token may read it.

use enact_core::Error;
use enact_core::action::{
    Action, Captured, Doubt, EffectClass, FactKind, Facts, Left, LockKey, NoUndo, Shown, Target, Undo,
};
use enact_core::connector::{Cx, Perform};
use enact_core::json::JsonText;
use enact_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{message_lock, message_target};
use crate::Slack;
use crate::compare::Kept;
use crate::error::{is_blind, wrong};
use crate::message::Message;
use crate::name::{ChannelId, Ts};
use crate::pace::was_tried;

/// Deletes a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteMessage {
    channel: ChannelId,
    ts: Ts,
}

/// What `delete_message` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessageDeleted {
    /// The conversation.
    pub channel: ChannelId,
    /// The message.
    pub ts: Ts,
}

/// The message, as it was.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteMessagePre {
    /// When it was looked.
    pub at: Timestamp,
    /// Who posted it.
    pub user: Option<String>,
    /// What it said.
    pub said: Option<Kept>,
    /// How many replies its thread has.
    pub replies: Option<u64>,
    /// Why the rest is not known.
    pub unread: Option<String>,
}

impl DeleteMessage {
    /// A message, by the conversation's id and its own.
    ///
    /// # Errors
    /// `invalid_parameters`, where one of the two can be no id.
    pub fn new(channel: &str, ts: &str) -> Result<Self, Error> {
        let channel =
            ChannelId::try_from(channel.to_owned()).map_err(|error| wrong(format!("'channel': {error}")))?;
        let ts = Ts::try_from(ts.to_owned()).map_err(|error| wrong(format!("'ts': {error}")))?;
        Ok(Self { channel, ts })
    }

    fn output(&self) -> MessageDeleted {
        MessageDeleted { channel: self.channel.clone(), ts: self.ts.clone() }
    }
}

impl DeleteMessagePre {
    fn of(at: Timestamp, message: &Message) -> Self {
        let (user, said) = (message.user.clone(), Some(Kept::from(message)));
        Self { at, user, said, replies: Some(message.reply_count), unread: None }
    }

    fn unread(at: Timestamp, why: &str) -> Self {
        Self { at, user: None, said: None, replies: None, unread: Some(why.to_owned()) }
    }
}

impl Action for DeleteMessage {
    const NAME: &'static str = "delete_message";
    const EFFECT: EffectClass = EffectClass::Irreversible;
    const REVERSAL: &'static str =
        "irreversible; its text is kept in the record, where the token may read it";
    const FACTS: &'static [(&'static str, FactKind)] = &[("user", FactKind::Text), ("text", FactKind::Text)];
    type Output = MessageDeleted;
    type PreState = DeleteMessagePre;
    type Undo = NoUndo;

    fn target(&self) -> Target {
        message_target(&self.channel, &self.ts)
    }

    fn lock(&self) -> Option<LockKey> {
        Some(message_lock(&self.channel, &self.ts))
    }
}

impl Perform<DeleteMessage> for Slack {
    type Held = ();

    async fn capture(&self, cx: &Cx, action: &DeleteMessage) -> Result<Captured<DeleteMessage, ()>, Error> {
        if self.gone.has(cx.effect()) {
            return Ok(Captured::AlreadyDone(action.output()));
        }
        let at = cx.now();
        let pre = match self.message_anywhere(cx, &action.channel, &action.ts).await {
            Ok(Some(message)) if message.is_tombstone() => {
                if !was_tried(cx.effect()) {
                    return Ok(Captured::AlreadyDone(action.output()));
                }
                DeleteMessagePre::unread(at, "it is deleted, maybe by an earlier try")
            }
            Ok(Some(message)) => DeleteMessagePre::of(at, &message),
            // A list may be behind; what is deleted is asked for by itself.
            Ok(None) => DeleteMessagePre::unread(at, "no list shows it"),
            Err(error) if is_blind(&error) => DeleteMessagePre::unread(at, error.message()),
            Err(error) => return Err(error),
        };
        if let Some(why) = &pre.unread {
            cx.note(&format!("what the message says is not kept in the record: {why}"));
        }
        let facts = Facts::from_iter([
            ("user".to_owned(), json!(pre.user)),
            ("text".to_owned(), json!(pre.said.as_ref().map(|said| &said.text))),
        ]);
        Ok(Captured::Ready { pre, facts, held: () })
    }

    async fn perform(
        &self,
        cx: &Cx,
        action: &DeleteMessage,
        pre: &DeleteMessagePre,
        (): (),
    ) -> Result<MessageDeleted, Error> {
        self.delete(&self.settle().in_time(cx, pre.at), &action.channel, &action.ts).await?;
        Ok(action.output())
    }

    /// What cannot come back is never taken for not done: a request may land late, and a list may still show what is
    /// deleted. A list that does not show it says that it is deleted only where it was shown before.
    async fn probe(
        &self,
        cx: &Cx,
        action: &DeleteMessage,
        pre: &DeleteMessagePre,
    ) -> Result<Doubt<MessageDeleted>, Error> {
        let look = || async {
            Ok(match self.message_anywhere(cx, &action.channel, &action.ts).await? {
                Some(message) => message.is_tombstone().then_some(()),
                None => pre.said.is_some().then_some(()),
            })
        };
        let found = async {
            if self.settle().settled(cx, pre.at, look).await?.is_some() {
                return Ok(Doubt::Applied(action.output()));
            }
            let shown = self.message_anywhere(cx, &action.channel, &action.ts).await?;
            let why = "no list showed the message before it was deleted, nor does one now";
            Ok(shown.map_or_else(|| Doubt::Unknown(why.into()), |_| Doubt::NotApplied))
        };
        match found.await {
            Err(error) if is_blind(&error) => Ok(Doubt::Unknown(error.message().to_owned())),
            found => found,
        }
    }

    fn show(&self, action: &DeleteMessage, pre: &DeleteMessagePre) -> Shown {
        let replies = match pre.replies {
            Some(replies) if replies > 0 => format!("; its {replies} replies stay"),
            _ => String::new(),
        };
        let change = format!("deletes the message {} of {}{replies}", action.ts, action.channel);
        Shown { before: JsonText::null(), change: JsonText::encode(&change).unwrap_or_default() }
    }

    fn undo(&self, _: &DeleteMessage, _: &DeleteMessagePre, _: Left<'_, MessageDeleted>) -> Undo<NoUndo> {
        Undo::Irreversible("a deleted message cannot be brought back; what it said is in the record".into())
    }
}
