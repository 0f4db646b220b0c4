//! What an active volume that nobody closed still knows: whether the journal once went further.
//!
//! The file is only looked through for records. sled is not asked: after a power cut its database may be torn, and
//! opening one can fail, wait or write. Nothing is promised of what is *not* found, since sled writes late. What is found
//! was durable in the journal once, because only that is ever applied; it counts only with its checksum and its hash.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use enact_core::ids::Position;
use enact_core::store::StoreError;

use super::contents::CHUNK_BYTES;
use crate::codec::Record;
use crate::files::Tried;

/// How much is read at once. Twice as much is held.
const WINDOW: usize = 1024 * 1024;

/// The newest record at or after `from` in the files of a volume. Reads the volume once, from front to back.
pub(crate) fn newest_record(volume: &Path, from: Position) -> Result<Option<Position>, StoreError> {
    let path = volume.join("db");
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.tried("opening", &path)?,
    };
    let mut newest = None;
    let mut held = Vec::with_capacity(2 * WINDOW);
    loop {
        let read = Read::take(&mut file, WINDOW as u64).read_to_end(&mut held).tried("reading", &path)?;
        let is_end = read == 0;
        // A record that stands whole begins and ends in one chunk: what may go on in the next window is kept.
        let upto = if is_end { held.len() } else { held.len().saturating_sub(CHUNK_BYTES) };
        let seen = look(&held, upto, from, &mut newest);
        held.drain(..seen.min(held.len()));
        if is_end {
            return Ok(newest);
        }
    }
}

/// Looks at what begins before `upto`, and says where to go on.
fn look(bytes: &[u8], upto: usize, from: Position, newest: &mut Option<Position>) -> usize {
    let mut at = 0;
    while at < upto {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(skip) = rest.iter().position(|byte| *byte == b'E') else { return bytes.len().max(upto) };
        at += skip;
        let rest = rest.get(skip..).unwrap_or_default();
        if at >= upto {
            break;
        }
        at += 1;
        if Record::position_at(rest).is_none() {
            continue;
        }
        let Ok((record, behind)) = Record::split(rest) else { continue };
        // What looks like a record inside of one is content.
        at += rest.len() - behind.len() - 1;
        if record.position >= from && record.leaf_is_right() {
            *newest = (*newest).max(Some(record.position));
        }
    }
    at
}
