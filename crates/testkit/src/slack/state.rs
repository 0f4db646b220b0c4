//! A workspace: people, tokens, conversations and their messages.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::call::Reply;
use super::ledger::{Effect, Request, What};

/// What kind a conversation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Public,
    Private,
    /// A direct message with a user, by id.
    Direct(String),
}

impl Kind {
    /// The word that scopes begin with.
    pub(super) fn scope(&self) -> &'static str {
        match self {
            Self::Public => "channels",
            Self::Private => "groups",
            Self::Direct(_) => "im",
        }
    }

    /// The word of `types`.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Public => "public_channel",
            Self::Private => "private_channel",
            Self::Direct(_) => "im",
        }
    }
}

/// A conversation.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) members: Vec<String>,
    pub(super) archived: bool,
    pub(super) messages: Vec<Stored>,
    /// What is deleted, and for how many lists it is still to be seen.
    pub(super) ghosts: Vec<(Stored, u64)>,
    /// When something was posted last by a request, in microseconds.
    pub(super) posted_us: u64,
}

/// A message, and for how many lists it is not to be seen yet.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) message: Message,
    pub(super) hidden_for: u64,
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id within the conversation.
    pub ts: String,
    /// The id of who posted it.
    pub user: String,
    /// The bot that posted it, by its id.
    pub bot: Option<String>,
    /// Its text, as Slack keeps it.
    pub text: String,
    /// Its blocks, as Slack keeps them.
    pub blocks: Value,
    /// The message that it answers.
    pub thread_ts: Option<String>,
    /// What no person sees.
    pub metadata: Option<Value>,
    /// Who has edited it, and when.
    pub edited: Option<(String, String)>,
    /// It was deleted, and its replies are there.
    pub tombstone: bool,
}

/// What a token stands for.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) user: String,
    pub(super) scopes: Vec<String>,
    pub(super) revoked: bool,
}

/// When new messages are seen in lists.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lag {
    None,
    Lists(u64),
    UntilTold,
}

/// All of it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) url: String,
    pub(super) team: String,
    /// Names by ids.
    pub(super) users: BTreeMap<String, String>,
    pub(super) tokens: BTreeMap<String, Grant>,
    pub(super) conversations: Vec<Conversation>,
    pub(super) ledger: Vec<Effect>,
    pub(super) requests: Vec<Request>,
    pub(super) problems: Vec<String>,
    pub(super) lag: Lag,
    /// For how many lists a deleted message is still to be seen.
    pub(super) ghosts_for: u64,
    pub(super) compliance: bool,
    pub(super) one_post_a_second: bool,
    pub(super) page: usize,
    /// Until when a method is not to be asked for, because it was refused for its rate.
    held_off: BTreeMap<String, Instant>,
    ahead_us: i64,
    stopped_us: Option<u64>,
    last_us: u64,
    next_id: u64,
}

