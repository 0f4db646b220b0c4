//! Proving the log: `enact audit`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use enact::SledStore;
use enact::audit::{self, Checkpoint, Export, Filter, KeptElsewhere, Proved, Receipts, SignedNote};
use enact::error::{Error, ErrorCode};
use enact::ids::Position;
use enact::runtime::history;
use enact::store::{EventStore, StoreError};
use serde_json::json;

use crate::args;
use crate::config::Config;
use crate::failure::{Exit, Failure, usage};
use crate::master_key;
use crate::out::Out;
use crate::session::{open_store, there_is};
use crate::signals::unless_told;
use crate::signing;
use crate::text;

/// A checkpoint is shorter; a larger file is none.
const MAX_NOTE: usize = 1024 * 1024;

/// `enact audit verify`.
pub(crate) async fn verify(
    config: &Config,
    checkpoints: &[PathBuf],
    public_key: Option<&Path>,
    out: Out,
) -> Result<Exit, Failure> {
    there_is(config)?;
    let beside = signing::public_file(&config.signing_key());
    let trusted = signing::public_keys(public_key.unwrap_or(&beside))?;
    let elsewhere = checkpoints.iter().map(|file| kept_elsewhere(file)).collect::<Result<_, _>>()?;
    let store = Arc::new(open_to_verify(config)?);
    let proved = audit::verify(&store, trusted, elsewhere).await?;
    if out.json {
        let Proved { origin, verified, root, checkpoints, signed, receipts } = &proved;
        let Receipts { same, gone, locked } = receipts;
        out.document(&json!({
            "log": origin, "events": verified.events, "up_to": verified.up_to, "blobs": verified.blobs,
            "checkpoints": checkpoints, "signed": signed, "root": STANDARD.encode(root),
            "receipts": { "same": same, "gone": gone, "locked": locked },
        }));
    } else {
        out.line(&said(&proved));
    }
    Ok(Exit::OK)
}

fn kept_elsewhere(file: &Path) -> Result<KeptElsewhere, Failure> {
    let note = text::read(file, MAX_NOTE)
        .map_err(|error| usage(format!("the checkpoint {} cannot be read: {error}", file.display())))?;
    Ok(KeptElsewhere::parse(file, &note)?)
}

/// Opens the store with its master key, or without one where it is not at hand: hashes are all that is needed.
fn open_to_verify(config: &Config) -> Result<SledStore, Failure> {
    let locked = || Ok(SledStore::options().without_key().open(config.store())?);
    match master_key::options(&config.store(), &config.master_key()) {
        Err(failure) if failure.exit() == Exit::USAGE => locked(),
        options => match options?.open(config.store()) {
            Err(StoreError::WrongKey { .. }) => locked(),
            opened => Ok(opened?),
        },
    }
}

fn said(proved: &Proved) -> String {
    let Proved { origin, verified, checkpoints, signed, receipts, .. } = proved;
    let mut said = format!(
        "{} events up to position {} and {} blobs are as they were written",
        verified.events, verified.up_to, verified.blobs
    );
    let unsigned = verified.up_to.0.saturating_sub(*signed);
    match (*signed, unsigned) {
        (0, 0) => {}
        (0, _) => said += "; nothing of them is signed",
        (_, 0) => said += &format!(", and as they were signed in {checkpoints} checkpoints"),
        (_, _) => {
            said += &format!(
                ", and up to position {signed} as they were signed in {checkpoints} checkpoints; the last {unsigned} are \
                 not signed yet"
            );
        }
    }
    let Receipts { same, gone, locked } = receipts;
    if same + gone + locked > 0 {
        said += &format!("; {same} receipts say what it says");
    }
    if *gone > 0 {
        said += &format!(", {gone} are of runs that were erased or pruned");
    }
    if *locked > 0 {
        said += &format!(", {locked} can be checked with the master key alone");
    }
    said + &format!(" (log {origin})")
}

/// `enact audit checkpoint`.
pub(crate) async fn checkpoint(config: &Config, out: Out) -> Result<Exit, Failure> {
    there_is(config)?;
    let store = Arc::new(open_store(config)?);
    let notary = signing::notary(config, &store).await?;
    let note = notary.checkpoint().await?;
    let public_key = notary.public_key().to_string();
    store.close()?;
    let Some(note) = note else { return Err(usage("the log is empty; there is nothing to sign")) };
    if out.json {
        let said = SignedNote::parse(&note).ok().and_then(|note| Checkpoint::read(&note).ok());
        let (log, size) = said.map(|said| (said.origin, said.size)).unzip();
        out.document(&json!({ "log": log, "size": size, "checkpoint": note, "public_key": public_key }));
    } else {
        out.line_as_it_is(note.trim_end_matches('\n'));
    }
    Ok(Exit::OK)
}

/// `enact audit rotate-key`.
pub(crate) async fn rotate_key(config: &Config, lost: bool, out: Out) -> Result<Exit, Failure> {
    there_is(config)?;
    let store = Arc::new(open_store(config)?);
    let key = signing::rotate(config, &store, lost).await?;
    store.close()?;
    let public = signing::public_file(&config.signing_key());
    if out.json {
        out.document(&json!({ "public_key": key.to_string(), "public_keys": public, "handed_over": !lost }));
        return Ok(Exit::OK);
    }
    let vouched = if lost {
        "nothing of the old key vouches for it: give it to those who check the log"
    } else {
        "the old key has signed it: whoever has that one can check what follows"
    };
    out.line(&format!(
        "the log is signed by {key} from now on; {vouched}; all public keys are in {}",
        public.display()
    ));
    Ok(Exit::OK)
}

/// `enact audit export`.
pub(crate) async fn export(config: &Config, wanted: args::Export, out: Out) -> Result<Exit, Failure> {
    there_is(config)?;
    let args::Export { from, run, user, workflow, kind, since, before, whole } = wanted;
    let store = Arc::new(open_store(config)?);
    let mut runs = Vec::new();
    for run in run {
        runs.push(history::find(&*store, &run).await?);
    }
    let next = store.durable().next();
    if from > next.0 {
        // Whoever goes on from there would miss what comes until then, or mistakes one log for another.
        return Err(usage(format!(
            "--from {from} is behind the end of this log: the next event gets position {next}; an export that was \
             whole goes on there, and where one saw more, this is another log or one that was cut (enact audit verify)"
        )));
    }
    let filter = Filter { runs, user, workflow, kinds: kind, since, before };
    let mut export = Export::new(store, Position(from), filter);
    // Nobody is there any more who could read what comes.
    while out.is_read() {
        let Some(line) = unless_told(export.next()).await else { return Ok(Exit::INTERRUPTED) };
        let Some(line) = line else { break };
        let text =
            line?.to_json(whole).map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))?;
        if whole { out.line_as_it_is(&text) } else { out.json_line(&text) }
    }
    Ok(Exit::OK)
}
