//! JSON as the log keeps it: text, parsed only by who needs it.

use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Error, ErrorCode};

/// How deep JSON text may be nested. Readers of JSON stop somewhere (serde_json at 127), and what one could not
/// read it could not judge either; so text that is deeper is refused where it enters.
pub const MAX_DEPTH: usize = 100;

/// Valid JSON text, nested at most [`MAX_DEPTH`] deep, cheap to clone. Parameters, pre-states and outputs are kept in this form, because their
/// types belong to connectors and evolve. In JSON documents it is the value itself, in binary records a
/// string.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct JsonText(Arc<str>);

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
    /// `invalid_parameters`, where it is nested deeper than [`MAX_DEPTH`].
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        let text = serde_json::to_string(value).map_err(|source| {
            Error::new(ErrorCode::Internal, format!("a value has no JSON form: {source}")).with_source(source)
        })?;
        check_depth(&text)?;
        Ok(Self(text.into()))
    }

    /// Checks that `text` is one JSON value and keeps it as it is.
    ///
    /// # Errors
    /// `invalid_parameters` with line and column, where it is not JSON, and where it is nested deeper than
    /// [`MAX_DEPTH`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        check_depth(text)?;
        match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) => Ok(Self(raw.get().into())),
            Err(source) => Err(Error::new(ErrorCode::InvalidParameters, format!("not valid JSON: {source}"))
                .with_source(source)),
        }
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

    /// The value, parsed. Text that this type holds is always valid, so this gives `null` for none.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or(Value::Null)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Counts brackets outside of strings. Of text that is not JSON it says nothing.
fn check_depth(text: &str) -> Result<(), Error> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    let message = format!("JSON is nested deeper than {MAX_DEPTH} levels");
                    return Err(Error::new(ErrorCode::InvalidParameters, message));
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
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

impl From<&Value> for JsonText {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
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
            return Box::<RawValue>::deserialize(from).map(|raw| Self(raw.get().into()));
        }
        let text = <Box<str>>::deserialize(from)?;
        // The text came through a checksum; this guards against a writer's mistake, not against decay.
        serde_json::from_str::<&RawValue>(&text).map_err(D::Error::custom)?;
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
    fn nonsense_is_refused() {
        assert!(JsonText::parse("{").is_err());
        assert!(JsonText::parse("1 2").is_err());
    }
}
