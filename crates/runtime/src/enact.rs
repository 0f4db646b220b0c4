//! The runtime as its users hold it.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use enact_core::connector::Toolbox;
use enact_core::document::RunDocument;
use enact_core::error::{Error, ErrorCode};
use enact_core::event::{Decision, OnFailure, RunAccepted, WorkflowSource};
use enact_core::ids::{RunId, Seq};
use enact_core::json::JsonText;
use enact_core::policy::Policy;
use enact_core::run::{RunState, RunStatus};
use enact_core::store::EventStore;
use parking_lot::RwLock;
use ractor::{Actor, ActorRef};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::act::ActWorkflow;
use crate::clock::{Clock, SystemClock};
use crate::coordinator::CoordinatorMsg;
use crate::foreseen::Foreseen;
use crate::history;
use crate::locks::Locks;
use crate::observe::Observer;
use crate::recovery;
use crate::run::{Command, Go, RollbackOptions, Word};
use crate::shared::{AGAIN_AT_ONCE, ConnectorHandle, Shared};
use crate::supervisor::{CoordinatorRef, Supervisor, SupervisorArgs, SupervisorMsg};
use crate::under_way::UnderWay;
use crate::workflow::{DynWorkflow, LoadText, Workflow, Workflows, erase};

/// How many runs a runtime carries at once, by default; more are refused with `unavailable`.
pub const DEFAULT_MAX_RUNS: usize = 100_000;

/// What becomes of interrupted runs when a runtime starts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Recovery {
    /// They are carried on.
    #[default]
    Automatic,
    /// What of them is in doubt is looked up, so that nobody else changes it meanwhile; they go on when
    /// [`Enact::resume`] asks for it.
    OnRequest,
}

/// Makes a runtime. See [`Enact::builder`].
#[derive(Default)]
pub struct Builder {
    store: Option<Arc<dyn EventStore>>,
    connectors: BTreeMap<String, Toolbox>,
    policies: Vec<Arc<dyn Policy>>,
    workflows: Workflows,
    observers: Vec<Arc<dyn Observer>>,
    clock: Option<Arc<dyn Clock>>,
    recovery: Recovery,
    max_runs: Option<usize>,
    twice: Option<String>,
}

impl Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("store", &self.store).field("connectors", &self.connectors).finish()
    }
}

impl Builder {
    /// Where events are kept. Required.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn EventStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Adds a connector with its allowlist, under a name of its own.
    #[must_use]
    pub fn connector(mut self, name: impl Into<String>, toolbox: Toolbox) -> Self {
        let name = name.into();
        if self.connectors.insert(name.clone(), toolbox).is_some() {
            self.twice = Some(name);
        }
        self
    }

