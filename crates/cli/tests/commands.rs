//! Each command of the contract, by its real binary: what it prints and how it ends.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it does not expect")]

mod common;

use std::process::Stdio;

use common::World;
use serde_json::{Value, json};

const ME: [&str; 2] = ["--user", "me@example.com"];

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn init_writes_what_works_at_once_and_overwrites_nothing() {
    let world = World::empty();
    world.enact(&["init", "here"]).exits(0);
    let config = world.path("here/enact.toml");
    let gave =
        world.enact(&["run", "hello", "--user", "me@example.com", "--config", config.to_str().unwrap()]);
    assert!(gave.exits(0).stdout.contains("completed"));
    let greetings = std::fs::read_dir(world.path("here/workspace/greetings")).unwrap().count();
    assert_eq!(greetings, 1);
    let before = world.read("here/enact.toml");
    assert_eq!(world.json(&["init", "here"]).exits(2).error().0, "already_exists");
    assert_eq!(world.read("here/enact.toml"), before);
}

#[test]
fn run_prints_the_run_document_of_the_contract() {
    let world = World::new();
    let gave = world.json(&["run", "hello", ME[0], ME[1], "--payload", r#"{"name": "Ada"}"#]).exits(0);
    let run = gave.json();
    let wanted = [
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
        "workflow",
    ];
    assert_eq!(keys(&run), wanted);
    assert_eq!(
        (&run["status"], &run["workflow"], &run["version"]),
        (&json!("completed"), &json!("hello"), &json!(1))
    );
    let first = &run["actions"][0];
    assert_eq!(keys(first), ["action", "already_done", "connector", "error", "output", "seq", "success"]);
    assert_eq!(
        (&first["seq"], &first["connector"], &first["action"]),
        (&json!(1), &json!("files"), &json!("write_file"))
    );
    let path = format!("workspace/greetings/{}.txt", run["run_id"].as_str().unwrap());
    assert_eq!(world.read(&path), "Hello, Ada! me@example.com sends this.\n");
}

#[test]
fn a_workflow_is_run_by_its_file_and_keeps_its_text() {
    let world = World::new();
    let text = "name: mine\nsteps:\n  - { id: a, action: files.write_file, with: { path: a, content: '{{ payload.x }}' } }\n";
    world.write("other/mine.yaml", text);
    world.write("payload.json", r#"{"x": "from a file"}"#);
    let gave = world.json(&["run", "other/mine.yaml", ME[0], ME[1], "--payload", "@payload.json"]).exits(0);
    assert_eq!(gave.json()["workflow"], "mine");
    assert_eq!(world.read("workspace/a"), "from a file");
}

#[test]
fn act_runs_one_action_and_what_the_allowlist_does_not_name_is_a_blocked_run() {
    let world = World::new();
    world.act_write("a.txt", "one");
    let again = world.json(&[
        "act",
        "files.write_file",
        ME[0],
        ME[1],
        "--params",
        r#"{"path":"a.txt","content":"one"}"#,
    ]);
    assert_eq!(again.exits(0).json()["actions"][0]["already_done"], true);

    let config = world.read("enact.toml").replace(r#", "delete_file""#, "");
    world.write("enact.toml", &config);
    let refused =
        world.json(&["act", "files.delete_file", ME[0], ME[1], "--params", r#"{"path":"a.txt"}"#]).exits(3);
    let run = refused.json();
    assert_eq!(run["status"], "blocked");
    assert_eq!(run["error"]["code"], "permission_denied");
    assert!(run["error"]["message"].as_str().unwrap().contains("Action 'delete_file' not in allowlist"));
    assert_eq!(world.workspace(), ["a.txt"]);
}

#[test]
fn a_failed_workflow_is_undone_or_kept_as_it_says() {
    let world = World::new();
    let steps = "steps:\n  - { id: a, action: files.write_file, with: { path: d/a, content: x } }\n  - { id: b, action: files.read_file, with: { path: missing } }\n";
    world.write("workflows/undo.yaml", &format!("name: undo\n{steps}"));
    world.write("workflows/keep.yaml", &format!("name: keep\non_failure: keep\n{steps}"));
    let undone = world.json(&["run", "undo", ME[0], ME[1]]).exits(4).json();
    assert_eq!((&undone["status"], &undone["error"]["code"]), (&json!("rolled_back"), &json!("not_found")));
    assert!(world.workspace().is_empty());
    let kept = world.json(&["run", "keep", ME[0], ME[1]]).exits(4).json();
    assert_eq!(kept["status"], "failed");
    assert_eq!(world.workspace(), ["d", "d/a"]);
}

#[test]
fn rollback_undoes_a_run_and_again_changes_nothing() {
    let world = World::new();
    let run = world.act_write("d/a.txt", "one");
    let undone = world.json(&["rollback", &run, "--reason", "a mistake"]).exits(0).json();
    assert_eq!(undone["status"], "rolled_back");
    assert_eq!(undone["rollback"]["actions"], json!([{ "seq": 1, "outcome": "undone", "error": null }]));
    assert!(world.workspace().is_empty());
    world.write("workspace/d/a.txt", "a person's");
    world.json(&["rollback", &run]).exits(0);
    assert_eq!(world.read("workspace/d/a.txt"), "a person's");
}

#[test]
fn a_conflict_is_left_alone_until_force_overrides_it() {
    let world = World::new();
    let run = world.act_write("a.txt", "one");
    world.write("workspace/a.txt", "edited by a person");
    let conflict = world.json(&["rollback", &run, "--by", "me@example.com"]).exits(5).json();
    assert_eq!(conflict["status"], "partially_rolled_back");
    assert_eq!(conflict["rollback"]["actions"][0]["outcome"], "conflict");
    assert_eq!(world.read("workspace/a.txt"), "edited by a person");
    let forced = world.json(&["rollback", &run, "--force"]).exits(0).json();
    assert_eq!(forced["status"], "rolled_back");
    assert!(world.workspace().is_empty());
}

#[test]
fn rollback_to_keeps_the_actions_up_to_a_number() {
    let world = World::new();
    let step = |n: u32| {
        format!("  - {{ id: s{n}, action: files.write_file, with: {{ path: f{n}, content: x }} }}\n")
    };
    world.write("workflows/three.yaml", &format!("name: three\nsteps:\n{}{}{}", step(1), step(2), step(3)));
    let run = world.json(&["run", "three", ME[0], ME[1]]).exits(0).json();
    let id = run["run_id"].as_str().unwrap();
    let part = world.json(&["rollback", id, "--to", "2"]).exits(0).json();
    assert_eq!(part["status"], "rolled_back");
    assert_eq!(world.workspace(), ["f1", "f2"]);
    world.json(&["rollback", id, "--to", "1"]).exits(0);
    assert_eq!(world.workspace(), ["f1"]);
    world.json(&["rollback", id]).exits(0);
    assert!(world.workspace().is_empty());
}

#[test]
fn the_same_key_never_runs_twice() {
    let world = World::new();
    let first = world.json(&["run", "hello", ME[0], ME[1], "--key", "k1"]).exits(0).json();
    let second = world.json(&["run", "hello", ME[0], ME[1], "--key", "k1"]).exits(0).json();
    assert_eq!(first["run_id"], second["run_id"]);
    let other =
        world.json(&["run", "hello", ME[0], ME[1], "--key", "k1", "--payload", r#"{"name":"B"}"#]).exits(2);
    assert!(other.error().1.contains("k1"));
    assert_eq!(world.json(&["runs"]).exits(0).json()["runs"].as_array().unwrap().len(), 1);
}

#[test]
fn runs_are_listed_newest_first_and_filtered() {
    let world = World::new();
    let first = world.act_write("a", "1");
    let second = world.act_write("b", "2");
    let listed = world.json(&["runs"]).exits(0).json();
    let ids: Vec<&str> =
        listed["runs"].as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap()).collect();
    assert_eq!(ids, [second.as_str(), first.as_str()]);
    assert!(listed["runs"][0].get("actions").is_none());
    let count = |args: &[&str]| {
        world.json(&[&["runs"], args].concat()).exits(0).json()["runs"].as_array().unwrap().len()
    };
    assert_eq!(count(&["--limit", "1"]), 1);
    assert_eq!(count(&["--user", "nobody@example.com"]), 0);
    assert_eq!(count(&["--workflow", "act", "--status", "completed"]), 2);
    assert_eq!(count(&["--status", "failed"]), 0);
    assert_eq!(count(&["--target", "a", "--connector", "files", "--action", "write_file"]), 1);
    assert_eq!(count(&["--target", "a", "--action", "files.delete_file"]), 0);
    assert_eq!(count(&["--since", "2020-01-01", "--until", "2999-01-01", "--user", "ME@example.com"]), 2);
    assert_eq!(count(&["--until", "2020-01-01"]) + count(&["--since", "2999-01-01T00:00:00Z"]), 0);
    let page = world.json(&["runs", "--limit", "1"]).exits(0).json();
    assert_eq!(page["next"], json!(second));
    let next = world.json(&["runs", "--before", page["next"].as_str().unwrap()]).exits(0).json();
    assert_eq!((&next["runs"][0]["run_id"], &next["next"]), (&json!(first), &Value::Null));
    world.json(&["runs", "--since", "yesterday"]).exits(2);
}

#[test]
fn show_adds_target_pre_state_and_reversal() {
    let world = World::new();
    world.write("workspace/a.txt", "before");
    let run = world.act_write("a.txt", "after");
    let start = &run[..run.len() - 3];
    let shown = world.json(&["show", start]).exits(0).json();
    let action = &shown["actions"][0];
    assert_eq!(action["target"]["id"], "a.txt");
    assert!(action["pre_state"].is_object() && action["reversal"].is_object(), "{action}");
    let human = world.enact(&["show", &run]).exits(0);
    assert!(human.stdout.contains("files.write_file") && human.stdout.contains("file a.txt"), "{human:?}");
}

#[test]
fn events_are_json_lines_in_the_order_of_the_log() {
    let world = World::new();
    let first = world.act_write("a", "1");
    world.act_write("b", "2");
    let parse =
        |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let all = parse(&world.enact(&["events"]).exits(0).stdout);
    assert_eq!(keys(&all[0]), ["at", "by", "data", "event_seq", "kind", "position", "run_id"]);
    assert!(all.iter().zip(1..).all(|(event, n)| event["position"] == n));
    let of_first = parse(&world.enact(&["events", &first, "--json"]).exits(0).stdout);
    assert!(of_first.iter().zip(1..).all(|(event, n)| event["event_seq"] == n && event["run_id"] == first));
    assert_eq!(of_first[0]["kind"], "RunAccepted");
    let late = parse(&world.enact(&["events", "--from", "3"]).exits(0).stdout);
    assert_eq!(late[0]["position"], 3);
}

/// `write_file` of bytes, and `read_file` of them in base64: the documents of both runs.
fn write_and_read_bytes(world: &World, base64: &str) -> [Value; 2] {
    let act = |action: &str, params: &Value| {
        world.write("params.json", &params.to_string());
        world.json(&["act", action, ME[0], ME[1], "--params", "@params.json"]).exits(0).json()
    };
    [
        act("files.write_file", &json!({ "path": "b", "content_base64": base64 })),
        act("files.read_file", &json!({ "path": "b", "encoding": "base64" })),
    ]
}

#[test]
fn binary_content_is_shown_with_its_bytes_up_to_64_kib_and_above_by_size_and_hash_alone() {
    for (size, base64) in
        [(64 * 1024, "A".repeat(87_380) + "AA=="), (64 * 1024 + 1, "A".repeat(87_380) + "AAA=")]
    {
        let world = World::new();
        let [written, read] = write_and_read_bytes(&world, &base64);
        let output = &read["actions"][0]["output"];
        assert_eq!(
            (&output["content"], &output["size"]),
            (&json!(base64), &json!(size)),
            "whole for the caller"
        );
        let mut shown = json!({ "size": size, "sha256": output["sha256"] });
        if size == 64 * 1024 {
            shown["base64"] = json!(base64);
        }
        let [of_write, of_read] = [&written, &read].map(|run| run["run_id"].as_str().unwrap());

        let action = &world.json(&["show", of_write]).exits(0).json()["actions"][0];
        assert_eq!(action["params"], json!({ "path": "b", "content_base64": shown }));
        for command in ["show", "replay"] {
            let output = &world.json(&[command, of_read]).exits(0).json()["actions"][0]["output"];
            assert_eq!(output["content"], shown, "{command}");
        }
        let events = |args: &[&str]| -> Vec<Value> {
            let lines = world.enact(&[&["events"], args].concat()).exits(0).stdout;
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let data = |events: &[Value], kind: &str| {
            events.iter().find(|event| event["kind"] == kind).unwrap()["data"].clone()
        };
        let (write, read) = (events(&[of_write]), events(&[of_read]));
        assert_eq!(data(&write, "RunAccepted")["input"]["params"]["content_base64"], shown);
        assert_eq!(data(&write, "ActionIntended")["call"]["params"]["content_base64"], shown);
        assert_eq!(data(&read, "ActionRead")["output"]["content"], shown);
        assert_eq!(data(&read, "RunSucceeded")["output"]["content"], shown);
        let bytes = world.enact(&["events"]).stdout.matches("AAAAAAAA").count();
        assert_eq!(bytes == 0, size > 64 * 1024);

        let recorded = events(&[of_write, "--whole"]);
        assert_eq!(data(&recorded, "ActionIntended")["call"]["params"]["content_base64"], json!(base64));
    }
}

#[test]
fn replay_shows_the_run_as_it_was_after_an_event() {
    let world = World::new();
    let run = world.act_write("a", "1");
    let then = world.json(&["replay", &run, "--until", "1"]).exits(0).json();
    assert_eq!((&then["status"], &then["actions"]), (&json!("running"), &json!([])));
    let now = world.json(&["replay", &run]).exits(0).json();
    assert_eq!(now, world.json(&["show", &run]).exits(0).json().without_detail());
    world.json(&["replay", &run, "--until", "99"]).exits(2);
}

#[test]
fn replay_says_what_each_later_event_changed() {
    let world = World::new();
    let run = world.act_write("a", "1");
    world.json(&["rollback", &run]).exits(0);
    let then = world.json(&["replay", &run, "--until", "2"]).exits(0).json();
    assert_eq!(then["status"], "running");
    let later = then["later"].as_array().unwrap();
    let change = |kind: &str, path: &str| {
        let event = later.iter().find(|event| event["kind"] == kind).unwrap();
        let change = event["changes"].as_array().unwrap().iter().find(|change| change["path"] == path);
        change.map(|change| (change["before"].clone(), change["after"].clone()))
    };
    assert_eq!(change("ActionSucceeded", "actions.1.success"), Some((json!(false), json!(true))));
    assert_eq!(change("RunSucceeded", "status"), Some((json!("running"), json!("completed"))));
    assert_eq!(change("RollbackRequested", "status"), Some((json!("completed"), json!("rolling_back"))));
    let undone = change("CompensationSucceeded", "actions.1.reversal.outcome").unwrap();
    assert_eq!(undone.1, json!("undone"));
    assert_eq!(change("RollbackFinished", "status").unwrap().1, json!("rolled_back"));
    assert_eq!(
        later.len() + 2,
        usize::try_from(later.last().unwrap()["event_seq"].as_u64().unwrap()).unwrap()
    );

    let told = world.enact(&["replay", &run, "--until", "2"]).exits(0).stdout;
    assert!(told.contains("status: \"completed\" → \"rolling_back\""), "{told}");
}

trait WithoutDetail {
    fn without_detail(self) -> Value;
}

impl WithoutDetail for Value {
    /// The document of `show` as the others have it.
    fn without_detail(mut self) -> Value {
        let actions = self["actions"].as_array_mut().unwrap();
        let kept = ["seq", "connector", "action", "success", "already_done", "output", "error"];
        actions
            .iter_mut()
            .for_each(|action| action.as_object_mut().unwrap().retain(|key, _| kept.contains(&key.as_str())));
        self
    }
}

#[test]
fn connectors_lists_every_action_and_how_it_is_undone() {
    let world = World::new();
    let listed = world.json(&["connectors"]).exits(0).json();
    let files = &listed["connectors"][0];
    assert_eq!((&files["name"], &files["kind"]), (&json!("files"), &json!("filesystem")));
    for action in files["actions"].as_array().unwrap() {
        assert_eq!(keys(action), ["allowed", "effect", "name", "undo"]);
        let is_read = ["read_file", "list_dir"].contains(&action["name"].as_str().unwrap());
        assert_eq!(action["effect"], if is_read { "read_only" } else { "reversible" });
    }
}

#[test]
fn finished_runs_are_left_as_they_are() {
    let world = World::new();
    let run = world.act_write("a", "1");
    let events = || world.enact(&["events"]).stdout.lines().count();
    let before = events();
    assert_eq!(world.json(&["resume", &run]).exits(0).json()["status"], "completed");
    assert_eq!(world.json(&["resume"]).exits(0).json(), json!({ "runs": [] }));
    assert_eq!(world.json(&["cancel", &run]).exits(2).error().0, "conflict");
    assert_eq!(
        world.json(&["resolve", &run, "--seq", "1", "--as", "applied"]).exits(2).error().0,
        "conflict"
    );
    assert_eq!(events(), before);
}

#[test]
fn a_store_is_backed_up_restored_verified_and_pruned() {
    let world = World::new();
    let run = world.act_write("a", "1");
    world.json(&["store", "backup", "copy"]).exits(0);
    assert!(world.json(&["store", "verify"]).exits(0).json()["events"].as_u64().unwrap() > 3);
    std::fs::remove_dir_all(world.path("enact-data")).unwrap();
    world.json(&["show", &run]).exits(2);
    world.json(&["store", "restore", "copy", "enact-data"]).exits(0);
    world.json(&["rollback", &run]).exits(0);
    assert!(world.workspace().is_empty());
    assert_eq!(world.json(&["store", "prune", "--older-than", "30"]).exits(0).json()["volumes"], 0);
}

#[test]
fn commands_of_the_contract_that_are_not_there_yet_say_so() {
    let world = World::new();
    for args in [&["serve", "--listen", "127.0.0.1:0"][..], &["mcp"]] {
        assert_eq!(world.json(args).exits(2).error().0, "unsupported", "{args:?}");
    }
}

#[test]
fn completions_and_help_are_printed() {
    let world = World::empty();
    assert!(world.enact(&["completions", "bash"]).exits(0).stdout.contains("_enact"));
    let help = world.enact(&["--help"]).exits(0).stdout;
    assert!(help.contains("rollback") && !help.contains("demo-child"), "{help}");
    world.enact(&["--version"]).exits(0);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let world = World::new();
    for n in 0..4 {
        world.act_write(&format!("f{n}"), "x");
    }
    let mut child = world.command(&["events"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn the_demo_holds() {
    let world = World::empty();
    let gave = world.json(&["demo"]).exits(0).json();
    assert_eq!((&gave["held"], &gave["differences"]), (&json!(true), &json!([])));
    std::fs::remove_dir_all(gave["folder"].as_str().unwrap()).unwrap();
}
