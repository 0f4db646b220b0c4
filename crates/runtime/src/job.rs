//! One job of a connector: an attempt of an action, the undo of one, or a probe. A job is one task: it captures,
//! waits for the intent to be durable, performs, and reports to the workflow actor. Dropped before it
//! performs, it leaves nothing.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use enact_core::Capture;
use enact_core::action::{Doubt, EffectClass, Facts};
use enact_core::blob::BlobRef;
use enact_core::connector::{Cx, Identity, Surroundings};
use enact_core::error::{Error, ErrorCode};
use enact_core::event::{ActionCall, Finding};
use enact_core::ids::{Direction, EffectId};
use enact_core::json::JsonText;
use enact_core::store::Appended;
use enact_core::time::Timestamp;
use futures::FutureExt;
use ractor::ActorRef;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::backoff::backoff;
use crate::connector_actor::Workshop;
use crate::gate::Permitted;
use crate::locks::Guard;
use crate::observe::{Note, Stage};
use crate::run::RunMsg;
use crate::shared::Shared;
use crate::under_way::Jobs;

/// How often a system that does not answer is asked what became of an intent.
const PROBE_TRIES: u32 = 5;

pub(crate) struct Job {
    pub(crate) permitted: Permitted,
    pub(crate) effect: EffectId,
    pub(crate) what: What,
    /// The key of its target, where whoever sends it has that.
    pub(crate) guard: Option<Guard>,
    pub(crate) timeout: Duration,
    pub(crate) run: ActorRef<RunMsg>,
    pub(crate) under_way: Arc<Jobs>,
    /// Whether the last word is said; a job that is dropped without it says so.
    pub(crate) told: AtomicBool,
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.told.load(Ordering::Relaxed) {
            self.say(Said::Lost);
        }
    }
}

pub(crate) enum What {
    /// Capture, intend, perform. An undo is the same, with the identity of the intent that it undoes. Where a person has to
    /// approve it, it asks for leave before each of them.
    Act { force: bool, undoes: Option<Identity>, asks: bool },
    /// Find out what became of an intent.
    Probe { pre: JsonText, identity: Identity, once: bool },
}

/// What a job says to the workflow actor.
pub(crate) struct Report {
    pub(crate) effect: EffectId,
    pub(crate) said: Said,
}

pub(crate) enum Said {
    /// May it be looked at in this system what a person has to approve? Answered where it may, or not at all.
    Begin { identity: Identity, reply: oneshot::Sender<()> },
    /// May this be performed? Answered with the intent's place in the log, or not at all.
    Intend { captured: Box<Intent>, reply: oneshot::Sender<Appended> },
    /// May this be read, as capture found it? Answered where it may, or not at all.
    Look { identity: Identity, facts: Facts, reply: oneshot::Sender<()> },
    /// Nothing happened.
    CaptureFailed(Error),
    /// The wanted state was there already.
    AlreadyDone(JsonText),
    /// A read-only action's answer.
    Read(JsonText),
    /// It was performed, or failed.
    Performed(Result<JsonText, Error>, Held),
    /// What became of an intent that was in doubt.
    Found(Finding, Held),
    /// The system did not say, and is not asked again for now: after one look, where only one was wanted, or after all.
    NotFound { error: Error, once: bool },
    /// The job is gone without an end: its connector actor was restarted.
    Lost,
}

/// What capture found, for the intent.
pub(crate) struct Intent {
    pub(crate) pre: JsonText,
    pub(crate) facts: Facts,
    pub(crate) blobs: Vec<BlobRef>,
    pub(crate) identity: Identity,
}

