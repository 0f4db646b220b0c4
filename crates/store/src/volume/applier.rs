//! The one thread that writes volumes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use enact_core::ids::Position;
use enact_core::store::StoreError;
use enact_core::time::Timestamp;

use super::backlog::{Backlog, Group, Work};
use super::contents::{Batch, Contents, VolumeError};
use super::heads::Heads;
use super::sealed::{Sealed, folder};
use super::{Volumes, sealing};
use crate::codec::CodecError;
use crate::files;
use crate::group::{self, GroupAppend};
use crate::journal::{self, Segments};
use crate::sled_store::order::Order;

/// A rebuild writes as much at once, in bytes of records.
const REBUILD_BATCH: usize = 512 * 1024;

const STILL_TRYING: &str =
    "the volumes cannot be written; the journal has everything; it is tried again each second";

/// What the applier works with.
#[derive(Debug)]
pub(crate) struct Applier {
    pub(crate) volumes: Arc<Volumes>,
    pub(crate) segments: Arc<Segments>,
    pub(crate) order: Arc<Order>,
    /// A volume is sealed when it has this size, in bytes of records.
    pub(crate) volume_bytes: u64,
    /// The active volume is as it was closed in order: it need not be made anew.
    pub(crate) was_closed: bool,
}

impl Applier {
    /// Applies groups until the store is closed. `true`: all is in the active volume, and that is closed and
    /// durable. A panic is contained: the journal has everything.
    pub(crate) fn run(self) -> bool {
        let volumes = Arc::clone(&self.volumes);
        let applied = catch_unwind(AssertUnwindSafe(|| self.run_until_closed()));
        applied.unwrap_or_else(|_| {
            give_up(&volumes, StoreError::Poisoned("the thread of the volumes panicked".into()));
            false
        })
    }

    fn run_until_closed(mut self) -> bool {
        let backlog = Arc::clone(&self.volumes.backlog);
        let (mut stuck_at, mut failed) = (None, 0_u64);
        loop {
            match self.work(&backlog) {
                Ok(true) => {}
                Ok(false) => break,
                Err(trouble @ StoreError::Poisoned(_)) => {
                    tracing::error!(%trouble, "the volumes cannot be written any more; the journal has everything");
                    give_up(&self.volumes, trouble);
                    return false;
                }
                Err(trouble) => {
                    let applied = self.volumes.applied.get();
                    failed = if stuck_at.replace(applied) == Some(applied) { failed + 1 } else { 1 };
                    // Rarer each time, so that what else is said can be found.
                    if failed.is_power_of_two() {
                        tracing::error!(%trouble, tried = failed, "{STILL_TRYING}");
                    }
                    self.forget_active();
                    // Making the volume anew may have helped; where it did not, who waits for it is told.
                    if failed > 1 {
                        self.volumes.applied.fail_waiting(&trouble);
                        self.volumes.sealed.fail_waiting(&trouble);
                    }
                    if !backlog.rest(trouble) {
                        return false;
                    }
                }
            }
        }
        self.close().inspect_err(|error| tracing::warn!(%error, "closing the active volume")).is_ok()
    }

    /// Does what is next. `false`: nothing is, and nothing will be.
    fn work(&mut self, backlog: &Backlog) -> Result<bool, StoreError> {
        match backlog.next() {
            Work::Rebuild => {
                self.open_or_rebuild()?;
                self.seal_if_due()?;
                backlog.ready();
            }
            Work::Groups(groups) => {
                backlog.done(self.apply(&groups)?);
                if self.seal_if_due()? {
                    backlog.ready();
                }
            }
            Work::Seal => {
                if self.seal_if_due()? {
                    backlog.ready();
                }
            }
            Work::Stop => return Ok(false),
        }
        Ok(true)
    }

    fn active_folder(&self) -> std::path::PathBuf {
        folder(&self.volumes.store, self.volumes.view().active_number())
    }

    fn failed(&self, error: VolumeError) -> StoreError {
        error.at(&self.active_folder())
    }

