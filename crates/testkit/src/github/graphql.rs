//! GraphQL: `updateRefs`, which compares and sets, and the small queries that it needs.
//!
//! A document is checked against the part of GitHub's published schema that is vendored; whatever is not in that part
//! is refused as GitHub refuses a field that it does not have. Fragments, directives and subscriptions are not known.

mod check;
mod document;
mod run;

use hyper::body::Bytes;
use serde_json::{Map, Value, json};

use super::auth::Caller;
use super::deeds::Actor;
use super::reply::{Answer, Reply, Stop};
use super::state::State;
use document::{Operation, Wrong};

/// The first field of the operation, for the log and for faults.
pub(super) fn first_field(body: &Bytes) -> Option<String> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let operation = Operation::parse(request.get("query")?.as_str()?, None).ok()?;
    operation.fields.into_iter().next().map(|field| field.name)
}

/// One error, in GitHub's form.
fn error(kind: Option<&str>, message: &str, path: Option<&str>) -> Value {
    let mut error = json!({"message": message, "locations": [{"line": 1, "column": 1}]});
    if let Some(error) = error.as_object_mut() {
        if let Some(kind) = kind {
            error.insert("type".to_owned(), json!(kind));
        }
        if let Some(path) = path {
            error.insert("path".to_owned(), json!([path]));
        }
    }
    error
}

/// The refusal of a request for its rate, which is 200 here. Source: GitHub's "Rate limits and query limits for the
/// GraphQL API".
pub(super) fn limited(message: &str) -> Reply {
    Reply::new(200, json!({"errors": [{"type": "RATE_LIMITED", "message": message}]}))
}

pub(super) fn answer(state: &mut State, number: u64, method: &str, caller: &Caller, body: &Bytes) -> Answer {
    if method != "POST" {
        return Err(Stop::not_found());
    }
    if *caller == Caller::Anonymous {
        return Err(Stop::refuse(401, "This endpoint requires you to be authenticated."));
    }
    let request: Value =
        serde_json::from_slice(body).map_err(|_| Stop::refuse(400, "Problems parsing JSON"))?;
    let Some(query) = request.get("query").and_then(Value::as_str) else {
        return Err(Stop::refuse(400, "A query attribute must be specified and must be a string."));
    };
    let none = Map::new();
    let variables = request.get("variables").and_then(Value::as_object).unwrap_or(&none);
    let checked = Operation::parse(query, Some(variables)).and_then(|operation| {
        check::check(&operation, state.update_refs)?;
        Ok(operation)
    });
    let operation = match checked {
        Ok(operation) => operation,
        Err(Wrong { message, switched_off }) => {
            // An old server's answer is what the test wants to see.
            if !switched_off {
                state.problems.push(format!(
                    "{number}: POST /graphql: the document does not fit GitHub's schema: {message}"
                ));
            }
            return Ok(Reply::new(200, json!({"errors": [error(None, &message, None)]})));
        }
    };
    let actor = Actor { request: number, login: caller.login().unwrap_or_default().to_owned() };
    let (mut data, mut errors) = (Map::new(), Vec::new());
    for field in &operation.fields {
        match state.resolve(&actor, caller, field) {
            Ok(value) => drop(data.insert(field.key.clone(), value)),
            Err(run::Failed::Stop(stop)) => return Err(stop),
            Err(run::Failed::Said(kind, message)) => {
                errors.push(error(Some(kind), &message, Some(&field.key)));
                data.insert(field.key.clone(), Value::Null);
            }
        }
    }
    let mut all = json!({"data": data});
    if let (false, Some(all)) = (errors.is_empty(), all.as_object_mut()) {
        all.insert("errors".to_owned(), Value::Array(errors));
    }
    Ok(Reply::new(200, all))
}
