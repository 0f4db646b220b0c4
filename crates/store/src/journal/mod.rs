//! The journal: the only commit point of the store.
//!
//! Segment files, each written once from front to back. A group is one write and one sync; when
//! [`Journal::write`] has returned, the group survives any crash. It promises that what it gives back at
//! opening is what was written, that a torn end is cut and damage is reported, and that what it gave back is
//! on the disk and not only in a cache. It does not know what is in a group.

pub(crate) mod disk;
pub(crate) mod frame;
pub(crate) mod scan;
pub(crate) mod segment;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use enact_core::ids::Position;
use enact_core::store::StoreError;
use parking_lot::Mutex;

use self::disk::{Disk, DiskFile};
use self::frame::{FrameKind, Place};
pub(crate) use self::scan::Cursor;
use self::scan::{SegmentEnd, Visit};
use self::segment::SEGMENT_START;
use crate::files::Tried;

/// The folder of a store in which its journal is.
pub(crate) const FOLDER: &str = "journal";

/// What a journal is told about itself.
#[derive(Clone, Debug)]
pub(crate) struct JournalConfig {
    pub(crate) dir: PathBuf,
    /// The store's id, so that segments of two stores are never mixed.
    pub(crate) store: [u8; 16],
    /// The size of a segment; larger groups get a segment of their own size.
    pub(crate) segment_bytes: u64,
    pub(crate) disk: Arc<dyn Disk>,
}

/// Why a group was not written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// There is no space for it, or no segment to be had. Nothing of the group is in the journal, and later groups may
    /// be tried.
    Refused(io::Error),
    /// It is not known what is on the disk: nothing may be written any more.
    Fatal(String),
}

/// Writes groups.
#[derive(Debug)]
pub(crate) struct Journal {
    config: JournalConfig,
    file: Box<dyn DiskFile>,
    /// Where it has to be found.
    path: PathBuf,
    /// The size of the current segment.
    size: u64,
    cursor: Cursor,
    segments: Arc<Segments>,
    next_segment: Option<JoinHandle<io::Result<()>>>,
}

/// The segments that there are; shared with those who delete and copy them.
#[derive(Debug)]
pub(crate) struct Segments {
    dir: PathBuf,
    state: Mutex<SegmentsState>,
}

#[derive(Debug)]
struct SegmentsState {
    /// Segments that are written to their end, with their last position.
    full: VecDeque<(u64, Position)>,
    cursor: Cursor,
    /// While there are pins, nothing is deleted.
    pins: usize,
    /// Up to where segments may go.
    released: Position,
}

/// Keeps every segment where it is, until it is dropped.
#[derive(Debug)]
pub(crate) struct Pin(Arc<Segments>);

impl Segments {
    /// Deletes the segments in which all is at or before `position`.
    pub(crate) fn release(&self, position: Position) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        state.released = state.released.max(position);
        self.delete_released(&mut state)
    }

    /// How many frames were written: each with a sync of its own.
    pub(crate) fn syncs(&self) -> u64 {
        self.state.lock().cursor.sequence
    }

    fn delete_released(&self, state: &mut SegmentsState) -> Result<(), StoreError> {
        // One of them stays while the current one is empty: a journal that holds no frame at all has lost some.
        let kept = usize::from(state.cursor.offset == SEGMENT_START);
        while state.pins == 0
            && state.full.len() > kept
            && let Some((number, last)) = state.full.front().copied()
            && last <= state.released
        {
            segment::remove(&self.dir, number)?;
            state.full.pop_front();
        }
        Ok(())
    }

    /// The segments that there are now and up to where the journal is durable; nothing is deleted before the
    /// pin is dropped.
    pub(crate) fn pin(self: &Arc<Self>) -> (Pin, Vec<u64>, Cursor) {
        let mut state = self.state.lock();
        state.pins += 1;
        let full = state.full.iter().map(|(number, _)| *number);
        let mut numbers: Vec<u64> = full.chain([state.cursor.segment]).collect();
        numbers.dedup();
        (Pin(Arc::clone(self)), numbers, state.cursor)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.pins -= 1;
        if let Err(error) = self.0.delete_released(&mut state) {
            tracing::warn!(%error, "journal segments could not be deleted; tried again after the next sealing");
        }
    }
}

