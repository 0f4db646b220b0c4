//! Whether a workflow's code still asks for what the log says that it asked for.
//!
//! The run's actor looks each call up here before it goes to the world, and [`Replay`] carries out code against a
//! recorded run alone, with no world at all. Both use [`look_up`], so what a replay finds is what a
//! resumed run would meet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use enact_core::connector::Toolbox;
use enact_core::error::{Error, ErrorCode};
use enact_core::event::{ActionCall, Event, StoredEvent};
use enact_core::ids::{CallPath, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::run::{ActionEnd, Call as Known, Phase, RunState};
use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::cx::{Acted, Desk, WorkflowCx, stopped};
use crate::history;
use crate::job::panic_text;
use crate::run::{Ask, AskedAction, Call, Reply};
use crate::workflow::{DynWorkflow, Workflow, erase};

/// Code that asks for something else than the log holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Divergence {
    /// The run.
    pub run: RunId,
    /// The call; `None` where it is about the end of the run or its input.
    pub path: Option<CallPath>,
    /// What the log holds.
    pub recorded: String,
    /// What the code does.
    pub now: String,
}

impl Divergence {
    pub(crate) fn at(state: &RunState, path: &CallPath, now: String) -> Self {
        Self { run: state.id, path: Some(path.clone()), recorded: describe_known(state, path), now }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the workflow does not match its history")?;
        if let Some(path) = &self.path {
            write!(f, " at call {path}")?;
        }
        write!(f, ": recorded is {}; now the code {}", self.recorded, self.now)
    }
}

impl std::error::Error for Divergence {}

impl From<Divergence> for Error {
    fn from(divergence: Divergence) -> Self {
        let message = format!(
            "{divergence}. Register the version that the run was started with and resume it, or roll it back"
        );
        Self::new(ErrorCode::Conflict, message)
    }
}

/// What the log holds at the place of a call.
pub(crate) enum Recorded {
    /// Nothing: the code is beyond what is recorded.
    Nothing,
    /// The call, and no answer to it yet.
    Unanswered,
    /// The call and its answer.
    Answered(Result<Reply, Error>),
    /// Another call.
    Other(Divergence),
}

/// Looks up what is recorded of a call. Parameters are compared as the types of `toolbox` read them today.
pub(crate) fn look_up(state: &RunState, toolbox: Option<&Toolbox>, path: &CallPath, call: &Call) -> Recorded {
    match (call, state.calls.get(path)) {
        (_, None) => Recorded::Nothing,
        (Call::Action(asked), Some(Known::Action(seq))) => match state.actions.get(seq) {
            None => Recorded::Nothing,
            Some(known) if !is_same(toolbox, &known.call, asked) => other(state, path, call),
            Some(known) => known.end.as_ref().map_or(Recorded::Unanswered, |end| answered(*seq, end)),
        },
        (Call::Sleep(_), Some(Known::Timer { fired: true, .. })) => Recorded::Answered(Ok(Reply::Awake)),
        (Call::Sleep(_), Some(Known::Timer { fired: false, .. })) => Recorded::Unanswered,
        (Call::Now | Call::Random, Some(Known::Value { what, value })) if what == value_name(call) => {
            Recorded::Answered(Ok(Reply::Value(value.clone())))
        }
        (_, Some(_)) => other(state, path, call),
    }
}

fn other(state: &RunState, path: &CallPath, call: &Call) -> Recorded {
    Recorded::Other(Divergence::at(state, path, describe(call)))
}

/// What an action gave the code.
pub(crate) fn answer_of(seq: Seq, end: &ActionEnd) -> Result<Reply, Error> {
    match end.result() {
        Ok(output) => Ok(Reply::Acted(Acted {
            seq,
            already_done: matches!(end, ActionEnd::AlreadyDone(_)),
            output: output.clone(),
        })),
        Err(error) => Err(error.clone().into()),
    }
}

fn answered(seq: Seq, end: &ActionEnd) -> Recorded {
    Recorded::Answered(answer_of(seq, end))
}

/// Under which name a value that the code is given is recorded.
pub(crate) fn value_name(call: &Call) -> &'static str {
    match call {
        Call::Now => "now",
        Call::Random => "random",
        Call::Action(_) | Call::Sleep(_) => "",
    }
}

fn is_same(toolbox: Option<&Toolbox>, recorded: &ActionCall, asked: &AskedAction) -> bool {
    if recorded.connector != asked.connector || recorded.action != asked.action {
        return false;
    }
    if recorded.params.means(&asked.params) {
        return true;
    }
    let Some(toolbox) = toolbox else { return false };
    let read = |params| toolbox.prepare(&asked.action, params).map(|read| read.params().clone());
    match (read(&recorded.params), read(&asked.params)) {
        (Ok(then), Ok(now)) => then.means(&now),
        _ => false,
    }
}

