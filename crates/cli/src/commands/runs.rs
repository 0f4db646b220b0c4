//! Commands that carry runs.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use enact::blob::{BlobRef, BlobStore};
use enact::document::RunDocument;
use enact::error::Error;
use enact::event::Decision;
use enact::ids::{RunId, Seq};
use enact::json::JsonText;
use enact::run::{RunStatus, UndoOutcome};
use enact::runtime::history;
use enact::store::{EventStore, StoreError};
use enact::{DynWorkflow, Enact, RollbackOptions, Run, RunRequest, SledStore};
use serde::Serialize;
use serde_json::{Value, json};

use super::start;
use crate::args::{Attributes, Start, Word, os_user};
use crate::config::Config;
use crate::failure::{Exit, Failure, usage};
use crate::narrate::Progress;
use crate::out::{Out, Tone, clean};
use crate::policies;
use crate::render;
use crate::session::{Session, Unsigned};

/// A session with every connector, or with those at least that are `needed`: others that lack their secret are left out,
/// and runs that another command left and that need them wait.
async fn session(config: &Config, needed: Option<BTreeSet<String>>, out: Out) -> Result<Session, Failure> {
    session_for(Asked::More, config, needed, out).await
}

/// What a command asks of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// To do something, or to go on.
    More,
    /// Not to do something.
    Less,
    /// To undo what it did.
    Undo,
}

async fn session_for(
    asked: Asked,
    config: &Config,
    needed: Option<BTreeSet<String>>,
    out: Out,
) -> Result<Session, Failure> {
    let opened = config.connectors_for(needed.as_ref())?;
    for (name, lacks) in &opened.left_out {
        out.note(&format!("connector '{name}' is left out: {lacks}; runs that need it wait"));
    }
    let (policies, unsigned) = match asked {
        Asked::More => (policies::for_runtime(config, &opened.toolboxes)?, Unsigned::Refused),
        Asked::Less | Asked::Undo => {
            (policies::for_undoing(config, &opened.toolboxes, out), Unsigned::Told(out))
        }
    };
    let watch = out.progress.then(|| Progress::new(out, false));
    Session::start(config, opened.toolboxes, policies, watch, unsigned).await
}

/// `enact run`.
pub(crate) async fn run(config: &Config, start: Start, out: Out) -> Result<Exit, Failure> {
    let has_key = start.key.is_some();
    let (workflow, request) = start::request(config, start)?;
    // The run that a key already has may be one of an earlier text, with other connectors.
    let needed = (!has_key).then(|| workflow.foreseen().into_iter().map(|it| it.connector).collect());
    let session = session(config, needed, out).await?;
    let store = Arc::clone(&session.store);
    let tell = |run: Run| show(&run, false, &store, out);
    Ok(session.carry(out, async |enact| enact.run_to_end(request).await, tell).await)
}

/// `enact act`.
pub(crate) async fn act(
    config: &Config,
    name: &str,
    (user, attributes): (String, Attributes),
    params: Option<String>,
    out: Out,
) -> Result<Exit, Failure> {
    let Some((connector, action)) = name.split_once('.') else {
        return Err(usage(format!("'{name}' is not CONNECTOR.ACTION, such as files.write_file")));
    };
    let params = match params {
        Some(params) => start::input(Some(&params), "--params")?,
        None => JsonText::parse("{}")?,
    };
    let attributes = start::attributes(&attributes.given)?;
    let session = session(config, Some(BTreeSet::from([connector.to_owned()])), out).await?;
    let request = RunRequest::act(connector, action, params, user).attributes(attributes);
    let store = Arc::clone(&session.store);
    let tell = |run: Run| show(&run, false, &store, out);
    Ok(session.carry(out, async |enact| enact.run_to_end(request).await, tell).await)
}

/// `enact resume`.
pub(crate) async fn resume(config: &Config, run: Option<String>, out: Out) -> Result<Exit, Failure> {
    if let Some(run) = run {
        return ask(config, &run, Asked::More, out, async |enact, id| enact.resume(id, os_user()).await)
            .await;
    }
    let session = session(config, None, out).await?;
    let store = Arc::clone(&session.store);
    let all = async |enact: &Enact| {
        let mut all = All::default();
        enact.resume_all(&os_user(), |run, end| all.add(run, end, &store, out)).await.map(|()| all)
    };
    Ok(session.carry(out, all, |all| show_all(all, out)).await)
}

/// The document of `resume` without a run.
#[derive(Serialize)]
struct Resumed<'a> {
    runs: &'a [RunDocument],
    /// Runs that could not be carried on, such as those that do not read, with the error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_resumed: Vec<Value>,
}

/// What is shown of many runs; of each no more is kept than that.
#[derive(Default)]
struct All {
    runs: Vec<RunDocument>,
    not_resumed: Vec<(RunId, Failure)>,
    /// The store lost content that an undo needs.
    lost: bool,
}

impl All {
    fn add(&mut self, id: RunId, end: Result<Run, Error>, store: &SledStore, out: Out) {
        match end {
            Ok(run) => {
                self.lost |= tell_lost_content(&run, store, out);
                self.runs.push(RunDocument::summary(run.state()));
            }
            Err(error) => self.not_resumed.push((id, Failure::from(error))),
        }
    }
}

