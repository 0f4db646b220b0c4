//! Lists of runs, and idempotency keys.

use std::sync::Arc;

use enact_core::store::EventStore;
use futures::future::join_all;

use super::*;

/// Given runs that end in another order than they began; then the list holds what is open, oldest first, in the
/// store that a close or a crash leaves too.
pub async fn open_runs_are_listed_oldest_first_until_they_are_closed(stores: &impl Stores) {
    let mut store = stores.fresh().await;
    for number in [5, 1, 4, 2, 3] {
        put(&store, one(run(number), 0, "a")).await;
    }
    assert_eq!(store.open_runs().await.unwrap(), [1, 2, 3, 4, 5].map(run));
    put(&store, closing(one(run(1), 1, "end"))).await;
    put(&store, one(run(2), 1, "goes on")).await;
    put(&store, closing(one(run(4), 1, "end"))).await;
    for end in 0..3 {
        assert_eq!(store.open_runs().await.unwrap(), [2, 3, 5].map(run));
        store = if end == 0 { stores.reopen(store).await } else { stores.crash(store).await };
    }
    put(&store, closing(one(run(9), 0, "begins and ends"))).await;
    put(&store, one(run(4), 2, "rolled back")).await;
    assert_eq!(store.open_runs().await.unwrap(), [2, 3, 4, 5].map(run));
}

/// Given open and closed runs; then pages list them newest first and leave none out.
pub async fn runs_are_listed_newest_first_page_by_page(stores: &impl Stores) {
    let mut store = stores.fresh().await;
    for number in 0..23 {
        let append = one(run(number * 2), 0, "a");
        put(&store, if number % 3 == 0 { append } else { closing(append) }).await;
    }
    let newest_first: Vec<_> = (0..23).rev().map(|number| run(number * 2)).collect();
    for _ in ["written", "crashed"] {
        assert_eq!(store.runs(None, 1000).await.unwrap(), newest_first);
        assert_eq!(store.runs(None, 0).await.unwrap(), []);
        let (mut paged, mut before) = (Vec::new(), None);
        while let Some(last) = {
            let page = store.runs(before, 5).await.unwrap();
            assert!(page.len() <= 5);
            paged.extend_from_slice(&page);
            page.last().copied()
        } {
            before = Some(last);
        }
        assert_eq!(paged, newest_first);
        assert_eq!(store.runs(Some(run(3)), 9).await.unwrap(), [2, 0].map(run), "`before` need not be a run");
        store = stores.crash(store).await;
    }
}

/// Given a run with a key; then the key finds it before it is durable, after its end, and after reopening.
pub async fn a_key_finds_its_run_at_once_and_for_good(stores: &impl Stores) {
    let mut store = stores.fresh().await;
    let appended = store.append(enqueued(keyed(one(run(1), 0, "a"), "k"))).await.unwrap();
    assert_eq!(store.find_key("k").await.unwrap(), Some(run(1)));
    for other in ["", "K", "k "] {
        assert_eq!(store.find_key(other).await.unwrap(), None);
    }
    appended.durable().await.unwrap();
    put(&store, closing(one(run(1), 1, "end"))).await;
    for end in 0..3 {
        assert_eq!(store.find_key("k").await.unwrap(), Some(run(1)));
        store = if end == 0 { stores.reopen(store).await } else { stores.crash(store).await };
    }
}

/// Given a key that a run has, open, ended or from before a crash; then another run is refused with its name.
pub async fn a_key_belongs_to_one_run(stores: &impl Stores) {
    let mut store = stores.fresh().await;
    put(&store, keyed(one(run(1), 0, "a"), "k")).await;
    for version in 1..4 {
        match refusal(&store, keyed(one(run(2), 0, "x"), "k")).await {
            StoreError::KeyTaken(holder) => assert_eq!(holder, run(1)),
            other => panic!("not a taken key: {other}"),
        }
        assert_conflict(&store, one(run(2), 1, "x"), 0).await;
        put(&store, closing(one(run(1), version, "end"))).await;
        store = if version == 1 { stores.reopen(store).await } else { stores.crash(store).await };
    }
    put(&store, keyed(one(run(2), 0, "a"), "another")).await;
    assert_eq!(store.find_key("another").await.unwrap(), Some(run(2)));
}

/// Given eight runs accepted at once under one key; then one is in the log and the others are told which.
pub async fn of_runs_that_race_for_a_key_exactly_one_gets_it<S: Stores>(stores: &S) {
    let store = Arc::new(stores.fresh().await);
    for round in 0..10 {
        let key = format!("key {round}");
        let race = (0..8).map(|number| {
            let store = Arc::clone(&store);
            let append = keyed(one(run(round * 8 + number), 0, "a"), &key);
            tokio::spawn(async move { store.append(append).await })
        });
        let ended: Vec<_> = join_all(race).await.into_iter().map(Result::unwrap).collect();
        let winner = store.find_key(&key).await.unwrap().unwrap();
        let (won, lost): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        all_durable(won.into_iter().map(Result::unwrap)).await;
        for error in lost.into_iter().map(refused) {
            assert!(matches!(error, StoreError::KeyTaken(holder) if holder == winner), "{error}");
        }
        assert_eq!(stream(&*store, winner).await.len(), 1);
    }
    assert_eq!(all(&*store).await.len(), 10);
}

/// Given an append with a key that conflicts; then the key stays free.
pub async fn a_refused_append_does_not_take_its_key(stores: &impl Stores) {
    let store = stores.fresh().await;
    assert_conflict(&store, keyed(one(run(1), 5, "x"), "k"), 0).await;
    assert_eq!(store.find_key("k").await.unwrap(), None);
    put(&store, keyed(one(run(2), 0, "a"), "k")).await;
    assert_eq!(store.find_key("k").await.unwrap(), Some(run(2)));
}
