//! Backups by the command, and what it says of folders and stores that are not what they should be.

mod common;

use std::fs;
use std::process::Stdio;

use common::{World, signal};
use rustix::process::Signal;

#[test]
fn a_backup_is_taken_beside_a_run_that_is_under_way() {
    let world = World::new();
    let before = world.act_write("a", "1");
    world.long(900);
    let args = ["run", "long", "--user", "me@example.com"];
    let mut run = world.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !world.path("workspace/d2").exists() {
        assert_eq!(run.try_wait().unwrap(), None, "it begins to write");
        std::thread::yield_now();
    }
    // While it writes, and while it is held in the middle of that.
    world.json(&["store", "backup", "live"]).exits(0);
    signal(&run, Signal::STOP);
    let held = world.json(&["store", "backup", "copy"]);
    let refused = world.json(&["store", "backup", "copy"]);
    signal(&run, Signal::CONT);
    assert_eq!(held.exits(0).json()["beside"], true);
    assert!(refused.exits(2).error().1.contains("has to be empty"));
    assert_eq!(run.wait().unwrap().code(), Some(0), "the run was not disturbed");

    world.json(&["store", "restore", "live", "restored"]).exits(0);
    fs::remove_dir_all(world.path("enact-data")).unwrap();
    world.json(&["store", "restore", "copy", "enact-data"]).exits(0);
    world.json(&["store", "verify"]).exits(0);
    assert_eq!(world.json(&["show", &before]).exits(0).json()["status"], "completed");
}

#[test]
fn a_folder_that_cannot_be_used_is_a_mistake_in_what_was_asked_for() {
    let world = World::new();
    world.act_write("a", "1");
    world.json(&["store", "backup", "copy"]).exits(0);
    for (args, says) in [
        (["store", "restore", "/nope", "r"], "/nope"),
        (["store", "restore", "copy", "enact-data"], "has to be empty"),
        (["store", "restore", "copy", "no/such"], "no is no folder"),
    ] {
        let (code, message) = world.json(&args).exits(2).error();
        assert!(code == "invalid_parameters" && message.contains(says), "{code}: {message}");
    }
    for (to, says) in
        [("copy", "has to be empty"), ("enact-data/volumes/copy", "inside"), ("enact-data", "inside")]
    {
        let (_, message) = world.json(&["store", "backup", to]).exits(2).error();
        assert!(message.contains(says), "{message}");
    }
    fs::remove_file(world.path("copy/store")).unwrap();
    let (_, message) = world.json(&["store", "backup", "copy"]).exits(2).error();
    assert!(message.contains("remove the folder"), "{message}");
    assert!(!world.path("enact-data/volumes/copy").exists());
}

#[test]
fn case_52_a_rollback_whose_blob_is_gone_says_so_and_verifying_finds_it() {
    let world = World::new();
    world.write("workspace/large", &"x".repeat(200_000));
    let run = world.act_write("large", "small");
    let blobs = world.path("enact-data/blobs");
    let fan = fs::read_dir(&blobs).unwrap().next().unwrap().unwrap().path();
    let blob = fs::read_dir(fan).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&blob).unwrap();
    let name = blob.file_name().unwrap().to_str().unwrap();

    for args in [["store", "verify"].as_slice(), &["store", "backup", "copy"]] {
        let (_, message) = world.json(args).exits(6).error();
        assert!(message.contains(name) && message.contains("restore it from a backup"), "{message}");
    }
    let gave = world.json(&["rollback", &run]).exits(6);
    assert!(gave.stdout.contains(name) && gave.stdout.contains("restore it from a backup"), "{gave:?}");
    assert_eq!(world.read("workspace/large"), "small");
}

#[test]
fn case_52_files_of_the_store_that_are_gone_are_corrupt() {
    for gone in ["journal", "store"] {
        let world = World::new();
        world.act_write("a", "1");
        fs::rename(world.path("enact-data").join(gone), world.path("gone")).unwrap();
        for args in [
            ["runs"].as_slice(),
            &["store", "verify"],
            &["act", "files.list_dir", "--user", "me@example.com"],
        ] {
            world.json(args).exits(6);
        }
    }
}
