//! What Slack said, as one error of the contract. This is the only place where its codes are judged.

use std::fmt::Display;
use std::time::Duration;

use enact_connector_http::lost;
pub(crate) use enact_connector_http::lost::{Nature, late};
use enact_core::{Error, ErrorCode};

use crate::answer::Answer;

/// The error of an answer that is not a success.
pub(crate) fn refused(doing: impl Display, nature: Nature, answer: &Answer) -> Error {
    let Some(code) = answer.code() else { return without_code(doing, nature, answer) };
    let (kind, retry) = judge(code);
    let words = answer.words();
    let words = if words.is_empty() { String::new() } else { format!(" ({words})") };
    if nature == Nature::Change && kind == ErrorCode::Unavailable {
        let message = format!("cannot {doing}: Slack says {code}{words}; whether it was done is not known");
        return Error::new(ErrorCode::InDoubt, message);
    }
    let hint = hint(code, answer).map(|hint| format!("; {hint}")).unwrap_or_default();
    let error = Error::new(kind, format!("cannot {doing}: Slack says {code}{words}{hint}")).left_nothing();
    if retry { error.retryable() } else { error }
}

/// An answer that is not Slack's own: of a proxy, or of a server in trouble.
fn without_code(doing: impl Display, nature: Nature, answer: &Answer) -> Error {
    let status = answer.status;
    let error = |code, what: &str| Error::new(code, format!("cannot {doing}: {what} [{status}]"));
    match nature {
        _ if status.is_redirection() => {
            error(ErrorCode::Unsupported, "the server sends elsewhere, and the token is sent nowhere else")
                .left_nothing()
        }
        _ if status.is_client_error() => {
            error(ErrorCode::Internal, "the answer is not Slack's; is 'base_url' right?").left_nothing()
        }
        Nature::Change => {
            error(ErrorCode::InDoubt, "the answer is not Slack's; whether it was done is not known")
        }
        Nature::Harmless => {
            error(ErrorCode::Unavailable, "the answer is not Slack's").retryable().left_nothing()
        }
    }
}

/// The code of a refusal, and whether the same request may be sent again. Source: the error lists of the methods'
/// documentation.
fn judge(code: &str) -> (ErrorCode, bool) {
    use ErrorCode::{
        Forbidden, Internal, InvalidParameters, NotFound, PreconditionFailed, RateLimited, Unauthenticated,
        Unavailable, Unsupported,
    };
    match code {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => (RateLimited, true),
        "not_authed" | "invalid_auth" | "token_revoked" | "token_expired" | "account_inactive" => {
            (Unauthenticated, false)
        }
        "missing_scope"
        | "not_in_channel"
        | "is_archived"
        | "no_permission"
        | "access_denied"
        | "accesslimited"
        | "ekm_access_denied"
        | "team_access_not_granted"
        | "not_allowed_token_type"
        | "cant_delete_message"
        | "cant_post_message"
        | "compliance_exports_prevent_deletion"
        | "org_login_required"
        | "two_factor_setup_required"
        | "enterprise_is_restricted"
        | "not_allowed"
        | "user_is_restricted"
        | "messages_tab_disabled"
        | "as_user_not_supported"
        | "metadata_must_be_sent_from_app" => (Forbidden, false),
        _ if code.starts_with("restricted_action") => (Forbidden, false),
        "channel_not_found" | "message_not_found" | "thread_not_found" | "user_not_found"
        | "team_not_found" => (NotFound, false),
        "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org" => (Unavailable, true),
        "cannot_reply_to_message" | "too_many_contents" | "duplicate_message_not_found" => {
            (PreconditionFailed, false)
        }
        "method_deprecated" | "deprecated_endpoint" | "unknown_method" => (Unsupported, false),
        "no_text"
        | "msg_too_long"
        | "msg_blocks_too_long"
        | "too_many_attachments"
        | "markdown_text_conflict" => (InvalidParameters, false),
        _ if code.starts_with("invalid_") || code.starts_with("metadata_too") => (InvalidParameters, false),
        _ => (Internal, false),
    }
}

/// What would allow it.
fn hint(code: &str, answer: &Answer) -> Option<String> {
    Some(match code {
        "missing_scope" => {
            let has = answer.text("provided").filter(|has| !has.is_empty()).unwrap_or("none");
            let needed = answer.text("needed").unwrap_or("another scope");
            format!("it takes the scope {needed}, and the token has {has}; add it and install the app again")
        }
        "not_in_channel" => "invite the bot to the channel".into(),
        "channel_not_found" => "it does not exist, or the bot is not in it".into(),
        "is_archived" => "the channel is archived; unarchive it first".into(),
        "not_authed" | "invalid_auth" | "token_revoked" | "token_expired" | "account_inactive" => {
            "the token is wrong, expired or revoked; give the connector another one".into()
        }
        "cant_delete_message" => "a bot may delete only what it has posted itself".into(),
        "compliance_exports_prevent_deletion" => {
            "compliance exports are on, so nothing can be deleted".into()
        }
        _ => return None,
    })
}

