//! Giving disk space back: deletes what is old, whole volumes at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use enact_core::ids::{Position, RunId};
use enact_core::store::StoreError;
use enact_core::time::Timestamp;

use super::{SledStore, off_worker};
use crate::codec::merkle::Hash;
use crate::files;
use crate::volume::Volumes;
use crate::volume::heads::{Head, read_run};
use crate::volume::manifest::{self, Entry};
use crate::volume::sealed::{Sealed, table_path};

/// What pruning deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pruned {
    /// How many volumes.
    pub volumes: u64,
    /// Up to where the content of the log is gone; its leaf hashes stay.
    pub up_to: Position,
    /// How many blobs that nothing refers to any more.
    pub blobs: u64,
}

impl SledStore {
    /// Deletes the oldest sealed volumes, as far as every event in them is older than `before`, and no run that has
    /// events in them is open or has events in a volume that stays. Then the blobs that nothing refers to any
    /// more. Leaf hashes stay, so that proofs over the log stay valid. A pruned run reads as empty and is not
    /// listed; its idempotency key is free.
    ///
    /// # Errors
    /// Those of the disk. What was not deleted is deleted by the next call.
    pub async fn prune(&self, before: Timestamp) -> Result<Pruned, StoreError> {
        self.volumes.caught_up(self.durable.get()).await?;
        let (volumes, maintenance) = (Arc::clone(&self.volumes), Arc::clone(&self.maintenance));
        let blobs = self.blobs.clone();
        off_worker(move || {
            maintenance.carry_out(|| {
                let mut pruned = prune_volumes(&volumes, before)?;
                pruned.blobs = blobs.sweep(&referenced(&volumes)?)?;
                Ok(pruned)
            })
        })
        .await
    }
}

fn prune_volumes(volumes: &Volumes, before: Timestamp) -> Result<Pruned, StoreError> {
    let _alone = volumes.changing.lock();
    let old = volumes.prunable(before)?;
    let mut pruned = Pruned::default();
    // Nobody else changes them meanwhile, so appends and readers need not wait for the manifest.
    let mut sealed = volumes.view.read().sealed.clone();
    for volume in sealed.iter_mut().take(old).filter(|volume| !volume.entry.pruned) {
        let entry = Entry { pruned: true, ..volume.entry.clone() };
        pruned.volumes += 1;
        pruned.up_to = entry.last;
        *volume = Arc::new(Sealed::new(&volumes.store, entry));
    }
    if pruned.volumes > 0 {
        volumes.place.check()?;
        // The manifest first: what it calls pruned is never read again.
        manifest::write(&volumes.store, &volumes.id, sealed.iter().map(|sealed| &sealed.entry))?;
        let mut view = volumes.view.write();
        let active = view.active.take();
        volumes.show(&mut view, sealed, active);
    }
    delete_pruned(volumes)?;
    Ok(pruned)
}

/// Deletes the files of every pruned volume; also of those that a crash left.
fn delete_pruned(volumes: &Volumes) -> Result<(), StoreError> {
    let sealed = volumes.view.read().sealed.clone();
    for volume in sealed.iter().filter(|volume| volume.entry.pruned) {
        files::remove_dir(&volume.folder)?;
        for name in ["runs", "keys", "blobs"] {
            files::forget(&table_path(&volumes.store, volume.entry.number, name));
        }
    }
    Ok(())
}

/// The blobs that something in the store refers to.
fn referenced(volumes: &Volumes) -> Result<BTreeSet<Hash>, StoreError> {
    let view = volumes.view.read();
    let mut live = volumes.heads.read().blobs.clone();
    for volume in view.sealed.iter().filter(|volume| !volume.entry.pruned) {
        volume.blobs.each(&mut |blob| {
            live.insert(*blob);
            true
        })?;
    }
    Ok(live)
}

impl Volumes {
    /// How many of the oldest volumes may go.
    fn prunable(&self, before: Timestamp) -> Result<usize, StoreError> {
        let view = self.view.read();
        let mut going = view.sealed.iter().take_while(|sealed| sealed.entry.times.1 < before).count();
        let active: Vec<(RunId, Head)> =
            self.heads.read().runs.iter().map(|(run, head)| (*run, *head)).collect();
        going = going.min(first_needed(&view.sealed, going, active.into_iter())?);
        let mut staying = view.sealed.len();
        while staying > going {
            staying -= 1;
            let Some(volume) = view.sealed.get(staying) else { break };
            let mut runs = Vec::new();
            volume.runs.each(&mut |entry| {
                runs.extend(read_run(entry));
                true
            })?;
            going = going.min(first_needed(&view.sealed, going, runs.into_iter())?);
        }
        Ok(going)
    }
}

/// The oldest of the first `going` volumes in which one of these runs has events, or `going`. They are runs of
/// a volume that stays, or open.
fn first_needed(
    sealed: &[Arc<Sealed>],
    going: usize,
    runs: impl Iterator<Item = (RunId, Head)>,
) -> Result<usize, StoreError> {
    let mut needed = going;
    for (run, _) in runs.filter(|(_, head)| !head.began_here()) {
        for (volume, number) in sealed.iter().zip(0..).take(needed) {
            if volume.head(run)?.is_some() {
                needed = number;
                break;
            }
        }
    }
    Ok(needed)
}
