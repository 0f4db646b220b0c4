//! Exchanging the master key of a store.

use std::io;
use std::path::Path;

use enact_core::store::StoreError;

use super::{Options, SledStore};
use crate::identity::{StoreIdentity, StoreKeys};
use crate::lock::StoreLock;
use crate::secrets::MasterKey;

/// How many keys a store may have; each exchange adds one.
const MOST_KEYS: usize = 10_000;

impl SledStore {
    /// The fingerprint of the master key that a store needs; `None` where it needs none, or there is no store.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::NewerFormat`], and those of the disk.
    pub fn needed_key(path: impl AsRef<Path>) -> Result<Option<String>, StoreError> {
        let identity = StoreIdentity::read(path.as_ref())?;
        Ok(identity.and_then(|identity| identity.keys).map(|keys| keys.needed()))
    }
}

impl Options {
    /// Exchanges the master key of the store in a folder, which nobody has open, for the one that `new` gives. The old
    /// one opens nothing of the store any more, but for copies from before, and runs that are begun from then on have
    /// nothing in common with what it opened. One small file is replaced as a whole: a crash leaves the store under the
    /// old key or the new one, and [`SledStore::needed_key`] says which.
    ///
    /// `new` has to have kept the key durably where it will be found. When the store is under the new key, `done` is
    /// called; nobody else opens or changes the store before it has returned.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`]; [`StoreError::Io`] of kind `InvalidInput`, where the store has no key; those of `new`,
    /// `done` and the disk. Where that of `done` is the first, the store is under the new key.
    pub fn rotate_key(
        self,
        path: impl AsRef<Path>,
        new: impl FnOnce() -> io::Result<MasterKey>,
        done: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let path = path.as_ref();
        let refused = |kind, why: &str| {
            let what = format!("the master key of {} cannot be exchanged", path.display());
            StoreError::io(what, io::Error::new(kind, format!("{why}; nothing was changed")))
        };
        let lock = StoreLock::take(path)?;
        let no_key = || refused(io::ErrorKind::InvalidInput, "it is no store that was made with a key");
        let identity = StoreIdentity::read(path)?.ok_or_else(no_key)?;
        let keys = identity.keys.as_ref().ok_or_else(no_key)?;
        let Some(master) = &self.master_key else {
            return Err(StoreError::WrongKey { path: path.to_owned(), needed: keys.needed(), given: None });
        };
        let mut ring = keys.open(&identity, path, master)?;
        if ring.count() >= MOST_KEYS {
            return Err(refused(io::ErrorKind::QuotaExceeded, "that was done too often"));
        }
        ring.begin();
        let new =
            new().map_err(|error| StoreError::io("making the new master key; nothing was changed", error))?;
        let identity = StoreIdentity { keys: Some(StoreKeys::new(&ring, &new)?), ..identity };
        lock.place()?.check()?;
        identity.write(path)?;
        done().map_err(|error| {
            let what = "the store is under the new master key, which could not be put in the old one's place";
            StoreError::io(what, error)
        })
    }
}
