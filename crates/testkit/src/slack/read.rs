//! `conversations.history`, `conversations.replies` and `conversations.list`.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::call::{Asked, Reply};
use super::methods::Call;
use super::shape::{channel_json, message_json};
use super::state::{Kind, State, Stored};

impl State {
    /// The conversation, where the token may read it.
    fn readable(&self, call: &Call<'_>) -> Result<String, Reply> {
        let id = call.asked.text("channel").unwrap_or_default();
        let me = &call.grant.user;
        let found = self.conversation(&id).ok_or_else(|| Reply::error("channel_not_found"))?;
        call.needs(&format!("{}:history", found.kind.scope()))?;
        match found.kind {
            Kind::Public if !found.has(me) => Err(Reply::error("not_in_channel")),
            _ if !found.has(me) => Err(Reply::error("channel_not_found")),
            _ => Ok(id),
        }
    }

    /// Counts a list for each message that is not to be seen yet, or still to be seen.
    fn uncover(&mut self, channel: &str) {
        if let Some(conversation) = self.conversation_mut(channel) {
            for stored in conversation.messages.iter_mut().filter(|stored| stored.hidden_for < u64::MAX) {
                stored.hidden_for = stored.hidden_for.saturating_sub(1);
            }
            conversation.ghosts.iter_mut().for_each(|(_, lists)| *lists = lists.saturating_sub(1));
            conversation.ghosts.retain(|(_, lists)| *lists > 0);
        }
    }

    pub(super) fn history(&mut self, call: &Call<'_>) -> Result<Reply, Reply> {
        let channel = self.readable(call)?;
        let range = Range::of(call.asked, self.page)?;
        let Some(conversation) = self.conversation(&channel) else {
            return Err(Reply::error("channel_not_found"));
        };
        let is_root = |stored: &&Stored| {
            let message = &stored.message;
            message.thread_ts.as_ref().is_none_or(|thread| *thread == message.ts)
        };
        let shown = |stored: &&Stored| stored.hidden_for == 0 && range.holds(&stored.message.ts);
        let ghosts = conversation.ghosts.iter().map(|(ghost, _)| ghost);
        let mut fits: Vec<&Stored> =
            conversation.messages.iter().chain(ghosts).filter(is_root).filter(shown).collect();
        fits.sort_by_key(|stored| Reverse(number(&stored.message.ts)));
        let start = fits.iter().position(|stored| range.is_next(&stored.message.ts)).unwrap_or(0);
        let page = fits.iter().skip(start).take(range.limit);
        let messages: Vec<Value> = page
            .map(|stored| {
                let replies = conversation.replies(&stored.message.ts);
                message_json(self, &stored.message, replies, range.metadata)
            })
            .collect();
        let next = fits.get(start + range.limit).map(|stored| stored.message.ts.clone());
        let answer = paged(json!({ "messages": messages, "pin_count": 0 }), next);
        self.uncover(&channel);
        Ok(answer)
    }

    pub(super) fn thread(&mut self, call: &Call<'_>) -> Result<Reply, Reply> {
        let channel = self.readable(call)?;
        let range = Range::of(call.asked, self.page)?;
        let ts = call.asked.text("ts").unwrap_or_default();
        let not_there = || Reply::error("thread_not_found");
        let conversation = self.conversation(&channel).ok_or_else(not_there)?;
        let is_root = |stored: &&Stored| stored.message.ts == ts && stored.hidden_for == 0;
        let root = conversation.messages.iter().find(is_root).ok_or_else(not_there)?;
        let is_reply = |stored: &&Stored| {
            stored.message.thread_ts.as_deref() == Some(ts.as_str())
                && stored.hidden_for == 0
                && range.holds(&stored.message.ts)
        };
        let fits: Vec<&Stored> = conversation.messages.iter().filter(is_reply).collect();
        let start = fits.iter().position(|stored| range.is_next(&stored.message.ts)).unwrap_or(0);
        let replies = conversation.replies(&ts);
        let mut messages = vec![message_json(self, &root.message, replies, range.metadata)];
        let page = fits.iter().skip(start).take(range.limit);
        messages.extend(page.map(|stored| message_json(self, &stored.message, 0, range.metadata)));
        let next = fits.get(start + range.limit).map(|stored| stored.message.ts.clone());
        let answer = paged(json!({ "messages": messages }), next);
        self.uncover(&channel);
        Ok(answer)
    }

    pub(super) fn list(&self, call: &Call<'_>) -> Result<Reply, Reply> {
        let types = call.asked.text("types").unwrap_or_else(|| "public_channel".to_owned());
        for (word, scope) in [("public_channel", "channels"), ("private_channel", "groups"), ("im", "im")] {
            if types.split(',').any(|own| own == word) {
                call.needs(&format!("{scope}:read"))?;
            }
        }
        let range = Range::of(call.asked, self.page)?;
        let me = &call.grant.user;
        let fits: Vec<_> = self
            .conversations
            .iter()
            .filter(|one| types.split(',').any(|word| word == one.kind.word()))
            .filter(|one| one.kind == Kind::Public || one.has(me))
            .collect();
        let start = fits.iter().position(|one| range.is_next(&one.id)).unwrap_or(0);
        let page: Vec<Value> =
            fits.iter().skip(start).take(range.limit).map(|one| channel_json(one, me)).collect();
        let next = fits.get(start + range.limit).map(|one| one.id.clone());
        Ok(paged(json!({ "channels": page }), next))
    }
}

/// Which part of a list is wanted.
struct Range {
    oldest: Option<String>,
    latest: Option<String>,
    inclusive: bool,
    limit: usize,
    metadata: bool,
    next: Option<String>,
}

impl Range {
    fn of(asked: &Asked, page: usize) -> Result<Self, Reply> {
        let limit = match asked.text("limit") {
            None => 100,
            Some(text) => text.parse().map_err(|_| Reply::error("invalid_limit"))?,
        };
        let next = match asked.text("cursor") {
            None => None,
            Some(cursor) => {
                Some(cursor.strip_prefix("next:").ok_or_else(|| Reply::error("invalid_cursor"))?.to_owned())
            }
        };
        Ok(Self {
            oldest: asked.text("oldest"),
            latest: asked.text("latest"),
            inclusive: asked.flag("inclusive"),
            limit: limit.min(page),
            metadata: asked.flag("include_all_metadata"),
            next,
        })
    }

    fn holds(&self, ts: &str) -> bool {
        let inside = |end: &Option<String>, is_before: fn(&str, &str) -> bool| match end {
            None => true,
            Some(end) => is_before(end, ts) || (self.inclusive && end == ts),
        };
        inside(&self.oldest, |end, ts| number(end) < number(ts))
            && inside(&self.latest, |end, ts| number(ts) < number(end))
    }

    fn is_next(&self, id: &str) -> bool {
        self.next.as_deref() == Some(id)
    }
}

/// A `ts` as a number of microseconds.
fn number(ts: &str) -> u64 {
    let (seconds, rest) = ts.split_once('.').unwrap_or((ts, "0"));
    let rest = format!("{rest:0<6}");
    let parse = |text: &str| text.parse::<u64>().unwrap_or(0);
    parse(seconds) * 1_000_000 + parse(rest.get(..6).unwrap_or(&rest))
}

fn paged(mut body: Value, next: Option<String>) -> Reply {
    if let Some(fields) = body.as_object_mut() {
        fields.insert("has_more".into(), json!(next.is_some()));
        let cursor = next.map(|next| format!("next:{next}")).unwrap_or_default();
        fields.insert("response_metadata".into(), json!({ "next_cursor": cursor }));
    }
    Reply::ok(body)
}
