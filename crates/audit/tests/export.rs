//! The log as lines of JSON: each event once, in order, in the form that is promised.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;
#[allow(dead_code, reason = "whose it is uses more of it")]
#[path = "../../store/src/codec/tests/golden.rs"]
mod golden;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::*;
use enact_audit::{Export, Filter, Line, origin};
use enact_core::event::{Event, NewEvent};
use enact_core::ids::{Position, RunId};
use enact_core::time::Timestamp;
use enact_store::{MAX_LEAVES, SledStore};
use serde_json::{Value, json};

/// Runs that have between them every kind of event; an erased one is last.
async fn fill_with_every_kind(store: &SledStore) -> Vec<RunId> {
    let mut runs = Vec::new();
    for run in golden::runs().into_iter().filter(|run| run.name != "erased") {
        let id = run.events.first().unwrap().run_id;
        let new = |event: enact_core::event::StoredEvent| NewEvent {
            at: event.at,
            by: event.by,
            event: event.event,
        };
        runs.push(append(store, id, run.events.into_iter().map(new).collect()).await);
    }
    let run = short_run(store, 1).await;
    store.erase(run, "boss", Timestamp::from_unix_us(9)).await.unwrap();
    runs.push(run);
    runs
}

async fn lines(store: &Arc<SledStore>, from: u64, filter: Filter) -> Vec<Value> {
    let mut export = Export::new(Arc::clone(store), Position(from), filter);
    let mut lines = Vec::new();
    while let Some(line) = export.next().await {
        lines.push(serde_json::from_str(&line.unwrap().to_json(false).unwrap()).unwrap());
    }
    lines
}

fn of(lines: &[Value], kind: &str) -> Vec<Value> {
    lines.iter().filter(|line| line["type"] == kind).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_has_the_form_that_the_schema_says_whatever_the_event() {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/export.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s"));
    fill_with_every_kind(&store).await;
    let lines = lines(&store, 1, Filter::default()).await;
    for line in &lines {
        assert!(schema.is_valid(line), "{line}");
        let mut more = line.clone();
        more["more"] = json!(1);
        assert!(!schema.is_valid(&more));
    }
    for kind in Event::kinds().chain(["PayloadErased"]) {
        assert!(lines.iter().any(|line| line["kind"] == kind), "there is none of {kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_begins_with_what_it_is_of_and_ends_with_how_far_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s"));
    let empty = lines(&store, 1, Filter::default()).await;
    assert_eq!(empty[1..], [json!({ "type": "end", "position": 0, "events": 0 })]);
    fill_with_every_kind(&store).await;
    let leaves = store.leaves(Position(1), MAX_LEAVES).await.unwrap();
    let all = lines(&store, 1, Filter::default()).await;
    let begin = json!({
        "type": "begin", "format": "enact.export.v1", "log": origin(&store), "from": 1,
        "filter": { "runs": [], "user": null, "workflow": null, "kinds": [], "since": null, "before": null },
    });
    assert_eq!(all[0], begin);
    let events = of(&all, "event");
    assert_eq!(events.len(), leaves.len());
    for (event, leaf) in events.iter().zip(&leaves) {
        assert_eq!(event["leaf"], json!(STANDARD.encode(leaf)));
    }
    assert_eq!(
        all.last().unwrap(),
        &json!({ "type": "end", "position": leaves.len(), "events": leaves.len() })
    );
    let last = leaves.len() as u64;
    assert_eq!(lines(&store, last + 5, Filter::default()).await[1]["position"], json!(last + 4));
}

/// Wherever it was cut off, and however much comes in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_goes_on_behind_the_last_position_misses_and_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s"));
    fill(&store, 1..=40, 100).await;
    let whole = of(&lines(&store, 1, Filter::default()).await, "event");
    for cut in [0, 1, 7, 79, 80] {
        let mut export = Export::new(Arc::clone(&store), Position(1), Filter::default());
        let (mut seen, mut next) = (Vec::new(), 1);
        while seen.len() < cut {
            if let Line::Event(event, _) = export.next().await.unwrap().unwrap() {
                next = event.position.0 + 1;
                seen.push(json!(event.position));
            }
        }
        seen.extend(
            of(&lines(&store, next, Filter::default()).await, "event")
                .iter()
                .map(|it| it["position"].clone()),
        );
        assert_eq!(
            seen,
            whole.iter().map(|it| it["position"].clone()).collect::<Vec<_>>(),
            "cut behind {cut}"
        );
    }
    // Where nothing matched, the end says nevertheless how far it came.
    let nobodys = Filter { kinds: vec!["RunFailed".into()], ..Filter::default() };
    let none = lines(&store, 1, nobodys.clone()).await;
    let end = none.last().unwrap()["position"].as_u64().unwrap();
    assert_eq!((none.len(), end), (2, 80));
    fill(&store, 41..=41, 100).await;
    assert_eq!(of(&lines(&store, end + 1, Filter::default()).await, "event").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_takes_the_events_for_which_all_of_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s"));
    let runs = fill_with_every_kind(&store).await;
    let count = async |filter: Filter| of(&lines(&store, 1, filter).await, "event").len();
    let all = count(Filter::default()).await;
    let mut by_run = 0;
    for run in &runs {
        by_run += count(Filter { runs: vec![*run], ..Filter::default() }).await;
    }
    assert_eq!(by_run, all);
    assert_eq!(count(Filter { runs: runs.clone(), ..Filter::default() }).await, all);
    // Of the run that was erased nobody knows any more whose it was.
    let of_agent = Filter { user: Some("AGENT@example.org".into()), ..Filter::default() };
    assert_eq!(count(of_agent.clone()).await, all - 4);
    assert_eq!(count(Filter { workflow: Some("agent-pr".into()), ..of_agent.clone() }).await, all - 4);
    assert_eq!(count(Filter { workflow: Some("other".into()), ..of_agent }).await, 0);
    let accepted = Filter { kinds: vec!["RunAccepted".into()], ..Filter::default() };
    assert_eq!(count(accepted.clone()).await, runs.len(), "an erased event is of the kind that it was");
    let (long_ago, now) = (Timestamp::from_unix_us(1000), Timestamp::from_unix_us(u64::MAX));
    assert_eq!(count(Filter { since: Some(long_ago), ..accepted.clone() }).await, runs.len() - 1);
    assert_eq!(count(Filter { before: Some(long_ago), ..accepted.clone() }).await, 1);
    assert_eq!(count(Filter { since: Some(now), ..accepted }).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pruned_is_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s"));
    fill(&store, 1..=120, 3000).await;
    sealed(&store, 2).await;
    let pruned = store.prune(Timestamp::from_unix_us(u64::MAX)).await.unwrap();
    let lines = lines(&store, 3, Filter::default()).await;
    assert_eq!(lines[1], json!({ "type": "pruned", "first": 3, "position": pruned.up_to }));
    assert_eq!(of(&lines, "event")[0]["position"], json!(pruned.up_to.0 + 1));
}
