//! A mapping with known keys: takes them out one by one and refuses all others.

use enact_core::error::Error;
use serde_json::Number;

use crate::yaml::{Entry, Node, Place, Yaml};

/// The entries of a mapping, all of them with known keys.
#[derive(Debug)]
pub(crate) struct Fields {
    path: String,
    place: Place,
    entries: Vec<Entry>,
}

impl Fields {
    /// Of a mapping at that path which may have the known keys.
    pub(crate) fn of(node: Node, path: &str, known: &[&str]) -> Result<Self, Error> {
        let Yaml::Map(entries) = node.value else {
            let message =
                format!("a mapping is wanted here, with {}; this is {}", known.join(", "), node.value.kind());
            return Err(node.place.invalid(path, message));
        };
        for entry in &entries {
            if !known.contains(&entry.key.as_str()) {
                return Err(entry.place.invalid(path, unknown_key(&entry.key, known)));
            }
        }
        Ok(Self { path: path.to_owned(), place: node.place, entries })
    }

    /// Names the mapping better, once it is known how.
    pub(crate) fn rename(&mut self, path: String) {
        self.path = path;
    }

    /// Takes out a field that may be absent.
    pub(crate) fn optional(&mut self, key: &str) -> Option<Field> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        let node = self.entries.swap_remove(index).value;
        Some(Field { path: join(&self.path, key), node })
    }

    /// Takes out a field that has to be there.
    pub(crate) fn required(&mut self, key: &str) -> Result<Field, Error> {
        self.optional(key).ok_or_else(|| self.place.invalid(&self.path, format!("'{key}' is missing")))
    }
}

/// One field, with the path to it.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) path: String,
    pub(crate) node: Node,
}

impl Field {
    /// Its text.
    pub(crate) fn text(self) -> Result<(String, Place), Error> {
        match self.node.value {
            Yaml::Text(text) => Ok((text, self.node.place)),
            _ => Err(self.wanted("text")),
        }
    }

    /// Its truth value.
    pub(crate) fn bool(self) -> Result<bool, Error> {
        match self.node.value {
            Yaml::Bool(value) => Ok(value),
            _ => Err(self.wanted("true or false")),
        }
    }

    /// Its number: whole, from 1 to `max`.
    pub(crate) fn count(self, max: u32) -> Result<u32, Error> {
        let number = match &self.node.value {
            Yaml::Number(number) => whole(number),
            _ => None,
        };
        number
            .filter(|number| (1..=max).contains(number))
            .ok_or_else(|| self.wanted(&format!("a whole number from 1 to {max}")))
    }

    /// An error about the field.
    pub(crate) fn invalid(&self, message: impl std::fmt::Display) -> Error {
        self.node.place.invalid(&self.path, message)
    }

    /// An error that says what is wanted instead.
    pub(crate) fn wanted(&self, what: &str) -> Error {
        self.invalid(format!("{what} is wanted here; this is {}", shown(&self.node.value)))
    }
}

fn whole(number: &Number) -> Option<u32> {
    number.as_u64().and_then(|number| u32::try_from(number).ok())
}

fn shown(value: &Yaml) -> String {
    match value {
        Yaml::Bool(value) => value.to_string(),
        Yaml::Number(number) => number.to_string(),
        Yaml::Digits(digits) => shorten(digits, 40),
        Yaml::Text(text) => format!("the text '{}'", shorten(text, 40)),
        other => other.kind().to_owned(),
    }
}

/// The path of a key within a mapping.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The first line of a text, at most `max` characters of it.
pub(crate) fn shorten(text: &str, max: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    let short = line.chars().take(max).collect::<String>();
    if short.len() < text.trim_end().len() { short + "…" } else { short }
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    let meant = nearest(key, known).map_or(String::new(), |near| format!("; did you mean '{near}'?"));
    format!("unknown key '{}'{meant} (known here: {})", shorten(key, 40), known.join(", "))
}

/// The known word that a mistyped one most likely meant: at most two letters away.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // Longer words are never near to any of ours; this bounds the work.
    if word.len() > 64 {
        return None;
    }
    known
        .iter()
        .map(|near| (distance(word, near), *near))
        .filter(|(distance, near)| *distance <= 2 && *distance < near.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, near)| near)
}

/// How many letters have to be added, removed or changed to make one word of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row = (0..=other.chars().count()).collect::<Vec<_>>();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (b, above) in other.chars().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(a != b)).min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_letters() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("retry", "retry"), 0);
        assert_eq!(distance("retrys", "retry"), 1);
        assert_eq!(distance("tiemout", "timeout"), 2);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_mistyped_word_is_recognised_and_a_strange_one_is_not() {
        let known = ["id", "action", "with", "retry"];
        assert_eq!(nearest("actoin", &known), Some("action"));
        assert_eq!(nearest("retries", &known), None);
        assert_eq!(nearest("xy", &known), None);
        assert_eq!(nearest("whit", &known), Some("with"));
    }

    #[test]
    fn long_text_is_shortened_to_its_beginning() {
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("abcd", 3), "abc…");
        assert_eq!(shorten("one\ntwo", 9), "one…");
        assert_eq!(shorten("one\n", 9), "one");
    }
}
