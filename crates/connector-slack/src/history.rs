//! Looking at what is there: messages by their `ts` or their mark, conversations by their name.
//!
//! A list that is not shown whole says nothing of what is missing in it.

use enact_core::connector::Cx;
use enact_core::{Error, ErrorCode};
use serde::Deserialize;
use serde_json::Value;

use crate::Slack;
use crate::answer::Answer;
use crate::client::Call;
use crate::error::odd;
use crate::message::Message;
use crate::name::{ChannelId, Place, Ts};

/// How many items are asked for at once. Source: "Pagination" advises at most 200.
const PAGE: u32 = 200;

/// How many pages are looked through.
const MAX_PAGES: u32 = 100;

/// What lists say of a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Resolved {
    /// It is this conversation.
    At(ChannelId),
    /// The whole list of direct messages shows none with the person.
    Nowhere,
    /// The token's lists do not show it, which says nothing.
    Unseen,
}

impl Resolved {
    /// The conversation, where there is one.
    pub(crate) fn id(self) -> Option<ChannelId> {
        match self {
            Self::At(id) => Some(id),
            Self::Nowhere | Self::Unseen => None,
        }
    }
}

impl Slack {
    /// Goes through a list until something fits.
    ///
    /// # Errors
    /// `in_doubt`, where the list has too many pages.
    async fn through<T>(
        &self,
        cx: &Cx,
        call: impl Fn() -> Call,
        mut fits: impl FnMut(&Answer, &str) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut call = call().with("limit", PAGE);
            if let Some(cursor) = &cursor {
                call = call.with("cursor", cursor);
            }
            let answer = self.client.ask(Some(cx), &call).await?;
            if let Some(found) = fits(&answer, &call.doing)? {
                return Ok(Some(found));
            }
            match answer.next_cursor() {
                Some(next) => cursor = Some(next.to_owned()),
                None if answer.body.get("has_more") == Some(&Value::Bool(true)) => {
                    return Err(odd(&call.doing, "there is more, and no cursor to it").left_nothing());
                }
                None => return Ok(None),
            }
        }
        let message = format!("cannot {}: it has more than {MAX_PAGES} pages", call().doing);
        Err(Error::new(ErrorCode::InDoubt, message))
    }

    /// The message of an effect, among all since `since`.
    pub(crate) async fn marked(
        &self,
        cx: &Cx,
        channel: &ChannelId,
        thread: Option<&Ts>,
        since: &Ts,
        effect: &str,
    ) -> Result<Option<Message>, Error> {
        let account = self.client.account(Some(cx)).await?;
        let call = || {
            let doing = format!("look for the message of {effect} in {channel}");
            messages(channel, thread, doing).with("oldest", since).with("include_all_metadata", true)
        };
        let found = self.through(cx, call, |answer, doing| {
            Ok(listed(answer, doing)?.into_iter().find(|message| message.is_of(effect, account)))
        });
        unless_no_thread(thread, found.await)
    }

    /// A message by its `ts`; nothing where the list of its conversation, or of its thread, does not show it.
    pub(crate) async fn message(
        &self,
        cx: &Cx,
        channel: &ChannelId,
        thread: Option<&Ts>,
        ts: &Ts,
    ) -> Result<Option<Message>, Error> {
        let doing = format!("look at message {ts} of {channel}");
        let call = messages(channel, thread, doing).with("oldest", ts).with("latest", ts);
        let call = call.with("inclusive", true).with("limit", 2);
        let found = async {
            let answer = self.client.ask(Some(cx), &call).await?;
            Ok(listed(&answer, &call.doing)?.into_iter().find(|message| message.ts == *ts))
        };
        unless_no_thread(thread, found.await)
    }

    /// A message by its `ts`, wherever in the conversation it is; nothing where Slack says that there is none.
    pub(crate) async fn message_anywhere(
        &self,
        cx: &Cx,
        channel: &ChannelId,
        ts: &Ts,
    ) -> Result<Option<Message>, Error> {
        match self.message(cx, channel, None, ts).await? {
            Some(message) => Ok(Some(message)),
            None => self.message(cx, channel, Some(ts), ts).await,
        }
    }

    /// The conversation that a place stands for.
    pub(crate) async fn resolve(&self, cx: &Cx, place: &Place) -> Result<Resolved, Error> {
        if let Some(id) = place.id() {
            return Ok(Resolved::At(id));
        }
        let types: &[&str] = match place.person() {
            Some(_) => &["im"],
            // A token that may not see private channels may see the others.
            None => &["public_channel,private_channel", "public_channel"],
        };
        for types in types {
            match self.listed_as(cx, place, types).await {
                Err(error) if error.code() == ErrorCode::Forbidden => {}
                Err(error) => return Err(error),
                Ok(Some(id)) => return Ok(Resolved::At(id)),
                Ok(None) if place.person().is_some() => return Ok(Resolved::Nowhere),
                Ok(None) => return Ok(Resolved::Unseen),
            }
        }
        Ok(Resolved::Unseen)
    }

    async fn listed_as(&self, cx: &Cx, place: &Place, types: &str) -> Result<Option<ChannelId>, Error> {
        #[derive(Deserialize)]
        struct Listed {
            id: ChannelId,
            name: Option<String>,
            user: Option<String>,
        }
        #[derive(Deserialize)]
        struct Page {
            channels: Vec<Listed>,
        }
        let call = || {
            let doing = format!("find the conversation of '{place}'");
            Call::look("conversations.list", doing).with("types", types).with("exclude_archived", false)
        };
        let is_it = |listed: &Listed| match place.person() {
            Some(person) => listed.user.as_deref() == Some(person),
            None => listed.name.as_deref() == Some(place.name()),
        };
        let fits = |answer: &Answer, doing: &str| {
            let page: Page = answer.read(doing).map_err(Error::left_nothing)?;
            Ok(page.channels.into_iter().find(is_it).map(|listed| listed.id))
        };
        self.through(cx, call, fits).await
    }
}

fn messages(channel: &ChannelId, thread: Option<&Ts>, doing: String) -> Call {
    match thread {
        None => Call::look("conversations.history", doing).with("channel", channel),
        Some(ts) => Call::look("conversations.replies", doing).with("channel", channel).with("ts", ts),
    }
}

fn listed(answer: &Answer, doing: &str) -> Result<Vec<Message>, Error> {
    #[derive(Deserialize)]
    struct Page {
        messages: Vec<Message>,
    }
    Ok(answer.read::<Page>(doing).map_err(Error::left_nothing)?.messages)
}

/// A thread of which Slack says that there is none has no messages.
fn unless_no_thread<T>(thread: Option<&Ts>, found: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match found {
        Err(error)
            if thread.is_some()
                && error.code() == ErrorCode::NotFound
                && error.message().contains("thread_not_found") =>
        {
            Ok(None)
        }
        found => found,
    }
}
