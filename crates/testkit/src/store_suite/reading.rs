//! Pages, streams, blobs and pseudonyms.

use std::io::{self, Read};

use enact_core::blob::BlobRef;
use enact_core::error::Remains;
use enact_core::error::{ErrorCode, ErrorRecord};
use enact_core::event::{ActionFailed, RollbackRequested};
use enact_core::ids::{Pseudonym, Seq};
use enact_core::store::EventStore;

use super::*;

/// Given more events than a page may have; then no call gives more than was asked for, or than a page.
pub async fn pages_are_bounded(stores: &impl Stores) {
    let store = stores.fresh().await;
    let total = MAX_PAGE as u64 + 100;
    put(&store, many(run(1), 0, (0..total).map(|_| "a"))).await;
    for limit in [0, 1, 7, MAX_PAGE, MAX_PAGE + 1, usize::MAX] {
        let expected = limit.min(MAX_PAGE);
        assert_eq!(store.read(run(1), EventSeq(1), limit).await.unwrap().len(), expected);
        assert_eq!(store.read_all(Position(1), limit).await.unwrap().len(), expected);
    }
    let rest = store.read_all(Position(MAX_PAGE as u64), usize::MAX).await.unwrap();
    assert_eq!(rest.first().map(|event| event.position), Some(Position(MAX_PAGE as u64)));
    assert_eq!(rest.len(), 101);
    let rest = store.read(run(1), EventSeq(total), usize::MAX).await.unwrap();
    assert_eq!(rest.iter().map(|event| event.event_seq).collect::<Vec<_>>(), [EventSeq(total)]);
}

/// Given a position or a run that is not there; then the answer is empty and no error.
pub async fn past_the_end_and_of_unknown_runs_there_is_nothing(stores: &impl Stores) {
    let store = stores.fresh().await;
    assert!(store.read_all(Position(1), 10).await.unwrap().is_empty());
    assert!(store.runs(None, 10).await.unwrap().is_empty());
    assert!(store.open_runs().await.unwrap().is_empty());
    put(&store, one(run(2), 0, "a")).await;
    for past in [2, 3, u64::MAX] {
        assert!(store.read_all(Position(past), 10).await.unwrap().is_empty());
        assert!(store.read(run(2), EventSeq(past), 10).await.unwrap().is_empty());
    }
    for unknown in [1, 3] {
        assert!(store.read(run(unknown), EventSeq(1), 10).await.unwrap().is_empty());
    }
}

/// Given runs whose events alternate; then the whole log is the streams of its runs, merged by position.
pub async fn the_whole_log_is_its_streams_by_position(stores: &impl Stores) {
    let mut store = stores.fresh().await;
    for version in 0..12 {
        for number in 0..5 {
            put(&store, one(run(number), version, &format!("{number} {version}"))).await;
        }
    }
    for _ in ["written", "reopened"] {
        let mut merged = Vec::new();
        for number in 0..5 {
            merged.extend(stream(&store, run(number)).await);
        }
        merged.sort_by_key(|event| event.position);
        assert_eq!(merged, all(&store).await);
        store = stores.reopen(store).await;
    }
}

/// Given events of several kinds, times and authors; then each reads back as it was, with its place.
pub async fn events_read_back_as_they_were_written(stores: &impl Stores) {
    let error = ErrorRecord { code: ErrorCode::InDoubt, message: "größer\0\n".into(), retryable: true };
    let failed = ActionFailed { seq: Seq(3), attempt: 2, error, remains: Remains::Perhaps, will_retry: true };
    let rollback = RollbackRequested {
        by: "me".into(),
        reason: Some(String::new()),
        to: Some(Seq(u64::MAX)),
        force: true,
    };
    let events = [
        Event::ActionFailed(failed),
        Event::RollbackRequested(rollback),
        Event::RollbackFinished,
        said("\u{1F980}").event,
    ];
    let written: Vec<_> = events
        .into_iter()
        .zip([0, 1, u64::MAX, 1_700_000_000_000_000])
        .map(|(event, us)| NewEvent {
            at: Timestamp::from_unix_us(us),
            by: Pseudonym(us.to_be_bytes().repeat(2).try_into().unwrap()),
            event,
        })
        .collect();
    let store = stores.fresh().await;
    put(&store, Append { events: written.clone(), ..many(run(1), 0, []) }).await;
    let store = stores.crash(store).await;
    let expected: Vec<_> = written
        .into_iter()
        .zip(1..)
        .map(|(new, number)| StoredEvent {
            position: Position(number),
            run_id: run(1),
            event_seq: EventSeq(number),
            at: new.at,
            by: new.by,
            event: new.event,
        })
        .collect();
    assert_eq!(all(&store).await, expected);
    assert_eq!(stream(&store, run(1)).await, expected);
}

/// Given blobs of several sizes; then each reads back under the hash of its content, in the store that a close
/// or a crash leaves too, and what was never put is not found.
pub async fn blobs_read_back_and_outlive_closing_and_crashes(stores: &impl Stores) {
    let mut store = stores.fresh().await;
    let contents = [vec![], b"abc".to_vec(), vec![1; 65_536], vec![2; 3_000_000]];
    self::put(&store, one(run(1), 0, "a")).await;
    let put = |content: &Vec<u8>| store.blobs(run(1)).put(&mut content.as_slice()).unwrap();
    let blobs: Vec<_> = contents.iter().map(put).collect();
    assert_eq!(put(&b"abc".to_vec()), *blobs.get(1).unwrap(), "the same content is the same blob");
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert!(blobs.contains(&BlobRef { sha256: abc.into(), size: 3 }));
    for end in 0..3 {
        for (blob, content) in blobs.iter().zip(&contents) {
            let mut read = Vec::new();
            store.blobs(run(1)).open(blob).unwrap().read_to_end(&mut read).unwrap();
            assert!(read == *content, "{blob:?}");
        }
        let unknown = BlobRef { sha256: "0".repeat(64), size: 3 };
        let not_found = store.blobs(run(1)).open(&unknown).map(drop).map_err(|error| error.kind());
        assert_eq!(not_found, Err(io::ErrorKind::NotFound));
        store = if end == 0 { stores.reopen(store).await } else { stores.crash(store).await };
    }
}

/// Given users of stores; then a user has one pseudonym for the life of a store, however the name is spelled, and no other
/// user or store has it.
pub async fn a_pseudonym_belongs_to_a_user_and_a_store(stores: &impl Stores) {
    let store = stores.fresh().await;
    let mine = store.pseudonym("me@example.org");
    assert_ne!(mine, Pseudonym::default());
    assert_eq!(mine, store.pseudonym(" Me@Example.ORG\u{200b}"));
    assert_ne!(mine, store.pseudonym("you@example.org"));
    assert_ne!(mine, stores.fresh().await.pseudonym("me@example.org"));
    let store = stores.reopen(store).await;
    assert_eq!(store.pseudonym("me@example.org"), mine);
    let store = stores.crash(store).await;
    assert_eq!(store.pseudonym("me@example.org"), mine);
}
