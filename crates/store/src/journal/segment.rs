//! Segments: the files that the journal is written into, full of zeros before they are used.
//!
//! ```text
//!  0  4  magic "ENJ1"
//!  4  2  format
//!  6  2  zero
//!  8  8  number of the segment
//! 16  8  size of the file
//! 24 16  id of the store
//! 40  4  CRC32 of all of this
//! 44     zeros, up to the first frame
//! ```
//! A segment has its name only when it has its size. So one of another size was cut or added to, and what is missing
//! is not taken for the end of the journal.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fs, io};

use enact_core::store::StoreError;

use super::disk::{Disk, DiskFile};
use super::frame::{self, FrameHeader, JOURNAL_FORMAT, SECTOR};
use crate::codec::bytes::{Reader, put_u16, put_u32, put_u64};
use crate::files::{self, Tried};

/// Where the first frame of a segment begins.
pub(crate) const SEGMENT_START: u64 = SECTOR as u64;
const MAGIC: [u8; 4] = *b"ENJ1";
const SUFFIX: &str = "journal";
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// The file of a segment.
pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.{SUFFIX}"))
}

/// The number of the segment that a file is by its name.
pub(crate) fn number(path: &Path) -> Option<u64> {
    let name = path.file_name().and_then(|name| name.to_str())?;
    name.strip_suffix(&format!(".{SUFFIX}"))?.parse().ok()
}

/// Removes what a crash left half-made.
pub(crate) fn forget_unfinished(dir: &Path) -> Result<(), StoreError> {
    let paths = files::list(dir)?;
    paths.iter().filter(|path| files::is_unfinished(path)).for_each(|path| files::forget(path));
    Ok(())
}

/// The numbers of the segments in a folder, in their order.
pub(crate) fn numbers(dir: &Path) -> Result<Vec<u64>, StoreError> {
    let mut numbers = Vec::new();
    if !dir.is_dir() {
        let what = "no journal is there".to_owned();
        return Err(StoreError::Corrupt { path: dir.to_owned(), what });
    }
    for path in files::list(dir)? {
        match number(&path) {
            Some(number) => numbers.push(number),
            None if files::is_unfinished(&path) => {}
            None => tracing::warn!(path = %path.display(), "not a file of the journal; left alone"),
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The size of the header.
const HEADER_BYTES: usize = 44;

/// The first bytes of a segment.
fn header(store: &[u8; 16], number: u64, size: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(SECTOR);
    header.extend_from_slice(&MAGIC);
    put_u16(&mut header, JOURNAL_FORMAT);
    put_u16(&mut header, 0);
    put_u64(&mut header, number);
    put_u64(&mut header, size);
    header.extend_from_slice(store);
    let crc = crc32fast::hash(&header);
    put_u32(&mut header, crc);
    header
}

/// Checks that a file of `size` bytes, which begins with these, is the segment that its name says, and whole.
pub(crate) fn check(
    path: &Path,
    bytes: &[u8],
    size: u64,
    store: &[u8; 16],
    number: u64,
) -> Result<(), StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt { path: path.to_owned(), what: what.to_owned() };
    if bytes.starts_with(&header(store, number, size)) {
        return Ok(());
    }
    let found = bytes.get(..HEADER_BYTES).ok_or_else(|| corrupt("the segment is cut off in its header"))?;
    let mut reader = Reader::new(found);
    let (magic, format) = (reader.array(), reader.u16().unwrap_or_default());
    let (covered, crc) = found.split_at(found.len() - 4);
    if magic != Some(MAGIC) || Reader::new(crc).u32() != Some(crc32fast::hash(covered)) {
        return Err(corrupt("the header of the segment is damaged"));
    }
    if format > JOURNAL_FORMAT {
        let (found, known) = (u32::from(format), u32::from(JOURNAL_FORMAT));
        return Err(StoreError::NewerFormat { path: path.to_owned(), found, known });
    }
    let made = found.get(16..24).and_then(|bytes| Reader::new(bytes).u64()).unwrap_or_default();
    if found == header(store, number, made) {
        return Err(corrupt(&format!("the segment has {size} bytes, and was made with {made}")));
    }
    Err(corrupt("the segment belongs to another store or place"))
}

/// As [`check`], for a file of which no more is read than its beginning. Gives the header of the first frame, where
/// one stands.
pub(crate) fn check_file(
    dir: &Path,
    store: &[u8; 16],
    number: u64,
) -> Result<Option<FrameHeader>, StoreError> {
    let path = path(dir, number);
    let read = || {
        let mut file = fs::File::open(&path)?;
        let mut bytes = Vec::with_capacity(SECTOR * 2);
        Read::take(&mut file, 2 * SECTOR as u64).read_to_end(&mut bytes)?;
        io::Result::Ok((bytes, file.metadata()?.len()))
    };
    let (bytes, size) = match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(&path)),
        read => read.needed("reading", &path)?,
    };
    check(&path, &bytes, size, store, number)?;
    Ok(frame::read_header(bytes.get(SECTOR..).unwrap_or_default()).and_then(Result::ok))
}

/// A segment that has to be there is not.
pub(crate) fn missing(path: &Path) -> StoreError {
    StoreError::Corrupt { path: path.to_owned(), what: "this segment of the journal is missing".into() }
}

/// Makes a segment of `bytes` in size, durably: it is there as a whole, or not at all.
///
/// `bytes` covers the header and `content`. All of it is written now, with zeros, so that the sync of a group later
/// writes that group alone: it changes no length and takes no space.
pub(crate) fn create(
    disk: &dyn Disk,
    dir: &Path,
    store: &[u8; 16],
    number: u64,
    bytes: u64,
    content: &[u8],
) -> io::Result<()> {
    let path = path(dir, number);
    let unfinished = files::unfinished(&path);
    let put = || {
        let mut file = disk.create(&unfinished)?;
        let header = header(store, number, bytes);
        file.write_all_at(&header, 0)?;
        fill(file.as_mut(), header.len() as u64, SEGMENT_START)?;
        file.write_all_at(content, SEGMENT_START)?;
        fill(file.as_mut(), SEGMENT_START + content.len() as u64, bytes)?;
        file.sync()?;
        fs::rename(&unfinished, &path)?;
        files::sync_dir(dir)
    };
    put().inspect_err(|_| files::forget(&unfinished))
}

/// Writes zeros.
pub(crate) fn fill(file: &mut dyn DiskFile, mut from: u64, to: u64) -> io::Result<()> {
    while from < to {
        let count = usize::try_from(to - from).unwrap_or(usize::MAX).min(ZEROS.len());
        file.write_all_at(ZEROS.get(..count).unwrap_or(&ZEROS), from)?;
        from += count as u64;
    }
    Ok(())
}

/// Removes a segment that is not needed any more.
pub(crate) fn remove(dir: &Path, number: u64) -> Result<(), StoreError> {
    let path = path(dir, number);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).tried("removing", &path),
        _ => files::sync_dir(dir).tried("syncing", dir),
    }
}
