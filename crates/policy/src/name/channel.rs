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

#[cfg(test)]
mod tests {
    use enact_connector_slack as slack;
    use proptest::prelude::*;

    use super::*;

    /// What a text stands for as the connector reads it.
    fn by_connector(place: &slack::Place) -> String {
        match (place.id(), place.person()) {
            (Some(id), _) => format!("{:?}", Place::Id(id.as_str())),
            (None, Some(_)) => format!("{:?}", Place::Person),
            (None, None) => format!("{:?}", Place::Name(place.name())),
        }
    }

    /// Whether the connector takes it at all; then it has to be read in the same way.
    fn is_read_alike(text: &str) -> bool {
        let Ok(place) = slack::Place::new(text) else { return false };
        assert_eq!(format!("{:?}", Place::read(text)), by_connector(&place), "{text:?}");
        true
    }

    #[test]
    fn a_conversation_is_read_as_the_connector_reads_it() {
        for text in [
            "C0123456789",
            "G0123456789",
            "D0123456789",
            "U0123456789",
            "W0123456789",
            "C01",
            "C0",
            "CU",
            "DM1",
            "UCD",
            "#C0123456789",
            "c0123456789",
            "C012345678a",
            "T0123456789",
            "B0123456789",
            "general",
            "#general",
            "GENERAL",
            "#U0123456789",
            "mpdm-a--b-1",
            "C-123",
            "D\u{430}1",
            "\u{421}0123456789",
            "C\u{660}12",
            "U\u{ff11}23",
            "a#b",
        ] {
            let is_taken = !text.contains("a#");
            assert_eq!(is_read_alike(text), is_taken, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_conversation_is_read_as_the_connector_reads_it(text in "[#]?[CGDUWTcx#][A-Z0-9]{0,5}[a-z_-]?|\\PC{0,6}") {
            is_read_alike(&text);
        }
    }
}
