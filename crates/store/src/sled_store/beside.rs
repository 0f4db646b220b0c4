//! A copy of a store that another process has open and writes.
//!
//! It reads, and takes no lock: the writer does not notice. What it leans on:
//! - A segment that was opened can be read after it was deleted, and is deleted only when the manifest has what is in it.
//!   So the segments are opened first, and the manifest is read then: together they have everything.
//! - Segments are written one after the other. So the later ones are copied first: none of them has more than the ones
//!   before it lead to.
//! - Sealed volumes do not change, and are deleted only when the manifest calls them pruned. So it is read again when
//!   they are copied, and what is pruned by then is pruned in the copy too.
//! - Blobs are there before an event that refers to them, and go when nothing does any more.
//!
//! Where something else went away meanwhile, all of it is begun anew, a few times.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use enact_core::ids::Position;
use enact_core::store::StoreError;

use super::SledStore;
use super::backup::{copied_journal, copy_blobs, copy_file, copy_volume, create_empty, missing};
use super::ledger;
use super::open::{self, BLOBS};
use super::verify::Referenced;
use crate::files::{self, Tried};
use crate::identity::StoreIdentity;
use crate::journal::scan::{self, Cursor, SegmentEnd};
use crate::journal::{self, segment};
use crate::volume::manifest::{self, Entry, Manifest, PRUNED_TABLES};
use crate::volume::sealed::{Sealed, folder, table_path, volumes_dir};

/// How often a copy is begun.
const TRIES: u32 = 5;
/// How many segments that the writer begins meanwhile are followed.
const FOLLOWED: u64 = 100;

impl SledStore {
    /// Copies the store in `path`, which another process may have open and write, into a folder that is not there yet
    /// or empty. The copy is a whole beginning of the log with all that was durable when this was called, and perhaps
    /// some of what came after; [`SledStore::restore`] puts it in place. The writer is not disturbed. Blocks.
    ///
    /// A process that has the store open itself calls [`SledStore::backup`].
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], where there is no store, or it is damaged; those of the disk; and where volumes were
    /// pruned under it again and again, one that says so. What is in the folder is then no store, and can be deleted.
    pub fn backup_beside(path: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), StoreError> {
        let (from, to) = (path.as_ref(), to.as_ref());
        let Some(identity) = StoreIdentity::read(from)? else {
            let what = "it has no file 'store': there is no store here".to_owned();
            return Err(StoreError::Corrupt { path: from.to_owned(), what });
        };
        create_empty(from, to)?;
        let mut tries = 1;
        loop {
            match copy(from, to, &identity) {
                Ok(()) => break,
                Err(error) if tries < TRIES && is_in_motion(&error) => {
                    tracing::info!(%error, tries, "the store changed while it was copied; beginning anew");
                }
                // What is missing for good is not told from what went away, again and again.
                Err(error) if is_gone(&error) => return Err(changed(from, &error)),
                Err(error) => return Err(error),
            }
            tries += 1;
            for folder in [journal::FOLDER, "volumes", BLOBS] {
                files::remove_dir(&to.join(folder))?;
            }
        }
        ledger::copy(from, to)?;
        // Last: now it is a store.
        identity.write(to)
    }
}

/// Whether a writer may be the reason: what was there went away, or was read while it was written.
fn is_in_motion(error: &StoreError) -> bool {
    match error {
        StoreError::Corrupt { .. } => true,
        other => is_gone(other),
    }
}

fn copy(from: &Path, to: &Path, identity: &StoreIdentity) -> Result<(), StoreError> {
    let segments = open_segments(&from.join(journal::FOLDER))?;
    let named = manifest::read(from, &identity.id)?.entries;
    copy_segments(segments, &from.join(journal::FOLDER), &to.join(journal::FOLDER), identity)?;
    let (Manifest { entries, cut }, referenced) = copy_volumes(from, to, identity, named)?;
    let sealed: Vec<_> = entries.iter().map(|entry| Arc::new(Sealed::new(to, entry.clone()))).collect();
    let (journal, heads) = open::read_journal(copied_journal(to, identity), &sealed)?;
    copy_blobs(from, to, heads, referenced)?;
    // Cuts what was just being written.
    drop(journal.open()?);
    if entries.is_empty() { Ok(()) } else { manifest::write(to, &identity.id, entries.iter(), &cut) }
}

