//! Issues: opened, looked at, edited. A pull request is one too.

use serde_json::Value;

use crate::github::deeds::{ItemEdit, NewIssue};
use crate::github::reply::{Answer, Reply, Stop};
use crate::github::state::State;

use super::Call;
use super::pulls::may_edit;

/// 410 where a repository does without issues.
fn has_issues(state: &State, call: &Call<'_>) -> Result<(), Stop> {
    if state.repo(call.key)?.has_issues {
        return Ok(());
    }
    Err(Stop::refuse(410, "Issues has been disabled in this repository."))
}

/// A title, which may be written as a number.
fn title(call: &Call<'_>) -> Option<String> {
    match call.body.get("title") {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

pub(super) fn create(state: &mut State, call: &Call<'_>) -> Answer {
    has_issues(state, call)?;
    let Some(title) = title(call) else {
        return Err(Stop::invalid_field("Issue", "title", "missing_field"));
    };
    // Labels and assignees of those who may not push are dropped without a word.
    let pushes = state.may_push(call.caller, call.key);
    let of_pushers = |list: Option<Vec<String>>| list.filter(|_| pushes).unwrap_or_default();
    let mut assignees = of_pushers(call.texts("assignees", "login"));
    assignees.extend(call.text("assignee").filter(|_| pushes).map(str::to_owned));
    let body = call.text("body").map(str::to_owned);
    let labels = of_pushers(call.texts("labels", "name"));
    let number = state.open_issue(&call.actor(), call.key, NewIssue { title, body, labels, assignees })?;
    let body = state.issue_json(call.key, number)?;
    let location = body.get("url").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Reply::new(201, body).with("location", location))
}

pub(super) fn get(state: &mut State, call: &Call<'_>) -> Answer {
    let number = call.number_param("issue_number")?;
    if state.repo(call.key)?.item(number)?.pull.is_none() {
        has_issues(state, call)?;
    }
    Ok(Reply::new(200, state.issue_json(call.key, number)?))
}

pub(super) fn update(state: &mut State, call: &Call<'_>) -> Answer {
    let number = call.number_param("issue_number")?;
    let by = state.repo(call.key)?.item(number)?.by.clone();
    may_edit(state, call, &by)?;
    let optional = |name: &str| match call.body.get(name) {
        Some(Value::String(text)) => Some(Some(text.clone())),
        Some(Value::Null) => Some(None),
        _ => None,
    };
    let edit = ItemEdit {
        title: title(call),
        body: optional("body"),
        open: call.text("state").map(|text| text == "open"),
        state_reason: optional("state_reason"),
        labels: call.texts("labels", "name"),
        assignees: call.texts("assignees", "login"),
        base: None,
    };
    state.edit_item(&call.actor(), call.key, number, edit)?;
    Ok(Reply::new(200, state.issue_json(call.key, number)?))
}
