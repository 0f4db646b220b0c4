//! `[connectors.NAME]` with `kind = "filesystem"`.

use std::path::PathBuf;
use std::time::Duration;

use enact_core::connector::DEFAULT_REQUEST_TIMEOUT;
use serde::Deserialize;

/// The default of `max_read_bytes`: 16 MiB.
pub const DEFAULT_MAX_READ_BYTES: u64 = 16 * 1024 * 1024;

/// The connector's part of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder that the connector works in; relative to the configuration's own folder.
    pub root: PathBuf,
    /// The largest file that `read_file` returns, in bytes.
    #[serde(default = "max_read_bytes")]
    pub max_read_bytes: u64,
    /// How long the filesystem may give no sign of progress, in seconds.
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
}

impl Config {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }
}

fn max_read_bytes() -> u64 {
    DEFAULT_MAX_READ_BYTES
}

fn timeout_s() -> u64 {
    DEFAULT_REQUEST_TIMEOUT.as_secs()
}
