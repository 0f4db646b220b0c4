//! What a workflow's code holds: the only way from it to the world.

use std::fmt::{self, Debug};
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use enact_core::action::Action;
use enact_core::connector::{Connector, Perform};
use enact_core::error::{Error, ErrorCode};
use enact_core::event::RunAccepted;
use enact_core::ids::{CallPath, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::time::Timestamp;
use futures::StreamExt;
use futures::stream;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::run::{Ask, AskedAction, Call, Reply};

/// How many branches of one join are carried out at the same time.
pub const MAX_PARALLEL: usize = 64;

/// The default number of attempts of an action.
pub const DEFAULT_ATTEMPTS: u32 = 3;

/// The default time for one attempt of an action.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// How an action is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tries {
    /// How many attempts at most; only errors that say that a retry is safe lead to another.
    pub max_attempts: u32,
    /// The time for each half of an attempt: for looking at what is there, and then for doing it. A write that takes
    /// longer is in doubt, and probed.
    pub timeout: Duration,
    /// Whether a person has to approve it first, whatever the policies say.
    pub approval: bool,
}

impl Default for Tries {
    fn default() -> Self {
        Self { max_attempts: DEFAULT_ATTEMPTS, timeout: DEFAULT_TIMEOUT, approval: false }
    }
}

/// What an action gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acted {
    /// Its number in the run.
    pub seq: Seq,
    /// Whether the wanted state was there already.
    pub already_done: bool,
    /// Its output.
    pub output: JsonText,
}

/// Where the calls of a workflow's code are answered: by the run's actor, or from a recorded history.
pub(crate) trait Desk: Send + Sync + 'static {
    /// The kind of the connector of this name; `None` where every kind will do.
    fn connector_kind(&self, name: &str) -> Result<Option<&'static str>, Error>;

    /// Takes a call, and answers it now, later or never.
    fn ask(&self, ask: Ask) -> Result<(), Error>;
}

/// The way of a workflow's code to the world. Handed to [`Workflow::run`](crate::Workflow::run); each branch of
/// a join gets its own.
pub struct WorkflowCx {
    desk: Arc<dyn Desk>,
    run: RunId,
    accepted: Arc<RunAccepted>,
    branch: Option<(CallPath, u32)>,
    calls: AtomicU32,
}

impl Debug for WorkflowCx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {} branch {:?}", self.run, self.branch)
    }
}

impl WorkflowCx {
    pub(crate) fn new(desk: Arc<dyn Desk>, run: RunId, accepted: Arc<RunAccepted>) -> Self {
        Self { desk, run, accepted, branch: None, calls: AtomicU32::new(0) }
    }

