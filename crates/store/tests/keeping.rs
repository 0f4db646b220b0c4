//! Keeping a store over time: backups, pruning, verifying, who may open it.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use common::*;
use enact_core::store::{Append, EventStore, RunMark, StoreError};
use enact_core::time::Timestamp;
use enact_store::{Held, HeldBy, SledStore};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_taken_under_load_holds_all_that_was_acknowledged_before_and_a_whole_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(small().open(dir.path().join("s")).unwrap());
    put(&store, append(run(1, 0), 0, vec![event(1, 1)], RunMark::Open)).await.unwrap();
    let blob = store.blobs(run(1, 0)).put(&mut &[5; 100_000][..]).unwrap();
    let refers = append(run(1, 0), 1, vec![referring(1, blob.clone())], RunMark::Closed);
    put(&store, refers).await.unwrap();
    let before = [vec![(run(1, 0), 2, RunMark::Closed)], fill(&store, 1000, 150).await].concat();
    let busy = tokio::spawn({
        let store = Arc::clone(&store);
        async move { fill(&store, 100_000, 200).await }
    });
    let backup = dir.path().join("backup");
    store.backup(&backup).await.unwrap();
    let during = busy.await.unwrap();

    let restored = dir.path().join("restored");
    SledStore::restore(&backup, &restored).unwrap();
    let copy = small().open(&restored).unwrap();
    for (run, version, _) in &before {
        assert_eq!(stream(&copy, *run).await.unwrap().len() as u64, *version);
    }
    let events = all(&copy).await.unwrap();
    let original = all(&store).await.unwrap();
    assert!(events.len() > 150 * 4 && original.starts_with(&events), "a whole beginning of the log");
    let mut content = Vec::new();
    copy.blobs(run(1, 0)).open(&blob).unwrap().read_to_end(&mut content).unwrap();
    assert_eq!(content, [5; 100_000]);
    assert_eq!(copy.pseudonym("me"), store.pseudonym("me"));
    put(&copy, append(run(1, 1), 0, vec![event(1, 1)], RunMark::Open)).await.unwrap();
    assert_holds(&store, &[before, during].concat()).await;
}

#[tokio::test]
async fn an_unfinished_or_damaged_backup_is_not_restored_and_nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let store = small().open(dir.path().join("s")).unwrap();
    fill(&store, 1000, 120).await;
    sealed(&store, 1).await;
    let backup = dir.path().join("backup");
    store.backup(&backup).await.unwrap();
    assert!(store.backup(&backup).await.is_err(), "it is not empty");

    let mut db = fs::read(backup.join("volumes/00000001/db")).unwrap();
    let (from, to) = (db.len() / 4, db.len() / 2);
    db[from..to].fill(0x55);
    fs::write(backup.join("volumes/00000001/db"), db).unwrap();
    let damaged = SledStore::restore(&backup, dir.path().join("to"));
    assert!(matches!(damaged, Err(StoreError::Corrupt { .. })), "{damaged:?}");
    assert!(!dir.path().join("to/store").exists());

    fs::remove_file(backup.join("store")).unwrap();
    assert!(matches!(SledStore::restore(&backup, dir.path().join("other")), Err(StoreError::Corrupt { .. })));
    assert!(SledStore::restore(dir.path().join("s"), dir.path()).is_err(), "locked, and not empty");
}

#[tokio::test]
async fn a_copy_goes_into_a_folder_of_its_own_which_becomes_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = small().open(&path).unwrap();
    fill(&store, 1000, 2).await;
    std::os::unix::fs::symlink(&path, dir.path().join("link")).unwrap();
    fs::write(dir.path().join("file"), "mine").unwrap();
    for to in
        ["s", "s/backup", "s/volumes/backup", "link/volumes/backup", "file", "file/backup", "no/such/folder"]
    {
        let to = dir.path().join(to);
        let refused = store.backup(&to).await.unwrap_err();
        use io::ErrorKind::{AlreadyExists, InvalidInput};
        let is_refused = matches!(&refused, StoreError::Io { source, .. } if matches!(source.kind(), AlreadyExists | InvalidInput));
        assert!(is_refused, "{refused}");
        let beside = SledStore::backup_beside(&path, &to).unwrap_err();
        assert_eq!(beside.to_string(), refused.to_string());
    }
    assert_eq!(store.verify().unwrap().events, 8);
    let to = dir.path().join("backup");
    fs::create_dir(&to).unwrap();
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
    store.backup(&to).await.unwrap();
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(SledStore::restore(&to, to.join("volumes/restored")).is_err(), "inside of the backup");

    // As a backup leaves it that was killed.
    fs::remove_file(to.join("store")).unwrap();
    let refused = store.backup(&to).await.unwrap_err().to_string();
    assert!(refused.contains("not finished") && refused.contains("remove the folder"), "{refused}");
}

