//! A file with a secret key: for its owner alone, whole or not there, and exchanged so that a crash leaves one that holds.
//!
//! An exchange writes the new key beside the old one, then tells what is under it, then puts the new one in the old one's
//! place. One that was cut off is finished by whoever uses the key next: what is under it says which of the two it needs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::failure::{Failure, usage};
use crate::text;

/// A key is shorter; a larger file is none.
const MAX_BYTES: usize = 4096;

/// The file of a key.
#[derive(Clone, Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
    /// What it is, for messages: "the master key".
    what: &'static str,
    /// What to do when others may have read it.
    exchange: &'static str,
}

impl KeyFile {
    pub(crate) fn new(path: PathBuf, what: &'static str, exchange: &'static str) -> Self {
        Self { path, what, exchange }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is in the file, where it is there. One that others can read is refused.
    pub(crate) fn read(&self) -> Result<Option<SecretString>, Failure> {
        self.read_at(&self.path)
    }

    /// What is in the file of a key that is not in place yet.
    pub(crate) fn read_next(&self) -> Result<Option<SecretString>, Failure> {
        self.read_at(&self.next())
    }

    fn read_at(&self, path: &Path) -> Result<Option<SecretString>, Failure> {
        let unusable = |error: io::Error| self.unusable_at(path, &error);
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found.map_err(unusable)?,
        };
        let mode = metadata.permissions().mode();
        if metadata.is_file() && mode & 0o077 != 0 {
            let Self { what, exchange, .. } = self;
            let message = format!(
                "{what} {} can be read by others (mode {:03o}); `chmod 600` it, and exchange it (`{exchange}`) if \
                 others may have done so",
                path.display(),
                mode & 0o777
            );
            return Err(usage(message));
        }
        text::read(path, MAX_BYTES).map(|text| Some(text.into())).map_err(unusable)
    }

    /// That it cannot be used, and why.
    pub(crate) fn unusable(&self, error: &io::Error) -> Failure {
        self.unusable_at(&self.path, error)
    }

    fn unusable_at(&self, path: &Path, error: &io::Error) -> Failure {
        usage(format!("{} {} cannot be used: {error}", self.what, path.display()))
    }

    /// That what is in it is not what it ought to be.
    pub(crate) fn wrong(&self, wanted: &str) -> Failure {
        usage(format!("{} {} {wanted}", self.what, self.path.display()))
    }

    /// Keeps a new key durably, and gives what is in the file then: where another process was quicker, its key.
    pub(crate) fn make(&self, key: SecretString) -> io::Result<SecretString> {
        if let Some(above) = self.path.parent() {
            fs::create_dir_all(above)?;
        }
        let own = beside(&self.path, &format!("new-{}", std::process::id()));
        write(&own, &key)?;
        let linked = fs::hard_link(&own, &self.path);
        fs::remove_file(&own)?;
        match linked {
            Ok(()) => sync_folder(&self.path).map(|()| key),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                text::read(&self.path, MAX_BYTES).map(Into::into)
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps a new key durably beside the one that is in place.
    pub(crate) fn write_next(&self, key: &SecretString) -> io::Result<()> {
        write(&self.next(), key)?;
        sync_folder(&self.path)
    }

    /// Puts the key that is beside it in its place.
    pub(crate) fn put_in_place(&self) -> io::Result<()> {
        match fs::rename(self.next(), &self.path) {
            // Another process did it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.path.exists() => Ok(()),
            renamed => renamed,
        }?;
        sync_folder(&self.path)
    }

    /// Where a new key is until what is under it knows it.
    fn next(&self) -> PathBuf {
        beside(&self.path, "next")
    }
}

/// Writes a key durably, for its owner alone.
fn write(file: &Path, key: &SecretString) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(new, "{}", key.expose_secret().trim_end())?;
    new.sync_all()
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{end}"));
    name.into()
}

/// Makes the names in the folder of a file durable.
pub(crate) fn sync_folder(file: &Path) -> io::Result<()> {
    let above = file.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(above)?.sync_all()
}
