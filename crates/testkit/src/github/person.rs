//! Somebody else, who pushes, merges and edits while the test's own client works.

use std::sync::Arc;

use super::deeds::{Actor, By, ItemEdit, MergeHow, NewIssue, NewPull};
use super::git::{Put, Update, ZEROS};
use super::ledger::What;
use super::server::Shared;
use super::state::{RepoKey, State};
use super::{OrPanic, Stop};

/// A person at a repository. Each deed is one effect in the ledger, with the request number 0, and has to succeed:
/// rules of the repository hold for people too, and panic where they refuse.
#[derive(Debug, Clone)]
pub struct Person {
    shared: Arc<Shared>,
    key: RepoKey,
    actor: Actor,
}

impl Person {
    pub(super) fn new(shared: Arc<Shared>, key: RepoKey, login: &str) -> Self {
        Self { shared, key, actor: Actor::person(login) }
    }

    #[track_caller]
    fn act<T>(&self, doing: &str, act: impl FnOnce(&mut State, &Actor, RepoKey) -> Result<T, Stop>) -> T {
        act(&mut self.shared.state.lock(), &self.actor, self.key).or_panic(doing)
    }

    /// Pushes a commit with these files (path, content) to a branch, and gives it. A branch that is not there is made
    /// from the default branch, or from nothing in an empty repository.
    #[track_caller]
    pub fn push<'a>(&self, branch: &str, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let files: Vec<(&str, &str)> = files.into_iter().collect();
        let names: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        let message = format!("Change {}\n", names.join(", "));
        self.act("push", |state, actor, key| {
            let git = state.repo(key)?.git.clone();
            let put = |(path, content): &(&str, &str)| {
                let sha = git.write("blob", content.as_bytes())?;
                Ok(((*path).to_owned(), Put::Object("100644".to_owned(), sha)))
            };
            let puts = files.iter().map(put).collect::<Result<Vec<_>, Stop>>()?;
            commit_to(state, actor, key, branch, &puts, &message)
        })
    }

    /// Pushes a commit without a file to a branch, and gives it.
    #[track_caller]
    pub fn push_removal(&self, branch: &str, path: &str) -> String {
        let puts = [(path.to_owned(), Put::Nothing)];
        let message = format!("Remove {path}\n");
        self.act("push", |state, actor, key| commit_to(state, actor, key, branch, &puts, &message))
    }

    /// Pushes a commit that is there already to a branch; with force, if that is needed.
    #[track_caller]
    pub fn set_branch(&self, branch: &str, sha: &str) {
        self.act("push", |state, actor, key| {
            let before = state.repo(key)?.head(branch)?.unwrap_or_else(|| ZEROS.to_owned());
            change(state, actor, key, branch, (before, sha.to_owned()))
        });
    }

    /// Makes a branch at a commit, or at the head of another branch.
    #[track_caller]
    pub fn create_branch(&self, branch: &str, at: &str) {
        self.act("make a branch", |state, actor, key| {
            let sha = state.repo(key)?.git.find_commit(at)?.ok_or_else(Stop::not_found)?;
            change(state, actor, key, branch, (ZEROS.to_owned(), sha))
        });
    }

    /// Deletes a branch.
    #[track_caller]
    pub fn delete_branch(&self, branch: &str) {
        self.act("delete a branch", |state, actor, key| {
            let before = state.repo(key)?.head(branch)?.ok_or_else(Stop::not_found)?;
            change(state, actor, key, branch, (before, ZEROS.to_owned()))
        });
    }

    /// Opens a pull request from `branch` or `owner:branch`, and gives its number.
    #[track_caller]
    pub fn open_pull(&self, head: &str, base: &str, title: &str, body: &str) -> u64 {
        self.act("open a pull request", |state, actor, key| {
            let (title, body) = (title.to_owned(), Some(body.to_owned()));
            let (head, base) = (head.to_owned(), base.to_owned());
            state.open_pull(actor, key, NewPull { title, body, head, base, draft: false, can_modify: true })
        })
    }

    /// Merges a pull request by `merge`, `squash` or `rebase`, and gives the commit that its base leads to then.
    #[track_caller]
    pub fn merge(&self, number: u64, method: &str) -> String {
        let how = MergeHow { method: method.to_owned(), ..MergeHow::default() };
        self.act("merge", |state, actor, key| state.merge_pull(actor, key, number, &how))
    }

    /// Opens an issue, and gives its number.
    #[track_caller]
    pub fn open_issue(&self, title: &str, body: &str) -> u64 {
        let new = NewIssue { title: title.to_owned(), body: Some(body.to_owned()), ..NewIssue::default() };
        self.act("open an issue", |state, actor, key| state.open_issue(actor, key, new))
    }

    #[track_caller]
    fn edit_with(&self, number: u64, edit: ItemEdit) {
        self.act("edit", |state, actor, key| state.edit_item(actor, key, number, edit));
    }

    /// Changes title and body of an issue or pull request.
    #[track_caller]
    pub fn edit(&self, number: u64, title: &str, body: &str) {
        let (title, body) = (Some(title.to_owned()), Some(Some(body.to_owned())));
        self.edit_with(number, ItemEdit { title, body, ..ItemEdit::default() });
    }

    /// Gives an issue or pull request these labels instead of those that it has.
    #[track_caller]
    pub fn label<'a>(&self, number: u64, labels: impl IntoIterator<Item = &'a str>) {
        let labels = Some(labels.into_iter().map(str::to_owned).collect());
        self.edit_with(number, ItemEdit { labels, ..ItemEdit::default() });
    }

    /// Chooses another base for an open pull request.
    #[track_caller]
    pub fn retarget(&self, number: u64, base: &str) {
        self.edit_with(number, ItemEdit { base: Some(base.to_owned()), ..ItemEdit::default() });
    }

    /// Closes an issue, or a pull request without a merge.
    #[track_caller]
    pub fn close(&self, number: u64) {
        self.edit_with(number, ItemEdit { open: Some(false), ..ItemEdit::default() });
    }

    /// Deletes an issue: it is 410 from then on, and no list has it.
    #[track_caller]
    pub fn delete_issue(&self, number: u64) {
        self.act("delete an issue", |state, actor, key| {
            let repo = state.repo_mut(key)?;
            if repo.item(number)?.pull.is_some() {
                return Err(Stop::refuse(403, "a pull request cannot be deleted"));
            }
            repo.items.remove(&number);
            repo.gone.insert(number);
            state.effect((actor.request, &actor.login), Some(key), What::IssueDeleted(number));
            Ok(())
        });
    }

    /// Opens an issue or pull request again.
    #[track_caller]
    pub fn reopen(&self, number: u64) {
        self.edit_with(number, ItemEdit { open: Some(true), ..ItemEdit::default() });
    }
}

fn change(
    state: &mut State,
    actor: &Actor,
    key: RepoKey,
    branch: &str,
    (before, after): (String, String),
) -> Result<(), Stop> {
    let update = Update { name: format!("refs/heads/{branch}"), before, after };
    state.change_refs(actor, key, &[update], By::Push)
}

fn commit_to(
    state: &mut State,
    actor: &Actor,
    key: RepoKey,
    branch: &str,
    puts: &[(String, Put)],
    message: &str,
) -> Result<String, Stop> {
    let repo = state.repo(key)?;
    let git = repo.git.clone();
    let there = repo.head(branch)?;
    let parent = match &there {
        Some(sha) => Some(sha.clone()),
        None => repo.head(&repo.default_branch)?,
    };
    let tree = git.make_tree(parent.as_deref(), puts)?.ok_or_else(Stop::not_found)?;
    let by = state.ident(&actor.login);
    let parents: Vec<String> = parent.into_iter().collect();
    let sha = git.commit(&tree, &parents, (&by, &by), message)?;
    change(state, actor, key, branch, (there.unwrap_or_else(|| ZEROS.to_owned()), sha.clone()))?;
    Ok(sha)
}
