//! Volumes: sealed, carried over, read across, made anew.

mod common;

use std::fs;

use common::*;
use enact_core::ids::EventSeq;
use enact_core::store::{EventStore, RunMark, StoreError};

#[tokio::test]
async fn events_are_read_across_sealed_volumes_and_after_every_kind_of_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = small().open(&path).unwrap();
    let made = fill(&store, 1000, 300).await;
    assert_holds(&store, &made).await;
    sealed(&store, 3).await;

    let crashed = dir.path().join("crashed");
    copy(&path, &crashed);
    assert_holds(&small().open(&crashed).unwrap(), &made).await;

    store.close().unwrap();
    let reopened = small().open(&path).unwrap();
    assert_holds(&reopened, &made).await;
}

#[tokio::test]
async fn a_run_goes_on_over_many_volumes() {
    let dir = tempfile::tempdir().unwrap();
    let store = small().open(dir.path().join("s")).unwrap();
    let long = run(1, 0);
    for round in 0..100 {
        put(&store, append(long, round * 2, vec![event(round, 10), event(round, 10)], RunMark::Open))
            .await
            .unwrap();
        fill(&store, 1000 + round * 100, 5).await;
    }
    sealed(&store, 3).await;
    let events = stream(&store, long).await.unwrap();
    assert_eq!(events.len(), 200);
    let page = store.read(long, EventSeq(77), 5).await.unwrap();
    assert_eq!(page.iter().map(|event| event.event_seq.0).collect::<Vec<_>>(), [77, 78, 79, 80, 81]);
    let stale = store.append(append(long, 3, vec![event(1, 1)], RunMark::Open)).await;
    assert!(matches!(stale, Err(StoreError::Conflict { actual: EventSeq(200), .. })), "{stale:?}");
}

#[tokio::test]
async fn a_closed_run_in_a_sealed_volume_has_its_version_and_can_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = small().open(dir.path().join("s")).unwrap();
    let made = fill(&store, 1000, 200).await;
    let (old, version, _) = made[1];
    sealed(&store, 1).await;
    let stale = store.append(append(old, 0, vec![event(1, 1)], RunMark::Open)).await;
    assert!(matches!(stale, Err(StoreError::Conflict { actual: EventSeq(4), .. })), "{stale:?}");
    put(&store, append(old, version, vec![event(9, 9)], RunMark::Open)).await.unwrap();
    assert!(store.open_runs().await.unwrap().contains(&old));
    assert_eq!(stream(&store, old).await.unwrap().len(), 5);
}

#[tokio::test]
async fn the_active_volume_is_made_anew_when_it_is_gone_or_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = small().open(&path).unwrap();
    let made = fill(&store, 1000, 100).await;
    store.close().unwrap();
    drop(store);
    let active = fs::read_dir(path.join("volumes")).unwrap().map(|entry| entry.unwrap().path());
    let active = active.filter(|path| path.is_dir()).max().unwrap();

    fs::remove_dir_all(&active).unwrap();
    let store = small().open(&path).unwrap();
    assert_holds(&store, &made).await;
    store.close().unwrap();
    drop(store);

    let db = active.join("db");
    let whole = fs::read(&db).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&db, &bytes).unwrap();
        let store = small().open(&path).unwrap();
        assert_holds(&store, &made).await;
        store.close().unwrap();
    }
}

#[tokio::test]
async fn case_52_a_damaged_sealed_volume_is_reported_and_never_read_as_less() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = small().open(&path).unwrap();
    let made = fill(&store, 1000, 120).await;
    let total = all(&store).await.unwrap().len();
    store.close().unwrap();
    drop(store);
    for name in ["00000001/db", "00000001.runs"] {
        let file = path.join("volumes").join(name);
        let whole = fs::read(&file).unwrap();
        let mut reported = 0;
        for at in (0..whole.len()).step_by((whole.len() / 60).max(1)) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&file, &bytes).unwrap();
            let Ok(store) = small().open(&path) else {
                reported += 1;
                continue;
            };
            match all(&store).await {
                Ok(events) => assert_eq!(events.len(), total, "{name}, byte {at}"),
                Err(StoreError::Corrupt { .. }) => reported += 1,
                Err(other) => panic!("{name}, byte {at}: {other}"),
            }
            for (run, version, _) in &made {
                match stream(&store, *run).await {
                    Ok(events) => assert_eq!(events.len() as u64, *version, "{name}, byte {at}"),
                    Err(StoreError::Corrupt { .. }) => reported += 1,
                    Err(other) => panic!("{name}, byte {at}: {other}"),
                }
            }
        }
        assert!(reported > 0, "{name}");
        fs::write(&file, &whole).unwrap();
    }
}

