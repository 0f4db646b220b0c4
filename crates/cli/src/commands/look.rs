//! Commands that read the log and change nothing.

use std::time::Duration;

use enact::connector::Toolbox;
use enact::document::{self, Before, Change, RunDocument};
use enact::error::{Error, ErrorCode};
use enact::event::StoredEvent;
use enact::ids::{EventSeq, Position, RunId};
use enact::query::RunQuery;
use enact::run::{RunState, RunStatus};
use enact::runtime::history;
use enact::store::{EventStore, MAX_PAGE};
use enact::subscription::{Delivered, Subscription};
use enact::time::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::args;
use crate::config::Config;
use crate::failure::{Exit, Failure, usage};
use crate::out::{Out, Tone, clean};
use crate::render;
use crate::session::{is_made, look};
use crate::signals::unless_told;

/// `enact runs`.
pub(crate) async fn runs(config: &Config, asked: args::Runs, out: Out) -> Result<Exit, Failure> {
    let args::Runs { status, user, workflow, connector, action, target, since, until, before, limit } = asked;
    let status = status.as_deref().map(known_status).transpose()?;
    let store = look(config)?;
    let before = match before {
        // The run itself may be pruned by now.
        Some(run) => match run.parse() {
            Ok(run) => Some(run),
            Err(_) => Some(history::find(&*store, &run).await?),
        },
        None => None,
    };
    let query = RunQuery { user, workflow, connector, action, target, status, since, until, before, limit };
    let page = store.find_runs(query).await?;
    let found: Vec<_> = page.runs.iter().map(RunDocument::summary).collect();
    if out.json {
        out.document(&json!({ "runs": found, "next": page.next }));
    } else {
        render::list(out, &found);
        if let Some(next) = page.next {
            out.line(&out.paint(Tone::Faint, &format!("there may be more: --before {next}")));
        }
    }
    Ok(Exit::OK)
}

fn known_status(word: &str) -> Result<RunStatus, Failure> {
    RunStatus::ALL.into_iter().find(|status| status.as_str() == word).ok_or_else(|| {
        let all = RunStatus::ALL.map(RunStatus::as_str).join(", ");
        usage(format!("--status '{word}' is none; there is: {all}"))
    })
}

/// `enact show`.
pub(crate) async fn show(config: &Config, run: &str, out: Out) -> Result<Exit, Failure> {
    let store = look(config)?;
    let run = history::find(&*store, run).await?;
    let document = RunDocument::detailed(&state(&*store, run, EventSeq(u64::MAX)).await?);
    if out.json {
        out.document(&document);
    } else {
        render::run(out, &document);
    }
    Ok(Exit::OK)
}

async fn state(store: &dyn EventStore, run: RunId, until: EventSeq) -> Result<RunState, Failure> {
    let state = history::load_until(store, run, until).await?;
    state.ok_or_else(|| usage(format!("there is no run '{run}'")))
}

/// `enact replay`.
pub(crate) async fn replay(
    config: &Config,
    run: &str,
    until: Option<u64>,
    out: Out,
) -> Result<Exit, Failure> {
    let store = look(config)?;
    let run = history::find(&*store, run).await?;
    let until = until.map_or(EventSeq(u64::MAX), EventSeq);
    let state = state(&*store, run, until).await?;
    if until.0 != u64::MAX && state.version < until {
        return Err(usage(format!("run {run} has {} events; there is no event {until}", state.version)));
    }
    let document = RunDocument::new(&state).abridged();
    if out.json {
        let mut later = Vec::new();
        each_later(&*store, state, |event, changes| {
            let (event_seq, at, kind) = (event.event_seq, event.at, event.event.name());
            later.push(Later { event_seq, at, kind, changes });
            true
        })
        .await?;
        let later = (until.0 != u64::MAX).then_some(later);
        out.document(&Replayed { document, later });
        return Ok(Exit::OK);
    }
    out.line(&format!("after event {}:", state.version));
    render::run_as_it_was(out, &document);
    each_later(&*store, state, |event, changes| {
        render::later(out, event, &changes);
        out.is_read()
    })
    .await?;
    Ok(Exit::OK)
}

/// A run as it was, and what changed it since.
#[derive(Serialize)]
struct Replayed {
    #[serde(flatten)]
    document: RunDocument,
    /// Left out where nobody asked for another time than now.
    #[serde(skip_serializing_if = "Option::is_none")]
    later: Option<Vec<Later>>,
}

/// An event that came later.
#[derive(Serialize)]
struct Later {
    event_seq: EventSeq,
    at: Timestamp,
    kind: &'static str,
    changes: Vec<Change>,
}

