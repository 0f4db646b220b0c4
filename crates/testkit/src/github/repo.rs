//! Repositories as tests make them and look at them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::git::{Git, Ident, Put, Update, ZEROS};
use super::person::Person;
use super::protection::{Protection, Ruleset};
use super::server::Shared;
use super::state::{Item, RepoKey, RepoState, Role, State};
use super::{OrPanic, Stop};

/// A repository to be made: public, with a branch `main` that has one commit, unless it is told otherwise.
#[derive(Debug)]
pub struct RepoBuilder {
    shared: Arc<Shared>,
    name: String,
    files: Vec<(String, &'static str, Vec<u8>)>,
    branch: String,
    private: bool,
    has_issues: bool,
    empty: bool,
    members: BTreeMap<String, Role>,
}

/// A repository. Copies of this handle are of the same one.
#[derive(Debug, Clone)]
pub struct Repo {
    shared: Arc<Shared>,
    key: RepoKey,
}

/// An issue as it is on the server. A pull request is one too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Its body.
    pub body: Option<String>,
    /// The login of who made it.
    pub by: String,
    /// Whether it is open.
    pub open: bool,
    /// `completed`, `not_planned`, `reopened`, …
    pub state_reason: Option<String>,
    /// Names of labels.
    pub labels: Vec<String>,
    /// Logins.
    pub assignees: Vec<String>,
}

/// A pull request as it is on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// What it is as an issue.
    pub issue: Issue,
    /// `branch`, or `owner:branch` where it comes from a fork.
    pub head: String,
    /// Where the head was when it was last looked at.
    pub head_sha: String,
    /// The branch that it is for.
    pub base: String,
    /// Whether it is a draft.
    pub draft: bool,
    /// The commit by which it was merged.
    pub merged: Option<String>,
}

impl RepoBuilder {
    pub(super) fn new(shared: Arc<Shared>, name: &str) -> Self {
        Self {
            shared,
            name: name.to_owned(),
            files: Vec::new(),
            branch: "main".to_owned(),
            private: false,
            has_issues: true,
            empty: false,
            members: BTreeMap::new(),
        }
    }

    fn put(mut self, path: &str, mode: &'static str, content: impl AsRef<[u8]>) -> Self {
        self.files.push((path.to_owned(), mode, content.as_ref().to_vec()));
        self
    }

    /// With a file.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.put(path, "100644", content)
    }

    /// With a program.
    #[must_use]
    pub fn executable(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.put(path, "100755", content)
    }

    /// With a symbolic link.
    #[must_use]
    pub fn symlink(self, path: &str, to: &str) -> Self {
        self.put(path, "120000", to)
    }

    /// Its default branch is called so.
    #[must_use]
    pub fn default_branch(mut self, name: &str) -> Self {
        name.clone_into(&mut self.branch);
        self
    }

    /// Only its members see it.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// It does without issues.
    #[must_use]
    pub fn without_issues(mut self) -> Self {
        self.has_issues = false;
        self
    }

    /// It has no branch and no commit.
    #[must_use]
    pub fn empty(mut self) -> Self {
        self.empty = true;
        self
    }

    fn member(mut self, login: &str, role: Role) -> Self {
        self.members.insert(login.to_lowercase(), role);
        self.shared.state.lock().ensure_user(login, false);
        self
    }

    /// Somebody may read it, where it is private, and be assigned.
    #[must_use]
    pub fn reader(self, login: &str) -> Self {
        self.member(login, Role::Read)
    }

    /// Somebody may push to it.
    #[must_use]
    pub fn writer(self, login: &str) -> Self {
        self.member(login, Role::Write)
    }

    /// Somebody may do everything to it.
    #[must_use]
    pub fn admin(self, login: &str) -> Self {
        self.member(login, Role::Admin)
    }

    /// Makes it.
    ///
    /// # Panics
    /// Where there is one of this name, or git fails.
    #[must_use]
    pub fn create(self) -> Repo {
        let shared = Arc::clone(&self.shared);
        let key = self.make(&mut shared.state.lock()).or_panic("make a repository");
        Repo::new(shared, key)
    }

    fn make(self, state: &mut State) -> Result<RepoKey, Stop> {
        let (owner, name) = self.name.split_once('/').unwrap_or((&self.name, "repo"));
        assert!(state.named(owner, name).is_none(), "there is a repository {} already", self.name);
        state.ensure_user(owner, false);
        let (id, now) = (state.id(), state.clock.now());
        let git = Git::init(&state.folder.join(id.to_string()), &self.branch)?;
        if !self.empty {
            let mut puts = Vec::new();
            for (path, mode, content) in &self.files {
                puts.push((path.clone(), Put::Object((*mode).to_owned(), git.write("blob", content)?)));
            }
            let tree = git.make_tree(None, &puts)?.unwrap_or_default();
            // Always the same time, so that tests know the same first commit.
            let by = Ident::new(owner, &format!("{owner}@example.com"), 1_700_000_000);
            let commit = git.commit(&tree, &[], (&by, &by), "Begin\n")?;
            let name = format!("refs/heads/{}", self.branch);
            git.update(&[Update { name, before: ZEROS.to_owned(), after: commit }])?.map_err(Stop::Broken)?;
        }
        state.repos.push(RepoState {
            id,
            owner: owner.to_owned(),
            name: name.to_owned(),
            git,
            private: self.private,
            archived: false,
            has_issues: self.has_issues,
            default_branch: self.branch,
            parent: None,
            members: self.members,
            merge_methods: ["merge", "squash", "rebase"].map(str::to_owned).into(),
            protections: Vec::new(),
            rulesets: Vec::new(),
            passed: BTreeSet::new(),
            items: BTreeMap::new(),
            gone: BTreeSet::new(),
            activities: Vec::new(),
            created_at: now,
            pushed_at: now,
        });
        Ok(state.repos.len() - 1)
    }
}

