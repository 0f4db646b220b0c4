//! What is asked for is refused before anything happens where it cannot be meant.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it does not expect")]

mod common;

use std::io::Write;
use std::process::Stdio;

use common::World;

const ME: [&str; 2] = ["--user", "me@example.com"];

/// A run of four writes.
fn four(world: &World) -> String {
    let steps = (1..=4).map(|n| {
        format!("  - {{ id: s{n}, action: files.write_file, with: {{ path: 'f{n}', content: 'x' }} }}\n")
    });
    world.write("workflows/four.yaml", &format!("name: four\nsteps:\n{}", steps.collect::<String>()));
    let run = world.json(&["run", "four", ME[0], ME[1]]).exits(0).json();
    run["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_rollback_to_an_action_that_the_run_does_not_have_is_refused_and_undoes_nothing() {
    let world = World::new();
    let run = four(&world);
    for to in ["5", "99", "18446744073709551615"] {
        let (code, message) = world.json(&["rollback", &run, "--to", to]).exits(2).error();
        assert_eq!(code, "invalid_parameters");
        assert!(message.contains(to) && message.contains("4 actions"), "{message}");
    }
    assert_eq!(world.workspace().len(), 4);
    assert_eq!(world.json(&["show", &run]).exits(0).json()["status"], "completed");
}

#[test]
fn a_rollback_keeps_what_it_names_and_may_go_further_back_to_the_very_beginning() {
    let world = World::new();
    let run = four(&world);
    for (to, left) in [("4", 4), ("2", 2), ("0", 0)] {
        let document = world.json(&["rollback", &run, "--to", to]).exits(0).json();
        assert_eq!(
            (document["status"].as_str(), world.workspace().len()),
            (Some("rolled_back"), left),
            "{to}"
        );
    }
}

/// A workflow whose first step is right, and this the second.
fn second(world: &World, step: &str) {
    let first = "{ id: first, action: files.write_file, with: { path: made, content: x } }";
    world.write("workflows/two.yaml", &format!("name: two\nsteps:\n  - {first}\n  - {step}\n"));
}

#[test]
fn a_step_that_cannot_be_right_is_refused_before_the_first_one_is_carried_out() {
    let world = World::new();
    for (step, named) in [
        ("{ id: b, action: disk.write_file }", ["'b'", "action", "disk", "files"]),
        ("{ id: b, action: files.fly }", ["'b'", "action", "fly", "write_file"]),
        ("{ id: b, when: '{{ payload.x }}', action: files.fly }", ["'b'", "action", "fly", "write_file"]),
        ("{ id: b, action: files.read_file, with: { pth: x } }", ["'b'", "with", "pth", "path"]),
        ("{ id: b, action: files.read_file }", ["'b'", "with", "path", "path"]),
        ("{ id: b, action: files.read_file, with: { path: 3 } }", ["'b'", "with", "path", "3"]),
        ("{ id: b, action: files.read_file, with: { path: ../x } }", ["'b'", "with", "path", "../x"]),
        ("{ id: b, action: files.fly, with: { path: '{{ payload.x }}' } }", ["'b'", "action", "fly", "read"]),
    ] {
        second(&world, step);
        for key in [&[][..], &["--key", "k"]] {
            let gave = world.json(&[&["run", "two", ME[0], ME[1]], key].concat()).exits(2);
            let (code, message) = gave.error();
            assert_eq!(code, "invalid_parameters", "{step}");
            assert!(named.iter().all(|name| message.contains(name)), "{step}: {message}");
        }
    }
    assert!(world.workspace().is_empty());
    assert!(world.json(&["runs"]).exits(0).json()["runs"].as_array().unwrap().is_empty());
}

#[test]
fn what_only_the_run_can_tell_is_left_to_the_run() {
    let world = World::new();
    second(&world, "{ id: b, action: files.read_file, with: { pth: '{{ payload.x }}' } }");
    let run = world.json(&["run", "two", ME[0], ME[1], "--payload", r#"{"x": "y"}"#]).exits(4).json();
    assert_eq!(run["status"], "rolled_back");
    let config = world.read("enact.toml").replace("\"read_file\", ", "");
    world.write("enact.toml", &config);
    second(&world, "{ id: b, action: files.read_file, with: { pth: x } }");
    let run = world.json(&["run", "two", ME[0], ME[1]]).exits(4).json();
    assert_eq!(run["actions"][1]["error"]["code"], "permission_denied", "a refusal is recorded");
}

#[test]
fn a_key_that_was_used_gives_its_run_also_where_the_workflow_cannot_be_carried_out_any_more() {
    let world = World::new();
    second(&world, "{ id: b, action: files.list_dir }");
    let keyed = ["run", "two", ME[0], ME[1], "--key", "k"];
    let run = world.json(&keyed).exits(0).json();
    let config = world.read("enact.toml").replace("[connectors.files]", "[connectors.others]");
    world.write("enact.toml", &config);
    world.write("policies.cedar", &world.read("policies.cedar").replace("files.", "others."));
    assert_eq!(world.json(&keyed).exits(0).json()["run_id"], run["run_id"]);
    world.json(&["run", "two", ME[0], ME[1]]).exits(2);
}

#[test]
fn no_more_of_a_file_is_read_than_it_may_have_and_a_pipe_is_read() {
    let world = World::new();
    let act = |params: &str| {
        ["act", "files.list_dir", "--user", "me@example.com", "--params", params].map(str::to_owned)
    };
    for args in [&["runs", "--config", "/dev/zero"].map(str::to_owned)[..], &act("@/dev/zero")] {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let (code, message) = world.json(&args).exits(2).error();
        assert_eq!(code, "invalid_parameters");
        assert!(message.contains("it has more than"), "{message}");
    }
    let args = act("@/dev/stdin");
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut child = world.command(&args).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(br#"{"path": "."}"#).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
