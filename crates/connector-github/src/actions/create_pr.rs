//! `create_pr`: a new pull request, known again by an invisible mark in its body.

use std::fmt;

use enact_core::action::{
    Action, Captured, Doubt, EffectClass, FactKind, Left, LockKey, Shown, Target, Undo,
};
use enact_core::connector::{Cx, Perform};
use enact_core::{Error, ErrorCode};
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::close_pr::ClosePr;
use super::{Looked, body, facts, target, title, told};
use crate::GitHub;
use crate::client::Request;
use crate::error::{conflict, precondition, wrong};
use crate::marker;
use crate::name::{BranchName, HeadName, RepoName, encoded_value};
use crate::repo::{Info, Pull, Repo, is_before};

/// Opens a pull request.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePr {
    repo: RepoName,
    #[serde(deserialize_with = "title")]
    title: String,
    #[serde(default, deserialize_with = "body", skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    head: HeadName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<BranchName>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    draft: bool,
}

// Content does not belong in traces.
impl fmt::Debug for CreatePr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CreatePr({}, {} into {:?}, {:?})", self.repo, self.head, self.base, self.title)
    }
}

/// What `create_pr` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PrCreated {
    /// Its number.
    pub pr_number: u64,
    /// Where people read it.
    pub url: String,
}

/// What undo and probe need to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreatePrPre {
    /// The intent.
    pub made: Looked,
    /// The branch that it is to be merged into.
    pub base: BranchName,
    /// The pull request, where an earlier attempt of this very action has opened it after all.
    pub found: Option<u64>,
}

impl From<&Pull> for PrCreated {
    fn from(pull: &Pull) -> Self {
        Self { pr_number: pull.number, url: pull.html_url.clone() }
    }
}

impl CreatePr {
    /// A pull request from a branch (of a fork: `owner:branch`) into the default branch.
    ///
    /// # Errors
    /// `invalid_parameters`, naming what is no name.
    pub fn new(repo: &str, title: impl Into<String>, head: &str) -> Result<Self, Error> {
        let repo = RepoName::new(repo).map_err(|error| wrong(format!("'repo': {error}")))?;
        let head = HeadName::new(head).map_err(|error| wrong(format!("'head': {error}")))?;
        Ok(Self { repo, title: title.into(), body: None, head, base: None, draft: false })
    }

    /// With a text.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Into another branch.
    #[must_use]
    pub fn base(mut self, base: BranchName) -> Self {
        self.base = Some(base);
        self
    }

    /// As a draft.
    #[must_use]
    pub fn draft(mut self, draft: bool) -> Self {
        self.draft = draft;
        self
    }

    /// The owner of the head, and its branch.
    fn head_parts(&self) -> (&str, &str) {
        let (owner, branch) = self.head.parts();
        (owner.unwrap_or_else(|| self.repo.owner()), branch)
    }

    fn base_of(&self, info: &Info) -> Result<BranchName, Error> {
        match &self.base {
            Some(base) => Ok(base.clone()),
            None => BranchName::new(&info.default_branch)
                .map_err(|error| Error::new(ErrorCode::Unsupported, error)),
        }
    }

    /// The open pull request of this very head and base.
    async fn same(&self, repo: &Repo<'_>, base: &BranchName) -> Result<Option<Pull>, Error> {
        let (owner, branch) = self.head.parts();
        let owner = &owner.map_or_else(|| repo.owner(), str::to_owned);
        let head = encoded_value(&format!("{owner}:{branch}"));
        let tail = format!("/pulls?state=open&head={head}&base={}", encoded_value(base.as_str()));
        let doing = format!("look for a pull request of {owner}:{branch} in {}", self.repo);
        // The filter is only a help; GitHub ignores one that it does not understand.
        let fits =
            |pull: &Pull| pull.is_open() && pull.is_from(owner, branch) && pull.base.name == base.as_str();
        Ok(repo.list(&tail, &doing, fits, fits).await?.into_iter().next())
    }

    /// The head has to be there, where it is a branch of the same owner; of a fork GitHub says it.
    async fn check_head(&self, repo: &Repo<'_>) -> Result<(), Error> {
        let (owner, branch) = self.head.parts();
        if owner.is_some_and(|owner| !owner.eq_ignore_ascii_case(&repo.owner())) {
            return Ok(());
        }
        let branch = BranchName::new(branch).map_err(wrong)?;
        match repo.branch(&branch).await? {
            Some(_) => Ok(()),
            None => {
                let message = format!("{} has no branch {branch} to open a pull request from", self.repo);
                Err(Error::new(ErrorCode::NotFound, message).left_nothing())
            }
        }
    }
}

impl Repo<'_> {
    /// The pull request that carries the mark of an effect, among all that were opened since it was intended.
    pub(crate) async fn marked_pull(&self, made: &Looked) -> Result<Option<Pull>, Error> {
        let Looked { since, effect, .. } = made;
        let us = self.github.client.us(self.cx).await?;
        let doing = format!("look for the pull request of {effect} in {}", self.name);
        let is_it =
            |pull: &Pull| us.may_be(pull.user.as_ref()) && marker::carries(pull.body.as_deref(), effect);
        let enough = |pull: &Pull| is_it(pull) || is_before(pull.created_at, *since);
        let tail = "/pulls?state=all&sort=created&direction=desc";
        Ok(self.list(tail, &doing, is_it, enough).await?.into_iter().next())
    }
}

