//! `enact events`, with and without `--follow`: over kills of the process that follows, and over pruning.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it does not expect")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::World;
use serde_json::{Value, json};

/// Follows from a position, reads so many lines, and is killed. Gives the lines.
fn follow(world: &World, from: u64, lines: usize) -> Vec<String> {
    let args = ["events", "--follow", "--from", &from.to_string()];
    let mut child = world.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let read = BufReader::new(child.stdout.take().unwrap()).lines().take(lines);
    let read: Vec<String> = read.map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(read.len(), lines);
    read
}

fn position(line: &str) -> u64 {
    serde_json::from_str::<Value>(line).unwrap()["position"].as_u64().unwrap()
}

#[test]
fn a_follower_that_is_killed_goes_on_behind_the_last_position_that_it_printed() {
    let world = World::new();
    let (mut followed, mut next) = (Vec::new(), 1);
    for round in 0..5 {
        world.act_write(&format!("f{round}"), "1");
        world.act_write(&format!("g{round}"), "1");
        let lines = follow(&world, next, 3 + round);
        next = position(lines.last().unwrap()) + 1;
        followed.extend(lines);
    }
    followed.extend(
        world.enact(&["events", "--from", &next.to_string()]).exits(0).stdout.lines().map(str::to_owned),
    );
    let all: Vec<_> = world.enact(&["events"]).exits(0).stdout.lines().map(str::to_owned).collect();
    assert_eq!(followed, all);
}

#[test]
fn what_was_pruned_is_said_and_what_was_erased_reads_as_erased() {
    let world = World::new();
    let (old, erased) = (world.act_write("a", "1"), world.act_write("b", "2"));
    // Erasing seals the volume.
    world.json(&["erase", &erased]).exits(0);
    let lines = |args: &[&str]| -> Vec<Value> {
        let gave = world.enact(&[&["events"], args].concat()).exits(0);
        gave.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let of_erased = lines(&[&erased]);
    assert_eq!(of_erased[0]["kind"], "PayloadErased");
    assert_eq!(of_erased[0]["data"], json!({ "was": "RunAccepted" }));
    let last = of_erased.last().unwrap();
    assert_eq!(last["kind"], "ContentErased");

    world.json(&["store", "prune", "--older-than", "0"]).exits(0);
    world.act_write("c", "3");
    let all = lines(&[]);
    assert_eq!(all[0], json!({ "type": "pruned", "first": 1, "position": last["position"] }));
    assert_eq!(all[1]["kind"], "RunAccepted");
    assert_eq!(lines(&["--from", "3"])[0]["first"], 3);
    let followed = follow(&world, 1, all.len());
    assert_eq!(serde_json::from_str::<Value>(&followed[0]).unwrap(), all[0]);
    world.json(&["events", &old]).exits(2);
}
