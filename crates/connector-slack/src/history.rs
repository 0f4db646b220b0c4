//! Looking at what is there: messages by their `ts` or their mark, conversations by their name.
//!
//! A list that is not shown whole says nothing of what is missing in it. A thread that is not there says nothing of an
//! answer to it: Slack posts that to the conversation itself.

use enact_core::connector::Cx;
use enact_core::{Error, ErrorCode};
use serde::Deserialize;
use serde_json::Value;

use crate::Slack;
use crate::answer::Answer;
use crate::client::Call;
use crate::error::{Refusal, odd};
use crate::message::Message;
use crate::name::{ChannelId, Place, Ts};

/// How many messages are asked for at once. Source: "Pagination" advises at most 200.
const PAGE: u32 = 200;

/// How many conversations are asked for at once: lists of them take few requests a minute. Source: "conversations.list"
/// takes less than 1000.
const CONVERSATIONS: u32 = 999;

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

/// What going through a list has shown.
enum Seen<T> {
    Found(T),
    /// The whole list does not have it.
    Nothing,
    /// There is no such thread.
    NoThread(Error),
    /// It has more pages than are looked through.
    TooLong(Error),
}

impl<T> Seen<T> {
    /// What was found; of a list that was not seen whole, nothing is known.
    fn whole(self) -> Result<Option<T>, Error> {
        match self {
            Self::Found(found) => Ok(Some(found)),
            Self::Nothing => Ok(None),
            Self::NoThread(error) | Self::TooLong(error) => Err(error),
        }
    }
}

impl Slack {
    /// Goes through a list until something fits.
    async fn through<T>(
        &self,
        cx: &Cx,
        call: impl Fn() -> Call,
        mut fits: impl FnMut(&Answer, &str) -> Result<Option<T>, Error>,
    ) -> Result<Seen<T>, Error> {
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut call = call();
            if let Some(cursor) = &cursor {
                call = call.with("cursor", cursor);
            }
            let answer = self.client.send(Some(cx), &call).await?;
            if !answer.is_ok() {
                let error = call.refused(&answer);
                let no_thread = Refusal::of(&answer) == Some(Refusal::NoThread);
                return if no_thread { Ok(Seen::NoThread(error)) } else { Err(error) };
            }
            if let Some(found) = fits(&answer, &call.doing)? {
                return Ok(Seen::Found(found));
            }
            match answer.next_cursor() {
                Some(next) => cursor = Some(next.to_owned()),
                None if answer.body.get("has_more") == Some(&Value::Bool(true)) => {
                    return Err(odd(&call.doing, "there is more, and no cursor to it").left_nothing());
                }
                None => return Ok(Seen::Nothing),
            }
        }
        let message = format!("cannot {}: it has more than {MAX_PAGES} pages", call().doing);
        Ok(Seen::TooLong(Error::new(ErrorCode::InDoubt, message)))
    }

    /// The message of an effect, among all since `since`: in the conversation itself, and in the thread for which it was
    /// meant.
    pub(crate) async fn marked(
        &self,
        cx: &Cx,
        channel: &ChannelId,
        thread: Option<&Ts>,
        since: &Ts,
        effect: &str,
    ) -> Result<Option<Message>, Error> {
        let account = self.client.account(Some(cx)).await?;
        let doing = format!("look for the message of {effect} in {channel}");
        let look = async |thread, asked: Option<&Ts>| {
            // An answer to an answer comes into the thread of that one.
            let mut other = None;
            let call = || messages(channel, thread, &doing).with("oldest", since);
            let fits = |answer: &Answer, doing: &str| {
                let page = listed(answer, doing)?;
                let own = page.iter().find(|message| Some(&message.ts) == asked);
                other = own.and_then(Message::answers).cloned().or(other.take());
                Ok(page.into_iter().find(|message| message.is_of(effect, account)))
            };
            match self.through(cx, call, fits).await? {
                Seen::NoThread(_) => Ok((None, None)),
                seen => Ok::<_, Error>((seen.whole()?, other)),
            }
        };
        let (found, _) = look(None, None).await?;
        let (None, Some(_)) = (&found, thread) else { return Ok(found) };
        match look(thread, thread).await? {
            (None, Some(other)) => Ok(look(Some(&other), None).await?.0),
            (found, _) => Ok(found),
        }
    }

    /// A message by its `ts`; nothing where the list of its conversation, or of its thread, does not show it.
    ///
    /// # Errors
    /// `not_found`, where there is no such thread, and the conversation does not show it either.
    pub(crate) async fn message(
        &self,
        cx: &Cx,
        channel: &ChannelId,
        thread: Option<&Ts>,
        ts: &Ts,
    ) -> Result<Option<Message>, Error> {
        match self.message_in(cx, channel, thread, ts).await? {
            Seen::NoThread(error) => {
                self.message_in(cx, channel, None, ts).await?.whole()?.map(Some).ok_or(error)
            }
            seen => seen.whole(),
        }
    }

    async fn message_in(
        &self,
        cx: &Cx,
        channel: &ChannelId,
        thread: Option<&Ts>,
        ts: &Ts,
    ) -> Result<Seen<Message>, Error> {
        let doing = format!("look at message {ts} of {channel}");
        let call = || {
            let call = messages(channel, thread, &doing).with("oldest", ts).with("latest", ts);
            call.with("inclusive", true)
        };
        let fits = |answer: &Answer, doing: &str| {
            Ok(listed(answer, doing)?.into_iter().find(|message| message.ts == *ts))
        };
        self.through(cx, call, fits).await
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
            None => match self.message_in(cx, channel, Some(ts), ts).await? {
                Seen::NoThread(_) => Ok(None),
                seen => seen.whole(),
            },
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
            return Ok(match self.listed_as(cx, place, types).await {
                Err(error) if error.code() == ErrorCode::Forbidden => continue,
                Err(error) => return Err(error),
                Ok(Seen::Found(id)) => Resolved::At(id),
                Ok(Seen::Nothing) if place.person().is_some() => Resolved::Nowhere,
                Ok(Seen::Nothing | Seen::NoThread(_) | Seen::TooLong(_)) => Resolved::Unseen,
            });
        }
        Ok(Resolved::Unseen)
    }

    async fn listed_as(&self, cx: &Cx, place: &Place, types: &str) -> Result<Seen<ChannelId>, Error> {
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
            Call::look("conversations.list", doing).with("types", types).with("limit", CONVERSATIONS)
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

fn messages(channel: &ChannelId, thread: Option<&Ts>, doing: &str) -> Call {
    let call = match thread {
        None => Call::look("conversations.history", doing),
        Some(ts) => Call::look("conversations.replies", doing).with("ts", ts),
    };
    call.with("channel", channel).with("limit", PAGE).with("include_all_metadata", true)
}

fn listed(answer: &Answer, doing: &str) -> Result<Vec<Message>, Error> {
    #[derive(Deserialize)]
    struct Page {
        messages: Vec<Message>,
    }
    Ok(answer.read::<Page>(doing).map_err(Error::left_nothing)?.messages)
}
