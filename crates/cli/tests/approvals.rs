//! Approvals with the real binary: a run waits over processes, and a person decides.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it does not expect")]

mod common;

use common::World;
use serde_json::{Value, json};

const WORKFLOW: &str = r#"
name: publish
steps:
  - { id: send, action: files.write_file, with: { path: "sent.txt", content: "{{ steps.check.output.sha256 }}" }, defer: true, approval: true }
  - { id: draft, action: files.write_file, with: { path: "draft.txt", content: "draft" } }
  - { id: check, action: files.read_file, with: { path: "draft.txt" } }
"#;

fn waiting() -> (World, String) {
    let world = World::new();
    world.write("workflows/publish.yaml", WORKFLOW);
    let run = world.json(&["run", "publish", "--user", "agent@example.com"]).exits(5).json();
    assert_eq!(run["status"], "awaiting_approval");
    (world, run["run_id"].as_str().unwrap().to_owned())
}

fn status(run: &Value) -> &str {
    run["status"].as_str().unwrap()
}

#[test]
fn a_run_waits_over_processes_and_goes_on_when_it_is_approved() {
    let (world, run) = waiting();
    assert_eq!(world.workspace(), ["draft.txt"], "a deferred step comes last, and waits");
    let shown = world.json(&["show", &run]).exits(0).json();
    let open = &shown["approvals"][0];
    assert_eq!((&open["action"], &open["word"]), (&json!("files.write_file"), &Value::Null));
    assert_eq!(open["params"]["path"], "sent.txt");
    let listed = world.json(&["runs", "--status", "awaiting_approval"]).exits(0).json();
    assert_eq!(listed["runs"].as_array().unwrap().len(), 1);
    // To resume changes nothing but that it is looked at.
    world.json(&["resume"]).exits(5);
    let events = world.enact(&["events", &run]).exits(0).stdout.lines().count();

    let done = world.json(&["approve", &run, "--by", "boss@example.com"]).exits(0).json();
    assert_eq!(status(&done), "completed");
    assert_eq!(done["approvals"][0]["by"], "boss@example.com");
    assert_eq!(world.workspace(), ["draft.txt", "sent.txt"]);
    let after = world.enact(&["events", &run]).exits(0).stdout;
    assert!(after.lines().count() > events && after.contains("ApprovalDecided"), "{after}");
    // Once only.
    assert_eq!(world.json(&["approve", &run, "--by", "boss@example.com"]).exits(2).error().0, "conflict");
    assert_eq!(world.json(&["deny", &run]).exits(2).error().0, "conflict");
    world.json(&["rollback", &run]).exits(0);
    assert!(world.workspace().is_empty());
}

#[test]
fn what_is_denied_is_rolled_back_and_says_who_did_not_want_it() {
    let (world, run) = waiting();
    let denied = world
        .json(&["deny", &run, "--by", "boss@example.com", "--reason", "not on a Friday"])
        .exits(4)
        .json();
    assert_eq!((status(&denied), &denied["error"]["code"]), ("rolled_back", &json!("approval_denied")));
    assert!(denied["error"]["message"].as_str().unwrap().contains("not on a Friday"));
    assert!(world.workspace().is_empty());
}

#[test]
fn a_deferred_step_never_happens_when_an_earlier_one_fails() {
    let world = World::new();
    let missing = WORKFLOW
        .replace("defer: true, approval: true", "defer: true")
        .replace("with: { path: \"draft.txt\" } }", "with: { path: \"draft.txt\" } }\n  - { id: more, action: files.read_file, with: { path: \"missing.txt\" } }");
    world.write("workflows/publish.yaml", &missing);
    let run = world.json(&["run", "publish", "--user", "agent@example.com"]).exits(4).json();
    assert_eq!((status(&run), &run["error"]["code"]), ("rolled_back", &json!("not_found")));
    let actions = run["actions"].as_array().unwrap();
    assert_eq!(actions.len(), 3, "the step that was held back was not even asked for: {run}");
    let events = world.enact(&["events", run["run_id"].as_str().unwrap()]).exits(0).stdout;
    assert!(events.contains("draft.txt") && !events.contains("\"path\":\"sent.txt\""), "{events}");
    assert!(world.workspace().is_empty());
}

#[test]
fn whoever_asked_for_it_cannot_approve_it() {
    let (world, run) = waiting();
    let (code, message) = world.json(&["approve", &run, "--by", "Agent@Example.com"]).exits(2).error();
    assert_eq!(code, "approval_denied");
    assert!(message.contains("somebody else has to approve it; it waits on"), "{message}");
    assert_eq!(status(&world.json(&["show", &run]).exits(0).json()), "awaiting_approval");
}

#[test]
fn a_run_that_waits_for_nobody_cannot_be_approved() {
    let world = World::new();
    let run = world.act_write("a.txt", "x");
    let (code, message) = world.json(&["approve", &run]).exits(2).error();
    assert_eq!(code, "conflict");
    assert!(message.contains("nothing of it waits for an approval"), "{message}");
}

#[test]
fn whoever_names_another_action_is_told_which_one_waits() {
    let (world, run) = waiting();
    let (code, message) = world.json(&["approve", &run, "--seq", "99"]).exits(2).error();
    assert_eq!(code, "conflict");
    assert!(message.contains("action 99 does not wait for an approval, but action 3"), "{message}");
    assert_eq!(status(&world.json(&["show", &run]).exits(0).json()), "awaiting_approval");
}

#[test]
fn people_are_told_what_waits_and_how_to_decide_it() {
    let (world, run) = waiting();
    let told = world.enact(&["show", &run]).exits(0).stdout;
    for part in ["approval of 3 files.write_file", "sent.txt", &format!("enact approve {run} --by EMAIL")] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
