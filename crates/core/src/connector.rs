//! What a connector is: a wrapped outside system with a fixed set of actions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::future::Future;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::action::{Action, Captured, Doubt, EffectClass, FactKind, Left, NoUndo, Preview, Shown, Undo};
use crate::blob::{BlobRef, BlobStore};
use crate::catalog::{Catalog, Listed, unknown};
use crate::erased::{Bound, ErasedAction, Prepared};
use crate::error::{Error, ErrorCode};
use crate::ids::EffectId;
use crate::json::JsonText;
use crate::time::Timestamp;

/// A wrapped outside system. One value is one account, database or folder.
///
/// # Contract
/// A connector never retries a write by itself, never waits for a lock of the runtime, knows nothing of the
/// log, and bounds each single request by a time of its own (`timeout_s`).
pub trait Connector: Debug + Send + Sync + Sized + 'static {
    /// The kind's name, as in the configuration: `filesystem`.
    const KIND: &'static str;
    /// Its part of the configuration. Unknown keys are refused: `#[serde(deny_unknown_fields)]`.
    type Config: DeserializeOwned + Send;

    /// Makes a connector from its configuration. It may open files, and does not wait for the network.
    ///
    /// # Errors
    /// `invalid_parameters`, naming the key, or what the outside system said.
    fn open(config: Self::Config, env: &ConfigEnv<'_>) -> Result<Self, Error>;

    /// Names each action: `set.add::<WriteFile>()`.
    fn actions(set: &mut ActionSet<Self>);

    /// Which system it speaks to: base URL and account, system identifier and database, device and inode.
    /// Recorded with each intent, compared before each probe and undo.
    fn identity(&self) -> impl Future<Output = Result<Identity, Error>> + Send;

    /// What an operator should know before one of the `allowed` actions, or its undo, fails for it: a right that the
    /// credentials lack. It asks the outside system, and changes nothing.
    ///
    /// # Errors
    /// Where it cannot be found out.
    fn warnings(&self, allowed: &[&str]) -> impl Future<Output = Result<Vec<String>, Error>> + Send {
        let _: &[&str] = allowed;
        async { Ok(Vec::new()) }
    }
}

/// How one action of a connector is carried out, proved and undone.
///
/// # Contract
/// - `capture` changes nothing outside. It compares: what is already so is [`Captured::AlreadyDone`]; for an
///   undo, a state that is not the one that the action left is a `conflict`, unless [`Cx::force`]; where
///   force cannot help, it is `precondition_failed`, and people are not told to try it.
/// - `perform` is called at most once per capture, after the intent is durable. It keeps to what capture
///   found, by the system's own precondition where it has one. An error says what may be left
///   ([`Error::left_nothing`]); an outcome that is not known is the code `in_doubt`.
/// - `probe` finds out afterwards, from the intent alone, whether the effect is there. It may be called any
///   number of times, also in another process.
/// - `undo` is pure.
/// - Every future may be dropped at any await; dropped before `perform`, nothing may stay behind.
pub trait Perform<A: Action>: Connector {
    /// What capture hands to perform; `()` for most.
    type Held: Send + 'static;

    /// What the action does to the world, as this connector is configured.
    fn effect(&self) -> EffectClass {
        A::EFFECT
    }

    /// Looks at what is about to be changed.
    fn capture(
        &self,
        cx: &Cx,
        action: &A,
    ) -> impl Future<Output = Result<Captured<A, Self::Held>, Error>> + Send;

    /// Looks at what the action would do, for a plan. Unlike capture it leaves no trace at all, not for a moment: no
    /// lock, no statement that is rolled back. Where capture leaves none either, this default has it from there.
    fn preview(&self, cx: &Cx, action: &A) -> impl Future<Output = Result<Preview<A::Output>, Error>> + Send {
        async move {
            Ok(match self.capture(cx, action).await? {
                Captured::AlreadyDone(output) => Preview::already_done(output),
                Captured::Ready { pre, facts, held } => {
                    drop(held);
                    let irreversible = match self.undo(action, &pre, Left::Partly) {
                        Undo::Irreversible(why) => Some(why),
                        Undo::By(_) | Undo::Nothing => None,
                    };
                    Preview { already_done: None, shown: self.show(action, &pre), facts, irreversible }
                }
            })
        }
    }

    /// What would change, from what capture found. Pure.
    fn show(&self, action: &A, pre: &A::PreState) -> Shown {
        let _: (&A, &A::PreState) = (action, pre);
        Shown::default()
    }

    /// Does it.
    fn perform(
        &self,
        cx: &Cx,
        action: &A,
        pre: &A::PreState,
        held: Self::Held,
    ) -> impl Future<Output = Result<A::Output, Error>> + Send;

