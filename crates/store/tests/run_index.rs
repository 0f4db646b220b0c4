//! Questions about runs are answered as by reading every run, whatever becomes of the index.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::*;
use enact_core::action::{EffectClass, Target};
use enact_core::error::{ErrorCode, ErrorRecord};
use enact_core::event::*;
use enact_core::ids::{CallPath, EventSeq, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::query::{RunQuery, scan};
use enact_core::run::{RunState, RunStatus};
use enact_core::store::{Append, Durability, EventStore, RunMark};
use enact_core::time::Timestamp;
use enact_store::SledStore;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const USERS: [&str; 4] = ["ann@example.org", "bob", "Größe", "zoe"];
const WORKFLOWS: [&str; 3] = ["deploy", "tidy", "act"];
const CONNECTORS: [&str; 3] = ["files", "github", "db"];
const ACTIONS: [&str; 3] = ["write", "read", "drop"];
const TARGETS: [&str; 5] = ["a", "b", "c", "rows/1", "rows/2"];

fn any<'a>(random: &mut StdRng, of: &[&'a str]) -> &'a str {
    of.get(random.random_range(0..of.len())).unwrap()
}

fn read(random: &mut StdRng, seq: u64) -> Event {
    let call = ActionCall {
        seq: Seq(seq),
        path: CallPath::root(u32::try_from(seq).unwrap()),
        connector: any(random, &CONNECTORS).into(),
        action: any(random, &ACTIONS).into(),
        version: 1,
        effect: EffectClass::ReadOnly,
        params: JsonText::null(),
        target: Some(Target::new("thing", any(random, &TARGETS))),
    };
    Event::ActionRead(ActionRead { call: Arc::new(call), verdicts: Vec::new(), output: JsonText::null() })
}

fn end(random: &mut StdRng) -> Option<Event> {
    let error = || ErrorRecord { code: ErrorCode::Unavailable, message: "gone".into(), retryable: false };
    match random.random_range(0..4) {
        0 => Some(Event::RunSucceeded(RunSucceeded { output: JsonText::null() })),
        1 => Some(Event::RunFailed(RunFailed { error: error() })),
        2 => Some(Event::RunQuarantined(RunQuarantined { error: error(), seq: None })),
        _ => None,
    }
}

/// Appends a run as the random numbers have it.
async fn put_run(store: &SledStore, random: &mut StdRng, number: u64) -> RunId {
    let accepted = RunAccepted {
        workflow: any(random, &WORKFLOWS).into(),
        version: 1,
        source: WorkflowSource::Code,
        user: any(random, &USERS).into(),
        attributes: JsonText::parse("{}").unwrap(),
        input: JsonText::null(),
        on_failure: OnFailure::Keep,
        key: None,
    };
    let judged = PoliciesEvaluated { verdicts: Vec::new(), policies: None };
    let mut events = vec![Event::RunAccepted(Arc::new(accepted)), Event::PoliciesEvaluated(judged)];
    let actions = random.random_range(0..4);
    events.extend((1..=actions).map(|seq| read(random, seq)));
    let end = end(random);
    let mark = if matches!(end, Some(Event::RunSucceeded(_) | Event::RunFailed(_))) {
        RunMark::Closed
    } else {
        RunMark::Open
    };
    events.extend(end);
    let at = Timestamp::from_unix_us(number * 3_600_000_000);
    let new = |event| NewEvent { at, by: store.pseudonym("x"), event };
    let run = RunId::from_parts(at.unix_ms(), [7; 10]);
    let append = Append {
        durability: Durability::Enqueued,
        ..append(run, 0, events.into_iter().map(new).collect(), mark)
    };
    store.append(append).await.unwrap();
    run
}

/// Ends a run that was open.
async fn close_run(store: &SledStore, run: RunId) {
    let so_far = store.read(run, EventSeq(1), 100).await.unwrap();
    let is_quarantined = matches!(so_far.last().unwrap().event, Event::RunQuarantined(_));
    let retry = OperatorDecided { by: "op".into(), seq: None, decision: Decision::Retry };
    let ended = Event::RunSucceeded(RunSucceeded { output: JsonText::null() });
    let events = is_quarantined.then_some(Event::OperatorDecided(retry)).into_iter().chain([ended]);
    let new = |event| NewEvent { at: Timestamp::from_unix_us(1), by: store.pseudonym("x"), event };
    let append = append(run, so_far.len() as u64, events.map(new).collect(), RunMark::Closed);
    put(store, append).await.unwrap();
}

/// A store with so many runs that some of the index is in tables.
async fn filled(path: &Path, random: &mut StdRng) -> SledStore {
    let store = small().open(path).unwrap();
    for number in 1..1200 {
        put_run(&store, random, number).await;
    }
    store.flush().await.unwrap();
    store
}

fn query(random: &mut StdRng) -> RunQuery {
    let mut some = |of: &[&str]| random.random_bool(0.3).then(|| any(random, of).to_owned());
    let (user, workflow) = (some(&USERS), some(&WORKFLOWS));
    let (connector, target) = (some(&CONNECTORS), some(&TARGETS));
    let action = some(&["write", "drop", "files.read", "db.write", "none"]);
    let time = |random: &mut StdRng| {
        let hour = random.random_range(0..3000_u64);
        random.random_bool(0.2).then(|| Timestamp::from_unix_us(hour * 3_600_000_000))
    };
    let status = random
        .random_bool(0.3)
        .then(|| *RunStatus::ALL.get(random.random_range(0..RunStatus::ALL.len())).unwrap());
    let (since, until) = (time(random), time(random));
    let limit = random.random_range(0..40);
    RunQuery { user, workflow, connector, action, target, status, since, until, before: None, limit }
}

