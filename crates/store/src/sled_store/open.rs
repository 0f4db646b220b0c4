//! Making and opening a store.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use enact_core::ids::{Position, RunId};
use enact_core::store::StoreError;

use super::{Options, closed, ledger::Ledger, mark};
use crate::codec::CodecError;
use crate::files::{self, Tried};
use crate::identity::{StoreIdentity, StoreKeys};
use crate::journal::disk::Disk;
use crate::journal::{self, Found, Journal, JournalConfig};
use crate::lock::StoreLock;
use crate::secrets::{KeyRing, MasterKey, Unlocked};
use crate::volume::applier::each_append;
use crate::volume::content::handed_over;
use crate::volume::heads::Heads;
use crate::volume::manifest::{self, Manifest};
use crate::volume::sealed::{Sealed, folder, log_times, volumes_dir};
use crate::volume::witness;

/// The folder of a store in which its blobs are.
pub(crate) const BLOBS: &str = "blobs";

/// A store that was opened and has no threads yet.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) lock: StoreLock,
    pub(crate) identity: StoreIdentity,
    pub(crate) keys: Unlocked,
    pub(crate) journal: Journal,
    pub(crate) sealed: Vec<Arc<Sealed>>,
    pub(crate) cut: BTreeSet<RunId>,
    pub(crate) heads: Heads,
    /// The active volume is as it was closed in order.
    pub(crate) was_closed: bool,
}

/// Opens the store in a folder, or makes one there.
pub(crate) fn open(store: &Path, options: &Options, disk: Arc<dyn Disk>) -> Result<Opened, StoreError> {
    create_dirs(store)?;
    let lock = StoreLock::take(store)?;
    // It may have been there before, and open to others.
    if let Err(error) = files::set_mode(store, 0o700) {
        tracing::warn!(%error, "the folder of the store cannot be made the owner's alone");
    }
    let config = |identity: &StoreIdentity| JournalConfig {
        dir: store.join(journal::FOLDER),
        store: identity.id,
        segment_bytes: options.segment_bytes,
        disk: Arc::clone(&disk),
    };
    let identity = match StoreIdentity::read(store)? {
        Some(identity) => identity,
        None => create(store, &config, options.master_key.as_ref())?,
    };
    let keys = unlock(store, &identity, options)?;
    for folder in [volumes_dir(store), store.join(BLOBS)] {
        files::create_dir(&folder)?;
        if !folder.is_dir() {
            return Err(StoreError::Corrupt {
                path: folder,
                what: "a file stands where a folder has to be".into(),
            });
        }
    }
    let Manifest { entries, cut } = manifest::read(store, &identity.id)?;
    let sealed: Vec<_> = entries.into_iter().map(|entry| Arc::new(Sealed::new(store, entry))).collect();
    nothing_unnamed(store, &sealed)?;
    let (journal, heads, was_closed) = open_journal(store, &identity, &config, &sealed)?;
    // Only now: until the journal was found to be whole, all of this is evidence.
    closed::remove(store)?;
    forget_unsealed(store, &sealed)?;
    let (identity, keys) = with_keys(store, identity, keys, options.master_key.as_ref())?;
    Ok(Opened { lock, identity, keys, journal, sealed, cut, heads, was_closed })
}

/// Unwraps the keys of a store that has some.
fn unlock(store: &Path, identity: &StoreIdentity, options: &Options) -> Result<Unlocked, StoreError> {
    match (&identity.keys, &options.master_key) {
        (Some(keys), Some(master)) => keys.open(identity, store, master).map(Unlocked::Open),
        (Some(keys), None) if options.without_key => Ok(Unlocked::Locked(keys.needed())),
        (Some(keys), None) => {
            Err(StoreError::WrongKey { path: store.to_owned(), needed: keys.needed(), given: None })
        }
        (None, _) => Ok(Unlocked::Plain),
    }
}

