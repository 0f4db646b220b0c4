//! Protected branches and rulesets: who may change which ref, and how GitHub refuses.
//!
//! Of classic protection it knows pull requests, checks, forced pushes and deletion, and that admins may be exempt; of
//! rulesets the same and creation and update. It does not know reviews, signatures, linear history or merge queues.

use super::git::ZEROS;
use super::reply::{Reply, Stop};
use super::state::{RepoKey, RepoState, Role, State};

/// Protection of branches, of the classic kind. Deletion and forced pushes are refused unless allowed.
#[derive(Debug, Clone, Default)]
pub struct Protection {
    pub(super) branch: String,
    pub(super) pull_request: bool,
    pub(super) checks: Vec<String>,
    pub(super) allow_force: bool,
    pub(super) allow_deletion: bool,
    pub(super) admins_too: bool,
}

impl Protection {
    /// Protects the branches that a pattern such as `main` or `release/*` fits, admins not excepted.
    #[must_use]
    pub fn of(branch: &str) -> Self {
        Self { branch: branch.to_owned(), admins_too: true, ..Self::default() }
    }

    /// Changes have to come by a pull request.
    #[must_use]
    pub fn require_pull_request(mut self) -> Self {
        self.pull_request = true;
        self
    }

    /// This check has to have passed on what is pushed or merged.
    #[must_use]
    pub fn require_check(mut self, name: &str) -> Self {
        self.checks.push(name.to_owned());
        self
    }

    /// Forced pushes are allowed.
    #[must_use]
    pub fn allow_force_pushes(mut self) -> Self {
        self.allow_force = true;
        self
    }

    /// Deletion is allowed.
    #[must_use]
    pub fn allow_deletions(mut self) -> Self {
        self.allow_deletion = true;
        self
    }

    /// Admins need not keep to it.
    #[must_use]
    pub fn except_admins(mut self) -> Self {
        self.admins_too = false;
        self
    }
}

/// A ruleset. It refuses only what it is told to.
#[derive(Debug, Clone, Default)]
pub struct Ruleset {
    pub(super) branch: String,
    pub(super) creation: bool,
    pub(super) update: bool,
    pub(super) deletion: bool,
    pub(super) force: bool,
    pub(super) pull_request: bool,
    pub(super) checks: Vec<String>,
    pub(super) bypass: Vec<String>,
}

impl Ruleset {
    /// Rules for the branches that a pattern such as `main` or `release/*` fits.
    #[must_use]
    pub fn of(branch: &str) -> Self {
        Self { branch: branch.to_owned(), ..Self::default() }
    }

    /// No such branch may be made.
    #[must_use]
    pub fn restrict_creations(mut self) -> Self {
        self.creation = true;
        self
    }

    /// None may be moved.
    #[must_use]
    pub fn restrict_updates(mut self) -> Self {
        self.update = true;
        self
    }

    /// None may be deleted.
    #[must_use]
    pub fn restrict_deletions(mut self) -> Self {
        self.deletion = true;
        self
    }

    /// No commits may be lost.
    #[must_use]
    pub fn block_force_pushes(mut self) -> Self {
        self.force = true;
        self
    }

    /// Changes have to come by a pull request.
    #[must_use]
    pub fn require_pull_request(mut self) -> Self {
        self.pull_request = true;
        self
    }

    /// This check has to have passed on what is pushed or merged.
    #[must_use]
    pub fn require_check(mut self, name: &str) -> Self {
        self.checks.push(name.to_owned());
        self
    }

    /// Somebody whom it does not concern.
    #[must_use]
    pub fn bypass(mut self, login: &str) -> Self {
        self.bypass.push(login.to_owned());
        self
    }
}

/// A change of a branch that somebody wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) branch: &'a str,
    pub(super) before: &'a str,
    pub(super) after: &'a str,
    pub(super) forced: bool,
    pub(super) by: &'a str,
    /// By the merge of a pull request. Then `after` is its head.
    pub(super) merge: bool,
}

impl State {
    /// Refuses a change that rules forbid.
    pub(super) fn guard(&self, key: RepoKey, wanted: &Wanted<'_>) -> Result<(), Stop> {
        let repo = self.repo(key)?;
        if wanted.after == ZEROS && wanted.branch == repo.default_branch {
            return Err(Stop::refuse(422, "Cannot delete the default branch"));
        }
        let status = if wanted.merge { 405 } else { 422 };
        if let Some(why) = protections(repo, wanted) {
            return Err(Stop::refuse(status, &why));
        }
        let broken = rules(repo, wanted);
        if broken.is_empty() {
            return Ok(());
        }
        let message = format!("Repository rule violations found\n\n{}\n\n", broken.join("\n\n"));
        Err(Reply::error(status, &message).into())
    }
}

