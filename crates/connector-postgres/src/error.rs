//! What the server said, as one error of the contract. This is the only place where an SQLSTATE is judged.
//!
//! Everything before COMMIT leaves nothing: the transaction dies with the connection. So every error made here
//! says so, except what [`commit`] cannot know.

use std::error::Error as _;
use std::fmt::Display;

use enact_core::{Error, ErrorCode};
use tokio_postgres::error::{DbError, Severity, SqlState};

/// The error of a statement before COMMIT: what was tried, what the server said.
pub(crate) fn statement(doing: impl Display, error: tokio_postgres::Error) -> Error {
    if error.as_db_error().is_some_and(is_of_shared_session) {
        return in_transaction_mode().with_source(error);
    }
    let (code, retry, what) = match error.as_db_error() {
        Some(said) => {
            let (code, retry) = judge(said.code());
            (code, retry, words(said))
        }
        None => local(&error),
    };
    let made = Error::new(code, format!("cannot {doing}: {what}")).left_nothing().with_source(error);
    if retry { made.retryable() } else { made }
}

/// Whether only a pooler that shares sessions makes such an error: a statement that was prepared just before is not
/// there, or one of this name is there already, or PgBouncer says itself that it keeps no transactions together.
fn is_of_shared_session(said: &DbError) -> bool {
    let prepared = [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::DUPLICATE_PSTATEMENT];
    prepared.contains(said.code())
        || (*said.code() == SqlState::PROTOCOL_VIOLATION && said.message().contains("pooling mode"))
}

/// The refusal of a pooler that shares sessions.
pub(crate) fn in_transaction_mode() -> Error {
    unsupported(
        "the server is behind a pooler that gives each transaction another session (PgBouncer: pool_mode = \
         transaction); what a session is sure of would not hold. Use pool_mode = session, or the server itself. \
         Nothing was changed",
    )
}

/// The error of COMMIT. Only where the server says in plain words that it did not commit is that known; where it
/// said nothing, or ended the connection, the transaction may have been committed.
pub(crate) fn commit(error: tokio_postgres::Error) -> Error {
    let refused = error.as_db_error().is_some_and(|said| {
        said.parsed_severity() == Some(Severity::Error)
            && *said.code() != SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN
    });
    if refused {
        return statement("commit", error);
    }
    let what = error.as_db_error().map_or_else(|| local(&error).2, words);
    Error::new(ErrorCode::InDoubt, format!("the connection was lost at COMMIT: {what}")).with_source(error)
}

/// A server that did not answer a request in time.
pub(crate) fn no_answer(doing: impl Display, after: std::time::Duration) -> Error {
    Error::new(ErrorCode::Timeout, format!("cannot {doing}: the server did not answer within {after:?}"))
        .retryable()
        .left_nothing()
}

/// What stands in the database does not allow the request.
pub(crate) fn precondition(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::PreconditionFailed, message).left_nothing()
}

/// Wrong parameters; nothing was changed.
pub(crate) fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidParameters, message).left_nothing()
}

/// This connector does not do it; nothing was changed.
pub(crate) fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::Unsupported, message).left_nothing()
}

/// Somebody else changed the rows; they were left as they are.
pub(crate) fn conflict(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::Conflict, message).left_nothing()
}

/// A defect of this connector, or a record that is none of its own.
pub(crate) fn internal(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::Internal, message).left_nothing()
}

/// The SQLSTATE that an error comes from, where the server gave one.
fn state(error: &Error) -> Option<&SqlState> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(said) = cause.downcast_ref::<tokio_postgres::Error>() {
            return said.code();
        }
        next = cause.source();
    }
    None
}

/// Whether the server did not understand a statement, or a value in it: a column, a table or an operator that is not
/// there, a prepared statement that no longer fits. A right that is not there is none of them.
pub(crate) fn is_not_understood(error: &Error) -> bool {
    state(error).is_some_and(|state| match state.code() {
        "42501" => false,
        "0A000" | "22P02" => true,
        code => code.starts_with("42"),
    })
}

