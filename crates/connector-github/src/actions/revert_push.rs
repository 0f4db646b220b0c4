//! The undo of `push_commit`, where that is configured: a commit that takes it back; a branch that the push made is
//! deleted, as long as it still points at the commit.

use enact_core::Error;
use enact_core::action::{Action, Captured, Doubt, EffectClass, Left, LockKey, NoUndo, Target, Undo};
use enact_core::connector::{Cx, Perform};
use enact_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::delete_created_branch::{Pointed, deletable, delete, is_gone};
use super::{Looked, branch_lock, branch_target};
use crate::GitHub;
use crate::name::{BranchName, RepoName, Sha};
use crate::repo::Repo;
use crate::revert::{Revert, RevertPre, Reverted};

/// Takes a push back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevertPush {
    /// The repository.
    pub repo: RepoName,
    /// The branch.
    pub branch: BranchName,
    /// The commit that was pushed.
    pub commit: Sha,
    /// The commit before it.
    pub parent: Sha,
    /// Whether the push made the branch.
    pub created: bool,
    /// Whether the push is known to have been done.
    pub is_done: bool,
    /// The intent that pushed it.
    pub made: Looked,
}

/// What undoing `push_commit` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PushReverted {
    /// The branch.
    pub branch: BranchName,
    /// The commit that takes the push back; nothing where the branch is deleted, or nothing was to be done.
    pub sha: Option<Sha>,
}

/// What the probe needs to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RevertPushPre {
    /// The branch is deleted.
    Delete(Pointed),
    /// The commit is taken back.
    Revert(RevertPre),
}

impl RevertPushPre {
    /// When it was looked.
    fn at(&self) -> Timestamp {
        match self {
            Self::Delete(pointed) => pointed.at,
            Self::Revert(revert) => revert.at,
        }
    }
}

impl RevertPush {
    fn output(&self, sha: Option<Sha>) -> PushReverted {
        PushReverted { branch: self.branch.clone(), sha }
    }

    fn revert(&self) -> Revert<'_> {
        Revert {
            branch: &self.branch,
            effect: &self.made.effect,
            change: &self.commit,
            before: &self.parent,
            title: format!("Revert {}", self.commit.short()),
        }
    }

    async fn find(&self, repo: &Repo<'_>) -> Result<Option<RevertPushPre>, Error> {
        if !self.is_done {
            let look = || async { Ok(repo.has_commit(&self.branch, &self.commit).await?.then_some(())) };
            if repo.github.settled(repo.cx, self.made.at, look).await?.is_none() {
                return Ok(None);
            }
        }
        if self.created {
            let found = deletable(repo, &self.branch, &self.commit).await?;
            return Ok(found.map(RevertPushPre::Delete));
        }
        Ok(self.revert().capture(repo).await?.map(RevertPushPre::Revert))
    }
}

impl Action for RevertPush {
    const NAME: &'static str = "revert_push";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "it is an undo, and has none";
    type Output = PushReverted;
    type PreState = RevertPushPre;
    type Undo = NoUndo;

    fn target(&self) -> Target {
        branch_target(&self.repo, &self.branch)
    }

    fn lock(&self) -> Option<LockKey> {
        branch_lock(&self.repo, &self.branch)
    }
}

impl Perform<RevertPush> for GitHub {
    type Held = ();

    async fn capture(&self, cx: &Cx, action: &RevertPush) -> Result<Captured<RevertPush, ()>, Error> {
        Ok(match action.find(&self.repo(cx, &action.repo)).await? {
            Some(pre) => Captured::ready(pre, ()),
            None => Captured::AlreadyDone(action.output(None)),
        })
    }

    async fn perform(
        &self,
        cx: &Cx,
        action: &RevertPush,
        pre: &RevertPushPre,
        (): (),
    ) -> Result<PushReverted, Error> {
        let cx = &self.in_time(cx, pre.at());
        let repo = self.repo(cx, &action.repo);
        match pre {
            RevertPushPre::Delete(pointed) => {
                delete(&repo, &action.branch, pointed).await?;
                Ok(action.output(None))
            }
            RevertPushPre::Revert(revert) => {
                let Reverted { sha } = action.revert().perform(&repo, revert).await?;
                Ok(action.output(Some(sha)))
            }
        }
    }

    async fn probe(
        &self,
        cx: &Cx,
        action: &RevertPush,
        pre: &RevertPushPre,
    ) -> Result<Doubt<PushReverted>, Error> {
        let repo = self.repo(cx, &action.repo);
        Ok(match pre {
            RevertPushPre::Delete(pointed) => match is_gone(&repo, &action.branch, pointed).await? {
                Doubt::Applied(()) => Doubt::Applied(action.output(None)),
                Doubt::NotApplied => Doubt::NotApplied,
                Doubt::Unknown(seen) => Doubt::Unknown(seen),
            },
            RevertPushPre::Revert(revert) => match action.revert().probe(&repo, revert).await? {
                Doubt::Applied(Reverted { sha }) => Doubt::Applied(action.output(Some(sha))),
                Doubt::NotApplied => Doubt::NotApplied,
                Doubt::Unknown(seen) => Doubt::Unknown(seen),
            },
        })
    }

    fn undo(&self, _: &RevertPush, _: &RevertPushPre, _: Left<'_, PushReverted>) -> Undo<NoUndo> {
        Undo::Irreversible(<RevertPush as Action>::REVERSAL.into())
    }
}
