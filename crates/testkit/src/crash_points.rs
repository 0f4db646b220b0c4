//! A workflow with a crash at each of its steps.
//!
//! [`check`] carries out a run and its rollback once undisturbed and counts the moments: each step of each action
//! and each event. Then it does so again for every moment, in a fresh place each time, and ends that life there: what
//! was not durable is lost, what happened outside stays. A new life on the same place and log takes the run up.
//! Afterwards the place looks as if there had been no crash, and after the rollback as if there had been no run.
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
use enact_core::event::Event;
use enact_core::ids::{EventSeq, RunId};
use enact_core::run::RunStatus;
use enact_core::store::EventStore;
use enact_runtime::{Builder, Enact, Observer, RollbackOptions, Run, RunRequest, Step};
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
}

/// Runs what is asked for, and undoes it, with a crash at every moment. Every place that `fresh` makes must look the
/// same. Gives the number of moments.
///
/// It has threads and an async runtime of its own, and blocks until it is done.
///
/// # Panics
/// Where an effect is lost, doubled or left behind: names the moment, and what was seen.
pub fn check<P: Place>(request: &RunRequest, fresh: impl Fn() -> P) -> usize {
    let undisturbed = in_order(request, &fresh()).unwrap_or_else(|wrong| fail(None, &wrong));
    let moments = undisturbed.moments;
    for at in 1..=moments {
        crash_at(at, request, &fresh(), &undisturbed).unwrap_or_else(|wrong| fail(Some(at), &wrong));
    }
    moments
}

#[expect(clippy::panic, reason = "a check of a test fails as tests do")]
fn fail(at: Option<usize>, wrong: &str) -> ! {
    match at {
        None => panic!("without any crash: {wrong}"),
        Some(at) => panic!("with a crash at moment {at}: {wrong}"),
    }
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
        let enact = start(place, &watch.store, Some(watch.clone())).await?;
        let run = enact.run_to_end(request.clone()).await.map_err(|error| format!("the run: {error}"))?;
        let (status, after) = (run.status(), place.observe().await);
        roll_back(&enact, place, run.id, &before).await?;
        let moments = watch.life.lock().moments;
        if moments > MAX_MOMENTS {
            return Err(format!("{moments} moments are more than {MAX_MOMENTS}; test a smaller workflow"));
        }
        Ok(Undisturbed { moments, status, before, after })
    })
}

fn crash_at<P: Place>(at: usize, request: &RunRequest, place: &P, was: &Undisturbed) -> Result<(), String> {
    let watch = Watch::new(MemoryStore::new(), at);
    life(async || {
        let enact = start(place, &watch.store, Some(watch.clone())).await?;
        let whole = pin!(async {
            // A life that is cut off ends in an error, wherever it is.
            if let Ok(run) = enact.run_to_end(request.clone()).await {
                drop(enact.rollback(run.id, RollbackOptions::by("crash-points")).await);
            }
        });
        let crash = pin!(watch.ended.notified());
        let reached = async {
            if let Either::Left(((), crash)) = select(whole, crash).await {
                crash.await;
            }
        };
        tokio::time::timeout(LIFE, reached).await.map_err(|_| "the moment was not reached".to_owned())
    })?;
    let moment = watch.describe();
    let left = watch.life.lock().left.take().ok_or("nothing is left of the log")?;
    life(async || take_up(place, &left, was).await.map_err(|wrong| format!("({moment}) {wrong}")))
}

/// What the next life makes of what is left.
async fn take_up<P: Place>(place: &P, left: &MemoryStore, was: &Undisturbed) -> Result<(), String> {
    let enact = start(place, left, None).await?;
    let runs = left.runs(None, 2).await.map_err(|error| error.to_string())?;
    let Some(run) = runs.first().copied() else {
        return same("no run is recorded, so there is no effect", &was.before, &place.observe().await);
    };
    let run = enact.wait(run).await.map_err(|error| format!("the recovered run: {error}"))?;
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

async fn start<P: Place>(place: &P, store: &MemoryStore, watch: Option<Watch>) -> Result<Enact, String> {
    let builder = place.runtime().store(Arc::new(store.clone()));
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

    fn describe(&self) -> String {
        self.life.lock().moment.clone()
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
