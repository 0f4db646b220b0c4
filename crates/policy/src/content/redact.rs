//! Leaving out of what is shown what looks like a secret.
//!
//! It is for what people and logs see, by the same formats that the policy on content goes by. It is not for what is
//! recorded: an undo needs that as it is.

use std::borrow::Cow;
use std::ops::Range;

use super::kinds::Kinds;

/// A text with every token, key and password in an address left out that [`NoSecretsInContent`](super::NoSecretsInContent)
/// knows by its format; in its place stands `[redacted: a GitHub token]`, or what else it is. It stops accidents: a secret
/// without such a format, in base64 or cut in two is not known.
///
/// ```
/// let said = enact_policy::redacted("the database is postgres://app:hunter22@db/app");
/// assert_eq!(said, "the database is postgres://app:[redacted: a password]@db/app");
/// ```
#[must_use]
pub fn redacted(text: &str) -> Cow<'_, str> {
    let Ok(kinds) = Kinds::new(false) else {
        // They are constants, and compile. If they ever do not, nothing is said rather than too much.
        return "[redacted]".into();
    };
    let places = apart(kinds.places(text.as_bytes()));
    if places.is_empty() {
        return text.into();
    }
    let (mut shown, mut from) = (String::with_capacity(text.len()), 0);
    for (place, kind) in places {
        // The formats begin and end with ASCII, so that no character is cut.
        shown.push_str(text.get(from..place.start).unwrap_or_default());
        shown.push_str("[redacted: ");
        shown.push_str(kind);
        shown.push(']');
        from = place.end;
    }
    shown.push_str(text.get(from..).unwrap_or_default());
    shown.into()
}

/// The same for one or more documents of JSON as text: what stands in a string or a key is looked at as it is meant, and
/// all else, such as numbers and order, stays to the letter. What is no JSON is read as [`redacted`] does.
#[must_use]
pub fn redacted_json(text: &str) -> Cow<'_, str> {
    let (mut shown, mut from, mut at) = (String::new(), 0, 0);
    while let Some(start) = text.get(at..).and_then(|rest| rest.find('"')).map(|found| at + found) {
        let Some(end) = end_of_string(text, start) else { return redacted(text) };
        let literal = text.get(start..end).unwrap_or_default();
        let Ok(meant) = serde_json::from_str::<Cow<'_, str>>(literal) else { return redacted(text) };
        if let (Cow::Owned(changed), before) = (redacted(&meant), text.get(from..start).unwrap_or_default()) {
            shown.push_str(before);
            shown.push_str(&serde_json::Value::from(changed).to_string());
            from = end;
        }
        at = end;
    }
    if from == 0 {
        return text.into();
    }
    shown.push_str(text.get(from..).unwrap_or_default());
    shown.into()
}

/// Behind the quote that ends the string which begins at `start`.
fn end_of_string(text: &str, start: usize) -> Option<usize> {
    let mut is_escaped = false;
    let inside = text.as_bytes().get(start + 1..)?;
    let end = inside.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    })?;
    Some(start + 1 + end + 1)
}

/// In order, with those that overlap as one: the first, and of several at one place the longest, says what it is.
fn apart(mut places: Vec<(Range<usize>, &'static str)>) -> Vec<(Range<usize>, &'static str)> {
    places.sort_by_key(|(place, _)| (place.start, std::cmp::Reverse(place.end)));
    let mut apart: Vec<(Range<usize>, &'static str)> = Vec::with_capacity(places.len());
    for (place, kind) in places {
        match apart.last_mut() {
            Some((last, _)) if place.start < last.end => last.end = last.end.max(place.end),
            _ => apart.push((place, kind)),
        }
    }
    apart
}