/// What is held until the outcome has its place in the log: first the target's key, then a permit.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) guard: Option<Guard>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Job {
    pub(crate) async fn run(mut self: Box<Self>, workshop: Arc<Workshop>) {
        let guard = match (self.guard.take(), self.permitted.lock_key()) {
            (Some(guard), _) => Some(guard),
            (None, Some(key)) => Some(workshop.shared.locks.lock(key).await),
            (None, None) => None,
        };
        let permit = Arc::clone(&workshop.permits).acquire_owned().await.ok();
        let held = Held { guard, _permit: permit };
        let force = matches!(self.what, What::Act { force: true, .. });
        let around = Around {
            shared: Arc::clone(&workshop.shared),
            effect: self.effect,
            call: Arc::clone(self.permitted.call()),
        };
        let cx = Cx::new(self.effect, force, workshop.shared.store.blobs(self.effect.run))
            .within(Arc::new(around));
        match &self.what {
            What::Act { undoes, asks, .. } => self.act(&workshop, &cx, (undoes.as_ref(), *asks), held).await,
            What::Probe { pre, identity, once, .. } => {
                self.settle(&workshop, &cx, pre, identity, *once, held).await;
            }
        }
    }

    async fn act(&self, workshop: &Workshop, cx: &Cx, (undoes, asks): (Option<&Identity>, bool), held: Held) {
        self.step(workshop, Stage::BeforeCapture);
        let prepared = self.permitted.prepared();
        if asks && !self.may_begin(workshop).await {
            return;
        }
        let due = self.due(cx);
        let looked = self.bounded(async {
            let identity = workshop.toolbox.identity().await?;
            check_identity(undoes, &identity)?;
            Ok((identity, prepared.capture(&due).await?))
        });
        let (identity, capture) = match looked.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return self.say(Said::CaptureFailed(error.left_nothing())),
            Err(broken) => return self.say(Said::CaptureFailed(broken.before_effect())),
        };
        self.step(workshop, Stage::Captured);
        let (pre, facts, ready) = match capture {
            Capture::AlreadyDone(output) => return self.say(Said::AlreadyDone(output)),
            Capture::Ready { pre, facts, ready } => (pre, facts, ready),
        };
        if prepared.spec().effect == EffectClass::ReadOnly {
            let judged = asks || !workshop.shared.policies.is_empty();
            if judged && !self.answered(|reply| Said::Look { identity, facts, reply }).await {
                return;
            }
            return self.say(match self.bounded(prepared.perform(&self.due(cx), ready)).await {
                Ok(Ok(output)) => Said::Read(output),
                Ok(Err(error)) => Said::CaptureFailed(error.left_nothing()),
                Err(broken) => Said::CaptureFailed(broken.before_effect()),
            });
        }
        let intent = Intent { pre: pre.clone(), facts, blobs: cx.kept(), identity: identity.clone() };
        if !self.intend(intent).await {
            return;
        }
        self.step(workshop, Stage::Intended);
        let outcome = match self.bounded(prepared.perform(&self.due(cx), ready)).await {
            Ok(outcome) => outcome,
            Err(broken) => Err(broken.after_intent()),
        };
        self.step(workshop, Stage::Performed);
        let doubt = matches!(&outcome, Err(error) if error.code() == ErrorCode::InDoubt);
        if !doubt {
            return self.say(Said::Performed(outcome, held));
        }
        // The key stays held: nobody else touches the target until it is known what became of it.
        self.say(Said::Performed(outcome, Held::default()));
        self.settle(workshop, cx, &pre, &identity, false, held).await;
    }

    /// Asks for leave in the very system that it is about, before anything is looked at there.
    async fn may_begin(&self, workshop: &Workshop) -> bool {
        match self.bounded(workshop.toolbox.identity()).await {
            Ok(Ok(identity)) => self.answered(|reply| Said::Begin { identity, reply }).await,
            Ok(Err(error)) => {
                self.say(Said::CaptureFailed(error.left_nothing()));
                false
            }
            Err(broken) => {
                self.say(Said::CaptureFailed(broken.before_effect()));
                false
            }
        }
    }

    /// Asks, and waits for an answer. Where there is none, this has ended.
    async fn answered<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Said) -> bool {
        let (reply, answer) = oneshot::channel();
        self.say(ask(reply));
        let answered = answer.await.is_ok();
        if !answered {
            self.told.store(true, Ordering::Relaxed);
        }
        answered
    }

    /// Asks for the intent, and waits until it is durable.
    async fn intend(&self, intent: Intent) -> bool {
        let (reply, answer) = oneshot::channel();
        self.say(Said::Intend { captured: Box::new(intent), reply });
        match answer.await {
            // A store that does not make it durable has stopped or taken it back; the workflow actor learns it there
            // too.
            Ok(appended) => appended.durable().await.is_ok(),
            Err(_) => {
                self.told.store(true, Ordering::Relaxed);
                false
            }
        }
    }

    async fn settle(
        &self,
        workshop: &Workshop,
        cx: &Cx,
        pre: &JsonText,
        identity: &Identity,
        once: bool,
        held: Held,
    ) {
        let tries = if once { 1 } else { PROBE_TRIES };
        let mut tried = 0;
        loop {
            tried += 1;
            self.step(workshop, Stage::BeforeProbe);
            let error = match self.probe(workshop, cx, pre, identity).await {
                Ok(finding) => return self.say(Said::Found(finding, held)),
                Err(error) => error,
            };
            tracing::warn!(effect = %self.effect, %error, tried, "the outcome of an intent is not known yet");
            if tried >= tries {
                return self.say(Said::NotFound { error, once });
            }
            tokio::time::sleep(backoff(tried, &error, &*workshop.shared.clock)).await;
        }
    }

    async fn probe(
        &self,
        workshop: &Workshop,
        cx: &Cx,
        pre: &JsonText,
        identity: &Identity,
    ) -> Result<Finding, Error> {
        let due = self.due(cx);
        let asked = self.bounded(async {
            let found = workshop.toolbox.identity().await?;
            if let Err(other) = check_identity(Some(identity), &found) {
                return Ok(Doubt::Unknown(other.message().to_owned()));
            }
            self.permitted.prepared().probe(&due, pre).await
        });
        match asked.await {
            Ok(Ok(Doubt::Applied(output))) => Ok(Finding::Applied(output)),
            Ok(Ok(Doubt::NotApplied)) => Ok(Finding::NotApplied),
            Ok(Ok(Doubt::Unknown(seen))) => Ok(Finding::Unknown(seen)),
            Ok(Err(error)) => Err(error),
            Err(broken) => Err(broken.before_effect()),
        }
    }

    /// The context of a call that begins now.
    fn due(&self, cx: &Cx) -> Cx {
        cx.clone().until(cx.now().after(self.timeout))
    }

    /// Within the time of an attempt, and with panics contained.
    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, Broken> {
        match tokio::time::timeout(self.timeout, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(panic)) => Err(Broken::Panicked(panic_text(&*panic))),
            Err(_) => Err(Broken::TimedOut(self.timeout)),
        }
    }

    fn step(&self, workshop: &Workshop, stage: Stage) {
        workshop.shared.step(self.effect, self.permitted.call(), stage);
    }

    /// The workflow actor may be gone: then the log has the intent, and recovery asks what became of it.
    fn say(&self, said: Said) {
        let goes_on = match &said {
            Said::Begin { .. } | Said::Intend { .. } | Said::Look { .. } => true,
            Said::Performed(Err(error), _) => error.code() == ErrorCode::InDoubt,
            _ => false,
        };
        self.told.store(!goes_on, Ordering::Relaxed);
        let report = Report { effect: self.effect, said };
        if self.run.send_message(RunMsg::Report(Box::new(report))).is_err() {
            tracing::debug!(effect = %self.effect, "nobody waits for this report; recovery will settle it");
        }
    }
}