fn show_all(All { runs, not_resumed, lost }: All, out: Out) -> Exit {
    if out.json {
        let named = not_resumed.iter().map(|(id, why)| json!({ "run_id": id, "error": why.error() }));
        out.document(&Resumed { runs: &runs, not_resumed: named.collect() });
    } else {
        if !runs.is_empty() || not_resumed.is_empty() {
            render::list_with_reasons(out, &runs);
        }
        for (id, why) in &not_resumed {
            let why = format!("not resumed: {}", clean(&why.message()));
            out.line(&format!("{id}  {}", out.paint(Tone::Bad, &why)));
        }
    }
    if lost { Exit::CORRUPT } else { exit_of_all(&runs, &not_resumed) }
}

/// What weighs most, of all runs.
fn exit_of_all(runs: &[RunDocument], not_resumed: &[(RunId, Failure)]) -> Exit {
    let is_corrupt = |(_, why): &(RunId, Failure)| why.exit() == Exit::CORRUPT;
    let needs_a_person = |run: &RunDocument| Exit::of(run.status, false) == Exit::NEEDS_A_PERSON;
    let did_not_complete = |run: &RunDocument| run.status != RunStatus::Completed;
    match () {
        () if not_resumed.iter().any(is_corrupt) => Exit::CORRUPT,
        () if runs.iter().any(needs_a_person) => Exit::NEEDS_A_PERSON,
        () if !not_resumed.is_empty() => Exit::INTERNAL,
        () if runs.iter().any(did_not_complete) => Exit::FAILED,
        () => Exit::OK,
    }
}

/// Asks something of a run, waits for what becomes of it, and shows that.
async fn ask(
    config: &Config,
    run: &str,
    asked: Asked,
    out: Out,
    what: impl AsyncFnOnce(&Enact, RunId) -> Result<Run, Error>,
) -> Result<Exit, Failure> {
    let work = async |enact: &Enact| {
        let id = history::find(&**enact.store(), run).await?;
        what(enact, id).await
    };
    let session = session_for(asked, config, None, out).await?;
    let store = Arc::clone(&session.store);
    Ok(session.carry(out, work, |run| show(&run, asked == Asked::Undo, &store, out)).await)
}

/// `enact rollback`.
pub(crate) async fn rollback(
    config: &Config,
    run: &str,
    (to, force, reason): (Option<u64>, bool, Option<String>),
    by: String,
    out: Out,
) -> Result<Exit, Failure> {
    let options = RollbackOptions::by(by).to(to.map(Seq)).force(force).reason(reason);
    ask(config, run, Asked::Undo, out, async |enact, id| enact.rollback(id, options).await).await
}

/// `enact cancel`.
pub(crate) async fn cancel(config: &Config, run: &str, by: String, out: Out) -> Result<Exit, Failure> {
    ask(config, run, Asked::Undo, out, async |enact, id| enact.cancel(id, by, None).await).await
}

/// `enact resolve`.
pub(crate) async fn resolve(
    config: &Config,
    run: &str,
    seq: u64,
    word: Word,
    by: String,
    out: Out,
) -> Result<Exit, Failure> {
    let decision = match word {
        Word::Applied => Decision::Applied,
        Word::NotApplied => Decision::NotApplied,
        Word::Abandon => Decision::Abandon,
    };
    ask(config, run, Asked::More, out, async |enact, id| enact.resolve(id, Seq(seq), decision, by).await)
        .await
}

/// `enact approve`.
pub(crate) async fn approve(
    config: &Config,
    run: &str,
    (seq, by): (Option<u64>, String),
    out: Out,
) -> Result<Exit, Failure> {
    ask(config, run, Asked::More, out, async |enact, id| enact.approve(id, seq.map(Seq), by).await).await
}

/// `enact deny`.
pub(crate) async fn deny(
    config: &Config,
    run: &str,
    (seq, by): (Option<u64>, String),
    reason: Option<String>,
    out: Out,
) -> Result<Exit, Failure> {
    ask(config, run, Asked::Less, out, async |enact, id| enact.deny(id, seq.map(Seq), by, reason).await).await
}

fn show(run: &Run, undoing: bool, store: &SledStore, out: Out) -> Exit {
    if out.json {
        out.document(&run.document());
    } else {
        render::run(out, &run.document());
    }
    if tell_lost_content(run, store, out) { Exit::CORRUPT } else { Exit::of(run.status(), undoing) }
}

/// Says where an undo failed because what the store kept for it is gone or damaged, and whether that is so.
fn tell_lost_content(run: &Run, store: &SledStore, out: Out) -> bool {
    let state = run.state();
    let failed = state.undo_outcomes().into_iter().filter(|(_, outcome, _)| *outcome == UndoOutcome::Failed);
    let failed: BTreeSet<Seq> = failed.map(|(seq, ..)| seq).collect();
    let mut kept =
        state.attempts().filter(|(seq, ..)| failed.contains(seq)).flat_map(|(.., of)| &of.intent.blobs);
    let blobs = store.blobs(run.id);
    let Some(error) = kept.find_map(|blob| corruption(&*blobs, blob)) else { return false };
    out.note(&format!(
        "{} (`enact store restore`); then `enact rollback {}` tries again",
        clean(&error),
        run.id
    ));
    true
}

/// What the store says of content that it does not give as it was put.
fn corruption(blobs: &dyn BlobStore, blob: &BlobRef) -> Option<String> {
    let read = blobs.open(blob).and_then(|mut content| io::copy(&mut content, &mut io::sink()));
    let error = read.err()?;
    let of_the_store = error.get_ref().and_then(|error| error.downcast_ref());
    matches!(of_the_store, Some(StoreError::Corrupt { .. })).then(|| error.to_string())
}
