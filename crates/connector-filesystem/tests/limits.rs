//! Where the system says no: full disk, no permission, read-only; and files larger than memory should be.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use enact_core::action::Doubt;
use enact_core::blob::{BlobRef, BlobStore};
use enact_core::error::Remains;
use enact_core::ids::Direction;
use enact_core::{Capture, ErrorCode};
use enact_store::MemoryBlobs;
use parking_lot::Mutex;
use serde_json::json;
use sha2::{Digest, Sha256};
use world::{Folder, block_on};

/// Set in a child process: where it works.
const CHILD: &str = "ENACT_TEST_LIMITS_CHILD";
const MIB: u64 = 1 << 20;

/// Runs a test of this file again in a process of its own.
fn again(before: &[&str], test: &str, base: &Path) {
    let exe = std::env::current_exe().unwrap();
    let mut words = before.iter().map(std::ffi::OsStr::new).chain([exe.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", test, "--nocapture"]).env(CHILD, base);
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{}\n{said}", String::from_utf8_lossy(&output.stdout));
}

fn child() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// Blobs in files, streamed.
#[derive(Debug)]
struct FileBlobs(PathBuf);

impl BlobStore for FileBlobs {
    fn put(&self, content: &mut dyn Read) -> io::Result<BlobRef> {
        let (mut hasher, mut size, mut chunk) = (Sha256::new(), 0, vec![0; 1 << 16]);
        let mut file = File::create(self.0.join("new"))?;
        loop {
            let read = content.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            hasher.update(&chunk[..read]);
            file.write_all(&chunk[..read])?;
            size += read as u64;
        }
        let sha256 = format!("{:x}", hasher.finalize());
        fs::rename(self.0.join("new"), self.0.join(&sha256))?;
        Ok(BlobRef { sha256, size })
    }

    fn open(&self, blob: &BlobRef) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.0.join(&blob.sha256))?))
    }
}

#[test]
fn a_large_file_is_replaced_deleted_and_restored_in_bounded_memory() {
    const SIZE: u64 = 256 * MIB;
    const MEMORY: u64 = 48 * MIB;
    let Some(base) = child() else {
        let base = tempfile::tempdir().unwrap();
        let test = "a_large_file_is_replaced_deleted_and_restored_in_bounded_memory";
        return again(&[], test, base.path());
    };
    let blobs = base.join("blobs");
    fs::create_dir(&blobs).unwrap();
    let world = Folder::at(&base, |files| files).with_blobs(FileBlobs(blobs));
    let file = File::create(world.path("large")).unwrap();
    file.set_len(SIZE).unwrap();
    drop(file);
    world.age("large");
    block_on(async {
        let replaced = world.act("write_file", json!({ "path": "large", "content": "small" })).await.unwrap();
        assert_eq!(world.read("large"), b"small");
        world.undo(&replaced, false).await.unwrap();
        let deleted = world.act("delete_file", json!({ "path": "large" })).await.unwrap();
        world.undo(&deleted, false).await.unwrap();
        assert_eq!(fs::metadata(world.path("large")).unwrap().len(), SIZE);
    });
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("peak memory: {peak} kB");
    assert!(peak * 1024 < MEMORY, "{peak} kB at most were used for {SIZE} bytes");
}

#[test]
fn a_full_disk_leaves_everything_as_it_was() {
    let test = "a_full_disk_leaves_everything_as_it_was";
    let Some(base) = child() else {
        let base = tempfile::tempdir().unwrap();
        return in_a_mount(test, base.path(), "size=1m");
    };
    let world = Folder::at(&base, |files| files);
    world.write("small", "small");
    let content = "x".repeat(2 << 20);
    block_on(async {
        for path in ["small", "new", "deep/er/new"] {
            let before = world.picture();
            let error =
                world.act("write_file", json!({ "path": path, "content": content })).await.unwrap_err();
            assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Unavailable, true), "{error}");
            assert_eq!(error.remains(), Remains::Nothing, "{error}");
            assert!(error.message().contains("disk is full"), "{error}");
            assert_eq!(world.picture(), before);
        }
        let done = world.act("write_file", json!({ "path": "small", "content": "fits" })).await.unwrap();
        // Somebody else fills the disk.
        fs::write(world.path("filler"), &content).unwrap_err();
        let error = world.undo(&done, false).await.unwrap_err();
        assert_eq!((error.code(), error.remains()), (ErrorCode::Unavailable, Remains::Nothing), "{error}");
        assert_eq!(world.read("small"), b"fits");
        fs::remove_file(world.path("filler")).unwrap();
        world.undo(&done, false).await.unwrap();
        assert_eq!(world.read("small"), b"small");
    });
}

