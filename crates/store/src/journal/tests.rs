use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::disk::RealDisk;
use super::*;

const STORE: [u8; 16] = *b"sixteen bytes id";
const SEGMENT: u64 = 64 * 1024;

/// A disk that fails when it is told to, and forgets at a power cut what was not synced.
#[derive(Debug, Default)]
struct FaultyDisk {
    fail_sync: AtomicBool,
    /// What a power cut leaves of each file that was ever synced, by its inode.
    synced: Mutex<BTreeMap<u64, Vec<u8>>>,
    /// How many bytes may still be written; then the disk is full.
    room: Option<AtomicU64>,
    /// Every write takes at most as many bytes.
    short: Option<usize>,
    /// No file can be created or opened.
    no_files: AtomicBool,
}

#[derive(Debug)]
struct FaultyFile {
    disk: Arc<FaultyDisk>,
    file: fs::File,
}

#[derive(Clone, Debug)]
struct Shared(Arc<FaultyDisk>);

impl Disk for Shared {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.0.give_file()?;
        let file = crate::files::new_file().open(path)?;
        Ok(Box::new(FaultyFile { disk: Arc::clone(&self.0), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.0.give_file()?;
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Box::new(FaultyFile { disk: Arc::clone(&self.0), file }))
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut count = bytes.len().min(self.disk.short.unwrap_or(usize::MAX));
        let is_used = bytes.iter().any(|byte| *byte != 0);
        if let Some(room) = self.disk.room.as_ref().filter(|_| is_used) {
            count = count.min(usize::try_from(room.load(Ordering::SeqCst)).unwrap_or(usize::MAX));
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            room.fetch_sub(count as u64, Ordering::SeqCst);
        }
        std::os::unix::fs::FileExt::write_at(&self.file, &bytes[..count], offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.disk.fail_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk does not answer"));
        }
        self.file.sync_data()?;
        let metadata = self.file.metadata()?;
        let mut content = vec![0; usize::try_from(metadata.len()).unwrap()];
        std::os::unix::fs::FileExt::read_exact_at(&self.file, &mut content, 0)?;
        self.disk.synced.lock().insert(metadata.ino(), content);
        Ok(())
    }
}

impl FaultyDisk {
    fn give_file(&self) -> io::Result<()> {
        let too_many = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        if self.no_files.load(Ordering::SeqCst) { Err(too_many) } else { Ok(()) }
    }

    /// Leaves of each file what was synced.
    fn cut_power(&self, dir: &Path) {
        let synced = self.synced.lock();
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            fs::write(entry.path(), synced.get(&entry.metadata().unwrap().ino()).unwrap()).unwrap();
        }
    }
}

fn config(dir: &Path, disk: Arc<dyn Disk>) -> JournalConfig {
    JournalConfig { dir: dir.to_owned(), store: STORE, segment_bytes: SEGMENT, disk }
}

fn create(dir: &Path, disk: Arc<dyn Disk>) -> Journal {
    let config = config(dir, disk);
    Journal::create(&config).unwrap();
    Journal::find(config, Position(1), &mut |_, _| Ok(())).unwrap().open().unwrap()
}

