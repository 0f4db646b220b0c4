//! The description's schemas, as JSON Schema, and what they say of a document.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, Validator};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::DESCRIPTION;

/// What does not fit.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Where: `/labels/0/name`.
    pub(super) place: String,
    pub(super) text: String,
    /// The name of a property that is missing there.
    pub(super) missing: Option<String>,
}

/// Compiled schemas, by their pointers. They are the same for all servers of a process.
static COMPILED: LazyLock<Mutex<BTreeMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// OpenAPI 3.0 says `nullable`; JSON Schema says that null is one of the types.
pub(super) fn from_openapi(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(from_openapi),
        Value::Object(fields) => {
            fields.values_mut().for_each(from_openapi);
            if fields.get("nullable") != Some(&Value::Bool(true)) {
                return;
            }
            fields.remove("nullable");
            let mut own = std::mem::take(value);
            if let Some(Value::Array(all)) = own.get_mut("enum") {
                all.push(Value::Null);
            }
            let kind = own.get("type").cloned();
            match (kind, own.as_object_mut()) {
                (Some(Value::String(kind)), Some(fields)) => {
                    fields.insert("type".to_owned(), json!([kind, "null"]));
                    *value = own;
                }
                _ => *value = json!({"anyOf": [{"type": "null"}, own]}),
            }
        }
        _ => {}
    }
}

fn compiled(pointer: &str) -> Result<Arc<Validator>, String> {
    if let Some(found) = COMPILED.lock().get(pointer) {
        return Ok(Arc::clone(found));
    }
    let mut root = DESCRIPTION.clone();
    if let Some(root) = root.as_object_mut() {
        root.insert(
            "allOf".to_owned(),
            json!([{"$ref": format!("#{pointer}").replace('{', "%7B").replace('}', "%7D")}]),
        );
    }
    let options = jsonschema::options().with_draft(Draft::Draft7).should_validate_formats(true);
    let validator = Arc::new(options.build(&root).map_err(|error| format!("{pointer}: {error}"))?);
    COMPILED.lock().insert(pointer.to_owned(), Arc::clone(&validator));
    Ok(validator)
}

/// What of a document does not fit the schema at a pointer.
pub(super) fn errors(pointer: &str, document: &Value) -> Vec<Found> {
    let validator = match compiled(pointer) {
        Ok(validator) => validator,
        Err(text) => return vec![Found { place: String::new(), text, missing: None }],
    };
    let found = |error: jsonschema::ValidationError<'_>| {
        let missing = match error.kind() {
            ValidationErrorKind::Required { property } => property.as_str().map(str::to_owned),
            _ => None,
        };
        let text: String = error.to_string().chars().take(300).collect();
        Found { place: error.instance_path().to_string(), text, missing }
    };
    validator.iter_errors(document).map(found).collect()
}

/// The fields of a document that the schema at a pointer does not have; of a list, those of its first element.
pub(super) fn unknown_fields(pointer: &str, document: &Value) -> Vec<String> {
    let Some(schema) = DESCRIPTION.pointer(pointer) else { return Vec::new() };
    let (schema, document) = match document.get(0) {
        Some(first) => (resolve(schema).get("items").unwrap_or(&Value::Null), first),
        None => (schema, document),
    };
    let mut known = Vec::new();
    let closed = fields_of(schema, &mut known);
    let own = document.as_object().into_iter().flat_map(|fields| fields.keys());
    own.filter(|name| closed && !known.contains(&name.as_str())).cloned().collect()
}

fn resolve(schema: &Value) -> &Value {
    let to = schema.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'));
    to.and_then(|to| DESCRIPTION.pointer(to)).unwrap_or(schema)
}

/// Gathers the fields that a schema has; false where it may have any.
fn fields_of<'a>(schema: &'a Value, known: &mut Vec<&'a str>) -> bool {
    let schema = resolve(schema);
    let mut described = false;
    if let Some(fields) = schema.get("properties").and_then(Value::as_object) {
        known.extend(fields.keys().map(String::as_str));
        described = true;
    }
    for group in ["allOf", "anyOf", "oneOf"] {
        for part in schema.get(group).and_then(Value::as_array).into_iter().flatten() {
            described |= fields_of(part, known);
        }
    }
    described && !schema.get("additionalProperties").is_some_and(Value::is_object)
}
