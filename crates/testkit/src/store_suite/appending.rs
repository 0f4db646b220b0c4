//! Order, all or nothing, and versions.

use std::sync::Arc;

use enact_core::store::{Append, EventStore, MAX_RECORD_BYTES, StoreError};
use futures::future::join_all;
use futures::poll;

use super::*;

/// Given appends of three runs in turn; then each knows its version and position, and the log is in their order.
pub async fn positions_have_no_gaps_and_follow_the_order_of_the_calls(stores: &impl Stores) {
    let store = stores.fresh().await;
    let (mut waiting, mut expected) = (Vec::new(), Vec::new());
    for turn in 0..20_u64 {
        for number in 0..3 {
            let texts = [format!("{turn} {number} a"), format!("{turn} {number} b")];
            let append = many(run(number), turn * 2, texts.iter().map(String::as_str));
            let append = if turn % 2 == 0 { enqueued(append) } else { append };
            let appended = store.append(append).await.unwrap();
            expected.extend(texts);
            assert_eq!(appended.version, EventSeq(turn * 2 + 2));
            assert_eq!(appended.position, Position(expected.len() as u64));
            waiting.push(appended);
        }
    }
    all_durable(waiting).await;
    let events = all(&store).await;
    assert_positions_have_no_gaps(&events);
    assert_eq!(events.iter().map(text).collect::<Vec<_>>(), expected);
}

/// Given twelve tasks that each write a run of their own; then no stream has a gap, and nobody's event stands
/// between the events of one append.
pub async fn many_writers_at_once_keep_each_streams_order_and_each_append_in_one_piece<S: Stores>(
    stores: &S,
) {
    const WRITERS: u64 = 12;
    const APPENDS: u64 = 25;
    let store = Arc::new(stores.fresh().await);
    let write = |writer: u64, store: Arc<S::Store>| async move {
        for number in 0..APPENDS {
            let texts = ["a", "b", "c"].map(|part| format!("{writer} {number} {part}"));
            let append = many(run(writer), number * 3, texts.iter().map(String::as_str));
            if number % 3 == 0 {
                put(&*store, append).await;
            } else {
                drop(store.append(enqueued(append)).await.unwrap());
            }
        }
    };
    join_all((0..WRITERS).map(|writer| tokio::spawn(write(writer, Arc::clone(&store))))).await;

    let events = all(&*store).await;
    assert_positions_have_no_gaps(&events);
    assert_eq!(events.len() as u64, WRITERS * APPENDS * 3);
    for append in events.chunks(3) {
        let said: Vec<_> = append.iter().map(text).collect();
        let whose = said.first().and_then(|text| text.strip_suffix(" a")).unwrap_or_default();
        assert_eq!(said, ["a", "b", "c"].map(|part| format!("{whose} {part}")));
    }
    for writer in 0..WRITERS {
        let stream = stream(&*store, run(writer)).await;
        assert_eq!(stream.len() as u64, APPENDS * 3);
        assert!(stream.iter().zip(1..).all(|(event, seq)| event.event_seq == EventSeq(seq)));
        let numbers = stream.iter().step_by(3).map(text);
        assert!(numbers.eq((0..APPENDS).map(|number| format!("{writer} {number} a"))));
    }
}

/// Given a version too old, too new, or of a run that is not there; then it is a conflict that says what is.
pub async fn a_version_that_is_not_the_streams_is_a_conflict_and_appends_nothing(stores: &impl Stores) {
    let mut store = stores.fresh().await;
    put(&store, many(run(1), 0, ["a", "b"])).await;
    for _ in ["new", "reopened"] {
        for wrong in [0, 1, 3, u64::MAX] {
            assert_conflict(&store, many(run(1), wrong, ["x", "y"]), 2).await;
        }
        assert_conflict(&store, one(run(2), 1, "x"), 0).await;
        assert_eq!(texts(&store).await, ["a", "b"]);
        assert!(stream(&store, run(2)).await.is_empty());
        store = stores.reopen(store).await;
    }
    put(&store, one(run(1), 2, "c")).await;
    assert_eq!(texts(&store).await, ["a", "b", "c"]);
}

/// Given eight tasks that append to one stream at one version; then one succeeds and the others are told where
/// it stands.
pub async fn of_writers_of_one_version_exactly_one_wins<S: Stores>(stores: &S) {
    let store = Arc::new(stores.fresh().await);
    for round in 0..20 {
        let race = (0..8).map(|writer| {
            let (store, append) = (Arc::clone(&store), one(run(1), round, &format!("{round} {writer}")));
            tokio::spawn(async move { store.append(append).await })
        });
        let ended: Vec<_> = join_all(race).await.into_iter().map(Result::unwrap).collect();
        let (won, lost): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "{won:?}");
        let is_conflict = |error: StoreError| matches!(error, StoreError::Conflict { actual, .. } if actual == EventSeq(round + 1));
        assert!(lost.into_iter().map(refused).all(is_conflict));
        all_durable(won.into_iter().map(Result::unwrap)).await;
    }
    assert_eq!(all(&*store).await.len(), 20);
}

