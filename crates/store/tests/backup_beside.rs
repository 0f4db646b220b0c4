//! Backups of a store that another process writes.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use common::*;
use enact_core::event::StoredEvent;
use enact_core::store::{EventStore, RunMark, StoreError};
use enact_core::time::Timestamp;
use enact_store::{Options, SledStore};

const WRITER: &str = "ENACT_STORE_WRITER";

/// Volumes and segments that are begun and deleted often.
fn tiny() -> Options {
    SledStore::options().volume_bytes(60_000).segment_bytes(64 * 1024)
}

/// Not a test by itself: appends until it is killed, and says what was acknowledged.
#[tokio::test]
async fn writes_until_it_is_killed() {
    let Ok(path) = std::env::var(WRITER) else { return };
    let store = tiny().open(path).unwrap();
    for number in store.durable().0.. {
        let one = append(run(number, 7), 0, vec![event(number, 700)], RunMark::Closed);
        println!("{}", put(&store, one).await.unwrap());
    }
}

/// Another process that writes a store, and what it says is acknowledged.
struct Writer {
    child: Child,
    said: Box<dyn Iterator<Item = u64>>,
}

impl Writer {
    fn start(path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writes_until_it_is_killed", "--nocapture"])
            .env(WRITER, path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let said = Box::new(lines.filter_map(|line| line.trim().rsplit(' ').next()?.parse().ok()));
        Self { child, said }
    }

    /// Waits until so many events more are acknowledged, and gives the last position.
    fn goes_on(&mut self, events: usize) -> u64 {
        self.said.nth(events).unwrap()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn restored(backup: &Path, to: &Path) -> Vec<StoredEvent> {
    SledStore::restore(backup, to).unwrap();
    let copy = tiny().open(to).unwrap();
    copy.verify().unwrap();
    all(&copy).await.unwrap()
}

#[tokio::test]
async fn a_backup_by_another_process_holds_all_that_was_acknowledged_before_and_a_whole_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut writer = Writer::start(&path);
    let mut copies = Vec::new();
    for number in 0..8 {
        let acknowledged = writer.goes_on(37 + 11 * number);
        assert!(matches!(SledStore::open(&path), Err(StoreError::Locked { .. })), "somebody writes it");
        let backup = dir.path().join(format!("backup{number}"));
        SledStore::backup_beside(&path, &backup).unwrap();
        copies.push((acknowledged, backup));
    }
    // The writer goes on as if nothing was.
    writer.goes_on(100);
    drop(writer);
    let store = tiny().open(&path).unwrap();
    store.verify().unwrap();
    let original = all(&store).await.unwrap();
    for (number, (acknowledged, backup)) in copies.iter().enumerate() {
        let events = restored(backup, &dir.path().join(format!("restored{number}"))).await;
        assert!(events.len() as u64 >= *acknowledged, "{} of {acknowledged} events", events.len());
        assert!(original.starts_with(&events), "a whole beginning of the log");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_beside_sealing_and_pruning_restores_and_has_what_is_referred_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = Arc::new(tiny().open(&path).unwrap());
    let kept = store.blobs(run(1, 0)).put(&mut &b"kept"[..]).unwrap();
    let loose = store.blobs(run(1, 0)).put(&mut &b"nothing refers to it"[..]).unwrap();
    let busy = tokio::spawn({
        let (store, kept) = (Arc::clone(&store), kept.clone());
        async move {
            let mut pruned = 0;
            for number in 1..=1200_u64 {
                let events = vec![event(number * 1000, 700), referring(number * 1000, kept.clone())];
                put(&store, append(run(number, 0), 0, events, RunMark::Closed)).await.unwrap();
                if number % 50 == 0 {
                    let old = Timestamp::from_unix_us(number.saturating_sub(200) * 1000);
                    pruned += store.prune(old).await.unwrap().volumes;
                }
            }
            pruned
        }
    });
    let mut backups = 0;
    while !busy.is_finished() || backups == 0 {
        let (path, to) = (path.clone(), dir.path().join(format!("backup{backups}")));
        tokio::task::spawn_blocking(move || SledStore::backup_beside(path, to)).await.unwrap().unwrap();
        backups += 1;
    }
    assert!(busy.await.unwrap() > 5, "volumes were pruned");
    store.verify().unwrap();
    for number in 0..backups {
        let to = dir.path().join(format!("restored{number}"));
        SledStore::restore(dir.path().join(format!("backup{number}")), &to).unwrap();
        let copy = tiny().open(&to).unwrap();
        if all(&copy).await.unwrap().is_empty() {
            continue;
        }
        let mut content = String::new();
        copy.blobs(run(1, 0)).open(&kept).unwrap().read_to_string(&mut content).unwrap();
        assert_eq!(content, "kept");
        assert!(copy.blobs(run(1, 0)).open(&loose).is_err());
        assert_eq!(copy.pseudonym("me"), store.pseudonym("me"));
    }
}

#[tokio::test]
async fn a_backup_beside_leaves_what_the_writer_is_about_to_do_and_refuses_what_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = tiny().open(&path).unwrap();
    fill(&store, 1000, 5).await;
    // A segment that the writer is making.
    let making = path.join("journal/000000000099.journal.new");
    fs::write(&making, "half").unwrap();
    SledStore::backup_beside(&path, dir.path().join("backup")).unwrap();
    assert_eq!(fs::read_to_string(&making).unwrap(), "half");
    assert_eq!(restored(&dir.path().join("backup"), &dir.path().join("r")).await.len(), 20);

    assert!(SledStore::backup_beside(&path, dir.path().join("backup")).is_err(), "it is not empty");
    fs::create_dir(dir.path().join("empty")).unwrap();
    let refused = SledStore::backup_beside(dir.path().join("empty"), dir.path().join("other"));
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
    assert!(!dir.path().join("other").exists());
}

#[tokio::test]
async fn case_52_a_volume_of_which_something_is_gone_is_corrupt_and_no_backup_is_left_that_could_be_restored()
{
    let dir = tempfile::tempdir().unwrap();
    let (path, backup) = (dir.path().join("s"), dir.path().join("backup"));
    let store = tiny().open(&path).unwrap();
    fill(&store, 1000, 200).await;
    sealed(&store, 2).await;
    let lost = path.join("volumes/00000001/db");
    fs::remove_file(&lost).unwrap();

    let refused = SledStore::backup_beside(&path, &backup);

    assert!(matches!(&refused, Err(StoreError::Corrupt { path, .. }) if *path == lost), "{refused:?}");
    assert!(SledStore::restore(&backup, dir.path().join("r")).is_err());
}
