//! How an event is written as bytes, and read back for ever.
//!
//! A record is a clear header, of a fixed size and nothing personal in it, and a payload: the body of the
//! event in bincode. Header and payload are under a CRC32 against decay; the [leaf hash](leaf) over
//! the header and the hash of the payload is computed once, when the record is made, and kept in the record,
//! so that a proof stays valid when the payload is later encrypted, erased or pruned.
//!
//! ```text
//!   0  4  magic "ENR1"             \
//!   4  2  record format             |
//!   6  2  kind                      |
//!   8  2  version of the payload    |
//!  10  2  1: the payload is encrypted|  the header that the leaf hash covers
//!  12 16  run                       |
//!  28  8  number within the run     |
//!  36  8  position                  |
//!  44  8  time, µs since 1970       |
//!  52 16  pseudonym of the user     |
//!  68  4  length of the payload    /
//!  72 32  leaf hash
//! 104  4  CRC32 of all before and of the payload
//! 108     payload
//! ```
//! Format 1 has zero where the flag is, and is written for plain payloads still. An encrypted payload is a nonce, the
//! ciphertext and its tag; it is bound to run, number, kind and version. The leaf hash is over what is stored, so that
//! it is right with and without the key.
//!
//! Integers are little-endian. Every later format keeps magic, format, length and checksum at their places and
//! under the same rule, so that a record of a later build can be told from a damaged one.
//!
//! This module alone knows bincode. It knows no files and no store; bytes that it cannot read are an error,
//! never a panic.

pub(crate) mod bytes;
pub(crate) mod payload;

use std::path::Path;

use enact_core::event::{Event, NewEvent, PayloadErased, StoredEvent};
use enact_core::ids::{EventSeq, Position, Pseudonym, RunId};
use enact_core::store::{MAX_RECORD_BYTES, StoreError};
use enact_core::time::Timestamp;

use enact_merkle::{Hash, leaf_hash_of};

use self::bytes::{Reader, put_u16, put_u32, put_u64};
use crate::secrets::RunKey;

const MAGIC: [u8; 4] = *b"ENR1";
/// The newest record format that this build reads, and the one of encrypted records.
pub(crate) const RECORD_FORMAT: u16 = 2;
/// The format of plain records.
const PLAIN_FORMAT: u16 = 1;
const ENCRYPTED: u16 = 1;
/// The kind of [`Event::ContentErased`].
const ERASURE: u16 = 60;
/// The size of everything but the payload.
pub(crate) const HEADER_BYTES: usize = 108;
/// The size of the part of the header that the leaf hash covers.
pub const HASHED_BYTES: usize = 72;
const CRC_AT: usize = 104;

/// Why bytes are not a record of this build.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum CodecError {
    /// They are, of a later build.
    #[error("{what} {found} is newer than {known}")]
    Newer {
        /// Which number.
        what: &'static str,
        /// As it stands in the bytes.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// They are not what was written.
    #[error("{0}")]
    Damaged(String),
}

impl CodecError {
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// As an error of the store, with the file or folder that the bytes came from.
    pub(crate) fn at(self, path: &Path, place: impl std::fmt::Display) -> StoreError {
        match self {
            Self::Newer { found, known, .. } => {
                StoreError::NewerFormat { path: path.to_owned(), found, known }
            }
            Self::Damaged(what) => {
                StoreError::Corrupt { path: path.to_owned(), what: format!("{place}: {what}") }
            }
        }
    }
}

/// An event, encoded as far as that is possible before its place in the log is known.
#[derive(Debug)]
pub(crate) struct Prepared {
    kind: u16,
    version: u16,
    at: Timestamp,
    by: Pseudonym,
    encrypted: bool,
    payload: Vec<u8>,
    payload_hash: Hash,
}

/// What an encrypted payload is bound to.
fn binding(run: RunId, seq: EventSeq, kind: u16, version: u16) -> Vec<u8> {
    let mut binding = b"enact.payload.1".to_vec();
    binding.extend_from_slice(run.as_bytes());
    put_u64(&mut binding, seq.0);
    put_u16(&mut binding, kind);
    put_u16(&mut binding, version);
    binding
}

impl Prepared {
    /// Encodes the body of an event that will have this number in its run, and encrypts it where there is a key. What
    /// is said of an erasure has to be readable without one.
    pub(crate) fn new(
        event: &NewEvent,
        run: RunId,
        seq: EventSeq,
        key: Option<&RunKey>,
    ) -> Result<Self, StoreError> {
        let (version, mut payload) = payload::encode(&event.event)?;
        let key = key.filter(|_| !matches!(event.event, Event::ContentErased(_)));
        if let Some(key) = key {
            let binding = binding(run, seq, event.event.code(), version);
            payload = key
                .seal(&binding, &payload)
                .map_err(|error| StoreError::io("encrypting an event", std::io::Error::other(error)))?;
        }
        let size = payload.len().saturating_add(HEADER_BYTES);
        if size > MAX_RECORD_BYTES {
            return Err(StoreError::TooLarge { size, limit: MAX_RECORD_BYTES });
        }
        let payload_hash = payload_hash(&payload);
        let kind = event.event.code();
        Ok(Self {
            kind,
            version,
            at: event.at,
            by: event.by,
            encrypted: key.is_some(),
            payload,
            payload_hash,
        })
    }

