//! Sealing a volume: synced, read back, described, and never written again.

use std::fs;
use std::io::Write;
use std::path::Path;

use enact_core::ids::{Position, RunId};
use enact_core::store::StoreError;

use super::contents::{Contents, VolumeError};
use super::heads::{Heads, Kept, key_entry, run_entry};
use super::manifest::Entry;
use super::sealed::{folder, table_path};
use super::secrets;
use super::table::{self, TableSummary};
use crate::files::{self, Tried};
use enact_merkle::{Frontier, Hash};

/// Seals the closed database of a volume whose records begin at `first`. What it gives has to go into the
/// manifest; until then, nothing has happened.
pub(crate) fn seal(store: &Path, number: u64, first: Position, heads: &Heads) -> Result<Entry, VolumeError> {
    let folder = folder(store, number);
    files::sync_tree(&folder)?;
    let contents = Contents::open_existing(&folder)?;
    let (root, leaves) = read_back(store, number, first, heads.last, &contents)?;
    // Opening it the first time made sled write what later openings leave as it is.
    contents.close()?;
    no_blobs(&folder)?;
    files::make_private(&folder)?;
    files::sync_tree(&folder)?;

    let table = |name| table_path(store, number, name);
    let runs = table::write(&table("runs"), heads.runs.iter().map(|(run, head)| run_entry(*run, *head)))?;
    let keys = heads.sorted_keys();
    let keys = table::write(&table("keys"), keys.into_iter().map(|(key, held)| key_entry(key, held)))?;
    let blobs = table::write(&table("blobs"), heads.blobs.iter().copied())?;
    let has_secrets = heads.runs.values().any(|head| head.kept != Kept::Plain);
    if has_secrets {
        secrets::write(&table("secrets"), heads.secrets.iter().map(|(run, wrapped)| (*run, wrapped)))?;
    }
    let touched = touched(heads).ok_or_else(|| VolumeError::Damaged("a volume without runs".into()))?;
    let times = heads.times.unwrap_or_default();
    Ok(Entry {
        number,
        first,
        last: heads.last,
        root,
        times,
        touched,
        runs,
        keys,
        blobs,
        leaves,
        pruned: false,
        secrets: has_secrets,
    })
}

fn touched(heads: &Heads) -> Option<(RunId, RunId)> {
    let mut here = heads.runs.iter().filter(|(_, head)| head.is_here()).map(|(run, _)| *run);
    let lowest = here.next()?;
    Some((lowest, here.next_back().unwrap_or(lowest)))
}

/// Reads all of it, as one who opens it later would, and writes down the leaf hashes.
fn read_back(
    store: &Path,
    number: u64,
    first: Position,
    last: Position,
    contents: &Contents,
) -> Result<(Hash, TableSummary), VolumeError> {
    let path = table_path(store, number, "leaves");
    let mut tree = Frontier::default();
    let mut expected = first;
    let mut crc = crc32fast::Hasher::new();
    let mut read: Result<(), VolumeError> = Ok(());
    files::replace_with(&path, |file| {
        let mut file = std::io::BufWriter::new(file);
        let mut wrote = Ok(());
        read = contents.scan(first, &mut |record, _| {
            if record.position != expected {
                return Err(VolumeError::Damaged(format!("position {expected} is missing")));
            }
            expected = expected.next();
            tree.push(record.leaf);
            crc.update(&record.leaf);
            wrote = file.write_all(&record.leaf);
            Ok(wrote.is_ok())
        });
        wrote?;
        file.flush()
    })?;
    read?;
    let count = expected.0 - first.0;
    if expected != last.next() || contents.indexed()? != count {
        let what = format!("the volume holds {count} events, and should go up to position {last}");
        return Err(VolumeError::Damaged(what));
    }
    Ok((tree.root(), TableSummary { count, crc: crc.finalize() }))
}

/// sled puts large values into files of their own that it never syncs. There are none.
fn no_blobs(folder: &Path) -> Result<(), StoreError> {
    let blobs = folder.join("blobs");
    let mut there = match fs::read_dir(&blobs) {
        Ok(there) => there,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).tried("listing", &blobs),
    };
    match there.next() {
        None => Ok(()),
        Some(_) => Err(StoreError::Corrupt {
            path: blobs,
            what: "sled put values into files that it does not sync".into(),
        }),
    }
}
