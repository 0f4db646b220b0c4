//! The handle of a server.

use std::sync::Arc;

use super::channel::Channel;
use super::fault::{Armed, Fault, Waiting};
use super::ledger::{Effect, Request};
use super::server::{Running, Shared};
use super::state::{Grant, Kind, Lag, State};

/// A server on 127.0.0.1 with one workspace. It ends with this handle, which then [checks](Self::check).
#[derive(Debug)]
pub struct Server {
    running: Running,
}

/// A bot of the workspace.
#[derive(Debug, Clone)]
pub struct Bot {
    shared: Arc<Shared>,
    user: String,
}

impl Bot {
    /// The id that it has as a user.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// A token with these scopes.
    #[must_use]
    pub fn token<'a>(&self, scopes: impl IntoIterator<Item = &'a str>) -> String {
        let mut state = self.shared.state.lock();
        let token = format!("xoxb-{}", state.id("secret"));
        let scopes = scopes.into_iter().map(str::to_owned).collect();
        state.tokens.insert(token.clone(), Grant { user: self.user.clone(), scopes, revoked: false });
        token
    }

    /// Ends a token.
    pub fn revoke(&self, token: &str) {
        if let Some(grant) = self.shared.state.lock().tokens.get_mut(token) {
            grant.revoked = true;
        }
    }

    /// Its direct conversation with somebody, as it will be when it is first used.
    #[must_use]
    pub fn direct(&self, name: &str) -> Channel {
        let mut state = self.shared.state.lock();
        let user = state.user(name);
        let id = state.direct(&self.user, &user);
        Channel::new(Arc::clone(&self.shared), id)
    }
}

impl Server {
    /// Starts one.
    ///
    /// # Panics
    /// Where there is no port.
    #[must_use]
    pub fn start() -> Self {
        Self { running: Running::start() }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.running.shared
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.shared().state.lock())
    }

    /// The base of the API, without a slash at its end: `http://127.0.0.1:PORT/api`.
    #[must_use]
    pub fn url(&self) -> String {
        self.with(|state| state.url.clone())
    }

    /// A bot, made if nobody is called so.
    #[must_use]
    pub fn bot(&self, name: &str) -> Bot {
        let user = self.with(|state| state.user(name));
        Bot { shared: Arc::clone(self.shared()), user }
    }

    /// The id of a person, made if nobody is called so.
    #[must_use]
    pub fn person(&self, name: &str) -> String {
        self.with(|state| state.user(name))
    }

    /// A new public channel.
    #[must_use]
    pub fn channel(&self, name: &str) -> Channel {
        self.open(name, Kind::Public)
    }

    /// A new private channel.
    #[must_use]
    pub fn private_channel(&self, name: &str) -> Channel {
        self.open(name, Kind::Private)
    }

    fn open(&self, name: &str, kind: Kind) -> Channel {
        let id = self.with(|state| state.open(name.to_owned(), kind, Vec::new()));
        Channel::new(Arc::clone(self.shared()), id)
    }

    /// Arms a fault.
    #[must_use = "a fault that was not reached tests nothing: assert on it"]
    pub fn fault(&self, fault: Fault) -> Armed {
        let mut faults = self.shared().faults.lock();
        let id = faults.iter().map(|waiting| waiting.id).max().unwrap_or(0) + 1;
        let (waiting, reached) = Waiting::new(id, fault);
        faults.push(waiting);
        Armed { id, reached, shared: Arc::clone(self.shared()) }
    }

    /// From now on, lists show a new message only after so many lists of its conversation.
    pub fn hide_new_messages_for(&self, lists: u64) {
        self.with(|state| state.lag = Lag::Lists(lists));
    }

    /// From now on, lists do not show what is new until [`show_new_messages`](Self::show_new_messages).
    pub fn hide_new_messages(&self) {
        self.with(|state| state.lag = Lag::UntilTold);
    }

    /// Lists show everything from now on.
    pub fn show_new_messages(&self) {
        self.with(|state| {
            state.lag = Lag::None;
            for stored in state.conversations.iter_mut().flat_map(|one| one.messages.iter_mut()) {
                stored.hidden_for = 0;
            }
        });
    }

    /// From now on, a deleted message is still to be seen in so many lists of its conversation; one with replies is not.
    pub fn show_deleted_messages_for(&self, lists: u64) {
        self.with(|state| state.ghosts_for = lists);
    }

    /// Whether nothing may be deleted, for the sake of compliance exports.
    pub fn keep_everything(&self, keep: bool) {
        self.with(|state| state.compliance = keep);
    }

    /// From now on, a second post to a conversation within a second is refused with 429.
    pub fn one_post_a_second(&self) {
        self.with(|state| state.one_post_a_second = true);
    }

    /// Lists have at most so many items a page.
    pub fn page(&self, items: usize) {
        self.with(|state| state.page = items);
    }

    /// Moves the server's clock, on or back.
    pub fn advance_clock(&self, seconds: i64) {
        self.with(|state| state.advance(seconds));
    }

    /// Stops the server's clock at a time in seconds since 1970, so that messages have the same ids in each run.
    pub fn stop_clock(&self, at: u64) {
        self.with(|state| state.stop_at(at));
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

    /// How many requests for a method have come.
    #[must_use]
    pub fn count(&self, method: &str) -> usize {
        self.requests().iter().filter(|request| request.method == method).count()
    }

    /// Takes what was asked against the documentation, for a test that does so on purpose.
    #[must_use]
    pub fn take_problems(&self) -> Vec<String> {
        self.with(|state| std::mem::take(&mut state.problems))
    }

    fn wrong(&self) -> Vec<String> {
        let mut wrong = self.with(|state| state.problems.clone());
        let faults = self.shared().faults.lock();
        let missed = faults.iter().filter(|waiting| !waiting.was_reached());
        wrong.extend(missed.map(|waiting| format!("a fault was not reached: {}", waiting.describe())));
        wrong
    }

    /// Checks what [the module](super) promises.
    ///
    /// # Panics
    /// Where it does not hold; all that is wrong is named.
    pub fn check(&self) {
        let wrong = self.wrong();
        assert!(wrong.is_empty(), "the stand-in for Slack found:\n{}", wrong.join("\n"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check();
        }
    }
}
