//! Secrets, and the seconds that stand beside them in a configuration. A secret's text is in no error.

use std::path::Path;
use std::time::Duration;

use enact_core::Error;
use secrecy::SecretString;

use crate::settle::LONGEST_WINDOW;
use crate::wrong;

/// A larger file holds no token and no key.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// The longest time that a key may give: a day.
const MAX_SECONDS: u64 = 24 * 60 * 60;

/// What an environment variable holds; `key` is what names it in the configuration.
///
/// # Errors
/// `invalid_parameters`, where it is not set, or not text.
pub fn from_env(key: &str, name: &str) -> Result<SecretString, Error> {
    std::env::var(name)
        .map(SecretString::from)
        .map_err(|_| wrong(format!("'{key}': the environment variable {name} is not set, or is not text")))
}

/// What a file holds.
///
/// # Errors
/// `invalid_parameters`, where it cannot be read, or is too large for a secret.
pub fn from_file(key: &str, file: &Path) -> Result<SecretString, Error> {
    let unreadable =
        |error: std::io::Error| wrong(format!("'{key}': {} cannot be read: {error}", file.display()));
    let meta = std::fs::metadata(file).map_err(unreadable)?;
    if !meta.is_file() || meta.len() > MAX_SECRET_BYTES {
        let message =
            format!("'{key}': {} is no file, or has more than {MAX_SECRET_BYTES} bytes", file.display());
        return Err(wrong(message));
    }
    std::fs::read_to_string(file).map(SecretString::from).map_err(unreadable)
}

/// A token, without the space around it.
///
/// # Errors
/// `invalid_parameters`, where it can be no token.
pub fn token(text: &str) -> Result<SecretString, Error> {
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("the token is empty, or has characters that no token has"));
    }
    Ok(SecretString::from(token))
}

/// The value of `timeout_s`.
///
/// # Errors
/// `invalid_parameters`, where it is nothing, or more than a day.
pub fn timeout(seconds: u64) -> Result<Duration, Error> {
    if seconds == 0 || seconds > MAX_SECONDS {
        return Err(wrong(format!("'timeout_s': give 1 to {MAX_SECONDS} seconds, not {seconds}")));
    }
    Ok(Duration::from_secs(seconds))
}

/// The value of `settle_window_s`.
///
/// # Errors
/// `invalid_parameters`, where it is more than [`LONGEST_WINDOW`].
pub fn settle_window(seconds: u64) -> Result<Duration, Error> {
    let window = Duration::from_secs(seconds);
    if window > LONGEST_WINDOW {
        return Err(wrong(format!(
            "'settle_window_s': give at most {} seconds, not {seconds}: what is waited for longer is not looked up any \
             more",
            LONGEST_WINDOW.as_secs()
        )));
    }
    Ok(window)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_window_that_could_never_be_waited_for_is_refused() {
        assert_eq!(settle_window(900).unwrap(), LONGEST_WINDOW);
        assert!(settle_window(901).unwrap_err().message().contains("at most 900 seconds"));
    }

    #[test]
    fn a_secret_is_in_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "very secret\n").unwrap();
        let text = from_file("token_file", file.path()).unwrap();
        let error = token(text.expose_secret()).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        assert!(from_file("token_file", Path::new("/nowhere")).unwrap_err().message().contains("token_file"));
    }
}
