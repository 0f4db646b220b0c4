//! The key that signs the log, and those that verify it: two files beside each other, the one secret and the other for everybody.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use enact::SledStore;
use enact::audit::{self, AuditError, BadKey, Notary, PublicKey, PublicKeys, SigningKey};
use secrecy::SecretString;

use crate::config::Config;
use crate::failure::{Failure, usage};
use crate::key_file::{KeyFile, sync_folder};
use crate::text;

/// A file of public keys is shorter.
const MAX_BYTES: usize = 1024 * 1024;
/// How a new key is made where the old one is lost.
const LOST: &str = "enact audit rotate-key --lost";

fn key_file(config: &Config) -> KeyFile {
    KeyFile::new(config.signing_key(), "the signing key", "enact audit rotate-key")
}

/// Where the public keys are that verify what a signing key signs.
pub(crate) fn public_file(signing_key: &Path) -> PathBuf {
    if signing_key.extension().is_some_and(|extension| extension == "key") {
        return signing_key.with_extension("pub");
    }
    let mut name = signing_key.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// Who signs the log of a store. Its key is made with the first log that it signs.
pub(crate) async fn notary(config: &Config, store: &Arc<SledStore>) -> Result<Notary, Failure> {
    let file = key_file(config);
    let key = match file.read()? {
        Some(text) => parse(&file, text)?,
        None if audit::is_signed(store)? => return Err(missing(&file)),
        None => {
            let made = file.make(SigningKey::generate().pem().clone());
            parse(&file, made.map_err(|error| file.unusable(&error))?)?
        }
    };
    let notary = match Notary::open(Arc::clone(store), key).await {
        Err(AuditError::OtherKey { origin }) => match successor(&file, store).await? {
            Some(notary) => notary,
            None => return Err(other_key(&file, &origin)),
        },
        opened => opened?,
    };
    publish(&file, notary.public_key())?;
    Ok(notary)
}

/// Finishes an exchange that was cut off when the log knew the new key already.
async fn successor(file: &KeyFile, store: &Arc<SledStore>) -> Result<Option<Notary>, Failure> {
    // One that does not read was being written, and the log does not know it.
    let Some(key) = file.read_next()?.and_then(|text| SigningKey::from_pem(text).ok()) else {
        return Ok(None);
    };
    match Notary::open(Arc::clone(store), key).await {
        Err(AuditError::OtherKey { .. }) => Ok(None),
        opened => {
            let notary = opened?;
            file.put_in_place().map_err(|error| file.unusable(&error))?;
            Ok(Some(notary))
        }
    }
}

/// Exchanges the signing key, and gives the new one's public key. Where the old key is `lost`, nothing of it vouches for the new one.
pub(crate) async fn rotate(
    config: &Config,
    store: &Arc<SledStore>,
    lost: bool,
) -> Result<PublicKey, Failure> {
    let file = key_file(config);
    let key = SigningKey::generate();
    let write = |key: &SigningKey| file.write_next(key.pem()).map_err(|error| file.unusable(&error));
    let notary = if lost {
        write(&key)?;
        Notary::begin_anew(Arc::clone(store), key).await?
    } else {
        // First: a cut-off exchange has its new key where this one's will be.
        let notary = notary(config, store).await?;
        write(&key)?;
        notary.hand_over(key).await?
    };
    file.put_in_place().map_err(|error| file.unusable(&error))?;
    publish(&file, notary.public_key())?;
    Ok(notary.public_key().clone())
}

/// The public keys that are given, or those that are beside the signing key.
pub(crate) fn public_keys(given: &Path) -> Result<PublicKeys, Failure> {
    match text::read(given, MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(usage(format!(
            "there are no public keys in {}: nothing was signed yet, or --public-key FILE has to name them",
            given.display()
        ))),
        Err(error) => Err(usage(format!("the public keys {} cannot be read: {error}", given.display()))),
        Ok(text) => PublicKeys::parse(&text)
            .map_err(|bad| usage(format!("the public keys {} do not read: {bad}", given.display()))),
    }
}

fn parse(file: &KeyFile, text: SecretString) -> Result<SigningKey, Failure> {
    SigningKey::from_pem(text).map_err(|bad| file.wrong(&format!("does not read: {bad}")))
}

fn missing(file: &KeyFile) -> Failure {
    usage(format!(
        "the signing key, which has signed the log, ought to be in {} and is not there; put it back, or name it in [audit] \
         signing_key_file; where it is lost for good, `{LOST}` signs on with a new one",
        file.path().display()
    ))
}

fn other_key(file: &KeyFile, origin: &str) -> Failure {
    usage(format!(
        "the signing key {} is not the one by which the log '{origin}' is signed; put that one back; where it is lost for good, `{LOST}` signs on with a new one",
        file.path().display()
    ))
}

/// Puts a public key behind those that are published, where it is not among them.
fn publish(file: &KeyFile, key: &PublicKey) -> Result<(), Failure> {
    let path = public_file(file.path());
    let unusable =
        |error: io::Error| usage(format!("the public keys {} cannot be written: {error}", path.display()));
    let before = match text::read(&path, MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            "# What verifies the log of enact, oldest first. Give it to those who are to check the log, by a way of its own.\n"
                .to_owned()
        }
        read => read.map_err(unusable)?,
    };
    match PublicKeys::parse(&before) {
        Ok(keys) if keys.contains(key) => return Ok(()),
        Ok(_) | Err(BadKey::None) => {}
        Err(bad) => return Err(usage(format!("the public keys {} do not read: {bad}", path.display()))),
    }
    let new = path.with_extension(format!("pub.new-{}", std::process::id()));
    let write = || {
        let mut file = File::create(&new)?;
        writeln!(file, "{}{key}", if before.ends_with('\n') { before } else { before + "\n" })?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        sync_folder(&path)
    };
    write().map_err(unusable)
}
