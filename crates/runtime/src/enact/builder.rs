//! Making a runtime.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use enact_core::connector::Toolbox;
use enact_core::error::{Error, ErrorCode};
use enact_core::policy::Policy;
use enact_core::store::EventStore;
use parking_lot::RwLock;
use ractor::Actor;
use tokio::sync::Semaphore;

use super::Enact;
use crate::act::ActWorkflow;
use crate::clock::{Clock, SystemClock};
use crate::coordinator::Limits;
use crate::gate::digest_of_policies;
use crate::locks::Locks;
use crate::observe::Observer;
use crate::plan::Planner;
use crate::recent::Recollection;
use crate::recovery;
use crate::run::Go;
use crate::shared::{AGAIN_AT_ONCE, ConnectorHandle, Shared};
use crate::supervisor::{CoordinatorRef, Supervisor, SupervisorArgs};
use crate::under_way::UnderWay;
use crate::workflow::{LoadText, Workflow, Workflows, erase};

/// How many runs a runtime carries at once, by default; more are refused with `unavailable`. Those that wait for a
/// person's approval are not counted.
pub const DEFAULT_MAX_RUNS: usize = 100_000;

/// How many runs may wait for a person's approval, by default, for another one to be taken.
pub const DEFAULT_MAX_WAITING: usize = 10_000;

/// What becomes of interrupted runs when a runtime starts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Recovery {
    /// They are carried on.
    #[default]
    Automatic,
    /// What of them is in doubt is looked up, so that nobody else changes it meanwhile; they go on when
    /// [`Enact::resume`] asks for it.
    OnRequest,
}

/// Makes a runtime. See [`Enact::builder`].
#[derive(Default)]
pub struct Builder {
    store: Option<Arc<dyn EventStore>>,
    connectors: BTreeMap<String, Toolbox>,
    policies: Vec<Arc<dyn Policy>>,
    workflows: Workflows,
    observers: Vec<Arc<dyn Observer>>,
    clock: Option<Arc<dyn Clock>>,
    recovery: Recovery,
    max_runs: Option<usize>,
    max_waiting: Option<usize>,
    mistake: Option<String>,
}

impl Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("store", &self.store).field("connectors", &self.connectors).finish()
    }
}

impl Builder {
    /// Where events are kept. Required.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn EventStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Adds a connector with its allowlist, under a name of its own.
    #[must_use]
    pub fn connector(mut self, name: impl Into<String>, toolbox: Toolbox) -> Self {
        let name = name.into();
        if self.connectors.insert(name.clone(), toolbox).is_some() {
            self.mistake = Some(format!("two connectors are named '{name}'"));
        }
        self
    }

    /// Adds a policy. All are asked about each run and each action; one "no" is enough.
    #[must_use]
    pub fn policy(self, policy: impl Policy) -> Self {
        self.policies([Arc::new(policy) as Arc<dyn Policy>])
    }

    /// Adds policies that were made elsewhere, as from a configuration.
    #[must_use]
    pub fn policies(mut self, policies: impl IntoIterator<Item = Arc<dyn Policy>>) -> Self {
        self.policies.extend(policies);
        self
    }

    /// Adds a workflow written in Rust. Several versions of one name stand side by side.
    #[must_use]
    pub fn workflow<W: Workflow>(mut self, workflow: W) -> Self {
        if W::NAME == ActWorkflow::NAME {
            self.mistake = Some(format!("the name '{}' is that of runs of one action", W::NAME));
        } else if self.workflows.add(erase(workflow)) {
            self.mistake = Some(format!("two workflows are named '{}', version {}", W::NAME, W::VERSION));
        }
        self
    }

    /// Says who reads the text of declarative workflows.
    #[must_use]
    pub fn declarative(mut self, loader: impl LoadText) -> Self {
        self.workflows.set_loader(Arc::new(loader));
        self
    }

    /// Adds somebody who watches.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Replaces the system's time and randomness.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// What becomes of interrupted runs; by default they are carried on.
    #[must_use]
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = recovery;
        self
    }

    /// How many runs are carried at once; [`DEFAULT_MAX_RUNS`] by default.
    #[must_use]
    pub fn max_runs(mut self, runs: usize) -> Self {
        self.max_runs = Some(runs.max(1));
        self
    }

    /// How many of the runs that it carries may wait for a person's approval and nothing else, for a new one to be taken;
    /// [`DEFAULT_MAX_WAITING`] by default. Runs that are under way may come to wait beyond it. Such a run keeps its place
    /// in memory, with its code, until there is a word, and does not count for [`Builder::max_runs`].
    #[must_use]
    pub fn max_waiting(mut self, runs: usize) -> Self {
        self.max_waiting = Some(runs.max(1));
        self
    }

    /// Starts the runtime. When this returns, the targets of interrupted runs that are in doubt are held, so that
    /// new runs can be taken.
    ///
    /// # Errors
    /// `invalid_parameters`, where no store is given, two connectors have one name, or two workflows one name and version
    /// (`act` is the runtime's own); what the store says.
    pub async fn start(self) -> Result<Enact, Error> {
        let recovery = self.recovery;
        let limits = Limits {
            under_way: self.max_runs.unwrap_or(DEFAULT_MAX_RUNS),
            waiting: self.max_waiting.unwrap_or(DEFAULT_MAX_WAITING),
        };
        let shared = self.shared().await?;
        let go = match recovery {
            Recovery::Automatic => Go::On,
            Recovery::OnRequest => Go::SettleOnly,
        };
        let coordinator: CoordinatorRef = Arc::new(RwLock::new(None));
        let args =
            SupervisorArgs { shared: Arc::clone(&shared), coordinator: Arc::clone(&coordinator), limits, go };
        let (supervisor, _) = Supervisor::spawn(None, Supervisor, args).await.map_err(|error| {
            Error::new(ErrorCode::Internal, format!("the runtime's supervisor did not start: {error}"))
        })?;
        let enact = Enact { shared, coordinator, supervisor };
        recovery::recover(&enact.shared, &enact.coordinator()?, go).await?;
        Ok(enact)
    }

    /// Looks at what runs would do, and starts nothing. The store is read for policies that look back; any will do where
    /// none does.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub async fn planner(self) -> Result<Planner, Error> {
        Ok(Planner::new(self.shared().await?))
    }

    /// What all of its parts share.
    async fn shared(mut self) -> Result<Arc<Shared>, Error> {
        let store =
            self.store.ok_or_else(|| Error::new(ErrorCode::InvalidParameters, "a runtime needs a store"))?;
        if let Some(message) = self.mistake {
            return Err(Error::new(ErrorCode::InvalidParameters, message));
        }
        self.workflows.add(erase(ActWorkflow));
        let connectors = self
            .connectors
            .into_iter()
            .map(|(name, toolbox)| (name.clone(), ConnectorHandle::new(name, toolbox)))
            .collect();
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let looks_back = self.policies.iter().map(|policy| policy.looks_back()).max().unwrap_or_default();
        let recent = Recollection::load(&*store, looks_back, clock.now()).await?;
        Ok(Arc::new(Shared {
            store,
            connectors,
            recent,
            policies_digest: digest_of_policies(&self.policies)?,
            policies: self.policies.into_iter().map(|policy| (policy.name().into(), policy)).collect(),
            workflows: self.workflows,
            clock,
            observers: self.observers,
            locks: Locks::default(),
            under_way: UnderWay::default(),
            again: Semaphore::new(AGAIN_AT_ONCE),
        }))
    }
}
