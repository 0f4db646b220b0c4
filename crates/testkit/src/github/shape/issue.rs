//! Issues, as documents; a pull request is one too.

use serde_json::{Value, json};

use crate::github::clock;
use crate::github::reply::Stop;
use crate::github::state::{Item, RepoKey, RepoState, State};

use super::user::merge;
use super::{encode, node_id};

impl State {
    /// `issue`.
    pub(in crate::github) fn issue_json(&self, key: RepoKey, number: u64) -> Result<Value, Stop> {
        let repo = self.repo(key)?;
        let item = repo.item(number)?;
        let base = self.repo_url(repo);
        let url = format!("{base}/issues/{number}");
        let web = format!("{}/{}", self.url, encode(&repo.full_name()));
        let kind = if item.pull.is_some() { "pull" } else { "issues" };
        let mut all = json!({
            "id": item.id, "node_id": node_id("I", item.id), "url": url, "repository_url": base,
            "labels_url": format!("{url}/labels{{/name}}"), "comments_url": format!("{url}/comments"),
            "events_url": format!("{url}/events"), "timeline_url": format!("{url}/timeline"),
            "html_url": format!("{web}/{kind}/{number}"), "number": number, "state": state_of(item),
            "state_reason": item.state_reason, "title": item.title, "body": item.body,
            "user": self.user_json(&item.by), "labels": self.labels_json(repo, item),
            "assignee": item.assignees.first().map(|login| self.user_json(login)),
            "assignees": item.assignees.iter().map(|login| self.user_json(login)).collect::<Value>(),
            "milestone": null, "locked": false, "comments": 0, "closed_at": item.closed_at.map(clock::text),
            "created_at": clock::text(item.created_at), "updated_at": clock::text(item.updated_at),
            "closed_by": item.closed_by.as_ref().map(|login| self.user_json(login)),
            "author_association": association(repo, &item.by), "active_lock_reason": null,
        });
        if let Some(pull) = &item.pull {
            let html = format!("{web}/pull/{number}");
            let merged = pull.merged.as_ref().map(|merge| clock::text(merge.at));
            let pull = json!({
                "url": format!("{base}/pulls/{number}"), "html_url": html, "diff_url": format!("{html}.diff"),
                "patch_url": format!("{html}.patch"), "merged_at": merged,
            });
            merge(
                &mut all,
                json!({"pull_request": pull, "draft": item.pull.as_ref().is_some_and(|pull| pull.draft)}),
            );
        }
        Ok(all)
    }

    pub(super) fn labels_json(&self, repo: &RepoState, item: &Item) -> Value {
        let url = self.repo_url(repo);
        let label = |name: &String| {
            json!({
                "id": id_of(name), "node_id": node_id("LA", name), "url": format!("{url}/labels/{}", encode(name)),
                "name": name, "description": "", "color": "ededed", "default": false,
            })
        };
        item.labels.iter().map(label).collect()
    }
}

/// A number for a label: the same for the same name.
fn id_of(name: &str) -> u32 {
    name.bytes().fold(5381, |sum: u32, byte| sum.wrapping_mul(33) ^ u32::from(byte))
}

pub(super) fn state_of(item: &Item) -> &'static str {
    if item.open { "open" } else { "closed" }
}

pub(super) fn association(repo: &RepoState, login: &str) -> &'static str {
    if repo.owner.eq_ignore_ascii_case(login) {
        "OWNER"
    } else if repo.members.contains_key(&login.to_ascii_lowercase()) {
        "COLLABORATOR"
    } else {
        "NONE"
    }
}
