//! What the workflow's code may do, and that running it again does the same: joins, time, randomness, versions.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::time::Duration;

use common::{Do, Script, TestClock, as_dyn, builder, carry_out, ledger, put, request, start, until};
use enact_core::error::{Error, ErrorCode};
use enact_core::run::RunStatus;
use enact_runtime::{Enact, RollbackOptions, Workflow, WorkflowCx};
use enact_store::MemoryStore;
use enact_testkit::world::{Fault, World};

#[tokio::test]
async fn branches_of_a_join_go_on_side_by_side_and_are_undone_newest_first() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    world.close_gate();
    let running = tokio::spawn({
        let enact = enact.clone();
        let script = [Do::Join(vec![vec![put("a"), put("b")], vec![put("c")], vec![put("d")]])];
        async move { enact.run_to_end(request(&script)).await }
    });
    until("three branches perform at once", || world.at_gate() == 3).await;
    world.open_gate();
    let run = running.await.unwrap().unwrap();
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    assert_eq!(run.output::<Vec<String>>().unwrap(), ["a", "b", "c", "d"], "in the order of the branches");
    let made = ledger(&world);
    let undone = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(undone.status(), RunStatus::RolledBack);
    assert!(world.values().is_empty());
    assert_eq!(ledger(&world).len(), made.len() * 2);
}

#[tokio::test]
async fn a_crash_inside_a_join_doubles_and_loses_nothing() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let script =
        [put("0"), Do::Join(vec![vec![put("a"), Do::Sleep(100), put("b")], vec![put("c"), put("d")]])];
    let run = enact.submit(request(&script)).await.unwrap().run;
    until("the crash point: inside the join", || world.ledger().len() >= 3).await;
    let crashed = store.crash();
    enact.shutdown(Duration::ZERO).await;

    let enact = start(&world, &crashed).await;
    let run = enact.wait(run).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    let mut made = ledger(&world);
    made.sort();
    assert_eq!(made, ["put 0", "put a", "put b", "put c", "put d"]);
}

#[tokio::test]
async fn a_branch_that_fails_lets_the_others_end_and_then_all_is_undone() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let script = [put("0"), Do::Join(vec![vec![put("a"), Do::Fail], vec![put("b"), put("c")]])];
    let run = enact.run_to_end(request(&script)).await.unwrap();
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert_eq!(run.state().error.as_ref().unwrap().code, ErrorCode::PreconditionFailed);
    assert!(world.values().is_empty(), "{:?}", ledger(&world));
}

#[tokio::test]
async fn a_sleep_outlives_a_crash_and_ends_when_its_time_has_come() {
    let (world, store, clock) = (World::new(), MemoryStore::new(), TestClock::new());
    let enact = builder(&world, &as_dyn(&store)).clock(clock.clone()).start().await.unwrap();
    let run = enact.submit(request(&[put("a"), Do::Sleep(3_600_000), put("b")])).await.unwrap().run;
    until("the first effect", || world.ledger().len() == 1).await;
    let timer_is_durable = async || {
        let events = store_events(&enact, run).await;
        events.contains(&"TimerSet")
    };
    while !timer_is_durable().await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let crashed = store.crash();
    enact.shutdown(Duration::ZERO).await;

    clock.forward(Duration::from_secs(7200));
    let enact = builder(&world, &as_dyn(&crashed)).clock(clock).start().await.unwrap();
    assert_eq!(enact.wait(run).await.unwrap().status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["put a", "put b"]);
}

async fn store_events(enact: &Enact, run: enact_core::ids::RunId) -> Vec<&'static str> {
    let events = enact.store().read(run, enact_core::ids::EventSeq(1), 100).await.unwrap();
    events.iter().map(|event| event.event.name()).collect()
}

#[tokio::test]
async fn time_and_randomness_are_asked_for_once_and_handed_out_again() {
    let (world, store, clock) = (World::new(), MemoryStore::new(), TestClock::new());
    world.close_gate();
    let enact = builder(&world, &as_dyn(&store)).clock(clock.clone()).start().await.unwrap();
    let run = enact.submit(request(&[Do::Now, Do::Random, put("a"), Do::Random])).await.unwrap().run;
    until("the crash point: before the effect", || world.at_gate() == 1).await;
    let first = enact.state(run).await.unwrap();
    let crashed = store.crash();
    enact.shutdown(Duration::ZERO).await;
    world.open_gate();

    clock.forward(Duration::from_secs(60));
    let enact = builder(&world, &as_dyn(&crashed)).clock(clock).start().await.unwrap();
    let run = enact.wait(run).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    let gave = run.output::<Vec<String>>().unwrap();
    assert_eq!(gave[0], first.started_at.to_string(), "the time of the first time");
    assert_ne!(gave[1], gave[3]);
    assert_eq!(ledger(&world), ["put a"]);
}

/// The same name and version, another code.
struct Changed;

impl Workflow for Changed {
    const NAME: &'static str = "script";
    const VERSION: u32 = 1;
    type Input = Vec<Do>;
    type Output = Vec<String>;

    async fn run(&self, cx: &WorkflowCx, script: Vec<Do>) -> Result<Vec<String>, Error> {
        carry_out(cx, &[put("something else")]).await?;
        carry_out(cx, &script).await
    }
}