/// A request that got no answer.
pub(crate) fn unanswered(doing: impl Display, nature: Nature, error: reqwest::Error) -> Error {
    // The address is known, and its query holds nothing that helps.
    let error = error.without_url();
    lost::unanswered("Slack", doing, nature, error.is_connect(), error)
}

/// Slack wants slower requests, and there is no time to wait for it here.
pub(crate) fn rate_limited(doing: impl Display, wait: Duration, why: &str) -> Error {
    let seconds = wait.as_millis().div_ceil(1000);
    let message = format!("cannot {doing} for {seconds} s: {why}");
    Error::new(ErrorCode::RateLimited, message).retryable().left_nothing().retry_after(wait)
}

/// Wrong parameters; nothing was changed.
pub(crate) fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidParameters, message).left_nothing()
}

/// Somebody else changed the message; it was left as it is.
pub(crate) fn conflict(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::Conflict, message).left_nothing()
}

/// The message went between two looks; asked again, it is already so.
pub(crate) fn just_gone(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::Unavailable, message).retryable().left_nothing()
}

/// An answer that is not what Slack describes.
pub(crate) fn odd(doing: impl Display, what: impl Display) -> Error {
    Error::new(ErrorCode::Internal, format!("cannot {doing}: Slack's answer is not as described: {what}"))
}

/// Whether an error says that the token may not look, so that nothing is known.
pub(crate) fn is_blind(error: &Error) -> bool {
    matches!(
        error.code(),
        ErrorCode::Forbidden | ErrorCode::NotFound | ErrorCode::Unsupported | ErrorCode::InDoubt
    )
}

#[cfg(test)]
mod tests {
    use enact_core::error::Remains;
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;
    use serde_json::json;

    use super::*;

    fn answer(code: &str) -> Answer {
        let body = json!({ "ok": false, "error": code, "needed": "chat:write", "provided": "im:read" });
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body }
    }

    #[test]
    fn each_answer_that_people_meet_has_its_code() {
        for (said, code, retry) in [
            ("ratelimited", "rate_limited", true),
            ("invalid_auth", "unauthenticated", false),
            ("token_revoked", "unauthenticated", false),
            ("account_inactive", "unauthenticated", false),
            ("missing_scope", "forbidden", false),
            ("not_in_channel", "forbidden", false),
            ("is_archived", "forbidden", false),
            ("restricted_action_read_only_channel", "forbidden", false),
            ("ekm_access_denied", "forbidden", false),
            ("cant_delete_message", "forbidden", false),
            ("compliance_exports_prevent_deletion", "forbidden", false),
            ("channel_not_found", "not_found", false),
            ("msg_too_long", "invalid_parameters", false),
            ("no_text", "invalid_parameters", false),
            ("invalid_blocks", "invalid_parameters", false),
            ("internal_error", "unavailable", true),
            ("something_new", "internal", false),
        ] {
            let error = refused("do it", Nature::Harmless, &answer(said));
            assert_eq!((error.code().as_str(), error.is_retryable()), (code, retry), "{said}");
            assert!(error.message().contains(said), "{error}");
            assert_eq!(error.remains(), Remains::Nothing, "{error}");
        }
    }

    #[test]
    fn a_server_in_trouble_leaves_a_change_in_doubt() {
        for said in ["internal_error", "fatal_error", "service_unavailable", "request_timeout"] {
            let error = refused("post it", Nature::Change, &answer(said));
            assert_eq!((error.code(), error.remains()), (ErrorCode::InDoubt, Remains::Perhaps), "{said}");
            assert!(!error.is_retryable());
        }
        let page = Answer { status: StatusCode::BAD_GATEWAY, headers: HeaderMap::new(), body: json!(null) };
        assert_eq!(refused("post it", Nature::Change, &page).code(), ErrorCode::InDoubt);
        assert_eq!(refused("look", Nature::Harmless, &page).code(), ErrorCode::Unavailable);
        assert_eq!(late("post it", Nature::Change, Duration::from_secs(1)).code(), ErrorCode::InDoubt);
    }

    #[test]
    fn a_missing_scope_is_named() {
        let error = refused("post it", Nature::Change, &answer("missing_scope"));
        assert!(error.message().contains("chat:write") && error.message().contains("im:read"), "{error}");
    }
}