#[tokio::test]
async fn keys_are_found_in_sealed_volumes_until_their_retention_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let day = 24 * 60 * 60 * 1000;
    let store = small().open(dir.path().join("s")).unwrap();
    let keyed = |ms, key: &str| {
        let mut append = append(run(ms, 9), 0, vec![event(ms * 1000, 10)], RunMark::Closed);
        append.key = Some(key.into());
        append
    };
    put(&store, keyed(day, "k")).await.unwrap();
    fill(&store, day + 10, 120).await;
    sealed(&store, 1).await;
    assert_eq!(store.find_key("k").await.unwrap(), Some(run(day, 9)));
    assert_eq!(store.find_key("other").await.unwrap(), None);
    let taken = store.append(keyed(day * 7, "k")).await;
    assert!(matches!(taken, Err(StoreError::KeyTaken(holder)) if holder == run(day, 9)), "{taken:?}");
    put(&store, keyed(day * 8 + 1000, "k")).await.unwrap();
    assert_eq!(store.find_key("k").await.unwrap(), Some(run(day * 8 + 1000, 9)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_read_from_more_volumes_than_are_kept_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(small().open(dir.path().join("s")).unwrap());
    let made = fill(&store, 1000, 400).await;
    sealed(&store, 6).await;
    let readers = made.iter().map(|(run, version, _)| {
        let (store, run, version) = (std::sync::Arc::clone(&store), *run, *version);
        tokio::spawn(async move {
            let events = stream(&store, run).await.unwrap();
            assert_eq!(events.len() as u64, version);
        })
    });
    for reader in futures::future::join_all(readers).await {
        reader.unwrap();
    }
}

#[tokio::test]
async fn a_store_that_is_closed_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = small().open(dir.path().join("s")).unwrap();
    let run = run(1, 1);
    put(&store, append(run, 0, vec![event(1, 1)], RunMark::Open)).await.unwrap();
    store.close().unwrap();
    let refused = store.read(run, EventSeq(1), 10).await;
    assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
}

#[tokio::test]
async fn a_clock_that_was_ahead_for_a_while_lets_no_key_go() {
    let (dir, day) = (tempfile::tempdir().unwrap(), 24 * 60 * 60 * 1000);
    let path = dir.path().join("s");
    let mut store = small().open(&path).unwrap();
    let keyed = |ms, n, key: &str| {
        let mut append = append(run(ms, n), 0, vec![event(ms * 1000, 10)], RunMark::Closed);
        append.key = Some(key.into());
        append
    };
    // Given keys that were taken before the clock went ahead, while it was, and after it was set right,
    put(&store, keyed(day, 1, "before")).await.unwrap();
    put(&store, keyed(day * 40, 2, "ahead")).await.unwrap();
    put(&store, keyed(day + 1000, 3, "after")).await.unwrap();
    let takers = [("before", run(day, 1)), ("ahead", run(day * 40, 2)), ("after", run(day + 1000, 3))];
    // when they are in the active volume, in a sealed one, or read from the disk again, then each is still taken.
    for step in 0..3 {
        match step {
            0 => drop(all(&store).await.unwrap()),
            1 => {
                fill(&store, day + 1001, 120).await;
                sealed(&store, 1).await;
            }
            _ => {
                store.close().unwrap();
                store = small().open(&path).unwrap();
            }
        }
        for (key, taker) in takers {
            let taken = store.append(keyed(day + 2000, 9, key)).await;
            assert!(
                matches!(taken, Err(StoreError::KeyTaken(run)) if run == taker),
                "{step} {key}: {taken:?}"
            );
            assert_eq!(store.find_key(key).await.unwrap(), Some(taker), "{step} {key}");
        }
    }
    // When the time has really come, they are free.
    for (n, (key, _)) in (10..).zip(takers) {
        put(&store, keyed(day * 48, n, key)).await.unwrap();
    }
}
