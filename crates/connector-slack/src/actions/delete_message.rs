//! `delete_message`: a message goes, for good. What it said is kept in the record, where the token may read it.

use enact_core::Error;
use enact_core::action::{
    Action, Captured, Doubt, EffectClass, FactKind, Facts, Left, LockKey, NoUndo, Target, Undo,
};
use enact_core::connector::{Cx, Perform};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{message_lock, message_target};
use crate::Slack;
use crate::compare::Kept;
use crate::error::{is_blind, wrong};
use crate::message::Message;
use crate::name::{ChannelId, Ts};

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

impl From<&Message> for DeleteMessagePre {
    fn from(message: &Message) -> Self {
        let (user, said) = (message.user.clone(), Some(Kept::from(message)));
        Self { user, said, replies: Some(message.reply_count), unread: None }
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
        if self.gone.has(&action.channel, &action.ts) {
            return Ok(Captured::AlreadyDone(action.output()));
        }
        let pre = match self.message_anywhere(cx, &action.channel, &action.ts).await {
            Ok(Some(message)) if message.is_tombstone() => return Ok(Captured::AlreadyDone(action.output())),
            Ok(Some(message)) => DeleteMessagePre::from(&message),
            // A list may be behind; what is deleted is asked for by itself.
            Ok(None) => unread("no list shows it"),
            Err(error) if is_blind(&error) => unread(error.message()),
            Err(error) => return Err(error),
        };
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
        _: &DeleteMessagePre,
        (): (),
    ) -> Result<MessageDeleted, Error> {
        self.delete(cx, &action.channel, &action.ts).await?;
        Ok(action.output())
    }

    /// Deleting what is deleted changes nothing, so an answer needs no window, and no right to look.
    async fn probe(
        &self,
        cx: &Cx,
        action: &DeleteMessage,
        _: &DeleteMessagePre,
    ) -> Result<Doubt<MessageDeleted>, Error> {
        match self.message_anywhere(cx, &action.channel, &action.ts).await {
            Ok(Some(message)) if !message.is_tombstone() => Ok(Doubt::NotApplied),
            Ok(_) => Ok(Doubt::Applied(action.output())),
            Err(error) if is_blind(&error) => Ok(Doubt::NotApplied),
            Err(error) => Err(error),
        }
    }

    fn undo(&self, _: &DeleteMessage, _: &DeleteMessagePre, _: Left<'_, MessageDeleted>) -> Undo<NoUndo> {
        Undo::Irreversible("a deleted message cannot be brought back; what it said is in the record".into())
    }
}

fn unread(why: &str) -> DeleteMessagePre {
    DeleteMessagePre { user: None, said: None, replies: None, unread: Some(why.to_owned()) }
}
