//! The Postgres connector: rows are read, changed and given back, each change in one transaction with its intent.
#![doc = include_str!("docs.md")]

pub mod actions;
mod catalog;
mod client;
pub mod config;
mod error;
mod name;
mod preview;
mod reach;
mod rows;
mod tx;
mod value;
mod work;

use std::fmt::{self, Debug};
use std::path::Path;
use std::sync::Arc;

use enact_core::Error;
use enact_core::connector::{ActionSet, ConfigEnv, Connector, DEFAULT_REQUEST_TIMEOUT, Identity};
use secrecy::ExposeSecret as _;

pub use crate::actions::{DeleteRow, InsertRow, RestoreRows, SelectRows, UpdateRow, Values};
use crate::catalog::Catalog;
use crate::client::{Client, Limits};
pub use crate::config::Config;
pub use crate::name::TableName;
pub use crate::rows::{ColumnShape, Image, Kept, RowChange, TableChange};
pub use crate::tx::TransactionId;
pub use crate::work::Written;

/// A database, as one role.
///
/// ```
/// use enact_connector_postgres::Postgres;
/// use enact_core::connector::Allow;
///
/// let db = Postgres::new("postgres://agent@localhost/shop")?
///     .max_rows(100)
///     .allow(["select_rows", "insert_row", "update_row"])?;
/// # Ok::<(), enact_core::Error>(())
/// ```
pub struct Postgres {
    client: Arc<Client>,
    catalog: Catalog,
    max_rows: usize,
    allow_irreversible: bool,
}

impl Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

impl Postgres {
    /// A database by its connection URL, with the defaults of [`Config`]. Connects when it is first used.
    ///
    /// # Errors
    /// `invalid_parameters`, where the URL cannot be read. It is shown in no error.
    pub fn new(url: &str) -> Result<Self, Error> {
        let limits = Limits { request: DEFAULT_REQUEST_TIMEOUT, lock: config::DEFAULT_LOCK_TIMEOUT };
        Self::with(url, None, limits)
    }

    fn with(url: &str, ca_file: Option<&Path>, limits: Limits) -> Result<Self, Error> {
        Ok(Self {
            client: Arc::new(Client::new(config::parse_url(url)?, ca_file, limits)?),
            catalog: Catalog::default(),
            max_rows: config::DEFAULT_MAX_ROWS,
            allow_irreversible: false,
        })
    }

    /// Sets the most rows that one action may change and keep, children included. The default is 10,000.
    #[must_use]
    pub fn max_rows(mut self, rows: usize) -> Self {
        self.max_rows = rows;
        self
    }

    /// Lets rows of tables without a primary key be updated and deleted, for good.
    #[must_use]
    pub fn allow_irreversible(mut self, allow: bool) -> Self {
        self.allow_irreversible = allow;
        self
    }
}

impl Connector for Postgres {
    const KIND: &'static str = "postgres";
    type Config = Config;

    fn open(config: Config, env: &ConfigEnv<'_>) -> Result<Self, Error> {
        let limits = Limits { request: config.timeout()?, lock: config.lock_timeout()? };
        let ca_file = config.ca_file.as_ref().map(|file| env.dir.join(file));
        let db = Self::with(config.url(env.dir)?.expose_secret(), ca_file.as_deref(), limits)?;
        Ok(db.max_rows(config.max_rows).allow_irreversible(config.allow_irreversible))
    }

    fn actions(set: &mut ActionSet<Self>) {
        set.add::<SelectRows>();
        set.add::<InsertRow>();
        set.add::<UpdateRow>();
        set.add::<DeleteRow>();
    }

    async fn identity(&self) -> Result<Identity, Error> {
        let session = self.client.session().await?;
        Ok(Identity(format!("system {} database {}", session.about.system, session.about.database)))
    }
}
