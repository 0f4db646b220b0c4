//! What would make an action impossible to record, to probe or to undo is found out before it is performed.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::io::{self, Read};
use std::sync::Arc;

use enact_core::action::{Action, Captured, Doubt, EffectClass, Facts, Left, LockKey, NoUndo, Target, Undo};
use enact_core::blob::{BlobRef, BlobStore};
use enact_core::connector::{ActionSet, Allow, ConfigEnv, Connector, Cx, Identity, Perform};
use enact_core::error::{Error, ErrorCode};
use enact_core::ids::{Direction, EffectId, RunId, Seq};
use enact_core::json::{JsonText, MAX_DEPTH};
use enact_core::{Capture, Prepared};
use futures::FutureExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug)]
struct Odd;

/// What its capture gives.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Change {
    Plain { note: Option<()> },
    Unreadable {},
    DeepFacts {},
    AsDeepAs(usize),
}

/// Infinity is written as `null`, which is no number.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    size: f64,
    value: Value,
}

impl Action for Change {
    const NAME: &'static str = "change";
    const EFFECT: EffectClass = EffectClass::Irreversible;
    const REVERSAL: &'static str = "none";
    type Output = Value;
    type PreState = Before;
    type Undo = NoUndo;

    fn target(&self) -> Target {
        Target::new("thing", "odd")
    }

    fn lock(&self) -> Option<LockKey> {
        None
    }
}

impl Connector for Odd {
    const KIND: &'static str = "odd";
    type Config = ();

    fn open((): (), _: &ConfigEnv<'_>) -> Result<Self, Error> {
        Ok(Self)
    }

    fn actions(set: &mut ActionSet<Self>) {
        set.add::<Change>();
    }

    async fn identity(&self) -> Result<Identity, Error> {
        Ok(Identity("odd".into()))
    }
}

impl Perform<Change> for Odd {
    type Held = ();

    async fn capture(&self, _: &Cx, change: &Change) -> Result<Captured<Change, ()>, Error> {
        let mut pre = Before { size: 1.0, value: Value::Null };
        let mut facts = Facts::new();
        match change {
            Change::Plain { .. } => {}
            Change::Unreadable {} => pre.size = f64::INFINITY,
            Change::DeepFacts {} => drop(facts.insert("deep".into(), nested(MAX_DEPTH))),
            Change::AsDeepAs(depth) => pre.value = nested(*depth),
        }
        Ok(Captured::Ready { pre, facts, held: () })
    }

    async fn perform(&self, _: &Cx, _: &Change, _: &Before, (): ()) -> Result<Value, Error> {
        Ok(nested(MAX_DEPTH + 1))
    }

    async fn probe(&self, _: &Cx, _: &Change, _: &Before) -> Result<Doubt<Value>, Error> {
        Ok(Doubt::NotApplied)
    }

    fn undo(&self, _: &Change, _: &Before, _: Left<'_, Value>) -> Undo<NoUndo> {
        Undo::Irreversible("it is odd".into())
    }
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]))
}

#[derive(Debug)]
struct NoBlobs;

impl BlobStore for NoBlobs {
    fn put(&self, _: &mut dyn Read) -> io::Result<BlobRef> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn open(&self, _: &BlobRef) -> io::Result<Box<dyn Read + Send>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn cx() -> Cx {
    let run = RunId::from_parts(1, [0; 10]);
    let effect = EffectId { run, seq: Seq(1), attempt: 1, direction: Direction::Forward, undo_try: 0 };
    Cx::new(effect, false, Arc::new(NoBlobs))
}

fn prepare(change: Value) -> Result<Prepared, Error> {
    Odd.allow(["change"])?.prepare("change", &JsonText::encode(&change)?)
}

fn capture(change: Value) -> Result<Capture, Error> {
    prepare(change)?.capture(&cx()).now_or_never().unwrap()
}

#[test]
fn case_08_a_pre_state_that_would_not_read_back_is_found_out_before_the_effect() {
    assert!(capture(json!({ "plain": { "note": null } })).is_ok());
    let error = capture(json!({ "unreadable": {} })).unwrap_err();
    assert!(error.message().contains("pre-state of change"), "{error}");
}

#[test]
fn what_is_nested_too_deep_to_be_recorded_is_found_out_before_the_effect() {
    let deepest = MAX_DEPTH - 1;
    assert!(capture(json!({ "as_deep_as": deepest })).is_ok());
    for change in [json!({ "as_deep_as": deepest + 1 }), json!({ "deep_facts": {} })] {
        let error = capture(change).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidParameters);
        assert!(error.message().contains("deeper than 100 levels"), "{error}");
    }
}

#[test]
fn case_08_an_output_that_cannot_be_recorded_is_no_failure_without_effect() {
    let change = prepare(json!({ "plain": { "note": null } })).unwrap();
    let Capture::Ready { ready, .. } = change.capture(&cx()).now_or_never().unwrap().unwrap() else {
        unreachable!("it is never done already")
    };
    let error = change.perform(&cx(), ready).now_or_never().unwrap().unwrap_err();
    assert_eq!(error.remains(), enact_core::error::Remains::Perhaps);
    assert!(!error.is_retryable());
    assert!(error.message().contains("was done"), "{error}");
}
