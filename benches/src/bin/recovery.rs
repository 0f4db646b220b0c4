//! How long it takes to open a store of a million events, and to carry on a thousand runs that a crash left.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use enact::prelude::*;
use enact::store::EventStore;
use enact_benches::{Map, Result, ThreePuts, peak_memory_mib, scratch, size_of};
use futures::{StreamExt, TryStreamExt};

const EVENTS: u64 = 1_000_000;
const OPEN_RUNS: usize = 1000;

#[tokio::main]
async fn main() -> Result {
    let dir = scratch()?;
    let (closed, crashed) = (dir.path().join("closed"), dir.path().join("crashed"));
    println!("filling a store with {EVENTS} events");
    let start = Instant::now();
    let store = Arc::new(SledStore::open(&closed)?);
    let (toolbox, hangs) = Map::toolbox()?;
    let enact = builder(&store).connector("map", toolbox).start().await?;
    while store.durable().0 < EVENTS {
        let runs = futures::stream::iter(0..20_000);
        let runs = runs.map(|number| enact.run(ThreePuts, "bench@example.com", number.to_string()));
        runs.buffer_unordered(256).try_for_each(|_| async { Ok(()) }).await?;
    }
    println!("  {:.1} s", start.elapsed().as_secs_f64());
    hangs.store(true, Ordering::SeqCst);
    let before = store.durable().0;
    for number in 0..OPEN_RUNS {
        enact
            .submit(RunRequest::new(
                &*enact::runtime::erase(ThreePuts),
                "bench@example.com",
                enact::json::JsonText::encode(&format!("open/{number}"))?,
            ))
            .await?;
    }
    // Each has its acceptance, its verdicts and one intent.
    while store.durable().0 < before + 3 * OPEN_RUNS as u64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What kill -9 leaves: the files as they are, and no note that the store was closed.
    copy(&closed, &crashed)?;
    enact.shutdown(Duration::ZERO).await;
    store.close()?;
    drop((enact, store));
    let size = size_of(&closed)?;
    println!("  {} events, {} open runs, {} MiB on the disk", before, OPEN_RUNS, size / 1024 / 1024);

    println!(
        "{:<28} {:>12} {:>16} {:>18} {:>10}",
        "", "open", "runtime started", "all runs ended", "peak MiB"
    );
    measure("closed in order", &closed).await?;
    measure("after kill -9", &crashed).await
}

fn builder(store: &Arc<SledStore>) -> enact::Builder {
    Enact::builder().store(Arc::clone(store) as _).workflow(ThreePuts)
}

async fn measure(what: &str, path: &Path) -> Result {
    let start = Instant::now();
    let store = Arc::new(SledStore::open(path)?);
    let opened = start.elapsed();
    let open = store.open_runs().await?.len();
    if open != OPEN_RUNS {
        return Err(format!("{open} runs are open, not {OPEN_RUNS}").into());
    }
    let (toolbox, _) = Map::toolbox()?;
    let enact = builder(&store).connector("map", toolbox).start().await?;
    let started = start.elapsed();
    while !store.open_runs().await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let ended = start.elapsed();
    println!("{what:<28} {opened:>12.1?} {started:>16.1?} {ended:>18.1?} {:>10}", peak_memory_mib());
    enact.shutdown(Duration::from_secs(10)).await;
    store.close()?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
