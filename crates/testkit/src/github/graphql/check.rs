//! Whether an operation fits GitHub's schema: fields, arguments, values, and the types of variables.

use std::sync::LazyLock;

use graphql_parser::schema::{
    Definition, Document, Field as Described, InputValue, Type, TypeDefinition, parse_schema,
};
use serde_json::{Map, Value};

use super::document::{Field, Operation, Wrong, wrong};

static SCHEMA: LazyLock<Document<'static, String>> = LazyLock::new(|| {
    let text = include_str!("../../../vendor/github-openapi/schema.graphql");
    parse_schema::<String>(text).unwrap_or_default()
});

/// Checks an operation; without `update_refs` as a server that does not have it.
pub(super) fn check(operation: &Operation, update_refs: bool) -> Result<(), Wrong> {
    let root = if operation.mutation { "Mutation" } else { "Query" };
    if let Some(field) = operation.fields.iter().find(|field| field.name == "updateRefs" && !update_refs) {
        let message = format!("Field '{}' doesn't exist on type '{root}'", field.name);
        return Err(Wrong { message, switched_off: true });
    }
    for variable in &operation.variables {
        let used = uses(&operation.fields, &variable.name);
        if !used {
            return wrong(format!("Variable ${} is declared by anonymous query but not used", variable.name));
        }
    }
    check_fields(root, &operation.fields, operation)
}

/// Whether a variable is a whole argument somewhere; inside of others it was put in already, and is known by that.
fn uses(fields: &[Field], name: &str) -> bool {
    fields.iter().any(|field| {
        field.of_variable.values().any(|own| own == name)
            || field.inner_variables.contains(name)
            || uses(&field.fields, name)
    })
}

fn described(name: &str) -> Option<&'static TypeDefinition<'static, String>> {
    SCHEMA.definitions.iter().find_map(|definition| match definition {
        Definition::TypeDefinition(found) => {
            let own = match found {
                TypeDefinition::Scalar(of) => &of.name,
                TypeDefinition::Object(of) => &of.name,
                TypeDefinition::Interface(of) => &of.name,
                TypeDefinition::Union(of) => &of.name,
                TypeDefinition::Enum(of) => &of.name,
                TypeDefinition::InputObject(of) => &of.name,
            };
            (own == name).then_some(found)
        }
        _ => None,
    })
}

fn fields_of(name: &str) -> &'static [Described<'static, String>] {
    match described(name) {
        Some(TypeDefinition::Object(of)) => &of.fields,
        Some(TypeDefinition::Interface(of)) => &of.fields,
        _ => &[],
    }
}

fn check_fields(of: &str, fields: &[Field], operation: &Operation) -> Result<(), Wrong> {
    for field in fields {
        if field.name == "__typename" {
            continue;
        }
        let Some(found) = fields_of(of).iter().find(|found| found.name == field.name) else {
            return wrong(format!("Field '{}' doesn't exist on type '{of}'", field.name));
        };
        let place = format!("Field '{}'", field.name);
        check_inputs(&place, &found.arguments, &field.arguments)?;
        check_variables(field, &found.arguments, operation)?;
        let name = base(&found.field_type);
        match (fields_of(name).is_empty(), field.fields.is_empty()) {
            (false, true) => {
                return wrong(format!(
                    "Field must have selections (field '{}' returns {name} but has no selections. Did you mean '{} {{ ... }}'?)",
                    field.name, field.name
                ));
            }
            (true, false) => {
                return wrong(format!(
                    "Selections can't be made on scalars (field '{}' returns {name} but has selections)",
                    field.name
                ));
            }
            _ => check_fields(name, &field.fields, operation)?,
        }
    }
    Ok(())
}

fn base<'a>(of: &'a Type<'_, String>) -> &'a str {
    match of {
        Type::NamedType(name) => name,
        Type::ListType(of) | Type::NonNullType(of) => base(of),
    }
}

fn check_inputs(
    place: &str,
    wanted: &[InputValue<'_, String>],
    given: &Map<String, Value>,
) -> Result<(), Wrong> {
    if let Some(name) = given.keys().find(|name| !wanted.iter().any(|wanted| wanted.name == **name)) {
        return wrong(format!("{place} doesn't accept argument '{name}'"));
    }
    for wanted in wanted {
        match given.get(&wanted.name) {
            Some(value) => check_value(&wanted.name, &wanted.value_type, value)?,
            None if matches!(wanted.value_type, Type::NonNullType(_)) && wanted.default_value.is_none() => {
                return wrong(format!("{place} is missing required arguments: {}", wanted.name));
            }
            None => {}
        }
    }
    Ok(())
}

/// A variable has to be declared as what it is used for, or as something narrower.
fn check_variables(
    field: &Field,
    wanted: &[InputValue<'_, String>],
    operation: &Operation,
) -> Result<(), Wrong> {
    for (argument, name) in &field.of_variable {
        let wanted =
            wanted.iter().find(|wanted| wanted.name == *argument).map(|wanted| wanted.value_type.to_string());
        let declared = operation.variables.iter().find(|variable| variable.name == *name);
        let (Some(wanted), Some(declared)) = (wanted, declared) else { continue };
        if declared.kind != wanted && declared.kind.strip_suffix('!') != Some(&wanted) {
            let (kind, argument) = (&declared.kind, argument);
            return wrong(format!(
                "Type mismatch on variable ${name} and argument {argument} ({kind} / {wanted})"
            ));
        }
    }
    Ok(())
}

fn check_value(place: &str, of: &Type<'_, String>, value: &Value) -> Result<(), Wrong> {
    let mismatch =
        || wrong(format!("Argument '{place}' has an invalid value ({value}). Expected type '{of}'."));
    match (of, value) {
        (Type::NonNullType(_), Value::Null) => mismatch(),
        (Type::NonNullType(of), value) => check_value(place, of, value),
        (_, Value::Null) => Ok(()),
        (Type::ListType(of), Value::Array(values)) => {
            values.iter().try_for_each(|value| check_value(place, of, value))
        }
        (Type::ListType(of), value) => check_value(place, of, value),
        (Type::NamedType(name), value) => match (name.as_str(), value) {
            ("String", Value::String(_)) | ("ID", Value::String(_)) | ("Boolean", Value::Bool(_)) => Ok(()),
            ("Int", Value::Number(number)) if number.is_i64() => Ok(()),
            ("GitObjectID", Value::String(sha)) if crate::github::git::is_sha(sha) => Ok(()),
            ("GitRefname", Value::String(name)) if name.starts_with("refs/") => Ok(()),
            (name, Value::Object(given)) => match described(name) {
                Some(TypeDefinition::InputObject(of)) => {
                    check_inputs(&format!("InputObject '{name}'"), &of.fields, given)
                }
                _ => mismatch(),
            },
            _ => mismatch(),
        },
    }
}
