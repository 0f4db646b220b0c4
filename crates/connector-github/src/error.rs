//! What GitHub said, as one error of the contract. This is the only place where a status is judged.

use std::error::Error as StdError;
use std::fmt::Display;
use std::time::Duration;

use enact_connector_http::cause::causes;
use enact_connector_http::lost;
pub(crate) use enact_connector_http::lost::{Nature, late};
use enact_core::{Error, ErrorCode};
use http::StatusCode;

use crate::answer::Answer;

/// The most characters of what is wrong with an answer: they may be of the answer itself.
const MAX_WHAT: usize = 300;

/// The error of an answer that is not a success.
pub(crate) fn refused(doing: impl Display, nature: Nature, answer: &Answer) -> Error {
    let (code, retry) = judge(answer);
    if nature == Nature::Change && answer.status.is_server_error() {
        let message =
            format!("cannot {doing}: GitHub answered {}; whether it was done is not known", said(answer));
        return Error::new(ErrorCode::InDoubt, message);
    }
    let hint = hint(answer, code).map(|hint| format!("; {hint}")).unwrap_or_default();
    let error = Error::new(code, format!("cannot {doing}: {}{hint}", said(answer))).left_nothing();
    if retry { error.retryable() } else { error }
}

/// Status and GitHub's own words.
fn said(answer: &Answer) -> String {
    let words = answer.words();
    if words.is_empty() { answer.status.to_string() } else { format!("{words} [{}]", answer.status.as_u16()) }
}

/// The code of an answer, and whether the same request may be sent again. Source: GitHub's "Troubleshooting the REST
/// API".
fn judge(answer: &Answer) -> (ErrorCode, bool) {
    use ErrorCode::{
        AlreadyExists, Conflict, Forbidden, Internal, InvalidParameters, NotFound, PreconditionFailed,
        Unauthenticated, Unavailable, Unsupported,
    };
    let words = answer.words().to_lowercase();
    match answer.status {
        StatusCode::UNAUTHORIZED => (Unauthenticated, false),
        StatusCode::FORBIDDEN | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => (Forbidden, false),
        StatusCode::NOT_FOUND => (NotFound, false),
        StatusCode::GONE => (PreconditionFailed, false),
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT
            if is_protected(&words) =>
        {
            (Forbidden, false)
        }
        StatusCode::METHOD_NOT_ALLOWED => (PreconditionFailed, false),
        StatusCode::CONFLICT if words.contains("empty") => (PreconditionFailed, false),
        StatusCode::CONFLICT => (Conflict, false),
        StatusCode::UNPROCESSABLE_ENTITY if words.contains("already exists") => (AlreadyExists, false),
        StatusCode::UNPROCESSABLE_ENTITY if words.contains("spammed") || words.contains("abuse") => {
            (Forbidden, false)
        }
        StatusCode::UNPROCESSABLE_ENTITY if words.contains("fast forward") => (Conflict, false),
        StatusCode::UNPROCESSABLE_ENTITY => (InvalidParameters, false),
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::URI_TOO_LONG => {
            (InvalidParameters, false)
        }
        StatusCode::REQUEST_TIMEOUT => (Unavailable, true),
        status if status.is_server_error() => (Unavailable, true),
        status if status.is_redirection() => (Unsupported, false),
        _ => (Internal, false),
    }
}

/// Whether a refusal is that of a protected branch or a ruleset.
fn is_protected(words: &str) -> bool {
    [
        "protected branch",
        "rule violations",
        "repository rule",
        "ruleset",
        "approving review",
        "required status",
        "status check",
        "changes must be made through a pull request",
        "must be signed",
        "verified signature",
        "you're not authorized to push",
        "not authorized to merge",
        "cannot delete",
        "cannot force-push",
        "merge commits are not allowed",
        "squash merges are not allowed",
        "rebase merges are not allowed",
        "cannot update this protected",
    ]
    .iter()
    .any(|phrase| words.contains(phrase))
}

/// What would allow it, where GitHub says so.
fn hint(answer: &Answer, code: ErrorCode) -> Option<String> {
    match code {
        ErrorCode::Forbidden => Some(permit(answer)),
        ErrorCode::Unauthenticated => {
            Some("the token is wrong, expired or revoked; give the connector another one".into())
        }
        ErrorCode::Unsupported => {
            let place = answer.header("location").unwrap_or("another place");
            Some(format!(
                "the server sends elsewhere, to {place}, and the token is sent nowhere else; is 'base_url' right?"
            ))
        }
        ErrorCode::NotFound => Some("it does not exist, or the token has no permission to see it".into()),
        _ => None,
    }
}

fn permit(answer: &Answer) -> String {
    let words = answer.words().to_lowercase();
    if let Some(url) = answer.header("x-github-sso").and_then(|value| value.split("url=").nth(1)) {
        return format!("authorize the token for the organization's single sign-on: {url}");
    }
    if words.contains("archived") {
        return "the repository is archived; unarchive it first".into();
    }
    if is_protected(&words) {
        return "a protected branch or a ruleset refuses it; let the account bypass it, or do it in a pull request"
            .into();
    }
    let has = answer.header("x-oauth-scopes");
    let accepted = answer
        .header("x-accepted-github-permissions")
        .map(|wanted| format!("it takes the permission {wanted}"))
        .or_else(|| {
            let wanted = answer.header("x-accepted-oauth-scopes").filter(|wanted| !wanted.is_empty())?;
            let has = has.filter(|has| !has.is_empty()).unwrap_or("none");
            Some(format!("it takes one of the scopes {wanted}, and the token has {has}"))
        });
    accepted.unwrap_or_else(|| "the account or its token lacks a permission for it".into())
}

