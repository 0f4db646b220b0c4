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