    /// Applies groups until the volume is full, and says how many.
    fn apply(&self, groups: &[Arc<Group>]) -> Result<usize, StoreError> {
        let contents = self.volumes.active.read().clone();
        let contents = contents.ok_or_else(|| self.failed(VolumeError::Damaged("it is closed".into())))?;
        let room = self.volume_bytes.saturating_sub(self.volumes.heads.read().bytes);
        let mut batch = Batch::default();
        let (mut taken, mut count, mut last) = (Vec::new(), 0, Position(0));
        for group in groups {
            read_group(group.body(), |append, times, bytes| taken.push((append, times, bytes)), &mut batch)
                .map_err(|error| self.failed(error.into()))?;
            (count, last) = (count + 1, group.last);
            if batch.bytes as u64 >= room {
                break;
            }
        }
        contents.put(&batch).map_err(|error| self.failed(error))?;
        {
            let mut heads = self.volumes.heads.write();
            taken.iter().for_each(|(append, times, bytes)| heads.take(&append.header, *times, *bytes));
        }
        self.volumes.applied.raise(last);
        self.order.applied(last);
        Ok(count)
    }

    /// Lets go of the active volume. Closing it may take long: nobody else has to wait for that, and who wants to read
    /// it is not told meanwhile that it can be read.
    fn forget_active(&self) {
        self.volumes.backlog.not_ready();
        let active = self.volumes.active.write().take();
        drop(active);
    }

    /// Makes the active volume readable.
    fn open_or_rebuild(&mut self) -> Result<(), StoreError> {
        self.forget_active();
        let path = self.active_folder();
        let contents = if std::mem::take(&mut self.was_closed) {
            self.open_closed(&path).or_else(|error| {
                tracing::warn!(%error, "the active volume does not open; it is made anew from the journal");
                self.rebuild()
            })
        } else {
            self.rebuild()
        };
        let contents = contents.map_err(|error| error.at(&path))?;
        *self.volumes.active.write() = Some(contents);
        Ok(())
    }

    /// Opens the active volume, or makes an empty one. Where it gets stuck, who waits for it is told.
    fn open(&self, path: &std::path::Path) -> Result<Contents, VolumeError> {
        let contents = Contents::open(path)?;
        let volumes = Arc::downgrade(&self.volumes);
        contents.when_stuck(move || {
            volumes.upgrade().into_iter().for_each(|volumes| volumes.is_stuck());
        });
        Ok(contents)
    }

    /// Opens the volume, and looks whether its last event is there.
    fn open_closed(&self, path: &std::path::Path) -> Result<Contents, VolumeError> {
        let contents = self.open(path)?;
        let (first, last) = (self.volumes.view().last_sealed().next(), self.volumes.heads.read().last);
        let mut found = last < first;
        contents.scan(last, &mut |record, _| {
            found |= record.position == last;
            Ok(false)
        })?;
        if found { Ok(contents) } else { Err(VolumeError::Damaged(format!("position {last} is missing"))) }
    }

    /// Throws the active volume away and makes it anew from the journal.
    fn rebuild(&self) -> Result<Contents, VolumeError> {
        self.volumes.place.check()?;
        let path = self.active_folder();
        files::remove_dir(&path)?;
        let contents = self.open(&path)?;
        let (first, last) = (self.volumes.view().last_sealed().next(), self.volumes.applied.get());
        if last < first {
            return Ok(contents);
        }
        let (_pin, segments, end) = self.segments.pin();
        let journal = self.volumes.store.join(journal::FOLDER);
        let mut batch = Batch::default();
        let mut put: Result<(), VolumeError> = Ok(());
        journal::read_all(&journal, &self.volumes.id, end, &segments, &mut |header, body| {
            if header.last < first || header.first > last || put.is_err() {
                return Ok(());
            }
            read_group(body, |_, _, _| (), &mut batch).map_err(|error| error.at(&journal, "a group"))?;
            if batch.bytes >= REBUILD_BATCH {
                put = contents.put(&std::mem::take(&mut batch));
            }
            Ok(())
        })?;
        put?;
        contents.put(&batch)?;
        Ok(contents)
    }

