//! The filesystem's part of the cases that break others, and what each action promises beside them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use enact_core::action::Doubt;
use enact_core::error::Remains;
use enact_core::ids::Direction;
use enact_core::{Capture, ErrorCode};
use serde_json::{Value, json};
use world::{Background, Folder, SECRET, block_on};

fn code<T: std::fmt::Debug>(outcome: Result<T, enact_core::Error>) -> ErrorCode {
    let error = outcome.unwrap_err();
    assert_eq!(error.remains(), Remains::Nothing, "nothing was touched, so the error says so: {error}");
    error.code()
}

// Case 32 is a race: see races.rs.

#[tokio::test]
async fn case_32_no_path_and_no_link_leads_out_of_the_root() {
    let world = Folder::empty();
    symlink(world.outside("secret.txt"), world.path("absolute")).unwrap();
    symlink("../secret.txt", world.path("up")).unwrap();
    symlink("..", world.path("parent")).unwrap();
    symlink("parent/secret.txt", world.path("chain")).unwrap();
    symlink("loop", world.path("loop")).unwrap();
    let before = world.picture();
    for path in ["../secret.txt", "/etc/passwd", "a/../../secret.txt", ""] {
        for (action, params) in [
            ("read_file", json!({ "path": path })),
            ("write_file", json!({ "path": path, "content": "x" })),
            ("delete_file", json!({ "path": path })),
        ] {
            assert_eq!(
                code(world.act(action, params).await),
                ErrorCode::InvalidParameters,
                "{action} {path}"
            );
        }
    }
    for path in ["absolute", "up", "chain", "parent/secret.txt", "parent/root/new.txt"] {
        assert_eq!(
            code(world.act("read_file", json!({ "path": path })).await),
            ErrorCode::Forbidden,
            "{path}"
        );
        let write = world.act("write_file", json!({ "path": path, "content": "x" })).await;
        assert!(matches!(code(write), ErrorCode::Forbidden | ErrorCode::PreconditionFailed), "{path}");
    }
    assert_eq!(code(world.act("list_dir", json!({ "path": "parent" })).await), ErrorCode::Forbidden);
    assert_eq!(code(world.act("read_file", json!({ "path": "loop" })).await), ErrorCode::PreconditionFailed);
    assert_eq!(world.picture(), before);
    assert_eq!(fs::read_to_string(world.outside("secret.txt")).unwrap(), SECRET);
}

