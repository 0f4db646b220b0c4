//! What each event changed in its run: all of it, and nothing else.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

#[allow(dead_code, reason = "whose it is uses more of it")]
#[path = "../../store/src/codec/tests/golden.rs"]
mod golden;

use std::collections::BTreeMap;

use enact_core::document::{Before, RunDocument};
use enact_core::run::RunState;
use serde_json::Value;

/// What a document says, each value by its path; actions by their numbers.
fn said(state: &RunState) -> BTreeMap<String, Value> {
    let document = serde_json::to_value(RunDocument::detailed(state)).unwrap();
    let mut said = BTreeMap::new();
    for (name, value) in document.as_object().unwrap() {
        match name.as_str() {
            "actions" => value.as_array().unwrap().iter().for_each(|action| {
                let seq = action.get("seq").unwrap();
                flatten(format!("actions.{seq}"), action, &mut said);
            }),
            "status" | "workflow" | "user" | "approvals" | "error" | "ended_at" => {
                flatten(name.clone(), value, &mut said);
            }
            _ => {}
        }
    }
    said
}

fn flatten(path: String, value: &Value, to: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(name, value)| flatten(format!("{path}.{name}"), value, to));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(place, value)| flatten(format!("{path}.{place}"), value, to));
        }
        Value::Null => {}
        value => drop(to.insert(path, value.clone())),
    }
}

#[test]
fn the_changes_of_each_event_turn_what_was_said_before_into_what_is_said_after() {
    let mut seen = 0;
    for run in golden::runs() {
        let (first, later) = run.events.split_first().unwrap();
        let mut state = RunState::step(None, first).unwrap();
        for event in later {
            let mut expected = said(&state);
            let before = Before::new(&state, &event.event).unwrap();
            state = RunState::step(Some(state), event).unwrap();
            for change in before.changes(&state).unwrap() {
                assert_ne!(change.before, change.after);
                let is_below = |path: &str| {
                    path.strip_prefix(&change.path)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                expected.retain(|path, _| !is_below(path));
                if let Some(after) = &change.after {
                    flatten(change.path.clone(), &serde_json::to_value(after).unwrap(), &mut expected);
                }
                seen += 1;
            }
            expected.retain(|path, _| {
                ["calls.", "rollback", "output", "policy_results", "erased"]
                    .iter()
                    .all(|other| !path.starts_with(other))
            });
            assert_eq!(expected, said(&state), "{} of {}", event.event.name(), run.name);
        }
    }
    assert!(seen > 100, "{seen}");
}
