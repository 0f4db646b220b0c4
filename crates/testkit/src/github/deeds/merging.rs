//! Merges: of pull requests in three ways, and of branches.

use crate::github::git::{Commit, Git, Merged, Update};
use crate::github::protection::Wanted;
use crate::github::reply::Stop;
use crate::github::state::{Item, Mergeable, PullState, RepoKey, State};

use super::Actor;
use super::refs::By;

/// How a pull request is to be merged.
#[derive(Debug, Clone, Default)]
pub(in crate::github) struct MergeHow {
    /// `merge`, `squash` or `rebase`.
    pub(in crate::github) method: String,
    /// Where the head has to be.
    pub(in crate::github) sha: Option<String>,
    pub(in crate::github) title: Option<String>,
    pub(in crate::github) message: Option<String>,
}

/// What a merge works on.
#[derive(Debug)]
struct Sides {
    git: Git,
    base: String,
    head: String,
    commits: Vec<Commit>,
}

impl State {
    /// Merges a pull request and gives the commit that its base leads to then.
    pub(in crate::github) fn merge_pull(
        &mut self,
        actor: &Actor,
        key: RepoKey,
        number: u64,
        how: &MergeHow,
    ) -> Result<String, Stop> {
        let not = |why: &str| Stop::refuse(405, why);
        let repo = self.repo(key)?;
        let (item, pull) = repo.pull(number)?;
        if !item.open {
            return Err(not("Pull Request is not mergeable"));
        }
        if pull.draft {
            return Err(not("Pull Request is still a draft"));
        }
        if !repo.merge_methods.contains(&how.method) {
            let what = match how.method.as_str() {
                "squash" => "Squash merges are",
                "rebase" => "Rebase merges are",
                _ => "Merge commits are",
            };
            return Err(not(&format!("{what} not allowed on this repository.")));
        }
        if how.sha.as_ref().is_some_and(|sha| *sha != pull.head_sha) {
            return Err(Stop::refuse(409, "Head branch was modified. Review and try the merge again."));
        }
        let sides = self.sides(key, pull)?;
        let (base_ref, head) = (pull.base_ref.clone(), sides.head.clone());
        let (before, by) = (&sides.base, &actor.login);
        self.guard(key, &Wanted { branch: &base_ref, before, after: &head, forced: false, by, merge: true })?;
        let made = match how.method.as_str() {
            "squash" => self.squash(&sides, item, how)?,
            "rebase" => sides.git.rebase(&sides.commits, &sides.base, &self.ident(&actor.login))?,
            _ => self.merge_commit(&sides, actor, (key, item, pull), how)?,
        };
        let Merged::Clean(sha) = made else {
            let rebase = how.method == "rebase";
            return Err(not(if rebase {
                "This branch can't be rebased"
            } else {
                "Pull Request is not mergeable"
            }));
        };
        let name = format!("refs/heads/{base_ref}");
        let update = Update { name, before: sides.base, after: sha.clone() };
        self.change_refs(actor, key, &[update], By::Merge { number, head: &head })?;
        self.mark_merged(actor, key, number, &sha, &how.method)?;
        Ok(sha)
    }

    fn sides(&self, key: RepoKey, pull: &PullState) -> Result<Sides, Stop> {
        let repo = self.repo(key)?;
        let git = repo.git.clone();
        let base =
            repo.head(&pull.base_ref)?.ok_or_else(|| Stop::refuse(405, "Pull Request is not mergeable"))?;
        let head = pull.head_sha.clone();
        let list = git.between(&base, &head)?;
        let commits = list.iter().map(|sha| git.read_commit(sha)).collect::<Result<Vec<_>, _>>()?;
        let commits = commits.into_iter().filter(|commit| commit.parents.len() < 2).collect();
        Ok(Sides { git, base, head, commits })
    }

