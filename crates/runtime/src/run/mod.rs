//! The workflow actor: carries out one run, and is the sole writer of its stream.
//!
//! It holds the fold of the run and asks it what comes next. The workflow's code runs in a task of its own and
//! asks for calls by message; connector actors carry out jobs and report by message. Each message becomes
//! events, and the events move the fold. When the run has ended, or waits for a person, the actor tells the
//! coordinator and stops; the log has everything to start another. Where the store fails it, it begins another
//! life itself: see `life.rs`.

mod approval;
mod back;
mod command;
mod forward;
mod life;
mod outcomes;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use enact_core::error::{Error, ErrorCode};
use enact_core::event::{ActionCall, Decision, Event, NewEvent, RunAccepted};
use enact_core::ids::{CallPath, Direction, EffectId, EventSeq, Pseudonym, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::run::{Next, RunState};
use enact_core::store::{Append, Appended, Durability, Fence, RunMark};
use enact_core::time::Timestamp;
use ractor::{Actor, ActorProcessingErr, ActorRef, MessagingErr};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::backoff::backoff;
use crate::coordinator::CoordinatorMsg;
use crate::cx::{Acted, DEFAULT_TIMEOUT, Tries};
use crate::gate::Subject;
use crate::history;
use crate::job::Report;
use crate::locks::Guards;
use crate::observe::Note;
use crate::shared::Shared;
use crate::under_way::Jobs;

pub(crate) use approval::WORKFLOW;
pub use command::RollbackOptions;
pub(crate) use command::{Approving, Command};

/// What a workflow actor is told.
pub(crate) enum RunMsg {
    /// Something of one of the actor's lives; what comes of an earlier one is not heard any more.
    Of(Life, Told),
    /// A connector reports.
    Report(Box<Report>),
    /// Somebody outside wants something.
    Command(Command, oneshot::Sender<Result<(), Error>>),
}

/// Which of its lives an actor is in.
pub(crate) type Life = u32;

/// What an actor is told of its present life.
pub(crate) enum Told {
    /// The workflow's code asks for something.
    Ask(Box<Ask>),
    /// The workflow's code has ended.
    CodeEnded(Result<JsonText, Error>),
    /// The workflow's code has gone as far as it could when it was asked, after so many answers.
    CodeRests(u64),
    /// It is time to try an action again.
    RetryDue(Seq),
    /// It is time to try an undo again.
    UndoDue,
    /// It is time to look up again what is in doubt.
    LookUpDue,
    /// A sleep is over.
    TimerDue(CallPath),
    /// The time to approve an action, or the run, is over.
    ApprovalDue(Option<Seq>),
}

/// A call of the workflow's code.
pub(crate) struct Ask {
    pub(crate) path: CallPath,
    pub(crate) call: Call,
    pub(crate) reply: oneshot::Sender<Result<Reply, Error>>,
}

pub(crate) enum Call {
    Action(AskedAction),
    Sleep(Duration),
    Now,
    Random,
}

pub(crate) struct AskedAction {
    pub(crate) connector: String,
    pub(crate) action: String,
    pub(crate) params: JsonText,
    pub(crate) tries: Tries,
}

#[derive(Debug)]
pub(crate) enum Reply {
    Acted(Acted),
    Awake,
    Value(JsonText),
}

pub(crate) struct RunActor;

pub(crate) struct RunArgs {
    pub(crate) run: RunId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) coordinator: ActorRef<CoordinatorMsg>,
    /// The keys of its targets in doubt, where recovery took them.
    pub(crate) guards: Guards,
    pub(crate) start: Start,
}

/// Something that an actor will tell itself, unless this is dropped.
type Later = AbortOnDropHandle<Result<(), MessagingErr<RunMsg>>>;

/// How an actor of a run begins.
pub(crate) enum Start {
    /// A new run. Who waits for its acceptance to be durable is told.
    New { accepted: Arc<RunAccepted>, ack: Option<Ack> },
    /// A run of the log, where recovery brings it with a place in its wave.
    Log { go: Go, place: Option<OwnedSemaphorePermit> },
}

/// Tells that a run is accepted, durably, or why not.
pub(crate) type Ack = oneshot::Sender<Result<(), Error>>;

/// How far an actor takes a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Go {
    /// To its end, or to where it waits for a person.
    On,
    /// Until nothing of it is in doubt that can be looked up.
    SettleOnly,
    /// Nowhere, until a command says so.
    Wait,
}

