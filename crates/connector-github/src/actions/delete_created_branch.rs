//! The undo of `create_branch`: the branch is deleted, as long as it points where it was made.

use enact_core::Error;
use enact_core::action::{Action, Captured, Doubt, EffectClass, Left, LockKey, NoUndo, Target, Undo};
use enact_core::connector::{Cx, Perform};
use enact_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{branch_lock, branch_target};
use crate::GitHub;
use crate::error::{conflict, moving};
use crate::marker::{self, UNDOES};
use crate::name::{BranchName, RepoName, Sha};
use crate::refs::Swap;
use crate::repo::{Listed, Repo};
use crate::revert;

/// Deletes a branch that was made at a commit, and still points at it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteCreatedBranch {
    /// The repository.
    pub repo: RepoName,
    /// The branch.
    pub branch: BranchName,
    /// Where it was made.
    pub sha: Sha,
}

/// What undoing `create_branch` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CreatedBranchDeleted {
    /// The branch that is gone.
    pub branch: BranchName,
}

/// What the probe needs to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pointed {
    /// When it was looked.
    pub at: Timestamp,
    /// Where the branch pointed then.
    pub found: Sha,
}

impl DeleteCreatedBranch {
    fn output(&self) -> CreatedBranchDeleted {
        CreatedBranchDeleted { branch: self.branch.clone() }
    }
}

/// Where a branch points that an undo is about to delete; `None` where it is gone, a conflict where it is used by others.
pub(super) async fn deletable(
    repo: &Repo<'_>,
    branch: &BranchName,
    sha: &Sha,
) -> Result<Option<Pointed>, Error> {
    let Some(found) = repo.branch(branch).await? else { return Ok(None) };
    if !repo.cx.force() {
        if found != *sha && !is_only_undone(repo, sha, &found).await? {
            let message = format!(
                "branch {branch} of {} is left as it is: it points at {} now, and was made at {}",
                repo.name,
                found.short(),
                sha.short()
            );
            return Err(conflict(message));
        }
        let open = [repo.pulls_of(branch).await?, repo.pulls_into(branch).await?].concat();
        if !open.is_empty() {
            let numbers = open.iter().map(|pull| format!("#{}", pull.number)).collect::<Vec<_>>().join(", ");
            let message = format!(
                "branch {branch} of {} is left as it is: deleting it would close the pull requests {numbers}",
                repo.name
            );
            return Err(conflict(message));
        }
    }
    Ok(Some(Pointed { at: repo.cx.now(), found }))
}

/// Whether all that came onto a branch since `sha` are pushes of this very run, each taken back again, and commits that
/// change nothing, and nothing is left of them: then nothing of anybody is lost with the branch. What a commit says of
/// itself is no proof of what is in it: somebody may have amended it.
async fn is_only_undone(repo: &Repo<'_>, sha: &Sha, found: &Sha) -> Result<bool, Error> {
    let Some(since) = repo.since(found, sha).await? else { return Ok(false) };
    let tree_of =
        |sha: &Sha| since.iter().find(|commit| commit.sha == *sha).map(|commit| &commit.commit.tree.sha);
    if tree_of(found) != tree_of(sha) {
        return Ok(false);
    }
    let run = repo.cx.effect().run;
    let undoes = |commit: &Listed| marker::is_of_run(&commit.commit.message, UNDOES, run);
    let is_undone = |commit: &Listed| since.iter().any(|by| revert::takes_back(by, &commit.sha, run));
    let changes_nothing = |commit: &Listed| {
        let before = commit.parents.first().and_then(|parent| tree_of(&parent.sha));
        before == Some(&commit.commit.tree.sha)
    };
    // A merge has brought what others made.
    let is_ours = |commit: &Listed| {
        commit.parents.len() == 1 && (undoes(commit) || is_undone(commit) || changes_nothing(commit))
    };
    Ok(since.iter().all(|commit| commit.sha == *sha || is_ours(commit)))
}

/// Deletes a branch from where it was found.
pub(super) async fn delete(repo: &Repo<'_>, branch: &BranchName, pre: &Pointed) -> Result<(), Error> {
    match repo.remove_branch(branch, &pre.found).await? {
        Swap::Done | Swap::Elsewhere(None) => Ok(()),
        Swap::Elsewhere(Some(_)) => {
            Err(moving(format!("branch {branch} of {} moved meanwhile; it was left as it is", repo.name)))
        }
    }
}

/// Whether a branch that was to be deleted is gone. An undo that is tried again compares where it is by itself.
pub(super) async fn is_gone(repo: &Repo<'_>, branch: &BranchName, pre: &Pointed) -> Result<Doubt<()>, Error> {
    // A late request could still delete it, if it is where that request expects it.
    let gone = repo
        .github
        .settled(repo.cx, pre.at, || async { Ok(repo.branch(branch).await?.is_none().then_some(())) });
    Ok(match gone.await? {
        Some(()) => Doubt::Applied(()),
        None => Doubt::NotApplied,
    })
}

impl Action for DeleteCreatedBranch {
    const NAME: &'static str = "delete_created_branch";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "it is an undo, and has none";
    type Output = CreatedBranchDeleted;
    type PreState = Pointed;
    type Undo = NoUndo;

    fn target(&self) -> Target {
        branch_target(&self.repo, &self.branch)
    }

    fn lock(&self) -> Option<LockKey> {
        branch_lock(&self.repo, &self.branch)
    }
}

impl Perform<DeleteCreatedBranch> for GitHub {
    type Held = ();

    async fn capture(
        &self,
        cx: &Cx,
        action: &DeleteCreatedBranch,
    ) -> Result<Captured<DeleteCreatedBranch, ()>, Error> {
        let repo = self.repo(cx, &action.repo);
        Ok(match deletable(&repo, &action.branch, &action.sha).await? {
            Some(pre) => Captured::ready(pre, ()),
            None => Captured::AlreadyDone(action.output()),
        })
    }

    async fn perform(
        &self,
        cx: &Cx,
        action: &DeleteCreatedBranch,
        pre: &Pointed,
        (): (),
    ) -> Result<CreatedBranchDeleted, Error> {
        let cx = &self.in_time(cx, pre.at);
        delete(&self.repo(cx, &action.repo), &action.branch, pre).await?;
        Ok(action.output())
    }

    async fn probe(
        &self,
        cx: &Cx,
        action: &DeleteCreatedBranch,
        pre: &Pointed,
    ) -> Result<Doubt<CreatedBranchDeleted>, Error> {
        Ok(match is_gone(&self.repo(cx, &action.repo), &action.branch, pre).await? {
            Doubt::Applied(()) => Doubt::Applied(action.output()),
            Doubt::NotApplied => Doubt::NotApplied,
            Doubt::Unknown(seen) => Doubt::Unknown(seen),
        })
    }

    fn undo(&self, _: &DeleteCreatedBranch, _: &Pointed, _: Left<'_, CreatedBranchDeleted>) -> Undo<NoUndo> {
        Undo::Irreversible(<DeleteCreatedBranch as Action>::REVERSAL.into())
    }
}
