//! Runs of three actions a second, at 1, 64 and 256 concurrent runs, with the time that each takes.
//!
//! The connector is a map in memory; the store is encrypted; each run is durable when it is said to have ended. Actions
//! pass the allowlist and five built-in policies.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use enact::policies::{Connectors, from_entries};
use enact::prelude::*;
use enact_benches::{Map, Result, ThreePuts, percentile, resident_memory_mib, scratch, scratch_in};
use enact_store::MasterKey;
use serde_json::{Value, json};

/// What is asked for.
struct Asked {
    concurrency: Vec<usize>,
    seconds: u64,
    json: bool,
    dir: Option<PathBuf>,
}

impl Asked {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut asked = Self { concurrency: vec![1, 64, 256], seconds: 6, json: false, dir: None };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--concurrency" => asked.concurrency = vec![value()?.parse::<usize>()?.max(1)],
                "--seconds" => asked.seconds = value()?.parse::<u64>()?.max(1),
                "--json" => asked.json = true,
                "--dir" => asked.dir = Some(value()?.into()),
                _ => {
                    return Err(format!(
                        "{word} is unknown; there is: --concurrency N --seconds S --json --dir DIR"
                    )
                    .into());
                }
            }
        }
        Ok(asked)
    }
}

/// What was measured at one concurrency.
struct Measured {
    concurrency: usize,
    runs_per_s: f64,
    p50: Duration,
    p99: Duration,
    syncs_per_run: f64,
    rss_mib: u64,
}

#[tokio::main]
async fn main() -> Result {
    let asked = Asked::read(std::env::args().skip(1))?;
    if !asked.json {
        println!("runs of three actions under five policies, {} s each, durable at their end", asked.seconds);
        println!(
            "{:>10} {:>12} {:>10} {:>10} {:>12} {:>10}",
            "concurrent", "runs/s", "p50", "p99", "syncs a run", "MiB"
        );
    }
    for concurrency in asked.concurrency {
        let measured = measure(concurrency, asked.seconds, asked.dir.as_deref()).await?;
        if asked.json {
            println!("{}", measured.document());
        } else {
            measured.tell();
        }
    }
    Ok(())
}

impl Measured {
    fn document(&self) -> Value {
        json!({
            "work": "runs3", "concurrency": self.concurrency, "runs_per_s": self.runs_per_s.round(),
            "p50_us": u64::try_from(self.p50.as_micros()).unwrap_or(u64::MAX),
            "p99_us": u64::try_from(self.p99.as_micros()).unwrap_or(u64::MAX),
            "syncs_per_run": (self.syncs_per_run * 1000.0).round() / 1000.0, "rss_mib": self.rss_mib,
        })
    }

    fn tell(&self) {
        let Self { concurrency, runs_per_s, p50, p99, syncs_per_run, rss_mib } = self;
        println!(
            "{concurrency:>10} {runs_per_s:>12.0} {p50:>10.2?} {p99:>10.2?} {syncs_per_run:>12.2} {rss_mib:>10}"
        );
    }
}

/// Five policies that have to look at what is done, and say nothing against it.
fn policies() -> Vec<Value> {
    vec![
        json!({ "name": "max_actions_per_run", "max": 100 }),
        json!({ "name": "no_secrets_in_content" }),
        json!({ "name": "code_freeze_active", "from": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z" }),
        json!({ "name": "require_user_role", "roles": ["agent"] }),
        json!({ "name": "require_approval", "effect": "irreversible" }),
    ]
}

async fn measure(concurrency: usize, seconds: u64, dir: Option<&std::path::Path>) -> Result<Measured> {
    let dir = dir.map_or_else(scratch, scratch_in)?;
    let store = SledStore::options().master_key(MasterKey::random()).open(dir.path().join("store"))?;
    let store = Arc::new(store);
    let (toolbox, _) = Map::toolbox()?;
    let connectors = Connectors::default().with("map", "map", &["put"]);
    let enact = Enact::builder()
        .store(Arc::clone(&store) as _)
        .connector("map", toolbox)
        .policies(from_entries(policies(), &connectors)?)
        .workflow(ThreePuts)
        .start()
        .await?;
    let (start, syncs) = (Instant::now(), store.syncs());
    let until = start + Duration::from_secs(seconds);
    let lane = |lane| {
        let enact = enact.clone();
        tokio::spawn(async move { carry(&enact, lane, until).await })
    };
    let lanes: Vec<_> = (0..concurrency).map(lane).collect();
    let mut times = Vec::new();
    for lane in lanes {
        times.extend(lane.await?.map_err(|error| error.to_string())?);
    }
    let (elapsed, syncs) = (start.elapsed().as_secs_f64(), store.syncs() - syncs);
    let rss_mib = resident_memory_mib();
    enact.shutdown(Duration::from_secs(10)).await;
    store.close()?;
    times.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (runs, syncs) = (times.len() as f64, syncs as f64);
    Ok(Measured {
        concurrency,
        runs_per_s: runs / elapsed,
        p50: percentile(&times, 0.5),
        p99: percentile(&times, 0.99),
        syncs_per_run: syncs / runs,
        rss_mib,
    })
}

async fn carry(enact: &Enact, lane: usize, until: Instant) -> std::result::Result<Vec<Duration>, Error> {
    let mut times = Vec::new();
    let role = [("roles".to_owned(), json!(["agent"]))];
    while Instant::now() < until {
        let start = Instant::now();
        let request = RunRequest::of(ThreePuts, "bench@example.com", &format!("{lane}/{}", times.len()))?;
        let run = enact.run_to_end(request.attributes(role.clone().into_iter().collect())).await?;
        if run.status() != RunStatus::Completed {
            return Err(Error::new(ErrorCode::Internal, format!("run {} is {}", run.id, run.status())));
        }
        times.push(start.elapsed());
    }
    Ok(times)
}
