//! `write_file`: the whole content of a file, new or replaced.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use enact_core::Error;
use enact_core::action::{
    Action, Captured, Doubt, EffectClass, FactKind, Facts, Left, LockKey, Shown, Target, Undo,
};
use enact_core::connector::{Cx, Perform};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::restore_file::{RestoreFile, clear_stage};
use super::{check_place, check_replaceable, facts, lock, read_of};
use crate::Filesystem;
use crate::client::{Last, Place, Root};
use crate::error::{os, precondition};
use crate::meta::{Kind, Meta};
use crate::mode::Mode;
use crate::path::{DirPath, FilePath};
use crate::show;
use crate::stage::{Looks, Stage, make_file, temporary_name};
use crate::state::{Node, Seen, Shape, check_unchanged, keep};
use crate::work::Step;

/// Writes a file whole: a new one, with the folders that it needs, or in place of the one that is there, which
/// keeps its permissions, owner and extended attributes.
///
/// A symbolic link in the last place is refused: the path that policies judged is not the file that would
/// change.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Params", into = "Params")]
pub struct WriteFile {
    path: FilePath,
    content: Body,
    mode: Option<Mode>,
}

#[derive(Clone, PartialEq, Eq)]
enum Body {
    Text(Arc<str>),
    Binary(Arc<[u8]>),
}

/// The JSON form.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// The file, below the connector's root.
    path: FilePath,
    /// The content as text, or else `content_base64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Arc<str>>,
    /// The content in base64, whatever its bytes are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_base64: Option<String>,
    /// The permissions; without, a file keeps what it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
}

impl TryFrom<Params> for WriteFile {
    type Error = String;

    fn try_from(params: Params) -> Result<Self, String> {
        let content = match (params.content, params.content_base64) {
            (Some(text), None) => Body::Text(text),
            (None, Some(base64)) => {
                let bytes = STANDARD.decode(base64).map_err(|error| format!("'content_base64': {error}"))?;
                Body::Binary(bytes.into())
            }
            (None, None) => return Err("missing field `content` (or `content_base64`)".into()),
            (Some(_), Some(_)) => {
                return Err("fields `content` and `content_base64` exclude each other; give one".into());
            }
        };
        if let Some(mode) = params.mode.filter(|mode| !mode.is_plain()) {
            return Err(format!(
                "'mode': {mode} has setuid, setgid or the sticky bit, which no action gives; give 0777 at most"
            ));
        }
        Ok(Self { path: params.path, content, mode: params.mode })
    }
}

impl From<WriteFile> for Params {
    fn from(action: WriteFile) -> Self {
        let (content, content_base64) = match action.content {
            Body::Text(text) => (Some(text), None),
            Body::Binary(bytes) => (None, Some(STANDARD.encode(bytes))),
        };
        Self { path: action.path, content, content_base64, mode: action.mode }
    }
}

// Content does not belong in traces.
impl fmt::Debug for WriteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteFile({}, {} bytes)", self.path, self.content().len())
    }
}

/// What `write_file` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileWritten {
    /// The path, in its one spelling.
    pub path: FilePath,
    /// The SHA-256 of the new content, hexadecimal.
    pub sha256: String,
    /// Whether there was no file before.
    pub created: bool,
}

/// What undo and probe need to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteFilePre {
    /// The path without symbolic links among its folders.
    pub path: FilePath,
    /// The file that will be replaced.
    pub before: Option<Node>,
    /// What will be there.
    pub after: Shape,
    /// The folders that will be made, outermost first.
    pub creates: Vec<DirPath>,
    /// The temporary name used on the way.
    pub temp: String,
}

impl WriteFile {
    /// Writes text, as it is: no line end is changed.
    pub fn new(path: impl Into<FilePath>, content: impl Into<Arc<str>>) -> Self {
        Self { path: path.into(), content: Body::Text(content.into()), mode: None }
    }

    /// Writes bytes.
    pub fn bytes(path: impl Into<FilePath>, content: impl Into<Arc<[u8]>>) -> Self {
        Self { path: path.into(), content: Body::Binary(content.into()), mode: None }
    }

    /// Gives the file these permissions, such as `0o755`. Without, a file keeps what it has, and a new one gets
    /// what the process gives to new files. More than `0o777` is refused when the action is asked for.
    #[must_use]
    pub fn mode(mut self, bits: u32) -> Self {
        self.mode = Some(Mode::new(bits));
        self
    }
}

impl WriteFile {
    fn content(&self) -> &[u8] {
        match &self.content {
            Body::Text(text) => text.as_bytes(),
            Body::Binary(bytes) => bytes,
        }
    }
}

