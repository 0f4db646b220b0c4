//! Large content, in files named by the hash of what they hold.
//!
//! `blobs/ab/abcd….` holds the content whose SHA-256 that is; where the run has a key, its content is encrypted and the
//! name tells nothing of it, so that runs share no blobs. A file has its name only when it is whole and synced,
//! and is never changed then. Leftovers of a crash have other names and are removed at opening.

mod sealed;

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use enact_core::blob::{BlobRef, BlobStore};
use enact_core::ids::RunId;
use enact_core::store::StoreError;
use parking_lot::Mutex;

use crate::files::{self, Tried};
use crate::secrets::RunKey;
use enact_merkle::{Hash, Hasher};

const BUFFER: usize = 64 * 1024;

/// Blobs in a folder. Clones are the same folder.
#[derive(Clone, Debug)]
pub(crate) struct FileBlobs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    /// Names of files that are being written.
    next: AtomicU64,
    /// What was put since the folder was opened: an event that refers to it may be on its way.
    recent: Mutex<HashSet<Hash>>,
}

/// The blobs of one run.
#[derive(Debug)]
pub(crate) struct RunBlobs<K> {
    pub(crate) blobs: FileBlobs,
    pub(crate) run: RunId,
    pub(crate) keys: K,
}

/// Who knows the keys of runs.
pub(crate) trait Keys: Debug + Send + Sync + 'static {
    /// The key of a run; `None` where what it keeps is not encrypted.
    fn key(&self, run: RunId) -> Result<Option<RunKey>, StoreError>;
}

/// The name on the disk of a blob that an event of a run refers to.
pub(crate) fn file_of(name: &str, key: Option<&RunKey>) -> Option<Hash> {
    let hash = hash_of(name)?;
    Some(key.map_or(hash, |key| key.blob_name(&hash)))
}

/// The hash that a blob's name stands for.
pub(crate) fn hash_of(name: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    let digits = name.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let (pairs, _) = digits.as_chunks::<2>();
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(hash)
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// How a blob with this hash is called.
pub(crate) fn name_of(hash: &Hash) -> String {
    crate::digits(hash)
}

/// The file of a blob in a folder of blobs.
pub(crate) fn path_in(dir: &Path, hash: &Hash) -> PathBuf {
    let name = name_of(hash);
    let fan = name.get(..2).unwrap_or_default();
    dir.join(fan).join(&name)
}

impl FileBlobs {
    /// Opens the folder, which is there, and removes what crashes left in it.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        for path in files::list(dir)?.iter().filter(|path| files::is_unfinished(path)) {
            files::forget(path);
        }
        let shared = Shared { dir: dir.to_owned(), next: AtomicU64::new(0), recent: Mutex::default() };
        Ok(Self(Arc::new(shared)))
    }

    fn path(&self, hash: &Hash) -> PathBuf {
        path_in(&self.0.dir, hash)
    }

    /// Copies all of `content` into a new file, synced, and gives its hash and size.
    fn write(content: &mut dyn Read, path: &Path, key: Option<&RunKey>) -> io::Result<(Hash, u64)> {
        let mut file = files::new_file().open(path)?;
        if let Some(key) = key {
            let written = sealed::write(content, key, &mut file)?;
            file.sync_all()?;
            return Ok(written);
        }
        let (mut hasher, mut size, mut buffer) = (Hasher::new(), 0, vec![0; BUFFER]);
        loop {
            let count = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let read = buffer.get(..count).unwrap_or_default();
            hasher.update(read);
            file.write_all(read)?;
            size += count as u64;
        }
        file.sync_all()?;
        Ok((hasher.finish(), size))
    }

    /// Gives a whole file its name, durably. Where that content is there already, it is replaced by its equal.
    fn keep(&self, temporary: &Path, hash: &Hash) -> io::Result<()> {
        let path = self.path(hash);
        let fan = path.parent().unwrap_or(&self.0.dir);
        files::create_dir(fan).map_err(io::Error::other)?;
        // Held over the renaming, so that sweeping never sees the file and not the note.
        let mut recent = self.0.recent.lock();
        fs::rename(temporary, &path)?;
        recent.insert(*hash);
        drop(recent);
        files::sync_dir(fan)?;
        files::sync_dir(&self.0.dir)
    }

    /// Deletes blobs, durably. They may be gone already.
    pub(crate) fn delete(&self, blobs: &[Hash]) -> Result<(), StoreError> {
        for blob in blobs {
            let path = self.path(blob);
            match fs::remove_file(&path) {
                Ok(()) => files::sync_parent(&path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            }
            .tried("removing", &path)?;
        }
        Ok(())
    }

    /// Every blob with its file.
    fn each(&self, visit: &mut dyn FnMut(Hash, &Path) -> Result<(), StoreError>) -> Result<(), StoreError> {
        for fan in files::list(&self.0.dir)?.iter().filter(|path| path.is_dir()) {
            for path in files::list(fan)? {
                match path.file_name().and_then(|name| name.to_str()).and_then(hash_of) {
                    Some(hash) => visit(hash, &path)?,
                    None => tracing::warn!(path = %path.display(), "not a blob; left alone"),
                }
            }
        }
        Ok(())
    }

    /// Deletes the blobs that are not among `live` and were not put since the folder was opened, and says how
    /// many.
    pub(crate) fn sweep(&self, live: &BTreeSet<Hash>) -> Result<u64, StoreError> {
        let mut count = 0;
        self.each(&mut |hash, path| {
            let recent = self.0.recent.lock();
            if !live.contains(&hash) && !recent.contains(&hash) {
                fs::remove_file(path).tried("removing", path)?;
                count += 1;
            }
            Ok(())
        })?;
        Ok(count)
    }

    /// Whether there is a file of a blob, whatever is in it.
    pub(crate) fn has(&self, blob: &Hash) -> bool {
        self.path(blob).is_file()
    }

    /// Reads every blob, and says how many there are.
    ///
    /// # Errors
    /// `Corrupt` for the first whose bytes do not have the hash that names them, and for one of these that is missing.
    pub(crate) fn verify(&self, mut referenced: BTreeSet<Hash>) -> Result<u64, StoreError> {
        let mut count = 0;
        self.each(&mut |hash, path| {
            count += 1;
            referenced.remove(&hash);
            read_checked(path, hash, &mut io::sink())
        })?;
        match referenced.first() {
            None => Ok(count),
            Some(missing) => Err(is_missing(&self.path(missing))),
        }
    }
}

