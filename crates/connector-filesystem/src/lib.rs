//! The filesystem connector: files below one folder, written whole or not at all, undone without loss.
#![doc = include_str!("docs.md")]

pub mod actions;
mod client;
pub mod config;
mod error;
mod meta;
mod mode;
mod path;
mod show;
mod stage;
mod state;
mod work;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use enact_core::Error;
use enact_core::connector::{ActionSet, ConfigEnv, Connector, DEFAULT_REQUEST_TIMEOUT, Identity};

pub use crate::actions::{DeleteFile, ListDir, ReadFile, RestoreFile, WriteFile};
use crate::client::Root;
pub use crate::config::Config;
pub use crate::meta::{FileTime, Kind};
pub use crate::mode::Mode;
pub use crate::path::{DirPath, FilePath};
pub use crate::state::{Bytes, FileNode, LinkNode, Node, Shape};
use crate::work::{Locks, Nature, Step};

/// Files below one folder, the root.
///
/// ```
/// use enact_connector_filesystem::Filesystem;
/// use enact_core::connector::Allow;
/// # let folder = std::env::temp_dir();
///
/// let files = Filesystem::new(folder)?.max_read_bytes(1 << 20).allow(["read_file", "write_file"])?;
/// # Ok::<(), enact_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Filesystem {
    root: Arc<Root>,
    locks: Arc<Locks>,
    new_file_mode: Mode,
    max_read_bytes: u64,
    timeout: Duration,
}

impl Filesystem {
    /// Opens the root, a folder that exists. It stays this folder, whatever becomes of its name.
    ///
    /// # Errors
    /// `invalid_parameters`, naming `root`.
    pub fn new(root: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Self {
            root: Arc::new(Root::open(root.as_ref())?),
            locks: Arc::default(),
            new_file_mode: mode::for_new_files(),
            max_read_bytes: config::DEFAULT_MAX_READ_BYTES,
            timeout: DEFAULT_REQUEST_TIMEOUT,
        })
    }

    /// Sets the largest file that `read_file` returns, in bytes. The default is 16 MiB.
    #[must_use]
    pub fn max_read_bytes(mut self, bytes: u64) -> Self {
        self.max_read_bytes = bytes;
        self
    }

    /// Sets how long the filesystem may give no sign of progress. The default is 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Looks at the world, holding the lock of `path` where there is one.
    async fn look<T: Send + 'static>(
        &self,
        path: Option<&FilePath>,
        work: impl FnOnce(&Root, &Step) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let root = Arc::clone(&self.root);
        work::run(Nature::Look, self.timeout, &self.locks, path, move |step| work(&root, step)).await
    }

    /// Changes the world at `path`.
    async fn change<T: Send + 'static>(
        &self,
        path: &FilePath,
        work: impl FnOnce(&Root, &Step) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let root = Arc::clone(&self.root);
        work::run(Nature::Change, self.timeout, &self.locks, Some(path), move |step| work(&root, step)).await
    }
}

impl Connector for Filesystem {
    const KIND: &'static str = "filesystem";
    type Config = Config;

    fn open(config: Config, env: &ConfigEnv<'_>) -> Result<Self, Error> {
        let timeout = config.timeout()?;
        Ok(Self::new(env.dir.join(&config.root))?.max_read_bytes(config.max_read_bytes).timeout(timeout))
    }

    fn actions(set: &mut ActionSet<Self>) {
        set.add::<ReadFile>();
        set.add::<WriteFile>();
        set.add::<DeleteFile>();
        set.add::<ListDir>();
    }

    async fn identity(&self) -> Result<Identity, Error> {
        // Not its path, which changes when a folder above is renamed or mounted elsewhere.
        self.look(None, |root, _| {
            let inode = root.meta()?.inode;
            Ok(Identity(format!("{} inode {inode}", root.filesystem()?)))
        })
        .await
    }
}
