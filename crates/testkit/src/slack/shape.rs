//! How things look in answers.

use serde_json::{Value, json};

use super::state::{Conversation, Kind, Message, State};

/// A message, as `conversations.history` shows it.
pub(super) fn message_json(state: &State, message: &Message, replies: usize, metadata: bool) -> Value {
    let mut shown = json!({ "type": "message", "ts": message.ts, "team": state.team });
    let Some(fields) = shown.as_object_mut() else { return shown };
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    if let Some(thread) = &message.thread_ts {
        put("thread_ts", json!(thread));
    }
    if replies > 0 {
        put("thread_ts", json!(message.ts));
        put("reply_count", json!(replies));
    }
    if message.tombstone {
        put("subtype", json!("tombstone"));
        put("text", json!("This message was deleted."));
        put("user", json!("USLACKBOT"));
        put("hidden", json!(true));
        return shown;
    }
    put("user", json!(message.user));
    put("text", json!(message.text));
    put("blocks", message.blocks.clone());
    if let Some(bot) = &message.bot {
        put("bot_id", json!(bot));
        put("app_id", json!(bot.replacen('B', "A", 1)));
        put("bot_profile", json!({ "id": bot, "name": state.users.get(&message.user), "deleted": false }));
    }
    if let Some((user, ts)) = &message.edited {
        put("edited", json!({ "user": user, "ts": ts }));
    }
    match &message.metadata {
        Some(own) if metadata => put("metadata", own.clone()),
        Some(own) => put("metadata", json!({ "event_type": own.get("event_type") })),
        None => {}
    }
    shown
}

/// A conversation, as `conversations.list` shows it.
pub(super) fn channel_json(conversation: &Conversation, me: &str) -> Value {
    let Conversation { id, name, kind, archived, .. } = conversation;
    match kind {
        Kind::Direct(user) => json!({ "id": id, "is_im": true, "user": user, "is_user_deleted": false }),
        _ => json!({
            "id": id,
            "name": name,
            "is_channel": true,
            "is_private": *kind == Kind::Private,
            "is_archived": archived,
            "is_member": conversation.has(me),
        }),
    }
}
