//! `merge_pr`: a pull request is merged, as it was when it was looked at and not otherwise.

use enact_core::Error;
use enact_core::action::{
    Action, Captured, Doubt, EffectClass, FactKind, Left, LockKey, Shown, Target, Undo,
};
use enact_core::connector::{Cx, Perform};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::revert_merge::RevertMerge;
use super::{Looked, facts, number, pull_lock, target, told};
use crate::GitHub;
use crate::account::Us;
use crate::error::{conflict, precondition, wrong};
use crate::marker::{self, EFFECT};
use crate::name::{BranchName, RepoName, Sha};
use crate::repo::{Listed, Pull, Repo};

/// The most commits that GitHub lists of a pull request.
const MAX_COMMITS: u64 = 250;

/// How a pull request is merged.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// By a merge commit.
    #[default]
    Merge,
    /// By one new commit.
    Squash,
    /// By new commits, one for each of its own.
    Rebase,
}

/// Merges a pull request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergePr {
    repo: RepoName,
    #[serde(deserialize_with = "number")]
    pr_number: u64,
    #[serde(default)]
    method: Method,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected_head_sha: Option<Sha>,
}

/// What `merge_pr` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PrMerged {
    /// Always true: what is not merged is an error.
    pub merged: bool,
    /// The commit that the base branch got by it.
    pub sha: Sha,
}

/// What undo and probe need to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergePrPre {
    /// The intent.
    pub made: Looked,
    /// The head that is merged, and no other.
    pub head: Sha,
    /// The branch that it is merged into.
    pub base: BranchName,
    /// Whether an earlier attempt of this very action has merged it after all.
    pub landed: bool,
}

impl MergePr {
    /// Merges a pull request by a merge commit.
    ///
    /// # Errors
    /// `invalid_parameters`, where the repository is no name.
    pub fn new(repo: &str, pr_number: u64) -> Result<Self, Error> {
        let repo = RepoName::new(repo).map_err(|error| wrong(format!("'repo': {error}")))?;
        Ok(Self { repo, pr_number, method: Method::Merge, expected_head_sha: None })
    }

    /// In another way.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Only if its head is this commit.
    #[must_use]
    pub fn expected_head_sha(mut self, sha: Sha) -> Self {
        self.expected_head_sha = Some(sha);
        self
    }

    /// An error where it is not to be merged.
    fn check(&self, pull: &Pull) -> Result<(), Error> {
        let refuse = |why: String| Err(precondition(format!("{}#{} {why}", self.repo, self.pr_number)));
        if !pull.is_open() {
            return refuse("is closed".into());
        }
        if pull.draft {
            return refuse("is a draft".into());
        }
        match &self.expected_head_sha {
            Some(wanted) if *wanted != pull.head.sha => {
                refuse(format!("has the head {} and not {wanted}, which was expected", pull.head.sha))
            }
            _ if self.method == Method::Rebase
                && pull.commits.is_some_and(|commits| commits > MAX_COMMITS) =>
            {
                refuse(format!(
                    "has more than {MAX_COMMITS} commits, and could not be rebased and taken back"
                ))
            }
            _ => Ok(()),
        }
    }

    /// The pull request, as long as it is one that was judged: GitHub compares its head itself, and its base not.
    async fn unchanged(&self, repo: &Repo<'_>, pre: &MergePrPre) -> Result<Pull, Error> {
        let pull = repo.pull(self.pr_number).await?;
        self.check(&pull).map_err(Error::retryable)?;
        if pull.base.name != pre.base.as_str() {
            let message = format!(
                "{}#{} is to be merged into {} now, and was into {}; it is left as it is",
                self.repo, self.pr_number, pull.base.name, pre.base
            );
            return Err(precondition(message).retryable());
        }
        Ok(pull)
    }