/// A request that got no answer.
pub(crate) fn unanswered(
    doing: impl Display,
    nature: Nature,
    error: impl StdError + Send + Sync + 'static,
) -> Error {
    let not_sent = is_unconnected(&error);
    lost::unanswered("GitHub", doing, nature, not_sent, error)
}

/// GitHub wants slower requests, and there is no time to wait for it here.
pub(crate) fn rate_limited(doing: impl Display, wait: Duration, words: &str) -> Error {
    let message = format!("cannot {doing}: GitHub's rate limit is used up for {} s: {words}", wait.as_secs());
    Error::new(ErrorCode::RateLimited, message).retryable().left_nothing().retry_after(wait)
}

/// Whether the connection was never made, so that nothing was sent.
fn is_unconnected(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|cause| {
        cause.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect())
    })
}

/// Wrong parameters; nothing was changed.
pub(crate) fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidParameters, message).left_nothing()
}

/// The state is not the one that the request requires; nothing was changed.
pub(crate) fn precondition(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::PreconditionFailed, message).left_nothing()
}

/// Somebody else changed the target; it was left as it is.
pub(crate) fn conflict(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::Conflict, message).left_nothing()
}

/// The branch moved between two looks; asked again, it may go well.
pub(crate) fn moving(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::Unavailable, message).retryable().left_nothing()
}

/// A success in whose answer stands `what`, and not what GitHub describes for the request: perhaps of a machine in between.
/// Of a change, nothing is known by it, neither that it was done nor that it was not.
pub(crate) fn undescribed(doing: impl Display, nature: Nature, answer: &Answer, what: impl Display) -> Error {
    let what: String = what.to_string().chars().take(MAX_WHAT).collect();
    let said = format!("{what} [{}]", answer.status.as_u16());
    match nature {
        Nature::Change => Error::new(
            ErrorCode::InDoubt,
            format!(
                "cannot {doing}: GitHub's answer is not as described: {said}; whether it was done is not known"
            ),
        ),
        Nature::Harmless if answer.is_json() => odd(doing, said).left_nothing(),
        Nature::Harmless => {
            Error::new(ErrorCode::Unavailable, format!("cannot {doing}: the answer is not GitHub's: {said}"))
                .retryable()
                .left_nothing()
        }
    }
}

/// What cannot be, in an answer of GitHub or in a record.
pub(crate) fn odd(doing: impl Display, what: impl Display) -> Error {
    Error::new(ErrorCode::Internal, format!("cannot {doing}: GitHub's answer is not as described: {what}"))
}

#[cfg(test)]
mod tests {
    use enact_core::error::Remains;
    use serde_json::json;

    use super::*;

    fn answer(status: u16, message: &str) -> Answer {
        Answer::of(StatusCode::from_u16(status).unwrap(), &json!({ "message": message }))
    }

    #[test]
    fn each_answer_that_people_meet_has_its_code() {
        for (status, message, code, retry) in [
            (401, "Bad credentials", "unauthenticated", false),
            (403, "Resource not accessible by personal access token", "forbidden", false),
            (403, "Repository was archived so is read-only.", "forbidden", false),
            (404, "Not Found", "not_found", false),
            (405, "Pull Request is not mergeable", "precondition_failed", false),
            (
                405,
                "At least 1 approving review is required by reviewers with write access.",
                "forbidden",
                false,
            ),
            (409, "Head branch was modified. Review and try the merge again.", "conflict", false),
            (409, "Git Repository is empty.", "precondition_failed", false),
            (422, "Reference already exists", "already_exists", false),
            (
                422,
                "Repository rule violations found\n\nChanges must be made through a pull request.",
                "forbidden",
                false,
            ),
            (422, "Update is not a fast forward", "conflict", false),
            (422, "Validation Failed", "invalid_parameters", false),
            (502, "Server Error", "unavailable", true),
        ] {
            let error = refused("do it", Nature::Harmless, &answer(status, message));
            assert_eq!((error.code().as_str(), error.is_retryable()), (code, retry), "{status} {message}");
            assert!(error.message().contains(message), "{error}");
            assert_eq!(error.remains(), Remains::Nothing, "{error}");
        }
    }

    #[test]
    fn a_server_error_after_a_change_is_in_doubt() {
        let error = refused("merge it", Nature::Change, &answer(502, "Server Error"));
        assert_eq!((error.code(), error.remains()), (ErrorCode::InDoubt, Remains::Perhaps));
        let error = late("merge it", Nature::Change, Duration::from_secs(30));
        assert_eq!(error.code(), ErrorCode::InDoubt);
        assert!(!error.is_retryable());
    }

    #[test]
    fn a_refusal_says_what_would_allow_it() {
        let mut answer = answer(403, "Resource not accessible by personal access token");
        answer.headers.insert("x-accepted-github-permissions", "pull_requests=write".parse().unwrap());
        let error = refused("open it", Nature::Change, &answer);
        assert!(error.message().contains("pull_requests=write"), "{error}");
    }
}
