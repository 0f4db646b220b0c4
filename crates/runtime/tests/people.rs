//! What waits for a person, and what a person's word does.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::sync::Arc;

use enact_core::connector::Allow;
use enact_core::error::{Error, ErrorCode};
use enact_core::event::Decision;
use enact_core::ids::Seq;
use enact_core::run::{RunStatus, UndoOutcome};
use enact_runtime::{Enact, RollbackOptions, Workflow, WorkflowCx};
use enact_store::MemoryStore;
use enact_testkit::world::{Fault, Launch, Put, Remove, World};

struct TwoPuts;

impl Workflow for TwoPuts {
    const NAME: &'static str = "two-puts";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
        let world = cx.connector::<World>("world")?;
        world.act(Put::new("a", "ours")).await?;
        world.act(Put::new("b", "ours")).await.map(drop)
    }
}

struct PutAndRemove;

impl Workflow for PutAndRemove {
    const NAME: &'static str = "put-and-remove";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
        let world = cx.connector::<World>("world")?;
        world.act(Put::new("a", "ours")).await?;
        world.act(Remove { key: "a".to_owned() }).await.map(drop)
    }
}

struct Liftoff;

impl Workflow for Liftoff {
    const NAME: &'static str = "liftoff";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
        let world = cx.connector::<World>("world")?;
        world.act(Launch { key: "rocket".to_owned() }).await.map(drop)
    }
}

async fn start(world: &World) -> Enact {
    Enact::builder()
        .store(Arc::new(MemoryStore::new()))
        .connector("world", world.clone().allow(["put", "launch"]).unwrap())
        .workflow(TwoPuts)
        .workflow(Liftoff)
        .start()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_doubt_that_cannot_be_looked_up_waits_for_an_operator_whose_word_carries_the_run_on() {
    let world = World::new();
    let enact = start(&world).await;
    world.faults("launch", [Fault::LoseReply]);
    world.cannot_tell(true);
    let run = enact.run(Liftoff, "a@b.c", ()).await.unwrap();
    assert_eq!(run.status(), RunStatus::Quarantined);
    assert_eq!(run.state().error.as_ref().unwrap().code, ErrorCode::InDoubt);

    let nonsense = enact.resolve(run.id, Seq(7), Decision::Applied, "me").await.unwrap_err();
    assert_eq!(nonsense.code(), ErrorCode::Conflict);

    let run = enact.resolve(run.id, Seq(1), Decision::NotApplied, "me").await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    assert_eq!(world.ledger().len(), 2, "the operator's word is taken: it is launched again");

    let run = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(run.status(), RunStatus::PartiallyRolledBack);
    assert_eq!(run.state().undo_outcomes()[0].1, UndoOutcome::Irreversible);
}

#[tokio::test]
async fn what_was_given_up_is_looked_up_again_by_a_later_rollback() {
    // Given a write of which nobody can tell whether it happened, and an operator who gives it up,
    let world = World::new();
    let enact = start(&world).await;
    world.faults("put", [Fault::LoseReply]);
    world.cannot_tell(true);
    let run = enact.run(TwoPuts, "a@b.c", ()).await.unwrap();
    assert_eq!(run.status(), RunStatus::Quarantined);
    let run = enact.resolve(run.id, Seq(1), Decision::Abandon, "me").await.unwrap();
    assert_eq!(run.status(), RunStatus::PartiallyRolledBack);
    assert_eq!(run.state().undo_outcomes()[0].1, UndoOutcome::InDoubt);

    // when a rollback is asked for while that is still so, then it stays in doubt;
    let still = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(still.status(), RunStatus::PartiallyRolledBack);
    assert_eq!(world.values().len(), 1);

    // when the world can tell again, then the write is found and undone.
    world.cannot_tell(false);
    let undone = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(undone.status(), RunStatus::RolledBack);
    assert!(world.values().is_empty());
}

#[tokio::test]
async fn what_only_looked_undone_is_undone_when_what_was_on_top_of_it_is() {
    // Given a value that was put and removed, and a rollback that lost sight of the undo of the removal,
    let world = World::new();
    let enact = Enact::builder()
        .store(Arc::new(MemoryStore::new()))
        .connector("world", world.clone().allow(["put", "remove"]).unwrap())
        .workflow(PutAndRemove)
        .start()
        .await
        .unwrap();
    let run = enact.run(PutAndRemove, "a@b.c", ()).await.unwrap();
    world.faults("restore", [Fault::LoseRequest]);
    world.cannot_tell(true);
    let part = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    let outcomes: Vec<_> = part.state().undo_outcomes().iter().map(|(_, outcome, _)| *outcome).collect();
    assert_eq!(outcomes, [UndoOutcome::InDoubt, UndoOutcome::AlreadyUndone]);

    // when the next one finds that it had not happened and makes it, then the put is undone as well.
    world.cannot_tell(false);
    let undone = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(undone.status(), RunStatus::RolledBack);
    assert!(world.values().is_empty(), "{:?}", world.values());
}

#[tokio::test]
async fn a_rollback_keeps_what_it_is_told_to_keep_and_may_go_further_back_later() {
    let world = World::new();
    let enact = start(&world).await;
    world.faults("put", [Fault::Refuse]);
    let first = enact.run(TwoPuts, "a@b.c", ()).await.unwrap();
    assert_eq!(first.status(), RunStatus::Completed);
    let outcome = enact.rollback(first.id, RollbackOptions::by("me").to(Some(Seq(1)))).await.unwrap();
    assert_eq!(outcome.status(), RunStatus::RolledBack);
    assert_eq!(world.values().keys().collect::<Vec<_>>(), ["a"], "what `to` keeps is kept");
    let outcome = enact.rollback(first.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(outcome.status(), RunStatus::RolledBack);
    assert!(world.values().is_empty(), "and may be undone later");
}

#[tokio::test]
async fn case_13_a_rollback_leaves_what_others_changed_and_a_second_one_changes_nothing_else() {
    let world = World::new();
    let enact = start(&world).await;
    let run = enact.run(TwoPuts, "a@b.c", ()).await.unwrap();
    world.set("a", "theirs");

    let run = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(run.status(), RunStatus::PartiallyRolledBack);
    assert_eq!(world.values()["a"], "theirs");
    assert!(!world.values().contains_key("b"));

    world.set("b", "theirs too");
    let again = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(again.status(), RunStatus::PartiallyRolledBack);
    assert_eq!(world.values()["b"], "theirs too", "what was undone is not undone again");

    let forced = enact.rollback(run.id, RollbackOptions::by("me").force(true)).await.unwrap();
    assert_eq!(forced.status(), RunStatus::RolledBack);
    assert!(!world.values().contains_key("a"));
}
