//! Takes what is needed from the descriptions that GitHub publishes: the two files in `vendor/github-openapi`.
//!
//! The routes decide what is needed of the REST API, and a list here what is needed of GraphQL. Only texts and examples
//! are left out; nothing is changed.

use std::collections::BTreeSet;

use graphql_parser::schema::{Definition, Document, Field, Type, TypeDefinition, parse_schema};
use serde_json::{Map, Value, json};

use super::rest::ROUTES;

/// What describes and does not bind.
const WORDS: [&str; 8] =
    ["description", "examples", "example", "externalDocs", "summary", "tags", "x-github", "x-octokit"];
/// The types of GraphQL, and their fields; none is all of them.
const TYPES: [(&str, &[&str]); 12] = [
    ("Query", &["repository", "viewer"]),
    ("Mutation", &["updateRefs"]),
    (
        "Repository",
        &[
            "id",
            "databaseId",
            "name",
            "nameWithOwner",
            "owner",
            "isArchived",
            "defaultBranchRef",
            "ref",
            "object",
        ],
    ),
    ("RepositoryOwner", &["id", "login"]),
    ("Ref", &["id", "name", "prefix", "target"]),
    ("GitObject", &["id", "oid"]),
    ("User", &["id", "databaseId", "login"]),
    ("UpdateRefsInput", &[]),
    ("UpdateRefsPayload", &[]),
    ("RefUpdate", &[]),
    ("GitObjectID", &[]),
    ("GitRefname", &[]),
];

/// The part of `api.github.com.json`, of the npm package `@octokit/openapi`, that the routes here need.
///
/// # Errors
/// Where a route is not in it.
pub fn openapi_subset(whole: &Value) -> Result<Value, String> {
    let mut paths = Map::new();
    for route in &ROUTES {
        let method = route.method.to_lowercase();
        let path = whole.get("paths").and_then(|paths| paths.get(route.template));
        let operation = path.and_then(|path| path.get(&method));
        let operation = operation.ok_or_else(|| format!("{method} {} is not described", route.template))?;
        let path = paths.entry(route.template).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(method, plain(operation, false));
        }
    }
    let mut all = json!({
        "openapi": whole.get("openapi"),
        "info": {"title": "A part of GitHub's OpenAPI description", "version": whole.pointer("/info/version"),
            "license": whole.pointer("/info/license")},
        "paths": paths,
        "components": {},
    });
    let mut known = BTreeSet::new();
    loop {
        let mut named = BTreeSet::new();
        references(&all, &mut named);
        let Some(next) = named.difference(&known).next().cloned() else { return Ok(all) };
        let part = next.strip_prefix('#').and_then(|pointer| whole.pointer(pointer));
        let part = part.ok_or_else(|| format!("{next} is not there"))?;
        let [_, _, group, name] = next.split('/').collect::<Vec<_>>()[..] else {
            return Err(format!("{next} is no component"));
        };
        let group = all
            .pointer_mut("/components")
            .and_then(Value::as_object_mut)
            .map(|all| all.entry(group).or_insert_with(|| json!({})));
        if let Some(group) = group.and_then(Value::as_object_mut) {
            group.insert(name.to_owned(), plain(part, false));
        }
        known.insert(next);
    }
}

/// Without words. The names of properties are not words, whatever they are.
fn plain(value: &Value, of_properties: bool) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| of_properties || !WORDS.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), plain(value, name == "properties" && !of_properties)))
            .collect(),
        Value::Array(values) => values.iter().map(|value| plain(value, false)).collect(),
        other => other.clone(),
    }
}

fn references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                into.insert(reference.clone());
            }
            fields.values().for_each(|value| references(value, into));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, into)),
        _ => {}
    }
}

/// The part of `schema.graphql`, of the npm package `@octokit/graphql-schema`, that is known here.
///
/// # Errors
/// Where it is not GraphQL, or a type or field is not in it.
pub fn graphql_subset(whole: &str) -> Result<String, String> {
    let whole = parse_schema::<String>(whole).map_err(|error| error.to_string())?;
    let mut part = Document { definitions: Vec::new() };
    for (name, fields) in TYPES {
        let found = whole.definitions.iter().find_map(|definition| match definition {
            Definition::TypeDefinition(found) if name_of(found) == name => Some(found.clone()),
            _ => None,
        });
        let mut found = found.ok_or_else(|| format!("there is no type {name}"))?;
        keep(&mut found, fields)?;
        part.definitions.push(Definition::TypeDefinition(found));
    }
    Ok(part.to_string())
}

fn name_of<'a>(of: &'a TypeDefinition<'_, String>) -> &'a str {
    match of {
        TypeDefinition::Scalar(of) => &of.name,
        TypeDefinition::Object(of) => &of.name,
        TypeDefinition::Interface(of) => &of.name,
        TypeDefinition::Union(of) => &of.name,
        TypeDefinition::Enum(of) => &of.name,
        TypeDefinition::InputObject(of) => &of.name,
    }
}

fn keep(of: &mut TypeDefinition<'_, String>, fields: &[&str]) -> Result<(), String> {
    match of {
        TypeDefinition::Object(of) => {
            of.description = None;
            // GitObject and RepositoryOwner are the only interfaces here, and nothing is asked of who has them.
            of.implements_interfaces.clear();
            of.directives.clear();
            keep_fields(&mut of.fields, fields)
        }
        TypeDefinition::Interface(of) => {
            of.description = None;
            of.implements_interfaces.clear();
            of.directives.clear();
            keep_fields(&mut of.fields, fields)
        }
        TypeDefinition::InputObject(of) => {
            of.description = None;
            of.directives.clear();
            for field in &mut of.fields {
                field.description = None;
                field.directives.clear();
            }
            Ok(())
        }
        TypeDefinition::Scalar(of) => {
            of.description = None;
            Ok(())
        }
        TypeDefinition::Union(_) | TypeDefinition::Enum(_) => {
            Err("there are no unions and enums here".to_owned())
        }
    }
}

fn keep_fields(all: &mut Vec<Field<'_, String>>, wanted: &[&str]) -> Result<(), String> {
    if let Some(missing) = wanted.iter().find(|name| !all.iter().any(|field| field.name == **name)) {
        return Err(format!("there is no field {missing}"));
    }
    all.retain(|field| wanted.is_empty() || wanted.contains(&field.name.as_str()));
    for field in all {
        field.description = None;
        field.directives.clear();
        for argument in &mut field.arguments {
            argument.description = None;
            argument.directives.clear();
        }
        check_known(&field.field_type)?;
    }
    Ok(())
}

fn check_known(of: &Type<'_, String>) -> Result<(), String> {
    match of {
        Type::NamedType(name) => {
            let built_in = ["ID", "String", "Int", "Float", "Boolean"].contains(&name.as_str());
            let known = built_in || TYPES.iter().any(|(own, _)| own == name);
            if known { Ok(()) } else { Err(format!("the type {name} is needed as well")) }
        }
        Type::ListType(of) | Type::NonNullType(of) => check_known(of),
    }
}
