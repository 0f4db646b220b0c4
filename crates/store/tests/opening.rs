//! What may open a store, and what is found.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::*;
use enact_core::store::{EventStore, RunMark, StoreError};
use enact_store::{MasterKey, SledStore};

#[tokio::test]
async fn a_store_is_for_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = SledStore::open(&path).unwrap();
    let second = SledStore::open(&path);
    let Err(StoreError::Locked { pid, path: lock }) = second else { panic!("{second:?}") };
    assert_eq!(pid, Some(std::process::id()));
    assert_eq!(lock, path.join("lock"));
    store.close().unwrap();
    SledStore::open(&path).unwrap();
}

#[tokio::test]
async fn case_42_files_and_folders_are_for_the_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = small().open(&path).unwrap();
    fill(&store, 1000, 100).await;
    sealed(&store, 1).await;
    store.blobs(run(1000, 0)).put(&mut &b"content"[..]).unwrap();
    store.read_all(enact_core::ids::Position(1), 10).await.unwrap();
    store.backup(dir.path().join("backup")).await.unwrap();
    store.close().unwrap();
    drop(store);
    let seen = assert_private(&path);
    for part in [
        "store",
        "lock",
        "manifest",
        "volumes/00000001/db",
        "volumes/00000001/blobs",
        "volumes/00000001.secrets",
        "volumes/00000001.leaves",
        "volumes/00000002/db",
        "closed",
    ] {
        assert!(seen.contains(&path.join(part)), "{part} was looked at");
    }
    assert_private(&dir.path().join("backup"));
    // sled writes new files when it opens a database again.
    let store = small().open(&path).unwrap();
    all(&store).await.unwrap();
    store.close().unwrap();
    drop(store);
    assert_private(&path);
    SledStore::backup_beside(&path, dir.path().join("beside")).unwrap();
    SledStore::restore(dir.path().join("beside"), dir.path().join("restored")).unwrap();
    small().rotate_key(&path, || Ok(MasterKey::random()), || Ok(())).unwrap();
    for made in ["s", "beside", "restored"] {
        assert_private(&dir.path().join(made));
    }
}

/// Asserts that all below a folder is for its owner alone, and gives what was looked at.
fn assert_private(path: &Path) -> Vec<PathBuf> {
    let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    let mut seen = vec![path.to_owned()];
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        seen.extend(entries.flat_map(|entry| assert_private(&entry)));
    }
    seen
}

#[tokio::test]
async fn a_store_of_a_later_format_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = SledStore::open(&path).unwrap();
    put(&store, append(run(1, 1), 0, vec![event(1, 1)], RunMark::Open)).await.unwrap();
    store.close().unwrap();
    drop(store);
    let file = path.join("store");
    let mut bytes = fs::read(&file).unwrap();
    bytes[4] = 9;
    let end = bytes.len() - 4;
    let crc = crc32fast::hash(&bytes[..end]).to_le_bytes();
    bytes[end..].copy_from_slice(&crc);
    fs::write(&file, bytes).unwrap();
    let newer = SledStore::open(&path);
    assert!(matches!(newer, Err(StoreError::NewerFormat { found: 9, known: 2, .. })), "{newer:?}");
}

#[test]
fn a_folder_that_is_not_a_store_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("diary.txt"), "mine").unwrap();
    let refused = SledStore::open(dir.path()).unwrap_err();
    assert!(refused.to_string().contains("diary.txt"), "{refused}");
    let file = dir.path().join("diary.txt");
    assert!(SledStore::open(&file).is_err());
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[tokio::test]
async fn case_52_a_missing_or_damaged_file_of_the_store_is_reported_and_never_read_as_less() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = small().open(&path).unwrap();
    let made = fill(&store, 1000, 150).await;
    sealed(&store, 1).await;
    drop(store);
    let whole = dir.path().join("whole");
    copy(&path, &whole);
    let files = ["store", "manifest", "journal", "volumes/00000001", "volumes/00000001.runs"];
    for name in files {
        let broken = dir.path().join("broken");
        drop(fs::remove_dir_all(&broken));
        copy(&whole, &broken);
        let file = broken.join(name);
        if file.is_dir() {
            fs::remove_dir_all(&file).unwrap()
        } else {
            fs::remove_file(&file).unwrap()
        }
        let error = match small().open(&broken) {
            Err(error) => error,
            Ok(store) => all(&store).await.err().or(stream(&store, made[0].0).await.err()).expect(name),
        };
        let names_it = matches!(error, StoreError::Corrupt { .. } | StoreError::Io { .. });
        assert!(names_it, "{name}: {error}");
    }
}

