//! Watching actions as they happen: progress for people, crash points for tests.

use enact_core::event::{ActionCall, Event};
use enact_core::ids::EffectId;
use enact_core::ids::{EventSeq, RunId};

/// Told of each step of each action, in the task that takes the step. What it does delays that step; it cannot
/// change it.
pub trait Observer: Send + Sync + 'static {
    /// A step of an intent was taken.
    fn on_step(&self, step: &Step<'_>) {
        let _: &Step<'_> = step;
    }

    /// A connector says why it takes long. Nothing of it is recorded.
    fn on_note(&self, note: &Note<'_>) {
        let _: &Note<'_> = note;
    }

    /// An event has its place in the log; it may not be durable yet.
    fn on_event(&self, run: RunId, event_seq: EventSeq, event: &Event) {
        let _: (RunId, EventSeq, &Event) = (run, event_seq, event);
    }
}

/// A step of an intent.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Which intent: run, action, attempt, forward or undo.
    pub effect: EffectId,
    /// The action as it was asked for; for an undo, the action that is undone.
    pub call: &'a ActionCall,
    /// The step.
    pub stage: Stage,
}

/// What a connector says while it works on an intent.
#[derive(Clone, Copy, Debug)]
pub struct Note<'a> {
    /// Which intent: run, action, attempt, forward or undo.
    pub effect: EffectId,
    /// The action as it was asked for; for an undo, the action that is undone.
    pub call: &'a ActionCall,
    /// A few words for people.
    pub text: &'a str,
}

/// The steps of an intent, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// Capture comes next.
    BeforeCapture,
    /// The state before is captured; nothing is recorded.
    Captured,
    /// The intent is durable; the effect comes next.
    Intended,
    /// The effect was made, or failed; nothing of that is recorded.
    Performed,
    /// A probe comes next.
    BeforeProbe,
}