    /// The body of the request. Title and message are as GitHub makes them, with the effect at the end; commits that
    /// are rebased keep theirs.
    async fn fields(&self, repo: &Repo<'_>, pre: &MergePrPre) -> Result<Value, Error> {
        let mut fields = json!({ "sha": pre.head, "merge_method": self.method });
        let commits = match self.method {
            Method::Squash => repo.pull_commits(self.pr_number).await?,
            Method::Merge | Method::Rebase => Vec::new(),
        };
        // The last look before the request.
        let pull = self.unchanged(repo, pre).await?;
        let message = match self.method {
            Method::Rebase => return Ok(fields),
            Method::Merge => pull.title,
            Method::Squash => squashed(&commits),
        };
        let message = marker::with_trailer(&message, EFFECT, &pre.made.effect);
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("commit_message".into(), json!(message.trim_start()));
        }
        Ok(fields)
    }

    /// What GitHub's refusal means.
    fn refused(&self, request: &crate::client::Request<'_>, answer: &crate::answer::Answer) -> Error {
        let error = request.refused(answer);
        let words = answer.words();
        // A head that moved may be judged and merged anew, where the caller did not name it.
        let moved = answer.status == StatusCode::CONFLICT && self.expected_head_sha.is_none();
        let busy = words.contains("Base branch was modified") || words.contains("already in progress");
        if moved || busy { error.retryable() } else { error }
    }
}

/// The messages of several commits, as GitHub joins them; the one's own body where there is one.
fn squashed(commits: &[Listed]) -> String {
    let messages = commits.iter().map(|commit| commit.commit.message.trim_end());
    match commits {
        [one] => one.commit.message.split_once('\n').map_or("", |(_, body)| body).trim().to_owned(),
        _ => messages.map(|message| format!("* {message}")).collect::<Vec<_>>().join("\n\n"),
    }
}

impl Repo<'_> {
    /// The commits of a pull request, oldest first; GitHub lists 250 at most.
    pub(crate) async fn pull_commits(&self, number: u64) -> Result<Vec<Listed>, Error> {
        let doing = format!("list the commits of {}#{number}", self.name);
        self.list(&format!("/pulls/{number}/commits"), &doing, |_| true, |_| false).await
    }

    /// Whether a merged pull request was merged by an intent; `None` where it was not.
    pub(crate) async fn is_merge_of(
        &self,
        pull: &Pull,
        method: Method,
        made: &Looked,
        head: &Sha,
    ) -> Result<Option<Sha>, Error> {
        if !pull.is_merged() {
            return Ok(None);
        }
        let sha = pull.merge_commit()?;
        let ours = match method {
            Method::Merge | Method::Squash => {
                marker::has_trailer(&self.commit(&sha).await?.message, EFFECT, &made.effect)
            }
            // Rebased commits keep their messages. Who merged it, and that it was the head that we asked for, has to do.
            Method::Rebase => pull.head.sha == *head && self.is_by_us(pull).await?,
        };
        Ok(ours.then_some(sha))
    }

    async fn is_by_us(&self, pull: &Pull) -> Result<bool, Error> {
        let us = match self.github.client.us(self.cx).await? {
            // A token of no user is one of a workflow, whose deeds are shown under this name.
            Us::Unknown => Us::Bot("github-actions[bot]"),
            us => us,
        };
        Ok(us.may_be(pull.merged_by.as_ref()))
    }
}

impl Action for MergePr {
    const NAME: &'static str = "merge_pr";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "a new commit that undoes the merge on top of the branch as it is now, keeping all \
                                    later work; a textual conflict is a conflict";
    const FACTS: &'static [(&'static str, FactKind)] = &[
        ("repo", FactKind::Text),
        ("default_branch", FactKind::Text),
        ("head_sha", FactKind::Text),
        ("head", FactKind::Text),
        ("base", FactKind::Text),
        ("commits", FactKind::Number),
        ("title", FactKind::Text),
        ("paths", FactKind::Texts),
        ("deleted_paths", FactKind::Texts),
        ("paths_complete", FactKind::Flag),
    ];
    type Output = PrMerged;
    type PreState = MergePrPre;
    type Undo = RevertMerge;

    fn target(&self) -> Target {
        target("pull_request", &self.repo, format_args!("#{}", self.pr_number))
            .with("pr_number", self.pr_number.to_string())
    }

    fn lock(&self) -> Option<LockKey> {
        pull_lock(&self.repo, self.pr_number)
    }
}

impl Perform<MergePr> for GitHub {
    type Held = ();

