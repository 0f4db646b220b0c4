//! The runtime as its users hold it.

mod bring;
mod builder;
mod request;
#[cfg(test)]
mod tests;

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use enact_core::connector::Toolbox;
use enact_core::document::RunDocument;
use enact_core::error::{Error, ErrorCode};
use enact_core::event::{Decision, RunAccepted};
use enact_core::ids::{Position, RunId, Seq};
use enact_core::query::{RunPage, RunQuery};
use enact_core::run::{RunState, RunStatus};
use enact_core::store::EventStore;
use enact_core::subscription::Subscription;
use ractor::ActorRef;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::coordinator::CoordinatorMsg;
use crate::foreseen::Foreseen;
use crate::history;
use crate::run::{Approving, Command, RollbackOptions, Word};
use crate::shared::Shared;
use crate::supervisor::{CoordinatorRef, SupervisorMsg};
use crate::workflow::Workflow;

pub use builder::{Builder, DEFAULT_MAX_RUNS, DEFAULT_MAX_WAITING, Recovery};
pub use request::{RunRequest, Submitted};

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
        let Some(state) = self.durable_state(run).await? else { return Ok(None) };
        let known = &state.accepted;
        // What an erased run was asked for with is not known any more; that its key was used is.
        let same = state.erased.is_some()
            || known.workflow == wanted.workflow
                && known.version == wanted.version
                && known.user == wanted.user
                && known.input.means(&wanted.input)
                && known.attributes.means(&wanted.attributes);
        if same {
            return Ok(Some(Submitted { run, existing: true }));
        }
        Err(Error::new(
            ErrorCode::InvalidParameters,
            format!(
                "the key '{key}' was used for run {run} with another input, workflow or user; use another key"
            ),
        )
        .left_nothing())
    }

    /// The state of a run whose acceptance has its place in the log and may not be durable yet; `None` where it was taken
    /// back, and nobody has its key.
    async fn durable_state(&self, run: RunId) -> Result<Option<RunState>, Error> {
        if let Some(state) = history::load(&*self.shared.store, run).await? {
            return Ok(Some(state));
        }
        self.shared.store.flush().await?;
        history::load(&*self.shared.store, run).await
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

    /// Carries on every interrupted run, waits for their ends, and tells each, in the order of the runs. Those that wait
    /// for an operator are told as they are.
    ///
    /// # Errors
    /// Those of the store. What becomes of single runs is in their results.
    pub async fn resume_all(
        &self,
        by: &str,
        mut tell: impl FnMut(RunId, Result<Run, Error>),
    ) -> Result<(), Error> {
        use futures::StreamExt as _;
        let open = self.shared.store.open_runs().await?;
        let mut resumed = futures::stream::iter(open)
            .map(|run| async move { (run, self.resume_if_interrupted(run, by).await) })
            .buffered(RESUMED_AT_ONCE);
        while let Some((run, end)) = resumed.next().await {
            tell(run, end);
        }
        Ok(())
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

    /// Approves what of a run waits for that: the action, or where `seq` is `None` the one thing that waits. Carries the
    /// run on, and waits for its end. Where the time for a word is over, it is none: what waited ends as
    /// `approval_expired`, and the run goes on from there.
    ///
    /// # Errors
    /// As [`Enact::wait`]; `conflict`, where nothing of it waits, or several things do and none is named; `approval_denied`, where `by` asked for the run or is not one of those who may approve it. It waits on then.
    pub async fn approve(&self, run: RunId, seq: Option<Seq>, by: impl Into<String>) -> Result<Run, Error> {
        let word = Approving { by: by.into(), seq, approved: true, reason: None };
        self.command(run, Command::Approve(word)).await
    }

    /// Denies what of a run waits for an approval, as [`Enact::approve`] approves it. Whoever asked for the run may do so
    /// too.
    ///
    /// # Errors
    /// As [`Enact::approve`].
    pub async fn deny(
        &self,
        run: RunId,
        seq: Option<Seq>,
        by: impl Into<String>,
        reason: Option<String>,
    ) -> Result<Run, Error> {
        let word = Approving { by: by.into(), seq, approved: false, reason };
        self.command(run, Command::Approve(word)).await
    }

    /// The state of a run as it is durable in the log.
    ///
    /// # Errors
    /// `not_found` for an unknown run; those of the store.
    pub async fn state(&self, run: RunId) -> Result<RunState, Error> {
        let state = history::load(&*self.shared.store, run).await?;
        state.ok_or_else(|| history::unknown_run(&run.to_string()))
    }

    /// The runs for which all that is asked holds, newest first, as they are durable in the log.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn runs(&self, query: RunQuery) -> Result<RunPage, Error> {
        Ok(self.shared.store.find_runs(query).await?)
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.shared.store
    }

    /// Follows the log from a position on (1 is the first): the durable events of all runs, in order, those that are there
    /// and those to come. It ends when this runtime has shut down, or the store is closed, and has the store until then.
    ///
    /// ```
    /// # use enact_runtime::Enact;
    /// # use enact_core::{ids::Position, store::StoreError, subscription::Delivered};
    /// # async fn feed(enact: &Enact, seen: Position) -> Result<Position, StoreError> {
    /// let mut log = enact.subscribe(seen.next());
    /// while let Some(delivered) = log.next().await {
    ///     match delivered? {
    ///         Delivered::Event(event) => println!("{} {}", event.position, event.event.name()),
    ///         Delivered::Pruned { first, last } => println!("{first} to {last} are pruned"),
    ///     }
    ///     // Where what was done with it is kept, keep `log.position()` with it: from there it goes on after a restart.
    /// }
    /// # Ok(log.position())
    /// # }
    /// ```
    pub fn subscribe(&self, from: Position) -> Subscription {
        let (store, stopped) = (Arc::clone(&self.shared.store), self.shared.under_way.stopped());
        Subscription::new(store, from).until(stopped)
    }

    /// The configured connectors with their names.
    pub fn connectors(&self) -> impl Iterator<Item = (&str, &Toolbox)> {
        self.shared.connectors.iter().map(|(name, connector)| (name.as_str(), &**connector.toolbox()))
    }

    /// Takes no new runs, waits until those under way have ended, at most for `deadline`, and stops. What is left
    /// is resumable: when this returns, nothing of this runtime acts or records any more, so that another may start on
    /// the same store. An action in the middle of its effect is dropped, and looked up when its run is taken up.
    pub async fn shutdown(&self, deadline: Duration) {
        let (reply, drained) = oneshot::channel();
        let left = match self.send(CoordinatorMsg::Drain(reply)) {
            Ok(()) => tokio::time::timeout(deadline, drained).await.is_err(),
            Err(_) => false,
        };
        if left {
            tracing::warn!("runs are left to be resumed");
        }
        self.supervisor.stop(None);
        // Without a time limit, it only ends when the actor has.
        drop(self.supervisor.wait(None).await);
        self.shared.under_way.stop().await;
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