/// Every run, by reading it, newest first.
async fn every_run(store: &SledStore) -> Vec<RunState> {
    scan(store, &RunQuery { limit: usize::MAX, ..RunQuery::default() }).await.unwrap().runs
}

/// Asks, page after page, and holds the answers against all runs.
async fn assert_same(store: &SledStore, all: &[RunState], mut query: RunQuery) {
    let asked = query.clone();
    let mut expected = all.iter().filter(|run| asked.takes(run));
    for _ in 0..3 {
        let found = store.find_runs(query.clone()).await.unwrap();
        assert_eq!(found.runs, expected.by_ref().take(query.limit).cloned().collect::<Vec<_>>(), "{query:?}");
        query.before = found.next;
        if found.next.is_none() {
            assert!(query.limit == 0 || expected.next().is_none(), "{query:?}");
            return;
        }
    }
}

fn index(store: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(store.join("runs-index")).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_answered_as_by_reading_every_run_while_the_log_grows_and_over_restarts() {
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    println!("seed {seed}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut store = small().open(&path).unwrap();
    let mut number = 0;
    for round in 0..5 {
        let mut open = Vec::new();
        for _ in 0..300 {
            number += 1;
            open.push(put_run(&store, &mut random, number).await);
        }
        store.flush().await.unwrap();
        let all = every_run(&store).await;
        for _ in 0..25 {
            assert_same(&store, &all, query(&mut random)).await;
        }
        let still_open = store.open_runs().await.unwrap();
        for run in still_open.into_iter().step_by(7) {
            close_run(&store, run).await;
        }
        if round % 2 == 1 {
            store.close().unwrap();
            drop(store);
            store = small().open(&path).unwrap();
        }
    }
    assert!(index(&path).len() > 1, "some of it is in tables");
    let all = every_run(&store).await;
    for _ in 0..100 {
        assert_same(&store, &all, query(&mut random)).await;
    }
    let text: Vec<_> = index(&path).iter().flat_map(|file| fs::read(file).unwrap()).collect();
    let is_there = |word: &str| text.windows(word.len()).any(|window| window == word.as_bytes());
    assert!(!is_there("ann@example") && !is_there("deploy") && !is_there("rows/1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_damaged_of_another_log_or_cut_is_made_anew() {
    let mut random = StdRng::seed_from_u64(7);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = filled(&path, &mut random).await;
    let ask = RunQuery { user: Some("BOB".into()), limit: 1000, ..RunQuery::default() };
    let expected = store.find_runs(ask.clone()).await.unwrap();
    assert!(expected.runs.len() > 200);
    store.close().unwrap();
    drop(store);
    for file in index(&path) {
        let whole = fs::read(&file).unwrap();
        let step = (whole.len() / 12).max(1);
        for place in (0..whole.len()).step_by(step) {
            let mut damaged = whole.clone();
            if place % 2 == 0 {
                damaged.truncate(place);
            } else {
                damaged.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 4);
            }
            // The index is made anew where this was found, perhaps of other files.
            if file.exists() {
                fs::write(&file, damaged).unwrap();
            }
            let store = small().open(&path).unwrap();
            assert_eq!(
                store.find_runs(ask.clone()).await.unwrap(),
                expected,
                "{} at {place}",
                file.display()
            );
            store.close().unwrap();
        }
    }
    // An index that knows of more than there is, as of a copy of the store from later.
    let other = dir.path().join("other");
    let store = small().open(&other).unwrap();
    put_run(&store, &mut random, 1).await;
    store.flush().await.unwrap();
    fs::create_dir_all(other.join("runs-index")).unwrap();
    for file in index(&path) {
        fs::copy(&file, other.join("runs-index").join(file.file_name().unwrap())).unwrap();
    }
    assert_eq!(store.find_runs(RunQuery::default()).await.unwrap().runs.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_run_that_is_erased_or_pruned_nothing_stays_in_the_index() {
    let mut random = StdRng::seed_from_u64(9);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = filled(&path, &mut random).await;
    let ask =
        RunQuery { user: Some("bob".into()), status: Some(RunStatus::Completed), ..RunQuery::default() };
    let bobs = store.find_runs(ask.clone()).await.unwrap().runs;
    let gone = bobs.first().unwrap().id;
    assert!(!index(&path).is_empty());
    store.erase(gone, "boss", Timestamp::from_unix_us(1)).await.unwrap();
    assert!(index(&path).is_empty(), "what it was made of is gone with the run");
    let left = store.find_runs(ask.clone()).await.unwrap().runs;
    assert!(left.iter().all(|run| run.id != gone));
    let anybodys = RunQuery { status: Some(RunStatus::Completed), limit: 5000, ..RunQuery::default() };
    assert!(
        store
            .find_runs(anybodys)
            .await
            .unwrap()
            .runs
            .iter()
            .any(|run| run.id == gone && run.erased.is_some())
    );

    for run in store.open_runs().await.unwrap() {
        close_run(&store, run).await;
    }
    store.find_runs(ask.clone()).await.unwrap();
    assert!(!index(&path).is_empty());
    let pruned = store.prune(Timestamp::from_unix_us(u64::MAX)).await.unwrap();
    assert!(pruned.volumes > 0, "{pruned:?}");
    assert!(index(&path).is_empty());
    assert_same(&store, &every_run(&store).await, ask).await;
    // A copy of the store has none: it is made anew there.
    store.backup(dir.path().join("copy")).await.unwrap();
    assert!(index(&dir.path().join("copy")).is_empty());
}