impl Journal {
    /// Makes the journal of a new store.
    pub(crate) fn create(config: &JournalConfig) -> Result<(), StoreError> {
        segment::create(config.disk.as_ref(), &config.dir, &config.store, 1, config.segment_bytes, &[])
            .tried("creating a segment in", &config.dir)
    }

    /// Reads the whole journal and gives every group to `visit`. Nothing is changed.
    ///
    /// `floor` is the position that the journal goes on with where it holds no group: all is sealed.
    pub(crate) fn find(
        config: JournalConfig,
        floor: Position,
        visit: Visit<'_>,
    ) -> Result<Found, StoreError> {
        let numbers = segment::numbers(&config.dir)?;
        let missing = || StoreError::Corrupt { path: config.dir.clone(), what: "no journal is there".into() };
        let first = *numbers.first().ok_or_else(missing)?;
        let mut cursor =
            Cursor { segment: first, offset: SEGMENT_START, sequence: 0, next: Position(1), before: 0 };
        let mut full = VecDeque::new();
        let is_torn = loop {
            let number = cursor.segment;
            match scan::segment(&config.dir, &config.store, &mut cursor, visit)? {
                SegmentEnd::Next => full.push_back((number, Position(cursor.next.0.saturating_sub(1)))),
                SegmentEnd::Zeros => break false,
                SegmentEnd::Torn => break true,
            }
        };
        no_groups_behind(&config, &cursor, &numbers)?;
        if cursor.sequence == 0 {
            is_new(&config, first, floor)?;
            cursor = Cursor { sequence: 1, next: floor, ..cursor };
        }
        Ok(Found { config, cursor, is_torn, full, numbers })
    }

    /// Opens a journal that was closed in order, at the place where it was closed. The last segment is read
    /// and has to end there; the others have to be there, and to begin at or before `floor`.
    pub(crate) fn resume(config: JournalConfig, closed: Cursor, floor: Position) -> Result<Self, StoreError> {
        let numbers = segment::numbers(&config.dir)?;
        let first = numbers.first().copied().unwrap_or(closed.segment).min(closed.segment);
        let mut full: VecDeque<_> =
            (first..closed.segment).map(|number| (number, Position(u64::MAX))).collect();
        for number in first..=closed.segment {
            let begins = segment::check_file(&config.dir, &config.store, number)?;
            match begins {
                Some(begins) if number == first && begins.first > floor => {
                    let cursor =
                        Cursor { segment: first, offset: SEGMENT_START, next: begins.first, ..closed };
                    let path = segment::path(&config.dir, first);
                    return Err(scan::corrupt(&path, &cursor, "what was before this segment is missing"));
                }
                None if number == first => is_new(&config, first, floor)?,
                _ => {}
            }
        }
        let mut cursor = Cursor { offset: SEGMENT_START, sequence: 0, ..closed };
        let mut firsts = None;
        let end = scan::segment(&config.dir, &config.store, &mut cursor, &mut |header, _| {
            firsts.get_or_insert(header.first);
            Ok(())
        })?;
        if cursor.sequence == 0 {
            cursor = Cursor { sequence: closed.sequence, ..cursor };
        }
        if end != SegmentEnd::Zeros || cursor != closed {
            let path = segment::path(&config.dir, closed.segment);
            return Err(scan::corrupt(&path, &cursor, "the journal does not end where it was closed"));
        }
        // Where the older ones end is not read; together they end before the last one begins.
        let before = Position(firsts.unwrap_or(closed.next).0.saturating_sub(1));
        full.iter_mut().for_each(|(_, last)| *last = before);
        Self::at(config, cursor, full)
    }