impl Repo {
    pub(super) fn new(shared: Arc<Shared>, key: RepoKey) -> Self {
        Self { shared, key }
    }

    fn with<T>(&self, act: impl FnOnce(&mut RepoState) -> T) -> T {
        let mut state = self.shared.state.lock();
        act(state.repo_mut(self.key).or_panic("find a repository"))
    }

    /// "owner/name" as it is called now.
    #[must_use]
    pub fn name(&self) -> String {
        self.with(|repo| repo.full_name())
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.with(|repo| repo.id)
    }

    fn plumbing(&self) -> Git {
        self.with(|repo| repo.git.clone())
    }

    /// The folder of the bare repository, for a test's own git.
    #[must_use]
    pub fn folder(&self) -> std::path::PathBuf {
        self.plumbing().folder().to_owned()
    }

    /// What git says, without white space around it.
    ///
    /// # Panics
    /// Where git fails.
    pub fn git<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> String {
        let args: Vec<&str> = args.into_iter().collect();
        self.plumbing().ok(&args).or_panic("run git")
    }

    /// All files of a commit or branch: path → (mode, content).
    ///
    /// # Panics
    /// Where there is no such commit.
    #[must_use]
    pub fn tree(&self, commit: &str) -> BTreeMap<String, (String, Vec<u8>)> {
        let git = self.plumbing();
        let leaves = git.list_tree(commit, true).or_panic("list a tree").into_iter();
        let leaves = leaves.filter(|entry| entry.kind != "tree");
        let read = |sha: &str| git.read("blob", sha).unwrap_or_default();
        leaves.map(|entry| (entry.path, (entry.mode, read(&entry.sha)))).collect()
    }

    /// The content of a file as text, where it is there.
    #[must_use]
    pub fn read(&self, commit: &str, path: &str) -> Option<String> {
        let (_, content) = self.tree(commit).remove(path)?;
        Some(String::from_utf8_lossy(&content).into_owned())
    }

    /// Where a branch leads, where it is there.
    ///
    /// # Panics
    /// Where git fails.
    #[must_use]
    pub fn head(&self, branch: &str) -> Option<String> {
        self.with(|repo| repo.head(branch)).or_panic("look at a branch")
    }

    /// All branches, and where they lead.
    ///
    /// # Panics
    /// Where git fails.
    #[must_use]
    pub fn branches(&self) -> BTreeMap<String, String> {
        let all = self.plumbing().refs_beginning("refs/heads/").or_panic("list branches");
        all.into_iter().map(|found| (found.name.replacen("refs/heads/", "", 1), found.sha)).collect()
    }

    /// All issues that are no pull requests.
    #[must_use]
    pub fn issues(&self) -> Vec<Issue> {
        self.with(|repo| repo.items.values().filter(|item| item.pull.is_none()).map(Issue::of).collect())
    }

    /// An issue or pull request.
    ///
    /// # Panics
    /// Where there is none of this number.
    #[must_use]
    pub fn issue(&self, number: u64) -> Issue {
        self.with(|repo| repo.item(number).map(Issue::of)).or_panic(format!("find {number}"))
    }

    /// All pull requests.
    ///
    /// # Panics
    /// Never, but for a fault of the stand-in.
    #[must_use]
    pub fn pulls(&self) -> Vec<Pull> {
        let state = self.shared.state.lock();
        let repo = state.repo(self.key).or_panic("find a repository");
        repo.items.values().filter_map(|item| Pull::of(&state, self.key, item)).collect()
    }

