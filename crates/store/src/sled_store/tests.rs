use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use enact_core::event::{Event, NewEvent};
use enact_core::store::{Durability, Fence, RunMark};
use enact_core::time::Timestamp;

use super::*;
use crate::journal::disk::DiskFile;

/// A disk that is full, or fails to sync, while it is told so.
#[derive(Clone, Debug, Default)]
struct Trouble {
    full: Arc<AtomicBool>,
    no_sync: Arc<AtomicBool>,
}

#[derive(Debug)]
struct TroubledFile(Trouble, fs::File);

impl Disk for Trouble {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(TroubledFile(self.clone(), crate::files::new_file().open(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(TroubledFile(self.clone(), fs::OpenOptions::new().write(true).open(path)?)))
    }
}

impl DiskFile for TroubledFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let is_used = bytes.iter().any(|byte| *byte != 0);
        if is_used && self.0.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        std::os::unix::fs::FileExt::write_at(&self.1, bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.0.no_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk does not answer"));
        }
        self.1.sync_data()
    }
}

fn open(dir: &Path, trouble: &Trouble) -> SledStore {
    SledStore::start(&dir.join("s"), &Options::default(), Arc::new(trouble.clone())).unwrap()
}

fn append(number: u8, expected: u64, durability: Durability) -> Append {
    let event =
        NewEvent { at: Timestamp::from_unix_us(1), by: Pseudonym::default(), event: Event::RollbackFinished };
    Append {
        run: RunId::from_parts(u64::from(number), [number; 10]),
        expected: EventSeq(expected),
        fence: Fence::NONE,
        events: vec![event],
        mark: RunMark::Open,
        key: None,
        durability,
    }
}

#[tokio::test]
async fn appends_to_a_full_disk_are_refused_as_such_and_go_on_when_there_is_space() {
    let (dir, trouble) = (tempfile::tempdir().unwrap(), Trouble::default());
    let store = open(dir.path(), &trouble);
    store.append(append(1, 0, Durability::Barrier)).await.unwrap().durable().await.unwrap();
    trouble.full.store(true, Ordering::SeqCst);
    let quiet = store.append(append(2, 0, Durability::Enqueued)).await.unwrap();
    let refused = store.append(append(1, 1, Durability::Barrier)).await.unwrap().durable().await;
    assert!(matches!(refused, Err(StoreError::Io { .. })), "{refused:?}");
    assert!(matches!(quiet.durable().await, Err(StoreError::Io { .. })));
    // Who goes on with the run is told why its beginning is not there.
    let lost = store.append(append(2, 1, Durability::Barrier)).await.unwrap_err();
    assert!(matches!(lost, StoreError::Io { .. }), "{lost}");

    trouble.full.store(false, Ordering::SeqCst);
    store.append(append(1, 1, Durability::Barrier)).await.unwrap().durable().await.unwrap();
    store.append(append(2, 0, Durability::Barrier)).await.unwrap().durable().await.unwrap();
    drop(store);
    let store = open(dir.path(), &trouble);
    assert_eq!(store.read_all(Position(1), 10).await.unwrap().len(), 3);
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_until_the_store_is_opened_again() {
    let (dir, trouble) = (tempfile::tempdir().unwrap(), Trouble::default());
    let store = open(dir.path(), &trouble);
    store.append(append(1, 0, Durability::Barrier)).await.unwrap().durable().await.unwrap();
    trouble.no_sync.store(true, Ordering::SeqCst);
    let failed = store.append(append(1, 1, Durability::Barrier)).await.unwrap().durable().await;
    assert!(matches!(failed, Err(StoreError::Poisoned(_))), "{failed:?}");
    trouble.no_sync.store(false, Ordering::SeqCst);
    let refused = store.append(append(2, 0, Durability::Barrier)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Poisoned(_)), "{refused}");
    assert!(matches!(store.beyond(Position(1)).await, Err(StoreError::Poisoned(_))));
    // Who reads is told the same when the applier has ended.
    let why = loop {
        match store.read_all(Position(1), 10).await {
            Ok(_) => thread::yield_now(),
            Err(why) => break why,
        }
    };
    assert!(matches!(&why, StoreError::Poisoned(what) if what.contains("a sync")), "{why}");
    drop(store);
    let store = open(dir.path(), &trouble);
    assert!(store.durable() >= Position(1));
    store.append(append(2, 0, Durability::Barrier)).await.unwrap().durable().await.unwrap();
}

/// Waits for what has to come; a lost wake-up is a failed test and not one that hangs.
async fn comes<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("it comes")
}

