//! An outside world in memory, with a ledger of its own and the faults that real ones have. What happened is
//! counted there, and not in the log.
//!
//! It holds values by key. `put` and `remove` change it, each can be undone; `get` reads; `launch` cannot be
//! undone; `idle` changes nothing outside and waits for nobody, for measurements.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use enact_core::action::{Action, Captured, Doubt, EffectClass, Facts, Left, LockKey, NoUndo, Target, Undo};
use enact_core::connector::{ActionSet, ConfigEnv, Connector, Cx, Identity, Perform};
use enact_core::error::{Error, ErrorCode};
use enact_core::ids::EffectId;
use futures::channel::oneshot;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// What goes wrong the next time that an action of a name is performed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The system says no; nothing happens, and trying again is safe.
    Refuse,
    /// The system says no for good; nothing happens.
    Forbid,
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
    gate: Option<Vec<oneshot::Sender<()>>>,
    captures: u32,
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
        self.0.lock().gate.get_or_insert_with(Vec::new);
    }

    /// Lets all that waits, and all that comes, perform.
    pub fn open_gate(&self) {
        let waiting = self.0.lock().gate.take().unwrap_or_default();
        for waiter in waiting {
            // Whoever waited may be gone, and then nothing is to be opened.
            if waiter.send(()).is_err() {
                continue;
            }
        }
    }

    /// How many wait at the gate.
    #[must_use]
    pub fn at_gate(&self) -> usize {
        self.0
            .lock()
            .gate
            .as_ref()
            .map_or(0, |waiting| waiting.iter().filter(|one| !one.is_canceled()).count())
    }

    async fn pass_gate(&self) {
        let waiting = {
            let mut state = self.0.lock();
            let Some(gate) = &mut state.gate else { return };
            let (opened, waiting) = oneshot::channel();
            gate.push(opened);
            waiting
        };
        // Closed or opened, the gate is no more.
        waiting.await.unwrap_or_default();
    }

    /// Makes an effect, with what is to go wrong.
    async fn effect(
        &self,
        cx: &Cx,
        action: &'static str,
        key: &str,
        change: Option<Change<'_>>,
    ) -> Result<(), Error> {
        self.pass_gate().await;
        let fault = {
            let mut state = self.0.lock();
            let faults = state.faults.entry(action).or_default();
            if faults.is_empty() { None } else { Some(faults.remove(0)) }
        };
        match fault {
            Some(Fault::Refuse) => {
                return Err(Error::new(ErrorCode::Unavailable, "try later").retryable().left_nothing());
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

    fn doubt<O>(&self, cx: &Cx, output: impl FnOnce() -> O) -> Result<Doubt<O>, Error> {
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

/// Writes a value.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Put {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

impl Put {
    /// Writes `value` at `key`.
    #[must_use]
    pub fn new(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), value: value.to_owned() }
    }
}

/// Removes a value.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The key.
    pub key: String,
}

/// Reads a value.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// The key.
    pub key: String,
}

/// Launches something; there is no way back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// What.
    pub key: String,
}

/// Changes nothing outside, and is recorded like any other effect: what the runtime itself costs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idle {}

/// The undo of [`Put`] and [`Remove`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// The key.
    pub key: String,
    /// What was there before.
    pub before: Option<String>,
    /// What the action left.
    pub after: Option<String>,
}

/// What was at a key before; an effect is made only while that is so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Before {
    /// The value.
    pub value: Option<String>,
}

/// What a change gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Changed {
    /// The key.
    pub key: String,
}

/// What a look gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Got {
    /// The value.
    pub value: Option<String>,
}

#[expect(clippy::panic, reason = "a connector that panics is one of the faults")]
fn broken(when: &str) -> ! {
    panic!("the world broke {when} the effect")
}

fn target(key: &str) -> Target {
    Target::new("value", key)
}

fn lock(key: &str) -> Option<LockKey> {
    Some(LockKey(key.to_owned()))
}