/// A run while an actor carries it.
pub(crate) struct Run {
    shared: Arc<Shared>,
    coordinator: ActorRef<CoordinatorMsg>,
    myself: ActorRef<RunMsg>,
    under_way: Arc<Jobs>,
    go: Go,
    new: Option<(Arc<RunAccepted>, Option<Ack>)>,
    place: Option<OwnedSemaphorePermit>,
    state: Option<Box<RunState>>,
    subject: Option<Arc<Subject>>,
    /// Keys of targets whose outcome is not in the log.
    guards: Guards,
    /// Jobs that will report.
    jobs: HashSet<(Seq, u32, Direction)>,
    /// Actions that the code waits for.
    asked: HashMap<Seq, forward::Asking>,
    timers: HashMap<CallPath, oneshot::Sender<Result<Reply, Error>>>,
    /// Calls that the code has made in this life of the actor.
    replayed: BTreeSet<CallPath>,
    /// The workflow's code, which ends with this.
    code: Option<AbortOnDropHandle<()>>,
    /// Asks the code how far it has come: with how many answers from the log.
    rests: watch::Sender<u64>,
    /// How many answers the log gave to the code.
    answers: u64,
    code_end: Option<Result<JsonText, Error>>,
    /// What the actor will tell itself.
    later: Vec<Later>,
    undo_waits: bool,
    /// In whose name it goes on, with their pseudonym in the store.
    pseudonym: Option<(String, Pseudonym)>,
    /// The run's version of which the coordinator was told that a person is waited for, and nothing else.
    put_off_at: Option<EventSeq>,
    /// When requests for approval expire.
    expiries: HashMap<Option<Seq>, Later>,
    /// Whether the undo that was sent last may overwrite what others changed.
    undo_force: bool,
    /// What the run ended or stopped with, to be durable before anybody is told.
    last: Option<Appended>,
    finished: bool,
    /// Whether the log knows the run, as far as can be told.
    known: bool,
    life: Life,
    trouble: life::Trouble,
    /// The runtime has not stopped while this is here.
    _alive: TaskTrackerToken,
    id: RunId,
}

impl Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {}", self.id)
    }
}

impl Actor for RunActor {
    type Msg = RunMsg;
    type State = Box<Run>;
    type Arguments = Box<RunArgs>;

    async fn pre_start(
        &self,
        myself: ActorRef<RunMsg>,
        args: Box<RunArgs>,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(Box::new(Run::new(myself, *args)))
    }

    /// Before the first message, whoever sent it and when.
    async fn post_start(&self, _: ActorRef<RunMsg>, run: &mut Self::State) -> Result<(), ActorProcessingErr> {
        let begun = match run.begin().await {
            Ok(()) => run.advance().await,
            Err(error) => Err(error),
        };
        run.outlast(begun).await;
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<RunMsg>,
        message: RunMsg,
        run: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if run.finished {
            return Ok(());
        }
        let taken = run.take(message).await;
        run.outlast(taken).await;
        Ok(())
    }
}

impl Run {
    fn new(myself: ActorRef<RunMsg>, args: RunArgs) -> Self {
        let (new, go, place) = match args.start {
            Start::New { accepted, ack } => (Some((accepted, ack)), Go::On, None),
            Start::Log { go, place } => (None, go, place),
        };
        let under_way = args.shared.under_way.of(args.run);
        Self {
            _alive: under_way.token(),
            under_way,
            shared: args.shared,
            coordinator: args.coordinator,
            myself,
            go,
            known: new.is_none(),
            new,
            place,
            state: None,
            subject: None,
            guards: args.guards,
            jobs: HashSet::new(),
            asked: HashMap::new(),
            timers: HashMap::new(),
            replayed: BTreeSet::new(),
            code: None,
            rests: watch::Sender::new(0),
            answers: 0,
            code_end: None,
            later: Vec::new(),
            undo_waits: false,
            pseudonym: None,
            put_off_at: None,
            expiries: HashMap::new(),
            undo_force: false,
            last: None,
            finished: false,
            life: 0,
            trouble: life::Trouble::default(),
            id: args.run,
        }
    }

    /// One message. An error means that the run cannot be carried on here: the log is not available.
    async fn take(&mut self, message: RunMsg) -> Result<(), Error> {
        match message {
            RunMsg::Of(life, told) if life == self.life => self.told(told).await?,
            RunMsg::Of(..) => return Ok(()),
            RunMsg::Report(report) => self.reported(*report).await?,
            RunMsg::Command(command, reply) => {
                // Before whoever asks has an answer and waits: what was said before is not so any more, or is said again.
                self.tell_put_off(None);
                if !self.commanded(command, reply).await? {
                    // What is refused moves nothing.
                    return self.say_who_is_waited_for().await;
                }
            }
        }
        self.advance().await
    }

