//! Runs that wait for a person, and a person's word on them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;

use common::{Parked, World};
use serde_json::{Value, json};

/// A run that is quarantined: after the crash somebody wrote over what action 2 may have written.
fn quarantined() -> Parked {
    let parked = Parked::new();
    fs::write(parked.file("README.md"), "a person's").unwrap();
    let run = parked.json(&["resume", &parked.run]).exits(5).json();
    assert_eq!((&run["status"], &run["error"]["code"]), (&json!("quarantined"), &json!("in_doubt")));
    parked
}

fn readme(parked: &Parked) -> String {
    fs::read_to_string(parked.file("README.md")).unwrap()
}

/// The data of the run's event of a kind.
fn recorded(parked: &Parked, kind: &str) -> Value {
    let events = parked.json(&["events", &parked.run]).exits(0).stdout;
    let mut events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.rfind(|event| event["kind"] == kind).unwrap()["data"].clone()
}

#[test]
fn a_run_that_waits_for_a_person_is_exit_5_for_resume_with_and_without_its_name() {
    let parked = quarantined();
    parked.json(&["resume", &parked.run]).exits(5);
    let all = parked.json(&["resume"]).exits(5).json();
    assert_eq!(
        (&all["runs"][0]["run_id"], &all["runs"][0]["status"]),
        (&json!(parked.run), &json!("quarantined"))
    );
    assert_eq!(all["runs"].as_array().unwrap().len(), 1);
    parked.json(&["show", &parked.run]).exits(0);
    assert_eq!(readme(&parked), "a person's");
}

#[test]
fn resolve_applied_takes_the_action_as_done_and_carries_the_run_on() {
    let parked = quarantined();
    let run = parked.json(&["resolve", &parked.run, "--seq", "2", "--as", "applied"]).exits(0).json();
    assert_eq!(run["status"], "completed");
    assert_eq!(
        (&run["actions"][1]["success"], &run["actions"][1]["already_done"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(readme(&parked), "a person's", "it is not done again");
    let word = recorded(&parked, "OperatorDecided");
    assert_eq!(word, json!({ "by": "os:tester", "seq": 2, "decision": "applied" }));
}

#[test]
fn resolve_not_applied_has_the_action_done_and_carries_the_run_on() {
    let parked = quarantined();
    let args = ["resolve", &parked.run, "--seq", "2", "--as", "not-applied", "--by", "me@example.com"];
    let run = parked.json(&args).exits(0).json();
    assert_eq!(run["status"], "completed");
    assert_eq!(readme(&parked), "Published.\n");
    let word = recorded(&parked, "OperatorDecided");
    assert_eq!(word, json!({ "by": "me@example.com", "seq": 2, "decision": "not_applied" }));
    parked.json(&["rollback", &parked.run]).exits(0);
    assert_eq!(readme(&parked), "a person's", "what it found is put back");
}

#[test]
fn resolve_abandon_leaves_the_action_and_undoes_the_rest() {
    let parked = quarantined();
    let run = parked.json(&["resolve", &parked.run, "--seq", "2", "--as", "abandon"]).exits(5).json();
    assert_eq!(run["status"], "partially_rolled_back");
    let outcome =
        |n: usize| (&run["rollback"]["actions"][n]["seq"], &run["rollback"]["actions"][n]["outcome"]);
    assert_eq!((outcome(0), outcome(1)), ((&json!(2), &json!("in_doubt")), (&json!(1), &json!("undone"))));
    assert_eq!(readme(&parked), "a person's");
    assert_eq!(recorded(&parked, "OperatorDecided")["decision"], "abandon");
}

#[test]
fn a_run_that_fails_and_is_undone_after_a_persons_word_is_exit_4() {
    let parked = quarantined();
    // The next action wants a file there.
    let todo = parked.file("notes/todo.md");
    fs::remove_file(&todo).unwrap();
    fs::create_dir(&todo).unwrap();
    let gave = parked.json(&["resolve", &parked.run, "--seq", "2", "--as", "not-applied"]).exits(4).json();
    assert_eq!(gave["status"], "rolled_back");
    assert_eq!(readme(&parked), "a person's");
}

#[test]
fn a_word_on_an_action_that_is_not_in_doubt_is_refused() {
    let parked = quarantined();
    for seq in ["1", "9"] {
        let gave = parked.json(&["resolve", &parked.run, "--seq", seq, "--as", "applied"]).exits(2);
        assert_ne!(gave.error().0, "internal", "{gave:?}");
    }
    assert_eq!(parked.json(&["show", &parked.run]).exits(0).json()["status"], "quarantined");
}

#[test]
fn who_asks_is_the_user_of_the_operating_system_where_nothing_else_is_said() {
    let world = World::new();
    let last = |kind: &str| {
        let events = world.enact(&["events"]).exits(0).stdout;
        let mut events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.rfind(|event| event["kind"] == kind).unwrap()["data"]["by"].clone()
    };
    let run = world.act_write("a", "1");
    world.json(&["rollback", &run]).exits(0);
    assert_eq!(last("RollbackRequested"), "os:tester");
    let run = world.act_write("a", "1");
    world.command(&["rollback", &run]).env_remove("USER").env("LOGNAME", "by-login").status().unwrap();
    assert_eq!(last("RollbackRequested"), "os:by-login");
    let run = world.act_write("a", "1");
    world.json(&["rollback", &run, "--by", "me@example.com"]).exits(0);
    assert_eq!(last("RollbackRequested"), "me@example.com");
}