/// Gives keys to a store that has none, where a master key was given: its runs to come are encrypted.
fn with_keys(
    store: &Path,
    identity: StoreIdentity,
    keys: Unlocked,
    master: Option<&MasterKey>,
) -> Result<(StoreIdentity, Unlocked), StoreError> {
    let (None, Some(master)) = (&identity.keys, master) else { return Ok((identity, keys)) };
    let ring = KeyRing::new(identity.id);
    let identity = StoreIdentity { keys: Some(StoreKeys::new(&ring, master)?), ..identity };
    identity.write(store)?;
    Ok((identity, Unlocked::Open(ring)))
}

/// Opens the journal where the store was closed, or reads all of it.
fn open_journal(
    store: &Path,
    identity: &StoreIdentity,
    config: &dyn Fn(&StoreIdentity) -> JournalConfig,
    sealed: &[Arc<Sealed>],
) -> Result<(Journal, Heads, bool), StoreError> {
    let floor = last_sealed(sealed).next();
    let noted = closed::read(store, &identity.id)?;
    let noted_next = noted.as_ref().map(|(cursor, _)| cursor.next);
    if let Some((cursor, heads)) = noted {
        match Journal::resume(config(identity), cursor, floor) {
            Ok(journal) => {
                journal.segments().release(last_sealed(sealed))?;
                return Ok((journal, heads, true));
            }
            Err(error) => {
                tracing::warn!(%error, "the store does not end as it was closed; the whole journal is read")
            }
        }
    }
    let (found, heads) = read_journal(config(identity), sealed)?;
    let end = found.end().next;
    let cut = |witness: &Path, next: Position| StoreError::Corrupt {
        path: store.join(journal::FOLDER),
        what: format!(
            "the journal ends after position {}, and '{}' knows of position {}: the end of the journal is lost",
            end.0.saturating_sub(1),
            witness.display(),
            next.0.saturating_sub(1)
        ),
    };
    if let Some(synced) = mark::read(store, &identity.id)?.filter(|synced| *synced >= end) {
        return Err(cut(&mark::path(store), synced.next()));
    }
    match noted_next {
        Some(next) if next > end => return Err(cut(&closed::path(store), next)),
        Some(_) => {}
        None => {
            let active = folder(store, sealed.last().map_or(1, |sealed| sealed.entry.number + 1));
            if let Some(position) = witness::newest_record(&active, end)? {
                return Err(cut(&active, position.next()));
            }
        }
    }
    let journal = found.open()?;
    journal.segments().release(last_sealed(sealed))?;
    Ok((journal, heads, false))
}

fn last_sealed(sealed: &[Arc<Sealed>]) -> Position {
    sealed.last().map_or(Position(0), |sealed| sealed.entry.last)
}

/// Makes the folders above and of the store.
fn create_dirs(store: &Path) -> Result<(), StoreError> {
    if let Some(above) = store.parent().filter(|above| !above.as_os_str().is_empty()) {
        fs::create_dir_all(above).tried("creating the folder", above)?;
    }
    files::create_dir(store)
}

/// Makes a new store. Its identity comes last, so that a folder has one only when the rest is there.
fn create(
    store: &Path,
    config: &dyn Fn(&StoreIdentity) -> JournalConfig,
    master: Option<&MasterKey>,
) -> Result<StoreIdentity, StoreError> {
    for path in files::list(store)? {
        match path.file_name().and_then(|name| name.to_str()) {
            Some("lock" | "store.new") => {}
            Some("volumes" | BLOBS) if path.is_dir() && files::list(&path)?.is_empty() => {}
            Some(journal::FOLDER) if is_unused(&path)? => files::remove_dir(&path)?,
            Some(name)
                if matches!(
                    name,
                    journal::FOLDER | "manifest" | "closed" | mark::NAME | "volumes" | BLOBS
                ) || Ledger::ALL.iter().any(|ledger| ledger.file() == name) =>
            {
                let what = "its file 'store' is missing".to_owned();
                return Err(StoreError::Corrupt { path: store.to_owned(), what });
            }
            _ => {
                let error = std::io::Error::new(
                    std::io::ErrorKind::AlreadyExists,
                    format!("the folder is not empty ({}) and not a store", path.display()),
                );
                return Err(StoreError::io(format!("making a store in {}", store.display()), error));
            }
        }
    }
    let mut identity = StoreIdentity::random();
    if let Some(master) = master {
        identity.keys = Some(StoreKeys::new(&KeyRing::new(identity.id), master)?);
    }
    files::create_dir(&store.join(journal::FOLDER))?;
    Journal::create(&config(&identity))?;
    identity.write(store)?;
    Ok(identity)
}

