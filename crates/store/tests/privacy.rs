//! What a store with a key has on the disk, and who can open it.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::io::Read;
use std::path::Path;

use common::*;
use enact_core::event::{Event, NewEvent, ValueRecorded};
use enact_core::ids::{CallPath, EventSeq, Position};
use enact_core::json::JsonText;
use enact_core::store::{Append, EventStore, RunMark, StoreError};
use enact_store::{MasterKey, SledStore};

const CANARY: &str = "canary-7f3a";

/// Every place below a folder where bytes stand.
fn found(dir: &Path, wanted: &[u8]) -> Vec<String> {
    let mut places = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            places.extend(found(&path, wanted));
        } else if fs::read(&path).unwrap().windows(wanted.len()).any(|bytes| bytes == wanted)
            || path.to_string_lossy().as_bytes().windows(wanted.len()).any(|bytes| bytes == wanted)
        {
            places.push(path.display().to_string());
        }
    }
    places
}

fn marked(at: u64) -> NewEvent {
    let value = JsonText::encode(&format!("{CANARY} {}", "x".repeat(300))).unwrap();
    let body = ValueRecorded { path: CallPath::root(1), what: CANARY.into(), value };
    NewEvent { event: Event::ValueRecorded(body), ..event(at, 1) }
}

/// Runs with marked events, keys and blobs, in sealed volumes and in the journal.
async fn fill_marked(store: &SledStore) {
    for number in 1..=120_u64 {
        let run = run(number, 0);
        let accepted = append(run, 0, vec![marked(number), event(number, 3000)], RunMark::Open);
        put(store, Append { key: Some(format!("{CANARY} {number}")), ..accepted }).await.unwrap();
        let content = CANARY.repeat(if number % 2 == 0 { 3 } else { 10_000 });
        let blob = store.blobs(run).put(&mut content.as_bytes()).unwrap();
        put(store, append(run, 2, vec![marked(number), referring(number, blob)], RunMark::Closed))
            .await
            .unwrap();
    }
    sealed(store, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_42_nothing_that_a_run_records_is_in_any_file_of_a_store_with_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = small().open(dir.path().join("s")).unwrap();
    fill_marked(&store).await;
    // As a kill leaves it.
    copy(store.path(), &dir.path().join("killed"));
    store.backup(dir.path().join("backup")).await.unwrap();
    store.close().unwrap();
    for part in ["s", "killed", "backup"] {
        assert_eq!(found(&dir.path().join(part), CANARY.as_bytes()), [""; 0], "{part}");
    }
    // It is there for who has the key.
    let store = small().open(dir.path().join("killed")).unwrap();
    for page in [store.read(run(1, 0), EventSeq(1), 9), store.read_all(Position(1), 4)] {
        assert!(format!("{:?}", page.await.unwrap()).contains(CANARY));
    }
    assert_eq!(store.find_key(&format!("{CANARY} 1")).await.unwrap(), Some(run(1, 0)));
    store.verify().unwrap();
}

#[tokio::test]
async fn a_store_without_a_key_is_as_before_so_that_the_search_is_known_to_find() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::options().open(dir.path().join("s")).unwrap();
    put(&store, append(run(1, 0), 0, vec![marked(1)], RunMark::Open)).await.unwrap();
    assert!(!found(dir.path(), CANARY.as_bytes()).is_empty());
}

#[tokio::test]
async fn a_wrong_or_missing_key_is_refused_by_name_and_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = small().open(&path).unwrap();
    put(&store, append(run(1, 0), 0, vec![event(1, 1)], RunMark::Open)).await.unwrap();
    store.close().unwrap();
    drop(store);
    let before = fs::read(path.join("closed")).unwrap();
    for (options, given) in [
        (SledStore::options(), "no key was given"),
        (SledStore::options().master_key(MasterKey::random()), "the key that was given is"),
    ] {
        let refused = options.open(&path).unwrap_err();
        assert!(matches!(refused, StoreError::WrongKey { .. }), "{refused:?}");
        let said = refused.to_string();
        assert!(said.contains(&key().fingerprint()) && said.contains(given), "{said}");
    }
    assert_eq!(fs::read(path.join("closed")).unwrap(), before);
    assert_eq!(all(&small().open(&path).unwrap()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_plain_store_that_gets_a_key_reads_its_old_runs_and_encrypts_its_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = SledStore::open(&path).unwrap();
    put(&store, append(run(1, 0), 0, vec![event(1, 1)], RunMark::Open)).await.unwrap();
    store.close().unwrap();
    drop(store);
    let store = SledStore::options().master_key(key()).open(&path).unwrap();
    put(&store, append(run(1, 0), 1, vec![event(1, 1)], RunMark::Closed)).await.unwrap();
    put(&store, append(run(2, 0), 0, vec![marked(2)], RunMark::Open)).await.unwrap();
    drop(store);
    let store = SledStore::options().master_key(key()).open(&path).unwrap();
    assert_eq!(stream(&store, run(1, 0)).await.unwrap().len(), 2);
    assert!(format!("{:?}", all(&store).await.unwrap()).contains(CANARY));
    drop(store);
    assert_eq!(found(&path, CANARY.as_bytes()), [""; 0]);
    assert!(matches!(SledStore::open(&path), Err(StoreError::WrongKey { .. })));
}

#[tokio::test]
async fn a_run_that_goes_on_in_later_volumes_keeps_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = small().open(&path).unwrap();
    let (open, closed) = (run(1, 0), run(1, 1));
    put(&store, append(open, 0, vec![marked(1)], RunMark::Open)).await.unwrap();
    put(&store, append(closed, 0, vec![marked(1)], RunMark::Closed)).await.unwrap();
    for round in 0..3 {
        fill(&store, 1000 * (round + 1), 60).await;
        let version = round + 1;
        put(&store, append(open, version, vec![marked(2)], RunMark::Open)).await.unwrap();
        put(&store, append(closed, version, vec![marked(2)], RunMark::Closed)).await.unwrap();
    }
    sealed(&store, 2).await;
    for store in [
        store,
        small()
            .open({
                copy(&path, &dir.path().join("c"));
                dir.path().join("c")
            })
            .unwrap(),
    ] {
        for run in [open, closed] {
            let events = stream(&store, run).await.unwrap();
            assert_eq!(events.len(), 4);
            assert!(events.iter().all(|event| format!("{event:?}").contains(CANARY)));
        }
    }
}

