//! The world's actions.

use enact_core::action::{
    Action, Captured, Doubt, EffectClass, FactKind, Facts, Left, LockKey, NoUndo, Target, Undo,
};
use enact_core::connector::{Cx, Perform};
use enact_core::error::{Error, ErrorCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Change, World};

/// Writes a value.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Put {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

impl Put {
    /// Writes `value` at `key`.
    #[must_use]
    pub fn new(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), value: value.to_owned() }
    }
}

/// Removes a value.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The key.
    pub key: String,
}

/// Reads a value.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// The key.
    pub key: String,
}

/// Launches something; there is no way back.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// What.
    pub key: String,
}

/// Changes nothing outside, and is recorded like any other effect: what the runtime itself costs.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Idle {}

/// The undo of [`Put`] and [`Remove`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// The key.
    pub key: String,
    /// What was there before.
    pub before: Option<String>,
    /// What the action left.
    pub after: Option<String>,
}

/// What was at a key before; an effect is made only while that is so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Before {
    /// The value.
    pub value: Option<String>,
}

/// What a change gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Changed {
    /// The key.
    pub key: String,
}

/// What a look gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Got {
    /// The value.
    pub value: Option<String>,
}

fn target(key: &str) -> Target {
    Target::new("value", key)
}

fn lock(key: &str) -> Option<LockKey> {
    Some(LockKey(key.to_owned()))
}

impl Action for Put {
    const NAME: &'static str = "put";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "puts the previous value back, if nobody changed it since";
    const FACTS: &'static [(&'static str, FactKind)] = &[("exists", FactKind::Flag)];
    type Output = Changed;
    type PreState = Before;
    type Undo = Restore;

    fn target(&self) -> Target {
        target(&self.key)
    }

    fn lock(&self) -> Option<LockKey> {
        lock(&self.key)
    }
}

impl Perform<Put> for World {
    type Held = ();

    async fn capture(&self, _: &Cx, action: &Put) -> Result<Captured<Put, ()>, Error> {
        self.captured();
        let value = self.value(&action.key);
        if value.as_ref() == Some(&action.value) {
            return Ok(Captured::AlreadyDone(Changed { key: action.key.clone() }));
        }
        let mut facts = Facts::new();
        facts.insert("exists".to_owned(), value.is_some().into());
        Ok(Captured::Ready { pre: Before { value }, facts, held: () })
    }

    async fn perform(&self, cx: &Cx, action: &Put, pre: &Before, (): ()) -> Result<Changed, Error> {
        self.effect(cx, Put::NAME, &action.key, Change::new(pre, Some(&action.value))).await?;
        Ok(Changed { key: action.key.clone() })
    }

    async fn probe(&self, cx: &Cx, action: &Put, _: &Before) -> Result<Doubt<Changed>, Error> {
        self.doubt(cx, || Changed { key: action.key.clone() }).await
    }

    fn undo(&self, action: &Put, pre: &Before, _: Left<'_, Changed>) -> Undo<Restore> {
        Undo::By(Restore {
            key: action.key.clone(),
            before: pre.value.clone(),
            after: Some(action.value.clone()),
        })
    }
}

impl Action for Remove {
    const NAME: &'static str = "remove";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "puts the value back, if nobody put another there";
    type Output = Changed;
    type PreState = Before;
    type Undo = Restore;

    fn target(&self) -> Target {
        target(&self.key)
    }

    fn lock(&self) -> Option<LockKey> {
        lock(&self.key)
    }
}

impl Perform<Remove> for World {
    type Held = ();

    async fn capture(&self, _: &Cx, action: &Remove) -> Result<Captured<Remove, ()>, Error> {
        self.captured();
        match self.value(&action.key) {
            None => Ok(Captured::AlreadyDone(Changed { key: action.key.clone() })),
            value => Ok(Captured::ready(Before { value }, ())),
        }
    }

    async fn perform(&self, cx: &Cx, action: &Remove, pre: &Before, (): ()) -> Result<Changed, Error> {
        self.effect(cx, Remove::NAME, &action.key, Change::new(pre, None)).await?;
        Ok(Changed { key: action.key.clone() })
    }

    async fn probe(&self, cx: &Cx, action: &Remove, _: &Before) -> Result<Doubt<Changed>, Error> {
        self.doubt(cx, || Changed { key: action.key.clone() }).await
    }

    fn undo(&self, action: &Remove, pre: &Before, _: Left<'_, Changed>) -> Undo<Restore> {
        Undo::By(Restore { key: action.key.clone(), before: pre.value.clone(), after: None })
    }
}

impl Action for Restore {
    const NAME: &'static str = "restore";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "";
    type Output = Changed;
    type PreState = Before;
    type Undo = NoUndo;

    fn target(&self) -> Target {
        target(&self.key)
    }

    fn lock(&self) -> Option<LockKey> {
        lock(&self.key)
    }
}