/// What the files under `path` hold. The store works meanwhile: what it takes away between the listing and the look
/// counts for nothing.
fn disk_use(path: &Path) -> u64 {
    let Some(entries) = still_there(fs::read_dir(path)) else { return 0 };
    let sizes = entries.map(Result::unwrap).filter_map(|entry| {
        let is = still_there(entry.metadata())?;
        Some(if is.is_dir() { disk_use(&entry.path()) } else { is.len() })
    });
    sizes.sum()
}

fn still_there<T>(found: io::Result<T>) -> Option<T> {
    match found {
        Err(why) if why.kind() == io::ErrorKind::NotFound => None,
        found => Some(found.unwrap()),
    }
}

#[tokio::test]
async fn case_49_disk_space_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = SledStore::options().volume_bytes(100_000).segment_bytes(64 * 1024).open(&path).unwrap();
    let mut made = Vec::new();
    for number in 0..400 {
        let closed = run(1000 + number, 0);
        put(&store, append(closed, 0, vec![event((1000 + number) * 1000, 4000)], RunMark::Closed))
            .await
            .unwrap();
        made.push((closed, 1, RunMark::Closed));
    }
    sealed(&store, 10).await;
    let segments = || fs::read_dir(path.join("journal")).unwrap().count();
    until("giving back the journal of what is sealed", || segments() < 8).await;
    let before = disk_use(&path);

    let pruned = store.prune(Timestamp::from_unix_us(1300 * 1000)).await.unwrap();
    assert!(pruned.volumes >= 5 && pruned.up_to.0 <= 300, "{pruned:?}");
    assert!(disk_use(&path) < before / 2, "{} of {before} bytes are left", disk_use(&path));
    let (gone, kept) = made.split_at(usize::try_from(pruned.up_to.0).unwrap());
    assert!(stream(&store, gone[0].0).await.unwrap().is_empty());
    assert_eq!(stream(&store, kept[0].0).await.unwrap().len(), 1);
    let mut listed = runs(&store).await;
    listed.reverse();
    assert_eq!(listed, kept.iter().map(|(run, ..)| *run).collect::<Vec<_>>());
    assert_eq!(store.verify().unwrap().events, kept.len() as u64);

    store.close().unwrap();
    drop(store);
    let store = SledStore::open(&path).unwrap();
    assert_eq!(all(&store).await.unwrap().len(), kept.len());
}

/// A run of one event, in microsecond `ms` * 1000.
fn one_event(ms: u64) -> Append {
    append(run(ms, 0), 0, vec![event(ms * 1000, 4000)], RunMark::Closed)
}

#[tokio::test]
async fn pruning_spares_what_open_runs_and_runs_with_newer_events_have_and_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let options = SledStore::options().volume_bytes(100_000).segment_bytes(64 * 1024);
    let store = options.open(dir.path().join("s")).unwrap();
    for ms in 1000..1100 {
        put(&store, one_event(ms)).await.unwrap();
    }
    let open = run(1100, 1);
    put(&store, append(open, 0, vec![event(1100 * 1000, 10)], RunMark::Open)).await.unwrap();
    for ms in 1101..1300 {
        put(&store, one_event(ms)).await.unwrap();
    }
    sealed(&store, 9).await;
    let late = Timestamp::from_unix_us(u64::MAX);
    let first = store.prune(late).await.unwrap();
    assert!(first.volumes >= 2 && first.up_to.0 <= 100, "{first:?}");
    let held = first.held.unwrap();
    assert_eq!((held.volume, held.by), (first.volumes + 1, HeldBy::OpenRun(open)));
    assert_eq!(stream(&store, open).await.unwrap().len(), 1);

    put(&store, append(open, 1, vec![event(1400 * 1000, 10)], RunMark::Closed)).await.unwrap();
    let second = store.prune(Timestamp::from_unix_us(1350 * 1000)).await.unwrap();
    let newer = Held { by: HeldBy::NewerEvents(open), ..held };
    assert_eq!((second.volumes, second.held), (0, Some(newer)), "it has a newer event");
    assert_eq!(stream(&store, open).await.unwrap().len(), 2);
    assert!(store.prune(late).await.unwrap().volumes >= 4);
    assert!(stream(&store, open).await.unwrap().is_empty());
}

