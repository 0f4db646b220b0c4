//! The saga coordinator: knows which runs are being carried, starts a workflow actor for each, brings people's
//! requests to them, and starts another where one died. What it knows can be lost: the log has everything.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use enact_core::error::{Error, ErrorCode};
use enact_core::event::RunAccepted;
use enact_core::ids::RunId;
use enact_core::run::RunState;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, ActorRuntime, SupervisionEvent};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::history;
use crate::locks::Guards;
use crate::recovery::Found;
use crate::run::{Ack, Command, Go, RunActor, RunArgs, RunMsg, Start};
use crate::shared::Shared;

/// How often the actor of a run is started again soon after its death.
const RESTARTS: u32 = 3;

/// How long a run rests whose actor died too often. It is tried again after that, for as long as this process lives.
const REST: Duration = Duration::from_secs(60);

/// Who waits for a run to end, or to wait for a person.
pub(crate) type Watcher = oneshot::Sender<Result<Arc<RunState>, Error>>;

pub(crate) enum CoordinatorMsg {
    /// Carry a new run.
    Submit { run: RunId, accepted: Arc<RunAccepted>, ack: Option<Ack>, watcher: Option<Watcher> },
    /// Recovery found these runs and brings them, a wave at a time. Whoever takes one up gets its keys.
    Expect(Vec<Found>),
    /// Carry a run that recovery found.
    Adopt { run: RunId, go: Go, place: Option<OwnedSemaphorePermit> },
    /// Bring a request to a run.
    Command { run: RunId, command: Command, reply: oneshot::Sender<Result<(), Error>> },
    /// Tell when the run is not carried any more.
    Watch { run: RunId, watcher: Watcher },
    /// A workflow actor is done with its run, or had to leave it.
    Done { run: RunId, actor: ActorId, end: Result<Arc<RunState>, Error> },
    /// A run waits for a person's approval, and is as it stands; or does not any more.
    PutOff { run: RunId, actor: ActorId, state: Option<Arc<RunState>> },
    /// A workflow actor is gone.
    Gone { actor: ActorId, why: String },
    /// It is time to start the actor of a run again.
    Restart(RunId),
    /// Take no new runs; tell when none is carried any more but such as wait for a person.
    Drain(oneshot::Sender<()>),
}

pub(crate) struct Coordinator;

pub(crate) struct CoordinatorArgs {
    pub(crate) shared: Arc<Shared>,
    pub(crate) limits: Limits,
}

/// How much a runtime has at once, for new runs to be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Runs that are under way.
    pub(crate) under_way: usize,
    /// Runs that wait for a person's approval and nothing else.
    pub(crate) waiting: usize,
}

pub(crate) struct Carried {
    shared: Arc<Shared>,
    limits: Limits,
    runs: HashMap<RunId, Entry>,
    /// Those of them that wait for a person's approval and nothing else, as they stand.
    waiting: HashMap<RunId, Arc<RunState>>,
    actors: HashMap<ActorId, RunId>,
    /// Runs that recovery brings: the keys of their targets in doubt, and who waits for them already.
    expected: HashMap<RunId, (Guards, Vec<Watcher>)>,
    /// Who waits until no run is carried any more.
    drained: Vec<oneshot::Sender<()>>,
    draining: bool,
}

struct Entry {
    actor: ActorRef<RunMsg>,
    watchers: Vec<Watcher>,
    restarts: u32,
    /// How far the run is to be taken by another actor, where this one dies.
    go: Go,
    /// Whether its actor is gone, and another follows later.
    rests: bool,
}

impl Actor for Coordinator {
    type Msg = CoordinatorMsg;
    type State = Carried;
    type Arguments = CoordinatorArgs;

