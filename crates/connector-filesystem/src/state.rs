//! What stands at a path: as pre-states keep it, and as it is compared.
//!
//! A [`Node`] is all that is needed to put a thing back. A [`Shape`] is what says whether it was changed:
//! kind, content and permissions, and not the times, which change without a change of meaning.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use enact_core::connector::Cx;
use enact_core::content::Content;
use enact_core::{Error, ErrorCode};
use rustix::fs::{fgetxattr, flistxattr, fstat};
use rustix::io::Errno;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::client::Place;
use crate::error::{io as io_error, os, precondition};
use crate::meta::{FileTime, Kind, Meta};
use crate::mode::Mode;
use crate::work::Step;

/// How many bytes of extended attributes a file may have to be kept; well above what ext4 and XFS let users set
/// in practice, and small enough for a record.
const MAX_XATTR_BYTES: usize = 256 * 1024;

/// A file or a link with all that is needed to put it back as it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Node {
    /// A plain file.
    File(FileNode),
    /// A symbolic link, itself.
    Symlink(LinkNode),
}

/// A plain file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileNode {
    /// Its bytes.
    pub content: Content,
    /// Its permissions.
    pub mode: Mode,
    /// Its time of modification.
    pub mtime: FileTime,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its extended attributes, access control lists among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, Bytes>,
}

/// A symbolic link.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LinkNode {
    /// What it says.
    pub target: Bytes,
    /// Its time of modification.
    pub mtime: FileTime,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// What tells whether a thing was changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Shape {
    /// Nothing is there.
    Absent,
    /// A plain file.
    File {
        /// Of its bytes, hexadecimal.
        sha256: String,
        /// In bytes.
        size: u64,
        /// Its permissions.
        mode: Mode,
    },
    /// A symbolic link.
    Symlink {
        /// What it says.
        target: Bytes,
    },
    /// A folder.
    Dir,
    /// A pipe, a socket or a device.
    Other,
}

impl Shape {
    /// The shape of what was kept.
    #[must_use]
    pub fn of(node: Option<&Node>) -> Self {
        match node {
            None => Self::Absent,
            Some(Node::File(file)) => Self::File {
                sha256: file.content.sha256().to_owned(),
                size: file.content.size(),
                mode: file.mode,
            },
            Some(Node::Symlink(link)) => Self::Symlink { target: link.target.clone() },
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("nothing"),
            Self::File { sha256, size, mode } => {
                let short = sha256.get(..12).unwrap_or(sha256);
                write!(f, "a file of {size} bytes (sha256 {short}…, mode {mode})")
            }
            Self::Symlink { target } => write!(f, "a symbolic link to '{target}'"),
            Self::Dir => Kind::Dir.fmt(f),
            Self::Other => Kind::Other.fmt(f),
        }
    }
}

/// What was seen at a place, and how to tell that it is still so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) shape: Shape,
    pub(crate) meta: Option<Meta>,
}

impl Seen {
    /// Looks at a place, reading a file through to its end.
    pub(crate) fn at(place: &Place, step: &Step) -> Result<Self, Error> {
        let meta = place.meta()?;
        let shape = match meta.map(|meta| meta.kind) {
            None => Shape::Absent,
            Some(Kind::Dir) => Shape::Dir,
            Some(Kind::Other) => Shape::Other,
            Some(Kind::Symlink) => Shape::Symlink { target: read_link(place)? },
            Some(Kind::File) => {
                let (file, meta) = open(place)?;
                let sha256 = hash(&file, step).map_err(|error| io_error("read", place, error))?;
                unchanged(place, &file, &meta)?;
                return Ok(Self {
                    shape: Shape::File { sha256, size: meta.size, mode: meta.mode },
                    meta: Some(meta),
                });
            }
        };
        Ok(Self { shape, meta })
    }
}

/// An error where a place is not as it was when its `meta` was taken.
pub(crate) fn check_unchanged(place: &Place, meta: Option<&Meta>) -> Result<(), Error> {
    if place.meta()?.as_ref() == meta {
        return Ok(());
    }
    Err(precondition(format!(
        "'{place}' was changed by somebody else while the action was being prepared; nothing was done, ask again"
    ))
    .retryable())
}

/// Keeps a plain file or a link with all that is needed to put it back.
pub(crate) fn keep(place: &Place, cx: &Cx, step: &Step) -> Result<(Node, Meta), Error> {
    match place.meta()?.map(|meta| (meta.kind, meta)) {
        Some((Kind::Symlink, meta)) => {
            let link =
                LinkNode { target: read_link(place)?, mtime: meta.modified, uid: meta.uid, gid: meta.gid };
            check_unchanged(place, Some(&meta))?;
            Ok((Node::Symlink(link), meta))
        }
        _ => {
            let (file, meta) = open(place)?;
            let node = FileNode {
                content: keep_content(place, &file, cx, step)?,
                mode: meta.mode,
                mtime: meta.modified,
                uid: meta.uid,
                gid: meta.gid,
                xattrs: xattrs(place, &file)?,
            };
            unchanged(place, &file, &meta)?;
            Ok((Node::File(node), meta))
        }
    }
}

