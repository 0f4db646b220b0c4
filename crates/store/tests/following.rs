//! Following a durable store: over pruning, erasing, closing and failing.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use enact_core::event::{
    Event, NewEvent, OnFailure, PoliciesEvaluated, RunAccepted, RunSucceeded, WorkflowSource,
};
use enact_core::ids::Position;
use enact_core::json::JsonText;
use enact_core::store::{EventStore, RunMark, StoreError};
use enact_core::subscription::{Delivered, Subscription};
use enact_core::time::Timestamp;
use enact_store::{MemoryStore, SledStore};

const NEVER: u64 = u64::MAX;

fn follow(store: &Arc<SledStore>, from: u64) -> Subscription {
    Subscription::new(Arc::clone(store) as Arc<dyn EventStore>, Position(from))
}

/// What it gives until it ends.
async fn rest(mut log: Subscription) -> Vec<Delivered> {
    let mut rest = Vec::new();
    while let Some(delivered) = log.next().await {
        rest.push(delivered.unwrap());
    }
    rest
}

/// Asserts that each position is delivered once, in order, from `first` to `last`, and gives how many are pruned.
fn assert_covers(delivered: &[Delivered], first: u64, last: u64) -> u64 {
    let (mut next, mut gone) = (first, 0);
    for delivered in delivered {
        match delivered {
            Delivered::Event(event) => assert_eq!(event.position.0, next),
            Delivered::Pruned { first, last } => {
                assert!(first.0 == next && last >= first, "{first} to {last} after {next}");
                gone += last.0 + 1 - first.0;
            }
        }
        next = delivered.position().0 + 1;
    }
    assert_eq!(next, last + 1, "up to the end");
    gone
}

