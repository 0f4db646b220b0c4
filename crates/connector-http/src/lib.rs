//! What connectors over HTTP have in common, so that each decides it in the same way: how long to wait, when "not there"
//! counts, where secrets come from, how they stay hidden and which addresses they may be sent to.
//!
//! It knows time limits and words, no protocol, no service, and no client of HTTP.

pub mod address;
pub mod cause;
pub mod hide;
pub mod lost;
#[cfg(test)]
mod paused;
pub mod secret;
pub mod settle;
pub mod wait;

use enact_core::{Error, ErrorCode};

/// Wrong parameters or a wrong configuration; nothing was changed.
fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidParameters, message).left_nothing()
}
