//! What loses or hides effects elsewhere, by the numbers of the list of cases.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::collections::BTreeMap;
use std::future::pending;

use common::{Do, USER, as_dyn, builder, ledger, put, request, start, until};
use enact_core::action::{Action, Captured, Doubt, EffectClass, Left, LockKey, NoUndo, Target, Undo};
use enact_core::connector::{ActionSet, Allow, ConfigEnv, Connector, Cx, Identity, Perform};
use enact_core::document::RunDocument;
use enact_core::error::Error;
use enact_core::event::Event;
use enact_core::ids::{EventSeq, RunId};
use enact_core::json::JsonText;
use enact_core::run::RunStatus;
use enact_core::schemars::{self, JsonSchema};
use enact_core::store::{EventStore, MAX_RECORD_BYTES, StoreError};
use enact_runtime::{Enact, RollbackOptions, RunRequest};
use enact_store::{MemoryStore, SledStore};
use enact_testkit::world::{Fault, World};
use serde::{Deserialize, Serialize};
use serde_json::json;

async fn events(store: &dyn EventStore, run: RunId) -> Vec<Event> {
    let events = store.read(run, EventSeq(1), 1000).await.unwrap();
    events.into_iter().map(|event| event.event).collect()
}

#[tokio::test]
async fn case_07_what_was_done_before_a_crash_is_in_the_log_with_what_it_changed() {
    let (world, store) = (World::new(), MemoryStore::new());
    world.set("b", "theirs");
    let enact = start(&world, &store).await;
    world.faults("put", []);
    let run = enact.submit(request(&[put("a"), put("b"), Do::Sleep(600_000)])).await.unwrap().run;
    until("the crash point: two effects", || world.ledger().len() == 2).await;
    let crashed = store.crash();
    enact.shutdown(std::time::Duration::ZERO).await;
    let intended: Vec<_> = events(&crashed, run)
        .await
        .into_iter()
        .filter_map(|event| match event {
            Event::ActionIntended(intended) => Some((intended.call.params.value(), intended.pre.value())),
            _ => None,
        })
        .collect();
    assert_eq!(
        intended,
        [
            (json!({ "key": "a", "value": "ours" }), json!({ "value": null })),
            (json!({ "key": "b", "value": "ours" }), json!({ "value": "theirs" })),
        ]
    );
    let enact = start(&world, &crashed).await;
    let undone = enact.rollback(run, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(undone.status(), RunStatus::RolledBack);
    assert_eq!(world.values(), BTreeMap::from([("b".to_owned(), "theirs".to_owned())]));
}

/// A connector whose action gives what no JSON can hold, or what its own type cannot read back.
#[derive(Clone, Debug)]
struct Odd(World);

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Change {
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
enum Shape {
    Unwritable,
    Unreadable,
    Huge,
    HugeAndLost,
}

/// Writes as one thing and reads as another.
#[derive(Debug)]
struct Output(Shape);

impl Serialize for Output {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Shape::Unwritable => BTreeMap::from([(vec![1_u8], 1)]).serialize(to),
            Shape::Unreadable => "text".serialize(to),
            Shape::Huge | Shape::HugeAndLost => "x".repeat(MAX_RECORD_BYTES).serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Output {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u32::deserialize(from).map(|_| Self(Shape::Unreadable))
    }
}

impl Action for Change {
    const NAME: &'static str = "change";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "removes the mark";
    type Output = Output;
    type PreState = ();
    type Undo = Unchange;

    fn target(&self) -> Target {
        Target::new("mark", "odd")
    }

    fn lock(&self) -> Option<LockKey> {
        None
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Unchange {}

impl Action for Unchange {
    const NAME: &'static str = "unchange";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "";
    type Output = ();
    type PreState = ();
    type Undo = NoUndo;

    fn target(&self) -> Target {
        Target::new("mark", "odd")
    }

    fn lock(&self) -> Option<LockKey> {
        None
    }
}

impl Connector for Odd {
    const KIND: &'static str = "odd";
    type Config = ();

    fn open((): (), _: &ConfigEnv<'_>) -> Result<Self, Error> {
        Ok(Self(World::new()))
    }

    fn actions(set: &mut ActionSet<Self>) {
        set.add::<Change>();
    }

    async fn identity(&self) -> Result<Identity, Error> {
        Ok(Identity("odd".into()))
    }
}

impl Perform<Change> for Odd {
    type Held = ();

    async fn capture(&self, _: &Cx, _: &Change) -> Result<Captured<Change, ()>, Error> {
        Ok(Captured::ready((), ()))
    }

    async fn perform(&self, _: &Cx, change: &Change, (): &(), (): ()) -> Result<Output, Error> {
        self.0.set("mark", "odd");
        if change.shape == Shape::HugeAndLost {
            return pending().await;
        }
        Ok(Output(change.shape))
    }

    async fn probe(&self, _: &Cx, change: &Change, (): &()) -> Result<Doubt<Output>, Error> {
        let is_there = self.0.values().contains_key("mark");
        Ok(if is_there { Doubt::Applied(Output(change.shape)) } else { Doubt::NotApplied })
    }

    fn undo(&self, _: &Change, (): &(), _: Left<'_, Output>) -> Undo<Unchange> {
        Undo::By(Unchange {})
    }
}

impl Perform<Unchange> for Odd {
    type Held = ();

    async fn capture(&self, _: &Cx, _: &Unchange) -> Result<Captured<Unchange, ()>, Error> {
        Ok(if self.0.values().contains_key("mark") {
            Captured::ready((), ())
        } else {
            Captured::AlreadyDone(())
        })
    }

    async fn perform(&self, _: &Cx, _: &Unchange, (): &(), (): ()) -> Result<(), Error> {
        self.0.unset("mark");
        Ok(())
    }

    async fn probe(&self, _: &Cx, _: &Unchange, (): &()) -> Result<Doubt<()>, Error> {
        Ok(if self.0.values().contains_key("mark") { Doubt::NotApplied } else { Doubt::Applied(()) })
    }

    fn undo(&self, _: &Unchange, (): &(), _: Left<'_, ()>) -> Undo<NoUndo> {
        Undo::Nothing
    }
}

async fn with_odd(world: &World, store: &MemoryStore) -> Enact {
    let toolbox = Odd(world.clone()).allow(["change"]).unwrap();
    Enact::builder().store(as_dyn(store)).connector("odd", toolbox).start().await.unwrap()
}

fn change(shape: Shape) -> RunRequest {
    RunRequest::act("odd", "change", JsonText::encode(&Change { shape }).unwrap(), USER)
}

async fn odd(shape: Shape) -> (World, Enact, RunId, RunStatus) {
    let world = World::new();
    let enact = with_odd(&world, &MemoryStore::new()).await;
    let run = enact.run_to_end(change(shape)).await.unwrap();
    (world, enact, run.id, run.status())
}

#[tokio::test]
async fn case_08_a_result_that_cannot_be_written_down_does_not_lose_its_effect() {
    let (world, _enact, _, status) = odd(Shape::Unwritable).await;
    assert_eq!(status, RunStatus::RolledBack, "the run fails, and the effect is undone from its intent");
    assert!(world.values().is_empty());
}

#[tokio::test]
async fn case_08_a_result_that_is_too_large_to_record_does_not_lose_its_effect() {
    let (world, _enact, _, status) = odd(Shape::Huge).await;
    assert_eq!(status, RunStatus::RolledBack, "the run fails, and the effect is undone from its intent");
    assert!(world.values().is_empty());

    // And where a crash lost it, the effect is found, and its result is left out.
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = with_odd(&world, &store).await;
    let run = enact.submit(change(Shape::HugeAndLost)).await.unwrap().run;
    until("the crash point: an effect without a record", || !world.values().is_empty()).await;
    let crashed = store.crash();
    enact.shutdown(std::time::Duration::ZERO).await;
    let enact = with_odd(&world, &crashed).await;
    let found = enact.wait(run).await.unwrap();
    assert_eq!((found.status(), found.output().unwrap()), (RunStatus::Completed, json!(null)));
    assert_eq!(enact.rollback(run, RollbackOptions::by("me")).await.unwrap().status(), RunStatus::RolledBack);
    assert!(world.values().is_empty());
}

#[tokio::test]
async fn case_09_a_result_of_the_wrong_shape_does_not_lose_its_effect() {
    let (world, enact, run, status) = odd(Shape::Unreadable).await;
    assert_eq!(status, RunStatus::Completed, "the effect is done and recorded; nobody needed its type");
    assert_eq!(world.values().len(), 1);
    let undone = enact.rollback(run, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(undone.status(), RunStatus::RolledBack, "{:?}", undone.state().undo_outcomes());
    assert!(world.values().is_empty());
}

#[tokio::test]
async fn case_11_each_undo_is_recorded_before_it_is_done() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let run = enact.run_to_end(request(&[put("a"), put("b")])).await.unwrap().id;
    world.close_gate();
    let rollback = tokio::spawn({
        let enact = enact.clone();
        async move { enact.rollback(run, RollbackOptions::by("me")).await }
    });
    until("the first undo is about to be made", || world.at_gate() == 1).await;
    let recorded: Vec<_> = events(&**enact.store(), run).await.iter().map(Event::name).collect();
    assert_eq!(recorded.last(), Some(&"CompensationIntended"), "{recorded:?}");
    assert_eq!(ledger(&world), ["put a", "put b"], "and not yet done");
    world.open_gate();
    rollback.await.unwrap().unwrap();
    let recorded: Vec<_> = events(&**enact.store(), run).await.iter().map(Event::name).collect();
    let undoing = recorded.iter().filter(|name| name.starts_with("Compensation")).count();
    assert_eq!(undoing, 4, "an intent and an outcome for each: {recorded:?}");
}

#[tokio::test]
async fn case_12_every_action_has_its_own_result_and_a_failed_one_is_no_success() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    world.faults("put", [Fault::Forbid]);
    let script = [Do::Try(Box::new(put("a"))), put("b"), put("c"), Do::Fail];
    let run = enact.run_to_end(request(&script)).await.unwrap();
    let document = RunDocument::new(run.state());
    assert_eq!(document.status, RunStatus::RolledBack);
    let actions: Vec<_> =
        document.actions.iter().flatten().map(|one| (one.seq.0, one.success, one.output.value())).collect();
    let done = |key: &str| json!({ "key": key });
    assert_eq!(actions, [(1, false, json!(null)), (2, true, done("b")), (3, true, done("c"))]);
}

#[tokio::test]
async fn case_41_who_acted_and_what_was_said_of_them_is_recorded() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store).await;
    let said = json!({ "role": "editor" }).as_object().unwrap().clone();
    let run = enact.run_to_end(request(&[put("a")]).attributes(said)).await.unwrap();
    let first = events(&store, run.id).await.remove(0);
    let Event::RunAccepted(accepted) = first else { unreachable!("a run begins with its acceptance") };
    assert_eq!((accepted.user.as_str(), accepted.attributes.value()), (USER, json!({ "role": "editor" })));
}

#[tokio::test]
async fn case_50_two_owners_of_one_run_are_never_there() {
    let dir = tempfile::tempdir().unwrap();
    let _first = SledStore::open(dir.path().join("s")).unwrap();
    assert!(matches!(SledStore::open(dir.path().join("s")), Err(StoreError::Locked { .. })));

    // Where a store has no lock, the second writer of a stream is refused, and does nothing outside.
    let (world, store) = (World::new(), MemoryStore::new());
    let one = start(&world, &store).await;
    world.close_gate();
    let run = one.submit(request(&[put("a"), put("b")])).await.unwrap().run;
    until("the first is about to act", || world.at_gate() == 1).await;
    let other = builder(&world, &as_dyn(&store)).start().await.unwrap();
    let waiting = futures::future::join(one.wait(run), other.wait(run));
    let ((first, second), ()) = futures::future::join(waiting, async { world.open_gate() }).await;
    let [Ok(ended), Err(refused)] = (if first.is_ok() { [first, second] } else { [second, first] }) else {
        panic!("one of two writers is refused");
    };
    assert_eq!(ended.status(), RunStatus::Completed);
    let refused = std::error::Error::source(&refused).and_then(|source| source.downcast_ref::<StoreError>());
    assert!(matches!(refused, Some(StoreError::Conflict { .. })), "{refused:?}");
    let mut made = ledger(&world);
    made.sort();
    assert_eq!(made, ["put a", "put b"], "nothing is doubled");
}
