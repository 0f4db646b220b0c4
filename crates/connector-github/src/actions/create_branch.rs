//! `create_branch`: a new branch at a commit.

use enact_core::action::{
    Action, Captured, Doubt, EffectClass, FactKind, Left, LockKey, Shown, Target, Undo,
};
use enact_core::connector::{Cx, Perform};
use enact_core::time::Timestamp;
use enact_core::{Error, ErrorCode};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::delete_created_branch::DeleteCreatedBranch;
use super::{branch_lock, branch_target, facts, told};
use crate::GitHub;
use crate::error::{conflict, wrong};
use crate::name::{BranchName, RepoName, Sha};
use crate::refs::Swap;
use crate::repo::{Info, Repo};

/// Makes a branch at the head of another one, or at a commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Params", into = "Params")]
pub struct CreateBranch {
    repo: RepoName,
    branch: BranchName,
    from: From,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum From {
    Default,
    Branch(BranchName),
    Sha(Sha),
}

/// The JSON form.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    repo: RepoName,
    branch: BranchName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from_branch: Option<BranchName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from_sha: Option<Sha>,
}

impl TryFrom<Params> for CreateBranch {
    type Error = String;

    fn try_from(params: Params) -> Result<Self, String> {
        let from = match (params.from_branch, params.from_sha) {
            (None, None) => From::Default,
            (Some(branch), None) => From::Branch(branch),
            (None, Some(sha)) => From::Sha(sha),
            (Some(_), Some(_)) => {
                return Err("fields `from_branch` and `from_sha` exclude each other; give one".into());
            }
        };
        Ok(Self { repo: params.repo, branch: params.branch, from })
    }
}

impl std::convert::From<CreateBranch> for Params {
    fn from(action: CreateBranch) -> Self {
        let (from_branch, from_sha) = match action.from {
            From::Default => (None, None),
            From::Branch(branch) => (Some(branch), None),
            From::Sha(sha) => (None, Some(sha)),
        };
        Self { repo: action.repo, branch: action.branch, from_branch, from_sha }
    }
}

/// What `create_branch` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BranchCreated {
    /// The branch.
    pub branch: BranchName,
    /// Where it points.
    pub sha: Sha,
}

/// What undo and probe need to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateBranchPre {
    /// When it was looked.
    pub at: Timestamp,
    /// Where the branch will point.
    pub sha: Sha,
}

impl CreateBranch {
    /// A branch at the head of the repository's default branch.
    ///
    /// # Errors
    /// `invalid_parameters`, naming what is no name.
    pub fn new(repo: &str, branch: &str) -> Result<Self, Error> {
        let repo = RepoName::new(repo).map_err(|error| wrong(format!("'repo': {error}")))?;
        let branch = BranchName::new(branch).map_err(|error| wrong(format!("'branch': {error}")))?;
        Ok(Self { repo, branch, from: From::Default })
    }

    /// At the head of another branch instead.
    #[must_use]
    pub fn from_branch(mut self, branch: BranchName) -> Self {
        self.from = From::Branch(branch);
        self
    }

    /// At a commit instead.
    #[must_use]
    pub fn from_sha(mut self, sha: Sha) -> Self {
        self.from = From::Sha(sha);
        self
    }

    fn output(&self, sha: &Sha) -> BranchCreated {
        BranchCreated { branch: self.branch.clone(), sha: sha.clone() }
    }

    /// The commit that the branch is to point at.
    async fn start(&self, repo: &Repo<'_>, info: &Info) -> Result<Sha, Error> {
        let from = match &self.from {
            From::Sha(sha) => return repo.existing(sha).await,
            From::Branch(branch) => branch.clone(),
            From::Default => BranchName::new(&info.default_branch)
                .map_err(|error| Error::new(ErrorCode::Unsupported, error))?,
        };
        repo.branch(&from).await?.ok_or_else(|| {
            let message = format!("{} has no branch {from} to start from", self.repo);
            Error::new(ErrorCode::NotFound, message).left_nothing()
        })
    }
}