/// Given a closed run, also after reopening; then wrong versions conflict, and the right one appends and opens it.
pub async fn a_closed_run_keeps_its_version_and_can_be_opened_again(stores: &impl Stores) {
    let store = stores.fresh().await;
    put(&store, closing(many(run(1), 0, ["a", "b"]))).await;
    assert_conflict(&store, one(run(1), 0, "x"), 2).await;
    let store = stores.reopen(store).await;
    assert_conflict(&store, one(run(1), 0, "x"), 2).await;
    assert_conflict(&store, one(run(1), 3, "x"), 2).await;
    put(&store, one(run(1), 2, "c")).await;
    assert_eq!(store.open_runs().await.unwrap(), [run(1)]);
    let store = stores.crash(store).await;
    assert_conflict(&store, one(run(1), 2, "x"), 3).await;
    put(&store, closing(one(run(1), 3, "d"))).await;
    assert_eq!(store.open_runs().await.unwrap(), []);
    assert_eq!(texts(&store).await, ["a", "b", "c", "d"]);
}

/// Given no events; then the append is an error.
pub async fn an_append_without_events_is_refused(stores: &impl Stores) {
    let store = stores.fresh().await;
    refusal(&store, many(run(1), 0, [])).await;
    put(&store, one(run(1), 0, "a")).await;
    assert_eq!(texts(&store).await, ["a"]);
}

/// Given an append whose second record is too large; then neither of its events is there, and its key is free.
pub async fn a_record_over_the_limit_is_refused_and_leaves_nothing(stores: &impl Stores) {
    let store = stores.fresh().await;
    let huge = "x".repeat(MAX_RECORD_BYTES);
    let mut append = keyed(many(run(1), 0, ["small", "huge"]), "key");
    if let Some(NewEvent { event: Event::ValueRecorded(recorded), .. }) = append.events.last_mut() {
        recorded.what = huge;
    }
    match refusal(&store, append).await {
        StoreError::TooLarge { size, limit } => assert!(size > limit && limit == MAX_RECORD_BYTES),
        other => panic!("not too large: {other}"),
    }
    assert_eq!(store.find_key("key").await.unwrap(), None);
    put(&store, keyed(one(run(2), 0, "a"), "key")).await;
    assert_conflict(&store, one(run(1), 1, "x"), 0).await;
    assert_eq!(texts(&store).await, ["a"]);
}

/// Given records from a byte to many MiB; then each reads back, also after a crash.
pub async fn records_of_every_size_read_back(stores: &impl Stores) {
    const MIB: usize = 1024 * 1024;
    let sizes = [0, 1, 4095, 4096, 4097, 65_536, 131_072, MIB, 3 * MIB + 1, 10 * MIB];
    let contents: Vec<_> = sizes.iter().map(|size| "y".repeat(*size)).collect();
    let mut store = stores.fresh().await;
    for (content, number) in contents.iter().zip(0..) {
        put(&store, one(run(1), number, content)).await;
    }
    for _ in ["written", "crashed"] {
        let sum: usize = texts(&store).await.iter().map(String::len).sum();
        assert_eq!(sum, sizes.iter().sum::<usize>());
        for (content, number) in contents.iter().zip(1..) {
            let page = store.read(run(1), EventSeq(number), 1).await.unwrap();
            let same = page.first().is_some_and(|event| text(event) == *content);
            assert!(same, "the record of {} bytes", content.len());
        }
        store = stores.crash(store).await;
    }
}

/// Given a future of an append that is dropped after its first poll; then all of its events are in the log or
/// none, and the stream goes on from there.
pub async fn dropping_an_append_leaves_all_of_it_or_nothing(stores: &impl Stores) {
    let store = stores.fresh().await;
    let mut version = 0;
    for round in 0..30 {
        let texts = [format!("{round} a"), format!("{round} b")];
        let mut append = store.append(many(run(1), version, texts.iter().map(String::as_str)));
        let was_placed = poll!(&mut append).is_ready();
        drop(append);
        let next = |version| -> Append { one(run(1), version, &format!("{round} next")) };
        version = match store.append(next(version)).await {
            Ok(_) if !was_placed => version + 1,
            Err(StoreError::Conflict { actual, .. }) if actual == EventSeq(version + 2) => {
                put(&store, next(version + 2)).await;
                version + 3
            }
            other => panic!("neither all of it nor nothing (placed: {was_placed}): {other:?}"),
        };
    }
    put(&store, one(run(1), version, "end")).await;
    assert_eq!(stream(&store, run(1)).await.len() as u64, version + 1);
}

/// Given an append with a barrier whose `Appended` is dropped; then it becomes durable all the same.
pub async fn an_append_whose_caller_is_gone_becomes_durable(stores: &impl Stores) {
    let store = stores.fresh().await;
    let position = store.append(many(run(1), 0, ["a", "b"])).await.unwrap().position;
    assert!(store.beyond(Position(position.0 - 1)).await.unwrap() >= position);
    assert_eq!(texts(&store).await, ["a", "b"]);
}