    async fn capture(&self, cx: &Cx, action: &MergePr) -> Result<Captured<MergePr, ()>, Error> {
        let repo = self.repo(cx, &action.repo);
        let info = repo.writable().await?;
        let pull = repo.pull(action.pr_number).await?;
        let landed = pull.is_merged();
        let mut onto = None;
        if landed {
            let sha = pull.merge_commit()?;
            let commit = repo.commit(&sha).await?;
            if !marker::is_of_same_action(Some(&commit.message), cx.effect()) {
                return Ok(Captured::AlreadyDone(PrMerged { merged: true, sha }));
            }
            onto = commit.parents.into_iter().next().map(|parent| parent.sha);
        } else {
            action.check(&pull)?;
        }
        let base = BranchName::new(&pull.base.name).map_err(precondition)?;
        if !landed {
            onto = repo.branch(&base).await?;
        }
        let touched = repo.touched(onto.as_ref(), &pull.head.sha).await?;
        let facts = facts(
            &info,
            json!({
                "head_sha": pull.head.sha,
                "head": pull.head.name,
                "base": base,
                "commits": pull.commits,
                "title": pull.title,
                "paths": touched.paths,
                "deleted_paths": touched.deleted,
                "paths_complete": touched.is_complete,
            }),
        );
        let pre = MergePrPre { made: Looked::now(cx, &info), head: pull.head.sha, base, landed };
        Ok(Captured::Ready { pre, facts, held: () })
    }

    async fn perform(&self, cx: &Cx, action: &MergePr, pre: &MergePrPre, (): ()) -> Result<PrMerged, Error> {
        let cx = &self.in_time(cx, pre.made.at);
        let repo = self.repo(cx, &action.repo);
        if pre.landed {
            let sha = repo.pull(action.pr_number).await?.merge_commit()?;
            return Ok(PrMerged { merged: true, sha });
        }
        let fields = action.fields(&repo, pre).await?;
        let doing = format!("merge {}#{}", action.repo, action.pr_number);
        let tail = format!("/pulls/{}/merge", action.pr_number);
        let request = repo.request(http::Method::PUT, tail, doing).body(fields);
        let answer = repo.send(&request).await?;
        if !answer.status.is_success() {
            return Err(action.refused(&request, &answer));
        }
        if answer.body.get("merged") == Some(&Value::Bool(false)) {
            return Err(conflict(format!(
                "cannot {}: GitHub says that it is not merged: {}",
                request.doing,
                answer.words()
            )));
        }
        request.read(&answer)
    }

    async fn probe(&self, cx: &Cx, action: &MergePr, pre: &MergePrPre) -> Result<Doubt<PrMerged>, Error> {
        let repo = self.repo(cx, &action.repo);
        let merged = || async { Ok(Some(repo.pull(action.pr_number).await?).filter(Pull::is_merged)) };
        let Some(pull) = self.settled(cx, pre.made.at, merged).await? else { return Ok(Doubt::NotApplied) };
        if pre.landed {
            return Ok(Doubt::Applied(PrMerged { merged: true, sha: pull.merge_commit()? }));
        }
        // Merged by somebody else, it cannot be merged by our request any more.
        let ours = repo.is_merge_of(&pull, action.method, &pre.made, &pre.head).await?;
        Ok(ours.map_or(Doubt::NotApplied, |sha| Doubt::Applied(PrMerged { merged: true, sha })))
    }

    fn show(&self, action: &MergePr, pre: &MergePrPre) -> Shown {
        let how = match action.method {
            Method::Merge => "by a merge commit",
            Method::Squash => "by one new commit",
            Method::Rebase => "by a new commit for each of its own",
        };
        let (repo, number) = (&action.repo, action.pr_number);
        told(format!("merges {repo}#{number}, at {}, into {} {how}", pre.head.short(), pre.base))
    }

    fn undo(&self, action: &MergePr, pre: &MergePrPre, left: Left<'_, PrMerged>) -> Undo<RevertMerge> {
        let merge = match left {
            Left::Done(output) => Some(output.sha.clone()),
            Left::Partly => None,
        };
        Undo::By(RevertMerge {
            repo: action.repo.clone(),
            pr_number: action.pr_number,
            method: action.method,
            base: pre.base.clone(),
            head: pre.head.clone(),
            merge,
            made: pre.made.clone(),
            landed: pre.landed,
        })
    }
}
