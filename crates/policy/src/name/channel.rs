//! What stands for a conversation: an id, a channel's name, a person's id.

/// What a text stands for, read as the connector reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place<'a> {
    /// A conversation by its id.
    Id(&'a str),
    /// A person: their direct messages.
    Person,
    /// A channel by its name, without its sign.
    Name(&'a str),
}

impl<'a> Place<'a> {
    pub(crate) fn read(text: &'a str) -> Self {
        if is_id(text, &['C', 'G', 'D']) {
            Self::Id(text)
        } else if is_id(text, &['U', 'W']) {
            Self::Person
        } else {
            Self::Name(text.strip_prefix('#').unwrap_or(text))
        }
    }
}

fn is_id(text: &str, letters: &[char]) -> bool {
    text.len() >= 3
        && text.starts_with(letters)
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}