    /// Adds a policy. All are asked about each run and each action; one "no" is enough.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policies.push(Arc::new(policy));
        self
    }

    /// Adds a workflow written in Rust. Several versions of one name stand side by side.
    #[must_use]
    pub fn workflow<W: Workflow>(mut self, workflow: W) -> Self {
        self.workflows.add(erase(workflow));
        self
    }

    /// Says who reads the text of declarative workflows.
    #[must_use]
    pub fn declarative(mut self, loader: impl LoadText) -> Self {
        self.workflows.set_loader(Arc::new(loader));
        self
    }

    /// Adds somebody who watches.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Replaces the system's time and randomness.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// What becomes of interrupted runs; by default they are carried on.
    #[must_use]
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = recovery;
        self
    }

    /// How many runs are carried at once; [`DEFAULT_MAX_RUNS`] by default.
    #[must_use]
    pub fn max_runs(mut self, runs: usize) -> Self {
        self.max_runs = Some(runs.max(1));
        self
    }

    /// Starts the runtime. When this returns, the targets of interrupted runs that are in doubt are held, so that
    /// new runs can be taken.
    ///
    /// # Errors
    /// `invalid_parameters`, where no store is given or two connectors have one name; what the store says.
    pub async fn start(mut self) -> Result<Enact, Error> {
        let store =
            self.store.ok_or_else(|| Error::new(ErrorCode::InvalidParameters, "a runtime needs a store"))?;
        if let Some(name) = self.twice {
            let message = format!("two connectors are named '{name}'");
            return Err(Error::new(ErrorCode::InvalidParameters, message));
        }
        self.workflows.add(erase(ActWorkflow));
        let connectors = self
            .connectors
            .into_iter()
            .map(|(name, toolbox)| (name.clone(), ConnectorHandle::new(name, toolbox)))
            .collect();
        let shared = Arc::new(Shared {
            store,
            connectors,
            policies: self.policies,
            workflows: self.workflows,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            observers: self.observers,
            locks: Locks::default(),
            under_way: UnderWay::default(),
            again: Semaphore::new(AGAIN_AT_ONCE),
        });
        let go = match self.recovery {
            Recovery::Automatic => Go::On,
            Recovery::OnRequest => Go::SettleOnly,
        };
        let coordinator: CoordinatorRef = Arc::new(RwLock::new(None));
        let args = SupervisorArgs {
            shared: Arc::clone(&shared),
            coordinator: Arc::clone(&coordinator),
            max_runs: self.max_runs.unwrap_or(DEFAULT_MAX_RUNS),
            go,
        };
        let (supervisor, ended) = Supervisor::spawn(None, Supervisor, args).await.map_err(|error| {
            Error::new(ErrorCode::Internal, format!("the runtime's supervisor did not start: {error}"))
        })?;
        let enact = Enact { shared, coordinator, supervisor, ended: Arc::new(RwLock::new(Some(ended))) };
        recovery::recover(&enact.shared, &enact.coordinator()?, go).await?;
        Ok(enact)
    }
}

/// What a run is asked for with.
#[derive(Clone, Debug)]
pub struct RunRequest {
    workflow: String,
    version: u32,
    source: WorkflowSource,
    on_failure: OnFailure,
    user: String,
    attributes: Map<String, Value>,
    input: JsonText,
    key: Option<String>,
    checked: Result<(), Error>,
    foreseen: Vec<Foreseen>,
}

impl RunRequest {
    /// A run of a workflow on behalf of a user, with an input; `null` is the input of workflows that take none.
    pub fn new(workflow: &dyn DynWorkflow, user: impl Into<String>, input: JsonText) -> Self {
        Self {
            workflow: workflow.name().to_owned(),
            version: workflow.version(),
            source: workflow.source(),
            on_failure: workflow.on_failure(),
            user: user.into(),
            attributes: Map::new(),
            checked: workflow.check_input(&input),
            foreseen: workflow.foreseen(),
            input,
            key: None,
        }
    }

    /// A run of a workflow written in Rust, with an input of its own type.
    ///
    /// # Errors
    /// `internal`, where the input has no JSON form.
    pub fn of<W: Workflow>(workflow: W, user: impl Into<String>, input: &W::Input) -> Result<Self, Error> {
        Ok(Self::new(&*erase(workflow), user, JsonText::encode(input)?))
    }

    /// One action as a run of its own.
    pub fn act(connector: &str, action: &str, params: JsonText, user: impl Into<String>) -> Self {
        match ActWorkflow::input(connector, action, &params) {
            Ok(input) => Self::new(&*erase(ActWorkflow), user, input),
            Err(error) => {
                Self { checked: Err(error), ..Self::new(&*erase(ActWorkflow), user, JsonText::null()) }
            }
        }
    }

    /// What is said of the user, for policies.
    #[must_use]
    pub fn attributes(mut self, attributes: Map<String, Value>) -> Self {
        self.attributes = attributes;
        self
    }

    /// An idempotency key: the same key never runs twice.
    #[must_use]
    pub fn key(mut self, key: Option<String>) -> Self {
        self.key = key;
        self
    }

