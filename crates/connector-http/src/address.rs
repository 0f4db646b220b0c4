//! The base URL of an API, to which secrets are sent.

use enact_core::Error;
use http::Uri;

use crate::wrong;

/// The value of `base_url`, checked: `https`, a host, no query, no user; `http` for this very machine alone. No slash
/// stands at its end.
///
/// # Errors
/// `invalid_parameters`, naming the key.
pub fn base_url(text: &str, example: &str) -> Result<Uri, Error> {
    let refuse = |why: &str| wrong(format!("'base_url': {why}; for example {example}"));
    let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| refuse("it is not a URL"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(refuse("it has no http or https scheme, or no host"));
    }
    if uri.scheme_str() == Some("http") && !is_here(&uri) {
        return Err(refuse("without https the token would be readable on its way"));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(refuse("it names a user; the token stands elsewhere"));
    }
    if uri.query().is_some() {
        return Err(refuse("it has a query"));
    }
    Ok(uri)
}

/// Whether it is an address of this machine.
#[must_use]
pub fn is_here(uri: &Uri) -> bool {
    matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_to_no_address_that_would_show_it() {
        for text in ["x", "ftp://a.b", "http://a.b", "https://me:pw@a.b", "https://a.b?x", "https://"] {
            let error = base_url(text, "https://example.com").unwrap_err();
            assert!(error.message().contains("'base_url'"), "{text}: {error}");
        }
        for text in ["https://a.b/api/", "http://127.0.0.1:1/api"] {
            assert!(!base_url(text, "").unwrap().path().ends_with("i/"), "{text}");
        }
    }
}
