//! Receipts of runs: what they say, what proves them, and what does not.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

mod common;
#[allow(dead_code, reason = "whose it is uses more of it")]
#[path = "../../store/src/codec/tests/golden.rs"]
mod golden;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::*;
use enact_audit::{AuditError, PublicKeys, Receipt};
use enact_core::event::{Event, NewEvent};
use enact_core::ids::{EventSeq, RunId};
use enact_core::store::EventStore;
use enact_core::time::Timestamp;
use enact_store::SledStore;
use serde_json::{Value, json};

/// Runs that have between them every kind of event, but for those that were erased.
fn runs() -> Vec<(&'static str, RunId, Vec<NewEvent>)> {
    let runs = golden::runs().into_iter().filter(|run| run.name != "erased");
    runs.map(|run| {
        let id = run.events.first().unwrap().run_id;
        let events = run.events.into_iter().map(|event| NewEvent {
            at: event.at,
            by: event.by,
            event: without_blobs(event.event),
        });
        (run.name, id, events.collect())
    })
    .collect()
}

/// The blobs of these runs are nowhere.
fn without_blobs(event: Event) -> Event {
    match event {
        Event::ActionIntended(mut intended) => {
            Arc::make_mut(&mut intended).blobs.clear();
            Event::ActionIntended(intended)
        }
        event => event,
    }
}

async fn append_all(store: &SledStore) {
    for (_, run, events) in runs() {
        append(store, run, events).await;
    }
}

fn run_named(name: &str) -> RunId {
    runs().into_iter().find(|(it, ..)| *it == name).unwrap().1
}

fn folder(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect()
}

/// A receipt as a tree, to change something in it.
fn tree(receipt: &Receipt) -> Value {
    serde_json::from_str(&receipt.to_json().unwrap()).unwrap()
}

