//! A workflow that is its input, on a world in memory.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use enact_core::connector::Allow;
use enact_core::error::{Error, ErrorCode};
use enact_core::ids::{EventSeq, RunId};
use enact_core::json::JsonText;
use enact_core::policy::{Policy, Request, Verdict};
use enact_core::store::EventStore;
use enact_core::time::Timestamp;
use enact_runtime::{Builder, Clock, Enact, RunRequest, Tries, Workflow, WorkflowCx, erase};
use enact_store::MemoryStore;
use enact_testkit::world::{Get, Launch, Put, Remove, World};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub(crate) const USER: &str = "agent@example.com";
/// Who says yes or no.
pub(crate) const BOSS: &str = "boss@example.com";
pub(crate) const ALL: [&str; 4] = ["put", "remove", "get", "launch"];

/// A call of the workflow's code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Do {
    Put(String, String),
    Remove(String),
    Get(String),
    Launch(String),
    /// With a time for each attempt, in milliseconds.
    PutWithin(u64, String, String),
    /// With one attempt.
    PutOnce(String),
    /// An action whose error the code handles.
    Try(Box<Do>),
    Join(Vec<Vec<Do>>),
    /// In milliseconds.
    Sleep(u64),
    Now,
    Random,
    Fail,
    Panic,
}

pub(crate) fn put(key: &str) -> Do {
    Do::Put(key.to_owned(), "ours".to_owned())
}

/// Does what its input says.
pub(crate) struct Script;

impl Workflow for Script {
    const NAME: &'static str = "script";
    const VERSION: u32 = 1;
    type Input = Vec<Do>;
    type Output = Vec<String>;

    async fn run(&self, cx: &WorkflowCx, script: Vec<Do>) -> Result<Vec<String>, Error> {
        carry_out(cx, &script).await
    }
}

/// What each call gave, as text.
pub(crate) fn carry_out<'a>(
    cx: &'a WorkflowCx,
    script: &'a [Do],
) -> BoxFuture<'a, Result<Vec<String>, Error>> {
    Box::pin(async move {
        let mut gave = Vec::new();
        for call in script {
            gave.extend(one(cx, call).await?);
        }
        Ok(gave)
    })
}

fn one<'a>(cx: &'a WorkflowCx, call: &'a Do) -> BoxFuture<'a, Result<Vec<String>, Error>> {
    Box::pin(async move {
        let world = cx.connector::<World>("world")?;
        let gave = match call {
            Do::Put(key, value) => world.act(Put::new(key, value)).await?.key,
            Do::PutWithin(ms, key, value) => {
                let tries = Tries { timeout: Duration::from_millis(*ms), ..Tries::default() };
                world.act_with(Put::new(key, value), tries).await?.key
            }
            Do::PutOnce(key) => {
                let tries = Tries { max_attempts: 1, ..Tries::default() };
                world.act_with(Put::new(key, "ours"), tries).await?.key
            }
            Do::Remove(key) => world.act(Remove { key: key.clone() }).await?.key,
            Do::Get(key) => format!("{:?}", world.act(Get { key: key.clone() }).await?.value),
            Do::Launch(key) => world.act(Launch { key: key.clone() }).await?.key,
            Do::Try(call) => match one(cx, call).await {
                Ok(gave) => gave.join(","),
                Err(error) => error.code().to_string(),
            },
            Do::Join(branches) => {
                let ends = cx.join(
                    branches
                        .iter()
                        .map(|branch| move |cx: WorkflowCx| async move { carry_out(&cx, branch).await }),
                );
                let ends = ends.await.into_iter().collect::<Result<Vec<_>, _>>()?;
                return Ok(ends.into_iter().flatten().collect());
            }
            Do::Sleep(ms) => {
                cx.sleep(Duration::from_millis(*ms)).await?;
                "slept".to_owned()
            }
            Do::Now => cx.now().await?.to_string(),
            Do::Random => cx.random().await?.to_string(),
            Do::Fail => return Err(Error::new(ErrorCode::PreconditionFailed, "the code gives up")),
            Do::Panic => panic!("the code panics"),
        };
        Ok(vec![gave])
    })
}

