//! `chat.postMessage` and `chat.delete`.

use serde_json::{Value, json};

use super::call::Reply;
use super::methods::Call;
use super::shape::message_json;
use super::state::{Kind, Message, State};
use super::text::kept;

/// What a text may have, in characters.
const MAX_TEXT: usize = 40_000;

/// How many blocks there may be.
const MAX_BLOCKS: usize = 50;

impl State {
    pub(super) fn post_message(&mut self, call: &Call<'_>) -> Result<Reply, Reply> {
        call.needs("chat:write")?;
        let channel = self.place(call)?;
        let asked = call.asked;
        let text = asked.text("text").unwrap_or_default();
        let blocks = blocks(&asked.json("blocks").map_err(|()| Reply::error("invalid_blocks_format"))?)?;
        if text.is_empty() && blocks.is_empty() {
            return Err(Reply::error("no_text"));
        }
        if text.chars().count() > MAX_TEXT {
            return Err(Reply::error("msg_too_long"));
        }
        let metadata = asked.json("metadata").map_err(|()| Reply::error("invalid_metadata_format"))?;
        if metadata.as_ref().is_some_and(|metadata| !is_metadata(metadata)) {
            return Err(Reply::error("invalid_metadata_format"));
        }
        let thread_ts = asked.text("thread_ts").and_then(|ts| self.thread_of(&channel, &ts));
        self.check_pace(&channel)?;
        let ts = self.new_ts();
        let text = kept(&text);
        let blocks = self.kept_blocks(&text, blocks);
        let (user, bot) = (call.grant.user.clone(), Some(Self::bot_of(&call.grant.user)));
        let message =
            Message { ts, user, bot, text, blocks, thread_ts, metadata, edited: None, tombstone: false };
        let answer = json!({
            "channel": channel,
            "ts": message.ts,
            "message": message_json(self, &message, 0, true),
        });
        self.put(asked.number, &channel, message);
        Ok(Reply::ok(answer))
    }

    /// The conversation that an id, a name or a user stands for.
    fn place(&mut self, call: &Call<'_>) -> Result<String, Reply> {
        let named = call.asked.text("channel").ok_or_else(|| Reply::error("channel_not_found"))?;
        let me = call.grant.user.clone();
        if self.users.contains_key(&named) {
            return Ok(self.direct(&me, &named));
        }
        let name = named.strip_prefix('#').unwrap_or(&named);
        let found = self
            .conversations
            .iter()
            .find(|one| one.id == named || (!one.name.is_empty() && one.name == name))
            .ok_or_else(|| Reply::error("channel_not_found"))?;
        match found.kind {
            _ if found.archived => Err(Reply::error("is_archived")),
            Kind::Public if !found.has(&me) && !call.has("chat:write.public") => {
                Err(Reply::error("not_in_channel"))
            }
            Kind::Private | Kind::Direct(_) if !found.has(&me) => Err(Reply::error("channel_not_found")),
            _ => Ok(found.id.clone()),
        }
    }

    /// The thread that an answer to a message comes into; none where that message is gone: Slack then posts to the
    /// conversation itself, and says `ok`. Source: slack-go/slack#1571.
    fn thread_of(&self, channel: &str, ts: &str) -> Option<String> {
        let asked = self.conversation(channel)?.find(ts).filter(|message| !message.tombstone)?;
        Some(asked.thread_ts.as_ref().unwrap_or(&asked.ts).clone())
    }

    fn check_pace(&mut self, channel: &str) -> Result<(), Reply> {
        let (now, strict) = (self.now_us(), self.one_post_a_second);
        let Some(conversation) = self.conversation_mut(channel) else { return Ok(()) };
        if strict && now < conversation.posted_us.saturating_add(1_000_000) {
            return Err(Reply::too_fast(1));
        }
        conversation.posted_us = now;
        Ok(())
    }

    /// Blocks with ids; a text without any is one.
    fn kept_blocks(&mut self, text: &str, blocks: Vec<Value>) -> Value {
        let blocks = if blocks.is_empty() {
            let text = json!([{ "type": "text", "text": text }]);
            vec![
                json!({ "type": "rich_text", "elements": [{ "type": "rich_text_section", "elements": text }] }),
            ]
        } else {
            blocks
        };
        let with_id = |mut block: Value| {
            if let Some(fields) = block.as_object_mut() {
                let id = self.id("b");
                fields.entry("block_id").or_insert_with(|| json!(id));
            }
            block
        };
        blocks.into_iter().map(with_id).collect()
    }

    pub(super) fn delete(&mut self, call: &Call<'_>) -> Result<Reply, Reply> {
        call.needs("chat:write")?;
        let channel = call.asked.text("channel").unwrap_or_default();
        let ts = call.asked.text("ts").unwrap_or_default();
        let me = call.grant.user.clone();
        let found = self.conversation(&channel).filter(|one| one.kind == Kind::Public || one.has(&me));
        let found = found.ok_or_else(|| Reply::error("channel_not_found"))?;
        let message = found.find(&ts).filter(|message| !message.tombstone);
        let message = message.ok_or_else(|| Reply::error("message_not_found"))?;
        if message.user != me {
            return Err(Reply::error("cant_delete_message"));
        }
        if self.compliance {
            return Err(Reply::error("compliance_exports_prevent_deletion"));
        }
        self.take(call.asked.number, &me, &channel, &ts);
        Ok(Reply::ok(json!({ "channel": channel, "ts": ts })))
    }
}

fn blocks(given: &Option<Value>) -> Result<Vec<Value>, Reply> {
    let Some(given) = given else { return Ok(Vec::new()) };
    let list = given.as_array().ok_or_else(|| Reply::error("invalid_blocks_format"))?;
    let known =
        ["section", "divider", "header", "context", "image", "actions", "rich_text", "markdown", "table"];
    let is_block =
        |block: &Value| block.get("type").and_then(Value::as_str).is_some_and(|kind| known.contains(&kind));
    if list.len() > MAX_BLOCKS || !list.iter().all(is_block) {
        return Err(Reply::error("invalid_blocks"));
    }
    Ok(list.clone())
}

fn is_metadata(metadata: &Value) -> bool {
    metadata.get("event_type").is_some_and(Value::is_string)
        && metadata.get("event_payload").is_some_and(Value::is_object)
}
