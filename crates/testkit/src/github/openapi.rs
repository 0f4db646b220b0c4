//! GitHub's published description, and whether what is asked and answered fits it.
//!
//! Stricter than the description: a parameter or a field of a body that it does not have is wrong, because a client
//! that sends one is mistaken about GitHub. Where the description itself is wrong or silent is in [`gaps`].

mod gaps;
mod schema;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::query::Query;
use super::reply::Reply;
use super::rest::Route;

/// The description, with its schemas as JSON Schema has them.
static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../vendor/github-openapi/api.github.com.json");
    let mut all: Value = serde_json::from_str(text).unwrap_or_default();
    schema::from_openapi(&mut all);
    all
});

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Where: `body/title`, `query/state`.
    place: String,
    what: String,
    /// What GitHub says where it refuses it; it does not refuse everything.
    refusal: Option<String>,
}

impl Wrong {
    fn quiet(place: &str, what: &str) -> Self {
        Self { place: place.to_owned(), what: what.to_owned(), refusal: None }
    }

    /// For the list of problems.
    pub(super) fn text(&self) -> String {
        format!("the request does not fit GitHub's description: {}: {}", self.place, self.what)
    }

    pub(super) fn refusal(&self) -> Option<String> {
        self.refusal.clone()
    }
}

/// The operation of a route, and the pointer to it.
fn operation(route: &Route) -> (String, &'static Value) {
    let template = route.template.replace('~', "~0").replace('/', "~1");
    let pointer = format!("/paths/{template}/{}", route.method.to_lowercase());
    let found = DESCRIPTION.pointer(&pointer).unwrap_or(&Value::Null);
    (pointer, found)
}

/// Follows a `$ref`, if it is one, to what it means and the pointer to that.
fn follow(pointer: String, value: &'static Value) -> (String, &'static Value) {
    let to = value.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'));
    match to {
        Some(to) => (to.to_owned(), DESCRIPTION.pointer(to).unwrap_or(&Value::Null)),
        None => (pointer, value),
    }
}

/// What does not fit in a request.
pub(super) fn check_request(
    route: &Route,
    params: &BTreeMap<&'static str, String>,
    query: &Query,
    body: &Value,
) -> Vec<Wrong> {
    let (pointer, operation) = operation(route);
    let mut wrong = Vec::new();
    let mut known = Vec::new();
    let described = operation.get("parameters").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (at, parameter) in described.iter().enumerate() {
        let (pointer, parameter) = follow(format!("{pointer}/parameters/{at}"), parameter);
        let text = |name: &str| parameter.get(name).and_then(Value::as_str).unwrap_or_default();
        let (name, place) = (text("name"), text("in"));
        let value = match place {
            "query" => query.get(name).map(str::to_owned),
            _ => params.get(name).cloned(),
        };
        known.push((place, name));
        if let Some(value) = value {
            let wanted = parameter.get("schema").unwrap_or(&Value::Null);
            let errors = schema::errors(&format!("{pointer}/schema"), &typed(&value, wanted));
            wrong.extend(errors.iter().map(|error| Wrong::quiet(&format!("{place}/{name}"), &error.text)));
        }
    }
    for (name, _) in query.pairs().filter(|(name, _)| !known.contains(&("query", name))) {
        wrong.push(Wrong::quiet(&format!("query/{name}"), "there is no such parameter"));
    }
    wrong.extend(check_body(&pointer, operation, body));
    wrong
}

/// A parameter's text as what the description wants.
fn typed(text: &str, schema: &Value) -> Value {
    let wants = |kind: &str| match schema.get("type") {
        Some(Value::String(own)) => own == kind,
        _ => false,
    };
    match text.parse::<i64>() {
        Ok(number) if wants("integer") => json!(number),
        _ if wants("boolean") && (text == "true" || text == "false") => json!(text == "true"),
        _ => json!(text),
    }
}

fn check_body(pointer: &str, operation: &'static Value, body: &Value) -> Vec<Wrong> {
    let Some(described) = operation.get("requestBody") else {
        let none = body.is_null() || body.as_object().is_some_and(serde_json::Map::is_empty);
        return if none { Vec::new() } else { vec![Wrong::quiet("body", "none is wanted")] };
    };
    let (pointer, described) = follow(format!("{pointer}/requestBody"), described);
    if body.is_null() && described.get("required") != Some(&Value::Bool(true)) {
        return Vec::new();
    }
    let pointer = format!("{pointer}/content/application~1json/schema");
    let body = if body.is_null() { json!({}) } else { body.clone() };
    let errors = schema::errors(&pointer, &body);
    let mut wrong: Vec<Wrong> = errors
        .into_iter()
        .map(|error| Wrong {
            place: format!("body{}", error.place),
            what: error.text.clone(),
            refusal: Some(match error.missing {
                Some(name) => format!("\"{name}\" wasn't supplied."),
                None => format!("For 'properties{}', {}.", error.place, error.text),
            }),
        })
        .collect();
    for name in schema::unknown_fields(&pointer, &body) {
        wrong.push(Wrong::quiet(&format!("body/{name}"), "there is no such field"));
    }
    wrong
}

/// What does not fit in an answer.
pub(super) fn check_reply(route: &Route, reply: &Reply) -> Vec<String> {
    let (pointer, operation) = operation(route);
    let status = reply.status.to_string();
    let say = |what: &str| format!("the answer {status} does not fit GitHub's description: {what}");
    let described = operation.get("responses").and_then(|all| all.get(&status));
    let Some(described) = described else {
        if !gaps::may_answer(reply.status) {
            return vec![say("there is no such answer")];
        }
        return check_error(reply).map(|what| say(&what)).into_iter().collect();
    };
    let (pointer, described) = follow(format!("{pointer}/responses/{status}"), described);
    let has_schema = described.pointer("/content/application~1json/schema").is_some();
    match (&reply.body, has_schema) {
        (None, false) => Vec::new(),
        (None, true) => vec![say("it has no body")],
        (Some(_), false) if reply.status >= 400 => {
            check_error(reply).map(|what| say(&what)).into_iter().collect()
        }
        (Some(_), false) => vec![say("it has a body")],
        (Some(body), true) => {
            let pointer = format!("{pointer}/content/application~1json/schema");
            let errors = schema::errors(&pointer, body).into_iter();
            let errors = errors.map(|error| say(&format!("{}: {}", error.place, error.text)));
            let unknown = schema::unknown_fields(&pointer, body).into_iter();
            let unknown = unknown.filter(|name| !gaps::sends(reply.status, name));
            errors.chain(unknown.map(|name| say(&format!("/{name}: there is no such field")))).collect()
        }
    }
}

/// Errors that are not described have the form that all have.
fn check_error(reply: &Reply) -> Option<String> {
    let body = reply.body.as_ref()?;
    let errors = schema::errors("/components/schemas/basic-error", body);
    errors.first().map(|error| format!("{}: {}", error.place, error.text))
}

#[cfg(test)]
mod tests {
    use super::super::rest::ROUTES;
    use super::*;

    #[test]
    fn every_route_is_described_and_every_schema_can_be_used() {
        for route in &ROUTES {
            let (pointer, operation) = operation(route);
            assert!(operation.is_object(), "{pointer}");
            for (status, described) in operation["responses"].as_object().unwrap() {
                let (pointer, described) = follow(format!("{pointer}/responses/{status}"), described);
                if described.pointer("/content/application~1json/schema").is_some() {
                    let errors =
                        schema::errors(&format!("{pointer}/content/application~1json/schema"), &json!(7));
                    assert!(!errors.is_empty(), "{pointer} takes a 7");
                }
            }
        }
    }
}
