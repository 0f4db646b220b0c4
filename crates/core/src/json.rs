//! JSON as the log keeps it: text, parsed only by who needs it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Error, ErrorCode};
use crate::exact::Exact;

/// How deep JSON text may be nested. Readers of JSON stop somewhere (serde_json at 127), and what one could not
/// read it could not judge either; so text that is deeper is refused where it enters.
pub const MAX_DEPTH: usize = 100;

/// How many bytes JSON text may have: 30 MiB. A record of the log has place for the parameters of an action and what
/// was captured for it. What is larger is refused where it enters, so that nothing is done that could not be recorded.
pub const MAX_BYTES: usize = 30 << 20;

/// Valid JSON text of at most [`MAX_BYTES`], nested at most [`MAX_DEPTH`] deep, cheap to clone. Parameters, pre-states and outputs are kept
/// in this form, because their types belong to connectors and evolve. In JSON documents it is the value itself,
/// in binary records a string. However it is made, it reads back as a value: no policy judges less than stands
/// in it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct JsonText(Arc<str>);

/// Any value.
impl JsonSchema for JsonText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "JsonText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}

impl JsonText {
    /// The text `null`.
    #[must_use]
    pub fn null() -> Self {
        Self("null".into())
    }

    /// Writes `value` as JSON text.
    ///
    /// # Errors
    /// `internal`, where the value has no JSON form, such as a map whose keys are not strings;
    /// `invalid_parameters`, where it is nested deeper than [`MAX_DEPTH`] or has more than [`MAX_BYTES`].
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        let text = serde_json::to_string(value).map_err(|source| {
            Error::new(ErrorCode::Internal, format!("a value has no JSON form: {source}")).with_source(source)
        })?;
        check(&text).map_err(refused)?;
        Ok(Self(text.into()))
    }

    /// Checks that `text` is one JSON value and keeps it as it is.
    ///
    /// # Errors
    /// `invalid_parameters` with line and column, where it is not JSON, and where it is nested deeper than
    /// [`MAX_DEPTH`] or has more than [`MAX_BYTES`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        check(text).map_err(refused)?;
        Ok(Self(text.trim_ascii().into()))
    }

    /// Reads the text as a `T`.
    ///
    /// # Errors
    /// `invalid_parameters`, naming the field that is unknown, missing or of the wrong type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let mut reader = serde_json::Deserializer::from_str(&self.0);
        serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            let reason = error.into_inner();
            let place = if path == "." { String::new() } else { format!("'{path}': ") };
            Error::new(ErrorCode::InvalidParameters, format!("{place}{}", without_place(&reason)))
        })
    }

    /// The value with its numbers as they were written. Text that this type holds is always valid, so this gives `null`
    /// for none.
    #[must_use]
    pub fn exact(&self) -> Exact {
        Exact::read(&self.0).unwrap_or(Exact::Null)
    }

    /// Whether two texts mean the same value, however they write it.
    #[must_use]
    pub fn means(&self, other: &Self) -> bool {
        self == other || self.exact().means(&other.exact())
    }

    /// The value, parsed: a number that 64 bits do not hold is rounded. For who judges or shows; what is passed on is
    /// passed on as text. Text that this type holds is always valid, so this gives `null` for none.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or(Value::Null)
    }

    /// Refuses what cannot be an action's parameters, whatever the action: they are an object, and no key stands twice
    /// in an object of them, since readers differ in which one they take.
    pub(crate) fn check_parameters(&self) -> Result<(), Error> {
        let invalid = |message: String| Error::new(ErrorCode::InvalidParameters, message).left_nothing();
        let kind = match self.0.as_bytes().first() {
            Some(b'{') => {
                let unique = Readable { left: MAX_DEPTH, unique: true };
                return read_with(&self.0, unique).map_err(|error| invalid(without_place(&error)));
            }
            Some(b'[') => "a list",
            Some(b'"') => "text",
            Some(b'n') => "null",
            Some(b't' | b'f') => "true or false",
            _ => "a number",
        };
        Err(invalid(format!("parameters are a JSON object, such as {{\"name\": \"value\"}}; this is {kind}")))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Refuses text that [`JsonText::value`] could not give as it stands: what is not JSON, a number that no reader
/// holds, half of a surrogate pair, and what is nested too deep or too large. Builds nothing.
fn check(text: &str) -> Result<(), serde_json::Error> {
    read_with(text, Readable { left: MAX_DEPTH, unique: false })
}

fn read_with(text: &str, readable: Readable) -> Result<(), serde_json::Error> {
    if text.len() > MAX_BYTES {
        let message = format!("it has {} bytes, and there is place for {MAX_BYTES}", text.len());
        return Err(de::Error::custom(message));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    readable.deserialize(&mut reader)?;
    reader.end()
}

fn refused(source: serde_json::Error) -> Error {
    // What is wrong at no place of it is valid JSON.
    let what = if source.line() == 0 { "JSON that cannot be kept" } else { "not valid JSON" };
    Error::new(ErrorCode::InvalidParameters, format!("{what}: {source}")).with_source(source)
}

/// Reads any value and forgets it; `left` levels may be opened below, and the keys of an object may have to be unique.
#[derive(Clone, Copy)]
struct Readable {
    left: usize,
    unique: bool,
}

impl Readable {
    fn below<E: de::Error>(self) -> Result<Self, E> {
        let too_deep = || E::custom(format_args!("it is nested deeper than {MAX_DEPTH} levels"));
        self.left.checked_sub(1).map(|left| Self { left, ..self }).ok_or_else(too_deep)
    }
}

impl<'de> DeserializeSeed<'de> for Readable {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let below = self.below()?;
        while items.next_element_seed(below)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let below = self.below()?;
        if !self.unique {
            while entries.next_key_seed(below)?.is_some() {
                entries.next_value_seed(below)?;
            }
            return Ok(());
        }
        let mut keys = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format_args!("the key '{key}' stands twice in one object")));
            }
            keys.insert(key);
            entries.next_value_seed(below)?;
        }
        Ok(())
    }
}

