//! Durable appends a second, plain and encrypted, against a raw file that is synced as often, in the same run.
//!
//! Rounds of the raw file and of the stores take turns, so that a disk that gets slower does so for all.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use enact::event::{Event, NewEvent, ValueRecorded};
use enact::ids::{CallPath, EventSeq, Pseudonym, RunId};
use enact::json::JsonText;
use enact::store::{Append, Durability, EventStore, Fence, RunMark};
use enact::time::Timestamp;
use enact_benches::{Result, median, rate, scratch};
use enact_store::{MasterKey, SledStore};

const ROUNDS: usize = 7;

/// What is appended.
#[derive(Clone, Copy)]
struct Load {
    writers: usize,
    /// Of each append.
    events: usize,
    /// Of each event.
    bytes: usize,
    /// Appends of each writer.
    groups: usize,
}

#[tokio::main]
async fn main() -> Result {
    println!("durable appends; medians of {ROUNDS} rounds that take turns");
    let (raw, plain, encrypted) = ("raw file /s", "plain /s", "encrypted /s");
    println!(
        "{:<42} {raw:>12} {plain:>12} {encrypted:>13} {:>10} {:>16}",
        "", "plain/raw", "encrypted/plain"
    );
    for (what, writers, events, bytes, groups) in [
        ("1 event of 300 bytes a sync", 1, 1, 300, 2000),
        ("64 events of 300 bytes a sync, one writer", 1, 64, 300, 1000),
        ("64 writers of 1 event of 300 bytes", 64, 1, 300, 300),
        ("256 writers of 3 events of 300 bytes", 256, 3, 300, 60),
        ("16 writers of 1 event of 16 KiB", 16, 1, 16 * 1024, 100),
    ] {
        let load = Load { writers, events, bytes, groups };
        let dir = scratch()?;
        let plain = SledStore::open(dir.path().join("plain"))?;
        let encrypted = SledStore::options().master_key(MasterKey::random());
        let encrypted = encrypted.open(dir.path().join("encrypted"))?;
        let mut rates: [Vec<f64>; 5] = Default::default();
        for round in 0..ROUNDS {
            let raw = raw_file(dir.path(), load)?;
            let plain = appends(&plain, round, load).await?;
            let encrypted = appends(&encrypted, round, load).await?;
            let figures = [raw, plain, encrypted, plain / raw, encrypted / plain];
            rates.iter_mut().zip(figures).for_each(|(rates, figure)| rates.push(figure));
        }
        let [raw, plain_rate, encrypted_rate, to_raw, to_plain] = rates.map(median);
        println!(
            "{what:<42} {raw:>12.0} {plain_rate:>12.0} {encrypted_rate:>13.0} {to_raw:>10.2} {to_plain:>16.2}"
        );
        plain.close()?;
        encrypted.close()?;
    }
    Ok(())
}

/// Events a second into a preallocated file: one write and one fdatasync for each group.
fn raw_file(dir: &std::path::Path, load: Load) -> Result<f64> {
    let Load { groups, .. } = load;
    let events = load.writers * load.events;
    let file = File::create(dir.join("raw"))?;
    let group = vec![7; events * load.bytes];
    for number in 0..groups {
        file.write_all_at(&vec![0; group.len()], (number * group.len()) as u64)?;
    }
    file.sync_all()?;
    let start = Instant::now();
    for number in 0..groups {
        file.write_all_at(&group, (number * group.len()) as u64)?;
        file.sync_data()?;
    }
    Ok(rate((events * groups) as u64, start))
}

/// Events a second into the store, by so many writers that each wait for each append to be durable.
async fn appends(store: &SledStore, round: usize, load: Load) -> Result<f64> {
    let start = Instant::now();
    let writing = (0..load.writers).map(|writer| write(store, round, writer, load));
    futures::future::try_join_all(writing).await?;
    Ok(rate((load.writers * load.events * load.groups) as u64, start))
}

async fn write(store: &SledStore, round: usize, writer: usize, load: Load) -> Result {
    let number = u32::try_from(round * 1000 + writer)?.to_be_bytes();
    let mut random = [0; 10];
    random.iter_mut().zip(number).for_each(|(to, from)| *to = from);
    let run = RunId::from_parts(1_000_000, random);
    let text = JsonText::encode(&"x".repeat(load.bytes - 130))?;
    let body = ValueRecorded { path: CallPath::root(1), what: "bench".into(), value: text };
    let event = NewEvent {
        at: Timestamp::from_unix_us(1),
        by: Pseudonym::default(),
        event: Event::ValueRecorded(body),
    };
    let mut version = 0;
    for _ in 0..load.groups {
        let append = Append {
            run,
            expected: EventSeq(version),
            fence: Fence::NONE,
            events: vec![event.clone(); load.events],
            mark: RunMark::Closed,
            key: None,
            durability: Durability::Barrier,
        };
        let appended = store.append(append).await?;
        version = appended.version.0;
        appended.durable().await?;
    }
    Ok(())
}
