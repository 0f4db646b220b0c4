//! Runs that a crash interrupted, and requests that come while they are being taken up.

mod common;

use std::time::Duration;

use common::{ALL, Do, Script, TestClock, as_dyn, builder, ledger, put, request, start, until, until_logged};
use enact_core::connector::Allow;
use enact_core::error::ErrorCode;
use enact_core::ids::{EventSeq, RunId};
use enact_core::run::RunStatus;
use enact_core::store::EventStore;
use enact_runtime::{Builder, Enact, Recovery, RollbackOptions};
use enact_store::MemoryStore;
use enact_testkit::world::{Fault, World};

fn on_request(world: &World, store: &MemoryStore) -> Builder {
    builder(world, &as_dyn(store)).recovery(Recovery::OnRequest)
}

#[tokio::test]
async fn a_look_up_that_fails_while_a_run_is_asked_for_is_made_again() {
    // Given a run that was interrupted between an effect and its record, and whose doubt is being looked up,
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    world.faults("put", [Fault::Hang]);
    let run = enact.submit(request(&[put("a"), put("b")])).await.unwrap().run;
    until("the crash point: an effect without a record", || world.ledger().len() == 1).await;
    let crashed = store.crash();
    enact.shutdown(Duration::ZERO).await;
    world.hold_probes();
    let enact = on_request(&world, &crashed).start().await.unwrap();
    until("it is looked up", || world.held_probes() == 1).await;

    // when somebody asks for the run meanwhile, and then the look-up fails,
    let undoing = tokio::spawn({
        let enact = enact.clone();
        async move { enact.rollback(run, RollbackOptions::by("me")).await }
    });
    until_logged(&enact, run, "RollbackRequested").await;
    world.unreachable(1);
    world.let_probes();

    // then it is made again.
    let undone = undoing.await.unwrap().unwrap();
    assert_eq!(undone.status(), RunStatus::RolledBack, "{:?}", undone.state().undo_outcomes());
    assert_eq!(ledger(&world), ["put a", "restore a"]);
}

#[tokio::test]
async fn a_look_up_of_an_undo_that_fails_while_a_rollback_is_asked_for_is_made_again() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let run = enact.run_to_end(request(&[put("a")])).await.unwrap().id;
    world.faults("restore", [Fault::Hang]);
    let undo = |enact: &Enact, force| {
        let enact = enact.clone();
        tokio::spawn(async move { enact.rollback(run, RollbackOptions::by("me").force(force)).await })
    };
    let interrupted = undo(&enact, true);
    until("the crash point: an undo without a record", || world.ledger().len() == 2).await;
    let crashed = store.crash();
    enact.shutdown(Duration::ZERO).await;
    assert!(interrupted.await.unwrap().is_err());
    world.hold_probes();
    let enact = on_request(&world, &crashed).start().await.unwrap();
    until("it is looked up", || world.held_probes() == 1).await;

    let (requests, undone) = (enact.store().durable(), undo(&enact, false));
    until("another request is recorded", || enact.store().durable() > requests).await;
    world.unreachable(1);
    world.let_probes();

    let undone = undone.await.unwrap().unwrap();
    assert_eq!(undone.status(), RunStatus::RolledBack, "{:?}", undone.state().undo_outcomes());
    assert_eq!(ledger(&world), ["put a", "restore a"]);
}

#[tokio::test]
async fn an_attempt_that_timed_out_in_an_earlier_life_counts_and_one_that_was_interrupted_does_not() {
    for (timed_out, ends, effects) in [(true, RunStatus::RolledBack, 0), (false, RunStatus::Completed, 1)] {
        // Given an action of one attempt, that timed out without an effect, or was interrupted before it,
        let (world, store) = (World::new(), MemoryStore::new());
        let enact = start(&world, &store).await;
        world.hold_probes();
        if timed_out {
            world.faults("put", [Fault::LoseRequest]);
        } else {
            world.close_gate();
        }
        enact.submit(request(&[Do::PutOnce("a".into())])).await.unwrap();
        let waits = || if timed_out { world.held_probes() } else { world.at_gate() };
        until("the doubt", || waits() == 1).await;
        let left = store.reopen();
        enact.shutdown(Duration::ZERO).await;

        // when the next process finds that it did not happen, then it is tried again only where it was interrupted.
        world.open_gate();
        world.let_probes();
        let enact = start(&world, &left).await;
        let [run] = left.runs(None, 10).await.unwrap()[..] else { panic!("one run") };
        let run = enact.wait(run).await.unwrap();
        assert_eq!((run.status(), world.ledger().len()), (ends, effects), "{:?}", run.state().error);
        let code = run.state().error.as_ref().map(|error| error.code);
        assert_eq!(code, timed_out.then_some(ErrorCode::Timeout));
    }
}

/// More than are taken up at once.
const MANY: usize = 300;

#[tokio::test]
async fn a_target_in_doubt_stays_held_when_a_request_comes_before_its_run_is_taken_up() {
    // Given more interrupted runs than are taken up at once; the last of them is in doubt about a target, and
    // another waited for it,
    let (world, store, clock) = (World::new(), MemoryStore::new(), TestClock::new());
    let enact = |store: &MemoryStore| {
        let world = world.clone().allow(ALL).unwrap().max_concurrency(2 * MANY);
        let enact = Enact::builder().store(as_dyn(store)).connector("world", world).workflow(Script);
        enact.clock(clock.clone()).recovery(Recovery::OnRequest)
    };
    let before = enact(&store).start().await.unwrap();
    world.close_gate();
    for number in 0..MANY {
        before.submit(request(&[put(&format!("k{number}"))])).await.unwrap();
    }
    until("intents", || world.at_gate() == MANY).await;
    clock.forward(Duration::from_millis(1));
    let write = |value: &str| request(&[Do::Put("a".into(), value.into())]);
    let first = before.submit(write("first")).await.unwrap().run;
    until("another intent", || world.at_gate() > MANY).await;
    let second = before.submit(write("second")).await.unwrap().run;
    let crashed = store.crash();
    before.shutdown(Duration::ZERO).await;
    world.open_gate();

    // when both are asked for before recovery comes to the first of them,
    world.hold_probes();
    let after = enact(&crashed).start().await.unwrap();
    until("the first wave looks", || world.held_probes() == 256).await;
    let resume = |run: RunId| {
        let after = after.clone();
        tokio::spawn(async move { after.resume(run, "me").await })
    };
    let mut resumed = Vec::new();
    for run in [second, first] {
        resumed.push(resume(run));
        // Until it waits for the target.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }
    world.let_probes();
    for resumed in resumed {
        assert_eq!(resumed.await.unwrap().unwrap().status(), RunStatus::Completed);
    }

    // then nobody touches the target until the doubt is settled.
    let mut places = Vec::new();
    for (name, run) in [("ActionResolved", first), ("ActionIntended", second)] {
        let events = after.store().read(run, EventSeq(1), 100).await.unwrap();
        places.extend(events.iter().find(|event| event.event.name() == name).map(|event| event.position));
    }
    assert!(places.len() == 2 && places.is_sorted(), "{places:?}");
}