impl Action for WriteFile {
    const NAME: &'static str = "write_file";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "restores the previous bytes and metadata, or removes the file and the \
                                    directories it created, if unchanged since";
    const FACTS: &'static [(&'static str, FactKind)] = &[
        ("exists", FactKind::Flag),
        ("real_path", FactKind::Text),
        ("is_symlink", FactKind::Flag),
        ("size", FactKind::Number),
        ("mode", FactKind::Text),
        ("new_size", FactKind::Number),
        ("created_directories", FactKind::Number),
    ];
    type Output = FileWritten;
    type PreState = WriteFilePre;
    type Undo = RestoreFile;

    fn target(&self) -> Target {
        Target::new("file", self.path.as_str())
    }

    fn lock(&self) -> Option<LockKey> {
        lock(&self.path)
    }

    fn shown_by(&self) -> Option<(&'static str, Value)> {
        read_of(&self.path)
    }
}

impl Perform<WriteFile> for Filesystem {
    /// The file that capture found.
    type Held = Option<Meta>;

    async fn capture(&self, cx: &Cx, action: &WriteFile) -> Result<Captured<WriteFile, Option<Meta>>, Error> {
        let (cx, action, new_mode) = (cx.clone(), action.clone(), self.new_file_mode);
        self.look(None, move |root, step| action.capture(root, &cx, step, new_mode)).await
    }

    async fn perform(
        &self,
        _: &Cx,
        action: &WriteFile,
        pre: &WriteFilePre,
        held: Option<Meta>,
    ) -> Result<FileWritten, Error> {
        let (wanted, known) = (action.clone(), pre.clone());
        self.change(&pre.path, move |root, step| wanted.perform(root, step, &known, held.as_ref())).await?;
        Ok(action.output(pre))
    }

    async fn probe(
        &self,
        _: &Cx,
        action: &WriteFile,
        pre: &WriteFilePre,
    ) -> Result<Doubt<FileWritten>, Error> {
        let known = pre.clone();
        let seen = self.look(Some(&pre.path), move |root, step| probe(root, step, &known)).await?;
        Ok(if seen == pre.after {
            Doubt::Applied(action.output(pre))
        } else if seen == Shape::of(pre.before.as_ref()) {
            Doubt::NotApplied
        } else {
            Doubt::Unknown(format!("'{}' is {seen} now, neither what it was nor what was written", pre.path))
        })
    }

    fn show(&self, action: &WriteFile, pre: &WriteFilePre) -> Shown {
        Shown {
            before: show::node(pre.before.as_ref()),
            change: show::change(&action.path, pre.before.as_ref(), Some(action.content())),
        }
    }

    fn undo(&self, _: &WriteFile, pre: &WriteFilePre, _: Left<'_, FileWritten>) -> Undo<RestoreFile> {
        Undo::By(RestoreFile {
            path: pre.path.clone(),
            before: pre.before.clone(),
            after: pre.after.clone(),
            created: pre.creates.clone(),
            leftover: Some(pre.temp.clone()),
        })
    }
}

impl WriteFile {
    fn capture(
        &self,
        root: &Root,
        cx: &Cx,
        step: &Step,
        new_mode: Mode,
    ) -> Result<Captured<Self, Option<Meta>>, Error> {
        let place = root.locate(&self.path, Last::Keep)?;
        let found = place.meta()?;
        if let Some(meta) = &found {
            check_writable(&place, meta)?;
            if self.is_there(&place, meta, step)? {
                let (path, sha256) = (self.path.clone(), self.sha256());
                return Ok(Captured::AlreadyDone(FileWritten { path, sha256, created: false }));
            }
        }
        let kept = found.map(|_| keep(&place, cx, step)).transpose()?;
        let (before, held) = kept.map_or((None, None), |(node, meta)| (Some(node), Some(meta)));
        let mode = self.mode.or(held.map(|meta| meta.mode)).unwrap_or(new_mode);
        let pre = WriteFilePre {
            path: place.path()?,
            before,
            after: Shape::File { sha256: self.sha256(), size: self.content().len() as u64, mode },
            creates: place.missing_paths()?,
            temp: temporary_name(cx.effect()),
        };
        Ok(Captured::Ready { facts: self.facts(&place, held.as_ref()), pre, held })
    }

    /// Whether the file has the wanted bytes already, and the wanted permissions, where any are wanted.
    fn is_there(&self, place: &Place, meta: &Meta, step: &Step) -> Result<bool, Error> {
        if meta.size != self.content().len() as u64 || self.mode.is_some_and(|mode| mode != meta.mode) {
            return Ok(false);
        }
        let seen = Seen::at(place, step)?;
        Ok(matches!(seen.shape, Shape::File { sha256, .. } if sha256 == self.sha256()))
    }

    fn facts(&self, place: &Place, meta: Option<&Meta>) -> Facts {
        let mut facts = facts(place, meta);
        facts.insert("new_size".into(), json!(self.content().len()));
        facts.insert("created_directories".into(), json!(place.missing.len()));
        facts
    }

