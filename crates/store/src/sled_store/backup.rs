//! Copies of a store: taken while it runs, and put back.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use enact_core::store::StoreError;

use super::ledger;
use super::open::{self, BLOBS};
use super::verify::{Referenced, verify_sealed};
use super::{Options, SledStore, off_worker};
use crate::blobs;
use crate::files::{self, Tried};
use crate::identity::StoreIdentity;
use crate::journal::disk::RealDisk;
use crate::journal::segment;
use crate::journal::{self, Cursor, JournalConfig, Segments};
use crate::lock::StoreLock;
use crate::volume::contents::Contents;
use crate::volume::heads::Heads;
use crate::volume::sealed::{Sealed, folder, table_path, volumes_dir};
use crate::volume::{Volumes, manifest};

impl SledStore {
    /// Copies the store, while it runs, into a folder that is not there yet or empty. The copy holds all that was
    /// durable when this was called, and is a store like any other: [`SledStore::restore`] puts it in place.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], where something that is needed is damaged or gone; those of the disk, with
    /// `InvalidInput` or `AlreadyExists` where the folder cannot be used. What is in it is then no store, and can be
    /// deleted.
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<(), StoreError> {
        let (from, to) = (self.path.clone(), to.as_ref().to_owned());
        let (identity, maintenance) = (self.identity.clone(), Arc::clone(&self.maintenance));
        let (segments, volumes) = (Arc::clone(&self.segments), Arc::clone(&self.volumes));
        off_worker(move || maintenance.carry_out(|| back_up(&from, &to, &identity, &segments, &volumes)))
            .await
    }

    /// Puts a backup in place as the store in `to`, which is not there yet or empty, after it was checked as
    /// [`SledStore::verify`] does. The backup is left as it is.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], where the backup is not whole; those of the disk, with `InvalidInput` or `AlreadyExists`
    /// where a folder cannot be used. There is no store in `to` then.
    pub fn restore(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), StoreError> {
        let (from, to) = (from.as_ref(), to.as_ref());
        if !from.is_dir() {
            return Err(unusable(from, io::ErrorKind::InvalidInput, "there is no such folder"));
        }
        let Some(identity) = StoreIdentity::read(from)? else {
            let what = "it has no file 'store': no backup was finished here".to_owned();
            return Err(StoreError::Corrupt { path: from.to_owned(), what });
        };
        let _lock = StoreLock::take(from)?;
        create_empty(from, to)?;
        for name in [journal::FOLDER, "volumes", BLOBS] {
            let (from, to) = (from.join(name), to.join(name));
            if from.is_dir() {
                copy_tree(&from, &to)?;
            }
        }
        if manifest::path(from).exists() {
            copy_file(&manifest::path(from), &manifest::path(to))?;
        }
        ledger::copy(from, to)?;
        identity.write(to)?;
        // Every hash is of what is stored: nothing here needs the master key.
        let without_key = Options::default().without_key();
        let restored = without_key.open(to).and_then(|store| {
            store.verify()?;
            store.close()
        });
        restored.inspect_err(|_| files::forget(&crate::identity::path(to)))
    }
}

fn back_up(
    from: &Path,
    to: &Path,
    identity: &StoreIdentity,
    segments: &Arc<Segments>,
    volumes: &Volumes,
) -> Result<(), StoreError> {
    create_empty(from, to)?;
    // First the journal is held, then the sealed volumes are looked at: together they have everything.
    let (_pin, numbers, end) = segments.pin();
    copy_up_to(&end, &numbers, from, to, identity, volumes)
}

/// Copies what was durable when the journal ended at `end`; its segments from then on are held.
pub(super) fn copy_up_to(
    end: &Cursor,
    numbers: &[u64],
    from: &Path,
    to: &Path,
    identity: &StoreIdentity,
    volumes: &Volumes,
) -> Result<(), StoreError> {
    let view = volumes.view();
    let (mut sealed, cut) = (view.sealed.clone(), view.cut.clone());
    // What was sealed meanwhile may go further than the journal that is copied, and is in the journal up to there.
    sealed.retain(|sealed| sealed.entry.last < end.next);
    files::create_dir(&volumes_dir(to))?;
    let mut referenced = Referenced::default();
    sealed.iter().try_for_each(|sealed| {
        copy_volume(from, to, sealed, &mut referenced).map_err(|error| missing(&sealed.folder, error))
    })?;
    if !sealed.is_empty() {
        manifest::write(to, &identity.id, sealed.iter().map(|sealed| &sealed.entry), &cut)?;
    }
    copy_journal(&from.join(journal::FOLDER), &to.join(journal::FOLDER), numbers, end)?;
    let copied: Vec<_> =
        sealed.iter().map(|sealed| Arc::new(Sealed::new(to, sealed.entry.clone()))).collect();
    let (_, heads) = open::read_journal(copied_journal(to, identity), &copied)?;
    copy_blobs(from, to, heads, referenced)?;
    ledger::copy(from, to)?;
    // Last: now it is a store.
    identity.write(to)
}

/// The journal of a copy.
pub(super) fn copied_journal(to: &Path, identity: &StoreIdentity) -> JournalConfig {
    JournalConfig {
        dir: to.join(journal::FOLDER),
        store: identity.id,
        segment_bytes: Options::default().segment_bytes,
        disk: Arc::new(RealDisk),
    }
}

