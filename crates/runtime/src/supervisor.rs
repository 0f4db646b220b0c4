//! The supervisor: keeps one connector actor per connector and the coordinator alive. It restarts with backoff and
//! within a budget; the death of an actor never decides anything about a run, only the log does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, ActorStatus, SupervisionEvent};
use tokio::time::Instant;

use crate::backoff::backoff;
use crate::connector_actor::{ConnectorActor, ConnectorArgs};
use crate::coordinator::{Coordinator, CoordinatorArgs, CoordinatorMsg, Limits};
use crate::recovery;
use crate::run::Go;
use crate::shared::Shared;

/// How many restarts of one actor within [`WINDOW`] come soon after its death.
pub(crate) const BUDGET: usize = 5;

/// The time over which restarts are counted, and for which an actor rests that died too often.
const WINDOW: Duration = Duration::from_secs(60);

pub(crate) enum SupervisorMsg {
    /// Start an actor again.
    Restart(Child),
    /// What the log says is open is with this coordinator: it may take requests.
    Recovered(ActorRef<CoordinatorMsg>),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Child {
    Connector(String),
    Coordinator,
}

/// The coordinator that takes requests now.
pub(crate) type CoordinatorRef = Arc<RwLock<Option<ActorRef<CoordinatorMsg>>>>;

pub(crate) struct Supervisor;

pub(crate) struct SupervisorArgs {
    pub(crate) shared: Arc<Shared>,
    pub(crate) coordinator: CoordinatorRef,
    pub(crate) limits: Limits,
    pub(crate) go: Go,
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
            supervised.start_connector(&myself, name).await?;
        }
        let coordinator = supervised.start_coordinator(&myself).await?;
        *supervised.args.coordinator.write() = Some(coordinator);
        Ok(supervised)
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMsg>,
        message: SupervisorMsg,
        supervised: &mut Supervised,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMsg::Restart(child) => {
                if let Err(error) = supervised.restart(&myself, &child).await {
                    tracing::error!(?child, %error, "an actor could not be started again");
                    supervised.restart_later(&myself, child);
                }
            }
            SupervisorMsg::Recovered(coordinator) => {
                // It may have died since.
                if supervised.children.contains_key(&coordinator.get_id()) {
                    *supervised.args.coordinator.write() = Some(coordinator);
                }
            }
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
    async fn restart(
        &mut self,
        myself: &ActorRef<SupervisorMsg>,
        child: &Child,
    ) -> Result<(), ActorProcessingErr> {
        match child {
            Child::Connector(name) => self.start_connector(myself, name.clone()).await,
            Child::Coordinator => {
                let coordinator = self.start_coordinator(myself).await?;
                self.recover_runs(myself.clone(), coordinator);
                Ok(())
            }
        }
    }

    async fn start_connector(
        &mut self,
        myself: &ActorRef<SupervisorMsg>,
        name: String,
    ) -> Result<(), ActorProcessingErr> {
        let connector = self.args.shared.connector(&name)?;
        let args =
            ConnectorArgs { toolbox: Arc::clone(connector.toolbox()), shared: Arc::clone(&self.args.shared) };
        let (actor, _) = ConnectorActor::spawn_linked(None, ConnectorActor, args, myself.get_cell()).await?;
        self.children.insert(actor.get_id(), Child::Connector(name));
        connector.set_actor(Some(actor));
        Ok(())
    }

    async fn start_coordinator(
        &mut self,
        myself: &ActorRef<SupervisorMsg>,
    ) -> Result<ActorRef<CoordinatorMsg>, ActorProcessingErr> {
        let args = CoordinatorArgs { shared: Arc::clone(&self.args.shared), limits: self.args.limits };
        let (actor, _) = Coordinator::spawn_linked(None, Coordinator, args, myself.get_cell()).await?;
        self.children.insert(actor.get_id(), Child::Coordinator);
        Ok(actor)
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
        let wait = if recent.len() < BUDGET {
            Duration::from_millis(10_u64.saturating_mul(1 << recent.len().min(16)))
        } else {
            tracing::error!(?child, "an actor died {BUDGET} times within {WINDOW:?} and rests for as long");
            WINDOW
        };
        recent.push(now);
        drop(myself.send_after(wait, move || SupervisorMsg::Restart(child)));
    }

    /// Finds the runs of a coordinator that died in the log again. New requests are taken after that: by then the
    /// keys of what is in doubt are taken.
    fn recover_runs(&self, myself: ActorRef<SupervisorMsg>, coordinator: ActorRef<CoordinatorMsg>) {
        let (shared, go) = (Arc::clone(&self.args.shared), self.args.go);
        tokio::spawn(async move {
            let mut tried = 0;
            while let Err(error) = recovery::recover(&shared, &coordinator, go).await {
                tried += 1;
                tracing::error!(%error, tried, "the runs of a coordinator that died are not found yet");
                if coordinator.get_status() >= ActorStatus::Stopping {
                    return;
                }
                tokio::time::sleep(backoff(tried, &error, &*shared.clock)).await;
            }
            // The runtime may be stopping.
            drop(myself.send_message(SupervisorMsg::Recovered(coordinator)));
        });
    }
}
