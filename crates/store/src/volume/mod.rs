//! The event store proper: a row of sled databases, of which the last is written.
//!
//! Everything here is had from the journal, so a crash costs nothing: the active volume is made anew. A sealed
//! volume is what is left when its part of the journal is deleted; it is never written again, and damage in it
//! is reported.

pub(crate) mod applier;
pub(crate) mod backlog;
pub(crate) mod content;
pub(crate) mod contents;
pub(crate) mod heads;
pub(crate) mod manifest;
mod read;
pub(crate) mod sealed;
mod sealing;
pub(crate) mod secrets;
pub(crate) mod table;
mod watch;
pub(crate) mod witness;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use enact_core::ids::{EventSeq, Position, RunId};
use enact_core::store::StoreError;
use enact_core::time::Timestamp;
use parking_lot::{Mutex, RwLock};

use self::backlog::Backlog;
use self::contents::{Contents, VolumeError};
use self::heads::Heads;
use self::sealed::{Sealed, log_times};
use crate::files;
use crate::lock::Place;
use crate::secrets::Unlocked;
use crate::sled_store::order::{Known, Lookup};
use crate::watermark::Watermark;
use enact_merkle::Hash;

/// How many sealed volumes are kept open.
const OPENED: usize = 3;

/// The volumes of a store, for those who read them and the one who writes them.
#[derive(Debug)]
pub(crate) struct Volumes {
    /// Where the folder is: asked before anything is replaced or deleted in it.
    pub(crate) place: Place,
    /// The folder of the store.
    pub(crate) store: PathBuf,
    pub(crate) id: [u8; 16],
    /// For how long a key is kept.
    key_retention: Duration,
    /// The store's keys.
    pub(crate) keys: Unlocked,
    /// Which volumes there are. Held for a moment only: who gives an append its place looks here.
    view: RwLock<Arc<View>>,
    /// The active volume's database; none while it is made. Held by who reads volumes, for as long as that takes, and
    /// alone by who exchanges or prunes them, so that nothing is taken away under a reader. Nobody holds a place in the
    /// log up while waiting for it.
    pub(crate) active: RwLock<Option<Contents>>,
    /// Held for a moment only.
    pub(crate) heads: RwLock<Heads>,
    opened: Mutex<VecDeque<(u64, Arc<Slot>)>>,
    /// Held by who changes the manifest, from reading the sealed volumes to showing the new ones.
    pub(crate) changing: Mutex<()>,
    /// Up to where events are in volumes.
    pub(crate) applied: Watermark,
    /// Up to where events were in sealed volumes, and no more in the journal, when somebody wanted that.
    pub(crate) sealed: Watermark,
    /// Never rises: who waits for it is told when the active volume is stuck.
    stuck: Watermark,
    pub(crate) backlog: Arc<Backlog>,
    /// Grows with each sealing and pruning.
    generation: AtomicU64,
}

/// Where a sealed volume is open, or just being opened.
type Slot = Mutex<Option<Arc<Contents>>>;

/// Which volumes there are, at a time.
#[derive(Debug)]
pub(crate) struct View {
    /// Oldest first.
    pub(crate) sealed: Vec<Arc<Sealed>>,
    /// Runs that are pruned, though some of their events are still here; see [`manifest::Manifest`].
    pub(crate) cut: BTreeSet<RunId>,
    /// The highest id of a run in a sealed volume.
    newest_sealed: Option<RunId>,
    /// The log's time at the end of the newest sealed volume in which keys were taken.
    newest_key: Option<Timestamp>,
}

impl View {
    /// With these sealed volumes.
    fn new(sealed: Vec<Arc<Sealed>>, cut: BTreeSet<RunId>) -> Self {
        let newest_sealed = sealed.iter().map(|sealed| sealed.entry.touched.1).max();
        let with_keys = sealed.iter().zip(log_times(&sealed)).filter(|(sealed, _)| sealed.has_keys());
        let newest_key = with_keys.map(|(_, time)| time).last();
        Self { sealed, cut, newest_sealed, newest_key }
    }

