//! Records of released formats read for ever, and what is no record is an error.
//!
//! `tests/fixtures/format-1/` holds a record of every version of every kind, named by both, and whole runs with the
//! documents that they fold to. A record there is never changed; a document is, when the contract adds to it. For a
//! new kind or version, extend [`golden`], and let `ENACT_BLESS=1 cargo test -p enact-store golden` write the files
//! that are missing.

mod golden;

use std::fs;
use std::path::{Path, PathBuf};

use enact_core::document::RunDocument;
use enact_core::run::RunState;
use proptest::prelude::*;

use self::golden::Run;
use super::payload::READERS;
use super::*;
use crate::secrets::{KeyRing, MasterKey, WRAPPED, WRAPPED_KEY};

/// What stands in a fixture; where it is missing and that is asked for, `today` is written first.
fn fixture(name: &str, today: &[u8]) -> Vec<u8> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", "format-1"].iter().collect();
    let path = folder.join(name);
    if !path.exists() && std::env::var_os("ENACT_BLESS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(&path, today).unwrap();
    }
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; see the top of this file", path.display()))
}

fn record_of(event: &StoredEvent) -> Vec<u8> {
    let new = NewEvent { at: event.at, by: event.by, event: event.event.clone() };
    let mut bytes = Vec::new();
    Prepared::new(&new, event.run_id, event.event_seq, None).unwrap().write(
        event.run_id,
        event.event_seq,
        event.position,
        &mut bytes,
    );
    bytes
}

fn read_all(mut bytes: &[u8]) -> Vec<StoredEvent> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let (record, rest) = Record::split(bytes).unwrap();
        assert!(record.leaf_is_right());
        events.push(record.event(None).unwrap());
        bytes = rest;
    }
    events
}

/// The first golden event that has what a version of a kind can say.
fn sample_of(kind: u16, version: u16) -> StoredEvent {
    let mut events = golden::runs().into_iter().flat_map(|run| run.events);
    let is_it =
        |event: &StoredEvent| event.event.code() == kind && golden::is_of_version(version, &event.event);
    events.find(is_it).unwrap_or_else(|| panic!("no golden {kind} v{version}"))
}

fn newest(kind: u16) -> u16 {
    READERS.iter().filter(|(k, ..)| *k == kind).map(|(_, v, _)| *v).max().unwrap()
}

/// The first golden event of the newest version of a kind.
fn sample(kind: u16) -> StoredEvent {
    sample_of(kind, newest(kind))
}

/// What is read from `golden` is written to the letter today, but for versions that are not written any more.
fn assert_written_as_ever(mut golden: &[u8], mut today: &[u8], what: &str) {
    while let (false, Ok((was, more))) = (golden.is_empty(), Record::split(golden)) {
        let (is, rest) = Record::split(today).unwrap();
        let same = was.header == is.header && was.payload == is.payload;
        assert!(same || was.version < newest(was.kind), "{what} is written in another form today");
        (golden, today) = (more, rest);
    }
    assert!(golden.is_empty() && today.is_empty(), "{what} has other records today");
}

/// A record of every kind.
fn samples() -> Vec<StoredEvent> {
    READERS.iter().map(|(kind, ..)| sample(*kind)).collect()
}

/// Makes the checksum that of the bytes, as one who forges a record would.
fn with_right_checksum(mut record: Vec<u8>) -> Vec<u8> {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&record[..CRC_AT]);
    crc.update(&record[HEADER_BYTES..]);
    record[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.finalize().to_le_bytes());
    record
}

#[test]
fn golden_records_of_every_version_read_as_the_events_of_today() {
    for (kind, version, _) in READERS {
        let event = sample_of(*kind, *version);
        let today = record_of(&event);
        let golden = fixture(&format!("{kind:02}-v{version}-{}.record", event.event.name()), &today);
        assert_eq!(read_all(&golden), std::slice::from_ref(&event));
        assert_written_as_ever(&golden, &today, event.event.name());
    }
}

#[test]
fn golden_runs_read_and_are_written_as_ever_and_fold_to_their_documents() {
    for Run { name, events } in golden::runs() {
        let today: Vec<u8> = events.iter().flat_map(record_of).collect();
        let golden = fixture(&format!("{name}.records"), &today);
        let read = read_all(&golden);
        assert_eq!(read, events);
        assert_written_as_ever(&golden, &today, name);

        let state = RunState::fold(&read).unwrap().unwrap();
        let document = serde_json::to_value(RunDocument::detailed(&state)).unwrap();
        let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
        let golden = fixture(&format!("{name}.json"), text.as_bytes());
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&golden).unwrap(), document);
    }
}

#[test]
fn any_flipped_bit_of_a_record_is_damage() {
    for record in samples().iter().map(record_of) {
        for bit in 0..record.len() * 8 {
            let mut flipped = record.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let read = Record::split(&flipped);
            assert!(
                matches!(read, Err(CodecError::Damaged(_))),
                "bit {bit} of {}: {read:?}",
                record.len() * 8
            );
        }
    }
}

#[test]
fn a_record_that_is_cut_anywhere_is_an_error() {
    for record in samples().iter().map(record_of) {
        for length in 0..record.len() {
            assert!(matches!(Record::split(&record[..length]), Err(CodecError::Damaged(_))));
        }
    }
}