/// Opens the journal and gives its groups by their last position.
fn recover(dir: &Path) -> Result<(Journal, BTreeMap<u64, Vec<u8>>), StoreError> {
    let mut groups = BTreeMap::new();
    let found = Journal::find(config(dir, Arc::new(RealDisk)), Position(1), &mut |header, body| {
        groups.insert(header.last.0, body.to_vec());
        Ok(())
    })?;
    Ok((found.open()?, groups))
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

fn body(number: u64) -> Vec<u8> {
    (1..=251_u8).cycle().skip(size(number % 251)).take(size(700 + number * 13 % 900)).collect()
}

fn write(journal: &mut Journal, number: u64) -> Result<(), WriteError> {
    let mut frame = Vec::new();
    frame::begin(&mut frame);
    frame.extend_from_slice(&body(number));
    journal.write(&mut frame, Position(number), false)
}

fn assert_holds(groups: &BTreeMap<u64, Vec<u8>>, numbers: std::ops::RangeInclusive<u64>) {
    assert_eq!(groups.keys().copied().collect::<Vec<_>>(), numbers.collect::<Vec<_>>());
    groups.iter().for_each(|(number, found)| assert_eq!(*found, body(*number), "group {number}"));
}

#[test]
fn groups_read_back_over_many_segments_and_the_journal_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = create(dir.path(), Arc::new(RealDisk));
    (1..=200).for_each(|number| write(&mut journal, number).unwrap());
    assert!(journal.cursor().segment > 2, "several segments");
    drop(journal);
    let (mut journal, groups) = recover(dir.path()).unwrap();
    assert_holds(&groups, 1..=200);
    (201..=300).for_each(|number| write(&mut journal, number).unwrap());
    let closed = journal.cursor();
    drop(journal);
    let journal = Journal::resume(config(dir.path(), Arc::new(RealDisk)), closed, Position(1)).unwrap();
    assert_eq!(journal.cursor(), closed);
    drop(journal);
    assert_holds(&recover(dir.path()).unwrap().1, 1..=300);
}

#[test]
fn a_group_larger_than_a_segment_has_one_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = create(dir.path(), Arc::new(RealDisk));
    let mut frame = Vec::new();
    frame::begin(&mut frame);
    frame.resize(size(SEGMENT) * 3, 9);
    write(&mut journal, 1).unwrap();
    journal.write(&mut frame, Position(2), false).unwrap();
    write(&mut journal, 3).unwrap();
    drop(journal);
    let (_, groups) = recover(dir.path()).unwrap();
    assert_eq!(groups.len(), 3);
    assert_eq!(groups[&2].len(), size(SEGMENT) * 3 - frame::FRAME_HEADER);
}

#[test]
fn case_52_a_tail_torn_at_any_byte_is_cut_and_nothing_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = create(dir.path(), Arc::new(RealDisk));
    (1..=5).for_each(|number| write(&mut journal, number).unwrap());
    let start = size(journal.cursor().offset);
    write(&mut journal, 6).unwrap();
    let end = start + frame::FRAME_HEADER + body(6).len() + 8;
    drop(journal);
    let path = segment::path(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    for kept in start..end {
        let mut torn = whole.clone();
        torn[kept..].fill(0);
        fs::write(&path, &torn).unwrap();
        let (journal, groups) = recover(dir.path()).unwrap();
        assert_holds(&groups, 1..=5);
        assert_eq!(journal.cursor().next, Position(6), "{kept} bytes kept");
    }
}

#[test]
fn case_52_a_flipped_bit_anywhere_in_the_journal_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = create(dir.path(), Arc::new(RealDisk));
    (1..=6).for_each(|number| write(&mut journal, number).unwrap());
    let used = size(journal.cursor().offset);
    drop(journal);
    let path = segment::path(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    for at in 0..used {
        let zeros = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        let is_padding = zeros(&whole[at..at + 8]) || zeros(&whole[at.saturating_sub(8)..=at]);
        let mut bad = whole.clone();
        bad[at] ^= 0x20;
        fs::write(&path, &bad).unwrap();
        match recover(dir.path()) {
            Err(StoreError::Corrupt { .. } | StoreError::NewerFormat { .. }) => {}
            Ok((_, groups)) if is_padding => assert_holds(&groups, 1..=6),
            other => panic!("byte {at}: {:?}", other.map(|(_, groups)| groups.len())),
        }
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn a_missing_or_exchanged_segment_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = create(dir.path(), Arc::new(RealDisk));
    (1..=200).for_each(|number| write(&mut journal, number).unwrap());
    drop(journal);
    let (second, third) = (segment::path(dir.path(), 2), segment::path(dir.path(), 3));
    let content = fs::read(&second).unwrap();
    fs::remove_file(&second).unwrap();
    assert!(matches!(recover(dir.path()), Err(StoreError::Corrupt { .. })));
    fs::copy(&third, &second).unwrap();
    assert!(matches!(recover(dir.path()), Err(StoreError::Corrupt { .. })));
    fs::write(&second, content).unwrap();
    assert_holds(&recover(dir.path()).unwrap().1, 1..=200);
}

#[test]
fn a_full_disk_leaves_nothing_of_the_group_and_the_journal_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk { room: Some(AtomicU64::new(100_000)), ..FaultyDisk::default() };
    let disk = Arc::new(disk);
    let mut journal = create(dir.path(), Arc::new(Shared(Arc::clone(&disk))));
    let mut number = 1;
    let full = loop {
        match write(&mut journal, number) {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, WriteError::Refused(_)), "{full:?}");
    assert!(number > 10, "{number} groups fitted");
    assert!(matches!(write(&mut journal, number), Err(WriteError::Refused(_))));
    disk.room.as_ref().unwrap().store(u64::MAX, Ordering::SeqCst);
    write(&mut journal, number).unwrap();
    drop(journal);
    assert_holds(&recover(dir.path()).unwrap().1, 1..=number);
}

