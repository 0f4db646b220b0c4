//! Where the master key of the store is kept: in a file beside it, or in the environment.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use enact::error::{Error, ErrorCode};
use enact::store::StoreError;
use enact::{MasterKey, SledStore};
use enact_store::Options;
use secrecy::{ExposeSecret, SecretString};

use crate::failure::{Failure, usage};
use crate::key_file::KeyFile;
use crate::session::is_made;

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
        Place::File(file) => from_file(&key_file(file), needed.as_deref(), is_plain)?,
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

fn key_file(path: &Path) -> KeyFile {
    KeyFile::new(path.to_owned(), "the master key", "enact store rotate-key")
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
fn from_file(file: &KeyFile, needed: Option<&str>, is_plain: bool) -> Result<Option<MasterKey>, Failure> {
    let parse = |text: SecretString| {
        MasterKey::parse(text.expose_secret())
            .ok_or_else(|| file.wrong("does not hold 64 hexadecimal digits"))
    };
    let kept = file.read()?.map(parse).transpose()?;
    let is_needed = |key: &MasterKey| needed == Some(key.fingerprint().as_str());
    if kept.as_ref().is_some_and(|key| needed.is_none() || is_needed(key)) {
        return Ok(kept);
    }
    // One that does not read was being written when an exchange was cut off, before the store was under it.
    let next = file.read_next().ok().flatten().and_then(|text| parse(text).ok());
    if let Some(next) = next.filter(is_needed) {
        file.put_in_place().map_err(|error| file.unusable(&error))?;
        return Ok(Some(next));
    }
    match kept {
        Some(key) => Ok(Some(key)),
        None if needed.is_some() || is_plain => Ok(None),
        None => {
            let made = file.make(MasterKey::random().to_text()).map_err(|error| file.unusable(&error))?;
            parse(made).map(Some)
        }
    }
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
            let file = key_file(file);
            let new = || {
                let key = MasterKey::random();
                file.write_next(&key.to_text()).map(|()| key)
            };
            options.rotate_key(store, new, || file.put_in_place())
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
