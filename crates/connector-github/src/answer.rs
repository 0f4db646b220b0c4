//! An answer of GitHub, read whole: status, headers, JSON.

use std::time::Duration;

use enact_connector_http::hide::hide;
use enact_core::time::Timestamp;
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use serde_json::Value;

/// The wait for a secondary limit that says nothing of how long. Source: GitHub's "Rate limits for the REST API".
const UNTOLD_WAIT: Duration = Duration::from_secs(60);

/// The most characters of GitHub's words that an error shows.
const MAX_WORDS: usize = 600;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, headers: HeaderMap, bytes: &[u8]) -> Self {
        let body = serde_json::from_slice(bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).trim().to_owned()));
        let body = if bytes.is_empty() { Value::Null } else { body };
        Self { status, headers, body }
    }

    /// Without the secret that was sent, should the server repeat it.
    pub(crate) fn hiding(mut self, secret: &SecretString) -> Self {
        hide(secret, &mut self.headers, &mut self.body);
        self
    }

    #[cfg(test)]
    pub(crate) fn of(status: StatusCode, body: &Value) -> Self {
        Self { status, headers: HeaderMap::new(), body: body.clone() }
    }

    /// Whether it is JSON, as all of GitHub's answers that say something.
    pub(crate) fn is_json(&self) -> bool {
        self.body.is_object() || self.body.is_array()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What GitHub says about a refusal: its message, and what it says of single fields.
    pub(crate) fn words(&self) -> String {
        let mut words = match &self.body {
            Value::String(text) if !text.starts_with('<') => text.clone(),
            body => body.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
        };
        let errors = match self.body.get("errors") {
            Some(Value::Array(errors)) => errors.iter().map(detail).collect(),
            Some(Value::String(error)) => vec![error.clone()],
            _ => Vec::new(),
        };
        let errors = errors.into_iter().filter(|error| !error.is_empty()).collect::<Vec<_>>().join("; ");
        if !errors.is_empty() {
            words = if words.is_empty() { errors } else { format!("{words}: {errors}") };
        }
        words.chars().take(MAX_WORDS).collect()
    }

    /// Whether there is another page.
    pub(crate) fn has_next(&self) -> bool {
        self.header("link").is_some_and(|link| link.contains("rel=\"next\""))
    }

    /// How long GitHub wants the next request to wait, where this one was refused for its rate. `now` is the time where
    /// the answer does not say its own.
    pub(crate) fn asked_to_wait(&self, now: Timestamp) -> Option<Duration> {
        let by_graphql = self.is_limit_of_graphql();
        if !by_graphql && !matches!(self.status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
            return None;
        }
        let number = |name: &str| self.header(name)?.trim().parse::<u64>().ok();
        if let Some(seconds) = number("retry-after") {
            return Some(Duration::from_secs(seconds));
        }
        if number("x-ratelimit-remaining") == Some(0)
            && let Some(reset_s) = number("x-ratelimit-reset")
        {
            let now_s = self.date_s().unwrap_or(now.unix_ms() / 1000);
            // A second more: both are cut off.
            return Some(Duration::from_secs(reset_s.saturating_sub(now_s).saturating_add(1)));
        }
        let words = self.words().to_lowercase();
        let limited = by_graphql || words.contains("rate limit") || words.contains("abuse");
        (limited || self.status == StatusCode::TOO_MANY_REQUESTS).then_some(UNTOLD_WAIT)
    }

    /// Whether GraphQL refused the request for its rate, which it does with 200 and no data. Source: GitHub's "Rate limits
    /// and query limits for the GraphQL API".
    fn is_limit_of_graphql(&self) -> bool {
        let Some(error) = self.body.pointer("/errors/0") else { return false };
        let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        let limited = matches!(text("type"), "RATE_LIMITED" | "RATE_LIMIT")
            || text("message").to_lowercase().contains("rate limit");
        let data = self.body.get("data").and_then(Value::as_object);
        let did_nothing = data.is_none_or(|data| data.values().all(Value::is_null));
        self.status == StatusCode::OK && limited && did_nothing
    }

    /// The server's own time, in seconds since 1970.
    pub(crate) fn date_s(&self) -> Option<u64> {
        let text = self.header("date")?;
        let at = jiff::fmt::rfc2822::parse(text).ok()?;
        u64::try_from(at.timestamp().as_second()).ok()
    }
}

/// One entry of `errors`: a text, or an object of resource, field, code and message.
fn detail(error: &Value) -> String {
    if let Some(text) = error.as_str() {
        return text.to_owned();
    }
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    match (text("message"), text("field"), text("code")) {
        ("", "", code) => code.to_owned(),
        ("", field, code) => format!("{field} {code}"),
        (message, ..) => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn limited(status: u16, headers: &[(&'static str, &str)], message: &str) -> Option<Duration> {
        let mut answer = Answer::of(StatusCode::from_u16(status).unwrap(), &json!({ "message": message }));
        for (name, value) in headers {
            answer.headers.insert(*name, value.parse().unwrap());
        }
        answer.asked_to_wait(Timestamp::from_unix_us(1_000_000_000))
    }

    #[test]
    fn the_wait_is_what_github_asks_for() {
        let secs = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(limited(429, &[("retry-after", "7")], ""), secs(7));
        let reset = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1030")];
        assert_eq!(limited(403, &reset, "API rate limit exceeded"), secs(31));
        let dated = [reset[0], reset[1], ("date", "Thu, 01 Jan 1970 00:17:00 GMT")];
        assert_eq!(limited(403, &dated, "API rate limit exceeded"), secs(11));
        assert_eq!(limited(403, &[], "You have exceeded a secondary rate limit"), secs(60));
        assert_eq!(limited(403, &[("x-ratelimit-remaining", "4999")], "Must have push access"), None);
        assert_eq!(limited(200, &[("retry-after", "7")], ""), None);
    }

    #[test]
    fn graphql_limits_with_200() {
        let wait = |body: Value, headers: &[(&'static str, &str)]| {
            let mut answer = Answer::of(StatusCode::OK, &body);
            for (name, value) in headers {
                answer.headers.insert(*name, value.parse().unwrap());
            }
            answer.asked_to_wait(Timestamp::from_unix_us(1_000_000_000))
        };
        let secs = |seconds| Some(Duration::from_secs(seconds));
        let primary = json!({ "errors": [{ "type": "RATE_LIMITED", "message": "API rate limit exceeded" }] });
        let reset = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1030")];
        assert_eq!(wait(primary.clone(), &reset), secs(31));
        assert_eq!(wait(primary, &[]), secs(60));
        let secondary = json!({
            "data": { "updateRefs": null },
            "errors": [{ "message": "You have exceeded a secondary rate limit" }],
        });
        assert_eq!(wait(secondary, &[("retry-after", "7")]), secs(7));
        let done = json!({
            "data": { "updateRefs": { "clientMutationId": null } },
            "errors": [{ "type": "RATE_LIMITED", "message": "slow" }],
        });
        assert_eq!(wait(done, &reset), None, "what was done is not sent again");
        assert_eq!(wait(json!({ "errors": [{ "type": "UNPROCESSABLE", "message": "no" }] }), &reset), None);
    }

    #[test]
    fn the_words_name_the_fields() {
        let body = json!({
            "message": "Validation Failed",
            "errors": [{ "resource": "PullRequest", "field": "head", "code": "invalid" }, "more"],
        });
        let answer = Answer::of(StatusCode::UNPROCESSABLE_ENTITY, &body);
        assert_eq!(answer.words(), "Validation Failed: head invalid; more");
    }
}
