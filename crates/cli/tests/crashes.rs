//! Processes that are killed or interrupted, and what the next one makes of it.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::World;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

const ME: [&str; 2] = ["--user", "me@example.com"];

/// A run of many writes, so that a signal finds it under way.
fn long(world: &World, steps: usize) {
    let mut text = "name: long\nsteps:\n".to_owned();
    for n in 0..steps {
        text += &format!(
            "  - {{ id: s{n}, action: files.write_file, with: {{ path: 'd{n}/f', content: '{n}' }} }}\n"
        );
    }
    world.write("workflows/long.yaml", &text);
}

/// Starts the run and waits until it has begun to write.
fn begun(world: &World) -> Child {
    let child =
        world.command(&["run", "long", ME[0], ME[1]]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.unwrap();
    for _ in 0..4000 {
        if Path::exists(&world.path("workspace/d2/f")) {
            return child;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

#[test]
fn an_interrupted_command_exits_130_and_the_run_is_finished_by_resume() {
    for sent in [Signal::INT, Signal::TERM] {
        let world = World::new();
        long(&world, 900);
        let mut child = begun(&world);
        signal(&child, sent);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(world.workspace().len() < 1800, "it was interrupted");
        let listed = world.json(&["runs"]).exits(0).json();
        assert_eq!(listed["runs"][0]["status"], "running");
        let id = listed["runs"][0]["run_id"].as_str().unwrap().to_owned();
        assert_eq!(world.json(&["resume"]).exits(0).json()["runs"][0]["status"], "completed");
        assert_eq!(world.workspace().len(), 1800);
        let run = world.json(&["show", &id]).exits(0).json();
        assert!(run["actions"].as_array().unwrap().iter().all(|action| action["already_done"] == false));
        world.json(&["rollback", &id]).exits(0);
        assert!(world.workspace().is_empty());
    }
}

#[test]
fn a_killed_run_is_rolled_back_or_cancelled_whole() {
    for command in ["rollback", "cancel"] {
        let world = World::new();
        long(&world, 600);
        let mut child = begun(&world);
        child.kill().unwrap();
        child.wait().unwrap();
        let listed = world.json(&["runs"]).exits(0).json();
        assert_eq!(listed["runs"][0]["status"], "running", "{listed}");
        let id = listed["runs"][0]["run_id"].as_str().unwrap();
        assert_eq!(world.json(&[command, id]).exits(0).json()["status"], "rolled_back", "{command}");
        assert!(world.workspace().is_empty());
    }
}

#[test]
fn a_rollback_that_is_killed_again_and_again_is_finished() {
    let world = World::new();
    long(&world, 300);
    let run = world.json(&["run", "long", ME[0], ME[1]]).exits(0).json();
    let id = run["run_id"].as_str().unwrap().to_owned();
    let mut killed = 0;
    for round in 1..6_usize {
        let mut child =
            world.command(&["rollback", &id]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while world.workspace().len() > 600 - round * 60 && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        killed += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(killed >= 3, "killed {killed} times under way");
    let undone = world.json(&["resume", &id]);
    assert_eq!(undone.json()["status"], "rolled_back", "{undone:?}");
    assert!(world.workspace().is_empty());
}

#[test]
fn between_an_effect_and_its_record_the_effect_is_found_and_not_made_again() {
    let world = World::empty();
    let folder = world.json(&["demo"]).exits(0).json()["folder"].as_str().unwrap().to_owned();
    let mut child = Command::new(env!("CARGO_BIN_EXE_enact"))
        .args(["demo-child", &folder])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let run = said.trim().strip_prefix("parked ").expect("the crash point is reached").to_owned();
    child.kill().unwrap();
    child.wait().unwrap();
    let config = format!("{folder}/enact.toml");
    let then = world.json(&["show", &run, "--config", &config]).exits(0).json();
    assert_eq!((&then["status"], &then["actions"][1]["success"]), (&json!("running"), &json!(false)));
    let now = world.json(&["resume", &run, "--config", &config]).exits(0).json();
    assert_eq!(now["status"], "completed");
    assert_eq!(now["actions"][1]["already_done"], false, "it is ours");
    world.json(&["rollback", &run, "--config", &config]).exits(0);
    std::fs::remove_dir_all(folder).unwrap();
}
