//! What a sweep over kill points promises.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::path::Path;
use std::process::Command;

use enact_testkit::kill_points::{KillPoint, Sweep, SweepError};

/// A shell script, run in its scratch folder.
fn shell(script: &'static str) -> impl Fn(&Path) -> Command {
    move |scratch| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).current_dir(scratch);
        command
    }
}

fn names(points: &[KillPoint]) -> Vec<&str> {
    points.iter().map(|point| point.call).collect()
}

fn ignore(_: &Path, _: &KillPoint) {}

#[test]
fn each_kill_leaves_what_came_before_its_call_and_nothing_of_the_call_itself() {
    let seen = std::cell::RefCell::new(Vec::new());
    let swept = Sweep::default()
        .run(shell("umask 077; echo one > a; echo two >> a; echo three > b"), |scratch, _| {
            let read = |name| std::fs::read_to_string(scratch.join(name)).ok();
            seen.borrow_mut().push((read("a"), read("b")));
        })
        .unwrap();

    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        names(&swept.points),
        ["openat", "write", "openat", "write", "openat", "write", "exit_group"],
        "opening creates, the write fills, and the exit is the last point"
    );
    assert_eq!(swept.mutations, 7);
    assert_eq!(
        seen.into_inner(),
        [
            (None, None),
            (some(""), None),
            (some("one\n"), None),
            (some("one\n"), None),
            (some("one\ntwo\n"), None),
            (some("one\ntwo\n"), some("")),
            (some("one\ntwo\n"), some("three\n")),
        ]
    );
}

#[test]
fn kills_reach_the_processes_that_the_command_starts_and_end_them_all() {
    let swept = Sweep::default()
        .run(shell("mkdir first; mkdir second; touch done"), |scratch, point| {
            let made = std::fs::read_dir(scratch).unwrap().count();
            assert_eq!(made, (point.number - 1).min(3), "{point}");
        })
        .unwrap();

    assert_eq!(names(&swept.points[..2]), ["mkdir", "mkdir"]);
    assert_eq!(swept.points[1].subject, "second");
    assert_eq!(swept.points.last().unwrap().call, "exit_group");
}

#[test]
fn kills_reach_the_calls_of_every_thread_although_another_makes_more_of_them() {
    let two_writers = |scratch: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_two-writers"));
        command.current_dir(scratch);
        command
    };
    let swept = Sweep::default()
        .run(two_writers, |scratch, point| {
            let made = std::fs::read_dir(scratch).unwrap().count();
            // The other thread may have been in the middle of the call before.
            assert!(made + 1 == point.number || made + 2 == point.number, "{made} folders at {point}");
        })
        .unwrap();

    assert_eq!(swept.mutations, 22, "20 folders, one more, and the exit");
    assert_eq!(swept.points.len(), 22);
    assert!(swept.points.iter().any(|point| point.subject == "busy-19"));
}

#[test]
fn kills_with_a_stride_visit_fewer_points() {
    let swept = Sweep::default().stride(2).run(shell("mkdir a; mkdir b; mkdir c"), ignore).unwrap();

    let numbers: Vec<usize> = swept.points.iter().map(|point| point.number).collect();
    assert_eq!(numbers, [1, 3]);
}

#[test]
fn more_kills_than_allowed_are_an_error() {
    let error = Sweep::default().at_most(2).run(shell("mkdir a; mkdir b; mkdir c"), ignore).unwrap_err();

    assert!(matches!(error, SweepError::TooMany { at_most: 2 }), "{error}");
}

#[test]
fn a_command_that_fails_without_being_killed_is_an_error_that_shows_what_it_said() {
    let error = Sweep::default().run(shell("mkdir a; echo out of luck >&2; exit 4"), ignore).unwrap_err();
    assert!(error.to_string().contains("out of luck"), "{error}");

    let swept = Sweep::default().exit_code(4).run(shell("mkdir a; exit 4"), ignore).unwrap();
    assert_eq!(names(&swept.points), ["mkdir", "exit_group"]);
}

#[test]
fn a_command_that_does_not_exist_is_an_error_and_not_a_sweep_without_kills() {
    let error = Sweep::default().run(|_| Command::new("/no/such/program"), ignore).unwrap_err();

    assert!(error.to_string().contains("/no/such/program"), "{error}");
}