/// Copies a blob, which has to be there and to hold what its name says.
pub(crate) fn copy(from: &Path, to: &Path, blob: &Hash) -> Result<(), StoreError> {
    let (path, copy) = (path_in(from, blob), path_in(to, blob));
    files::create_dir(copy.parent().unwrap_or(to))?;
    let mut read = Ok(());
    let copied = files::replace_with(&copy, |file| {
        read = read_checked(&path, *blob, file);
        if read.is_err() { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) }
    });
    read.and(copied)
}

/// Reads a file to its end, which has to be as it was written.
fn read_checked(path: &Path, hash: Hash, to: &mut dyn Write) -> Result<(), StoreError> {
    let read = || {
        let (mut file, mut stored, mut buffer) =
            (File::open(path)?, sealed::Stored::default(), vec![0; BUFFER]);
        loop {
            let count = file.read(&mut buffer)?;
            let read = buffer.get(..count).unwrap_or_default();
            if read.is_empty() {
                break;
            }
            stored.update(read);
            to.write_all(read)?;
        }
        if stored.is_whole(&hash) { Ok(()) } else { Err(damaged(path, "does not hold what was put")) }
    };
    let mut read = read;
    read().map_err(|error: io::Error| match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(corrupt @ StoreError::Corrupt { .. }) => corrupt.clone(),
        _ if error.kind() == io::ErrorKind::NotFound => is_missing(path),
        _ => StoreError::io(format!("reading {}", path.display()), error),
    })
}

fn damaged(path: &Path, what: &str) -> io::Error {
    let what = format!("this blob {what}");
    io::Error::new(io::ErrorKind::InvalidData, StoreError::Corrupt { path: path.to_owned(), what })
}

fn is_missing(path: &Path) -> StoreError {
    StoreError::Corrupt { path: path.to_owned(), what: "this blob is missing".into() }
}

