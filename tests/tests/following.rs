//! Following the log of a runtime: while it works, until it stops, and over kills of the process that does both.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use enact::ids::Position;
use enact::json::JsonText;
use enact::prelude::*;
use enact::store::EventStore;
use enact::subscription::{Delivered, Subscription};
use enact::time::Timestamp;
use enact_testkit::world::World;

const USER: &str = "agent@example.com";

async fn start(store: Arc<dyn EventStore>) -> Enact {
    let builder = Enact::builder().store(store);
    builder.connector("world", World::default().allow(["put"]).unwrap()).start().await.unwrap()
}

fn put(key: &str) -> RunRequest {
    let params = JsonText::parse(&format!(r#"{{"key":"{key}","value":"{}"}}"#, "x".repeat(900))).unwrap();
    RunRequest::act("world", "put", params, USER)
}

/// Small volumes, so that many are sealed.
fn open(path: &Path) -> Arc<SledStore> {
    Arc::new(SledStore::options().volume_bytes(80_000).segment_bytes(64 * 1024).open(path).unwrap())
}

/// What was delivered, in a line.
fn told(delivered: &Delivered) -> String {
    match delivered {
        Delivered::Event(event) => {
            format!("{} {} {} {}", event.position, event.position, event.run_id, event.event.name())
        }
        Delivered::Pruned { first, last } => format!("{first} {last} pruned"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_is_told_of_runs_as_they_happen_and_ends_when_the_runtime_has_shut_down() {
    let store = Arc::new(MemoryStore::new());
    let enact = start(Arc::clone(&store) as _).await;
    let mut early = enact.subscribe(Position(1));
    let run = enact.run_to_end(put("a")).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed);
    let mut kinds = Vec::new();
    while kinds.last() != Some(&"RunSucceeded") {
        match early.next().await.unwrap().unwrap() {
            Delivered::Event(event) => kinds.push(event.event.name()),
            pruned @ Delivered::Pruned { .. } => panic!("{pruned:?}"),
        }
    }
    assert_eq!(kinds.first(), Some(&"RunAccepted"));
    let mut late = enact.subscribe(early.position());
    let runs = futures::future::join_all((0..20).map(|n| enact.run_to_end(put(&n.to_string()))));
    let rest = async {
        let mut rest = 0;
        while let Some(delivered) = early.next().await {
            delivered.unwrap();
            rest += 1;
        }
        rest
    };
    let (rest, ()) = futures::join!(rest, async {
        runs.await.into_iter().for_each(|run| assert_eq!(run.unwrap().status(), RunStatus::Completed));
        enact.shutdown(Duration::from_secs(60)).await;
    });
    // It is not closed, and whoever did not listen is told all of it nevertheless.
    assert_eq!(rest, store.durable().0 - kinds.len() as u64);
    let mut heard = 0;
    while let Some(delivered) = late.next().await {
        delivered.unwrap();
        heard += 1;
    }
    assert_eq!(heard, rest);
}

/// Not a test of its own: the process that the next one kills. Runs on several lanes, prunes, and says what it follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_and_follows_until_it_is_killed() {
    let Ok(path) = std::env::var("ENACT_FOLLOWED") else { return };
    let from: u64 = std::env::var("ENACT_FROM").unwrap().parse().unwrap();
    let store = open(path.as_ref());
    let enact = start(Arc::clone(&store) as _).await;
    for lane in 0..4 {
        let (enact, store) = (enact.clone(), Arc::clone(&store));
        tokio::spawn(async move {
            for number in 0_u64.. {
                enact.run_to_end(put(&lane.to_string())).await.unwrap();
                if lane == 0 && number % 40 == 39 {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
                    store.prune(Timestamp::from_unix_us(u64::try_from(now).unwrap())).await.unwrap();
                }
            }
        });
    }
    let mut log = enact.subscribe(Position(from));
    while let Some(delivered) = log.next().await {
        // The last word of a line, so that one that was cut off is known.
        writeln!(std::io::stdout(), "told {} .", told(&delivered.unwrap())).unwrap();
    }
}

fn follow(path: &Path, from: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "works_and_follows_until_it_is_killed", "--nocapture"])
        .env("ENACT_FOLLOWED", path)
        .env("ENACT_FROM", from.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn over_kills_of_the_process_that_writes_prunes_and_follows_nothing_is_missed_or_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let (mut next, mut lines) = (1, BTreeMap::new());
    for round in 0..10_usize {
        let mut child = follow(&path, next);
        let (wanted, mut heard, mut killed) = (150 + round * 97, 0, false);
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            let Some(line) = line.split("told ").nth(1).and_then(|line| line.strip_suffix(" .")) else {
                continue;
            };
            let mut words = line.split(' ').map(str::parse::<u64>);
            let (first, last) = (words.next().unwrap().unwrap(), words.next().unwrap().unwrap());
            assert!(first == next && last >= first, "round {round}: position {next}, then {line}");
            next = last + 1;
            if first == last && !line.ends_with("pruned") {
                lines.insert(first, line.to_owned());
            }
            heard += 1;
            if heard == wanted {
                child.kill().unwrap();
                killed = true;
            }
        }
        child.wait().unwrap();
        assert!(killed, "round {round}: it was killed while it followed");
    }
    // What was told of is in the log, or was there and is pruned.
    let store = open(&path);
    let mut log = Subscription::new(Arc::clone(&store) as _, Position(1)).up_to_now();
    let (mut same, mut pruned) = (0, 0);
    while let Some(delivered) = log.next().await {
        match delivered.unwrap() {
            Delivered::Pruned { first, last } => pruned += last.0 + 1 - first.0,
            event => match lines.get(&event.position().0) {
                Some(line) => {
                    assert_eq!(*line, told(&event));
                    same += 1;
                }
                None => assert!(event.position().0 >= next, "{} was missed", told(&event)),
            },
        }
    }
    assert!(same > 0 && pruned > 0, "{same} are there, {pruned} are pruned");
}