/// A run with its two events, each of about `size` bytes.
async fn two(store: &SledStore, ms: u64, size: usize) {
    put(store, append(run(ms, 0), 0, vec![event(ms * 1000, size)], RunMark::Open)).await.unwrap();
    put(store, append(run(ms, 0), 1, vec![event(ms * 1000, size)], RunMark::Closed)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pruned_parts_of_the_log_are_said_wherever_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let options = || SledStore::options().volume_bytes(60_000).segment_bytes(64 * 1024);
    let store = Arc::new(options().open(dir.path().join("s")).unwrap());
    // Each run begins before the one before it ends, so that pruning cuts one that has events in what stays.
    for ms in 1..=100 {
        put(&store, append(run(ms, 0), 0, vec![event(ms * 1000, 1000)], RunMark::Open)).await.unwrap();
        if ms > 1 {
            put(&store, append(run(ms - 1, 0), 1, vec![event(ms * 1000, 1000)], RunMark::Closed))
                .await
                .unwrap();
        }
    }
    put(&store, append(run(100, 0), 1, vec![event(100_000, 1000)], RunMark::Closed)).await.unwrap();
    sealed(&store, 3).await;
    let mut reading = follow(&store, 1);
    let first = reading.next().await.unwrap().unwrap();
    let of_first = follow(&store, 1).of_run(run(1, 0));
    let pruned = store.prune(Timestamp::from_unix_us(70_000)).await.unwrap();
    let up_to = pruned.up_to.0;
    assert!(pruned.volumes > 0 && up_to > 2, "{pruned:?}");

    for from in [1, 2, up_to, up_to + 1] {
        let delivered = rest(follow(&store, from).up_to_now()).await;
        let gone = assert_covers(&delivered, from, 200);
        // And the ends of those that were cut.
        let cut = gone - (up_to + 1).saturating_sub(from);
        assert!((1..=2).contains(&cut), "from {from}: {cut}");
    }
    // Who was in the middle of it has a page that it read before, and then what is left.
    let mut delivered = vec![first];
    delivered.extend(rest(reading.up_to_now()).await);
    assert_covers(&delivered, 1, 200);
    assert_eq!(rest(of_first.up_to_now()).await, []);

    // All of it, and then something new.
    store.close().unwrap();
    drop(store);
    let store = Arc::new(options().open(dir.path().join("s")).unwrap());
    two(&store, 1000, 70_000).await;
    sealed(&store, 4).await;
    store.prune(Timestamp::from_unix_us(NEVER)).await.unwrap();
    let last = store.durable().0;
    let mut log = follow(&store, 5);
    assert_eq!(
        log.next().await.unwrap().unwrap(),
        Delivered::Pruned { first: Position(5), last: Position(last) }
    );
    two(&store, 2000, 10).await;
    let next = log.next().await.unwrap().unwrap();
    assert!(matches!(next, Delivered::Event(event) if event.position.0 == last + 1));
    assert!(rest(follow(&store, last + 9).up_to_now()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_pruned_while_it_is_read_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(small().open(dir.path().join("s")).unwrap());
    // More than a page of one run.
    let events = |count: u64| (0..count).map(|_| event(1000, 300)).collect::<Vec<_>>();
    put(&store, append(run(1, 0), 0, events(1500), RunMark::Closed)).await.unwrap();
    put(&store, append(run(2, 0), 0, events(1500), RunMark::Closed)).await.unwrap();
    sealed(&store, 2).await;
    let (mut whole, of_run) = (follow(&store, 1), follow(&store, 1).of_run(run(1, 0)).up_to_now());
    let mut of_run = Box::pin(of_run);
    for _ in 0..3 {
        whole.next().await.unwrap().unwrap();
        of_run.next().await.unwrap().unwrap();
    }
    store.prune(Timestamp::from_unix_us(NEVER)).await.unwrap();
    let mut last = Vec::new();
    while let Some(delivered) = of_run.next().await {
        last.push(delivered.unwrap());
    }
    assert!(matches!(last.last(), Some(Delivered::Pruned { .. })), "{:?}", last.last());
    let goes_on = whole.position().0;
    assert!(assert_covers(&rest(whole.up_to_now()).await, goes_on, 3000) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_volumes_are_sealed_and_pruned_under_writers_nothing_is_missed_or_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let options = SledStore::options().volume_bytes(60_000).segment_bytes(64 * 1024).master_key(key());
    let store = Arc::new(options.open(dir.path().join("s")).unwrap());
    let done = Arc::new(AtomicBool::new(false));
    let (writers, runs) = (4, 120);
    // Fast ones are given all of it, the last one begins again and again and reads little each time.
    let followers: Vec<_> = (0..4)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let total = writers * runs * 2;
                let (mut delivered, mut log) = (Vec::new(), follow(&store, 1));
                while log.position().0 <= total {
                    delivered.push(log.next().await.unwrap().unwrap());
                    if number == 3 && delivered.len() % 7 == 0 {
                        log = follow(&store, log.position().0);
                    }
                }
                assert_covers(&delivered, 1, total)
            })
        })
        .collect();
    let pruning = {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        tokio::spawn(async move {
            let mut volumes = 0;
            while !done.load(Ordering::Acquire) {
                volumes += store.prune(Timestamp::from_unix_us(NEVER)).await.unwrap().volumes;
            }
            volumes + store.prune(Timestamp::from_unix_us(NEVER)).await.unwrap().volumes
        })
    };
    let writing = (0..writers).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for number in 0..runs {
                two(&store, 1 + number * writers + writer, 1000).await;
            }
        })
    });
    for writer in writing.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    done.store(true, Ordering::Release);
    assert!(pruning.await.unwrap() > 3, "volumes were pruned meanwhile");
    for follower in followers {
        follower.await.unwrap();
    }
    let left = rest(follow(&store, 1).up_to_now()).await;
    assert!(assert_covers(&left, 1, writers * runs * 2) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_erased_reads_as_erased() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(small().open(dir.path().join("s")).unwrap());
    let json = |text: &str| JsonText::parse(text).unwrap();
    let accepted = RunAccepted {
        workflow: "canary".into(),
        version: 1,
        source: WorkflowSource::Code,
        user: "canary".into(),
        attributes: json("{}"),
        input: json("{}"),
        on_failure: OnFailure::Keep,
        key: None,
    };
    let events = [
        Event::RunAccepted(accepted.into()),
        Event::PoliciesEvaluated(PoliciesEvaluated { verdicts: Vec::new(), policies: None }),
        Event::RunSucceeded(RunSucceeded { output: JsonText::null() }),
    ];
    let events = events.map(|event| NewEvent { event, ..common::event(1, 1) });
    put(&store, append(run(1, 0), 0, events.to_vec(), RunMark::Closed)).await.unwrap();
    store.erase(run(1, 0), "me", Timestamp::from_unix_us(9)).await.unwrap();
    let kinds: Vec<_> = rest(follow(&store, 1).up_to_now()).await;
    let kinds: Vec<_> = kinds
        .iter()
        .map(|delivered| match delivered {
            Delivered::Event(event) => match &event.event {
                Event::PayloadErased(erased) => format!("{} erased", erased.was),
                event => event.name().to_owned(),
            },
            pruned @ Delivered::Pruned { .. } => panic!("{pruned:?}"),
        })
        .collect();
    assert_eq!(
        kinds,
        ["RunAccepted erased", "PoliciesEvaluated erased", "RunSucceeded erased", "ContentErased"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_when_the_store_closes_and_with_an_error_when_that_fails() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(small().open(dir.path().join("s")).unwrap());
    two(&store, 1, 10).await;
    let (mut waiting, mut asleep) = (follow(&store, 3), follow(&store, 3));
    let (ended, closed) = tokio::join!(
        waiting.next(),
        tokio::task::spawn_blocking({
            let store = Arc::clone(&store);
            move || store.close()
        })
    );
    closed.unwrap().unwrap();
    assert!(ended.is_none() && asleep.next().await.is_none(), "{ended:?}");
    assert!(waiting.next().await.is_none(), "it stays at its end");
    drop((waiting, asleep));
    // It has let the store go.
    assert!(Arc::into_inner(store).is_some());

    let memory = Arc::new(MemoryStore::new());
    let followed = |memory: &Arc<MemoryStore>| Subscription::new(Arc::clone(memory) as _, Position(1));
    let mut log = followed(&memory);
    let (ended, _) = tokio::join!(log.next(), async { memory.crash() });
    assert!(ended.is_none(), "{ended:?}");

    let memory = Arc::new(MemoryStore::new());
    let mut log = followed(&memory);
    memory.fail_next_sync();
    let lost = async {
        let appended = memory.append(append(run(1, 0), 0, vec![event(1, 1)], RunMark::Open)).await.unwrap();
        appended.durable().await
    };
    let (failed, lost) = tokio::join!(log.next(), lost);
    assert!(matches!(failed, Some(Err(StoreError::Poisoned(_)))), "{failed:?}");
    assert!(lost.is_err() && log.next().await.is_none());
    assert_eq!(log.position(), Position(1), "nothing was delivered");
}
