//! Which store this is: its format, its id, and the salt of its pseudonyms.

use std::path::{Path, PathBuf};

use enact_core::store::StoreError;
use rand::RngCore;

use crate::codec::CodecError;
use crate::codec::bytes::{Reader, put_u32};
use crate::files;

const MAGIC: [u8; 4] = *b"ENST";
/// The newest format of a store's folder that this build reads, and the one that it writes.
pub(crate) const STORE_FORMAT: u32 = 1;

/// What is written once, when a store is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StoreIdentity {
    pub(crate) id: [u8; 16],
    pub(crate) salt: [u8; 32],
}

/// The file. A folder without it is no store.
pub(crate) fn path(store: &Path) -> PathBuf {
    store.join("store")
}

impl StoreIdentity {
    /// Of a new store.
    pub(crate) fn random() -> Self {
        let mut new = Self { id: [0; 16], salt: [0; 32] };
        rand::rng().fill_bytes(&mut new.id);
        rand::rng().fill_bytes(&mut new.salt);
        new
    }

    /// Writes it durably.
    pub(crate) fn write(&self, store: &Path) -> Result<(), StoreError> {
        let mut bytes = MAGIC.to_vec();
        put_u32(&mut bytes, STORE_FORMAT);
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(&self.salt);
        let crc = crc32fast::hash(&bytes);
        put_u32(&mut bytes, crc);
        files::replace(&path(store), &bytes)
    }

    /// Reads it; `None` where there is none.
    pub(crate) fn read(store: &Path) -> Result<Option<Self>, StoreError> {
        let path = path(store);
        let Some(bytes) = files::read(&path)? else { return Ok(None) };
        Self::parse(&bytes).map(Some).map_err(|error| error.at(&path, "the identity of the store"))
    }

    fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        let damaged = || CodecError::damaged("it does not have the checksum that it was written with");
        let mut reader = Reader::new(bytes);
        let magic = reader.array().ok_or_else(damaged)?;
        let found = reader.u32().ok_or_else(damaged)?;
        let (covered, crc) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if magic != MAGIC || crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
            return Err(damaged());
        }
        if found > STORE_FORMAT {
            return Err(CodecError::Newer { what: "store format", found, known: STORE_FORMAT });
        }
        Ok(Self { id: reader.array().ok_or_else(damaged)?, salt: reader.array().ok_or_else(damaged)? })
    }
}