/// Copies the sealed volumes, and gives what the manifest says of them afterwards: what it still does not call pruned
/// was whole when it was copied, and of the rest the leaf hashes are kept.
fn copy_volumes(
    from: &Path,
    to: &Path,
    identity: &StoreIdentity,
    named: Vec<Entry>,
) -> Result<(Manifest, Referenced), StoreError> {
    files::create_dir(&volumes_dir(to))?;
    let (mut not_whole, mut whole) = (Vec::new(), Vec::new());
    for entry in &named {
        let mut referenced = Referenced::default();
        match copy_volume(from, to, &Sealed::new(from, entry.clone()), &mut referenced) {
            Ok(()) => whole.push((entry.number, referenced)),
            Err(error) => not_whole.push((entry.number, error)),
        }
    }
    let Manifest { mut entries, cut } = manifest::read(from, &identity.id)?;
    if entries.iter().skip(named.len()).any(|entry| entry.pruned) {
        // Its runs would be whole in the journal that is copied, and cut by what the manifest says now.
        let what = "what was sealed while it was copied is pruned already".to_owned();
        return Err(StoreError::Corrupt { path: manifest::path(from), what });
    }
    entries.truncate(named.len());
    for entry in entries.iter().filter(|entry| entry.pruned) {
        files::remove_dir(&folder(to, entry.number))?;
        for name in PRUNED_TABLES {
            files::forget(&table_path(to, entry.number, name));
        }
    }
    let is_pruned = |number| entries.iter().any(|entry| entry.number == number && entry.pruned);
    // Pruning writes the manifest before it deletes: what is gone and not called pruned is lost.
    match not_whole.into_iter().find(|(number, _)| !is_pruned(*number)) {
        Some((number, error)) => Err(missing(&folder(from, number), error)),
        None => {
            let mut referenced = Referenced::default();
            for (_, of_volume) in whole.into_iter().filter(|(number, _)| !is_pruned(*number)) {
                referenced.blobs.extend(of_volume.blobs);
                referenced.gone.extend(of_volume.gone);
            }
            Ok((Manifest { entries, cut }, referenced))
        }
    }
}

fn is_gone(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// What was being copied went away.
fn changed(store: &Path, last: &StoreError) -> StoreError {
    let what = format!(
        "files went away while they were copied, {TRIES} times, as they do where the process that has the store open \
         prunes it (the last: {last}); nothing was backed up; try again, and verify the store where that does not help"
    );
    StoreError::io(format!("backing up {}", store.display()), io::Error::other(what))
}

/// The segments that there are, by number, open. The folder is left as it is.
fn open_segments(dir: &Path) -> Result<Vec<(u64, File)>, StoreError> {
    let mut segments = Vec::new();
    for path in files::list(dir)? {
        let Some(number) = segment::number(&path) else { continue };
        match File::open(&path) {
            // It is sealed since it was listed; one in the middle will be missed when all is read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => segments.push((number, opened.tried("opening", &path)?)),
        }
    }
    segments.sort_unstable_by_key(|(number, _)| *number);
    Ok(segments)
}

/// Copies segments, the last one first, and then those that the writer began meanwhile.
fn copy_segments(
    segments: Vec<(u64, File)>,
    from: &Path,
    to: &Path,
    identity: &StoreIdentity,
) -> Result<(), StoreError> {
    files::create_dir(to)?;
    let mut last = segments.last().map_or(0, |(number, _)| *number);
    for (number, mut file) in segments.into_iter().rev() {
        files::replace_with(&segment::path(to, number), |copy| io::copy(&mut file, copy).map(drop))?;
    }
    for _ in 0..FOLLOWED {
        let (offset, next) = (segment::SEGMENT_START, Position(1));
        let mut cursor = Cursor { segment: last, offset, sequence: 0, next, before: 0 };
        if scan::segment(to, &identity.id, &mut cursor, &mut |_, _| Ok(()))? != SegmentEnd::Next {
            return Ok(());
        }
        last = cursor.segment;
        copy_file(&segment::path(from, last), &segment::path(to, last))?;
    }
    // Copying cannot keep up with a writer that fills a segment in less time.
    let error = io::Error::new(io::ErrorKind::TimedOut, "the journal grows faster than it is copied");
    Err(StoreError::io(format!("copying {}", from.display()), error))
}
