//! The disk that a million runs take: where all stay, and where the older ones are pruned as they go.
//!
//! The events are those of a real run of three actions, recorded under other ids; the store is encrypted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use enact::event::NewEvent;
use enact::ids::{EventSeq, RunId};
use enact::prelude::*;
use enact::store::{Append, Durability, EventStore, Fence, RunMark};
use enact::time::Timestamp;
use enact_benches::{Map, Result, ThreePuts, scratch, size_of};
use enact_store::MasterKey;

const RUNS: u64 = 1_000_000;
/// How often is pruned, and how many runs stay.
const STEP: u64 = 100_000;
/// The sum of the records in a volume that is sealed, in bytes.
const VOLUME: u64 = 64 * 1024 * 1024;
const MIB: u64 = 1024 * 1024;

#[tokio::main]
async fn main() -> Result {
    let dir = scratch()?;
    let events = recorded(&dir.path().join("recorded")).await?;
    println!("{RUNS} runs of {} events, encrypted", events.len());
    println!("{:<40} {:>10} {:>10} {:>14}", "", "peak MiB", "end MiB", "bytes an event");
    for is_pruned in [false, true] {
        let path = dir.path().join("store");
        let used = fill(&path, &events, is_pruned).await?;
        let what = if is_pruned { "pruned to the last 100,000, each 100,000" } else { "all stay" };
        let each = used.end / (RUNS * events.len() as u64);
        println!("{what:<40} {:>10} {:>10} {each:>14}", used.peak / MIB, used.end / MIB);
        if !is_pruned {
            let (records, folder) = (VOLUME / MIB, sealed(&path)?);
            println!("a sealed volume with {records} MiB of records takes {} MiB", folder / MIB);
        }
        fs::remove_dir_all(&path)?;
    }
    Ok(())
}

/// The events of a run as the runtime records them.
async fn recorded(path: &Path) -> Result<Vec<NewEvent>> {
    let store = Arc::new(SledStore::open(path)?);
    let (toolbox, _) = Map::toolbox()?;
    let enact = Enact::builder()
        .store(Arc::clone(&store) as _)
        .connector("map", toolbox)
        .workflow(ThreePuts)
        .start()
        .await?;
    let run = enact.run(ThreePuts, "bench@example.com", "key".to_owned()).await?;
    enact.shutdown(std::time::Duration::ZERO).await;
    let events = store.read(run.id, EventSeq(1), 1000).await?;
    store.close()?;
    Ok(events.into_iter().map(|event| NewEvent { at: event.at, by: event.by, event: event.event }).collect())
}

/// What a folder took, in bytes.
struct Used {
    peak: u64,
    end: u64,
}

async fn fill(path: &Path, events: &[NewEvent], is_pruned: bool) -> Result<Used> {
    let store = SledStore::options().master_key(MasterKey::random()).open(path)?;
    let mut peak = 0;
    for number in 1..=RUNS {
        // A second each.
        let at = Timestamp::from_unix_us(number * 1_000_000);
        let append = Append {
            run: RunId::from_parts(number * 1000, [7; 10]),
            expected: EventSeq(0),
            fence: Fence::NONE,
            events: events.iter().map(|event| NewEvent { at, ..event.clone() }).collect(),
            mark: RunMark::Closed,
            key: None,
            durability: Durability::Enqueued,
        };
        store.append(append).await?;
        if number % STEP == 0 {
            store.flush().await?;
            peak = peak.max(size_of(path)?);
            if is_pruned {
                let before = Timestamp::from_unix_us(number.saturating_sub(STEP) * 1_000_000);
                store.prune(before).await?;
            }
        }
    }
    store.close()?;
    Ok(Used { peak, end: size_of(path)? })
}

/// What the oldest sealed volume takes, with its tables.
fn sealed(path: &Path) -> Result<u64> {
    let volumes = path.join("volumes");
    let mut size = 0;
    for entry in fs::read_dir(&volumes)? {
        let path: PathBuf = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("00000001")) {
            size += size_of(&path)?;
        }
    }
    Ok(size)
}