#[tokio::test]
async fn what_was_enqueued_is_written_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = SledStore::open(&path).unwrap();
    let mut quiet = append(run(1, 1), 0, vec![event(1, 1)], RunMark::Open);
    quiet.durability = enact_core::store::Durability::Enqueued;
    store.append(quiet).await.unwrap();
    drop(store);
    let store = SledStore::open(&path).unwrap();
    assert_eq!(store.open_runs().await.unwrap(), [run(1, 1)]);
    store.close().unwrap();
    let refused = store.append(append(run(2, 1), 0, vec![event(1, 1)], RunMark::Open)).await;
    assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
}

/// Not a test by itself: appends until it is killed, and says what was acknowledged.
#[tokio::test]
async fn writes_until_it_is_killed() {
    let Ok(path) = std::env::var("ENACT_STORE_KILLED") else { return };
    let store = small().open(path).unwrap();
    let first = store.durable().0;
    for number in first.. {
        let position =
            put(&store, append(run(number, 7), 0, vec![event(number, 300)], RunMark::Open)).await.unwrap();
        println!("{position}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9_at_any_moment() {
    use std::io::{BufRead, BufReader};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut acknowledged = 0;
    for round in 0..12_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writes_until_it_is_killed", "--nocapture"])
            .env("ENACT_STORE_KILLED", &path)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut killed = false;
        for line in lines.map_while(Result::ok) {
            let Some(position) = line.trim().rsplit(' ').next().and_then(|word| word.parse::<u64>().ok())
            else {
                continue;
            };
            acknowledged = acknowledged.max(position);
            if !killed && position % (40 + round * 7) == 0 {
                child.kill().unwrap();
                killed = true;
            }
        }
        child.wait().unwrap();
        assert!(killed, "the child was killed while it wrote");
        let store = small().open(&path).unwrap();
        let durable = store.durable().0;
        assert!(durable >= acknowledged, "{acknowledged} were acknowledged, {durable} are there");
        if round % 3 == 0 {
            store.verify().unwrap();
        }
        acknowledged = durable;
    }
    let store = small().open(&path).unwrap();
    assert_eq!(all(&store).await.unwrap().len() as u64, acknowledged);
}

#[tokio::test]
async fn the_file_lock_may_go_and_a_second_process_is_refused_nevertheless() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = SledStore::open(&path).unwrap();
    fs::remove_file(path.join("lock")).unwrap();
    let second = SledStore::open(&path);
    assert!(matches!(second, Err(StoreError::Locked { pid: None, .. })), "{second:?}");
    put(&store, append(run(1, 1), 0, vec![event(1, 1)], RunMark::Open)).await.unwrap();
    store.close().unwrap();
    assert_eq!(SledStore::open(&path).unwrap().durable().0, 1);
}

#[tokio::test]
async fn nothing_is_acknowledged_any_more_when_the_folder_or_the_segment_in_use_was_taken_away() {
    for taken in ["", "journal/000000000001.journal", "journal"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let store = SledStore::open(&path).unwrap();
        put(&store, append(run(1, 1), 0, vec![event(1, 1)], RunMark::Open)).await.unwrap();
        // Once the event can be read the volume is made, and nobody makes its folder anew.
        all(&store).await.unwrap();
        let away = dir.path().join("away");
        fs::rename(path.join(taken), &away).unwrap();
        // Another store in its place is left as it is.
        let other = taken.is_empty().then(|| SledStore::open(&path).unwrap());
        let refused = put(&store, append(run(2, 1), 0, vec![event(1, 1)], RunMark::Open)).await;
        assert!(matches!(refused, Err(StoreError::Poisoned(_))), "{taken}: {refused:?}");
        drop(store);
        if let Some(other) = other {
            assert!(!path.join("closed").exists(), "the note belongs to the one that was taken away");
            put(&other, append(run(3, 1), 0, vec![event(1, 1)], RunMark::Open)).await.unwrap();
            assert_eq!(other.verify().unwrap().events, 1);
        } else {
            SledStore::open(&path).expect_err("what was acknowledged is not there");
        }
    }
}

#[tokio::test]
async fn a_folder_that_was_there_before_becomes_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let store = SledStore::open(dir.path()).unwrap();
    assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
    store.close().unwrap();
}
