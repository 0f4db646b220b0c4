//! Files and folders as the store wants them: private to their owner, whole or not there, and durable, with
//! their names, when a call has returned.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use enact_core::store::StoreError;

/// Says what was tried, when it fails.
pub(crate) trait Tried<T> {
    /// Names the attempt and the path.
    fn tried(self, what: &str, path: &Path) -> Result<T, StoreError>;

    /// As [`tried`](Self::tried), for what has to be there: that it is not, or is a folder where a file was, is damage.
    fn needed(self, what: &str, path: &Path) -> Result<T, StoreError>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, what: &str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::io(format!("{what} {}", path.display()), error))
    }

    fn needed(self, what: &str, path: &Path) -> Result<T, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt { path: path.to_owned(), what: what.to_owned() };
        match self {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(corrupt("it is missing")),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                Err(corrupt("it is a folder, and has to be a file"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(corrupt("a file stands where a folder has to be"))
            }
            got => got.tried(what, path),
        }
    }
}

/// Makes a folder for the owner alone, and its name durable. It may exist.
pub(crate) fn create_dir(path: &Path) -> Result<(), StoreError> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
    .tried("creating the folder", path)
}

/// How files of the store are created: new, for the owner alone.
pub(crate) fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).read(true).create(true).truncate(true).mode(0o600);
    options
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes the name of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_dir(Path::new(".")),
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// The name under which a file is written before it is whole.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Whether a file is one that was being written when a crash came.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "new")
}

/// Puts a file in place as a whole, durably: the old content or the new one is there after any crash.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    replace_with(path, |file| file.write_all(content))
}

/// As [`replace`], with a function that writes the content.
pub(crate) fn replace_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), StoreError> {
    write_beside(path, write)?;
    put_in_place(path)
}

/// Writes what is to stand at `path` beside it, durably. Whoever reads `path` sees nothing of it yet.
pub(crate) fn write_beside(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), StoreError> {
    let temporary = unfinished(path);
    let put = || {
        let mut file = new_file().open(&temporary)?;
        write(&mut file)?;
        file.sync_all()
    };
    put().inspect_err(|_| forget(&temporary)).tried("writing", path)
}

/// Puts in place what was written beside `path`. Where that fails, it is not known which of the two a crash leaves.
pub(crate) fn put_in_place(path: &Path) -> Result<(), StoreError> {
    let temporary = unfinished(path);
    let put = || {
        fs::rename(&temporary, path)?;
        sync_parent(path)
    };
    put().inspect_err(|_| forget(&temporary)).tried("putting in place", path)
}

/// Removes what is not needed any more. That it stays is no harm: it is tried again at the next opening.
pub(crate) fn forget(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a leftover file could not be removed");
    }
}

/// Reads a file, where there is one.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).needed("reading", path),
    }
}

/// Removes a folder and all in it, durably. It may be gone already.
pub(crate) fn remove_dir(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
    .tried("removing the folder", path)
}

/// The entries of a folder, sorted by name.
pub(crate) fn list(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(path).tried("listing", path)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .tried("listing", path)?;
    paths.sort();
    Ok(paths)
}

/// Makes a folder, and all files and folders below it, the owner's alone: what others wrote there for us.
pub(crate) fn make_private(path: &Path) -> Result<(), StoreError> {
    for entry in list(path)? {
        if entry.is_dir() {
            make_private(&entry)?;
        } else {
            set_mode(&entry, 0o600)?;
        }
    }
    set_mode(path, 0o700)
}

/// Changes who may use a file or folder, where that is needed.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), StoreError> {
    let set = || {
        let mut permissions = fs::metadata(path)?.permissions();
        if permissions.mode() & 0o777 == mode {
            return Ok(());
        }
        permissions.set_mode(mode);
        fs::set_permissions(path, permissions)
    };
    match set() {
        // sled takes old snapshots away at times of its own.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        set => set.tried("making private", path),
    }
}

/// Makes a folder, and all files and folders below it, durable.
pub(crate) fn sync_tree(path: &Path) -> Result<(), StoreError> {
    for entry in list(path)? {
        if entry.is_dir() {
            sync_tree(&entry)?;
        } else {
            File::open(&entry).and_then(|file| file.sync_all()).tried("syncing", &entry)?;
        }
    }
    sync_dir(path).tried("syncing", path)
}
