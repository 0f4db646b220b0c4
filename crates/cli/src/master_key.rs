//! Where the master key of the store is kept: in a file beside it, or in the environment.
//!
//! An exchange writes the new key beside the old one, then the store, then puts the new one in the old one's place. One
//! that was cut off is finished by whatever opens the store next: the store says which of the two it needs.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use enact::error::{Error, ErrorCode};
use enact::store::StoreError;
use enact::{MasterKey, SledStore};
use enact_store::Options;
use secrecy::ExposeSecret;

use crate::failure::{Failure, usage};
use crate::session::is_made;
use crate::text;

/// A key is shorter; a larger file is none.
const MAX_BYTES: usize = 1024;

/// Where the master key is.
#[derive(Debug)]
pub(crate) enum Place {
    /// In this file; it is made with a new store.
    File(PathBuf),
    /// In this environment variable.
    Env(String),
}

/// How the store in `path` is opened, with its key; where there is no store yet, one will be made with a key.
pub(crate) fn options(store: &Path, place: &Place) -> Result<Options, Failure> {
    let needed = SledStore::needed_key(store)?;
    let is_plain = needed.is_none() && is_made(store)? && has_identity(store);
    let key = match place {
        Place::Env(name) => Some(from_env(name)?),
        Place::File(file) => from_file(file, needed.as_deref(), is_plain)?,
    };
    let options = SledStore::options();
    match (key, needed) {
        (Some(key), _) => Ok(options.master_key(key)),
        (None, None) => Ok(options),
        (None, Some(needed)) => {
            let Place::File(file) = place else { return Ok(options) };
            let message = format!(
                "the store {} is encrypted under the master key {needed}, which ought to be in {} and is not there; \
                 put it back, or name it in [store] master_key_file or master_key_env",
                store.display(),
                file.display()
            );
            Err(Error::new(ErrorCode::InvalidParameters, message).left_nothing().into())
        }
    }
}

fn has_identity(store: &Path) -> bool {
    store.join("store").exists()
}

fn from_env(name: &str) -> Result<MasterKey, Failure> {
    let text = env::var(name).map_err(|_| {
        usage(format!("the environment variable {name}, which [store] names for the master key, is not set"))
    })?;
    MasterKey::parse(&text)
        .ok_or_else(|| usage(format!("the environment variable {name} does not hold 64 hexadecimal digits")))
}

/// The key in a file. A store that was made without one goes on without, until somebody puts one there.
fn from_file(file: &Path, needed: Option<&str>, is_plain: bool) -> Result<Option<MasterKey>, Failure> {
    let kept = read(file)?;
    let is_needed = |key: &MasterKey| needed == Some(key.fingerprint().as_str());
    if kept.as_ref().is_some_and(|key| needed.is_none() || is_needed(key)) {
        return Ok(kept);
    }
    // One that does not read was being written when an exchange was cut off, before the store was under it.
    if let Some(next) = read(&next(file)).ok().flatten().filter(is_needed) {
        put_in_place(file).map_err(|error| unusable(file, &error))?;
        return Ok(Some(next));
    }
    match kept {
        Some(key) => Ok(Some(key)),
        None if needed.is_some() || is_plain => Ok(None),
        None => make(file).map(Some).map_err(|error| unusable(file, &error)),
    }
}

fn read(file: &Path) -> Result<Option<MasterKey>, Failure> {
    let metadata = match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(|error| unusable(file, &error))?,
    };
    let mode = metadata.permissions().mode();
    if metadata.is_file() && mode & 0o077 != 0 {
        let message = format!(
            "the master key {} can be read by others (mode {:03o}); `chmod 600` it, and exchange it \
             (`enact store rotate-key`) if others may have done so",
            file.display(),
            mode & 0o777
        );
        return Err(usage(message));
    }
    let text = text::read(file, MAX_BYTES).map_err(|error| unusable(file, &error))?;
    let not_a_key =
        || usage(format!("the master key {} does not hold 64 hexadecimal digits", file.display()));
    MasterKey::parse(&text).map(Some).ok_or_else(not_a_key)
}

fn unusable(file: &Path, error: &io::Error) -> Failure {
    usage(format!("the master key {} cannot be used: {error}", file.display()))
}

/// Makes a key and keeps it durably. Where another process was quicker, its key is taken.
fn make(file: &Path) -> io::Result<MasterKey> {
    if let Some(above) = file.parent() {
        fs::create_dir_all(above)?;
    }
    let (key, own) = (MasterKey::random(), beside(file, &format!("new-{}", std::process::id())));
    write(&own, &key)?;
    let linked = fs::hard_link(&own, file);
    fs::remove_file(&own)?;
    match linked {
        Ok(()) => sync_folder(file).map(|()| key),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let text = text::read(file, MAX_BYTES)?;
            MasterKey::parse(&text).ok_or_else(|| io::Error::other("it does not hold 64 hexadecimal digits"))
        }
        Err(error) => Err(error),
    }
}

/// Writes a key durably, for its owner alone.
fn write(file: &Path, key: &MasterKey) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(new, "{}", key.to_text().expose_secret())?;
    new.sync_all()
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{end}"));
    name.into()
}

/// Where a new key is until the store is under it.
fn next(file: &Path) -> PathBuf {
    beside(file, "next")
}

fn put_in_place(file: &Path) -> io::Result<()> {
    match fs::rename(next(file), file) {
        // Another process did it.
        Err(error) if error.kind() == io::ErrorKind::NotFound && file.exists() => Ok(()),
        renamed => renamed,
    }?;
    sync_folder(file)
}

fn sync_folder(file: &Path) -> io::Result<()> {
    let above = file.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(above)?.sync_all()
}

/// Exchanges the key of a store, and says by which fingerprint the new one is known.
pub(crate) fn rotate(store: &Path, place: &Place, new_env: Option<&str>) -> Result<String, Failure> {
    let options = options(store, place)?;
    let done = match (place, new_env) {
        (Place::Env(_), Some(name)) => {
            let new = from_env(name)?;
            options.rotate_key(store, || Ok(new), || Ok(()))
        }
        (Place::File(file), None) => {
            let new = || {
                let key = MasterKey::random();
                write(&next(file), &key)?;
                sync_folder(file).map(|()| key)
            };
            options.rotate_key(store, new, || put_in_place(file))
        }
        (Place::Env(name), None) => {
            let message = format!(
                "the master key is in the environment variable {name}; put a new one into another variable and name that \
                 with --new-key-env"
            );
            return Err(usage(message));
        }
        (Place::File(file), Some(_)) => {
            return Err(usage(format!("the master key is in {}; a new one is made there", file.display())));
        }
    };
    done.map_err(|error| match &error {
        StoreError::Io { source, .. } if source.kind() == io::ErrorKind::InvalidInput => {
            usage(error.to_string())
        }
        _ => error.into(),
    })?;
    Ok(SledStore::needed_key(store)?.unwrap_or_default())
}