impl FileBlobs {
    fn put_under(&self, content: &mut dyn Read, key: Option<&RunKey>) -> io::Result<BlobRef> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let temporary = files::unfinished(&self.0.dir.join(number.to_string()));
        let put = Self::write(content, &temporary, key).and_then(|(hash, size)| {
            self.keep(&temporary, &key.map_or(hash, |key| key.blob_name(&hash)))?;
            Ok(BlobRef { sha256: name_of(&hash), size })
        });
        put.map_err(|error| {
            files::forget(&temporary);
            let what = format!("keeping a blob in {}: {error}; nothing of it was kept", self.0.dir.display());
            io::Error::new(error.kind(), what)
        })
    }

    fn open_under(&self, blob: &BlobRef, key: Option<&RunKey>) -> io::Result<Box<dyn Read + Send>> {
        let not_a_hash =
            || io::Error::new(io::ErrorKind::NotFound, format!("no blob is named '{}'", blob.sha256));
        let hash = hash_of(&blob.sha256).ok_or_else(not_a_hash)?;
        let path = self.path(&key.map_or(hash, |key| key.blob_name(&hash)));
        let opened: io::Result<Box<dyn Read + Send>> = match key {
            Some(key) => sealed::Opened::new(&path, key, hash, blob.size).map(|opened| Box::new(opened) as _),
            None => Checked::open(&path, hash, blob.size).map(|opened| Box::new(opened) as _),
        };
        match opened {
            // Only an event's word leads here. The caller is told which file it is, and what to do.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(io::Error::new(io::ErrorKind::NotFound, is_missing(&path)))
            }
            opened => opened,
        }
    }
}

impl<K: Keys> BlobStore for RunBlobs<K> {
    fn put(&self, content: &mut dyn Read) -> io::Result<BlobRef> {
        let key = self.keys.key(self.run).map_err(io::Error::other)?;
        self.blobs.put_under(content, key.as_ref())
    }

    fn open(&self, blob: &BlobRef) -> io::Result<Box<dyn Read + Send>> {
        let key = self.keys.key(self.run).map_err(io::Error::other)?;
        self.blobs.open_under(blob, key.as_ref())
    }
}

/// Reads a blob, and ends with an error where it is not what was put.
#[derive(Debug)]
struct Checked {
    file: File,
    path: PathBuf,
    hash: Hash,
    left: u64,
    hasher: Hasher,
}

impl Checked {
    fn open(path: &Path, hash: Hash, size: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let checked = Self { file, path: path.to_owned(), hash, left: size, hasher: Hasher::new() };
        if checked.file.metadata()?.len() == size {
            Ok(checked)
        } else {
            Err(checked.damaged("does not have the size that it was put with"))
        }
    }

    fn damaged(&self, what: &str) -> io::Error {
        damaged(&self.path, what)
    }
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.file.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.left = self.left.saturating_sub(count as u64);
        let is_damaged =
            if count == 0 { self.left > 0 || self.hasher.clone().finish() != self.hash } else { false };
        if is_damaged { Err(self.damaged("does not hold what was put")) } else { Ok(count) }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::secrets::KeyRing;

    fn blobs() -> (tempfile::TempDir, FileBlobs) {
        let dir = tempfile::tempdir().unwrap();
        let blobs = FileBlobs::open(dir.path()).unwrap();
        (dir, blobs)
    }

    fn read(blobs: &FileBlobs, blob: &BlobRef) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        blobs.open_under(blob, None)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn content_reads_back_and_is_kept_once() {
        let (_dir, blobs) = blobs();
        let content: Vec<u8> = (0..=255_u8).cycle().take(300_000).collect();
        let first = blobs.put_under(&mut content.as_slice(), None).unwrap();
        assert_eq!(blobs.put_under(&mut content.as_slice(), None).unwrap(), first);
        assert_eq!(read(&blobs, &first).unwrap(), content);
        assert_eq!(blobs.verify(BTreeSet::new()).unwrap(), 1);
        assert_eq!(hash_of(&first.sha256).map(|hash| name_of(&hash)), Some(first.sha256));
    }

