//! `[connectors.NAME]` with `kind = "postgres"`.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use enact_core::connector::DEFAULT_REQUEST_TIMEOUT;
use enact_core::{Error, ErrorCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

/// The default of `max_rows`: how many rows an action may change and keep, children included.
pub const DEFAULT_MAX_ROWS: usize = 10_000;

/// The default of `lock_timeout_s`.
pub const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// The connector's part of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The environment variable that holds the connection URL.
    pub url_env: Option<String>,
    /// The file that holds the connection URL, instead; relative to the configuration's own folder.
    pub url_file: Option<PathBuf>,
    /// A file of PEM certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The most rows that one action may change and keep, children included.
    #[serde(default = "max_rows")]
    pub max_rows: usize,
    /// Whether rows of a table without a primary key may be updated and deleted, for good.
    #[serde(default)]
    pub allow_irreversible: bool,
    /// The time for one request, in seconds.
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
    /// How long a statement may wait for a lock that others hold, in seconds.
    #[serde(default = "lock_timeout_s")]
    pub lock_timeout_s: u64,
}

impl Config {
    /// The connection URL, from where the configuration says.
    pub(crate) fn url(&self, dir: &Path) -> Result<SecretString, Error> {
        let url = SecretString::from(match (&self.url_env, &self.url_file) {
            (Some(name), None) => std::env::var(name).map_err(|_| {
                wrong(format!("'url_env': the environment variable {name} is not set, or is not text"))
            })?,
            (None, Some(file)) => {
                let file = dir.join(file);
                std::fs::read_to_string(&file).map_err(|error| {
                    wrong(format!("'url_file': {} cannot be read: {error}", file.display()))
                })?
            }
            _ => {
                return Err(wrong("give either 'url_env' or 'url_file': where the connection URL stands"));
            }
        });
        Ok(url.expose_secret().trim().into())
    }

    pub(crate) fn timeout(&self) -> Result<Duration, Error> {
        seconds("timeout_s", self.timeout_s)
    }

    pub(crate) fn lock_timeout(&self) -> Result<Duration, Error> {
        seconds("lock_timeout_s", self.lock_timeout_s)
    }
}

/// Reads a connection URL. Its text is in no error: it holds a password.
pub(crate) fn parse_url(url: &str) -> Result<tokio_postgres::Config, Error> {
    tokio_postgres::Config::from_str(url).map_err(|_| {
        let hint = if url.contains("sslmode=verify") {
            "write sslmode=require: the server's certificate and name are always verified"
        } else if url.contains("sslrootcert=") {
            "leave sslrootcert out and set 'ca_file' instead"
        } else {
            "expected postgres://USER:PASSWORD@HOST:PORT/DATABASE?OPTIONS, or key=value pairs"
        };
        wrong(format!("the connection URL cannot be read; {hint}"))
    })
}

fn seconds(key: &str, seconds: u64) -> Result<Duration, Error> {
    // The server counts milliseconds in 31 bits.
    if seconds == 0 || seconds > 1_000_000 {
        return Err(wrong(format!("'{key}': give 1 to 1000000 seconds, not {seconds}")));
    }
    Ok(Duration::from_secs(seconds))
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidParameters, message).left_nothing()
}

fn max_rows() -> usize {
    DEFAULT_MAX_ROWS
}

fn timeout_s() -> u64 {
    DEFAULT_REQUEST_TIMEOUT.as_secs()
}

fn lock_timeout_s() -> u64 {
    DEFAULT_LOCK_TIMEOUT.as_secs()
}

#[cfg(test)]
mod tests {
    use enact_core::connector::{ConfigEnv, Connector as _};
    use enact_core::json::JsonText;

    use super::*;
    use crate::Postgres;

    fn open(config: &str) -> Result<Postgres, Error> {
        let config = JsonText::parse(config).unwrap().decode()?;
        Postgres::open(config, &ConfigEnv { name: "db", dir: Path::new("/nowhere") })
    }

    #[test]
    fn a_wrong_configuration_is_refused_naming_the_key() {
        for (config, key) in [
            ("{ }", "url_env"),
            (r#"{ "url_env": "ENACT_NO_SUCH_VARIABLE" }"#, "ENACT_NO_SUCH_VARIABLE"),
            (r#"{ "url_file": "none" }"#, "url_file"),
            (r#"{ "url_env": "PATH", "url_file": "none" }"#, "url_env"),
            (r#"{ "url_env": "PATH", "max_row": 1 }"#, "max_row"),
            (r#"{ "url_env": "PATH", "timeout_s": 0 }"#, "timeout_s"),
            (r#"{ "url_env": "PATH", "lock_timeout_s": 0 }"#, "lock_timeout_s"),
        ] {
            let error = open(config).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidParameters, "{config}");
            assert!(error.message().contains(key), "{config}: {error}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_read_is_not_shown_and_its_errors_help() {
        for (url, hint) in [
            ("postgres://me:secret@localhost:port/db", "postgres://USER"),
            ("postgres://me:secret@localhost/db?sslmode=verify-full", "sslmode=require"),
            ("postgres://me:secret@localhost/db?sslrootcert=/ca.pem", "ca_file"),
        ] {
            let error = parse_url(url).unwrap_err();
            assert!(error.message().contains(hint), "{error}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }

    #[test]
    fn the_password_is_in_no_debug_output() {
        let postgres = Postgres::new("postgres://me:secret@localhost/db").unwrap();
        assert!(!format!("{postgres:?}").contains("secret"), "{postgres:?}");
    }
}
