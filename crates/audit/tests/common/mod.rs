//! A log to sign, and to damage.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use enact_audit::{AuditError, KeptElsewhere, Notary, Proved, PublicKeys, SigningKey, verify};
use enact_core::event::{
    Event, NewEvent, OnFailure, PoliciesEvaluated, RunAccepted, RunSucceeded, ValueRecorded, WorkflowSource,
};
use enact_core::ids::{CallPath, EventSeq, Position, Pseudonym, RunId};
use enact_core::json::JsonText;
use enact_core::store::{Append, Durability, EventStore, Fence, RunMark};
use enact_core::time::Timestamp;
use enact_store::{MasterKey, Options, SledStore};

/// A store whose volumes are sealed early, with a master key.
pub(crate) fn small() -> Options {
    let key = MasterKey::parse(&"07".repeat(32)).unwrap();
    SledStore::options().volume_bytes(100_000).segment_bytes(64 * 1024).master_key(key)
}

pub(crate) fn open(path: &Path) -> Arc<SledStore> {
    Arc::new(small().open(path).unwrap())
}

/// A signing key that can be had again by its number.
pub(crate) fn key(number: u8) -> SigningKey {
    let der =
        [&b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"[..], &[number; 32]].concat();
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    SigningKey::from_pem(pem.into()).unwrap()
}

/// The public keys of these signing keys, for the log of a store.
pub(crate) fn trusting(store: &SledStore, keys: &[u8]) -> PublicKeys {
    let keys = keys.iter().map(|number| key(*number).public(&enact_audit::origin(store)).unwrap());
    PublicKeys::parse(&keys.map(|key| format!("{key}\n")).collect::<String>()).unwrap()
}

/// Appends runs of two events each, of about `size` bytes.
pub(crate) async fn fill(store: &SledStore, runs: std::ops::RangeInclusive<u64>, size: usize) {
    for number in runs {
        let run = RunId::from_parts(number, [7; 10]);
        let value = JsonText::encode(&"x".repeat(size)).unwrap();
        let body = ValueRecorded { path: CallPath::root(1), what: "test".into(), value };
        let event = NewEvent {
            at: Timestamp::from_unix_us(number),
            by: Pseudonym::default(),
            event: Event::ValueRecorded(body),
        };
        append(store, run, vec![event.clone(), event]).await;
    }
}

/// Appends a run as it was recorded, and gives its id.
pub(crate) async fn append(store: &SledStore, run: RunId, events: Vec<NewEvent>) -> RunId {
    let append = Append {
        run,
        expected: EventSeq(0),
        fence: Fence::NONE,
        events,
        mark: RunMark::Closed,
        key: None,
        durability: Durability::Barrier,
    };
    store.append(append).await.unwrap().durable().await.unwrap();
    run
}

/// A run that did nothing.
pub(crate) async fn short_run(store: &SledStore, number: u64) -> RunId {
    let accepted = RunAccepted {
        workflow: "nothing".into(),
        version: 1,
        source: WorkflowSource::Code,
        user: "agent".into(),
        attributes: JsonText::parse("{}").unwrap(),
        input: JsonText::null(),
        on_failure: OnFailure::Rollback,
        key: None,
    };
    let judged = PoliciesEvaluated { verdicts: Vec::new(), policies: None };
    let events = [
        Event::RunAccepted(Arc::new(accepted)),
        Event::PoliciesEvaluated(judged),
        Event::RunSucceeded(RunSucceeded { output: JsonText::null() }),
    ];
    let new = |event| NewEvent { at: Timestamp::from_unix_us(number), by: Pseudonym::default(), event };
    append(store, RunId::from_parts(number, [7; 10]), events.map(new).to_vec()).await
}

/// Who signs the log of a store.
pub(crate) async fn notary(store: &Arc<SledStore>, number: u8) -> Notary {
    Notary::open(Arc::clone(store), key(number)).await.unwrap()
}

/// Signs the whole log, and gives the checkpoint.
pub(crate) async fn sign(store: &Arc<SledStore>, number: u8) -> String {
    notary(store, number).await.checkpoint().await.unwrap().unwrap()
}

/// What verifying says, with the first key.
pub(crate) async fn proved(store: &Arc<SledStore>) -> Result<Proved, AuditError> {
    verify(store, trusting(store, &[1]), Vec::new()).await
}

/// What verifying says of a checkpoint that was kept elsewhere.
pub(crate) async fn against(
    store: &Arc<SledStore>,
    trusted: PublicKeys,
    note: &str,
) -> Result<Proved, AuditError> {
    verify(store, trusted, vec![KeptElsewhere::parse("kept.checkpoint", note)?]).await
}

/// The message of what was found.
pub(crate) fn disproved(result: Result<Proved, AuditError>) -> String {
    match result {
        Err(error @ AuditError::Disproved { .. }) => error.to_string(),
        other => panic!("it ought to be disproved, and is {other:?}"),
    }
}

/// Waits until as many volumes are sealed.
pub(crate) async fn sealed(store: &SledStore, count: usize) {
    let next = store.path().join(format!("volumes/{:08}", count + 1));
    for _ in 0..2000 {
        if next.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{count} volumes were not sealed in ten seconds");
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// Copies a folder, which a crash may have left.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in files(from) {
        let to = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(file, to).unwrap();
    }
}

/// The lines of checkpoints that are kept with a store.
pub(crate) fn lines(store: &Path) -> Vec<String> {
    fs::read_to_string(store.join("checkpoints")).unwrap().lines().map(str::to_owned).collect()
}

pub(crate) const FIRST: Position = Position(1);

/// What the verifier in another language says: `Ok` where it says that all holds.
pub(crate) fn python(keys: &PublicKeys, what: &str, path: &Path) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.pub");
    fs::write(&file, keys.to_string()).unwrap();
    let script: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../tests/verifier/verify.py"].iter().collect();
    let output =
        std::process::Command::new("python3").arg(script).args([&file, Path::new(what), path]).output();
    let output = output.unwrap_or_else(|error| panic!("python3: {error}; `cargo xtask tools` installs it"));
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    if output.status.success() { Ok(said) } else { Err(said) }
}
