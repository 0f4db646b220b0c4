//! What is durable, who sees it, and what a crash leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use enact_core::store::EventStore;
use futures::future::join_all;

use super::*;

/// Given appends and a task that watches; then `durable` only rises, and is there when an append is acknowledged.
pub async fn durable_never_falls_and_covers_what_was_acknowledged<S: Stores>(stores: &S) {
    let store = Arc::new(stores.fresh().await);
    assert_eq!(store.durable(), Position(0));
    let done = Arc::new(AtomicBool::new(false));
    let watch = tokio::spawn({
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        async move {
            let mut highest = Position(0);
            while !done.load(Ordering::Acquire) {
                let now = store.durable();
                assert!(now >= highest, "{now} after {highest}");
                highest = now;
                tokio::task::yield_now().await;
            }
        }
    });
    for number in 0..200 {
        let position = put(&*store, one(run(1), number, "a")).await;
        assert!(store.durable() >= position);
    }
    done.store(true, Ordering::Release);
    watch.await.unwrap();
    assert_eq!(store.durable(), Position(200));
}

/// Given readers beside writers; then each page ends at the latest where the log is durable, and what was durable
/// when they asked is there.
pub async fn readers_see_all_that_is_durable_and_nothing_else<S: Stores>(stores: &S) {
    let store = Arc::new(stores.fresh().await);
    let write = |number: u64, store: Arc<S::Store>| async move {
        for version in 0..60 {
            let append = one(run(number), version, "a");
            if version % 2 == 0 {
                drop(store.append(enqueued(append)).await.unwrap());
            } else {
                put(&*store, append).await;
            }
        }
    };
    let writers = join_all((0..4).map(|number| tokio::spawn(write(number, Arc::clone(&store)))));
    let reader = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            while store.durable() < Position(4 * 60) {
                let durable_before = store.durable();
                let events = store.read_all(Position(1), MAX_PAGE).await.unwrap();
                let seen = events.last().map_or(Position(0), |event| event.position);
                assert!(seen >= durable_before, "{seen} seen, {durable_before} was durable");
                assert!(seen <= store.durable(), "{seen} seen, {} is durable", store.durable());
                assert_positions_have_no_gaps(&events);
                let first = store.read(run(0), EventSeq(1), MAX_PAGE).await.unwrap();
                let last = first.last().map_or(Position(0), |event| event.position);
                assert!(last <= store.durable());
            }
        }
    });
    for writer in writers.await {
        writer.unwrap();
    }
    reader.await.unwrap();
}

/// Given appends right after which somebody reads; then no event and no run is seen before it is durable.
pub async fn what_is_only_ordered_is_not_read(stores: &impl Stores) {
    let store = stores.fresh().await;
    for number in 0..20 {
        let appended = store.append(enqueued(one(run(number), 0, "a"))).await.unwrap();
        let seen = [
            !store.read(run(number), EventSeq(1), 1).await.unwrap().is_empty(),
            !store.read_all(appended.position, 1).await.unwrap().is_empty(),
            store.runs(None, 1).await.unwrap().contains(&run(number)),
            store.open_runs().await.unwrap().contains(&run(number)),
        ];
        let may_be_seen = store.durable() >= appended.position;
        assert!(may_be_seen || seen == [false; 4], "of run {number} before it is durable: {seen:?}");
    }
}

/// Given tasks that wait for more than there is; then each is woken when it is there, and those who wait for what
/// is there do not wait.
pub async fn those_who_wait_for_more_are_woken<S: Stores>(stores: &S) {
    let store = Arc::new(stores.fresh().await);
    let wait = |beyond: u64, store: Arc<S::Store>| async move {
        let woken = store.beyond(Position(beyond)).await.unwrap();
        assert!(woken > Position(beyond));
        assert!(woken <= store.durable());
    };
    let waiting = join_all((0..10).map(|beyond| tokio::spawn(wait(beyond, Arc::clone(&store)))));
    for version in 0..10 {
        put(&*store, one(run(1), version, "a")).await;
    }
    for woken in waiting.await {
        woken.unwrap();
    }
    assert_eq!(store.beyond(Position(3)).await.unwrap(), Position(10));
}

