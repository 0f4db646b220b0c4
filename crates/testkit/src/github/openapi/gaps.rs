//! Where GitHub's description is silent or wrong, and what is done about it.
//!
//! - It lists few of the errors that any request may get. Those of [`may_answer`] need the form of `basic-error` alone.
//! - 404 and 409 of `POST …/merges` and 422 of `DELETE …/git/refs/…` have no body in it; GitHub sends one with a message.
//! - `validation-error` and others have no `status`, which GitHub sends in every error.

/// Statuses that any request may get.
pub(super) fn may_answer(status: u16) -> bool {
    matches!(status, 301 | 307 | 400 | 401 | 403 | 404 | 405 | 409 | 410 | 413 | 422 | 429 | 500 | 502 | 503)
}

/// Fields that GitHub sends and does not describe.
pub(super) fn sends(status: u16, field: &str) -> bool {
    status >= 400 && field == "status"
}