fn keep_content(place: &Place, file: &File, cx: &Cx, step: &Step) -> Result<Content, Error> {
    let mut source = Source { file, failed: false };
    let kept = Content::keep(cx, &mut step.reading(&mut source));
    kept.map_err(|error| {
        if source.failed {
            return io_error("read", place, error);
        }
        let message = format!("the content of '{place}' cannot be kept for undo: {error}");
        Error::new(ErrorCode::Unavailable, message).with_source(error)
    })
}

/// Remembers whether it was the file that failed, and not what its bytes were given to.
struct Source<'a> {
    file: &'a File,
    failed: bool,
}

impl Read for Source<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.file.read(into).inspect_err(|_| self.failed = true)
    }
}

/// Opens the plain file at a place.
pub(crate) fn open(place: &Place) -> Result<(File, Meta), Error> {
    if !place.missing.is_empty() {
        return Err(os("open", place, Errno::NOENT));
    }
    let file = place.folder.open_file(&place.name).map_err(|errno| os("open", place, errno))?;
    let file =
        file.map_err(|kind| precondition(format!("'{place}' is {kind}; this is for plain files only")))?;
    let meta = fstat(&file).map_err(|errno| os("look at", place, errno))?;
    Ok((file, Meta::of(&meta)))
}

fn unchanged(place: &Place, file: &File, before: &Meta) -> Result<(), Error> {
    let after = fstat(file).map_err(|errno| os("look at", place, errno))?;
    if Meta::of(&after) == *before {
        return Ok(());
    }
    Err(precondition(format!("'{place}' was changed while it was being read; ask again")).retryable())
}

fn read_link(place: &Place) -> Result<Bytes, Error> {
    let target = place.folder.read_link(&place.name);
    target.map(Bytes).map_err(|errno| os("read the link", place, errno))
}

fn hash(file: &File, step: &Step) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut step.reading(file), &mut hasher)?;
    Ok(format!("{:x}", hasher.finalize()))
}

/// The extended attributes of an open file; none where the filesystem has no such thing.
fn xattrs(place: &Place, file: &File) -> Result<BTreeMap<String, Bytes>, Error> {
    let refuse = |why: &str| {
        Error::new(ErrorCode::Unsupported, format!("'{place}' {why}, which cannot be kept for undo"))
    };
    let failed = |errno| os("read the extended attributes of", place, errno);
    let mut kept = BTreeMap::new();
    let mut total = 0;
    for name in xattr_names(file).map_err(failed)? {
        let name = String::from_utf8(name)
            .map_err(|_| refuse("has an extended attribute whose name is not UTF-8"))?;
        if COMPUTED.contains(&name.as_str()) {
            continue;
        }
        let value = xattr(file, &name).map_err(failed)?;
        total += value.len();
        if total > MAX_XATTR_BYTES {
            return Err(refuse(&format!("has more than {MAX_XATTR_BYTES} bytes of extended attributes")));
        }
        kept.insert(name, Bytes(value));
    }
    Ok(kept)
}

/// The names of a file's extended attributes; none where the filesystem has no such thing.
pub(crate) fn xattr_names(file: &File) -> rustix::io::Result<Vec<Vec<u8>>> {
    let names = match grow(|buffer| flistxattr(file, buffer)) {
        Err(Errno::NOTSUP) => Vec::new(),
        names => names?,
    };
    Ok(names.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
}

/// The value of an extended attribute.
pub(crate) fn xattr(file: &File, name: &str) -> rustix::io::Result<Vec<u8>> {
    grow(|buffer| fgetxattr(file, name, buffer))
}

/// Attributes that the kernel computes from the content; a copy would be wrong.
const COMPUTED: [&str; 2] = ["security.ima", "security.evm"];

/// Reads what has a length that is known only by asking. One attribute has 64 KiB at most.
fn grow(mut read: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    for size in [1 << 10, 1 << 16, 1 << 20] {
        let mut buffer = vec![0; size];
        match read(&mut buffer) {
            Err(Errno::RANGE) => {}
            length => {
                buffer.truncate(length?);
                return Ok(buffer);
            }
        }
    }
    Err(Errno::TOOBIG)
}

/// Bytes that are nearly always text: text in JSON where they are UTF-8, else `{"base64"}`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum BytesForm {
    Text(String),
    Base64 { base64: String },
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => to.serialize_str(text),
            Err(_) => BytesForm::Base64 { base64: STANDARD.encode(&self.0) }.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match BytesForm::deserialize(from)? {
            BytesForm::Text(text) => Ok(Self(text.into_bytes())),
            BytesForm::Base64 { base64 } => STANDARD.decode(base64).map(Self).map_err(de::Error::custom),
        }
    }
}
