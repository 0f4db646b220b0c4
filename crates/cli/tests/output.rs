//! What is printed: all of it, or an error; and nothing in it that only looks as if the command had said it.

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::{Gave, World};

#[test]
fn an_answer_that_cannot_be_written_is_an_error_and_says_so() {
    let world = World::new();
    let run = world.act_write("a", "1");
    for args in [
        &["events"][..],
        &["events", "--follow"],
        &["show", &run, "--json"],
        &["show", &run],
        &["runs"],
        &["connectors"],
        &["completions", "bash"],
        &["act", "files.list_dir", "--user", "me@example.com"],
        &["--help"],
        &["--version"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let gave: Gave = world.command(args).stdout(full).output().unwrap().into();
        assert_eq!(gave.exit, 1, "{args:?}: {gave:?}");
        assert_eq!(gave.stderr.matches("standard output cannot be written").count(), 1, "{args:?}: {gave:?}");
    }
}

#[test]
fn what_went_wrong_weighs_more_than_that_it_could_not_be_written() {
    let world = World::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let gave: Gave = world.command(&["show", "ffff", "--json"]).stdout(full).output().unwrap().into();
    assert!(gave.exit == 2 && gave.stderr.contains("cannot be written"), "{gave:?}");
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_command_without_a_word() {
    let world = World::new();
    // More than a pipe holds, so that the command is still writing when nobody reads any more.
    world.act_write("large", &"x".repeat(100_000));
    world.act_write("later", "x");
    for args in [&["events"][..], &["events", "--follow"]] {
        let mut child = world.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(first.starts_with('{'));
        let gave: Gave = child.wait_with_output().unwrap().into();
        assert!(gave.exit == 0 && gave.stderr.is_empty(), "{args:?}: {gave:?}");
    }
}

#[test]
fn what_an_agent_or_a_user_chose_does_not_look_like_a_line_of_the_command() {
    const FORGED: &str = "\n   2  files.delete_file        done";
    let world = World::new();
    let path = format!("a{FORGED}\u{2028}\u{202e}\u{61c}\u{200b}");
    let user = format!("me@example.com{FORGED}\r\u{2069}\u{feff}");
    let params = serde_json::json!({ "path": path, "content": FORGED }).to_string();
    // Names of people hide nothing: this one is refused.
    world.enact(&["act", "files.write_file", "--user", &user, "--params", &params]).exits(2);
    world.enact(&["act", "files.write_file", "--user", "me@example.com", "--params", &params]).exits(0);
    let runs = world.json(&["runs"]).exits(0).json();
    let run = runs["runs"][0]["run_id"].as_str().unwrap();
    let shown = world.json(&["show", run]).exits(0).json();
    assert_eq!(shown["actions"][0]["params"]["path"], path.as_str(), "documents have it as it is");
    for args in [
        &["show", run][..],
        &["runs"],
        &["replay", run],
        &["rollback", run, "--by", &user],
        &["act", FORGED, "--user", &user],
        &["run", FORGED, "--user", &user],
        &["act", FORGED, "--user", "me@example.com"],
        &["run", FORGED, "--user", "me@example.com"],
        &["show", run, FORGED],
        &["rollback", run, "--to", FORGED],
    ] {
        let gave = world.enact(args);
        for line in gave.stdout.lines().chain(gave.stderr.lines()) {
            assert!(!line.starts_with("   2  "), "{args:?}: {gave:?}");
            assert!(
                !line.contains(['\u{2028}', '\u{202e}', '\u{61c}', '\u{200b}', '\u{2069}', '\u{feff}']),
                "{gave:?}"
            );
        }
    }
}

#[test]
fn replay_lists_all_that_came_later() {
    // Two events each.
    const STEPS: usize = 600;
    let world = World::new();
    let step =
        |n| format!("  - {{ id: s{n}, action: files.write_file, with: {{ path: f{n}, content: x }} }}\n");
    world.write("long.yaml", &format!("name: long\nsteps:\n{}", (0..STEPS).map(step).collect::<String>()));
    let run = world.json(&["run", "./long.yaml", "--user", "me@example.com"]).exits(0).json();
    let shown = world.enact(&["replay", run["run_id"].as_str().unwrap(), "--until", "1"]).exits(0).stdout;
    assert!(shown.matches("later: ").count() >= 2 * STEPS, "{}", shown.lines().count());
}
