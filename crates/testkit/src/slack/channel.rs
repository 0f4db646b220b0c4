//! A conversation, and people in it who post, edit and delete while the test's own client works.

use std::sync::Arc;

use serde_json::{Value, json};

use super::hub::Bot;
use super::ledger::What;
use super::server::Shared;
use super::state::{Message, State};

/// A conversation.
#[derive(Debug, Clone)]
pub struct Channel {
    shared: Arc<Shared>,
    id: String,
}

impl Channel {
    pub(super) fn new(shared: Arc<Shared>, id: String) -> Self {
        Self { shared, id }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Makes a bot a member.
    #[must_use]
    pub fn invite(self, bot: &Bot) -> Self {
        if let Some(conversation) = self.shared.state.lock().conversation_mut(&self.id) {
            conversation.members.push(bot.user().to_owned());
        }
        self
    }

    /// Makes a bot no member any more.
    pub fn kick(&self, bot: &Bot) {
        if let Some(conversation) = self.shared.state.lock().conversation_mut(&self.id) {
            conversation.members.retain(|member| member != bot.user());
        }
    }

    /// Archives it.
    pub fn archive(&self) {
        if let Some(conversation) = self.shared.state.lock().conversation_mut(&self.id) {
            conversation.archived = true;
        }
    }

    /// All messages, replies too, oldest first, as they are there, seen or not.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        let state = self.shared.state.lock();
        let conversation = state.conversation(&self.id);
        conversation
            .into_iter()
            .flat_map(|found| &found.messages)
            .map(|stored| stored.message.clone())
            .collect()
    }

    /// Somebody, made if nobody is called so.
    #[must_use]
    pub fn person(&self, name: &str) -> Person {
        let user = self.shared.state.lock().user(name);
        Person { shared: Arc::clone(&self.shared), channel: self.id.clone(), user }
    }
}

/// A person in a conversation. Each deed is one effect in the ledger, with the request number 0. What Slack lets only
/// some people do, all may do here: it is the app's own other process, an administrator, retention.
#[derive(Debug, Clone)]
pub struct Person {
    shared: Arc<Shared>,
    channel: String,
    user: String,
}

impl Person {
    /// Posts, and gives the message's `ts`.
    pub fn post(&self, text: &str) -> String {
        self.put(text, None, None)
    }

    /// Answers a message, and gives the answer's `ts`.
    pub fn reply(&self, ts: &str, text: &str) -> String {
        self.put(text, Some(ts), None)
    }

    /// Posts with metadata of their own.
    pub fn post_with(&self, text: &str, metadata: Value) -> String {
        self.put(text, None, Some(metadata))
    }

    fn put(&self, text: &str, thread_ts: Option<&str>, metadata: Option<Value>) -> String {
        let mut state = self.shared.state.lock();
        let ts = state.new_ts();
        let message = Message {
            ts: ts.clone(),
            user: self.user.clone(),
            bot: None,
            text: text.to_owned(),
            blocks: json!([]),
            thread_ts: thread_ts.map(str::to_owned),
            metadata,
            edited: None,
            tombstone: false,
        };
        state.put(0, &self.channel, message);
        ts
    }

    /// Changes a message's text, which is shown as edited.
    pub fn edit(&self, ts: &str, text: &str) {
        self.change(ts, |state, message| {
            text.clone_into(&mut message.text);
            message.edited = Some((state.0.clone(), state.1.clone()));
        });
    }

    /// Changes a message's blocks, which is not shown as edited.
    pub fn edit_blocks(&self, ts: &str, blocks: Value) {
        self.change(ts, |_, message| message.blocks = blocks);
    }

    fn change(&self, ts: &str, change: impl FnOnce(&(String, String), &mut Message)) {
        let mut state = self.shared.state.lock();
        let by = (self.user.clone(), state.new_ts());
        let found = state
            .conversation_mut(&self.channel)
            .and_then(|conversation| conversation.messages.iter_mut().find(|stored| stored.message.ts == ts));
        let Some(stored) = found else { panic!("there is no message {ts}") };
        change(&by, &mut stored.message);
        state.effect(0, &self.user, &self.channel, ts, What::Edited);
    }

    /// Deletes a message.
    pub fn delete(&self, ts: &str) {
        let mut state: parking_lot::MutexGuard<'_, State> = self.shared.state.lock();
        assert!(state.take(0, &self.user, &self.channel, ts), "there is no message {ts}");
    }
}
