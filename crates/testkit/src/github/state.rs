//! All that the server knows, behind one lock: requests are served one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::account::Accounts;
use super::clock::Clock;
use super::git::Git;
use super::ledger::{Effect, Request, What};
use super::protection::{Protection, Ruleset};
use super::reply::Stop;

/// Everything.
#[derive(Debug)]
pub(super) struct State {
    pub(super) clock: Clock,
    /// Without a slash at its end.
    pub(super) url: String,
    pub(super) folder: PathBuf,
    pub(super) accounts: Accounts,
    pub(super) repos: Vec<RepoState>,
    /// Names that repositories had before, in lower case.
    pub(super) moved: BTreeMap<String, RepoKey>,
    pub(super) ledger: Vec<Effect>,
    pub(super) requests: Vec<Request>,
    /// What was asked or answered against the published description, and routes that nobody knows.
    pub(super) problems: Vec<String>,
    pub(super) update_refs: bool,
    pub(super) lag: Lag,
    last_id: u64,
}

/// A repository's place in the list of all; none is ever removed.
pub(super) type RepoKey = usize;

/// How late lists show what is new.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Lag {
    /// At once.
    #[default]
    None,
    /// After so many requests for a list.
    Requests(u64),
    /// When the test says so.
    UntilTold,
}

#[derive(Debug)]
pub(super) struct RepoState {
    pub(super) id: u64,
    pub(super) owner: String,
    pub(super) name: String,
    pub(super) git: Git,
    pub(super) private: bool,
    pub(super) archived: bool,
    pub(super) has_issues: bool,
    pub(super) default_branch: String,
    pub(super) parent: Option<RepoKey>,
    /// Login in lower case → `read`, `write` or `admin`. The owner is an admin.
    pub(super) members: BTreeMap<String, Role>,
    /// `merge`, `squash`, `rebase`.
    pub(super) merge_methods: BTreeSet<String>,
    pub(super) protections: Vec<Protection>,
    pub(super) rulesets: Vec<Ruleset>,
    /// Passed checks: a commit and a check's name.
    pub(super) passed: BTreeSet<(String, String)>,
    pub(super) items: BTreeMap<u64, Item>,
    /// The numbers of issues that were deleted.
    pub(super) gone: BTreeSet<u64>,
    pub(super) activities: Vec<Activity>,
    pub(super) created_at: i64,
    pub(super) pushed_at: i64,
}

/// What somebody may do to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Read,
    Write,
    Admin,
}

/// An issue, or the issue that every pull request is too.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) id: u64,
    pub(super) number: u64,
    pub(super) title: String,
    pub(super) body: Option<String>,
    pub(super) by: String,
    pub(super) open: bool,
    pub(super) state_reason: Option<String>,
    pub(super) labels: Vec<String>,
    pub(super) assignees: Vec<String>,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    pub(super) closed_at: Option<i64>,
    pub(super) closed_by: Option<String>,
    /// Requests for lists that will not show it yet.
    pub(super) hidden_for: u64,
    pub(super) pull: Option<PullState>,
}

#[derive(Debug, Clone)]
pub(super) struct PullState {
    /// Where the head branch is; `None` where that repository is gone.
    pub(super) head_repo: RepoKey,
    pub(super) head_ref: String,
    /// Where the head was when it was last looked at: it stays when the pull request is closed.
    pub(super) head_sha: String,
    pub(super) base_ref: String,
    pub(super) base_sha: String,
    pub(super) draft: bool,
    pub(super) can_modify: bool,
    pub(super) mergeable: Mergeable,
    pub(super) merged: Option<Merge>,
}

/// Whether the head can be merged, which GitHub works out only after somebody has asked.
#[derive(Debug, Clone)]
pub(super) enum Mergeable {
    Unknown,
    /// With the commit that a merge would make, where there is one.
    Known(Option<String>),
}

#[derive(Debug, Clone)]
pub(super) struct Merge {
    pub(super) at: i64,
    pub(super) by: String,
    pub(super) sha: String,
}

/// A change of a ref, as `/activity` lists it.
#[derive(Debug, Clone)]
pub(super) struct Activity {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) kind: &'static str,
    pub(super) at: i64,
    pub(super) by: String,
}

impl State {
    pub(super) fn new(url: String, folder: PathBuf) -> Self {
        Self {
            clock: Clock::default(),
            url,
            folder,
            accounts: Accounts::default(),
            repos: Vec::new(),
            moved: BTreeMap::new(),
            ledger: Vec::new(),
            requests: Vec::new(),
            problems: Vec::new(),
            update_refs: true,
            lag: Lag::None,
            last_id: 1000,
        }
    }

    /// A number that nothing else has.
    pub(super) fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn repo(&self, key: RepoKey) -> Result<&RepoState, Stop> {
        self.repos.get(key).ok_or_else(|| Stop::Broken(format!("no repository has the place {key}")))
    }

    pub(super) fn repo_mut(&mut self, key: RepoKey) -> Result<&mut RepoState, Stop> {
        self.repos.get_mut(key).ok_or_else(|| Stop::Broken(format!("no repository has the place {key}")))
    }

    /// A repository by its present name; case does not matter.
    pub(super) fn named(&self, owner: &str, name: &str) -> Option<RepoKey> {
        let fits =
            |repo: &RepoState| repo.owner.eq_ignore_ascii_case(owner) && repo.name.eq_ignore_ascii_case(name);
        self.repos.iter().position(fits)
    }

    /// Notes an effect.
    pub(super) fn effect(&mut self, (request, by): (u64, &str), key: Option<RepoKey>, what: What) {
        let repo = key.and_then(|key| self.repos.get(key)).map(RepoState::full_name).unwrap_or_default();
        self.ledger.push(Effect { request, repo, by: by.to_owned(), what });
    }
}

impl RepoState {
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    pub(super) fn role(&self, login: &str) -> Option<Role> {
        let login = login.to_ascii_lowercase();
        if self.owner.eq_ignore_ascii_case(&login) {
            return Some(Role::Admin);
        }
        self.members.get(&login).copied().or((!self.private).then_some(Role::Read))
    }

    pub(super) fn item(&self, number: u64) -> Result<&Item, Stop> {
        self.items.get(&number).ok_or_else(|| self.no_item(number))
    }

    fn no_item(&self, number: u64) -> Stop {
        if self.gone.contains(&number) {
            Stop::refuse(410, "This issue was deleted")
        } else {
            Stop::not_found()
        }
    }

    pub(super) fn item_mut(&mut self, number: u64) -> Result<&mut Item, Stop> {
        let none = self.no_item(number);
        self.items.get_mut(&number).ok_or(none)
    }

    /// A pull request and the issue that it is.
    pub(super) fn pull(&self, number: u64) -> Result<(&Item, &PullState), Stop> {
        let item = self.item(number)?;
        Ok((item, item.pull.as_ref().ok_or_else(Stop::not_found)?))
    }

    pub(super) fn pull_mut(&mut self, number: u64) -> Result<&mut PullState, Stop> {
        self.item_mut(number)?.pull.as_mut().ok_or_else(Stop::not_found)
    }

    /// Where a branch leads.
    pub(super) fn head(&self, branch: &str) -> Result<Option<String>, Stop> {
        Ok(self.git.ref_to(&format!("refs/heads/{branch}"))?.map(|found| found.sha))
    }

    pub(super) fn next_number(&self) -> u64 {
        self.items.keys().chain(&self.gone).max().map_or(1, |last| last + 1)
    }
}
