//! Giving disk space back: deletes what is old, whole volumes at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::{fmt, io};

use enact_core::ids::{EventSeq, Position, RunId};
use enact_core::store::{EventStore, MAX_PAGE, RunMark, StoreError};
use enact_core::time::Timestamp;

use super::order::Order;
use super::{SledStore, off_worker};
use crate::files;
use crate::volume::Volumes;
use crate::volume::heads::{Head, read_run};
use crate::volume::manifest::{Entry, PRUNED_TABLES};
use crate::volume::sealed::{Sealed, log_times, table_path};
use enact_merkle::Hash;

/// How often it is planned again because runs were written to, or a volume was sealed, between plan and deed.
const PLANS: usize = 10;

/// What pruning deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pruned {
    /// How many volumes.
    pub volumes: u64,
    /// Up to where the content of the log is gone; its leaf hashes stay.
    pub up_to: Position,
    /// How many blobs that nothing refers to any more.
    pub blobs: u64,
    /// What keeps the next volume, which is old enough; `None` where its age does, or there is none.
    pub held: Option<Held>,
}

/// An old volume that stays, and those behind it with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// The volume.
    pub volume: u64,
    /// Why it stays.
    pub by: HeldBy,
}

/// What keeps an old volume.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeldBy {
    /// A run that has events in it and is open.
    OpenRun(RunId),
    /// A run that has events in it, and others that are not old enough.
    NewerEvents(RunId),
    /// Idempotency keys that were taken in it and are still kept.
    Keys,
}

impl HeldBy {
    /// The run, where it is one.
    #[must_use]
    pub fn run(self) -> Option<RunId> {
        match self {
            Self::OpenRun(run) | Self::NewerEvents(run) => Some(run),
            Self::Keys => None,
        }
    }

    /// Whether it is an open run.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::OpenRun(_))
    }
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenRun(run) => write!(f, "run {run} has events in it and is open"),
            Self::NewerEvents(run) => write!(f, "run {run} has events in it and others that are newer"),
            Self::Keys => f.write_str("idempotency keys that were taken in it are still kept"),
        }
    }
}

impl SledStore {
    /// Deletes the oldest sealed volumes, as far as every event in them is older than `before`, and so is every other
    /// event of the runs in them, and none of these is open, and no idempotency key that was taken in them is still kept.
    /// Then the blobs that nothing refers to any more. Leaf hashes stay, so that proofs over the log stay valid. A run is
    /// pruned whole: it reads as empty and is not listed, and what it has in a volume that stays is not read any more.
    ///
    /// # Errors
    /// Those of the disk. What was not deleted is deleted by the next call. [`StoreError::Poisoned`], where it is not
    /// known what the disk has: nothing is appended any more then. [`StoreError::Io`] also where old runs were written to
    /// again and again meanwhile.
    pub async fn prune(&self, before: Timestamp) -> Result<Pruned, StoreError> {
        let mut held = None;
        for _ in 0..PLANS {
            // What was written while it was planned is in a volume when it is planned again.
            self.flush().await?;
            self.volumes.caught_up(self.durable.get()).await?;
            let (volumes, maintenance) = (Arc::clone(&self.volumes), Arc::clone(&self.maintenance));
            let (order, blobs) = (Arc::clone(&self.order), self.blobs.clone());
            let index = Arc::clone(&self.index);
            let tried = off_worker(move || {
                maintenance.carry_out(|| match prune_volumes(&volumes, &order, before)? {
                    Tried::Pruned(pruned) => {
                        if pruned.volumes > 0 {
                            index.forget()?;
                        }
                        let blobs = blobs.sweep(&referenced(&volumes)?)?;
                        Ok(Tried::Pruned(Pruned { blobs, ..pruned }))
                    }
                    overtaken @ Tried::Overtaken(_) => Ok(overtaken),
                })
            });
            match tried.await? {
                Tried::Pruned(pruned) => return Ok(pruned),
                Tried::Overtaken(by) => held = by.or(held),
            }
        }
        let run = held.map(|run| format!(", such as run {run}")).unwrap_or_default();
        let error = io::Error::other(format!(
            "old runs were written to{run}, or volumes sealed, each time; nothing was deleted, ask again"
        ));
        Err(StoreError::io(format!("pruning, which was planned {PLANS} times"), error))
    }
}

/// What became of a plan.
enum Tried {
    Pruned(Pruned),
    /// It was not carried out: a volume was sealed meanwhile, or this run was written to.
    Overtaken(Option<RunId>),
}