#[tokio::test]
async fn a_flush_of_what_there_is_no_space_for_is_told_so() {
    let (dir, trouble) = (tempfile::tempdir().unwrap(), Trouble::default());
    let store = open(dir.path(), &trouble);
    trouble.full.store(true, Ordering::SeqCst);
    let quiet = store.append(append(1, 0, Durability::Enqueued)).await.unwrap();
    let flushed = comes(store.flush()).await;
    assert!(matches!(flushed, Err(StoreError::Io { .. })), "{flushed:?}");
    assert!(matches!(quiet.durable().await, Err(StoreError::Io { .. })));

    trouble.full.store(false, Ordering::SeqCst);
    store.append(append(1, 0, Durability::Enqueued)).await.unwrap();
    comes(store.flush()).await.unwrap();
    assert_eq!(store.durable(), Position(1));
}

#[tokio::test]
async fn a_backup_goes_no_further_than_its_journal_whatever_is_sealed_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::options().volume_bytes(2000).open(dir.path().join("s")).unwrap();
    store.append(append(1, 0, Durability::Barrier)).await.unwrap().durable().await.unwrap();
    let (_pin, numbers, end) = store.segments.pin();
    let mut version = 1;
    while store.volumes.view().sealed.is_empty() {
        store.append(append(1, version, Durability::Barrier)).await.unwrap().durable().await.unwrap();
        version += 1;
    }
    let to = dir.path().join("backup");
    fs::create_dir(&to).unwrap();
    backup::copy_up_to(&end, &numbers, &store.path, &to, &store.identity, &store.volumes).unwrap();
    SledStore::restore(&to, dir.path().join("restored")).unwrap();
    let restored = SledStore::open(dir.path().join("restored")).unwrap();
    assert_eq!(restored.read_all(Position(1), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn closing_waits_for_backup_and_pruning_and_none_begins_afterwards() {
    let (dir, trouble) = (tempfile::tempdir().unwrap(), Trouble::default());
    let store = Arc::new(open(dir.path(), &trouble));
    let closed = thread::spawn({
        let store = Arc::clone(&store);
        move || {
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(store.beyond(Position(0)))
        }
    });
    let under_way = Arc::clone(&store.maintenance);
    let under_way = under_way.0.lock();
    let closing = thread::spawn({
        let store = Arc::clone(&store);
        move || store.close()
    });
    // Nothing is appended any more, and the folder is nobody else's yet.
    assert!(matches!(closed.join().unwrap(), Err(StoreError::Closed)));
    assert!(matches!(SledStore::open(dir.path().join("s")), Err(StoreError::Locked { .. })));
    drop(under_way);
    closing.join().unwrap().unwrap();

    let next = open(dir.path(), &trouble);
    assert!(matches!(store.prune(Timestamp::from_unix_us(9)).await, Err(StoreError::Closed)));
    assert!(matches!(store.backup(dir.path().join("backup")).await, Err(StoreError::Closed)));
    assert!(matches!(store.verify(), Err(StoreError::Closed)));
    next.close().unwrap();
}

#[tokio::test]
async fn closing_does_not_wait_for_ever_for_volumes_that_do_not_get_on() {
    let (dir, trouble) = (tempfile::tempdir().unwrap(), Trouble::default());
    let options = Options { closing: Duration::from_millis(1), ..Options::default() };
    let store = SledStore::start(&dir.path().join("s"), &options, Arc::new(trouble.clone())).unwrap();
    store.append(append(1, 0, Durability::Barrier)).await.unwrap().durable().await.unwrap();
    store.read_all(Position(1), 1).await.unwrap();
    store.append(append(1, 1, Durability::Barrier)).await.unwrap().durable().await.unwrap();
    {
        // The applier cannot go on.
        let _stuck = store.volumes.active.write();
        store.close().unwrap();
        assert!(!dir.path().join("s/closed").exists(), "there is no note of a close in order");
        let other = SledStore::open(dir.path().join("s"));
        assert!(matches!(other, Err(StoreError::Locked { .. })), "the applier may still write: {other:?}");
    }
    // Now the applier ends, and with it the lock goes.
    let store = loop {
        match SledStore::open(dir.path().join("s")) {
            Err(StoreError::Locked { .. }) => thread::yield_now(),
            opened => break opened.unwrap(),
        }
    };
    assert_eq!(store.read_all(Position(1), 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn who_reads_while_the_volumes_do_not_get_on_is_told_why() {
    let (dir, trouble) = (tempfile::tempdir().unwrap(), Trouble::default());
    let store = open(dir.path(), &trouble);
    store.append(append(1, 0, Durability::Barrier)).await.unwrap().durable().await.unwrap();
    store.read_all(Position(1), 1).await.unwrap();
    // The active volume cannot be opened again once it was let go of.
    let active = dir.path().join("s/volumes/00000001");
    *store.volumes.active.write() = None;
    fs::remove_dir_all(&active).unwrap();
    fs::write(&active, "in the way").unwrap();
    store.append(append(1, 1, Durability::Barrier)).await.unwrap().durable().await.unwrap();
    let told = comes(store.read_all(Position(1), 10)).await.unwrap_err();
    assert!(matches!(told, StoreError::Io { .. }) && told.may_pass(), "{told}");

    fs::remove_file(&active).unwrap();
    let events = comes(async {
        loop {
            match store.read_all(Position(1), 10).await {
                Ok(events) => break events,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    assert_eq!(events.await.len(), 2, "it goes on when it can");
}

#[tokio::test]
async fn a_panic_while_reading_is_not_told_as_a_closed_store() {
    let panicked = off_worker(|| -> Result<(), _> { panic!("a defect") }).await.unwrap_err();
    assert!(matches!(panicked, StoreError::Io { .. }), "{panicked}");
}

#[tokio::test]
async fn what_leaves_the_store_poisoned_while_all_stands_still_stops_it() {
    let (dir, trouble) = (tempfile::tempdir().unwrap(), Trouble::default());
    let store = open(dir.path(), &trouble);
    let quiet = store.append(append(1, 0, Durability::Enqueued)).await.unwrap();
    let why = StoreError::Poisoned("the manifest may not be written".into());
    let stopped = store.order.standing_still(|_| Err::<(), _>(why)).unwrap_err();
    assert!(matches!(comes(quiet.durable()).await, Err(StoreError::Poisoned(_))));
    let refused = store.append(append(2, 0, Durability::Barrier)).await.unwrap_err();
    assert_eq!(refused.to_string(), stopped.to_string());
    let told = comes(store.beyond(Position(1))).await.unwrap_err();
    assert_eq!(told.to_string(), stopped.to_string());
}

/// Where a volume is sealed between a look-up on the disk and the answer from memory.
#[derive(Debug, Default)]
struct SealedMeanwhile(std::sync::atomic::AtomicU64);

impl Known for SealedMeanwhile {
    fn version(&self, _: RunId) -> Lookup<EventSeq> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Lookup::OnDisk
    }

    fn key(&self, _: &enact_merkle::Hash, _: Timestamp) -> Lookup<RunId> {
        Lookup::Nowhere
    }

    fn generation(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn what_the_disk_said_before_a_sealing_is_not_believed_after_it() {
    let (order, known) = (Order::new(Position(1), Timestamp::default()), SealedMeanwhile::default());
    let candidate = Candidate::new(&append(1, 3, Durability::Barrier), &[0; 32], None).unwrap();
    let on_disk = OnDisk { generation: known.generation(), version: EventSeq(3), key: None };
    let placed = order.place(candidate, &known, Some(on_disk)).unwrap();
    assert!(matches!(placed, Placed::AskDisk(_)), "{placed:?}");
}

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "that nobody waits for the reader is what is tested")]
async fn who_reads_for_long_keeps_nobody_from_appending_while_a_volume_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::options().volume_bytes(2000).open(dir.path().join("s")).unwrap();
    let reader = store.volumes.active.read();
    let mut version = 0;
    // The applier waits for the reader before it seals, and more is appended than one volume takes.
    while version < 100 {
        let appended = store.append(append(1, version, Durability::Barrier)).await.unwrap();
        comes(appended.durable()).await.unwrap();
        version += 1;
        let quiet = append(u8::try_from(version + 1).unwrap(), 0, Durability::Enqueued);
        store.append(quiet).await.unwrap();
    }
    assert!(store.volumes.view().sealed.is_empty(), "the reader was waited for");
    drop(reader);
    comes(store.flush()).await.unwrap();
    assert_eq!(comes(store.read_all(Position(1), 1000)).await.unwrap().len(), 200);
    let sealed = async {
        while store.volumes.view().sealed.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    comes(sealed).await;
}

#[tokio::test]
async fn a_run_of_which_a_volume_is_missing_is_damaged_and_not_shorter() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::options().volume_bytes(2000).open(dir.path().join("s")).unwrap();
    let mut version = 0;
    while store.volumes.view().sealed.len() < 3 {
        store.append(append(1, version, Durability::Barrier)).await.unwrap().durable().await.unwrap();
        version += 1;
    }
    let run = append(1, 0, Durability::Barrier).run;
    assert_eq!(store.read(run, EventSeq(1), MAX_PAGE).await.unwrap().len() as u64, version);
    let mut sealed = store.volumes.view().sealed.clone();
    let missing = sealed.remove(1);
    store.volumes.show(sealed, std::collections::BTreeSet::new());
    let damaged = store.read(run, EventSeq(1), MAX_PAGE).await;
    assert!(matches!(damaged, Err(StoreError::Corrupt { .. })), "{damaged:?}");
    assert!(missing.entry.count() > 0);
}
