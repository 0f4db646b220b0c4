//! What stands in an address: encoded once, and decoded exactly once.

use percent_encoding::percent_decode_str;

/// The pairs after the `?`, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// `None` where something is not well encoded.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts = text.split('&').filter(|part| !part.is_empty());
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        };
        parts.map(pair).collect::<Option<Vec<_>>>().map(Self)
    }

    /// The last value of a name, as GitHub takes it; an empty one is none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Decodes once. A `%` that does not begin a code, and what is not UTF-8 afterwards, is nothing.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        rest = rest.get(at + 1..)?;
        if !rest.get(..2)?.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
    }
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_decoded_once() {
        assert_eq!(decode("a%2Fb%23%25%C3%BC").as_deref(), Some("a/b#%ü"));
        assert_eq!(decode("%252F").as_deref(), Some("%2F"));
        assert!(
            decode("%").is_none()
                && decode("%2").is_none()
                && decode("%zz").is_none()
                && decode("%ff").is_none()
        );
    }

    #[test]
    fn the_last_of_two_equal_names_counts() {
        let query = Query::parse("a=1&b=x+y&a=2&c=").unwrap();
        assert_eq!((query.get("a"), query.get("b"), query.get("c")), (Some("2"), Some("x y"), None));
    }
}
