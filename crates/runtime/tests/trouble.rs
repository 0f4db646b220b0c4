//! When parts break: connectors, the store, the outside system, the process. And what is bounded.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{ALL, Do, USER, as_dyn, builder, ledger, put, request, start, until};
use enact_core::connector::Allow;
use enact_core::error::{ErrorCode, Remains};
use enact_core::event::Decision;
use enact_core::ids::Seq;
use enact_core::run::{Outcome, RunStatus, UNDO_BUDGET, UndoOutcome};
use enact_core::store::EventStore;
use enact_runtime::{Enact, Note, Observer, Recovery, RollbackOptions, Stage, Step};
use enact_store::{MemoryStore, SledStore};
use enact_testkit::world::{Fault, World};
use parking_lot::Mutex;

#[tokio::test]
async fn a_connector_that_panics_is_looked_up_and_nothing_is_doubled() {
    for fault in [Fault::PanicBefore, Fault::PanicAfter] {
        let (world, store) = (World::new(), MemoryStore::new());
        let enact = start(&world, &store).await;
        world.faults("put", [fault]);
        let run = enact.run_to_end(request(&[put("a"), put("b")])).await.unwrap();
        assert_eq!(run.status(), RunStatus::Completed, "{fault:?}: {:?}", run.state().error);
        assert_eq!(ledger(&world), ["put a", "put b"], "{fault:?}");
    }
}

/// What an observer was told.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Observer for Notes {
    fn on_note(&self, note: &Note<'_>) {
        self.0.lock().push(note.text.to_owned());
    }
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_told_and_one_without_end_fails_the_action() {
    let (world, store, notes) = (World::new(), MemoryStore::new(), Notes::default());
    let enact = builder(&world, &as_dyn(&store)).observer(notes.clone()).start().await.unwrap();
    let short = Fault::Slow(Duration::from_millis(1));
    world.faults("put", [short]);
    world.faults("restore", [short]);
    let run = enact.run_to_end(request(&[put("a")])).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed);
    let run = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(run.status(), RunStatus::RolledBack);
    let told = std::mem::take(&mut *notes.0.lock());
    assert_eq!(told, ["tried again in 1 s: too fast; wait 0 s"; 2]);

    world.faults("put", [Fault::Slow(Duration::from_secs(99_999_999_999_999))]);
    let run = enact.run_to_end(request(&[put("b")])).await.unwrap();
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert_eq!(run.state().error.as_ref().unwrap().code, ErrorCode::RateLimited);
    assert_eq!(notes.0.lock().len(), 0, "it is not waited for");
}

#[tokio::test]
async fn a_connector_that_panics_while_undoing_is_looked_up_too() {
    for fault in [Fault::PanicBefore, Fault::PanicAfter, Fault::LoseReply, Fault::LoseRequest, Fault::Refuse]
    {
        let (world, store) = (World::new(), MemoryStore::new());
        let enact = start(&world, &store).await;
        let run = enact.run_to_end(request(&[put("a")])).await.unwrap();
        world.faults("restore", [fault]);
        let undone = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
        assert_eq!(undone.status(), RunStatus::RolledBack, "{fault:?}");
        assert_eq!(ledger(&world), ["put a", "restore a"], "{fault:?}");
    }
}

#[tokio::test]
async fn an_undo_that_collides_with_others_is_tried_again_and_is_no_conflict() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let run = enact.run_to_end(request(&[put("a"), put("b")])).await.unwrap().id;
    world.faults("restore", [Fault::Collide, Fault::Collide]);
    let undone = enact.rollback(run, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(undone.status(), RunStatus::RolledBack, "{:?}", undone.state().undo_outcomes());

    let run = enact.run_to_end(request(&[put("a")])).await.unwrap().id;
    world.faults("restore", vec![Fault::Collide; UNDO_BUDGET as usize]);
    let part = enact.rollback(run, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(part.state().undo_outcomes()[0].1, UndoOutcome::Failed, "nobody changed anything");
}

#[tokio::test]
async fn case_43_an_action_that_failed_half_way_is_undone_from_its_intent() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    world.faults("put", [Fault::FailMidway]);
    let run = enact.run_to_end(request(&[put("a")])).await.unwrap();
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert_eq!(ledger(&world), ["put a", "restore a"]);
}

