//! `post_message`: a new message, known again by metadata that no person sees.

use std::fmt;
use std::time::Duration;

use enact_core::action::{
    Action, Captured, Doubt, EffectClass, FactKind, Facts, Left, LockKey, Shown, Target, Undo,
};
use enact_core::connector::{Cx, Perform};
use enact_core::json::JsonText;
use enact_core::time::Timestamp;
use enact_core::{Error, ErrorCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::retract_message::RetractMessage;
use crate::Slack;
use crate::client::Call;
use crate::compare::Kept;
use crate::error::{is_blind, odd, wrong};
use crate::history::Resolved;
use crate::message::{Blocks, MAX_TEXT_CHARS, Message, mark};
use crate::name::{ChannelId, Place, Ts};

/// How far Slack's time, which it tells to the second, may be behind that of its messages.
const SKEW: Duration = Duration::from_secs(60);

/// The same, where Slack does not tell its time.
const UNKNOWN_SKEW: Duration = Duration::from_secs(60 * 60);

/// Posts a message.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Params")]
pub struct PostMessage {
    channel: Place,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_ts: Option<Ts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<Blocks>,
}

/// The JSON form, before it is looked at as a whole.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    channel: Place,
    text: String,
    thread_ts: Option<Ts>,
    blocks: Option<Blocks>,
}

impl TryFrom<Params> for PostMessage {
    type Error = String;

    fn try_from(params: Params) -> Result<Self, String> {
        let Params { channel, text, thread_ts, blocks } = params;
        let chars = text.chars().count();
        if chars > MAX_TEXT_CHARS {
            return Err(format!(
                "'text' has {chars} characters, more than the {MAX_TEXT_CHARS} that Slack keeps"
            ));
        }
        if text.trim().is_empty() && blocks.as_ref().is_none_or(Blocks::is_empty) {
            return Err("'text' is empty, and there are no blocks".into());
        }
        Ok(Self { channel, text, thread_ts, blocks: blocks.filter(|blocks| !blocks.is_empty()) })
    }
}

// Content does not belong in traces.
impl fmt::Debug for PostMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostMessage({}, {} bytes)", self.channel, self.text.len())
    }
}

/// What `post_message` gives.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MessagePosted {
    /// The conversation's id, also where a name or a person was asked for.
    pub channel: ChannelId,
    /// The message.
    pub ts: Ts,
    /// The message that it answers. Nothing also where it was to answer one that was gone: Slack then posts it to the
    /// conversation itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_ts: Option<Ts>,
    /// How Slack kept it; the undo compares with that.
    #[serde(flatten)]
    pub kept: Kept,
}

impl MessagePosted {
    fn new(channel: ChannelId, message: &Message) -> Self {
        let (ts, thread_ts) = (message.ts.clone(), message.answers().cloned());
        Self { channel, ts, thread_ts, kept: Kept::from(message) }
    }
}

/// What undo and probe need to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostMessagePre {
    /// When it was looked.
    pub at: Timestamp,
    /// The effect id: by it, the message is known again.
    pub effect: String,
    /// A little before the intent, by Slack's clock: the message is none before it.
    pub since: Ts,
    /// The conversation, where it is known.
    pub channel: Option<ChannelId>,
}

impl PostMessage {
    /// A message to a conversation (by its id), a channel (by its name) or a person (by their id).
    ///
    /// # Errors
    /// `invalid_parameters`, where the place can be none, or the text is empty or too long.
    pub fn new(channel: &str, text: impl Into<String>) -> Result<Self, Error> {
        let channel = Place::new(channel).map_err(|error| error.context("'channel'"))?;
        Self::try_from(Params { channel, text: text.into(), thread_ts: None, blocks: None }).map_err(wrong)
    }

    /// As an answer to another message.
    #[must_use]
    pub fn thread(mut self, ts: Ts) -> Self {
        self.thread_ts = Some(ts);
        self
    }

    /// With blocks.
    #[must_use]
    pub fn blocks(mut self, blocks: Blocks) -> Self {
        self.blocks = Some(blocks).filter(|blocks| !blocks.is_empty());
        self
    }

    /// What is sent.
    fn fields(&self, pre: &PostMessagePre) -> Map<String, Value> {
        let channel = pre.channel.as_ref().map_or(self.channel.as_str(), ChannelId::as_str);
        let mut fields = Map::new();
        fields.insert("channel".into(), json!(channel));
        fields.insert("text".into(), json!(self.text));
        fields.insert("metadata".into(), mark(&pre.effect));
        if let Some(ts) = &self.thread_ts {
            fields.insert("thread_ts".into(), json!(ts));
        }
        if let Some(blocks) = &self.blocks {
            fields.insert("blocks".into(), json!(blocks));
        }
        fields
    }
}

/// When, for `oldest`.
fn since(cx: &Cx, date: Option<Timestamp>) -> Result<Ts, Error> {
    let (at, skew) = match date {
        Some(date) => (date, SKEW),
        None => (cx.now(), UNKNOWN_SKEW),
    };
    let us = at.unix_us().saturating_sub(u64::try_from(skew.as_micros()).unwrap_or(u64::MAX));
    Ts::try_from(format!("{}.000000", us / 1_000_000)).map_err(|error| odd("look", error).left_nothing())
}

fn unseen(place: &Place, effect: &str) -> Error {
    let message = format!(
        "the conversation of '{place}' is not known: the token may not list it, or it is none; the message of {effect} \
         cannot be looked for"
    );
    Error::new(ErrorCode::InDoubt, message)
}