#[test]
fn a_killed_journal_opens_on_a_full_disk_where_nothing_has_to_be_cut() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = create(dir.path(), Arc::new(RealDisk));
    (1..=90).for_each(|number| write(&mut journal, number).unwrap());
    let last = segment::path(dir.path(), journal.cursor().segment);
    drop(journal);
    let inode = || fs::metadata(&last).unwrap().ino();
    let before = inode();
    /// No file can be made.
    #[derive(Debug)]
    struct Full;
    impl Disk for Full {
        fn create(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
            RealDisk.open(path)
        }
    }
    let found = Journal::find(config(dir.path(), Arc::new(Full)), Position(1), &mut |_, _| Ok(())).unwrap();
    let journal = found.open().unwrap();
    assert_eq!(journal.cursor().next, Position(91));
    drop(journal);
    assert_eq!(inode(), before, "it is the same file");
    assert_holds(&recover(dir.path()).unwrap().1, 1..=90);
}

#[test]
fn writes_that_take_a_few_bytes_at_a_time_are_finished() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk { short: Some(100), ..FaultyDisk::default() };
    let mut journal = create(dir.path(), Arc::new(Shared(Arc::new(disk))));
    (1..=90).for_each(|number| write(&mut journal, number).unwrap());
    drop(journal);
    assert_holds(&recover(dir.path()).unwrap().1, 1..=90);
}

#[test]
fn where_no_file_is_to_be_had_for_the_next_segment_groups_are_refused_until_there_is() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
    let mut journal = create(dir.path(), Arc::new(Shared(Arc::clone(&disk))));
    disk.no_files.store(true, Ordering::SeqCst);
    let mut number = 1;
    let refused = loop {
        match write(&mut journal, number) {
            Ok(()) => number += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, WriteError::Refused(_)), "{refused:?}");
    assert!(number > 1);
    disk.no_files.store(false, Ordering::SeqCst);
    for number in number..number + 40 {
        write(&mut journal, number).unwrap();
    }
    drop(journal);
    disk.cut_power(dir.path());
    assert_holds(&recover(dir.path()).unwrap().1, 1..=number + 39);
}

#[test]
fn a_part_of_a_group_that_was_refused_and_cannot_be_cleared_on_the_disk_is_fatal() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let disk = Arc::new(FaultyDisk { room: Some(AtomicU64::new(u64::MAX)), ..disk });
    let mut journal = create(dir.path(), Arc::new(Shared(Arc::clone(&disk))));
    write(&mut journal, 1).unwrap();
    disk.room.as_ref().unwrap().store(100, Ordering::SeqCst);
    disk.fail_sync.store(true, Ordering::SeqCst);
    let fatal = write(&mut journal, 2).unwrap_err();
    assert!(matches!(fatal, WriteError::Fatal(_)), "{fatal:?}");
}