    #[test]
    fn a_flipped_bit_a_cut_and_an_addition_are_errors_and_never_other_content() {
        let (_dir, blobs) = blobs();
        let blob = blobs.put_under(&mut &[7; 1000][..], None).unwrap();
        let path = blobs.path(&hash_of(&blob.sha256).unwrap());
        let mut flipped = vec![7; 1000];
        flipped[999] = 6;
        for bad in [flipped, vec![7; 999], vec![7; 1001]] {
            fs::write(&path, bad).unwrap();
            let error = read(&blobs, &blob).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(
                error.to_string().starts_with(&format!("the store is corrupt: {}", path.display())),
                "{error}"
            );
            assert!(blobs.verify(BTreeSet::new()).is_err());
        }
    }

    #[test]
    fn encrypted_blobs_of_every_size_read_back_and_no_change_to_their_files_is_taken_for_content() {
        let (dir, blobs) = blobs();
        let ring = KeyRing::new([3; 16]);
        let (key, other) = (
            ring.new_run(RunId::from_bytes([1; 16])).unwrap(),
            ring.new_run(RunId::from_bytes([2; 16])).unwrap(),
        );
        let chunk = 64 * 1024;
        for size in [0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk] {
            let content: Vec<u8> = b"canary".iter().copied().cycle().take(size).collect();
            let blob = blobs.put_under(&mut content.as_slice(), Some(&key)).unwrap();
            let file = file_of(&blob.sha256, Some(&key)).unwrap();
            let path = blobs.path(&file);
            let read = |key: &RunKey| -> io::Result<Vec<u8>> {
                let mut read = Vec::new();
                blobs.open_under(&blob, Some(key))?.read_to_end(&mut read)?;
                Ok(read)
            };
            assert_eq!(read(&key).unwrap(), content);
            assert_eq!(read(&other).unwrap_err().kind(), io::ErrorKind::NotFound);
            assert!(!path.to_str().unwrap().contains(&blob.sha256), "the name tells the hash");
            assert_eq!(blobs.verify([file].into()).unwrap(), 1);
            let stored = fs::read(&path).unwrap();
            assert!(!stored.windows(6).any(|part| part == b"canary"));
            let mut exchanged = stored.clone();
            if size == 3 * chunk {
                exchanged[40..40 + 2 * (chunk + 16)].rotate_left(chunk + 16);
            }
            let mut flipped = stored.clone();
            flipped[45] ^= 1;
            for bad in [&exchanged, &flipped, &stored[..stored.len() - 1].to_vec(), &stored[..40].to_vec()] {
                if *bad == stored {
                    continue;
                }
                fs::write(&path, bad).unwrap();
                assert!(blobs.verify([file].into()).is_err(), "without the key, {size}");
                // As one who can make the sum right.
                let mut forged = bad[..bad.len().max(72) - 32].to_vec();
                forged.extend_from_slice(&enact_merkle::sha256(&[&forged]));
                fs::write(&path, forged).unwrap();
                assert_eq!(read(&key).unwrap_err().kind(), io::ErrorKind::InvalidData, "{size}");
            }
            fs::remove_dir_all(dir.path()).unwrap();
            fs::create_dir(dir.path()).unwrap();
        }
    }

    #[test]
    fn a_blob_that_is_gone_is_named_as_damage_with_what_to_do() {
        let (_dir, blobs) = blobs();
        let blob = blobs.put_under(&mut &b"gone"[..], None).unwrap();
        let hash = hash_of(&blob.sha256).unwrap();
        let path = blobs.path(&hash);
        fs::remove_file(&path).unwrap();
        let error = read(&blobs, &blob).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let said = error.to_string();
        assert!(said.contains(path.to_str().unwrap()) && said.contains("restore it from a backup"), "{said}");
        let found = blobs.verify([hash].into());
        assert!(matches!(&found, Err(StoreError::Corrupt { path: at, .. }) if *at == path), "{found:?}");
        assert_eq!(blobs.verify(BTreeSet::new()).unwrap(), 0, "nothing refers to it");
    }

