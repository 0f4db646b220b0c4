//! How a group stands in a segment, and how one is told from what a crash or a failing disk left there.
//!
//! ```text
//!  0  4  magic "ENG1"
//!  4  2  format
//!  6  2  1: a group · 2: the journal goes on in the next segment
//!  8  8  number of the segment
//! 16  8  sequence number of the frame in the whole journal
//! 24  8  first position
//! 32  8  last position
//! 40  4  length of the body
//! 44  4  CRC32 of the body
//! 48  4  CRC32 of the frame before
//! 52  4  CRC32 of all of this
//! 56     body, and the eight bytes of the end mark
//! ```
//! A frame begins at a multiple of [`SECTOR`], so that no two share a sector: writing one never touches
//! another. Segments are full of zeros before they are used and are used once; what a refused write left is
//! zeros again, on the disk, before anything else is written there. So in a frame that a crash cut off, at
//! least one sector, or the end mark, is still zero, and a frame with none such was written whole and is
//! damaged. See [`was_whole`].

use enact_core::ids::Position;

use crate::codec::bytes::{Reader, put_u16, put_u32, put_u64};

/// What a disk writes as a whole or not at all.
pub(crate) const SECTOR: usize = 512;
/// The size of the header of a frame.
pub(crate) const FRAME_HEADER: usize = 56;
/// The newest format of frames and segments.
pub(crate) const JOURNAL_FORMAT: u16 = 1;
const MAGIC: [u8; 4] = *b"ENG1";
const END: [u8; 8] = *b"\xE2gnd/ENG";
const CRC_AT: usize = 52;

/// What a frame says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FrameKind {
    /// A group of appends.
    Group,
    /// The journal goes on in the next segment.
    Next,
}

/// The header of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FrameHeader {
    pub(crate) kind: FrameKind,
    pub(crate) segment: u64,
    pub(crate) sequence: u64,
    pub(crate) first: Position,
    pub(crate) last: Position,
    pub(crate) body_len: u32,
    body_crc: u32,
    /// The CRC of the header before, so that frames form a chain.
    pub(crate) before: u32,
    /// The CRC of this header.
    pub(crate) crc: u32,
}

/// The size of a frame in the segment, with the zeros up to the next one.
pub(crate) fn frame_size(body_len: usize) -> usize {
    (FRAME_HEADER + body_len + END.len()).next_multiple_of(SECTOR)
}

/// Room for a header, to be followed by the body.
pub(crate) fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(FRAME_HEADER, 0);
}

/// Where a frame stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) kind: FrameKind,
    pub(crate) segment: u64,
    pub(crate) sequence: u64,
    pub(crate) first: Position,
    pub(crate) last: Position,
    pub(crate) before: u32,
}

/// Completes a frame that was begun with [`begin`], and gives the CRC of its header.
pub(crate) fn finish(buffer: &mut Vec<u8>, place: &Place) -> u32 {
    let body = buffer.get(FRAME_HEADER..).unwrap_or_default();
    let (len, body_crc) = (body.len(), crc32fast::hash(body));
    let mut header = Vec::with_capacity(FRAME_HEADER);
    header.extend_from_slice(&MAGIC);
    put_u16(&mut header, JOURNAL_FORMAT);
    put_u16(&mut header, if place.kind == FrameKind::Group { 1 } else { 2 });
    put_u64(&mut header, place.segment);
    put_u64(&mut header, place.sequence);
    put_u64(&mut header, place.first.0);
    put_u64(&mut header, place.last.0);
    put_u32(&mut header, u32::try_from(len).unwrap_or(u32::MAX));
    put_u32(&mut header, body_crc);
    put_u32(&mut header, place.before);
    let crc = crc32fast::hash(&header);
    put_u32(&mut header, crc);
    if let Some(room) = buffer.get_mut(..FRAME_HEADER) {
        room.copy_from_slice(&header);
    }
    buffer.extend_from_slice(&END);
    buffer.resize(frame_size(len), 0);
    crc
}

