//! Which store this is: its format, its id, the salt of its pseudonyms, and its keys, wrapped under the master key.

use std::path::{Path, PathBuf};

use enact_core::store::StoreError;
use rand::RngCore;

use crate::codec::CodecError;
use crate::codec::bytes::{Reader, put_u16, put_u32};
use crate::files;
use crate::secrets::{Fingerprint, KeyRing, MasterKey, WrappedKey};

const MAGIC: [u8; 4] = *b"ENST";
/// The newest format of a store's folder that this build reads.
///
/// 1 is a store without keys, and is written for one still.
pub(crate) const STORE_FORMAT: u32 = 2;

/// What is written when a store is made, and when it gets another master key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StoreIdentity {
    pub(crate) id: [u8; 16],
    pub(crate) salt: [u8; 32],
    /// None: what is recorded is not encrypted.
    pub(crate) keys: Option<StoreKeys>,
}

/// The keys of a store, wrapped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StoreKeys {
    /// Of the master key that they are wrapped under.
    print: Fingerprint,
    wrapped: Vec<WrappedKey>,
}

impl StoreKeys {
    /// Wraps keys under a master key.
    pub(crate) fn new(ring: &KeyRing, master: &MasterKey) -> Result<Self, StoreError> {
        let wrapped = ring.wrap(master).map_err(|error| {
            StoreError::io("wrapping the keys of the store", std::io::Error::other(error))
        })?;
        Ok(Self { print: master.print(), wrapped })
    }

    /// Unwraps them.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`]; `Corrupt`, where it is the right key and what is there is not what was wrapped.
    pub(crate) fn open(
        &self,
        identity: &StoreIdentity,
        store: &Path,
        master: &MasterKey,
    ) -> Result<KeyRing, StoreError> {
        if master.print() != self.print {
            let given = Some(master.fingerprint());
            return Err(StoreError::WrongKey { path: store.to_owned(), needed: self.needed(), given });
        }
        KeyRing::open(master, identity.id, &self.wrapped).map_err(|_| StoreError::Corrupt {
            path: path(store),
            what: "its keys do not open, though the master key is the right one".into(),
        })
    }

    /// The fingerprint of the master key that is needed.
    pub(crate) fn needed(&self) -> String {
        crate::digits(&self.print)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let print = reader.array()?;
        let wrapped = (0..reader.u16()?).map(|_| reader.array()).collect::<Option<_>>()?;
        Some(Self { print, wrapped })
    }
}

/// The file. A folder without it is no store.
pub(crate) fn path(store: &Path) -> PathBuf {
    store.join("store")
}

impl StoreIdentity {
    /// Of a new store.
    pub(crate) fn random() -> Self {
        let mut new = Self { id: [0; 16], salt: [0; 32], keys: None };
        rand::rng().fill_bytes(&mut new.id);
        rand::rng().fill_bytes(&mut new.salt);
        new
    }

    /// Writes it durably.
    pub(crate) fn write(&self, store: &Path) -> Result<(), StoreError> {
        let mut bytes = MAGIC.to_vec();
        put_u32(&mut bytes, if self.keys.is_some() { STORE_FORMAT } else { 1 });
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(&self.salt);
        if let Some(StoreKeys { print, wrapped }) = &self.keys {
            bytes.extend_from_slice(print);
            put_u16(&mut bytes, u16::try_from(wrapped.len()).unwrap_or(u16::MAX));
            bytes.extend_from_slice(wrapped.as_flattened());
        }
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
        let id = reader.array().ok_or_else(damaged)?;
        let salt = reader.array().ok_or_else(damaged)?;
        let keys = if found < 2 { None } else { Some(StoreKeys::read(&mut reader).ok_or_else(damaged)?) };
        Ok(Self { id, salt, keys })
    }
}
