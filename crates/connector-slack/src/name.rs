//! What stands for a conversation and for a message.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::wrong;
use enact_core::Error;

/// The longest name that is taken; Slack's own limit is 80 characters.
const MAX_NAME: usize = 100;

/// Where to post: a conversation by its id, a channel by its name (`#general` or `general`), or a person by their id.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Place(String);

/// A conversation by its id.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct ChannelId(String);

/// A message within its conversation: Slack's `ts`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Ts(String);

/// Ids are capital letters and digits, names have no capital letters.
fn is_id(text: &str, letters: &[char]) -> bool {
    text.len() >= 3
        && text.starts_with(letters)
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

impl Place {
    /// A place.
    ///
    /// # Errors
    /// `invalid_parameters`, where it is nothing of that.
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        Self::try_from(text.into()).map_err(wrong)
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The conversation, where it was given by its id.
    #[must_use]
    pub fn id(&self) -> Option<ChannelId> {
        ChannelId::try_from(self.0.clone()).ok()
    }

    /// The person whose direct messages it is.
    #[must_use]
    pub fn person(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| is_id(text, &['U', 'W']))
    }

    /// The name, without its sign.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.strip_prefix('#').unwrap_or(&self.0)
    }
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = text.strip_prefix('#').unwrap_or(&text);
        let odd = |letter: char| letter.is_whitespace() || letter.is_control() || matches!(letter, '#' | '@');
        if name.is_empty() || name.chars().count() > MAX_NAME || name.contains(odd) {
            return Err(
                "give a conversation's id, a channel's name or a person's id, such as C0123456789, #general \
                        or U0123456789"
                    .into(),
            );
        }
        Ok(Self(text))
    }
}

impl ChannelId {
    /// As Slack writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ChannelId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if is_id(&text, &['C', 'G', 'D']) {
            return Ok(Self(text));
        }
        Err("give the id of the conversation, such as C0123456789: 'channel' of what 'post_message' gave"
            .into())
    }
}

impl Ts {
    /// As Slack writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Ts {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        match text.split_once('.') {
            Some((seconds, rest)) if digits(seconds) && digits(rest) && text.len() <= 32 => Ok(Self(text)),
            _ => Err("give the message's 'ts' as a text, such as \"1700000000.000100\"".into()),
        }
    }
}

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

as_text!(Place, ChannelId, Ts);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_names_and_people_are_told_apart() {
        let place = |text: &str| Place::new(text).unwrap();
        assert!(place("C0123456789").id().is_some());
        assert_eq!(place("U0123456789").person(), Some("U0123456789"));
        assert_eq!((place("#general").id(), place("#general").name()), (None, "general"));
        assert_eq!((place("cats").id(), place("cats").person()), (None, None));
        for text in ["", "#", "a b", "@ann", "x\n"] {
            assert!(Place::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_ts_is_two_numbers() {
        assert!(Ts::try_from("1700000000.000100".to_owned()).is_ok());
        for text in ["", "1700000000", "1700000000.", "now", "1.2.3", "-1.0"] {
            assert!(Ts::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }
}