#[test]
fn a_forged_header_or_payload_does_not_have_its_leaf_hash() {
    for record in samples().iter().map(record_of) {
        // The length is left alone: with another one it is another record.
        let hashed = (12..HASHED_BYTES - 4).chain(HEADER_BYTES..record.len());
        for at in hashed {
            let mut forged = record.clone();
            forged[at] ^= 1;
            let forged = with_right_checksum(forged);
            let (read, _) = Record::split(&forged).unwrap();
            assert!(!read.leaf_is_right(), "byte {at}");
        }
    }
}

#[test]
fn unknown_kinds_and_later_versions_are_of_a_newer_build_and_say_so() {
    let record = record_of(&sample(31));
    let newer = |at: usize, value: u16| {
        let mut bytes = record.clone();
        bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        let bytes = with_right_checksum(bytes);
        let read = Record::split(&bytes).and_then(|(record, _)| record.event(None));
        let error = read.unwrap_err().at(Path::new("journal/1"), "here");
        match error {
            StoreError::NewerFormat { path, found, known } => {
                assert_eq!(path, Path::new("journal/1"));
                assert!(found > known, "{found} {known}");
            }
            other => panic!("not a newer format: {other}"),
        }
    };
    newer(4, RECORD_FORMAT + 1);
    newer(6, 9999);
    newer(8, 2);
    newer(10, 1);
}

#[test]
fn a_record_says_its_size_before_it_is_there_as_a_whole() {
    let record = record_of(&sample(13));
    assert_eq!(record_size(&record[..HASHED_BYTES]), Some(record.len()));
    assert_eq!(record_size(&record[..HASHED_BYTES - 1]), None);
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(Record::split(&bytes).and_then(|(record, _)| record.event(None)));
        prop_assert!(record_size(&bytes).is_none_or(|size| size >= HEADER_BYTES));
    }

    /// Behind a right checksum, too: lengths in a payload may claim anything.
    #[test]
    fn no_payload_makes_reading_panic_or_take_memory_that_it_does_not_fill(
        kind in proptest::sample::select(READERS.iter().map(|(kind, ..)| *kind).collect::<Vec<_>>()),
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        keep in 0_usize..400,
        fill in any::<bool>(),
    ) {
        let mut bytes = record_of(&sample(kind));
        bytes.truncate((HEADER_BYTES + keep).min(bytes.len()));
        bytes.extend(noise);
        if fill {
            bytes.extend([0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
        }
        let payload = u32::try_from(bytes.len() - HEADER_BYTES).unwrap();
        bytes[HASHED_BYTES - 4..HASHED_BYTES].copy_from_slice(&payload.to_le_bytes());
        let bytes = with_right_checksum(bytes);
        let (record, rest) = Record::split(&bytes).unwrap();
        prop_assert!(rest.is_empty());
        drop(record.event(None));
    }

    #[test]
    fn what_is_written_reads_back(text in ".*", us in any::<u64>(), by in any::<[u8; 16]>(), run in any::<[u8; 16]>()) {
        let event = StoredEvent {
            position: Position(us),
            run_id: RunId::from_bytes(run),
            event_seq: EventSeq(us),
            at: Timestamp::from_unix_us(us),
            by: Pseudonym(by),
            event: golden::value(&text),
        };
        prop_assert_eq!(read_all(&record_of(&event)), [event]);
    }
}

/// A store's key, a run's key and a record under it, as they were first written. Whoever changes how one of the three is
/// made makes old content unreadable.
#[test]
fn a_golden_encrypted_record_reads_under_its_master_key() {
    let (master, store) = (MasterKey::parse(&"07".repeat(32)).unwrap(), [9; 16]);
    let event = sample(22);
    let today = || {
        let ring = KeyRing::new(store);
        let key = ring.new_run(event.run_id).unwrap();
        let new = NewEvent { at: event.at, by: event.by, event: event.event.clone() };
        let mut bytes = ring.wrap(&master).unwrap().concat();
        bytes.extend_from_slice(&key.wrapped);
        let record = Prepared::new(&new, event.run_id, event.event_seq, Some(&key)).unwrap();
        record.write(event.run_id, event.event_seq, event.position, &mut bytes);
        bytes
    };
    for bytes in [today(), fixture("encrypted.keys-and-record", &today())] {
        let (store_key, rest) = bytes.split_first_chunk::<WRAPPED_KEY>().unwrap();
        let (run_key, record) = rest.split_first_chunk::<WRAPPED>().unwrap();
        let ring = KeyRing::open(&master, store, &[*store_key]).unwrap();
        let key = ring.run(event.run_id, run_key).unwrap();
        let (record, _) = Record::split(record).unwrap();
        assert!(record.is_encrypted() && record.leaf_is_right());
        assert_eq!(record.event(Some(&key)).unwrap(), event);
        assert!(record.event(None).is_err());
        assert!(record.event(Some(&ring.new_run(event.run_id).unwrap())).is_err(), "another key");
        assert_eq!(record.erased().event.name(), "PayloadErased");
    }
}
