//! How a request reaches GitHub: who we are, how long it may take, what slows it down, where a repository has gone.
//!
//! It sends each request once. What GitHub refused because of its rate, because a token had ended, or because a
//! repository has another name now, did not happen, and is sent again; nothing else is.

use std::fmt::{self, Debug, Display};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use enact_connector_http::wait;
use enact_core::connector::Cx;
use enact_core::time::Timestamp;
use enact_core::{Error, ErrorCode};
use http::header::{ACCEPT, AUTHORIZATION, LOCATION};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use octocrab::Octocrab;
use parking_lot::Mutex;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::answer::Answer;
use crate::auth::{Auth, Lent, bearer};
use crate::error::{self, Nature, odd};
use crate::name::RepoName;

/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// GitHub, as one account.
pub(crate) struct Client {
    crab: OnceLock<Octocrab>,
    base: Uri,
    pub(crate) auth: Auth,
    pub(crate) timeout: Duration,
    /// How far the server's clock is ahead of ours, in seconds, as its last answer said.
    ahead_s: AtomicI64,
    /// Whether the server has `updateRefs`: see [`crate::refs`].
    pub(crate) update_refs: AtomicU8,
    /// The account, as soon as it was asked for.
    pub(crate) account: OnceCell<crate::account::Account>,
    /// The login that an app acts as, as soon as it was asked for.
    pub(crate) bot: OnceCell<String>,
}

impl Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitHub at {} with {:?}", self.base, self.auth)
    }
}

/// Where a repository is, as one step of an action finds it. What it learns ends with the step: a name that leads
/// elsewhere today may be given to another repository tomorrow.
#[derive(Debug)]
pub(crate) struct Place {
    name: Mutex<RepoName>,
    /// The name that GraphQL has for it.
    pub(crate) node: Mutex<Option<String>>,
}

impl Place {
    pub(crate) fn new(name: &RepoName) -> Self {
        Self { name: Mutex::new(name.clone()), node: Mutex::default() }
    }

    /// What it is called now, as far as that is known.
    pub(crate) fn name(&self) -> RepoName {
        self.name.lock().clone()
    }
}

/// A request.
pub(crate) struct Request<'a> {
    method: Method,
    repo: Option<&'a Place>,
    tail: String,
    body: Option<Value>,
    nature: Nature,
    pub(crate) doing: String,
}

impl<'a> Request<'a> {
    /// A request at `/repos/OWNER/NAME` + `tail`, whose parts are encoded already. `doing` is what it is for, in words.
    pub(crate) fn at(repo: &'a Place, method: Method, tail: String, doing: impl Into<String>) -> Self {
        let nature = if method == Method::GET { Nature::Harmless } else { Nature::Change };
        Self { method, repo: Some(repo), tail, body: None, nature, doing: doing.into() }
    }

    /// A look at a path that is of no repository.
    pub(crate) fn look(path: impl Into<String>, doing: impl Into<String>) -> Self {
        let (tail, doing) = (path.into(), doing.into());
        Self { method: Method::GET, repo: None, tail, body: None, nature: Nature::Harmless, doing }
    }

    /// A request to GraphQL.
    pub(crate) fn graphql(body: Value, doing: impl Into<String>) -> Self {
        Self {
            method: Method::POST,
            repo: None,
            tail: GRAPHQL.into(),
            body: Some(body),
            nature: Nature::Change,
            doing: doing.into(),
        }
    }

    /// With a body.
    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// A request that nobody sees anything of, although it is no GET.
    pub(crate) fn harmless(mut self) -> Self {
        self.nature = Nature::Harmless;
        self
    }

    /// Its answer, where that is a success; else its error.
    pub(crate) fn check(&self, answer: Answer) -> Result<Answer, Error> {
        if answer.status.is_success() { Ok(answer) } else { Err(self.refused(&answer)) }
    }

    /// The error of an answer that is no success.
    pub(crate) fn refused(&self, answer: &Answer) -> Error {
        error::refused(&self.doing, self.nature, answer)
    }

    /// What the answer of a success says. One that does not say it is no success, and no refusal either.
    pub(crate) fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Error> {
        if !answer.is_json() {
            return Err(self.undescribed(answer, "it is not JSON"));
        }
        T::deserialize(&answer.body).map_err(|error| self.undescribed(answer, error))
    }

    /// A success without a word, which is how GitHub says that something is deleted.
    pub(crate) fn read_nothing(&self, answer: &Answer) -> Result<(), Error> {
        match answer.status {
            StatusCode::NO_CONTENT => Ok(()),
            _ => Err(self.undescribed(answer, "it should be 204, without a body")),
        }
    }

    /// The error of a success that says something else than GitHub describes.
    pub(crate) fn undescribed(&self, answer: &Answer, what: impl Display) -> Error {
        error::undescribed(&self.doing, self.nature, answer, what)
    }
}

/// Stands for the place of GraphQL, which is not below the base of GitHub Enterprise.
const GRAPHQL: &str = "\u{0}graphql";