#[test]
fn a_read_only_filesystem_is_said_to_be_one() {
    let test = "a_read_only_filesystem_is_said_to_be_one";
    let Some(base) = child() else {
        let base = tempfile::tempdir().unwrap();
        return in_a_mount(test, base.path(), "size=1m");
    };
    let world = Folder::at(&base, |files| files);
    world.write("file", "old");
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(world.root()).status().unwrap();
    assert!(remounted.success());
    block_on(async {
        for (action, params) in [
            ("write_file", json!({ "path": "file", "content": "new" })),
            ("write_file", json!({ "path": "new", "content": "new" })),
            ("delete_file", json!({ "path": "file" })),
        ] {
            let error = world.act(action, params).await.unwrap_err();
            assert_eq!((error.code(), error.remains()), (ErrorCode::Forbidden, Remains::Nothing), "{error}");
            assert!(error.message().contains("read-only"), "{error}");
        }
    });
}

/// Runs a test again with a small filesystem mounted at its root, seen by that process alone.
fn in_a_mount(test: &str, base: &Path, options: &str) {
    drop(Folder::at(base, |files| files));
    let mount = format!("mount -t tmpfs -o {options} none \"$0/root\" && exec \"$@\"");
    let base_text = base.to_str().unwrap();
    let alone: &[&str] =
        if rustix::process::geteuid().is_root() { &["--mount"] } else { &["--map-root-user", "--mount"] };
    let mut words = vec!["unshare"];
    words.extend(alone);
    words.extend(["sh", "-c", &mount, base_text]);
    again(&words, test, base);
}

#[test]
fn permissions_are_the_systems_and_are_said() {
    let world = Folder::with_some_files();
    fs::create_dir(world.path("locked")).unwrap();
    world.write("locked/f", "theirs");
    world.write("protected", "theirs");
    world.write("hidden", "theirs");
    world.set_mode("locked", 0o555);
    world.set_mode("protected", 0o444);
    world.set_mode("hidden", 0o000);
    let attempts = [
        ("write_file", json!({ "path": "locked/f", "content": "x" })),
        ("write_file", json!({ "path": "locked/new", "content": "x" })),
        ("write_file", json!({ "path": "locked/deep/new", "content": "x" })),
        ("write_file", json!({ "path": "protected", "content": "x" })),
        ("delete_file", json!({ "path": "locked/f" })),
        ("read_file", json!({ "path": "hidden" })),
        ("delete_file", json!({ "path": "hidden" })),
    ];
    as_nobody(&world, || {
        let before = fs::read_dir(world.path("locked")).unwrap().count();
        for (action, params) in attempts {
            let error = block_on(world.act(action, params.clone())).unwrap_err();
            assert_eq!(
                (error.code(), error.remains()),
                (ErrorCode::Forbidden, Remains::Nothing),
                "{params} {error}"
            );
        }
        assert_eq!(fs::read_dir(world.path("locked")).unwrap().count(), before);
    });
    world.set_mode("locked", 0o755);
}

