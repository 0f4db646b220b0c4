//! Names of tables, as parameters give them and as SQL takes them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest text of a table's name: two names of the server's limit, quoted in full.
const MAX_BYTES: usize = 512;

/// A table as a request names it: `table` or `schema.table`. Each part is taken as it is, capital letters
/// included; a part that holds a dot is put in double quotes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, JsonSchema)]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = MAX_BYTES))]
pub struct TableName {
    schema: Option<String>,
    table: String,
}

impl TableName {
    /// Reads a name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES || text.contains('\0') {
            return Err(format!("a table's name has at most {MAX_BYTES} bytes and no NUL"));
        }
        let (first, rest) = part(text)?;
        let (schema, table) = match rest {
            None => (None, first),
            Some(rest) => match part(rest)? {
                (second, None) => (Some(first), second),
                _ => return Err(format!("'{text}' has more than two parts; expected schema.table")),
            },
        };
        if table.is_empty() || schema.as_ref().is_some_and(String::is_empty) {
            return Err(format!("'{text}' has an empty part; expected table or schema.table"));
        }
        Ok(Self { schema, table })
    }

    /// A name with its schema.
    #[must_use]
    pub fn qualified(schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self { schema: Some(schema.into()), table: table.into() }
    }

    /// The name as SQL, every part quoted.
    pub(crate) fn sql(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(&self.table)),
            None => quoted(&self.table),
        }
    }
}

/// The first part of a name, and what follows its dot.
fn part(text: &str) -> Result<(String, Option<&str>), String> {
    let Some(inside) = text.strip_prefix('"') else {
        return Ok(match text.split_once('.') {
            Some((first, rest)) => (first.to_owned(), Some(rest)),
            None => (text.to_owned(), None),
        });
    };
    let mut name = String::new();
    let mut rest = inside;
    loop {
        let Some((before, after)) = rest.split_once('"') else {
            return Err(format!("'{text}' opens a double quote and does not close it"));
        };
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None if after.is_empty() => return Ok((name, None)),
            None => {
                let next = after.strip_prefix('.').ok_or_else(|| {
                    format!("'{text}' goes on after a closing double quote; expected a dot")
                })?;
                return Ok((name, Some(next)));
            }
        }
    }
}

/// An identifier as SQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |part: &str| {
            if part.contains(['.', '"']) || part.is_empty() { quoted(part) } else { part.to_owned() }
        };
        match &self.schema {
            Some(schema) => write!(f, "{}.{}", shown(schema), shown(&self.table)),
            None => f.write_str(&shown(&self.table)),
        }
    }
}

impl From<&str> for TableName {
    /// The name, or where it cannot be read, a table of exactly that name, which the server will not find.
    fn from(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|_| Self { schema: None, table: text.to_owned() })
    }
}

impl Serialize for TableName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TableName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_they_are_shown_and_are_quoted_in_sql() {
        for (text, sql, shown) in [
            ("users", r#""users""#, "users"),
            ("app.Users", r#""app"."Users""#, "app.Users"),
            (r#""a.b"."c""d""#, r#""a.b"."c""d""#, r#""a.b"."c""d""#),
            ("two words", r#""two words""#, "two words"),
            ("x; DROP TABLE y", r#""x; DROP TABLE y""#, "x; DROP TABLE y"),
        ] {
            let name = TableName::parse(text).unwrap();
            assert_eq!((name.sql().as_str(), name.to_string().as_str()), (sql, shown));
            assert_eq!(TableName::parse(&name.to_string()).unwrap(), name);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", ".", "a.", ".a", "a.b.c", r#""a"#, r#""a"b"#, "a\0b", &"x".repeat(600)] {
            assert!(TableName::parse(text).is_err(), "{text}");
        }
    }
}
