//! The documents that GitHub answers with.

mod commit;
mod issue;
mod pull;
mod repo;
mod user;

use base64::Engine as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands as it is in a segment of a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name as one segment of a path, or several where it has slashes.
pub(super) fn encode(name: &str) -> String {
    let parts: Vec<String> =
        name.split('/').map(|part| utf8_percent_encode(part, PLAIN).to_string()).collect();
    parts.join("/")
}

/// A node id: opaque to clients, and the same for the same thing.
pub(super) fn node_id(kind: &str, id: impl std::fmt::Display) -> String {
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("{kind}:{id}"));
    format!("{kind}_{text}")
}