/// A runtime on a world and a store, not started.
pub(crate) fn builder(world: &World, store: &Arc<dyn EventStore>) -> Builder {
    let toolbox = world.clone().allow(ALL).unwrap();
    Enact::builder().store(Arc::clone(store)).connector("world", toolbox).workflow(Script)
}

pub(crate) fn as_dyn(store: &MemoryStore) -> Arc<dyn EventStore> {
    Arc::new(store.clone())
}

/// A started runtime.
pub(crate) async fn start(world: &World, store: &MemoryStore) -> Enact {
    builder(world, &as_dyn(store)).start().await.unwrap()
}

pub(crate) fn request(script: &[Do]) -> RunRequest {
    RunRequest::new(&*erase(Script), USER, JsonText::encode(script).unwrap())
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{what}: did not come about");
}

/// Waits until an event of this name is in the log of a run.
pub(crate) async fn until_logged(enact: &Enact, run: RunId, name: &str) {
    for _ in 0..10_000 {
        let events = enact.store().read(run, EventSeq(1), 1000).await.unwrap();
        if events.iter().any(|event| event.event.name() == name) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{name} of run {run}: did not come about");
}

/// How often each effect is in the world's ledger: `action key`.
pub(crate) fn ledger(world: &World) -> Vec<String> {
    world.ledger().iter().map(|effect| format!("{} {}", effect.action, effect.key)).collect()
}

/// A clock that stands still until it is moved. Its random numbers are all different.
#[derive(Clone, Debug)]
pub(crate) struct TestClock {
    us: Arc<AtomicU64>,
    next: Arc<AtomicU64>,
}

impl TestClock {
    pub(crate) fn new() -> Self {
        Self { us: Arc::new(AtomicU64::new(1_700_000_000_000_000)), next: Arc::default() }
    }

    pub(crate) fn forward(&self, by: Duration) {
        self.us.fetch_add(u64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_us(self.us.load(Ordering::SeqCst))
    }

    fn random(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }
}

/// A policy that is a function, and has a version.
pub(crate) struct Rule(pub(crate) &'static str, pub(crate) fn(&Request<'_>) -> Verdict);

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Policy for Rule {
    fn name(&self) -> &str {
        "four-eyes"
    }

    fn judge(&self, request: &Request<'_>) -> Verdict {
        (self.1)(request)
    }
}

/// Every put of the key `b` has to be approved, whichever gate it stands at.
pub(crate) fn puts_of_b(request: &Request<'_>) -> Verdict {
    match request.action() {
        Some(action) if action.target.id == "b" => Verdict::needs_approval("b is precious"),
        _ => Verdict::Pass,
    }
}

/// What is there already is overwritten with an approval only.
pub(crate) fn overwriting(request: &Request<'_>) -> Verdict {
    match request.facts().and_then(|facts| facts.get("exists")) {
        Some(exists) if *exists == true => Verdict::needs_approval("it exists"),
        _ => Verdict::Pass,
    }
}

/// Waits a moment for an approval of `a`, and goes on to `b`, which is to be approved too. Where this is true, the workflow
/// itself wants that.
pub(crate) struct Impatient(pub(crate) bool);

impl Workflow for Impatient {
    const NAME: &'static str = "impatient";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = bool;

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<bool, Error> {
        let world = cx.connector::<World>("world")?;
        let tries = || Tries { approval: self.0, ..Tries::default() };
        let was_approved = tokio::select! {
            biased;
            put = world.act_with(Put::new("a", "ours"), tries()) => put.is_ok(),
            slept = cx.sleep(Duration::from_millis(50)) => slept.map(|()| false)?,
        };
        cx.random().await?;
        world.act_with(Put::new("b", "ours"), tries()).await?;
        Ok(was_approved)
    }
}