    fn at(
        config: JournalConfig,
        cursor: Cursor,
        full: VecDeque<(u64, Position)>,
    ) -> Result<Self, StoreError> {
        segment::forget_unfinished(&config.dir)?;
        let path = segment::path(&config.dir, cursor.segment);
        let file = config.disk.open(&path).tried("opening", &path)?;
        let size = std::fs::metadata(&path).tried("reading the size of", &path)?.len();
        let state = SegmentsState { full, cursor, pins: 0, released: Position(0) };
        let segments = Arc::new(Segments { dir: config.dir.clone(), state: Mutex::new(state) });
        let mut journal = Self { config, file, path, size, cursor, segments, next_segment: None };
        journal.prepare_next();
        Ok(journal)
    }

    /// The segments, for those who delete and copy them.
    pub(crate) fn segments(&self) -> Arc<Segments> {
        Arc::clone(&self.segments)
    }

    /// Where the next frame goes.
    pub(crate) fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Writes a group that was begun with [`frame::begin`] and makes it durable. The positions follow those of
    /// the group before and end with `last`. With `apart`, it begins a segment, so that every group before it can be
    /// deleted.
    pub(crate) fn write(
        &mut self,
        frame: &mut Vec<u8>,
        last: Position,
        apart: bool,
    ) -> Result<(), WriteError> {
        let size = frame::frame_size(frame.len().saturating_sub(frame::FRAME_HEADER)) as u64;
        if !self.fits(size) || (apart && self.cursor.offset > SEGMENT_START) {
            self.next(size)?;
        }
        let place = self.place(FrameKind::Group, last);
        let crc = frame::finish(frame, &place);
        self.put(frame)?;
        self.cursor.offset += size;
        self.cursor.next = last.next();
        self.wrote(crc);
        self.prepare_next();
        Ok(())
    }

    fn place(&self, kind: FrameKind, last: Position) -> Place {
        let Cursor { segment, sequence, next: first, before, .. } = self.cursor;
        Place { kind, segment, sequence, first, last, before }
    }

    fn wrote(&mut self, crc: u32) {
        self.cursor.sequence += 1;
        self.cursor.before = crc;
        self.segments.state.lock().cursor = self.cursor;
    }

    /// Whether a frame fits with the word behind it that the journal goes on elsewhere.
    fn fits(&self, size: u64) -> bool {
        self.cursor.offset + size + frame::frame_size(0) as u64 <= self.size
    }

    /// Goes on in the next segment. Where there is none to be had, nothing has changed.
    fn next(&mut self, frame_size: u64) -> Result<(), WriteError> {
        let number = self.cursor.segment + 1;
        let needed = SEGMENT_START + frame_size + frame::frame_size(0) as u64;
        // Until the word is written, no byte of the journal is touched.
        let (file, size) = self.open_next(number, needed).map_err(WriteError::Refused)?;
        let last = Position(self.cursor.next.0.saturating_sub(1));
        let mut word = Vec::new();
        frame::begin(&mut word);
        let crc = frame::finish(&mut word, &self.place(FrameKind::Next, last));
        self.put(&word)?;
        self.segments.state.lock().full.push_back((self.cursor.segment, last));
        (self.file, self.size) = (file, size);
        self.path = segment::path(&self.config.dir, number);
        (self.cursor.segment, self.cursor.offset) = (number, SEGMENT_START);
        self.wrote(crc);
        Ok(())
    }

    fn open_next(&mut self, number: u64, needed: u64) -> io::Result<(Box<dyn DiskFile>, u64)> {
        self.create_next(number, needed)?;
        let path = segment::path(&self.config.dir, number);
        Ok((self.config.disk.open(&path)?, std::fs::metadata(&path)?.len()))
    }

