//! Proving a log by its signatures: events a second, and the memory that it takes, against the hashing alone of as many bytes. Takes
//! the number of events as an argument; a million without.

use std::sync::Arc;
use std::time::Instant;

use enact::audit::{Notary, PublicKeys, SigningKey, verify};
use enact::event::{Event, NewEvent, ValueRecorded};
use enact::ids::{CallPath, EventSeq, Pseudonym, RunId};
use enact::json::JsonText;
use enact::store::{Append, Durability, EventStore, Fence, RunMark};
use enact::time::Timestamp;
use enact_benches::{Result, median, peak_memory_mib, rate, scratch};
use enact_store::{MasterKey, SledStore};

/// Events of a run, which is one group.
const EVENTS: usize = 50;
const BYTES: usize = 300;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> Result {
    let runs = match std::env::args().nth(1) {
        Some(events) => events.parse::<u64>()?.div_ceil(EVENTS as u64),
        None => 20_000,
    };
    let dir = scratch()?;
    let options = || {
        SledStore::options().master_key(MasterKey::parse(&"07".repeat(32)).unwrap_or_else(MasterKey::random))
    };
    let path = dir.path().join("store");
    let trusted = fill(Arc::new(options().open(&path)?), runs).await?;
    let store = Arc::new(SledStore::options().without_key().open(&path)?);
    let before = peak_memory_mib();
    let mut rates: [Vec<f64>; 2] = Default::default();
    let mut events = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let proved = verify(&store, trusted.clone(), Vec::new()).await?;
        events = proved.verified.events;
        let verified = rate(events, start);
        let hashed = hash(events);
        rates.iter_mut().zip([verified, hashed]).for_each(|(rates, figure)| rates.push(figure));
    }
    let [verified, hashed] = rates.map(median);
    println!("a log of {events} events of {BYTES} bytes, encrypted and signed; medians of {ROUNDS} rounds");
    println!("verified            {verified:>12.0} events/s");
    println!(
        "SHA-256 of as much  {hashed:>12.0} events/s, one core; verified / hashed {:.2}",
        verified / hashed
    );
    println!("memory              {:>12} MiB more at its peak", peak_memory_mib().saturating_sub(before));
    Ok(())
}

/// Fills and signs a log, and gives who signed it.
async fn fill(store: Arc<SledStore>, runs: u64) -> Result<PublicKeys> {
    let notary = Notary::open(Arc::clone(&store), SigningKey::generate()).await?;
    let value = JsonText::encode(&"x".repeat(BYTES - 130))?;
    let body = ValueRecorded { path: CallPath::root(1), what: "bench".into(), value };
    let event = Event::ValueRecorded(body);
    let event = NewEvent { at: Timestamp::from_unix_us(1), by: Pseudonym::default(), event };
    for number in 0..runs {
        let append = Append {
            run: RunId::from_parts(number, [7; 10]),
            expected: EventSeq(0),
            fence: Fence::NONE,
            events: vec![event.clone(); EVENTS],
            mark: RunMark::Closed,
            key: None,
            durability: Durability::Enqueued,
        };
        store.append(append).await?;
        if number % 1000 == 999 {
            store.flush().await?;
            notary.checkpoint().await?;
        }
    }
    store.close()?;
    Ok(PublicKeys::from(notary.public_key().clone()))
}

/// Events a second whose records are hashed as verifying has to: payload, header, and the node above.
fn hash(events: u64) -> f64 {
    let record = vec![7_u8; BYTES];
    let start = Instant::now();
    let mut root = enact_merkle::empty_root();
    for _ in 0..events {
        let payload = enact_merkle::leaf_hash(std::hint::black_box(&record));
        let leaf = enact_merkle::leaf_hash_of(&[record.get(..72).unwrap_or_default(), &payload]);
        root = enact_merkle::node_hash(&root, &leaf);
    }
    std::hint::black_box(root);
    rate(events, start)
}
