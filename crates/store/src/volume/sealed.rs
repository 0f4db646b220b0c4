//! Sealed volumes: never written again, opened when they are asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use enact_core::ids::RunId;
use enact_core::store::StoreError;
use enact_core::time::Timestamp;

use super::heads::{self, BLOB_BYTES, Head, KEY_BYTES, KeyHeld, RUN_BYTES};
use super::manifest::Entry;
use super::secrets::Secrets;
use super::table::Table;
use enact_merkle::Hash;

/// A sealed volume.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) entry: Entry,
    /// The folder of its database.
    pub(crate) folder: PathBuf,
    pub(crate) runs: Table<RUN_BYTES>,
    pub(crate) keys: Table<KEY_BYTES>,
    pub(crate) blobs: Table<BLOB_BYTES>,
    pub(crate) leaves: Table<32>,
    /// The keys of its runs. Not among what the manifest sums up: erasing a run changes it.
    pub(crate) secrets: Secrets,
}

/// The folder in which a store has its volumes.
pub(crate) fn volumes_dir(store: &Path) -> PathBuf {
    store.join("volumes")
}

/// The folder of a volume's database.
pub(crate) fn folder(store: &Path, number: u64) -> PathBuf {
    volumes_dir(store).join(format!("{number:08}"))
}

/// A table beside a volume.
pub(crate) fn table_path(store: &Path, number: u64, name: &str) -> PathBuf {
    folder(store, number).with_extension(name)
}

/// The log's time at the end of each of these volumes, which are the oldest of the log: no key in it was taken later.
pub(crate) fn log_times(sealed: &[Arc<Sealed>]) -> impl Iterator<Item = Timestamp> {
    sealed.iter().scan(Timestamp::default(), |now, sealed| {
        *now = (*now).max(sealed.entry.times.1);
        Some(*now)
    })
}

impl Sealed {
    /// The volume that the manifest speaks of. No file is touched.
    pub(crate) fn new(store: &Path, entry: Entry) -> Self {
        let table = |name| table_path(store, entry.number, name);
        Self {
            folder: folder(store, entry.number),
            runs: Table::new(table("runs"), entry.runs),
            keys: Table::new(table("keys"), entry.keys),
            blobs: Table::new(table("blobs"), entry.blobs),
            leaves: Table::new(table("leaves"), entry.leaves),
            secrets: Secrets::new(table("secrets")),
            entry,
        }
    }

    /// What is known of a run at the end of this volume; `None` where it has no events in it.
    pub(crate) fn head(&self, run: RunId) -> Result<Option<Head>, StoreError> {
        let (lowest, highest) = self.entry.touched;
        if self.entry.pruned || run < lowest || run > highest {
            return Ok(None);
        }
        let Some(entry) = self.runs.find(run.as_bytes())? else { return Ok(None) };
        Ok(heads::read_run(&entry).map(|(_, head)| head).filter(Head::is_here))
    }

    /// Whether keys were taken in it and are still there.
    pub(crate) fn has_keys(&self) -> bool {
        self.entry.keys.count > 0 && !self.entry.pruned
    }

    /// Whether there is a file with keys of its runs.
    pub(crate) fn has_secrets(&self) -> bool {
        self.entry.secrets && !self.entry.pruned
    }

    /// Who took a key in this volume.
    pub(crate) fn key(&self, key: &Hash) -> Result<Option<KeyHeld>, StoreError> {
        let entry = self.keys.find(key)?;
        Ok(entry.as_ref().and_then(heads::read_key).map(|(_, held)| held))
    }
}