fn prune_volumes(volumes: &Volumes, order: &Order, before: Timestamp) -> Result<Tried, StoreError> {
    // Reading the active volume may wait for its sealing, which waits for the lock: first the plan, then the lock.
    let plan = volumes.prunable(before, order.now())?;
    let _alone = volumes.changing.lock();
    // Readers first: while all stands still, nobody is waited for.
    let no_reader = volumes.active.write();
    // Nothing gets a place in the log while the plan is compared with what was written since, and carried out: what is
    // written to a run afterwards finds the run pruned.
    let tried = order.standing_still(|ordered| {
        if volumes.view().sealed.len() != plan.sealed {
            return Ok(Tried::Overtaken(None));
        }
        match volumes.written_since(&plan, ordered)? {
            Some(run) => Ok(Tried::Overtaken(Some(run))),
            None => carry_out(volumes, plan).map(Tried::Pruned),
        }
    })?;
    drop(no_reader);
    if matches!(tried, Tried::Pruned(_)) {
        delete_pruned(volumes)?;
    }
    Ok(tried)
}

/// Writes and shows that the volumes of a plan are pruned.
fn carry_out(volumes: &Volumes, plan: Plan) -> Result<Pruned, StoreError> {
    let mut pruned = Pruned { held: plan.held, ..Pruned::default() };
    let view = volumes.view();
    let (mut sealed, mut cut) = (view.sealed.clone(), view.cut.clone());
    for volume in sealed.iter_mut().take(plan.going).filter(|volume| !volume.entry.pruned) {
        let entry = Entry { pruned: true, ..volume.entry.clone() };
        pruned.volumes += 1;
        pruned.up_to = entry.last;
        *volume = Arc::new(Sealed::new(&volumes.store, entry));
    }
    if pruned.volumes > 0 {
        cut.extend(plan.cut);
        volumes.forget_gone(&mut cut, &sealed)?;
        // The manifest first: what it calls pruned is never read again.
        volumes.write_manifest(&sealed, &cut)?;
        volumes.show(sealed, cut);
    }
    Ok(pruned)
}

/// Deletes the files of every pruned volume; also of those that a crash left.
fn delete_pruned(volumes: &Volumes) -> Result<(), StoreError> {
    let view = volumes.view();
    for volume in view.sealed.iter().filter(|volume| volume.entry.pruned) {
        files::remove_dir(&volume.folder)?;
        for name in PRUNED_TABLES {
            files::forget(&table_path(&volumes.store, volume.entry.number, name));
        }
    }
    Ok(())
}

/// The blobs that something in the store refers to.
fn referenced(volumes: &Volumes) -> Result<BTreeSet<Hash>, StoreError> {
    // First those of the active volume: they are in a sealed one that is shown before they leave here.
    let mut live = volumes.heads.read().blobs.clone();
    let view = volumes.view();
    for volume in view.sealed.iter().filter(|volume| !volume.entry.pruned) {
        volume.blobs.each(&mut |blob| {
            live.insert(*blob);
            true
        })?;
    }
    Ok(live)
}

/// What can go.
struct Plan {
    /// How many of the oldest volumes.
    going: usize,
    /// Runs that go with them, and have events in what stays.
    cut: BTreeSet<RunId>,
    held: Option<Held>,
    /// How many volumes were sealed when it was made.
    sealed: usize,
    /// The runs of the active volume as they were then.
    active: BTreeMap<RunId, Head>,
}

impl Volumes {
    /// What is older than `before` and may go, when the clock of the last writer said `now`.
    fn prunable(&self, before: Timestamp, now: Timestamp) -> Result<Plan, StoreError> {
        let (sealed, cut, active) = {
            // Together, so that no run is in neither.
            let _stays = self.active.read();
            let (view, heads) = (self.view(), self.heads.read());
            let active: BTreeMap<RunId, Head> = heads.runs.iter().map(|(run, head)| (*run, *head)).collect();
            (view.sealed.clone(), view.cut.clone(), active)
        };
        let old = sealed.iter().take_while(|sealed| sealed.entry.times.1 < before).count();
        // It is at least as late as it has to be for that.
        let with_keys = self.first_with_keys(&sealed, now.max(before)).filter(|(at, _)| *at < old);
        let mut plan = Plan {
            going: with_keys.map_or(old, |(at, _)| at),
            cut: BTreeSet::new(),
            held: with_keys.map(|(_, volume)| Held { volume, by: HeldBy::Keys }),
            sealed: sealed.len(),
            active,
        };
        let goes_on = |(run, head): &(RunId, Head)| !head.began_here() && !cut.contains(run);
        let known: Vec<_> = plan.active.iter().map(|(run, head)| (*run, *head)).filter(goes_on).collect();
        for (run, head) in known {
            self.plan_for(run, head, before, &sealed, &mut plan)?;
        }
        let mut staying = sealed.len();
        while staying > plan.going {
            staying -= 1;
            let Some(volume) = sealed.get(staying) else { break };
            let mut runs = Vec::new();
            volume.runs.each(&mut |entry| {
                runs.extend(read_run(entry).filter(|found| found.1.is_here() && goes_on(found)));
                true
            })?;
            // What the active volume knows of was planned for.
            runs.retain(|(run, _)| !plan.active.contains_key(run));
            for (run, head) in runs {
                // That it was open then is not that it is now.
                let head = Head { mark: RunMark::Closed, ..head };
                self.plan_for(run, head, before, &sealed, &mut plan)?;
            }
        }
        let gone = sealed.get(..plan.going).unwrap_or_default();
        let mut kept = BTreeSet::new();
        for run in plan.cut.iter().copied() {
            if first_with(gone, run)?.is_some() {
                kept.insert(run);
            }
        }
        plan.cut = kept;
        Ok(plan)
    }

