//! Names as GitHub and git have them: checked when a request is read, before anything happens.

use std::fmt::{self, Display};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// What a segment of a path may hold as it is; all else is encoded, once.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The longest name of a branch, in bytes: what GitHub takes of a ref, `refs/heads/` included.
const MAX_BRANCH_BYTES: usize = 244;

/// Below it are the refs that exist for the time of an undo.
pub(crate) const TEMPORARY: &str = "enact-tmp/";

macro_rules! checked {
    ($name:ident, $check:path) => {
        impl $name {
            /// Checks a name.
            ///
            /// # Errors
            /// What is wrong with it, in words for people.
            pub fn new(text: impl Into<String>) -> Result<Self, String> {
                let text = text.into();
                $check(&text)?;
                Ok(Self(text))
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(from)?).map_err(de::Error::custom)
            }
        }
    };
}

/// A repository: `owner/name`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("pattern" = "^[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}$"))]
pub struct RepoName(String);

checked!(RepoName, check_repo);

impl RepoName {
    /// The owner.
    pub(crate) fn owner(&self) -> &str {
        self.0.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The name that it is compared by: GitHub does not tell capital letters apart.
    pub(crate) fn key(&self) -> String {
        self.0.to_lowercase()
    }

    /// As a part of a path.
    pub(crate) fn path(&self) -> String {
        encoded(&self.0)
    }
}

fn check_repo(text: &str) -> Result<(), String> {
    let good = |part: &str| {
        !part.is_empty()
            && part.len() <= 100
            && part != "."
            && part != ".."
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match text.split_once('/') {
        Some((owner, name)) if good(owner) && good(name) => Ok(()),
        _ => Err(format!("'{text}' is not a repository: \"owner/name\"")),
    }
}

/// A branch, without `refs/heads/`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("minLength" = 1, "maxLength" = MAX_BRANCH_BYTES))]
pub struct BranchName(String);

checked!(BranchName, check_branch);

impl BranchName {
    /// A name that this connector made.
    pub(crate) fn temporary(effect: &str) -> Self {
        Self(format!("{TEMPORARY}{effect}"))
    }

    /// As a part of a path, slashes kept.
    pub(crate) fn path(&self) -> String {
        encoded(&self.0)
    }

    /// The full name.
    pub(crate) fn full(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

/// The rules of `git check-ref-format` for `refs/heads/NAME`, and that a branch is not called by a full name, `HEAD`, or
/// what is only a commit.
fn check_branch(text: &str) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("'{text}' is not the name of a branch: {why}"));
    if text.is_empty() {
        return refuse("it is empty");
    }
    if text.len() > MAX_BRANCH_BYTES {
        return refuse("it is too long");
    }
    if text.starts_with("refs/") {
        return refuse("give the name alone, without 'refs/heads/'");
    }
    if text == "HEAD" || text == "@" || text.starts_with('-') {
        return refuse("git gives that a meaning of its own");
    }
    if text.starts_with(TEMPORARY) {
        return refuse("branches below 'enact-tmp/' are for undoing merges, and are removed");
    }
    if text.chars().any(|c| c.is_control() || " ~^:?*[\\".contains(c)) {
        return refuse("it has a space, a control character, or one of ~ ^ : ? * [ \\");
    }
    if text.contains("..") || text.contains("@{") || text.ends_with('.') {
        return refuse("it has '..' or '@{', or ends with '.'");
    }
    if text.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock")) {
        return refuse("a part of it is empty, begins with '.' or ends with '.lock'");
    }
    Ok(())
}

/// The head of a pull request: a branch, where a fork is meant with its owner: `owner:branch`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("minLength" = 1))]
pub struct HeadName(String);

checked!(HeadName, check_head);

impl HeadName {
    /// Its owner, where one is named, and its branch.
    pub(crate) fn parts(&self) -> (Option<&str>, &str) {
        match self.0.split_once(':') {
            Some((owner, branch)) => (Some(owner), branch),
            None => (None, &self.0),
        }
    }
}

fn check_head(text: &str) -> Result<(), String> {
    let (owner, branch) = text.split_once(':').map_or((None, text), |(owner, branch)| (Some(owner), branch));
    if let Some(owner) = owner {
        check_repo(&format!("{owner}/x")).map_err(|_| format!("'{owner}' in '{text}' is not an owner"))?;
    }
    check_branch(branch)
}

/// The name of a commit: 40 hexadecimal digits, or 64.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("pattern" = "^([0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})$"))]
pub struct Sha(String);

impl Sha {
    /// Checks a name. Capital letters become small ones.
    ///
    /// # Errors
    /// What is wrong with it, in words for people.
    pub fn new(text: impl AsRef<str>) -> Result<Self, String> {
        let text = text.as_ref();
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digits && matches!(text.len(), 40 | 64) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(format!("'{text}' is not the full name of a commit: 40 hexadecimal digits"))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of nothing, as long as this one.
    pub(crate) fn zeros(&self) -> String {
        "0".repeat(self.0.len())
    }

    /// Its beginning, for messages.
    pub(crate) fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }
}

impl Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Sha {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(from)?).map_err(de::Error::custom)
    }
}

/// Encodes each segment of a path once.
pub(crate) fn encoded(path: &str) -> String {
    path.split('/').map(encoded_value).collect::<Vec<_>>().join("/")
}

/// Encodes a value of a query.
pub(crate) fn encoded_value(value: &str) -> String {
    utf8_percent_encode(value, PLAIN).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_refuses_is_no_branch() {
        for good in ["main", "agent/fix-149", "a#b", "50%", "grün/日本", "a.b", "x@y", "a{b"] {
            assert!(BranchName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "HEAD",
            "@",
            "-x",
            "refs/heads/x",
            "a b",
            "a..b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a.",
            "a@{b",
            "a\u{7f}",
            "enact-tmp/x",
        ] {
            assert!(BranchName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn repositories_and_heads_are_told_from_other_text() {
        assert!(RepoName::new("octo/app.js").is_ok());
        for bad in ["octo", "octo/", "/app", "octo/app/x", "octo/..", "oc to/app", "octo/a?b"] {
            assert!(RepoName::new(bad).is_err(), "{bad}");
        }
        assert_eq!(HeadName::new("ann:fix/1").unwrap().parts(), (Some("ann"), "fix/1"));
        assert_eq!(HeadName::new("fix/1").unwrap().parts(), (None, "fix/1"));
        assert!(HeadName::new("a/b:fix").is_err());
    }

    #[test]
    fn names_are_encoded_once_and_slashes_kept() {
        let name = BranchName::new("a/b#c%20d/ü").unwrap();
        assert_eq!(name.path(), "a/b%23c%2520d/%C3%BC");
    }

    #[test]
    fn a_commit_is_named_in_full() {
        assert!(Sha::new("abc").is_err());
        let sha = Sha::new("ABCDEF0123456789abcdef0123456789abcdef01").unwrap();
        assert_eq!(sha.as_str(), "abcdef0123456789abcdef0123456789abcdef01");
        assert_eq!(sha.zeros().len(), 40);
    }
}
