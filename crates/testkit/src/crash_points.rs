//! A workflow with a crash at each of its steps.
//!
//! [`check`] carries out a run and its rollback once undisturbed and counts the moments: each step of each action
//! and each event. Then it does so again for every moment, in a fresh place each time, and ends that life there: what
//! was not durable is lost, what happened outside stays. A new life on the same place and log takes the run up.
//! Afterwards the place looks as if there had been no crash, and after the rollback as if there had been no run. And
//! once more for every moment: the new life does not go on with the run, and rolls it back at once.
//!
//! It knows the runtime by its public door only, and nothing of the connectors: a place is whatever its owner says
//! that it looks like. What is to be seen of a doubled effect must be in that: a counter, a list of messages.
//!
//! The log is in memory; that the store on disk keeps what is durable is tested with the store.

use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use enact_core::error::Error;
use enact_core::event::{ApprovalRequested, Event};
use enact_core::ids::{EventSeq, RunId};
use enact_core::run::RunStatus;
use enact_core::store::EventStore;
use enact_runtime::{Builder, Enact, Observer, Recovery, RollbackOptions, Run, RunRequest, Step};
use enact_store::MemoryStore;
use futures::future::{Either, select};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The most moments that are tried; a workflow with more is cut into smaller ones.
pub const MAX_MOMENTS: usize = 10_000;

/// How long a life may take before it counts as hanging.
const LIFE: Duration = Duration::from_secs(60);

/// Where a workflow acts: connectors to a part of the outside world, and a way to look at it.
pub trait Place: Sync {
    /// The runtime as in production: connectors on this place, policies, workflows. The store is set by the check.
    fn runtime(&self) -> Builder;

    /// All of the place that actions may change, in words that can be compared and read. What undo does not
    /// promise to restore does not belong in it, nor what differs from run to run.
    fn observe(&self) -> impl Future<Output = String> + Send;

    /// The runtime of the life that rolls the run back at once, where that is another one, such as one with other
    /// policies: what was done can be undone whatever they say.
    fn runtime_to_roll_back(&self) -> Builder {
        self.runtime()
    }

    /// What [`BOSS`] says where the run waits for a person's approval: yes, where it is not said.
    fn approves(&self, _: &ApprovalRequested) -> bool {
        true
    }
}

/// Who says yes or no where a run waits for an approval.
pub const BOSS: &str = "boss@crash-points.example";

/// Runs what is asked for, and undoes it, with a crash at every moment, after which the run is carried on, and again
/// with one after which it is rolled back at once. Every place that `fresh` makes must look the same. Gives the number
/// of moments.
///
/// It has threads and an async runtime of its own, and blocks until it is done.
///
/// # Panics
/// Where an effect is lost, doubled or left behind: names the moment, and what was seen.
pub fn check<P: Place>(request: &RunRequest, fresh: impl Fn() -> P) -> usize {
    let undisturbed = in_order(request, &fresh()).unwrap_or_else(|wrong| fail(&[], &wrong));
    for at in 1..=undisturbed.moments {
        for then in [Then::Resume, Then::RollBack] {
            let reached = crash_at(&[at], then, request, &fresh(), &undisturbed);
            if !reached.unwrap_or_else(|wrong| fail(&[at], &wrong)) {
                fail(&[at], "the moment was not reached");
            }
        }
    }
    undisturbed.moments
}

/// As [`check`], with a second crash at every moment of the life that takes the run up. Takes as many lives as the
/// square of the moments.
///
/// # Panics
/// As [`check`].
pub fn check_twice<P: Place>(request: &RunRequest, fresh: impl Fn() -> P) -> usize {
    let undisturbed = in_order(request, &fresh()).unwrap_or_else(|wrong| fail(&[], &wrong));
    let mut crashes = 0;
    for first in 1..=undisturbed.moments {
        for second in 1..=MAX_MOMENTS {
            let points = [first, second];
            let reached = crash_at(&points, Then::Resume, request, &fresh(), &undisturbed);
            if !reached.unwrap_or_else(|wrong| fail(&points, &wrong)) {
                break;
            }
            crashes += 1;
        }
    }
    crashes
}