    fn perform(
        &self,
        root: &Root,
        step: &Step,
        pre: &WriteFilePre,
        held: Option<&Meta>,
    ) -> Result<(), Error> {
        let place = root.locate(&self.path, Last::Keep).map_err(Error::left_nothing)?;
        check_place(&place, &pre.path, Some(&pre.creates))?;
        check_unchanged(&place, held).map_err(Error::left_nothing)?;
        let looks = self.looks(pre);
        Stage::new(&place, &pre.temp)?.put(&place, held, step, |folder, name| {
            make_file(&place, (folder, name), &mut self.content(), &looks, step)
        })
    }

    fn looks<'a>(&self, pre: &'a WriteFilePre) -> Looks<'a> {
        let mode = match &pre.after {
            Shape::File { mode, .. } => *mode,
            // Capture writes nothing else; a record that says otherwise gets the narrowest permissions.
            _ => Mode::new(0o600),
        };
        match &pre.before {
            Some(Node::File(file)) => {
                Looks { mode, owner: Some((file.uid, file.gid)), mtime: None, xattrs: Some(&file.xattrs) }
            }
            _ => Looks { mode, owner: None, mtime: None, xattrs: None },
        }
    }

    fn sha256(&self) -> String {
        format!("{:x}", Sha256::digest(self.content()))
    }

    fn output(&self, pre: &WriteFilePre) -> FileWritten {
        FileWritten { path: self.path.clone(), sha256: self.sha256(), created: pre.before.is_none() }
    }
}

/// An error where what stands there is not a file that may be replaced.
fn check_writable(place: &Place, meta: &Meta) -> Result<(), Error> {
    match meta.kind {
        Kind::File => check_replaceable(place, meta, "write")?,
        Kind::Symlink => {
            return Err(precondition(format!(
                "'{place}' is a symbolic link, which write_file does not write through; name the file that \
                 it leads to, or delete the link first"
            )));
        }
        other => {
            return Err(precondition(format!("'{place}' is {other}; write_file writes plain files only")));
        }
    }
    // Replacing a file needs the folder's permission alone; a file that is write-protected stays protected.
    place.folder.may_write(&place.name).map_err(|errno| os("write", place, errno))
}

/// What is there now, after what an interrupted perform left on the way is removed: by now it cannot go on, and
/// only it uses the temporary name.
fn probe(root: &Root, step: &Step, pre: &WriteFilePre) -> Result<Shape, Error> {
    clear_stage(root, &pre.path, &pre.creates, &pre.temp)?;
    Ok(Seen::at(&root.locate(&pre.path, Last::Keep)?, step)?.shape)
}

#[cfg(test)]
mod tests {
    use enact_core::json::JsonText;

    use super::*;

    fn read(params: &str) -> Result<WriteFile, Error> {
        JsonText::parse(params).unwrap().decode()
    }

    #[test]
    fn parameters_are_the_contracts() {
        let text = WriteFile::new("./a//b.txt", "x\r\n").mode(0o755);
        let json = JsonText::encode(&text).unwrap();
        assert_eq!(json.as_str(), r#"{"path":"a/b.txt","content":"x\r\n","mode":"0755"}"#);
        assert_eq!(json.decode::<WriteFile>().unwrap(), text);
        let bytes = WriteFile::bytes("a", [0, 255]);
        let json = JsonText::encode(&bytes).unwrap();
        assert_eq!(json.as_str(), r#"{"path":"a","content_base64":"AP8="}"#);
        assert_eq!(json.decode::<WriteFile>().unwrap(), bytes);
    }

    #[test]
    fn content_is_given_once() {
        let none = read(r#"{"path":"a"}"#).unwrap_err();
        assert!(none.message().contains("missing field `content`"), "{none}");
        let both = read(r#"{"path":"a","content":"","content_base64":""}"#).unwrap_err();
        assert!(both.message().contains("`content_base64`"), "{both}");
        let neither_text_nor_base64 = read(r#"{"path":"a","content_base64":"?"}"#).unwrap_err();
        assert!(neither_text_nor_base64.message().contains("content_base64"), "{neither_text_nor_base64}");
    }

    #[test]
    fn a_wrong_field_is_named() {
        for (params, field) in [
            (r#"{"content":""}"#, "path"),
            (r#"{"path":"/etc/passwd","content":""}"#, "path"),
            (r#"{"path":"a/","content":""}"#, "path"),
            (r#"{"path":"a","content":"","mode":755}"#, "mode"),
            (r#"{"path":"a","content":"","mode":"4755"}"#, "mode"),
            (r#"{"path":"a","content":"","mode":"2755"}"#, "mode"),
            (r#"{"path":"a","content":"","mode":"1777"}"#, "mode"),
            (r#"{"path":"a","content":"","mode":"7777"}"#, "mode"),
            (r#"{"path":"a","content":"","made":"0755"}"#, "made"),
        ] {
            let error = read(params).unwrap_err();
            assert!(error.message().contains(field), "{params}: {error}");
        }
    }

    #[test]
    fn content_is_not_in_traces() {
        assert!(!format!("{:?}", WriteFile::new("a", "secret")).contains("secret"));
    }
}
