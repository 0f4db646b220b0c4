//! Killed at every system call that changes something, an action and its undo are settled by probe and undo.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use std::fs;
use std::path::Path;
use std::process::Command;

use enact_core::action::Doubt;
use enact_core::ids::Direction;
use enact_core::json::JsonText;
use enact_core::{Capture, Prepared};
use enact_testkit::kill_points::{KillPoint, Sweep, Swept};
use serde_json::{Value, json};
use world::{Folder, block_on};

/// Set in a child process: where it works.
const CHILD: &str = "ENACT_TEST_CRASH_CHILD";

fn scenarios() -> [(&'static str, &'static str, Value); 5] {
    [
        ("replace", "write_file", json!({ "path": "docs/a.txt", "content": "new", "mode": "0755" })),
        ("create", "write_file", json!({ "path": "docs/new.txt", "content": "new" })),
        ("create_deep", "write_file", json!({ "path": "docs/x/y/z.txt", "content": "new" })),
        ("delete", "delete_file", json!({ "path": "docs/a.txt" })),
        ("delete_link", "delete_file", json!({ "path": "link" })),
    ]
}

fn scenario(name: &str) -> (&'static str, Value) {
    let (_, action, params) = scenarios().into_iter().find(|(known, ..)| *known == name).unwrap();
    (action, params)
}

/// The pre-state, written as the log would have it before anything is performed.
fn record(base: &Path, name: &str, pre: &JsonText) {
    fs::write(base.join("writing"), pre.as_str()).unwrap();
    fs::rename(base.join("writing"), base.join(name)).unwrap();
}

fn recorded(base: &Path, name: &str) -> Option<JsonText> {
    fs::read_to_string(base.join(name)).ok().map(|text| JsonText::parse(&text).unwrap())
}

/// What the child does: the action, and then its undo where that is what is tested.
async fn child(base: &Path, name: &str, and_undo: bool) {
    let world = Folder::at(base, |files| files);
    let (action, params) = scenario(name);
    let action = world.prepare(action, params).unwrap();
    let pre = intend_and_perform(&world, &action, base, "pre.json", Direction::Forward).await;
    if and_undo {
        let undo = world.undo_of(&action, &pre);
        intend_and_perform(&world, &undo, base, "undo.json", Direction::Undo).await;
    }
}

async fn intend_and_perform(
    world: &Folder,
    action: &Prepared,
    base: &Path,
    file: &str,
    direction: Direction,
) -> JsonText {
    let cx = world.cx_of(direction, 1, false);
    let Capture::Ready { pre, ready, .. } = action.capture(&cx).await.unwrap() else { panic!("not ready") };
    record(base, file, &pre);
    action.perform(&cx, ready).await.unwrap();
    pre
}

/// Runs this very test in a child process, killed at every point.
fn sweep(test: &str, and_undo: bool, check: impl Fn(&Path, &Folder, &Prepared)) {
    let names: Vec<&str> = scenarios().into_iter().map(|(name, ..)| name).collect();
    if let Some(base) = std::env::var_os(CHILD) {
        let name = fs::read_to_string(Path::new(&base).join("scenario")).unwrap();
        return block_on(child(Path::new(&base), &name, and_undo));
    }
    for name in names {
        let command = |base: &Path| {
            let world = Folder::at(base, |files| files);
            world.fill();
            fs::write(base.join("before"), world.picture()).unwrap();
            fs::write(base.join("scenario"), name).unwrap();
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, base);
            command
        };
        let look = |base: &Path, _: &KillPoint| {
            let world = Folder::at(base, |files| files);
            let (action, params) = scenario(name);
            check(base, &world, &world.prepare(action, params).unwrap());
            assert_eq!(world.picture(), fs::read_to_string(base.join("before")).unwrap(), "{name}");
        };
        let swept = Sweep::default().run(command, look).unwrap();
        assert_order(name, &swept);
    }
}

/// Case 36: what is renamed into place is synced right before, and the folder right after. (The records of the
/// test itself are renamed by path, the connector's files in an open folder.)
fn assert_order(name: &str, swept: &Swept) {
    let calls: Vec<&str> = swept.points.iter().map(|point| point.call).collect();
    let recorded = calls.iter().position(|call| *call == "rename").unwrap();
    assert_eq!(calls[calls.len() - 2..], ["fsync", "exit_group"], "{name}: {calls:?}");
    assert!(calls.len() > recorded + 2, "{name}: killed within the action: {calls:?}");
    for around in calls[recorded..].windows(3).filter(|around| around[1].starts_with("renameat")) {
        // A link has no content of its own to sync.
        assert!(around[0] == "fsync" || name == "delete_link", "{name}: {calls:?}");
        assert_eq!(around[2], "fsync", "{name}: {calls:?}");
        // Only this call can refuse to take the place of a file that has appeared meanwhile.
        assert!(around[1] == "renameat2" || !name.starts_with("create"), "{name}: {calls:?}");
    }
}

#[test]
fn case_36_an_action_killed_at_any_call_is_settled_by_its_probe() {
    let test = "case_36_an_action_killed_at_any_call_is_settled_by_its_probe";
    sweep(test, false, |base, world, action| {
        // Without an intent, nothing may have happened; the sweep compares.
        let Some(pre) = recorded(base, "pre.json") else { return };
        block_on(async {
            let before = fs::read_to_string(base.join("before")).unwrap();
            let cx = world.cx_of(Direction::Forward, 1, false);
            match action.probe(&cx, &pre).await.unwrap() {
                Doubt::NotApplied => assert_eq!(world.picture(), before),
                Doubt::Applied(_) => assert_ne!(world.picture(), before),
                Doubt::Unknown(why) => panic!("{why}"),
            }
            undo(world, action, &pre).await;
        });
    });
}

#[test]
fn an_action_killed_at_any_call_is_undone_without_a_probe() {
    let test = "an_action_killed_at_any_call_is_undone_without_a_probe";
    sweep(test, false, |base, world, action| {
        let Some(pre) = recorded(base, "pre.json") else { return };
        block_on(undo(world, action, &pre));
    });
}

#[test]
fn an_undo_killed_at_any_call_is_settled_by_its_probe_and_done_again() {
    let test = "an_undo_killed_at_any_call_is_settled_by_its_probe_and_done_again";
    sweep(test, true, |base, world, action| {
        let Some(pre) = recorded(base, "pre.json") else { return };
        block_on(async {
            let before = fs::read_to_string(base.join("before")).unwrap();
            if let Some(undo_pre) = recorded(base, "undo.json") {
                let cx = world.cx_of(Direction::Undo, 1, false);
                match world.undo_of(action, &pre).probe(&cx, &undo_pre).await.unwrap() {
                    Doubt::NotApplied => {}
                    Doubt::Applied(_) => assert_eq!(world.picture(), before),
                    Doubt::Unknown(why) => panic!("{why}"),
                }
            }
            undo(world, action, &pre).await;
        });
    });
}

async fn undo(world: &Folder, action: &Prepared, pre: &JsonText) {
    let cx = world.cx_of(Direction::Undo, 2, false);
    world.carry_out(world.undo_of(action, pre), cx).await.unwrap();
}
