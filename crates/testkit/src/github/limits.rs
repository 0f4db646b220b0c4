//! The primary rate limit: requests in an hour, for each token.

use serde_json::{Value, json};

use super::account::{Grant, Kind};
use super::auth::Caller;
use super::exchange::Asked;
use super::graphql;
use super::reply::{Reply, Stop};
use super::state::State;

const HOUR: i64 = 3600;

impl Grant {
    /// A new token of somebody.
    pub(super) fn new(id: u64, login: &str, kind: Kind, limit: u64) -> Self {
        Self { id, login: login.to_owned(), kind, revoked: false, used: 0, limit, reset: 0 }
    }

    fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

impl State {
    fn counted(&mut self, caller: &Caller) -> &mut Grant {
        let now = self.clock.now();
        let limit = if *caller == Caller::Anonymous { 60 } else { 5000 };
        let nobody = || Grant::new(0, "", Kind::Classic(Vec::new()), limit);
        let grant = self.accounts.tokens.entry(caller.counter()).or_insert_with(nobody);
        if grant.reset <= now {
            (grant.used, grant.reset) = (0, now + HOUR);
        }
        grant
    }

    /// Counts a request, or refuses it.
    pub(super) fn count(&mut self, asked: &Asked, caller: &Caller) -> Result<(), Stop> {
        let grant = self.counted(caller);
        if grant.remaining() > 0 {
            grant.used += 1;
            return Ok(());
        }
        let message = match caller {
            Caller::Anonymous => "API rate limit exceeded for 127.0.0.1. (But here's the good news: Authenticated requests get a higher rate limit. Check out the documentation for more details.)".to_owned(),
            Caller::Token(..) => format!("API rate limit exceeded for user ID {}.", grant.id),
            Caller::App(id) => format!("API rate limit exceeded for app ID {id}."),
        };
        Err(if asked.is_graphql() { graphql::limited(&message).into() } else { Stop::refuse(403, &message) })
    }

    /// What the present hour has left, as headers.
    pub(super) fn limit_headers(&mut self, caller: &Caller, resource: &str) -> Vec<(&'static str, String)> {
        let grant = self.counted(caller);
        vec![
            ("x-ratelimit-limit", grant.limit.to_string()),
            ("x-ratelimit-remaining", grant.remaining().to_string()),
            ("x-ratelimit-used", grant.used.to_string()),
            ("x-ratelimit-reset", grant.reset.to_string()),
            ("x-ratelimit-resource", resource.to_owned()),
        ]
    }

    /// `GET /rate_limit`.
    pub(super) fn limits_json(&mut self, caller: &Caller) -> Value {
        let grant = self.counted(caller);
        let rate = json!({"limit": grant.limit, "remaining": grant.remaining(), "used": grant.used, "reset": grant.reset});
        let search = json!({"limit": 30, "remaining": 30, "used": 0, "reset": grant.reset});
        json!({"resources": {"core": rate, "graphql": rate, "search": search}, "rate": rate})
    }

    /// Takes what a token has left.
    pub(super) fn leave(&mut self, caller: &Caller, remaining: u64) {
        let grant = self.counted(caller);
        grant.used = grant.limit.saturating_sub(remaining);
    }
}

/// The refusal of those who ask too fast.
pub(super) fn secondary(retry_after: Option<u64>) -> Reply {
    let docs =
        "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits";
    let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
    let mut reply = Reply::error(403, message);
    if let Some(Value::Object(body)) = &mut reply.body {
        body.insert("documentation_url".to_owned(), json!(docs));
    }
    match retry_after {
        Some(seconds) => reply.with("retry-after", seconds.to_string()),
        None => reply,
    }
}