    /// A run that goes on in what stays, as it is at the end of that: it goes as a whole, or keeps what it has.
    fn plan_for(
        &self,
        run: RunId,
        head: Head,
        before: Timestamp,
        sealed: &[Arc<Sealed>],
        plan: &mut Plan,
    ) -> Result<(), StoreError> {
        let Some((at, volume)) = first_with(sealed.get(..plan.going).unwrap_or_default(), run)? else {
            return Ok(());
        };
        let is_open = head.mark == RunMark::Open;
        if !is_open && (plan.cut.contains(&run) || self.is_older(run, head.version, before)?) {
            plan.cut.insert(run);
            return Ok(());
        }
        plan.going = at;
        let by = if is_open { HeldBy::OpenRun(run) } else { HeldBy::NewerEvents(run) };
        plan.held = Some(Held { volume, by });
        Ok(())
    }

    /// The first of these volumes, which are the oldest of the log, with keys that are kept: its place and its number.
    fn first_with_keys(&self, sealed: &[Arc<Sealed>], now: Timestamp) -> Option<(usize, u64)> {
        let with_times = sealed.iter().zip(log_times(sealed));
        let mut kept = with_times.map(|(sealed, time)| sealed.has_keys() && self.is_kept(time, now));
        let at = kept.position(|is_kept| is_kept)?;
        Some((at, sealed.get(at)?.entry.number))
    }

    /// Whether the last event of a run is older.
    fn is_older(&self, run: RunId, last: EventSeq, before: Timestamp) -> Result<bool, StoreError> {
        let events = self.read_run(run, last, MAX_PAGE)?;
        Ok(events.last().is_some_and(|event| event.at < before))
    }

    /// A run with events in what is to go that was written to after the plan was made: it has to be planned for again.
    fn written_since(&self, plan: &Plan, ordered: &[(RunId, EventSeq)]) -> Result<Option<RunId>, StoreError> {
        let written: BTreeSet<RunId> = {
            let heads = self.heads.read();
            let applied = heads.runs.iter().map(|(run, head)| (*run, head.version));
            let was = |run: &RunId| plan.active.get(run).map(|head| head.version);
            let now = applied.chain(ordered.iter().copied());
            now.filter(|(run, version)| was(run) != Some(*version)).map(|(run, _)| run).collect()
        };
        let view = self.view();
        let going = view.sealed.get(..plan.going).unwrap_or_default();
        for run in written {
            if first_with(going, run)?.is_some() {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    /// Takes runs out of `cut` of which nothing is left.
    fn forget_gone(&self, cut: &mut BTreeSet<RunId>, sealed: &[Arc<Sealed>]) -> Result<(), StoreError> {
        let active: BTreeSet<RunId> = {
            let heads = self.heads.read();
            cut.iter().filter(|run| heads.runs.get(run).is_some_and(Head::is_here)).copied().collect()
        };
        let mut left = active;
        for run in cut.iter() {
            if first_with(sealed, *run)?.is_some() {
                left.insert(*run);
            }
        }
        *cut = left;
        Ok(())
    }
}

/// The first of these volumes in which a run has events: its place and its number.
fn first_with(sealed: &[Arc<Sealed>], run: RunId) -> Result<Option<(usize, u64)>, StoreError> {
    for (at, volume) in sealed.iter().enumerate() {
        if volume.head(run)?.is_some() {
            return Ok(Some((at, volume.entry.number)));
        }
    }
    Ok(None)
}
