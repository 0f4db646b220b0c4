//! The wrapped keys of the runs of a sealed volume, in a file beside it.
//!
//! ```text
//!  magic "ENSECRT1" · number of entries, 8 bytes · entries of 78 bytes, sorted by run · CRC32 of all before
//! ```
//! It is the one file of a sealed volume that changes: erasing a run replaces it as a whole. So it has its own
//! checksum, and a reader has the old file or the new one.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use enact_core::ids::RunId;
use enact_core::store::StoreError;

use super::heads::{SECRET_BYTES, read_secret, secret_entry};
use crate::files::{self, Tried};
use crate::secrets::Wrapped;

const MAGIC: [u8; 8] = *b"ENSECRT1";
const START_BYTES: usize = 16;
const START: u64 = START_BYTES as u64;
const SUM: u64 = 4;
const ENTRY: u64 = SECRET_BYTES as u64;

/// Writes the file durably.
pub(crate) fn write<'a>(
    path: &Path,
    secrets: impl ExactSizeIterator<Item = (RunId, &'a Wrapped)>,
) -> Result<(), StoreError> {
    files::replace_with(path, |file| {
        let mut file = BufWriter::new(file);
        let mut crc = crc32fast::Hasher::new();
        let mut put = |bytes: &[u8]| {
            crc.update(bytes);
            file.write_all(bytes)
        };
        put(&MAGIC)?;
        put(&(secrets.len() as u64).to_le_bytes())?;
        for (run, wrapped) in secrets {
            put(&secret_entry(run, wrapped))?;
        }
        let crc = crc.finalize();
        file.write_all(&crc.to_le_bytes())?;
        file.flush()
    })
}

/// The file beside a volume.
#[derive(Debug)]
pub(crate) struct Secrets {
    path: PathBuf,
}

impl Secrets {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn corrupt(&self, what: impl Into<String>) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), what: what.into() }
    }

    fn open(&self) -> Result<(File, u64), StoreError> {
        let file = File::open(&self.path).needed("opening", &self.path)?;
        let size = file.metadata().tried("reading the size of", &self.path)?.len();
        let mut start = [0; START_BYTES];
        let not_whole = || self.corrupt("it is not a whole file of run keys");
        if size < START + SUM {
            return Err(not_whole());
        }
        file.read_exact_at(&mut start, 0).tried("reading", &self.path)?;
        let (magic, count) = start.split_at(MAGIC.len());
        let count = count.try_into().map(u64::from_le_bytes).unwrap_or_default();
        let expected = count.checked_mul(ENTRY).and_then(|bytes| bytes.checked_add(START + SUM));
        if magic == MAGIC && expected == Some(size) { Ok((file, count)) } else { Err(not_whole()) }
    }

    /// The wrapped key of a run. What is found is authentic only when it opens.
    pub(crate) fn find(&self, run: RunId) -> Result<Option<Wrapped>, StoreError> {
        let (file, count) = self.open()?;
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut entry = [0; SECRET_BYTES];
            file.read_exact_at(&mut entry, START + middle * ENTRY).tried("reading", &self.path)?;
            match read_secret(&entry) {
                Some((found, wrapped)) if found == run => return Ok(Some(wrapped)),
                Some((found, _)) if found < run => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(None)
    }

    /// Every run with its wrapped key, when all of the file was found to be as it was written.
    pub(crate) fn all(&self) -> Result<Vec<(RunId, Wrapped)>, StoreError> {
        let (file, count) = self.open()?;
        let mut bytes = Vec::new();
        BufReader::new(file).read_to_end(&mut bytes).tried("reading", &self.path)?;
        let sum_is_right = bytes
            .split_last_chunk::<4>()
            .is_some_and(|(covered, crc)| crc32fast::hash(covered) == u32::from_le_bytes(*crc));
        if !sum_is_right {
            return Err(self.corrupt("it does not have the checksum that it was written with"));
        }
        let (entries, _) = bytes.get(START_BYTES..).unwrap_or_default().as_chunks::<SECRET_BYTES>();
        let secrets: Vec<_> = entries.iter().filter_map(read_secret).collect();
        if secrets.len() as u64 == count { Ok(secrets) } else { Err(self.corrupt("keys are missing")) }
    }

    /// Takes the keys of runs away, durably. Whether there were any.
    pub(crate) fn take_away(&self, runs: &[RunId]) -> Result<bool, StoreError> {
        let mut secrets = self.all()?;
        let before = secrets.len();
        secrets.retain(|(run, _)| !runs.contains(run));
        let is_changed = secrets.len() < before;
        if is_changed {
            write(&self.path, secrets.iter().map(|(run, wrapped)| (*run, wrapped)))?;
        }
        Ok(is_changed)
    }
}
