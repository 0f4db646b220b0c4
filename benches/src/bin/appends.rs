//! Durable appends a second, against a raw file that is synced as often, in the same run.
//!
//! Rounds of the raw file and of the store take turns, so that a disk that gets slower does so for both.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use enact::event::{Event, NewEvent, ValueRecorded};
use enact::ids::{CallPath, EventSeq, Pseudonym, RunId};
use enact::json::JsonText;
use enact::store::{Append, Durability, EventStore, Fence, RunMark};
use enact::time::Timestamp;
use enact_benches::{Result, median, scratch};
use enact_store::SledStore;

const ROUNDS: usize = 7;
const EVENT_BYTES: usize = 300;

#[tokio::main]
async fn main() -> Result {
    println!("durable appends of events of {EVENT_BYTES} bytes; medians of {ROUNDS} rounds that take turns");
    println!("{:<34} {:>14} {:>14} {:>8}", "", "raw file /s", "store /s", "ratio");
    for (what, writers, events, groups) in [
        ("1 event a sync", 1, 1, 2000),
        ("64 events a sync, one writer", 1, 64, 1000),
        ("64 writers of 1 event", 64, 1, 300),
        ("256 writers of 3 events", 256, 3, 60),
    ] {
        let dir = scratch()?;
        let store = SledStore::open(dir.path().join("store"))?;
        let (mut raw, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let file = raw_file(dir.path(), writers * events, groups)?;
            let store = appends(&store, round, writers, events, groups).await?;
            raw.push(file);
            ours.push(store);
            ratios.push(store / file);
        }
        println!("{what:<34} {:>14.0} {:>14.0} {:>8.2}", median(raw), median(ours), median(ratios));
        store.close()?;
    }
    Ok(())
}

/// Events a second into a preallocated file: one write and one fdatasync for each group.
fn raw_file(dir: &std::path::Path, events: usize, groups: usize) -> Result<f64> {
    let file = File::create(dir.join("raw"))?;
    let group = vec![7; events * EVENT_BYTES];
    for number in 0..groups {
        file.write_all_at(&vec![0; group.len()], (number * group.len()) as u64)?;
    }
    file.sync_all()?;
    let start = Instant::now();
    for number in 0..groups {
        file.write_all_at(&group, (number * group.len()) as u64)?;
        file.sync_data()?;
    }
    Ok(rate(events * groups, start))
}

/// Events a second into the store, by so many writers that each wait for each append to be durable.
async fn appends(
    store: &SledStore,
    round: usize,
    writers: usize,
    events: usize,
    groups: usize,
) -> Result<f64> {
    let start = Instant::now();
    let writing = (0..writers).map(|writer| write(store, round, writer, events, groups));
    futures::future::try_join_all(writing).await?;
    Ok(rate(writers * events * groups, start))
}

async fn write(store: &SledStore, round: usize, writer: usize, events: usize, groups: usize) -> Result {
    let number = u32::try_from(round * 1000 + writer)?.to_be_bytes();
    let mut random = [0; 10];
    random.iter_mut().zip(number).for_each(|(to, from)| *to = from);
    let run = RunId::from_parts(1_000_000, random);
    let text = JsonText::encode(&"x".repeat(EVENT_BYTES - 130))?;
    let body = ValueRecorded { path: CallPath::root(1), what: "bench".into(), value: text };
    let event = NewEvent {
        at: Timestamp::from_unix_us(1),
        by: Pseudonym::default(),
        event: Event::ValueRecorded(body),
    };
    let mut version = 0;
    for _ in 0..groups {
        let append = Append {
            run,
            expected: EventSeq(version),
            fence: Fence::NONE,
            events: vec![event.clone(); events],
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

fn rate(events: usize, start: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let events = events as f64;
    events / start.elapsed().as_secs_f64()
}
