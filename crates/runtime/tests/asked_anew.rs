//! A rollback that is asked for with another scope, or with force, while one is under way.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

mod common;

use std::time::Duration;

use common::{Do, as_dyn, builder, ledger, put, request, start, until};
use enact_core::connector::Allow;
use enact_core::error::Error;
use enact_core::event::Event;
use enact_core::ids::{EventSeq, RunId, Seq};
use enact_core::run::{RunStatus, UndoOutcome, Undoing};
use enact_core::store::EventStore;
use enact_runtime::{Enact, RollbackOptions, Run};
use enact_store::MemoryStore;
use enact_testkit::world::World;
use tokio::task::JoinHandle;

fn roll_back(enact: &Enact, run: RunId, options: RollbackOptions) -> JoinHandle<Result<Run, Error>> {
    let enact = enact.clone();
    tokio::spawn(async move { enact.rollback(run, options).await })
}

/// How many events of a name the log of a run has.
async fn logged(store: &MemoryStore, run: RunId, name: &str) -> usize {
    let events = store.read(run, EventSeq(1), 1000).await.unwrap();
    events.iter().filter(|event| event.event.name() == name).count()
}

async fn until_logged(store: &MemoryStore, run: RunId, name: &str, times: usize) {
    for _ in 0..10_000 {
        if logged(store, run, name).await >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{times} of {name}: did not come about");
}

#[tokio::test]
async fn force_that_is_asked_for_while_an_undo_waits_goes_for_that_undo_too() {
    // Given a rollback that found one conflict, and whose next undo waits for a target that another run holds,
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let run = enact.run_to_end(request(&[put("a"), put("b"), put("c")])).await.unwrap().id;
    world.set("c", "theirs");
    world.close_gate();
    let other = enact.submit(request(&[Do::Put("b".into(), "other".into())])).await.unwrap().run;
    until("the other run is about to write", || world.at_gate() == 1).await;
    let first = roll_back(&enact, run, RollbackOptions::by("me"));
    until_logged(&store, run, "CompensationConflicted", 1).await;

    // when somebody asks for force meanwhile,
    let forced = roll_back(&enact, run, RollbackOptions::by("you").force(true));
    until_logged(&store, run, "RollbackRequested", 2).await;
    world.open_gate();

    // then all of it is undone by force, newest first.
    enact.wait(other).await.unwrap();
    for asked in [first, forced] {
        let run = asked.await.unwrap().unwrap();
        assert_eq!(run.status(), RunStatus::RolledBack, "{:?}", run.state().undo_outcomes());
    }
    assert!(world.values().is_empty(), "{:?}", world.values());
    let undone: Vec<_> = ledger(&world).into_iter().filter(|one| one.starts_with("restore")).collect();
    assert_eq!(undone, ["restore c", "restore b", "restore a"]);
}

#[tokio::test]
async fn an_undo_that_waits_is_not_made_when_a_narrower_rollback_is_asked_for() {
    // Given an undo that waits for the only place of its connector,
    let (world, store) = (World::new(), MemoryStore::new());
    let toolbox = world.clone().allow(common::ALL).unwrap().max_concurrency(1);
    let enact = Enact::builder().store(as_dyn(&store)).connector("world", toolbox).workflow(common::Script);
    let enact = enact.start().await.unwrap();
    let run = enact.run_to_end(request(&[put("a"), put("b")])).await.unwrap().id;
    world.close_gate();
    let other = enact.submit(request(&[Do::Launch("rocket".into())])).await.unwrap().run;
    until("the other run has the only place", || world.at_gate() == 1).await;
    let all = roll_back(&enact, run, RollbackOptions::by("me"));
    until_logged(&store, run, "RollbackRequested", 1).await;

    // when it is asked that the action is kept,
    let none = roll_back(&enact, run, RollbackOptions::by("me").to(Some(Seq(2))));
    until_logged(&store, run, "RollbackRequested", 2).await;
    world.open_gate();

    // then it is kept.
    enact.wait(other).await.unwrap();
    for asked in [all, none] {
        assert_eq!(asked.await.unwrap().unwrap().status(), RunStatus::RolledBack);
    }
    assert_eq!(world.values().keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(logged(&store, run, "CompensationIntended").await, 0);
}

#[tokio::test]
async fn an_undo_that_was_begun_is_found_out_about_although_a_narrower_rollback_keeps_its_action() {
    for cannot_tell in [false, true] {
        // Given an undo that is about to be made, and a narrower rollback that would keep its action,
        let (world, store) = (World::new(), MemoryStore::new());
        let enact = start(&world, &store).await;
        let run = enact.run_to_end(request(&[put("a"), put("b")])).await.unwrap().id;
        world.close_gate();
        let all = roll_back(&enact, run, RollbackOptions::by("me"));
        until("an undo is about to be made", || world.at_gate() == 1).await;
        let none = roll_back(&enact, run, RollbackOptions::by("me").to(Some(Seq(2))));
        until_logged(&store, run, "RollbackRequested", 2).await;

        // when the process dies,
        let (crashed, world) = (store.crash(), world.fork());
        enact.shutdown(Duration::ZERO).await;
        assert!(all.await.unwrap().is_err() && none.await.unwrap().is_err());

        // then the next one looks whether it was made, and says so where that cannot be told.
        world.cannot_tell(cannot_tell);
        let enact = builder(&world, &as_dyn(&crashed)).start().await.unwrap();
        let ended = enact.wait(run).await.unwrap();
        assert_eq!(logged(&crashed, run, "CompensationResolved").await, 1);
        assert_eq!(world.values().keys().collect::<Vec<_>>(), ["a", "b"]);
        if cannot_tell {
            assert_eq!(ended.status(), RunStatus::PartiallyRolledBack);
            let outcomes = ended.state().undo_outcomes();
            assert!(matches!(outcomes[..], [(Seq(2), UndoOutcome::InDoubt, Some(_))]), "{outcomes:?}");
        } else {
            assert_eq!(ended.status(), RunStatus::RolledBack);
            assert_eq!(ended.state().attempt(Seq(2), 1).unwrap().undoing, Undoing::Not);
        }
        let events = crashed.read(run, EventSeq(1), 1000).await.unwrap();
        assert!(matches!(events.last().unwrap().event, Event::RollbackFinished));
    }
}