    #[test]
    fn what_a_crash_left_is_removed_at_opening_and_a_failed_put_leaves_nothing() {
        let (dir, blobs) = blobs();
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        assert!(blobs.put_under(&mut (&[1; 10][..]).chain(Fails), None).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        fs::write(dir.path().join("3.new"), "half").unwrap();
        FileBlobs::open(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn sweeping_takes_what_nothing_refers_to_and_not_what_was_just_put() {
        let (dir, blobs) = blobs();
        let (old, live) = (
            blobs.put_under(&mut &b"old"[..], None).unwrap(),
            blobs.put_under(&mut &b"live"[..], None).unwrap(),
        );
        let blobs = FileBlobs::open(dir.path()).unwrap();
        let new = blobs.put_under(&mut &b"new"[..], None).unwrap();
        assert_eq!(blobs.sweep(&hash_of(&live.sha256).into_iter().collect()).unwrap(), 1);
        assert_eq!(read(&blobs, &old).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(read(&blobs, &live).unwrap(), b"live");
        assert_eq!(read(&blobs, &new).unwrap(), b"new");
    }

    #[test]
    fn files_are_for_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, blobs) = blobs();
        let blob = blobs.put_under(&mut &b"secret"[..], None).unwrap();
        let path = blobs.path(&hash_of(&blob.sha256).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn the_same_content_put_at_once_by_many_is_one_blob() {
        let (dir, blobs) = blobs();
        let content = vec![9; 200_000];
        let put = || blobs.put_under(&mut content.as_slice(), None).unwrap();
        let refs: Vec<_> = thread::scope(|scope| {
            let puts: Vec<_> = (0..8).map(|_| scope.spawn(put)).collect();
            puts.into_iter().map(|put| put.join().unwrap()).collect()
        });
        assert!(refs.iter().all(|blob| *blob == refs[0]));
        assert_eq!(read(&blobs, &refs[0]).unwrap(), content);
        assert_eq!(blobs.verify(BTreeSet::new()).unwrap(), 1);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no leftovers");
    }

    #[test]
    fn content_that_a_crash_left_under_its_name_is_written_and_synced_anew() {
        let (_dir, blobs) = blobs();
        let blob = blobs.put_under(&mut &b"content"[..], None).unwrap();
        let path = blobs.path(&hash_of(&blob.sha256).unwrap());
        // As a crash between renaming and syncing can leave it: the name is there, the bytes are not.
        fs::write(&path, b"").unwrap();
        assert_eq!(blobs.put_under(&mut &b"content"[..], None).unwrap(), blob);
        assert_eq!(read(&blobs, &blob).unwrap(), b"content");
    }

    #[test]
    fn a_reference_that_is_no_hash_finds_nothing_and_leaves_the_folder_alone() {
        let (_dir, blobs) = blobs();
        for sha256 in ["", "../../etc/passwd", &"A".repeat(64), &"é".repeat(32)] {
            let blob = BlobRef { sha256: sha256.to_owned(), size: 1 };
            assert_eq!(read(&blobs, &blob).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    /// Runs a test of this file again, in a process whose files may have 64 KiB, as on a full disk.
    fn where_files_stay_small(test: &str, dir: &Path) -> std::process::Output {
        let limited = r#"trap "" XFSZ; ulimit -f 128; exec "$@""#;
        let test = format!("blobs::tests::{test}");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", limited, "sh"]).arg(std::env::current_exe().unwrap());
        command.args([&test, "--exact", "--nocapture"]).env(FULL_DISK, dir).output().unwrap()
    }

    const FULL_DISK: &str = "ENACT_TEST_FULL_DISK";

    #[test]
    fn a_full_disk_is_an_error_that_names_the_folder_and_leaves_nothing() {
        if let Some(dir) = std::env::var_os(FULL_DISK) {
            let blobs = FileBlobs::open(Path::new(&dir)).unwrap();
            let error = blobs.put_under(&mut io::repeat(1).take(1 << 20), None).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
            assert!(error.to_string().contains(Path::new(&dir).to_str().unwrap()), "{error}");
            return;
        }
        let (dir, blobs) = blobs();
        let kept = blobs.put_under(&mut &b"kept"[..], None).unwrap();
        let child = where_files_stay_small(
            "a_full_disk_is_an_error_that_names_the_folder_and_leaves_nothing",
            dir.path(),
        );
        assert!(child.status.success(), "{child:?}");
        assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"), "the child ran the test");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(read(&blobs, &kept).unwrap(), b"kept");
    }
}