fn describe_known(state: &RunState, path: &CallPath) -> String {
    match state.calls.get(path) {
        Some(Known::Action(seq)) => state.actions.get(seq).map_or_else(String::new, |action| {
            let call = &action.call;
            format!("{}.{} with {}", call.connector, call.action, short(&call.params))
        }),
        Some(Known::Timer { due, .. }) => format!("a sleep until {due}"),
        Some(Known::Value { what, .. }) => format!("a recorded value ({what})"),
        None => "nothing".to_owned(),
    }
}

fn describe(call: &Call) -> String {
    match call {
        Call::Action(action) => {
            format!("asks for {}.{} with {}", action.connector, action.action, short(&action.params))
        }
        Call::Sleep(how_long) => format!("sleeps for {how_long:?}"),
        Call::Now => "asks for the time".to_owned(),
        Call::Random => "asks for a random number".to_owned(),
    }
}

pub(crate) fn describe_end(end: &Result<JsonText, Error>) -> String {
    match end {
        Ok(_) => "ended normally".to_owned(),
        Err(error) => format!("ended with: {error}"),
    }
}

/// Enough of parameters to recognise them.
fn short(params: &JsonText) -> String {
    const ENOUGH: usize = 200;
    let text = params.as_str();
    if text.chars().count() <= ENOUGH {
        return text.to_owned();
    }
    let begin: String = text.chars().take(ENOUGH).collect();
    format!("{begin}…")
}

/// A run as it was recorded: all of its events, from the first, or the first so many of them. Clones are cheap.
#[derive(Clone, Debug)]
pub struct RecordedRun {
    state: Arc<RunState>,
    end: Option<CodeEnd>,
    events: Arc<[StoredEvent]>,
}

/// How the code of a run ended.
#[derive(Clone, PartialEq, Eq, Debug)]
enum CodeEnd {
    Normally,
    With(String),
    /// A policy refused the run before its code was asked.
    NeverBegan,
}

impl RecordedRun {
    /// Reads a run from its events.
    ///
    /// # Errors
    /// `invalid_parameters`, where there are none; `internal`, where they are not those of one run in their order.
    pub fn new(events: Vec<StoredEvent>) -> Result<Self, Error> {
        let (mut state, mut end) = (None, None);
        for event in &events {
            let before = state.as_ref().map(|state: &RunState| state.phase);
            state = Some(history::step(state, event)?);
            end = end.or_else(|| code_end(before, &event.event));
        }
        let none = || Error::new(ErrorCode::InvalidParameters, "a recorded run has at least one event");
        Ok(Self { state: Arc::new(state.ok_or_else(none)?), end, events: events.into() })
    }

    /// The run.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.state.id
    }

    /// Its state after the last event.
    #[must_use]
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Its events.
    #[must_use]
    pub fn events(&self) -> &[StoredEvent] {
        &self.events
    }

    fn divergence(&self, path: Option<CallPath>, recorded: String, now: String) -> Divergence {
        Divergence { run: self.state.id, path, recorded, now }
    }

    fn describe_end(&self) -> String {
        match &self.end {
            Some(CodeEnd::Normally) => "a normal end".to_owned(),
            Some(CodeEnd::With(error)) => format!("an end with: {error}"),
            Some(CodeEnd::NeverBegan) | None => "no end".to_owned(),
        }
    }
}

fn code_end(before: Option<Phase>, event: &Event) -> Option<CodeEnd> {
    match event {
        Event::RunBlocked(_) if before != Some(Phase::Running) => Some(CodeEnd::NeverBegan),
        Event::RunBlocked(blocked) => Some(CodeEnd::With(blocked.error.to_string())),
        Event::RunFailed(failed) => Some(CodeEnd::With(failed.error.to_string())),
        Event::RunSucceeded(_) => Some(CodeEnd::Normally),
        _ => None,
    }
}

/// Carries out a workflow's code against recorded runs: every call is answered from the record, and nothing is
/// performed. It says whether runs that were started with the code as it was can be carried on with the code as
/// it is.
///
/// The same calls at the same places, and the same kind of end, are a match; the text of an error and the output
/// may change. Code that goes beyond the record of a run that has not ended matches.
pub struct Replay {
    workflow: Arc<dyn DynWorkflow>,
    toolboxes: BTreeMap<String, Arc<Toolbox>>,
}

impl Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").field("workflow", &self.workflow).field("with", &self.toolboxes).finish()
    }
}

impl Replay {
    /// Of a workflow written in Rust.
    pub fn of<W: Workflow>(workflow: W) -> Self {
        Self::of_dyn(erase(workflow))
    }

    /// Of any workflow.
    #[must_use]
    pub fn of_dyn(workflow: Arc<dyn DynWorkflow>) -> Self {
        Self { workflow, toolboxes: BTreeMap::new() }
    }