    /// Finds out whether it was done.
    fn probe(
        &self,
        cx: &Cx,
        action: &A,
        pre: &A::PreState,
    ) -> impl Future<Output = Result<Doubt<A::Output>, Error>> + Send;

    /// Says what undoes it.
    fn undo(&self, action: &A, pre: &A::PreState, left: Left<'_, A::Output>) -> Undo<A::Undo>;
}

/// Nobody can ask for the undo of what has none; [`NoUndo`] has no values.
impl<C: Connector> Perform<NoUndo> for C {
    type Held = ();

    async fn capture(&self, _: &Cx, action: &NoUndo) -> Result<Captured<NoUndo, ()>, Error> {
        match *action {}
    }

    async fn perform(&self, _: &Cx, action: &NoUndo, (): &(), (): ()) -> Result<(), Error> {
        match *action {}
    }

    async fn probe(&self, _: &Cx, action: &NoUndo, (): &()) -> Result<Doubt<()>, Error> {
        match *action {}
    }

    fn undo(&self, action: &NoUndo, (): &(), _: Left<'_, ()>) -> Undo<NoUndo> {
        match *action {}
    }
}

/// Which system a connector speaks to, in its own words; compared as text.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(pub String);

/// Where a configuration stands, for relative paths and secrets.
#[derive(Debug)]
pub struct ConfigEnv<'a> {
    /// The connector's name in the configuration.
    pub name: &'a str,
    /// The folder of the configuration file.
    pub dir: &'a std::path::Path,
}

/// Where the work of a connector goes on: what time it is, and who is told how it goes. The runtime's.
pub trait Surroundings: Debug + Send + Sync + 'static {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Tells who watches, in a few words for people and without secrets, why it takes long. Nothing is recorded.
    fn note(&self, text: &str);
}

/// What a connector is told beside the action. Clones are the same context: a connector whose calls block
/// takes one along to where blocking is allowed.
#[derive(Clone, Debug)]
pub struct Cx {
    effect: EffectId,
    force: bool,
    blobs: Arc<dyn BlobStore>,
    kept: Arc<Mutex<Vec<BlobRef>>>,
    around: Option<Arc<dyn Surroundings>>,
    deadline: Option<Timestamp>,
}

impl Cx {
    /// Made by the runtime, one per intent.
    #[must_use]
    pub fn new(effect: EffectId, force: bool, blobs: Arc<dyn BlobStore>) -> Self {
        Self { effect, force, blobs, kept: Arc::default(), around: None, deadline: None }
    }

    /// The same context, with a clock and somebody who watches.
    #[must_use]
    pub fn within(mut self, around: Arc<dyn Surroundings>) -> Self {
        self.around = Some(around);
        self
    }

    /// The same context, for a call that is given up at `deadline`.
    #[must_use]
    pub fn until(mut self, deadline: Timestamp) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The time. Without a clock, it is the time at which the run was accepted, for ever.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.around {
            Some(around) => around.now(),
            None => Timestamp::from_unix_us(self.effect.run.unix_ms().saturating_mul(1000)),
        }
    }

    /// How long the call may still take before it is given up; `None` where nobody gives it up.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.since(self.now()))
    }

    /// Tells who watches, in a few words for people and without secrets, why it takes long. Nothing is recorded.
    pub fn note(&self, text: &str) {
        if let Some(around) = &self.around {
            around.note(text);
        }
    }

    /// The idempotency key of the intent.
    #[must_use]
    pub fn effect(&self) -> EffectId {
        self.effect
    }

    /// Whether an operator wants a compensation to overwrite what others changed since.
    #[must_use]
    pub fn force(&self) -> bool {
        self.force
    }

    /// Keeps content that is too large for a pre-state, durably. Blocks on files.
    ///
    /// # Errors
    /// As [`BlobStore::put`].
    pub fn keep(&self, content: &mut dyn Read) -> io::Result<BlobRef> {
        let blob = self.blobs.put(content)?;
        self.kept.lock().push(blob.clone());
        Ok(blob)
    }

    /// Opens content that was kept. Blocks on files.
    ///
    /// # Errors
    /// As [`BlobStore::open`].
    pub fn open(&self, blob: &BlobRef) -> io::Result<Box<dyn Read + Send>> {
        self.blobs.open(blob)
    }

    /// What was kept through this context so far; the intent names it, so that it is not swept away.
    #[must_use]
    pub fn kept(&self) -> Vec<BlobRef> {
        self.kept.lock().clone()
    }
}

/// The actions of a connector, filled by [`Connector::actions`].
#[derive(Debug)]
pub struct ActionSet<C: Connector> {
    forward: BTreeMap<&'static str, (Make<C>, Listed)>,
    undo: BTreeMap<&'static str, Make<C>>,
}