impl Action for Put {
    const NAME: &'static str = "put";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "puts the previous value back, if nobody changed it since";
    type Output = Changed;
    type PreState = Before;
    type Undo = Restore;

    fn target(&self) -> Target {
        target(&self.key)
    }

    fn lock(&self) -> Option<LockKey> {
        lock(&self.key)
    }
}

impl Perform<Put> for World {
    type Held = ();

    async fn capture(&self, _: &Cx, action: &Put) -> Result<Captured<Put, ()>, Error> {
        self.captured();
        let value = self.value(&action.key);
        if value.as_ref() == Some(&action.value) {
            return Ok(Captured::AlreadyDone(Changed { key: action.key.clone() }));
        }
        let mut facts = Facts::new();
        facts.insert("exists".to_owned(), value.is_some().into());
        Ok(Captured::Ready { pre: Before { value }, facts, held: () })
    }

    async fn perform(&self, cx: &Cx, action: &Put, pre: &Before, (): ()) -> Result<Changed, Error> {
        self.effect(cx, Put::NAME, &action.key, Change::new(pre, Some(&action.value))).await?;
        Ok(Changed { key: action.key.clone() })
    }

    async fn probe(&self, cx: &Cx, action: &Put, _: &Before) -> Result<Doubt<Changed>, Error> {
        self.doubt(cx, || Changed { key: action.key.clone() })
    }

    fn undo(&self, action: &Put, pre: &Before, _: Left<'_, Changed>) -> Undo<Restore> {
        Undo::By(Restore {
            key: action.key.clone(),
            before: pre.value.clone(),
            after: Some(action.value.clone()),
        })
    }
}

impl Action for Remove {
    const NAME: &'static str = "remove";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "puts the value back, if nobody put another there";
    type Output = Changed;
    type PreState = Before;
    type Undo = Restore;

    fn target(&self) -> Target {
        target(&self.key)
    }

    fn lock(&self) -> Option<LockKey> {
        lock(&self.key)
    }
}

impl Perform<Remove> for World {
    type Held = ();

    async fn capture(&self, _: &Cx, action: &Remove) -> Result<Captured<Remove, ()>, Error> {
        self.captured();
        match self.value(&action.key) {
            None => Ok(Captured::AlreadyDone(Changed { key: action.key.clone() })),
            value => Ok(Captured::ready(Before { value }, ())),
        }
    }

    async fn perform(&self, cx: &Cx, action: &Remove, pre: &Before, (): ()) -> Result<Changed, Error> {
        self.effect(cx, Remove::NAME, &action.key, Change::new(pre, None)).await?;
        Ok(Changed { key: action.key.clone() })
    }

    async fn probe(&self, cx: &Cx, action: &Remove, _: &Before) -> Result<Doubt<Changed>, Error> {
        self.doubt(cx, || Changed { key: action.key.clone() })
    }

    fn undo(&self, action: &Remove, pre: &Before, _: Left<'_, Changed>) -> Undo<Restore> {
        Undo::By(Restore { key: action.key.clone(), before: pre.value.clone(), after: None })
    }
}

impl Action for Restore {
    const NAME: &'static str = "restore";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "";
    type Output = Changed;
    type PreState = Before;
    type Undo = NoUndo;

    fn target(&self) -> Target {
        target(&self.key)
    }

    fn lock(&self) -> Option<LockKey> {
        lock(&self.key)
    }
}

impl Perform<Restore> for World {
    type Held = ();

    async fn capture(&self, cx: &Cx, action: &Restore) -> Result<Captured<Restore, ()>, Error> {
        self.captured();
        let value = self.value(&action.key);
        if value == action.before {
            return Ok(Captured::AlreadyDone(Changed { key: action.key.clone() }));
        }
        if value != action.after && !cx.force() {
            let message = format!("'{}' was changed since; it was left as it is", action.key);
            return Err(Error::new(ErrorCode::Conflict, message).left_nothing());
        }
        Ok(Captured::ready(Before { value }, ()))
    }