impl RepoState {
    pub(super) fn is_protected(&self, branch: &str) -> bool {
        self.protections.iter().any(|rule| fits(&rule.branch, branch))
            || self.rulesets.iter().any(|rule| fits(&rule.branch, branch))
    }

    /// The checks that a branch waits for.
    pub(super) fn checks_of(&self, branch: &str) -> Vec<String> {
        let rules = self.protections.iter().filter(|rule| fits(&rule.branch, branch));
        rules.flat_map(|rule| rule.checks.iter().cloned()).collect()
    }

    fn lacks<'a>(&self, sha: &str, checks: &'a [String]) -> Option<&'a String> {
        checks.iter().find(|check| !self.passed.contains(&(sha.to_owned(), (*check).clone())))
    }
}

fn protections(repo: &RepoState, wanted: &Wanted<'_>) -> Option<String> {
    let admin = repo.role(wanted.by) == Some(Role::Admin);
    let mut rules = repo.protections.iter().filter(|rule| fits(&rule.branch, wanted.branch));
    rules.find_map(|rule| {
        if admin && !rule.admins_too || wanted.before == ZEROS {
            return None;
        }
        if wanted.after == ZEROS {
            return (!rule.allow_deletion).then(|| "Cannot delete this protected branch".to_owned());
        }
        if wanted.forced && !rule.allow_force {
            return Some("Cannot force-push to this protected branch".to_owned());
        }
        if rule.pull_request && !wanted.merge {
            return Some("Changes must be made through a pull request.".to_owned());
        }
        repo.lacks(wanted.after, &rule.checks).map(|check| expected(check))
    })
}

fn rules(repo: &RepoState, wanted: &Wanted<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    let concerns = |rule: &&Ruleset| {
        fits(&rule.branch, wanted.branch)
            && !rule.bypass.iter().any(|login| login.eq_ignore_ascii_case(wanted.by))
    };
    for rule in repo.rulesets.iter().filter(concerns) {
        let (created, deleted) = (wanted.before == ZEROS, wanted.after == ZEROS);
        let changed = !created && !deleted;
        if rule.creation && created {
            broken.push("Cannot create ref due to creations being restricted.".to_owned());
        }
        if rule.deletion && deleted {
            broken.push("Cannot delete this branch".to_owned());
        }
        if rule.update && changed {
            broken.push("Cannot update this protected ref.".to_owned());
        }
        if rule.force && changed && wanted.forced {
            broken.push("Cannot force-push to this branch".to_owned());
        }
        if rule.pull_request && changed && !wanted.merge {
            broken.push("Changes must be made through a pull request.".to_owned());
        }
        if changed && let Some(check) = repo.lacks(wanted.after, &rule.checks) {
            broken.push(expected(check));
        }
    }
    broken
}

fn expected(check: &str) -> String {
    format!("Required status check \"{check}\" is expected.")
}

/// Whether a branch fits a pattern in which `*` is anything but a slash, and `**` anything.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    if let Some(rest) = pattern.strip_prefix("**") {
        return (0..=text.len()).filter_map(|at| text.get(at..)).any(|tail| fits(rest, tail));
    }
    let mut signs = pattern.chars();
    match signs.next() {
        None => text.is_empty(),
        Some('*') => {
            let end = text.find('/').unwrap_or(text.len());
            (0..=end).filter_map(|at| text.get(at..)).any(|tail| fits(signs.as_str(), tail))
        }
        Some(sign) => text.strip_prefix(sign).is_some_and(|tail| fits(signs.as_str(), tail)),
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stops_at_a_slash_and_two_do_not() {
        assert!(fits("main", "main") && !fits("main", "main2") && !fits("main", "mai"));
        assert!(fits("release/*", "release/1") && !fits("release/*", "release/1/a"));
        assert!(
            fits("release/**", "release/1/a") && fits("/repos/*/*/pulls/*/merge", "/repos/o/r/pulls/1/merge")
        );
        assert!(fits("**", "a/b") && fits("*ü", "aü") && !fits("*", "a/b"));
    }
}
