//! Reading runs from the log.

use std::str::FromStr;

use enact_core::error::{Error, ErrorCode};
use enact_core::event::StoredEvent;
use enact_core::ids::{EventSeq, RunId};
use enact_core::run::RunState;
use enact_core::store::{EventStore, MAX_PAGE};

/// The state of a run, folded from the log; `None` for a run that the log does not know.
///
/// # Errors
/// Those of the store; `internal`, where the stream contradicts the table of transitions.
pub async fn load(store: &dyn EventStore, run: RunId) -> Result<Option<RunState>, Error> {
    load_until(store, run, EventSeq(u64::MAX)).await
}

/// The state of a run as it was after event `until`.
///
/// # Errors
/// As [`load`].
pub async fn load_until(
    store: &dyn EventStore,
    run: RunId,
    until: EventSeq,
) -> Result<Option<RunState>, Error> {
    let mut state: Option<RunState> = None;
    loop {
        let from = state.as_ref().map_or(EventSeq(1), |state| state.version.next());
        let page = store.read(run, from, MAX_PAGE).await?;
        if page.is_empty() {
            return Ok(state);
        }
        for event in &page {
            if event.event_seq > until {
                return Ok(state);
            }
            state = Some(step(state, event)?);
        }
    }
}

/// The state after an event, which has to be the next.
///
/// # Errors
/// `internal`, where it may not follow: the log is damaged.
pub fn step(state: Option<RunState>, event: &StoredEvent) -> Result<RunState, Error> {
    RunState::step(state, event).map_err(|illegal| {
        Error::new(ErrorCode::Internal, format!("the log contradicts itself: {illegal}")).with_source(illegal)
    })
}

/// The run with this id, or with the only id that begins so.
///
/// # Errors
/// `not_found`, where there is none; `invalid_parameters`, where there is more than one, or `text` is empty.
pub async fn find(store: &dyn EventStore, text: &str) -> Result<RunId, Error> {
    if text.trim().is_empty() {
        let message = "the run's id is empty; give the beginning of one, as `enact runs` lists them";
        return Err(Error::new(ErrorCode::InvalidParameters, message).left_nothing());
    }
    if let Ok(run) = RunId::from_str(text) {
        let known = !store.read(run, EventSeq(1), 1).await?.is_empty();
        return if known { Ok(run) } else { Err(unknown_run(text)) };
    }
    let wanted = text.to_lowercase();
    let (mut found, mut before) = (None, None);
    loop {
        let page = store.runs(before, MAX_PAGE).await?;
        let Some(last) = page.last() else { break };
        before = Some(*last);
        for run in page {
            if !run.to_string().starts_with(&wanted) {
                continue;
            }
            if let Some(other) = found.replace(run) {
                return Err(Error::new(
                    ErrorCode::InvalidParameters,
                    format!(
                        "'{text}' begins the ids of several runs, such as {other} and {run}; give more of it"
                    ),
                ));
            }
        }
    }
    found.ok_or_else(|| unknown_run(text))
}

pub(crate) fn unknown_run(text: &str) -> Error {
    Error::new(ErrorCode::NotFound, format!("there is no run '{text}'; `enact runs` lists them"))
}
