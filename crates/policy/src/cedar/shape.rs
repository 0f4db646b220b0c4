//! How values enter Cedar: which type of Cedar each has, by its JSON schema, and how one is put into it.
//!
//! | in JSON | in Cedar |
//! |---|---|
//! | text, also one of a few | `String` |
//! | true or false | `Bool` |
//! | a whole number | `Long`; one that does not fit is no request |
//! | an object with known fields | a record; what may be absent or `null` is an optional attribute |
//! | a list of texts, truth values or whole numbers | a `Set` |
//! | a list of objects with known fields | `{ count: Long, json: String, each: { field: Set, … } }` |
//! | an object with any fields | `{ names: Set<String>, json: String }` |
//! | anything else: a fraction, a choice of types, any value | `String`: its JSON text |

use std::collections::BTreeMap;

use cedar_policy::RestrictedExpression;
use enact_core::action::FactKind;
use serde_json::{Map, Value, json};

/// A type of Cedar, and how JSON becomes a value of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    Text,
    Flag,
    Number,
    /// Whatever it is, as JSON text.
    Json,
    /// A list of scalars.
    Set(Box<Shape>),
    /// A list of objects, by columns.
    Rows(BTreeMap<String, Shape>),
    /// An object whose fields nobody knows.
    Names,
    Record(BTreeMap<String, Field>),
}

/// A field of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Field {
    pub(super) shape: Shape,
    pub(super) optional: bool,
}

impl Field {
    pub(super) fn required(shape: Shape) -> Self {
        Self { shape, optional: false }
    }

    pub(super) fn optional(shape: Shape) -> Self {
        Self { shape, optional: true }
    }
}

impl From<FactKind> for Shape {
    fn from(kind: FactKind) -> Self {
        match kind {
            FactKind::Flag => Self::Flag,
            FactKind::Number => Self::Number,
            FactKind::Text => Self::Text,
            FactKind::Numbers => Self::Set(Box::new(Self::Number)),
            FactKind::Texts => Self::Set(Box::new(Self::Text)),
            FactKind::Map => Self::Names,
        }
    }
}

impl Shape {
    /// A record.
    pub(super) fn record<const N: usize>(fields: [(&str, Field); N]) -> Self {
        Self::Record(fields.into_iter().map(|(name, field)| (name.to_owned(), field)).collect())
    }

    /// By the JSON schema of what is recorded.
    pub(super) fn of(schema: &Value) -> Self {
        Field::of(schema).shape
    }

    /// The type, as Cedar's JSON schemas write it.
    pub(super) fn cedar_type(&self) -> Value {
        match self {
            Self::Text | Self::Json => json!({ "type": "String" }),
            Self::Flag => json!({ "type": "Boolean" }),
            Self::Number => json!({ "type": "Long" }),
            Self::Set(element) => json!({ "type": "Set", "element": element.cedar_type() }),
            Self::Names => Self::record([
                ("names", Field::required(Self::Set(Box::new(Self::Text)))),
                ("json", Field::required(Self::Json)),
            ])
            .cedar_type(),
            Self::Rows(columns) => {
                let column = |(name, shape): (&String, &Self)| {
                    (name.clone(), Field::required(Self::Set(Box::new(shape.clone()))))
                };
                Self::record([
                    ("count", Field::required(Self::Number)),
                    ("json", Field::required(Self::Json)),
                    ("each", Field::required(Self::Record(columns.iter().map(column).collect()))),
                ])
                .cedar_type()
            }
            Self::Record(fields) => {
                let attribute = |(name, field): (&String, &Field)| {
                    let mut of = field.shape.cedar_type();
                    if let Some(of) = of.as_object_mut() {
                        of.insert("required".into(), (!field.optional).into());
                    }
                    (name.clone(), of)
                };
                let attributes: Map<_, _> = fields.iter().map(attribute).collect();
                json!({ "type": "Record", "attributes": attributes })
            }
        }
    }

