//! A journal that lost its end: reported where anything still knows of it, and never read as a shorter history.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use enact_core::store::{EventStore, RunMark, StoreError};
use enact_store::SledStore;

const SECTOR: usize = 512;

/// A store of 25 events that was closed in order, and its first segment.
async fn closed_store(dir: &Path) -> (PathBuf, PathBuf) {
    let path = dir.join("s");
    let store = small().open(&path).unwrap();
    for number in 0..25 {
        put(&store, append(run(1000 + number, 0), 0, vec![event(number, 100)], RunMark::Open)).await.unwrap();
    }
    store.close().unwrap();
    let segment = path.join("journal/000000000001.journal");
    (path, segment)
}

/// Fills the last `count` sectors with zeros that hold anything.
fn zero_last_sectors(file: &Path, count: usize) {
    let mut bytes = fs::read(file).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() / SECTOR + 1;
    bytes[(used - count) * SECTOR..].fill(0);
    fs::write(file, bytes).unwrap();
}

fn cut(file: &Path, size: u64) {
    fs::OpenOptions::new().write(true).open(file).unwrap().set_len(size).unwrap();
}

/// Loses a part of a segment.
type Lose = fn(&Path);

/// The ways to lose an end, each with a name.
fn losses() -> [(&'static str, Lose); 4] {
    [
        ("zeroed", |segment| zero_last_sectors(segment, 12)),
        ("all zeroed", |segment| zero_last_sectors(segment, 25)),
        ("cut within what is used", |segment| cut(segment, 8192)),
        ("cut behind what is used", |segment| cut(segment, 64 * 1024 - 512)),
    ]
}

#[tokio::test]
async fn case_52_a_journal_that_lost_its_last_groups_is_reported() {
    for with_note in [true, false] {
        for (how, lose) in losses() {
            let dir = tempfile::tempdir().unwrap();
            let (path, segment) = closed_store(dir.path()).await;
            lose(&segment);
            let note = path.join("closed");
            if !with_note {
                fs::remove_file(&note).unwrap();
            }
            let lost = fs::read(&segment).unwrap();
            // Not once only: what says so is not used up by saying it.
            for _ in 0..2 {
                let refused = small().open(&path);
                let Err(StoreError::Corrupt { path: at, .. }) = refused else { panic!("{how}: {refused:?}") };
                assert!(at.starts_with(path.join("journal")), "{how}: {}", at.display());
                assert_eq!(fs::read(&segment).unwrap(), lost, "{how}: nothing was changed");
                assert_eq!(note.exists(), with_note, "{how}: the note stays");
            }
        }
    }
}

#[tokio::test]
async fn case_52_verifying_reports_a_journal_that_lost_its_last_groups() {
    for (how, lose) in losses() {
        let dir = tempfile::tempdir().unwrap();
        let (path, segment) = closed_store(dir.path()).await;
        let store = small().open(&path).unwrap();
        assert_eq!(store.verify().unwrap().events, 25);
        lose(&segment);
        let found = store.verify();
        assert!(matches!(found, Err(StoreError::Corrupt { .. })), "{how}: {found:?}");
    }
}

#[tokio::test]
async fn case_52_a_killed_store_whose_journal_lost_what_its_volume_has_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = SledStore::open(&path).unwrap();
    let db = path.join("volumes/00000001/db");
    // sled writes what it holds when half a mebibyte has come together.
    let mut number = 0;
    while fs::metadata(&db).map_or(0, |db| db.len()) < 700_000 {
        put(&store, append(run(1000 + number, 0), 0, vec![event(number, 2000)], RunMark::Open))
            .await
            .unwrap();
        number += 1;
    }
    let killed = dir.path().join("killed");
    copy(&path, &killed);
    let segment = killed.join("journal/000000000001.journal");
    let whole = fs::read(&segment).unwrap();
    assert_eq!(SledStore::open(&killed).unwrap().durable().0, number, "nothing is lost yet");

    drop(fs::remove_dir_all(&killed));
    copy(&path, &killed);
    let mut bytes = whole;
    bytes[20 * SECTOR..].fill(0);
    fs::write(&segment, bytes).unwrap();
    let refused = SledStore::open(&killed);
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
}