#[expect(clippy::panic, reason = "a check of a test fails as tests do")]
fn fail(points: &[usize], wrong: &str) -> ! {
    match points {
        [] => panic!("without any crash: {wrong}"),
        [at] => panic!("with a crash at moment {at}: {wrong}"),
        points => panic!("with crashes at moments {points:?}, each of its own life: {wrong}"),
    }
}

/// What the life after the crashes does with the run.
#[derive(Clone, Copy)]
enum Then {
    /// Carries it on, and rolls it back when it has ended.
    Resume,
    /// Rolls it back from where it is.
    RollBack,
}

/// How it is without a crash.
struct Undisturbed {
    moments: usize,
    status: RunStatus,
    before: String,
    after: String,
}

fn in_order<P: Place>(request: &RunRequest, place: &P) -> Result<Undisturbed, String> {
    let watch = Watch::new(MemoryStore::new(), usize::MAX);
    life(async || {
        let before = place.observe().await;
        let enact = start(place, &watch.store, Some(watch.clone()), Then::Resume).await?;
        let run = decided(&enact, place, enact.run_to_end(request.clone()).await).await;
        let run = run.map_err(|error| format!("the run: {error}"))?;
        let (status, after) = (run.status(), place.observe().await);
        roll_back(&enact, place, run.id, &before).await?;
        let moments = watch.life.lock().moments;
        if moments > MAX_MOMENTS {
            return Err(format!("{moments} moments are more than {MAX_MOMENTS}; test a smaller workflow"));
        }
        Ok(Undisturbed { moments, status, before, after })
    })
}

/// Lives that end at these moments, one after the other, and one that does not. False where one of them came to its
/// end before its moment.
fn crash_at<P: Place>(
    points: &[usize],
    then: Then,
    request: &RunRequest,
    place: &P,
    was: &Undisturbed,
) -> Result<bool, String> {
    let (mut log, mut moments) = (MemoryStore::new(), Vec::new());
    for at in points {
        let watch = Watch::new(log, *at);
        life(async || live_until(&watch, request, place).await)?;
        let ended = std::mem::take(&mut *watch.life.lock());
        let Some(left) = ended.left else { return Ok(false) };
        log = left;
        moments.push(ended.moment);
    }
    let taken_up = life(async || take_up(place, &log, then, was).await);
    taken_up.map_err(|wrong| format!("({}) {wrong}", moments.join("; then ")))?;
    Ok(true)
}

/// Runs what is asked for, or goes on with what the log has, and undoes it: to its end, or to the crash.
async fn live_until<P: Place>(watch: &Watch, request: &RunRequest, place: &P) -> Result<(), String> {
    let whole = pin!(async {
        let enact = start(place, &watch.store, Some(watch.clone()), Then::Resume).await?;
        let known = enact.store().runs(None, 1).await.map_err(|error| error.to_string())?;
        let run = match known.first() {
            Some(run) => enact.wait(*run).await,
            None => enact.run_to_end(request.clone()).await,
        };
        let run = decided(&enact, place, run).await.map_err(|error| error.to_string())?;
        let options = RollbackOptions::by("crash-points");
        enact.rollback(run.id, options).await.map(drop).map_err(|error| error.to_string())
    });
    let crash = pin!(watch.ended.notified());
    let Ok(end) = tokio::time::timeout(LIFE, select(whole, crash)).await else {
        return Err(format!("neither the end nor the crash came within {LIFE:?}"));
    };
    match end {
        // A life that is cut off may end in an error, wherever it is.
        Either::Left((Err(wrong), _)) if watch.life.lock().left.is_none() => Err(wrong),
        Either::Left(_) | Either::Right(_) => Ok(()),
    }
}

/// What the next life makes of what is left.
async fn take_up<P: Place>(
    place: &P,
    left: &MemoryStore,
    then: Then,
    was: &Undisturbed,
) -> Result<(), String> {
    let enact = start(place, left, None, then).await?;
    let runs = left.runs(None, 2).await.map_err(|error| error.to_string())?;
    let Some(run) = runs.first().copied() else {
        return same("no run is recorded, so there is no effect", &was.before, &place.observe().await);
    };
    if matches!(then, Then::RollBack) {
        let undone = roll_back(&enact, place, run, &was.before).await;
        return undone.map_err(|wrong| format!("rolled back at once: {wrong}"));
    }
    let run = decided(&enact, place, enact.wait(run).await).await;
    let run = run.map_err(|error| format!("the recovered run: {error}"))?;
    let now = place.observe().await;
    if run.status() == was.status {
        same("the recovered run did what it does without a crash", &was.after, &now)?;
    } else if run.status() == RunStatus::RolledBack {
        same("the recovered rollback left nothing", &was.before, &now)?;
    } else {
        return Err(format!("the recovered run should be {}, and {}", was.status, describe(&run)));
    }
    roll_back(&enact, place, run.id, &was.before).await
}

