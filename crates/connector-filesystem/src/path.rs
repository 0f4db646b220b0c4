//! Paths as parameters name them: relative to the root, in one spelling.
//!
//! A path is checked and brought into its one spelling when it is read from JSON, so that the recorded
//! parameters, the target that policies judge and the lock key all say the same. It does not know links: what
//! a path leads to is found out by [`client`](crate::client).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use enact_core::{Error, ErrorCode};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// The longest path that is taken, in bytes; PATH_MAX of most systems.
const MAX_BYTES: usize = 4096;

/// The name of one thing within one folder: not empty, no `/`, no NUL, neither `.` nor `..`. Every system call
/// of this connector takes an open folder and a `Name`, so none can step out of the folder.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Name(OsString);

impl Name {
    /// The name, or nothing where `name` is not one.
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Option<Self> {
        let name = name.as_ref();
        let bytes = name.as_bytes();
        let special = bytes.is_empty() || bytes == b"." || bytes == b"..";
        (!special && !bytes.contains(&b'/') && !bytes.contains(&0)).then(|| Self(name.to_owned()))
    }

    pub(crate) fn as_os(&self) -> &OsStr {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.to_string_lossy(), f)
    }
}

/// Brings a path into its one spelling: no empty parts, no `.`, no `..`, no `/` at the end; `.` is the root.
/// `..` takes the name before it away, without asking what that name leads to.
fn one_spelling(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("a path is not empty; '.' is the connector's root".into());
    }
    if text.len() > MAX_BYTES {
        return Err(format!("a path has at most {MAX_BYTES} bytes, this one has {}", text.len()));
    }
    if text.contains('\0') {
        return Err("a path holds no NUL".into());
    }
    if text.starts_with('/') {
        return Err(format!("'{text}' is absolute; paths are relative to the connector's root"));
    }
    let mut names = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                names.pop().ok_or_else(|| format!("'{text}' leaves the connector's root"))?;
            }
            name => names.push(name),
        }
    }
    Ok(if names.is_empty() { ".".into() } else { names.join("/") })
}

fn file_spelling(text: &str) -> Result<String, String> {
    let path = one_spelling(text)?;
    let last = text.rsplit('/').next().unwrap_or_default();
    if path == "." || matches!(last, "" | "." | "..") {
        return Err(format!("'{text}' names a folder, not a file"));
    }
    Ok(path)
}

macro_rules! path {
    ($(#[$doc:meta])* $name:ident, $spelling:ident) => {
        $(#[$doc])*
        ///
        /// Made from text it is brought into its one spelling: `./a//b/../c` is `a/c`. Text that is no such
        /// path is kept as it is, and refused by every action with `invalid_parameters`.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(extend("minLength" = 1, "maxLength" = MAX_BYTES))]
        pub struct $name(String);

        impl $name {
            /// The path.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Its names, from the root on.
            pub(crate) fn names(&self) -> Result<Vec<Name>, Error> {
                let refuse = |reason| {
                    Error::new(ErrorCode::InvalidParameters, format!("'path': {reason}")).left_nothing()
                };
                let path = $spelling(&self.0).map_err(refuse)?;
                Ok(path.split('/').filter_map(Name::new).collect())
            }

            /// The path of these names. Names that are not UTF-8 have no path in JSON.
            pub(crate) fn of(names: &[Name]) -> Result<Self, Error> {
                let path = spell(names)?;
                $spelling(&path).map(Self).map_err(|reason| {
                    Error::new(ErrorCode::InvalidParameters, reason).left_nothing()
                })
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self($spelling(&text).unwrap_or(text))
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::from(text.to_owned())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                $spelling(&text).map(Self).map_err(de::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

path! {
    /// Names a file, relative to the connector's root.
    FilePath, file_spelling
}
path! {
    /// Names a folder, relative to the connector's root; `.` is the root.
    DirPath, one_spelling
}

fn spell(names: &[Name]) -> Result<String, Error> {
    let mut path = String::new();
    for name in names {
        let text = name.as_os().to_str().ok_or_else(|| {
            Error::new(
                ErrorCode::Unsupported,
                format!("the path leads through '{name}', a name that is not UTF-8 and cannot be recorded"),
            )
            .left_nothing()
        })?;
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(text);
    }
    Ok(if path.is_empty() { ".".into() } else { path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_becomes_one() {
        for text in ["a/b", "./a/b", "a//b", "a/./b", "a/x/../b", "x/../a/b"] {
            assert_eq!(FilePath::from(text).as_str(), "a/b", "{text}");
        }
        for text in [".", "./", "a/..", "a/../"] {
            assert_eq!(DirPath::from(text).as_str(), ".", "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", "/etc/passwd", "..", "../a", "a/../../b", "a\0b"] {
            let json = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<DirPath>(&json).is_err(), "{text:?}");
            assert_eq!(FilePath::from(text).names().unwrap_err().code(), ErrorCode::InvalidParameters);
        }
    }

    #[test]
    fn a_folder_is_not_taken_for_a_file() {
        for text in [".", "a/", "a/.", "a/b/.."] {
            let json = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<FilePath>(&json).is_err(), "{text:?}");
        }
    }

    #[test]
    fn odd_names_are_names() {
        for text in ["a\nb", "ü/ß", " ", "-rf", "a\\b", "...", "C:"] {
            assert_eq!(FilePath::from(text).as_str(), text);
        }
    }
}