#[tokio::test]
async fn case_52_a_killed_store_that_lost_its_last_acknowledged_group_is_reported() {
    for (how, lose) in losses() {
        let dir = tempfile::tempdir().unwrap();
        let (path, killed) = (dir.path().join("s"), dir.path().join("killed"));
        let store = small().open(&path).unwrap();
        for number in 0..25 {
            let append = append(run(1000 + number, 0), 0, vec![event(number, 100)], RunMark::Open);
            put(&store, append).await.unwrap();
        }
        let seen = |killed: &Path| {
            copy(&path, killed);
            small().open(killed).map(|store| store.durable().0)
        };
        assert_eq!(seen(&killed).unwrap(), 25, "nothing is lost yet");

        // What sled wrote by now, if anything, is no witness here.
        let lost = dir.path().join("lost");
        copy(&path, &lost);
        fs::remove_dir_all(lost.join("volumes")).unwrap();
        lose(&lost.join("journal/000000000001.journal"));
        for _ in 0..2 {
            let refused = small().open(&lost);
            assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{how}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn a_mark_that_is_old_torn_or_gone_as_after_a_power_cut_says_nothing() {
    for harm in [|_: &[u8]| vec![], |bytes: &[u8]| bytes[..7].to_vec(), |_: &[u8]| vec![0xff; 12]] {
        let dir = tempfile::tempdir().unwrap();
        let (path, segment) = closed_store(dir.path()).await;
        fs::remove_file(path.join("closed")).unwrap();
        fs::remove_dir_all(path.join("volumes")).unwrap();
        zero_last_sectors(&segment, 1);
        let mark = path.join("synced");
        let harmed = harm(&fs::read(&mark).unwrap());
        fs::write(&mark, harmed).unwrap();
        let store = small().open(&path).unwrap();
        assert_eq!(store.durable().0, 24);
        put(&store, append(run(2000, 0), 0, vec![event(1, 100)], RunMark::Open)).await.unwrap();
        store.close().unwrap();
        drop(store);
        fs::remove_file(path.join("closed")).unwrap();
        assert_eq!(small().open(&path).unwrap().durable().0, 25, "the next writer makes it good");
    }
}

#[tokio::test]
async fn what_a_crash_leaves_of_a_volume_is_no_witness_where_it_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    let (path, segment) = closed_store(dir.path()).await;
    fs::remove_file(path.join("closed")).unwrap();
    fs::remove_file(path.join("synced")).unwrap();
    // The end of the journal is torn, and no record of the volume is whole.
    let mut bytes = fs::read(path.join("volumes/00000001/db")).unwrap();
    bytes.chunks_mut(64).for_each(|part| part[0] ^= 0x55);
    fs::write(path.join("volumes/00000001/db"), bytes).unwrap();
    zero_last_sectors(&segment, 1);
    let store = small().open(&path).unwrap();
    assert_eq!(store.durable().0, 24);
    assert_eq!(all(&store).await.unwrap().len(), 24);
}

#[tokio::test]
async fn a_crash_while_a_segment_is_made_leaves_a_store_that_opens() {
    let dir = tempfile::tempdir().unwrap();
    let (path, segment) = closed_store(dir.path()).await;
    let bytes = fs::read(&segment).unwrap();
    for kept in [0, 20, 512, 30_000] {
        for with_note in [true, false] {
            fs::write(path.join("journal/000000000002.journal.new"), &bytes[..kept]).unwrap();
            if !with_note {
                drop(fs::remove_file(path.join("closed")));
            }
            let store = small().open(&path).unwrap();
            assert_eq!(all(&store).await.unwrap().len(), 25);
            store.close().unwrap();
        }
    }
}

#[tokio::test]
async fn case_52_an_older_segment_that_is_gone_or_cut_is_reported_also_with_the_note() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = SledStore::options().segment_bytes(64 * 1024).open(&path).unwrap();
    for number in 0..100 {
        put(&store, append(run(1000 + number, 0), 0, vec![event(number, 3000)], RunMark::Open))
            .await
            .unwrap();
    }
    store.close().unwrap();
    for number in 1..=3 {
        let segment = path.join(format!("journal/{number:012}.journal"));
        let whole = fs::read(&segment).unwrap();
        for lose in [|file: &Path| cut(file, 40_000), |file: &Path| fs::remove_file(file).unwrap()] {
            lose(&segment);
            let refused = SledStore::open(&path);
            assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "segment {number}: {refused:?}");
            fs::write(&segment, &whole).unwrap();
        }
    }
    assert_eq!(SledStore::open(&path).unwrap().verify().unwrap().events, 100);
}