/// Given an append that nobody waits for, and nobody who asks; then it becomes durable.
pub async fn what_nobody_waits_for_becomes_durable_by_itself(stores: &impl Stores) {
    let store = stores.fresh().await;
    for version in 0..2 {
        let appended = store.append(enqueued(one(run(1), version, "a"))).await.unwrap();
        let position = appended.position;
        drop(appended);
        // There is nothing to wait for that would not ask for it.
        while store.durable() < position {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(all(&store).await.len(), 2);
}

/// Given enqueued appends; then waiting for them ends, the last first.
pub async fn waiting_for_an_enqueued_append_ends(stores: &impl Stores) {
    let store = stores.fresh().await;
    let first = store.append(enqueued(one(run(1), 0, "a"))).await.unwrap();
    let second = store.append(enqueued(one(run(1), 1, "b"))).await.unwrap();
    second.durable().await.unwrap();
    first.durable().await.unwrap();
    assert_eq!(texts(&store).await, ["a", "b"]);
}

/// Given events of which the last were only enqueued; then closing and opening keeps them all, again and again.
pub async fn a_clean_end_keeps_everything(stores: &impl Stores) {
    let mut store = stores.fresh().await;
    for round in 0..4 {
        put(&store, one(run(round), 0, &format!("{round} a"))).await;
        drop(store.append(enqueued(closing(one(run(round), 1, &format!("{round} b"))))).await.unwrap());
        store = stores.reopen(store).await;
        let expected: Vec<_> =
            (0..=round).flat_map(|round| [format!("{round} a"), format!("{round} b")]).collect();
        assert_eq!(texts(&store).await, expected);
        assert_eq!(store.durable(), Position(round * 2 + 2));
        assert_eq!(store.open_runs().await.unwrap(), []);
    }
}

/// Given acknowledged events and, behind them, events that are not; then a crash leaves a beginning of the log with
/// all that was acknowledged.
pub async fn a_crash_keeps_a_beginning_with_all_that_was_acknowledged(stores: &impl Stores) {
    let mut store = stores.fresh().await;
    let mut log: Vec<String> = Vec::new();
    for round in 0..8 {
        let (acknowledged, hanging) = (run(round * 10), run(round * 10 + 1));
        put(&store, one(acknowledged, 0, &format!("{round} sure"))).await;
        log.push(format!("{round} sure"));
        let sure = log.len();
        for version in 0..round {
            let text = format!("{round} {version}");
            drop(store.append(enqueued(one(hanging, version, &text))).await.unwrap());
            log.push(text);
        }
        store = stores.crash(store).await;
        let left = texts(&store).await;
        assert!(left.len() >= sure, "{} of {sure} acknowledged events are left", left.len());
        assert!(log.starts_with(&left), "not a beginning of the log: {left:?}");
        assert_positions_have_no_gaps(&all(&store).await);
        log = left;
    }
}

/// Given runs whose acceptance, key and end are not all acknowledged; then after a crash the lists, keys and
/// versions say what the events that are left say.
pub async fn after_a_crash_runs_keys_and_versions_are_those_of_the_events(stores: &impl Stores) {
    let store = stores.fresh().await;
    let key = |number: u64| format!("key {number}");
    for number in 0..6 {
        put(&store, keyed(one(run(number), 0, "accepted"), &key(number))).await;
    }
    for number in 0..3 {
        drop(store.append(enqueued(closing(one(run(number), 1, "ended")))).await.unwrap());
    }
    for number in 6..9 {
        drop(store.append(enqueued(keyed(one(run(number), 0, "accepted"), &key(number)))).await.unwrap());
    }
    let store = stores.crash(store).await;

    let (mut listed, mut open) = (Vec::new(), Vec::new());
    for number in 0..9 {
        let said: Vec<_> = stream(&store, run(number)).await.iter().map(text).collect();
        let version = said.len() as u64;
        let holder = (version > 0).then_some(run(number));
        assert_eq!(store.find_key(&key(number)).await.unwrap(), holder, "the key of run {number}");
        assert_conflict(&store, one(run(number), 9, "x"), version).await;
        listed.extend(holder);
        open.extend(holder.filter(|_| said.last().is_some_and(|last| last == "accepted")));
    }
    assert_eq!(store.open_runs().await.unwrap(), open);
    listed.reverse();
    assert_eq!(store.runs(None, 100).await.unwrap(), listed);
}

/// Given a crash after every few appends; then versions and positions go on as if there had been none.
pub async fn crash_after_crash_the_log_goes_on_without_a_gap(stores: &impl Stores) {
    let mut store = stores.fresh().await;
    for round in 0..5 {
        for number in 0..3 {
            let position = put(&store, one(run(number), round, &format!("{round}"))).await;
            assert_eq!(position, Position(round * 3 + number + 1));
        }
        store = if round % 2 == 0 { stores.crash(store).await } else { stores.reopen(store).await };
    }
    let events = all(&store).await;
    assert_eq!(events.len(), 15);
    assert_positions_have_no_gaps(&events);
}