impl Repo<'_> {
    /// A commit that was named by others.
    async fn existing(&self, sha: &Sha) -> Result<Sha, Error> {
        let doing = format!("look up commit {sha} of {}", self.name);
        let request = self.request(Method::GET, format!("/git/commits/{sha}"), doing);
        let answer = self.send(&request).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY) {
            let message = format!("{} has no commit {sha}", self.name);
            return Err(Error::new(ErrorCode::NotFound, message).left_nothing());
        }
        request.check(answer).map(|_| sha.clone())
    }
}

impl Action for CreateBranch {
    const NAME: &'static str = "create_branch";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "deletes the branch, if it still points at `sha`";
    const FACTS: &'static [(&'static str, FactKind)] = &[
        ("repo", FactKind::Text),
        ("default_branch", FactKind::Text),
        ("exists", FactKind::Flag),
        ("sha", FactKind::Text),
    ];
    type Output = BranchCreated;
    type PreState = CreateBranchPre;
    type Undo = DeleteCreatedBranch;

    fn target(&self) -> Target {
        branch_target(&self.repo, &self.branch)
    }

    fn lock(&self) -> Option<LockKey> {
        branch_lock(&self.repo, &self.branch)
    }
}

impl Perform<CreateBranch> for GitHub {
    type Held = ();

    async fn capture(&self, cx: &Cx, action: &CreateBranch) -> Result<Captured<CreateBranch, ()>, Error> {
        let repo = self.repo(cx, &action.repo);
        let info = repo.writable().await?;
        let sha = action.start(&repo, &info).await?;
        match repo.branch(&action.branch).await? {
            None => {}
            Some(found) if found == sha => return Ok(Captured::AlreadyDone(action.output(&sha))),
            Some(found) => {
                let message = format!(
                    "branch {} of {} exists, at {} and not at {}",
                    action.branch,
                    action.repo,
                    found.short(),
                    sha.short()
                );
                return Err(Error::new(ErrorCode::AlreadyExists, message).left_nothing());
            }
        }
        let facts = facts(&info, json!({ "exists": false, "sha": sha }));
        Ok(Captured::Ready { pre: CreateBranchPre { at: cx.now(), sha }, facts, held: () })
    }

    async fn perform(
        &self,
        cx: &Cx,
        action: &CreateBranch,
        pre: &CreateBranchPre,
        (): (),
    ) -> Result<BranchCreated, Error> {
        let cx = &self.in_time(cx, pre.at);
        match self.repo(cx, &action.repo).create_branch(&action.branch, &pre.sha).await? {
            Swap::Done => Ok(action.output(&pre.sha)),
            Swap::Elsewhere(_) => {
                let message =
                    format!("somebody else has just made branch {} of {}", action.branch, action.repo);
                Err(conflict(message).retryable())
            }
        }
    }

    async fn probe(
        &self,
        cx: &Cx,
        action: &CreateBranch,
        pre: &CreateBranchPre,
    ) -> Result<Doubt<BranchCreated>, Error> {
        let repo = self.repo(cx, &action.repo);
        Ok(match self.settled(cx, pre.at, || repo.branch(&action.branch)).await? {
            Some(found) if found == pre.sha => Doubt::Applied(action.output(&pre.sha)),
            None => Doubt::NotApplied,
            Some(found) => Doubt::Unknown(format!(
                "branch {} of {} is there, at {} and not at {}: somebody moved it since, or made it",
                action.branch,
                action.repo,
                found.short(),
                pre.sha.short()
            )),
        })
    }

    fn show(&self, action: &CreateBranch, pre: &CreateBranchPre) -> Shown {
        told(format!("creates branch {} of {} at {}", action.branch, action.repo, pre.sha.short()))
    }

    fn undo(
        &self,
        action: &CreateBranch,
        pre: &CreateBranchPre,
        _: Left<'_, BranchCreated>,
    ) -> Undo<DeleteCreatedBranch> {
        Undo::By(DeleteCreatedBranch {
            repo: action.repo.clone(),
            branch: action.branch.clone(),
            sha: pre.sha.clone(),
        })
    }
}