/// What is wrong with a receipt that was changed.
fn refused(receipt: &Value, trusted: &PublicKeys) -> String {
    match Receipt::parse(&receipt.to_string()).and_then(|receipt| receipt.verify(trusted)) {
        Err(bad) => bad.to_string(),
        Ok(proven) => panic!("it ought to be refused, and is good: {proven:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_says_who_did_what_and_is_verified_without_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s"));
    fill(&store, 1..=20, 100).await;
    append_all(&store).await;
    fill(&store, 21..=30, 100).await;
    let receipt = notary(&store, 1).await.receipt(run_named("undone-in-part"), false).await.unwrap();
    let text = receipt.to_json().unwrap();
    let trusted = trusting(&store, &[1]);
    store.close().unwrap();
    drop((store, dir));

    let proven = Receipt::parse(&text).unwrap().verify(&trusted).unwrap();
    assert_eq!(
        proven.checkpoint.size,
        60 + runs().iter().map(|(.., events)| events.len() as u64).sum::<u64>()
    );
    let said = proven.statement;
    assert_eq!((said.user.as_str(), said.attributes.as_str()), ("agent@example.org", r#"{"team":"größe"}"#));
    assert_eq!((said.workflow.name.as_str(), said.workflow.version), ("agent-pr", 3));
    assert_eq!(
        said.workflow.sha256.as_deref(),
        Some("65fe6469bf2e4380c93fc6c205433e059c59ab85e9ad09db4b02f037c409d6af")
    );
    assert_eq!((said.key.as_deref(), said.status.as_str()), (Some("once"), "partially_rolled_back"));
    let actions: Vec<_> = said
        .actions
        .iter()
        .map(|it| (it.seq, it.outcome.as_deref().unwrap(), it.attempts.len(), it.reversal.as_deref()))
        .collect();
    assert_eq!(
        actions,
        [
            (1, "read", 0, None),
            (2, "already_done", 0, None),
            (3, "refused", 0, None),
            (4, "capture_failed", 0, None),
            (5, "done", 2, None),
            (6, "done", 1, Some("in_doubt")),
            (7, "done", 2, Some("undone")),
            (8, "failed", 1, Some("nothing_to_undo")),
            (9, "done", 1, Some("undone")),
        ]
    );
    assert_eq!(said.actions[2].error.as_deref(), Some("policy_denied"));
    assert_eq!(said.actions[6].attempts[1].undo.as_ref().unwrap().action, "restore_file");
    let words: Vec<_> = said.words.iter().map(|it| (it.word.as_str(), it.by.as_str(), it.action)).collect();
    assert_eq!(
        words,
        [
            ("retry", "os:op", Some(7)),
            ("not_applied", "os:op", Some(7)),
            ("rollback", "boss@example.org", None),
            ("abandon", "os:op", Some(9)),
            ("applied", "os:op", Some(9)),
            ("force_rollback", "boss@example.org", Some(5)),
        ]
    );
    assert_eq!(said.events[0].position, 41);
    for content in ["a.txt\\\"", "a.txt\",\"content", "1.50", "the old"] {
        assert!(!text.contains(content), "content is said by digests alone: {content}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_names_policies_and_approvals() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s"));
    append_all(&store).await;
    let notary = notary(&store, 1).await;
    let approved = notary.receipt(run_named("approved"), false).await.unwrap();
    let approvals = &approved.statement().approvals;
    let said: Vec<_> = approvals.iter().map(|it| (it.action, it.word.as_deref(), it.by.as_deref())).collect();
    let boss = Some("boss@example.org");
    assert_eq!(
        said,
        [(None, Some("approved"), boss), (Some(1), Some("approved"), boss), (Some(2), Some("denied"), boss)]
    );
    assert_eq!(approvals[0].reasons[0].reason, "it is Friday");
    assert_eq!(approved.statement().policies.as_deref(), Some("cd".repeat(32).as_str()));
    let judged = notary.receipt(run_named("judged"), false).await.unwrap();
    assert_eq!(judged.statement().policies.as_deref(), Some("5e".repeat(32).as_str()));
    assert_eq!(judged.statement().verdicts[0].policy, "weekdays");
}

/// Each place of a receipt, with another value.
fn changed(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(name, inner)| {
                changed(inner).into_iter().map(|inner| {
                    let mut object = object.clone();
                    object.insert(name.clone(), inner);
                    Value::Object(object)
                })
            })
            .collect(),
        Value::Array(list) => {
            let replaced = list.iter().enumerate().flat_map(|(at, inner)| {
                changed(inner).into_iter().map(move |inner| {
                    let mut list = list.clone();
                    list.iter_mut().skip(at).take(1).for_each(|place| place.clone_from(&inner));
                    Value::Array(list)
                })
            });
            let shorter = list.split_first().map(|(_, rest)| Value::Array(rest.to_vec()));
            replaced.chain(shorter).collect()
        }
        Value::String(text) => vec![json!(format!("{text}x"))],
        Value::Number(number) => vec![json!(number.as_u64().unwrap() + 1)],
        Value::Bool(word) => vec![json!(!word)],
        Value::Null => vec![json!("x"), json!(1)],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_changed_in_a_receipt_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s"));
    append_all(&store).await;
    let trusted = trusting(&store, &[1]);
    let receipt = notary(&store, 1).await.receipt(run_named("approved"), true).await.unwrap();
    let receipt = tree(&receipt);
    let all = changed(&receipt);
    assert!(all.len() > 200, "{}", all.len());
    for changed in all {
        let discloses_less =
            changed["disclosed"].as_array().map(Vec::len) < receipt["disclosed"].as_array().map(Vec::len);
        if discloses_less {
            Receipt::parse(&changed.to_string())
                .unwrap()
                .verify(&trusted)
                .expect("disclosing less is no lie");
        } else {
            refused(&changed, &trusted);
        }
    }
    let more = |name: &str| {
        let mut more = receipt.clone();
        more["statement"][name] = json!("more");
        more
    };
    assert!(refused(&more("nothing"), &trusted).contains("unknown field"));
    let twice = receipt.to_string().replacen("\"user\":", "\"user\":\"x\",\"user\":", 1);
    assert!(Receipt::parse(&twice).unwrap_err().to_string().contains("duplicate field"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_is_good_for_its_run_and_its_log_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, other) = (open(&dir.path().join("s")), open(&dir.path().join("other")));
    append_all(&store).await;
    append_all(&other).await;
    let trusted = trusting(&store, &[1]);
    let of_blocked = tree(&notary(&store, 1).await.receipt(run_named("blocked"), false).await.unwrap());
    let of_approved = tree(&notary(&store, 1).await.receipt(run_named("approved"), false).await.unwrap());
    let of_other = tree(&notary(&other, 1).await.receipt(run_named("blocked"), false).await.unwrap());

    // One run's signatures under another's name, and one log's proof under another.
    for part in ["statement", "signatures", "proof"] {
        let mut mixed = of_blocked.clone();
        mixed[part] = of_approved[part].clone();
        refused(&mixed, &trusted);
    }
    let mut mixed = of_blocked.clone();
    mixed["checkpoint"] = of_other["checkpoint"].clone();
    let both = PublicKeys::parse(&format!("{trusted}{}", trusting(&other, &[1]))).unwrap();
    assert!(refused(&mixed, &both).contains("and its checkpoint of"), "{}", refused(&mixed, &both));
    assert!(refused(&of_other, &trusted).contains("no signature of a key that is trusted"));
    assert!(refused(&of_blocked, &trusting(&store, &[2])).contains("no signature of a key that is trusted"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_disclosed_is_what_was_digested_and_who_is_not_told_cannot_guess() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s"));
    append_all(&store).await;
    let trusted = trusting(&store, &[1]);
    let notary = notary(&store, 1).await;
    let receipt = notary.receipt(run_named("cancelled"), true).await.unwrap();
    assert!(!format!("{receipt:?}").contains("content"));
    let proven = receipt.verify(&trusted).unwrap();
    let of = |label: &str| proven.disclosed.iter().find(|(it, _)| it == label).unwrap().1.clone();
    assert_eq!(of("input"), r#"{"n":1.50,"list":[null,true]}"#);
    assert_eq!(of("actions.1.params"), r#"{"path":"a.txt","content":"new"}"#);
    assert_eq!(of("actions.1.attempts.1.pre_state"), r#"{"content":"old"}"#);
    assert_eq!(of("actions.1.attempts.1.undo.params"), r#"{"path":"a.txt"}"#);

    // The same parameters have another digest in each action, and in each run.
    let kept = notary.receipt(run_named("failed-and-kept"), false).await.unwrap();
    let actions = proven.statement.actions.iter().chain(&kept.statement().actions);
    let mut digests: Vec<_> = actions.map(|action| action.params.clone()).collect();
    let count = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!((count, digests.len()), (3, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_held_against_each_receipt_that_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path);
    append_all(&store).await;
    let (approved, blocked) = (run_named("approved"), run_named("blocked"));
    let first = notary(&store, 1).await;
    first.receipt(approved, false).await.unwrap();
    first.receipt(approved, true).await.unwrap();
    // By another key, which takes over.
    let second = first.hand_over(key(2)).await.unwrap();
    second.receipt(blocked, false).await.unwrap();
    let register = fs::read_to_string(path.join("receipts")).unwrap();
    assert_eq!(register.lines().count(), 2, "what was given twice is entered once");
    for content in ["agent", "boss", "a.txt", "weekdays", "user", "attributes"] {
        assert!(!register.contains(content), "{content}");
    }
    let both = proved(&store).await.unwrap().receipts;
    assert_eq!((both.same, both.gone, both.locked), (2, 0, 0));

    // Without the master key nothing can be made again; when a run is erased, of that one.
    store.erase(blocked, "boss", Timestamp::from_unix_us(1)).await.unwrap();
    let one = proved(&store).await.unwrap().receipts;
    assert_eq!((one.same, one.gone, one.locked), (1, 1, 0));
    assert!(matches!(second.receipt(blocked, false).await, Err(AuditError::NoReceipt { .. })));
    store.close().unwrap();
    drop((store, second));
    let locked = Arc::new(SledStore::options().without_key().open(&path).unwrap());
    let none = proved(&locked).await.unwrap().receipts;
    assert_eq!((none.same, none.gone, none.locked), (0, 1, 1));
    drop(locked);

    // A register that says something else is found; a line that a crash cut off is none.
    let of_other_run = register.replacen(&approved.to_string(), &run_named("cancelled").to_string(), 1);
    fs::write(path.join("receipts"), of_other_run).unwrap();
    let store = open(&path);
    let found = disproved(proved(&store).await);
    assert!(found.contains("line 1") && found.contains("is not one of this text"), "{found}");
    fs::write(path.join("receipts"), &register[..register.len() - 30]).unwrap();
    assert_eq!(proved(&store).await.unwrap().receipts.same, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_of_what_the_log_does_not_say_any_more_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (path, before) = (dir.path().join("s"), dir.path().join("before"));
    open(&path).close().unwrap();
    copy(&path, &before);
    let store = open(&path);
    let (_, run, events) = runs().remove(0);
    append(&store, run, events).await;
    notary(&store, 1).await.receipt(run, false).await.unwrap();

    // The same log from before, in which the run goes another way, with the register of what was promised.
    fs::copy(path.join("receipts"), before.join("receipts")).unwrap();
    let other = open(&before);
    append(&other, run, runs().remove(1).2).await;
    let found = disproved(proved(&other).await);
    assert!(found.contains("line 1") && found.contains("something else than the log"), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_receipt_is_given_of_what_cannot_be_said_and_nothing_is_entered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let plain = Arc::new(SledStore::open(&path).unwrap());
    let run = short_run(&plain, 1).await;
    let notary = notary(&plain, 1).await;
    for (run, why) in [(run, "without encryption"), (RunId::from_parts(9, [9; 10]), "no such run")] {
        let error = notary.receipt(run, false).await.unwrap_err();
        assert!(error.to_string().contains(why) && error.to_string().contains(&run.to_string()), "{error}");
    }
    assert!(!path.join("receipts").exists());
}

/// What a store was when its receipts were given: folders that can be rebuilt are left out.
const NEEDED: [&str; 5] = ["store", "manifest", "checkpoints", "receipts", "journal"];

/// Writes the golden store and its receipts, where they are missing and that is asked for.
async fn bless(golden: &Path) {
    if golden.exists() || std::env::var_os("ENACT_BLESS").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path);
    append_all(&store).await;
    let notary = notary(&store, 1).await;
    let mut receipts = Vec::new();
    for (name, run, _) in runs() {
        receipts.push((name, notary.receipt(run, name == "approved").await.unwrap()));
    }
    store.close().unwrap();
    fs::create_dir_all(golden.join("journal")).unwrap();
    for file in files(&path) {
        let name = file.strip_prefix(&path).unwrap();
        if NEEDED.iter().any(|needed| name.starts_with(needed)) {
            fs::copy(&file, golden.join(name)).unwrap();
        }
    }
    for (name, receipt) in receipts {
        fs::write(golden.join(format!("{name}.receipt.json")), receipt.to_json().unwrap()).unwrap();
    }
    fs::write(golden.join("keys.pub"), trusting(&store, &[1]).to_string()).unwrap();
}

/// A receipt that was given has to hold for ever, also against the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn golden_receipts_are_good_and_are_made_again_from_their_log_to_the_letter() {
    let golden = folder("receipts-v1");
    bless(&golden).await;
    let trusted = PublicKeys::parse(&fs::read_to_string(golden.join("keys.pub")).unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    copy(&golden, &path);
    let store = open(&path);
    assert_eq!(proved(&store).await.unwrap().receipts.same, runs().len() as u64);
    let notary = notary(&store, 1).await;
    for (name, run, events) in runs() {
        let text = fs::read_to_string(golden.join(format!("{name}.receipt.json"))).unwrap();
        let receipt = Receipt::parse(&text).unwrap();
        let proven = receipt.verify(&trusted).unwrap();
        assert_eq!(proven.statement.events.len(), events.len());
        assert_eq!(receipt.to_json().unwrap(), text, "{name} has another form today");
        let today = notary.receipt(run, name == "approved").await.unwrap();
        assert_eq!(today.statement(), receipt.statement(), "{name}");
        let stored = store.read(run, EventSeq(1), 100).await.unwrap();
        assert_eq!(
            stored.into_iter().map(|it| it.event).collect::<Vec<_>>(),
            events.into_iter().map(|it| it.event).collect::<Vec<_>>()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_have_the_form_that_their_schema_says() {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/receipt.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s"));
    append_all(&store).await;
    let notary = notary(&store, 1).await;
    for (name, run, _) in runs() {
        for disclose in [false, true] {
            let mut receipt = tree(&notary.receipt(run, disclose).await.unwrap());
            let wrong: Vec<_> = schema.iter_errors(&receipt).map(|error| error.to_string()).collect();
            assert_eq!(wrong, [""; 0], "{name}");
            receipt["statement"]["more"] = json!(1);
            assert!(!schema.is_valid(&receipt));
        }
    }
}

/// Beside what this library says of each: what a verifier says that shares nothing with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verifier_in_another_language_takes_and_refuses_the_same_receipts() {
    let dir = tempfile::tempdir().unwrap();
    let (store, file) = (open(&dir.path().join("s")), dir.path().join("receipt.json"));
    append_all(&store).await;
    let trusted = trusting(&store, &[1]);
    let notary = notary(&store, 1).await;
    let says = |text: &str, trusted: &PublicKeys| {
        fs::write(&file, text).unwrap();
        python(trusted, "receipt", &file)
    };
    for (name, run, events) in runs() {
        let receipt = notary.receipt(run, true).await.unwrap().to_json().unwrap();
        let said = says(&receipt, &trusted).unwrap();
        assert!(
            said.contains(&format!("{run}")) && said.contains(&format!("{} events", events.len())),
            "{name}: {said}"
        );
        assert!(says(&receipt, &trusting(&store, &[2])).unwrap_err().contains("no key that is trusted"));
    }
    let receipt = tree(&notary.receipt(run_named("approved"), true).await.unwrap());
    let keeps_all = |changed: &Value| {
        changed["disclosed"].as_array().map(Vec::len) == receipt["disclosed"].as_array().map(Vec::len)
    };
    // Each start of it takes a while.
    for changed in changed(&receipt).into_iter().filter(keeps_all).step_by(7) {
        refused(&changed, &trusted);
        let said = says(&changed.to_string(), &trusted).unwrap_err();
        assert!(
            said.contains("does not hold") && !said.contains("not in its canonical form"),
            "{said}: {changed}"
        );
    }
    let golden = folder("receipts-v1");
    let keys = PublicKeys::parse(&fs::read_to_string(golden.join("keys.pub")).unwrap()).unwrap();
    for (name, ..) in runs() {
        python(&keys, "receipt", &golden.join(format!("{name}.receipt.json"))).unwrap();
    }
}
