//! When the store fails reads, or refuses appends, for a while. Nothing was written then, and nothing is decided:
//! every run goes on when the store serves again.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Do, builder, ledger, put, request, start, until};
use enact_core::blob::BlobStore;
use enact_core::error::ErrorCode;
use enact_core::event::StoredEvent;
use enact_core::ids::{EventSeq, Position, Pseudonym, RunId};
use enact_core::run::RunStatus;
use enact_core::store::{Append, Appended, Durability, EventStore, StoreError};
use enact_runtime::{Enact, RollbackOptions};
use enact_store::MemoryStore;
use enact_testkit::world::World;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// What of the store fails.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Blip {
    /// Nothing of the run can be read.
    Reads,
    /// Nothing of the run can be appended.
    Appends,
    /// What nobody waits for gets a place, and is taken back.
    TakenBack,
    /// What has a key gets a place, and is taken back some time later.
    KeyTakenBack,
}

/// A store that fails one run, or whichever comes, until it is healed.
#[derive(Debug)]
struct Failing {
    inner: MemoryStore,
    now: Mutex<Option<(Blip, Option<RunId>)>>,
    failed: AtomicUsize,
    looked_up: AtomicUsize,
    /// The key that has a place which is taken back, and who waits for that.
    placed: Mutex<Option<(String, RunId)>>,
    taking_back: Arc<Notify>,
}

impl Failing {
    fn new(inner: MemoryStore) -> Arc<Self> {
        Arc::new(Self {
            inner,
            now: Mutex::default(),
            failed: AtomicUsize::new(0),
            looked_up: AtomicUsize::new(0),
            placed: Mutex::default(),
            taking_back: Arc::default(),
        })
    }

    fn fail(&self, blip: Blip, run: Option<RunId>) {
        *self.now.lock() = Some((blip, run));
    }

    fn heal(&self) {
        *self.now.lock() = None;
    }

    /// How often it failed.
    fn failed(&self) -> usize {
        self.failed.load(Ordering::SeqCst)
    }

    /// How often a key was looked up.
    fn looked_up(&self) -> usize {
        self.looked_up.load(Ordering::SeqCst)
    }

    fn take_back(&self) {
        self.heal();
        *self.placed.lock() = None;
        self.taking_back.notify_waiters();
    }

    fn fails(&self, wanted: Blip, run: RunId) -> bool {
        let fails = self.now.lock().is_some_and(|(blip, of)| blip == wanted && of.is_none_or(|of| of == run));
        if fails {
            self.failed.fetch_add(1, Ordering::SeqCst);
        }
        fails
    }
}

fn full() -> StoreError {
    StoreError::io("writing the journal", std::io::ErrorKind::StorageFull.into())
}

impl EventStore for Failing {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, StoreError>> {
        if self.fails(Blip::Appends, append.run) {
            return async { Err(full()) }.boxed();
        }
        if append.durability == Durability::Enqueued && self.fails(Blip::TakenBack, append.run) {
            let version = EventSeq(append.expected.0 + append.events.len() as u64);
            let durable = async { Err(full()) }.boxed();
            return async move { Ok(Appended::new(version, Position(1), durable)) }.boxed();
        }
        if let Some(key) = &append.key
            && self.fails(Blip::KeyTakenBack, append.run)
        {
            *self.placed.lock() = Some((key.clone(), append.run));
            let version = EventSeq(append.expected.0 + append.events.len() as u64);
            let taken_back = Arc::clone(&self.taking_back).notified_owned();
            let durable = taken_back.map(|()| Err(full())).boxed();
            return async move { Ok(Appended::new(version, Position(1), durable)) }.boxed();
        }
        self.inner.append(append)
    }

    fn read(
        &self,
        run: RunId,
        from: EventSeq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredEvent>, StoreError>> {
        if self.fails(Blip::Reads, run) {
            return async { Err(StoreError::io("reading", std::io::Error::other("a blip"))) }.boxed();
        }
        self.inner.read(run, from, limit)
    }

    fn read_all(&self, from: Position, limit: usize) -> BoxFuture<'_, Result<Vec<StoredEvent>, StoreError>> {
        self.inner.read_all(from, limit)
    }

    fn durable(&self) -> Position {
        self.inner.durable()
    }

