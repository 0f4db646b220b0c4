//! The undo of `merge_pr`: a commit on top of the base branch as it is now, without what the merge brought.

use enact_core::Error;
use enact_core::action::{Action, Captured, Doubt, EffectClass, Left, LockKey, NoUndo, Target, Undo};
use enact_core::connector::{Cx, Perform};
use serde::{Deserialize, Serialize};

use super::merge_pr::Method;
use super::{Looked, branch_lock, target};
use crate::GitHub;
use crate::error::conflict;
use crate::name::{BranchName, RepoName, Sha};
use crate::repo::{Commit, Pull, Repo};
use crate::revert::{Revert, RevertPre, Reverted};

/// Takes a merge back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevertMerge {
    /// The repository.
    pub repo: RepoName,
    /// The pull request.
    pub pr_number: u64,
    /// How it was merged.
    pub method: Method,
    /// The branch that it was merged into.
    pub base: BranchName,
    /// The head that was merged.
    pub head: Sha,
    /// The commit that the branch got by it, where that is known; else it is looked up.
    pub merge: Option<Sha>,
    /// The intent that merged it.
    pub made: Looked,
    /// Whether an earlier attempt of that action had merged it.
    pub landed: bool,
}

/// What undoing `merge_pr` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MergeReverted {
    /// The branch.
    pub branch: BranchName,
    /// The commit that takes the merge back; nothing where there was no merge.
    pub sha: Option<Sha>,
}

/// What the probe needs to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevertMergePre {
    /// The commit that the branch got by the merge.
    pub merge: Sha,
    /// The commit before all that the merge brought.
    pub before: Sha,
    /// How it is taken back.
    pub revert: RevertPre,
}

impl RevertMerge {
    fn output(&self, sha: Option<Sha>) -> MergeReverted {
        MergeReverted { branch: self.base.clone(), sha }
    }

    fn revert<'a>(&'a self, merge: &'a Sha, before: &'a Sha) -> Revert<'a> {
        Revert {
            branch: &self.base,
            effect: &self.made.effect,
            change: merge,
            before,
            title: format!("Revert the merge of #{}", self.pr_number),
        }
    }

    /// The merge, where it was made.
    async fn merged(&self, repo: &Repo<'_>) -> Result<Option<Sha>, Error> {
        if let Some(merge) = &self.merge {
            self.check_base(&repo.pull(self.pr_number).await?)?;
            return Ok(Some(merge.clone()));
        }
        let look = || async { Ok(Some(repo.pull(self.pr_number).await?).filter(Pull::is_merged)) };
        let Some(pull) = repo.github.settled(repo.cx, self.made.at, look).await? else { return Ok(None) };
        let merge = if self.landed {
            Some(pull.merge_commit()?)
        } else {
            repo.is_merge_of(&pull, self.method, &self.made, &self.head).await?
        };
        if merge.is_some() {
            self.check_base(&pull)?;
        }
        Ok(merge)
    }

    /// Between the last look and the merge, somebody may have chosen another base, which is final then.
    fn check_base(&self, pull: &Pull) -> Result<(), Error> {
        if pull.base.name == self.base.as_str() {
            return Ok(());
        }
        Err(conflict(format!(
            "the merge of {}#{} is left as it is: somebody had it go into {}, and not into {}, for which it was asked",
            self.repo, self.pr_number, pull.base.name, self.base
        )))
    }

    /// The commit before all that the merge brought, by the way in which it was merged.
    async fn before(&self, repo: &Repo<'_>, merge: &Sha) -> Result<Sha, Error> {
        let commit = repo.commit(merge).await?;
        let parent = first_parent(&commit);
        match (self.method, commit.parents.len()) {
            (Method::Merge, 2) | (Method::Squash, 1) => parent.ok_or_else(|| self.odd(merge)),
            (Method::Rebase, _) => self.before_rebased(repo, merge).await,
            _ => Err(self.odd(merge)),
        }
    }

    /// Walks back over the rebased commits, one for each of the pull request, comparing each with its original.
    async fn before_rebased(&self, repo: &Repo<'_>, merge: &Sha) -> Result<Sha, Error> {
        let mut at = merge.clone();
        let originals = repo.pull_commits(self.pr_number).await?;
        if originals.is_empty() {
            return Err(conflict(format!(
                "the merge of {}#{} is left as it is: GitHub lists no commit of it",
                self.repo, self.pr_number
            )));
        }
        for original in originals.iter().rev() {
            let copy = repo.commit(&at).await?;
            let same = copy.message.trim_end() == original.commit.message.trim_end()
                && copy.author == original.commit.author;
            match first_parent(&copy) {
                Some(parent) if same && copy.parents.len() == 1 => at = parent,
                _ => {
                    return Err(conflict(format!(
                        "the merge of {}#{} is left as it is: commit {} is not the copy of {} that it should be",
                        self.repo,
                        self.pr_number,
                        at.short(),
                        original.sha.short()
                    )));
                }
            }
        }
        Ok(at)
    }

    fn odd(&self, merge: &Sha) -> Error {
        conflict(format!(
            "the merge of {}#{} is left as it is: {} is not a commit as this way of merging makes it",
            self.repo,
            self.pr_number,
            merge.short()
        ))
    }
}

