//! The examples do what they say: each is run, and each checks itself.

#![cfg(all(feature = "filesystem", unix))]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::env;
use std::process::Command;

/// Runs an example and gives what it printed. Cargo builds examples with the tests, beside their folder.
fn run(example: &str) -> String {
    let own = env::current_exe().unwrap();
    let binary = own.parent().unwrap().parent().unwrap().join("examples").join(example);
    assert!(
        binary.exists(),
        "{} is not built; run all tests of the package, or `cargo build --examples` before",
        binary.display()
    );
    let ended = Command::new(binary).output().unwrap();
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{printed}\n{}", String::from_utf8_lossy(&ended.stderr));
    printed
}

#[test]
fn embed_is_refused_what_is_not_allowed_and_rolled_back() {
    let printed = run("embed");
    assert!(printed.contains("Action 'list_dir' not in allowlist"), "{printed}");
    assert!(printed.contains("the rollback rolled_back"), "{printed}");
}

#[test]
fn an_own_connector_finds_a_conflict_and_is_undone_by_force() {
    let printed = run("own_connector");
    assert!(printed.contains("action 2: conflict"), "{printed}");
    assert!(printed.contains("the rollback by force rolled_back"), "{printed}");
}

#[test]
fn a_run_that_is_killed_between_an_effect_and_its_record_is_resumed() {
    let printed = run("crash_and_resume");
    assert!(printed.contains("it was killed: signal Some(9)"), "{printed}");
    assert!(printed.contains("the probe of action 2: Applied"), "{printed}");
}

#[test]
fn an_own_connector_takes_less_than_a_hundred_lines() {
    let lines = include_str!("../examples/own_connector/register.rs").lines().count();
    assert!(lines < 100, "{lines} lines");
}
