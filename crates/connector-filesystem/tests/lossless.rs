//! Whatever was there, whatever was done: undone in reverse order, everything is as it was.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use std::fs;
use std::os::unix::fs::symlink;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use world::{Folder, block_on};

const FOLDERS: [&str; 3] = ["", "a/", "a/b/"];
const NAMES: [&str; 4] = ["x", "y", "z w\n", "ü"];

#[derive(Clone, Debug)]
struct Start {
    path: String,
    kind: StartKind,
}

#[derive(Clone, Debug)]
enum StartKind {
    File { content: Vec<u8>, mode: u32, note: Option<Vec<u8>> },
    Link { target: String },
}

fn path() -> impl Strategy<Value = String> {
    (prop::sample::select(&FOLDERS), prop::sample::select(&NAMES))
        .prop_map(|(folder, name)| format!("{folder}{name}"))
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..40),
        // Around the size at which content moves out of the record.
        1 => (65_535_usize..65_538, any::<u8>()).prop_map(|(size, byte)| vec![byte; size]),
    ]
}

fn start() -> impl Strategy<Value = Start> {
    let mode = prop::sample::select(vec![0o600_u32, 0o644, 0o755, 0o4711, 0o1666, 0o400]);
    let note = prop::option::of(prop::collection::vec(any::<u8>(), 0..9));
    let file =
        (content(), mode, note).prop_map(|(content, mode, note)| StartKind::File { content, mode, note });
    let link = prop::sample::select(vec!["x", "b/x", "../y", "nowhere"])
        .prop_map(|target| StartKind::Link { target: target.to_owned() });
    (path(), prop_oneof![4 => file, 1 => link]).prop_map(|(path, kind)| Start { path, kind })
}

fn action() -> impl Strategy<Value = (&'static str, Value)> {
    let mode = prop::option::of(prop::sample::select(vec!["0600", "0640", "0755", "0444"]));
    let write = (path(), content(), mode).prop_map(|(path, content, mode)| {
        let mut params = json!({ "path": path, "content_base64": STANDARD.encode(content) });
        if let Some(mode) = mode {
            params["mode"] = json!(mode);
        }
        ("write_file", params)
    });
    let delete = path().prop_map(|path| ("delete_file", json!({ "path": path })));
    prop_oneof![3 => write, 2 => delete]
}

fn set_up(world: &Folder, things: &[Start]) {
    for Start { path, kind } in things {
        if world.exists(path) {
            continue;
        }
        fs::create_dir_all(world.path(path).parent().unwrap()).unwrap();
        match kind {
            StartKind::Link { target } => symlink(target, world.path(path)).unwrap(),
            StartKind::File { content, mode, note } => {
                world.write(path, content);
                note.iter().for_each(|note| world.set_xattr(path, "user.note", note));
                world.age(path);
                world.set_mode(path, *mode);
            }
        }
    }
}

proptest! {
    // A failing case prints its input, and its seed is kept beside this file.
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn undone_in_reverse_order_every_tree_is_as_it_was(
        things in prop::collection::vec(start(), 0..6),
        actions in prop::collection::vec(action(), 1..10),
    ) {
        let world = Folder::empty();
        set_up(&world, &things);
        let mut pictures = vec![world.picture()];
        let mut done = Vec::new();
        block_on(async {
            for (action, params) in actions {
                match world.act(action, params).await {
                    Ok(outcome) if !outcome.already => {
                        done.push(outcome);
                        pictures.push(world.picture());
                    }
                    // Refused or already done: nothing has moved.
                    _ => assert_eq!(Some(&world.picture()), pictures.last()),
                }
            }
            for outcome in done.iter().rev() {
                pictures.pop();
                world.undo(outcome, false).await.unwrap();
                assert_eq!(Some(&world.picture()), pictures.last());
            }
        });
    }
}
