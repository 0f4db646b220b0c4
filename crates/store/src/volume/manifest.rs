//! The manifest: which volumes are sealed, and what has to be in each. Replaced as a whole.

use std::path::{Path, PathBuf};

use enact_core::ids::{Position, RunId};
use enact_core::store::StoreError;
use enact_core::time::Timestamp;

use super::table::TableSummary;
use crate::codec::CodecError;
use crate::codec::bytes::{Reader, put_u16, put_u32, put_u64};
use crate::codec::merkle::Hash;
use crate::files;

const MAGIC: [u8; 4] = *b"ENM1";
/// The newest format of the manifest.
pub(crate) const MANIFEST_FORMAT: u16 = 1;
const PRUNED: u8 = 1;

/// What is known of a sealed volume.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    pub(crate) first: Position,
    pub(crate) last: Position,
    /// The root over the leaf hashes of its records.
    pub(crate) root: Hash,
    /// The oldest and the newest time of its events.
    pub(crate) times: (Timestamp, Timestamp),
    /// The lowest and the highest id of the runs that have events in it.
    pub(crate) touched: (RunId, RunId),
    pub(crate) runs: TableSummary,
    pub(crate) keys: TableSummary,
    pub(crate) blobs: TableSummary,
    pub(crate) leaves: TableSummary,
    /// Whether all but the leaf hashes was deleted.
    pub(crate) pruned: bool,
}

impl Entry {
    /// How many events it has, or had.
    pub(crate) fn count(&self) -> u64 {
        (self.last.0 + 1).saturating_sub(self.first.0)
    }
}

/// Where the manifest of a store is.
pub(crate) fn path(store: &Path) -> PathBuf {
    store.join("manifest")
}

/// Writes the manifest durably.
pub(crate) fn write<'a>(
    store: &Path,
    id: &[u8; 16],
    entries: impl ExactSizeIterator<Item = &'a Entry>,
) -> Result<(), StoreError> {
    let mut bytes = MAGIC.to_vec();
    put_u16(&mut bytes, MANIFEST_FORMAT);
    bytes.extend_from_slice(id);
    put_u64(&mut bytes, entries.len() as u64);
    entries.for_each(|entry| put_entry(&mut bytes, entry));
    let crc = crc32fast::hash(&bytes);
    put_u32(&mut bytes, crc);
    files::replace(&path(store), &bytes)
}

/// Reads the manifest; a store that never sealed a volume has none.
pub(crate) fn read(store: &Path, id: &[u8; 16]) -> Result<Vec<Entry>, StoreError> {
    let path = path(store);
    match files::read(&path)? {
        Some(bytes) => parse(&bytes, id).map_err(|error| error.at(&path, "the manifest")),
        None => Ok(Vec::new()),
    }
}

fn parse(bytes: &[u8], id: &[u8; 16]) -> Result<Vec<Entry>, CodecError> {
    let cut_off = || CodecError::damaged("it is cut off");
    let (covered, crc) = bytes.split_last_chunk::<4>().ok_or_else(cut_off)?;
    let mut reader = Reader::new(covered);
    if crc32fast::hash(covered) != u32::from_le_bytes(*crc) || reader.array() != Some(MAGIC) {
        return Err(CodecError::damaged("it does not have the checksum that it was written with"));
    }
    let format = reader.u16().ok_or_else(cut_off)?;
    if format > MANIFEST_FORMAT {
        let (found, known) = (u32::from(format), u32::from(MANIFEST_FORMAT));
        return Err(CodecError::Newer { what: "manifest format", found, known });
    }
    if reader.array() != Some(*id) {
        return Err(CodecError::damaged("it belongs to another store"));
    }
    let count = reader.u64().ok_or_else(cut_off)?;
    let entries: Vec<_> = (0..count).map_while(|_| read_entry(&mut reader)).collect();
    if entries.len() as u64 == count && reader.is_empty() { Ok(entries) } else { Err(cut_off()) }
}

fn put_entry(to: &mut Vec<u8>, entry: &Entry) {
    put_u64(to, entry.number);
    put_u64(to, entry.first.0);
    put_u64(to, entry.last.0);
    to.extend_from_slice(&entry.root);
    put_u64(to, entry.times.0.unix_us());
    put_u64(to, entry.times.1.unix_us());
    to.extend_from_slice(entry.touched.0.as_bytes());
    to.extend_from_slice(entry.touched.1.as_bytes());
    for table in [entry.runs, entry.keys, entry.blobs, entry.leaves] {
        put_u64(to, table.count);
        put_u32(to, table.crc);
    }
    to.push(if entry.pruned { PRUNED } else { 0 });
}

fn read_entry(reader: &mut Reader<'_>) -> Option<Entry> {
    let number = reader.u64()?;
    let (first, last) = (Position(reader.u64()?), Position(reader.u64()?));
    let root = reader.array()?;
    let times = (Timestamp::from_unix_us(reader.u64()?), Timestamp::from_unix_us(reader.u64()?));
    let touched = (RunId::from_bytes(reader.array()?), RunId::from_bytes(reader.array()?));
    let [runs, keys, blobs, leaves] =
        [read_table(reader)?, read_table(reader)?, read_table(reader)?, read_table(reader)?];
    let pruned = reader.u8()? & PRUNED != 0;
    Some(Entry { number, first, last, root, times, touched, runs, keys, blobs, leaves, pruned })
}

fn read_table(reader: &mut Reader<'_>) -> Option<TableSummary> {
    Some(TableSummary { count: reader.u64()?, crc: reader.u32()? })
}
