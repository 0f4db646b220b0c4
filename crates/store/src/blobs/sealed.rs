//! A blob that is encrypted under the key of its run.
//!
//! ```text
//!  0  4  magic "ENB1"
//!  4  4  zero
//!  8 32  the blob's salt
//! 40     chunks of 64 KiB, each encrypted, with a tag of 16 bytes; the last one is shorter, and may be empty
//!    32  SHA-256 of all before: decay is seen without the key
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rand::RngCore;

use crate::secrets::{BlobKey, DoesNotOpen, RunKey, TAG};
use enact_merkle::{Hash, Hasher};

/// The zeros may say something of a later form.
const MAGIC: [u8; 8] = *b"ENB1\0\0\0\0";
const SALT: usize = 32;
const START: usize = MAGIC.len() + SALT;
const CHUNK: usize = 64 * 1024;
const SUM: usize = 32;

fn failed(error: DoesNotOpen) -> io::Error {
    io::Error::other(error)
}

/// Reads until the buffer is full or nothing comes any more.
fn fill(from: &mut dyn Read, buffer: &mut Vec<u8>, size: usize) -> io::Result<()> {
    buffer.clear();
    from.take(size as u64).read_to_end(buffer).map(drop)
}

/// Encrypts all of `content` into a file, and gives the hash and the size of the content.
pub(super) fn write(content: &mut dyn Read, key: &RunKey, to: &mut File) -> io::Result<(Hash, u64)> {
    let mut salt = [0; SALT];
    rand::rng().fill_bytes(&mut salt);
    let key = key.blob(&salt).map_err(failed)?;
    let mut sum = Hasher::new();
    let mut put = |bytes: &[u8]| {
        sum.update(bytes);
        to.write_all(bytes)
    };
    put(&[&MAGIC[..], &salt].concat())?;
    let (mut hasher, mut size, mut chunk) = (Hasher::new(), 0, Vec::with_capacity(CHUNK + TAG));
    for number in 0.. {
        fill(content, &mut chunk, CHUNK)?;
        let is_last = chunk.len() < CHUNK;
        hasher.update(&chunk);
        size += chunk.len() as u64;
        key.seal(number, is_last, &mut chunk).map_err(failed)?;
        put(&chunk)?;
        if is_last {
            break;
        }
    }
    to.write_all(&sum.finish())?;
    Ok((hasher.finish(), size))
}

/// Decrypts a blob, and ends with an error where it is not what was put.
#[derive(Debug)]
pub(super) struct Opened {
    file: io::Take<File>,
    path: PathBuf,
    key: BlobKey,
    number: u64,
    /// What is decrypted, and how much of it was given.
    chunk: Vec<u8>,
    given: usize,
    was_last: bool,
    hash: Hash,
    hasher: Hasher,
    size: u64,
}

impl Opened {
    /// Opens the blob in `path`, whose content has this hash and size.
    pub(super) fn new(path: &Path, key: &RunKey, hash: Hash, size: u64) -> io::Result<Self> {
        let damaged = |what: &str| super::damaged(path, what);
        let mut file = File::open(path)?;
        let stored = file.metadata()?.len();
        let body = stored.checked_sub((START + SUM) as u64).ok_or_else(|| damaged("is cut off"))?;
        let mut start = [0; START];
        file.read_exact(&mut start)?;
        let salt: Option<&[u8; SALT]> = start.last_chunk();
        let salt = salt.filter(|_| start.starts_with(&MAGIC)).ok_or_else(|| damaged("is not encrypted"))?;
        let key = key.blob(salt).map_err(failed)?;
        let path = path.to_owned();
        let (chunk, hasher) = (Vec::new(), Hasher::new());
        let file = file.take(body);
        Ok(Self { file, path, key, number: 0, chunk, given: 0, was_last: false, hash, hasher, size })
    }

    fn damaged(&self) -> io::Error {
        super::damaged(&self.path, "does not hold what was put")
    }

    /// Decrypts the next chunk.
    fn next(&mut self) -> io::Result<()> {
        fill(&mut self.file, &mut self.chunk, CHUNK + TAG)?;
        let is_last = self.chunk.len() < CHUNK + TAG;
        self.key.open(self.number, is_last, &mut self.chunk).map_err(|_| self.damaged())?;
        self.hasher.update(&self.chunk);
        self.size = self.size.checked_sub(self.chunk.len() as u64).ok_or_else(|| self.damaged())?;
        (self.number, self.given, self.was_last) = (self.number + 1, 0, is_last);
        let is_wrong = is_last && (self.size > 0 || self.hasher.clone().finish() != self.hash);
        if is_wrong { Err(self.damaged()) } else { Ok(()) }
    }
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.chunk.len() && !self.was_last {
            if let Err(error) = self.next() {
                // What is there of it is not given, now or later.
                self.chunk.clear();
                self.given = 0;
                return Err(error);
            }
        }
        let left = self.chunk.get(self.given..).unwrap_or_default();
        let count = left.len().min(buffer.len());
        buffer.iter_mut().zip(left).for_each(|(to, from)| *to = *from);
        self.given += count;
        Ok(count)
    }
}

/// Whether a file is as it was written, as far as can be told without a key.
#[derive(Debug, Default)]
pub(super) struct Stored {
    start: Vec<u8>,
    /// Of all but the last bytes.
    hasher: Hasher,
    last: Vec<u8>,
}

impl Stored {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.start.extend(bytes.iter().take(MAGIC.len() - self.start.len()));
        self.last.extend_from_slice(bytes);
        let settled = self.last.len().saturating_sub(SUM);
        self.hasher.update(self.last.get(..settled).unwrap_or_default());
        self.last.drain(..settled);
    }

    /// Whether it is the plain content that has this hash, or an encrypted blob that has its own sum.
    pub(super) fn is_whole(&self, hash: &Hash) -> bool {
        let mut all = self.hasher.clone();
        all.update(&self.last);
        all.finish() == *hash || (self.start == MAGIC && self.hasher.clone().finish()[..] == self.last)
    }
}
