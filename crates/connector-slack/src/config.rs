//! `[connectors.NAME]` with `kind = "slack"`.

use std::path::{Path, PathBuf};

use enact_connector_http::secret;
use enact_connector_http::settle::DEFAULT_WINDOW;
use enact_core::Error;
use enact_core::connector::DEFAULT_REQUEST_TIMEOUT;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::error::wrong;

/// Slack itself; the default of `base_url`.
pub const DEFAULT_BASE_URL: &str = "https://slack.com/api";

/// The connector's part of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The environment variable that holds the bot's token.
    pub token_env: Option<String>,
    /// The file that holds it, instead; relative to the configuration's own folder.
    pub token_file: Option<PathBuf>,
    /// The Web API.
    #[serde(default = "base_url")]
    pub base_url: String,
    /// How long a message may stay invisible before "not there" counts, in seconds.
    #[serde(default = "settle_window_s")]
    pub settle_window_s: u64,
    /// The time for one request, in seconds.
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
}

impl Config {
    /// The token, read from where the configuration says.
    pub(crate) fn token(&self, dir: &Path) -> Result<SecretString, Error> {
        let (key, text) = match (&self.token_env, &self.token_file) {
            (Some(name), None) => ("token_env", secret::from_env("token_env", name)?),
            (None, Some(file)) => ("token_file", secret::from_file("token_file", &dir.join(file))?),
            (None, None) => {
                return Err(wrong("give 'token_env' or 'token_file': where the bot's token stands"));
            }
            (Some(_), Some(_)) => {
                return Err(wrong("'token_env' and 'token_file' exclude each other; give one"));
            }
        };
        secret::token(text.expose_secret()).map_err(|error| error.context(format!("'{key}'")))
    }
}

fn base_url() -> String {
    DEFAULT_BASE_URL.to_owned()
}

fn settle_window_s() -> u64 {
    DEFAULT_WINDOW.as_secs()
}

fn timeout_s() -> u64 {
    DEFAULT_REQUEST_TIMEOUT.as_secs()
}

#[cfg(test)]
mod tests {
    use enact_core::ErrorCode;
    use enact_core::connector::{ConfigEnv, Connector as _};
    use enact_core::json::JsonText;

    use super::*;
    use crate::Slack;

    fn open(config: &str) -> Result<Slack, Error> {
        let config = JsonText::parse(config).unwrap().decode()?;
        Slack::open(config, &ConfigEnv { name: "slack", dir: Path::new("/nowhere") })
    }

    #[test]
    fn a_wrong_configuration_is_refused_naming_the_key() {
        for (config, key) in [
            ("{ }", "token_env"),
            (r#"{ "token_env": "ENACT_NO_SUCH_VARIABLE" }"#, "ENACT_NO_SUCH_VARIABLE"),
            (r#"{ "token_file": "none" }"#, "token_file"),
            (r#"{ "token_env": "PATH", "token_file": "none" }"#, "token_env"),
            (r#"{ "token_env": "PATH", "base_ul": "x" }"#, "base_ul"),
            (r#"{ "token_env": "PATH", "base_url": "ftp://x" }"#, "base_url"),
            (r#"{ "token_env": "PATH", "base_url": "http://slack.example.com/api" }"#, "base_url"),
            (r#"{ "token_env": "PATH", "timeout_s": 0 }"#, "timeout_s"),
            (r#"{ "token_env": "PATH", "settle_window_s": 99999999 }"#, "settle_window_s"),
        ] {
            let error = open(config).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidParameters, "{config}");
            assert!(error.message().contains(key), "{config}: {error}");
        }
    }

    #[test]
    fn the_token_is_in_no_debug_output() {
        let slack = Slack::new("xoxb-verysecret").unwrap();
        assert!(!format!("{slack:?}").contains("verysecret"), "{slack:?}");
        let error = Slack::new("xoxb-very\nsecret").unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}
