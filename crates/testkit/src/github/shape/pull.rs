//! Pull requests, as documents.

use serde_json::{Value, json};

use crate::github::clock;
use crate::github::reply::Stop;
use crate::github::state::{Mergeable, PullState, RepoKey, State};

use super::issue::{association, state_of};
use super::user::merge;
use super::{encode, node_id};

impl State {
    /// `pull-request-simple`, as lists have it.
    pub(in crate::github) fn simple_pull_json(&self, key: RepoKey, number: u64) -> Result<Value, Stop> {
        let repo = self.repo(key)?;
        let (item, pull) = repo.pull(number)?;
        let base = self.repo_url(repo);
        let (url, issue) = (format!("{base}/pulls/{number}"), format!("{base}/issues/{number}"));
        let html = format!("{}/{}/pull/{number}", self.url, encode(&repo.full_name()));
        let link = |url: String| json!({"href": url});
        let statuses = format!("{base}/statuses/{}", pull.head_sha);
        let links = json!({
            "self": link(url.clone()), "html": link(html.clone()), "issue": link(issue.clone()),
            "comments": link(format!("{issue}/comments")), "commits": link(format!("{url}/commits")),
            "review_comments": link(format!("{url}/comments")), "statuses": link(statuses.clone()),
            "review_comment": link(format!("{base}/pulls/comments{{/number}}")),
        });
        Ok(json!({
            "url": url, "id": item.id, "node_id": node_id("PR", item.id), "html_url": html,
            "diff_url": format!("{html}.diff"), "patch_url": format!("{html}.patch"), "issue_url": issue,
            "commits_url": format!("{url}/commits"), "review_comments_url": format!("{url}/comments"),
            "review_comment_url": format!("{base}/pulls/comments{{/number}}"),
            "comments_url": format!("{issue}/comments"), "statuses_url": statuses, "number": number,
            "state": state_of(item), "locked": false, "title": item.title, "user": self.user_json(&item.by),
            "body": item.body, "labels": self.labels_json(repo, item), "milestone": null,
            "active_lock_reason": null, "draft": pull.draft, "auto_merge": null,
            "created_at": clock::text(item.created_at), "updated_at": clock::text(item.updated_at),
            "closed_at": item.closed_at.map(clock::text),
            "merged_at": pull.merged.as_ref().map(|merge| clock::text(merge.at)),
            "merge_commit_sha": merge_commit(pull),
            "assignee": item.assignees.first().map(|login| self.user_json(login)),
            "assignees": item.assignees.iter().map(|login| self.user_json(login)).collect::<Value>(),
            "requested_reviewers": [], "requested_teams": [],
            "head": self.side_json(pull.head_repo, &pull.head_ref, &pull.head_sha)?,
            "base": self.side_json(key, &pull.base_ref, &pull.base_sha)?,
            "author_association": association(repo, &item.by), "_links": links,
        }))
    }

    fn side_json(&self, key: RepoKey, branch: &str, sha: &str) -> Result<Value, Stop> {
        let owner = &self.repo(key)?.owner;
        Ok(json!({
            "label": format!("{owner}:{branch}"), "ref": branch, "sha": sha,
            "user": self.user_json(owner), "repo": self.repo_json(key)?,
        }))
    }

    /// `pull-request`, as one alone is shown.
    pub(in crate::github) fn pull_json(&self, key: RepoKey, number: u64) -> Result<Value, Stop> {
        let mut all = self.simple_pull_json(key, number)?;
        let repo = self.repo(key)?;
        let (item, pull) = repo.pull(number)?;
        let (mergeable, state) = match &pull.mergeable {
            _ if !item.open => (None, "unknown"),
            Mergeable::Unknown => (None, "unknown"),
            Mergeable::Known(None) => (Some(false), "dirty"),
            Mergeable::Known(Some(_)) if pull.draft => (Some(true), "draft"),
            Mergeable::Known(Some(_)) if self.blocked(key, pull)? => (Some(true), "blocked"),
            Mergeable::Known(Some(_)) => (Some(true), "clean"),
        };
        let base = repo.git.merge_base(&pull.base_sha, &pull.head_sha)?;
        let files = self.files_json(key, base.as_deref(), &pull.head_sha)?;
        let sum = |field: &str| files.iter().filter_map(|file| file.get(field)?.as_u64()).sum::<u64>();
        let commits = repo.git.between(&pull.base_sha, &pull.head_sha)?.len();
        merge(
            &mut all,
            json!({
                "merged": pull.merged.is_some(), "mergeable": mergeable, "mergeable_state": state,
                "rebaseable": mergeable, "merged_by": pull.merged.as_ref().map(|merge| self.user_json(&merge.by)),
                "comments": 0, "review_comments": 0, "maintainer_can_modify": pull.can_modify, "commits": commits,
                "additions": sum("additions"), "deletions": sum("deletions"), "changed_files": files.len(),
            }),
        );
        Ok(all)
    }

    /// Whether a check is missing on the head.
    fn blocked(&self, key: RepoKey, pull: &PullState) -> Result<bool, Stop> {
        let repo = self.repo(key)?;
        let missing = |check: String| !repo.passed.contains(&(pull.head_sha.clone(), check));
        Ok(repo.checks_of(&pull.base_ref).into_iter().any(missing))
    }
}

/// The commit that merged it; before that the one that a test merge made.
fn merge_commit(pull: &PullState) -> Option<&String> {
    match (&pull.merged, &pull.mergeable) {
        (Some(merge), _) => Some(&merge.sha),
        (None, Mergeable::Known(sha)) => sha.as_ref(),
        (None, Mergeable::Unknown) => None,
    }
}
