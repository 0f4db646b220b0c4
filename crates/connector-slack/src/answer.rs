//! An answer of Slack, read whole: `ok`, and what stands in its headers.

use std::time::Duration;

use enact_connector_http::hide::hide;
use enact_core::Error;
use enact_core::time::Timestamp;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Refusal, odd};

/// The wait where Slack does not say how long. Source: "Rate limits" names seconds up to a minute.
const UNTOLD_WAIT: Duration = Duration::from_secs(30);

/// The most characters of what Slack says that an error shows.
const MAX_WORDS: usize = 300;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// `Null` where it is no JSON.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, headers: HeaderMap, bytes: &[u8]) -> Self {
        Self { status, headers, body: serde_json::from_slice(bytes).unwrap_or_default() }
    }

    /// Without the secret that was sent, should the server repeat it.
    pub(crate) fn hiding(mut self, secret: &SecretString) -> Self {
        hide(secret, &mut self.headers, &mut self.body);
        self
    }

    /// Whether Slack did it. HTTP 200 alone says nothing.
    pub(crate) fn is_ok(&self) -> bool {
        self.status.is_success() && self.body.get("ok") == Some(&Value::Bool(true))
    }

    /// Slack's word for why not.
    pub(crate) fn code(&self) -> Option<&str> {
        self.body.get("error").and_then(Value::as_str)
    }

    /// Its JSON, as a `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self, doing: &str) -> Result<T, Error> {
        T::deserialize(&self.body).map_err(|error| odd(doing, error))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }

    /// Where the next page begins.
    pub(crate) fn next_cursor(&self) -> Option<&str> {
        let cursor = self.body.pointer("/response_metadata/next_cursor").and_then(Value::as_str);
        cursor.filter(|cursor| !cursor.is_empty())
    }

    /// What Slack says beside the code, such as which block is wrong.
    pub(crate) fn words(&self) -> String {
        let lists = ["/errors", "/response_metadata/messages"];
        let lists = lists.iter().filter_map(|place| self.body.pointer(place)?.as_array());
        let words = lists.flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("; ");
        words.chars().take(MAX_WORDS).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What the token may do, where Slack says it.
    pub(crate) fn scopes(&self) -> Option<Vec<String>> {
        let scopes = self.header("x-oauth-scopes")?;
        Some(scopes.split(',').map(str::trim).filter(|scope| !scope.is_empty()).map(str::to_owned).collect())
    }

    /// How long Slack wants the next request to wait, where this one was refused for its rate.
    pub(crate) fn asked_to_wait(&self) -> Option<Duration> {
        let limited = Refusal::of(self) == Some(Refusal::TooFast);
        let told = || self.header("retry-after")?.trim().parse().ok().map(Duration::from_secs);
        limited.then(|| told().unwrap_or(UNTOLD_WAIT))
    }

    /// Slack's own time, to the second.
    pub(crate) fn date(&self) -> Option<Timestamp> {
        let at = jiff::fmt::rfc2822::parse(self.header("date")?).ok()?;
        u64::try_from(at.timestamp().as_microsecond()).ok().map(Timestamp::from_unix_us)
    }
}