/// A later version beside the old one.
struct Later;

impl Workflow for Later {
    const NAME: &'static str = "script";
    const VERSION: u32 = 2;
    type Input = Vec<Do>;
    type Output = Vec<String>;

    async fn run(&self, cx: &WorkflowCx, _: Vec<Do>) -> Result<Vec<String>, Error> {
        carry_out(cx, &[put("later")]).await
    }
}

/// A run that was interrupted between its first effect and its second.
async fn interrupted(world: &World) -> (MemoryStore, enact_core::ids::RunId) {
    let store = MemoryStore::new();
    let enact = start(world, &store).await;
    let run = enact.submit(request(&[put("a"), Do::Sleep(600_000), put("b")])).await.unwrap().run;
    until("the crash point: one effect", || world.ledger().len() == 1).await;
    while !store_events(&enact, run).await.contains(&"TimerSet") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let crashed = store.crash();
    enact.shutdown(Duration::ZERO).await;
    (crashed, run)
}

#[tokio::test]
async fn case_47_a_changed_workflow_is_quarantined_with_both_sides_and_history_stays() {
    let world = World::new();
    let (store, run) = interrupted(&world).await;
    let toolbox = enact_core::connector::Allow::allow(world.clone(), common::ALL).unwrap();
    let enact = Enact::builder().store(as_dyn(&store)).connector("world", toolbox).workflow(Changed);
    let enact = enact.start().await.unwrap();
    let waiting = enact.wait(run).await.unwrap();
    assert_eq!(waiting.status(), RunStatus::Quarantined);
    let why = waiting.state().error.clone().unwrap().message;
    let recorded = r#""key":"a""#;
    assert!(why.contains(r#""key":"something else""#) && why.contains(recorded), "both sides: {why}");
    assert_eq!(ledger(&world), ["put a"], "nothing was done");

    let undone = enact.rollback(run, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(undone.status(), RunStatus::RolledBack);
    assert!(world.values().is_empty());
}

#[tokio::test]
async fn a_quarantined_run_goes_on_with_the_code_that_it_was_begun_with() {
    let world = World::new();
    let (store, run) = interrupted(&world).await;
    let toolbox = enact_core::connector::Allow::allow(world.clone(), common::ALL).unwrap();
    let enact = Enact::builder().store(as_dyn(&store)).connector("world", toolbox).workflow(Changed);
    let enact = enact.start().await.unwrap();
    assert_eq!(enact.wait(run).await.unwrap().status(), RunStatus::Quarantined);
    enact.shutdown(Duration::from_secs(5)).await;

    let clock = TestClock::new();
    clock.forward(Duration::from_secs(1_000_000_000));
    let enact = builder(&world, &as_dyn(&store)).clock(clock).start().await.unwrap();
    let ended = enact.resume(run, "me").await.unwrap();
    assert_eq!(ended.status(), RunStatus::Completed, "{:?}", ended.state().error);
    assert_eq!(ledger(&world), ["put a", "put b"]);
}

#[tokio::test]
async fn versions_stand_side_by_side_and_a_version_that_is_gone_holds_up_nobody() {
    let world = World::new();
    let (store, run) = interrupted(&world).await;
    let clock = TestClock::new();
    clock.forward(Duration::from_secs(1_000_000_000));
    let both = builder(&world, &as_dyn(&store)).workflow(Later).clock(clock);
    let enact = both.start().await.unwrap();
    assert_eq!(enact.wait(run).await.unwrap().status(), RunStatus::Completed);
    enact.run(Later, "me", Vec::new()).await.unwrap();
    assert_eq!(ledger(&world), ["put a", "put b", "put later"]);

    let world = World::new();
    let (store, run) = interrupted(&world).await;
    let toolbox = enact_core::connector::Allow::allow(world.clone(), common::ALL).unwrap();
    let enact = Enact::builder().store(as_dyn(&store)).connector("world", toolbox).workflow(Later);
    let enact = enact.start().await.unwrap();
    let waiting = enact.wait(run).await.unwrap();
    assert_eq!(waiting.status(), RunStatus::Quarantined);
    assert!(waiting.state().error.as_ref().unwrap().message.contains("version 1"));
    assert_eq!(enact.run(Later, "me", Vec::new()).await.unwrap().status(), RunStatus::Completed);
}

#[tokio::test]
async fn code_that_panics_is_contained_and_its_effects_are_undone() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let run = enact.run_to_end(request(&[put("a"), Do::Panic])).await.unwrap();
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert_eq!(run.state().error.as_ref().unwrap().code, ErrorCode::Internal);
    assert!(world.values().is_empty());
    assert_eq!(enact.run_to_end(request(&[put("b")])).await.unwrap().status(), RunStatus::Completed);
}

#[tokio::test]
async fn code_that_handles_a_refusal_or_an_error_completes() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    world.faults("put", [Fault::Forbid]);
    let script = [Do::Try(Box::new(put("a"))), Do::Try(Box::new(put("b")))];
    let run = enact.run(Script, "me", script.to_vec()).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(run.output::<Vec<String>>().unwrap(), ["forbidden", "b"]);
}
