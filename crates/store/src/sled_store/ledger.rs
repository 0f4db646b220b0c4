//! What was signed of the log, as it is kept with it.
//!
//! Knows: lines of text in files that only grow. Does not know: what they say; whoever verifies holds them against the log.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use enact_core::store::StoreError;

use super::backup::copy_file;
use super::{SledStore, off_worker};
use crate::files::{self, Tried};

/// A line is shorter: longer ones are damage.
const MAX_LINE: u64 = 1024 * 1024;

/// A file of lines that is kept with the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ledger {
    /// The signed heads of the log.
    Checkpoints,
    /// What was signed for the receipts of its runs.
    Receipts,
}

impl Ledger {
    pub(super) const ALL: [Self; 2] = [Self::Checkpoints, Self::Receipts];

    /// The file's name in the store.
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Checkpoints => "checkpoints",
            Self::Receipts => "receipts",
        }
    }
}

/// Copies those that a store has.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    for file in Ledger::ALL.map(Ledger::file) {
        if from.join(file).exists() {
            copy_file(&from.join(file), &to.join(file))?;
        }
    }
    Ok(())
}

/// What is kept with a store, line by line, oldest first.
#[derive(Debug)]
pub struct LedgerLines {
    path: PathBuf,
    file: Option<BufReader<File>>,
}

impl LedgerLines {
    /// The file that they are read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next line, and whether it has its end. One that has not was cut off while it was written; there is none behind it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], where it is no text or over 1 MiB; those of the disk.
    pub fn next_line(&mut self) -> Result<Option<(String, bool)>, StoreError> {
        let Some(file) = &mut self.file else { return Ok(None) };
        let mut line = Vec::new();
        file.take(MAX_LINE).read_until(b'\n', &mut line).tried("reading", &self.path)?;
        if line.is_empty() {
            return Ok(None);
        }
        let is_whole = line.pop_if(|byte| *byte == b'\n').is_some();
        let corrupt = |what: &str| StoreError::Corrupt { path: self.path.clone(), what: what.to_owned() };
        if line.len() as u64 >= MAX_LINE {
            return Err(corrupt("it has a line of over 1 MiB"));
        }
        match String::from_utf8(line) {
            Ok(line) => Ok(Some((line, is_whole))),
            // Cut off within a letter.
            Err(error) if !is_whole => {
                Ok(Some((String::from_utf8_lossy(error.as_bytes()).into_owned(), false)))
            }
            Err(_) => Err(corrupt("it is no text")),
        }
    }

    /// The last line that has its end, without reading those before it.
    ///
    /// # Errors
    /// As [`next_line`](Self::next_line).
    pub fn last_line(mut self) -> Result<Option<String>, StoreError> {
        let Some(file) = &mut self.file else { return Ok(None) };
        let mut seek = || {
            let end = whole_lines(file.get_mut())?;
            file.seek(SeekFrom::Start(end.saturating_sub(MAX_LINE)))?;
            let mut tail = Vec::new();
            file.take(end.min(MAX_LINE)).read_to_end(&mut tail)?;
            tail.pop();
            let begin = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            file.seek(SeekFrom::Start(end.saturating_sub(MAX_LINE) + begin as u64))
        };
        seek().tried("reading", &self.path)?;
        Ok(self.next_line()?.filter(|(_, is_whole)| *is_whole).map(|(line, _)| line))
    }
}

impl SledStore {
    /// What is kept with this store.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn kept(&self, ledger: Ledger) -> Result<LedgerLines, StoreError> {
        let path = self.path.join(ledger.file());
        let file = match File::open(&path) {
            Ok(file) => Some(BufReader::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).tried("opening", &path),
        };
        Ok(LedgerLines { path, file })
    }

    /// Keeps a line with this store, durably. A line before it that was cut off by a crash is taken away.
    ///
    /// # Errors
    /// [`StoreError::Closed`]; those of the disk: then it is kept or not, or cut off. [`StoreError::Io`] of kind `InvalidInput`,
    /// where it is not one line.
    pub async fn keep(&self, ledger: Ledger, line: String) -> Result<(), StoreError> {
        let path = self.path.join(ledger.file());
        if line.contains('\n') || line.len() as u64 >= MAX_LINE {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not one line of text");
            return Err(error).tried("keeping a line in", &path);
        }
        let maintenance = std::sync::Arc::clone(&self.maintenance);
        let place = self.volumes.place.clone();
        off_worker(move || {
            maintenance.carry_out(|| {
                place.check()?;
                append(&path, &line).tried("keeping a line in", &path)
            })
        })
        .await
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let is_new = !path.exists();
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let end = whole_lines(&mut file)?;
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()?;
    if is_new { files::sync_parent(path) } else { Ok(()) }
}

/// Where the last whole line ends.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut byte = [0];
    while end > 0 {
        file.seek(SeekFrom::Start(end - 1))?;
        file.read_exact(&mut byte)?;
        if byte == *b"\n" {
            break;
        }
        end -= 1;
    }
    Ok(end)
}
