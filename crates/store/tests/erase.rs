//! Erasing a run: what goes, what stays, and what a crash may leave.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::path::Path;

use common::*;
use enact_core::blob::BlobRef;
use enact_core::document::RunDocument;
use enact_core::event::*;
use enact_core::ids::{EventSeq, Position, RunId};
use enact_core::json::JsonText;
use enact_core::run::{RunState, RunStatus};
use enact_core::store::{Append, EventStore, RunMark, StoreError};
use enact_core::time::Timestamp;
use enact_store::SledStore;

const NAME: &str = "canary-7f3a";

fn new(event: Event) -> NewEvent {
    NewEvent { event, ..common::event(1_000_000, 1) }
}

/// The first events of a run, which is running.
fn begin() -> Vec<NewEvent> {
    let json = |text: &str| JsonText::parse(text).unwrap();
    let accepted = RunAccepted {
        workflow: NAME.into(),
        version: 1,
        source: WorkflowSource::Code,
        user: NAME.into(),
        attributes: json("{}"),
        input: json(&format!("\"{NAME}\"")),
        on_failure: OnFailure::Keep,
        key: Some(NAME.into()),
    };
    vec![
        new(Event::RunAccepted(accepted.into())),
        new(Event::PoliciesEvaluated(PoliciesEvaluated { verdicts: Vec::new(), policies: None })),
    ]
}

fn end() -> NewEvent {
    new(Event::RunSucceeded(RunSucceeded { output: JsonText::null() }))
}

/// A run that has ended.
async fn ended(store: &SledStore, run: RunId) {
    let accepted = append(run, 0, begin(), RunMark::Open);
    put(store, Append { key: Some(format!("{NAME} {run}")), ..accepted }).await.unwrap();
    put(store, append(run, 2, vec![end()], RunMark::Closed)).await.unwrap();
}

/// The run's key as the journal has it: behind the run, the place, the number of events and the flags.
fn wrapped_key(store: &Path, run: RunId) -> Vec<u8> {
    let segments = fs::read_dir(store.join("journal")).unwrap();
    let journal: Vec<u8> = segments.flat_map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    let is_append = |at: &usize| journal[*at..].starts_with(run.as_bytes()) && journal[at + 36] == 4;
    let at = (0..journal.len() - 100).find(is_append).unwrap();
    journal[at + 37..at + 37 + 62].to_vec()
}

/// The files below a folder that hold some bytes.
fn holding(dir: &Path, wanted: &[u8]) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(holding(&path, wanted));
        } else if memmem(&fs::read(&path).unwrap(), wanted) {
            files.push(path.display().to_string());
        }
    }
    files
}

