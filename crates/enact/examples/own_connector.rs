//! An own connector: a register of settings that compares before it sets, and its one action, whose undo is itself.
//! Run it with `cargo run -p enact --example own_connector`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use enact::ids::EffectId;
use enact::{action::*, connector::*, prelude::*};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The outside system: values, and which requests it has carried out. Clones are the same register.
#[derive(Clone, Debug, Default)]
struct Register(Arc<Mutex<State>>);

type State = (HashMap<String, String>, HashSet<EffectId>);

/// Sets `key` to `to`, if it is `from`; none is the absence of a value.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Swap {
    key: String,
    from: Option<String>,
    to: Option<String>,
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

// That is the connector. A workflow uses it like any other:

struct Release;

impl Workflow for Release {
    const NAME: &'static str = "release";
    const VERSION: u32 = 1;
    type Input = String;
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, version: String) -> Result<(), Error> {
        let register = cx.connector::<Register>("register")?;
        let swap = |key: &str, from: Option<&str>, to: &str| Swap {
            key: key.to_owned(),
            from: from.map(str::to_owned),
            to: Some(to.to_owned()),
        };
        register.act(swap("version", Some("1"), &version)).await?;
        register.act(swap("banner", None, "new!")).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let register = Register::default();
    register.0.lock().0.insert("version".to_owned(), "1".to_owned());
    let enact = Enact::builder()
        .store(Arc::new(MemoryStore::new()))
        .connector("register", register.clone().allow(["swap"])?)
        .workflow(Release)
        .start()
        .await?;

    let run = enact.run(Release, "agent@company.com", "2".to_owned()).await?;
    println!("the run {}: {:?}", run.status(), register.0.lock().0);

    register.0.lock().0.insert("banner".to_owned(), "somebody else's".to_owned());
    let run = enact.rollback(run.id, RollbackOptions::by("me@company.com")).await?;
    println!("the rollback {}: {:?}", run.status(), register.0.lock().0);
    for (seq, outcome, error) in run.state().undo_outcomes() {
        println!(
            "  action {seq}: {} {}",
            outcome.as_str(),
            error.map(ToString::to_string).unwrap_or_default()
        );
    }
    assert_eq!(run.status(), RunStatus::PartiallyRolledBack);

    let run = enact.rollback(run.id, RollbackOptions::by("me@company.com").force(true)).await?;
    println!("the rollback by force {}: {:?}", run.status(), register.0.lock().0);
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert_eq!(register.0.lock().0, HashMap::from([("version".to_owned(), "1".to_owned())]));
    enact.shutdown(std::time::Duration::from_secs(5)).await;
    Ok(())
}