#[tokio::test]
async fn case_43_an_action_that_fails_half_way_after_a_crash_is_undone_as_well() {
    // Given a run that crashed between its intent and its effect,
    let (world, store) = (World::new(), MemoryStore::new());
    world.set("a", "theirs");
    let enact = start(&world, &store).await;
    world.close_gate();
    let run = enact.submit(request(&[put("a"), put("b")])).await.unwrap().run;
    until("the crash point: a durable intent without its effect", || world.at_gate() == 1).await;
    let (crashed, world) = (store.crash(), world.fork());
    enact.shutdown(Duration::ZERO).await;

    // when the next process looks it up, does not find it, and fails half way in trying again,
    world.faults("put", [Fault::FailMidway]);
    let enact = start(&world, &crashed).await;
    let run = enact.wait(run).await.unwrap();

    // then that second attempt is undone.
    let outcomes: Vec<_> = run.state().actions[&Seq(1)].attempts.iter().map(|one| &one.outcome).collect();
    assert!(
        matches!(outcomes[..], [Outcome::NotApplied, Outcome::Failed(_, Remains::Perhaps)]),
        "{outcomes:?}"
    );
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert_eq!(ledger(&world), ["put a", "restore a"]);
    assert_eq!(world.values()["a"], "theirs");
}

#[tokio::test]
async fn case_46_an_undo_that_keeps_failing_ends_the_rollback_and_can_be_tried_again() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let run = enact.run_to_end(request(&[put("a"), put("b")])).await.unwrap();
    world.faults("restore", [Fault::Forbid]);
    let part = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(part.status(), RunStatus::PartiallyRolledBack);
    let outcomes: Vec<_> =
        part.state().undo_outcomes().iter().map(|(seq, outcome, _)| (seq.0, *outcome)).collect();
    assert_eq!(outcomes, [(2, UndoOutcome::Failed), (1, UndoOutcome::Undone)], "it goes on with the others");
    let again = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(again.status(), RunStatus::RolledBack);
    assert_eq!(ledger(&world), ["put a", "put b", "restore a", "restore b"]);
}

#[tokio::test]
async fn a_failed_sync_acknowledges_nothing_and_the_run_goes_on_when_the_store_is_opened_again() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    world.close_gate();
    let running = tokio::spawn({
        let enact = enact.clone();
        async move { enact.run_to_end(request(&[put("a"), put("b")])).await }
    });
    until("the first effect is about to be made", || world.at_gate() == 1).await;
    store.fail_next_sync();
    world.open_gate();
    let error = running.await.unwrap().unwrap_err();
    assert!(error.message().contains("sync failed"), "{error}");
    assert_eq!(ledger(&world), ["put a"], "no effect without a durable intent");
    let refused = enact.run_to_end(request(&[put("c")])).await.unwrap_err();
    assert!(refused.message().contains("sync failed"), "{refused}");
    let reopened = store.crash();
    enact.shutdown(Duration::ZERO).await;

    let enact = start(&world, &reopened).await;
    until("the run ends", || world.ledger().len() == 2).await;
    let runs = enact.store().runs(None, 10).await.unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(enact.wait(runs[0]).await.unwrap().status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["put a", "put b"]);
}