    /// A pull request.
    ///
    /// # Panics
    /// Where there is none of this number.
    #[must_use]
    pub fn pull(&self, number: u64) -> Pull {
        let found = self.pulls().into_iter().find(|pull| pull.issue.number == number);
        found.unwrap_or_else(|| panic!("there is no pull request {number}"))
    }

    /// Somebody who does something to it. Made if nobody is called so; what a person does needs no permission.
    #[must_use]
    pub fn person(&self, login: &str) -> Person {
        self.shared.state.lock().ensure_user(login, false);
        Person::new(Arc::clone(&self.shared), self.key, login)
    }

    /// Adds a member with the right to push.
    pub fn add_writer(&self, login: &str) {
        self.shared.state.lock().ensure_user(login, false);
        self.with(|repo| repo.members.insert(login.to_lowercase(), Role::Write));
    }

    /// Takes a member away.
    pub fn remove_member(&self, login: &str) {
        self.with(|repo| repo.members.remove(&login.to_lowercase()));
    }

    /// Adds protection of branches.
    pub fn protect(&self, protection: Protection) {
        self.with(|repo| repo.protections.push(protection));
    }

    /// Adds a ruleset.
    pub fn add_ruleset(&self, ruleset: Ruleset) {
        self.with(|repo| repo.rulesets.push(ruleset));
    }

    /// Takes all protections and rulesets away.
    pub fn unprotect(&self) {
        self.with(|repo| {
            repo.protections.clear();
            repo.rulesets.clear();
        });
    }

    /// A check has passed on a commit.
    pub fn pass_check(&self, sha: &str, check: &str) {
        self.with(|repo| repo.passed.insert((sha.to_owned(), check.to_owned())));
    }

    /// Which kinds of merges are allowed, of `merge`, `squash` and `rebase`.
    pub fn allow_merges<'a>(&self, methods: impl IntoIterator<Item = &'a str>) {
        self.with(|repo| repo.merge_methods = methods.into_iter().map(str::to_owned).collect());
    }

    /// Makes it read-only, or not.
    pub fn set_archived(&self, archived: bool) {
        self.with(|repo| repo.archived = archived);
    }

    /// Gives it another name. The old one leads to it from now on.
    pub fn rename(&self, name: &str) {
        let mut state = self.shared.state.lock();
        let (owner, own) = name.split_once('/').unwrap_or((name, "repo"));
        state.ensure_user(owner, false);
        let repo = state.repo_mut(self.key).or_panic("find a repository");
        let old = repo.full_name().to_lowercase();
        (repo.owner, repo.name) = (owner.to_owned(), own.to_owned());
        state.moved.insert(old, self.key);
        state.moved.remove(&name.to_lowercase());
    }

    /// Makes a fork of it, with all branches, for somebody.
    ///
    /// # Panics
    /// Where git fails.
    #[must_use]
    pub fn fork(&self, owner: &str) -> Repo {
        let (name, branch) = self.with(|repo| (repo.name.clone(), repo.default_branch.clone()));
        let shared = Arc::clone(&self.shared);
        let fork =
            RepoBuilder::new(shared, &format!("{owner}/{name}")).default_branch(&branch).empty().create();
        let (from, to) = (self.plumbing(), fork.plumbing());
        to.borrow_from(&from).or_panic("share objects with a fork");
        let branches = from.refs_beginning("refs/heads/").or_panic("list branches").into_iter();
        let updates: Vec<Update> = branches
            .map(|found| Update { name: found.name, before: ZEROS.to_owned(), after: found.sha })
            .collect();
        to.update(&updates).or_panic("copy branches").or_panic("copy branches");
        fork.with(|repo| repo.parent = Some(self.key));
        fork
    }
}

impl Issue {
    fn of(item: &Item) -> Self {
        let Item { number, title, body, by, open, state_reason, labels, assignees, .. } = item.clone();
        Self { number, title, body, by, open, state_reason, labels, assignees }
    }
}

impl Pull {
    fn of(state: &State, key: RepoKey, item: &Item) -> Option<Self> {
        let pull = item.pull.as_ref()?;
        let head = match state.repo(pull.head_repo) {
            Ok(repo) if pull.head_repo != key => format!("{}:{}", repo.owner, pull.head_ref),
            _ => pull.head_ref.clone(),
        };
        Some(Self {
            issue: Issue::of(item),
            head,
            head_sha: pull.head_sha.clone(),
            base: pull.base_ref.clone(),
            draft: pull.draft,
            merged: pull.merged.as_ref().map(|merge| merge.sha.clone()),
        })
    }
}
