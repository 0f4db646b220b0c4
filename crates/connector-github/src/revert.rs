//! Taking a commit back on top of what came after it, as `git revert -m 1` does: a three-way merge of the branch's head
//! with the state before the commit, whose base is the commit.
//!
//! M is the commit, H the head. Where H is still M, the result is the state before M. Else GitHub itself merges, in a
//! branch that exists only for that time: H + C, where C has the state before M and the parent M, so that M is the merge
//! base. The branch of people is then moved once, from H to a commit whose message says what it undoes; by that it is
//! found again, whatever its name.

use enact_core::action::Doubt;
use enact_core::ids::RunId;
use enact_core::time::Timestamp;
use enact_core::{Error, ErrorCode};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::{conflict, moving, odd};
use crate::marker::{self, UNDOES};
use crate::name::{BranchName, Sha};
use crate::refs::Swap;
use crate::repo::{Listed, Ref, Relation, Repo, Said, Sought};

/// A commit to take back.
#[derive(Clone, Debug)]
pub(crate) struct Revert<'a> {
    pub(crate) branch: &'a BranchName,
    /// The effect that made it.
    pub(crate) effect: &'a str,
    /// M.
    pub(crate) change: &'a Sha,
    /// The commit before it.
    pub(crate) before: &'a Sha,
    /// The first line of the commit that takes it back.
    pub(crate) title: String,
}

/// What taking back stands on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevertPre {
    /// When it was looked.
    pub at: Timestamp,
    /// Where the branch was.
    pub head: Sha,
    /// The commit that the branch is moved to, where that is known beforehand: nothing came after.
    pub result: Option<Sha>,
    /// Else the commit that is merged to get it.
    pub opposite: Option<Sha>,
    /// The branch that exists for the time of that merge.
    pub temporary: String,
}

/// What taking back came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reverted {
    /// The commit that takes it back; the head as it was, where nothing was left to be taken back.
    pub(crate) sha: Sha,
}

/// The line, as git writes it, in which a commit says which one it takes back.
fn says_what(sha: &Sha) -> String {
    format!("This reverts commit {sha}.")
}

/// Whether a commit says that it takes another one back, in the rollback of a run.
pub(crate) fn takes_back(commit: &Listed, change: &Sha, run: RunId) -> bool {
    let message = &commit.commit.message;
    marker::is_of_run(message, UNDOES, run) && message.lines().any(|line| line == says_what(change))
}

