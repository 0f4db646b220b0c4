//! Commits, as documents.

use serde_json::{Value, json};

use crate::github::git::{Commit, Git, Ident};
use crate::github::reply::Stop;
use crate::github::state::{RepoKey, State};

use super::{encode, node_id};

impl State {
    /// The account of git's author, known by the address that GitHub gives to each.
    fn account_of(&self, ident: &Ident) -> Value {
        let login = ident.email.strip_suffix("@users.noreply.github.com");
        let login = login.map(|name| name.split_once('+').map_or(name, |(_, login)| login));
        let known = login.and_then(|login| self.accounts.user(login));
        known.map_or(Value::Null, |user| self.user_json(&user.login))
    }

    /// `commit`, without statistics and files.
    pub(in crate::github) fn commit_json(&self, key: RepoKey, sha: &str) -> Result<Value, Stop> {
        let repo = self.repo(key)?;
        let commit = repo.git.read_commit(sha)?;
        let (url, web) = (self.repo_url(repo), format!("{}/{}", self.url, encode(&repo.full_name())));
        let git = format!("{url}/git");
        Ok(json!({
            "sha": sha, "node_id": node_id("C", format!("{}:{sha}", repo.id)), "url": format!("{url}/commits/{sha}"),
            "html_url": format!("{web}/commit/{sha}"), "comments_url": format!("{url}/commits/{sha}/comments"),
            "commit": {
                "author": person(&commit.author), "committer": person(&commit.committer),
                "message": commit.message, "comment_count": 0, "url": format!("{git}/commits/{sha}"),
                "tree": {"sha": commit.tree, "url": format!("{git}/trees/{}", commit.tree)},
                "verification": unsigned(),
            },
            "author": self.account_of(&commit.author),
            "committer": self.account_of(&commit.committer),
            "parents": parents(&commit, &format!("{url}/commits"), &web),
        }))
    }

    /// `commit` with its files, as one alone is shown.
    pub(in crate::github) fn commit_with_files(&self, key: RepoKey, sha: &str) -> Result<Value, Stop> {
        let mut all = self.commit_json(key, sha)?;
        let git = self.repo(key)?.git.clone();
        let parent = git.read_commit(sha)?.parents.first().cloned();
        let files = self.files_json(key, parent.as_deref(), sha)?;
        let sum = |field: &str| files.iter().filter_map(|file| file.get(field)?.as_u64()).sum::<u64>();
        let (additions, deletions) = (sum("additions"), sum("deletions"));
        let more = json!({"stats": {"additions": additions, "deletions": deletions, "total": additions + deletions}, "files": files});
        super::user::merge(&mut all, more);
        Ok(all)
    }

    /// `git-commit`.
    pub(in crate::github) fn git_commit_json(&self, key: RepoKey, sha: &str) -> Result<Value, Stop> {
        let repo = self.repo(key)?;
        let commit = repo.git.read_commit(sha)?;
        let (url, web) = (self.repo_url(repo), format!("{}/{}", self.url, encode(&repo.full_name())));
        let git = format!("{url}/git");
        Ok(json!({
            "sha": sha, "node_id": node_id("C", format!("{}:{sha}", repo.id)), "url": format!("{git}/commits/{sha}"),
            "html_url": format!("{web}/commit/{sha}"), "message": commit.message,
            "author": person(&commit.author), "committer": person(&commit.committer),
            "tree": {"sha": commit.tree, "url": format!("{git}/trees/{}", commit.tree)},
            "parents": parents(&commit, &format!("{git}/commits"), &web), "verification": unsigned(),
        }))
    }

    /// `diff-entry` for each file that differs; a rename is one deletion and one addition here.
    pub(in crate::github) fn files_json(
        &self,
        key: RepoKey,
        from: Option<&str>,
        to: &str,
    ) -> Result<Vec<Value>, Stop> {
        let repo = self.repo(key)?;
        let (url, web) = (self.repo_url(repo), format!("{}/{}", self.url, encode(&repo.full_name())));
        let entry = |file: Changed| {
            let path = encode(&file.path);
            json!({
                "sha": file.sha, "filename": file.path, "status": file.status, "additions": file.additions,
                "deletions": file.deletions, "changes": file.additions + file.deletions,
                "blob_url": format!("{web}/blob/{to}/{path}"), "raw_url": format!("{web}/raw/{to}/{path}"),
                "contents_url": format!("{url}/contents/{path}?ref={to}"),
            })
        };
        Ok(changed(&repo.git, from, to)?.into_iter().map(entry).collect())
    }
}

struct Changed {
    path: String,
    sha: String,
    status: &'static str,
    additions: u64,
    deletions: u64,
}

fn changed(git: &Git, from: Option<&str>, to: &str) -> Result<Vec<Changed>, Stop> {
    let empty = git.with_input(&["hash-object", "-t", "tree", "-w", "--stdin"], b"")?;
    let from = from.unwrap_or(&empty);
    let list = |form: &str| git.bytes(&["diff-tree", "-r", "-z", "--no-renames", form, from, to], b"");
    let (raw, numbers) = (list("--raw")?, list("--numstat")?);
    let (raw, numbers) = (String::from_utf8_lossy(&raw), String::from_utf8_lossy(&numbers));
    let mut raw = raw.split('\0').filter(|part| !part.is_empty());
    let mut all = Vec::new();
    for number in numbers.split('\0').filter(|line| !line.is_empty()) {
        let (Some(head), Some(path)) = (raw.next(), raw.next()) else { break };
        let words: Vec<&str> = head.split(' ').collect();
        let status = match words.last() {
            Some(&"A") => "added",
            Some(&"D") => "removed",
            _ => "modified",
        };
        let sha = words.get(if status == "removed" { 2 } else { 3 }).copied().unwrap_or_default().to_owned();
        let mut counts = number.split('\t').map(|count| count.parse().unwrap_or(0));
        let (additions, deletions) = (counts.next().unwrap_or(0), counts.next().unwrap_or(0));
        all.push(Changed { path: path.to_owned(), sha, status, additions, deletions });
    }
    Ok(all)
}

fn person(ident: &Ident) -> Value {
    json!({"name": ident.name, "email": ident.email, "date": ident.date()})
}

fn unsigned() -> Value {
    json!({"verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null})
}

fn parents(commit: &Commit, url: &str, web: &str) -> Value {
    let all = commit.parents.iter().map(
        |sha| json!({"sha": sha, "url": format!("{url}/{sha}"), "html_url": format!("{web}/commit/{sha}")}),
    );
    all.collect()
}
