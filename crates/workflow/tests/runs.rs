//! Runs of declarative workflows, in a world in memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use enact_core::connector::Allow;
use enact_core::error::ErrorCode;
use enact_core::json::JsonText;
use enact_core::run::RunStatus;
use enact_runtime::{Enact, Recovery, RollbackOptions, Run, RunRequest};
use enact_store::MemoryStore;
use enact_testkit::world::{Fault, World};
use enact_workflow::{Declarative, Loader};
use serde_json::{Value, json};

const ALL: &[&str] = &["put", "get", "remove"];

struct Case {
    world: World,
    store: MemoryStore,
    enact: Enact,
}

impl Case {
    async fn new(allowed: &[&str]) -> Self {
        let (world, store) = (World::new(), MemoryStore::new());
        let enact = start(&world, &store, allowed, Recovery::Automatic).await;
        Self { world, store, enact }
    }

    async fn run(&self, text: &str, payload: Value) -> Run {
        self.enact.run_to_end(request(&Declarative::parse(text).unwrap(), payload)).await.unwrap()
    }

    fn value(&self, key: &str) -> Option<String> {
        self.world.values().get(key).cloned()
    }
}

async fn start(world: &World, store: &MemoryStore, allowed: &[&str], recovery: Recovery) -> Enact {
    Enact::builder()
        .store(Arc::new(store.clone()))
        .connector("world", world.clone().allow(allowed).unwrap())
        .declarative(Loader::default())
        .recovery(recovery)
        .start()
        .await
        .unwrap()
}

fn request(workflow: &Declarative, payload: Value) -> RunRequest {
    let attributes = json!({ "team": "blue" }).as_object().cloned().unwrap();
    RunRequest::new(workflow, "me@example.com", JsonText::encode(&payload).unwrap()).attributes(attributes)
}

fn error(run: &Run) -> (ErrorCode, String) {
    let error = run.state().error.clone().unwrap();
    (error.code, error.message)
}

#[tokio::test]
async fn outputs_that_are_too_large_together_are_left_out_of_a_run_that_completes() {
    let case = Case::new(ALL).await;
    case.world.set("big", &"x".repeat(13 << 20));
    let reads = (1..=5).map(|n| format!("  - {{ id: s{n}, action: world.get, with: {{ key: big }} }}\n"));
    let run = case.run(&format!("name: reads\nsteps:\n{}", reads.collect::<String>()), json!(null)).await;
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    assert_eq!(run.output::<Value>().unwrap(), json!(null));
    assert!(run.document().actions.iter().flatten().all(|action| action.success));
}

const COPY: &str = r#"
name: copy
steps:
  - id: read
    action: world.get
    with: { key: "{{ payload.from }}" }
  - id: write
    action: world.put
    when: "{{ steps.read.output.value is not none }}"
    with: { key: "{{ payload.to }}", value: "{{ steps.read.output.value }}" }
  - id: mark
    action: world.put
    with:
      key: mark
      value: |
        {{ user }} of {{ attributes.team }} in {{ run.id }}: {{ steps.write.success }} {{ steps.write.skipped }}
"#;

#[tokio::test]
async fn steps_see_the_payload_the_user_the_run_and_the_steps_before() {
    let case = Case::new(ALL).await;
    case.world.set("a", "1");
    let run = case.run(COPY, json!({ "from": "a", "to": "b" })).await;
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    assert_eq!(case.value("b").unwrap(), "1");
    let mark = format!("me@example.com of blue in {}: true false\n", run.id);
    assert_eq!(case.value("mark").unwrap(), mark);
}

#[tokio::test]
async fn the_output_of_a_run_is_that_of_its_steps_in_their_order() {
    let case = Case::new(ALL).await;
    case.world.set("a", "1");
    let run = case.run(COPY, json!({ "from": "a", "to": "b" })).await;
    assert_eq!(
        run.state().output.as_ref().unwrap().as_str(),
        r#"{"read":{"value":"1"},"write":{"key":"b"},"mark":{"key":"mark"}}"#
    );
}

#[tokio::test]
async fn a_step_whose_when_does_not_hold_is_skipped() {
    let case = Case::new(ALL).await;
    let run = case.run(COPY, json!({ "from": "nothing", "to": "b" })).await;
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    assert_eq!(case.value("b"), None);
    assert!(case.value("mark").unwrap().ends_with(": false true\n"));
    assert_eq!(run.output::<Value>().unwrap()["write"], Value::Null);
    assert_eq!(run.state().actions.len(), 2, "nothing was asked for");
}

