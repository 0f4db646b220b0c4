//! Writing, and saying what is durable.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use enact_core::ids::{EventSeq, Position, RunId};
use enact_core::store::{Append, Durability, EventStore, Fence, MAX_PAGE, RunMark};
use enact_store::SledStore;
use parking_lot::Mutex;

use crate::content;

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Writes so many events, in all streams together, or a few more.
pub(crate) async fn write(dir: &Path, count: u64) -> ExitCode {
    match write_all(dir, count).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("store-exerciser: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn write_all(dir: &Path, count: u64) -> Result {
    let store = crate::open(dir)?;
    let open: VecDeque<RunId> = store.open_runs().await?.into();
    let newest = store.runs(None, 1).await?.first().map_or(0, |run| run.unix_ms());
    let acked = store.durable();
    let shared = Arc::new(Shared {
        store,
        open: Mutex::new(open),
        next_run: AtomicU64::new(newest + 1),
        acked: Mutex::new(acked),
        end: Position(acked.0.saturating_add(count)),
    });
    let streams: Vec<_> = (0..content::STREAMS)
        .map(|_| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { shared.stream().await })
        })
        .collect();
    for stream in streams {
        stream.await??;
    }
    shared.store.flush().await?;
    shared.acknowledge(shared.store.durable())?;
    shared.store.close()?;
    Ok(())
}

/// What the streams share.
struct Shared {
    store: SledStore,
    /// Runs that an earlier writer left open.
    open: Mutex<VecDeque<RunId>>,
    next_run: AtomicU64,
    /// Up to where `ack` was printed.
    acked: Mutex<Position>,
    end: Position,
}

impl Shared {
    /// Writes one run after the other.
    async fn stream(&self) -> Result {
        while self.store.durable() < self.end {
            let left = self.open.lock().pop_front();
            let (run, mut seq) = match left {
                Some(run) => (run, self.version(run).await?),
                None => (content::run(self.next_run.fetch_add(1, Ordering::SeqCst)), EventSeq(0)),
            };
            while seq.0 < content::length(run) && self.store.durable() < self.end {
                seq = self.append(run, seq).await?;
            }
        }
        Ok(())
    }

    /// The number of the last event of a run.
    async fn version(&self, run: RunId) -> Result<EventSeq> {
        let mut seq = EventSeq(0);
        while let Some(last) = self.store.read(run, seq.next(), MAX_PAGE).await?.last() {
            seq = last.event_seq;
        }
        Ok(seq)
    }

    /// Appends the group that begins behind `seq`, and gives the number of its last event.
    async fn append(&self, run: RunId, seq: EventSeq) -> Result<EventSeq> {
        let end = EventSeq(seq.0 + content::group(run, seq));
        let is_waited_for = content::is_waited_for(run, seq) || end.0 == content::length(run);
        let mut events = Vec::new();
        for number in seq.0 + 1..=end.0 {
            let number = EventSeq(number);
            let blob = match content::blob(run, number) {
                Some(bytes) => Some(self.store.blobs(run).put(&mut bytes.as_slice())?),
                None => None,
            };
            events.push(content::event(run, number, blob));
        }
        let appended = self
            .store
            .append(Append {
                run,
                expected: seq,
                fence: Fence::NONE,
                events,
                mark: if end.0 == content::length(run) { RunMark::Closed } else { RunMark::Open },
                key: None,
                durability: if is_waited_for { Durability::Barrier } else { Durability::Enqueued },
            })
            .await?;
        if is_waited_for {
            let position = appended.position;
            appended.durable().await?;
            self.acknowledge(position)?;
        }
        Ok(end)
    }

    /// Says that all is durable up to a position: the log becomes durable from its beginning on.
    fn acknowledge(&self, up_to: Position) -> io::Result<()> {
        let mut acked = self.acked.lock();
        let mut said = io::stdout().lock();
        while *acked < up_to {
            *acked = acked.next();
            writeln!(said, "ack {acked}")?;
        }
        said.flush()
    }
}
