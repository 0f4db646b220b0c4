//! Changes of refs, and what they do to pull requests.

use crate::github::git::{Update, ZEROS};
use crate::github::ledger::What;
use crate::github::protection::Wanted;
use crate::github::reply::Stop;
use crate::github::state::{Activity, Merge, Mergeable, RepoKey, State};

use super::Actor;

/// By what a ref changes.
#[derive(Debug, Clone, Copy)]
pub(in crate::github) enum By<'a> {
    Push,
    /// The merge of a pull request with this head.
    Merge {
        number: u64,
        head: &'a str,
    },
}

impl State {
    /// Makes a branch or another ref, or says what GitHub says.
    pub(in crate::github) fn create_ref(
        &mut self,
        actor: &Actor,
        key: RepoKey,
        name: &str,
        sha: &str,
    ) -> Result<(), Stop> {
        let update = Update { name: name.to_owned(), before: ZEROS.to_owned(), after: sha.to_owned() };
        self.change_refs(actor, key, &[update], By::Push)
    }

    /// Changes all of them, or none.
    pub(in crate::github) fn change_refs(
        &mut self,
        actor: &Actor,
        key: RepoKey,
        updates: &[Update],
        by: By<'_>,
    ) -> Result<(), Stop> {
        let git = self.repo(key)?.git.clone();
        let mut forced = Vec::new();
        for Update { name, before, after } in updates {
            let moved = before != ZEROS && after != ZEROS;
            let lossy = moved && !git.is_ancestor(before, after).unwrap_or(false);
            forced.push(lossy);
            let Some(branch) = name.strip_prefix("refs/heads/") else { continue };
            let (after, merge) = match by {
                By::Push => (after.as_str(), false),
                By::Merge { head, .. } => (head, true),
            };
            self.guard(key, &Wanted { branch, before, after, forced: lossy, by: &actor.login, merge })?;
        }
        if git.update(updates)?.is_err() {
            return Err(Stop::refuse(422, "Reference update failed"));
        }
        for (update, forced) in updates.iter().zip(forced) {
            self.note_ref(actor, key, update, forced, by)?;
        }
        for update in updates {
            if let Some(branch) = update.name.strip_prefix("refs/heads/") {
                self.follow(actor, key, branch, update, by)?;
            }
        }
        Ok(())
    }

    fn note_ref(
        &mut self,
        actor: &Actor,
        key: RepoKey,
        update: &Update,
        forced: bool,
        by: By<'_>,
    ) -> Result<(), Stop> {
        let Update { name, before, after } = update.clone();
        if before == after {
            return Ok(());
        }
        let (what, kind) = if before == ZEROS {
            (What::RefCreated { name: name.clone(), sha: after.clone() }, "branch_creation")
        } else if after == ZEROS {
            (What::RefDeleted { name: name.clone(), sha: before.clone() }, "branch_deletion")
        } else {
            let what =
                What::RefUpdated { name: name.clone(), before: before.clone(), after: after.clone(), forced };
            let kind = match by {
                By::Merge { .. } => "pr_merge",
                By::Push if forced => "force_push",
                By::Push => "push",
            };
            (what, kind)
        };
        self.effect((actor.request, &actor.login), Some(key), what);
        let (id, at) = (self.id(), self.clock.now());
        let by = actor.login.clone();
        let repo = self.repo_mut(key)?;
        repo.pushed_at = at;
        if name.starts_with("refs/heads/") {
            repo.activities.push(Activity { id, name, before, after, kind, at, by });
        }
        Ok(())
    }

    /// Lets the open pull requests from and to a branch follow it.
    fn follow(
        &mut self,
        actor: &Actor,
        key: RepoKey,
        branch: &str,
        to: &Update,
        by: By<'_>,
    ) -> Result<(), Stop> {
        let skipped = match by {
            By::Merge { number, .. } => Some((key, number)),
            By::Push => None,
        };
        let (mut from_it, mut into_it) = (Vec::new(), Vec::new());
        for (place, repo) in self.repos.iter().enumerate() {
            for item in repo.items.values().filter(|item| item.open) {
                let Some(pull) = &item.pull else { continue };
                if Some((place, item.number)) == skipped {
                    continue;
                }
                if pull.head_repo == key && pull.head_ref == branch {
                    from_it.push((place, item.number));
                }
                if place == key && pull.base_ref == branch {
                    into_it.push(item.number);
                }
            }
        }
        for (base, number) in from_it {
            self.follow_head(actor, base, number, &to.after)?;
        }
        for number in into_it {
            self.follow_base(actor, key, number, to)?;
        }
        Ok(())
    }