impl Slack {
    /// The message of an intent. Nothing found counts when the settle window is over.
    pub(crate) async fn posted(
        &self,
        cx: &Cx,
        place: &Place,
        thread: Option<&Ts>,
        pre: &PostMessagePre,
    ) -> Result<Option<(ChannelId, Message)>, Error> {
        let look = || async {
            let channel = match &pre.channel {
                Some(channel) => channel.clone(),
                None => match self.resolve(cx, place).await? {
                    Resolved::At(channel) => channel,
                    // The first message to somebody makes their conversation.
                    Resolved::Nowhere => return Ok(None),
                    Resolved::Unseen => return Err(unseen(place, &pre.effect)),
                },
            };
            let found = self.marked(cx, &channel, thread, &pre.since, &pre.effect).await?;
            Ok(found.map(|message| (channel, message)))
        };
        self.settle().settled(cx, pre.at, look).await
    }
}

impl Action for PostMessage {
    const NAME: &'static str = "post_message";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "deletes the message, if nobody edited it";
    const FACTS: &'static [(&'static str, FactKind)] =
        &[("channel_id", FactKind::Text), ("history_readable", FactKind::Flag)];
    type Output = MessagePosted;
    type PreState = PostMessagePre;
    type Undo = RetractMessage;

    fn target(&self) -> Target {
        let target = Target::new("channel", self.channel.name()).with("channel", self.channel.as_str());
        match &self.thread_ts {
            Some(ts) => target.with("thread_ts", ts.as_str()),
            None => target,
        }
    }

    fn lock(&self) -> Option<LockKey> {
        None
    }
}

impl Perform<PostMessage> for Slack {
    type Held = ();

    async fn capture(&self, cx: &Cx, action: &PostMessage) -> Result<Captured<PostMessage, ()>, Error> {
        let checked = self.client.check(Some(cx)).await?;
        let channel = match self.resolve(cx, &action.channel).await {
            Ok(resolved) => resolved.id(),
            // Slack finds it by its name; to know the id is only an aid.
            Err(error) if error.code() == ErrorCode::RateLimited => {
                cx.note(&format!("{}; it is left to Slack", error.message()));
                None
            }
            Err(error) => return Err(error),
        };
        let reads = checked.reads(&action.channel, channel.as_ref(), action.thread_ts.is_some());
        if reads == Some(false) {
            cx.note("the token may not read this conversation: if the reply is lost, a person has to look");
        }
        let mut facts = Facts::new();
        facts.insert("channel_id".into(), json!(channel));
        facts.insert("history_readable".into(), json!(reads));
        let (at, effect, since) = (cx.now(), cx.effect().to_string(), since(cx, checked.date)?);
        Ok(Captured::Ready { pre: PostMessagePre { at, effect, since, channel }, facts, held: () })
    }

    async fn perform(
        &self,
        cx: &Cx,
        action: &PostMessage,
        pre: &PostMessagePre,
        (): (),
    ) -> Result<MessagePosted, Error> {
        let place = pre.channel.as_ref().map_or(action.channel.name(), ChannelId::as_str);
        let doing = format!("post a message to {}", action.channel);
        let cx = &self.settle().in_time(cx, pre.at);
        self.pace.wait(cx, place, &doing).await?;
        let call = Call::change("chat.postMessage", action.fields(pre), doing);
        let answer = self.client.ask(Some(cx), &call).await;
        self.pace.arrived(place);
        let answer = answer?;
        #[derive(Deserialize)]
        struct Posted {
            channel: ChannelId,
            message: Message,
        }
        let Posted { channel, message } = answer
            .read(&call.doing)
            .map_err(|error| Error::new(ErrorCode::InDoubt, error.message().to_owned()))?;
        // Others give the id where this one gave a name.
        self.pace.arrived(channel.as_str());
        if action.thread_ts.is_some() && message.answers().is_none() {
            cx.note("the message that it answers is gone, so Slack has posted it to the conversation itself");
        }
        Ok(MessagePosted::new(channel, &message))
    }

    async fn probe(
        &self,
        cx: &Cx,
        action: &PostMessage,
        pre: &PostMessagePre,
    ) -> Result<Doubt<MessagePosted>, Error> {
        match self.posted(cx, &action.channel, action.thread_ts.as_ref(), pre).await {
            Ok(Some((channel, message))) => Ok(Doubt::Applied(MessagePosted::new(channel, &message))),
            Ok(None) => Ok(Doubt::NotApplied),
            Err(error) if is_blind(&error) => Ok(Doubt::Unknown(error.message().to_owned())),
            Err(error) => Err(error),
        }
    }

    fn show(&self, action: &PostMessage, pre: &PostMessagePre) -> Shown {
        let where_to = if action.thread_ts.is_some() { "in a thread of" } else { "to" };
        let blocks = if action.blocks.is_some() { ", with blocks" } else { "" };
        let known = pre.channel.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
        let change = format!("posts {where_to} {}{known}{blocks}: {}", action.channel, action.text);
        Shown { before: JsonText::null(), change: JsonText::encode(&change).unwrap_or_default() }
    }

    fn undo(
        &self,
        action: &PostMessage,
        pre: &PostMessagePre,
        left: Left<'_, MessagePosted>,
    ) -> Undo<RetractMessage> {
        let left = match left {
            Left::Done(output) => Some(output.clone()),
            Left::Partly => None,
        };
        Undo::By(RetractMessage {
            channel: action.channel.clone(),
            thread_ts: action.thread_ts.clone(),
            posted: left,
            made: pre.clone(),
        })
    }
}
