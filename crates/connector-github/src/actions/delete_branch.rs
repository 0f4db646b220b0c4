//! `delete_branch`: a branch is deleted; its commits stay, and so does the way back.

use enact_core::Error;
use enact_core::action::{
    Action, Captured, Doubt, EffectClass, FactKind, Left, LockKey, Shown, Target, Undo,
};
use enact_core::connector::{Cx, Perform};
use enact_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::delete_created_branch::{Pointed, is_gone};
use super::restore_branch::RestoreBranch;
use super::{branch_lock, branch_target, facts, told};
use crate::GitHub;
use crate::error::{conflict, precondition, wrong};
use crate::name::{BranchName, RepoName, Sha};
use crate::refs::Swap;

/// Deletes a branch. GitHub closes the pull requests that are open from it or into it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteBranch {
    repo: RepoName,
    branch: BranchName,
}

/// What `delete_branch` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BranchDeleted {
    /// The branch.
    pub branch: BranchName,
    /// Where it pointed; nothing where there was none.
    pub sha: Option<Sha>,
    /// The pull requests that were open from it or into it, and are closed by the deletion.
    pub closed_prs: Vec<u64>,
}

/// What undo and probe need to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteBranchPre {
    /// When it was looked.
    pub at: Timestamp,
    /// Where the branch pointed.
    pub sha: Sha,
    /// The pull requests that were open from it or into it.
    pub open_prs: Vec<u64>,
}

impl DeleteBranch {
    /// Deletes a branch.
    ///
    /// # Errors
    /// `invalid_parameters`, naming what is no name.
    pub fn new(repo: &str, branch: &str) -> Result<Self, Error> {
        let repo = RepoName::new(repo).map_err(|error| wrong(format!("'repo': {error}")))?;
        let branch = BranchName::new(branch).map_err(|error| wrong(format!("'branch': {error}")))?;
        Ok(Self { repo, branch })
    }

    fn output(&self, pre: &DeleteBranchPre) -> BranchDeleted {
        let closed_prs = pre.open_prs.clone();
        BranchDeleted { branch: self.branch.clone(), sha: Some(pre.sha.clone()), closed_prs }
    }
}

impl Action for DeleteBranch {
    const NAME: &'static str = "delete_branch";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "recreates the branch at the captured SHA";
    const FACTS: &'static [(&'static str, FactKind)] = &[
        ("repo", FactKind::Text),
        ("default_branch", FactKind::Text),
        ("sha", FactKind::Text),
        ("open_prs", FactKind::Numbers),
    ];
    type Output = BranchDeleted;
    type PreState = DeleteBranchPre;
    type Undo = RestoreBranch;

    fn target(&self) -> Target {
        branch_target(&self.repo, &self.branch)
    }

    fn lock(&self) -> Option<LockKey> {
        branch_lock(&self.repo, &self.branch)
    }
}

impl Perform<DeleteBranch> for GitHub {
    type Held = ();

    async fn capture(&self, cx: &Cx, action: &DeleteBranch) -> Result<Captured<DeleteBranch, ()>, Error> {
        let repo = self.repo(cx, &action.repo);
        let info = repo.writable().await?;
        let Some(sha) = repo.branch(&action.branch).await? else {
            let output = BranchDeleted { branch: action.branch.clone(), sha: None, closed_prs: Vec::new() };
            return Ok(Captured::AlreadyDone(output));
        };
        if action.branch.as_str() == info.default_branch {
            let message =
                format!("{} is the default branch of {}, which is not deleted", action.branch, action.repo);
            return Err(precondition(message));
        }
        let pulls = [repo.pulls_of(&action.branch).await?, repo.pulls_into(&action.branch).await?].concat();
        let mut open_prs: Vec<u64> = pulls.iter().map(|pull| pull.number).collect();
        open_prs.sort_unstable();
        open_prs.dedup();
        let facts = facts(&info, json!({ "sha": sha, "open_prs": open_prs }));
        Ok(Captured::Ready { pre: DeleteBranchPre { at: cx.now(), sha, open_prs }, facts, held: () })
    }

    async fn perform(
        &self,
        cx: &Cx,
        action: &DeleteBranch,
        pre: &DeleteBranchPre,
        (): (),
    ) -> Result<BranchDeleted, Error> {
        let cx = &self.in_time(cx, pre.at);
        match self.repo(cx, &action.repo).remove_branch(&action.branch, &pre.sha).await? {
            Swap::Done => Ok(action.output(pre)),
            // Looked at again, it is done already, and not by this run.
            Swap::Elsewhere(None) => Err(conflict(format!(
                "branch {} of {} was deleted by somebody else while the action was being prepared",
                action.branch, action.repo
            ))
            .retryable()),
            Swap::Elsewhere(Some(now)) => Err(conflict(format!(
                "branch {} of {} was moved by somebody else (to {}) while the action was being prepared; nothing \
                 was deleted",
                action.branch,
                action.repo,
                now.short()
            ))),
        }
    }

    async fn probe(
        &self,
        cx: &Cx,
        action: &DeleteBranch,
        pre: &DeleteBranchPre,
    ) -> Result<Doubt<BranchDeleted>, Error> {
        let repo = self.repo(cx, &action.repo);
        let pointed = Pointed { at: pre.at, found: pre.sha.clone() };
        Ok(match is_gone(&repo, &action.branch, &pointed).await? {
            Doubt::Applied(()) => Doubt::Applied(action.output(pre)),
            Doubt::Unknown(seen) => Doubt::Unknown(seen),
            Doubt::NotApplied => match repo.branch(&action.branch).await? {
                None => Doubt::Applied(action.output(pre)),
                Some(now) if now == pre.sha => Doubt::NotApplied,
                // Deleted once more, it would take with it what others have made since.
                Some(now) => Doubt::Unknown(format!(
                    "branch {} of {} is at {}, and was to be deleted at {}: somebody moved it, or made it again",
                    action.branch,
                    action.repo,
                    now.short(),
                    pre.sha.short()
                )),
            },
        })
    }

    fn show(&self, action: &DeleteBranch, pre: &DeleteBranchPre) -> Shown {
        let closes = match pre.open_prs.as_slice() {
            [] => String::new(),
            open => {
                let open: Vec<_> = open.iter().map(|number| format!("#{number}")).collect();
                format!("; GitHub closes {}", open.join(", "))
            }
        };
        told(format!("deletes branch {} of {}, at {}{closes}", action.branch, action.repo, pre.sha.short()))
    }

    fn undo(
        &self,
        action: &DeleteBranch,
        pre: &DeleteBranchPre,
        _: Left<'_, BranchDeleted>,
    ) -> Undo<RestoreBranch> {
        Undo::By(RestoreBranch {
            repo: action.repo.clone(),
            branch: action.branch.clone(),
            sha: pre.sha.clone(),
            prs: pre.open_prs.clone(),
        })
    }
}