    fn follow_head(&mut self, actor: &Actor, key: RepoKey, number: u64, sha: &str) -> Result<(), Stop> {
        if sha == ZEROS {
            return self.close_item(actor, key, number, None);
        }
        self.take_head(key, number, sha)?;
        let repo = self.repo(key)?;
        let (_, pull) = repo.pull(number)?;
        let base = repo.head(&pull.base_ref)?;
        // A head that has nothing of its own any more closes its pull request.
        if let Some(base) = base
            && repo.git.is_ancestor(sha, &base)?
        {
            self.close_item(actor, key, number, None)?;
        }
        Ok(())
    }

    /// Brings a head's commits into the repository of the pull request, and notes where it is.
    pub(in crate::github) fn take_head(&mut self, key: RepoKey, number: u64, sha: &str) -> Result<(), Stop> {
        let now = self.clock.now();
        let (_, pull) = self.repo(key)?.pull(number)?;
        let (head_repo, base_ref) = (pull.head_repo, pull.base_ref.clone());
        self.fetch_head(key, head_repo, number, sha)?;
        let base = self.repo(key)?.head(&base_ref)?;
        self.repo_mut(key)?.item_mut(number)?.updated_at = now;
        let pull = self.repo_mut(key)?.pull_mut(number)?;
        sha.clone_into(&mut pull.head_sha);
        pull.mergeable = Mergeable::Unknown;
        if let Some(base) = base {
            pull.base_sha = base;
        }
        Ok(())
    }

    /// `refs/pull/N/head`, which is there as long as the repository.
    pub(in crate::github) fn fetch_head(
        &self,
        key: RepoKey,
        from: RepoKey,
        number: u64,
        sha: &str,
    ) -> Result<(), Stop> {
        let git = &self.repo(key)?.git;
        if from != key {
            let theirs = self.repo(from)?.git.folder().display().to_string();
            git.ok(&[
                "-c",
                "uploadpack.allowAnySHA1InWant=true",
                "fetch",
                "--quiet",
                "--no-tags",
                &theirs,
                "+refs/heads/*:refs/fetched/*",
            ])?;
            let fetched = git.refs_beginning("refs/fetched/")?;
            let gone = fetched.into_iter().map(|found| Update {
                name: found.name,
                before: found.sha,
                after: ZEROS.to_owned(),
            });
            // What is named by refs/pull/N/head stays; nothing is collected here anyway.
            git.update(&gone.collect::<Vec<_>>())?.map_err(Stop::Broken)?;
        }
        git.ok(&["update-ref", &format!("refs/pull/{number}/head"), sha]).map(drop)
    }

    fn follow_base(&mut self, actor: &Actor, key: RepoKey, number: u64, to: &Update) -> Result<(), Stop> {
        if to.after == ZEROS {
            return self.close_item(actor, key, number, None);
        }
        let repo = self.repo(key)?;
        let (_, pull) = repo.pull(number)?;
        let head = pull.head_sha.clone();
        if !repo.git.is_ancestor(&head, &to.after)? {
            self.repo_mut(key)?.pull_mut(number)?.mergeable = Mergeable::Unknown;
            return Ok(());
        }
        // The push has brought all that the pull request had: it counts as merged.
        let range = format!("{}..{}", to.before, to.after);
        let line = if to.before == ZEROS { to.after.clone() } else { range };
        let list = repo.git.ok(&["rev-list", "--first-parent", "--reverse", &line])?;
        let mut sha = to.after.clone();
        for commit in list.lines() {
            if repo.git.is_ancestor(&head, commit)? {
                commit.clone_into(&mut sha);
                break;
            }
        }
        self.mark_merged(actor, key, number, &sha, "push")
    }

    /// Notes that a pull request is merged.
    pub(in crate::github) fn mark_merged(
        &mut self,
        actor: &Actor,
        key: RepoKey,
        number: u64,
        sha: &str,
        method: &str,
    ) -> Result<(), Stop> {
        let at = self.clock.now();
        let item = self.repo_mut(key)?.item_mut(number)?;
        item.open = false;
        item.updated_at = at;
        item.closed_at = Some(at);
        item.closed_by = Some(actor.login.clone());
        if let Some(pull) = &mut item.pull {
            pull.merged = Some(Merge { at, by: actor.login.clone(), sha: sha.to_owned() });
        }
        let what = What::PullMerged { number, sha: sha.to_owned(), method: method.to_owned() };
        self.effect((actor.request, &actor.login), Some(key), what);
        Ok(())
    }
}