#[tokio::test]
async fn pruning_spares_the_keys_that_are_still_kept_and_says_so() {
    let (dir, day) = (tempfile::tempdir().unwrap(), 24 * 60 * 60 * 1000);
    let options = SledStore::options().volume_bytes(100_000).segment_bytes(64 * 1024);
    let store = options.open(dir.path().join("s")).unwrap();
    let keyed = |ms| Append { key: Some("k".into()), ..one_event(ms) };
    for ms in 1000..1100 {
        put(&store, one_event(ms)).await.unwrap();
    }
    put(&store, keyed(day)).await.unwrap();
    for ms in day + 1..day + 100 {
        put(&store, one_event(ms)).await.unwrap();
    }
    sealed(&store, 6).await;
    put(&store, one_event(day * 3)).await.unwrap();
    let pruned = store.prune(Timestamp::from_unix_us(day * 2 * 1000)).await.unwrap();
    assert!(pruned.volumes >= 2, "{pruned:?}");
    assert_eq!(pruned.held.map(|held| (held.volume, held.by)), Some((pruned.volumes + 1, HeldBy::Keys)));
    let again = store.append(keyed(day * 3 + 1)).await;
    assert!(matches!(again, Err(StoreError::KeyTaken(taker)) if taker == run(day, 0)), "{again:?}");

    put(&store, one_event(day * 9)).await.unwrap();
    let rest = store.prune(Timestamp::from_unix_us(day * 2 * 1000)).await.unwrap();
    assert!(rest.volumes > 0 && rest.held.is_none(), "{rest:?}");
}

#[tokio::test]
async fn pruning_whose_manifest_may_be_on_the_disk_or_not_stops_the_store_and_one_that_did_not_write_it_does_not()
 {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let options = || SledStore::options().volume_bytes(100_000).segment_bytes(64 * 1024);
    let store = options().open(&path).unwrap();
    for ms in 1000..1100 {
        put(&store, one_event(ms)).await.unwrap();
    }
    sealed(&store, 4).await;
    let late = Timestamp::from_unix_us(1090 * 1000);
    fs::create_dir(path.join("manifest.new")).unwrap();
    let refused = store.prune(late).await.unwrap_err();
    assert!(matches!(refused, StoreError::Io { .. }), "{refused}");
    fs::remove_dir(path.join("manifest.new")).unwrap();
    put(&store, append(run(1000, 0), 1, vec![event(1000, 10)], RunMark::Closed)).await.unwrap();

    fs::rename(path.join("manifest"), dir.path().join("manifest")).unwrap();
    fs::create_dir(path.join("manifest")).unwrap();
    let stopped = store.prune(late).await.unwrap_err();
    assert!(matches!(stopped, StoreError::Poisoned(_)), "{stopped}");
    let again = put(&store, append(run(1000, 0), 2, vec![event(1000, 10)], RunMark::Closed)).await;
    assert!(matches!(again, Err(StoreError::Poisoned(_))), "{again:?}");
    drop(store);
    fs::remove_dir(path.join("manifest")).unwrap();
    fs::rename(dir.path().join("manifest"), path.join("manifest")).unwrap();
    let store = options().open(&path).unwrap();
    assert_eq!(all(&store).await.unwrap().len(), 101);
}

