//! Runs of three actions a second, at 1, 64 and 256 concurrent runs, with the time that each takes.
//!
//! The connector is a map in memory; each run is durable when it is said to have ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use enact::prelude::*;
use enact_benches::{Map, Result, ThreePuts, peak_memory_mib, percentile, scratch};

const SECONDS: u64 = 6;

#[tokio::main]
async fn main() -> Result {
    println!("runs of three actions, {SECONDS} s each, durable at their end");
    println!("{:>10} {:>12} {:>10} {:>10} {:>10}", "concurrent", "runs/s", "p50", "p99", "peak MiB");
    for concurrent in [1, 64, 256] {
        let dir = scratch()?;
        let store = Arc::new(SledStore::open(dir.path().join("store"))?);
        let (toolbox, _) = Map::toolbox()?;
        let enact = Enact::builder()
            .store(Arc::clone(&store) as _)
            .connector("map", toolbox)
            .workflow(ThreePuts)
            .start()
            .await?;
        let start = Instant::now();
        let until = start + Duration::from_secs(SECONDS);
        let lanes: Vec<_> = (0..concurrent)
            .map(|lane| {
                let enact = enact.clone();
                tokio::spawn(async move { carry(&enact, lane, until).await })
            })
            .collect();
        let mut times = Vec::new();
        for lane in lanes {
            times.extend(lane.await?.map_err(|error| error.to_string())?);
        }
        let elapsed = start.elapsed().as_secs_f64();
        times.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let rate = times.len() as f64 / elapsed;
        let (p50, p99) = (percentile(&times, 0.5), percentile(&times, 0.99));
        println!("{concurrent:>10} {rate:>12.0} {p50:>10.2?} {p99:>10.2?} {:>10}", peak_memory_mib());
        enact.shutdown(Duration::from_secs(10)).await;
        store.close()?;
    }
    Ok(())
}

async fn carry(enact: &Enact, lane: usize, until: Instant) -> std::result::Result<Vec<Duration>, Error> {
    let mut times = Vec::new();
    while Instant::now() < until {
        let start = Instant::now();
        let run = enact.run(ThreePuts, "bench@example.com", format!("{lane}/{}", times.len())).await?;
        if run.status() != RunStatus::Completed {
            return Err(Error::new(ErrorCode::Internal, format!("run {} is {}", run.id, run.status())));
        }
        times.push(start.elapsed());
    }
    Ok(times)
}
