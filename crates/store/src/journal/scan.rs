//! Reading a journal back: every frame checked, a torn end told from damage.

use std::path::Path;
use std::{fs, io};

use enact_core::ids::Position;
use enact_core::store::StoreError;

use super::frame::{self, FrameHeader, FrameKind, SECTOR};
use super::segment::{self, SEGMENT_START};
use crate::codec::CodecError;
use crate::files::Tried;

/// Where a journal goes on: what the next frame has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cursor {
    /// The segment that the next frame is written to.
    pub(crate) segment: u64,
    /// Where in it.
    pub(crate) offset: u64,
    /// The sequence number of the next frame.
    pub(crate) sequence: u64,
    /// The position of the next event.
    pub(crate) next: Position,
    /// The CRC of the frame before.
    pub(crate) before: u32,
}

/// How a segment ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SegmentEnd {
    /// With the word that the journal goes on in the next one.
    Next,
    /// With zeros.
    Zeros,
    /// With what a crash left of a frame that was never acknowledged.
    Torn,
}

/// Gets each group: its positions and its body.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&FrameHeader, &[u8]) -> Result<(), StoreError>;

/// Reads one segment from `cursor` on and moves the cursor behind its last good frame.
///
/// The first segment that is read after others were deleted may begin anywhere: `cursor.sequence` 0 takes the
/// first frame's word for it.
pub(crate) fn segment(
    dir: &Path,
    store: &[u8; 16],
    cursor: &mut Cursor,
    visit: Visit<'_>,
) -> Result<SegmentEnd, StoreError> {
    let path = segment::path(dir, cursor.segment);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(segment::missing(&path)),
        read => read.needed("reading", &path)?,
    };
    segment::check(&path, &bytes, bytes.len() as u64, store, cursor.segment)?;
    loop {
        let rest = usize::try_from(cursor.offset).ok().and_then(|offset| bytes.get(offset..));
        let rest = rest.unwrap_or_default();
        let Some((header, body)) = good_frame(&path, rest, cursor)? else {
            return end_of(&path, rest, cursor);
        };
        cursor.sequence = header.sequence + 1;
        cursor.before = header.crc;
        if header.kind == FrameKind::Next {
            *cursor = Cursor { segment: cursor.segment + 1, offset: SEGMENT_START, ..*cursor };
            return Ok(SegmentEnd::Next);
        }
        cursor.offset += frame::frame_size(body.len()) as u64;
        cursor.next = header.last.next();
        visit(&header, body)?;
    }
}

fn good_frame<'a>(
    path: &Path,
    bytes: &'a [u8],
    cursor: &mut Cursor,
) -> Result<Option<(FrameHeader, &'a [u8])>, StoreError> {
    let header = match frame::read_header(bytes) {
        None => return Ok(None),
        Some(Ok(header)) => header,
        Some(Err(found)) => {
            let error = CodecError::Newer {
                what: "journal format",
                found: u32::from(found),
                known: u32::from(frame::JOURNAL_FORMAT),
            };
            return Err(error.at(path, ""));
        }
    };
    let Some(body) = frame::body(&header, bytes) else { return Ok(None) };
    if cursor.sequence == 0 {
        *cursor = Cursor { sequence: header.sequence, next: header.first, before: header.before, ..*cursor };
    }
    let expected = (cursor.segment, cursor.sequence, cursor.next, cursor.before);
    if (header.segment, header.sequence, header.first, header.before) == expected {
        return Ok(Some((header, body)));
    }
    Err(corrupt(path, cursor, "a frame stands here that does not follow the one before"))
}

/// What stands where no good frame stands: nothing, a torn end, or damage.
fn end_of(path: &Path, rest: &[u8], cursor: &Cursor) -> Result<SegmentEnd, StoreError> {
    if rest.iter().all(|byte| *byte == 0) {
        return Ok(SegmentEnd::Zeros);
    }
    if frame::was_whole(rest) {
        return Err(corrupt(path, cursor, "a group is damaged that was written whole"));
    }
    let later = rest.chunks(SECTOR).skip(1).find_map(|sector| frame::read_header(sector)?.ok());
    match later {
        Some(later) if later.segment == cursor.segment && later.sequence > cursor.sequence => {
            Err(corrupt(path, cursor, "a group is damaged, and others follow it"))
        }
        _ => Ok(SegmentEnd::Torn),
    }
}

pub(crate) fn corrupt(path: &Path, cursor: &Cursor, what: &str) -> StoreError {
    let what =
        format!("{what} (at byte {}, after position {})", cursor.offset, cursor.next.0.saturating_sub(1));
    StoreError::Corrupt { path: path.to_owned(), what }
}
