//! `[connectors.NAME]` with `kind = "filesystem"`.

use std::path::PathBuf;
use std::time::Duration;

use enact_core::connector::DEFAULT_REQUEST_TIMEOUT;
use enact_core::{Error, ErrorCode};
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
    pub(crate) fn timeout(&self) -> Result<Duration, Error> {
        if self.timeout_s == 0 {
            let message = "'timeout_s': 0 leaves no time for anything; give at least 1";
            return Err(Error::new(ErrorCode::InvalidParameters, message).left_nothing());
        }
        Ok(Duration::from_secs(self.timeout_s))
    }
}

fn max_read_bytes() -> u64 {
    DEFAULT_MAX_READ_BYTES
}

fn timeout_s() -> u64 {
    DEFAULT_REQUEST_TIMEOUT.as_secs()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use enact_core::connector::{ConfigEnv, Connector as _};
    use enact_core::json::JsonText;

    use super::*;
    use crate::Filesystem;

    fn open(dir: &Path, config: &str) -> Result<Filesystem, Error> {
        let config = JsonText::parse(config).unwrap().decode()?;
        Filesystem::open(config, &ConfigEnv { name: "files", dir })
    }

    #[test]
    fn a_relative_root_is_relative_to_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("workspace")).unwrap();
        let files =
            open(dir.path(), r#"{ "root": "workspace", "max_read_bytes": 5, "timeout_s": 7 }"#).unwrap();
        assert_eq!(files.root.path(), dir.path().join("workspace").canonicalize().unwrap());
        assert_eq!((files.max_read_bytes, files.timeout), (5, Duration::from_secs(7)));
    }

    #[test]
    fn a_wrong_configuration_is_refused_naming_the_key() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        for (config, key) in [
            (r#"{ }"#, "root"),
            (r#"{ "root": "none" }"#, "root"),
            (r#"{ "root": "file" }"#, "root"),
            (r#"{ "root": ".", "max_reed_bytes": 1 }"#, "max_reed_bytes"),
            (r#"{ "root": ".", "max_read_bytes": -1 }"#, "max_read_bytes"),
            (r#"{ "root": ".", "timeout_s": 0 }"#, "timeout_s"),
        ] {
            let error = open(dir.path(), config).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidParameters, "{config}");
            assert!(error.message().contains(key), "{config}: {error}");
        }
    }
}