#[tokio::test]
async fn when_does_not_hold_for_what_is_false_zero_empty_or_none() {
    let text = r#"{ name: w, steps: [{ id: a, action: world.put, when: "{{ payload.x }}", with: { key: k, value: v } }] }"#;
    for (x, holds) in [
        (json!(false), false),
        (json!(0), false),
        (json!(""), false),
        (json!([]), false),
        (json!({}), false),
        (json!(null), false),
        (json!(true), true),
        (json!(1), true),
        (json!("false"), true),
    ] {
        let case = Case::new(ALL).await;
        let run = case.run(text, json!({ "x": x })).await;
        assert_eq!((run.status(), case.value("k").is_some()), (RunStatus::Completed, holds), "{x}");
    }
}

#[tokio::test]
async fn what_a_system_said_is_never_evaluated() {
    let case = Case::new(ALL).await;
    let sly = "{{ payload.from }}{% for x in range(9) %}{{ user }}{% endfor %}";
    case.world.set("a", sly);
    let run = case.run(COPY, json!({ "from": "a", "to": "b" })).await;
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    assert_eq!(case.value("b").unwrap(), sly);
}

#[tokio::test]
async fn a_single_expression_reaches_the_action_with_its_json_type() {
    let case = Case::new(ALL).await;
    let single =
        r#"{ name: w, steps: [{ id: a, action: world.put, with: { key: k, value: "{{ payload.n }}" } }] }"#;
    let run = case.run(single, json!({ "n": 7 })).await;
    let (code, message) = error(&run);
    assert_eq!(code, ErrorCode::InvalidParameters);
    assert!(message.contains("step 'a' (world.put)") && message.contains("integer `7`"), "{message}");

    let text = single.replace("}}\"", "}}!\"");
    let run = case.run(&text, json!({ "n": 7 })).await;
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    assert_eq!(case.value("k").unwrap(), "7!");
}

const TWO: &str = r#"
name: two
steps:
  - { id: first, action: world.put, with: { key: x, value: ours } }
  - { id: second, action: world.put, retry: { max_attempts: 2 }, with: { key: y, value: "{{ payload.y }}" } }
"#;

#[tokio::test]
async fn a_failure_undoes_what_was_done() {
    let case = Case::new(ALL).await;
    case.world.set("x", "theirs");
    case.world.faults("put", [Fault::Refuse, Fault::Forbid]);
    let run = case.run(TWO, json!({ "y": "v" })).await;
    assert_eq!(run.status(), RunStatus::RolledBack);
    let (code, message) = error(&run);
    assert_eq!(code, ErrorCode::Forbidden);
    assert!(message.starts_with("step 'first' (world.put): "), "{message}");

    case.world.faults("remove", [Fault::Forbid]);
    let text = TWO
        .replace("id: second, action: world.put", "id: second, action: world.remove")
        .replace("key: y, value: \"{{ payload.y }}\"", "key: x");
    let run = case.run(&text, json!({})).await;
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert_eq!(case.value("x").unwrap(), "theirs");
    assert_eq!(case.world.ledger().len(), 2, "one put, one undo");
}

#[tokio::test]
async fn keep_keeps_what_was_done() {
    let case = Case::new(ALL).await;
    let text = TWO.replace("name: two", "name: two\non_failure: keep");
    let run = case.run(&text, json!({})).await;
    assert_eq!(run.status(), RunStatus::Failed);
    assert_eq!(case.value("x").unwrap(), "ours");
}

#[tokio::test]
async fn a_refusal_before_any_effect_blocks_the_run() {
    let case = Case::new(&["get"]).await;
    let run = case.run(TWO, json!({ "y": "v" })).await;
    assert_eq!(run.status(), RunStatus::Blocked);
    let (code, message) = error(&run);
    assert_eq!(code, ErrorCode::PermissionDenied);
    assert_eq!(message, "step 'first' (world.put): Action 'put' not in allowlist");
    assert!(case.world.ledger().is_empty());
}

