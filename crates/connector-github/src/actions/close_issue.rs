//! The undo of `create_issue`: the issue is closed. What people wrote in it stays.

use enact_core::Error;
use enact_core::action::{Action, Captured, Doubt, EffectClass, Left, LockKey, NoUndo, Target, Undo};
use enact_core::connector::{Cx, Perform};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Looked, target};
use crate::GitHub;
use crate::error::conflict;
use crate::name::RepoName;
use crate::repo::{Issue, Repo};

/// Closes an issue that was opened by an intent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseIssue {
    /// The repository.
    pub repo: RepoName,
    /// Its number, where that is known; else it is found by its mark.
    pub issue_number: Option<u64>,
    /// The intent that opened it.
    pub made: Looked,
}

/// What undoing `create_issue` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IssueClosed {
    /// Its number; nothing where there was no issue.
    pub issue_number: Option<u64>,
}

/// What the probe needs to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseIssuePre {
    /// Its number.
    pub issue_number: u64,
}

impl CloseIssue {
    async fn find(&self, repo: &Repo<'_>) -> Result<Option<Issue>, Error> {
        let Some(number) = self.issue_number else {
            let look = || repo.marked_issue(&self.made);
            return repo.github.settled(repo.cx, self.made.at, look).await;
        };
        let found = repo.issue(number).await?;
        if found.as_ref().is_some_and(Issue::is_pull) {
            return Err(conflict(format!(
                "{}#{number} is a pull request now, and is left as it is",
                self.repo
            )));
        }
        Ok(found)
    }
}

impl Action for CloseIssue {
    const NAME: &'static str = "close_issue";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "it is an undo, and has none";
    type Output = IssueClosed;
    type PreState = CloseIssuePre;
    type Undo = NoUndo;

    fn target(&self) -> Target {
        match self.issue_number {
            Some(number) => target("issue", &self.repo, format_args!("#{number}")),
            None => target("issue", &self.repo, format_args!("of {}", self.made.effect)),
        }
    }

    fn lock(&self) -> Option<LockKey> {
        None
    }
}

impl Perform<CloseIssue> for GitHub {
    type Held = ();

    async fn capture(&self, cx: &Cx, action: &CloseIssue) -> Result<Captured<CloseIssue, ()>, Error> {
        let repo = self.repo(cx, &action.repo);
        repo.still(&action.made).await?;
        let found = action.find(&repo).await?;
        Ok(match found {
            Some(issue) if issue.state == "open" => {
                Captured::ready(CloseIssuePre { issue_number: issue.number }, ())
            }
            other => Captured::AlreadyDone(IssueClosed { issue_number: other.map(|issue| issue.number) }),
        })
    }

    async fn perform(
        &self,
        cx: &Cx,
        action: &CloseIssue,
        pre: &CloseIssuePre,
        (): (),
    ) -> Result<IssueClosed, Error> {
        let repo = self.repo(cx, &action.repo);
        let number = pre.issue_number;
        let request = repo
            .request(Method::PATCH, format!("/issues/{number}"), format!("close {}#{number}", action.repo))
            .body(json!({ "state": "closed", "state_reason": "not_planned" }));
        let answer = repo.ask(&request).await?;
        let issue: Issue = request.read(&answer)?;
        if issue.state == "open" {
            return Err(request.undescribed(&answer, "it is open still"));
        }
        Ok(IssueClosed { issue_number: Some(number) })
    }

    /// Closing what is closed changes nothing, so an answer needs no window.
    async fn probe(
        &self,
        cx: &Cx,
        action: &CloseIssue,
        pre: &CloseIssuePre,
    ) -> Result<Doubt<IssueClosed>, Error> {
        let found = self.repo(cx, &action.repo).issue(pre.issue_number).await?;
        Ok(match found {
            Some(issue) if issue.state == "open" => Doubt::NotApplied,
            _ => Doubt::Applied(IssueClosed { issue_number: Some(pre.issue_number) }),
        })
    }

    fn undo(&self, _: &CloseIssue, _: &CloseIssuePre, _: Left<'_, IssueClosed>) -> Undo<NoUndo> {
        Undo::Irreversible(<CloseIssue as Action>::REVERSAL.into())
    }
}