#[tokio::test]
async fn a_flipped_byte_of_a_file_of_run_keys_is_found_by_verifying_and_never_read_as_other_content() {
    let dir = tempfile::tempdir().unwrap();
    let store = small().open(dir.path().join("s")).unwrap();
    fill(&store, 1000, 60).await;
    sealed(&store, 1).await;
    let path = dir.path().join("s/volumes/00000001.secrets");
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x20;
        fs::write(&path, &flipped).unwrap();
        let found = store.verify();
        assert!(
            matches!(&found, Err(StoreError::Corrupt { path: at, .. }) if *at == path),
            "{at}: {found:?}"
        );
        match stream(&store, run(1000, 0)).await {
            Ok(events) => assert_eq!(events.len(), 4),
            Err(error) => assert!(matches!(error, StoreError::Corrupt { .. }), "{at}: {error}"),
        }
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(store.verify(), Err(StoreError::Corrupt { .. })));
    fs::write(&path, &whole).unwrap();
    store.verify().unwrap();
}

#[tokio::test]
async fn a_backup_restores_without_the_key_and_opens_with_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = small().open(dir.path().join("s")).unwrap();
    fill_marked(&store).await;
    store.backup(dir.path().join("b")).await.unwrap();
    SledStore::restore(dir.path().join("b"), dir.path().join("r")).unwrap();
    assert!(SledStore::open(dir.path().join("r")).is_err());
    let restored = small().open(dir.path().join("r")).unwrap();
    assert_eq!(all(&restored).await.unwrap(), all(&store).await.unwrap());
    let mut content = String::new();
    let events = stream(&restored, run(2, 0)).await.unwrap();
    let Event::CompensationIntended(intended) = &events[3].event else { unreachable!("it refers to a blob") };
    restored.blobs(run(2, 0)).open(&intended.blobs[0]).unwrap().read_to_string(&mut content).unwrap();
    assert_eq!(content, CANARY.repeat(3));
}

#[tokio::test]
async fn a_store_whose_key_was_exchanged_opens_under_the_new_one_alone_and_has_everything() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = small().open(&path).unwrap();
    fill(&store, 1000, 60).await;
    sealed(&store, 1).await;
    let rotate = |new: MasterKey| small().rotate_key(&path, || Ok(new), || Ok(()));
    assert!(matches!(rotate(MasterKey::random()), Err(StoreError::Locked { .. })));
    store.close().unwrap();
    drop(store);
    let new = MasterKey::random();
    let failed = small().rotate_key(&path, || Err(std::io::ErrorKind::StorageFull.into()), || Ok(()));
    assert!(matches!(failed, Err(StoreError::Io { .. })));
    assert_eq!(SledStore::needed_key(&path).unwrap(), Some(key().fingerprint()));
    rotate(new.clone()).unwrap();
    assert_eq!(SledStore::needed_key(&path).unwrap(), Some(new.fingerprint()));
    assert!(matches!(small().open(&path), Err(StoreError::WrongKey { .. })));
    assert!(matches!(rotate(new.clone()), Err(StoreError::WrongKey { .. })));
    let store = small().master_key(new.clone()).open(&path).unwrap();
    for ms in 0..60 {
        assert_eq!(stream(&store, run(1000 + ms, 0)).await.unwrap().len(), 4);
    }
    put(&store, append(run(90_000, 0), 0, vec![marked(1)], RunMark::Open)).await.unwrap();
    store.verify().unwrap();
    drop(store);
    let store = small().master_key(new).open(&path).unwrap();
    assert!(format!("{:?}", stream(&store, run(90_000, 0)).await.unwrap()).contains(CANARY));
    let plain = SledStore::open(dir.path().join("plain")).unwrap();
    drop(plain);
    let refused = small().rotate_key(dir.path().join("plain"), || Ok(key()), || Ok(()));
    assert!(refused.unwrap_err().to_string().contains("no store that was made with a key"));
}