    /// Waits for the segment that is being prepared; makes it here where that failed or it is too small.
    fn create_next(&mut self, number: u64, needed: u64) -> io::Result<()> {
        let prepared = self.next_segment.take().map(JoinHandle::join);
        let is_there = matches!(prepared, Some(Ok(Ok(()))));
        if is_there && needed <= self.config.segment_bytes {
            return Ok(());
        }
        let bytes = self.config.segment_bytes.max(needed).next_multiple_of(frame::SECTOR as u64);
        segment::create(self.config.disk.as_ref(), &self.config.dir, &self.config.store, number, bytes, &[])
    }

    /// Begins to make the next segment when half of this one is used, so that no append waits for it.
    fn prepare_next(&mut self) {
        if self.next_segment.is_some() || self.cursor.offset < self.size / 2 {
            return;
        }
        let config = self.config.clone();
        let number = self.cursor.segment + 1;
        let make = move || {
            let JournalConfig { dir, store, segment_bytes, disk } = config;
            segment::create(disk.as_ref(), &dir, &store, number, segment_bytes, &[])
        };
        // Where no thread is to be had, the segment is made when it is needed.
        self.next_segment = thread::Builder::new().name("enact-segment".into()).spawn(make).ok();
    }

    fn put(&mut self, frame: &[u8]) -> Result<(), WriteError> {
        if let Err(error) = self.file.write_all_at(frame, self.cursor.offset) {
            return Err(self.take_back(frame.len() as u64, error));
        }
        self.file
            .sync()
            .map_err(|error| WriteError::Fatal(format!("a sync of the journal failed: {error}")))?;
        // What is durable in a file that nobody will find is not kept.
        let path = &self.path;
        match self.file.is_at(path) {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(WriteError::Fatal(format!("{} was taken away while it was in use", path.display())))
            }
            Err(error) => Err(WriteError::Fatal(format!("looking at {}: {error}", path.display()))),
        }
    }

    /// Clears what a failed write left, so that the next group finds zeros. On the disk too: it may have had a part of
    /// what failed already, and after a power cut a part of the next group beside it would look whole and damaged.
    fn take_back(&mut self, size: u64, error: io::Error) -> WriteError {
        let offset = self.cursor.offset;
        let cleared =
            segment::fill(self.file.as_mut(), offset, offset + size).and_then(|()| self.file.sync());
        match cleared {
            Ok(()) => refused_or_fatal(error),
            Err(again) => WriteError::Fatal(format!("a write to the journal failed: {error}; then {again}")),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // A segment that is being prepared is finished, or it is a leftover that the next opening removes.
        if let Some(Err(_)) = self.next_segment.take().map(JoinHandle::join) {
            tracing::warn!("preparing a segment panicked");
        }
    }
}

fn refused_or_fatal(error: io::Error) -> WriteError {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => WriteError::Refused(error),
        _ => WriteError::Fatal(format!("a write to the journal failed: {error}")),
    }
}

/// A journal that was read and not yet touched.
#[derive(Debug)]
pub(crate) struct Found {
    config: JournalConfig,
    cursor: Cursor,
    is_torn: bool,
    full: VecDeque<(u64, Position)>,
    numbers: Vec<u64>,
}

impl Found {
    /// Where it ends.
    pub(crate) fn end(&self) -> Cursor {
        self.cursor
    }

    /// Opens it: cuts a torn end, and removes segments that were prepared and not used.
    ///
    /// What a killed process wrote and did not sync may be in a cache only, even where it reads well. So what the last
    /// segment holds is written again and synced before it counts as durable; where that holds nothing, first the
    /// one before it, whose last word that may be. It is written in its place, which takes no space; only a torn end
    /// is cut by a new file.
    pub(crate) fn open(self) -> Result<Journal, StoreError> {
        let Self { config, cursor, is_torn, full, numbers } = self;
        for number in numbers.into_iter().filter(|number| *number > cursor.segment) {
            segment::remove(&config.dir, number)?;
        }
        if cursor.offset == SEGMENT_START
            && let Some((before, _)) = full.back()
        {
            write_again(&config, *before, u64::MAX)?;
        }
        if is_torn {
            rewrite(&config, cursor.segment, cursor.offset)?;
        } else {
            write_again(&config, cursor.segment, cursor.offset)?;
        }
        Journal::at(config, cursor, full)
    }
}