fn first_parent(commit: &Commit) -> Option<Sha> {
    commit.parents.first().map(|parent| parent.sha.clone())
}

impl Action for RevertMerge {
    const NAME: &'static str = "revert_merge";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "it is an undo, and has none";
    type Output = MergeReverted;
    type PreState = RevertMergePre;
    type Undo = NoUndo;

    fn target(&self) -> Target {
        target("branch", &self.repo, &self.base).with("pr_number", self.pr_number.to_string())
    }

    fn lock(&self) -> Option<LockKey> {
        branch_lock(&self.repo, &self.base)
    }
}

impl Perform<RevertMerge> for GitHub {
    type Held = ();

    async fn capture(&self, cx: &Cx, action: &RevertMerge) -> Result<Captured<RevertMerge, ()>, Error> {
        let repo = self.repo(cx, &action.repo);
        repo.still(&action.made).await?;
        let Some(merge) = action.merged(&repo).await? else {
            return Ok(Captured::AlreadyDone(action.output(None)));
        };
        let before = action.before(&repo, &merge).await?;
        Ok(match action.revert(&merge, &before).capture(&repo).await? {
            Some(revert) => Captured::ready(RevertMergePre { merge, before, revert }, ()),
            None => Captured::AlreadyDone(action.output(None)),
        })
    }

    async fn perform(
        &self,
        cx: &Cx,
        action: &RevertMerge,
        pre: &RevertMergePre,
        (): (),
    ) -> Result<MergeReverted, Error> {
        let cx = &self.in_time(cx, pre.revert.at);
        let repo = self.repo(cx, &action.repo);
        let Reverted { sha } = action.revert(&pre.merge, &pre.before).perform(&repo, &pre.revert).await?;
        Ok(action.output(Some(sha)))
    }

    async fn probe(
        &self,
        cx: &Cx,
        action: &RevertMerge,
        pre: &RevertMergePre,
    ) -> Result<Doubt<MergeReverted>, Error> {
        let repo = self.repo(cx, &action.repo);
        Ok(match action.revert(&pre.merge, &pre.before).probe(&repo, &pre.revert).await? {
            Doubt::Applied(Reverted { sha }) => Doubt::Applied(action.output(Some(sha))),
            Doubt::NotApplied => Doubt::NotApplied,
            Doubt::Unknown(seen) => Doubt::Unknown(seen),
        })
    }

    fn undo(&self, _: &RevertMerge, _: &RevertMergePre, _: Left<'_, MergeReverted>) -> Undo<NoUndo> {
        Undo::Irreversible(<RevertMerge as Action>::REVERSAL.into())
    }
}