    fn beyond(&self, position: Position) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.inner.beyond(position)
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        if self.placed.lock().is_some() {
            let taken_back = Arc::clone(&self.taking_back).notified_owned();
            return taken_back.map(|()| Err(full())).boxed();
        }
        self.inner.flush()
    }

    fn open_runs(&self) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        self.inner.open_runs()
    }

    fn runs(&self, before: Option<RunId>, limit: usize) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        self.inner.runs(before, limit)
    }

    fn find_key(&self, key: &str) -> BoxFuture<'_, Result<Option<RunId>, StoreError>> {
        self.looked_up.fetch_add(1, Ordering::SeqCst);
        let placed = self.placed.lock().as_ref().filter(|(taken, _)| taken == key).map(|(_, run)| *run);
        match placed {
            Some(run) => async move { Ok(Some(run)) }.boxed(),
            None => self.inner.find_key(key),
        }
    }

    fn blobs(&self, run: RunId) -> Arc<dyn BlobStore> {
        self.inner.blobs(run)
    }

    fn pseudonym(&self, user: &str) -> Pseudonym {
        self.inner.pseudonym(user)
    }
}

async fn on(world: &World, store: &Arc<Failing>) -> Enact {
    builder(world, &(Arc::clone(store) as Arc<dyn EventStore>)).start().await.unwrap()
}

async fn is_open(store: &Failing, run: RunId) -> bool {
    store.inner.open_runs().await.unwrap().contains(&run)
}

fn sorted(mut ledger: Vec<String>) -> Vec<String> {
    ledger.sort();
    ledger
}

#[tokio::test]
async fn case_48_a_store_blip_during_recovery_strands_no_run() {
    for blip in [Blip::Reads, Blip::Appends] {
        // Given three runs that a crash interrupted before their first effect,
        let (world, store) = (World::new(), MemoryStore::new());
        let enact = start(&world, &store).await;
        world.close_gate();
        let mut runs = Vec::new();
        for key in ["a", "b", "c"] {
            runs.push(enact.submit(request(&[put(key), put(&format!("{key}2"))])).await.unwrap().run);
        }
        until("the crash point: three intents", || world.at_gate() == 3).await;
        let store = Failing::new(store.crash());
        enact.shutdown(Duration::ZERO).await;
        world.open_gate();

        // when the store fails one of them while they are recovered,
        let failing = runs[0];
        store.fail(blip, Some(failing));
        let enact = on(&world, &store).await;
        let waiting = tokio::spawn({
            let enact = enact.clone();
            async move { enact.wait(failing).await }
        });
        // then the others end meanwhile, and who waits for it waits,
        for run in &runs[1..] {
            assert_eq!(enact.wait(*run).await.unwrap().status(), RunStatus::Completed);
        }
        until("it is tried again", || store.failed() >= 3).await;
        assert!(is_open(&store, failing).await && !waiting.is_finished(), "{blip:?}");
        // and it ends when the store serves again, in the same process.
        store.heal();
        assert_eq!(waiting.await.unwrap().unwrap().status(), RunStatus::Completed, "{blip:?}");
        assert_eq!(sorted(ledger(&world)), ["put a", "put a2", "put b", "put b2", "put c", "put c2"]);
    }
}

#[tokio::test]
async fn case_48_a_store_blip_during_a_run_strands_and_doubles_nothing() {
    for blip in [Blip::Appends, Blip::TakenBack] {
        let (world, store) = (World::new(), Failing::new(MemoryStore::new()));
        let enact = on(&world, &store).await;
        world.close_gate();
        let script = [Do::Join(vec![vec![put("a"), put("b")], vec![put("c")], vec![put("d")]]), put("e")];
        let run = enact.submit(request(&script)).await.unwrap().run;
        until("three effects are about to be made", || world.at_gate() == 3).await;
        store.fail(blip, Some(run));
        world.open_gate();
        until("outcomes and intents are refused", || store.failed() >= 3).await;
        let other = enact.run_to_end(request(&[put("x")])).await.unwrap();
        assert_eq!(other.status(), RunStatus::Completed, "others go on");
        assert!(is_open(&store, run).await);
        store.heal();
        let run = enact.wait(run).await.unwrap();
        assert_eq!(run.status(), RunStatus::Completed, "{blip:?}: {:?}", run.state().error);
        let made = sorted(ledger(&world));
        assert_eq!(made, ["put a", "put b", "put c", "put d", "put e", "put x"], "{blip:?}");
    }
}

#[tokio::test]
async fn case_48_a_store_blip_during_a_rollback_strands_and_doubles_nothing() {
    for blip in [Blip::Appends, Blip::TakenBack] {
        let (world, store) = (World::new(), Failing::new(MemoryStore::new()));
        let enact = on(&world, &store).await;
        let run = enact.run_to_end(request(&[put("a"), put("b"), put("c")])).await.unwrap().id;
        world.close_gate();
        let rollback = tokio::spawn({
            let enact = enact.clone();
            async move { enact.rollback(run, RollbackOptions::by("me")).await }
        });
        until("the first undo is about to be made", || world.at_gate() == 1).await;
        store.fail(blip, Some(run));
        world.open_gate();
        until("its outcome is refused", || store.failed() >= 3).await;
        let other = enact.run_to_end(request(&[put("x")])).await.unwrap();
        assert_eq!(other.status(), RunStatus::Completed, "others go on");
        assert!(!rollback.is_finished());
        store.heal();
        assert_eq!(rollback.await.unwrap().unwrap().status(), RunStatus::RolledBack, "{blip:?}");
        let undone: Vec<_> = ledger(&world).into_iter().filter(|one| one.starts_with("restore")).collect();
        assert_eq!(undone, ["restore c", "restore b", "restore a"], "{blip:?}");
    }
}

