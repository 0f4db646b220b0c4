//! Plain files of entries of one size, beside a sealed volume: written once, read by binary search.
//!
//! Their number of entries and checksum stand in the manifest, so that a file that was cut, damaged or
//! exchanged is seen before anything in it is believed.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use enact_core::store::StoreError;

use crate::files::{self, Tried};

/// What the manifest says of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct TableSummary {
    pub(crate) count: u64,
    pub(crate) crc: u32,
}

/// Writes a table durably.
pub(crate) fn write<const N: usize>(
    path: &Path,
    entries: impl Iterator<Item = [u8; N]>,
) -> Result<TableSummary, StoreError> {
    let mut summary = TableSummary::default();
    let mut crc = crc32fast::Hasher::new();
    files::replace_with(path, |file| {
        let mut file = BufWriter::new(file);
        for entry in entries {
            file.write_all(&entry)?;
            crc.update(&entry);
            summary.count += 1;
        }
        file.flush()
    })?;
    summary.crc = crc.finalize();
    Ok(summary)
}

/// A table of entries of `N` bytes.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    path: PathBuf,
    summary: TableSummary,
    checked: AtomicBool,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(path: PathBuf, summary: TableSummary) -> Self {
        Self { path, summary, checked: AtomicBool::new(false) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file; checks all of it the first time.
    fn open(&self) -> Result<File, StoreError> {
        let file = File::open(&self.path).needed("opening", &self.path)?;
        if !self.checked.load(Ordering::Relaxed) {
            self.check(&file)?;
            self.checked.store(true, Ordering::Relaxed);
        }
        Ok(file)
    }

    fn check(&self, file: &File) -> Result<(), StoreError> {
        let size = file.metadata().tried("reading the size of", &self.path)?.len();
        if size != self.summary.count.saturating_mul(N as u64) {
            return Err(self.corrupt("it does not have the size that the manifest says"));
        }
        let mut crc = crc32fast::Hasher::new();
        let mut file = BufReader::with_capacity(64 * 1024, file);
        let mut buffer = [0; 16 * 1024];
        loop {
            match file.read(&mut buffer).needed("reading", &self.path)? {
                0 => break,
                count => crc.update(buffer.get(..count).unwrap_or_default()),
            }
        }
        if crc.finalize() == self.summary.crc {
            Ok(())
        } else {
            Err(self.corrupt("it does not have the checksum that the manifest says"))
        }
    }

    /// Checks the file, whether or not that was done before.
    pub(crate) fn verify(&self) -> Result<(), StoreError> {
        self.check(&File::open(&self.path).needed("opening", &self.path)?)
    }

    fn corrupt(&self, what: &str) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), what: what.to_owned() }
    }

    /// Every entry, in order, until `visit` wants no more.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(&[u8; N]) -> bool) -> Result<(), StoreError> {
        self.each_from(0, visit)
    }

    /// Every entry from that of a number on, 0 the first, in order, until `visit` wants no more.
    pub(crate) fn each_from(
        &self,
        first: u64,
        visit: &mut dyn FnMut(&[u8; N]) -> bool,
    ) -> Result<(), StoreError> {
        let mut file = self.open()?;
        let start = SeekFrom::Start(first.saturating_mul(N as u64));
        file.seek(start).tried("reading", &self.path)?;
        let mut file = BufReader::with_capacity(64 * 1024, file);
        let mut entry = [0; N];
        for _ in first..self.summary.count {
            file.read_exact(&mut entry).tried("reading", &self.path)?;
            if !visit(&entry) {
                break;
            }
        }
        Ok(())
    }

    /// Every entry, in order.
    pub(crate) fn entries(&self) -> Result<impl Iterator<Item = Result<[u8; N], StoreError>>, StoreError> {
        let mut file = self.open()?;
        file.seek(SeekFrom::Start(0)).tried("reading", &self.path)?;
        let mut file = BufReader::with_capacity(64 * 1024, file);
        Ok((0..self.summary.count).map(move |_| {
            let mut entry = [0; N];
            file.read_exact(&mut entry).tried("reading", &self.path).map(|()| entry)
        }))
    }

    /// The entry that begins with `key`, in a table whose entries are sorted.
    pub(crate) fn find(&self, key: &[u8]) -> Result<Option<[u8; N]>, StoreError> {
        let file = self.open()?;
        let at = self.first_not_below(&file, key)?;
        let entry = if at < self.summary.count { Some(self.entry(&file, at)?) } else { None };
        Ok(entry.filter(|entry| entry.starts_with(key)))
    }

    /// The entries below `key` (all, where that is `None`), from the highest down, until `visit` wants no more.
    pub(crate) fn each_below(
        &self,
        key: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8; N]) -> bool,
    ) -> Result<(), StoreError> {
        let file = self.open()?;
        let end = match key {
            Some(key) => self.first_not_below(&file, key)?,
            None => self.summary.count,
        };
        for number in (0..end).rev() {
            if !visit(&self.entry(&file, number)?) {
                break;
            }
        }
        Ok(())
    }

    /// How many entries begin with `prefix`, which has no byte 255 at its end, in a table whose entries are sorted.
    pub(crate) fn count(&self, prefix: &[u8]) -> Result<u64, StoreError> {
        let file = self.open()?;
        let mut behind = prefix.to_vec();
        behind.resize(N, 255);
        Ok(self.first_not_below(&file, &behind)? - self.first_not_below(&file, prefix)?)
    }

    fn first_not_below(&self, file: &File, key: &[u8]) -> Result<u64, StoreError> {
        let (mut low, mut high) = (0, self.summary.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.entry(file, middle)?;
            if entry.get(..key.len()).unwrap_or(&entry) < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn entry(&self, file: &File, number: u64) -> Result<[u8; N], StoreError> {
        let mut entry = [0; N];
        let read: io::Result<()> = file.read_exact_at(&mut entry, number * N as u64);
        read.tried("reading", &self.path)?;
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[[u8; 4]]) -> (tempfile::TempDir, Table<4>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        let summary = write(&path, entries.iter().copied()).unwrap();
        (dir, Table::new(path, summary))
    }

    #[test]
    fn entries_are_found_by_their_beginning_and_listed_downwards() {
        let entries: Vec<[u8; 4]> = (0..100_u8).map(|n| [n * 2, n, 7, 7]).collect();
        let (_dir, table) = table(&entries);
        assert_eq!(table.find(&[40]).unwrap(), Some([40, 20, 7, 7]));
        assert_eq!(table.find(&[41]).unwrap(), None);
        assert_eq!(table.find(&[255]).unwrap(), None);
        let mut all = Vec::new();
        table
            .each(&mut |entry| {
                all.push(*entry);
                true
            })
            .unwrap();
        assert_eq!(all, entries);
        let mut seen = Vec::new();
        table
            .each_below(Some(&[7]), &mut |entry| {
                seen.push(entry[0]);
                true
            })
            .unwrap();
        assert_eq!(seen, [6, 4, 2, 0]);
    }

    #[test]
    fn a_damaged_cut_or_exchanged_table_is_refused() {
        let (dir, table) = table(&[[1; 4], [2; 4]]);
        for content in [&[1, 1, 1, 1, 2, 2, 2, 3][..], &[1; 4], &[1; 12]] {
            std::fs::write(dir.path().join("t"), content).unwrap();
            assert!(matches!(table.find(&[1]), Err(StoreError::Corrupt { .. })), "{content:?}");
        }
    }
}