/// Counts how many actions are between capture and effect at the same time.
#[derive(Clone, Default)]
struct AtOnce {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Observer for AtOnce {
    fn on_step(&self, step: &Step<'_>) {
        match step.stage {
            Stage::BeforeCapture => {
                let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(now, Ordering::SeqCst);
            }
            Stage::Performed => {
                self.now.fetch_sub(1, Ordering::SeqCst);
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_48_thousands_of_interrupted_runs_recover_side_by_side_within_bounds_and_a_stuck_one_blocks_nobody()
 {
    const RUNS: usize = 10_000;
    let (world, store) = (World::new(), MemoryStore::new());
    let toolbox = world.clone().allow(ALL).unwrap().max_concurrency(100_000);
    let enact = Enact::builder().store(as_dyn(&store)).connector("world", toolbox).workflow(common::Script);
    let enact = enact.start().await.unwrap();
    world.close_gate();
    for number in 0..RUNS {
        enact.submit(request(&[put(&format!("k{number}")), put(&format!("l{number}"))])).await.unwrap();
    }
    until("the crash point: every run has an intent", || world.at_gate() == RUNS).await;
    let (crashed, world) = (store.crash(), world.fork());
    enact.shutdown(Duration::ZERO).await;
    assert!(world.ledger().is_empty());

    // One of them hangs in recovery.
    world.faults("put", [Fault::Hang]);
    let watch = AtOnce::default();
    let toolbox = world.clone().allow(ALL).unwrap().max_concurrency(8);
    let enact = Enact::builder().store(as_dyn(&crashed)).connector("world", toolbox).workflow(common::Script);
    let enact = enact.observer(watch.clone()).start().await.unwrap();
    let mut left = Vec::new();
    for _ in 0..1000 {
        left = enact.store().open_runs().await.unwrap();
        if left.len() <= 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let [stuck] = left[..] else { panic!("{} runs are open, and one hangs", left.len()) };
    assert_eq!(enact.state(stuck).await.unwrap().status(), RunStatus::Running);
    let most = watch.most.load(Ordering::SeqCst);
    assert!(most <= 8, "{most} actions at once, 8 are allowed");
    let mut made = ledger(&world);
    made.sort();
    made.dedup();
    assert_eq!(made.len(), world.ledger().len(), "nothing is doubled");
    assert_eq!(made.len(), RUNS * 2 - 1, "all but what follows the hanging one");
}

#[tokio::test]
async fn shutdown_takes_no_new_runs_and_leaves_the_rest_resumable() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let long = enact.submit(request(&[put("a"), Do::Sleep(100), put("b")])).await.unwrap().run;
    until("the first effect", || world.ledger().len() == 1).await;
    enact.shutdown(Duration::ZERO).await;
    let refused = enact.run_to_end(request(&[put("c")])).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert!(!world.values().contains_key("c"));

    let enact = start(&world, &store.crash()).await;
    assert_eq!(enact.wait(long).await.unwrap().status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["put a", "put b"]);
}

#[tokio::test]
async fn shutdown_waits_for_what_is_under_way() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let run = enact.submit(request(&[put("a"), Do::Sleep(50), put("b")])).await.unwrap().run;
    enact.shutdown(Duration::from_secs(30)).await;
    assert_eq!(ledger(&world), ["put a", "put b"]);
    let enact = start(&world, &store.crash()).await;
    assert_eq!(enact.state(run).await.unwrap().status(), RunStatus::Completed);
}

#[tokio::test]
async fn two_undos_in_doubt_on_one_target_do_not_wait_for_each_other() {
    // Given a run that wrote one target twice, and a rollback that failed on the second and lost sight of the first,
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let script = ["1", "2"].map(|value| Do::Put("a".into(), value.into()));
    let run = enact.run_to_end(request(&script)).await.unwrap().id;
    world.faults("restore", [Fault::Forbid, Fault::LoseReply]);
    world.cannot_tell(true);
    let options = || RollbackOptions::by("me").force(true);
    let part = enact.rollback(run, options()).await.unwrap();
    let outcomes: Vec<_> = part.state().undo_outcomes().iter().map(|(_, outcome, _)| *outcome).collect();
    assert_eq!(outcomes, [UndoOutcome::Failed, UndoOutcome::InDoubt]);
    world.cannot_tell(false);

    // when it is asked for again, and the process dies while the second is being undone,
    world.close_gate();
    let again = tokio::spawn({
        let enact = enact.clone();
        async move { enact.rollback(run, options()).await }
    });
    until("the crash point: an undo is about to be made", || world.at_gate() == 1).await;
    let crashed = store.crash();
    enact.shutdown(Duration::ZERO).await;
    assert!(again.await.unwrap().is_err());
    world.open_gate();

    // then the next process looks both up, one after the other.
    let enact = start(&world, &crashed).await;
    assert_eq!(enact.wait(run).await.unwrap().status(), RunStatus::RolledBack);
}

#[tokio::test]
async fn recovery_on_request_settles_doubts_and_waits_with_the_rest() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    world.faults("put", [Fault::Hang]);
    let run = enact.submit(request(&[put("a"), put("b")])).await.unwrap().run;
    until("the crash point: an effect without a record", || world.ledger().len() == 1).await;
    let crashed = store.crash();
    enact.shutdown(Duration::ZERO).await;

    let enact = builder(&world, &as_dyn(&crashed)).recovery(Recovery::OnRequest).start().await.unwrap();
    until("the doubt is settled", || {
        let state = futures::executor::block_on(enact.state(run)).unwrap();
        state.actions[&Seq(1)].end.is_some()
    })
    .await;
    assert_eq!(ledger(&world), ["put a"], "nothing new is done");
    assert_eq!(enact.resume(run, "me").await.unwrap().status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["put a", "put b"]);
}

#[tokio::test]
async fn another_system_behind_the_same_name_is_neither_asked_nor_touched() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let run = enact.run_to_end(request(&[put("a")])).await.unwrap();
    world.replace();
    let kept = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(kept.status(), RunStatus::PartiallyRolledBack);
    assert_eq!(world.values()["a"], "ours", "nothing is touched");
    let error = kept.state().undo_outcomes()[0].2.unwrap().message.clone();
    assert!(error.contains("world 0") && error.contains("world 1"), "both are named: {error}");

    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    world.faults("put", [Fault::Hang]);
    let run = enact.submit(request(&[put("a"), put("b")])).await.unwrap().run;
    until("the crash point: an effect without a record", || world.ledger().len() == 1).await;
    let crashed = store.crash();
    enact.shutdown(Duration::ZERO).await;
    world.replace();
    let enact = start(&world, &crashed).await;
    let waiting = enact.wait(run).await.unwrap();
    assert_eq!(waiting.status(), RunStatus::Quarantined);
    assert_eq!(ledger(&world), ["put a"]);
}

#[tokio::test]
async fn the_same_key_is_one_run_also_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let store = Arc::new(SledStore::open(dir.path().join("s")).unwrap());
    let enact = builder(&world, &(Arc::clone(&store) as Arc<dyn EventStore>)).start().await.unwrap();
    let keyed = || request(&[put("a")]).key(Some("once".into()));
    let submitted = futures::future::join_all((0..20).map(|_| enact.submit(keyed()))).await;
    let runs: std::collections::BTreeSet<_> = submitted.iter().map(|one| one.as_ref().unwrap().run).collect();
    assert_eq!(runs.len(), 1);
    assert_eq!(submitted.iter().filter(|one| !one.as_ref().unwrap().existing).count(), 1);
    let other = enact.submit(request(&[put("b")]).key(Some("once".into()))).await.unwrap_err();
    assert_eq!(other.code(), ErrorCode::InvalidParameters);
    let run = *runs.first().unwrap();
    enact.wait(run).await.unwrap();
    enact.shutdown(Duration::from_secs(5)).await;
    store.close().unwrap();
    drop((enact, store));

