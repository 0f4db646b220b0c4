//! Values on their way to the server: always bound, always as text that the column's own type reads.

use std::error::Error as StdError;

use enact_core::Error;
use enact_core::json::JsonText;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

use crate::catalog::Column;
use crate::error::wrong;

/// A parameter in text form, whatever its type: the server reads it with the type's own input function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Text(pub(crate) Option<String>);

impl ToSql for Text {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        Ok(match &self.0 {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// The text form of a JSON value for a column. Numbers keep every digit that was given.
///
/// # Errors
/// `invalid_parameters`, naming the column, where JSON has no such form for its type.
pub(crate) fn from_json(column: &Column, value: &JsonText) -> Result<Text, Error> {
    let text = value.as_str();
    if text == "null" {
        return Ok(Text(None));
    }
    if column.is_json() {
        return Ok(Text(Some(text.to_owned())));
    }
    Ok(Text(Some(match text.as_bytes().first() {
        Some(b'[') if column.is_array() => array(column, value)?,
        Some(b'[' | b'{') => {
            return Err(wrong(format!(
                "column '{}' of type {} takes no JSON array or object; give the text that Postgres reads, as a \
                 string",
                column.name, column.type_name
            )));
        }
        _ => scalar(value)?,
    })))
}

/// The text of a string, number or boolean.
fn scalar(value: &JsonText) -> Result<String, Error> {
    if value.as_str().starts_with('"') { value.decode() } else { Ok(value.as_str().to_owned()) }
}

/// An array literal. Source: PostgreSQL's manual, "Array Input and Output Syntax".
fn array(column: &Column, value: &JsonText) -> Result<String, Error> {
    let items: Vec<JsonText> = value.decode()?;
    let mut parts = Vec::with_capacity(items.len());
    for item in &items {
        parts.push(match item.as_str().as_bytes().first() {
            _ if item.as_str() == "null" => "NULL".to_owned(),
            Some(b'[') if !column.has_json_elements() => array(column, item)?,
            _ if column.has_json_elements() => quoted_element(item.as_str()),
            Some(b'{') => {
                return Err(wrong(format!(
                    "column '{}' of type {} takes no JSON objects; give each element as the text that Postgres \
                     reads",
                    column.name, column.type_name
                )));
            }
            _ => quoted_element(&scalar(item)?),
        });
    }
    Ok(format!("{{{}}}", parts.join(&column.delimiter)))
}

fn quoted_element(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Places of rows as one literal: an array of `tid`.
pub(crate) fn tids<'a>(places: impl IntoIterator<Item = &'a str>) -> Text {
    let places = places.into_iter().map(quoted_element).collect::<Vec<_>>().join(",");
    Text(Some(format!("{{{places}}}")))
}

/// Rows of a table as one literal: an array of its row type. Reading it back calls each column's own input
/// function, as reading a dump does. Source: PostgreSQL's manual, "Composite Type Input and Output Syntax".
pub(crate) fn rows<'a>(rows: impl IntoIterator<Item = Vec<Option<&'a str>>>) -> Text {
    let rows = rows.into_iter().map(|row| {
        let fields = row.into_iter().map(|field| field.map_or(String::new(), quoted_element));
        quoted_element(&format!("({})", fields.collect::<Vec<_>>().join(",")))
    });
    Text(Some(format!("{{{}}}", rows.collect::<Vec<_>>().join(","))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(json: &str) -> Column {
        serde_json::from_str(json).unwrap()
    }

    fn text(column: &Column, value: &str) -> Result<Option<String>, Error> {
        from_json(column, &JsonText::parse(value).unwrap()).map(|text| text.0)
    }

    const INTS: &str = r#"{"name":"a","type":"pg_catalog._int4","typmod":-1,"base":1007,"element":23,
        "delimiter":",","domain":false,"generated":false}"#;
    const NUMBER: &str = r#"{"name":"n","type":"pg_catalog.numeric","typmod":-1,"base":1700,"element":0,
        "delimiter":",","domain":false,"generated":false}"#;
    const JSON: &str = r#"{"name":"j","type":"pg_catalog.jsonb","typmod":-1,"base":3802,"element":0,
        "delimiter":",","domain":false,"generated":false}"#;

    #[test]
    fn numbers_keep_every_digit() {
        let long = "123456789012345678901234567890.123456789012345678901234567890";
        assert_eq!(text(&column(NUMBER), long).unwrap().as_deref(), Some(long));
    }

    #[test]
    fn arrays_are_literals_whose_elements_are_quoted() {
        let ints = column(INTS);
        assert_eq!(text(&ints, r#"[1, null, [2, 3]]"#).unwrap().unwrap(), r#"{"1",NULL,{"2","3"}}"#);
        assert_eq!(text(&ints, r#"["a\"b\\", "NULL", ""]"#).unwrap().unwrap(), r#"{"a\"b\\","NULL",""}"#);
    }

    #[test]
    fn json_columns_take_any_json_as_it_is_and_null_is_null() {
        let json = column(JSON);
        assert_eq!(text(&json, r#"{"b":[1.50]}"#).unwrap().unwrap(), r#"{"b":[1.50]}"#);
        assert_eq!(text(&json, r#""text""#).unwrap().unwrap(), r#""text""#);
        assert_eq!(text(&json, "null").unwrap(), None);
    }

    #[test]
    fn an_object_for_another_column_is_refused_naming_it() {
        assert!(text(&column(NUMBER), r#"{"x":1}"#).unwrap_err().message().contains("'n'"));
    }

    #[test]
    fn rows_are_quoted_twice() {
        let literal = rows([vec![Some("a\"b"), None, Some("")]]).0.unwrap();
        assert_eq!(literal, r#"{"(\"a\\\"b\",,\"\")"}"#);
    }
}
