//! The methods: who may call them, and which arguments they know.

use std::sync::LazyLock;

use serde_json::json;

use super::call::{Asked, Reply};
use super::server::Shared;
use super::state::{Grant, State};

/// Each method with the arguments that its documentation names.
static METHODS: LazyLock<Vec<(&'static str, Vec<&'static str>)>> = LazyLock::new(|| {
    let method = |name, args: &'static str| (name, args.split(' ').collect());
    vec![
        method("auth.test", ""),
        method(
            "chat.postMessage",
            "channel text blocks attachments thread_ts metadata mrkdwn parse link_names reply_broadcast unfurl_links \
             unfurl_media username icon_url icon_emoji as_user markdown_text",
        ),
        method("chat.delete", "channel ts as_user"),
        method("conversations.history", "channel cursor include_all_metadata inclusive latest limit oldest"),
        method(
            "conversations.replies",
            "channel ts cursor include_all_metadata inclusive latest limit oldest",
        ),
        method("conversations.list", "cursor exclude_archived limit team_id types"),
    ]
});

/// Who asks, and what for.
pub(super) struct Call<'a> {
    pub(super) asked: &'a Asked,
    pub(super) grant: Grant,
}

impl Call<'_> {
    /// Refuses a token without a scope.
    pub(super) fn needs(&self, scope: &str) -> Result<(), Reply> {
        if self.has(scope) {
            return Ok(());
        }
        let mut reply = Reply::error("missing_scope");
        if let Some(body) = reply.body.as_object_mut() {
            body.insert("needed".into(), json!(scope));
            body.insert("provided".into(), json!(self.grant.scopes.join(",")));
        }
        Err(reply)
    }

    pub(super) fn has(&self, scope: &str) -> bool {
        self.grant.scopes.iter().any(|own| own == scope)
    }
}

impl Shared {
    /// Carries a request out, and answers it.
    pub(super) fn answer(&self, asked: &Asked) -> Reply {
        let mut state = self.state.lock();
        let mut reply = match state.serve(asked) {
            Ok(reply) | Err(reply) => reply,
        };
        reply.headers.push(("date", state.date()));
        if let Some(grant) = asked.token.as_ref().and_then(|token| state.tokens.get(token)) {
            reply.headers.push(("x-oauth-scopes", grant.scopes.join(",")));
        }
        reply
    }
}

impl State {
    /// The time, as a header has it.
    fn date(&self) -> String {
        let second = i64::try_from(self.now_us() / 1_000_000).unwrap_or(i64::MAX);
        let at = jiff::Timestamp::from_second(second).unwrap_or_default();
        jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap_or_default()
    }

    fn serve(&mut self, asked: &Asked) -> Result<Reply, Reply> {
        let Some((_, known)) = METHODS.iter().find(|(name, _)| *name == asked.method) else {
            self.problem(asked, "this method is not known here");
            return Err(Reply::error("unknown_method"));
        };
        if let Some(early) = self.too_early(&asked.method) {
            self.problem(asked, &format!("it comes {early:?} before Retry-After is over"));
            return Err(Reply::too_fast(early.as_secs() + 1));
        }
        if let Some(problem) = &asked.problem {
            self.problem(asked, problem);
        }
        for name in asked.args.keys().filter(|name| !known.contains(&name.as_str())) {
            self.problem(asked, &format!("the argument '{name}' is not documented"));
        }
        let Some(token) = &asked.token else { return Err(Reply::error("not_authed")) };
        let grant = self.tokens.get(token).cloned().ok_or_else(|| Reply::error("invalid_auth"))?;
        if grant.revoked {
            return Err(Reply::error("token_revoked"));
        }
        let call = Call { asked, grant };
        match asked.method.as_str() {
            "auth.test" => Ok(self.auth_test(&call)),
            "chat.postMessage" => self.post_message(&call),
            "chat.delete" => self.delete(&call),
            "conversations.history" => self.history(&call),
            "conversations.replies" => self.thread(&call),
            _ => self.list(&call),
        }
    }

    fn problem(&mut self, asked: &Asked, what: &str) {
        self.problems.push(format!("{}: {}: {what}", asked.number, asked.method));
    }

    fn auth_test(&self, call: &Call<'_>) -> Reply {
        let user = &call.grant.user;
        Reply::ok(json!({
            "url": "https://enact.slack.com/",
            "team": "enact",
            "user": self.users.get(user),
            "team_id": self.team,
            "user_id": user,
            "bot_id": Self::bot_of(user),
            "is_enterprise_install": false,
        }))
    }
}