    /// The value in Cedar. `name` is said where it has none.
    pub(super) fn put(&self, value: &Value, name: &str) -> Result<RestrictedExpression, String> {
        let is_not = |wanted| Err(format!("'{name}' is {}, not {wanted}", shown(value)));
        match self {
            Self::Text => value.as_str().map_or_else(|| is_not("text"), |value| Ok(text(value))),
            Self::Flag => {
                let flag = value.as_bool().map(RestrictedExpression::new_bool);
                flag.map_or_else(|| is_not("true or false"), Ok)
            }
            Self::Number => {
                let number = value.as_i64().map(RestrictedExpression::new_long);
                number.map_or_else(|| is_not("a whole number that Cedar holds (64 bits, signed)"), Ok)
            }
            Self::Json => Ok(text(&value.to_string())),
            Self::Set(element) => {
                let Some(values) = value.as_array() else { return is_not("a list") };
                let values = values.iter().map(|value| element.put(value, name));
                Ok(RestrictedExpression::new_set(values.collect::<Result<Vec<_>, _>>()?))
            }
            Self::Names => match value {
                Value::Object(fields) => {
                    let names = RestrictedExpression::new_set(fields.keys().map(|name| text(name)));
                    record([("names".to_owned(), names), ("json".to_owned(), text(&value.to_string()))])
                }
                _ => is_not("an object"),
            },
            Self::Rows(columns) => match value {
                Value::Array(rows) => {
                    let column = |(field, shape): (&String, &Self)| {
                        let values =
                            rows.iter().filter_map(|row| row.get(field)).filter(|value| !value.is_null());
                        let values = values.map(|value| shape.put(value, &format!("{name}.{field}")));
                        let set = RestrictedExpression::new_set(values.collect::<Result<Vec<_>, _>>()?);
                        Ok((field.clone(), set))
                    };
                    let each = columns.iter().map(column).collect::<Result<Vec<_>, String>>()?;
                    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
                    record([
                        ("count".to_owned(), RestrictedExpression::new_long(count)),
                        ("json".to_owned(), text(&value.to_string())),
                        ("each".to_owned(), record(each)?),
                    ])
                }
                _ => is_not("a list"),
            },
            Self::Record(fields) => match value {
                Value::Object(values) => record(put_all(fields, values, name)?),
                _ => is_not("an object"),
            },
        }
    }

    fn is_scalar(&self) -> bool {
        matches!(self, Self::Text | Self::Flag | Self::Number)
    }
}

/// The fields of a record. What the record does not know is an error: no policy judges less than stands there.
fn put_all(
    fields: &BTreeMap<String, Field>,
    values: &Map<String, Value>,
    name: &str,
) -> Result<Vec<(String, RestrictedExpression)>, String> {
    if let Some(stray) = values.keys().find(|value| !fields.contains_key(*value)) {
        return Err(format!("'{name}' has '{stray}', which its schema does not know"));
    }
    let mut put = Vec::with_capacity(fields.len());
    for (field, Field { shape, optional }) in fields {
        match values.get(field) {
            None | Some(Value::Null) if *optional => {}
            None => return Err(format!("'{name}' has no '{field}'")),
            Some(value) => put.push((field.clone(), shape.put(value, &format!("{name}.{field}"))?)),
        }
    }
    Ok(put)
}

pub(super) fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

pub(super) fn record(
    fields: impl IntoIterator<Item = (String, RestrictedExpression)>,
) -> Result<RestrictedExpression, String> {
    RestrictedExpression::new_record(fields).map_err(|error| error.to_string())
}

/// A value for messages, which are recorded: what kind of thing it is, and a number as it is.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "a text".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