/// Gives each event behind a state, with what it changed, until no more is wanted.
async fn each_later(
    store: &dyn EventStore,
    mut state: RunState,
    mut take: impl FnMut(&StoredEvent, Vec<Change>) -> bool,
) -> Result<(), Failure> {
    loop {
        let later = store.read(state.id, state.version.next(), MAX_PAGE).await?;
        if later.is_empty() {
            return Ok(());
        }
        for event in &later {
            let unshown = |error: serde_json::Error| Error::new(ErrorCode::Internal, error.to_string());
            let before = Before::new(&state, &event.event).map_err(unshown)?;
            state = history::step(Some(state), event)?;
            if !take(event, before.changes(&state).map_err(unshown)?) {
                return Ok(());
            }
        }
    }
}

/// `enact events`.
pub(crate) async fn events(
    config: &Config,
    run: Option<String>,
    from: u64,
    (follow, whole): (bool, bool),
    out: Out,
) -> Result<Exit, Failure> {
    if follow && !is_made(&config.store())? {
        let message =
            format!("there is no store at {} yet, so that nothing can be followed", config.store().display());
        return Err(Error::new(ErrorCode::NotFound, message).into());
    }
    let show = Show { whole, out };
    let store = look(config)?;
    let run = match run {
        Some(run) => Some(history::find(&*store, &run).await?),
        None => None,
    };
    let mut log = Subscription::new(store, Position(from));
    if let Some(run) = run {
        log = log.of_run(run);
    }
    if !follow {
        log = log.up_to_now();
    }
    // Nobody is there any more who could read what comes.
    while out.is_read() {
        // A question that was answered so far: nothing is left to be said.
        let Some(delivered) = unless_told(log.next()).await else { return Ok(Exit::INTERRUPTED) };
        let Some(delivered) = delivered else { break };
        show.print(&delivered?)?;
    }
    Ok(Exit::OK)
}

/// How events are shown.
#[derive(Clone, Copy)]
struct Show {
    /// Whether all stands there as it was recorded, binary content and what looks like a secret too.
    whole: bool,
    out: Out,
}

impl Show {
    fn print(self, delivered: &Delivered) -> Result<(), Failure> {
        let line = match delivered {
            Delivered::Event(event) if self.whole => serde_json::to_string(event),
            Delivered::Event(event) => document::event(event),
            Delivered::Pruned { first, last } => document::pruned(*first, *last),
        };
        let line = line.map_err(|error| {
            let message = format!("the event at position {} has no JSON form: {error}", delivered.position());
            Error::new(ErrorCode::Internal, message)
        })?;
        if self.whole {
            self.out.line_as_it_is(&line);
        } else {
            self.out.json_line(&line);
        }
        Ok(())
    }
}

/// How long all connectors together may take to say what their credentials lack.
const WARNINGS: Duration = Duration::from_secs(15);

/// `enact connectors`.
pub(crate) async fn connectors(config: &Config, out: Out) -> Result<Exit, Failure> {
    let connectors = config.connectors()?;
    let all = connectors.values().map(warnings);
    let warnings = futures::future::join_all(all).await;
    let connectors = connectors.iter().zip(&warnings);
    if out.json {
        let documents = connectors.map(|((name, toolbox), warnings)| {
            let actions = toolbox.actions().map(|(spec, allowed)| {
                json!({ "name": spec.name, "allowed": allowed, "effect": spec.effect, "undo": spec.undo })
            });
            let actions = actions.collect::<Vec<_>>();
            json!({ "name": name, "kind": toolbox.kind(), "actions": actions, "warnings": warnings })
        });
        out.document(&json!({ "connectors": documents.collect::<Vec<_>>() }));
        return Ok(Exit::OK);
    }
    for ((name, toolbox), warnings) in connectors {
        out.line(&format!("{} ({})", out.paint(Tone::Strong, &clean(name)), toolbox.kind()));
        for (spec, allowed) in toolbox.actions() {
            let (tone, word) = if allowed { (Tone::Good, "allowed") } else { (Tone::Faint, "not allowed") };
            let word = out.paint(tone, &format!("{word:<12}"));
            out.line(&format!("  {:<16} {word} {}", spec.name, spec.undo));
        }
        for warning in warnings {
            out.line(&format!("  {} {}", out.paint(Tone::Warn, "warning:"), clean(warning)));
        }
    }
    if warnings.is_empty() {
        out.line("no connectors are configured");
    }
    Ok(Exit::OK)
}

/// What an operator should know of a connector. That it cannot be asked is one of those things, and no error: the list
/// stands without it.
async fn warnings(toolbox: &Toolbox) -> Vec<String> {
    match tokio::time::timeout(WARNINGS, toolbox.warnings()).await {
        Ok(Ok(warnings)) => warnings,
        Ok(Err(error)) => vec![format!("what it may do could not be found out: {error}")],
        Err(_) => vec![format!("what it may do could not be found out within {WARNINGS:?}")],
    }
}
