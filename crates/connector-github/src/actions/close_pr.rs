//! The undo of `create_pr`: the pull request is closed, as long as nobody has merged it.

use enact_core::Error;
use enact_core::action::{Action, Captured, Doubt, EffectClass, Left, LockKey, NoUndo, Target, Undo};
use enact_core::connector::{Cx, Perform};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Looked, pull_lock, target};
use crate::GitHub;
use crate::error::conflict;
use crate::name::RepoName;
use crate::repo::{Pull, Repo};

/// Closes a pull request that was opened by an intent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClosePr {
    /// The repository.
    pub repo: RepoName,
    /// Its number, where that is known; else it is found by its mark.
    pub pr_number: Option<u64>,
    /// The intent that opened it.
    pub made: Looked,
}

/// What undoing `create_pr` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PrClosed {
    /// Its number; nothing where there was no pull request.
    pub pr_number: Option<u64>,
}

/// What the probe needs to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClosePrPre {
    /// Its number.
    pub pr_number: u64,
}

impl ClosePr {
    async fn find(&self, repo: &Repo<'_>) -> Result<Option<Pull>, Error> {
        match self.pr_number {
            Some(number) => repo.pull(number).await.map(Some),
            None => {
                let look = || repo.marked_pull(&self.made);
                repo.github.settled(repo.cx, self.made.at, look).await
            }
        }
    }

    fn merged(&self, number: u64) -> Error {
        conflict(format!(
            "{}#{number} was merged meanwhile and is left as it is; what it brought is undone by undoing its merge",
            self.repo
        ))
    }
}

impl Action for ClosePr {
    const NAME: &'static str = "close_pr";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "it is an undo, and has none";
    type Output = PrClosed;
    type PreState = ClosePrPre;
    type Undo = NoUndo;

    fn target(&self) -> Target {
        match self.pr_number {
            Some(number) => target("pull_request", &self.repo, format_args!("#{number}")),
            None => target("pull_request", &self.repo, format_args!("of {}", self.made.effect)),
        }
    }

    fn lock(&self) -> Option<LockKey> {
        pull_lock(&self.repo, self.pr_number?)
    }
}

impl Perform<ClosePr> for GitHub {
    type Held = ();

    async fn capture(&self, cx: &Cx, action: &ClosePr) -> Result<Captured<ClosePr, ()>, Error> {
        let repo = self.repo(cx, &action.repo);
        repo.still(&action.made).await?;
        let found = action.find(&repo).await?;
        Ok(match found {
            Some(pull) if pull.is_merged() => return Err(action.merged(pull.number)),
            Some(pull) if pull.is_open() => Captured::ready(ClosePrPre { pr_number: pull.number }, ()),
            other => Captured::AlreadyDone(PrClosed { pr_number: other.map(|pull| pull.number) }),
        })
    }

    async fn perform(&self, cx: &Cx, action: &ClosePr, pre: &ClosePrPre, (): ()) -> Result<PrClosed, Error> {
        let repo = self.repo(cx, &action.repo);
        let number = pre.pr_number;
        let request = repo
            .request(Method::PATCH, format!("/pulls/{number}"), format!("close {}#{number}", action.repo))
            .body(json!({ "state": "closed" }));
        let answer = repo.send(&request).await?;
        if answer.status.is_client_error() && repo.pull(number).await?.is_merged() {
            return Err(action.merged(number));
        }
        let answer = request.check(answer)?;
        let pull: Pull = request.read(&answer)?;
        match (pull.is_merged(), pull.is_open()) {
            (true, _) => Err(action.merged(number)),
            (_, true) => Err(request.undescribed(&answer, "it is open still")),
            _ => Ok(PrClosed { pr_number: Some(number) }),
        }
    }

    /// Closing what is closed changes nothing, so an answer needs no window.
    async fn probe(&self, cx: &Cx, action: &ClosePr, pre: &ClosePrPre) -> Result<Doubt<PrClosed>, Error> {
        let pull = self.repo(cx, &action.repo).pull(pre.pr_number).await?;
        Ok(match pull.is_open() || pull.is_merged() {
            true => Doubt::NotApplied,
            false => Doubt::Applied(PrClosed { pr_number: Some(pre.pr_number) }),
        })
    }

    fn undo(&self, _: &ClosePr, _: &ClosePrPre, _: Left<'_, PrClosed>) -> Undo<NoUndo> {
        Undo::Irreversible(<ClosePr as Action>::REVERSAL.into())
    }
}
