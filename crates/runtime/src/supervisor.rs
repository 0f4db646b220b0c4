//! The supervisor: keeps one connector actor per connector and the coordinator alive. It restarts with backoff and
//! within a budget; the death of an actor never decides anything about a run, only the log does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::Instant;

use crate::connector_actor::{ConnectorActor, ConnectorArgs};
use crate::coordinator::{Coordinator, CoordinatorArgs, CoordinatorMsg};
use crate::recovery;
use crate::run::Go;
use crate::shared::Shared;

/// How many restarts of one actor within [`WINDOW`] are tried.
const BUDGET: usize = 5;

/// The time over which restarts are counted.
const WINDOW: Duration = Duration::from_secs(60);

pub(crate) enum SupervisorMsg {
    /// Start an actor again.
    Restart(Child),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Child {
    Connector(String),
    Coordinator,
}

/// Where the coordinator is now.
pub(crate) type CoordinatorRef = Arc<RwLock<Option<ActorRef<CoordinatorMsg>>>>;

pub(crate) struct Supervisor;

pub(crate) struct SupervisorArgs {
    pub(crate) shared: Arc<Shared>,
    pub(crate) coordinator: CoordinatorRef,
    pub(crate) max_runs: usize,
}

pub(crate) struct Supervised {
    args: SupervisorArgs,
    children: HashMap<ActorId, Child>,
    restarts: HashMap<Child, Vec<Instant>>,
}

impl Actor for Supervisor {
    type Msg = SupervisorMsg;
    type State = Supervised;
    type Arguments = SupervisorArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMsg>,
        args: SupervisorArgs,
    ) -> Result<Supervised, ActorProcessingErr> {
        let mut supervised = Supervised { args, children: HashMap::new(), restarts: HashMap::new() };
        let names: Vec<String> = supervised.args.shared.connectors.keys().cloned().collect();
        for name in names {
            supervised.start(&myself, Child::Connector(name)).await?;
        }
        supervised.start(&myself, Child::Coordinator).await?;
        Ok(supervised)
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMsg>,
        message: SupervisorMsg,
        supervised: &mut Supervised,
    ) -> Result<(), ActorProcessingErr> {
        let SupervisorMsg::Restart(child) = message;
        if let Err(error) = supervised.start(&myself, child.clone()).await {
            tracing::error!(?child, %error, "an actor could not be started again");
            supervised.restart_later(&myself, child);
            return Ok(());
        }
        if child == Child::Coordinator {
            supervised.recover_runs();
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMsg>,
        event: SupervisionEvent,
        supervised: &mut Supervised,
    ) -> Result<(), ActorProcessingErr> {
        let (actor, why) = match event {
            SupervisionEvent::ActorFailed(actor, error) => (actor, error.to_string()),
            SupervisionEvent::ActorTerminated(actor, _, reason) => (actor, reason.unwrap_or_default()),
            _ => return Ok(()),
        };
        let Some(child) = supervised.children.remove(&actor.get_id()) else { return Ok(()) };
        tracing::error!(?child, why, "an actor died");
        supervised.forget(&child);
        supervised.restart_later(&myself, child);
        Ok(())
    }
}

impl Supervised {
    async fn start(
        &mut self,
        myself: &ActorRef<SupervisorMsg>,
        child: Child,
    ) -> Result<(), ActorProcessingErr> {
        let shared = Arc::clone(&self.args.shared);
        let id = match &child {
            Child::Connector(name) => {
                let connector = shared.connector(name)?;
                let args = ConnectorArgs {
                    toolbox: Arc::clone(connector.toolbox()),
                    shared: Arc::clone(&self.args.shared),
                };
                let (actor, _) =
                    ConnectorActor::spawn_linked(None, ConnectorActor, args, myself.get_cell()).await?;
                let id = actor.get_id();
                connector.set_actor(Some(actor));
                id
            }
            Child::Coordinator => {
                let args = CoordinatorArgs { shared, max_runs: self.args.max_runs };
                let (actor, _) =
                    Coordinator::spawn_linked(None, Coordinator, args, myself.get_cell()).await?;
                let id = actor.get_id();
                *self.args.coordinator.write() = Some(actor);
                id
            }
        };
        self.children.insert(id, child);
        Ok(())
    }

    fn forget(&self, child: &Child) {
        match child {
            Child::Connector(name) => {
                if let Ok(connector) = self.args.shared.connector(name) {
                    connector.set_actor(None);
                }
            }
            Child::Coordinator => *self.args.coordinator.write() = None,
        }
    }

    fn restart_later(&mut self, myself: &ActorRef<SupervisorMsg>, child: Child) {
        let now = Instant::now();
        let recent = self.restarts.entry(child.clone()).or_default();
        recent.retain(|at| now.duration_since(*at) < WINDOW);
        if recent.len() >= BUDGET {
            tracing::error!(?child, "an actor died {BUDGET} times within a minute and stays down");
            return;
        }
        let wait = Duration::from_millis(10_u64.saturating_mul(1 << recent.len().min(16)));
        recent.push(now);
        drop(myself.send_after(wait, move || SupervisorMsg::Restart(child)));
    }

    /// The runs of a coordinator that died are found again in the log.
    fn recover_runs(&self) {
        let (shared, coordinator) = (Arc::clone(&self.args.shared), Arc::clone(&self.args.coordinator));
        tokio::spawn(async move {
            if let Err(error) = recovery::recover(&shared, &coordinator, Go::On).await {
                tracing::error!(%error, "the runs of a coordinator that died are not recovered");
            }
        });
    }
}
