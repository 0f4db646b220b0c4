//! `enact store backup` while another process works with the store.

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::World;

#[test]
fn a_store_that_another_process_has_open_is_backed_up_and_the_copy_is_whole() {
    // Given a process that has the store open
    let world = World::new();
    world.act_write("a", "1");
    let mut other = world.command(&["events", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    // It goes on as long as somebody reads it.
    let mut reader = BufReader::new(other.stdout.take().unwrap());
    reader.read_line(&mut first).unwrap();
    assert!(first.contains("RunAccepted"), "{first}");
    world.json(&["runs"]).exits(1);
    // When it is backed up
    world.json(&["store", "backup", "copy"]).exits(0);
    assert!(other.try_wait().unwrap().is_none(), "the other process goes on");
    other.kill().unwrap();
    other.wait().unwrap();
    drop(reader);
    // Then the copy has all that was recorded
    let recorded = world.json(&["events"]).exits(0);
    world.json(&["store", "restore", "copy", "restored"]).exits(0);
    std::fs::rename(world.path("enact-data"), world.path("aside")).unwrap();
    std::fs::rename(world.path("restored"), world.path("enact-data")).unwrap();
    assert_eq!(world.json(&["events"]).exits(0).stdout, recorded.stdout);
    world.json(&["store", "verify"]).exits(0);
}