impl State {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            team: "T0ENACT01".to_owned(),
            users: BTreeMap::new(),
            tokens: BTreeMap::new(),
            conversations: Vec::new(),
            ledger: Vec::new(),
            requests: Vec::new(),
            problems: Vec::new(),
            lag: Lag::None,
            ghosts_for: 0,
            compliance: false,
            one_post_a_second: false,
            page: 999,
            held_off: BTreeMap::new(),
            ahead_us: 0,
            stopped_us: None,
            last_us: 0,
            next_id: 0,
        }
    }

    pub(super) fn id(&mut self, letter: &str) -> String {
        self.next_id += 1;
        format!("{letter}0{:07}", self.next_id)
    }

    /// The id of a user, made if nobody is called so.
    pub(super) fn user(&mut self, name: &str) -> String {
        if let Some((id, _)) = self.users.iter().find(|(_, own)| *own == name) {
            return id.clone();
        }
        let id = self.id("U");
        self.users.insert(id.clone(), name.to_owned());
        id
    }

    /// The id that a user has as a bot.
    pub(super) fn bot_of(user: &str) -> String {
        user.replacen('U', "B", 1)
    }

    pub(super) fn now_us(&self) -> u64 {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let real_us = u64::try_from(real.as_micros()).unwrap_or(u64::MAX);
        self.stopped_us.unwrap_or(real_us).saturating_add_signed(self.ahead_us)
    }

    pub(super) fn stop_at(&mut self, seconds: u64) {
        (self.stopped_us, self.ahead_us) = (Some(seconds.saturating_mul(1_000_000)), 0);
    }

    pub(super) fn advance(&mut self, seconds: i64) {
        self.ahead_us = self.ahead_us.saturating_add(seconds.saturating_mul(1_000_000));
    }

    /// Keeps to what a refusal says of the next request for a method.
    pub(super) fn hold_off(&mut self, method: &str, refusal: &Reply) {
        if let Some(wait) = refusal.retry_after() {
            self.held_off.insert(method.to_owned(), Instant::now() + wait);
        }
    }

    /// How much too early it is to ask for a method.
    pub(super) fn too_early(&self, method: &str) -> Option<Duration> {
        let early = self.held_off.get(method)?.saturating_duration_since(Instant::now());
        (!early.is_zero()).then_some(early)
    }

    /// The id of a new message; no two are equal.
    pub(super) fn new_ts(&mut self) -> String {
        self.last_us = self.now_us().max(self.last_us + 1);
        format!("{}.{:06}", self.last_us / 1_000_000, self.last_us % 1_000_000)
    }

    pub(super) fn conversation(&self, id: &str) -> Option<&Conversation> {
        self.conversations.iter().find(|conversation| conversation.id == id)
    }

    pub(super) fn conversation_mut(&mut self, id: &str) -> Option<&mut Conversation> {
        self.conversations.iter_mut().find(|conversation| conversation.id == id)
    }

    /// The id of a direct conversation, made where there is none.
    pub(super) fn direct(&mut self, one: &str, other: &str) -> String {
        let is_it = |conversation: &&Conversation| {
            matches!(&conversation.kind, Kind::Direct(user) if user == other)
                && conversation.members.iter().any(|member| member == one)
        };
        if let Some(found) = self.conversations.iter().find(is_it) {
            return found.id.clone();
        }
        self.open(String::new(), Kind::Direct(other.to_owned()), vec![one.to_owned(), other.to_owned()])
    }

    /// A new conversation's id.
    pub(super) fn open(&mut self, name: String, kind: Kind, members: Vec<String>) -> String {
        let id = self.id(if matches!(kind, Kind::Direct(_)) { "D" } else { "C" });
        let new = Conversation {
            id: id.clone(),
            name,
            kind,
            members,
            archived: false,
            messages: Vec::new(),
            ghosts: Vec::new(),
            posted_us: 0,
        };
        self.conversations.push(new);
        id
    }

    pub(super) fn effect(&mut self, request: u64, by: &str, channel: &str, ts: &str, what: What) {
        let (by, channel, ts) = (by.to_owned(), channel.to_owned(), ts.to_owned());
        self.ledger.push(Effect { request, by, channel, ts, what });
    }

    /// Puts a message into a conversation.
    pub(super) fn put(&mut self, request: u64, channel: &str, message: Message) {
        let hidden_for = match self.lag {
            Lag::None => 0,
            Lag::Lists(lists) => lists,
            Lag::UntilTold => u64::MAX,
        };
        let (by, ts) = (message.user.clone(), message.ts.clone());
        if let Some(conversation) = self.conversation_mut(channel) {
            conversation.messages.push(Stored { message, hidden_for });
        }
        self.effect(request, &by, channel, &ts, What::Posted);
    }

    /// Takes a message away; one with replies leaves a stone. False where there is none.
    pub(super) fn take(&mut self, request: u64, by: &str, channel: &str, ts: &str) -> bool {
        let ghosts_for = self.ghosts_for;
        let Some(conversation) = self.conversation_mut(channel) else { return false };
        let Some(place) = conversation
            .messages
            .iter()
            .position(|stored| stored.message.ts == ts && !stored.message.tombstone)
        else {
            return false;
        };
        if conversation.replies(ts) > 0 {
            if let Some(stored) = conversation.messages.get_mut(place) {
                stored.message.tombstone = true;
            }
        } else {
            let taken = conversation.messages.remove(place);
            conversation.ghosts.extend((ghosts_for > 0).then_some((taken, ghosts_for)));
        }
        self.effect(request, by, channel, ts, What::Deleted);
        true
    }
}

impl Conversation {
    pub(super) fn find(&self, ts: &str) -> Option<&Message> {
        self.messages.iter().map(|stored| &stored.message).find(|message| message.ts == ts)
    }

    /// How many replies a message has.
    pub(super) fn replies(&self, ts: &str) -> usize {
        let is_reply = |stored: &&Stored| stored.message.thread_ts.as_deref() == Some(ts);
        self.messages.iter().filter(is_reply).count()
    }

    pub(super) fn has(&self, user: &str) -> bool {
        self.members.iter().any(|member| member == user)
    }
}
