//! Receipts of runs: `enact receipt`, and checking one without the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use enact::audit::{AuditError, Proven, Receipt};
use enact::error::{Error, ErrorCode};
use enact::runtime::history;
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::failure::{Exit, Failure, usage};
use crate::out::Out;
use crate::session::{open_store, there_is};
use crate::signing;
use crate::text;

/// A receipt is shorter; a larger file is none.
const MAX_RECEIPT: usize = 256 * 1024 * 1024;
/// Standard input, where it is named as a file.
const STDIN: &str = "/dev/stdin";

/// `enact receipt`. What is printed is exactly what was signed, also where it looks like a secret.
pub(crate) async fn give(config: &Config, run: &str, disclose: bool, out: Out) -> Result<Exit, Failure> {
    there_is(config)?;
    let store = Arc::new(open_store(config)?);
    let notary = signing::notary(config, &store).await?;
    let run = history::find(&*store, run).await?;
    let given = notary.receipt(run, disclose).await.map_err(|error| Failure::from(error).of(Some(run)))?;
    store.close()?;
    let text = given.to_json().map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))?;
    out.line_as_it_is(&text);
    Ok(Exit::OK)
}

/// `enact audit verify --receipt`. Needs neither the log nor, where public keys are named, a configuration.
pub(crate) fn verify(
    file: &Path,
    public_key: Option<PathBuf>,
    load: impl FnOnce() -> Result<Config, Failure>,
    out: Out,
) -> Result<Exit, Failure> {
    let keys = match public_key {
        Some(file) => file,
        None => signing::public_file(&load()?.signing_key()),
    };
    let trusted = signing::public_keys(&keys)?;
    let from = if file == Path::new("-") { Path::new(STDIN) } else { file };
    let text = text::read(from, MAX_RECEIPT)
        .map_err(|error| usage(format!("the receipt {} cannot be read: {error}", file.display())))?;
    let verified = Receipt::parse(&text).and_then(|receipt| receipt.verify(&trusted));
    let proven = verified.map_err(AuditError::from)?;
    if out.json {
        out.document(&document(&proven));
    } else {
        out.line(&said(&proven));
        for (label, content) in &proven.disclosed {
            out.line(&format!("  {label}: {content}"));
        }
    }
    Ok(Exit::OK)
}

fn document(proven: &Proven) -> Value {
    let Proven { statement, checkpoint, disclosed } = proven;
    // What does not read as JSON is not what an action can have had; it is shown as text.
    let value = |content: &String| serde_json::from_str(content).unwrap_or_else(|_| json!(content));
    let disclosed: Map<_, _> =
        disclosed.iter().map(|(label, content)| (label.clone(), value(content))).collect();
    json!({
        "run_id": statement.run_id, "workflow": statement.workflow.name, "version": statement.workflow.version,
        "user": statement.user, "status": statement.status, "events": statement.events.len(),
        "log": checkpoint.origin, "size": checkpoint.size, "disclosed": disclosed,
    })
}

fn said(proven: &Proven) -> String {
    let Proven { statement, checkpoint, disclosed } = proven;
    let workflow = &statement.workflow;
    let mut said = format!(
        "the receipt holds: run {} of {} v{} by {} is {}; its {} events are in the log {} of {} events",
        statement.run_id,
        workflow.name,
        workflow.version,
        statement.user,
        statement.status,
        statement.events.len(),
        checkpoint.origin,
        checkpoint.size
    );
    if !disclosed.is_empty() {
        said += "; what it discloses is what was digested:";
    }
    said
}
