//! A file of a commit: its path, its content or that it is to go, its mode.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest path, in bytes.
const MAX_PATH_BYTES: usize = 4096;

/// A file as a commit is to have it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Params", into = "Params")]
pub struct File {
    path: String,
    body: Body,
    mode: Option<FileMode>,
}

#[derive(Clone, PartialEq, Eq)]
enum Body {
    Text(Arc<str>),
    Binary(Arc<[u8]>),
    Gone,
}

/// What kind of file it is, as git has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(with = "String", extend("enum" = ["100644", "0644", "100755", "0755", "120000"]))]
pub enum FileMode {
    /// A file.
    #[serde(rename = "100644", alias = "0644")]
    Plain,
    /// A file that can be executed.
    #[serde(rename = "100755", alias = "0755")]
    Executable,
    /// A symbolic link; its content is where it leads.
    #[serde(rename = "120000")]
    Symlink,
}

impl FileMode {
    /// In git's words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
        }
    }
}

/// The JSON form.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_base64: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    delete: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<FileMode>,
}

impl TryFrom<Params> for File {
    type Error = String;

    fn try_from(params: Params) -> Result<Self, String> {
        let Params { path, content, content_base64, delete, mode } = params;
        check_path(&path)?;
        let body = match (content, content_base64, delete) {
            (Some(text), None, false) => Body::Text(text),
            (None, Some(base64), false) => {
                let bytes = STANDARD.decode(base64).map_err(|error| format!("'content_base64': {error}"))?;
                Body::Binary(bytes.into())
            }
            (None, None, true) => Body::Gone,
            (None, None, false) => {
                return Err("missing field `content` (or `content_base64`, or `delete: true`)".into());
            }
            _ => {
                return Err(
                    "fields `content`, `content_base64` and `delete` exclude each other; give one".into()
                );
            }
        };
        if body == Body::Gone && mode.is_some() {
            return Err("'mode': a file that is deleted has none".into());
        }
        if mode == Some(FileMode::Symlink) && !matches!(&body, Body::Text(to) if is_link_target(to)) {
            return Err("'content': a symbolic link leads to a path, in one line of text".into());
        }
        Ok(Self { path, body, mode })
    }
}

impl From<File> for Params {
    fn from(file: File) -> Self {
        let (content, content_base64, delete) = match file.body {
            Body::Text(text) => (Some(text), None, false),
            Body::Binary(bytes) => (None, Some(STANDARD.encode(bytes)), false),
            Body::Gone => (None, None, true),
        };
        Self { path: file.path, content, content_base64, delete, mode: file.mode }
    }
}

fn is_link_target(to: &str) -> bool {
    !to.is_empty() && to.len() <= MAX_PATH_BYTES && !to.contains(['\n', '\0'])
}

/// A path as git takes it: from the root of the repository, and no way into `.git`.
fn check_path(path: &str) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("'path': '{path}' {why}"));
    if path.is_empty() || path.len() > MAX_PATH_BYTES {
        return refuse("is empty or too long");
    }
    if path.contains('\0') {
        return refuse("has a NUL in it");
    }
    if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return refuse("is no path from the root of the repository: a part of it is empty, '.' or '..'");
    }
    if path.split('/').any(|part| part.eq_ignore_ascii_case(".git")) {
        return refuse("leads into '.git'");
    }
    Ok(())
}

// Content does not belong in traces.
impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content() {
            Some(content) => write!(f, "{} ({} bytes)", self.path, content.len()),
            None => write!(f, "{} (deleted)", self.path),
        }
    }
}

impl File {
    /// A file of text.
    pub fn text(path: impl Into<String>, content: impl Into<Arc<str>>) -> Self {
        Self { path: path.into(), body: Body::Text(content.into()), mode: None }
    }

    /// A file of bytes.
    pub fn bytes(path: impl Into<String>, content: impl Into<Arc<[u8]>>) -> Self {
        Self { path: path.into(), body: Body::Binary(content.into()), mode: None }
    }

    /// No file.
    pub fn deleted(path: impl Into<String>) -> Self {
        Self { path: path.into(), body: Body::Gone, mode: None }
    }

    /// With this mode. Without, a file keeps what it has, and a new one is plain.
    #[must_use]
    pub fn mode(mut self, mode: FileMode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn wanted_mode(&self) -> Option<FileMode> {
        self.mode
    }

    /// Its content; `None` where it is to go.
    pub(super) fn content(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Text(text) => Some(text.as_bytes()),
            Body::Binary(bytes) => Some(bytes),
            Body::Gone => None,
        }
    }

    /// Its content, where that is text.
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.body {
            Body::Text(text) => Some(text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<File, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_reads_back_as_it_was_written() {
        for value in [
            json!({ "path": "a/b.txt", "content": "x\r\n" }),
            json!({ "path": "run", "content_base64": "AP8=", "mode": "100755" }),
            json!({ "path": "link", "content": "../a", "mode": "120000" }),
            json!({ "path": "old", "delete": true }),
        ] {
            let file = read(value.clone()).unwrap();
            assert_eq!(serde_json::to_value(&file).unwrap(), value);
        }
    }

    #[test]
    fn what_git_would_not_take_is_refused() {
        for (value, naming) in [
            (json!({ "path": "a" }), "content"),
            (json!({ "path": "a", "content": "", "delete": true }), "exclude"),
            (json!({ "path": "../a", "content": "" }), "path"),
            (json!({ "path": "/a", "content": "" }), "path"),
            (json!({ "path": "a/.GIT/config", "content": "" }), ".git"),
            (json!({ "path": "a", "content": "", "mode": "100600" }), "100600"),
            (json!({ "path": "a", "content": "", "mode": "120000" }), "symbolic link"),
            (json!({ "path": "a", "content_base64": "?" }), "content_base64"),
            (json!({ "path": "a", "content": "", "more": 1 }), "more"),
        ] {
            let error = read(value.clone()).unwrap_err();
            assert!(error.contains(naming), "{value}: {error}");
        }
    }
}
