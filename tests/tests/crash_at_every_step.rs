//! A run and its rollback, with a crash at every step and after every event: what the log lost is lost, the world
//! keeps what happened to it, and a new runtime takes both up. Afterwards each effect is there once, and the
//! rollback leaves nothing. (Cases 7, 10, 43, 44.)

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::sync::Arc;

use enact::event::Event;
use enact::ids::{EventSeq, RunId};
use enact::prelude::*;
use enact::{Builder, MemoryStore, Observer, Recovery, Step};
use enact_testkit::world::{Effect, Get, Put, Remove, World};
use parking_lot::Mutex;

struct Change;

impl Workflow for Change {
    const NAME: &'static str = "change";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
        let world = cx.connector::<World>("world")?;
        world.act(Put::new("new", "ours")).await?;
        world.act(Put::new("old", "ours")).await?;
        world.act(Get { key: "old".to_owned() }).await?;
        world.act(Remove { key: "gone".to_owned() }).await?;
        Ok(())
    }
}

/// What is left when the process dies at a moment.
type Left = (MemoryStore, World);

/// Dies at moment number `at`: keeps what is left. This life has no log any more, and goes on where nobody looks.
#[derive(Clone)]
struct DieAt {
    at: usize,
    seen: Arc<Mutex<usize>>,
    left: Arc<Mutex<Option<Left>>>,
    now: Left,
}

impl DieAt {
    fn moment(&self) {
        let mut seen = self.seen.lock();
        *seen += 1;
        if *seen == self.at {
            *self.left.lock() = Some((self.now.0.crash(), self.now.1.fork()));
        }
    }
}

impl Observer for DieAt {
    fn on_step(&self, _: &Step<'_>) {
        self.moment();
    }

    fn on_event(&self, _: RunId, _: EventSeq, _: &Event) {
        self.moment();
    }
}

fn world() -> World {
    let world = World::new();
    world.set("old", "theirs");
    world.set("gone", "theirs");
    world
}

fn runtime(store: &MemoryStore, world: &World) -> Builder {
    let toolbox = world.clone().allow(["put", "remove", "get"]).unwrap();
    Enact::builder().store(Arc::new(store.clone())).connector("world", toolbox).workflow(Change)
}

/// Lives once, forward and back, dying at a moment; gives what is left, and how many moments there were.
async fn live(at: usize) -> (Option<Left>, usize) {
    let (store, world) = (MemoryStore::new(), world());
    let watch = DieAt { at, seen: Arc::default(), left: Arc::default(), now: (store.clone(), world.clone()) };
    let enact = runtime(&store, &world).observer(watch.clone()).start().await.unwrap();
    // A life that dies ends in an error, wherever it is.
    if let Ok(run) = enact.run(Change, "agent@company.com", ()).await {
        drop(enact.rollback(run.id, RollbackOptions::by("me")).await);
    }
    let left = watch.left.lock().take();
    let seen = *watch.seen.lock();
    (left, seen)
}

#[tokio::test]
async fn every_effect_is_there_once_and_every_rollback_is_whole() {
    let (_, moments) = live(usize::MAX).await;
    assert!(moments > 30, "a run of four actions and its rollback have more than {moments} moments");
    for at in 1..=moments {
        let (left, _) = live(at).await;
        let (store, crashed) = left.unwrap_or_else(|| panic!("moment {at} was not reached"));
        let enact = runtime(&store, &crashed).start().await.unwrap();
        let Some(run) = enact.store().runs(None, 1).await.unwrap().first().copied() else {
            assert!(crashed.ledger().is_empty(), "moment {at}: an effect without a run");
            continue;
        };
        let run = enact.wait(run).await.unwrap();
        let expected = [RunStatus::Completed, RunStatus::RolledBack];
        assert!(expected.contains(&run.status()), "moment {at}: {} {:?}", run.status(), run.state().error);

        let ledger = crashed.ledger();
        for key in ["new", "old", "gone"] {
            let forward = ledger.iter().filter(|e| e.key == key && e.action != "restore").count();
            let back = ledger.iter().filter(|e| e.key == key && e.action == "restore").count();
            assert_eq!(forward, 1, "moment {at}: effects on '{key}'");
            let undone = usize::from(run.status() == RunStatus::RolledBack);
            assert_eq!(back, undone, "moment {at}: undos of '{key}'");
        }

        let run = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
        assert_eq!(run.status(), RunStatus::RolledBack, "moment {at}");
        assert_eq!(crashed.values(), world().values(), "moment {at}");
    }
}

#[tokio::test]
async fn a_crashed_run_that_is_rolled_back_at_once_leaves_nothing_whatever_the_step() {
    let (_, moments) = live(usize::MAX).await;
    let (mut untouched, mut undone) = (0, 0);
    for at in 1..=moments {
        let (left, _) = live(at).await;
        let (store, crashed) = left.unwrap_or_else(|| panic!("moment {at} was not reached"));
        let enact = runtime(&store, &crashed).recovery(Recovery::OnRequest).start().await.unwrap();
        let Some(run) = enact.store().runs(None, 1).await.unwrap().first().copied() else {
            assert!(crashed.ledger().is_empty(), "moment {at}: an effect without a run");
            continue;
        };
        let before = crashed.ledger();
        let run = enact.rollback(run, RollbackOptions::by("me")).await.unwrap();
        assert_eq!(run.status(), RunStatus::RolledBack, "moment {at}: {:?}", run.state().undo_outcomes());
        assert_eq!(crashed.values(), world().values(), "moment {at}");
        let ledger = crashed.ledger();
        for key in ["new", "old", "gone"] {
            let forward = |ledger: &[Effect]| {
                ledger.iter().filter(|effect| effect.key == key && effect.action != "restore").count()
            };
            let back = ledger.iter().filter(|effect| effect.key == key && effect.action == "restore").count();
            assert!(back <= 1, "moment {at}: {back} undos of '{key}'");
            assert_eq!(forward(&ledger), back, "moment {at}: what was done to '{key}' is undone");
            assert_eq!(forward(&ledger), forward(&before), "moment {at}: nothing new is done to '{key}'");
        }
        if ledger.is_empty() { untouched += 1 } else { undone += 1 }
    }
    assert!(untouched > 0 && undone > 20, "{untouched} without any effect, {undone} with some");
}
