//! The durable store keeps the contract of every event store.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use enact_store::{Options, SledStore};
use enact_testkit::store_suite::Stores;
use tempfile::TempDir;

/// Stores in folders of their own. A crash leaves what the files hold at that moment.
struct OnDisk {
    dir: TempDir,
    made: AtomicU64,
    options: Options,
}

impl OnDisk {
    fn new(options: Options) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), made: AtomicU64::new(0), options }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join(self.made.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

impl Stores for OnDisk {
    type Store = SledStore;

    async fn fresh(&self) -> SledStore {
        self.options.clone().open(self.folder()).unwrap()
    }

    async fn reopen(&self, store: SledStore) -> SledStore {
        let path = store.path().to_owned();
        store.close().unwrap();
        drop(store);
        self.options.clone().open(path).unwrap()
    }

    async fn crash(&self, store: SledStore) -> SledStore {
        let left = self.folder();
        copy_of_one_moment(store.path(), &left);
        drop(store);
        self.options.clone().open(left).unwrap()
    }
}

/// Copies a folder, again until nothing changes meanwhile: threads of the store move events all the time.
fn copy_of_one_moment(from: &Path, to: &Path) {
    loop {
        let before = state(from);
        let copied = catch_unwind(|| common::copy(from, to));
        if copied.is_ok() && before.is_some() && state(from) == before {
            return;
        }
        drop(fs::remove_dir_all(to));
    }
}

/// Every file below a folder, with its size and when it was written.
fn state(folder: &Path) -> Option<Vec<(PathBuf, u64, SystemTime)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).ok()? {
        let (path, about) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?))).ok()?;
        if about.is_dir() {
            files.extend(state(&path)?);
        }
        files.push((path, about.len(), about.modified().ok()?));
    }
    files.sort();
    Some(files)
}

mod with_the_usual_sizes {
    use super::*;

    enact_testkit::store_suite!(OnDisk::new(SledStore::options()));
}

/// With volumes so small that every test seals some.
mod with_tiny_volumes {
    use super::*;

    enact_testkit::store_suite!(OnDisk::new(SledStore::options().volume_bytes(2_000).segment_bytes(0)));
}

mod with_a_key {
    use super::*;

    enact_testkit::store_suite!(OnDisk::new(SledStore::options().master_key(common::key())));
}

mod with_a_key_and_tiny_volumes {
    use super::*;

    enact_testkit::store_suite!(OnDisk::new(
        SledStore::options().volume_bytes(2_000).segment_bytes(0).master_key(common::key())
    ));
}
