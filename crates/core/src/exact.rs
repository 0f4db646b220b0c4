//! JSON as a tree whose numbers are the text that they were written in.
//!
//! A number of JSON may have more digits than any type of the language holds, and an amount of money that lost one is
//! another amount. Whoever has to look into JSON that is only passed on looks into this tree.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A value of JSON. Entries stand in their order, and as often as they were written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Exact {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(Box<str>),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Exact>),
    /// An object.
    Object(Vec<(String, Exact)>),
}

impl Exact {
    /// Reads text that is one value of JSON.
    pub(crate) fn read(text: &str) -> serde_json::Result<Self> {
        let text = text.trim_ascii();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let Entries(entries) = serde_json::from_str(text)?;
                let read = |(key, raw): (String, &RawValue)| Ok((key, Self::read(raw.get())?));
                Self::Object(entries.into_iter().map(read).collect::<serde_json::Result<_>>()?)
            }
            Some(b'[') => {
                let items = serde_json::from_str::<Vec<&RawValue>>(text)?;
                Self::List(items.into_iter().map(|raw| Self::read(raw.get())).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::Text(serde_json::from_str(text)?),
            Some(b'-' | b'0'..=b'9') => Self::Number(serde_json::from_str::<&RawValue>(text)?.get().into()),
            Some(b'n') => serde_json::from_str(text).map(|()| Self::Null)?,
            _ => Self::Bool(serde_json::from_str(text)?),
        })
    }

    /// Whether two values mean the same: entries in whatever order, numbers however they are written, digit for digit.
    #[must_use]
    pub fn means(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => {
                one == other || decimal(one).is_some_and(|digits| decimal(other) == Some(digits))
            }
            (Self::List(one), Self::List(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.means(other))
            }
            (Self::Object(one), Self::Object(other)) => {
                let by_key = |entries: &'_ [(String, Self)]| -> BTreeMap<String, Self> {
                    entries.iter().cloned().collect()
                };
                let (one, other) = (by_key(one), by_key(other));
                one.len() == other.len()
                    && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| value.means(other)))
            }
            _ => self == other,
        }
    }

    /// What stands under a key of an object; the last one, where it was written more than once, as every reader has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => {
                entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The item of a list, counted from 0.
    #[must_use]
    pub fn item(&self, index: usize) -> Option<&Self> {
        match self {
            Self::List(items) => items.get(index),
            _ => None,
        }
    }

    /// The text, where it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Bool(value) => to.serialize_bool(*value),
            Self::Number(text) => {
                serde_json::from_str::<&RawValue>(text).map_err(S::Error::custom)?.serialize(to)
            }
            Self::Text(text) => to.serialize_str(text),
            Self::List(items) => to.collect_seq(items),
            Self::Object(entries) => to.collect_map(entries.iter().map(|(key, value)| (key, value))),
        }
    }
}

/// The entries of an object, unread.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

/// Whether a number, written in JSON's way, is one that 64 bits hold with all its digits: it prints back as the same
/// decimal number, however that is written.
#[must_use]
pub fn is_held(number: &str) -> bool {
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    // Not by serde_json, whose reading may be a last digit off.
    let Ok(read) = number.parse::<f64>() else { return false };
    decimal(number).is_some_and(|digits| decimal(&format!("{read:e}")) == Some(digits))
}

/// The digits of a number from the first to the last that is not zero, and the power of ten of the last; the sign counts
/// but for zero.
fn decimal(number: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (negative, whole) = whole.strip_prefix('-').map_or((false, whole), |whole| (true, whole));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len().checked_sub(significant.len())?).ok()?;
    let digits = significant.trim_start_matches('0');
    if digits.is_empty() {
        return Some((false, String::new(), 0));
    }
    let power = exponent.parse::<i64>().ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    Some((negative, digits.to_owned(), power.checked_add(dropped)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_as_it_was_read() {
        let text = r#"{"b":[1.50,-0,1e-400,12345678901234567890.123456789],"a":{"":null},"a":[true,"\n"]}"#;
        let read = Exact::read(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!(read.get("a").and_then(|a| a.item(1)).and_then(Exact::as_text), Some("\n"));
    }

    #[test]
    fn values_mean_the_same_however_they_are_written_and_not_where_a_digit_differs() {
        let means = |one: &str, other: &str| Exact::read(one).unwrap().means(&Exact::read(other).unwrap());
        assert!(means(r#"{"a":[1.50,"x"],"b":null}"#, r#"{ "b": null, "a": [15e-1, "x"] }"#));
        for (one, other) in [
            ("12345678901234567890", "12345678901234567891"),
            ("1e-400", "0"),
            ("[1,2]", "[1]"),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
            ("1", r#""1""#),
        ] {
            assert!(!means(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_number_is_held_where_it_prints_back_with_the_same_digits() {
        for held in [
            "0",
            "-0",
            "0.000",
            "0.1",
            "0.10",
            "1e3",
            "100E-2",
            "1e300",
            "-7.25",
            "-1.9773924753936966e+42",
            "18446744073709551615",
        ] {
            assert!(is_held(held), "{held}");
        }
        for lost in [
            "18446744073709551616",
            "-9223372036854775809",
            "99999999999999.1234567",
            "12345678901234567890.123456789",
            "1e-400",
            "0.1000000000000000055511151231257827",
        ] {
            assert!(!is_held(lost), "{lost}");
        }
    }
}