fn memmem(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

async fn state(store: &SledStore, run: RunId) -> RunState {
    RunState::fold(&stream(store, run).await.unwrap()).unwrap().unwrap()
}

async fn assert_is_erased(store: &SledStore, run: RunId) {
    let state = state(store, run).await;
    assert_eq!(state.status(), RunStatus::Completed);
    assert_eq!(state.erased.map(|erased| erased.at), Some(Timestamp::from_unix_us(9_000_000)));
    assert_eq!(state.ended_at, Some(Timestamp::from_unix_us(1_000_000)));
    let document = serde_json::to_string(&RunDocument::detailed(&state)).unwrap();
    assert!(!document.contains(NAME) && document.contains("\"erased\":{"), "{document}");
    let kinds: Vec<_> = stream(store, run).await.unwrap();
    let kinds: Vec<_> = kinds.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
    assert_eq!(kinds[0]["data"]["was"], "RunAccepted");
    assert_eq!(kinds.last().unwrap()["kind"], "ContentErased");
    assert!(runs(store).await.contains(&run));
    store.verify().unwrap();
}

async fn erase(store: &SledStore, run: RunId) -> Result<(), StoreError> {
    store.erase(run, "me@example.org", Timestamp::from_unix_us(9_000_000)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_run_keeps_its_kinds_times_and_status_and_its_key_is_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = small().open(&path).unwrap();
    let (old, new, other) = (run(1, 0), run(90_000, 0), run(90_001, 0));
    ended(&store, old).await;
    let old_key = wrapped_key(&path, old);
    fill(&store, 1000, 120).await;
    sealed(&store, 2).await;
    for run in [new, other] {
        ended(&store, run).await;
        // Reading waits until what was being sealed is.
        assert!(state(&store, run).await.erased.is_none());
    }
    for (run, key) in [(old, old_key), (new, wrapped_key(&path, new))] {
        assert!(!holding(&path, &key).is_empty(), "the search finds it");
        let leaves = all(&store).await.unwrap().len() as u64;
        erase(&store, run).await.unwrap();
        assert_eq!(holding(&path, &key), [""; 0]);
        assert_is_erased(&store, run).await;
        assert_eq!(store.verify().unwrap().events, leaves + 1);
        erase(&store, run).await.unwrap();
        assert_eq!(store.verify().unwrap().events, leaves + 1, "once is enough");
    }
    store.close().unwrap();
    drop(store);
    let store = small().open(&path).unwrap();
    for run in [old, new] {
        assert_is_erased(&store, run).await;
        assert_eq!(store.find_key(&format!("{NAME} {run}")).await.unwrap(), Some(run));
        let version = stream(&store, run).await.unwrap().len() as u64;
        let again = put(&store, append(run, version, vec![end()], RunMark::Closed)).await;
        assert!(matches!(again, Err(StoreError::Erased(of)) if of == run), "{again:?}");
    }
    assert!(state(&store, other).await.erased.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_blobs_of_an_erased_run_go_with_it_and_backups_do_without_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = small().open(&path).unwrap();
    let mut blobs: Vec<BlobRef> = Vec::new();
    for run in [run(1, 0), run(2, 0)] {
        put(&store, append(run, 0, begin(), RunMark::Open)).await.unwrap();
        let blob = store.blobs(run).put(&mut NAME.repeat(20_000).as_bytes()).unwrap();
        let intended = ActionIntended { blobs: vec![blob.clone()], ..intent() };
        let done = ActionSucceeded { seq: enact_core::ids::Seq(1), attempt: 1, output: JsonText::null() };
        let events =
            vec![new(Event::ActionIntended(intended.into())), new(Event::ActionSucceeded(done)), end()];
        put(&store, append(run, 2, events, RunMark::Closed)).await.unwrap();
        blobs.push(blob);
    }
    assert_eq!(store.verify().unwrap().blobs, 2);
    erase(&store, run(1, 0)).await.unwrap();
    assert_eq!(state(&store, run(1, 0)).await.erased.unwrap().actions, 1);
    assert_eq!(store.verify().unwrap().blobs, 1);
    assert!(store.blobs(run(1, 0)).open(&blobs[0]).is_err());
    assert!(store.blobs(run(2, 0)).open(&blobs[1]).is_ok());
    store.backup(dir.path().join("in")).await.unwrap();
    SledStore::backup_beside(&path, dir.path().join("beside")).unwrap();
    for from in ["in", "beside"] {
        let to = dir.path().join(format!("{from}-restored"));
        SledStore::restore(dir.path().join(from), &to).unwrap();
        let restored = small().open(&to).unwrap();
        assert_is_erased(&restored, run(1, 0)).await;
        assert_eq!(restored.verify().unwrap().blobs, 1);
    }
}

fn intent() -> ActionIntended {
    let json = || JsonText::parse("{}").unwrap();
    let call = ActionCall {
        seq: enact_core::ids::Seq(1),
        path: enact_core::ids::CallPath::root(1),
        connector: "files".into(),
        action: "write_file".into(),
        version: 1,
        effect: enact_core::action::EffectClass::Reversible,
        params: json(),
        target: None,
    };
    ActionIntended {
        call: call.into(),
        attempt: 1,
        verdicts: Vec::new(),
        facts: json(),
        pre: json(),
        blobs: Vec::new(),
        identity: enact_core::connector::Identity("here".into()),
    }
}

#[tokio::test]
async fn a_run_that_is_open_unknown_or_plain_is_not_erased_and_the_reason_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let store = small().open(dir.path().join("s")).unwrap();
    put(&store, append(run(1, 0), 0, begin(), RunMark::Open)).await.unwrap();
    let plain = SledStore::open(dir.path().join("plain")).unwrap();
    ended(&plain, run(2, 0)).await;
    for (store, run, why) in [
        (&store, run(1, 0), "it is running"),
        (&store, run(9, 0), "there is no such run"),
        (&plain, run(2, 0), "without encryption"),
    ] {
        let before = store.durable();
        let refused = erase(store, run).await.unwrap_err();
        assert!(matches!(refused, StoreError::CannotErase { .. }), "{refused:?}");
        assert!(refused.to_string().contains(why), "{refused}");
        assert_eq!(store.durable(), before);
    }
}

/// What a crash may leave is every state between the word in the log and the last file. Here the word is appended, and
/// the rest is not done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_was_cut_off_is_finished_by_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = small().open(&path).unwrap();
    let (old, new_run) = (run(1, 0), run(90_000, 0));
    ended(&store, old).await;
    let old_key = wrapped_key(&path, old);
    fill(&store, 1000, 60).await;
    sealed(&store, 1).await;
    ended(&store, new_run).await;
    // Reading waits until what was being sealed is.
    assert!(state(&store, new_run).await.erased.is_none());
    let new_key = wrapped_key(&path, new_run);
    for run in [old, new_run] {
        let erased = ContentErased {
            status: RunStatus::Completed,
            actions: 0,
            ended_at: Timestamp::from_unix_us(1_000_000),
            blobs: Vec::new(),
        };
        let at = Timestamp::from_unix_us(9_000_000);
        let word = NewEvent { at, ..new(Event::ContentErased(erased)) };
        put(&store, append(run, 3, vec![word], RunMark::Closed)).await.unwrap();
        // Read as erased from now on.
        assert!(state(&store, run).await.erased.is_some());
    }
    let killed = dir.path().join("killed");
    copy(&path, &killed);
    store.close().unwrap();
    drop(store);
    for left in [path, killed] {
        let store = small().open(&left).unwrap();
        for run in [old, new_run] {
            assert_is_erased(&store, run).await;
        }
        // Closing waits for what opening began.
        store.close().unwrap();
        drop(store);
        for key in [&old_key, &new_key] {
            assert_eq!(holding(&left, key), [""; 0], "{}", left.display());
        }
        let store = small().open(&left).unwrap();
        assert_is_erased(&store, old).await;
        assert_eq!(store.read(old, EventSeq(4), 1).await.unwrap()[0].event.name(), "ContentErased");
        assert!(store.durable() > Position(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_are_erased_while_others_write_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = std::sync::Arc::new(small().open(&path).unwrap());
    let mut keys = Vec::new();
    for number in 1..=8 {
        ended(&store, run(number, 0)).await;
        keys.push(wrapped_key(&path, run(number, 0)));
    }
    let busy = tokio::spawn({
        let store = std::sync::Arc::clone(&store);
        async move { fill(&store, 100_000, 150).await }
    });
    for (number, key) in (1..=8).zip(&keys) {
        erase(&store, run(number, 0)).await.unwrap();
        assert_eq!(holding_now(&path, key), 0, "{number}");
        all(&store).await.unwrap();
    }
    let made = busy.await.unwrap();
    for (run, version, _) in made {
        let events = stream(&store, run).await.unwrap();
        assert_eq!(events.len() as u64, version);
        assert!(events.iter().all(|event| event.event.name() == "ValueRecorded"));
    }
    store.verify().unwrap();
}

/// The same while files come and go.
fn holding_now(dir: &Path, wanted: &[u8]) -> usize {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let of = |path: &Path| {
        if path.is_dir() {
            holding_now(path, wanted)
        } else {
            usize::from(fs::read(path).is_ok_and(|bytes| memmem(&bytes, wanted)))
        }
    };
    entries.filter_map(Result::ok).map(|entry| of(&entry.path())).sum()
}