impl<C: Connector> Default for ActionSet<C> {
    fn default() -> Self {
        Self { forward: BTreeMap::new(), undo: BTreeMap::new() }
    }
}

type Make<C> = fn(Arc<C>) -> Arc<dyn ErasedAction>;

impl<C: Connector> ActionSet<C> {
    /// Adds an action, and its undo; compiles only where the connector can perform both. What agents may ask for has a
    /// schema: `#[derive(JsonSchema)]`, which says the truth as serde does. What only undoes needs none.
    pub fn add<A: Action + JsonSchema>(&mut self)
    where
        C: Perform<A> + Perform<A::Undo>,
    {
        let make: Make<C> = |connector| Arc::new(Bound::<C, A>::new(connector));
        self.forward.insert(A::NAME, (make, Listed::new::<A>()));
        if !<A::Undo as Action>::NAME.is_empty() {
            self.undo
                .insert(<A::Undo as Action>::NAME, |connector| Arc::new(Bound::<C, A::Undo>::new(connector)));
        }
    }

    /// What there is to be known of each.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (&'static str, Listed)> + '_ {
        self.forward.iter().map(|(name, (_, listed))| (*name, *listed))
    }
}

/// What is to be known of an action without performing it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ActionSpec {
    /// Its name within the connector.
    pub name: &'static str,
    /// The version of its JSON form.
    pub version: u32,
    /// What it does to the world.
    pub effect: EffectClass,
    /// How it is undone, for people.
    pub undo: &'static str,
    /// What capture may find.
    pub facts: &'static [(&'static str, FactKind)],
}

impl ActionSpec {
    pub(crate) fn of<A: Action>(effect: EffectClass) -> Self {
        Self { name: A::NAME, version: A::VERSION, effect, undo: A::REVERSAL, facts: A::FACTS }
    }
}

/// How a connector is used, whatever its kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectorSettings {
    /// How many actions may be under way at once.
    pub max_concurrency: usize,
}

impl Default for ConnectorSettings {
    fn default() -> Self {
        Self { max_concurrency: 8 }
    }
}

/// A connector with its allowlist: the toolbox that is handed to agents. Nothing outside the list can be
/// asked for; what undoes recorded actions can be performed by the runtime only.
#[derive(Clone, Debug)]
pub struct Toolbox {
    kind: &'static str,
    forward: BTreeMap<&'static str, Arc<dyn ErasedAction>>,
    undo: BTreeMap<&'static str, Arc<dyn ErasedAction>>,
    catalog: Catalog,
    allowed: BTreeSet<&'static str>,
    settings: ConnectorSettings,
    whole: Arc<dyn ErasedConnector>,
}

/// What can be asked of a connector as a whole.
trait ErasedConnector: Debug + Send + Sync {
    fn identity(&self) -> BoxFuture<'_, Result<Identity, Error>>;
    fn warnings<'a>(&'a self, allowed: &'a [&'a str]) -> BoxFuture<'a, Result<Vec<String>, Error>>;
}

#[derive(Debug)]
struct Whole<C>(Arc<C>);

impl<C: Connector> ErasedConnector for Whole<C> {
    fn identity(&self) -> BoxFuture<'_, Result<Identity, Error>> {
        Box::pin(self.0.identity())
    }

    fn warnings<'a>(&'a self, allowed: &'a [&'a str]) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        Box::pin(self.0.warnings(allowed))
    }
}

/// Gives every connector its `allow`.
pub trait Allow: Connector {
    /// Hands over only the named actions. Default deny: what is not named cannot be asked for, and an empty
    /// list allows nothing.
    ///
    /// # Errors
    /// `invalid_parameters`, where the connector has no action of a name.
    fn allow<S: AsRef<str>>(self, actions: impl IntoIterator<Item = S>) -> Result<Toolbox, Error> {
        let mut set = ActionSet::default();
        Self::actions(&mut set);
        let mut allowed = BTreeSet::new();
        for action in actions {
            let name = action.as_ref();
            let Some((known, _)) = set.forward.get_key_value(name) else {
                let all = set.forward.keys().copied().collect::<Vec<_>>().join(", ");
                return Err(Error::new(
                    ErrorCode::InvalidParameters,
                    format!("kind '{}' has no action '{name}' to allow; it has: {all}", Self::KIND),
                ));
            };
            allowed.insert(*known);
        }
        let connector = Arc::new(self);
        let bind = |(name, make): (&'static str, Make<Self>)| (name, make(Arc::clone(&connector)));
        let forward: BTreeMap<_, _> =
            set.forward.into_iter().map(|(name, (make, _))| bind((name, make))).collect();
        Ok(Toolbox {
            kind: Self::KIND,
            catalog: Catalog::of::<Self>().with(forward.values().map(|action| action.spec())),
            forward,
            undo: set.undo.into_iter().map(bind).collect(),
            allowed,
            settings: ConnectorSettings::default(),
            whole: Arc::new(Whole(connector)),
        })
    }
}

impl<C: Connector> Allow for C {}

impl Toolbox {
    /// Sets how many actions may be under way at once; at least 1. The default is 8.
    #[must_use]
    pub fn max_concurrency(mut self, actions: usize) -> Self {
        self.settings.max_concurrency = actions.max(1);
        self
    }