    let store: Arc<dyn EventStore> = Arc::new(SledStore::open(dir.path().join("s")).unwrap());
    let enact = builder(&world, &store).start().await.unwrap();
    let again = enact.submit(keyed()).await.unwrap();
    assert_eq!((again.run, again.existing), (run, true));
    assert_eq!(ledger(&world), ["put a"]);
}

#[tokio::test]
async fn more_runs_than_allowed_are_refused_and_named_so() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = builder(&world, &as_dyn(&store)).max_runs(2).start().await.unwrap();
    world.close_gate();
    for key in ["a", "b"] {
        enact.submit(request(&[put(key)])).await.unwrap();
    }
    let refused = enact.submit(request(&[put("c")])).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    world.open_gate();
    until("both effects", || world.ledger().len() == 2).await;
    assert!(!world.values().contains_key("c"));
}

#[tokio::test]
async fn actions_on_one_target_wait_for_each_other() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    world.close_gate();
    let first = enact.submit(request(&[Do::Put("a".into(), "1".into())])).await.unwrap().run;
    until("the first is about to be made", || world.at_gate() == 1).await;
    let second = enact.submit(request(&[Do::Put("a".into(), "2".into())])).await.unwrap().run;
    let third = enact.submit(request(&[put("z")])).await.unwrap().run;
    until("another target does not wait", || world.at_gate() == 2).await;
    world.open_gate();
    for run in [first, second, third] {
        assert_eq!(enact.wait(run).await.unwrap().status(), RunStatus::Completed);
    }
    assert_eq!(world.values()["a"], "2");
    enact.rollback(second, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(world.values()["a"], "1", "what the second one captured is what the first one left");
}

#[tokio::test]
async fn an_operators_word_on_a_doubt_is_taken_forward_and_back() {
    for (word, forward, launches) in [
        // It is done, and nobody knows what it gave: typed code cannot go on with that.
        (Decision::Applied, RunStatus::PartiallyRolledBack, 1),
        (Decision::NotApplied, RunStatus::Completed, 2),
        (Decision::Abandon, RunStatus::PartiallyRolledBack, 1),
    ] {
        let (world, store) = (World::new(), MemoryStore::new());
        let enact = start(&world, &store).await;
        world.faults("launch", [Fault::LoseReply]);
        world.cannot_tell(true);
        let run = enact.run_to_end(request(&[put("a"), Do::Launch("rocket".into())])).await.unwrap();
        assert_eq!(run.status(), RunStatus::Quarantined);
        let decided = enact.resolve(run.id, Seq(2), word, "me").await.unwrap();
        assert_eq!(decided.status(), forward, "{word:?}: {:?}", decided.state().error);
        let count = world.ledger().iter().filter(|effect| effect.action == "launch").count();
        assert_eq!(count, launches, "{word:?}");
    }
}

#[tokio::test]
async fn case_51_a_finished_run_is_not_resumed_again() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let run = enact.run_to_end(request(&[put("a")])).await.unwrap();
    let events = enact.store().durable();
    world.unset("a");
    assert_eq!(enact.resume(run.id, "me").await.unwrap().status(), RunStatus::Completed);
    assert!(world.values().is_empty());
    assert_eq!(enact.store().durable(), events, "nothing was recorded");
}

#[tokio::test]
async fn debug_output_of_what_is_configured_shows_no_payload() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = builder(&world, &as_dyn(&store)).start().await.unwrap();
    let shown = format!("{enact:?} {:?}", enact.connectors().map(|(name, _)| name).collect::<Vec<_>>());
    assert!(!shown.contains(USER), "{shown}");
}
