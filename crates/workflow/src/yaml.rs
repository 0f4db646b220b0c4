//! YAML as a tree that knows its places, so that every complaint can name line and column.
//!
//! Knows YAML 1.2 and its bounds; does not know what a workflow is.

use std::cell::Cell;
use std::fmt;

use enact_core::error::{Error, ErrorCode};
use enact_core::exact::is_held;
use enact_core::json::JsonText;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::{Location, Spanned, UserMessageFormatter};

/// The longest text that is read, in bytes.
pub(crate) const MAX_TEXT: usize = 1024 * 1024;

/// How much text the tree may hold, in bytes. Aliases copy what they name; the copies count.
const MAX_HELD: usize = 4 * MAX_TEXT;

/// How deep lists and mappings may stand in each other.
const MAX_DEPTH: usize = 32;

/// How many values the text may have, and how many more its aliases may copy.
const MAX_NODES: usize = 100_000;

/// Where something stands in the text, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    line: u64,
    column: u64,
}

impl Place {
    /// An error about what stands here, in the field of that path.
    pub(crate) fn invalid(self, field: &str, message: impl fmt::Display) -> Error {
        let colon = if field.is_empty() { "" } else { ": " };
        let message = format!("{self}: {field}{colon}{message}");
        Error::new(ErrorCode::InvalidParameters, message).left_nothing()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

/// A value and its place.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Yaml,
    /// Where the text of the value begins, and its length, in bytes.
    written: Option<(u64, u64)>,
}

/// A value.
#[derive(Debug)]
pub(crate) enum Yaml {
    Null,
    Bool(bool),
    Number(Number),
    /// A number of JSON that no type holds with all its digits.
    Digits(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// An entry of a mapping; keys are text and unique.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

impl Yaml {
    /// What it is, for people.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) | Self::Digits(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Reads one YAML document.
///
/// # Errors
/// `invalid_parameters`, with line and column.
pub(crate) fn read(text: &str) -> Result<Node, Error> {
    if text.len() > MAX_TEXT {
        let message = format!("the text has {} bytes; at most {MAX_TEXT} are read", text.len());
        return Err(Error::new(ErrorCode::InvalidParameters, message).left_nothing());
    }
    HELD.set(0);
    let mut node =
        serde_saphyr::from_str_with_options(text, options()).map_err(|error| not_yaml(text, &error))?;
    keep_digits(&mut node, text)?;
    Ok(node)
}

/// Gives numbers that were rounded when they were read the digits that they were written with.
fn keep_digits(node: &mut Node, text: &str) -> Result<(), Error> {
    match &mut node.value {
        Yaml::List(items) => items.iter_mut().try_for_each(|item| keep_digits(item, text)),
        Yaml::Map(entries) => entries.iter_mut().try_for_each(|entry| keep_digits(&mut entry.value, text)),
        Yaml::Number(number) if number.is_f64() => {
            let number = number.as_f64();
            match node
                .written
                .and_then(|written| digits(text, written))
                .filter(|it| it.parse().ok() == number)
            {
                Some(digits) if is_held(&digits) => Ok(()),
                Some(digits) => {
                    node.value = Yaml::Digits(digits);
                    Ok(())
                }
                None => Err(node
                    .place
                    .invalid("", "this number would be rounded; write it as JSON does, or as text")),
            }
        }
        _ => Ok(()),
    }
}

/// A number as JSON writes it, where it is written in YAML as `.5`, `5.` or `+5.0`.
fn digits(text: &str, (begin, length): (u64, u64)) -> Option<String> {
    let begin = usize::try_from(begin).ok()?;
    let written = text.get(begin..begin.checked_add(usize::try_from(length).ok()?)?)?.trim_ascii();
    let (sign, written) = written.strip_prefix('-').map_or(("", written), |rest| ("-", rest));
    let written = written.strip_prefix('+').unwrap_or(written);
    let zero = if written.starts_with('.') { "0" } else { "" };
    let number = format!("{sign}{zero}{}", written.strip_suffix('.').unwrap_or(written)).replace(".e", "e");
    JsonText::parse(&number).is_ok().then_some(number)
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_merge_keys: 1_000,
            max_aliases: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
        // YAML 1.2: `yes` and `on` are text. And `mode: 0755` is what was written, not the number 755.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn not_yaml(text: &str, error: &serde_saphyr::Error) -> Error {
    let full = error.render_with_formatter(&UserMessageFormatter);
    let Some(place) = error.location().map(Place::from) else {
        return Error::new(ErrorCode::InvalidParameters, full).left_nothing();
    };
    let message = full.strip_suffix(&format!(" at {place}")).unwrap_or(&full);
    place.invalid("", format!("{message}{}", hint(text, place)))
}

/// The mistake that everybody makes once: `content: {{ payload.text }}` is a YAML mapping.
fn hint(text: &str, place: Place) -> &'static str {
    let line = usize::try_from(place.line).ok().and_then(|line| text.lines().nth(line.saturating_sub(1)));
    match line {
        Some(line) if line.contains("{{") => "; a value with {{ … }} is written in quotes: \"{{ … }}\"",
        _ => "",
    }
}

thread_local! {
    /// How much text the tree that is being read holds. A visitor has no other way to share a count.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

fn hold<E: serde::de::Error>(text: &str) -> Result<(), E> {
    let held = HELD.get().saturating_add(text.len());
    HELD.set(held);
    if held > MAX_HELD {
        return Err(E::custom(format!("with its aliases, the text holds more than {MAX_HELD} bytes")));
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Yaml>::deserialize(from)?;
        let span = spanned.defined.span();
        let written = span.byte_offset().zip(span.byte_len());
        Ok(Self { place: spanned.referenced.into(), value: spanned.value, written })
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(YamlVisitor)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, true or false, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Yaml, D::Error> {
        Yaml::deserialize(from)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Yaml, E> {
        Number::from_f64(value).map(Yaml::Number).ok_or_else(|| E::custom("a number is finite"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Yaml, E> {
        hold(value)?;
        Ok(Yaml::Text(value.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Yaml, E> {
        hold(&value)?;
        Ok(Yaml::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Yaml, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Yaml::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Yaml, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            hold::<A::Error>(&key.value)?;
            let value = entries.next_value::<Node>()?;
            map.push(Entry { key: key.value, place: key.referenced.into(), value });
        }
        Ok(Yaml::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        let error = read(text).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidParameters);
        error.message().to_owned()
    }

    #[test]
    fn a_value_and_a_key_know_their_places() {
        let node = read("a: 1\nb:\n  - x\n  - c: true\n").unwrap();
        let Yaml::Map(entries) = node.value else { panic!("a mapping") };
        let b = &entries[1];
        assert_eq!((b.key.as_str(), b.place), ("b", Place { line: 2, column: 1 }));
        let Yaml::List(items) = &b.value.value else { panic!("a list") };
        assert_eq!(items[0].place, Place { line: 3, column: 5 });
        assert!(matches!(&items[0].value, Yaml::Text(text) if text == "x"));
    }

    #[test]
    fn scalars_are_those_of_yaml_1_2() {
        let node = read("[yes, on, 0755, 0o755, 1_000, ~, TRUE, '1', 1.5]").unwrap();
        let Yaml::List(items) = node.value else { panic!("a list") };
        let kinds = items.iter().map(|item| item.value.kind()).collect::<Vec<_>>();
        let (text, number) = ("text", "a number");
        assert_eq!(kinds, [text, text, text, number, text, "nothing", "true or false", text, number]);
    }

    #[test]
    fn a_number_that_no_type_holds_keeps_its_digits() {
        let text = "[0.1, .5, 5., +1.50, 1.5e3, &a 99999999999999.1234, 18446744073709551616, 1e-400, *a]";
        let Yaml::List(items) = read(text).unwrap().value else { panic!("a list") };
        let shown = items.iter().map(|item| match &item.value {
            Yaml::Number(number) => number.to_string(),
            Yaml::Digits(digits) => format!("'{digits}'"),
            other => panic!("{other:?}"),
        });
        let money = "'99999999999999.1234'";
        assert_eq!(
            shown.collect::<Vec<_>>(),
            ["0.1", "0.5", "5.0", "1.5", "1500.0", money, "'18446744073709551616'", "'1e-400'", money]
        );
    }

    #[test]
    fn what_is_not_yaml_is_named_with_its_place() {
        assert_eq!(complaint("a: [1, 2"), "line 1, column 4: unclosed bracket '['");
        assert_eq!(
            complaint("a: 1\na: 2"),
            "line 2, column 1: duplicate mapping key `a` is not allowed here"
        );
        assert_eq!(complaint("a: !run 1"), "line 1, column 9: unsupported tag `!run`");
        assert_eq!(complaint("a: .nan"), "line 1, column 4: value `.nan` is not a finite number");
        assert!(complaint("a: 1\n---\nb: 2").starts_with("line 3, column 1: only single YAML document"));
    }

    #[test]
    fn an_expression_without_quotes_gets_a_hint() {
        let message = complaint("content: {{ payload.text }}");
        assert!(message.starts_with("line 1, column 11: "), "{message}");
        assert!(message.ends_with("is written in quotes: \"{{ … }}\""), "{message}");
    }

    #[test]
    fn deep_long_and_multiplying_texts_are_refused() {
        let deep = format!("a: {}{}", "[".repeat(40), "]".repeat(40));
        assert!(complaint(&deep).contains("Depth"), "{}", complaint(&deep));
        assert!(complaint(&"x".repeat(MAX_TEXT + 1)).contains("at most 1048576"));
        let big = format!("a: &a '{}'\nb: [{}]", "x".repeat(900_000), "*a, ".repeat(50));
        assert!(complaint(&big).contains("with its aliases"), "{}", complaint(&big));
        let mut bomb = String::from("l0: &l0 [x, x]\n");
        for level in 1..25 {
            bomb += &format!("l{level}: &l{level} [*l{0}, *l{0}]\n", level - 1);
        }
        read(&bomb).unwrap_err();
    }
}