/// Only the journal of a new store has nothing in it.
fn is_new(config: &JournalConfig, first: u64, floor: Position) -> Result<(), StoreError> {
    if first == 1 && floor == Position(1) {
        return Ok(());
    }
    let what = format!(
        "its first segment is number {first} and holds nothing, so what the journal had before position {floor} or \
         behind it is missing"
    );
    Err(StoreError::Corrupt { path: config.dir.clone(), what })
}

/// Segments behind the end may be prepared, never used.
fn no_groups_behind(config: &JournalConfig, end: &Cursor, numbers: &[u64]) -> Result<(), StoreError> {
    for number in numbers.iter().copied().filter(|number| *number > end.segment) {
        let path = segment::path(&config.dir, number);
        let bytes = std::fs::read(&path).needed("reading", &path)?;
        let start = usize::try_from(SEGMENT_START).unwrap_or(usize::MAX);
        if bytes.get(start..).unwrap_or_default().iter().any(|byte| *byte != 0) {
            let path = segment::path(&config.dir, end.segment);
            return Err(scan::corrupt(&path, end, "the journal ends here, and a later segment is in use"));
        }
    }
    Ok(())
}

/// Writes what a segment holds up to `end` again, and syncs it. The bytes are the same, so a crash meanwhile leaves what
/// was there.
fn write_again(config: &JournalConfig, number: u64, end: u64) -> Result<(), StoreError> {
    let path = segment::path(&config.dir, number);
    let bytes = std::fs::read(&path).needed("reading", &path)?;
    let end = usize::try_from(end).unwrap_or(usize::MAX).min(bytes.len());
    let content = bytes.get(..end).unwrap_or_default();
    let write = || {
        let mut file = config.disk.open(&path)?;
        file.write_all_at(content, 0)?;
        file.sync()
    };
    write().tried("syncing again", &path)
}

/// Replaces a segment by a synced copy without what is behind `end`.
fn rewrite(config: &JournalConfig, number: u64, end: u64) -> Result<(), StoreError> {
    let path = segment::path(&config.dir, number);
    let bytes = std::fs::read(&path).tried("reading", &path)?;
    let start = usize::try_from(SEGMENT_START).unwrap_or(usize::MAX);
    let end = usize::try_from(end).unwrap_or(usize::MAX).min(bytes.len());
    let content = bytes.get(start..end).unwrap_or_default();
    let size = bytes.len() as u64;
    segment::create(config.disk.as_ref(), &config.dir, &config.store, number, size, content)
        .tried("writing anew", &path)
}

/// Reads every group of a journal that nobody writes, or up to `end` of one that is written.
pub(crate) fn read_all(
    dir: &Path,
    store: &[u8; 16],
    end: Cursor,
    numbers: &[u64],
    visit: Visit<'_>,
) -> Result<(), StoreError> {
    let Some(first) = numbers.first() else { return Ok(()) };
    let mut cursor =
        Cursor { segment: *first, offset: SEGMENT_START, sequence: 0, next: Position(1), before: 0 };
    while cursor.segment <= end.segment && cursor.next < end.next {
        let from = cursor;
        let ended = scan::segment(dir, store, &mut cursor, &mut |header, body| {
            if header.first < end.next { visit(header, body) } else { Ok(()) }
        });
        match ended {
            Ok(SegmentEnd::Next) => {}
            // The frame behind the end is just being written.
            Ok(_) | Err(StoreError::Corrupt { .. }) if cursor.next >= end.next => break,
            Ok(_) => {
                let path = segment::path(dir, from.segment);
                return Err(scan::corrupt(&path, &cursor, "the journal ends before its durable end"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
