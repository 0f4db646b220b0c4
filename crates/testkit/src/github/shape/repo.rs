//! Repositories, branches and refs, as documents.

use serde_json::{Map, Value, json};

use crate::github::clock;
use crate::github::git::RefTo;
use crate::github::reply::Stop;
use crate::github::state::{RepoKey, RepoState, Role, State};

use super::user::merge;
use super::{encode, node_id};

/// The addresses that every form of a repository has: the field, and what follows the repository's own address.
const URLS: [(&str, &str); 37] = [
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
    ("url", ""),
];

impl State {
    /// The address of a repository in the API.
    pub(in crate::github) fn repo_url(&self, repo: &RepoState) -> String {
        format!("{}/repos/{}", self.url, encode(&repo.full_name()))
    }

    /// `repository`, which is more than `minimal-repository`.
    pub(in crate::github) fn repo_json(&self, key: RepoKey) -> Result<Value, Stop> {
        let repo = self.repo(key)?;
        let url = self.repo_url(repo);
        let web = format!("{}/{}", self.url, encode(&repo.full_name()));
        let all: Map<String, Value> =
            URLS.iter().map(|(field, rest)| ((*field).to_owned(), json!(format!("{url}{rest}")))).collect();
        let open = repo.items.values().filter(|item| item.open).count();
        let forks = self.repos.iter().filter(|other| other.parent == Some(key)).count();
        let (created, pushed) = (clock::text(repo.created_at), clock::text(repo.pushed_at));
        let mut more = json!({
            "id": repo.id, "node_id": node_id("R", repo.id), "name": repo.name, "full_name": repo.full_name(),
            "owner": self.user_json(&repo.owner), "private": repo.private,
            "visibility": if repo.private { "private" } else { "public" }, "html_url": web, "description": null,
            "fork": repo.parent.is_some(), "clone_url": format!("{web}.git"), "git_url": format!("{web}.git"),
            "ssh_url": format!("{web}.git"), "svn_url": web, "mirror_url": null, "homepage": null,
            "language": null,
        });
        merge(
            &mut more,
            json!({
                "forks_count": forks, "forks": forks, "stargazers_count": 0,
                "watchers_count": 0, "watchers": 0, "size": 0, "default_branch": repo.default_branch,
                "open_issues_count": open, "open_issues": open, "is_template": false, "topics": [],
                "has_issues": repo.has_issues, "has_projects": true, "has_wiki": false, "has_pages": false,
                "has_downloads": true, "has_discussions": false, "archived": repo.archived, "disabled": false,
                "license": null, "pushed_at": pushed, "created_at": created, "updated_at": pushed,
                "allow_merge_commit": repo.merge_methods.contains("merge"),
                "allow_squash_merge": repo.merge_methods.contains("squash"),
                "allow_rebase_merge": repo.merge_methods.contains("rebase"),
                "allow_forking": true, "web_commit_signoff_required": false,
            }),
        );
        let mut all = Value::Object(all);
        merge(&mut all, more);
        Ok(all)
    }

    /// `full-repository`, as somebody sees it.
    pub(in crate::github) fn full_repo_json(
        &self,
        key: RepoKey,
        viewer: Option<&str>,
    ) -> Result<Value, Stop> {
        let mut all = self.repo_json(key)?;
        let repo = self.repo(key)?;
        merge(
            &mut all,
            json!({"network_count": 0, "subscribers_count": 0, "delete_branch_on_merge": false, "allow_auto_merge": false}),
        );
        if let Some(role) = viewer.and_then(|login| repo.role(login)) {
            let (admin, push) = (role == Role::Admin, role >= Role::Write);
            merge(
                &mut all,
                json!({"permissions":
                {"admin": admin, "maintain": admin, "push": push, "triage": push, "pull": true}}),
            );
        }
        if let Some(parent) = repo.parent {
            let parent = self.repo_json(parent)?;
            merge(&mut all, json!({"parent": parent.clone(), "source": parent}));
        }
        Ok(all)
    }

    /// `git-ref`.
    pub(in crate::github) fn ref_json(&self, key: RepoKey, to: &RefTo) -> Result<Value, Stop> {
        let repo = self.repo(key)?;
        let url = self.repo_url(repo);
        let object = format!("{url}/git/{}s/{}", to.kind, to.sha);
        Ok(json!({
            "ref": to.name, "node_id": node_id("REF", format!("{}:{}", repo.id, to.name)),
            "url": format!("{url}/git/{}", encode(&to.name)),
            "object": {"sha": to.sha, "type": to.kind, "url": object},
        }))
    }

    /// `branch-with-protection`.
    pub(in crate::github) fn branch_json(
        &self,
        key: RepoKey,
        branch: &str,
        sha: &str,
    ) -> Result<Value, Stop> {
        let repo = self.repo(key)?;
        let url = format!("{}/branches/{}", self.repo_url(repo), encode(branch));
        let html = format!("{}/{}/tree/{}", self.url, encode(&repo.full_name()), encode(branch));
        let (protected, checks) = (repo.is_protected(branch), repo.checks_of(branch));
        let level = if checks.is_empty() { "off" } else { "everyone" };
        Ok(json!({
            "name": branch, "commit": self.commit_json(key, sha)?, "_links": {"self": url, "html": html},
            "protected": protected, "protection_url": format!("{url}/protection"),
            "protection": {"enabled": protected, "required_status_checks":
                {"enforcement_level": level, "contexts": checks, "checks": []}},
        }))
    }

    /// `short-branch`.
    pub(in crate::github) fn short_branch_json(
        &self,
        key: RepoKey,
        branch: &str,
        sha: &str,
    ) -> Result<Value, Stop> {
        let repo = self.repo(key)?;
        let url = format!("{}/commits/{sha}", self.repo_url(repo));
        Ok(
            json!({"name": branch, "commit": {"sha": sha, "url": url}, "protected": repo.is_protected(branch)}),
        )
    }
}