    /// Seals the active volume where it is full or somebody wants it.
    fn seal_if_due(&self) -> Result<bool, StoreError> {
        let bytes = self.volumes.heads.read().bytes;
        let is_wanted = self.volumes.backlog.wants_sealed(self.volumes.applied.get());
        let is_due = bytes >= self.volume_bytes || (is_wanted && bytes > 0);
        if is_due {
            self.volumes.backlog.not_ready();
            self.seal().map_err(|error| self.failed(error))?;
        }
        if is_wanted {
            let sealed = self.volumes.view().last_sealed();
            self.segments.release(sealed)?;
            self.volumes.backlog.sealed(sealed);
            self.volumes.sealed.raise(sealed);
        }
        Ok(is_due)
    }

    /// Seals the active volume and begins the next one.
    fn seal(&self) -> Result<(), VolumeError> {
        let view = self.volumes.view();
        let (number, first) = (view.active_number(), view.last_sealed().next());
        let contents = self.volumes.active.write().take();
        // Nobody else holds it: those who read hold the lock while they do.
        contents.map_or(Ok(()), Contents::close)?;
        let heads = self.volumes.heads.read().clone();
        let store = &self.volumes.store;
        let entry = sealing::seal(store, number, first, &heads)?;
        let alone = self.volumes.changing.lock();
        let view = self.volumes.view();
        let (mut sealed, cut) = (view.sealed.clone(), view.cut.clone());
        sealed.push(Arc::new(Sealed::new(store, entry)));
        self.volumes.write_manifest(&sealed, &cut)?;
        tracing::info!(volume = number, %first, last = %heads.last, "sealed");
        {
            let _alone = self.volumes.active.write();
            // First the volume, so that what leaves the heads is to be found in it.
            self.volumes.show(sealed, cut);
            *self.volumes.heads.write() = Heads::after(heads.last, heads.now, heads.carried());
        }
        drop(alone);
        let path = self.active_folder();
        files::remove_dir(&path)?;
        let contents = self.open(&path)?;
        *self.volumes.active.write() = Some(contents);
        self.segments.release(heads.last)?;
        Ok(())
    }

    /// Closes the active volume and makes it durable.
    fn close(&self) -> Result<(), VolumeError> {
        self.volumes.backlog.not_ready();
        let path = self.active_folder();
        let contents = self.volumes.active.write().take();
        contents.map_or(Ok(()), Contents::close)?;
        files::make_private(&path)?;
        Ok(files::sync_tree(&path)?)
    }
}

/// Nothing will be in a volume any more. Who waits for it is told.
fn give_up(volumes: &Volumes, why: StoreError) {
    volumes.applied.stop(&why);
    volumes.sealed.stop(&why);
    volumes.backlog.broken(why);
}

/// Reads a group: gives each append with the oldest and newest time of its events and their size, and puts its
/// records into a batch.
pub(crate) fn read_group<'a>(
    body: &'a [u8],
    mut append: impl FnMut(GroupAppend<'a>, (Timestamp, Timestamp), usize),
    batch: &mut Batch,
) -> Result<(), CodecError> {
    each_append(body, |record, bytes| batch.push(record, bytes), &mut append)
}

/// As [`read_group`], with what is to be done with each record.
pub(crate) fn each_append<'a>(
    body: &'a [u8],
    mut record: impl FnMut(&crate::codec::Record<'a>, &'a [u8]),
    append: &mut dyn FnMut(GroupAppend<'a>, (Timestamp, Timestamp), usize),
) -> Result<(), CodecError> {
    for each in group::appends(body) {
        let each = each?;
        let mut times = (Timestamp::from_unix_us(u64::MAX), Timestamp::default());
        let mut size = 0;
        for found in each.records() {
            let (found, bytes) = found?;
            times = (times.0.min(found.at), times.1.max(found.at));
            size += bytes.len();
            record(&found, bytes);
        }
        append(each, times, size);
    }
    Ok(())
}
