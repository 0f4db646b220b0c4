//! The documents of the public contract, field by field.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use common::*;
use enact_core::document::RunDocument;
use enact_core::error::{ErrorCode, Remains};
use enact_core::event::{Event, Finding, OnFailure};
use enact_core::run::RunState;
use serde_json::{Value, json};

fn fields(value: &Value) -> Vec<&str> {
    value.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

fn document(events: &[Event]) -> Value {
    serde_json::to_value(RunDocument::new(&fold(events).unwrap())).unwrap()
}

fn rolled_back() -> Vec<Event> {
    let done = [intended(&call(1), 1), succeeded(1, 1), read(2), refused(3), run_failed()];
    let undone = [undo_intended(1, 1, 1), undo_conflicted(1, 1), Event::RollbackFinished];
    then(then(running(), done), undone)
}

#[test]
fn a_run_document_has_the_fields_of_the_contract_and_no_others() {
    let document = document(&rolled_back());
    let mut names = fields(&document);
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "actions",
            "ended_at",
            "error",
            "policy_results",
            "rollback",
            "run_id",
            "started_at",
            "status",
            "user",
            "version",
            "workflow"
        ]
    );
    assert_eq!(document["run_id"], run_id().to_string());
    assert_eq!((&document["workflow"], &document["version"]), (&json!("tidy"), &json!(1)));
    assert_eq!(document["user"], "agent@company.com");
    assert_eq!(document["status"], "partially_rolled_back");
    assert_eq!(document["error"], json!({ "code": "unavailable", "message": "a unavailable error" }));
    assert_eq!(document["started_at"], "2023-11-14T22:13:20.000001Z");
    assert!(document["ended_at"].is_string());
}

#[test]
fn an_action_result_has_the_fields_of_the_contract_and_no_others() {
    let document = document(&rolled_back());
    assert_eq!(
        document["actions"][0],
        json!({
            "seq": 1, "connector": "files", "action": "write_file", "success": true, "already_done": false,
            "output": { "wrote": 1 }, "error": null,
        })
    );
    assert_eq!(
        document["actions"][2],
        json!({
            "seq": 3, "connector": "files", "action": "write_file", "success": false, "already_done": false,
            "output": null, "error":
                { "code": "permission_denied", "message": "a permission_denied error", "retryable": false },
        })
    );
}

#[test]
fn policy_results_name_the_run_by_null_and_actions_by_number() {
    let results = &document(&rolled_back())["policy_results"];
    assert_eq!(results[0], json!({ "policy": "house", "passed": true, "reason": "", "seq": null }));
    assert_eq!(results[1], json!({ "policy": "house", "passed": true, "reason": "", "seq": 1 }));
    assert_eq!(results[2], json!({ "policy": "house", "passed": false, "reason": "no", "seq": 3 }));
}

#[test]
fn a_rollback_lists_each_action_newest_first_with_its_outcome() {
    let rollback = &document(&rolled_back())["rollback"];
    let conflict = json!({ "code": "conflict", "message": "a conflict error", "retryable": false });
    assert_eq!(
        *rollback,
        json!({ "actions": [
            { "seq": 3, "outcome": "nothing_to_undo", "error": null },
            { "seq": 2, "outcome": "nothing_to_undo", "error": null },
            { "seq": 1, "outcome": "conflict", "error": conflict },
        ] })
    );
    let kept = then(running(), [intended(&call(1), 1), succeeded(1, 1), run_succeeded()]);
    assert_eq!(document(&kept)["rollback"], Value::Null);
}

#[test]
fn a_rollback_to_an_action_lists_only_what_it_covers() {
    let two = [1, 2].into_iter().flat_map(|seq| [intended(&call(seq), 1), succeeded(seq, 1)]);
    let events = then(then(running(), two), [run_succeeded(), rollback(Some(1), false)]);
    let rollback = &document(&events)["rollback"];
    assert_eq!(rollback["actions"].as_array().unwrap().len(), 1);
    assert_eq!(rollback["actions"][0]["seq"], 2);
}

#[test]
fn lists_leave_the_actions_out_and_show_adds_target_pre_state_and_reversal() {
    let state: RunState = fold(&rolled_back()).unwrap();
    let listed = serde_json::to_value(RunDocument::summary(&state)).unwrap();
    assert!(!fields(&listed).contains(&"actions"));
    let shown = serde_json::to_value(RunDocument::detailed(&state)).unwrap();
    let action = &shown["actions"][0];
    assert_eq!(action["target"]["kind"], "file");
    assert_eq!(action["pre_state"], json!({ "was": "absent" }));
    assert_eq!(action["reversal"]["outcome"], "conflict");
    assert_eq!(action["reversal"]["effect"], "reversible");
}

#[test]
fn an_action_in_doubt_is_no_success_and_says_so() {
    let doubt = failed(1, 1, ErrorCode::InDoubt, Remains::Perhaps, false);
    let unknown = resolved(1, 1, Finding::Unknown("no record".into()), false);
    let events = then(running(), [intended(&call(1), 1), doubt, unknown, quarantined(Some(1))]);
    let document = document(&events);
    assert_eq!(document["status"], "quarantined");
    assert_eq!(document["actions"][0]["success"], false);
    assert_eq!(document["actions"][0]["error"]["code"], "in_doubt");
    assert_eq!(document["ended_at"], Value::Null);
}

#[test]
fn a_run_that_was_refused_has_its_error_and_its_verdict() {
    let document = document(&[accepted(OnFailure::Rollback), judged(false), blocked()]);
    assert_eq!(document["status"], "blocked");
    assert_eq!(document["actions"], json!([]));
    assert_eq!(document["error"]["code"], "policy_denied");
    assert_eq!(document["policy_results"][0]["passed"], false);
}
