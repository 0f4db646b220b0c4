//! The handle of a server.

use std::sync::Arc;

use tempfile::TempDir;

use super::OrPanic;
use super::account::User as UserState;
use super::fault::{Armed, Fault, Waiting};
use super::ledger::{Effect, Request};
use super::people::{App, User};
use super::repo::{Repo, RepoBuilder};
use super::server::{Running, Shared};
use super::state::{Lag, State};

/// A server on 127.0.0.1, with folders of its own. It ends with this handle, which then [checks](Self::check).
#[derive(Debug)]
pub struct Server {
    running: Running,
    _folder: TempDir,
}

impl Server {
    /// Starts one.
    ///
    /// # Panics
    /// Where there is no port, no folder, or no git.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().or_panic("make a folder");
        check_git();
        Self { running: Running::start(folder.path().to_owned()), _folder: folder }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.running.shared
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.shared().state.lock())
    }

    /// The base of the API, without a slash at its end: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.with(|state| state.url.clone())
    }

    /// The base of the API as on GitHub Enterprise: `http://127.0.0.1:PORT/api/v3`.
    #[must_use]
    pub fn enterprise_url(&self) -> String {
        format!("{}/api/v3", self.url())
    }

    /// Begins a repository, by "owner/name". The owner is made if nobody is called so.
    #[must_use]
    pub fn repo(&self, name: &str) -> RepoBuilder {
        RepoBuilder::new(Arc::clone(self.shared()), name)
    }

    /// A repository that is there already.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn open(&self, name: &str) -> Repo {
        let (owner, own) = name.split_once('/').unwrap_or((name, ""));
        let key = self.with(|state| state.named(owner, own));
        let Some(key) = key else { panic!("there is no repository {name}") };
        Repo::new(Arc::clone(self.shared()), key)
    }

    /// A person, made if nobody is called so.
    #[must_use]
    pub fn user(&self, login: &str) -> User {
        self.with(|state| state.ensure_user(login, false));
        User::new(Arc::clone(self.shared()), login)
    }

    /// An app with permissions such as `contents:write`. Its owner is `octo`.
    #[must_use]
    pub fn app<'a>(&self, slug: &str, permissions: impl IntoIterator<Item = &'a str>) -> App {
        App::create(Arc::clone(self.shared()), slug, permissions)
    }

    /// Arms a fault.
    #[must_use = "a fault that was not reached tests nothing: assert on it"]
    pub fn fault(&self, fault: Fault) -> Armed {
        let id = self.with(State::id);
        let (waiting, reached) = Waiting::new(id, fault);
        self.shared().faults.lock().push(waiting);
        Armed { id, reached, shared: Arc::clone(self.shared()) }
    }

    /// From now on, lists of issues and pull requests show what is new only after so many requests for a list.
    pub fn hide_new_items_for(&self, list_requests: u64) {
        self.with(|state| state.lag = Lag::Requests(list_requests));
    }

    /// From now on, lists do not show what is new until [`show_new_items`](Self::show_new_items).
    pub fn hide_new_items(&self) {
        self.with(|state| state.lag = Lag::UntilTold);
    }

    /// Lists show everything from now on.
    pub fn show_new_items(&self) {
        self.with(|state| {
            state.lag = Lag::None;
            for item in state.repos.iter_mut().flat_map(|repo| repo.items.values_mut()) {
                item.hidden_for = 0;
            }
        });
    }

    /// Whether GraphQL has `updateRefs`. Old GitHub Enterprise has not.
    pub fn set_update_refs(&self, there: bool) {
        self.with(|state| state.update_refs = there);
    }

    /// Moves the server's clock on. Tokens of installations end, rate limits are reset, late effects happen.
    pub fn advance_clock(&self, seconds: i64) {
        self.with(|state| state.clock.advance(seconds));
        self.shared().land_due(self.shared().last_request());
    }

    /// Stops the server's clock at a time in seconds since 1970, so that merges make the same commits in each run.
    pub fn stop_clock(&self, at: i64) {
        self.with(|state| state.clock.stop_at(at));
    }

    /// The server's time in seconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.with(|state| state.clock.now())
    }

    /// What has happened, in that order: by requests, and by people whom the test plays.
    #[must_use]
    pub fn ledger(&self) -> Vec<Effect> {
        self.with(|state| state.ledger.clone())
    }

    /// What requests have caused; the deeds of people whom the test plays are not among it.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        self.ledger().into_iter().filter(|effect| effect.request > 0).collect()
    }

    /// The requests that have come, in that order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.with(|state| state.requests.clone())
    }

    /// How many requests have come with this method and a path that fits the pattern, as in [`Fault`].
    #[must_use]
    pub fn count(&self, method: &str, path: &str) -> usize {
        let fits =
            |request: &&Request| request.method == method && super::protection::fits(path, &request.path);
        self.requests().iter().filter(fits).count()
    }

    /// Takes what was asked or answered against GitHub's description, for a test that does so on purpose.
    #[must_use]
    pub fn take_problems(&self) -> Vec<String> {
        self.with(|state| std::mem::take(&mut state.problems))
    }

    fn wrong(&self) -> Vec<String> {
        let mut wrong = self.with(|state| state.problems.clone());
        let faults = self.shared().faults.lock();
        let unreached = faults.iter().filter(|waiting| !waiting.was_reached());
        wrong.extend(unreached.map(|waiting| format!("a fault was never reached: {}", waiting.describe())));
        wrong
    }

    /// Checks that all was asked and answered as GitHub's description says, that no unknown route was asked, that no
    /// fault waits, and that every repository is sound.
    ///
    /// # Panics
    /// With all that is wrong.
    pub fn check(&self) {
        let mut wrong = self.wrong();
        wrong.extend(self.with(|state| {
            let broken = |repo: &super::state::RepoState| repo.git.ok(&["fsck", "--no-dangling"]).err();
            state.repos.iter().filter_map(broken).map(|error| error.to_string()).collect::<Vec<_>>()
        }));
        assert!(wrong.is_empty(), "the stand-in for GitHub has to say:\n{}", wrong.join("\n"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let wrong = self.wrong();
        if !wrong.is_empty() && !std::thread::panicking() {
            panic!("the stand-in for GitHub has to say:\n{}", wrong.join("\n"));
        }
    }
}

/// `git merge-tree` learned to take a base in 2.40.
fn check_git() {
    let said = std::process::Command::new("git").arg("--version").output().or_panic("run git");
    let text = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    let version = text.strip_prefix("git version ").unwrap_or_default();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    assert!(found >= (2, 40), "the stand-in for GitHub needs git 2.40 or newer, and found '{text}'");
}

impl State {
    /// Makes an account if nobody is called so.
    pub(super) fn ensure_user(&mut self, login: &str, bot: bool) {
        if self.accounts.user(login).is_none() {
            let id = self.id();
            self.accounts.users.push(UserState { id, login: login.to_owned(), bot });
        }
    }
}
