//! Files of a store that went away: reported as what they are, and nothing that is left is touched.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use enact_core::ids::RunId;
use enact_core::store::{EventStore, RunMark, StoreError};
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

/// A store that refers to two blobs, from a sealed volume and from the journal, and their files.
async fn store_with_blobs(dir: &Path) -> (SledStore, [PathBuf; 2]) {
    let store = small().open(dir.join("s")).unwrap();
    refer_to(&store, run(1, 0), b"old").await;
    let old = blob_files(dir);
    fill(&store, 1000, 60).await;
    sealed(&store, 1).await;
    // What is being sealed is sealed when it is closed.
    store.close().unwrap();
    let store = small().open(dir.join("s")).unwrap();
    refer_to(&store, run(9000, 0), b"new").await;
    let new = blob_files(dir).into_iter().find(|file| !old.contains(file)).unwrap();
    (store, [old.into_iter().next().unwrap(), new])
}

/// A run that refers to a blob.
async fn refer_to(store: &SledStore, run: RunId, mut content: &[u8]) {
    put(store, append(run, 0, vec![event(1, 1)], RunMark::Open)).await.unwrap();
    let blob = store.blobs(run).put(&mut content).unwrap();
    put(store, append(run, 1, vec![referring(1, blob)], RunMark::Closed)).await.unwrap();
}

/// The files of all blobs of the store.
fn blob_files(dir: &Path) -> Vec<PathBuf> {
    let list =
        |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    list(&dir.join("s/blobs")).iter().flat_map(|fan| list(fan)).collect()
}

#[tokio::test]
async fn case_52_a_blob_that_is_gone_or_flipped_is_found_by_verifying_and_by_backing_up() {
    let dir = tempfile::tempdir().unwrap();
    let (store, files) = store_with_blobs(dir.path()).await;
    let is_named = |found: Result<(), StoreError>, file: &Path| {
        assert!(matches!(&found, Err(StoreError::Corrupt { path, .. }) if path == file), "{found:?}");
    };
    for (number, file) in files.iter().enumerate() {
        let content = fs::read(file).unwrap();
        for lost in [None, Some("odd")] {
            match lost {
                None => fs::remove_file(file).unwrap(),
                Some(flipped) => fs::write(file, flipped).unwrap(),
            }
            is_named(store.verify().map(drop), file);
            let to = |how| dir.path().join(format!("{how}-{number}-{}", lost.is_some()));
            is_named(store.backup(to("in")).await, file);
            is_named(SledStore::backup_beside(dir.path().join("s"), to("beside")), file);
            assert!(!to("in").join("store").exists() && !to("beside").join("store").exists());
        }
        fs::write(file, content).unwrap();
    }
    assert_eq!(store.verify().unwrap().blobs, 2);
}

#[tokio::test]
async fn case_52_a_backup_without_a_blob_or_a_table_is_not_restored() {
    let dir = tempfile::tempdir().unwrap();
    let (store, [old, _]) = store_with_blobs(dir.path()).await;
    let backup = dir.path().join("backup");
    store.backup(&backup).await.unwrap();
    let blob = backup.join(old.strip_prefix(dir.path().join("s")).unwrap());
    let tables =
        ["keys", "runs", "leaves", "blobs"].map(|name| backup.join(format!("volumes/00000001.{name}")));
    for (number, file) in tables.iter().chain([&blob]).enumerate() {
        let content = fs::read(file).unwrap();
        fs::remove_file(file).unwrap();
        let to = dir.path().join(format!("restored-{number}"));
        let restored = SledStore::restore(&backup, &to);
        assert!(matches!(restored, Err(StoreError::Corrupt { .. })), "{}: {restored:?}", file.display());
        assert!(!to.join("store").exists());
        fs::write(file, content).unwrap();
    }
    SledStore::restore(&backup, dir.path().join("restored")).unwrap();
}

#[tokio::test]
async fn case_52_a_file_of_the_store_that_is_gone_or_a_folder_is_corrupt_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = store_with_blobs(dir.path()).await;
    store.close().unwrap();
    drop(store);
    let whole = dir.path().join("s");
    let parts =
        ["store", "journal", "volumes", "volumes/00000001", "volumes/00000001/db", "volumes/00000001.keys"];
    let tables = ["volumes/00000001.runs", "volumes/00000001.leaves", "volumes/00000001.blobs"];
    for (number, part) in parts.into_iter().chain(tables).enumerate() {
        for is_replaced in [false, true] {
            let path = dir.path().join(format!("{number}-{is_replaced}"));
            copy(&whole, &path);
            let lost = path.join(part);
            fs::rename(&lost, dir.path().join(format!("kept-{number}-{is_replaced}"))).unwrap();
            match (is_replaced, lost.extension().is_some() || part == "store" || lost.ends_with("db")) {
                (false, _) => {}
                (true, true) => fs::create_dir(&lost).unwrap(),
                (true, false) => fs::write(&lost, "").unwrap(),
            }
            let found = small().open(&path).and_then(|store| store.verify());
            let Err(StoreError::Corrupt { path: named, .. }) = found else { panic!("{part}: {found:?}") };
            assert!(named.starts_with(&path), "{}", named.display());
        }
    }
}

#[tokio::test]
async fn case_52_no_new_store_is_made_where_volumes_or_blobs_of_one_are() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = store_with_blobs(dir.path()).await;
    store.close().unwrap();
    drop(store);
    let path = dir.path().join("s");
    for lost in ["store", "closed", "lock", "manifest"] {
        fs::remove_file(path.join(lost)).unwrap();
    }
    fs::remove_dir_all(path.join("journal")).unwrap();
    assert_eq!(refused(&path), path);
    fs::remove_dir_all(path.join("volumes")).unwrap();
    assert_eq!(refused(&path), path);
}
