//! The undo of `delete_branch`: the branch is there again, where it was, and the pull requests that its deletion closed are
//! open again where GitHub allows it.

use enact_core::Error;
use enact_core::ErrorCode;
use enact_core::action::{Action, Captured, Doubt, EffectClass, Left, LockKey, NoUndo, Target, Undo};
use enact_core::connector::{Cx, Perform};
use enact_core::time::Timestamp;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{branch_lock, branch_target};
use crate::GitHub;
use crate::error::{conflict, moving};
use crate::name::{BranchName, RepoName, Sha};
use crate::refs::{Swap, place};
use crate::repo::{Pull, Relation, Repo};

/// Makes a branch again that was deleted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreBranch {
    /// The repository.
    pub repo: RepoName,
    /// The branch.
    pub branch: BranchName,
    /// Where it pointed.
    pub sha: Sha,
    /// The pull requests that the deletion closed.
    pub prs: Vec<u64>,
}

/// What undoing `delete_branch` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BranchRestored {
    /// The branch.
    pub branch: BranchName,
    /// Where it points.
    pub sha: Sha,
    /// The pull requests that GitHub does not open again.
    pub not_reopened: Vec<u64>,
    /// What GitHub says of each of them, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// What the probe needs to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreBranchPre {
    /// When it was looked.
    pub at: Timestamp,
    /// Where the branch pointed then, if there was one.
    pub found: Option<Sha>,
}

impl RestoreBranch {
    fn output(&self, refused: Vec<(u64, String)>) -> BranchRestored {
        let (not_reopened, reasons) = refused.into_iter().unzip();
        BranchRestored { branch: self.branch.clone(), sha: self.sha.clone(), not_reopened, reasons }
    }

    /// The pull requests that are closed still.
    async fn closed(&self, repo: &Repo<'_>) -> Result<Vec<u64>, Error> {
        let mut closed = Vec::new();
        for number in &self.prs {
            let pull = repo.pull(*number).await?;
            if !pull.is_open() && !pull.is_merged() {
                closed.push(*number);
            }
        }
        Ok(closed)
    }

    /// Puts the branch where it was.
    async fn put_back(&self, repo: &Repo<'_>, pre: &RestoreBranchPre) -> Result<(), Error> {
        let swap = match &pre.found {
            Some(found) if *found == self.sha => return Ok(()),
            Some(found) => repo.move_branch(&self.branch, found, &self.sha, true).await?,
            None => repo.create_branch(&self.branch, &self.sha).await.map_err(|error| self.lost(error))?,
        };
        match swap {
            Swap::Done => Ok(()),
            Swap::Elsewhere(Some(now)) if now == self.sha => Ok(()),
            Swap::Elsewhere(_) => Err(moving(format!(
                "branch {} of {} was changed meanwhile; it was left as it is",
                self.branch, self.repo
            ))),
        }
    }

    /// Says what it means where GitHub does not know the commit any more.
    fn lost(&self, error: Error) -> Error {
        if error.code() != ErrorCode::InvalidParameters {
            return error;
        }
        let message = format!("commit {} may not be there any more", self.sha);
        error.context(message)
    }

    /// Opens what can be opened; gives what GitHub does not open, and why.
    async fn reopen(&self, repo: &Repo<'_>) -> Result<Vec<(u64, String)>, Error> {
        let mut refused = Vec::new();
        for number in self.closed(repo).await? {
            let doing = format!("reopen {}#{number}", repo.name);
            let request = repo
                .request(Method::PATCH, format!("/pulls/{number}"), doing)
                .body(json!({ "state": "open" }));
            let answer = repo.send(&request).await?;
            // Any other refusal is of the token, not of the pull request.
            if answer.status == StatusCode::UNPROCESSABLE_ENTITY {
                refused.push((number, answer.words()));
                continue;
            }
            let answer = request.check(answer)?;
            let pull: Pull = request.read(&answer)?;
            if !pull.is_open() {
                return Err(request.undescribed(&answer, "it is closed still"));
            }
        }
        Ok(refused)
    }
}

