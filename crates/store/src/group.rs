//! A group: the appends that one journal write makes durable together.
//!
//! It knows how appends are laid out behind each other, with what the index needs to know of each. It does not
//! know where groups are kept.

use enact_core::ids::{EventSeq, Position, RunId};
use enact_core::store::RunMark;

use crate::codec::bytes::{Reader, put_u32, put_u64};
use crate::codec::{CodecError, Prepared, Record};
use crate::secrets::{WRAPPED, Wrapped};
use enact_merkle::Hash;

const OPEN: u8 = 1;
const KEYED: u8 = 2;
const SECRET: u8 = 4;
const ERASED: u8 = 8;

/// What there is to be known of a run's content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// It is not encrypted.
    Plain,
    /// It is encrypted under this key.
    Under(Wrapped),
    /// Its key was taken away.
    Erased,
}

/// What is known of an append beside its records.
#[derive(Clone, Debug)]
pub(crate) struct AppendHeader {
    pub(crate) run: RunId,
    /// The number of its first event.
    pub(crate) first_seq: EventSeq,
    /// The position of its first event.
    pub(crate) first: Position,
    /// How many events.
    pub(crate) count: u32,
    pub(crate) mark: RunMark,
    /// The hash of the idempotency key.
    pub(crate) key: Option<Hash>,
    /// The files of the blobs that its events refer to; where it erases the run, those that go with it.
    pub(crate) blobs: Vec<Hash>,
    /// How the run's content is kept. The journal has the run's key beside what is encrypted under it, so that no
    /// record can be durable without its key; sled has neither.
    pub(crate) content: Content,
}

impl AppendHeader {
    /// The number of its last event.
    pub(crate) fn version(&self) -> EventSeq {
        EventSeq(self.first_seq.0.saturating_add(u64::from(self.count).saturating_sub(1)))
    }

    /// The position of its last event.
    pub(crate) fn last(&self) -> Position {
        Position(self.first.0.saturating_add(u64::from(self.count).saturating_sub(1)))
    }

    /// Writes the append with its records behind what is in `to`.
    pub(crate) fn write(&self, events: &[Prepared], to: &mut Vec<u8>) {
        to.extend_from_slice(self.run.as_bytes());
        put_u64(to, self.first_seq.0);
        put_u64(to, self.first.0);
        put_u32(to, self.count);
        let open = if self.mark == RunMark::Open { OPEN } else { 0 };
        let keyed = if self.key.is_some() { KEYED } else { 0 };
        let (content, secret) = match &self.content {
            Content::Plain => (0, &[][..]),
            Content::Under(wrapped) => (SECRET, &wrapped[..]),
            Content::Erased => (ERASED, &[][..]),
        };
        to.push(open | keyed | content);
        to.extend_from_slice(self.key.as_ref().map_or(&[], Hash::as_slice));
        to.extend_from_slice(secret);
        put_u32(to, u32::try_from(self.blobs.len()).unwrap_or(u32::MAX));
        to.extend_from_slice(self.blobs.as_flattened());
        let records: usize = events.iter().map(Prepared::record_bytes).sum();
        // An append is refused long before it has four gigabytes.
        put_u32(to, u32::try_from(records).unwrap_or(u32::MAX));
        for (event, offset) in events.iter().zip(0..) {
            let seq = EventSeq(self.first_seq.0 + offset);
            event.write(self.run, seq, Position(self.first.0 + offset), to);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let run = RunId::from_bytes(reader.array()?);
        let first_seq = EventSeq(reader.u64()?);
        let first = Position(reader.u64()?);
        let count = reader.u32()?;
        let flags = reader.u8()?;
        let mark = if flags & OPEN == 0 { RunMark::Closed } else { RunMark::Open };
        let key = if flags & KEYED == 0 { None } else { Some(reader.array()?) };
        let content = match flags & (SECRET | ERASED) {
            0 => Content::Plain,
            SECRET => Content::Under(reader.array()?),
            _ => Content::Erased,
        };
        let blob_count = usize::try_from(reader.u32()?).ok()?;
        let (blobs, rest) = reader.bytes(blob_count.checked_mul(32)?)?.as_chunks::<32>();
        debug_assert!(rest.is_empty(), "a multiple of the size of a hash");
        Some(Self { run, first_seq, first, count, mark, key, blobs: blobs.to_vec(), content })
    }

    /// The size in a group of what is not records, at most.
    pub(crate) fn overhead(&self) -> usize {
        77 + WRAPPED + 32 * self.blobs.len()
    }
}

/// One append as it stands in a group.
#[derive(Debug)]
pub(crate) struct GroupAppend<'a> {
    pub(crate) header: AppendHeader,
    records: &'a [u8],
}

impl<'a> GroupAppend<'a> {
    /// Its records, each checked to be the one that belongs there.
    pub(crate) fn records(
        &self,
    ) -> impl Iterator<Item = Result<(Record<'a>, &'a [u8]), CodecError>> + use<'a> {
        let (run, first_seq, first) = (self.header.run, self.header.first_seq.0, self.header.first.0);
        let mut rest = self.records;
        (0..u64::from(self.header.count)).map(move |offset| {
            let bytes = rest;
            let (record, behind) = Record::split(bytes)?;
            rest = behind;
            let expected = (run, first_seq.saturating_add(offset), first.saturating_add(offset));
            if (record.run, record.seq.0, record.position.0) == expected {
                let size = bytes.len() - behind.len();
                Ok((record, bytes.get(..size).unwrap_or_default()))
            } else {
                Err(CodecError::damaged(format!("position {} holds another event", expected.2)))
            }
        })
    }
}

/// The appends of a group, in the order of the log.
pub(crate) fn appends(body: &[u8]) -> impl Iterator<Item = Result<GroupAppend<'_>, CodecError>> {
    let mut reader = Reader::new(body);
    std::iter::from_fn(move || {
        if reader.is_empty() {
            return None;
        }
        let header = AppendHeader::read(&mut reader);
        let append = header.and_then(|header| Some(GroupAppend { header, records: reader.sized()? }));
        if append.is_none() {
            reader = Reader::new(&[]);
        }
        Some(append.ok_or_else(|| CodecError::damaged("a group is cut off")))
    })
}
