//! `create_issue`: a new issue, known again by an invisible mark in its body.

use std::fmt;

use enact_core::Error;
use enact_core::action::{
    Action, Captured, Doubt, EffectClass, FactKind, Left, LockKey, Shown, Target, Undo,
};
use enact_core::connector::{Cx, Perform};
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::close_issue::CloseIssue;
use super::{Looked, body, facts, target, title, told};
use crate::GitHub;
use crate::error::{precondition, wrong};
use crate::marker;
use crate::name::RepoName;
use crate::repo::{Issue, Repo, is_before};

/// Opens an issue.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateIssue {
    repo: RepoName,
    #[serde(deserialize_with = "title")]
    title: String,
    #[serde(default, deserialize_with = "body", skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    assignees: Vec<String>,
}

// Content does not belong in traces.
impl fmt::Debug for CreateIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CreateIssue({}, {:?})", self.repo, self.title)
    }
}

/// What `create_issue` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IssueCreated {
    /// Its number.
    pub issue_number: u64,
    /// Where people read it.
    pub url: String,
}

impl CreateIssue {
    /// An issue with a title.
    ///
    /// # Errors
    /// `invalid_parameters`, where the repository is no name.
    pub fn new(repo: &str, title: impl Into<String>) -> Result<Self, Error> {
        let repo = RepoName::new(repo).map_err(|error| wrong(format!("'repo': {error}")))?;
        Ok(Self { repo, title: title.into(), body: None, labels: Vec::new(), assignees: Vec::new() })
    }

    /// With a text.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// With labels.
    #[must_use]
    pub fn labels<S: Into<String>>(mut self, labels: impl IntoIterator<Item = S>) -> Self {
        self.labels = labels.into_iter().map(Into::into).collect();
        self
    }
}

impl From<&Issue> for IssueCreated {
    fn from(issue: &Issue) -> Self {
        Self { issue_number: issue.number, url: issue.html_url.clone() }
    }
}

impl Repo<'_> {
    /// The issue that carries the mark of an effect, among all that were opened since it was intended.
    pub(crate) async fn marked_issue(&self, made: &Looked) -> Result<Option<Issue>, Error> {
        let Looked { since, effect, .. } = made;
        let us = self.github.client.us(self.cx).await?;
        let doing = format!("look for the issue of {effect} in {}", self.name);
        let is_it = |issue: &Issue| {
            !issue.is_pull()
                && us.may_be(issue.user.as_ref())
                && marker::carries(issue.body.as_deref(), effect)
        };
        let enough = |issue: &Issue| is_it(issue) || is_before(issue.created_at, *since);
        let tail = "/issues?state=all&sort=created&direction=desc";
        Ok(self.list(tail, &doing, is_it, enough).await?.into_iter().next())
    }
}

impl Action for CreateIssue {
    const NAME: &'static str = "create_issue";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "closes the issue";
    const FACTS: &'static [(&'static str, FactKind)] =
        &[("repo", FactKind::Text), ("default_branch", FactKind::Text)];
    type Output = IssueCreated;
    type PreState = Looked;
    type Undo = CloseIssue;

    fn target(&self) -> Target {
        target("issue", &self.repo, format_args!("'{}'", self.title))
    }

    fn lock(&self) -> Option<LockKey> {
        None
    }
}

impl Perform<CreateIssue> for GitHub {
    type Held = ();

    async fn capture(&self, cx: &Cx, action: &CreateIssue) -> Result<Captured<CreateIssue, ()>, Error> {
        let info = self.repo(cx, &action.repo).writable().await?;
        if !info.has_issues {
            return Err(precondition(format!("issues are turned off in {}", action.repo)));
        }
        let facts = facts(&info, json!({}));
        Ok(Captured::Ready { pre: Looked::now(cx, &info), facts, held: () })
    }

    async fn perform(
        &self,
        cx: &Cx,
        action: &CreateIssue,
        pre: &Looked,
        (): (),
    ) -> Result<IssueCreated, Error> {
        let cx = &self.in_time(cx, pre.at);
        let repo = self.repo(cx, &action.repo);
        let mut fields = json!({
            "title": action.title,
            "body": marker::marked(action.body.as_deref(), &pre.effect),
        });
        for (name, list) in [("labels", &action.labels), ("assignees", &action.assignees)] {
            if let Some(fields) = fields.as_object_mut().filter(|_| !list.is_empty()) {
                fields.insert(name.into(), json!(list));
            }
        }
        let doing = format!("open an issue in {}", action.repo);
        let request = repo.request(Method::POST, "/issues".into(), doing).body(fields);
        let issue: Issue = request.read(&repo.ask(&request).await?)?;
        Ok(IssueCreated::from(&issue))
    }

    async fn probe(&self, cx: &Cx, action: &CreateIssue, pre: &Looked) -> Result<Doubt<IssueCreated>, Error> {
        let repo = self.repo(cx, &action.repo);
        let found = self.settled(cx, pre.at, || repo.marked_issue(pre)).await?;
        Ok(found.map_or(Doubt::NotApplied, |issue| Doubt::Applied(IssueCreated::from(&issue))))
    }

    fn show(&self, action: &CreateIssue, pre: &Looked) -> Shown {
        let _: &Looked = pre;
        told(format!("opens an issue in {}, '{}'", action.repo, action.title))
    }

    fn undo(&self, action: &CreateIssue, pre: &Looked, left: Left<'_, IssueCreated>) -> Undo<CloseIssue> {
        let issue_number = match left {
            Left::Done(output) => Some(output.issue_number),
            Left::Partly => None,
        };
        Undo::By(CloseIssue { repo: action.repo.clone(), issue_number, made: pre.clone() })
    }
}