impl Perform<Restore> for World {
    type Held = ();

    async fn capture(&self, cx: &Cx, action: &Restore) -> Result<Captured<Restore, ()>, Error> {
        self.captured();
        let value = self.value(&action.key);
        if value == action.before {
            return Ok(Captured::AlreadyDone(Changed { key: action.key.clone() }));
        }
        if value != action.after && !cx.force() {
            let message = format!("'{}' was changed since; it was left as it is", action.key);
            return Err(Error::new(ErrorCode::Conflict, message).left_nothing());
        }
        Ok(Captured::ready(Before { value }, ()))
    }

    async fn perform(&self, cx: &Cx, action: &Restore, pre: &Before, (): ()) -> Result<Changed, Error> {
        self.effect(cx, Restore::NAME, &action.key, Change::new(pre, action.before.as_deref())).await?;
        Ok(Changed { key: action.key.clone() })
    }

    async fn probe(&self, cx: &Cx, action: &Restore, _: &Before) -> Result<Doubt<Changed>, Error> {
        self.doubt(cx, || Changed { key: action.key.clone() }).await
    }

    fn undo(&self, _: &Restore, _: &Before, _: Left<'_, Changed>) -> Undo<NoUndo> {
        Undo::Nothing
    }
}

impl Action for Get {
    const NAME: &'static str = "get";
    const EFFECT: EffectClass = EffectClass::ReadOnly;
    const REVERSAL: &'static str = "nothing to undo";
    type Output = Got;
    type PreState = ();
    type Undo = NoUndo;

    fn target(&self) -> Target {
        target(&self.key)
    }

    fn lock(&self) -> Option<LockKey> {
        None
    }
}

impl Perform<Get> for World {
    type Held = ();

    async fn capture(&self, _: &Cx, action: &Get) -> Result<Captured<Get, ()>, Error> {
        let facts = Facts::from_iter([("exists".to_owned(), self.value(&action.key).is_some().into())]);
        Ok(Captured::Ready { pre: (), facts, held: () })
    }

    async fn perform(&self, _: &Cx, action: &Get, (): &(), (): ()) -> Result<Got, Error> {
        Ok(Got { value: self.value(&action.key) })
    }

    async fn probe(&self, _: &Cx, _: &Get, (): &()) -> Result<Doubt<Got>, Error> {
        Ok(Doubt::NotApplied)
    }

    fn undo(&self, _: &Get, (): &(), _: Left<'_, Got>) -> Undo<NoUndo> {
        Undo::Nothing
    }
}

impl Action for Launch {
    const NAME: &'static str = "launch";
    const EFFECT: EffectClass = EffectClass::Irreversible;
    const REVERSAL: &'static str = "cannot be undone";
    type Output = Changed;
    type PreState = ();
    type Undo = NoUndo;

    fn target(&self) -> Target {
        target(&self.key)
    }

    fn lock(&self) -> Option<LockKey> {
        None
    }
}

impl Perform<Launch> for World {
    type Held = ();

    async fn capture(&self, _: &Cx, _: &Launch) -> Result<Captured<Launch, ()>, Error> {
        self.captured();
        Ok(Captured::ready((), ()))
    }

    async fn perform(&self, cx: &Cx, action: &Launch, (): &(), (): ()) -> Result<Changed, Error> {
        self.effect(cx, Launch::NAME, &action.key, None).await?;
        Ok(Changed { key: action.key.clone() })
    }

    async fn probe(&self, cx: &Cx, action: &Launch, (): &()) -> Result<Doubt<Changed>, Error> {
        self.doubt(cx, || Changed { key: action.key.clone() }).await
    }

    fn undo(&self, _: &Launch, (): &(), _: Left<'_, Changed>) -> Undo<NoUndo> {
        Undo::Irreversible("what is launched stays launched".to_owned())
    }
}

impl Action for Idle {
    const NAME: &'static str = "idle";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "nothing to undo";
    type Output = ();
    type PreState = ();
    type Undo = NoUndo;

    fn target(&self) -> Target {
        target("")
    }

    fn lock(&self) -> Option<LockKey> {
        None
    }
}

impl Perform<Idle> for World {
    type Held = ();

    async fn capture(&self, _: &Cx, _: &Idle) -> Result<Captured<Idle, ()>, Error> {
        Ok(Captured::ready((), ()))
    }

    async fn perform(&self, _: &Cx, _: &Idle, (): &(), (): ()) -> Result<(), Error> {
        Ok(())
    }

    async fn probe(&self, _: &Cx, _: &Idle, (): &()) -> Result<Doubt<()>, Error> {
        Ok(Doubt::NotApplied)
    }

    fn undo(&self, _: &Idle, (): &(), _: Left<'_, ()>) -> Undo<NoUndo> {
        Undo::Nothing
    }
}
