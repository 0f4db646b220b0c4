//! Each byte of a log, changed in turn: it is found, or the log is the same.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::*;
use enact_audit::Proved;
use enact_core::event::StoredEvent;
use enact_core::store::EventStore;

/// Of the bytes that are zero, which are nearly all room that is kept, every so many is changed.
const OF_ZEROS: usize = 512;
/// Of the bytes of sled's files, which are the slowest, every so many is changed; each one where `ENACT_EVERY_BYTE` is set.
const OF_SLED: usize = 16;

/// What a log is to who reads it.
type Seen = (Proved, Vec<StoredEvent>);

async fn seen(path: &Path) -> Result<Seen, String> {
    let store = small().volume_bytes(1500).open(path).map_err(|error| error.to_string())?;
    let store = Arc::new(store);
    let proved = proved(&store).await.map_err(|error| error.to_string())?;
    let events = store.read_all(FIRST, 1000).await.map_err(|error| error.to_string())?;
    store.close().map_err(|error| error.to_string())?;
    Ok((proved, events))
}

/// Where files are quick: each byte takes several syncs.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A small log in sealed volumes and a journal, which was signed, also by a receipt, and closed.
async fn small_log(path: &Path) {
    let store = Arc::new(small().volume_bytes(1500).open(path).unwrap());
    fill(&store, 1..=3, 200).await;
    sign(&store, 1).await;
    sealed(&store, 1).await;
    fill(&store, 4..=4, 10).await;
    let run = short_run(&store, 5).await;
    notary(&store, 1).await.receipt(run, false).await.unwrap();
    store.close().unwrap();
}

/// Which bytes of a file are changed.
fn places(file: &Path, bytes: &[u8]) -> Vec<usize> {
    let is_sled = file.ends_with("db") && std::env::var_os("ENACT_EVERY_BYTE").is_none();
    let each = if is_sled { OF_SLED } else { 1 };
    let with = |zero: bool| bytes.iter().enumerate().filter(move |(_, byte)| (**byte == 0) == zero);
    let written = with(false).step_by(each);
    written.chain(with(true).step_by(OF_ZEROS)).map(|(at, _)| at).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_byte_of_a_log_that_is_changed_is_found_or_the_log_is_the_same() {
    let dir = scratch();
    let (whole, scratch) = (dir.path().join("whole"), dir.path().join("changed"));
    small_log(&whole).await;
    let expected = seen(&whole).await.unwrap();
    assert_eq!((expected.0.signed, expected.0.checkpoints, expected.1.len()), (11, 2, 11));
    assert_eq!(expected.0.receipts.same, 1);
    for file in files(&whole) {
        let name = file.strip_prefix(&whole).unwrap();
        // Which process has it open, for messages.
        if name == Path::new("lock") {
            continue;
        }
        let bytes = fs::read(&file).unwrap();
        let mut found = 0;
        for place in places(&file, &bytes) {
            drop(fs::remove_dir_all(&scratch));
            copy(&whole, &scratch);
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (place % 8);
            fs::write(scratch.join(name), changed).unwrap();
            match seen(&scratch).await {
                Err(_) => found += 1,
                Ok(seen) => assert_eq!(seen, expected, "byte {place} of {}", name.display()),
            }
        }
        // What nothing can be made of again but what stands there, and is no room that is kept.
        if ["checkpoints", "manifest", "store"].map(Path::new).contains(&name)
            || name.extension().is_some_and(|kind| kind == "leaves")
        {
            assert_eq!(found, places(&file, &bytes).len(), "{}", name.display());
        }
    }
}