#[tokio::test]
async fn an_undefined_name_ends_the_run_before_its_step() {
    let case = Case::new(ALL).await;
    let run = case.run(TWO, json!({})).await;
    assert_eq!(run.status(), RunStatus::RolledBack);
    let (code, message) = error(&run);
    assert_eq!(code, ErrorCode::InvalidParameters);
    assert!(message.starts_with("step 'second': with.value: {{ payload.y }}: it is undefined"), "{message}");
    assert_eq!(run.state().actions.len(), 1, "the second step was not asked for");
    assert!(case.world.values().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_step_is_tried_as_often_as_it_says() {
    for (retry, refusals, status) in [
        ("", 2, RunStatus::Completed),
        ("", 3, RunStatus::RolledBack),
        ("retry: { max_attempts: 1 },", 1, RunStatus::RolledBack),
        ("retry: { max_attempts: 5 },", 4, RunStatus::Completed),
        ("retry: { max_attempts: 5 },", 5, RunStatus::RolledBack),
    ] {
        let case = Case::new(ALL).await;
        case.world.faults("put", vec![Fault::Refuse; refusals]);
        let step = format!("{{ id: a, action: world.put, {retry} with: {{ key: k, value: v }} }}");
        let run = case.run(&format!("{{ name: w, steps: [{step}] }}"), json!({})).await;
        assert_eq!(run.status(), status, "{refusals} refusals with '{retry}'");
        assert_eq!(case.value("k").is_some(), status == RunStatus::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_takes_longer_than_its_timeout_is_looked_up_and_not_doubled() {
    let case = Case::new(ALL).await;
    case.world.faults("put", [Fault::Hang]);
    let text =
        r#"{ name: w, steps: [{ id: a, action: world.put, timeout: 2h, with: { key: k, value: v } }] }"#;
    let begun = tokio::time::Instant::now();
    let run = case.run(text, json!({})).await;
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    assert!(begun.elapsed() >= Duration::from_secs(7200), "the clock of the test stands until all wait");
    assert_eq!(case.world.ledger().len(), 1);
}

#[tokio::test]
async fn a_resumed_run_uses_the_text_that_it_kept() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("two.yaml");
    fs::write(&file, TWO).unwrap();
    let case = Case::new(ALL).await;

    // Given a run that is interrupted in its first step,
    case.world.close_gate();
    let workflow = Declarative::load(&file).unwrap();
    let run = case.enact.submit(request(&workflow, json!({ "y": "kept" }))).await.unwrap().run;
    while case.world.at_gate() == 0 {
        tokio::task::yield_now().await;
    }
    case.enact.shutdown(Duration::ZERO).await;
    case.world.open_gate();

    // when its file is another one by the time that it is resumed,
    fs::write(&file, "name: two\nsteps: [{ id: other, action: world.remove, with: { key: z } }]").unwrap();
    let enact = start(&case.world, &case.store, ALL, Recovery::OnRequest).await;
    let run = enact.resume(run, "me").await.unwrap();

    // then it does what it was accepted with.
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    assert_eq!((case.value("x").unwrap(), case.value("y").unwrap()), ("ours".into(), "kept".into()));
    assert_eq!(case.world.ledger().len(), 2);
}

#[tokio::test]
async fn a_run_resumed_after_some_steps_repeats_none_of_them() {
    let case = Case::new(ALL).await;
    case.world.set("a", "1");
    let text =
        COPY.replace("id: mark\n    action: world.put", "id: mark\n    action: world.put\n    timeout: 1h");

    // Given a run that is interrupted in its last step, after the outside has changed,
    case.world.close_gate();
    let workflow = Declarative::parse(text).unwrap();
    let submitted = case.enact.submit(request(&workflow, json!({ "from": "a", "to": "b" }))).await.unwrap();
    while case.world.at_gate() == 0 {
        tokio::task::yield_now().await;
    }
    case.enact.shutdown(Duration::ZERO).await;
    case.world.open_gate();
    case.world.set("a", "2");

    // when it is resumed, then what was read stays read, and the code asks for the same again.
    let enact = start(&case.world, &case.store, ALL, Recovery::Automatic).await;
    let run = enact.wait(submitted.run).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    assert_eq!(case.value("b").unwrap(), "1");
    let run = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert_eq!(case.world.values().into_iter().collect::<Vec<_>>(), [("a".to_owned(), "2".to_owned())]);
}

#[tokio::test]
async fn a_payload_that_is_no_object_is_refused_before_there_is_a_run() {
    let case = Case::new(ALL).await;
    let workflow = Declarative::parse(TWO).unwrap();
    let error = case.enact.run_to_end(request(&workflow, json!([1]))).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidParameters);
    assert_eq!(case.world.captures(), 0);
}
