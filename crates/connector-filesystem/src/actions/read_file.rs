//! `read_file`: the whole content of a file.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use enact_core::action::{
    Action, Captured, Doubt, EffectClass, FactKind, Left, LockKey, NoUndo, Target, Undo,
};
use enact_core::connector::{Cx, Perform};
use enact_core::{Error, ErrorCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{PLACE_FACTS, check_way, facts, read_only};
use crate::Filesystem;
use crate::client::{Last, Root, Way};
use crate::error::io;
use crate::path::FilePath;
use crate::state::open;
use crate::work::Step;

/// Reads a file, through symbolic links that stay below the root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadFile {
    /// The file, below the connector's root.
    path: FilePath,
    /// How its bytes are given.
    #[serde(default)]
    encoding: Encoding,
}

/// How the bytes of a file are written in the output.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As text; a file that is not UTF-8 is an error.
    #[default]
    Utf8,
    /// In base64.
    Base64,
}

/// What `read_file` gives.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRead {
    /// The bytes, in the encoding that was asked for.
    pub content: String,
    /// The SHA-256 of the bytes, hexadecimal.
    pub sha256: String,
    /// The number of bytes.
    pub size: u64,
}

// Content does not belong in traces.
impl std::fmt::Debug for FileRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileRead").field("sha256", &self.sha256).field("size", &self.size).finish()
    }
}

impl ReadFile {
    /// Reads a file as text.
    pub fn new(path: impl Into<FilePath>) -> Self {
        Self { path: path.into(), encoding: Encoding::Utf8 }
    }

    /// Gives the bytes in base64, whatever they are.
    #[must_use]
    pub fn base64(mut self) -> Self {
        self.encoding = Encoding::Base64;
        self
    }
}

impl Action for ReadFile {
    const NAME: &'static str = "read_file";
    const EFFECT: EffectClass = EffectClass::ReadOnly;
    const REVERSAL: &'static str = "read-only";
    const FACTS: &'static [(&'static str, FactKind)] = PLACE_FACTS;
    type Output = FileRead;
    type PreState = ();
    type Undo = NoUndo;

    fn target(&self) -> Target {
        Target::new("file", self.path.as_str())
    }

    fn lock(&self) -> Option<LockKey> {
        // A file is replaced whole, so a reader needs to wait for nobody.
        None
    }
}

impl Perform<ReadFile> for Filesystem {
    /// Where the path led when policies were asked.
    type Held = Way;

    async fn capture(&self, _: &Cx, action: &ReadFile) -> Result<Captured<ReadFile, Way>, Error> {
        let path = action.path.clone();
        let look = move |root: &Root, _: &Step| {
            let place = root.locate(&path, Last::Follow)?;
            Ok((facts(&place, place.meta()?.as_ref()), place.way()))
        };
        let (facts, held) = self.look(None, look).await?;
        Ok(Captured::Ready { pre: (), facts, held })
    }

    async fn perform(&self, _: &Cx, action: &ReadFile, (): &(), held: Way) -> Result<FileRead, Error> {
        let (action, limit) = (action.clone(), self.max_read_bytes);
        self.look(None, move |root, step| action.read(root, step, &held, limit)).await
    }

    async fn probe(&self, _: &Cx, _: &ReadFile, (): &()) -> Result<Doubt<FileRead>, Error> {
        Err(read_only())
    }

    fn undo(&self, _: &ReadFile, (): &(), _: Left<'_, FileRead>) -> Undo<NoUndo> {
        Undo::Nothing
    }
}

impl ReadFile {
    fn read(&self, root: &Root, step: &Step, held: &Way, limit: u64) -> Result<FileRead, Error> {
        let place = root.locate(&self.path, Last::Follow)?;
        check_way(&place.way(), held)?;
        let (file, meta) = open(&place)?;
        if meta.size > limit {
            return Err(
                self.refuse(format!("has {} bytes, over the limit of {limit} (max_read_bytes)", meta.size))
            );
        }
        let mut bytes = Vec::new();
        let read = step.reading(file).take(limit.saturating_add(1)).read_to_end(&mut bytes);
        let size = read.map_err(|error| io("read", &self.path, error))? as u64;
        if size > limit {
            return Err(self.refuse(format!("has more than {limit} bytes (max_read_bytes)")));
        }
        let sha256 = format!("{:x}", Sha256::digest(&bytes));
        Ok(FileRead { content: self.encode(bytes)?, sha256, size })
    }

    fn encode(&self, bytes: Vec<u8>) -> Result<String, Error> {
        match self.encoding {
            Encoding::Base64 => Ok(STANDARD.encode(bytes)),
            Encoding::Utf8 => String::from_utf8(bytes).map_err(|error| {
                let place = error.utf8_error().valid_up_to();
                self.refuse(format!("is not UTF-8 (byte {place}); ask for encoding = base64"))
            }),
        }
    }

    fn refuse(&self, why: String) -> Error {
        Error::new(ErrorCode::InvalidParameters, format!("'{}' {why}", self.path))
    }
}
