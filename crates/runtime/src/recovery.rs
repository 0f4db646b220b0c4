//! Recovery: after a crash, open runs are found in the log and carried on. Its cost grows with the open runs, not
//! with history.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use enact_core::error::{Error, ErrorCode};
use enact_core::ids::RunId;
use enact_core::run::{Next, RunState, Undoing};
use futures::StreamExt;
use futures::stream;
use ractor::ActorRef;
use tokio::sync::Semaphore;

use crate::backoff::is_blip;
use crate::coordinator::CoordinatorMsg;
use crate::gate;
use crate::history;
use crate::locks::Guards;
use crate::run::Go;
use crate::shared::Shared;

/// How many runs are read from the log at the same time.
const READ_AT_ONCE: usize = 16;

/// How many recovered runs are settling their doubts at the same time.
const WAVE: usize = 256;

/// An open run that is to be carried on, and the keys of its targets in doubt.
struct Wanted {
    run: RunId,
    keys: BTreeSet<String>,
}

/// The same, when the keys are taken.
pub(crate) struct Found {
    pub(crate) run: RunId,
    pub(crate) guards: Guards,
}

/// Finds the open runs, takes the keys of their targets in doubt, and lets the coordinator carry them, a wave at
/// a time. Returns when all keys are taken: from then on new runs may be admitted. A run that cannot be read now is
/// carried all the same, without its keys: its actor reads it when the store serves again. One that is damaged is
/// reported and left. Neither delays the others.
pub(crate) async fn recover(
    shared: &Arc<Shared>,
    coordinator: &ActorRef<CoordinatorMsg>,
    go: Go,
) -> Result<(), Error> {
    // An earlier coordinator of this process may have left intents that are not durable yet.
    shared.store.flush().await?;
    let open = shared.store.open_runs().await?;
    let wanted: Vec<Wanted> = stream::iter(open)
        .map(|run| find(shared, run, go))
        .buffered(READ_AT_ONCE)
        .filter_map(|wanted| async { wanted })
        .collect()
        .await;
    let found = take_keys(shared, wanted).await;
    if found.is_empty() {
        return Ok(());
    }
    tracing::info!(runs = found.len(), "recovering interrupted runs");
    let runs: Vec<RunId> = found.iter().map(|found| found.run).collect();
    coordinator
        .send_message(CoordinatorMsg::Expect(found))
        .map_err(|_| Error::new(ErrorCode::Unavailable, "the coordinator is being restarted").retryable())?;
    let coordinator = coordinator.clone();
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(WAVE));
        for run in runs {
            let place = Arc::clone(&places).acquire_owned().await.ok();
            let adopt = CoordinatorMsg::Adopt { run, go, place };
            if coordinator.send_message(adopt).is_err() {
                tracing::warn!("recovery was interrupted; the runs left are found again");
                return;
            }
        }
    });
    Ok(())
}

async fn find(shared: &Shared, run: RunId, go: Go) -> Option<Wanted> {
    let state = match history::load(&*shared.store, run).await {
        Ok(state) => state?,
        Err(error) if is_blip(&error) => {
            tracing::warn!(%run, %error, "an open run cannot be read now; it is read again");
            return Some(Wanted { run, keys: BTreeSet::new() });
        }
        Err(error) => {
            tracing::error!(%run, %error, "an open run cannot be read; it is left as it is");
            return None;
        }
    };
    let wanted = match (state.next(), go) {
        (Next::AwaitOperator | Next::Nothing, _) => false,
        (_, Go::On) => true,
        (next, _) => matches!(next, Next::Settle { .. } | Next::SettleUndo { .. }),
    };
    wanted.then(|| Wanted { run, keys: keys_in_doubt(shared, &state) })
}

async fn take_keys(shared: &Shared, wanted: Vec<Wanted>) -> Vec<Found> {
    // Where only the coordinator died, the jobs of those runs are still under way. They end before any key is taken: one
    // that came later to queue for its key would wait for the run that has it, and the run for its job.
    for wanted in wanted.iter().filter(|wanted| !wanted.keys.is_empty()) {
        shared.under_way.of(wanted.run).ended().await;
    }
    let mut taken = HashSet::new();
    let mut found = Vec::with_capacity(wanted.len());
    for Wanted { run, keys } in wanted {
        let mut guards = Guards::default();
        for key in keys {
            // An undo that was given up and is due again had let go of its key, so another run may have it in doubt
            // as well. One of them holds it; the other waits for it when it comes to look.
            if taken.insert(key.clone()) {
                guards.put(shared.locks.lock(key).await);
            }
        }
        found.push(Found { run, guards });
    }
    found
}

/// The keys of the targets of intents in doubt.
fn keys_in_doubt(shared: &Shared, state: &RunState) -> BTreeSet<String> {
    let in_doubt = state.attempts().filter_map(|(_, _, of)| {
        let call = &of.intent.call;
        let permitted = match &of.undoing {
            Undoing::Intended(intent) | Undoing::InDoubt(intent, _) => {
                gate::recorded_undo(shared, call, intent)
            }
            _ if of.outcome.is_unsettled() => gate::recorded(shared, call),
            _ => return None,
        };
        // What cannot be prepared cannot be probed either; the run says so when it is carried on.
        permitted.ok()?.lock_key()
    });
    in_doubt.collect()
}