/// The run, when nothing of it waits for an approval any more.
async fn decided<P: Place>(enact: &Enact, place: &P, run: Result<Run, Error>) -> Result<Run, Error> {
    let mut run = run?;
    while run.status() == RunStatus::AwaitingApproval {
        let Some(open) = run.state().open_approvals().next() else { break };
        let seq = open.seq();
        run = match place.approves(&open.request) {
            true => enact.approve(run.id, seq, BOSS).await?,
            false => enact.deny(run.id, seq, BOSS, None).await?,
        };
    }
    Ok(run)
}

async fn roll_back<P: Place>(enact: &Enact, place: &P, run: RunId, before: &str) -> Result<(), String> {
    let undone = enact.rollback(run, RollbackOptions::by("crash-points")).await;
    let undone = undone.map_err(|error| format!("the rollback: {error}"))?;
    // A run that was refused before any effect stays as it is.
    if ![RunStatus::RolledBack, RunStatus::Blocked].contains(&undone.status()) {
        return Err(format!("the rollback should leave nothing, and {}", describe(&undone)));
    }
    same("the rollback left nothing", before, &place.observe().await)
}

fn same(what: &str, expected: &str, found: &str) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!("it does not hold that {what}; expected:\n{expected}\nfound:\n{found}"))
}

fn describe(run: &Run) -> String {
    let error = run.state().error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
    format!("it is {}{error}", run.status())
}

async fn start<P: Place>(
    place: &P,
    store: &MemoryStore,
    watch: Option<Watch>,
    then: Then,
) -> Result<Enact, String> {
    let builder = match then {
        Then::Resume => place.runtime(),
        Then::RollBack => place.runtime_to_roll_back().recovery(Recovery::OnRequest),
    };
    let builder = builder.store(Arc::new(store.clone()));
    let builder = match watch {
        Some(watch) => builder.observer(watch),
        None => builder,
    };
    builder.start().await.map_err(|error: Error| format!("the runtime does not start: {error}"))
}

/// One life: a thread and an async runtime that end with it, and with them all that was under way.
fn life<T: Send>(work: impl AsyncFnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    let alive = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| format!("no async runtime: {error}"))?.block_on(work())
    };
    std::thread::scope(|scope| scope.spawn(alive).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

/// Counts moments, and ends a life at one of them.
#[derive(Clone)]
struct Watch {
    at: usize,
    store: MemoryStore,
    life: Arc<Mutex<Life>>,
    ended: Arc<Notify>,
}

#[derive(Default)]
struct Life {
    moments: usize,
    /// What the crash left of the log, and where it struck.
    left: Option<MemoryStore>,
    moment: String,
}

impl Watch {
    fn new(store: MemoryStore, at: usize) -> Self {
        Self { at, store, life: Arc::default(), ended: Arc::default() }
    }

    /// The step that meets the crash does not go on. Nor does anything else that needs the log: this life has none
    /// any more.
    fn moment(&self, what: impl fmt::Display) {
        {
            let mut life = self.life.lock();
            life.moments += 1;
            if life.moments != self.at {
                return;
            }
            life.moment = what.to_string();
            life.left = Some(self.store.crash());
        }
        self.ended.notify_one();
        // Not a panic that is worth a report: the process is gone.
        resume_unwind(Box::new("crash point"));
    }
}

impl Observer for Watch {
    fn on_step(&self, step: &Step<'_>) {
        let (stage, call) = (step.stage, step.call);
        self.moment(format_args!("{stage:?} of {}.{}, {}", call.connector, call.action, step.effect));
    }

    fn on_event(&self, _: RunId, event_seq: EventSeq, event: &Event) {
        self.moment(format_args!("event {event_seq}, {}", event.name()));
    }
}