/// Reads a header; `None` where none stands, or where it is damaged.
pub(crate) fn read_header(bytes: &[u8]) -> Option<Result<FrameHeader, u16>> {
    let header = bytes.get(..FRAME_HEADER)?;
    let mut reader = Reader::new(header);
    if reader.array()? != MAGIC {
        return None;
    }
    let format = reader.u16()?;
    let kind = reader.u16()?;
    let (segment, sequence) = (reader.u64()?, reader.u64()?);
    let (first, last) = (Position(reader.u64()?), Position(reader.u64()?));
    let (body_len, body_crc, before, crc) = (reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?);
    if crc32fast::hash(header.get(..CRC_AT)?) != crc {
        return None;
    }
    if format > JOURNAL_FORMAT {
        return Some(Err(format));
    }
    let kind = match kind {
        1 => FrameKind::Group,
        2 => FrameKind::Next,
        _ => return None,
    };
    Some(Ok(FrameHeader { kind, segment, sequence, first, last, body_len, body_crc, before, crc }))
}

/// The body of the frame that begins with these bytes; `None` where it is not whole.
pub(crate) fn body<'a>(header: &FrameHeader, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(header.body_len).ok()?;
    let body = bytes.get(FRAME_HEADER..FRAME_HEADER.checked_add(len)?)?;
    let end = bytes.get(FRAME_HEADER + len..)?.get(..END.len())?;
    (end == END && crc32fast::hash(body) == header.body_crc).then_some(body)
}

/// Whether the bytes after the last good frame were once a whole frame, as far as can be told: they go up to
/// an end mark, and none of their sectors is zero. Then they were not cut off by a crash but damaged later.
///
/// A frame whose end mark alone is damaged is known by its checksum.
pub(crate) fn was_whole(bytes: &[u8]) -> bool {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let used = bytes.get(..used).unwrap_or_default();
    if used.ends_with(&END) {
        return used.chunks(SECTOR).all(|sector| sector.iter().any(|byte| *byte != 0));
    }
    let Some(Ok(header)) = read_header(bytes) else { return false };
    let Some(len) = usize::try_from(header.body_len).ok() else { return false };
    let body = bytes.get(FRAME_HEADER..).and_then(|rest| rest.get(..len));
    let end = bytes.get(FRAME_HEADER.saturating_add(len)..).and_then(|rest| rest.get(..END.len()));
    let end_was_written = end.is_some_and(|end| END.iter().zip(end).all(|(_, byte)| *byte != 0));
    end_was_written && body.is_some_and(|body| crc32fast::hash(body) == header.body_crc)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::new();
        begin(&mut buffer);
        buffer.extend_from_slice(body);
        let place = Place {
            kind: FrameKind::Group,
            segment: 3,
            sequence: 9,
            first: Position(1),
            last: Position(4),
            before: 77,
        };
        finish(&mut buffer, &place);
        buffer
    }

    fn parse(bytes: &[u8]) -> Option<Vec<u8>> {
        let header = read_header(bytes)?.ok()?;
        body(&header, bytes).map(<[u8]>::to_vec)
    }

    #[test]
    fn a_frame_reads_back_and_fills_sectors() {
        let body: Vec<u8> = (1..=251_u8).cycle().take(1500).collect();
        let bytes = frame(&body);
        assert_eq!(bytes.len() % SECTOR, 0);
        assert_eq!(parse(&bytes), Some(body));
    }

    #[test]
    fn every_flipped_bit_is_seen_as_damage_and_none_as_a_cut_off_end() {
        let bytes = frame(&[7; 600]);
        let used = FRAME_HEADER + 600 + END.len();
        for bit in 0..used * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&bad), None, "bit {bit}");
            assert!(was_whole(&bad), "bit {bit}");
        }
    }

    #[test]
    fn a_frame_cut_off_anywhere_is_never_seen_as_damage() {
        let bytes = frame(&[7; 1600]);
        let used = FRAME_HEADER + 1600 + END.len();
        for kept in 0..used {
            let mut torn = bytes.clone();
            torn[kept..].fill(0);
            assert!(parse(&torn).is_none() && !was_whole(&torn), "{kept} bytes kept");
        }
        for lost in 0..bytes.len() / SECTOR {
            let mut torn = bytes.clone();
            torn[lost * SECTOR..(lost + 1) * SECTOR].fill(0);
            assert!(parse(&torn).is_none() && !was_whole(&torn), "sector {lost} lost");
        }
    }
}