    fn accepted(self) -> Result<RunAccepted, Error> {
        self.checked?;
        if self.user.trim().is_empty() {
            return Err(Error::new(ErrorCode::InvalidParameters, "a run needs a user").left_nothing());
        }
        if self.key.as_ref().is_some_and(|key| key.trim().is_empty()) {
            return Err(
                Error::new(ErrorCode::InvalidParameters, "the idempotency key is empty").left_nothing()
            );
        }
        Ok(RunAccepted {
            workflow: self.workflow,
            version: self.version,
            source: self.source,
            user: self.user,
            attributes: JsonText::encode(&self.attributes)?,
            input: self.input,
            on_failure: self.on_failure,
            key: self.key,
        })
    }
}

/// A run that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Submitted {
    /// The run.
    pub run: RunId,
    /// Whether it is an earlier run with the same idempotency key.
    pub existing: bool,
}

/// A run that has ended, or waits for a person.
#[derive(Clone, Debug)]
pub struct Run {
    /// The run.
    pub id: RunId,
    state: Arc<RunState>,
}

impl Run {
    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        self.state.status()
    }

    /// All that is known of it.
    #[must_use]
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// The document of the public contract.
    #[must_use]
    pub fn document(&self) -> RunDocument {
        RunDocument::new(&self.state)
    }

    /// What the workflow gave, where it has completed.
    ///
    /// # Errors
    /// What failed, where it has not; `invalid_parameters`, where the output is of another type.
    pub fn output<T: DeserializeOwned>(&self) -> Result<T, Error> {
        match (&self.state.output, &self.state.error) {
            (Some(output), _) => output.decode(),
            (None, Some(error)) => Err(error.clone().into()),
            (None, None) => Err(Error::new(
                ErrorCode::PreconditionFailed,
                format!("run {} is {}", self.id, self.state.status()),
            )),
        }
    }
}

/// A runtime. Clones are the same runtime.
#[derive(Clone)]
pub struct Enact {
    shared: Arc<Shared>,
    coordinator: CoordinatorRef,
    supervisor: ActorRef<SupervisorMsg>,
    ended: Arc<RwLock<Option<JoinHandle<()>>>>,
}

impl Debug for Enact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enact").field("shared", &self.shared).finish()
    }
}

impl Enact {
    /// Begins to make a runtime.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Runs a workflow and waits until it has ended or waits for a person.
    ///
    /// # Errors
    /// Where the input is refused, or the runtime or its store stopped; then the run, if it was accepted, is
    /// resumed by the next recovery. A run that failed is not an error: see [`Run::status`].
    pub async fn run<W: Workflow>(
        &self,
        workflow: W,
        user: impl Into<String>,
        input: W::Input,
    ) -> Result<Run, Error> {
        self.run_to_end(RunRequest::of(workflow, user, &input)?).await
    }

    /// Runs what is asked for and waits until it has ended or waits for a person.
    ///
    /// # Errors
    /// As [`Enact::run`].
    pub async fn run_to_end(&self, mut request: RunRequest) -> Result<Run, Error> {
        if request.key.is_some() {
            let submitted = self.submit(request).await?;
            return self.wait(submitted.run).await;
        }
        let foreseen = std::mem::take(&mut request.foreseen);
        let accepted = Arc::new(request.accepted()?);
        self.check_foreseen(&foreseen)?;
        let run = self.new_id();
        let (watcher, end) = oneshot::channel();
        self.send(CoordinatorMsg::Submit { run, accepted, ack: None, watcher: Some(watcher) })?;
        self.ended(run, end).await
    }