#[tokio::test]
async fn a_target_stays_held_while_the_outcome_on_it_is_refused() {
    let (world, store) = (World::new(), Failing::new(MemoryStore::new()));
    let enact = on(&world, &store).await;
    world.close_gate();
    let first = enact.submit(request(&[put("a")])).await.unwrap().run;
    until("the first is about to act", || world.at_gate() == 1).await;
    let second = enact.submit(request(&[Do::Put("a".into(), "2".into())])).await.unwrap().run;
    store.fail(Blip::Appends, Some(first));
    world.open_gate();
    until("the outcome is refused", || store.failed() >= 3).await;
    let captures = world.captures();
    assert_eq!((captures, ledger(&world).len()), (1, 1), "the second waits");
    store.heal();
    for run in [first, second] {
        assert_eq!(enact.wait(run).await.unwrap().status(), RunStatus::Completed);
    }
    enact.rollback(second, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(world.values()["a"], "ours", "what the second one captured is what the first one left");
}

#[tokio::test]
async fn a_run_whose_acceptance_is_refused_is_told_so_at_once_and_is_no_run() {
    let (world, store) = (World::new(), Failing::new(MemoryStore::new()));
    let enact = on(&world, &store).await;
    store.fail(Blip::Appends, None);
    let told = enact.run_to_end(request(&[put("a")])).await.unwrap_err();
    let acked = enact.submit(request(&[put("a")])).await.unwrap_err();
    for error in [told, acked] {
        assert_eq!(error.code(), ErrorCode::Internal);
        assert!(error.message().contains("writing the journal"), "{error}");
    }
    store.heal();
    assert!(store.inner.runs(None, 10).await.unwrap().is_empty() && ledger(&world).is_empty());
    assert_eq!(enact.run_to_end(request(&[put("b")])).await.unwrap().status(), RunStatus::Completed);
}

#[tokio::test]
async fn whoever_used_the_key_of_a_run_whose_acceptance_is_taken_back_is_told_too() {
    // Given a run whose acceptance has its place and waits for a disk that turns out to be full,
    let (world, store) = (World::new(), Failing::new(MemoryStore::new()));
    let enact = on(&world, &store).await;
    store.fail(Blip::KeyTakenBack, None);
    let submit = || {
        let enact = enact.clone();
        tokio::spawn(async move { enact.submit(request(&[put("a")]).key(Some("once".into()))).await })
    };
    let first = submit();
    until("its place is given", || store.failed() == 1).await;
    // when another is asked for under the same key, and the place is taken back,
    let second = submit();
    until("the key is found", || store.looked_up() == 2).await;
    store.take_back();
    // then both are told, or the second has the key for itself.
    assert!(first.await.unwrap().is_err());
    if let Ok(submitted) = second.await.unwrap() {
        assert!(!submitted.existing);
    }
}

#[tokio::test]
async fn a_persons_request_is_brought_again_until_it_is_recorded_once() {
    for blip in [Blip::Reads, Blip::Appends] {
        let (world, store) = (World::new(), Failing::new(MemoryStore::new()));
        let enact = on(&world, &store).await;
        let ended = enact.run_to_end(request(&[put("a")])).await.unwrap().id;
        let sleeps = enact.submit(request(&[put("b"), Do::Sleep(3_600_000)])).await.unwrap().run;
        until("both effects", || world.ledger().len() == 2).await;
        store.fail(blip, None);
        let asked = tokio::spawn({
            let enact = enact.clone();
            async move {
                let undo = enact.rollback(ended, RollbackOptions::by("me"));
                let cancel = enact.cancel(sleeps, "me", None);
                futures::future::join(undo, cancel).await
            }
        });
        until("requests are refused", || store.failed() >= 2).await;
        store.heal();
        let (undone, cancelled) = asked.await.unwrap();
        assert_eq!(undone.unwrap().status(), RunStatus::RolledBack, "{blip:?}");
        assert_eq!(cancelled.unwrap().status(), RunStatus::RolledBack, "{blip:?}");
        assert!(world.values().is_empty());
    }
}
