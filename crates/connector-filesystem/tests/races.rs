//! Case 32: somebody swaps names while actions run. Nothing outside the root is ever read or changed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use std::fs;
use std::os::unix::fs::symlink;

use enact_core::ids::Direction;
use enact_core::{Capture, ErrorCode};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};
use world::{Background, Folder, SECRET, block_on};

/// How often an action is tried at most until both outcomes were seen.
const TRIES: usize = 20_000;

/// Runs an action again and again while two names below the root are swapped, until it has been refused and
/// has succeeded at least `wanted` times each.
fn while_swapping(
    world: &Folder,
    (one, other): (&str, &str),
    wanted: usize,
    action: &str,
    params: &Value,
    look: impl Fn(&Value),
) {
    let (one, other) = (world.path(one), world.path(other));
    let background = Background::new();
    std::thread::scope(|scope| {
        let stop = background.stop_at_the_end();
        scope.spawn(|| {
            while background.goes_on() {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let (mut done, mut refused) = (0, 0);
        block_on(async {
            for _ in 0..TRIES {
                match world.act(action, params.clone()).await {
                    Ok(outcome) => {
                        look(&outcome.output);
                        done += 1;
                    }
                    Err(_) => refused += 1,
                }
                if done >= wanted && refused >= wanted {
                    return;
                }
            }
            panic!("the race was not reached: {done} done, {refused} refused");
        });
        drop(stop);
    });
}

/// `inside` is a folder below the root, `trap` a link to a folder outside with a file of the same name.
fn world_with_a_trap() -> Folder {
    let world = Folder::empty();
    fs::create_dir(world.outside("target")).unwrap();
    fs::write(world.outside("target/f"), SECRET).unwrap();
    fs::create_dir(world.path("inside")).unwrap();
    world.write("inside/f", "inside");
    symlink(world.outside("target"), world.path("trap")).unwrap();
    symlink("../../target/f", world.path("inside/f-trap")).unwrap();
    world
}

fn assert_nothing_outside_was_touched(world: &Folder) {
    let names: Vec<_> = fs::read_dir(world.outside("target")).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(fs::read_to_string(world.outside("target/f")).unwrap(), SECRET);
}

#[test]
fn case_32_a_folder_swapped_for_a_link_does_not_let_reads_out() {
    let world = world_with_a_trap();
    let params = json!({ "path": "inside/f" });
    while_swapping(&world, ("inside", "trap"), 50, "read_file", &params, |read| {
        assert_eq!(read["content"], "inside");
    });
}

#[test]
fn case_32_a_folder_swapped_for_a_link_does_not_let_lists_out() {
    let world = world_with_a_trap();
    let params = json!({ "path": "inside" });
    while_swapping(&world, ("inside", "trap"), 50, "list_dir", &params, |listed| {
        assert_eq!(listed["entries"].as_array().unwrap().len(), 2);
    });
}

#[test]
fn case_32_a_folder_swapped_for_a_link_does_not_let_writes_out() {
    let world = world_with_a_trap();
    for round in 0..10 {
        let params = json!({ "path": format!("inside/new-{round}"), "content": "mine" });
        while_swapping(&world, ("inside", "trap"), 1, "write_file", &params, |_| {});
        let params = json!({ "path": format!("inside/deep-{round}/er/f"), "content": "mine" });
        while_swapping(&world, ("inside", "trap"), 1, "write_file", &params, |_| {});
    }
    assert_nothing_outside_was_touched(&world);
}

#[test]
fn case_32_a_folder_swapped_for_a_link_does_not_let_deletes_out() {
    let world = world_with_a_trap();
    let params = json!({ "path": "inside/f" });
    while_swapping(&world, ("inside", "trap"), 1, "delete_file", &params, |_| {});
    assert_nothing_outside_was_touched(&world);
}

#[test]
fn case_32_a_file_swapped_for_a_link_is_not_followed_out() {
    let world = world_with_a_trap();
    let swap = ("inside/f", "inside/f-trap");
    while_swapping(&world, swap, 50, "read_file", &json!({ "path": "inside/f" }), |read| {
        assert_eq!(read["content"], "inside");
    });
    assert_nothing_outside_was_touched(&world);
}

#[test]
fn what_is_read_is_where_the_path_led_when_policies_were_asked() {
    let world = Folder::empty();
    for folder in ["open", "closed"] {
        fs::create_dir(world.path(folder)).unwrap();
        world.write(&format!("{folder}/f"), folder);
    }
    for (action, params) in
        [("read_file", json!({ "path": "way/f" })), ("list_dir", json!({ "path": "way" }))]
    {
        symlink("open", world.path("way")).unwrap();
        let asked = world.prepare(action, params).unwrap();
        let cx = world.cx_of(Direction::Forward, 1, false);

        let Capture::Ready { facts, ready, .. } = block_on(asked.capture(&cx)).unwrap() else {
            panic!("reading is never done already")
        };
        assert!(facts["real_path"].as_str().unwrap().starts_with("open"), "{facts:?}");
        fs::remove_file(world.path("way")).unwrap();
        symlink("closed", world.path("way")).unwrap();

        let refused = block_on(asked.perform(&cx, ready)).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::PreconditionFailed, "{refused}");
        assert!(refused.is_retryable(), "asked again, it is judged again: {refused}");
        fs::remove_file(world.path("way")).unwrap();
    }
}
