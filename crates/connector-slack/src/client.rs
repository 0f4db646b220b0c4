//! How a request reaches Slack: who we are, how long it may take, what slows it down.
//!
//! It sends each request once. What Slack refused because of its rate did not happen, and is sent again; nothing else is.

use std::fmt::{self, Debug};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use enact_connector_http::{address, wait};
use enact_core::connector::Cx;
use enact_core::{Error, ErrorCode};
use http::Uri;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response, Url};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use crate::account::Account;
use crate::answer::Answer;
use crate::error::{self, Nature, odd};

/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Slack, as one bot.
pub(crate) struct Client {
    http: OnceLock<reqwest::Client>,
    base: Uri,
    pub(crate) token: SecretString,
    pub(crate) timeout: Duration,
    /// The bot, as soon as it was asked for.
    pub(crate) account: OnceCell<Account>,
}

impl Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slack at {} with a token", self.base)
    }
}

/// A call of a method.
pub(crate) struct Call {
    method: &'static str,
    args: Args,
    pub(crate) doing: String,
}

enum Args {
    Query(Vec<(&'static str, String)>),
    Json(Map<String, Value>),
}

impl Call {
    /// A look. `doing` is what it is for, in words.
    pub(crate) fn look(method: &'static str, doing: impl Into<String>) -> Self {
        Self { method, args: Args::Query(Vec::new()), doing: doing.into() }
    }

    /// A change.
    pub(crate) fn change(method: &'static str, args: Map<String, Value>, doing: impl Into<String>) -> Self {
        Self { method, args: Args::Json(args), doing: doing.into() }
    }

    /// With an argument.
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        match &mut self.args {
            Args::Query(query) => query.push((name, value.to_string())),
            Args::Json(object) => drop(object.insert(name.to_owned(), value.to_string().into())),
        }
        self
    }

    fn nature(&self) -> Nature {
        match self.args {
            Args::Query(_) => Nature::Harmless,
            Args::Json(_) => Nature::Change,
        }
    }

    /// The error of an answer that is no success.
    pub(crate) fn refused(&self, answer: &Answer) -> Error {
        error::refused(&self.doing, self.nature(), answer)
    }
}

impl Client {
    pub(crate) fn new(token: SecretString, base: Uri, timeout: Duration) -> Self {
        Self { http: OnceLock::new(), base, token, timeout, account: OnceCell::new() }
    }

    /// The server, for people and for the identity.
    pub(crate) fn place(&self) -> String {
        self.base.to_string().trim_end_matches('/').to_owned()
    }

    /// Sends a call, and gives its answer, whatever it is, except that it was too fast.
    ///
    /// # Errors
    /// `rate_limited`; `in_doubt`, where a change was sent and its outcome is not known; else that there was no answer.
    pub(crate) async fn send(&self, cx: Option<&Cx>, call: &Call) -> Result<Answer, Error> {
        let mut waits = 0;
        loop {
            if call.nature() == Nature::Change {
                wait::check_time(cx, &call.doing)?;
            }
            let answer = self.once(call).await?;
            let Some(asked) = answer.asked_to_wait() else { return Ok(answer) };
            waits += 1;
            if asked > wait::patience(cx) || waits > wait::MAX_WAITS {
                return Err(error::rate_limited(&call.doing, asked, "Slack's rate limit is used up"));
            }
            wait::pause(cx, asked, "for Slack's rate limit").await;
        }
    }

    /// As [`Client::send`], and an answer that is no success is an error.
    pub(crate) async fn ask(&self, cx: Option<&Cx>, call: &Call) -> Result<Answer, Error> {
        let answer = self.send(cx, call).await?;
        if answer.is_ok() { Ok(answer) } else { Err(call.refused(&answer)) }
    }

    /// Sends it, once, with the token in its header.
    async fn once(&self, call: &Call) -> Result<Answer, Error> {
        let request = self.request(call)?;
        let exchange = async { read(request.send().await?).await };
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(Some(answer))) => Ok(answer.hiding(&self.token)),
            Ok(Ok(None)) => {
                let what = format!("it has more than {MAX_ANSWER_BYTES} bytes");
                Err(error::unread(&call.doing, call.nature(), what))
            }
            Ok(Err(error)) => Err(error::unanswered(&call.doing, call.nature(), error)),
            Err(_) => Err(error::late(&call.doing, call.nature(), self.timeout)),
        }
    }

    fn request(&self, call: &Call) -> Result<RequestBuilder, Error> {
        let wrong = |what: String| odd(&call.doing, what).left_nothing();
        let mut url: Url = format!("{}/{}", self.place(), call.method)
            .parse()
            .map_err(|error| wrong(format!("the address: {error}")))?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.token.expose_secret()))
            .map_err(|_| wrong("the token is no text of a header".to_owned()))?;
        bearer.set_sensitive(true);
        let http = self.http()?;
        let request = match &call.args {
            Args::Query(query) => {
                if !query.is_empty() {
                    url.query_pairs_mut().extend_pairs(query);
                }
                http.get(url)
            }
            Args::Json(json) => {
                let body = serde_json::to_string(json).map_err(|error| wrong(error.to_string()))?;
                http.post(url).header(CONTENT_TYPE, "application/json; charset=utf-8").body(body)
            }
        };
        Ok(request.header(AUTHORIZATION, bearer))
    }

    /// The client of HTTP, made at its first use: its connections belong to the async runtime in which it is made.
    fn http(&self) -> Result<&reqwest::Client, Error> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let broken = |what: String| {
            Error::new(ErrorCode::Internal, format!("the client of Slack cannot be made: {what}"))
                .left_nothing()
        };
        let needs_roots = self.base.scheme_str() == Some("https");
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(needs_roots).map_err(broken)?)
            .user_agent(concat!("enact/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.timeout)
            .retry(reqwest::retry::never())
            .redirect(Policy::none());
        if address::is_here(&self.base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| broken(error.to_string()))?;
        Ok(self.http.get_or_init(|| http))
    }
}

/// Reads an answer; nothing where it is too large.
async fn read(mut response: Response) -> Result<Option<Answer>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len().saturating_add(chunk.len()) > MAX_ANSWER_BYTES {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(Answer::new(response.status(), response.headers().clone(), &body)))
}

/// TLS with the certificates that the system trusts, and one provider, passed explicitly.
fn tls(needs_roots: bool) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if needs_roots && roots.is_empty() {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(format!("the system has no certificates to trust; {}", errors.join("; ")));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
