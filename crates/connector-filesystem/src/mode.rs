//! Permission bits, and the two ways in which JSON writes them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Permission bits of a file, `0o7777` at most.
///
/// In JSON it is octal text, `"0644"` or `"644"`, or a plain number up to 511 (`0o777`), such as 420 for
/// `0644`. A larger number is refused: 644 or 755 as a number is nearly always octal written in decimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mode(u32);

impl Mode {
    /// The bits `0o7777` of `bits`.
    #[must_use]
    pub fn new(bits: u32) -> Self {
        Self(bits & 0o7777)
    }

    /// The bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether it has permissions alone: no setuid, setgid or sticky bit.
    pub(crate) fn is_plain(self) -> bool {
        self.0 <= 0o777
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let octal = !digits.is_empty() && digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        let bits = octal.then(|| u32::from_str_radix(digits, 8).ok())??;
        (bits <= 0o7777).then_some(Self(bits))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Mode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("octal text such as \"0644\", or a number up to 511 (0o777)")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Mode, E> {
                Mode::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_u64<E: de::Error>(self, bits: u64) -> Result<Mode, E> {
                match u32::try_from(bits) {
                    Ok(bits @ 0..=0o777) => Ok(Mode(bits)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(bits), &self)),
                }
            }
        }

        from.deserialize_any(Visitor)
    }
}

impl JsonSchema for Mode {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Mode".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        if generator.contract().is_serialize() {
            return json_schema!({ "type": "string", "pattern": "^[0-7]{4}$" });
        }
        json_schema!({ "anyOf": [
            { "type": "string", "pattern": "^(0o)?[0-7]+$" },
            { "type": "integer", "minimum": 0, "maximum": 0o777 },
        ] })
    }
}

/// The permissions that this process gives to new files: `0666` without the bits of its umask. Asking for the
/// umask by the system call means setting it, for every thread; so it is read where Linux shows it, and
/// elsewhere new files are for their owner alone.
pub(crate) fn for_new_files() -> Mode {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let umask = umask.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0o077);
    Mode::new(0o666 & !umask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_text_and_plain_numbers_are_read() {
        for json in ["\"0644\"", "\"644\"", "\"0o644\"", "420"] {
            assert_eq!(serde_json::from_str::<Mode>(json).unwrap(), Mode::new(0o644), "{json}");
        }
        assert_eq!(serde_json::from_str::<Mode>("\"4755\"").unwrap(), Mode::new(0o4755));
        assert_eq!(serde_json::to_string(&Mode::new(0o755)).unwrap(), "\"0755\"");
    }

    #[test]
    fn octal_written_in_decimal_is_refused() {
        for json in ["644", "755", "\"rw-r--r--\"", "\"0888\"", "\"\"", "\"17777\"", "-1", "\"+644\""] {
            assert!(serde_json::from_str::<Mode>(json).is_err(), "{json}");
        }
    }
}
