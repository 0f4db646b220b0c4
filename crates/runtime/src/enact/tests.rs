//! What becomes of runs when actors of the runtime die. Nothing that a user gives can kill one, so they are
//! killed here.

use std::sync::Arc;
use std::time::Duration;

use enact_core::connector::Allow;
use enact_core::error::ErrorCode;
use enact_core::json::JsonText;
use enact_core::run::RunStatus;
use enact_store::MemoryStore;
use enact_testkit::world::World;
use ractor::{ActorCell, Message};

use super::{Enact, Recovery, RunRequest};
use crate::connector_actor::ConnectorMsg;
use crate::coordinator::CoordinatorMsg;
use crate::supervisor::BUDGET;

async fn start(worlds: &[(&str, &World)]) -> Enact {
    let mut builder = Enact::builder().store(Arc::new(MemoryStore::new()));
    for (name, world) in worlds {
        builder = builder.connector(*name, (*world).clone().allow(["put", "launch"]).unwrap());
    }
    builder.start().await.unwrap()
}

fn put(connector: &str, key: &str) -> RunRequest {
    let params = JsonText::parse(&format!(r#"{{"key":"{key}","value":"ours"}}"#)).unwrap();
    RunRequest::act(connector, "put", params, "agent@example.com")
}

fn launch(key: &str) -> RunRequest {
    let params = JsonText::parse(&format!(r#"{{"key":"{key}"}}"#)).unwrap();
    RunRequest::act("world", "launch", params, "agent@example.com")
}

fn actors<M: Message>(enact: &Enact) -> Vec<ActorCell> {
    let children = enact.supervisor.get_children();
    children.into_iter().filter(|child| child.is_message_type_of::<M>() == Some(true)).collect()
}

/// Kills the only actor of a kind.
fn kill<M: Message>(enact: &Enact) {
    let [actor] = &actors::<M>(enact)[..] else { panic!("there is no such actor, or more than one") };
    actor.kill();
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{what}: did not come about");
}

async fn restarted<M: Message>(enact: &Enact, old: &ActorCell) {
    until("a new actor", || actors::<M>(enact).first().is_some_and(|actor| actor.get_id() != old.get_id()))
        .await;
}

fn ledger(world: &World) -> Vec<String> {
    world.ledger().into_iter().map(|effect| format!("{} {}", effect.action, effect.key)).collect()
}

#[tokio::test]
async fn an_action_under_way_outlives_its_connector_actor() {
    let world = World::new();
    let enact = start(&[("world", &world)]).await;
    world.close_gate();
    let run = enact.submit(put("world", "a")).await.unwrap().run;
    until("an action under way", || world.at_gate() == 1).await;
    let actor = actors::<ConnectorMsg>(&enact).remove(0);

    kill::<ConnectorMsg>(&enact);
    restarted::<ConnectorMsg>(&enact, &actor).await;
    world.open_gate();

    assert_eq!(enact.wait(run).await.unwrap().status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["put a"]);
}

#[tokio::test]
async fn what_a_connector_actor_had_not_begun_is_tried_again_when_it_is_back() {
    let world = World::new();
    let enact = start(&[("world", &world)]).await;
    kill::<ConnectorMsg>(&enact);
    let run = enact.run_to_end(put("world", "a")).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.document());
    assert_eq!(ledger(&world), ["put a"]);
}

#[tokio::test]
async fn runs_are_carried_on_when_the_coordinator_dies_and_nothing_is_doubled() {
    let world = World::new();
    let enact = start(&[("world", &world)]).await;
    world.close_gate();
    // A launch has no target: no key that is still held keeps the next coordinator from looking it up.
    let run = enact.submit(launch("a")).await.unwrap().run;
    until("an action under way", || world.at_gate() == 1).await;
    let old = actors::<CoordinatorMsg>(&enact).remove(0);

    kill::<CoordinatorMsg>(&enact);
    restarted::<CoordinatorMsg>(&enact, &old).await;
    // What was under way still is: whoever looked it up now would not find it, and begin it again.
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(world.at_gate(), 1);
    }
    world.open_gate();

    until("a coordinator that takes requests", || enact.coordinator().is_ok()).await;
    assert_eq!(enact.wait(run).await.unwrap().status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["launch a"]);
    assert_eq!(enact.run_to_end(put("world", "b")).await.unwrap().status(), RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_actor_keeps_dying_rests_and_is_tried_again() {
    let world = World::new();
    let enact = start(&[("world", &world)]).await;
    world.close_gate();
    let run = enact.submit(put("world", "a")).await.unwrap().run;
    let waiting = tokio::spawn({
        let enact = enact.clone();
        async move { enact.wait(run).await }
    });
    let [coordinator] = &actors::<CoordinatorMsg>(&enact)[..] else { panic!("one coordinator") };
    let mut last = None;
    for _ in 0..5 {
        let alive = || coordinator.get_children().into_iter().find(|actor| Some(actor.get_id()) != last);
        // A minute, in the time of this test.
        while alive().is_none() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let actor = alive().unwrap();
        last = Some(actor.get_id());
        actor.kill();
    }
    world.open_gate();
    assert_eq!(waiting.await.unwrap().unwrap().status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["put a"]);
}

#[tokio::test]
async fn whoever_waits_while_the_coordinator_dies_is_told_which_run_to_ask_for() {
    let world = World::new();
    let enact = start(&[("world", &world)]).await;
    world.close_gate();
    let waiting = tokio::spawn({
        let enact = enact.clone();
        async move { enact.run_to_end(put("world", "a")).await }
    });
    until("an action under way", || world.at_gate() == 1).await;
    kill::<CoordinatorMsg>(&enact);
    let error = waiting.await.unwrap().unwrap_err();
    world.open_gate();

    assert_eq!(error.code(), ErrorCode::Unavailable);
    until("a coordinator that takes requests", || enact.coordinator().is_ok()).await;
    let [run] = enact.store().runs(None, 10).await.unwrap()[..] else { panic!("one run") };
    assert!(error.message().contains(&run.to_string()), "{error}");
    assert_eq!(enact.wait(run).await.unwrap().status(), RunStatus::Completed);
}

#[tokio::test]
async fn a_connector_that_keeps_dying_rests_and_the_others_go_on() {
    let (broken, sound) = (World::new(), World::new());
    let enact = start(&[("broken", &broken), ("sound", &sound)]).await;
    let spared = actors::<ConnectorMsg>(&enact).iter().map(ActorCell::get_id).max().unwrap();
    let broken_actor = || actors::<ConnectorMsg>(&enact).into_iter().find(|actor| actor.get_id() != spared);
    for _ in 0..=BUDGET {
        until("the connector's actor", || broken_actor().is_some()).await;
        let actor = broken_actor().unwrap();
        actor.kill();
        until("its death", || broken_actor().is_none_or(|now| now.get_id() != actor.get_id())).await;
    }

    let failed = enact.run_to_end(put("broken", "a")).await.unwrap();
    let document = failed.document();
    assert_eq!(failed.status(), RunStatus::RolledBack, "{document:?}");
    assert_eq!(document.error.map(|error| error.code), Some(ErrorCode::Unavailable));
    assert_eq!(enact.run_to_end(put("sound", "b")).await.unwrap().status(), RunStatus::Completed);
    assert_eq!((ledger(&broken), ledger(&sound)), (vec![], vec!["put b".to_owned()]));
}

#[tokio::test]
async fn a_doubt_is_looked_up_when_its_connector_is_back() {
    // Given a run that is in doubt, and left until somebody asks for it,
    let (world, store) = (World::new(), MemoryStore::new());
    let start = |store: &MemoryStore| {
        let toolbox = world.clone().allow(["put"]).unwrap();
        let enact = Enact::builder().store(Arc::new(store.clone())).connector("world", toolbox);
        enact.recovery(Recovery::OnRequest).start()
    };
    let enact = start(&store).await.unwrap();
    world.close_gate();
    let run = enact.submit(put("world", "a")).await.unwrap().run;
    until("an action under way", || world.at_gate() == 1).await;
    let crashed = store.crash();
    enact.shutdown(Duration::ZERO).await;
    world.open_gate();
    world.unreachable(1);
    let enact = start(&crashed).await.unwrap();
    assert_eq!(enact.wait(run).await.unwrap().status(), RunStatus::Running);
    // when that happens while its connector is being restarted, then it waits for that.
    kill::<ConnectorMsg>(&enact);
    let run = enact.resume(run, "me").await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.document());
    assert_eq!(ledger(&world), ["put a"]);
}