impl Client {
    pub(crate) fn new(auth: Auth, base: Uri, timeout: Duration) -> Self {
        Self {
            crab: OnceLock::new(),
            base,
            auth,
            timeout,
            ahead_s: AtomicI64::new(0),
            update_refs: AtomicU8::new(0),
            account: OnceCell::new(),
            bot: OnceCell::new(),
        }
    }

    /// The server, for people and for the identity.
    pub(crate) fn place(&self) -> String {
        self.base.to_string().trim_end_matches('/').to_owned()
    }

    /// Sends a request and gives its answer, whatever its status, except what is dealt with here: rates, tokens that
    /// ended, repositories that were renamed.
    ///
    /// # Errors
    /// `rate_limited`; `in_doubt`, where a change was sent and its outcome is not known; else that there was no answer.
    pub(crate) async fn send(&self, cx: Option<&Cx>, request: &Request<'_>) -> Result<Answer, Error> {
        let (mut waits, mut moved, mut renewed) = (0, false, false);
        loop {
            let token = self.token(cx).await?;
            check_time(cx, request)?;
            let answer = self.once(request, &token).await?;
            if let Some(wait) = answer.asked_to_wait(now(cx)) {
                waits += 1;
                slow_down(cx, request, &answer, wait, waits).await?;
            } else if answer.status == StatusCode::UNAUTHORIZED && !renewed && self.forget_token().await {
                renewed = true;
            } else if answer.status.is_redirection() && !moved {
                moved = true;
                self.learn_name(cx, request, &answer).await?;
            } else if answer.status.is_server_error() {
                return Err(request.refused(&answer));
            } else {
                return Ok(answer);
            }
        }
    }

    /// As [`Client::send`], and an answer that is no success is an error.
    pub(crate) async fn ask(&self, cx: Option<&Cx>, request: &Request<'_>) -> Result<Answer, Error> {
        let answer = self.send(cx, request).await?;
        request.check(answer)
    }

