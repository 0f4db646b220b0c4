//! What all actors of a runtime share.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use enact_core::connector::Toolbox;
use enact_core::error::{Error, ErrorCode};
use enact_core::event::{ActionCall, Event};
use enact_core::ids::{EffectId, EventSeq, RunId};
use enact_core::policy::{Policy, PolicyName};
use enact_core::store::EventStore;
use parking_lot::RwLock;
use ractor::ActorRef;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::connector_actor::ConnectorMsg;
use crate::locks::Locks;
use crate::observe::{Note, Observer, Stage, Step};
use crate::recent::Recollection;
use crate::under_way::UnderWay;
use crate::workflow::Workflows;

/// How many runs read the log again at the same time after the store failed them.
pub(crate) const AGAIN_AT_ONCE: usize = 16;

pub(crate) struct Shared {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) connectors: BTreeMap<String, ConnectorHandle>,
    pub(crate) policies: Vec<(PolicyName, Arc<dyn Policy>)>,
    /// What they are, in short.
    pub(crate) policies_digest: String,
    /// What they may ask about other runs.
    pub(crate) recent: Recollection,
    pub(crate) workflows: Workflows,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    pub(crate) locks: Locks,
    pub(crate) under_way: UnderWay,
    /// Places for runs that read the log again after the store failed them.
    pub(crate) again: Semaphore,
}

impl Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("store", &self.store).field("connectors", &self.connectors).finish()
    }
}

impl Shared {
    pub(crate) fn connector(&self, name: &str) -> Result<&ConnectorHandle, Error> {
        self.connectors.get(name).ok_or_else(|| {
            let known = self.connectors.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Error::new(
                ErrorCode::InvalidParameters,
                format!("no connector '{name}' is configured; there are: {known}"),
            )
            .left_nothing()
        })
    }

    pub(crate) fn step(&self, effect: EffectId, call: &ActionCall, stage: Stage) {
        for observer in &self.observers {
            observer.on_step(&Step { effect, call, stage });
        }
    }

    pub(crate) fn note(&self, note: &Note<'_>) {
        for observer in &self.observers {
            observer.on_note(note);
        }
    }

    pub(crate) fn event(&self, run: RunId, event_seq: EventSeq, event: &Event) {
        for observer in &self.observers {
            observer.on_event(run, event_seq, event);
        }
    }
}

/// A connector and the actor that carries out its actions. The actor is another one after a restart.
#[derive(Debug)]
pub(crate) struct ConnectorHandle {
    name: String,
    toolbox: Arc<Toolbox>,
    actor: RwLock<Option<ActorRef<ConnectorMsg>>>,
}

impl ConnectorHandle {
    pub(crate) fn new(name: String, toolbox: Toolbox) -> Self {
        Self { name, toolbox: Arc::new(toolbox), actor: RwLock::new(None) }
    }

    pub(crate) fn toolbox(&self) -> &Arc<Toolbox> {
        &self.toolbox
    }

    pub(crate) fn set_actor(&self, actor: Option<ActorRef<ConnectorMsg>>) {
        *self.actor.write() = actor;
    }

    /// The actor.
    pub(crate) fn actor(&self) -> Result<ActorRef<ConnectorMsg>, Error> {
        self.actor.read().clone().ok_or_else(|| {
            let what = format!("connector '{}' does not run at the moment; it is being restarted", self.name);
            Error::new(ErrorCode::Unavailable, what).retryable().left_nothing()
        })
    }
}
