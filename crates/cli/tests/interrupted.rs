//! A run that stops in the middle is named, so that it is resumed and not asked for again.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::process::{Child, Stdio};

use common::{Gave, World, signal};
use rustix::process::Signal;

/// The command, stopped by a signal in the middle of its run.
fn interrupted(world: &World, args: &[&str], sent: Signal) -> Gave {
    let child = world.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_the_first_file(world, &child);
    signal(&child, sent);
    child.wait_with_output().unwrap().into()
}

/// Until the run has done something: looked at again and again, for as long as the process lives.
fn wait_for_the_first_file(world: &World, child: &Child) {
    let alive = format!("/proc/{}/exe", child.id());
    while !world.path("workspace/d0/f").exists() {
        assert!(std::fs::read_link(&alive).is_ok(), "the command ended before it did anything");
        std::thread::yield_now();
    }
}

#[test]
fn an_interrupted_run_is_named_in_the_document_and_in_the_text() {
    for sent in [Signal::INT, Signal::TERM] {
        let world = World::new();
        world.long(200);
        let run = ["run", "long", "--user", "me@example.com"];
        let gave = interrupted(&world, &[&run[..], &["--json"]].concat(), sent).exits(130);
        let id = gave.json()["run_id"].as_str().unwrap().to_owned();
        let (code, message) = gave.error();
        assert_eq!(code, "unavailable");
        assert!(message.contains(&format!("`enact resume {id}`")), "{message}");
        let resumed = world.json(&["resume", &id]).exits(0).json();
        assert_eq!((resumed["run_id"].as_str(), resumed["status"].as_str()), (Some(&*id), Some("completed")));

        let world = World::new();
        world.long(200);
        let said = interrupted(&world, &run, sent).exits(130).stderr;
        let listed = world.json(&["runs"]).exits(0).json();
        let id = listed["runs"][0]["run_id"].as_str().unwrap();
        assert!(said.contains(&format!("`enact resume {id}`")), "{said}");
    }
}

#[test]
fn an_error_before_there_is_a_run_names_none() {
    let world = World::new();
    for args in [
        &["run", "none", "--user", "me@example.com"][..],
        &["act", "files.write_file", "--user", "me@example.com"],
        &["act", "files.list_dir", "--user", ""],
    ] {
        let document = world.json(args).exits(2).json();
        assert_eq!(document.as_object().unwrap().keys().collect::<Vec<_>>(), ["error"], "{args:?}");
    }
}