/// Whether the server was asked about a transaction id that it has not come to: "transaction ID … is in the future".
pub(crate) fn is_of_later_id(error: &Error) -> bool {
    state(error) == Some(&SqlState::INVALID_PARAMETER_VALUE)
}

/// By what a constraint is violated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Violated {
    /// By other rows: one that points at the row, one that has its key.
    ByRows,
    /// By the values of the row itself.
    ByValues,
}

/// By what a constraint is violated, where that is the error.
pub(crate) fn violated(error: &Error) -> Option<Violated> {
    match state(error)?.code() {
        "23502" | "23514" => Some(Violated::ByValues),
        code => code.starts_with("23").then_some(Violated::ByRows),
    }
}

/// What the server said, in its own words. Not its detail, which shows whole rows.
fn words(said: &DbError) -> String {
    let hint = said.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{}{hint} [{}]", said.message(), said.code().code())
}

/// An error of this side: the connection, TLS, the conversion of a value.
fn local(error: &tokio_postgres::Error) -> (ErrorCode, bool, String) {
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    let what = format!("{error}").split(": ").next().unwrap_or_default().to_owned() + &cause;
    match what.as_str() {
        text if text.contains("password missing") || text.contains("authentication") => {
            (ErrorCode::Unauthenticated, false, what)
        }
        text if text.contains("TLS") => (ErrorCode::Unavailable, false, what),
        text if text.contains("error serializing parameter") || text.contains("deserializing column") => {
            (ErrorCode::Internal, false, what)
        }
        _ => (ErrorCode::Unavailable, true, what),
    }
}

/// The code of an SQLSTATE, and whether the same request may be sent again.
/// Source: PostgreSQL's manual, appendix A, "PostgreSQL Error Codes".
fn judge(state: &SqlState) -> (ErrorCode, bool) {
    use ErrorCode::{
        AlreadyExists, Conflict, Forbidden, Internal, InvalidParameters, NotFound, PreconditionFailed,
        Timeout, Unauthenticated, Unavailable, Unsupported,
    };
    match state.code() {
        "23505" => (AlreadyExists, false),
        "23502" | "23514" => (InvalidParameters, false),
        "40001" | "40P01" => (Conflict, true),
        "55P03" | "57014" => (Timeout, true),
        "42501" => (Forbidden, false),
        "42P01" | "3D000" | "3F000" => (NotFound, false),
        // A server that became a standby: another one serves writes, and is found by the next connection.
        "25006" => (Unavailable, true),
        // A session that is in the midst of a transaction of which nobody knows, or whose transaction was ended.
        "25001" | "25P02" | "25P03" => (Unavailable, true),
        "58P01" | "58030" => (Unavailable, false),
        code => match code.get(..2).unwrap_or_default() {
            "08" | "53" | "57" => (Unavailable, true),
            "22" | "42" => (InvalidParameters, false),
            "28" => (Unauthenticated, false),
            "23" | "44" | "P0" | "55" | "09" | "27" => (PreconditionFailed, false),
            "40" => (Conflict, true),
            "0A" => (Unsupported, false),
            _ => (Internal, false),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_that_people_meet_has_its_code() {
        for (state, code, retry) in [
            ("22P02", "invalid_parameters", false),
            ("23505", "already_exists", false),
            ("23503", "precondition_failed", false),
            ("40P01", "conflict", true),
            ("40001", "conflict", true),
            ("42501", "forbidden", false),
            ("53300", "unavailable", true),
            ("55P03", "timeout", true),
            ("25P02", "unavailable", true),
            ("57P01", "unavailable", true),
            ("28P01", "unauthenticated", false),
            ("P0001", "precondition_failed", false),
            ("XX000", "internal", false),
        ] {
            let (judged, safe) = judge(&SqlState::from_code(state));
            assert_eq!((judged.as_str(), safe), (code, retry), "{state}");
        }
    }
}