/// Runs on a thread that is not root. Threads that it starts are not root either.
fn as_nobody(world: &Folder, work: impl FnOnce() + Send) {
    const NOBODY: u32 = 65_534;
    let root = rustix::process::geteuid().is_root();
    if root {
        fs::set_permissions(world.outside(""), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for path in ["", "locked", "locked/f", "protected", "hidden"] {
            chown(world.path(path), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            if root {
                let nobody = rustix::fs::Uid::from_raw(NOBODY);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            work();
        });
        worker.join().unwrap();
    });
}

/// Blobs that say when they are asked for content, and give it when they are let.
#[derive(Debug)]
struct SlowBlobs {
    kept: MemoryBlobs,
    asked: mpsc::Sender<()>,
    let_go: Mutex<mpsc::Receiver<()>>,
}

/// The blobs, and the other ends of their channels.
fn slow_blobs() -> (SlowBlobs, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let ((asked, hears), (lets, let_go)) = (mpsc::channel(), mpsc::channel());
    (SlowBlobs { kept: MemoryBlobs::default(), asked, let_go: Mutex::new(let_go) }, hears, lets)
}

impl BlobStore for SlowBlobs {
    fn put(&self, content: &mut dyn Read) -> io::Result<BlobRef> {
        self.kept.put(content)
    }

    fn open(&self, blob: &BlobRef) -> io::Result<Box<dyn Read + Send>> {
        self.asked.send(()).unwrap();
        self.let_go.lock().recv().unwrap();
        self.kept.open(blob)
    }
}

#[test]
fn a_change_that_nobody_waits_for_does_not_land_after_the_probe() {
    let (blobs, asked, let_go) = slow_blobs();
    let world = Folder::empty().with_blobs(blobs);
    // The time is only how long it takes to be noticed that it is stuck.
    let impatient = Folder::at(&world.outside(""), |files| files.timeout(Duration::from_millis(20)));
    world.write("large", vec![7; 200_000]);
    // Moved in, so that a failing test lets go before the runtime waits for its threads.
    block_on(async move {
        let done = world.act("write_file", json!({ "path": "large", "content": "x" })).await.unwrap();
        let cx = world.cx_of(Direction::Undo, 9, false);
        let undo = world.undo_of(&done.action, &done.pre);
        let Capture::Ready { pre, ready, .. } = undo.capture(&cx).await.unwrap() else { panic!("not ready") };
        let undo = impatient.undo_of(&done.action, &done.pre);
        let error = undo.perform(&cx, ready).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::InDoubt, false), "{error}");

        // As long as it may still land, the probe does not answer.
        let waiting = undo.probe(&cx, &pre).await.unwrap_err();
        assert_eq!((waiting.code(), waiting.is_retryable()), (ErrorCode::Timeout, true), "{waiting}");

        asked.recv().unwrap();
        let_go.send(()).unwrap();
        let found = loop {
            match undo.probe(&cx, &pre).await {
                Ok(found) => break found,
                Err(error) => assert_eq!(error.code(), ErrorCode::Timeout),
            }
        };
        assert!(matches!(found, Doubt::NotApplied), "{found:?}");
        assert_eq!(world.read("large"), b"x");
        let names = world.act("list_dir", json!({})).await.unwrap().output;
        assert_eq!(names["entries"].as_array().unwrap().len(), 1, "nothing is left on the way: {names}");

        let_go.send(()).unwrap();
        world.undo(&done, false).await.unwrap();
        assert_eq!(world.read("large"), vec![7; 200_000]);
    });
}

#[test]
fn an_edit_while_content_is_being_prepared_is_kept() {
    let (blobs, asked, let_go) = slow_blobs();
    let world = Folder::empty().with_blobs(blobs);
    world.write("large", vec![7; 200_000]);
    block_on(async move {
        let done = world.act("write_file", json!({ "path": "large", "content": "x" })).await.unwrap();
        let undo = world.undo_of(&done.action, &done.pre);
        let cx = world.cx_of(Direction::Undo, 9, false);
        let Capture::Ready { ready, .. } = undo.capture(&cx).await.unwrap() else { panic!("not ready") };
        let mut perform = std::pin::pin!(undo.perform(&cx, ready));
        assert!(futures::poll!(&mut perform).is_pending());
        // It has looked, and is about to read what it is to put back.
        asked.recv().unwrap();
        world.write("large", "a person's");
        let_go.send(()).unwrap();
        let error = perform.await.unwrap_err();
        assert_eq!(
            (error.code(), error.remains()),
            (ErrorCode::PreconditionFailed, Remains::Nothing),
            "{error}"
        );
        assert_eq!(world.read("large"), b"a person's");
    });
}