/// The reason without serde_json's "at line 1 column 20": in parameters, the path says where.
fn without_place(reason: &serde_json::Error) -> String {
    let full = reason.to_string();
    let place = format!(" at line {} column {}", reason.line(), reason.column());
    full.strip_suffix(&place).map_or(full.clone(), str::to_owned)
}

impl Default for JsonText {
    fn default() -> Self {
        Self::null()
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if !to.is_human_readable() {
            return to.serialize_str(&self.0);
        }
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        raw.serialize(to)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            let raw = Box::<RawValue>::deserialize(from)?;
            check(raw.get()).map_err(|error| D::Error::custom(without_place(&error)))?;
            return Ok(Self(raw.get().into()));
        }
        let text = <Box<str>>::deserialize(from)?;
        // The text came through a checksum; this guards against a writer's mistake, not against decay.
        check(&text).map_err(D::Error::custom)?;
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(rename = "inner")]
        _inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[serde(rename = "count")]
        _count: u32,
    }

    #[test]
    fn a_wrong_field_is_named_with_its_path() {
        let error = JsonText::parse(r#"{"inner":{"count":"x"}}"#).unwrap().decode::<Outer>().unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidParameters);
        assert!(error.message().contains("'inner.count'"), "{error}");
        let error = JsonText::parse(r#"{"inner":{"count":1},"extra":2}"#).unwrap().decode::<Outer>();
        assert!(error.unwrap_err().message().contains("unknown field `extra`"));
        let error = JsonText::parse("{}").unwrap().decode::<Outer>().unwrap_err();
        assert!(error.message().contains("missing field `inner`"), "{error}");
    }

    #[test]
    fn it_is_a_value_in_json_documents() {
        let text = JsonText::parse(r#"{"b":1,"a":[true]}"#).unwrap();
        assert_eq!(serde_json::to_string(&text).unwrap(), r#"{"b":1,"a":[true]}"#);
        assert_eq!(serde_json::from_str::<JsonText>(r#"{"b":1,"a":[true]}"#).unwrap(), text);
    }

    #[test]
    fn what_is_nested_too_deep_to_be_judged_is_refused_and_the_rest_reads_back() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let deepest = JsonText::parse(&nested(MAX_DEPTH)).unwrap();
        assert_ne!(deepest.value(), Value::Null);
        let error = JsonText::parse(&nested(MAX_DEPTH + 1)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidParameters);
        assert!(error.message().contains("100"), "{error}");
        let mut value = Value::Null;
        for _ in 0..=MAX_DEPTH {
            value = Value::Array(vec![value]);
        }
        assert!(JsonText::encode(&value).is_err());
        let in_a_string = format!(r#"{{"a": "{} \" {}"}}"#, "[".repeat(300), "{".repeat(300));
        assert!(JsonText::parse(&in_a_string).is_ok());
    }

    #[test]
    fn however_text_enters_it_reads_back_as_a_value() {
        let deep = format!("{}{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1));
        // JSON by its grammar; and yet no reader has a value for it.
        for text in [r#""\ud800""#, r#"{"\udc00": 1}"#, "1e400", "[-1e999]", deep.as_str()] {
            assert!(JsonText::parse(text).is_err(), "{text}");
            assert!(serde_json::from_str::<JsonText>(text).is_err(), "{text} in a document");
            let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
            assert!(JsonText::encode(&raw).is_err(), "{text} in a typed value");
        }
        for text in ["null", "1e300", "-0", "18446744073709551615", r#""\ud83d\ude00""#, r#"{"a":[{}]}"#] {
            let read = serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(JsonText::parse(&format!(" {text}\n")).unwrap().value(), read);
        }
    }

    #[test]
    fn what_is_too_large_for_a_record_is_refused() {
        let largest = "x".repeat(MAX_BYTES - 2);
        assert!(JsonText::encode(&largest).is_ok());
        let too_large = largest + "x";
        let text = format!("\"{too_large}\"");
        let refused = [JsonText::encode(&too_large).unwrap_err(), JsonText::parse(&text).unwrap_err()];
        for error in refused {
            assert_eq!(error.code(), ErrorCode::InvalidParameters);
            assert!(
                error.message().starts_with("JSON that cannot be kept: it has 31457281 bytes"),
                "{error}"
            );
        }
        assert!(serde_json::from_str::<JsonText>(&text).is_err());
    }

    #[test]
    fn parameters_are_an_object_in_which_no_key_stands_twice() {
        let refused = |text: &str| {
            let error = JsonText::parse(text).unwrap().check_parameters().unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidParameters);
            error.message().to_owned()
        };
        for (text, kind) in [("[1]", "a list"), ("\"a\"", "text"), ("null", "null"), ("-1", "a number")] {
            assert!(refused(text).ends_with(&format!("this is {kind}")), "{}", refused(text));
        }
        for text in [r#"{"a":1,"a":1}"#, r#"{"b":[{"c":{"a":1,"\u0061":2}}]}"#] {
            assert_eq!(refused(text), "the key 'a' stands twice in one object");
        }
        JsonText::parse(r#" {"a":[{"a":1},{"a":1e-400}]} "#).unwrap().check_parameters().unwrap();
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(JsonText::parse("{").is_err());
        assert!(JsonText::parse("1 2").is_err());
    }
}
