//! A message: what is asked for, and what Slack shows of it.

use enact_core::Error;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::error::wrong;
use crate::name::Ts;

/// How many blocks a message may have. Source: "Blocks".
const MAX_BLOCKS: usize = 50;

/// The longest text, in characters. Slack cuts off what is beyond. Source: "chat.postMessage".
pub(crate) const MAX_TEXT_CHARS: usize = 40_000;

/// The name of our metadata.
const EVENT_TYPE: &str = "enact_effect";

/// The blocks of a message: a JSON list, or a text that holds one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
pub struct Blocks(Vec<Map<String, Value>>);

impl Blocks {
    /// Blocks.
    ///
    /// # Errors
    /// `invalid_parameters`, where it is no list of at most 50 blocks.
    pub fn new(blocks: Value) -> Result<Self, Error> {
        Self::try_from(blocks).map_err(|error| wrong(format!("'blocks': {error}")))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Value> for Blocks {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let value = match value {
            Value::String(text) => {
                serde_json::from_str(&text).map_err(|error| format!("it is no JSON: {error}"))?
            }
            value => value,
        };
        let Value::Array(list) = value else { return Err("give a list of blocks".into()) };
        if list.len() > MAX_BLOCKS {
            return Err(format!("it has {} blocks, more than {MAX_BLOCKS}", list.len()));
        }
        let block = |(place, block): (usize, Value)| match block {
            Value::Object(block)
                if block.get("type").and_then(Value::as_str).is_some_and(|kind| !kind.is_empty()) =>
            {
                Ok(block)
            }
            _ => Err(format!("block {} is no object with a 'type'", place + 1)),
        };
        list.into_iter().enumerate().map(block).collect::<Result<_, _>>().map(Self)
    }
}

/// The metadata by which a message is known again.
pub(crate) fn mark(effect: &str) -> Value {
    json!({ "event_type": EVENT_TYPE, "event_payload": { "effect": effect } })
}

/// A message, as lists show it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(crate) struct Message {
    pub(crate) ts: Ts,
    pub(crate) user: Option<String>,
    bot_id: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) blocks: Value,
    thread_ts: Option<Ts>,
    subtype: Option<String>,
    edited: Option<Value>,
    metadata: Option<Value>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) reply_count: u64,
}

/// `null` is as good as nothing: one odd message of somebody else keeps nobody from finding ours.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Message {
    /// It was deleted, and only its replies are left.
    pub(crate) fn is_tombstone(&self) -> bool {
        self.subtype.as_deref() == Some("tombstone")
    }

    /// The message that it answers. One that has answers names itself.
    pub(crate) fn answers(&self) -> Option<&Ts> {
        self.thread_ts.as_ref().filter(|thread| **thread != self.ts)
    }

    pub(crate) fn is_edited(&self) -> bool {
        self.edited.as_ref().is_some_and(|edited| !edited.is_null())
    }

    /// Whether it is the message of an effect, posted by this very account: metadata can be copied.
    pub(crate) fn is_of(&self, effect: &str, account: &Account) -> bool {
        let ours = self.user.as_ref() == Some(&account.user)
            || (self.bot_id.is_some() && self.bot_id == account.bot);
        let marked = self.metadata.as_ref().is_some_and(|metadata| {
            metadata.get("event_type").and_then(Value::as_str) == Some(EVENT_TYPE)
                && metadata.pointer("/event_payload/effect").and_then(Value::as_str) == Some(effect)
        });
        ours && marked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_with_little_in_it_reads() {
        let bare = json!({ "ts": "1.2", "text": null, "blocks": null, "reply_count": null, "edited": null });
        let message: Message = serde_json::from_value(bare).unwrap();
        assert!(message.text.is_empty() && !message.is_edited() && !message.is_tombstone());
    }

    #[test]
    fn blocks_are_a_list_of_objects_with_a_type() {
        let block = json!({ "type": "divider" });
        assert_eq!(
            Blocks::new(json!("[{\"type\": \"divider\"}]")).unwrap(),
            Blocks::new(json!([block])).unwrap()
        );
        for (wrong, why) in [
            (json!({}), "list"),
            (json!("[{"), "JSON"),
            (json!([1]), "block 1"),
            (json!([block, { "text": "x" }]), "block 2"),
            (json!(vec![block; 51]), "51"),
        ] {
            let error = Blocks::new(wrong).unwrap_err();
            assert!(error.message().contains(why), "{error}");
        }
    }
}
