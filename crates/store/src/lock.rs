//! One process has a store at a time.
//!
//! The lock is on the folder itself. A file in it can be deleted and made anew, and would then be another one to lock;
//! the folder can only be moved away, and whoever has the store notices that ([`Place`]). The file `lock` says who
//! that is and is nothing more.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use enact_core::store::StoreError;

use crate::files::{self, Tried};

/// The lock on a store; it goes with the process, whatever ends that.
#[derive(Debug)]
pub(crate) struct StoreLock {
    folder: File,
    path: PathBuf,
}

impl StoreLock {
    /// Takes the lock of the store in this folder.
    pub(crate) fn take(store: &Path) -> Result<Self, StoreError> {
        let path = store.join("lock");
        let folder = File::open(store).tried("opening", store)?;
        match folder.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // Who holds it is a help to the reader and nothing more.
                let pid = fs::read_to_string(&path).ok().and_then(|pid| pid.trim().parse().ok());
                return Err(StoreError::Locked { path, pid });
            }
            Err(TryLockError::Error(error)) => return Err(error).tried("locking", store),
        }
        let lock = Self { folder, path: store.to_owned() };
        lock.place()?.check()?;
        let note = files::new_file().open(&path).and_then(|mut file| {
            io::Write::write_all(&mut file, format!("{}\n", std::process::id()).as_bytes())
        });
        if let Err(error) = note {
            tracing::warn!(path = %path.display(), %error, "it cannot be written down who has the store");
        }
        Ok(lock)
    }

    /// The folder that is locked, and where it is.
    pub(crate) fn place(&self) -> Result<Place, StoreError> {
        let found = self.folder.metadata().tried("looking at", &self.path)?;
        Ok(Place { path: self.path.clone(), file: id(&found) })
    }
}

/// The device and inode of a file, which no other one has as long as somebody has it open.
fn id(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Where a locked folder was. Files are named by their paths, so what is written there goes elsewhere when the folder
/// was moved.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    path: PathBuf,
    file: (u64, u64),
}

impl Place {
    /// Asks whether the folder is still there.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match fs::metadata(&self.path) {
            Ok(found) if id(&found) == self.file => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).tried("looking at", &self.path)
            }
            _ => Err(StoreError::Poisoned(format!(
                "{} was taken away while it was in use",
                self.path.display()
            ))),
        }
    }
}

/// Whether an open file is the one that has this name.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) => Ok(id(&found) == id(&file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
