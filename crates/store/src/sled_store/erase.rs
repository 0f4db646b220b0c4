//! Erasing the content of a run: its key is taken away wherever it is.
//!
//! The order is that of what a crash may leave: first the log says that the run is erased, durably, and from then on
//! it reads as such; then the key goes from the files beside sealed volumes, and the blobs with it; last the active
//! volume is sealed, so that the segments of the journal go that have the key. Whoever opens the store meanwhile finds
//! what the log says and does the rest: the active volume has the word of it until the rest is done.

use std::collections::BTreeSet;
use std::sync::Arc;

use enact_core::event::{ContentErased, Event, NewEvent, StoredEvent};
use enact_core::ids::{EventSeq, Position, RunId};
use enact_core::run::RunState;
use enact_core::store::{Append, Durability, EventStore, Fence, MAX_PAGE, RunMark, StoreError};
use enact_core::time::Timestamp;
use futures::executor::block_on;

use super::{SledStore, off_worker};
use crate::blobs::{FileBlobs, file_of};
use crate::codec::payload;
use crate::run_index::RunIndex;
use crate::secrets::RunKey;
use crate::volume::Volumes;
use enact_merkle::Hash;

impl SledStore {
    /// Erases the content of a run that has ended: parameters, what actions gave, pre-states, messages, the names of its
    /// user and workflow, its blobs. What stays are the kinds, times and pseudonyms of its events, how it ended, how
    /// many actions it had, its idempotency key as a hash, and every hash and proof. It cannot be undone any more, and
    /// nothing else can be done with it. A copy of the store from before, such as a backup, still has the key.
    ///
    /// When it returns, the key is in no file of the store. A call that was cut off, also by a crash, is finished by
    /// the next opening or by calling it again; calling it for a run that is erased changes nothing.
    ///
    /// `by` is recorded as a pseudonym, `at` as the time. The active volume is sealed for it, so that many runs in a row
    /// make many small volumes.
    ///
    /// # Errors
    /// [`StoreError::CannotErase`], where the run is not there, has not ended, or was recorded without encryption;
    /// [`StoreError::Conflict`], where somebody wrote it meanwhile: nothing was changed. Those of the disk: then it may be
    /// erased in part, and is to be called again.
    pub async fn erase(&self, run: RunId, by: &str, at: Timestamp) -> Result<(), StoreError> {
        let refused = |why: &str| StoreError::CannotErase { run, why: why.to_owned() };
        let events = self.whole_run(run).await?;
        let state = RunState::fold(&events).map_err(|error| StoreError::Corrupt {
            path: self.path().to_owned(),
            what: format!("run {run} does not read: {error}"),
        })?;
        let Some(state) = state else { return Err(refused("there is no such run")) };
        let ended_at = match state.ended_at {
            Some(at) if state.has_ended() => at,
            _ => {
                return Err(refused(&format!(
                    "it is {}, and only a run that has ended is erased",
                    state.status()
                )));
            }
        };
        if state.erased.is_none() {
            let Some(key) = self.secret_for(run, state.version).await? else {
                return Err(refused(
                    "it was recorded without encryption; pruning deletes it with its volume",
                ));
            };
            let (status, actions) = (state.status(), state.actions.len() as u64);
            let erased = ContentErased { status, actions, ended_at, blobs: blobs_of(&events, &key) };
            drop(key);
            let by = self.pseudonym(by);
            let events = vec![NewEvent { at, by, event: Event::ContentErased(erased) }];
            let append = Append {
                run,
                expected: state.version,
                fence: Fence::NONE,
                events,
                mark: RunMark::Closed,
                key: None,
                durability: Durability::Barrier,
            };
            self.append(append).await?.durable().await?;
        }
        self.finish_erasing().await
    }

    async fn whole_run(&self, run: RunId) -> Result<Vec<StoredEvent>, StoreError> {
        let (mut events, mut from) = (Vec::new(), EventSeq(1));
        loop {
            let page = self.read(run, from, MAX_PAGE).await?;
            let Some(last) = page.last() else { return Ok(events) };
            from = last.event_seq.next();
            events.extend(page);
        }
    }

    /// Does what is left to be done for the runs of which the active volume says that they are erased.
    async fn finish_erasing(&self) -> Result<(), StoreError> {
        self.volumes.caught_up(self.durable.get()).await?;
        let (volumes, maintenance) = (Arc::clone(&self.volumes), Arc::clone(&self.maintenance));
        let (blobs, index) = (self.blobs.clone(), Arc::clone(&self.index));
        off_worker(move || {
            // A backup that is under way holds segments, and one that begins meanwhile would copy what goes.
            maintenance.carry_out(|| match take_away(&volumes, &blobs, &index)? {
                Some(up_to) => {
                    volumes.backlog.want_sealed(up_to);
                    block_on(volumes.sealed.reached(up_to)).map(drop)
                }
                None => Ok(()),
            })
        })
        .await
    }
}

/// The files of the blobs that events of a run refer to.
fn blobs_of(events: &[StoredEvent], key: &RunKey) -> Vec<Hash> {
    let references = events.iter().flat_map(|event| payload::blobs(&event.event));
    let files: BTreeSet<_> = references.filter_map(|blob| file_of(&blob.sha256, Some(key))).collect();
    files.into_iter().collect()
}

/// Takes keys and blobs away, and what the index of runs tells, of the runs of which the active volume says that they are
/// erased, and says up to where it has to be sealed, so that the journal has nothing of them either; `None` where there are no
/// such runs.
pub(super) fn take_away(
    volumes: &Volumes,
    blobs: &FileBlobs,
    index: &RunIndex,
) -> Result<Option<Position>, StoreError> {
    let (runs, gone, last) = {
        let heads = volumes.heads.read();
        let runs: Vec<_> = heads.erased().collect();
        (runs, heads.gone.iter().copied().collect::<Vec<_>>(), heads.last)
    };
    if runs.is_empty() {
        return Ok(None);
    }
    volumes.place.check()?;
    for sealed in volumes.view().sealed.iter().filter(|sealed| sealed.has_secrets()) {
        sealed.secrets.take_away(&runs)?;
    }
    blobs.delete(&gone)?;
    index.forget()?;
    Ok(Some(last))
}
