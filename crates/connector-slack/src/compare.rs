//! Whether a message is still the one that was posted.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::message::Message;

/// What of a block people read or press. The rest Slack fills in as it goes, such as the size of an image.
const SEEN: [&str; 19] = [
    "type",
    "block_id",
    "text",
    "elements",
    "fields",
    "accessory",
    "title",
    "alt_text",
    "image_url",
    "url",
    "value",
    "name",
    "user_id",
    "usergroup_id",
    "channel_id",
    "label",
    "placeholder",
    "options",
    "action_id",
];

/// A message as Slack kept it when it was posted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The text, as Slack writes it: `&`, `<` and `>` are escaped, addresses are links.
    pub text: String,
    /// The blocks, with the ids that Slack gave them.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub blocks: Value,
}

impl From<&Message> for Kept {
    fn from(message: &Message) -> Self {
        Self { text: message.text.clone(), blocks: message.blocks.clone() }
    }
}

/// What somebody has changed, in words.
pub(crate) fn changed(kept: Option<&Kept>, now: &Message) -> Option<&'static str> {
    if now.is_edited() {
        return Some("it was edited");
    }
    let kept = kept?;
    if kept.text != now.text {
        return Some("its text is another one");
    }
    (seen(&kept.blocks) != seen(&now.blocks)).then_some("its blocks are others")
}

/// What people see of blocks; none are as good as an empty list.
fn seen(value: &Value) -> Value {
    match value {
        Value::Array(list) if list.is_empty() => Value::Null,
        Value::Array(list) => list.iter().map(seen).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(name, _)| SEEN.contains(&name.as_str()));
            Value::Object(fields.map(|(name, value)| (name.clone(), seen(value))).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(text: &str, blocks: &Value, edited: &Value) -> Message {
        let message = json!({ "ts": "1.2", "text": text, "blocks": blocks, "edited": edited });
        serde_json::from_value(message).unwrap()
    }

    #[test]
    fn a_change_is_seen_and_what_slack_fills_in_is_none() {
        let blocks = json!([{ "type": "image", "block_id": "b", "image_url": "u", "alt_text": "a" }]);
        let kept = Kept { text: "a &lt; b".into(), blocks: blocks.clone() };
        let none = json!(null);
        let filled = json!([{ "type": "image", "block_id": "b", "image_url": "u", "alt_text": "a", "image_width": 9 }]);
        assert_eq!(changed(Some(&kept), &message("a &lt; b", &filled, &none)), None);
        let other = json!([{ "type": "image", "block_id": "b", "image_url": "v", "alt_text": "a" }]);
        assert!(changed(Some(&kept), &message("a &lt; b", &other, &none)).is_some());
        assert!(changed(Some(&kept), &message("a", &blocks, &none)).is_some());
        assert!(
            changed(Some(&kept), &message("a &lt; b", &blocks, &json!({ "user": "U1", "ts": "1.3" })))
                .is_some()
        );
        let bare = Kept { text: "a".into(), blocks: none.clone() };
        assert_eq!(changed(Some(&bare), &message("a", &json!([]), &none)), None);
        assert_eq!(changed(None, &message("anything", &none, &none)), None);
    }
}
