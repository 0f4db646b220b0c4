//! The undo of `create_pr`: the pull request is closed, as long as it is not merged. One whose merge this run has taken back
//! is undone already: nothing of it is left, and GitHub keeps it merged.

use enact_core::Error;
use enact_core::action::{Action, Captured, Doubt, EffectClass, Left, LockKey, NoUndo, Target, Undo};
use enact_core::connector::{Cx, Perform};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Looked, pull_lock, target};
use crate::GitHub;
use crate::error::precondition;
use crate::marker::{self, EFFECT};
use crate::name::{BranchName, RepoName, Sha};
use crate::repo::{Pull, Repo, Sought};
use crate::revert::takes_back;

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

    /// An error where a merged pull request still has what it brought, as far as this run is concerned.
    async fn check_taken_back(&self, repo: &Repo<'_>, pull: &Pull) -> Result<(), Error> {
        let merge = pull.merge_commit()?;
        if repo.is_taken_back(pull, &merge).await? {
            return Ok(());
        }
        let number = pull.number;
        let by_run = marker::is_of_run(&repo.commit(&merge).await?.message, EFFECT, repo.cx.effect().run);
        let what = if by_run {
            "was merged by this run, which has not taken the merge back; it is left as it is"
        } else {
            "was merged, and this run has taken no merge of it back; it is left as it is"
        };
        // A merge is not forced away either.
        Err(precondition(format!("{}#{number} {what}", self.repo)))
    }
}

impl Repo<'_> {
    /// Whether this run has taken a merge back. It undoes only what it has merged itself.
    async fn is_taken_back(&self, pull: &Pull, merge: &Sha) -> Result<bool, Error> {
        let base = BranchName::new(&pull.base.name).map_err(precondition)?;
        let Some(head) = self.branch(&base).await? else { return Ok(false) };
        let run = self.cx.effect().run;
        let found = self.seek(&head, merge, |commit| takes_back(commit, merge, run)).await?;
        Ok(matches!(found, Sought::Found(_)))
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
            Some(pull) if pull.is_open() => Captured::ready(ClosePrPre { pr_number: pull.number }, ()),
            Some(pull) => {
                if pull.is_merged() {
                    action.check_taken_back(&repo, &pull).await?;
                }
                Captured::AlreadyDone(PrClosed { pr_number: Some(pull.number) })
            }
            None => Captured::AlreadyDone(PrClosed { pr_number: None }),
        })
    }

    async fn perform(&self, cx: &Cx, action: &ClosePr, pre: &ClosePrPre, (): ()) -> Result<PrClosed, Error> {
        let repo = self.repo(cx, &action.repo);
        let number = pre.pr_number;
        let request = repo
            .request(Method::PATCH, format!("/pulls/{number}"), format!("close {}#{number}", action.repo))
            .body(json!({ "state": "closed" }));
        let answer = repo.send(&request).await?;
        let pull: Pull = if answer.status.is_success() {
            request.read(&answer)?
        } else {
            // Somebody may have been quicker, and merged it.
            let look = repo.pull(number).await?;
            Some(look).filter(Pull::is_merged).ok_or_else(|| request.refused(&answer))?
        };
        if pull.is_open() {
            return Err(request.undescribed(&answer, "it is open still"));
        }
        if pull.is_merged() {
            action.check_taken_back(&repo, &pull).await?;
        }
        Ok(PrClosed { pr_number: Some(number) })
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
