//! Keeping the event store: backups, checks, pruning.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use enact::SledStore;
use enact::document::RunDocument;
use enact::error::{Error, ErrorCode};
use enact::runtime::history;
use enact::store::StoreError;
use enact::time::Timestamp;
use serde_json::json;

use crate::args::Store;
use crate::config::Config;
use crate::failure::{Exit, Failure, usage};
use crate::master_key::{self, Place};
use crate::out::Out;
use crate::session::{open_store, there_is};
use crate::signing;

/// `enact store`.
pub(crate) async fn store(
    command: Store,
    load: impl FnOnce() -> Result<Config, Failure>,
    out: Out,
) -> Result<Exit, Failure> {
    match command {
        Store::Restore { from, to } => {
            SledStore::restore(&from, &to).map_err(of_folder)?;
            let said =
                format!("restored {} into {}; every hash in it was checked", from.display(), to.display());
            tell(out, json!({ "restored": to }), &said);
        }
        Store::Backup { dir } => {
            let beside = back_up(&load()?, &dir).await?;
            let mut said =
                format!("backed up into {}; `enact store restore` puts it in place", dir.display());
            if beside {
                said += " (another process has the store open, and was not disturbed)";
            }
            tell(out, json!({ "backup": dir, "beside": beside }), &said);
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
        Store::RotateKey { new_key_env } => {
            let config = load()?;
            there_is(&config)?;
            let place = config.master_key();
            let print = master_key::rotate(&config.store(), &place, new_key_env.as_deref())?;
            let where_to = match (&place, &new_key_env) {
                (Place::File(file), _) => format!("it is in {}", file.display()),
                (Place::Env(name), from) => {
                    format!(
                        "from now on {name} has to hold what {} does",
                        from.as_deref().unwrap_or_default()
                    )
                }
            };
            let said = format!(
                "the store is under the new master key {print}; {where_to}; keep a copy of it elsewhere"
            );
            tell(out, json!({ "master_key": print }), &said);
        }
        Store::Prune { older_than } => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let before = now.saturating_sub(Duration::from_secs(older_than.saturating_mul(24 * 60 * 60)));
            let before = Timestamp::from_unix_us(u64::try_from(before.as_micros()).unwrap_or(u64::MAX));
            return prune(&load()?, before, out).await;
        }
    }
    Ok(Exit::OK)
}

/// `enact audit prune`, and `enact store prune`.
pub(crate) async fn prune(config: &Config, before: Timestamp, out: Out) -> Result<Exit, Failure> {
    let pruned = open(config)?.prune(before).await?;
    let held = pruned.held.map(|held| {
        let (run, open) = (held.by.run(), held.by.is_open());
        json!({ "volume": held.volume, "run_id": run, "open": open, "why": held.by.to_string() })
    });
    let document = json!({
        "volumes": pruned.volumes, "up_to": pruned.up_to, "blobs": pruned.blobs, "held": held,
    });
    let mut said = format!("deleted {} volumes and {} blobs", pruned.volumes, pruned.blobs);
    if let Some(held) = pruned.held {
        said += &format!("; volume {} and those behind it stay: {}", held.volume, held.by);
    }
    tell(out, document, &said);
    Ok(Exit::OK)
}

/// `enact erase`.
pub(crate) async fn erase(config: &Config, run: &str, by: &str, out: Out) -> Result<Exit, Failure> {
    let store = Arc::new(open(config)?);
    let notary = signing::notary(config, &store).await?;
    let run = history::find(&*store, run).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = Timestamp::from_unix_us(u64::try_from(now.as_micros()).unwrap_or(u64::MAX));
    let erased = store.erase(run, by, at).await;
    if let Err(error) = erased {
        return Err(Failure::from(error).of(Some(run)));
    }
    let document = history::load(&*store, run).await?.map(|state| RunDocument::new(&state));
    let said = format!(
        "the content of run {run} is erased; that it was there, how it ended and every hash of it stay (backups from \
         before still have it)"
    );
    notary.checkpoint().await?;
    store.close()?;
    if out.json {
        out.document(&document)
    } else {
        out.line(&said)
    }
    Ok(Exit::OK)
}

/// Copies the store, also while another process has it open: `true`.
async fn back_up(config: &Config, dir: &Path) -> Result<bool, Failure> {
    there_is(config)?;
    match open_store(config) {
        Ok(store) => store.backup(dir).await.map_err(of_folder).map(|()| false),
        Err(failure) if failure.is_locked() => {
            let (path, dir) = (config.store(), dir.to_owned());
            let copied = tokio::task::spawn_blocking(move || SledStore::backup_beside(path, dir)).await;
            let stopped = |error| Error::new(ErrorCode::Internal, format!("the backup stopped: {error}"));
            copied.map_err(stopped)?.map_err(of_folder).map(|()| true)
        }
        Err(failure) => Err(failure),
    }
}

/// A folder that cannot be used is a mistake in what was asked for.
fn of_folder(error: StoreError) -> Failure {
    match &error {
        StoreError::Io { source, .. }
            if matches!(source.kind(), ErrorKind::AlreadyExists | ErrorKind::InvalidInput) =>
        {
            usage(format!("{error}; nothing was copied"))
        }
        _ => error.into(),
    }
}

/// Opens the store, which has to be there.
fn open(config: &Config) -> Result<SledStore, Failure> {
    there_is(config)?;
    open_store(config)
}

fn tell(out: Out, document: serde_json::Value, said: &str) {
    if out.json { out.document(&document) } else { out.line(said) }
}
