//! The connector actor: one per configured connector. It bounds how much is under way at once and spawns one
//! task for each job; its own loop never waits for an effect.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::Semaphore;

use enact_core::connector::Toolbox;

use crate::job::Job;
use crate::shared::Shared;

pub(crate) enum ConnectorMsg {
    /// Carry out a job, in a task of its own.
    Do(Box<Job>),
}

pub(crate) struct ConnectorActor;

pub(crate) struct ConnectorArgs {
    pub(crate) toolbox: Arc<Toolbox>,
    pub(crate) shared: Arc<Shared>,
}

/// What the tasks of a connector share.
pub(crate) struct Workshop {
    pub(crate) toolbox: Arc<Toolbox>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) permits: Arc<Semaphore>,
}

impl Actor for ConnectorActor {
    type Msg = ConnectorMsg;
    type State = Arc<Workshop>;
    type Arguments = ConnectorArgs;

    async fn pre_start(
        &self,
        _: ActorRef<ConnectorMsg>,
        args: ConnectorArgs,
    ) -> Result<Self::State, ActorProcessingErr> {
        let permits = args.toolbox.settings().max_concurrency;
        Ok(Arc::new(Workshop {
            toolbox: args.toolbox,
            shared: args.shared,
            permits: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
        }))
    }

    async fn handle(
        &self,
        _: ActorRef<ConnectorMsg>,
        message: ConnectorMsg,
        workshop: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let ConnectorMsg::Do(job) = message;
        let under_way = Arc::clone(&job.under_way);
        under_way.spawn(job.run(Arc::clone(workshop)));
        Ok(())
    }
}