impl Field {
    /// By a JSON schema; optional, where it may be `null`.
    fn of(schema: &Value) -> Self {
        let choices = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
        if let Some(choices) = choices {
            let is_null = |choice: &&Value| choice.get("type").is_some_and(|kind| kind == "null");
            let optional = choices.iter().any(|choice| is_null(&choice));
            let rest: Vec<&Value> = choices.iter().filter(|choice| !is_null(choice)).collect();
            let shape = match rest.as_slice() {
                [one] => Self::of(one).shape,
                all if all.iter().all(|choice| Self::of(choice).shape == Shape::Text) => Shape::Text,
                _ => Shape::Json,
            };
            return Self { shape, optional };
        }
        let kinds: Vec<&str> = match schema.get("type") {
            Some(Value::String(kind)) => vec![kind],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let optional = kinds.contains(&"null");
        let shape = match kinds.iter().filter(|kind| **kind != "null").copied().collect::<Vec<_>>().as_slice()
        {
            ["string"] => Shape::Text,
            ["boolean"] => Shape::Flag,
            ["integer"] => Shape::Number,
            ["array"] => list(schema.get("items")),
            ["object"] => object(schema),
            _ => Shape::Json,
        };
        Self { shape, optional }
    }
}

fn list(items: Option<&Value>) -> Shape {
    match items.map(Field::of) {
        Some(Field { shape, optional: false }) if shape.is_scalar() => Shape::Set(Box::new(shape)),
        Some(Field { shape: Shape::Record(fields), optional: false }) => {
            let column = |(name, field): (String, Field)| {
                (name, if field.shape.is_scalar() { field.shape } else { Shape::Json })
            };
            Shape::Rows(fields.into_iter().map(column).collect())
        }
        _ => Shape::Json,
    }
}

fn object(schema: &Value) -> Shape {
    let open = schema.get("additionalProperties").is_some_and(|more| *more != json!(false));
    let Some(properties) = schema.get("properties").and_then(Value::as_object).filter(|_| !open) else {
        let closed = schema.get("additionalProperties").is_some() && !open;
        return if closed { Shape::Record(BTreeMap::new()) } else { Shape::Names };
    };
    let required = schema.get("required").and_then(Value::as_array);
    let is_required =
        |name: &str| required.is_some_and(|names| names.iter().any(|required| required == name));
    let field = |(name, schema): (&String, &Value)| {
        let Field { shape, optional } = Field::of(schema);
        (name.clone(), Field { shape, optional: optional || !is_required(name) })
    };
    Shape::Record(properties.iter().map(field).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_schema_has_its_type() {
        let text = || Box::new(Shape::Text);
        for (schema, shape) in [
            (json!({ "type": "string", "pattern": "a" }), Shape::Text),
            (
                json!({ "oneOf": [{ "type": "string", "const": "a" }, { "type": "string", "const": "b" }] }),
                Shape::Text,
            ),
            (json!({ "type": ["integer", "null"] }), Shape::Number),
            (json!({ "type": "boolean" }), Shape::Flag),
            (json!({ "type": "number" }), Shape::Json),
            (json!({ "type": ["string", "integer"] }), Shape::Json),
            (
                json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] }),
                Shape::Json,
            ),
            (json!({ "anyOf": [{ "type": "boolean" }, { "type": "null" }] }), Shape::Flag),
            (json!({ "$ref": "#/$defs/Tree" }), Shape::Json),
            (json!(true), Shape::Json),
            (json!({ "type": "array", "items": { "type": "string" } }), Shape::Set(text())),
            (json!({ "type": "array", "items": { "type": ["string", "null"] } }), Shape::Json),
            (json!({ "type": "array", "items": true }), Shape::Json),
            (json!({ "type": "object" }), Shape::Names),
            (json!({ "type": "object", "additionalProperties": { "type": "string" } }), Shape::Names),
            (json!({ "type": "object", "additionalProperties": false }), Shape::Record(BTreeMap::new())),
            (
                json!({ "type": "object", "required": ["a", "c"], "properties": {
                    "a": { "type": "string" }, "b": { "type": "string" }, "c": { "type": ["string", "null"] },
                } }),
                Shape::record([
                    ("a", Field::required(Shape::Text)),
                    ("b", Field::optional(Shape::Text)),
                    ("c", Field::optional(Shape::Text)),
                ]),
            ),
        ] {
            assert_eq!(Shape::of(&schema), shape, "{schema}");
        }
    }
}
