//! The mark of how far the journal was synced, as the last writer knew it.
//!
//! It is written after each sync, before anybody is told of it, and not synced itself: after a crash of the process it is exact,
//! after a power cut it may be old. It is never ahead of the journal. So a journal that ends before it has lost what was
//! acknowledged; by itself, a damaged last group looks like one that a crash cut off.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use enact_core::ids::Position;
use enact_core::store::StoreError;

use crate::codec::bytes::Reader;
use crate::files::{self, Tried};

/// A position and a checksum.
const SIZE: usize = 12;

/// The name of the file in the folder of the store.
pub(crate) const NAME: &str = "synced";

/// Where it is.
pub(crate) fn path(store: &Path) -> PathBuf {
    store.join(NAME)
}

/// Writes the mark.
#[derive(Debug)]
pub(crate) struct Mark {
    file: File,
    store: [u8; 16],
}

impl Mark {
    /// Opens the file, or makes it.
    pub(crate) fn open(store: &Path, id: [u8; 16]) -> Result<Self, StoreError> {
        let path = path(store);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        Ok(Self { file: file.tried("opening", &path)?, store: id })
    }

    /// Says that the journal is synced up to a position. It is evidence, and nothing depends on it: where it cannot be
    /// written, it stays behind.
    pub(crate) fn set(&self, position: Position) {
        if let Err(error) = self.file.write_all_at(&encode(&self.store, position), 0) {
            tracing::debug!(%error, "the mark of what is synced could not be written");
        }
    }
}

/// What the last writer knew; `None` where that is not to be read, as after a power cut.
pub(crate) fn read(store: &Path, id: &[u8; 16]) -> Result<Option<Position>, StoreError> {
    let Some(bytes) = files::read(&path(store))? else { return Ok(None) };
    let position = Reader::new(&bytes).u64().map(Position);
    Ok(position.filter(|position| bytes == encode(id, *position)))
}

/// The position, and a checksum over it and the store that it is of.
fn encode(store: &[u8; 16], position: Position) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    let (number, sum) = bytes.split_at_mut(8);
    number.copy_from_slice(&position.0.to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(store);
    crc.update(number);
    sum.copy_from_slice(&crc.finalize().to_le_bytes());
    bytes
}
