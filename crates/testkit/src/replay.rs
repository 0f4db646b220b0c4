//! Recorded runs, kept beside the tests of a workflow, and the check that the workflow still replays them.
//!
//! A history is a file of JSON Lines, one event a line, as `enact events RUN --whole` prints it.

use std::path::Path;

use enact_core::error::{Error, ErrorCode};
use enact_core::event::{Event, StoredEvent};
use enact_core::ids::{EventSeq, Position, Pseudonym, RunId};
use enact_core::store::{EventStore, MAX_PAGE};
use enact_core::time::Timestamp;
use enact_runtime::{RecordedRun, Replay};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Recorded runs.
#[derive(Clone, Debug, Default)]
pub struct History {
    runs: Vec<RecordedRun>,
}

impl History {
    /// All runs of a store, newest first, as far as they are durable.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of_store(store: &dyn EventStore) -> Result<Self, Error> {
        let (mut runs, mut before) = (Vec::new(), None);
        loop {
            let page = store.runs(before, MAX_PAGE).await?;
            let Some(last) = page.last() else { return Ok(Self { runs }) };
            before = Some(*last);
            for run in page {
                runs.push(recorded(store, run).await?);
            }
        }
    }

    /// One run of a store, as far as it is durable.
    ///
    /// # Errors
    /// `invalid_parameters` for an unknown run; those of the store.
    pub async fn of_run(store: &dyn EventStore, run: RunId) -> Result<Self, Error> {
        Ok(Self { runs: vec![recorded(store, run).await?] })
    }

    /// Reads a history that was kept as JSON Lines.
    ///
    /// # Errors
    /// `not_found`, where the file cannot be read; as [`History::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let message = format!("the history {} cannot be read: {error}", path.display());
            Error::new(ErrorCode::NotFound, message).with_source(error)
        })?;
        Self::parse(&text).map_err(|error| error.context(path.display()))
    }

    /// Reads a history from JSON Lines: the events of one run after those of another, each run's in their order.
    ///
    /// # Errors
    /// `invalid_parameters`, naming the line; `internal`, where events contradict each other.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut runs: Vec<Vec<StoredEvent>> = Vec::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let event = event(line).map_err(|error| {
                Error::new(ErrorCode::InvalidParameters, format!("line {number} is not an event: {error}"))
            })?;
            match runs.last_mut() {
                Some(run) if run.last().is_some_and(|last| last.run_id == event.run_id) => run.push(event),
                _ => runs.push(vec![event]),
            }
        }
        Ok(Self { runs: runs.into_iter().map(RecordedRun::new).collect::<Result<_, _>>()? })
    }

    /// The history as JSON Lines.
    ///
    /// # Errors
    /// `internal`, where an event has no JSON form.
    pub fn to_json_lines(&self) -> Result<String, Error> {
        let mut text = String::new();
        for event in self.runs.iter().flat_map(RecordedRun::events) {
            text.push_str(enact_core::json::JsonText::encode(event)?.as_str());
            text.push('\n');
        }
        Ok(text)
    }

    /// The runs.
    #[must_use]
    pub fn runs(&self) -> &[RecordedRun] {
        &self.runs
    }
}

/// Checks that a workflow still asks for what the runs of its name and version asked for.
///
/// # Errors
/// `conflict` for the first run that it does not match, with the call and both sides; `not_found`, where the
/// history has no run of this workflow and version, so that nothing would be checked.
pub fn replays(history: &History, replay: &Replay) -> Result<(), Error> {
    let workflow = replay.workflow();
    let (name, version) = (workflow.name(), workflow.version());
    let mut of_workflow = history
        .runs
        .iter()
        .filter(|run| {
            let accepted = &run.state().accepted;
            accepted.workflow == name && accepted.version == version
        })
        .peekable();
    if of_workflow.peek().is_none() {
        let message = format!("the history has no run of workflow '{name}' version {version}");
        return Err(Error::new(ErrorCode::NotFound, message));
    }
    for run in of_workflow {
        replay.check(run).map_err(|divergence| {
            let message = format!(
                "run {}: {divergence}. A workflow that asks for other things gets a new VERSION; the old one stays \
                 beside it while runs of it are open",
                run.id()
            );
            Error::new(ErrorCode::Conflict, message).with_source(divergence)
        })?;
    }
    Ok(())
}

async fn recorded(store: &dyn EventStore, run: RunId) -> Result<RecordedRun, Error> {
    let mut events: Vec<StoredEvent> = Vec::new();
    loop {
        let next = events.last().map_or(EventSeq(1), |last| last.event_seq.next());
        let page = store.read(run, next, MAX_PAGE).await?;
        if page.is_empty() {
            return RecordedRun::new(events).map_err(|error| error.context(format!("run {run}")));
        }
        events.extend(page);
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    position: Position,
    run_id: RunId,
    event_seq: EventSeq,
    at: Timestamp,
    #[serde(default)]
    by: Pseudonym,
    kind: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Text values keep their text, which a flattened form would not.
fn event(line: &str) -> serde_json::Result<StoredEvent> {
    let Line { position, run_id, event_seq, at, by, kind, data } = serde_json::from_str(line)?;
    let kind = serde_json::to_string(&kind)?;
    let event: Event = match data {
        Some(data) => serde_json::from_str(&format!("{{\"kind\":{kind},\"data\":{}}}", data.get()))?,
        None => serde_json::from_str(&format!("{{\"kind\":{kind}}}"))?,
    };
    Ok(StoredEvent { position, run_id, event_seq, at, by, event })
}