/// Copies the blobs that something in a copy refers to: in its sealed volumes, and in its journal.
pub(super) fn copy_blobs(
    from: &Path,
    to: &Path,
    heads: Heads,
    mut referenced: Referenced,
) -> Result<(), StoreError> {
    referenced.blobs.extend(heads.blobs);
    referenced.gone.extend(heads.gone);
    let (from, to) = (from.join(BLOBS), to.join(BLOBS));
    files::create_dir(&to)?;
    referenced.needed().iter().try_for_each(|blob| blobs::copy(&from, &to, blob))
}

/// Makes the folder of a copy of `from`, for its owner alone; it may be there, and then has to be empty.
pub(super) fn create_empty(from: &Path, path: &Path) -> Result<(), StoreError> {
    if resolved(path)?.starts_with(resolved(from)?) {
        return Err(unusable(path, io::ErrorKind::InvalidInput, &format!("it is inside {}", from.display())));
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above.filter(|above| !above.is_dir()) {
        let why = format!("{} is no folder; make that first", above.display());
        return Err(unusable(path, io::ErrorKind::InvalidInput, &why));
    }
    files::create_dir(path)?;
    if !path.is_dir() {
        return Err(unusable(path, io::ErrorKind::AlreadyExists, "it is a file"));
    }
    if let Some(found) = files::list(path)?.first() {
        let is_begun = ["journal", "volumes", "blobs"].iter().any(|part| found.ends_with(part));
        let hint = if is_begun && !crate::identity::path(path).exists() {
            "; it looks like a copy that was not finished, since the file 'store' is missing: remove the folder and try again"
        } else {
            ""
        };
        let why = format!("it has to be empty, and {} is there{hint}", found.display());
        return Err(unusable(path, io::ErrorKind::AlreadyExists, &why));
    }
    if let Err(error) = files::set_mode(path, 0o700) {
        // What is put into it is private nevertheless.
        tracing::warn!(%error, "the folder of the copy is not ours to close to others");
    }
    Ok(())
}

/// What was asked for cannot be; nothing was done.
fn unusable(path: &Path, kind: io::ErrorKind, why: &str) -> StoreError {
    StoreError::io(format!("cannot use {}", path.display()), io::Error::new(kind, why))
}

/// A path without links, also where its end is not there yet.
fn resolved(path: &Path) -> Result<PathBuf, StoreError> {
    let whole = std::path::absolute(path).tried("finding", path)?;
    for above in whole.ancestors() {
        if let (Ok(there), Ok(rest)) = (above.canonicalize(), whole.strip_prefix(above)) {
            return Ok(there.join(rest));
        }
    }
    Ok(whole)
}

/// What is missing of a volume that nothing takes away while it is copied is lost.
pub(super) fn missing(volume: &Path, error: StoreError) -> StoreError {
    match &error {
        StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            StoreError::Corrupt { path: volume.to_owned(), what: format!("a file of it is missing: {error}") }
        }
        _ => error,
    }
}

/// Copies a sealed volume, and reads the copy: what is damaged or gone is found while there is still something to do
/// about it, and not when the backup is needed.
pub(super) fn copy_volume(
    from: &Path,
    to: &Path,
    sealed: &Sealed,
    referenced: &mut Referenced,
) -> Result<(), StoreError> {
    let number = sealed.entry.number;
    for name in sealed.entry.tables() {
        copy_file(&table_path(from, number, name), &table_path(to, number, name))?;
    }
    if !sealed.entry.pruned {
        copy_tree(&sealed.folder, &folder(to, number))?;
    }
    let copy = Sealed::new(to, sealed.entry.clone());
    let open = || Contents::open_existing(&copy.folder).map(Arc::new);
    match verify_sealed(&copy, open, referenced) {
        // The copy is as damaged as what it is a copy of.
        Err(StoreError::Corrupt { path, what }) => {
            let path = path.strip_prefix(to).map_or_else(|_| path.clone(), |rest| from.join(rest));
            Err(StoreError::Corrupt { path, what })
        }
        verified => verified.map(drop),
    }
}

/// Copies the journal up to `end`: what is written behind it meanwhile is left out.
fn copy_journal(from: &Path, to: &Path, numbers: &[u64], end: &Cursor) -> Result<(), StoreError> {
    files::create_dir(to)?;
    for number in numbers.iter().copied().filter(|number| *number <= end.segment) {
        let (from, to) = (segment::path(from, number), segment::path(to, number));
        let mut file = File::open(&from).tried("opening", &from)?;
        let size = file.metadata().tried("reading the size of", &from)?.len();
        let used = if number == end.segment { end.offset } else { size };
        files::replace_with(&to, |to| {
            io::copy(&mut (&mut file).take(used), to)?;
            io::copy(&mut io::repeat(0).take(size.saturating_sub(used)), to)?;
            to.flush()
        })?;
    }
    Ok(())
}

/// Copies a folder; what goes away meanwhile was not needed.
fn copy_tree(from: &Path, to: &Path) -> Result<(), StoreError> {
    files::create_dir(to)?;
    for path in files::list(from)? {
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() {
            copy_tree(&path, &to.join(name))?;
        } else if !files::is_unfinished(&path) {
            copy_file(&path, &to.join(name))?;
        }
    }
    files::sync_dir(to).tried("syncing", to)
}

pub(super) fn copy_file(from: &Path, to: &Path) -> Result<(), StoreError> {
    let mut file = File::open(from).tried("opening", from)?;
    files::replace_with(to, |to| io::copy(&mut file, to).map(drop))
}