    fn merge_commit(
        &self,
        sides: &Sides,
        actor: &Actor,
        (key, item, pull): (RepoKey, &Item, &PullState),
        how: &MergeHow,
    ) -> Result<Merged, Stop> {
        let owner = &self.repo(pull.head_repo).or_else(|_| self.repo(key))?.owner;
        let default = format!("Merge pull request #{} from {owner}/{}", item.number, pull.head_ref);
        let message = message(how, &default, &item.title);
        let Merged::Clean(tree) = sides.git.merge(None, &sides.base, &sides.head)? else {
            return Ok(Merged::Conflict);
        };
        let parents = [sides.base.clone(), sides.head.clone()];
        let by = (&self.ident(&actor.login), &self.web_flow());
        sides.git.commit(&tree, &parents, by, &message).map(Merged::Clean)
    }

    fn squash(&self, sides: &Sides, item: &Item, how: &MergeHow) -> Result<Merged, Stop> {
        let (title, body) = match sides.commits.as_slice() {
            [only] => {
                let (title, body) = only.message.split_once('\n').unwrap_or((&only.message, ""));
                (title.to_owned(), body.trim().to_owned())
            }
            several => {
                let lines: Vec<String> =
                    several.iter().map(|commit| format!("* {}", commit.message.trim())).collect();
                (item.title.clone(), lines.join("\n\n"))
            }
        };
        let message = message(how, &format!("{title} (#{})", item.number), &body);
        let Merged::Clean(tree) = sides.git.merge(None, &sides.base, &sides.head)? else {
            return Ok(Merged::Conflict);
        };
        let parents = std::slice::from_ref(&sides.base);
        let by = (&self.ident(&item.by), &self.web_flow());
        sides.git.commit(&tree, parents, by, &message).map(Merged::Clean)
    }

    /// Merges a commit into a branch as `POST /merges` does; `None` is that it has it already.
    pub(in crate::github) fn merge_into(
        &mut self,
        actor: &Actor,
        key: RepoKey,
        (branch, before): (&str, &str),
        head: &str,
        message: &str,
    ) -> Result<Option<String>, Stop> {
        let git = self.repo(key)?.git.clone();
        if git.is_ancestor(head, before)? {
            return Ok(None);
        }
        if git.merge_base(before, head)?.is_none() {
            return Err(Stop::refuse(409, "Merge conflict"));
        }
        let Merged::Clean(tree) = git.merge(None, before, head)? else {
            return Err(Stop::refuse(409, "Merge conflict"));
        };
        let parents = [before.to_owned(), head.to_owned()];
        let by = (&self.ident(&actor.login), &self.web_flow());
        let sha = git.commit(&tree, &parents, by, message)?;
        let update =
            Update { name: format!("refs/heads/{branch}"), before: before.to_owned(), after: sha.clone() };
        self.change_refs(actor, key, &[update], By::Push)?;
        Ok(Some(sha))
    }

    /// Works out whether a pull request can be merged, and makes its `refs/pull/N/merge`.
    pub(in crate::github) fn work_out(&mut self, key: RepoKey, number: u64) -> Result<(), Stop> {
        let repo = self.repo(key)?;
        let (item, pull) = repo.pull(number)?;
        let Some(base) = repo.head(&pull.base_ref)?.filter(|_| item.open) else { return Ok(()) };
        let (git, head) = (repo.git.clone(), pull.head_sha.clone());
        let merged = git.merge(None, &base, &head)?;
        let by = self.web_flow();
        let commit = match merged {
            Merged::Clean(tree) => {
                let message = format!("Merge {head} into {base}");
                let sha = git.commit(&tree, &[base, head], (&by, &by), &message)?;
                git.ok(&["update-ref", &format!("refs/pull/{number}/merge"), &sha])?;
                Some(sha)
            }
            Merged::Conflict => None,
        };
        self.repo_mut(key)?.pull_mut(number)?.mergeable = Mergeable::Known(commit);
        Ok(())
    }
}

fn message(how: &MergeHow, title: &str, body: &str) -> String {
    let title = how.title.as_deref().filter(|title| !title.is_empty()).unwrap_or(title);
    let body = how.message.as_deref().unwrap_or(body);
    if body.is_empty() { title.to_owned() } else { format!("{title}\n\n{body}") }
}