    async fn pre_start(
        &self,
        _: ActorRef<CoordinatorMsg>,
        args: CoordinatorArgs,
    ) -> Result<Carried, ActorProcessingErr> {
        Ok(Carried {
            shared: args.shared,
            limits: args.limits,
            runs: HashMap::new(),
            waiting: HashMap::new(),
            actors: HashMap::new(),
            expected: HashMap::new(),
            drained: Vec::new(),
            draining: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<CoordinatorMsg>,
        message: CoordinatorMsg,
        carried: &mut Carried,
    ) -> Result<(), ActorProcessingErr> {
        carried.take(&myself, message);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<CoordinatorMsg>,
        event: SupervisionEvent,
        carried: &mut Carried,
    ) -> Result<(), ActorProcessingErr> {
        let (actor, why) = match event {
            SupervisionEvent::ActorFailed(actor, error) => (actor.get_id(), error.to_string()),
            SupervisionEvent::ActorTerminated(actor, ..) => (actor.get_id(), "it was stopped".to_owned()),
            _ => return Ok(()),
        };
        // Such events overtake messages, and what the actor said last is among those: this goes behind it.
        if carried.actors.contains_key(&actor) {
            myself.send_message(CoordinatorMsg::Gone { actor, why })?;
        }
        Ok(())
    }
}

impl Carried {
    fn take(&mut self, myself: &ActorRef<CoordinatorMsg>, message: CoordinatorMsg) {
        match message {
            CoordinatorMsg::Submit { run, accepted, ack, watcher } => {
                self.submit(myself, run, accepted, ack, watcher);
            }
            CoordinatorMsg::Adopt { run, go, place } => self.adopt(myself, run, go, place),
            CoordinatorMsg::Command { run, command, reply } => self.bring(myself, run, command, reply),
            CoordinatorMsg::Expect(runs) => {
                let expected = runs.into_iter().map(|Found { run, guards }| (run, (guards, Vec::new())));
                self.expected.extend(expected);
            }
            CoordinatorMsg::Watch { run, watcher } => self.watch(run, watcher),
            CoordinatorMsg::Done { run, actor, end } => self.done(myself, run, actor, end),
            CoordinatorMsg::PutOff { run, actor, state } => self.put_off(run, actor, state),
            CoordinatorMsg::Gone { actor, why } => self.actor_died(myself, actor, &why),
            CoordinatorMsg::Restart(run) => self.restart(myself, run),
            CoordinatorMsg::Drain(reply) => {
                self.draining = true;
                self.drained.push(reply);
                self.leave_resting();
                self.tell_drained();
            }
        }
    }

    fn watch(&mut self, run: RunId, watcher: Watcher) {
        if let Some(state) = self.waiting.get(&run) {
            return tell_all(vec![watcher], &Ok(Arc::clone(state)));
        }
        let carried = self.runs.get_mut(&run).map(|entry| &mut entry.watchers);
        let expected = self.expected.get_mut(&run).map(|(_, watchers)| watchers);
        match carried.or(expected) {
            Some(watchers) => watchers.push(watcher),
            None => self.tell_from_log(run, watcher),
        }
    }

    /// Whoever waits for the run is told that it waits for a person. Its actor stays.
    fn put_off(&mut self, run: RunId, actor: ActorId, state: Option<Arc<RunState>>) {
        if self.actors.get(&actor) != Some(&run) {
            return;
        }
        let Some(state) = state else {
            self.waiting.remove(&run);
            return;
        };
        if let Some(entry) = self.runs.get_mut(&run) {
            tell_all(std::mem::take(&mut entry.watchers), &Ok(Arc::clone(&state)));
            self.waiting.insert(run, state);
        }
        self.tell_drained();
    }

    fn adopt(
        &mut self,
        myself: &ActorRef<CoordinatorMsg>,
        run: RunId,
        go: Go,
        place: Option<OwnedSemaphorePermit>,
    ) {
        if self.draining {
            // It lets go of its keys: others that are still carried may wait for them.
            if let Some((_, watchers)) = self.expected.remove(&run) {
                tell_all(watchers, &Err(left(run, "the runtime is shutting down")));
            }
        } else if !self.runs.contains_key(&run) {
            self.carry(myself, run, Start::Log { go, place }, Vec::new(), 0);
        }
    }

    fn submit(
        &mut self,
        myself: &ActorRef<CoordinatorMsg>,
        run: RunId,
        accepted: Arc<RunAccepted>,
        ack: Option<Ack>,
        watcher: Option<Watcher>,
    ) {
        let Some(why) = self.refusal() else {
            let watchers = watcher.into_iter().collect();
            return self.carry(myself, run, Start::New { accepted, ack }, watchers, 0);
        };
        let error = Error::new(ErrorCode::Unavailable, why).retryable().left_nothing();
        if let Some(watcher) = watcher {
            drop(watcher.send(Err(error.clone())));
        }
        if let Some(ack) = ack {
            drop(ack.send(Err(error)));
        }
    }

    /// Why no new run is taken; `None` where one is.
    fn refusal(&self) -> Option<String> {
        let Limits { under_way, waiting } = self.limits;
        if self.draining {
            return Some("the runtime is shutting down and takes no new runs".to_owned());
        }
        if self.waiting.len() >= waiting {
            return Some(format!(
                "{waiting} runs wait for a person's approval, the limit of this runtime; decide some of them first"
            ));
        }
        let is_full = self.runs.len().saturating_sub(self.waiting.len()) >= under_way;
        is_full.then(|| format!("{under_way} runs are under way, the limit of this runtime; try again later"))
    }

    fn carry(
        &mut self,
        myself: &ActorRef<CoordinatorMsg>,
        run: RunId,
        start: Start,
        mut watchers: Vec<Watcher>,
        restarts: u32,
    ) {
        let (guards, waiting) = self.expected.remove(&run).unwrap_or_default();
        watchers.extend(waiting);
        let go = match &start {
            // Whoever asked for something is told to ask again, or it is recorded.
            Start::New { .. } | Start::Log { go: Go::Wait, .. } => Go::On,
            Start::Log { go, .. } => *go,
        };
        let (shared, coordinator) = (Arc::clone(&self.shared), myself.clone());
        let args = RunArgs { run, shared, coordinator, guards, start };
        match ActorRuntime::spawn_linked_instant(None, RunActor, Box::new(args), myself.get_cell()) {
            Ok((actor, _)) => {
                self.actors.insert(actor.get_id(), run);
                self.runs.insert(run, Entry { actor, watchers, restarts, go, rests: false });
            }
            Err(error) => {
                let error = Error::new(ErrorCode::Internal, format!("run {run} got no actor: {error}"));
                tell_all(watchers, &Err(error));
            }
        }
    }

    fn bring(
        &mut self,
        myself: &ActorRef<CoordinatorMsg>,
        run: RunId,
        command: Command,
        reply: oneshot::Sender<Result<(), Error>>,
    ) {
        if !self.runs.contains_key(&run) {
            if self.draining {
                let error = Error::new(ErrorCode::Unavailable, "the runtime is shutting down").left_nothing();
                drop(reply.send(Err(error)));
                return;
            }
            // Until the request is recorded, nothing of the run moves but what can be looked up.
            let start = Start::Log { go: Go::Wait, place: None };
            self.carry(myself, run, start, Vec::new(), 0);
        }
        // A request does not wait until a run has rested.
        self.restart(myself, run);
        if let Some(entry) = self.runs.get_mut(&run) {
            // What is asked may be recorded when the actor dies.
            entry.go = Go::On;
            // Its actor says so again, where the request changes nothing.
            self.waiting.remove(&run);
            // A dropped reply tells whoever asked to ask again.
            drop(entry.actor.send_message(RunMsg::Command(command, reply)));
        }
    }

    /// A run that nobody carries is as the log says.
    fn tell_from_log(&self, run: RunId, watcher: Watcher) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let end = match history::load(&*shared.store, run).await {
                Ok(Some(state)) => Ok(Arc::new(state)),
                Ok(None) => Err(history::unknown_run(&run.to_string())),
                Err(error) => Err(error),
            };
            drop(watcher.send(end));
        });
    }

    fn done(
        &mut self,
        myself: &ActorRef<CoordinatorMsg>,
        run: RunId,
        actor: ActorId,
        end: Result<Arc<RunState>, Error>,
    ) {
        if self.actors.remove(&actor).is_none() {
            return;
        }
        self.waiting.remove(&run);
        if let Err(error) = &end
            && error.is_retryable()
            && !self.draining
            && self.restart_later(myself, run)
        {
            return;
        }
        if let Some(entry) = self.runs.remove(&run) {
            tell_all(entry.watchers, &end);
        }
        self.tell_drained();
    }

    fn actor_died(&mut self, myself: &ActorRef<CoordinatorMsg>, actor: ActorId, why: &str) {
        let Some(run) = self.actors.remove(&actor) else { return };
        self.waiting.remove(&run);
        tracing::error!(%run, why, "the actor of a run died");
        if !self.draining && self.restart_later(myself, run) {
            return;
        }
        if let Some(entry) = self.runs.remove(&run) {
            tell_all(entry.watchers, &Err(left(run, &format!("its actor died ({why})"))));
        }
        self.tell_drained();
    }

    /// Starts the run's actor again after a while, which is longer once its budget is spent.
    fn restart_later(&mut self, myself: &ActorRef<CoordinatorMsg>, run: RunId) -> bool {
        let Some(entry) = self.runs.get_mut(&run) else { return false };
        entry.rests = true;
        let wait = if entry.restarts < RESTARTS {
            entry.restarts += 1;
            Duration::from_secs(u64::from(entry.restarts).saturating_mul(2))
        } else {
            tracing::error!(%run, "the actor of a run died {RESTARTS} times; the run rests for {REST:?}");
            REST
        };
        drop(myself.send_after(wait, move || CoordinatorMsg::Restart(run)));
        true
    }

    fn restart(&mut self, myself: &ActorRef<CoordinatorMsg>, run: RunId) {
        if !self.runs.get(&run).is_some_and(|entry| entry.rests) {
            return;
        }
        if let Some(entry) = self.runs.remove(&run) {
            let start = Start::Log { go: entry.go, place: None };
            self.carry(myself, run, start, entry.watchers, entry.restarts);
        }
    }

    /// Nobody waits for a run to have rested when the runtime stops: the log has it.
    fn leave_resting(&mut self) {
        for (run, entry) in self.runs.extract_if(|_, entry| entry.rests) {
            tell_all(entry.watchers, &Err(left(run, "the runtime is shutting down")));
        }
    }

    fn tell_drained(&mut self) {
        // Who waits for a person may wait long; the log has that too.
        if self.draining && self.runs.len() == self.waiting.len() {
            for drained in self.drained.drain(..) {
                if drained.send(()).is_err() {
                    tracing::debug!("nobody waits any more for the runs to end");
                }
            }
        }
    }
}

fn left(run: RunId, why: &str) -> Error {
    Error::new(ErrorCode::Internal, format!("run {run} was left where it was: {why}; resume it"))
}

fn tell_all(watchers: Vec<Watcher>, end: &Result<Arc<RunState>, Error>) {
    for watcher in watchers {
        // A watcher may have given up.
        drop(watcher.send(end.clone()));
    }
}
