//! The manifest: which volumes are sealed, and what has to be in each. Replaced as a whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use enact_core::ids::{Position, RunId};
use enact_core::store::StoreError;
use enact_core::time::Timestamp;

use super::table::TableSummary;
use crate::codec::CodecError;
use crate::codec::bytes::{Reader, put_u16, put_u32, put_u64};
use crate::files;
use enact_merkle::Hash;

const MAGIC: [u8; 4] = *b"ENM1";
/// The newest format of the manifest.
///
/// 1 has no cut runs at its end.
pub(crate) const MANIFEST_FORMAT: u16 = 2;
const PRUNED: u8 = 1;
/// There is a file of run keys beside the volume. Only a store with keys has such, and older builds refuse that.
const SECRETS: u8 = 2;

/// What the manifest says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Manifest {
    /// Oldest first.
    pub(crate) entries: Vec<Entry>,
    /// Runs whose beginning was pruned and that have events in what stays: they are pruned whole, and nobody reads
    /// those events.
    pub(crate) cut: BTreeSet<RunId>,
}

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
    /// Whether runs of it have keys.
    pub(crate) secrets: bool,
}

impl Entry {
    /// The tables beside the volume that are there, by the ends of their names.
    pub(crate) fn tables(&self) -> &'static [&'static str] {
        match (self.pruned, self.secrets) {
            (true, _) => &["leaves"],
            (false, false) => &["leaves", "runs", "keys", "blobs"],
            (false, true) => &["leaves", "runs", "keys", "blobs", "secrets"],
        }
    }

    /// How many events it has, or had.
    pub(crate) fn count(&self) -> u64 {
        (self.last.0 + 1).saturating_sub(self.first.0)
    }
}

/// The tables that are deleted with a volume, by the ends of their names.
pub(crate) const PRUNED_TABLES: [&str; 4] = ["runs", "keys", "blobs", "secrets"];

/// Where the manifest of a store is.
pub(crate) fn path(store: &Path) -> PathBuf {
    store.join("manifest")
}

/// Writes the manifest durably.
pub(crate) fn write<'a>(
    store: &Path,
    id: &[u8; 16],
    entries: impl ExactSizeIterator<Item = &'a Entry>,
    cut: &BTreeSet<RunId>,
) -> Result<(), StoreError> {
    files::replace(&path(store), &encode(id, entries, cut))
}

/// The manifest as it stands in its file.
pub(crate) fn encode<'a>(
    id: &[u8; 16],
    entries: impl ExactSizeIterator<Item = &'a Entry>,
    cut: &BTreeSet<RunId>,
) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    put_u16(&mut bytes, MANIFEST_FORMAT);
    bytes.extend_from_slice(id);
    put_u64(&mut bytes, entries.len() as u64);
    entries.for_each(|entry| put_entry(&mut bytes, entry));
    put_u64(&mut bytes, cut.len() as u64);
    cut.iter().for_each(|run| bytes.extend_from_slice(run.as_bytes()));
    let crc = crc32fast::hash(&bytes);
    put_u32(&mut bytes, crc);
    bytes
}

/// Reads the manifest; a store that never sealed a volume has none.
pub(crate) fn read(store: &Path, id: &[u8; 16]) -> Result<Manifest, StoreError> {
    let path = path(store);
    match files::read(&path)? {
        Some(bytes) => parse(&bytes, id).map_err(|error| error.at(&path, "the manifest")),
        None => Ok(Manifest::default()),
    }
}

fn parse(bytes: &[u8], id: &[u8; 16]) -> Result<Manifest, CodecError> {
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
    let cuts = if format < 2 { 0 } else { reader.u64().ok_or_else(cut_off)? };
    let runs: Vec<_> = (0..cuts).map_while(|_| reader.array().map(RunId::from_bytes)).collect();
    if entries.len() as u64 != count || runs.len() as u64 != cuts || !reader.is_empty() {
        return Err(cut_off());
    }
    Ok(Manifest { entries, cut: runs.into_iter().collect() })
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
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    to.push(flag(entry.pruned, PRUNED) | flag(entry.secrets, SECRETS));
}

fn read_entry(reader: &mut Reader<'_>) -> Option<Entry> {
    let number = reader.u64()?;
    let (first, last) = (Position(reader.u64()?), Position(reader.u64()?));
    let root = reader.array()?;
    let times = (Timestamp::from_unix_us(reader.u64()?), Timestamp::from_unix_us(reader.u64()?));
    let touched = (RunId::from_bytes(reader.array()?), RunId::from_bytes(reader.array()?));
    let [runs, keys, blobs, leaves] =
        [read_table(reader)?, read_table(reader)?, read_table(reader)?, read_table(reader)?];
    let flags = reader.u8()?;
    let (pruned, secrets) = (flags & PRUNED != 0, flags & SECRETS != 0);
    Some(Entry { number, first, last, root, times, touched, runs, keys, blobs, leaves, pruned, secrets })
}

fn read_table(reader: &mut Reader<'_>) -> Option<TableSummary> {
    Some(TableSummary { count: reader.u64()?, crc: reader.u32()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_back_also_one_of_the_format_before_runs_were_cut() {
        let (dir, id) = (tempfile::tempdir().unwrap(), [7; 16]);
        let run = |n| RunId::from_bytes([n; 16]);
        let table = TableSummary { count: 1, crc: 2 };
        let entry = Entry {
            number: 1,
            first: Position(1),
            last: Position(9),
            root: [3; 32],
            times: (Timestamp::from_unix_us(1), Timestamp::from_unix_us(2)),
            touched: (run(1), run(2)),
            runs: table,
            keys: table,
            blobs: table,
            leaves: table,
            pruned: true,
            secrets: true,
        };
        let cut = BTreeSet::from([run(4), run(5)]);
        write(dir.path(), &id, [&entry].into_iter(), &cut).unwrap();
        let read_back = read(dir.path(), &id).unwrap();
        assert_eq!(read_back, Manifest { entries: vec![entry.clone()], cut });

        let mut first = MAGIC.to_vec();
        put_u16(&mut first, 1);
        first.extend_from_slice(&id);
        put_u64(&mut first, 1);
        put_entry(&mut first, &entry);
        let crc = crc32fast::hash(&first);
        put_u32(&mut first, crc);
        std::fs::write(path(dir.path()), first).unwrap();
        let read_back = read(dir.path(), &id).unwrap();
        assert_eq!(read_back, Manifest { entries: vec![entry], cut: BTreeSet::new() });
    }
}