#[test]
fn finding_a_journal_changes_nothing_and_opening_it_removes_what_a_crash_left_half_made() {
    let dir = tempfile::tempdir().unwrap();
    drop(create(dir.path(), Arc::new(RealDisk)));
    let half_made = crate::files::unfinished(&segment::path(dir.path(), 2));
    fs::write(&half_made, "half").unwrap();
    let found =
        Journal::find(config(dir.path(), Arc::new(RealDisk)), Position(1), &mut |_, _| Ok(())).unwrap();
    assert!(half_made.exists());
    let journal = found.open().unwrap();
    assert!(!half_made.exists());
    drop(journal);
}

#[test]
fn a_failed_sync_is_fatal() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    let mut journal = create(dir.path(), Arc::new(Shared(Arc::clone(&disk))));
    write(&mut journal, 1).unwrap();
    disk.fail_sync.store(true, Ordering::SeqCst);
    assert!(matches!(write(&mut journal, 2), Err(WriteError::Fatal(_))));
}

#[test]
fn segments_go_when_they_are_released_and_no_pin_holds_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = create(dir.path(), Arc::new(RealDisk));
    (1..=200).for_each(|number| write(&mut journal, number).unwrap());
    let segments = journal.segments();
    let before = segment::numbers(dir.path()).unwrap().len();
    let (pin, numbers, end) = segments.pin();
    segments.release(Position(150)).unwrap();
    assert_eq!(segment::numbers(dir.path()).unwrap().len(), before);
    let mut read = 0;
    read_all(dir.path(), &STORE, end, &numbers, &mut |_, _| {
        read += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(read, 200);
    drop(pin);
    assert!(segment::numbers(dir.path()).unwrap().len() < before);
    drop(journal);
    let (_, groups) = recover(dir.path()).unwrap();
    assert!(groups.len() >= 50 && groups.contains_key(&200), "{} groups", groups.len());
}

#[test]
fn case_52_a_journal_keeps_a_segment_with_something_in_it_so_that_one_without_is_known_to_have_lost_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = create(dir.path(), Arc::new(RealDisk));
    (1..=200).for_each(|number| write(&mut journal, number).unwrap());
    journal.next(SEGMENT / 2).unwrap();
    let closed = journal.cursor();
    let last_used = closed.segment - 1;
    journal.segments().release(Position(200)).unwrap();
    drop(journal);
    assert_eq!(segment::numbers(dir.path()).unwrap(), [last_used, closed.segment]);
    let config = || config(dir.path(), Arc::new(RealDisk));
    let find = || Journal::find(config(), Position(201), &mut |_, _| Ok(()));
    assert_eq!(find().unwrap().end(), closed);

    fs::remove_file(segment::path(dir.path(), last_used)).unwrap();
    assert!(matches!(find(), Err(StoreError::Corrupt { .. })));
    let resumed = Journal::resume(config(), closed, Position(201));
    assert!(matches!(resumed, Err(StoreError::Corrupt { .. })));
}

#[test]
fn the_word_that_the_journal_goes_on_is_durable_before_anything_is_written_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    let config = || config(dir.path(), Arc::new(Shared(Arc::clone(&disk))));
    let mut journal = create(dir.path(), Arc::new(Shared(Arc::clone(&disk))));
    let (mut number, mut word_at) = (0, 0);
    while journal.cursor().segment == 1 {
        (number, word_at) = (number + 1, size(journal.cursor().offset));
        write(&mut journal, number).unwrap();
    }
    drop(journal);
    // As a process leaves it that is killed when it has written the word and not yet synced it: the cache has
    // the word, the disk does not, and nothing is behind it.
    let (first, second) = (segment::path(dir.path(), 1), segment::path(dir.path(), 2));
    let mut behind = fs::read(&second).unwrap();
    behind[frame::SECTOR..].fill(0);
    fs::write(&second, behind).unwrap();
    let inode = fs::metadata(&first).unwrap().ino();
    disk.synced.lock().get_mut(&inode).unwrap()[word_at..].fill(0);

    let mut journal = Journal::find(config(), Position(1), &mut |_, _| Ok(())).unwrap().open().unwrap();
    write(&mut journal, number).unwrap();
    drop(journal);
    disk.cut_power(dir.path());
    assert_holds(&recover(dir.path()).unwrap().1, 1..=number);
}