    async fn perform(&self, cx: &Cx, action: &Restore, pre: &Before, (): ()) -> Result<Changed, Error> {
        self.effect(cx, Restore::NAME, &action.key, Change::new(pre, action.before.as_deref())).await?;
        Ok(Changed { key: action.key.clone() })
    }

    async fn probe(&self, cx: &Cx, action: &Restore, _: &Before) -> Result<Doubt<Changed>, Error> {
        self.doubt(cx, || Changed { key: action.key.clone() })
    }

    fn undo(&self, _: &Restore, _: &Before, _: Left<'_, Changed>) -> Undo<NoUndo> {
        Undo::Nothing
    }
}

impl Action for Get {
    const NAME: &'static str = "get";
    const EFFECT: EffectClass = EffectClass::ReadOnly;
    const REVERSAL: &'static str = "nothing to undo";
    type Output = Got;
    type PreState = ();
    type Undo = NoUndo;

    fn target(&self) -> Target {
        target(&self.key)
    }

    fn lock(&self) -> Option<LockKey> {
        None
    }
}

impl Perform<Get> for World {
    type Held = ();

    async fn capture(&self, _: &Cx, _: &Get) -> Result<Captured<Get, ()>, Error> {
        Ok(Captured::ready((), ()))
    }

    async fn perform(&self, _: &Cx, action: &Get, (): &(), (): ()) -> Result<Got, Error> {
        Ok(Got { value: self.value(&action.key) })
    }

    async fn probe(&self, _: &Cx, _: &Get, (): &()) -> Result<Doubt<Got>, Error> {
        Ok(Doubt::NotApplied)
    }

    fn undo(&self, _: &Get, (): &(), _: Left<'_, Got>) -> Undo<NoUndo> {
        Undo::Nothing
    }
}

impl Action for Launch {
    const NAME: &'static str = "launch";
    const EFFECT: EffectClass = EffectClass::Irreversible;
    const REVERSAL: &'static str = "cannot be undone";
    type Output = Changed;
    type PreState = ();
    type Undo = NoUndo;

    fn target(&self) -> Target {
        target(&self.key)
    }

    fn lock(&self) -> Option<LockKey> {
        None
    }
}

impl Perform<Launch> for World {
    type Held = ();

    async fn capture(&self, _: &Cx, _: &Launch) -> Result<Captured<Launch, ()>, Error> {
        self.captured();
        Ok(Captured::ready((), ()))
    }

    async fn perform(&self, cx: &Cx, action: &Launch, (): &(), (): ()) -> Result<Changed, Error> {
        self.effect(cx, Launch::NAME, &action.key, None).await?;
        Ok(Changed { key: action.key.clone() })
    }

    async fn probe(&self, cx: &Cx, action: &Launch, (): &()) -> Result<Doubt<Changed>, Error> {
        self.doubt(cx, || Changed { key: action.key.clone() })
    }

    fn undo(&self, _: &Launch, (): &(), _: Left<'_, Changed>) -> Undo<NoUndo> {
        Undo::Irreversible("what is launched stays launched".to_owned())
    }
}

impl Action for Idle {
    const NAME: &'static str = "idle";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "nothing to undo";
    type Output = ();
    type PreState = ();
    type Undo = NoUndo;

    fn target(&self) -> Target {
        target("")
    }

    fn lock(&self) -> Option<LockKey> {
        None
    }
}

impl Perform<Idle> for World {
    type Held = ();

    async fn capture(&self, _: &Cx, _: &Idle) -> Result<Captured<Idle, ()>, Error> {
        Ok(Captured::ready((), ()))
    }

    async fn perform(&self, _: &Cx, _: &Idle, (): &(), (): ()) -> Result<(), Error> {
        Ok(())
    }

    async fn probe(&self, _: &Cx, _: &Idle, (): &()) -> Result<Doubt<()>, Error> {
        Ok(Doubt::NotApplied)
    }

    fn undo(&self, _: &Idle, (): &(), _: Left<'_, ()>) -> Undo<NoUndo> {
        Undo::Nothing
    }
}
