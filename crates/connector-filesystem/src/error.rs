//! What the system said, as one error of the contract. This is the only place where an errno is judged.

use std::fmt::Display;
use std::io;

use enact_core::{Error, ErrorCode};
use rustix::io::Errno;

/// The error of a system call: what was tried, on what, what the system said, what to do.
///
/// It claims nothing about what is left: that is known only where the call was made.
pub(crate) fn os(doing: &str, what: impl Display, errno: Errno) -> Error {
    let (code, retry, why) = judge(errno);
    let why = if why.is_empty() { errno.to_string() } else { why.to_owned() };
    let error = Error::new(code, format!("cannot {doing} '{what}': {why}"))
        .with_source(io::Error::from_raw_os_error(errno.raw_os_error()));
    if retry { error.retryable() } else { error }
}

/// The error of a call that gives or takes one name. It left nothing, unless the system's answer may have been lost on
/// its way, as on a network filesystem.
pub(crate) fn naming(doing: &str, what: impl Display, errno: Errno) -> Error {
    let error = os(doing, what, errno);
    if is_an_answer(errno) { error.left_nothing() } else { error }
}

/// Whether the system says that it refused, and not that it does not know.
fn is_an_answer(errno: Errno) -> bool {
    let lost = [Errno::IO, Errno::TIMEDOUT, Errno::STALE, Errno::INTR, Errno::NODEV, Errno::NXIO];
    let unreachable =
        [Errno::CONNRESET, Errno::NOTCONN, Errno::HOSTDOWN, Errno::HOSTUNREACH, Errno::NETUNREACH];
    !lost.contains(&errno) && !unreachable.contains(&errno)
}

/// As [`os`], for calls of the standard library.
pub(crate) fn io(doing: &str, what: impl Display, error: io::Error) -> Error {
    match Errno::from_io_error(&error) {
        Some(errno) => os(doing, what, errno),
        None => {
            Error::new(ErrorCode::Internal, format!("cannot {doing} '{what}': {error}")).with_source(error)
        }
    }
}

/// The code, whether the same request may be sent again, and what to say where the system's own words do not
/// say what to do.
fn judge(errno: Errno) -> (ErrorCode, bool, &'static str) {
    use ErrorCode::{Conflict, Forbidden, InvalidParameters, NotFound, PreconditionFailed, Unavailable};
    match errno {
        Errno::NOENT => (NotFound, false, "it does not exist"),
        Errno::EXIST | Errno::NOTEMPTY => (Conflict, true, "somebody else has just made it"),
        Errno::ISDIR => (PreconditionFailed, false, "it is a folder"),
        Errno::NOTDIR => (PreconditionFailed, false, "a part of the path is not a folder"),
        Errno::LOOP => {
            (PreconditionFailed, false, "it is a symbolic link, or leads through too many of them")
        }
        Errno::NAMETOOLONG => (InvalidParameters, false, "the name is too long for this filesystem"),
        Errno::INVAL | Errno::ILSEQ => {
            (InvalidParameters, false, "this filesystem does not take such a name")
        }
        Errno::ACCESS | Errno::PERM => {
            (Forbidden, false, "the system does not permit it; check owner, mode and attributes")
        }
        Errno::ROFS => (Forbidden, false, "the filesystem is mounted read-only"),
        Errno::NOSPC => (Unavailable, true, "the disk is full; free some space and try again"),
        Errno::DQUOT => (Unavailable, true, "the disk quota is used up; free some space and try again"),
        Errno::FBIG => (InvalidParameters, false, "it is larger than files may be here"),
        Errno::MFILE | Errno::NFILE => (Unavailable, true, "too many files are open"),
        Errno::NOMEM | Errno::AGAIN | Errno::BUSY | Errno::INTR | Errno::TXTBSY | Errno::STALE => {
            (Unavailable, true, "")
        }
        Errno::IO | Errno::NODEV | Errno::NXIO => (Unavailable, false, ""),
        Errno::NOTSUP | Errno::NOSYS => (ErrorCode::Unsupported, false, ""),
        _ => (ErrorCode::Internal, false, ""),
    }
}

/// What stands there is not what the action is for, or is no longer what capture found.
pub(crate) fn precondition(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::PreconditionFailed, message).left_nothing()
}

#[cfg(test)]
mod tests {
    use enact_core::error::Remains;

    use super::*;

    #[test]
    fn each_errno_that_people_meet_has_its_code() {
        for (errno, code, retry) in [
            (Errno::NOENT, "not_found", false),
            (Errno::ACCESS, "forbidden", false),
            (Errno::ROFS, "forbidden", false),
            (Errno::NOSPC, "unavailable", true),
            (Errno::DQUOT, "unavailable", true),
            (Errno::NAMETOOLONG, "invalid_parameters", false),
            (Errno::ISDIR, "precondition_failed", false),
            (Errno::NOTDIR, "precondition_failed", false),
            (Errno::LOOP, "precondition_failed", false),
            (Errno::IO, "unavailable", false),
        ] {
            let error = os("write", "a.txt", errno);
            assert_eq!((error.code().as_str(), error.is_retryable()), (code, retry), "{error}");
            assert!(error.message().contains("cannot write 'a.txt'"), "{error}");
            assert_eq!(error.remains(), Remains::Perhaps, "the mapping does not know what is left");
        }
    }

    #[test]
    fn a_name_that_was_refused_left_nothing_and_an_answer_that_was_lost_is_no_refusal() {
        for refused in [Errno::ACCESS, Errno::PERM, Errno::ROFS, Errno::ISDIR, Errno::NOSPC] {
            assert_eq!(naming("remove", "a.txt", refused).remains(), Remains::Nothing, "{refused}");
        }
        for lost in [Errno::IO, Errno::TIMEDOUT, Errno::STALE] {
            assert_eq!(naming("remove", "a.txt", lost).remains(), Remains::Perhaps, "{lost}");
        }
    }
}