    /// How it is used.
    #[must_use]
    pub fn settings(&self) -> &ConnectorSettings {
        &self.settings
    }

    /// The kind's name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Every action that the kind has, and whether it is allowed.
    pub fn actions(&self) -> impl Iterator<Item = (ActionSpec, bool)> + '_ {
        self.forward.values().map(|action| (action.spec(), self.allowed.contains(action.spec().name)))
    }

    /// Every action with its schemas, as policies see them.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Which system it speaks to.
    ///
    /// # Errors
    /// What the outside system said.
    pub async fn identity(&self) -> Result<Identity, Error> {
        self.whole.identity().await
    }

    /// What an operator should know before an allowed action, or its undo, fails for it. Asks the outside system.
    ///
    /// # Errors
    /// Where it cannot be found out.
    pub async fn warnings(&self) -> Result<Vec<String>, Error> {
        let allowed: Vec<&str> = self.allowed.iter().copied().collect();
        self.whole.warnings(&allowed).await
    }

    /// The hard floor: whether the list names the action.
    ///
    /// # Errors
    /// `permission_denied`, where it does not.
    pub fn check_allowed(&self, action: &str) -> Result<(), Error> {
        if self.allowed.contains(action) {
            return Ok(());
        }
        Err(Error::new(ErrorCode::PermissionDenied, format!("Action '{action}' not in allowlist"))
            .left_nothing())
    }

    /// Reads parameters as the named action, whether it is allowed or not. Nothing happens.
    ///
    /// # Errors
    /// `unsupported`, where the kind has no such action; `invalid_parameters`, naming the field, and where they are not
    /// an object of JSON or a key stands in one twice.
    pub fn prepare(&self, action: &str, params: &JsonText) -> Result<Prepared, Error> {
        let action = Self::find(&self.forward, self.kind, action)?;
        params.check_parameters().map_err(|error| error.context(action.spec().name))?;
        action.prepare(params)
    }

    /// Reads parameters as the named undo. Only a recorded intent leads here.
    ///
    /// # Errors
    /// As [`Toolbox::prepare`].
    pub fn prepare_undo(&self, action: &str, params: &JsonText) -> Result<Prepared, Error> {
        Self::find(&self.undo, self.kind, action)?.prepare(params)
    }

    fn find<'a>(
        actions: &'a BTreeMap<&'static str, Arc<dyn ErasedAction>>,
        kind: &str,
        name: &str,
    ) -> Result<&'a Arc<dyn ErasedAction>, Error> {
        actions.get(name).ok_or_else(|| unknown(kind, name))
    }
}

/// The default of `timeout_s`: the time for one request to the outside system.
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::ids::{Direction, RunId, Seq};

    #[derive(Debug)]
    struct Nothing;

    impl BlobStore for Nothing {
        fn put(&self, _: &mut dyn Read) -> io::Result<BlobRef> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn open(&self, _: &BlobRef) -> io::Result<Box<dyn Read + Send>> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    #[derive(Debug)]
    struct Noon(Mutex<Vec<String>>);

    impl Surroundings for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_us(12_000_000)
        }

        fn note(&self, text: &str) {
            self.0.lock().push(text.to_owned());
        }
    }

    #[test]
    fn a_context_has_the_time_that_it_is_given() {
        let run = RunId::from_parts(7_000, [0; 10]);
        let effect = EffectId { run, seq: Seq(1), attempt: 1, direction: Direction::Forward, undo_try: 0 };
        let alone = Cx::new(effect, false, Arc::new(Nothing));
        assert_eq!((alone.now(), alone.remaining()), (Timestamp::from_unix_us(7_000_000), None));
        alone.note("nobody hears it");
        let noon = Arc::new(Noon(Mutex::default()));
        let cx = alone.within(Arc::clone(&noon) as Arc<dyn Surroundings>);
        cx.note("waiting");
        assert_eq!(cx.now(), Timestamp::from_unix_us(12_000_000));
        let due = cx.clone().until(Timestamp::from_unix_us(15_000_000));
        assert_eq!(due.remaining(), Some(Duration::from_secs(3)));
        assert_eq!(cx.until(Timestamp::from_unix_us(1)).remaining(), Some(Duration::ZERO));
        assert_eq!(*noon.0.lock(), ["waiting"]);
    }
}
