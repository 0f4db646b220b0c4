//! Subscriptions to the log.

use std::sync::Arc;

use enact_core::store::EventStore;
use enact_core::subscription::{Delivered, Subscription};
use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::join_all;

use super::*;

/// A store that is followed.
struct Followed<S>(Arc<S>);

impl<S: EventStore> Followed<S> {
    fn new(store: S) -> Self {
        Self(Arc::new(store))
    }

    fn from(&self, position: u64) -> Subscription {
        Subscription::new(Arc::clone(&self.0) as Arc<dyn EventStore>, Position(position))
    }

    /// The store, which nobody follows any more.
    fn alone(self) -> S {
        Arc::into_inner(self.0).unwrap()
    }
}

/// The next event.
async fn event(log: &mut Subscription) -> StoredEvent {
    match log.next().await {
        Some(Ok(Delivered::Event(event))) => event,
        other => panic!("not an event: {other:?}"),
    }
}

/// The next events.
async fn events(log: &mut Subscription, count: usize) -> Vec<StoredEvent> {
    let mut events = Vec::new();
    while events.len() < count {
        events.push(event(log).await);
    }
    events
}

/// All events until it ends.
async fn rest(log: &mut Subscription) -> Vec<StoredEvent> {
    let mut events = Vec::new();
    while let Some(delivered) = log.next().await {
        match delivered.unwrap() {
            Delivered::Event(event) => events.push(event),
            pruned @ Delivered::Pruned { .. } => panic!("nothing was pruned: {pruned:?}"),
        }
    }
    events
}

/// Given a log of more than a page, and then writers at once; then whoever follows it from anywhere is given each event
/// once, in order, and none that is not durable.
pub async fn what_is_there_and_what_comes_is_delivered_once_and_in_order(stores: &impl Stores) {
    let followed = Followed::new(stores.fresh().await);
    let store = &*followed.0;
    let (before, writers, each) = (MAX_PAGE as u64 + 76, 8, 40);
    put(store, many(run(0), 0, (0..before).map(|_| "before"))).await;
    let total = before + writers * each;
    let writing = join_all((1..=writers).map(|number| async move {
        for version in 0..each {
            put(store, one(run(number), version, &format!("{number} {version}"))).await;
        }
    }));
    let followers = join_all([1, 2, before, before + 1, total - 3].map(|first| {
        let mut log = followed.from(first);
        async move {
            for position in first..=total {
                let event = event(&mut log).await;
                assert_eq!(event.position, Position(position), "from {first}");
                assert!(event.position <= store.durable());
                assert_eq!(log.position(), Position(position + 1));
            }
        }
    }));
    futures::join!(writing, followers);
    let mut log = followed.from(0);
    assert_eq!(events(&mut log, usize::try_from(total).unwrap()).await, all(store).await);
}

/// Given somebody who follows, is done with some events, and begins anew behind them, when the store was closed or crashed
/// and was written again; then it was given what the log has, each event once.
pub async fn it_goes_on_behind_what_was_delivered_after_closing_and_after_crashes(stores: &impl Stores) {
    let mut store = stores.fresh().await;
    let (mut seen, mut next) = (Vec::new(), Position(1));
    for round in 0..6 {
        put(&store, many(run(round), 0, ["a", "b", "c", "d", "e"])).await;
        let followed = Followed::new(store);
        let mut log = followed.from(next.0);
        // A part of what is there, so that there is more and more of it.
        seen.extend(events(&mut log, 3).await);
        next = log.position();
        drop(log);
        let store_now = followed.alone();
        store = if round % 2 == 0 { stores.crash(store_now).await } else { stores.reopen(store_now).await };
    }
    let followed = Followed::new(store);
    seen.extend(rest(&mut followed.from(next.0).up_to_now()).await);
    assert_eq!(seen, all(&*followed.0).await);
    assert_eq!(seen.len(), 30);
}

