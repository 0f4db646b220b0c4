//! `[connectors.NAME]` with `kind = "github"`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use enact_connector_http::settle::DEFAULT_WINDOW;
use enact_connector_http::{address, secret};
use enact_core::connector::DEFAULT_REQUEST_TIMEOUT;
use enact_core::{Error, ErrorCode};
use http::Uri;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::auth::{App, Auth};

/// GitHub itself; the default of `base_url`.
pub const DEFAULT_BASE_URL: &str = "https://api.github.com";

/// The default of `settle_window_s`.
pub const DEFAULT_SETTLE_WINDOW: Duration = DEFAULT_WINDOW;

/// The connector's part of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The environment variable that holds a personal access token.
    pub token_env: Option<String>,
    /// The file that holds it, instead; relative to the configuration's own folder.
    pub token_file: Option<PathBuf>,
    /// The id of a GitHub App, instead of a token.
    pub app_id: Option<u64>,
    /// The app's installation to act as.
    pub installation_id: Option<u64>,
    /// The file that holds the app's private key, PEM; relative to the configuration's own folder.
    pub private_key_file: Option<PathBuf>,
    /// The REST API: GitHub's own, or `https://HOST/api/v3` of GitHub Enterprise.
    #[serde(default = "base_url")]
    pub base_url: String,
    /// Whether a rollback undoes `push_commit` by a revert commit.
    #[serde(default)]
    pub revert_pushes: bool,
    /// How long an effect may stay invisible before "not there" counts, in seconds.
    #[serde(default = "settle_window_s")]
    pub settle_window_s: u64,
    /// The time for one request, in seconds.
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
}

impl Config {
    /// How it proves who it is, with the secrets read from where the configuration says.
    pub(crate) fn auth(&self, dir: &Path) -> Result<Auth, Error> {
        let app = (self.app_id, self.installation_id, &self.private_key_file);
        match (&self.token_env, &self.token_file, app) {
            (Some(name), None, (None, None, None)) => {
                let token = secret::from_env("token_env", name)?;
                Auth::token(token.expose_secret()).map_err(|error| error.context("'token_env'"))
            }
            (None, Some(file), (None, None, None)) => {
                let token = secret::from_file("token_file", &dir.join(file))?;
                Auth::token(token.expose_secret()).map_err(|error| error.context("'token_file'"))
            }
            (None, None, (Some(app), Some(installation), Some(file))) => {
                let pem = secret::from_file("private_key_file", &dir.join(file))?;
                let app = App::new(app, installation, &pem);
                Ok(Auth::App(Box::new(app.map_err(|error| error.context("'private_key_file'"))?)))
            }
            (None, None, (None, None, None)) => Err(wrong(
                "give 'token_env' or 'token_file' (where a personal access token stands), or an app: 'app_id', \
                 'installation_id' and 'private_key_file'",
            )),
            (None, None, _) => {
                Err(wrong("an app takes all three of 'app_id', 'installation_id' and 'private_key_file'"))
            }
            _ => Err(wrong(
                "'token_env', 'token_file' and the keys of an app ('app_id', 'installation_id', \
                 'private_key_file') exclude each other; give one",
            )),
        }
    }

    pub(crate) fn timeout(&self) -> Result<Duration, Error> {
        secret::timeout(self.timeout_s)
    }

    pub(crate) fn settle_window(&self) -> Result<Duration, Error> {
        secret::settle_window(self.settle_window_s)
    }
}

/// The base URL, checked.
pub(crate) fn parse_base_url(text: &str) -> Result<Uri, Error> {
    address::base_url(text, DEFAULT_BASE_URL)
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidParameters, message).left_nothing()
}

fn base_url() -> String {
    DEFAULT_BASE_URL.to_owned()
}

fn settle_window_s() -> u64 {
    DEFAULT_SETTLE_WINDOW.as_secs()
}

fn timeout_s() -> u64 {
    DEFAULT_REQUEST_TIMEOUT.as_secs()
}

#[cfg(test)]
mod tests {
    use enact_core::connector::{ConfigEnv, Connector as _};
    use enact_core::json::JsonText;

    use super::*;
    use crate::GitHub;

    fn open(config: &str) -> Result<GitHub, Error> {
        let config = JsonText::parse(config).unwrap().decode()?;
        GitHub::open(config, &ConfigEnv { name: "github", dir: Path::new("/nowhere") })
    }

    #[test]
    fn a_wrong_configuration_is_refused_naming_the_key() {
        for (config, key) in [
            ("{ }", "token_env"),
            (r#"{ "token_env": "ENACT_NO_SUCH_VARIABLE" }"#, "ENACT_NO_SUCH_VARIABLE"),
            (r#"{ "token_file": "none" }"#, "token_file"),
            (r#"{ "token_env": "PATH", "token_file": "none" }"#, "token_env"),
            (r#"{ "app_id": 1, "installation_id": 2 }"#, "private_key_file"),
            (r#"{ "app_id": 1, "installation_id": 2, "private_key_file": "none" }"#, "private_key_file"),
            (r#"{ "token_env": "PATH", "app_id": 1 }"#, "app_id"),
            (r#"{ "token_env": "PATH", "base_ul": "x" }"#, "base_ul"),
            (r#"{ "token_env": "PATH", "base_url": "ftp://x" }"#, "base_url"),
            (r#"{ "token_env": "PATH", "base_url": "http://ghe.example.com" }"#, "base_url"),
            (r#"{ "token_env": "PATH", "base_url": "https://me:pw@ghe.example.com" }"#, "base_url"),
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
        let github = GitHub::new("ghp_verysecret").unwrap();
        assert!(!format!("{github:?}").contains("verysecret"), "{github:?}");
        let error = GitHub::new("ghp_very\nsecret").unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}