    /// The workflow.
    #[must_use]
    pub fn workflow(&self) -> &dyn DynWorkflow {
        &*self.workflow
    }

    /// Compares what the workflow asks of a connector as the connector's actions read it. Needed where it asks in
    /// JSON, as declarative workflows do, or where a field was added to an action; without it, parameters have to be
    /// the same JSON. Nothing is asked of the connector itself.
    #[must_use]
    pub fn connector(mut self, name: impl Into<String>, toolbox: Toolbox) -> Self {
        self.toolboxes.insert(name.into(), Arc::new(toolbox));
        self
    }

    /// Whether the code matches a recorded run.
    ///
    /// # Errors
    /// The first call at which it does not, with both sides.
    pub fn check(&self, run: &RecordedRun) -> Result<(), Divergence> {
        if run.end == Some(CodeEnd::NeverBegan) {
            return Ok(());
        }
        let input = run.state.accepted.input.clone();
        if let Err(error) = self.workflow.check_input(&input) {
            let now = format!("does not read it: {error}");
            return Err(run.divergence(None, format!("the input {}", short(&input)), now));
        }
        let desk = Arc::new(Recording {
            toolboxes: self.toolboxes.clone(),
            run: run.clone(),
            met: Mutex::default(),
        });
        let cx = WorkflowCx::new(
            Arc::clone(&desk) as Arc<dyn Desk>,
            run.state.id,
            Arc::clone(&run.state.accepted),
        );
        let code = std::panic::AssertUnwindSafe(self.workflow.run(&cx, input)).catch_unwind();
        let end = until_it_waits(code).map(|end| {
            end.unwrap_or_else(|panic| {
                Err(Error::new(ErrorCode::Internal, format!("a panic: {}", panic_text(&*panic))))
            })
        });
        let met = std::mem::take(&mut *desk.met.lock());
        match met.diverged {
            Some(divergence) => Err(divergence),
            None => compare_ends(run, &met.asked, end.as_ref()),
        }
    }
}

/// The code did not ask for anything else; it may have asked for less, or ended otherwise.
fn compare_ends(
    run: &RecordedRun,
    asked: &BTreeSet<CallPath>,
    end: Option<&Result<JsonText, Error>>,
) -> Result<(), Divergence> {
    let now = end.map_or_else(|| "waits for something else".to_owned(), describe_end);
    if let Some(path) = run.state.calls.keys().find(|path| !asked.contains(*path)) {
        return Err(run.divergence(Some(path.clone()), describe_known(&run.state, path), now));
    }
    let matches = match (&run.end, end) {
        (None | Some(CodeEnd::NeverBegan), _) => true,
        (Some(CodeEnd::Normally), end) => matches!(end, Some(Ok(_))),
        (Some(CodeEnd::With(_)), end) => matches!(end, Some(Err(_))),
    };
    if matches { Ok(()) } else { Err(run.divergence(None, run.describe_end(), now)) }
}

/// Answers from the record alone. What is not in it is not answered.
struct Recording {
    toolboxes: BTreeMap<String, Arc<Toolbox>>,
    run: RecordedRun,
    met: Mutex<Met>,
}

#[derive(Default)]
struct Met {
    asked: BTreeSet<CallPath>,
    diverged: Option<Divergence>,
    unanswered: Vec<oneshot::Sender<Result<Reply, Error>>>,
}

impl Desk for Recording {
    fn connector_kind(&self, name: &str) -> Result<Option<&'static str>, Error> {
        Ok(self.toolboxes.get(name).map(|toolbox| toolbox.kind()))
    }

    fn ask(&self, ask: Ask) -> Result<(), Error> {
        let Ask { path, call, reply } = ask;
        let mut met = self.met.lock();
        if met.diverged.is_some() {
            return Err(stopped());
        }
        met.asked.insert(path.clone());
        let toolbox = match &call {
            Call::Action(action) => self.toolboxes.get(&action.connector).map(|toolbox| &**toolbox),
            _ => None,
        };
        match look_up(&self.run.state, toolbox, &path, &call) {
            Recorded::Answered(answer) => return reply.send(answer).map_err(|_| stopped()),
            Recorded::Other(divergence) => met.diverged = Some(divergence),
            Recorded::Nothing if self.run.end.is_some() => {
                let recorded = self.run.describe_end();
                met.diverged = Some(self.run.divergence(Some(path), recorded, describe(&call)));
            }
            Recorded::Nothing | Recorded::Unanswered => {}
        }
        met.unanswered.push(reply);
        Ok(())
    }
}

/// Polls until there is an end, or until nothing but what is not recorded could wake it.
fn until_it_waits<T>(code: impl Future<Output = T>) -> Option<T> {
    let mut code = pin!(code);
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    while woken.0.swap(false, Ordering::Relaxed) {
        if let Poll::Ready(end) = code.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(end);
        }
    }
    None
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
