//! Asking which runs there are.

use crate::event::Event;
use crate::ids::{EventSeq, RunId};
use crate::run::{ActionState, IllegalTransition, RunState, RunStatus, is_same_person};
use crate::store::{EventStore, MAX_PAGE, StoreError};
use crate::time::Timestamp;

/// Which runs are asked for: those for which all that is given holds. By default every run, as many as
/// [`RunQuery::limit`] says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunQuery {
    /// Those of this user, however the name is written.
    pub user: Option<String>,
    /// Those of the workflow with this name.
    pub workflow: Option<String>,
    /// Those that asked this connector for something.
    pub connector: Option<String>,
    /// Those that asked for this action, by its name within its connector, or as `CONNECTOR.ACTION`.
    pub action: Option<String>,
    /// Those that asked for something on the target with this id. Together with connector and action: where one action is all of it.
    pub target: Option<String>,
    /// Those that stand so now.
    pub status: Option<RunStatus>,
    /// Those that were accepted then or later.
    pub since: Option<Timestamp>,
    /// Those that were accepted before.
    pub until: Option<Timestamp>,
    /// Those that are older than this run: where the page before ended.
    pub before: Option<RunId>,
    /// How many at most.
    pub limit: usize,
}

impl Default for RunQuery {
    fn default() -> Self {
        Self {
            user: None,
            workflow: None,
            connector: None,
            action: None,
            target: None,
            status: None,
            since: None,
            until: None,
            before: None,
            limit: 100,
        }
    }
}

/// An answer: a page of runs, newest first.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RunPage {
    /// The runs, as they are now.
    pub runs: Vec<RunState>,
    /// What to ask with as [`RunQuery::before`] for those that follow, where there may be some; `None` where there are no more.
    pub next: Option<RunId>,
}

impl RunQuery {
    /// Whether a run is one of those that are asked for, whatever the page. Of a run whose content was erased nothing is known but
    /// status and times.
    #[must_use]
    pub fn takes(&self, state: &RunState) -> bool {
        self.status.is_none_or(|status| state.status() == status)
            && self.since.is_none_or(|since| state.started_at >= since)
            && self.until.is_none_or(|until| state.started_at < until)
            && (!self.asks_for_content() || (state.erased.is_none() && self.takes_content(state)))
    }

    /// Whether anything is asked that erasing takes away.
    #[must_use]
    pub fn asks_for_content(&self) -> bool {
        self.user.is_some() || self.workflow.is_some() || self.asks_for_action()
    }

    fn asks_for_action(&self) -> bool {
        self.connector.is_some() || self.action.is_some() || self.target.is_some()
    }

    fn takes_content(&self, state: &RunState) -> bool {
        self.user.as_ref().is_none_or(|user| is_same_person(user, &state.accepted.user))
            && self.workflow.as_ref().is_none_or(|workflow| *workflow == state.accepted.workflow)
            && (!self.asks_for_action() || state.actions.values().any(|action| self.takes_action(action)))
    }

    fn takes_action(&self, action: &ActionState) -> bool {
        let call = &action.call;
        let is_named = |wanted: &String| {
            *wanted == call.action || wanted.split_once('.') == Some((&call.connector, &call.action))
        };
        self.connector.as_ref().is_none_or(|connector| *connector == call.connector)
            && self.action.as_ref().is_none_or(is_named)
            && self
                .target
                .as_ref()
                .is_none_or(|id| call.target.as_ref().is_some_and(|target| target.id == *id))
    }
}

/// Answers by reading every run, newest first, until there are enough: what a store does that knows no better.
///
/// # Errors
/// Those of the store; [`StoreError::Corrupt`], where a run does not read.
pub async fn scan(store: &(impl EventStore + ?Sized), query: &RunQuery) -> Result<RunPage, StoreError> {
    let (mut page, mut before) = (RunPage::default(), query.before);
    loop {
        let runs = store.runs(before, MAX_PAGE).await?;
        let Some(last) = runs.last() else { return Ok(page) };
        before = Some(*last);
        for run in runs {
            if page.runs.len() >= query.limit {
                page.next = page.runs.last().map(|run| run.id);
                return Ok(page);
            }
            let (mut state, mut from) = (None, EventSeq(1));
            loop {
                let events = store.read(run, from, MAX_PAGE).await?;
                let Some(last) = events.last() else { break };
                from = last.event_seq.next();
                for event in &events {
                    state = Some(RunState::step(state, event).map_err(|error| damaged(run, &error))?);
                }
            }
            page.runs.extend(state.filter(|state| query.takes(state)));
        }
    }
}

/// That a run does not read.
#[must_use]
pub fn damaged(run: RunId, why: &IllegalTransition) -> StoreError {
    StoreError::Corrupt { path: "the log".into(), what: format!("run {run} does not read: {why}") }
}

/// What a run can be asked for by: a word of it that an event tells, or that a query asks for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Term {
    /// Its user, [folded](crate::person::folded).
    User(String),
    /// Its workflow.
    Workflow(String),
    /// A connector that it asked.
    Connector(String),
    /// An action that it asked for; under each of its two names.
    Action(String),
    /// What it asked to touch.
    Target(String),
    /// How it may have ended.
    Ended(RunStatus),
}

impl Term {
    /// What an event tells of its run.
    #[must_use]
    pub fn of_event(event: &Event) -> Vec<Self> {
        let ended = |all: &[RunStatus]| all.iter().copied().map(Self::Ended).collect();
        let call = match event {
            Event::RunAccepted(accepted) => {
                let user = crate::person::folded(&accepted.user);
                return vec![Self::User(user), Self::Workflow(accepted.workflow.clone())];
            }
            Event::RunSucceeded(_) => return ended(&[RunStatus::Completed]),
            Event::RunBlocked(_) => return ended(&[RunStatus::Blocked]),
            Event::RunFailed(_) => return ended(&[RunStatus::Failed]),
            Event::RollbackFinished => {
                return ended(&[RunStatus::RolledBack, RunStatus::PartiallyRolledBack]);
            }
            Event::ContentErased(erased) => return ended(&[erased.status]),
            Event::ApprovalRequested(asked) => asked.call.as_ref(),
            Event::ActionRefused(refused) => Some(&refused.call),
            Event::ActionRead(read) => Some(&read.call),
            Event::ActionAlreadyDone(done) => Some(&done.call),
            Event::ActionIntended(intended) => Some(&intended.call),
            Event::ActionCaptureFailed(failed) => Some(&failed.call),
            _ => None,
        };
        let Some(call) = call else { return Vec::new() };
        let target = call.target.as_ref().map(|target| Self::Target(target.id.clone()));
        let named = [
            Self::Connector(call.connector.clone()),
            Self::Action(call.action.clone()),
            Self::Action(format!("{}.{}", call.connector, call.action)),
        ];
        named.into_iter().chain(target).collect()
    }

    /// What each run has for certain that a query takes, by those of its events that were recorded until now.
    #[must_use]
    pub fn of_query(query: &RunQuery) -> Vec<Self> {
        let user = query.user.as_ref().map(|user| Self::User(crate::person::folded(user)));
        let workflow = query.workflow.clone().map(Self::Workflow);
        let connector = query.connector.clone().map(Self::Connector);
        let action = query.action.clone().map(Self::Action);
        let target = query.target.clone().map(Self::Target);
        let status = query.status.filter(|status| status.is_final()).map(Self::Ended);
        [user, workflow, connector, action, target, status].into_iter().flatten().collect()
    }
}