/// Whether a folder of a journal holds nothing that was ever acknowledged.
fn is_unused(dir: &Path) -> Result<bool, StoreError> {
    let mut unused = true;
    for path in files::list(dir)? {
        let bytes = fs::read(&path).tried("reading", &path)?;
        let start = usize::try_from(journal::segment::SEGMENT_START).unwrap_or(usize::MAX);
        unused &= bytes.get(start..).is_none_or(|rest| rest.iter().all(|byte| *byte == 0));
    }
    Ok(unused)
}

/// The number of the volume that a file or folder belongs to, by its name.
fn volume_of(path: &Path) -> Option<u64> {
    path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse().ok())
}

/// Behind the active volume there is none, so a manifest that does not name what is before one is lost or old.
fn nothing_unnamed(store: &Path, sealed: &[Arc<Sealed>]) -> Result<(), StoreError> {
    let active = sealed.last().map_or(1, |sealed| sealed.entry.number + 1);
    let paths = files::list(&volumes_dir(store))?;
    let Some(unnamed) = paths.iter().find(|path| volume_of(path).is_some_and(|number| number > active))
    else {
        return Ok(());
    };
    let manifest = manifest::path(store);
    let is = if manifest.exists() { "ends before" } else { "is missing, and there is" };
    let what = format!("it {is} {}; nothing was changed", unnamed.display());
    Err(StoreError::Corrupt { path: manifest, what })
}

/// Removes what a crash left of volumes that the manifest does not know.
fn forget_unsealed(store: &Path, sealed: &[Arc<Sealed>]) -> Result<(), StoreError> {
    let active = sealed.last().map_or(1, |sealed| sealed.entry.number + 1);
    for path in files::list(&volumes_dir(store))? {
        match volume_of(&path) {
            Some(number) if number < active => {}
            Some(_) if path == folder(store, active) => {}
            _ if path.is_dir() => files::remove_dir(&path)?,
            _ => files::forget(&path),
        }
    }
    Ok(())
}

/// Reads the journal from the end of the sealed volumes on, and changes nothing.
pub(super) fn read_journal(
    config: JournalConfig,
    sealed: &[Arc<Sealed>],
) -> Result<(Found, Heads), StoreError> {
    let mut heads = carried_over(sealed)?;
    let dir = config.dir.clone();
    let sealed_up_to = heads.last;
    let mut first = None;
    let found = Journal::find(config, sealed_up_to.next(), &mut |header, body| {
        first.get_or_insert(header.first);
        if header.last <= sealed_up_to {
            return Ok(());
        }
        let take = &mut |append: crate::group::GroupAppend<'_>, times, bytes| {
            heads.take(&append.header, times, bytes)
        };
        each_append(body, |_, _| (), take)
            .map_err(|error: CodecError| error.at(&dir, "a group of the journal"))
    })?;
    let ends = Position(found.end().next.0.saturating_sub(1));
    let corrupt = |what: String| StoreError::Corrupt { path: dir.clone(), what };
    if first.is_some_and(|first| first > sealed_up_to.next()) {
        return Err(corrupt(format!(
            "the journal begins after position {}, which is nowhere else",
            sealed_up_to.next()
        )));
    }
    if ends < sealed_up_to {
        return Err(corrupt(format!(
            "the journal ends at position {ends}, before what is sealed ({sealed_up_to})"
        )));
    }
    Ok((found, heads))
}

/// What the last sealed volume hands over.
fn carried_over(sealed: &[Arc<Sealed>]) -> Result<Heads, StoreError> {
    let Some(last) = sealed.last() else { return Ok(Heads::default()) };
    // A volume is pruned only when none of its runs is open.
    let open = if last.entry.pruned { Vec::new() } else { handed_over(last)? };
    let now = log_times(sealed).last().unwrap_or_default();
    Ok(Heads::after(last.entry.last, now, open.into_iter()))
}