    /// Asks for a run and returns when it is accepted, durably: from then on it ends in a final status or waits
    /// for a person, whatever crashes.
    ///
    /// # Errors
    /// As [`Enact::run`]; `conflict`, where the idempotency key was used with another input.
    pub async fn submit(&self, mut request: RunRequest) -> Result<Submitted, Error> {
        let foreseen = std::mem::take(&mut request.foreseen);
        let accepted = Arc::new(request.accepted()?);
        if let Some(existing) = self.run_of_key(&accepted).await? {
            return Ok(existing);
        }
        self.check_foreseen(&foreseen)?;
        let run = self.new_id();
        let (ack, acked) = oneshot::channel();
        let submit =
            CoordinatorMsg::Submit { run, accepted: Arc::clone(&accepted), ack: Some(ack), watcher: None };
        self.send(submit)?;
        match acked.await.map_err(|_| gone())? {
            Ok(()) => Ok(Submitted { run, existing: false }),
            // Somebody else used the key at the same time.
            Err(error) if error.code() == ErrorCode::Conflict => {
                self.run_of_key(&accepted).await?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    fn check_foreseen(&self, foreseen: &[Foreseen]) -> Result<(), Error> {
        foreseen.iter().try_for_each(|foreseen| foreseen.check(&self.shared))
    }

    async fn run_of_key(&self, wanted: &RunAccepted) -> Result<Option<Submitted>, Error> {
        let Some(key) = &wanted.key else { return Ok(None) };
        let Some(run) = self.shared.store.find_key(key).await? else { return Ok(None) };
        let state = self.durable_state(run).await?;
        let known = &state.accepted;
        let same = known.workflow == wanted.workflow
            && known.version == wanted.version
            && known.user == wanted.user
            && known.input.value() == wanted.input.value()
            && known.attributes.value() == wanted.attributes.value();
        if same {
            return Ok(Some(Submitted { run, existing: true }));
        }
        Err(Error::new(
            ErrorCode::InvalidParameters,
            format!("the key '{key}' was used for run {run} with another input; use another key"),
        )
        .left_nothing())
    }

    /// The state of a run whose acceptance is in the log and may not be durable yet.
    async fn durable_state(&self, run: RunId) -> Result<RunState, Error> {
        loop {
            let durable = self.shared.store.durable();
            if let Some(state) = history::load(&*self.shared.store, run).await? {
                return Ok(state);
            }
            self.shared.store.beyond(durable).await?;
        }
    }

    /// Waits until a run has ended or waits for a person. Of a run that is interrupted and not carried on, it
    /// gives where it stands.
    ///
    /// # Errors
    /// `not_found` for an unknown run; where the runtime or its store stopped.
    pub async fn wait(&self, run: RunId) -> Result<Run, Error> {
        let (watcher, end) = oneshot::channel();
        self.send(CoordinatorMsg::Watch { run, watcher })?;
        self.ended(run, end).await
    }

    async fn ended(
        &self,
        run: RunId,
        end: oneshot::Receiver<Result<Arc<RunState>, Error>>,
    ) -> Result<Run, Error> {
        let state = end.await.map_err(|_| {
            let hint = format!("; if run {run} was accepted, it is carried on: ask for it by this id");
            Error::new(gone().code(), gone().message().to_owned() + &hint)
        })??;
        Ok(Run { id: run, state })
    }

    /// Carries on a run that was interrupted, or tries a quarantined one again; a run that has ended is left as
    /// it is. Waits for its end.
    ///
    /// # Errors
    /// As [`Enact::wait`].
    pub async fn resume(&self, run: RunId, by: impl Into<String>) -> Result<Run, Error> {
        self.command(run, Command::Resume { by: by.into() }).await
    }

    /// Carries on every interrupted run and waits for their ends. Runs that wait for an operator are given as
    /// they are.
    ///
    /// # Errors
    /// Those of the store. What becomes of single runs is in their results.
    pub async fn resume_all(&self, by: &str) -> Result<Vec<(RunId, Result<Run, Error>)>, Error> {
        use futures::StreamExt as _;
        let open = self.shared.store.open_runs().await?;
        let resumed = futures::stream::iter(open)
            .map(|run| async move { (run, self.resume_if_interrupted(run, by).await) })
            .buffered(RESUMED_AT_ONCE);
        Ok(resumed.collect().await)
    }

    async fn resume_if_interrupted(&self, run: RunId, by: &str) -> Result<Run, Error> {
        match self.state(run).await? {
            state if state.status() == RunStatus::Quarantined => Ok(Run { id: run, state: Arc::new(state) }),
            _ => self.resume(run, by).await,
        }
    }

    /// Undoes a run, newest action first. A run that is under way is cancelled first. Of a rollback that has
    /// ended, only what was in conflict, failed or in doubt is tried again.
    ///
    /// # Errors
    /// As [`Enact::wait`]; `invalid_parameters`, where the run has not got as far as [`RollbackOptions::to`]. What could
    /// not be undone is in the run's document.
    pub async fn rollback(&self, run: RunId, options: RollbackOptions) -> Result<Run, Error> {
        self.command(run, Command::Rollback(options)).await
    }

    /// Stops a run; what it did is undone.
    ///
    /// # Errors
    /// As [`Enact::wait`]; `conflict` for a run that has ended.
    pub async fn cancel(
        &self,
        run: RunId,
        by: impl Into<String>,
        reason: Option<String>,
    ) -> Result<Run, Error> {
        self.command(run, Command::Cancel { by: by.into(), reason }).await
    }

    /// Records an operator's word on an action that is in doubt or could not be undone, and carries the run on.
    ///
    /// # Errors
    /// As [`Enact::wait`]; `conflict`, where nothing of the action is to be decided.
    pub async fn resolve(
        &self,
        run: RunId,
        seq: Seq,
        decision: Decision,
        by: impl Into<String>,
    ) -> Result<Run, Error> {
        self.command(run, Command::Decide(Word { by: by.into(), seq: Some(seq), decision })).await
    }

    /// The state of a run as it is durable in the log.
    ///
    /// # Errors
    /// `not_found` for an unknown run; those of the store.
    pub async fn state(&self, run: RunId) -> Result<RunState, Error> {
        let state = history::load(&*self.shared.store, run).await?;
        state.ok_or_else(|| history::unknown_run(&run.to_string()))
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.shared.store
    }

    /// The configured connectors with their names.
    pub fn connectors(&self) -> impl Iterator<Item = (&str, &Toolbox)> {
        self.shared.connectors.iter().map(|(name, connector)| (name.as_str(), &**connector.toolbox()))
    }

    /// Takes no new runs, waits until those under way have ended, at most for `deadline`, and stops. What is left
    /// is resumable.
    pub async fn shutdown(&self, deadline: Duration) {
        let (reply, drained) = oneshot::channel();
        let left = match self.send(CoordinatorMsg::Drain(reply)) {
            Ok(()) => tokio::time::timeout(deadline, drained).await.is_err(),
            Err(_) => false,
        };
        if left {
            tracing::warn!("runs are left to be resumed");
            drop(self.send(CoordinatorMsg::Leave));
        }
        self.supervisor.stop(None);
        let ended = self.ended.write().take();
        if let Some(ended) = ended {
            // The actor ends on its own; a panic of it has been reported where it happened.
            drop(ended.await);
        }
    }

    fn new_id(&self) -> RunId {
        let mut random = [0_u8; 10];
        let (high, low) = (self.shared.clock.random(), self.shared.clock.random());
        for (to, from) in random.iter_mut().zip(high.to_be_bytes().into_iter().chain(low.to_be_bytes())) {
            *to = from;
        }
        RunId::from_parts(self.shared.clock.now().unix_ms(), random)
    }

    fn send(&self, message: CoordinatorMsg) -> Result<(), Error> {
        self.coordinator()?.send_message(message).map_err(|_| gone())
    }

    fn coordinator(&self) -> Result<ActorRef<CoordinatorMsg>, Error> {
        self.coordinator.read().clone().ok_or_else(gone)
    }
}

/// How many runs [`Enact::resume_all`] waits for at once.
const RESUMED_AT_ONCE: usize = 256;

fn gone() -> Error {
    Error::new(ErrorCode::Unavailable, "the runtime is stopping or being restarted; the log has every run")
}

mod bring;
#[cfg(test)]
mod tests;
