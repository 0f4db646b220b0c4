//! Stopping a run: at any moment, more than once, or by leaving.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use common::{Do, ledger, put, request, start, until, until_logged};
use enact_core::error::ErrorCode;
use enact_core::run::RunStatus;
use enact_runtime::RollbackOptions;
use enact_store::MemoryStore;
use enact_testkit::world::{Fault, World};

#[tokio::test]
async fn case_45_a_cancelled_run_undoes_what_it_did_also_what_is_just_being_done() {
    let (world, store) = (World::new(), MemoryStore::new());
    world.set("b", "theirs");
    let before = world.values();
    let enact = start(&world, &store).await;
    let run = enact.submit(request(&[put("a"), Do::Sleep(3_600_000), put("b")])).await.unwrap().run;
    until("the first effect", || world.ledger().len() == 1).await;
    let cancelled = enact.cancel(run, "me", Some("enough".into())).await.unwrap();
    assert_eq!(cancelled.status(), RunStatus::RolledBack);
    assert_eq!(world.values(), before);
    assert_eq!(ledger(&world), ["put a", "restore a"]);
    let error = cancelled.state().error.clone().unwrap();
    assert!(error.message.contains("me"), "the record says who: {error}");

    // And while the second effect is being made.
    let enact = start(&world, &MemoryStore::new()).await;
    world.close_gate();
    let run = enact.submit(request(&[Do::Get("a".into()), put("b"), put("c")])).await.unwrap().run;
    until("an effect is about to be made", || world.at_gate() == 1).await;
    let cancel = tokio::spawn({
        let enact = enact.clone();
        async move { enact.cancel(run, "me", None).await }
    });
    until_logged(&enact, run, "CancelRequested").await;
    world.open_gate();
    assert_eq!(cancel.await.unwrap().unwrap().status(), RunStatus::RolledBack);
    assert_eq!(world.values(), before);
    assert_eq!(ledger(&world), ["put a", "restore a", "put b", "restore b"]);
}

#[tokio::test]
async fn a_run_that_is_cancelled_while_an_effect_is_made_leaves_nothing() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    world.close_gate();
    let run = enact.submit(request(&[put("a"), put("b")])).await.unwrap().run;
    until("the effect is about to be made", || world.at_gate() == 1).await;
    let cancel = tokio::spawn({
        let enact = enact.clone();
        async move { enact.cancel(run, "me", None).await }
    });
    until_logged(&enact, run, "CancelRequested").await;
    world.open_gate();
    let cancelled = cancel.await.unwrap().unwrap();
    assert_eq!(cancelled.status(), RunStatus::RolledBack);
    assert!(world.values().is_empty());
    assert_eq!(ledger(&world), ["put a", "restore a"], "nothing new is begun");
}

#[tokio::test]
async fn a_run_is_cancelled_twice_with_one_effect_and_an_ended_run_not_at_all() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let run = enact.submit(request(&[put("a"), Do::Sleep(3_600_000)])).await.unwrap().run;
    until("the first effect", || world.ledger().len() == 1).await;
    let (first, second) = tokio::join!(enact.cancel(run, "me", None), enact.cancel(run, "you", None));
    assert_eq!(first.unwrap().status(), RunStatus::RolledBack);
    assert_eq!(second.unwrap().status(), RunStatus::RolledBack);
    assert_eq!(ledger(&world), ["put a", "restore a"]);

    let ended = enact.run_to_end(request(&[put("c")])).await.unwrap();
    let refused = enact.cancel(ended.id, "me", None).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict);
    assert_eq!(world.values().len(), 1, "the ended run's effect stays");
}

#[tokio::test]
async fn rolling_back_a_run_that_is_under_way_cancels_it_first() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let run = enact.submit(request(&[put("a"), Do::Sleep(3_600_000), put("b")])).await.unwrap().run;
    until("the first effect", || world.ledger().len() == 1).await;
    let undone = enact.rollback(run, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(undone.status(), RunStatus::RolledBack);
    assert!(world.values().is_empty());
}

#[tokio::test]
async fn a_cancel_during_a_rollback_lets_the_rollback_end() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let run = enact.run_to_end(request(&[put("a"), put("b")])).await.unwrap().id;
    world.close_gate();
    let rollback = tokio::spawn({
        let enact = enact.clone();
        async move { enact.rollback(run, RollbackOptions::by("me")).await }
    });
    until("an undo is about to be made", || world.at_gate() == 1).await;
    let cancel = tokio::spawn({
        let enact = enact.clone();
        async move { enact.cancel(run, "you", None).await }
    });
    world.open_gate();
    assert_eq!(rollback.await.unwrap().unwrap().status(), RunStatus::RolledBack);
    assert_eq!(cancel.await.unwrap().unwrap().status(), RunStatus::RolledBack);
    assert_eq!(ledger(&world), ["put a", "put b", "restore b", "restore a"]);
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_stop_the_run() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    world.close_gate();
    let caller = tokio::spawn({
        let enact = enact.clone();
        async move { enact.run_to_end(request(&[put("a"), put("b")])).await }
    });
    until("the effect is about to be made", || world.at_gate() == 1).await;
    caller.abort();
    world.open_gate();
    until("both effects", || world.ledger().len() == 2).await;
}

#[tokio::test]
async fn case_10_a_write_that_times_out_is_looked_up_and_never_recorded_as_failed() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    world.faults("put", [Fault::Hang]);
    let script = [Do::PutWithin(50, "a".into(), "ours".into()), Do::Fail];
    let run = enact.run_to_end(request(&script)).await.unwrap();
    assert_eq!(ledger(&world), ["put a", "restore a"], "made once, found, and undone");
    assert_eq!(run.status(), RunStatus::RolledBack);
    let kinds: Vec<_> = events(&enact, run.id).await;
    assert!(kinds.contains(&"ActionResolved"), "{kinds:?}");
}

async fn events(enact: &enact_runtime::Enact, run: enact_core::ids::RunId) -> Vec<&'static str> {
    let events = enact.store().read(run, enact_core::ids::EventSeq(1), 100).await.unwrap();
    events.iter().map(|event| event.event.name()).collect()
}

#[tokio::test]
async fn a_write_that_times_out_before_it_happens_is_tried_again() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    world.close_gate();
    let script = [Do::PutWithin(40, "a".into(), "ours".into())];
    let running = tokio::spawn({
        let enact = enact.clone();
        async move { enact.run_to_end(request(&script)).await }
    });
    until("the first attempt hangs", || world.at_gate() == 1).await;
    until("the first attempt is given up", || world.at_gate() == 0 || world.captures() > 1).await;
    world.open_gate();
    let run = running.await.unwrap().unwrap();
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    assert_eq!(ledger(&world), ["put a"]);
}
