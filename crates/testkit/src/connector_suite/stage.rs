//! One world with one action in it, and the steps that the runtime takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use enact_core::action::{Doubt, Facts, Undo};
use enact_core::connector::{Cx, Surroundings, Toolbox};
use enact_core::ids::{Direction, EffectId, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::time::Timestamp;
use enact_core::{Capture, Error, Prepared, Ready, UndoAction};
use enact_store::MemoryBlobs;
use serde_json::Value;

use super::{Case, World};

/// How a check ends: what is wrong, in one sentence.
pub(super) type Outcome<T = ()> = Result<T, String>;

/// A fresh world with the action of a case, not yet asked for.
pub(super) struct Stage<W> {
    pub(super) world: W,
    pub(super) before: String,
    pub(super) action: Prepared,
    toolbox: Toolbox,
    blobs: MemoryBlobs,
    effects: AtomicU32,
}

/// An action whose intent is durable.
pub(super) struct Intended {
    pub(super) cx: Cx,
    pub(super) pre: JsonText,
    pub(super) facts: Facts,
    pub(super) ready: Ready,
}

/// A clock that stands at another time.
#[derive(Debug)]
struct Later(Timestamp);

impl Surroundings for Later {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn note(&self, _: &str) {}
}

impl<W: World> Stage<W> {
    pub(super) async fn set(case: &Case<W>, fresh: &impl AsyncFn() -> W) -> Outcome<Self> {
        let world = fresh().await;
        let toolbox = world.toolbox();
        let action = prepare(&toolbox, &case.action, &case.params)
            .map_err(|error| format!("the parameters are refused: {error}"))?;
        let before = world.observe().await;
        let (blobs, effects) = (MemoryBlobs::default(), AtomicU32::new(1));
        Ok(Self { world, before, action, toolbox, blobs, effects })
    }

    /// The context of a new intent.
    pub(super) fn cx(&self, direction: Direction, force: bool) -> Cx {
        let attempt = self.effects.fetch_add(1, Ordering::Relaxed);
        let undo_try = u32::from(direction == Direction::Undo);
        let run = RunId::from_parts(1_700_000_000_000, [7; 10]);
        let effect = EffectId { run, seq: Seq(1), attempt, direction, undo_try };
        Cx::new(effect, force, Arc::new(self.blobs.clone()))
    }

    /// Captures the action, which must be wanted and possible.
    pub(super) async fn intend(&self) -> Outcome<Intended> {
        self.intend_in(self.cx(Direction::Forward, false)).await
    }

    /// As [`Stage::intend`], an hour after all others.
    pub(super) async fn intend_later(&self) -> Outcome<Intended> {
        let cx = self.cx(Direction::Forward, false);
        let later = Later(cx.now().after(Duration::from_secs(3600)));
        self.intend_in(cx.within(Arc::new(later))).await
    }

    async fn intend_in(&self, cx: Cx) -> Outcome<Intended> {
        self.capture(&self.action, cx)
            .await
            .map_err(|error| format!("capture failed: {error}"))?
            .ok_or_else(|| "capture says that it is already done".into())
    }

    /// Captures the action and performs it.
    pub(super) async fn act(&self) -> Outcome<(JsonText, JsonText)> {
        let Intended { cx, pre, ready, .. } = self.intend().await?;
        let output = self.action.perform(&cx, ready).await;
        Ok((pre, output.map_err(|error| format!("perform failed: {error}"))?))
    }

    pub(super) async fn capture(&self, action: &Prepared, cx: Cx) -> Result<Option<Intended>, Error> {
        Ok(match action.capture(&cx).await? {
            Capture::Ready { pre, facts, ready } => Some(Intended { cx, pre, facts, ready }),
            Capture::AlreadyDone(_) => None,
        })
    }

    /// The action that undoes; an error where there is none.
    pub(super) fn undo_of(&self, pre: &JsonText, output: Option<&JsonText>) -> Outcome<Prepared> {
        let undo = self.action.undo(pre, output).map_err(|error| format!("undo failed: {error}"))?;
        match undo {
            Undo::By(UndoAction { name, params, .. }) => self
                .toolbox
                .prepare_undo(name, &params)
                .map_err(|error| format!("the undo '{name}' does not read its own parameters: {error}")),
            other => Err(format!("a reversible action is to be undone, and it says {other:?}")),
        }
    }

    /// Undoes: true where there was something to undo.
    pub(super) async fn undo(&self, undo: &Prepared, force: bool) -> Result<bool, Error> {
        match self.capture(undo, self.cx(Direction::Undo, force)).await? {
            None => Ok(false),
            Some(Intended { cx, ready, .. }) => undo.perform(&cx, ready).await.map(|_| true),
        }
    }

    /// Undoes, which must not fail, and compares the world with what it was.
    pub(super) async fn undo_all(&self, undo: &Prepared, force: bool) -> Outcome {
        self.undo(undo, force).await.map_err(|error| format!("the undo failed: {error}"))?;
        self.same_as(&self.before, "the undo").await
    }

    /// The world looks like `expected`, after `what`.
    pub(super) async fn same_as(&self, expected: &str, what: &str) -> Outcome {
        let now = self.world.observe().await;
        if now == expected {
            return Ok(());
        }
        Err(format!("after {what} the world is not as it should be; expected:\n{expected}\nfound:\n{now}"))
    }
}

/// What a probe found, as a word and an output.
pub(super) async fn probe(action: &Prepared, cx: &Cx, pre: &JsonText) -> Outcome<Doubt<JsonText>> {
    action.probe(cx, pre).await.map_err(|error| format!("the probe failed: {error}"))
}

/// The action with these parameters.
pub(super) fn prepare(toolbox: &Toolbox, action: &str, params: &Value) -> Result<Prepared, Error> {
    toolbox.prepare(action, &JsonText::encode(params)?)
}
