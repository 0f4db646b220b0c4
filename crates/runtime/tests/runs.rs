//! Runs, from their acceptance to their end.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::sync::Arc;

use enact_core::connector::Allow;
use enact_core::error::{Error, ErrorCode};
use enact_core::event::OnFailure;
use enact_core::run::{RunStatus, UndoOutcome};
use enact_runtime::{Enact, RollbackOptions, Workflow, WorkflowCx};
use enact_store::MemoryStore;
use enact_testkit::world::{Fault, Get, Put, Remove, World};

struct ThreeSteps;

impl Workflow for ThreeSteps {
    const NAME: &'static str = "three-steps";
    const VERSION: u32 = 1;
    type Input = Vec<String>;
    type Output = Option<String>;

    async fn run(&self, cx: &WorkflowCx, keys: Vec<String>) -> Result<Option<String>, Error> {
        let world = cx.connector::<World>("world")?;
        for key in &keys {
            world.act(Put::new(key, "ours")).await?;
        }
        world.act(Remove { key: "old".to_owned() }).await?;
        let got = world.act(Get { key: keys.first().cloned().unwrap_or_default() }).await?;
        Ok(got.value)
    }
}

async fn runtime(world: &World, store: &MemoryStore, allowed: &[&str]) -> Enact {
    Enact::builder()
        .store(Arc::new(store.clone()))
        .connector("world", world.clone().allow(allowed).unwrap())
        .workflow(ThreeSteps)
        .start()
        .await
        .unwrap()
}

const ALL: &[&str] = &["put", "remove", "get"];

#[tokio::test]
async fn a_run_completes_and_is_rolled_back_newest_first() {
    let (world, store) = (World::new(), MemoryStore::new());
    world.set("old", "theirs");
    let before = world.values();
    let enact = runtime(&world, &store, ALL).await;

    let run = enact.run(ThreeSteps, "a@b.c", vec!["x".into(), "y".into()]).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    assert_eq!(run.output::<Option<String>>().unwrap(), Some("ours".to_owned()));
    assert_eq!(world.values().len(), 2);

    let run = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert_eq!(world.values(), before);
    let outcomes: Vec<_> =
        run.state().undo_outcomes().iter().map(|(seq, outcome, _)| (seq.0, *outcome)).collect();
    use UndoOutcome::{NothingToUndo, Undone};
    assert_eq!(outcomes, [(4, NothingToUndo), (3, Undone), (2, Undone), (1, Undone)]);
}

#[tokio::test]
async fn an_action_outside_the_allowlist_blocks_the_run_before_any_effect() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = runtime(&world, &store, &["get"]).await;
    let run = enact.run(ThreeSteps, "a@b.c", vec!["x".into()]).await.unwrap();
    assert_eq!(run.status(), RunStatus::Blocked);
    let error = run.state().error.clone().unwrap();
    assert_eq!(error.code, ErrorCode::PermissionDenied);
    assert!(error.message.contains("Action 'put' not in allowlist"));
    assert!(world.ledger().is_empty());
}

#[tokio::test]
async fn a_refusal_after_effects_rolls_them_back() {
    let (world, store) = (World::new(), MemoryStore::new());
    world.set("old", "theirs");
    let before = world.values();
    let enact = runtime(&world, &store, &["put"]).await;
    let run = enact.run(ThreeSteps, "a@b.c", vec!["x".into()]).await.unwrap();
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert_eq!(world.values(), before);
}

#[tokio::test]
async fn a_lost_reply_is_looked_up_and_the_effect_is_not_doubled() {
    let (world, store) = (World::new(), MemoryStore::new());
    world.faults("put", [Fault::LoseReply]);
    let enact = runtime(&world, &store, ALL).await;
    let run = enact.run(ThreeSteps, "a@b.c", vec!["x".into()]).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    assert_eq!(world.ledger().len(), 1);
}

#[tokio::test]
async fn failures_that_are_safe_to_retry_are_retried_and_others_are_not() {
    let (world, store) = (World::new(), MemoryStore::new());
    world.faults("put", [Fault::Refuse, Fault::LoseRequest, Fault::PanicAfter]);
    let enact = runtime(&world, &store, ALL).await;
    let run = enact.run(ThreeSteps, "a@b.c", vec!["x".into()]).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    assert_eq!(world.ledger().len(), 1);

    world.faults("put", [Fault::Forbid]);
    let run = enact.run(ThreeSteps, "a@b.c", vec!["z".into()]).await.unwrap();
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert_eq!(ThreeSteps::ON_FAILURE, OnFailure::Rollback);
    assert_eq!(world.ledger().len(), 1);
}