impl Action for RestoreBranch {
    const NAME: &'static str = "restore_branch";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "it is an undo, and has none";
    type Output = BranchRestored;
    type PreState = RestoreBranchPre;
    type Undo = NoUndo;

    fn target(&self) -> Target {
        branch_target(&self.repo, &self.branch)
    }

    fn lock(&self) -> Option<LockKey> {
        branch_lock(&self.repo, &self.branch)
    }
}

impl Perform<RestoreBranch> for GitHub {
    type Held = ();

    async fn capture(&self, cx: &Cx, action: &RestoreBranch) -> Result<Captured<RestoreBranch, ()>, Error> {
        let repo = self.repo(cx, &action.repo);
        let found = repo.branch(&action.branch).await?;
        let is_back = found.as_ref() == Some(&action.sha);
        match &found {
            Some(_) if is_back && action.closed(&repo).await?.is_empty() => {
                return Ok(Captured::AlreadyDone(action.output(Vec::new())));
            }
            Some(found) if !is_back && !cx.force() => {
                return Err(conflict(format!(
                    "branch {} of {} is there again and is left as it is: it points at {} and was deleted at {}",
                    action.branch,
                    action.repo,
                    found.short(),
                    action.sha.short()
                )));
            }
            _ => {}
        }
        Ok(Captured::ready(RestoreBranchPre { at: cx.now(), found }, ()))
    }

    async fn perform(
        &self,
        cx: &Cx,
        action: &RestoreBranch,
        pre: &RestoreBranchPre,
        (): (),
    ) -> Result<BranchRestored, Error> {
        let cx = &self.in_time(cx, pre.at);
        let repo = self.repo(cx, &action.repo);
        action.put_back(&repo, pre).await?;
        // From here on something is done, so nothing is said to have left nothing.
        let not_reopened = action.reopen(&repo).await.map_err(|error| {
            let message =
                format!("the branch is restored, and its pull requests are not: {}", error.message());
            // What may pass is tried again, by way of the probe.
            let code = if error.is_retryable() { ErrorCode::InDoubt } else { error.code() };
            Error::new(code, message).with_source(error)
        })?;
        Ok(action.output(not_reopened))
    }

    async fn probe(
        &self,
        cx: &Cx,
        action: &RestoreBranch,
        pre: &RestoreBranchPre,
    ) -> Result<Doubt<BranchRestored>, Error> {
        let repo = self.repo(cx, &action.repo);
        let changed = || async {
            let now = repo.branch(&action.branch).await?;
            let is_back = now.as_ref() == Some(&action.sha);
            Ok((is_back || now != pre.found).then_some(now))
        };
        let Some(now) = self.settled(cx, pre.at, changed).await? else { return Ok(Doubt::NotApplied) };
        let is_back = now.as_ref() == Some(&action.sha);
        let moved_on = match &now {
            // Somebody went on from it, unless it was to be moved away from others' commits, which may contain it.
            Some(now) if pre.found.is_none() => {
                repo.relation(&action.sha, now).await? == Some(Relation::Contains)
            }
            _ => false,
        };
        let seen = |what: &str| {
            let now = place(now.as_ref());
            Doubt::Unknown(format!("branch {} of {} is {now}: {what}", action.branch, action.repo))
        };
        if !is_back && !moved_on {
            let to = action.sha.short();
            return Ok(seen(&format!("somebody changed it since it was to be at {to} again, or made it")));
        }
        let closed = action.closed(&repo).await?;
        Ok(if closed.is_empty() {
            Doubt::Applied(action.output(Vec::new()))
        } else if is_back {
            // What is closed still is tried again; restoring what is restored changes nothing.
            Doubt::NotApplied
        } else {
            let numbers = closed.iter().map(|number| format!("#{number}")).collect::<Vec<_>>().join(", ");
            seen(&format!("it was restored and moved on, and the pull requests {numbers} are closed still"))
        })
    }

    fn undo(&self, _: &RestoreBranch, _: &RestoreBranchPre, _: Left<'_, BranchRestored>) -> Undo<NoUndo> {
        Undo::Irreversible(<RestoreBranch as Action>::REVERSAL.into())
    }
}
