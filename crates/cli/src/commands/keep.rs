//! Keeping the event store: backups, checks, pruning.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use enact::SledStore;
use enact::error::{Error, ErrorCode};
use enact::store::StoreError;
use enact::time::Timestamp;
use serde_json::json;

use crate::args::Store;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;

/// `enact store`.
pub(crate) async fn store(
    command: Store,
    load: impl FnOnce() -> Result<Config, Failure>,
    out: Out,
) -> Result<Exit, Failure> {
    match command {
        Store::Restore { from, to } => {
            SledStore::restore(&from, &to)?;
            let said =
                format!("restored {} into {}; every hash in it was checked", from.display(), to.display());
            tell(out, json!({ "restored": to }), &said);
        }
        Store::Backup { dir } => {
            let path = existing(&load()?)?;
            match SledStore::open(&path) {
                Ok(store) => store.backup(&dir).await?,
                // Who works with it is not disturbed.
                Err(StoreError::Locked { .. }) => SledStore::backup_beside(&path, &dir)?,
                Err(error) => return Err(error.into()),
            }
            let said = format!("backed up into {}; `enact store restore` puts it in place", dir.display());
            tell(out, json!({ "backup": dir }), &said);
        }
        Store::Verify => {
            let verified = open(&load()?)?.verify()?;
            let document =
                json!({ "events": verified.events, "up_to": verified.up_to, "blobs": verified.blobs });
            let said = format!(
                "{} events up to position {} and {} blobs are as they were written",
                verified.events, verified.up_to, verified.blobs
            );
            tell(out, document, &said);
        }
        Store::Prune { older_than } => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let before = now.saturating_sub(Duration::from_secs(older_than.saturating_mul(24 * 60 * 60)));
            let before = Timestamp::from_unix_us(u64::try_from(before.as_micros()).unwrap_or(u64::MAX));
            let pruned = open(&load()?)?.prune(before).await?;
            let document = json!({ "volumes": pruned.volumes, "up_to": pruned.up_to, "blobs": pruned.blobs });
            let said = format!("deleted {} volumes and {} blobs", pruned.volumes, pruned.blobs);
            tell(out, document, &said);
        }
    }
    Ok(Exit::OK)
}

/// Opens the store, which has to be there.
fn open(config: &Config) -> Result<SledStore, Failure> {
    Ok(SledStore::open(existing(config)?)?)
}

/// Where the store is, which has to be there.
fn existing(config: &Config) -> Result<PathBuf, Failure> {
    let path = config.store();
    if path.exists() {
        return Ok(path);
    }
    let message = format!("there is no store in {}", path.display());
    Err(Error::new(ErrorCode::NotFound, message).left_nothing().into())
}

fn tell(out: Out, document: serde_json::Value, said: &str) {
    if out.json { out.document(&document) } else { out.line(said) }
}
