//! A disk that is really full: a small file system of its own, seen by one process.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::*;
use enact_core::store::{EventStore, RunMark};
use enact_store::{Options, SledStore};

/// Set in a child process: where its small file system is.
const CHILD: &str = "ENACT_TEST_FULL_DISK";
const MIB: usize = 1024 * 1024;

/// Runs a test of this file again, in a process that alone sees a file system of `size` at `base`.
fn in_a_small_file_system(test: &str, base: &Path, size: &str) {
    let mount = format!("mount -t tmpfs -o size={size} none \"$0\" && exec \"$@\"");
    let alone: &[&str] =
        if rustix::process::geteuid().is_root() { &["--mount"] } else { &["--map-root-user", "--mount"] };
    let mut command = Command::new("unshare");
    command.args(alone).args(["sh", "-c", &mount]).arg(base).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, base);
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{said}");
    assert!(out.contains("1 passed"), "the child ran the test: {out}");
}

/// The journal has all its room from the beginning; it is the volume that finds the disk full.
fn options() -> Options {
    SledStore::options().segment_bytes(3 * MIB as u64)
}

/// Appends until so many bytes are acknowledged, or an append is refused; gives how many events are.
async fn append_until(store: &SledStore, bytes: usize) -> u64 {
    let first = store.durable().0;
    for number in first..first + (bytes / 2000) as u64 {
        let one = append(run(1000 + number, 0), 0, vec![event(number, 2000)], RunMark::Open);
        if put(store, one).await.is_err() {
            break;
        }
    }
    store.durable().0
}

#[tokio::test]
async fn a_store_on_a_full_disk_closes_and_opens_again_with_all_that_was_acknowledged() {
    let test = "a_store_on_a_full_disk_closes_and_opens_again_with_all_that_was_acknowledged";
    let Some(base) = std::env::var_os(CHILD).map(PathBuf::from) else {
        let base = tempfile::tempdir().unwrap();
        return in_a_small_file_system(test, base.path(), "16m");
    };
    let (path, filler) = (base.join("s"), base.join("filler"));
    let mut acknowledged = 0;
    for (round, bytes) in [200_000, 700_000, 1_300_000, 100_000].into_iter().enumerate() {
        let store = options().open(&path).unwrap();
        assert_eq!(store.durable().0, acknowledged, "round {round}");
        // Somebody else takes all the room that is left.
        let full = fs::write(&filler, vec![1; 16 * MIB]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        acknowledged = append_until(&store, bytes).await;
        // It ends, whatever it says, and so does the process.
        drop(store.close());
        drop(store);
        fs::remove_file(&filler).unwrap();
    }
    let store = options().open(&path).unwrap();
    assert!(acknowledged > 300, "{acknowledged} events were acknowledged on a full disk");
    assert_eq!(all(&store).await.unwrap().len() as u64, acknowledged);
    store.close().unwrap();
    assert!(path.join("closed").exists(), "closed in order");
}
