//! What is left when a runtime was shut down: nothing that still acts, and nothing that still waits.

mod common;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use common::{Do, as_dyn, builder, ledger, put, request, start, until};
use enact_core::error::{Error, ErrorCode};
use enact_core::json::JsonText;
use enact_core::run::RunStatus;
use enact_runtime::{RunRequest, Tries, Workflow, WorkflowCx, erase};
use enact_store::MemoryStore;
use enact_testkit::world::World;

#[tokio::test]
async fn nothing_acts_any_more_when_shutdown_has_returned_so_that_a_new_runtime_doubles_nothing() {
    // Given an effect that is about to be made, which no precondition keeps from being made twice,
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    world.close_gate();
    let run = enact.submit(request(&[Do::Launch("rocket".into())])).await.unwrap().run;
    until("an effect is about to be made", || world.at_gate() == 1).await;

    // when the runtime is shut down without waiting for it, and another starts on the same store and world,
    enact.shutdown(Duration::ZERO).await;
    assert_eq!(world.at_gate(), 0, "what was under way is over");
    let enact = start(&world, &store).await;
    until("it is tried again", || world.at_gate() == 1).await;
    world.open_gate();

    // then it is made once.
    assert_eq!(enact.wait(run).await.unwrap().status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["launch rocket"]);
}

#[tokio::test]
async fn everybody_who_shuts_down_waits_for_what_is_under_way() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    world.close_gate();
    let run = enact.submit(request(&[put("a")])).await.unwrap().run;
    until("an effect is about to be made", || world.at_gate() == 1).await;
    let shut_down = || {
        let enact = enact.clone();
        tokio::spawn(async move { enact.shutdown(Duration::from_secs(30)).await })
    };
    let both = [shut_down(), shut_down()];
    // Until both were heard: no new runs are taken then.
    while enact.submit(request(&[put("b")])).await.is_ok() {}
    tokio::task::yield_now().await;
    world.open_gate();
    for one in both {
        one.await.unwrap();
    }
    assert_eq!(enact.state(run).await.unwrap().status(), RunStatus::Completed);
}

/// Holds something for as long as its code is there.
struct Holds {
    held: Arc<()>,
    insists: bool,
}

impl Workflow for Holds {
    const NAME: &'static str = "holds";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
        let _held = Arc::clone(&self.held);
        let rocket = JsonText::parse(r#"{"key":"rocket"}"#)?;
        if !self.insists {
            return pending().await;
        }
        while cx.act("world", "launch", rocket.clone(), Tries::default()).await.is_err() {}
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_code_of_a_workflow_does_not_outlive_its_runtime_whatever_it_waits_for() {
    for insists in [false, true] {
        let (world, store) = (World::new(), MemoryStore::new());
        world.close_gate();
        let held = Arc::new(());
        let workflow = || Holds { held: Arc::clone(&held), insists };
        let enact = builder(&world, &as_dyn(&store)).workflow(workflow()).start().await.unwrap();
        let asked = RunRequest::new(&*erase(workflow()), common::USER, JsonText::null());
        enact.submit(asked).await.unwrap();
        until("the code runs", || Arc::strong_count(&held) == 3).await;
        until("it acts", || world.at_gate() == usize::from(insists)).await;
        enact.shutdown(Duration::ZERO).await;
        until("the code is gone", || Arc::strong_count(&held) == 2).await;
        let refused = enact.run_to_end(request(&[put("a")])).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unavailable);
    }
}
#[tokio::test(start_paused = true)]
async fn a_run_that_ended_leaves_no_timer_behind() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    enact.run_to_end(request(&[put("a")])).await.unwrap();
    until("the first run is gone", || tasks() <= 4).await;
    let before = tasks();
    let month = 30 * 24 * 3600 * 1000;
    let run = enact.submit(request(&[put("b"), Do::Sleep(month)])).await.unwrap().run;
    common::until_logged(&enact, run, "TimerSet").await;
    enact.cancel(run, "me", None).await.unwrap();
    until("its timer is gone", || tasks() <= before).await;
}
