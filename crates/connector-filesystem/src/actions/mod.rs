//! The actions, one file each: parameters, what they touch, how they are carried out, proved and undone.

pub mod delete_file;
pub mod list_dir;
pub mod read_file;
pub mod restore_file;
pub mod write_file;

use std::fmt::Display;

use enact_core::action::{Action, FactKind, Facts, LockKey};
use enact_core::{Error, ErrorCode};
use serde_json::{Value, json};

pub use self::delete_file::DeleteFile;
pub use self::list_dir::ListDir;
pub use self::read_file::ReadFile;
pub use self::restore_file::RestoreFile;
pub use self::write_file::WriteFile;
use crate::client::{Place, Way};
use crate::error::precondition;
use crate::meta::{Kind, Meta};
use crate::path::{DirPath, FilePath};

/// Requests for one path wait for each other. Two names of one file, one of them through a link, cannot be
/// known from the parameters: there, `perform` finds what capture did not see.
fn lock(path: &FilePath) -> Option<LockKey> {
    Some(LockKey(path.as_str().to_owned()))
}

/// The action that reads what is at a path, for [`Action::shown_by`].
fn read_of(path: &FilePath) -> Option<(&'static str, Value)> {
    Some((ReadFile::NAME, json!({ "path": path })))
}

/// What [`facts`] gives.
const PLACE_FACTS: &[(&str, FactKind)] = &[
    ("exists", FactKind::Flag),
    ("real_path", FactKind::Text),
    ("is_symlink", FactKind::Flag),
    ("size", FactKind::Number),
    ("mode", FactKind::Text),
];

/// What policies may ask about the thing at a place.
fn facts(place: &Place, meta: Option<&Meta>) -> Facts {
    let mut facts = Facts::new();
    facts.insert("exists".into(), json!(meta.is_some()));
    facts.insert("real_path".into(), json!(place.to_string()));
    facts.insert("is_symlink".into(), json!(meta.is_some_and(|meta| meta.kind == Kind::Symlink)));
    if let Some(meta) = meta {
        facts.insert("size".into(), json!(meta.size));
        facts.insert("mode".into(), json!(meta.mode));
    }
    facts
}

/// An error where a file cannot be replaced or removed and put back without loss.
fn check_replaceable(place: &Place, meta: &Meta, verb: &str) -> Result<(), Error> {
    if meta.kind == Kind::File && meta.names > 1 {
        return Err(precondition(format!(
            "'{place}' is one of {} names (hard links) of the same file, and undo could not join them again; \
             {verb} a copy instead",
            meta.names
        )));
    }
    Ok(())
}

/// An error where a path leads to another place than capture found.
fn check_place(place: &Place, real: &FilePath, missing: Option<&[DirPath]>) -> Result<(), Error> {
    let same = place.path()? == *real
        && missing.is_none_or(|missing| place.missing_paths().is_ok_and(|now| now == missing));
    if same { Ok(()) } else { Err(led_elsewhere(real)) }
}

/// An error where a path leads elsewhere than it did when policies were asked.
fn check_way(now: &Way, then: &Way) -> Result<(), Error> {
    if now == then { Ok(()) } else { Err(led_elsewhere(then)) }
}

fn led_elsewhere(then: impl Display) -> Error {
    precondition(format!(
        "the folders on the way to '{then}' were changed by somebody else while the action was being \
         prepared; nothing was done, ask again"
    ))
    .retryable()
}

/// Nothing can be in doubt about an action that changes nothing.
fn read_only() -> Error {
    Error::new(ErrorCode::Internal, "a read-only action has no outcome to find out").left_nothing()
}