#[tokio::test]
async fn case_49_volumes_go_although_each_boundary_is_straddled_by_a_run_and_that_goes_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let options = || SledStore::options().volume_bytes(100_000).segment_bytes(64 * 1024);
    let store = options().open(&path).unwrap();
    // Each run begins before the one before it has ended, so that each end of a volume is within one.
    let mut made = Vec::new();
    for ms in 1000..1300 {
        put(&store, append(run(ms, 0), 0, vec![event(ms * 1000, 2000)], RunMark::Open)).await.unwrap();
        if let Some(before) = made.last() {
            put(&store, append(*before, 1, vec![event(ms * 1000, 2000)], RunMark::Closed)).await.unwrap();
        }
        made.push(run(ms, 0));
    }
    put(&store, append(run(1299, 0), 1, vec![event(1300 * 1000, 1)], RunMark::Closed)).await.unwrap();
    sealed(&store, 11).await;
    let all_before = all(&store).await.unwrap();

    // Twice, so that a run that was cut goes with what it has in the next volume.
    let mut last = 0;
    for before in [1150, 1250] {
        let pruned = store.prune(Timestamp::from_unix_us(before * 1000)).await.unwrap();
        assert!(pruned.volumes >= 3, "{pruned:?}");
        let up_to = pruned.up_to;
        last = up_to.0;
        let (gone, kept): (Vec<_>, Vec<_>) = made.iter().partition(|run| {
            let begins = all_before.iter().find(|event| event.run_id == **run).unwrap();
            begins.position <= up_to
        });
        let holds = async |store: &SledStore| {
            for run in &gone {
                assert!(stream(store, *run).await.unwrap().is_empty(), "{run} is pruned whole");
            }
            for run in &kept {
                assert_eq!(stream(store, *run).await.unwrap().len(), 2, "{run} is whole");
            }
            let events = all(store).await.unwrap();
            let expected = all_before.iter().filter(|event| kept.contains(&event.run_id));
            assert!(events.iter().eq(expected), "from the beginning, no stream begins in the middle");
            let listed = runs(store).await;
            assert_eq!(listed, kept.iter().rev().copied().collect::<Vec<_>>());
            let verified = store.verify().unwrap();
            assert_eq!((verified.events, verified.up_to.0), (600 - up_to.0, 600));
            // Who read a run before it was pruned cannot go on with it.
            let cut = append(*gone.last().unwrap(), 2, vec![event(1, 1)], RunMark::Open);
            let refused = put(store, cut).await;
            assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
        };
        holds(&store).await;
        let copies = ["crashed", "backup", "beside"].map(|name| dir.path().join(format!("{name}{before}")));
        copy(&path, &copies[0]);
        store.backup(dir.path().join("b")).await.unwrap();
        SledStore::restore(dir.path().join("b"), &copies[1]).unwrap();
        fs::remove_dir_all(dir.path().join("b")).unwrap();
        SledStore::backup_beside(&path, &copies[2]).unwrap();
        for copy in copies {
            holds(&options().open(copy).unwrap()).await;
        }
    }
    assert!(last > 300, "most of it went: up to {last}");
    store.close().unwrap();
    let store = options().open(&path).unwrap();
    let rest = store.prune(Timestamp::from_unix_us(u64::MAX)).await.unwrap();
    assert!(rest.volumes > 0 && rest.held.is_none(), "{rest:?}");
    assert_eq!(store.verify().unwrap().up_to.0, 600);
    put(&store, append(run(9000, 0), 0, vec![event(9000, 10)], RunMark::Closed)).await.unwrap();
    assert_eq!(runs(&store).await[0], run(9000, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_taken_up_again_while_it_is_pruned_stays_whole_or_is_gone_whole() {
    let dir = tempfile::tempdir().unwrap();
    let options = SledStore::options().volume_bytes(100_000).segment_bytes(64 * 1024);
    let store = Arc::new(options.open(dir.path().join("s")).unwrap());
    let old: Vec<_> = (1..=1500).map(|ms| (ms, run(ms, 0))).collect();
    for (ms, old) in &old {
        let events = vec![event(ms * 1000, 2000), event(ms * 1000, 1000)];
        put(&store, append(*old, 0, events, RunMark::Closed)).await.unwrap();
    }
    sealed(&store, 40).await;

    let (mut spared, mut gone) = (0, 0);
    // Each time about what is in one volume, of which one run is taken up at another moment.
    for (round, some) in old.chunks(31).enumerate().take(40) {
        let (again, at) = (some[0].1, some.last().unwrap().0);
        let reopened = tokio::spawn({
            let store = Arc::clone(&store);
            async move {
                (0..round * 400).for_each(|_| std::hint::spin_loop());
                let events = vec![event(1000, 1)];
                put(&store, append(again, 2, events, RunMark::Open)).await
            }
        });
        store.prune(Timestamp::from_unix_us((at + 40) * 1000)).await.unwrap();
        let reopened = reopened.await.unwrap();

        let events = stream(&store, again).await.unwrap();
        let seqs: Vec<_> = events.iter().map(|event| event.event_seq.0).collect();
        match (&seqs[..], reopened) {
            ([], Err(StoreError::Conflict { .. })) => gone += 1,
            ([1, 2, 3], Ok(_)) => spared += 1,
            (seqs, reopened) => panic!("{again} has {seqs:?}, and its writer was told {reopened:?}"),
        }
        // Ended again, and so it goes with the next.
        if seqs.len() == 3 {
            let events = vec![event(1000, 1)];
            put(&store, append(again, 3, events, RunMark::Closed)).await.unwrap();
        }
    }
    assert!(spared > 0 && gone > 0, "both happened: {spared} spared, {gone} gone");
    store.verify().unwrap();
}

#[tokio::test]
async fn a_store_whose_sealed_volumes_are_all_pruned_opens_after_a_crash_and_from_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let options = || SledStore::options().volume_bytes(60_000).segment_bytes(64 * 1024);
    let store = options().open(&path).unwrap();
    for number in 0..50 {
        put(&store, append(run(1000 + number, 0), 0, vec![event(number, 4000)], RunMark::Closed))
            .await
            .unwrap();
    }
    sealed(&store, 3).await;
    let pruned = store.prune(Timestamp::from_unix_us(u64::MAX)).await.unwrap();
    assert!(pruned.volumes >= 3, "{pruned:?}");
    let left = all(&store).await.unwrap();
    let crashed = dir.path().join("crashed");
    copy(&path, &crashed);
    store.backup(dir.path().join("backup")).await.unwrap();
    SledStore::restore(dir.path().join("backup"), dir.path().join("restored")).unwrap();
    for path in [crashed, dir.path().join("restored")] {
        let store = options().open(path).unwrap();
        assert_eq!(all(&store).await.unwrap(), left);
        put(&store, append(run(9000, 0), 0, vec![event(9000, 10)], RunMark::Closed)).await.unwrap();
    }
}

#[tokio::test]
async fn blobs_go_with_the_last_event_that_refers_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let options = || SledStore::options().volume_bytes(100_000).segment_bytes(64 * 1024);
    let store = options().open(&path).unwrap();
    let old = store.blobs(run(1, 0)).put(&mut &b"old"[..]).unwrap();
    let kept = store.blobs(run(900, 0)).put(&mut &b"kept"[..]).unwrap();
    put(&store, append(run(1, 0), 0, vec![referring(1000, old.clone())], RunMark::Closed)).await.unwrap();
    for number in 0..60 {
        put(&store, append(run(10 + number, 0), 0, vec![event(2000 + number, 4000)], RunMark::Closed))
            .await
            .unwrap();
    }
    put(&store, append(run(900, 0), 0, vec![referring(900_000, kept.clone())], RunMark::Closed))
        .await
        .unwrap();
    sealed(&store, 2).await;
    drop(store);
    let store = options().open(&path).unwrap();
    let pruned = store.prune(Timestamp::from_unix_us(800_000)).await.unwrap();
    assert_eq!(pruned.blobs, 1, "{pruned:?}");
    assert!(store.blobs(run(1, 0)).open(&old).is_err());
    assert!(store.blobs(run(900, 0)).open(&kept).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pruning_and_backing_up_while_volumes_are_sealed_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = || SledStore::options().volume_bytes(60_000).segment_bytes(64 * 1024);
    let store = Arc::new(options().open(dir.path().join("s")).unwrap());
    let busy = tokio::spawn({
        let store = Arc::clone(&store);
        async move { fill(&store, 1_000_000, 500).await }
    });
    let mut backups = 0;
    while !busy.is_finished() {
        // Nothing is as old as that, or everything but what the open runs need.
        store.prune(Timestamp::from_unix_us(if backups % 2 == 0 { 1 } else { u64::MAX })).await.unwrap();
        store.backup(dir.path().join(format!("backup{backups}"))).await.unwrap();
        backups += 1;
    }
    busy.await.unwrap();
    store.verify().unwrap();
    drop(store);
    let store = options().open(dir.path().join("s")).unwrap();
    store.verify().unwrap();
    for number in 0..backups {
        SledStore::restore(dir.path().join(format!("backup{number}")), dir.path().join(format!("r{number}")))
            .unwrap();
    }
    assert!(backups > 1, "{backups} backups");
}