impl Revert<'_> {
    /// What there is to do; `None` where it is undone already.
    pub(crate) async fn capture(&self, repo: &Repo<'_>) -> Result<Option<RevertPre>, Error> {
        let Some(head) = repo.branch(self.branch).await? else {
            return Err(self.conflict("the branch is gone"));
        };
        match repo.relation(self.change, &head).await? {
            Some(Relation::Same | Relation::Contains) => {}
            // Somebody set the branch back to before it.
            Some(Relation::Behind) => return Ok(None),
            None => return Err(repo.no_commit(self.change)),
            Some(Relation::Apart) => {
                return Err(self.conflict(&format!(
                    "its history was rewritten, and does not contain {} any more",
                    self.change.short()
                )));
            }
        }
        if head != *self.change && self.is_taken_back(repo, &head).await? {
            return Ok(None);
        }
        let before = repo.commit(self.before).await?.tree.sha;
        if repo.commit(&head).await?.tree.sha == before {
            return Ok(None);
        }
        let at = repo.cx.now();
        // The effect id of this undo.
        let temporary = format!("{}-u{}", self.effect, repo.cx.effect().undo_try);
        let (result, opposite) = if head == *self.change {
            (Some(repo.make_commit(&before, &[&head], &self.message(), at).await?), None)
        } else {
            let text = format!("The state before {}", self.change);
            (None, Some(repo.make_commit(&before, &[self.change], &text, at).await?))
        };
        Ok(Some(RevertPre { at, head, result, opposite, temporary }))
    }

    async fn is_taken_back(&self, repo: &Repo<'_>, head: &Sha) -> Result<bool, Error> {
        match repo.seek(head, self.change, |commit| self.is_ours(commit)).await? {
            Sought::Found(_) => Ok(true),
            Sought::Absent => Ok(false),
            Sought::TooMany if repo.cx.force() => Ok(false),
            Sought::TooMany => Err(self.conflict(
                "more commits came after it than are read, and one of them may have taken it back already",
            )),
        }
    }

    fn is_ours(&self, commit: &Listed) -> bool {
        marker::has_trailer(&commit.commit.message, UNDOES, self.effect)
    }

    fn message(&self) -> String {
        let text = format!("{}\n\n{}", self.title, says_what(self.change));
        marker::with_trailer(&text, UNDOES, self.effect)
    }

    /// Takes it back.
    pub(crate) async fn perform(&self, repo: &Repo<'_>, pre: &RevertPre) -> Result<Reverted, Error> {
        let done = |sha| Ok(Reverted { sha });
        let sha = match (&pre.result, &pre.opposite) {
            (Some(result), _) => result.clone(),
            (None, Some(opposite)) => {
                let tree = self.merged(repo, pre, opposite).await?;
                if repo.commit(&pre.head).await?.tree.sha == tree {
                    return done(pre.head.clone());
                }
                repo.make_commit(&tree, &[&pre.head], &self.message(), pre.at).await?
            }
            (None, None) => return Err(odd("take it back", "the record has neither commit").left_nothing()),
        };
        match repo.move_branch(self.branch, &pre.head, &sha, false).await? {
            Swap::Done => done(sha),
            Swap::Elsewhere(_) => Err(moving(format!(
                "branch {} of {} moved while the commit was being taken back; nothing was changed",
                self.branch, repo.name
            ))),
        }
    }

    /// The tree of the three-way merge, made in a branch that is gone afterwards, whatever happens.
    async fn merged(&self, repo: &Repo<'_>, pre: &RevertPre, opposite: &Sha) -> Result<Sha, Error> {
        repo.sweep(self.effect).await?;
        let temporary = BranchName::temporary(&pre.temporary);
        let merged = match repo.create_branch(&temporary, &pre.head).await {
            Ok(Swap::Done) => self.merge(repo, &temporary, opposite).await,
            Ok(Swap::Elsewhere(_)) => Err(moving(format!("branch {temporary} is there already"))),
            Err(error) => Err(error.context("the branch for the time of the merge")),
        };
        let Err(error) = repo.sweep(self.effect).await else { return merged };
        let (code, what) = match error.code() {
            // Looked for again it is refused again.
            ErrorCode::Forbidden => (ErrorCode::Forbidden, "is left, and somebody who may has to delete it"),
            _ => (ErrorCode::InDoubt, "may be left, which is looked for again"),
        };
        let merge = merged.err().map(|error| format!("{error}; ")).unwrap_or_default();
        let message = format!("{merge}branch {temporary} of {} {what}: {error}", repo.name);
        Err(Error::new(code, message).with_source(error))
    }

    async fn merge(&self, repo: &Repo<'_>, temporary: &BranchName, opposite: &Sha) -> Result<Sha, Error> {
        let doing = format!("merge the state before {} into {}", self.change.short(), self.branch);
        let body = json!({ "base": temporary, "head": opposite, "commit_message": self.title });
        // Wherever it lands, it is in the branch that is removed.
        let request = repo.request(Method::POST, "/merges".into(), doing).body(body).harmless();
        let answer = repo.send(&request).await?;
        if answer.status == StatusCode::CONFLICT {
            return Err(self.conflict("later changes touch the same lines"));
        }
        let answer = request.check(answer)?;
        #[derive(Deserialize)]
        struct Merge {
            commit: Said,
        }
        let Merge { commit } = request.read(&answer)?;
        Ok(commit.tree.sha)
    }

    /// Finds out whether it was taken back. A branch that was left from a merge is removed.
    pub(crate) async fn probe(&self, repo: &Repo<'_>, pre: &RevertPre) -> Result<Doubt<Reverted>, Error> {
        let found = repo
            .github
            .settled(repo.cx, pre.at, || async {
                repo.sweep(self.effect).await?;
                let Some(head) = repo.branch(self.branch).await? else { return Ok(None) };
                match repo.seek(&head, &pre.head, |commit| self.is_ours(commit)).await? {
                    Sought::Absent => Ok(None),
                    sought => Ok(Some(sought)),
                }
            })
            .await?;
        Ok(match found {
            Some(Sought::Found(sha)) => Doubt::Applied(Reverted { sha }),
            Some(_) => Doubt::Unknown(format!(
                "branch {} has more new commits than are read, and none of those says that it undoes {}",
                self.branch, self.effect
            )),
            None => Doubt::NotApplied,
        })
    }

    fn conflict(&self, why: &str) -> Error {
        conflict(format!(
            "{} on branch {} is left as it is, because it cannot be taken back by itself: {why}",
            self.change.short(),
            self.branch
        ))
    }
}

impl Repo<'_> {
    /// Removes every branch that undoing an effect has left.
    async fn sweep(&self, effect: &str) -> Result<(), Error> {
        let prefix = BranchName::temporary(effect);
        let doing = format!("look for branches that undoing {effect} left in {}", self.name);
        let request = self.get(format!("/git/matching-refs/heads/{}", prefix.path()), doing);
        let answer = self.ask(&request).await?;
        let left: Vec<Ref> = request.read(&answer)?;
        for Ref { name, .. } in left {
            // Another effect's id may begin like this one's.
            let rest =
                name.strip_prefix(&prefix.full()).filter(|rest| rest.is_empty() || rest.starts_with('-'));
            if let Some(rest) = rest {
                self.remove_temporary(&BranchName::temporary(&format!("{effect}{rest}"))).await?;
            }
        }
        Ok(())
    }

    async fn remove_temporary(&self, branch: &BranchName) -> Result<(), Error> {
        let doing = format!("delete branch {branch} of {}", self.name);
        let request = self.request(Method::DELETE, format!("/git/refs/heads/{}", branch.path()), doing);
        let answer = self.send(&request).await?;
        // Somebody, or an earlier request of ours that came late, was quicker; or a rule refuses it.
        if answer.status == StatusCode::UNPROCESSABLE_ENTITY && self.branch(branch).await?.is_none() {
            return Ok(());
        }
        request.read_nothing(&request.check(answer)?)
    }
}
