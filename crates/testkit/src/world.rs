//! An outside world in memory, with a ledger of its own and the faults that real ones have. What happened is
//! counted there, and not in the log.
//!
//! It holds values by key. `put` and `remove` change it, each can be undone; `get` reads; `launch` cannot be
//! undone; `idle` changes nothing outside and waits for nobody, for measurements.

mod actions;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use enact_core::action::Doubt;
use enact_core::connector::{ActionSet, ConfigEnv, Connector, Cx, Identity};
use enact_core::error::{Error, ErrorCode};
use enact_core::ids::EffectId;
use futures::channel::oneshot;
use parking_lot::Mutex;
use serde::Deserialize;

pub use self::actions::{Before, Changed, Get, Got, Idle, Launch, Put, Remove, Restore};

/// What goes wrong the next time that an action of a name is performed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The system says no; nothing happens, and trying again is safe.
    Refuse,
    /// The system says no for good; nothing happens.
    Forbid,
    /// Others are at it at the same moment: a conflict in which nothing happens, and trying again is safe.
    Collide,
    /// The system asks for slower requests, and to wait so long; nothing happens.
    Slow(Duration),
    /// The effect happens, and its reply is lost: the connector reports that it is in doubt.
    LoseReply,
    /// The request is lost: nothing happens, and the connector reports that it is in doubt.
    LoseRequest,
    /// The connector panics before the effect.
    PanicBefore,
    /// The connector panics after the effect.
    PanicAfter,
    /// Half of it happens, then it fails for good.
    FailMidway,
    /// The reply never comes; the effect happened.
    Hang,
}

/// An entry of the ledger: an effect that happened outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effect {
    /// The key of the intent that made it.
    pub id: EffectId,
    /// The action's name.
    pub action: &'static str,
    /// The key that it touched.
    pub key: String,
    /// What was there.
    pub before: Option<String>,
    /// What it left there.
    pub after: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    values: BTreeMap<String, String>,
    ledger: Vec<Effect>,
    /// The intents in the ledger.
    made: HashSet<EffectId>,
    faults: HashMap<&'static str, Vec<Fault>>,
    cannot_tell: bool,
    unreachable: u32,
    identity: u32,
    gate: Gate,
    probes: Gate,
    captures: u32,
}

/// Where those who come wait while it is closed.
#[derive(Debug, Default)]
struct Gate(Option<Vec<oneshot::Sender<()>>>);

impl Gate {
    fn close(&mut self) {
        self.0.get_or_insert_with(Vec::new);
    }

    fn open(&mut self) {
        for waiter in self.0.take().unwrap_or_default() {
            // Whoever waited may be gone, and then nothing is to be opened.
            if waiter.send(()).is_err() {
                continue;
            }
        }
    }

    fn waiting(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.iter().filter(|one| !one.is_canceled()).count())
    }

    fn enter(&mut self) -> Option<oneshot::Receiver<()>> {
        let (opened, waiting) = oneshot::channel();
        self.0.as_mut()?.push(opened);
        Some(waiting)
    }
}

/// Waits where the gate was closed. Opened or taken away, it is no more.
async fn pass(waiting: Option<oneshot::Receiver<()>>) {
    if let Some(waiting) = waiting {
        waiting.await.unwrap_or_default();
    }
}

/// The world, and the connector to it. Clones are the same world.
#[derive(Clone, Debug, Default)]
pub struct World(Arc<Mutex<State>>);

