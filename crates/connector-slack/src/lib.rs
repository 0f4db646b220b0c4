//! The Slack connector: messages, posted once and truly taken back.
#![doc = include_str!("docs.md")]

mod account;
pub mod actions;
mod answer;
mod client;
mod compare;
pub mod config;
mod error;
mod history;
mod message;
mod name;
mod pace;

use std::fmt::{self, Debug};
use std::time::Duration;

use enact_connector_http::settle::{DEFAULT_WINDOW, LONGEST_WINDOW, Settle};
use enact_connector_http::{address, secret};
use enact_core::Error;
use enact_core::connector::{ActionSet, ConfigEnv, Connector, DEFAULT_REQUEST_TIMEOUT, Identity};
use http::Uri;
use secrecy::SecretString;

pub use crate::actions::{DeleteMessage, PostMessage, RetractMessage};
use crate::client::Client;
pub use crate::config::Config;
pub use crate::message::Blocks;
pub use crate::name::{ChannelId, Place, Ts};
use crate::pace::{Gone, Pace};

/// Slack, as one bot of one workspace.
///
/// ```
/// use enact_connector_slack::Slack;
/// use enact_core::connector::Allow;
///
/// let slack = Slack::new("xoxb-0123456789")?.allow(["post_message"])?;
/// # Ok::<(), enact_core::Error>(())
/// ```
pub struct Slack {
    client: Client,
    settle: Settle,
    pace: Pace,
    gone: Gone,
}

impl Debug for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

impl Slack {
    /// Slack with a bot's token, and the defaults of [`Config`]. Connects when it is first used.
    ///
    /// # Errors
    /// `invalid_parameters`, where it can be no token. It is shown in no error.
    pub fn new(token: impl AsRef<str>) -> Result<Self, Error> {
        let base = address::base_url(config::DEFAULT_BASE_URL, config::DEFAULT_BASE_URL)?;
        Ok(Self::with(secret::token(token.as_ref())?, base, DEFAULT_REQUEST_TIMEOUT))
    }

    fn with(token: SecretString, base: Uri, timeout: Duration) -> Self {
        let client = Client::new(token, base, timeout);
        Self { client, settle: Settle(DEFAULT_WINDOW), pace: Pace::default(), gone: Gone::default() }
    }

    /// Speaks to another server.
    ///
    /// # Errors
    /// `invalid_parameters`, where it is no URL of a server, or not `https` (a server on this machine may do without).
    pub fn base_url(mut self, url: &str) -> Result<Self, Error> {
        let base = address::base_url(url, config::DEFAULT_BASE_URL)?;
        self.client = Client::new(self.client.token, base, self.client.timeout);
        Ok(self)
    }

    /// Sets the time for one request. The default is 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.client.timeout = timeout;
        self
    }

    /// Sets how long a message may stay invisible before "not there" counts. The default is 60 s, the most 15 min; less
    /// than the time for one request is for tests.
    #[must_use]
    pub fn settle_window(mut self, window: Duration) -> Self {
        self.settle = Settle(window.min(LONGEST_WINDOW));
        self
    }
}

impl Connector for Slack {
    const KIND: &'static str = "slack";
    type Config = Config;

    fn open(config: Config, env: &ConfigEnv<'_>) -> Result<Self, Error> {
        let base = address::base_url(&config.base_url, config::DEFAULT_BASE_URL)?;
        let timeout = secret::timeout(config.timeout_s)?;
        let settle = secret::settle_window(config.settle_window_s)?;
        Ok(Self::with(config.token(env.dir)?, base, timeout).settle_window(settle))
    }

    fn actions(set: &mut ActionSet<Self>) {
        set.add::<PostMessage>();
        set.add::<DeleteMessage>();
    }

    async fn identity(&self) -> Result<Identity, Error> {
        self.client.identity().await
    }

    async fn warnings(&self, allowed: &[&str]) -> Result<Vec<String>, Error> {
        self.lacking(allowed).await
    }
}