    async fn told(&mut self, told: Told) -> Result<(), Error> {
        match told {
            Told::Ask(ask) => self.asked(*ask).await,
            Told::CodeEnded(end) => {
                self.code_end = Some(end);
                Ok(())
            }
            Told::CodeRests(answers) => self.code_rests(answers).await,
            Told::RetryDue(seq) => self.retry(seq).await,
            Told::UndoDue => {
                self.undo_waits = false;
                Ok(())
            }
            // What is due is done when this is taken.
            Told::LookUpDue => Ok(()),
            Told::TimerDue(path) => self.fire(path).await,
            Told::ApprovalDue(seq) => self.approval_due(seq).await,
        }
    }

    /// Says how long it takes until the next try, where the outside system asks for that.
    fn say_wait(&self, effect: EffectId, call: &ActionCall, error: &Error) {
        if error.wait().is_none() {
            return;
        }
        let seconds = backoff(1, error, &*self.shared.clock).as_millis().div_ceil(1000);
        tracing::warn!(%effect, %error, "it is tried again in {seconds} s");
        let text = format!("tried again in {seconds} s: {}", error.message());
        self.shared.note(&Note { effect, call, text: &text });
    }

    /// Has itself told something after a while, unless the run turns before, or this life ends.
    fn tell_later(&mut self, wait: Duration, told: Told) {
        let later = self.later(wait, told);
        self.later.retain(|later| !later.is_finished());
        self.later.push(later);
    }

    fn later(&self, wait: Duration, told: Told) -> Later {
        let life = self.life;
        AbortOnDropHandle::new(self.myself.send_after(wait, move || RunMsg::Of(life, told)))
    }

    async fn begin(&mut self) -> Result<(), Error> {
        // Jobs of whoever carried the run before end first: what they did is found out by probing, and nothing
        // that they still do can come after a probe.
        self.under_way.ended().await;
        if let Some((accepted, ack)) = self.new.take() {
            return self.accept(accepted, ack).await;
        }
        self.load().await
    }

    async fn load(&mut self) -> Result<(), Error> {
        // An earlier life may have left events that have their place and are not durable yet.
        self.shared.store.flush().await?;
        let loaded = history::load(&*self.shared.store, self.id).await?;
        let state = loaded.ok_or_else(|| history::unknown_run(&self.id.to_string()))?;
        self.state = Some(Box::new(state));
        Ok(())
    }

    /// Does what the fold says until something is to be waited for.
    async fn advance(&mut self) -> Result<(), Error> {
        while !self.finished && self.go != Go::Wait {
            let next = self.state()?.next();
            if !matches!(next, Next::Settle { .. } | Next::SettleUndo { .. }) {
                self.place = None;
            }
            let goes_on = match next {
                Next::Settle { seq, attempt } => self.settle(seq, attempt).await?,
                Next::SettleUndo { seq, attempt } => self.settle_undo(seq, attempt).await?,
                _ if self.go == Go::SettleOnly => {
                    self.finish().await?;
                    false
                }
                Next::Judge => self.judge().await?,
                Next::AskWorkflow => self.ask_workflow().await?,
                Next::Quarantine { seq } => self.quarantine_doubt(seq).await?,
                Next::Compensate { seq, attempt } => self.compensate(seq, attempt).await?,
                Next::FinishRollback => self.finish_rollback().await?,
                Next::AwaitOperator | Next::Nothing => {
                    if self.jobs.is_empty() {
                        self.finish().await?;
                    }
                    false
                }
            };
            if !goes_on {
                break;
            }
        }
        self.say_who_is_waited_for().await
    }

    fn state(&self) -> Result<&RunState, Error> {
        self.state.as_deref().ok_or_else(|| Error::new(ErrorCode::Internal, "the run has not begun"))
    }

    /// What policies see of the run.
    fn subject(&mut self) -> Result<Arc<Subject>, Error> {
        if let Some(subject) = &self.subject {
            return Ok(Arc::clone(subject));
        }
        let subject = Arc::new(if self.shared.policies.is_empty() {
            Subject::default()
        } else {
            Subject::new(self.state()?)
        });
        self.subject = Some(Arc::clone(&subject));
        Ok(subject)
    }

    /// Moves the fold and puts the events at the end of the stream.
    async fn record(&mut self, events: Vec<Event>, durability: Durability) -> Result<Appended, Error> {
        self.record_with_key(events, durability, None).await
    }

    async fn record_one(&mut self, event: Event) -> Result<(), Error> {
        self.record(vec![event], Durability::Enqueued).await.map(drop)
    }

