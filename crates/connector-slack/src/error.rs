//! What Slack said, as one error of the contract. This is the only place where its codes are judged.

use std::fmt::Display;
use std::time::Duration;

use enact_connector_http::lost;
pub(crate) use enact_connector_http::lost::{Nature, late};
use enact_core::{Error, ErrorCode};
use reqwest::StatusCode;

use crate::answer::Answer;

/// What an answer without success says. Only a word that Slack documents, from Slack itself, says that nothing was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// It came too fast, and is to be sent later.
    TooFast,
    /// There is no such message.
    NoMessage,
    /// There is no such thread.
    NoThread,
    /// It was refused.
    Refused(ErrorCode),
    /// It may be sent again later, as it is.
    Later(ErrorCode),
    /// Slack was in trouble; some of it may have been done.
    Trouble,
    /// A word that is not documented.
    Unknown,
}

impl Refusal {
    /// What Slack's answer says; nothing where it has no word of Slack.
    pub(crate) fn of(answer: &Answer) -> Option<Self> {
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            return Some(Self::TooFast);
        }
        let said = judge(answer.code()?);
        let is_trouble = answer.status.is_server_error() && said != Self::TooFast;
        Some(if is_trouble { Self::Trouble } else { said })
    }

    /// The code of the contract, and whether the same request may be sent again.
    fn code(self) -> (ErrorCode, bool) {
        match self {
            Self::TooFast => (ErrorCode::RateLimited, true),
            Self::NoMessage | Self::NoThread => (ErrorCode::NotFound, false),
            Self::Refused(code) => (code, false),
            Self::Later(code) => (code, true),
            Self::Trouble => (ErrorCode::Unavailable, true),
            Self::Unknown => (ErrorCode::Internal, false),
        }
    }
}

/// The error of an answer that is not a success.
pub(crate) fn refused(doing: impl Display, nature: Nature, answer: &Answer) -> Error {
    let (Some(said), Some(code)) = (Refusal::of(answer), answer.code()) else {
        return without_code(doing, nature, answer);
    };
    let words = answer.words();
    let words = if words.is_empty() { String::new() } else { format!(" ({words})") };
    if nature == Nature::Change && matches!(said, Refusal::Trouble | Refusal::Unknown) {
        let message = format!("cannot {doing}: Slack says {code}{words}; whether it was done is not known");
        return Error::new(ErrorCode::InDoubt, message);
    }
    let (kind, retry) = said.code();
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
        // A proxy that gave up waiting says 408; the request may have gone through it.
        _ if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => {
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

/// What Slack's word for a refusal means. Source: the error lists of the methods' documentation.
fn judge(code: &str) -> Refusal {
    use ErrorCode::{
        Forbidden, InvalidParameters, NotFound, PreconditionFailed, RateLimited, Unauthenticated,
        Unavailable, Unsupported,
    };
    use Refusal::{Later, NoMessage, NoThread, Refused, TooFast, Trouble, Unknown};
    match code {
        "ratelimited" | "rate_limited" => TooFast,
        // A limit of the whole workspace, over much longer than a call may take.
        "message_limit_exceeded" => Later(RateLimited),
        "external_channel_migrating" => Later(Unavailable),
        "message_not_found" => NoMessage,
        "thread_not_found" => NoThread,
        "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org" => Trouble,
        "not_authed" | "invalid_auth" | "token_revoked" | "token_expired" | "account_inactive" => {
            Refused(Unauthenticated)
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
        | "free_team_not_allowed"
        | "metadata_must_be_sent_from_app" => Refused(Forbidden),
        _ if code.starts_with("restricted_action") || code.starts_with("slack_connect_") => {
            Refused(Forbidden)
        }
        "channel_not_found" | "user_not_found" | "team_not_found" => Refused(NotFound),
        "cannot_reply_to_message"
        | "too_many_contents"
        | "duplicate_message_not_found"
        | "duplicate_channel_not_found" => Refused(PreconditionFailed),
        "method_deprecated" | "deprecated_endpoint" | "unknown_method" => Refused(Unsupported),
        "no_text"
        | "msg_too_long"
        | "msg_blocks_too_long"
        | "too_many_attachments"
        | "too_many_contact_cards"
        | "attachment_payload_limit_exceeded"
        | "missing_post_type"
        | "json_not_object"
        | "markdown_text_conflict" => Refused(InvalidParameters),
        _ if code.starts_with("invalid_") || code.starts_with("metadata_too") => Refused(InvalidParameters),
        _ => Unknown,
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

/// An answer that cannot be read; a change whose answer it is may have been done.
pub(crate) fn unread(doing: impl Display, nature: Nature, what: impl Display) -> Error {
    let error = odd(doing, what);
    match nature {
        Nature::Change => Error::new(ErrorCode::InDoubt, error.message().to_owned()),
        Nature::Harmless => error.left_nothing(),
    }
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
        with_status(StatusCode::OK, code)
    }

    fn with_status(status: StatusCode, code: &str) -> Answer {
        let body = json!({ "ok": false, "error": code, "needed": "chat:write", "provided": "im:read" });
        Answer { status, headers: HeaderMap::new(), body }
    }

    #[test]
    fn each_answer_that_people_meet_has_its_code() {
        for (said, code, retry) in [
            ("ratelimited", "rate_limited", true),
            ("message_limit_exceeded", "rate_limited", true),
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
            ("message_not_found", "not_found", false),
            ("external_channel_migrating", "unavailable", true),
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
        let words =
            ["internal_error", "fatal_error", "service_unavailable", "request_timeout", "something_new"];
        let mut answers: Vec<Answer> = words.into_iter().map(answer).collect();
        // From a server in trouble, no word says that nothing was done.
        answers.push(with_status(StatusCode::SERVICE_UNAVAILABLE, "something_new"));
        answers.push(with_status(StatusCode::SERVICE_UNAVAILABLE, "channel_not_found"));
        let page = |status| Answer { status, headers: HeaderMap::new(), body: json!(null) };
        answers.push(page(StatusCode::BAD_GATEWAY));
        answers.push(page(StatusCode::REQUEST_TIMEOUT));
        for answer in answers {
            let error = refused("post it", Nature::Change, &answer);
            assert_eq!((error.code(), error.remains()), (ErrorCode::InDoubt, Remains::Perhaps), "{answer:?}");
            assert!(!error.is_retryable());
        }
        for status in [StatusCode::BAD_GATEWAY, StatusCode::REQUEST_TIMEOUT] {
            assert_eq!(refused("look", Nature::Harmless, &page(status)).code(), ErrorCode::Unavailable);
        }
        assert_eq!(
            refused("post it", Nature::Change, &page(StatusCode::NOT_FOUND)).code(),
            ErrorCode::Internal
        );
        assert_eq!(late("post it", Nature::Change, Duration::from_secs(1)).code(), ErrorCode::InDoubt);
    }

    #[test]
    fn a_missing_scope_is_named() {
        let error = refused("post it", Nature::Change, &answer("missing_scope"));
        assert!(error.message().contains("chat:write") && error.message().contains("im:read"), "{error}");
    }
}
