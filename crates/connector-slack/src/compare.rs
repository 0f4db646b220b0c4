//! Whether a message is still the one that was posted.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::message::Message;

/// What Slack notes of an image when it has fetched it. Source: `ImageBlock` and `ImageElement` of Slack's own client
/// libraries, which have these beside what an app gives. Whatever else differs, somebody has changed.
const FILLED_IN: [&str; 5] = ["fallback", "image_width", "image_height", "image_bytes", "is_animated"];

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
    (given(&kept.blocks) != given(&now.blocks)).then_some("its blocks are others")
}

/// What was given of blocks; none are as good as an empty list.
fn given(value: &Value) -> Value {
    match value {
        Value::Array(list) if list.is_empty() => Value::Null,
        Value::Array(list) => list.iter().map(given).collect(),
        Value::Object(fields) => {
            let is_image = fields.get("type").and_then(Value::as_str) == Some("image");
            let fields = fields.iter().filter(|(name, _)| !(is_image && FILLED_IN.contains(&name.as_str())));
            Value::Object(fields.map(|(name, value)| (name.clone(), given(value))).collect::<Map<_, _>>())
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
        for (was, is) in [
            (json!({ "type": "table", "rows": [["1"]] }), json!({ "type": "table", "rows": [["2"]] })),
            (json!({ "type": "button", "style": "primary" }), json!({ "type": "button", "style": "danger" })),
            (json!({ "type": "button" }), json!({ "type": "button", "confirm": { "title": "sure?" } })),
            (json!({ "type": "video", "video_url": "u" }), json!({ "type": "video", "video_url": "v" })),
            (json!({ "type": "new", "not_known_yet": 1 }), json!({ "type": "new", "not_known_yet": 2 })),
            (json!({ "type": "new", "image_width": 1 }), json!({ "type": "new", "image_width": 2 })),
        ] {
            let kept = Kept { text: "a".into(), blocks: json!([{ "type": "actions", "elements": [was] }]) };
            let blocks = json!([{ "type": "actions", "elements": [is] }]);
            assert!(changed(Some(&kept), &message("a", &blocks, &none)).is_some(), "{blocks}");
            assert_eq!(changed(Some(&kept), &message("a", &kept.blocks, &none)), None);
        }
        let bare = Kept { text: "a".into(), blocks: none.clone() };
        assert_eq!(changed(Some(&bare), &message("a", &json!([]), &none)), None);
        assert_eq!(changed(None, &message("anything", &none, &none)), None);
    }
}
