//! What a store gives to those who prove its log: leaf hashes, and what is kept of checkpoints.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;

use common::*;
use enact_core::ids::{EventSeq, Position};
use enact_core::store::{EventStore, RunMark, StoreError};
use enact_core::time::Timestamp;
use enact_store::{HASHED_BYTES, Ledger, LedgerLines, MAX_LEAVES, ProvableEvent, RecordHeader, SledStore};

async fn fill(store: &SledStore, runs: std::ops::RangeInclusive<u64>) {
    for number in runs {
        let events = vec![event(number, 3000), event(number, 10)];
        put(store, append(run(number, 0), 0, events, RunMark::Closed)).await.unwrap();
    }
}

/// All leaf hashes, a few at a time.
async fn leaves(store: &SledStore, page: usize) -> Vec<[u8; 32]> {
    let mut all = Vec::new();
    loop {
        let next = Position(all.len() as u64 + 1);
        let more = store.leaves(next, page).await.unwrap();
        assert!(more.len() <= page);
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

fn verified(store: &SledStore) -> Vec<[u8; 32]> {
    let mut leaves = Vec::new();
    store.verify_leaves(&mut |leaf| leaves.push(*leaf)).unwrap();
    leaves
}

fn lines(mut kept: LedgerLines) -> Vec<(String, bool)> {
    let mut lines = Vec::new();
    while let Some(line) = kept.next_line().unwrap() {
        lines.push(line);
    }
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaf_hashes_are_the_same_in_the_journal_in_sealed_volumes_and_when_the_records_are_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let store = small().open(dir.path().join("s")).unwrap();
    assert_eq!(store.leaves(Position(1), MAX_LEAVES).await.unwrap(), [[0; 32]; 0]);
    fill(&store, 1..=10).await;
    let first = leaves(&store, MAX_LEAVES).await;
    assert_eq!(first.len(), 20);
    fill(&store, 11..=400).await;
    sealed(&store, 2).await;
    let all = leaves(&store, 7).await;
    assert_eq!(all.len(), 800);
    assert_eq!(all[..20], first);
    assert_eq!(verified(&store), all);
    // From the middle of a volume.
    assert_eq!(store.leaves(Position(5), 3).await.unwrap(), all[4..7]);
    assert_eq!(store.leaves(Position(801), 3).await.unwrap(), [[0; 32]; 0]);

    let pruned = store.prune(Timestamp::from_unix_us(u64::MAX)).await.unwrap();
    assert!(pruned.up_to > Position(10), "{pruned:?}");
    assert!(store.read(run(1, 0), EventSeq(1), 9).await.unwrap().is_empty());
    assert_eq!(leaves(&store, 100).await, all);
    assert_eq!(verified(&store), all);
    store.close().unwrap();
    let store = small().open(dir.path().join("s")).unwrap();
    assert_eq!(leaves(&store, MAX_LEAVES).await, all, "after opening it again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_key_an_encrypted_store_gives_hashes_and_verifies_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = small().open(&path).unwrap();
    fill(&store, 1..=200).await;
    let (all, id) = (leaves(&store, 100).await, store.id());
    store.close().unwrap();

    let store = SledStore::options().without_key().open(&path).unwrap();
    assert_eq!(leaves(&store, 100).await, all);
    assert_eq!(verified(&store), all);
    assert_eq!(store.id(), id);
    let is_locked = |error: &StoreError| matches!(error, StoreError::WrongKey { given: None, .. });
    assert!(is_locked(&store.read(run(1, 0), EventSeq(1), 9).await.unwrap_err()));
    assert!(is_locked(&store.read_all(Position(1), 9).await.unwrap_err()));
    let known = put(&store, append(run(1, 0), 2, vec![event(1, 10)], RunMark::Closed)).await;
    assert!(is_locked(&known.unwrap_err()));
    let new = put(&store, append(run(900, 0), 0, vec![event(1, 10)], RunMark::Closed)).await;
    assert!(is_locked(&new.unwrap_err()), "nothing is ever written in clear to a store that is encrypted");
    assert!(store.blobs(run(1, 0)).put(&mut &b"content"[..]).is_err());
    store.close().unwrap();
    let store = small().open(&path).unwrap();
    assert_eq!(leaves(&store, 100).await, all, "nothing was changed");
    assert_eq!(store.read(run(1, 0), EventSeq(1), 9).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_of_checkpoints_and_receipts_grows_by_whole_lines_and_goes_with_copies() {
    for (ledger, file) in [(Ledger::Checkpoints, "checkpoints"), (Ledger::Receipts, "receipts")] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let store = small().open(&path).unwrap();
        assert!(lines(store.kept(ledger).unwrap()).is_empty());
        fill(&store, 1..=3).await;
        store.keep(ledger, "first \u{2014}".into()).await.unwrap();
        store.keep(ledger, "second".into()).await.unwrap();
        for bad in ["two\nlines".to_owned(), "x".repeat(1024 * 1024)] {
            assert!(store.keep(ledger, bad).await.is_err());
        }
        let whole = |lines: &[&str]| lines.iter().map(|line| ((*line).to_owned(), true)).collect::<Vec<_>>();
        assert_eq!(lines(store.kept(ledger).unwrap()), whole(&["first \u{2014}", "second"]));

        store.backup(dir.path().join("backup")).await.unwrap();
        SledStore::backup_beside(&path, dir.path().join("beside")).unwrap();
        for copy in ["backup", "beside"] {
            let to = dir.path().join(format!("restored-{copy}"));
            SledStore::restore(dir.path().join(copy), &to).unwrap();
            let restored = small().open(&to).unwrap();
            assert_eq!(lines(restored.kept(ledger).unwrap()), whole(&["first \u{2014}", "second"]), "{copy}");
        }

        // A crash while one was written, at each byte.
        let file = path.join(file);
        let before = fs::read(&file).unwrap();
        for cut in 0.."third".len() {
            let torn = [&before[..], &b"third"[..=cut]].concat();
            fs::write(&file, torn).unwrap();
            let found = lines(store.kept(ledger).unwrap());
            assert_eq!(found[..2], whole(&["first \u{2014}", "second"]));
            assert_eq!(found[2..], [("third"[..=cut].to_owned(), false)]);
            store.keep(ledger, "fourth".into()).await.unwrap();
            assert_eq!(lines(store.kept(ledger).unwrap()), whole(&["first \u{2014}", "second", "fourth"]));
        }
        store.close().unwrap();
        assert!(matches!(store.keep(ledger, "late".into()).await, Err(StoreError::Closed)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_given_with_what_its_leaf_is_made_of() {
    let dir = tempfile::tempdir().unwrap();
    let store = small().open(dir.path().join("s")).unwrap();
    fill(&store, 1..=3).await;
    let leaves = store.leaves(Position(1), MAX_LEAVES).await.unwrap();
    let mut seen = 0;
    for run in store.runs(None, 10).await.unwrap() {
        let events = store.read(run, EventSeq(1), 10).await.unwrap();
        let provable = store.read_provable(run, EventSeq(1), 10).await.unwrap();
        assert_eq!(provable.iter().map(|it| it.event.clone()).collect::<Vec<_>>(), events);
        for ProvableEvent { event, header, payload } in provable {
            let place = usize::try_from(event.position.0).unwrap() - 1;
            assert_eq!(Some(&ProvableEvent::leaf_of(&header, &payload)), leaves.get(place));
            let said = RecordHeader::parse(&header).unwrap();
            assert_eq!((said.run_id, said.event_seq, said.position), (run, event.event_seq, event.position));
            assert_eq!((said.kind, said.at, said.by), (event.event.code(), event.at, event.by));
            seen += 1;
        }
    }
    assert_eq!(seen, leaves.len());
    assert_eq!(RecordHeader::parse(&[0; HASHED_BYTES]), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn salts_are_the_runs_own_and_are_there_for_who_has_its_key_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = small().open(&path).unwrap();
    fill(&store, 1..=2).await;
    let salts = async |run| store.salts(run).await.unwrap();
    let (first, second) = (salts(run(1, 0)).await.unwrap(), salts(run(2, 0)).await.unwrap());
    assert_eq!(first.of("a"), salts(run(1, 0)).await.unwrap().of("a"));
    assert!(first.of("a") != first.of("b") && first.of("a") != second.of("a"));
    assert!(salts(run(77, 0)).await.is_none(), "there is no such run");
    store.close().unwrap();
    drop(store);
    let locked = SledStore::options().without_key().open(&path).unwrap();
    assert!(matches!(locked.salts(run(1, 0)).await, Err(StoreError::WrongKey { .. })));
}
