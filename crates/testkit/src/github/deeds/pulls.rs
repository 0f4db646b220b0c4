//! Pull requests: opened, moved to another base, reopened.

use crate::github::ledger::What;
use crate::github::reply::Stop;
use crate::github::state::{Mergeable, PullState, RepoKey, State};

use super::Actor;
use super::issues::check_text;

/// A pull request to be made.
#[derive(Debug, Clone, Default)]
pub(in crate::github) struct NewPull {
    pub(in crate::github) title: String,
    pub(in crate::github) body: Option<String>,
    /// `branch`, or `owner:branch` for a fork.
    pub(in crate::github) head: String,
    pub(in crate::github) base: String,
    pub(in crate::github) draft: bool,
    pub(in crate::github) can_modify: bool,
}

impl State {
    /// Opens a pull request and gives its number.
    pub(in crate::github) fn open_pull(
        &mut self,
        actor: &Actor,
        key: RepoKey,
        new: NewPull,
    ) -> Result<u64, Stop> {
        check_text("PullRequest", Some(&new.title), new.body.as_deref())?;
        let head = self.find_head(key, &new.head)?;
        let (head_repo, head_ref, head_sha) =
            head.ok_or_else(|| Stop::invalid_field("PullRequest", "head", "invalid"))?;
        let base = self.repo(key)?.head(&new.base)?;
        let base_sha = base.ok_or_else(|| Stop::invalid_field("PullRequest", "base", "invalid"))?;
        if let Some(why) = self.why_not(key, (head_repo, &head_ref), &new.base, None)? {
            return Err(Stop::custom("PullRequest", None, &why));
        }
        let number = self.repo(key)?.next_number();
        self.fetch_head(key, head_repo, number, &head_sha)?;
        if self.repo(key)?.git.merge_base(&head_sha, &base_sha)?.is_none() {
            let owner = &self.repo(head_repo)?.owner;
            let message = format!("The {owner}:{head_ref} branch has no history in common with {}", new.base);
            return Err(Stop::custom("PullRequest", None, &message));
        }
        if self.repo(key)?.git.is_ancestor(&head_sha, &base_sha)? {
            let message = format!("No commits between {} and {}", new.base, new.head);
            return Err(Stop::custom("PullRequest", None, &message));
        }
        let pull = PullState {
            head_repo,
            head_ref,
            head_sha,
            base_ref: new.base,
            base_sha,
            draft: new.draft,
            can_modify: new.can_modify && head_repo != key,
            mergeable: Mergeable::Unknown,
            merged: None,
        };
        let number = self.add_item(actor, key, new.title, new.body, Some(pull))?;
        self.effect((actor.request, &actor.login), Some(key), What::PullOpened(number));
        Ok(number)
    }

    /// The repository, branch and commit that a head means.
    pub(in crate::github) fn find_head(
        &self,
        key: RepoKey,
        head: &str,
    ) -> Result<Option<(RepoKey, String, String)>, Stop> {
        let (owner, branch) = match head.split_once(':') {
            Some((owner, branch)) => (Some(owner), branch),
            None => (None, head),
        };
        let place = match owner {
            Some(owner) => self.of_network(key, owner),
            None => Some(key),
        };
        let Some(place) = place else { return Ok(None) };
        let sha = self.repo(place)?.head(branch)?;
        Ok(sha.map(|sha| (place, branch.to_owned(), sha)))
    }

    /// The repository of an account that is this one, its parent, or a fork of the same.
    fn of_network(&self, key: RepoKey, owner: &str) -> Option<RepoKey> {
        let root = |place: RepoKey| self.repos.get(place).and_then(|repo| repo.parent).unwrap_or(place);
        let fits = |place: &RepoKey| {
            root(*place) == root(key)
                && self.repos.get(*place).is_some_and(|repo| repo.owner.eq_ignore_ascii_case(owner))
        };
        [key].into_iter().chain(0..self.repos.len()).find(fits)
    }

    /// Why there can be no open pull request between the two, apart from having nothing to merge.
    fn why_not(
        &self,
        key: RepoKey,
        head: (RepoKey, &str),
        base: &str,
        but: Option<u64>,
    ) -> Result<Option<String>, Stop> {
        let repo = self.repo(key)?;
        let same = repo.items.values().filter(|item| item.open && Some(item.number) != but).any(|item| {
            item.pull
                .as_ref()
                .is_some_and(|pull| (pull.head_repo, pull.head_ref.as_str()) == head && pull.base_ref == base)
        });
        let owner = &self.repo(head.0)?.owner;
        Ok(same.then(|| format!("A pull request already exists for {owner}:{}.", head.1)))
    }

    /// Refuses to reopen what GitHub would not.
    pub(super) fn check_reopening(&self, key: RepoKey, number: u64) -> Result<(), Stop> {
        let refuse = |why: &str| {
            Err(Stop::custom("PullRequest", Some("state"), &format!("state cannot be changed. {why}")))
        };
        let (_, pull) = self.repo(key)?.pull(number)?;
        if pull.merged.is_some() {
            return refuse("The pull request cannot be reopened.");
        }
        let (head_repo, head_ref) = (pull.head_repo, pull.head_ref.as_str());
        let Some(now) = self.repo(head_repo)?.head(head_ref)? else {
            return refuse(&format!("The {head_ref} branch has been deleted."));
        };
        let Some(base) = self.repo(key)?.head(&pull.base_ref)? else {
            return refuse(&format!("The {} branch has been deleted.", pull.base_ref));
        };
        if let Some(why) = self.why_not(key, (head_repo, head_ref), &pull.base_ref, Some(number))? {
            return refuse(&why);
        }
        let git = &self.repo(head_repo)?.git;
        let known = git.is_kind(&pull.head_sha, "commit")?;
        if !known || !git.is_ancestor(&pull.head_sha, &now)? {
            return refuse(&format!("The {head_ref} branch was force-pushed or recreated."));
        }
        let git = &self.repo(key)?.git;
        if git.is_kind(&now, "commit")? && git.is_ancestor(&now, &base)? {
            let base = &pull.base_ref;
            return refuse(&format!(
                "There are no new commits between base branch '{base}' and head branch '{head_ref}'."
            ));
        }
        Ok(())
    }

    pub(super) fn check_new_base(&self, key: RepoKey, number: u64, base: &str) -> Result<(), Stop> {
        let refuse = |why: &str| Err(Stop::custom("PullRequest", Some("base"), why));
        let (item, pull) = self.repo(key)?.pull(number)?;
        if pull.base_ref == base {
            return Ok(());
        }
        if !item.open {
            return refuse("Cannot change the base branch of a closed pull request.");
        }
        let Some(sha) = self.repo(key)?.head(base)? else {
            return Err(Stop::invalid_field("PullRequest", "base", "invalid"));
        };
        if let Some(why) = self.why_not(key, (pull.head_repo, &pull.head_ref), base, Some(number))? {
            return refuse(&why);
        }
        if self.repo(key)?.git.is_ancestor(&pull.head_sha, &sha)? {
            return refuse(&format!(
                "There are no new commits between base branch '{base}' and head branch '{}'",
                pull.head_ref
            ));
        }
        Ok(())
    }

    pub(super) fn set_base(&mut self, key: RepoKey, number: u64, base: &str) -> Result<(), Stop> {
        let sha = self.repo(key)?.head(base)?;
        let pull = self.repo_mut(key)?.pull_mut(number)?;
        base.clone_into(&mut pull.base_ref);
        pull.base_sha = sha.unwrap_or_else(|| pull.base_sha.clone());
        pull.mergeable = Mergeable::Unknown;
        Ok(())
    }
}