/// Given subscriptions that nobody reads, one of which was begun to be read; then appends go on, and all is there later.
pub async fn who_does_not_read_holds_nobody_up_and_misses_nothing(stores: &impl Stores) {
    let followed = Followed::new(stores.fresh().await);
    let store = &*followed.0;
    let mut asleep: Vec<_> = (0..50).map(|_| followed.from(1)).collect();
    put(store, one(run(1), 0, "0")).await;
    let mut begun = followed.from(1);
    assert_eq!(text(&event(&mut begun).await), "0");
    let total = 2 * MAX_PAGE as u64;
    for first in (1..total).step_by(256) {
        put(store, many(run(1), first, (0..256).map(|_| "more"))).await;
    }
    assert_eq!(events(&mut begun, 2048).await.len(), 2048);
    for log in &mut asleep {
        assert_eq!(events(log, 2049).await.last().map(|event| event.position), Some(Position(2049)));
    }
}

/// Given that only what is there now is wanted; then it ends with that, whatever comes.
pub async fn what_is_there_now_ends(stores: &impl Stores) {
    let followed = Followed::new(stores.fresh().await);
    let store = &*followed.0;
    assert!(rest(&mut followed.from(1).up_to_now()).await.is_empty());
    put(store, many(run(1), 0, ["a", "b"])).await;
    let (mut whole, mut later, mut past) =
        (followed.from(1).up_to_now(), followed.from(2).up_to_now(), followed.from(9).up_to_now());
    put(store, one(run(2), 0, "c")).await;
    assert_eq!(rest(&mut whole).await.len(), 2);
    assert_eq!(whole.position(), Position(3));
    assert_eq!(rest(&mut later).await.iter().map(text).collect::<Vec<_>>(), ["b"]);
    assert!(rest(&mut past).await.is_empty());
    // It stays at its end.
    assert!(whole.next().await.is_none());
}

/// Given runs whose events alternate; then who follows one is given its events alone, those to come too.
pub async fn of_a_run_only_its_events_are_delivered_those_to_come_too(stores: &impl Stores) {
    let followed = Followed::new(stores.fresh().await);
    let store = &*followed.0;
    let write = async |versions: std::ops::Range<u64>| {
        for version in versions {
            for number in 1..=3 {
                put(store, one(run(number), version, &format!("{number} {version}"))).await;
            }
        }
    };
    write(0..4).await;
    let mut logs: Vec<_> = (1..=4).map(|number| followed.from(1).of_run(run(number))).collect();
    let mut later = followed.from(5).of_run(run(2));
    write(4..9).await;
    put(store, one(run(4), 0, "4 0")).await;
    for (log, number) in logs.iter_mut().zip(1..) {
        let expected = stream(store, run(number)).await;
        assert_eq!(events(log, expected.len()).await, expected);
    }
    let expected: Vec<_> =
        stream(store, run(2)).await.into_iter().filter(|event| event.position >= Position(5)).collect();
    assert_eq!(events(&mut later, expected.len()).await, expected);
    let now = rest(&mut followed.from(3).of_run(run(1)).up_to_now()).await;
    assert_eq!(now, stream(store, run(1)).await.split_off(1));
}

/// Given something with which it is to end; then it ends when that has come about and all was delivered that was durable
/// then, also where it waits.
pub async fn what_it_is_to_end_with_ends_it_behind_all_that_was_durable(stores: &impl Stores) {
    let followed = Followed::new(stores.fresh().await);
    let store = &*followed.0;
    put(store, many(run(1), 0, ["a", "b"])).await;
    let ((end, ended), (never, waits)) = (oneshot::channel::<()>(), oneshot::channel::<()>());
    let mut log = followed.from(1).until(ended.map(|_| ()));
    let mut other = followed.from(1).until(waits.map(|_| ()));
    assert_eq!(events(&mut log, 2).await.len(), 2);
    let (left, ()) = futures::join!(rest(&mut log), async {
        put(store, one(run(1), 2, "c")).await;
        end.send(()).unwrap();
    });
    assert_eq!(left.iter().map(text).collect::<Vec<_>>(), ["c"]);
    assert_eq!(events(&mut other, 3).await.len(), 3);
    drop(never);
    assert!(rest(&mut other).await.is_empty());
}
