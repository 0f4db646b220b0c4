//! What the system knows of a file: kind, permissions, owner, times, which file it is.

use std::fmt;

use rustix::fs::{FileType, Stat};
use serde::{Deserialize, Serialize};

use crate::mode::Mode;

/// What kind of thing has a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A plain file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A pipe, a socket or a device.
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Dir => "a folder",
            Self::Symlink => "a symbolic link",
            Self::Other => "a pipe, a socket or a device",
        })
    }
}

/// A time of a file: seconds since 1970, before or after, and nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileTime {
    /// Whole seconds since the Unix epoch.
    pub secs: i64,
    /// Nanoseconds after them.
    pub nanos: u32,
}

/// What `stat` says. Two of them are equal as long as nobody touched the file: a change of content or of
/// anything else moves its change time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    pub(crate) kind: Kind,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) names: u64,
    pub(crate) mode: Mode,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) modified: FileTime,
    changed: FileTime,
}

impl Meta {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        trivial_numeric_casts,
        reason = "the types of these fields differ between systems; no value is out of range"
    )]
    pub(crate) fn of(stat: &Stat) -> Self {
        let time = |secs, nanos| FileTime { secs, nanos };
        Self {
            kind: match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Dir,
                FileType::Symlink => Kind::Symlink,
                _ => Kind::Other,
            },
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            names: stat.st_nlink as u64,
            mode: Mode::new(stat.st_mode as u32),
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: stat.st_size as u64,
            modified: time(stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            changed: time(stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        }
    }
}
