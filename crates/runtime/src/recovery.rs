//! Recovery: after a crash, open runs are found in the log and carried on. Its cost grows with the open runs, not
//! with history.

use std::collections::HashMap;
use std::sync::Arc;

use enact_core::error::{Error, ErrorCode};
use enact_core::ids::{Direction, EffectId, RunId};
use enact_core::run::{Next, RunState, Undoing};
use futures::StreamExt;
use futures::stream;
use ractor::ActorRef;
use tokio::sync::Semaphore;

use crate::coordinator::CoordinatorMsg;
use crate::gate;
use crate::history;
use crate::locks::Guard;
use crate::run::Go;
use crate::shared::Shared;

/// How many runs are read from the log at the same time.
const READ_AT_ONCE: usize = 16;

/// How many recovered runs are settling their doubts at the same time.
const WAVE: usize = 256;

/// An open run and the keys of its targets in doubt.
struct Found {
    run: RunId,
    guards: HashMap<EffectId, Guard>,
}

/// Finds the open runs, takes the keys of their targets in doubt, and lets the coordinator carry them, a wave at
/// a time. Returns when all keys are taken: from then on new runs may be admitted. A run that cannot be read
/// is reported and left; it does not delay the others.
pub(crate) async fn recover(
    shared: &Arc<Shared>,
    coordinator: &ActorRef<CoordinatorMsg>,
    go: Go,
) -> Result<(), Error> {
    // An earlier coordinator of this process may have left intents that are not durable yet.
    shared.store.flush().await?;
    let open = shared.store.open_runs().await?;
    let found: Vec<Found> = stream::iter(open)
        .map(|run| find(shared, run, go))
        .buffered(READ_AT_ONCE)
        .filter_map(|found| async { found })
        .collect()
        .await;
    if found.is_empty() {
        return Ok(());
    }
    tracing::info!(runs = found.len(), "recovering interrupted runs");
    let expected = found.iter().map(|found| found.run).collect();
    coordinator
        .send_message(CoordinatorMsg::Expect(expected))
        .map_err(|_| Error::new(ErrorCode::Unavailable, "the coordinator is being restarted").retryable())?;
    let coordinator = coordinator.clone();
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(WAVE));
        for Found { run, guards } in found {
            let place = Arc::clone(&places).acquire_owned().await.ok();
            let adopt = CoordinatorMsg::Adopt { run, guards, go, place };
            if coordinator.send_message(adopt).is_err() {
                tracing::warn!("recovery was interrupted; the runs left are found again");
                return;
            }
        }
    });
    Ok(())
}

async fn find(shared: &Shared, run: RunId, go: Go) -> Option<Found> {
    let state = match history::load(&*shared.store, run).await {
        Ok(state) => state?,
        Err(error) => {
            tracing::error!(%run, %error, "an open run cannot be read; it is left as it is");
            return None;
        }
    };
    let doubts = doubts(shared, &state);
    let wanted = match (state.next(), go) {
        (Next::AwaitOperator | Next::Nothing, _) => false,
        (_, Go::On) => true,
        (next, _) => matches!(next, Next::Settle { .. } | Next::SettleUndo { .. }),
    };
    if !wanted {
        return None;
    }
    let mut guards = HashMap::new();
    for (effect, key) in doubts {
        // Before a crash each key was held by one intent at most, so this waits for nobody but the job of that
        // intent, where only the coordinator died.
        guards.insert(effect, shared.locks.lock(key).await);
    }
    Some(Found { run, guards })
}

/// The intents in doubt, with the keys of their targets.
fn doubts(shared: &Shared, state: &RunState) -> Vec<(EffectId, String)> {
    let mut doubts = Vec::new();
    for (seq, attempt, of) in state.attempts() {
        let effect = |direction, undo_try| EffectId { run: state.id, seq, attempt, direction, undo_try };
        let call = &of.intent.call;
        let (effect, permitted) = match &of.undoing {
            Undoing::Intended(intent) | Undoing::InDoubt(intent, _) => {
                (effect(Direction::Undo, intent.undo_try), gate::recorded_undo(shared, call, intent))
            }
            _ if of.outcome.is_unsettled() => (effect(Direction::Forward, 0), gate::recorded(shared, call)),
            _ => continue,
        };
        // What cannot be prepared cannot be probed either; the run says so when it is carried on.
        if let Some(key) = permitted.ok().and_then(|permitted| permitted.lock_key())
            && !doubts.iter().any(|(_, known)| *known == key)
        {
            doubts.push((effect, key));
        }
    }
    doubts
}