impl World {
    /// An empty world.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The world as it is now, apart: what happens here later does not happen there.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = self.0.lock();
        Self(Arc::new(Mutex::new(State {
            values: state.values.clone(),
            ledger: state.ledger.clone(),
            made: state.made.clone(),
            identity: state.identity,
            ..State::default()
        })))
    }

    /// Somebody else writes a value.
    pub fn set(&self, key: &str, value: &str) {
        self.0.lock().values.insert(key.to_owned(), value.to_owned());
    }

    /// Somebody else removes a value.
    pub fn unset(&self, key: &str) {
        self.0.lock().values.remove(key);
    }

    /// All values.
    #[must_use]
    pub fn values(&self) -> BTreeMap<String, String> {
        self.0.lock().values.clone()
    }

    /// All effects, oldest first.
    #[must_use]
    pub fn ledger(&self) -> Vec<Effect> {
        self.0.lock().ledger.clone()
    }

    /// How often something was captured.
    #[must_use]
    pub fn captures(&self) -> u32 {
        self.0.lock().captures
    }

    /// What goes wrong the next times that `action` is performed, in their order.
    pub fn faults(&self, action: &'static str, faults: impl IntoIterator<Item = Fault>) {
        self.0.lock().faults.entry(action).or_default().extend(faults);
    }

    /// From now on a probe finds nothing out.
    pub fn cannot_tell(&self, whether: bool) {
        self.0.lock().cannot_tell = whether;
    }

    /// The next probes are not answered.
    pub fn unreachable(&self, probes: u32) {
        self.0.lock().unreachable = probes;
    }

    /// From now on it is another system.
    pub fn replace(&self) {
        self.0.lock().identity += 1;
    }

    /// From now on, performing waits until [`World::open_gate`].
    pub fn close_gate(&self) {
        self.0.lock().gate.close();
    }

    /// Lets all that waits, and all that comes, perform.
    pub fn open_gate(&self) {
        self.0.lock().gate.open();
    }

    /// How many wait at the gate.
    #[must_use]
    pub fn at_gate(&self) -> usize {
        self.0.lock().gate.waiting()
    }

    /// From now on, a probe waits until [`World::let_probes`].
    pub fn hold_probes(&self) {
        self.0.lock().probes.close();
    }

    /// Lets all probes that wait, and all that come, look.
    pub fn let_probes(&self) {
        self.0.lock().probes.open();
    }

    /// How many probes wait.
    #[must_use]
    pub fn held_probes(&self) -> usize {
        self.0.lock().probes.waiting()
    }

    /// Makes an effect, with what is to go wrong.
    async fn effect(
        &self,
        cx: &Cx,
        action: &'static str,
        key: &str,
        change: Option<Change<'_>>,
    ) -> Result<(), Error> {
        let waiting = self.0.lock().gate.enter();
        pass(waiting).await;
        let fault = {
            let mut state = self.0.lock();
            let faults = state.faults.entry(action).or_default();
            if faults.is_empty() { None } else { Some(faults.remove(0)) }
        };
        match fault {
            Some(Fault::Refuse) => {
                return Err(Error::new(ErrorCode::Unavailable, "try later").retryable().left_nothing());
            }
            Some(Fault::Slow(wait)) => {
                let message = format!("too fast; wait {} s", wait.as_secs());
                let error = Error::new(ErrorCode::RateLimited, message);
                return Err(error.retryable().left_nothing().retry_after(wait));
            }
            Some(Fault::Collide) => {
                let error = Error::new(ErrorCode::Conflict, "others are at it at the same moment");
                return Err(error.retryable().left_nothing());
            }
            Some(Fault::Forbid) => {
                return Err(Error::new(ErrorCode::Forbidden, "not you").left_nothing());
            }
            Some(Fault::LoseRequest) => return Err(Error::new(ErrorCode::InDoubt, "the request was lost")),
            Some(Fault::PanicBefore) => broken("before"),
            _ => {}
        }
        {
            let mut state = self.0.lock();
            let before = state.values.get(key).cloned();
            let after = match change {
                None => before.clone(),
                Some(change) if change.expected != before.as_deref() => {
                    let message = format!("'{key}' was changed meanwhile; it was left as it is");
                    return Err(Error::new(ErrorCode::Conflict, message).left_nothing());
                }
                Some(change) => change.to.map(str::to_owned),
            };
            match &after {
                Some(value) => drop(state.values.insert(key.to_owned(), value.clone())),
                None => drop(state.values.remove(key)),
            }
            state.made.insert(cx.effect());
            state.ledger.push(Effect { id: cx.effect(), action, key: key.to_owned(), before, after });
        }
        match fault {
            Some(Fault::LoseReply) => Err(Error::new(ErrorCode::InDoubt, "the reply was lost")),
            Some(Fault::PanicAfter) => broken("after"),
            Some(Fault::FailMidway) => Err(Error::new(ErrorCode::Forbidden, "half of it is done")),
            Some(Fault::Hang) => futures::future::pending().await,
            _ => Ok(()),
        }
    }

    fn value(&self, key: &str) -> Option<String> {
        self.0.lock().values.get(key).cloned()
    }

    /// Whether the effect of an intent is in the ledger.
    fn has(&self, id: EffectId) -> Result<Result<bool, String>, Error> {
        let mut state = self.0.lock();
        if state.unreachable > 0 {
            state.unreachable -= 1;
            return Err(Error::new(ErrorCode::Unavailable, "the world does not answer").retryable());
        }
        if state.cannot_tell {
            return Ok(Err("the world keeps no record".to_owned()));
        }
        Ok(Ok(state.made.contains(&id)))
    }

    async fn doubt<O>(&self, cx: &Cx, output: impl FnOnce() -> O) -> Result<Doubt<O>, Error> {
        let waiting = self.0.lock().probes.enter();
        pass(waiting).await;
        Ok(match self.has(cx.effect())? {
            Ok(true) => Doubt::Applied(output()),
            Ok(false) => Doubt::NotApplied,
            Err(seen) => Doubt::Unknown(seen),
        })
    }

    fn captured(&self) {
        self.0.lock().captures += 1;
    }
}

/// A value that is replaced only where it is still the captured one.
struct Change<'a> {
    expected: Option<&'a str>,
    to: Option<&'a str>,
}

impl<'a> Change<'a> {
    fn new(captured: &'a Before, to: Option<&'a str>) -> Option<Self> {
        Some(Self { expected: captured.value.as_deref(), to })
    }
}

/// The world's configuration: none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldConfig {}

impl Connector for World {
    const KIND: &'static str = "world";
    type Config = WorldConfig;

    fn open(_: WorldConfig, _: &ConfigEnv<'_>) -> Result<Self, Error> {
        Ok(Self::new())
    }

    fn actions(set: &mut ActionSet<Self>) {
        set.add::<Put>();
        set.add::<Remove>();
        set.add::<Get>();
        set.add::<Launch>();
        set.add::<Idle>();
    }

    async fn identity(&self) -> Result<Identity, Error> {
        Ok(Identity(format!("world {}", self.0.lock().identity)))
    }
}

#[expect(clippy::panic, reason = "a connector that panics is one of the faults")]
fn broken(when: &str) -> ! {
    panic!("the world broke {when} the effect")
}