    /// The last position that is sealed.
    pub(crate) fn last_sealed(&self) -> Position {
        self.sealed.last().map_or(Position(0), |sealed| sealed.entry.last)
    }

    /// The number of the active volume.
    pub(crate) fn active_number(&self) -> u64 {
        self.sealed.last().map_or(1, |sealed| sealed.entry.number + 1)
    }
}

impl Volumes {
    pub(crate) fn new(
        place: Place,
        store: &Path,
        id: [u8; 16],
        key_retention: Duration,
        keys: Unlocked,
        (sealed, cut): (Vec<Arc<Sealed>>, BTreeSet<RunId>),
        heads: Heads,
    ) -> Self {
        Self {
            place,
            store: store.to_owned(),
            id,
            key_retention,
            keys,
            applied: Watermark::new(heads.last),
            sealed: Watermark::default(),
            stuck: Watermark::default(),
            view: RwLock::new(Arc::new(View::new(sealed, cut))),
            active: RwLock::new(None),
            heads: RwLock::new(heads),
            opened: Mutex::default(),
            changing: Mutex::default(),
            backlog: Arc::default(),
            generation: AtomicU64::new(0),
        }
    }

    /// Which volumes there are now.
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }

    /// Writes that these volumes are sealed.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`], where it is not known whether the disk has the new manifest: if it has, neither the
    /// volumes that it calls sealed nor the runs that it calls pruned may be written any more. Any other: it has not.
    pub(crate) fn write_manifest(
        &self,
        sealed: &[Arc<Sealed>],
        cut: &BTreeSet<RunId>,
    ) -> Result<(), StoreError> {
        self.place.check()?;
        let path = manifest::path(&self.store);
        let bytes = manifest::encode(&self.id, sealed.iter().map(|sealed| &sealed.entry), cut);
        files::write_beside(&path, |file| io::Write::write_all(file, &bytes))?;
        files::put_in_place(&path)
            .map_err(|error| StoreError::Poisoned(format!("the manifest may not be written: {error}")))
    }

    /// Waits until all up to a position is in volumes.
    ///
    /// # Errors
    /// Why it does not get there, where the applier tried again and still does not get on.
    pub(crate) async fn caught_up(&self, position: Position) -> Result<(), StoreError> {
        if self.applied.get() < position {
            self.backlog.want();
            self.applied.reached(position).await?;
        }
        Ok(())
    }

    /// Tells who waits for the active volume that its database does not answer. The journal has everything.
    fn is_stuck(&self) {
        let path = sealed::folder(&self.store, self.view().active_number());
        let error = StoreError::Poisoned(format!(
            "the volume {} does not answer, as after a write to a full disk; the journal has everything",
            path.display()
        ));
        tracing::error!(trouble = %error, "the volumes do not get on");
        self.applied.fail_waiting(&error);
        self.sealed.fail_waiting(&error);
        self.stuck.fail_waiting(&error);
        self.backlog.is_stuck(error);
    }

    /// Ends with an error when the active volume gets stuck, and else never.
    pub(crate) async fn until_stuck(&self) -> StoreError {
        match self.stuck.reached(Position(u64::MAX)).await {
            Err(why) => why,
            Ok(_) => StoreError::Closed,
        }
    }

    /// Exchanges the sealed volumes. Whoever does holds the active one alone.
    pub(crate) fn show(&self, sealed: Vec<Arc<Sealed>>, cut: BTreeSet<RunId>) {
        let view = Arc::new(View::new(sealed, cut));
        *self.view.write() = Arc::clone(&view);
        self.opened.lock().retain(|(number, _)| {
            view.sealed.iter().any(|sealed| sealed.entry.number == *number && !sealed.entry.pruned)
        });
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Opens a sealed volume, or gives the opened one. One that is in use stays open, so that none is opened
    /// twice. Who wants another one does not wait for its opening.
    pub(crate) fn open_sealed(&self, sealed: &Sealed) -> Result<Arc<Contents>, VolumeError> {
        let slot = self.slot(sealed.entry.number);
        let mut slot = slot.lock();
        if let Some(contents) = &*slot {
            return Ok(Arc::clone(contents));
        }
        let contents = Arc::new(Contents::open_existing(&sealed.folder)?);
        Ok(Arc::clone(slot.insert(contents)))
    }

    /// The slot of a sealed volume, behind all others.
    fn slot(&self, number: u64) -> Arc<Slot> {
        let mut opened = self.opened.lock();
        let known = opened.iter().position(|(open, _)| *open == number).and_then(|at| opened.remove(at));
        let slot = known.map_or_else(Arc::default, |(_, slot)| slot);
        while opened.len() >= OPENED
            && let Some(idle) = opened.iter().position(|(_, slot)| is_idle(slot))
        {
            opened.remove(idle);
        }
        opened.push_back((number, Arc::clone(&slot)));
        slot
    }

    /// Closes a sealed volume that nobody reads.
    pub(crate) fn close_sealed(&self, sealed: &Sealed) {
        let mut opened = self.opened.lock();
        let at = opened.iter().position(|(number, slot)| *number == sealed.entry.number && is_idle(slot));
        let closed = at.and_then(|at| opened.remove(at));
        // Closing takes its time.
        drop(opened);
        drop(closed);
    }

    /// Closes the sealed volumes that are open.
    pub(crate) fn forget_opened(&self) {
        self.opened.lock().clear();
    }

    /// The version of a run that is not in the active volume. Reads files.
    pub(crate) fn version_on_disk(&self, run: RunId) -> Result<EventSeq, StoreError> {
        let _stays = self.active.read();
        let view = self.view();
        if view.cut.contains(&run) {
            return Ok(EventSeq(0));
        }
        for sealed in view.sealed.iter().rev() {
            if let Some(head) = sealed.head(run)? {
                return Ok(head.version);
            }
        }
        Ok(EventSeq(0))
    }

    /// The run that took a key, as the sealed volumes have it. Reads files.
    pub(crate) fn key_on_disk(&self, key: &Hash, now: Timestamp) -> Result<Option<RunId>, StoreError> {
        let _stays = self.active.read();
        let view = self.view();
        let with_times: Vec<_> = view.sealed.iter().zip(log_times(&view.sealed)).collect();
        for (sealed, time) in with_times.into_iter().rev() {
            if !sealed.has_keys() || !self.is_kept(time, now) {
                continue;
            }
            if let Some(held) = sealed.key(key)? {
                return Ok(self.is_kept(held.at, now).then_some(held.run));
            }
        }
        Ok(None)
    }

    /// Whether a key is kept that was taken at this time of the log, when somebody's clock says `now`. So neither a
    /// clock that was ahead for a while nor one that was behind lets a key go early.
    pub(crate) fn is_kept(&self, at: Timestamp, now: Timestamp) -> bool {
        now.since(at) <= self.key_retention
    }
}

/// Whether nobody uses what is in a slot, nor is about to.
fn is_idle(slot: &Arc<Slot>) -> bool {
    Arc::strong_count(slot) == 1
        && slot.lock().as_ref().is_none_or(|contents| Arc::strong_count(contents) == 1)
}

impl Known for Volumes {
    fn version(&self, run: RunId) -> Lookup<EventSeq> {
        if self.view().cut.contains(&run) {
            return Lookup::Found(EventSeq(0));
        }
        if let Some(head) = self.heads.read().runs.get(&run) {
            return Lookup::Found(head.version);
        }
        // Looked at when the heads have answered: what leaves them is in a volume that is shown already.
        match self.view().newest_sealed {
            Some(newest) if run <= newest => Lookup::OnDisk,
            _ => Lookup::Nowhere,
        }
    }

    fn key(&self, key: &Hash, now: Timestamp) -> Lookup<RunId> {
        if let Some(held) = self.heads.read().keys.get(key) {
            return if self.is_kept(held.at, now) { Lookup::Found(held.run) } else { Lookup::Nowhere };
        }
        match self.view().newest_key {
            Some(newest) if self.is_kept(newest, now) => Lookup::OnDisk,
            _ => Lookup::Nowhere,
        }
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}
