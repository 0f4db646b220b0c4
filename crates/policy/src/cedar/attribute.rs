//! What may be said of a user, and how rules see it.

use std::collections::BTreeMap;

use cedar_policy::RestrictedExpression;
use serde::Deserialize;
use serde_json::Value;

use super::shape::Shape;

/// The type of an attribute of a user. In a configuration it is written as Cedar writes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
pub enum Attribute {
    /// A text.
    #[serde(rename = "String")]
    Text,
    /// Some texts.
    #[serde(rename = "Set<String>")]
    Texts,
    /// A whole number.
    #[serde(rename = "Long")]
    Number,
    /// True or false.
    #[serde(rename = "Bool")]
    Flag,
}

impl Attribute {
    /// What rules can speak of where nothing else is said: `role`, `roles`, `team` and `teams`.
    #[must_use]
    pub fn usual() -> BTreeMap<String, Self> {
        let usual =
            [("role", Self::Text), ("roles", Self::Texts), ("team", Self::Text), ("teams", Self::Texts)];
        usual.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect()
    }

    pub(super) fn shape(self) -> Shape {
        match self {
            Self::Text => Shape::Text,
            Self::Texts => Shape::Set(Box::new(Shape::Text)),
            Self::Number => Shape::Number,
            Self::Flag => Shape::Flag,
        }
    }

    /// The value in Cedar. What a command line says is always text: it is read as what it is to be. One text is a set of
    /// one.
    pub(super) fn put(self, value: &Value, name: &str) -> Result<RestrictedExpression, String> {
        let read = match (self, value) {
            (Self::Texts, Value::String(_)) => Some(Value::Array(vec![value.clone()])),
            (Self::Number, Value::String(text)) => text.parse::<i64>().ok().map(Value::from),
            (Self::Flag, Value::String(text)) => text.parse::<bool>().ok().map(Value::from),
            _ => None,
        };
        self.shape().put(read.as_ref().unwrap_or(value), name)
    }
}
