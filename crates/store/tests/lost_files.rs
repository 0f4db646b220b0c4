//! Files of a store that went away: reported as what they are, and nothing that is left is touched.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use enact_core::ids::RunId;
use enact_core::store::{RunMark, StoreError};
use enact_store::SledStore;

type Made = Vec<(RunId, u64, RunMark)>;

/// A store with sealed volumes that was closed in order.
async fn closed_store(dir: &Path) -> (PathBuf, Made) {
    let path = dir.join("s");
    let store = small().open(&path).unwrap();
    let made = fill(&store, 1000, 220).await;
    sealed(&store, 3).await;
    store.close().unwrap();
    (path, made)
}

/// The segments of a journal, by number.
fn segments(store: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(store.join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Every file below a folder, but for the lock.
fn names(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { found.extend(names(&entry)) } else { found.push(entry) }
    }
    found.retain(|path| !path.ends_with("lock"));
    found.sort();
    found
}

/// Asserts that a store is refused, twice and with nothing changed, and gives what was named.
fn refused(path: &Path) -> PathBuf {
    let before = names(path);
    let mut named = PathBuf::new();
    for _ in 0..2 {
        let refused = small().open(path);
        let Err(StoreError::Corrupt { path: at, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(names(path), before, "nothing was deleted");
        named = at;
    }
    named
}

#[tokio::test]
async fn case_52_a_store_without_its_manifest_is_refused_and_whole_again_when_it_is_back() {
    for with_note in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (path, made) = closed_store(dir.path()).await;
        if !with_note {
            fs::remove_file(path.join("closed")).unwrap();
        }
        let (manifest, kept) = (path.join("manifest"), dir.path().join("kept"));
        fs::rename(&manifest, &kept).unwrap();
        assert_eq!(refused(&path), manifest);
        fs::rename(&kept, &manifest).unwrap();
        assert_holds(&small().open(&path).unwrap(), &made).await;
    }
}

#[tokio::test]
async fn case_52_an_older_manifest_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = small().open(&path).unwrap();
    fill(&store, 1000, 60).await;
    sealed(&store, 1).await;
    store.close().unwrap();
    let older = fs::read(path.join("manifest")).unwrap();
    let store = small().open(&path).unwrap();
    fill(&store, 5000, 160).await;
    sealed(&store, 3).await;
    store.close().unwrap();
    fs::write(path.join("manifest"), older).unwrap();
    assert_eq!(refused(&path), path.join("manifest"));
}

#[tokio::test]
async fn case_52_a_segment_in_use_that_is_gone_is_reported_also_where_the_next_one_is_prepared() {
    for (with_note, volume_bytes) in
        [(true, 50_000), (false, 50_000), (true, 10_000_000), (false, 10_000_000)]
    {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let options = SledStore::options().volume_bytes(volume_bytes).segment_bytes(64 * 1024);
        let store = options.clone().open(&path).unwrap();
        let mut number = 0;
        // The next segment is prepared when half of this one is used.
        while number < 9 || (volume_bytes == 50_000 && number < 40) || segments(&path).len() < 2 {
            number += 1;
            let one = append(run(1000 + number, 0), 0, vec![event(number, 4000)], RunMark::Closed);
            put(&store, one).await.unwrap();
        }
        store.close().unwrap();
        if !with_note {
            fs::remove_file(path.join("closed")).unwrap();
        }
        for segment in segments(&path) {
            let content = fs::read(&segment).unwrap();
            // One that was only prepared may go.
            if content.iter().skip(512).all(|byte| *byte == 0) {
                continue;
            }
            let kept = dir.path().join("kept");
            fs::rename(&segment, &kept).unwrap();
            let opened = options.clone().open(&path);
            assert!(matches!(opened, Err(StoreError::Corrupt { .. })), "{}: {opened:?}", segment.display());
            fs::rename(&kept, &segment).unwrap();
        }
        let store = options.open(&path).unwrap();
        assert_eq!(store.verify().unwrap().up_to.0, number);
    }
}