#[tokio::test]
async fn links_that_stay_below_the_root_are_followed_by_reads_and_among_folders() {
    let world = Folder::with_some_files();
    symlink("docs", world.path("alias")).unwrap();
    symlink("../alias/a.txt", world.path("docs/round")).unwrap();
    for path in ["link", "alias/a.txt", "alias/round"] {
        let read = world.act("read_file", json!({ "path": path })).await.unwrap();
        assert_eq!(read.output["content"], "old\r\n", "{path}");
    }
    let before = world.picture();
    let done = world.act("write_file", json!({ "path": "alias/new/b.txt", "content": "x" })).await.unwrap();
    assert_eq!(done.pre.value()["path"], "docs/new/b.txt", "the record names the real path");
    assert_eq!(world.read("docs/new/b.txt"), b"x");
    world.undo(&done, false).await.unwrap();
    assert_eq!(world.picture(), before);
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_since_is_not_followed_by_undo() {
    let world = Folder::with_some_files();
    fs::create_dir(world.path("other")).unwrap();
    symlink("docs", world.path("alias")).unwrap();
    let done = world.act("write_file", json!({ "path": "alias/n.txt", "content": "x" })).await.unwrap();
    // The folder becomes a link to one in which the same file stands.
    fs::rename(world.path("docs"), world.path("moved")).unwrap();
    symlink("moved", world.path("docs")).unwrap();
    let disturbed = world.picture();
    assert_eq!(code(world.undo(&done, false).await), ErrorCode::Conflict);
    assert_eq!(world.picture(), disturbed);
}

#[tokio::test]
async fn writing_through_a_link_is_refused_because_another_path_was_judged() {
    let world = Folder::with_some_files();
    let before = world.picture();
    let write = world.act("write_file", json!({ "path": "link", "content": "x" })).await;
    assert_eq!(code(write), ErrorCode::PreconditionFailed);
    assert_eq!(world.picture(), before);
}

#[tokio::test]
async fn case_33_deleting_a_link_never_deletes_what_it_leads_to() {
    let world = Folder::with_some_files();
    symlink(world.outside("secret.txt"), world.path("out")).unwrap();
    symlink("nowhere", world.path("dangling")).unwrap();
    let before = world.picture();
    let mut done = Vec::new();
    for path in ["link", "out", "dangling"] {
        done.push(world.act("delete_file", json!({ "path": path })).await.unwrap());
        assert!(!world.exists(path));
        assert_eq!(done.last().unwrap().output, json!({ "path": path, "sha256": null }));
    }
    assert_eq!(world.read("docs/a.txt"), b"old\r\n");
    assert_eq!(fs::read_to_string(world.outside("secret.txt")).unwrap(), SECRET);
    for done in done.iter().rev() {
        world.undo(done, false).await.unwrap();
    }
    assert_eq!(world.picture(), before);
}

#[tokio::test]
async fn case_34_crlf_and_binary_come_back_as_they_were() {
    let world = Folder::empty();
    let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let crlf = b"one\r\ntwo\nthree\r";
    world.write("binary", &binary);
    world.write("crlf", crlf);
    let before = world.picture();
    let over = world.act("write_file", json!({ "path": "binary", "content": "a\r\nb" })).await.unwrap();
    assert_eq!(world.read("binary"), b"a\r\nb");
    let base64 = json!({ "path": "crlf", "content_base64": STANDARD.encode(&binary) });
    let second = world.act("write_file", base64).await.unwrap();
    assert_eq!(world.read("crlf"), binary);
    let read = world.act("read_file", json!({ "path": "crlf", "encoding": "base64" })).await.unwrap();
    assert_eq!(STANDARD.decode(read.output["content"].as_str().unwrap()).unwrap(), binary);
    world.undo(&second, false).await.unwrap();
    world.undo(&over, false).await.unwrap();
    assert_eq!(world.picture(), before);
    let read = world.act("read_file", json!({ "path": "crlf" })).await.unwrap();
    assert_eq!(read.output["content"].as_str().unwrap().as_bytes(), crlf);
}

#[tokio::test]
async fn case_35_mode_owner_time_and_attributes_survive_a_write_and_its_undo() {
    let world = Folder::with_some_files();
    world.set_mode("docs/a.txt", 0o6751);
    world.age("docs/a.txt");
    let before = world.picture();
    let done = world.act("write_file", json!({ "path": "docs/a.txt", "content": "new" })).await.unwrap();
    assert_eq!(world.mode("docs/a.txt"), 0o6751, "a replaced file keeps its mode");
    assert!(world.picture().contains("user.note"), "and its attributes");
    world.undo(&done, false).await.unwrap();
    assert_eq!(world.picture(), before);
}

#[tokio::test]
async fn case_35_folders_that_the_action_made_are_removed_and_others_are_not() {
    let world = Folder::with_some_files();
    let before = world.picture();
    let write = |path: &str| json!({ "path": path, "content": "x" });
    let done = world.act("write_file", write("new/a/b.txt")).await.unwrap();
    world.undo(&done, false).await.unwrap();
    assert_eq!(world.picture(), before);

    let done = world.act("write_file", write("new/a/b.txt")).await.unwrap();
    world.write("new/theirs.txt", "somebody's");
    world.undo(&done, false).await.unwrap();
    assert!(world.exists("new/theirs.txt"), "what somebody put there stays");
    assert!(!world.exists("new/a"), "what is empty goes");
}

#[test]
fn case_36_a_reader_never_sees_a_part_of_a_write() {
    let world = Folder::empty();
    let contents = ["a".repeat(300_000), "b".repeat(200_000)];
    world.write("f", &contents[0]);
    let (path, reads) = (world.path("f"), AtomicUsize::new(0));
    let background = Background::new();
    std::thread::scope(|scope| {
        let stop = background.stop_at_the_end();
        scope.spawn(|| {
            while background.goes_on() {
                let seen = fs::read_to_string(&path).unwrap();
                assert!(contents.contains(&seen), "{} bytes of a mixture", seen.len());
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
        block_on(async {
            let mut round = 0;
            while round < 20 || reads.load(Ordering::Relaxed) < 20 {
                round += 1;
                let params = json!({ "path": "f", "content": contents[round % 2] });
                world.act("write_file", params).await.unwrap();
            }
        });
        drop(stop);
    });
}

// That a write is also synced, in the right order, is shown in crash.rs.

#[tokio::test]
async fn case_37_undo_leaves_what_a_person_has_edited_since() {
    let world = Folder::with_some_files();
    let created = world.act("write_file", json!({ "path": "new.txt", "content": "x" })).await.unwrap();
    let replaced = world.act("write_file", json!({ "path": "docs/a.txt", "content": "x" })).await.unwrap();
    let deleted = world.act("delete_file", json!({ "path": "b.txt" })).await.unwrap();
    for path in ["new.txt", "docs/a.txt", "b.txt"] {
        world.write(path, "a person's");
    }
    let disturbed = world.picture();
    for done in [&created, &replaced, &deleted] {
        let error = world.undo(done, false).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Conflict);
        assert!(error.message().contains("a file of 10 bytes"), "says what is there: {error}");
    }
    assert_eq!(world.picture(), disturbed);
}

#[tokio::test]
async fn force_keeps_what_it_overwrites_in_the_record() {
    let world = Folder::with_some_files();
    let before = world.picture();
    let done = world.act("write_file", json!({ "path": "docs/a.txt", "content": "x" })).await.unwrap();
    world.write("docs/a.txt", "a person's");
    let undone = world.undo(&done, true).await.unwrap();
    assert_eq!(world.picture(), before);
    let kept = undone.pre.value()["overwrites"]["content"]["base64"].as_str().unwrap().to_owned();
    assert_eq!(STANDARD.decode(kept).unwrap(), b"a person's");
}

#[tokio::test]
async fn force_makes_the_folder_again_and_never_replaces_one() {
    let world = Folder::with_some_files();
    let done = world.act("delete_file", json!({ "path": "docs/a.txt" })).await.unwrap();
    fs::remove_dir(world.path("docs")).unwrap();
    assert_eq!(code(world.undo(&done, false).await), ErrorCode::Conflict);
    world.undo(&done, true).await.unwrap();
    assert_eq!(world.read("docs/a.txt"), b"old\r\n");

    let done = world.act("delete_file", json!({ "path": "docs/a.txt" })).await.unwrap();
    fs::create_dir(world.path("docs/a.txt")).unwrap();
    // Not a conflict, which force would override.
    for force in [false, true] {
        assert_eq!(code(world.undo(&done, force).await), ErrorCode::PreconditionFailed);
    }
}

#[tokio::test]
async fn already_done_is_seen_before_anything_is_touched() {
    let world = Folder::with_some_files();
    let before = world.picture();
    for (action, params) in [
        ("write_file", json!({ "path": "docs/a.txt", "content": "old\r\n" })),
        ("write_file", json!({ "path": "docs/a.txt", "content": "old\r\n", "mode": "0640" })),
        ("delete_file", json!({ "path": "docs/none.txt" })),
        ("delete_file", json!({ "path": "none/none.txt" })),
    ] {
        let done = world.act(action, params).await.unwrap();
        assert!(done.already, "{action}");
    }
    assert_eq!(world.picture(), before);
    let other_mode = json!({ "path": "docs/a.txt", "content": "old\r\n", "mode": "0600" });
    assert!(!world.act("write_file", other_mode).await.unwrap().already);
}

#[tokio::test]
async fn a_change_between_capture_and_perform_stops_the_action() {
    for (action, params) in [
        ("write_file", json!({ "path": "docs/a.txt", "content": "x" })),
        ("write_file", json!({ "path": "docs/none.txt", "content": "x" })),
        ("write_file", json!({ "path": "new/a.txt", "content": "x" })),
        ("delete_file", json!({ "path": "docs/a.txt" })),
    ] {
        let world = Folder::with_some_files();
        let action = world.prepare(action, params).unwrap();
        let cx = world.cx_of(Direction::Forward, 1, false);
        let Capture::Ready { ready, .. } = action.capture(&cx).await.unwrap() else { panic!("not ready") };
        fs::create_dir(world.path("new")).unwrap();
        world.write("docs/a.txt", "a person's");
        world.write("docs/none.txt", "a person's");
        let disturbed = world.picture();
        let error = action.perform(&cx, ready).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::PreconditionFailed, true), "{action:?}");
        assert_eq!(error.remains(), Remains::Nothing);
        assert_eq!(world.picture(), disturbed);
    }
}

#[tokio::test]
async fn a_third_state_is_neither_applied_nor_not_applied() {
    let world = Folder::with_some_files();
    let action = world.prepare("write_file", json!({ "path": "docs/a.txt", "content": "x" })).unwrap();
    let cx = world.cx_of(Direction::Forward, 1, false);
    let Capture::Ready { pre, .. } = action.capture(&cx).await.unwrap() else { panic!("not ready") };
    world.write("docs/a.txt", "a person's");
    match action.probe(&cx, &pre).await.unwrap() {
        Doubt::Unknown(seen) => assert!(seen.contains("10 bytes"), "says what was seen: {seen}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn pipes_and_devices_are_refused_without_waiting() {
    let world = Folder::empty();
    let fifo = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(rustix::fs::CWD, world.path("pipe"), fifo, mode, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(world.path("socket")).unwrap();
    let before = world.picture();
    for path in ["pipe", "socket"] {
        for (action, params) in [
            ("read_file", json!({ "path": path })),
            ("write_file", json!({ "path": path, "content": "x" })),
            ("delete_file", json!({ "path": path })),
            ("read_file", json!({ "path": format!("{path}/below") })),
        ] {
            let refused = world.act(action, params).await;
            assert_eq!(code(refused), ErrorCode::PreconditionFailed, "{action} {path}");
        }
    }
    let listed = world.act("list_dir", json!({})).await.unwrap().output;
    assert_eq!(listed["entries"][0], json!({ "name": "pipe", "kind": "other", "size": 0 }));
    assert_eq!(world.picture(), before);

    // Nothing but reads: these are the machine's own.
    let scratch = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev", scratch.path().join("root")).unwrap();
    let devices = Folder::at(scratch.path(), |files| files);
    for device in ["null", "zero", "full"] {
        assert!(devices.path(device).exists(), "{device}");
        let refused = devices.act("read_file", json!({ "path": device })).await;
        assert_eq!(code(refused), ErrorCode::PreconditionFailed, "{device}");
    }
}

#[tokio::test]
async fn folders_are_not_files() {
    let world = Folder::with_some_files();
    for (action, params) in [
        ("read_file", json!({ "path": "docs" })),
        ("write_file", json!({ "path": "docs", "content": "x" })),
        ("write_file", json!({ "path": "b.txt/c", "content": "x" })),
        ("delete_file", json!({ "path": "docs" })),
        ("list_dir", json!({ "path": "b.txt" })),
    ] {
        assert_eq!(code(world.act(action, params).await), ErrorCode::PreconditionFailed, "{action}");
    }
    assert_eq!(code(world.act("read_file", json!({ "path": "none" })).await), ErrorCode::NotFound);
    assert_eq!(code(world.act("list_dir", json!({ "path": "none" })).await), ErrorCode::NotFound);
}

#[tokio::test]
async fn one_of_several_hard_links_is_left_alone() {
    let world = Folder::with_some_files();
    fs::hard_link(world.path("b.txt"), world.path("same.txt")).unwrap();
    let before = world.picture();
    let write = world.act("write_file", json!({ "path": "b.txt", "content": "x" })).await;
    assert!(write.as_ref().unwrap_err().message().contains("hard links"));
    assert_eq!(code(write), ErrorCode::PreconditionFailed);
    assert_eq!(
        code(world.act("delete_file", json!({ "path": "b.txt" })).await),
        ErrorCode::PreconditionFailed
    );
    assert_eq!(world.picture(), before);
    assert_eq!(fs::metadata(world.path("b.txt")).unwrap().nlink(), 2);
}

#[tokio::test]
async fn odd_names_are_names_like_others() {
    let world = Folder::empty();
    let before = world.picture();
    let long = "n".repeat(255);
    let names = ["new\nline", "ünï/çødé 漢字", " ", "-rf", "a\\b", "...", "*?\"'$(id)", long.as_str()];
    let mut done = Vec::new();
    for name in names {
        done.push(world.act("write_file", json!({ "path": name, "content": name })).await.unwrap());
        let read = world.act("read_file", json!({ "path": name })).await.unwrap();
        assert_eq!(read.output["content"], name);
    }
    for done in done.iter().rev() {
        world.undo(done, false).await.unwrap();
    }
    assert_eq!(world.picture(), before);
    let too_long = json!({ "path": "n".repeat(256), "content": "x" });
    assert_eq!(code(world.act("write_file", too_long).await), ErrorCode::InvalidParameters);
}

#[tokio::test]
async fn a_name_that_is_not_utf8_is_listed_with_its_bytes() {
    let world = Folder::empty();
    fs::write(world.root().join(std::ffi::OsStr::from_bytes(b"bad\xff")), "x").unwrap();
    let listed = world.act("list_dir", json!({})).await.unwrap().output;
    let expected = json!({ "name": "bad\u{fffd}", "name_base64": "YmFk/w==", "kind": "file", "size": 1 });
    assert_eq!(listed["entries"], json!([expected]));
}

#[tokio::test]
async fn list_dir_sorts_and_tells_kinds_and_sizes() {
    let world = Folder::with_some_files();
    let listed = world.act("list_dir", json!({})).await.unwrap().output;
    let expected = json!({ "entries": [
        { "name": "b.txt", "kind": "file", "size": 0 },
        { "name": "docs", "kind": "dir", "size": 0 },
        { "name": "link", "kind": "symlink", "size": 10 },
    ] });
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn a_folder_over_the_limit_is_an_error_and_not_a_part_of_a_list() {
    let world = Folder::empty();
    for number in 0..10_000 {
        fs::File::create(world.path(&number.to_string())).unwrap();
    }
    let all = world.act("list_dir", json!({})).await.unwrap().output;
    assert_eq!(all["entries"].as_array().unwrap().len(), 10_000);
    world.write("one more", "");
    let error = world.act("list_dir", json!({})).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidParameters);
    assert!(error.message().contains("10000"), "says the limit: {error}");
}

#[tokio::test]
async fn read_file_keeps_to_its_limit_and_its_encoding() {
    let world = Folder::of(|files| files.max_read_bytes(4));
    world.write("four", "1234");
    world.write("five", "12345");
    world.write("bytes", b"\xff\xfe");
    let four = world.act("read_file", json!({ "path": "four" })).await.unwrap().output;
    let sha256 = "03ac674216f3e15c761ee1a5e255f067953623c8b388b4459e13f978d7c846f4";
    assert_eq!(four, json!({ "content": "1234", "sha256": sha256, "size": 4 }));
    for path in ["five", "bytes"] {
        let read = world.act("read_file", json!({ "path": path })).await;
        assert_eq!(code(read), ErrorCode::InvalidParameters, "{path}");
    }
    let bytes = world.act("read_file", json!({ "path": "bytes", "encoding": "base64" })).await.unwrap();
    assert_eq!(bytes.output["content"], "//4=");
}

#[tokio::test]
async fn policies_are_told_what_parameters_do_not_tell() {
    let world = Folder::with_some_files();
    symlink("docs", world.path("alias")).unwrap();
    let facts = async |action: &str, params: Value| {
        let action = world.prepare(action, params).unwrap();
        let cx = world.cx_of(Direction::Forward, 1, false);
        match action.capture(&cx).await.unwrap() {
            Capture::Ready { facts, .. } => Value::Object(facts),
            Capture::AlreadyDone(_) => panic!("already done"),
        }
    };
    let write = facts("write_file", json!({ "path": "alias/a.txt", "content": "123" })).await;
    assert_eq!(
        write,
        json!({ "exists": true, "real_path": "docs/a.txt", "is_symlink": false, "size": 5, "mode": "0640",
                "new_size": 3, "created_directories": 0 })
    );
    let new = facts("write_file", json!({ "path": "x/y/z", "content": "" })).await;
    assert_eq!((&new["exists"], &new["created_directories"]), (&json!(false), &json!(2)));
    let delete = facts("delete_file", json!({ "path": "link" })).await;
    assert_eq!((&delete["is_symlink"], &delete["real_path"]), (&json!(true), &json!("link")));
    assert_eq!(facts("read_file", json!({ "path": "link" })).await["real_path"], "docs/a.txt");
}

#[tokio::test]
async fn two_spellings_of_a_path_are_one_target_and_one_lock() {
    let world = Folder::empty();
    let one = world.prepare("write_file", json!({ "path": "a/./b//c", "content": "" })).unwrap();
    let other = world.prepare("delete_file", json!({ "path": "x/../a/b/c" })).unwrap();
    assert_eq!(one.lock(), other.lock());
    assert_eq!(one.target(), other.target());
    assert_eq!(one.params().value()["path"], "a/b/c", "policies and the record see the one spelling");
}

#[tokio::test]
async fn the_identity_is_the_folder_itself() {
    let (one, other) = (Folder::empty(), Folder::empty());
    let identity = one.toolbox().identity().await.unwrap();
    assert_ne!(identity, other.toolbox().identity().await.unwrap());
    let inode = fs::metadata(one.root()).unwrap().ino();
    assert!(identity.0.contains(&format!("inode {inode}")), "{identity:?}");
}

#[tokio::test]
async fn no_action_gives_setuid_setgid_or_the_sticky_bit_and_an_undo_gives_them_back() {
    let world = Folder::with_some_files();
    for mode in ["4755", "2755", "1777", "7777"] {
        let params = json!({ "path": "docs/a.txt", "content": "new", "mode": mode });
        let error = world.act("write_file", params).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidParameters);
        assert!(error.message().contains("'mode'") && error.message().contains(mode), "{error}");
    }
    world.set_mode("docs/a.txt", 0o6751);
    let before = world.picture();
    let params = json!({ "path": "docs/a.txt", "content": "new", "mode": "0755" });
    let done = world.act("write_file", params).await.unwrap();
    assert_eq!(world.mode("docs/a.txt"), 0o755);
    world.undo(&done, false).await.unwrap();
    assert_eq!(world.picture(), before);
    let done = world.act("delete_file", json!({ "path": "docs/a.txt" })).await.unwrap();
    world.undo(&done, false).await.unwrap();
    assert_eq!(world.picture(), before);
}

#[tokio::test]
async fn a_write_protected_file_is_deleted_and_comes_back_write_protected() {
    let world = Folder::with_some_files();
    world.set_mode("docs/a.txt", 0o444);
    let before = world.picture();
    let done = world.act("delete_file", json!({ "path": "docs/a.txt" })).await.unwrap();
    assert!(!world.path("docs/a.txt").exists());
    world.undo(&done, false).await.unwrap();
    assert_eq!(world.picture(), before);
}