    /// The size of the record.
    pub(crate) fn record_bytes(&self) -> usize {
        self.payload.len() + HEADER_BYTES
    }

    /// Writes the record, now that its place is known.
    pub(crate) fn write(&self, run: RunId, seq: EventSeq, position: Position, to: &mut Vec<u8>) {
        let start = to.len();
        to.extend_from_slice(&MAGIC);
        put_u16(to, if self.encrypted { RECORD_FORMAT } else { PLAIN_FORMAT });
        put_u16(to, self.kind);
        put_u16(to, self.version);
        put_u16(to, if self.encrypted { ENCRYPTED } else { 0 });
        to.extend_from_slice(run.as_bytes());
        put_u64(to, seq.0);
        put_u64(to, position.0);
        put_u64(to, self.at.unix_us());
        to.extend_from_slice(&self.by.0);
        // `new` refuses payloads that do not fit.
        put_u32(to, u32::try_from(self.payload.len()).unwrap_or(u32::MAX));
        let leaf = leaf(to.get(start..).unwrap_or_default(), &self.payload_hash);
        to.extend_from_slice(&leaf);
        let mut crc = crc32fast::Hasher::new();
        crc.update(to.get(start..).unwrap_or_default());
        crc.update(&self.payload);
        put_u32(to, crc.finalize());
        to.extend_from_slice(&self.payload);
    }
}

/// What the clear header of a record says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordHeader {
    /// The number of the event's kind; see [`Event::code`].
    pub kind: u16,
    /// The run.
    pub run_id: RunId,
    /// Its number within the run.
    pub event_seq: EventSeq,
    /// Its place in the whole log.
    pub position: Position,
    /// When it happened.
    pub at: Timestamp,
    /// Who made it happen.
    pub by: Pseudonym,
    version: u16,
    encrypted: bool,
}

impl RecordHeader {
    /// Reads the header of a record of any format of this build, without its leaf hash and checksum. `None` for anything else.
    #[must_use]
    pub fn parse(header: &[u8; HASHED_BYTES]) -> Option<Self> {
        if !header.starts_with(&MAGIC) || check_format(header).is_err() {
            return None;
        }
        Self::fields(header)
    }

    fn fields(header: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(header.get(6..)?);
        Some(Self {
            kind: reader.u16()?,
            version: reader.u16()?,
            encrypted: reader.u16()? == ENCRYPTED,
            run_id: RunId::from_bytes(reader.array()?),
            event_seq: EventSeq(reader.u64()?),
            position: Position(reader.u64()?),
            at: Timestamp::from_unix_us(reader.u64()?),
            by: Pseudonym(reader.array()?),
        })
    }
}

/// A record whose bytes were found to be whole; its payload is not yet read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) run: RunId,
    pub(crate) seq: EventSeq,
    pub(crate) position: Position,
    pub(crate) at: Timestamp,
    pub(crate) leaf: Hash,
    kind: u16,
    version: u16,
    by: Pseudonym,
    encrypted: bool,
    header: &'a [u8],
    payload: &'a [u8],
}

/// The size of the record that begins with these bytes, as its header says; `None` where they are too few, or say
/// more than a record may have. Nothing else is checked.
pub(crate) fn record_size(bytes: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(bytes.get(HASHED_BYTES - 4..HASHED_BYTES)?);
    let size = usize::try_from(reader.u32()?).ok()?.checked_add(HEADER_BYTES)?;
    (size <= MAX_RECORD_BYTES).then_some(size)
}

impl<'a> Record<'a> {
    /// The position in the header that begins with these bytes; `None` where none does. Nothing else is checked.
    pub(crate) fn position_at(bytes: &[u8]) -> Option<Position> {
        let header = bytes.get(..HEADER_BYTES).filter(|header| header.starts_with(&MAGIC))?;
        Reader::new(header.get(36..)?).u64().map(Position)
    }

