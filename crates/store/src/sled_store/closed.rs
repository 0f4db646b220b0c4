//! The note that a store was closed in order: where its journal ends, and what was known of its runs.
//!
//! It is there only while nobody has the store open. With it, opening reads no more than the end of the journal, and
//! a journal that ends earlier than it says has lost something.

use std::path::{Path, PathBuf};

use enact_core::ids::Position;
use enact_core::store::StoreError;

use crate::codec::bytes::{Reader, put_u32, put_u64};
use crate::files::{self, Tried};
use crate::journal::Cursor;
use crate::volume::heads::Heads;

const MAGIC: [u8; 8] = *b"ENCLOSE2";

/// Where the note is.
pub(crate) fn path(store: &Path) -> PathBuf {
    store.join("closed")
}

/// Writes the note durably.
pub(crate) fn write(store: &Path, id: &[u8; 16], cursor: &Cursor, heads: &Heads) -> Result<(), StoreError> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(id);
    put_u64(&mut bytes, cursor.segment);
    put_u64(&mut bytes, cursor.offset);
    put_u64(&mut bytes, cursor.sequence);
    put_u64(&mut bytes, cursor.next.0);
    put_u32(&mut bytes, cursor.before);
    heads.write(&mut bytes);
    let crc = crc32fast::hash(&bytes);
    put_u32(&mut bytes, crc);
    files::replace(&path(store), &bytes)
}

/// Takes the note away, durably. It is evidence until the journal was found to go as far.
pub(crate) fn remove(store: &Path) -> Result<(), StoreError> {
    let path = path(store);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| files::sync_parent(&path)),
    }
    .tried("removing", &path)
}

/// What stands in the note. One that does not read is none: the journal says the same.
pub(crate) fn read(store: &Path, id: &[u8; 16]) -> Result<Option<(Cursor, Heads)>, StoreError> {
    let path = path(store);
    let Some(bytes) = files::read(&path)? else { return Ok(None) };
    let noted = parse(&bytes, id);
    if noted.is_none() {
        tracing::warn!(path = %path.display(), "the note of the last closing does not read; the journal is read instead");
    }
    Ok(noted)
}

fn parse(bytes: &[u8], id: &[u8; 16]) -> Option<(Cursor, Heads)> {
    let (covered, crc) = bytes.split_last_chunk::<4>()?;
    let mut reader = Reader::new(covered);
    if crc32fast::hash(covered) != u32::from_le_bytes(*crc)
        || reader.array()? != MAGIC
        || reader.array()? != *id
    {
        return None;
    }
    let cursor = Cursor {
        segment: reader.u64()?,
        offset: reader.u64()?,
        sequence: reader.u64()?,
        next: Position(reader.u64()?),
        before: reader.u32()?,
    };
    Some((cursor, Heads::read(&mut reader)?))
}
