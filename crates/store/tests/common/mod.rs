//! What tests of the durable store share.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

use std::path::Path;
use std::time::Duration;

use enact_core::blob::BlobRef;
use enact_core::connector::Identity;
use enact_core::event::{CompensationIntended, Event, NewEvent, StoredEvent, ValueRecorded};
use enact_core::ids::{CallPath, EventSeq, Position, Pseudonym, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::store::{Append, Durability, EventStore, Fence, RunMark, StoreError};
use enact_core::time::Timestamp;
use enact_store::{MasterKey, Options, SledStore};

/// A run that was accepted in millisecond `ms`, the `n`th of it.
pub(crate) fn run(ms: u64, n: u16) -> RunId {
    let [high, low] = n.to_be_bytes();
    RunId::from_parts(ms, [high, low, 1, 2, 3, 4, 5, 6, 7, 8])
}

/// An event with a payload of about `size` bytes.
pub(crate) fn event(at: u64, size: usize) -> NewEvent {
    let value = JsonText::encode(&"x".repeat(size)).unwrap();
    let body = ValueRecorded { path: CallPath::root(1), what: "test".into(), value };
    NewEvent { at: Timestamp::from_unix_us(at), by: Pseudonym::default(), event: Event::ValueRecorded(body) }
}

pub(crate) fn append(run: RunId, expected: u64, events: Vec<NewEvent>, mark: RunMark) -> Append {
    let expected = EventSeq(expected);
    Append { run, expected, fence: Fence::NONE, events, mark, key: None, durability: Durability::Barrier }
}

/// An event that refers to a blob.
pub(crate) fn referring(at: u64, blob: BlobRef) -> NewEvent {
    let json = || JsonText::encode(&()).unwrap();
    let body = CompensationIntended {
        seq: Seq(1),
        attempt: 1,
        undo_try: 1,
        action: "restore_file".into(),
        version: 1,
        params: json(),
        pre: json(),
        blobs: vec![blob],
        identity: Identity("here".into()),
        by: "me".into(),
    };
    NewEvent { event: Event::CompensationIntended(body.into()), ..event(at, 1) }
}

/// Appends and waits until that is durable.
pub(crate) async fn put(store: &SledStore, append: Append) -> Result<Position, StoreError> {
    let appended = store.append(append).await?;
    let position = appended.position;
    appended.durable().await?;
    Ok(position)
}

/// All events of the store.
pub(crate) async fn all(store: &SledStore) -> Result<Vec<StoredEvent>, StoreError> {
    let (mut events, mut from) = (Vec::new(), Position(1));
    loop {
        let page = store.read_all(from, 1000).await?;
        let Some(last) = page.last() else { return Ok(events) };
        from = last.position.next();
        events.extend(page);
    }
}

/// All events of a run.
pub(crate) async fn stream(store: &SledStore, run: RunId) -> Result<Vec<StoredEvent>, StoreError> {
    let (mut events, mut from) = (Vec::new(), EventSeq(1));
    loop {
        let page = store.read(run, from, 1000).await?;
        let Some(last) = page.last() else { return Ok(events) };
        from = last.event_seq.next();
        events.extend(page);
    }
}

/// A store whose volumes are sealed early, with a key.
pub(crate) fn small() -> Options {
    SledStore::options().volume_bytes(200_000).segment_bytes(64 * 1024).master_key(key())
}

/// The master key of tests.
pub(crate) fn key() -> MasterKey {
    MasterKey::parse(&"07".repeat(32)).unwrap()
}

/// Fills a store with runs of three appends each; every tenth stays open. Gives the runs with their versions.
pub(crate) async fn fill(store: &SledStore, first_ms: u64, runs: u64) -> Vec<(RunId, u64, RunMark)> {
    let mut made = Vec::new();
    for number in 0..runs {
        let ms = first_ms + number;
        let run = run(ms, 0);
        let at = ms * 1000;
        put(store, append(run, 0, vec![event(at, 200), event(at, 200)], RunMark::Open)).await.unwrap();
        put(store, append(run, 2, vec![event(at, 3000)], RunMark::Open)).await.unwrap();
        let mark = if number % 10 == 0 { RunMark::Open } else { RunMark::Closed };
        put(store, append(run, 3, vec![event(at, 100)], mark)).await.unwrap();
        made.push((run, 4, mark));
    }
    made
}

/// Asserts that the store holds exactly these runs, whole.
pub(crate) async fn assert_holds(store: &SledStore, made: &[(RunId, u64, RunMark)]) {
    for (run, version, _) in made {
        let events = stream(store, *run).await.unwrap();
        let seqs: Vec<u64> = events.iter().map(|event| event.event_seq.0).collect();
        assert_eq!(seqs, (1..=*version).collect::<Vec<_>>(), "run {run}");
    }
    let events = all(store).await.unwrap();
    let total: u64 = made.iter().map(|(_, version, _)| version).sum();
    assert_eq!(events.len() as u64, total);
    assert!(events.iter().zip(1..).all(|(event, n)| event.position.0 == n), "positions without gaps");
    let open: Vec<_> =
        made.iter().filter(|(.., mark)| *mark == RunMark::Open).map(|(run, ..)| *run).collect();
    assert_eq!(store.open_runs().await.unwrap(), open);
    let mut newest_first: Vec<_> = made.iter().map(|(run, ..)| *run).collect();
    newest_first.reverse();
    assert_eq!(runs(store).await, newest_first);
}

/// All runs, newest first, page by page.
pub(crate) async fn runs(store: &SledStore) -> Vec<RunId> {
    let (mut runs, mut before) = (Vec::new(), None);
    loop {
        let page = store.runs(before, 7).await.unwrap();
        let Some(last) = page.last() else { return runs };
        before = Some(*last);
        runs.extend(page);
    }
}

/// Waits until as many volumes are sealed: the next one is made when the manifest names the one before.
pub(crate) async fn sealed(store: &SledStore, count: usize) {
    let next = store.path().join(format!("volumes/{:08}", count + 1));
    until(&format!("sealing {count} volumes"), || next.exists()).await;
}

/// Copies a folder as a crash would leave it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not come about in ten seconds");
}