/// Where a job goes on: with the runtime's clock, before its observers.
struct Around {
    shared: Arc<Shared>,
    effect: EffectId,
    call: Arc<ActionCall>,
}

impl fmt::Debug for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the runtime, for {}", self.effect)
    }
}

impl Surroundings for Around {
    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn note(&self, text: &str) {
        self.shared.note(&Note { effect: self.effect, call: &self.call, text });
    }
}

/// Work that did not come to an end of its own.
enum Broken {
    TimedOut(Duration),
    Panicked(String),
}

impl Broken {
    fn before_effect(self) -> Error {
        match self {
            Self::TimedOut(after) => {
                Error::new(ErrorCode::Timeout, format!("no answer within {after:?}; nothing was changed"))
                    .retryable()
                    .left_nothing()
            }
            Self::Panicked(text) => {
                Error::new(ErrorCode::Internal, format!("the connector panicked: {text}")).left_nothing()
            }
        }
    }

    fn after_intent(self) -> Error {
        let what = match self {
            Self::TimedOut(after) => format!("no answer within {after:?}"),
            Self::Panicked(text) => format!("the connector panicked: {text}"),
        };
        Error::new(ErrorCode::InDoubt, format!("{what}; whether it happened is being looked up"))
    }
}

fn check_identity(intended: Option<&Identity>, found: &Identity) -> Result<(), Error> {
    match intended {
        Some(intended) if intended != found => Err(Error::new(
            ErrorCode::PreconditionFailed,
            format!(
                "the connector now speaks to '{}', and the intent was made on '{}'; nothing was touched",
                found.0, intended.0
            ),
        )),
        _ => Ok(()),
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a word".to_owned())
}

/// A job that is gone without an end and without an intent.
pub(crate) fn lost() -> Error {
    Error::new(ErrorCode::Unavailable, "the connector was restarted before it came to act")
        .retryable()
        .left_nothing()
}

/// Whether the job is an undo.
pub(crate) fn is_undo(effect: &EffectId) -> bool {
    effect.direction == Direction::Undo
}
