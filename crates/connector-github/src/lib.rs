//! The GitHub connector: branches, commits, pull requests and issues, made once and truly taken back.
#![doc = include_str!("docs.md")]

mod account;
pub mod actions;
mod answer;
mod auth;
mod client;
pub mod config;
mod error;
mod marker;
mod name;
mod objects;
mod refs;
mod repo;
mod revert;
mod settle;
mod touched;

use std::fmt::{self, Debug};
use std::time::Duration;

use enact_connector_http::settle::LONGEST_WINDOW;
use enact_core::Error;
use enact_core::connector::{ActionSet, ConfigEnv, Connector, DEFAULT_REQUEST_TIMEOUT, Identity};
use http::Uri;

pub use crate::actions::{
    CloseIssue, ClosePr, CreateBranch, CreateIssue, CreatePr, DeleteBranch, DeleteCreatedBranch, File,
    FileMode, MergePr, Method, PushCommit, RestoreBranch, RevertMerge, RevertPush,
};
use crate::auth::Auth;
use crate::client::Client;
pub use crate::config::Config;
pub use crate::name::{BranchName, HeadName, RepoName, Sha};
pub use crate::revert::RevertPre;

/// GitHub, as one account.
///
/// ```
/// use enact_connector_github::GitHub;
/// use enact_core::connector::Allow;
///
/// let github = GitHub::new("ghp_0123456789")?.allow(["create_branch", "create_pr"])?;
/// # Ok::<(), enact_core::Error>(())
/// ```
pub struct GitHub {
    client: Client,
    settle: Duration,
    revert_pushes: bool,
}

impl Debug for GitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

impl GitHub {
    /// GitHub with a personal access token, and the defaults of [`Config`]. Connects when it is first used.
    ///
    /// # Errors
    /// `invalid_parameters`, where it can be no token. It is shown in no error.
    pub fn new(token: impl AsRef<str>) -> Result<Self, Error> {
        let base = config::parse_base_url(config::DEFAULT_BASE_URL)?;
        Ok(Self::with(Auth::token(token.as_ref())?, base, DEFAULT_REQUEST_TIMEOUT))
    }

    fn with(auth: Auth, base: Uri, timeout: Duration) -> Self {
        let client = Client::new(auth, base, timeout);
        Self { client, settle: config::DEFAULT_SETTLE_WINDOW, revert_pushes: false }
    }

    /// Speaks to another server: `https://HOST/api/v3` of GitHub Enterprise.
    ///
    /// # Errors
    /// `invalid_parameters`, where it is no URL of a server, or not `https` (a server on this machine may do without).
    pub fn base_url(self, url: &str) -> Result<Self, Error> {
        let base = config::parse_base_url(url)?;
        let client = Client::new(self.client.auth, base, self.client.timeout);
        Ok(Self { client, ..self })
    }

    /// Sets the time for one request. The default is 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.client.timeout = timeout;
        self
    }

    /// Sets how long an effect may stay invisible before "not there" counts. The default is 60 s, the most 15 min; less
    /// than the time for one request is for tests.
    #[must_use]
    pub fn settle_window(mut self, window: Duration) -> Self {
        self.settle = window.min(LONGEST_WINDOW);
        self
    }

    /// Lets a rollback undo `push_commit` by a revert commit.
    #[must_use]
    pub fn revert_pushes(mut self, revert: bool) -> Self {
        self.revert_pushes = revert;
        self
    }
}

impl Connector for GitHub {
    const KIND: &'static str = "github";
    type Config = Config;

    fn open(config: Config, env: &ConfigEnv<'_>) -> Result<Self, Error> {
        let base = config::parse_base_url(&config.base_url)?;
        let (timeout, settle) = (config.timeout()?, config.settle_window()?);
        let github = Self::with(config.auth(env.dir)?, base, timeout);
        Ok(github.settle_window(settle).revert_pushes(config.revert_pushes))
    }

    fn actions(set: &mut ActionSet<Self>) {
        set.add::<CreateBranch>();
        set.add::<CreatePr>();
        set.add::<CreateIssue>();
        set.add::<DeleteBranch>();
        set.add::<MergePr>();
        set.add::<PushCommit>();
    }

    async fn identity(&self) -> Result<Identity, Error> {
        self.client.identity().await
    }

    async fn warnings(&self, allowed: &[&str]) -> Result<Vec<String>, Error> {
        self.lacking(allowed).await
    }
}