/// What GitHub's refusal of a new pull request means.
fn refused(request: &Request<'_>, answer: &crate::answer::Answer) -> Error {
    let error = request.refused(answer);
    let words = answer.words();
    match error.code() {
        // Somebody was quicker; asked again, it is already done.
        ErrorCode::AlreadyExists => conflict(error.message()).retryable(),
        ErrorCode::InvalidParameters if words.contains("No commits between") => precondition(error.message()),
        _ => error,
    }
}

impl Action for CreatePr {
    const NAME: &'static str = "create_pr";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "closes the PR; a PR merged meanwhile is a conflict, unless the run has merged it and taken that back";
    const FACTS: &'static [(&'static str, FactKind)] =
        &[("repo", FactKind::Text), ("default_branch", FactKind::Text), ("base", FactKind::Text)];
    type Output = PrCreated;
    type PreState = CreatePrPre;
    type Undo = ClosePr;

    fn target(&self) -> Target {
        let target = target("pull_request", &self.repo, format_args!("from {}", self.head));
        let target = target.with("head", self.head.as_str());
        match &self.base {
            Some(base) => target.with("base", base.as_str()),
            None => target,
        }
    }

    fn lock(&self) -> Option<LockKey> {
        let (owner, branch) = self.head_parts();
        Some(LockKey(format!("{} pulls of {}:{branch}", self.repo.key(), owner.to_lowercase())))
    }
}

impl Perform<CreatePr> for GitHub {
    type Held = ();

    async fn capture(&self, cx: &Cx, action: &CreatePr) -> Result<Captured<CreatePr, ()>, Error> {
        let repo = self.repo(cx, &action.repo);
        let info = repo.writable().await?;
        let base = action.base_of(&info)?;
        let made = Looked::now(cx, &info);
        let mut found = None;
        if let Some(pull) = action.same(&repo, &base).await? {
            let is_ours = marker::is_of_same_action(pull.body.as_deref(), cx.effect())
                && self.client.us(cx).await?.may_be(pull.user.as_ref());
            if !is_ours {
                return Ok(Captured::AlreadyDone(PrCreated::from(&pull)));
            }
            found = Some(pull.number);
        } else {
            action.check_head(&repo).await?;
        }
        let facts = facts(&info, json!({ "base": base }));
        Ok(Captured::Ready { pre: CreatePrPre { made, base, found }, facts, held: () })
    }

    async fn perform(
        &self,
        cx: &Cx,
        action: &CreatePr,
        pre: &CreatePrPre,
        (): (),
    ) -> Result<PrCreated, Error> {
        let cx = &self.in_time(cx, pre.made.at);
        let repo = self.repo(cx, &action.repo);
        if let Some(number) = pre.found {
            return Ok(PrCreated::from(&repo.pull(number).await?));
        }
        let fields = json!({
            "title": action.title,
            "body": marker::marked(action.body.as_deref(), &pre.made.effect),
            "head": action.head,
            "base": pre.base,
            "draft": action.draft,
        });
        let doing = format!("open a pull request from {} into {} in {}", action.head, pre.base, action.repo);
        let request = repo.request(Method::POST, "/pulls".into(), doing).body(fields);
        let answer = repo.send(&request).await?;
        if !answer.status.is_success() {
            return Err(refused(&request, &answer));
        }
        Ok(PrCreated::from(&request.read::<Pull>(&answer)?))
    }

    async fn probe(&self, cx: &Cx, action: &CreatePr, pre: &CreatePrPre) -> Result<Doubt<PrCreated>, Error> {
        let repo = self.repo(cx, &action.repo);
        let look = || async {
            match pre.found {
                Some(number) => repo.pull(number).await.map(Some),
                None => repo.marked_pull(&pre.made).await,
            }
        };
        let found = self.settled(cx, pre.made.at, look).await?;
        Ok(found.map_or(Doubt::NotApplied, |pull| Doubt::Applied(PrCreated::from(&pull))))
    }

    fn show(&self, action: &CreatePr, pre: &CreatePrPre) -> Shown {
        let draft = if action.draft { "a draft of a pull request" } else { "a pull request" };
        told(format!(
            "opens {draft} in {}, '{}', from {} into {}",
            action.repo, action.title, action.head, pre.base
        ))
    }

    fn undo(&self, action: &CreatePr, pre: &CreatePrPre, left: Left<'_, PrCreated>) -> Undo<ClosePr> {
        let pr_number = match left {
            Left::Done(output) => Some(output.pr_number),
            Left::Partly => pre.found,
        };
        Undo::By(ClosePr { repo: action.repo.clone(), pr_number, made: pre.made.clone() })
    }
}
