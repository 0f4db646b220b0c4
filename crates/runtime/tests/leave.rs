//! Leave to act is looked at again right before the intent: in time, in the very system, and not after a no.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{
    BOSS, Do, Impatient, Rule, TestClock, USER, as_dyn, builder, ledger, overwriting, put, request, until,
    until_logged,
};
use enact_core::error::{Error, ErrorCode};
use enact_core::ids::Seq;
use enact_core::json::JsonText;
use enact_core::policy::{Approval, Request, Verdict};
use enact_core::run::{RunStatus, Void};
use enact_runtime::{
    Observer, Recovery, RollbackOptions, RunRequest, Stage, Step, Tries, Workflow, WorkflowCx, erase,
};
use enact_store::MemoryStore;
use enact_testkit::world::{Get, World};
use parking_lot::{Condvar, Mutex};

const HOUR: Duration = Duration::from_secs(3600);

/// Every action, on its parameters.
fn every_action(request: &Request<'_>) -> Verdict {
    match (request.action(), request.facts()) {
        (Some(_), None) => Verdict::NeedsApproval(Approval::new("look").within(HOUR)),
        _ => Verdict::Pass,
    }
}

/// Time passes as soon as something is captured.
#[derive(Debug)]
struct Slow(TestClock);

impl Observer for Slow {
    fn on_step(&self, step: &Step<'_>) {
        if step.stage == Stage::Captured {
            self.0.forward(HOUR);
        }
    }
}

#[tokio::test]
async fn what_was_approved_is_asked_for_again_where_its_time_is_over_before_the_intent() {
    let (world, store, clock) = (World::new(), MemoryStore::new(), TestClock::new());
    let make = |clock: &TestClock| {
        builder(&world, &as_dyn(&store)).policy(Rule("first", every_action)).clock(clock.clone())
    };
    let enact = make(&clock).observer(Slow(clock.clone())).start().await.unwrap();
    for what in [put("a"), Do::Get("a".into())] {
        let captured = world.captures();
        let waits = enact.run_to_end(request(&[what])).await.unwrap();
        assert_eq!(world.captures(), captured, "nothing is looked at before somebody said yes");
        let again = enact.approve(waits.id, None, BOSS).await.unwrap();
        assert_eq!(again.status(), RunStatus::AwaitingApproval);
        let voids: Vec<_> = again.state().approvals.iter().map(|one| one.void).collect();
        assert_eq!(voids, [Some(Void::TooLate), None]);
        enact.cancel(waits.id, BOSS, None).await.unwrap();
    }
    assert!(world.ledger().is_empty());
}

/// Reads, with an approval that the code itself wants.
struct Curious;

impl Workflow for Curious {
    const NAME: &'static str = "curious";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = bool;

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<bool, Error> {
        let tries = Tries { approval: true, ..Tries::default() };
        let got = cx.connector::<World>("world")?.act_with(Get { key: "a".into() }, tries).await?;
        Ok(got.value.is_some())
    }
}

#[tokio::test]
async fn an_approval_is_for_the_system_that_it_was_asked_for() {
    let (world, store) = (World::new(), MemoryStore::new());
    let make = || {
        builder(&world, &as_dyn(&store))
            .policy(Rule("first", every_action))
            .workflow(Curious)
            .recovery(Recovery::OnRequest)
    };
    let enact = make().start().await.unwrap();
    let write = enact.run_to_end(request(&[put("a")])).await.unwrap();
    let read = enact.run_to_end(RunRequest::new(&*erase(Curious), USER, JsonText::null())).await.unwrap();
    assert_eq!(write.document().approvals[0].system.as_deref(), Some("world 0"));
    enact.shutdown(Duration::from_secs(5)).await;

    // The connector of this name leads elsewhere now.
    world.replace();
    let enact = make().start().await.unwrap();
    for run in [write.id, read.id] {
        let asked = enact.approve(run, None, BOSS).await.unwrap();
        assert_eq!(asked.status(), RunStatus::AwaitingApproval);
        let [void, now] = &asked.state().approvals[..] else { unreachable!("two requests: {asked:?}") };
        assert_eq!((void.void, now.void), (Some(Void::OtherSystem), None));
        assert_eq!(world.captures(), 0, "nothing was looked at there");
    }
    assert!(world.ledger().is_empty());
    for run in [write.id, read.id] {
        assert_eq!(enact.approve(run, None, BOSS).await.unwrap().status(), RunStatus::Completed);
    }
}

#[tokio::test]
async fn what_waits_goes_on_waiting_where_its_system_is_not_there_at_a_restart() {
    let (world, store) = (World::new(), MemoryStore::new());
    let make = || {
        builder(&world, &as_dyn(&store)).policy(Rule("first", |request| match request.facts() {
            // At the one gate of one action, at the other of another.
            Some(_) if request.action().is_some_and(|action| action.target.id == "b") => {
                Verdict::needs_approval("b")
            }
            None if request.action().is_some_and(|action| action.target.id == "a") => {
                Verdict::needs_approval("a")
            }
            _ => Verdict::Pass,
        }))
    };
    let enact = make().start().await.unwrap();
    let runs = [
        enact.run_to_end(request(&[put("a")])).await.unwrap().id,
        enact.run_to_end(request(&[put("b")])).await.unwrap().id,
    ];
    enact.shutdown(Duration::from_secs(5)).await;
    let captured = world.captures();
    let enact = make().start().await.unwrap();
    for run in runs {
        assert_eq!(enact.wait(run).await.unwrap().status(), RunStatus::AwaitingApproval);
    }
    assert_eq!(world.captures(), captured, "the log is enough to wait");
}

