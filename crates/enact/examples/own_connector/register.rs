//! An own connector, whole: a register of settings that compares before it sets. Its one action is undone by itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use enact::ids::EffectId;
use enact::schemars::{self, JsonSchema};
use enact::{action::*, connector::*, prelude::*};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The outside system: values, and which requests it has carried out. Clones are the same register.
#[derive(Clone, Debug, Default)]
pub(crate) struct Register(pub(crate) Arc<Mutex<State>>);

type State = (HashMap<String, String>, HashSet<EffectId>);

/// Sets `key` to `to`, if it is `from`; none is the absence of a value.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Swap {
    pub(crate) key: String,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
}

impl Action for Swap {
    const NAME: &'static str = "swap";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "swaps the values back, if nobody changed it since";
    type Output = ();
    type PreState = ();
    type Undo = Swap;

    fn target(&self) -> Target {
        Target::new("setting", &self.key)
    }

    fn lock(&self) -> Option<LockKey> {
        Some(LockKey(self.key.clone()))
    }
}

impl Connector for Register {
    const KIND: &'static str = "register";
    type Config = ();

    fn open((): (), _: &ConfigEnv<'_>) -> Result<Self, Error> {
        Ok(Self::default())
    }

    fn actions(set: &mut ActionSet<Self>) {
        set.add::<Swap>();
    }

    async fn identity(&self) -> Result<Identity, Error> {
        Ok(Identity("the register of this process".to_owned()))
    }
}

impl Perform<Swap> for Register {
    type Held = ();

    async fn capture(&self, cx: &Cx, swap: &Swap) -> Result<Captured<Swap, ()>, Error> {
        match self.0.lock().0.get(&swap.key) {
            now if now == swap.to.as_ref() => Ok(Captured::AlreadyDone(())),
            now if now == swap.from.as_ref() || cx.force() => Ok(Captured::ready((), ())),
            now => {
                Err(Error::new(ErrorCode::Conflict, format!("'{}' is {now:?} now", swap.key)).left_nothing())
            }
        }
    }

    async fn perform(&self, cx: &Cx, swap: &Swap, (): &(), (): ()) -> Result<(), Error> {
        let (values, done) = &mut *self.0.lock();
        if values.get(&swap.key) != swap.from.as_ref() && !cx.force() {
            return Err(Error::new(ErrorCode::PreconditionFailed, "changed meanwhile").left_nothing());
        }
        match &swap.to {
            Some(value) => drop(values.insert(swap.key.clone(), value.clone())),
            None => drop(values.remove(&swap.key)),
        }
        done.insert(cx.effect());
        Ok(())
    }

    async fn probe(&self, cx: &Cx, _: &Swap, (): &()) -> Result<Doubt<()>, Error> {
        let done = self.0.lock().1.contains(&cx.effect());
        Ok(if done { Doubt::Applied(()) } else { Doubt::NotApplied })
    }

    fn undo(&self, swap: &Swap, (): &(), _: Left<'_, ()>) -> Undo<Swap> {
        Undo::By(Swap { key: swap.key.clone(), from: swap.to.clone(), to: swap.from.clone() })
    }
}