    async fn record_with_key(
        &mut self,
        events: Vec<Event>,
        durability: Durability,
        key: Option<String>,
    ) -> Result<Appended, Error> {
        let at = self.shared.clock.now();
        self.record_at(at, events, durability, key).await
    }

    /// The pseudonym of whoever asked for the rollback, or for the run.
    fn pseudonym(&mut self) -> Result<Pseudonym, Error> {
        let name = self.state()?.rollback_by();
        if let Some((_, known)) = self.pseudonym.as_ref().filter(|(known, _)| known == name) {
            return Ok(*known);
        }
        let (name, pseudonym) = (name.to_owned(), self.shared.store.pseudonym(name));
        self.pseudonym = Some((name, pseudonym));
        Ok(pseudonym)
    }

    async fn record_at(
        &mut self,
        at: Timestamp,
        events: Vec<Event>,
        durability: Durability,
        key: Option<String>,
    ) -> Result<Appended, Error> {
        let expected = self.state.as_ref().map_or(EventSeq(0), |state| state.version);
        for event in &events {
            match &mut self.state {
                Some(state) => state.apply(at, event).map_err(defect)?,
                None => {
                    let state = RunState::begin(self.id, EventSeq(1), at, event).map_err(defect)?;
                    self.state = Some(Box::new(state));
                }
            }
        }
        let mark = if self.state()?.has_ended() { RunMark::Closed } else { RunMark::Open };
        let watched = if self.shared.observers.is_empty() { Vec::new() } else { events.clone() };
        // Whoever asks, or else in whose name it goes on: who asked for the rollback, or for the run.
        let by = match command::asker(&events) {
            Some(asker) => self.shared.store.pseudonym(asker),
            None => self.pseudonym()?,
        };
        let append = Append {
            run: self.id,
            expected,
            fence: Fence::NONE,
            events: events.into_iter().map(|event| NewEvent { at, by, event }).collect(),
            mark,
            key,
            durability,
        };
        let appended = self.shared.store.append(append).await?;
        self.known = true;
        let mut number = expected;
        for event in &watched {
            number = number.next();
            self.shared.event(self.id, number, event);
        }
        Ok(appended)
    }

    /// The run has ended, or waits for a person, or is only to be settled: all of it is made durable, and whoever
    /// waits is told.
    async fn finish(&mut self) -> Result<(), Error> {
        self.finished = true;
        self.stop_code();
        match self.last.take() {
            Some(last) => last.durable().await?,
            None => self.shared.store.flush().await?,
        }
        let state =
            self.state.take().ok_or_else(|| Error::new(ErrorCode::Internal, "the run has not begun"))?;
        self.tell(Ok(Arc::from(state)));
        Ok(())
    }

    /// Records what a run ends or stops with; [`Run::finish`] waits until it is durable.
    async fn record_end(&mut self, events: Vec<Event>) -> Result<(), Error> {
        self.last = Some(self.record(events, Durability::Barrier).await?);
        Ok(())
    }

    /// The run cannot be carried on here. The log has what happened; recovery goes on from there.
    fn halt(&mut self, error: Error) {
        if self.known && error.code() != ErrorCode::NotFound {
            tracing::error!(run = %self.id, %error, "a run stopped where it was; it is resumed from the log");
        } else {
            // There is no run; whoever asked is told why.
            tracing::debug!(run = %self.id, %error, "not a run");
        }
        self.finished = true;
        self.stop_code();
        self.tell(Err(error));
    }

    fn tell(&mut self, end: Result<Arc<RunState>, Error>) {
        let told = CoordinatorMsg::Done { run: self.id, actor: self.myself.get_id(), end };
        if self.coordinator.send_message(told).is_err() {
            tracing::debug!(run = %self.id, "the runtime is gone");
        }
        self.myself.stop(None);
    }

    fn stop_code(&mut self) {
        self.code = None;
        self.asked.clear();
        self.timers.clear();
        self.later.clear();
        self.expiries.clear();
        self.undo_waits = false;
    }

    fn effect(&self, seq: Seq, attempt: u32, direction: Direction, undo_try: u32) -> EffectId {
        EffectId { run: self.id, seq, attempt, direction, undo_try }
    }

    fn timeout_of(&self, seq: Seq) -> Duration {
        self.asked.get(&seq).map_or(DEFAULT_TIMEOUT, |asking| asking.tries.timeout)
    }
}

fn defect(illegal: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorCode::Internal, format!("the runtime has a defect: {illegal}")).with_source(illegal)
}

/// An operator's word on one action, or to try a quarantined run again.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) by: String,
    pub(crate) seq: Option<Seq>,
    pub(crate) decision: Decision,
}