    /// The run.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        self.run
    }

    /// Who asked for the run.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.accepted.user
    }

    /// What is said of the user.
    #[must_use]
    pub fn attributes(&self) -> Map<String, Value> {
        self.accepted.attributes.decode().unwrap_or_default()
    }

    /// A configured connector, by its name.
    ///
    /// # Errors
    /// `invalid_parameters`, where there is none of that name, or it is of another kind.
    pub fn connector<C: Connector>(&self, name: &str) -> Result<Tool<'_, C>, Error> {
        let kind = self.desk.connector_kind(name)?;
        if let Some(kind) = kind.filter(|kind| *kind != C::KIND) {
            return Err(Error::new(
                ErrorCode::InvalidParameters,
                format!("connector '{name}' is of kind '{kind}', not '{}'", C::KIND),
            ));
        }
        Ok(Tool { cx: self, name: name.to_owned(), connector: PhantomData })
    }

    /// Asks for an action by its names, with parameters as JSON.
    ///
    /// # Errors
    /// What became of the action instead.
    pub async fn act(
        &self,
        connector: &str,
        action: &str,
        params: JsonText,
        tries: Tries,
    ) -> Result<Acted, Error> {
        let asked = AskedAction { connector: connector.to_owned(), action: action.to_owned(), params, tries };
        match self.ask(Call::Action(asked)).await? {
            Reply::Acted(acted) => Ok(acted),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Sleeps. The time of waking is recorded: a crash does not begin the sleep anew.
    ///
    /// # Errors
    /// Where the run is being stopped.
    pub async fn sleep(&self, how_long: Duration) -> Result<(), Error> {
        match self.ask(Call::Sleep(how_long)).await? {
            Reply::Awake => Ok(()),
            reply => Err(unexpected(&reply)),
        }
    }

    /// The time, recorded: the same when the code runs again.
    ///
    /// # Errors
    /// Where the run is being stopped.
    pub async fn now(&self) -> Result<Timestamp, Error> {
        match self.ask(Call::Now).await? {
            Reply::Value(value) => value.decode(),
            reply => Err(unexpected(&reply)),
        }
    }

    /// A random number, recorded: the same when the code runs again.
    ///
    /// # Errors
    /// Where the run is being stopped.
    pub async fn random(&self) -> Result<u64, Error> {
        match self.ask(Call::Random).await? {
            Reply::Value(value) => value.decode(),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Carries out branches at the same time, at most [`MAX_PARALLEL`] at once, and gives their results in the
    /// order of the branches. All branches end, also where one fails. Each branch asks through the context
    /// that it is given.
    pub async fn join<F, Fut, T>(&self, branches: impl IntoIterator<Item = F> + Send) -> Vec<T>
    where
        F: FnOnce(WorkflowCx) -> Fut + Send,
        Fut: Future<Output = T> + Send,
        T: Send,
    {
        let join = self.next_path();
        let branches: Vec<(WorkflowCx, F)> = (0..)
            .zip(branches)
            .map(|(index, branch)| (self.in_branch(join.clone(), index), branch))
            .collect();
        stream::iter(branches).map(|(cx, branch)| branch(cx)).buffered(MAX_PARALLEL).collect().await
    }

    fn in_branch(&self, join: CallPath, index: u32) -> Self {
        Self {
            desk: Arc::clone(&self.desk),
            run: self.run,
            accepted: Arc::clone(&self.accepted),
            branch: Some((join, index)),
            calls: AtomicU32::new(0),
        }
    }

    /// Program order within the branch.
    fn next_path(&self) -> CallPath {
        let number = self.calls.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        match &self.branch {
            None => CallPath::root(number),
            Some((join, branch)) => join.branch(*branch, number),
        }
    }

    async fn ask(&self, call: Call) -> Result<Reply, Error> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask { path: self.next_path(), call, reply };
        if let Err(stopped) = self.desk.ask(ask) {
            // Code that asks again and again would never let itself be ended.
            tokio::task::yield_now().await;
            return Err(stopped);
        }
        answer.await.map_err(|_| stopped())?
    }
}

/// A connector as a workflow uses it: typed.
#[derive(Debug)]
pub struct Tool<'a, C> {
    cx: &'a WorkflowCx,
    name: String,
    connector: PhantomData<fn() -> C>,
}

impl<C> Tool<'_, C> {
    /// Asks for an action, with three attempts of a minute each at most.
    ///
    /// # Errors
    /// What became of the action instead.
    pub async fn act<A: Action>(&self, action: A) -> Result<A::Output, Error>
    where
        C: Perform<A>,
    {
        self.act_with(action, Tries::default()).await
    }

    /// Asks for an action.
    ///
    /// # Errors
    /// What became of the action instead; `precondition_failed`, where it is done and its output is not known: an
    /// operator said so of an action in doubt.
    pub async fn act_with<A: Action>(&self, action: A, tries: Tries) -> Result<A::Output, Error>
    where
        C: Perform<A>,
    {
        let params = JsonText::encode(&action)?;
        let acted = self.cx.act(&self.name, A::NAME, params, tries).await?;
        acted.output.decode().map_err(|error| {
            let message = format!(
                "action {} ({}.{}) is done, and its output is not known: {}",
                acted.seq,
                self.name,
                A::NAME,
                error.message()
            );
            Error::new(ErrorCode::PreconditionFailed, message)
        })
    }
}

pub(crate) fn stopped() -> Error {
    Error::new(ErrorCode::Unavailable, "the run is being stopped")
}

fn unexpected(reply: &Reply) -> Error {
    Error::new(ErrorCode::Internal, format!("a call was answered with {reply:?}"))
}
