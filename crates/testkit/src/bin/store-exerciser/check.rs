//! Checking what a store has, to the byte.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use enact_core::event::{Event, StoredEvent};
use enact_core::ids::{EventSeq, Position, RunId};
use enact_core::store::{EventStore, MAX_PAGE, StoreError};
use enact_store::SledStore;

use crate::content;

/// Prints what is there and what is wrong, one line each.
pub(crate) async fn check(dir: &Path) -> ExitCode {
    let mut found = Found::default();
    match open(dir).await {
        Err(error @ StoreError::Locked { .. }) => {
            eprintln!("store-exerciser: {error}");
            return ExitCode::from(2);
        }
        Err(error) => found.corrupt(&error),
        Ok(store) => {
            if let Err(error) = found.read(&store).await {
                found.corrupt(&error);
            }
            if let Err(error) = store.close() {
                found.corrupt(&error);
            }
        }
    }
    println!("have 1..{}", found.last);
    found.wrong.iter().for_each(|line| println!("{line}"));
    if found.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Opens the store; a writer that was just killed may have it for a moment still.
async fn open(dir: &Path) -> Result<SledStore, StoreError> {
    for _ in 0..100 {
        match crate::open(dir) {
            Err(StoreError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(100)).await,
            opened => return opened,
        }
    }
    crate::open(dir)
}

/// What was found.
#[derive(Default)]
struct Found {
    /// Up to where events are there, each as it was written.
    last: Position,
    /// The number of the last event of each run.
    runs: BTreeMap<RunId, EventSeq>,
    wrong: Vec<String>,
}

impl Found {
    fn corrupt(&mut self, what: &dyn std::fmt::Display) {
        self.wrong.push(format!("corrupt {}", what.to_string().replace('\n', " ")));
    }

    async fn read(&mut self, store: &SledStore) -> Result<(), StoreError> {
        let mut next = Position(1);
        loop {
            let page = store.read_all(next, MAX_PAGE).await?;
            let Some(last) = page.last().map(|event| event.position) else { break };
            for event in &page {
                self.take(store, event);
            }
            next = last.next();
        }
        let durable = store.durable();
        if next <= durable {
            self.wrong.push(format!("missing {next}..{durable}"));
        }
        self.read_runs(store).await?;
        store.verify().map(drop)
    }

    /// An event of the log, in its order.
    fn take(&mut self, store: &SledStore, event: &StoredEvent) {
        let (at, run) = (event.position, event.run_id);
        let expected = self.last.next();
        if at > expected && self.wrong.is_empty() {
            self.wrong.push(format!("missing {expected}..{}", at.0 - 1));
        }
        let seq = self.runs.entry(run).or_default();
        if seq.next() != event.event_seq {
            let what =
                format!("position {at}: run {run} goes on with event {} behind {seq}", event.event_seq);
            self.corrupt(&what);
        } else if let Err(what) = is_as_written(store, event) {
            self.corrupt(&format!("position {at}, event {} of run {run}: {what}", event.event_seq));
        }
        self.runs.insert(run, event.event_seq);
        if self.wrong.is_empty() {
            self.last = at;
        }
    }

    /// Each run by itself has what the log has of it.
    async fn read_runs(&mut self, store: &SledStore) -> Result<(), StoreError> {
        let open = store.open_runs().await?;
        for (run, last) in std::mem::take(&mut self.runs) {
            let (mut seq, mut is_whole) = (EventSeq(0), true);
            loop {
                let page = store.read(run, seq.next(), MAX_PAGE).await?;
                let Some(end) = page.last().map(|event| event.event_seq) else { break };
                is_whole &= page.iter().zip(seq.0 + 1..).all(|(event, number)| event.event_seq.0 == number);
                seq = end;
            }
            if seq != last || !is_whole {
                self.corrupt(&format!("run {run} has {seq} events by itself, and {last} in the log"));
            }
            if open.contains(&run) == (last.0 == content::length(run)) {
                self.corrupt(&format!("run {run} is open and ought to be closed, or the other way round"));
            }
        }
        Ok(())
    }
}

/// Whether an event is to the byte what its place says, and its blob too.
fn is_as_written(store: &SledStore, event: &StoredEvent) -> Result<(), String> {
    let (run, seq) = (event.run_id, event.event_seq);
    let blob = match &event.event {
        Event::CompensationIntended(refers) => refers.blobs.first().cloned(),
        _ => None,
    };
    let kept = blob.as_ref().map(|blob| read_blob(store, run, blob)).transpose();
    if kept.map_err(|error| format!("its blob: {error}"))? != content::blob(run, seq) {
        return Err("its blob is not what was put".into());
    }
    let written = content::event(run, seq, blob);
    if (written.at, written.by, &written.event) == (event.at, event.by, &event.event) {
        Ok(())
    } else {
        Err("it is not what was written".into())
    }
}

fn read_blob(store: &SledStore, run: RunId, blob: &enact_core::blob::BlobRef) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    store.blobs(run).open(blob)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}