    /// Sends it, once, with the token in its header.
    async fn once(&self, request: &Request<'_>, token: &SecretString) -> Result<Answer, Error> {
        let crab = self.crab()?;
        let builder = http::Request::builder()
            .method(request.method.clone())
            .uri(self.uri(request)?)
            .header(ACCEPT, "application/vnd.github+json")
            .header(AUTHORIZATION, bearer(token)?);
        let built = crab
            .build_request(builder, request.body.as_ref())
            .map_err(|error| odd(&request.doing, error).left_nothing())?;
        let exchange = async {
            let response = crab.execute(built).await.map_err(Lost::Connection)?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(Lost::Answer)?;
            Ok(Answer::new(parts.status, parts.headers, &body.to_bytes()).hiding(token))
        };
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(answer)) => {
                self.compare_clocks(&answer);
                Ok(answer)
            }
            Ok(Err(Lost::Connection(error))) => Err(error::unanswered(&request.doing, request.nature, error)),
            Ok(Err(Lost::Answer(error))) => {
                let error = std::io::Error::other(error);
                Err(error::unanswered(&request.doing, request.nature, error))
            }
            Err(_) => Err(error::late(&request.doing, request.nature, self.timeout)),
        }
    }

    /// Learns how far the server's clock is ahead: what an app signs has to be of the server's time.
    fn compare_clocks(&self, answer: &Answer) {
        if let Some(theirs) = answer.date_s() {
            let ahead = i128::from(theirs) - i128::from(wall_clock().unix_ms() / 1000);
            self.ahead_s.store(i64::try_from(ahead).unwrap_or_default(), Ordering::Relaxed);
        }
    }

    /// The server's time, as far as it is known.
    fn server_clock(&self) -> Timestamp {
        let ahead_s = self.ahead_s.load(Ordering::Relaxed);
        let ours_us = wall_clock().unix_us();
        Timestamp::from_unix_us(ours_us.saturating_add_signed(ahead_s.saturating_mul(1_000_000)))
    }

    /// octocrab, made at its first use: it belongs to the async runtime in which it is made.
    fn crab(&self) -> Result<&Octocrab, Error> {
        if let Some(crab) = self.crab.get() {
            return Ok(crab);
        }
        let broken = |error: octocrab::Error| {
            Error::new(ErrorCode::Internal, "the client of GitHub cannot be made")
                .left_nothing()
                .with_source(error)
        };
        let crab = Octocrab::builder()
            .set_connect_timeout(Some(self.timeout))
            .set_read_timeout(Some(self.timeout))
            .set_write_timeout(Some(self.timeout))
            // Every request names its whole URL: joined here, GraphQL's would go below the base of REST.
            .base_uri(self.root()?)
            .and_then(|builder| builder.build())
            .map_err(broken)?;
        Ok(self.crab.get_or_init(|| crab))
    }

    /// The server alone, without a path.
    fn root(&self) -> Result<Uri, Error> {
        let mut parts = self.base.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        Uri::from_parts(parts).map_err(|error| odd("reach GitHub", error).left_nothing())
    }

    fn uri(&self, request: &Request<'_>) -> Result<Uri, Error> {
        let base = self.place();
        let text = match request.repo {
            _ if request.tail == GRAPHQL => {
                // Source: GitHub's "Getting started with GraphQL" for Enterprise Server.
                let root = base.strip_suffix("/v3").unwrap_or(&base);
                format!("{root}/graphql")
            }
            Some(repo) => format!("{base}/repos/{}{}", repo.name().path(), request.tail),
            None => format!("{base}{}", request.tail),
        };
        text.parse().map_err(|error| odd(&request.doing, error).left_nothing())
    }

    async fn token(&self, cx: Option<&Cx>) -> Result<SecretString, Error> {
        match &self.auth {
            Auth::Token(token) => Ok(token.clone()),
            Auth::App(app) => app.token(self.server_clock(), self.lend(cx)).await,
        }
    }

    /// Gets a token for the app's installation. It lasts an hour.
    async fn lend(&self, cx: Option<&Cx>) -> Result<Lent, Error> {
        let Auth::App(app) = &self.auth else {
            return Err(odd("get a token", "a token needs none").left_nothing());
        };
        let request = Request {
            method: Method::POST,
            repo: None,
            tail: format!("/app/installations/{}/access_tokens", app.installation),
            body: None,
            nature: Nature::Harmless,
            doing: format!("get a token for installation {} of app {}", app.installation, app.id),
        };
        let answer = self.as_app(cx, &request).await?;
        #[derive(serde::Deserialize)]
        struct Given {
            token: String,
            expires_at: Timestamp,
        }
        let Given { token, expires_at } = request.read(&answer)?;
        Ok(Lent { token: token.into(), until: expires_at })
    }

    /// Sends a request as the app itself, not as its installation.
    pub(crate) async fn as_app(&self, cx: Option<&Cx>, request: &Request<'_>) -> Result<Answer, Error> {
        let Auth::App(app) = &self.auth else {
            return Err(odd(&request.doing, "there is no app").left_nothing());
        };
        let mut waits = 0;
        loop {
            let answer = self.once(request, &app.claim(self.server_clock())?).await?;
            let Some(wait) = answer.asked_to_wait(now(cx)) else { return request.check(answer) };
            waits += 1;
            slow_down(cx, request, &answer, wait, waits).await?;
        }
    }

    /// Forgets the token, where another one can be had.
    async fn forget_token(&self) -> bool {
        match &self.auth {
            Auth::Token(_) => false,
            Auth::App(app) => {
                app.forget().await;
                true
            }
        }
    }

    /// Learns what a repository is called now. It is asked for itself: a single issue is redirected too, when it was
    /// moved to another repository. No redirect is followed: the token goes nowhere else.
    async fn learn_name(&self, cx: Option<&Cx>, request: &Request<'_>, answer: &Answer) -> Result<(), Error> {
        let Some(repo) = request.repo else { return Err(request.refused(answer)) };
        let given = repo.name();
        let doing = format!("find what {given} is called now");
        let itself = Request::at(repo, Method::GET, String::new(), doing.clone());
        let moved = self.once(&itself, &self.token(cx).await?).await?;
        let Some(id) = redirected_to(&moved) else {
            itself.check(moved)?;
            return Err(request.refused(answer));
        };
        let look = Request::look(format!("/repositories/{id}"), doing);
        let found = look.check(self.once(&look, &self.token(cx).await?).await?)?;
        let name = found.body.get("full_name").and_then(Value::as_str).unwrap_or_default();
        let name = RepoName::new(name).map_err(|error| odd(&look.doing, error).left_nothing())?;
        tracing::info!(repo = %given, now = %name, "the repository was renamed");
        *repo.name.lock() = name;
        Ok(())
    }
}

/// The number of the repository that a redirect leads to.
fn redirected_to(answer: &Answer) -> Option<u64> {
    let location = answer.header(LOCATION.as_str()).filter(|_| answer.status.is_redirection())?;
    location.split("/repositories/").nth(1)?.split(['/', '?']).next()?.parse().ok()
}

/// An error where a change would be sent too late: nobody would know its outcome.
fn check_time(cx: Option<&Cx>, request: &Request<'_>) -> Result<(), Error> {
    if request.nature == Nature::Change { wait::check_time(cx, &request.doing) } else { Ok(()) }
}

/// How an exchange broke off.
enum Lost {
    Connection(octocrab::Error),
    Answer(Box<dyn std::error::Error + Send + Sync>),
}

/// Waits as long as GitHub asks, where the action has that time.
async fn slow_down(
    cx: Option<&Cx>,
    request: &Request<'_>,
    answer: &Answer,
    wait: Duration,
    waits: u32,
) -> Result<(), Error> {
    if wait > wait::patience(cx) || waits > wait::MAX_WAITS {
        return Err(error::rate_limited(&request.doing, wait, &answer.words()));
    }
    wait::pause(cx, wait, "for GitHub's rate limit").await;
    Ok(())
}

/// The action's time; without an action, the system's.
fn now(cx: Option<&Cx>) -> Timestamp {
    cx.map_or_else(wall_clock, Cx::now)
}

/// The time that an app's claim has to be of, which GitHub compares with its own.
fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_us(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