    /// Takes one record from the front of `bytes` and gives what follows it.
    pub(crate) fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), CodecError> {
        let cut_off = || CodecError::damaged("a record is cut off, or its length is wrong");
        let (header, _) = bytes.split_at_checked(HEADER_BYTES).ok_or_else(cut_off)?;
        if !header.starts_with(&MAGIC) {
            return Err(CodecError::damaged("no record begins here"));
        }
        let size = record_size(header).ok_or_else(cut_off)?;
        let (whole, rest) = bytes.split_at_checked(size).ok_or_else(cut_off)?;
        let payload = whole.get(HEADER_BYTES..).unwrap_or_default();
        check_sum(header, payload)?;
        check_format(header)?;
        let record = Self::fields(header, payload).ok_or_else(cut_off)?;
        Ok((record, rest))
    }

    fn fields(header: &'a [u8], payload: &'a [u8]) -> Option<Self> {
        let RecordHeader { kind, run_id: run, event_seq: seq, position, at, by, version, encrypted } =
            RecordHeader::fields(header)?;
        let leaf = Reader::new(header.get(HASHED_BYTES..)?).array()?;
        Some(Self { run, seq, position, at, leaf, kind, version, by, encrypted, header, payload })
    }

    /// The part of the header that the leaf hash covers.
    pub(crate) fn hashed_header(&self) -> [u8; HASHED_BYTES] {
        let mut header = [0; HASHED_BYTES];
        header.iter_mut().zip(self.header).for_each(|(to, from)| *to = *from);
        header
    }

    /// The hash of the payload as it is stored.
    pub(crate) fn payload_hash(&self) -> Hash {
        payload_hash(self.payload)
    }

    /// Whether the leaf hash is that of header and payload.
    pub(crate) fn leaf_is_right(&self) -> bool {
        let hashed = self.header.get(..HASHED_BYTES).unwrap_or_default();
        leaf(hashed, &payload_hash(self.payload)) == self.leaf
    }

    /// Whether the payload needs the run's key to be read.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Reads the payload, under the run's key where it is encrypted.
    pub(crate) fn event(&self, key: Option<&RunKey>) -> Result<StoredEvent, CodecError> {
        if !self.encrypted {
            return Ok(self.with(payload::decode(self.kind, self.version, self.payload)?));
        }
        let binding = binding(self.run, self.seq, self.kind, self.version);
        let key = key.ok_or_else(|| CodecError::damaged("a record is encrypted and its run has no key"))?;
        let opened = key.open(&binding, self.payload).map_err(|error| {
            CodecError::damaged(format!("the record at position {}: {error}", self.position))
        })?;
        Ok(self.with(payload::decode(self.kind, self.version, &opened)?))
    }

    /// The blobs that went with the content of the run, where this says that it was erased.
    pub(crate) fn gone(&self) -> Result<Vec<Hash>, CodecError> {
        if self.kind != ERASURE {
            return Ok(Vec::new());
        }
        match self.event(None)?.event {
            Event::ContentErased(erased) => Ok(erased.blobs),
            _ => Ok(Vec::new()),
        }
    }

    /// What is left of an event whose run was erased: all but its payload.
    pub(crate) fn erased(&self) -> StoredEvent {
        self.with(Event::PayloadErased(PayloadErased { was: Event::name_of(self.kind).into() }))
    }

    fn with(&self, event: Event) -> StoredEvent {
        let Self { position, run: run_id, seq: event_seq, at, by, .. } = *self;
        StoredEvent { position, run_id, event_seq, at, by, event }
    }
}

/// Refuses bytes that are not those that were written.
fn check_sum(header: &[u8], payload: &[u8]) -> Result<(), CodecError> {
    let (summed, sum) = header.split_at_checked(CRC_AT).unwrap_or_default();
    let mut crc = crc32fast::Hasher::new();
    crc.update(summed);
    crc.update(payload);
    if Reader::new(sum).u32() == Some(crc.finalize()) {
        Ok(())
    } else {
        Err(CodecError::damaged("a record does not have the checksum that it was written with"))
    }
}

/// Refuses the records of a later build.
fn check_format(header: &[u8]) -> Result<(), CodecError> {
    let number = |at| header.get(at..).and_then(|bytes| Reader::new(bytes).u16()).unwrap_or_default();
    let (found, flags) = (number(4), number(10));
    if (found <= PLAIN_FORMAT && flags == 0) || (found == RECORD_FORMAT && flags == ENCRYPTED) {
        return Ok(());
    }
    Err(CodecError::Newer {
        what: "record format",
        found: u32::from(found.max(RECORD_FORMAT + 1)),
        known: u32::from(RECORD_FORMAT),
    })
}

/// The hash of a payload as it is stored.
fn payload_hash(payload: &[u8]) -> Hash {
    enact_merkle::sha256(&[payload])
}

/// The leaf hash of a record. The header has a fixed size and begins with a magic, so that no two records
/// give the same bytes to the hash.
pub(crate) fn leaf(header: &[u8], payload_hash: &Hash) -> Hash {
    leaf_hash_of(&[header, payload_hash])
}

#[cfg(test)]
mod tests;