/// Holds jobs back when they have captured.
#[derive(Debug, Default)]
struct Barrier {
    held: Mutex<(u32, bool)>,
    told: Condvar,
}

#[derive(Debug)]
struct Held(Arc<Barrier>);

impl Observer for Held {
    fn on_step(&self, step: &Step<'_>) {
        if step.stage == Stage::Captured {
            let mut held = self.0.held.lock();
            held.0 += 1;
            self.0.told.wait_while(&mut held, |held| !held.1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_no_that_comes_while_the_action_is_looked_at_is_final_too() {
    let (world, store) = (World::new(), MemoryStore::new());
    world.set("k", "theirs");
    let first = builder(&world, &as_dyn(&store)).policy(Rule("first", overwriting)).start().await.unwrap();
    let run = first.run_to_end(request(&[put("k")])).await.unwrap().id;
    first.shutdown(Duration::from_secs(5)).await;

    // Under other policies it is looked at anew, and by now there is nothing to overwrite.
    world.unset("k");
    let barrier = Arc::new(Barrier::default());
    let second = builder(&world, &as_dyn(&store)).policy(Rule("second", overwriting));
    let enact = second.observer(Held(Arc::clone(&barrier))).start().await.unwrap();
    until("it has been looked at", || barrier.held.lock().0 == 1).await;
    let denying = tokio::spawn({
        let enact = enact.clone();
        async move { enact.deny(run, None, BOSS, None).await.unwrap() }
    });
    until_logged(&enact, run, "ApprovalDecided").await;
    barrier.held.lock().1 = true;
    barrier.told.notify_all();
    let denied = denying.await.unwrap();
    let code = denied.state().error.as_ref().map(|error| error.code);
    assert_eq!((denied.status(), code), (RunStatus::Blocked, Some(ErrorCode::ApprovalDenied)));
    assert!(ledger(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_another_life_went_on_without_is_not_done_when_the_word_comes_before_this_one() {
    let (world, store) = (World::new(), MemoryStore::new());
    let make = || {
        builder(&world, &as_dyn(&store))
            .policy(Rule("first", every_action))
            .workflow(Impatient(false))
            .recovery(Recovery::OnRequest)
    };
    let enact = make().start().await.unwrap();
    let request = RunRequest::new(&*erase(Impatient(false)), USER, JsonText::null());
    let run = enact.submit(request).await.unwrap().run;
    until_logged(&enact, run, "ValueRecorded").await;
    assert_eq!(enact.wait(run).await.unwrap().state().open_approvals().count(), 2);
    enact.shutdown(Duration::from_secs(5)).await;

    // The word is recorded before there is any code, which then asks for `a` first.
    let enact = make().start().await.unwrap();
    enact.approve(run, Some(Seq(1)), BOSS).await.unwrap();
    let done = enact.approve(run, Some(Seq(2)), BOSS).await.unwrap();
    assert_eq!(done.status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["put b"], "what nobody waited for did not happen");
    assert_eq!(done.state().error, None);
}

#[tokio::test]
async fn what_an_earlier_life_waits_for_in_parallel_is_done_when_the_word_comes_before_this_one() {
    let (world, store) = (World::new(), MemoryStore::new());
    let make =
        || builder(&world, &as_dyn(&store)).policy(Rule("first", every_action)).recovery(Recovery::OnRequest);
    let enact = make().start().await.unwrap();
    let join = Do::Join(vec![vec![put("a"), Do::Now, put("b")], vec![Do::Random, put("c"), Do::Now]]);
    let run = enact.run_to_end(request(&[join])).await.unwrap().id;
    for _ in 0..3 {
        enact.shutdown(Duration::from_secs(5)).await;
        let enact = make().start().await.unwrap();
        let waits = enact.state(run).await.unwrap();
        let seq = waits.open_approvals().next().unwrap().seq();
        enact.approve(run, seq, BOSS).await.unwrap();
    }
    assert_eq!(enact.state(run).await.unwrap().status(), RunStatus::Completed);
    assert_eq!(world.ledger().len(), 3);
}

#[tokio::test]
async fn a_rollback_that_a_crash_interrupted_goes_on_whatever_policies_say_by_then() {
    let (world, store) = (World::new(), MemoryStore::new());
    let free = common::start(&world, &store).await;
    let run = free.run_to_end(request(&[put("a"), put("b")])).await.unwrap().id;
    world.close_gate();
    let rolling = tokio::spawn({
        let free = free.clone();
        async move { free.rollback(run, RollbackOptions::by(BOSS)).await }
    });
    until("an undo is about to be made", || world.at_gate() == 1).await;
    let (crashed, after) = (store.crash(), world.fork());
    free.shutdown(Duration::ZERO).await;
    assert!(rolling.await.unwrap().is_err());

    let nothing = Rule("second", |_| Verdict::deny("nothing at all"));
    let strict = builder(&after, &as_dyn(&crashed)).policy(nothing).start().await.unwrap();
    assert_eq!(strict.wait(run).await.unwrap().status(), RunStatus::RolledBack);
    assert!(after.values().is_empty());
}
