//! The gate: allowlists and policies, on the run, on the exact action, on what capture found.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use common::{Do, USER, as_dyn, builder, ledger, put, request, until};
use enact_core::connector::Allow;
use enact_core::document::RunDocument;
use enact_core::error::{Error, ErrorCode};
use enact_core::event::Event;
use enact_core::ids::{EventSeq, Pseudonym, RunId};
use enact_core::json::JsonText;
use enact_core::policy::{Policy, Request, Stage, Verdict};
use enact_core::run::RunStatus;
use enact_core::store::EventStore;
use enact_runtime::{Enact, RollbackOptions, RunRequest, Tries, Workflow, WorkflowCx};
use enact_store::MemoryStore;
use enact_testkit::world::{Fault, World};
use parking_lot::Mutex;
use serde_json::json;

type Judge = dyn Fn(&Request<'_>) -> Verdict + Send + Sync;

/// A policy that is a function.
struct Rule(&'static str, Box<Judge>);

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Policy for Rule {
    fn name(&self) -> &str {
        self.0
    }

    fn judge(&self, request: &Request<'_>) -> Verdict {
        (self.1)(request)
    }
}

fn rule(name: &'static str, judge: impl Fn(&Request<'_>) -> Verdict + Send + Sync + 'static) -> Rule {
    Rule(name, Box::new(judge))
}

async fn with(world: &World, store: &MemoryStore, rule: Rule) -> Enact {
    builder(world, &as_dyn(store)).policy(rule).start().await.unwrap()
}

#[tokio::test]
async fn a_run_that_a_policy_denies_is_blocked_before_anything_and_the_verdict_is_kept() {
    let (world, store) = (World::new(), MemoryStore::new());
    let by_role = rule("roles", |request| match request.attributes.get("role") {
        Some(role) if role == "editor" => Verdict::Pass,
        _ => Verdict::deny("editors only"),
    });
    let enact = with(&world, &store, by_role).await;
    let denied = enact.run_to_end(request(&[put("a")])).await.unwrap();
    assert_eq!(denied.status(), RunStatus::Blocked);
    assert_eq!(denied.state().error.as_ref().unwrap().code, ErrorCode::PolicyDenied);
    let verdict = &RunDocument::new(denied.state()).policy_results[0];
    assert_eq!(
        (verdict.verdict.policy.as_str(), verdict.verdict.passed, verdict.seq),
        ("roles", false, None)
    );
    assert_eq!(verdict.verdict.reason, "editors only");
    assert_eq!(world.captures(), 0);

    let editor = json!({ "role": "editor" }).as_object().unwrap().clone();
    let allowed = enact.run_to_end(request(&[put("a")]).attributes(editor)).await.unwrap();
    assert_eq!(allowed.status(), RunStatus::Completed);
}

#[tokio::test]
async fn case_03_a_policy_judges_the_exact_parameters_that_are_then_performed() {
    let (world, store) = (World::new(), MemoryStore::new());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watch = Arc::clone(&seen);
    let only_a = rule("only-a", move |request| {
        let Stage::Action(action) = &request.stage else { return Verdict::Pass };
        watch.lock().push(action.params.clone());
        assert_eq!((action.connector, action.kind, action.action), ("world", "world", "put"));
        if action.target.id == "a" { Verdict::Pass } else { Verdict::deny("only a") }
    });
    let enact = with(&world, &store, only_a).await;
    // The payload speaks of a; the code then asks for b.
    let run = enact.run_to_end(request(&[put("a"), put("b")])).await.unwrap();
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert_eq!(run.state().error.as_ref().unwrap().code, ErrorCode::PolicyDenied);
    assert_eq!(ledger(&world), ["put a", "restore a"], "b never happened");
    assert_eq!(seen.lock()[0], json!({ "key": "a", "value": "ours" }));

    let events = store_events(&enact, run.id).await;
    let performed: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::ActionIntended(intended) => Some(intended.call.params.value()),
            _ => None,
        })
        .collect();
    assert_eq!(performed, [json!({ "key": "a", "value": "ours" })], "what was judged is what was intended");
}

async fn store_events(enact: &Enact, run: enact_core::ids::RunId) -> Vec<Event> {
    let events = enact.store().read(run, EventSeq(1), 100).await.unwrap();
    events.into_iter().map(|event| event.event).collect()
}

#[tokio::test]
async fn a_policy_judges_what_capture_found_before_the_intent() {
    let (world, store) = (World::new(), MemoryStore::new());
    world.set("taken", "theirs");
    let no_overwriting = rule("no-overwriting", |request| match &request.stage {
        Stage::Captured(_, facts) if facts.get("exists") == Some(&json!(true)) => Verdict::deny("it exists"),
        _ => Verdict::Pass,
    });
    let enact = with(&world, &store, no_overwriting).await;
    let run = enact.run_to_end(request(&[put("new"), put("taken")])).await.unwrap();
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert_eq!(ledger(&world), ["put new", "restore new"]);
    assert_eq!(world.values()["taken"], "theirs");
}

#[tokio::test]
async fn what_is_only_read_is_judged_on_what_capture_found_too() {
    let (world, store) = (World::new(), MemoryStore::new());
    world.set("taken", "theirs");
    let only_new = rule("only-new", |request| match &request.stage {
        Stage::Captured(_, facts) if facts.get("exists") == Some(&json!(true)) => Verdict::deny("it exists"),
        _ => Verdict::Pass,
    });
    let enact = with(&world, &store, only_new).await;
    let run = enact.run_to_end(request(&[Do::Get("new".into()), Do::Get("taken".into())])).await.unwrap();
    assert_eq!(run.status(), RunStatus::Blocked);
    assert_eq!(run.state().error.as_ref().unwrap().code, ErrorCode::PolicyDenied);
    let events = store_events(&enact, run.id).await;
    let kinds: Vec<_> = events.iter().map(Event::name).filter(|name| name.starts_with("Action")).collect();
    assert_eq!(kinds, ["ActionRead", "ActionRefused"]);
    assert!(!format!("{events:?}").contains("theirs"), "what was refused is nowhere");
}

#[tokio::test]
async fn case_04_a_policy_that_panics_has_said_no_with_a_record() {
    let (world, store) = (World::new(), MemoryStore::new());
    let broken = rule("broken", |request| match request.stage {
        Stage::Run => Verdict::Pass,
        _ => panic!("the rule is broken"),
    });
    let enact = with(&world, &store, broken).await;
    let run = enact.run_to_end(request(&[put("a")])).await.unwrap();
    assert_eq!(run.status(), RunStatus::Blocked);
    assert!(world.ledger().is_empty());
    let results = RunDocument::new(run.state()).policy_results;
    let no = results.iter().find(|result| !result.verdict.passed).unwrap();
    assert_eq!((no.verdict.policy.as_str(), no.seq.map(|seq| seq.0)), ("broken", Some(1)));
    assert!(no.verdict.reason.contains("panicked"), "{}", no.verdict.reason);

    let broken = rule("broken", |_| panic!("at once"));
    let enact = with(&world, &MemoryStore::new(), broken).await;
    assert_eq!(enact.run_to_end(request(&[put("a")])).await.unwrap().status(), RunStatus::Blocked);
}

#[tokio::test]
async fn one_no_is_enough_and_every_verdict_is_kept() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = builder(&world, &as_dyn(&store))
        .policy(rule("yes", |_| Verdict::Pass))
        .policy(rule(
            "no",
            |request| if request.action().is_some() { Verdict::deny("no") } else { Verdict::Pass },
        ))
        .start()
        .await
        .unwrap();
    let run = enact.run_to_end(request(&[put("a")])).await.unwrap();
    let results = RunDocument::new(run.state()).policy_results;
    let of_action: Vec<_> =
        results.iter().filter(|result| result.seq.is_some()).map(|r| r.verdict.passed).collect();
    assert_eq!(of_action, [true, false]);
}

#[tokio::test]
async fn case_01_an_empty_allowlist_allows_nothing() {
    let (world, store) = (World::new(), MemoryStore::new());
    let nothing: [&str; 0] = [];
    let toolbox = world.clone().allow(nothing).unwrap();
    let enact = Enact::builder().store(as_dyn(&store)).connector("world", toolbox).start().await.unwrap();
    let params = || JsonText::parse(r#"{"key": "a", "value": "x"}"#).unwrap();
    for action in ["put", "get", "remove", "launch"] {
        let run = enact.run_to_end(RunRequest::act("world", action, params(), USER)).await.unwrap();
        assert_eq!(run.status(), RunStatus::Blocked, "{action}");
    }
    // The undo of an action is none that could be named.
    assert!(enact.run_to_end(RunRequest::act("world", "restore", params(), USER)).await.is_err());
    assert_eq!((world.captures(), world.ledger().len()), (0, 0));
    assert!(world.clone().allow(["putt"]).is_err(), "a name that is none is no entry");
}

fn planted() -> Result<JsonText, Error> {
    JsonText::parse(r#"{"key": "a", "before": "planted", "after": "x"}"#)
}

/// Asks for an undo by its name.
struct Plants;

impl Workflow for Plants {
    const NAME: &'static str = "plants";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
        cx.act("world", "restore", planted()?, Tries::default()).await.map(drop)
    }
}

#[tokio::test]
async fn case_02_what_is_allowed_can_be_undone_and_the_undo_cannot_be_asked_for() {
    let (world, store) = (World::new(), MemoryStore::new());
    let toolbox = world.clone().allow(["put"]).unwrap();
    let enact = Enact::builder().store(as_dyn(&store)).connector("world", toolbox).workflow(Plants);
    let enact = enact.start().await.unwrap();
    let params = || JsonText::parse(r#"{"key": "a", "value": "x"}"#).unwrap();
    let run = enact.run_to_end(RunRequest::act("world", "put", params(), USER)).await.unwrap();
    let asked = RunRequest::act("world", "restore", planted().unwrap(), USER);
    assert_eq!(enact.run_to_end(asked).await.unwrap_err().code(), ErrorCode::InvalidParameters);
    let by_code = enact.run(Plants, USER, ()).await.unwrap();
    assert_eq!(by_code.status(), RunStatus::Blocked);
    assert_eq!(by_code.state().error.as_ref().unwrap().code, ErrorCode::PermissionDenied);
    assert_eq!(world.values()["a"], "x");
    let undone = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(undone.status(), RunStatus::RolledBack);
    assert!(world.values().is_empty());
}

#[tokio::test]
async fn case_05_a_rollback_is_recorded_under_who_asked_for_it() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = builder(&world, &as_dyn(&store)).start().await.unwrap();
    let run = enact.run_to_end(request(&[put("a")])).await.unwrap();
    let asked = RollbackOptions::by("operator@example.com").reason(Some("a mistake".into()));
    enact.rollback(run.id, asked).await.unwrap();
    let events = enact.store().read(run.id, EventSeq(1), 100).await.unwrap();
    let operator = enact.store().pseudonym("operator@example.com");
    for event in &events {
        let expected = match &event.event {
            Event::RollbackRequested(request) => {
                assert_eq!(
                    (request.by.as_str(), request.reason.as_deref()),
                    ("operator@example.com", Some("a mistake"))
                );
                operator
            }
            Event::CompensationIntended(intended) => {
                assert_eq!(intended.by, "operator@example.com");
                operator
            }
            Event::RunAccepted(_) | Event::ActionIntended(_) => enact.store().pseudonym(USER),
            _ => continue,
        };
        assert_eq!(event.by, expected, "{}", event.event.name());
    }
}

/// By whom each event of a run is recorded to have happened.
async fn recorded_by(store: &MemoryStore, run: RunId, names: &[&str]) -> Vec<(&'static str, Pseudonym)> {
    let events = store.read(run, EventSeq(1), 100).await.unwrap();
    let events = events.iter().map(|event| (event.event.name(), event.by));
    events.filter(|(name, _)| names.contains(name)).collect()
}

#[tokio::test]
async fn case_05_a_rollback_is_recorded_under_who_asked_for_it_also_after_a_crash_in_its_middle() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = builder(&world, &as_dyn(&store)).start().await.unwrap();
    let run = enact.run_to_end(request(&[put("a"), put("b")])).await.unwrap().id;
    world.close_gate();
    let asked = tokio::spawn({
        let enact = enact.clone();
        async move { enact.rollback(run, RollbackOptions::by("operator@example.com")).await }
    });
    until("the crash point: an undo is about to be made", || world.at_gate() == 1).await;
    let crashed = store.crash();
    enact.shutdown(Duration::ZERO).await;
    assert!(asked.await.unwrap().is_err());
    world.open_gate();

    let enact = builder(&world, &as_dyn(&crashed)).start().await.unwrap();
    assert_eq!(enact.wait(run).await.unwrap().status(), RunStatus::RolledBack);
    let undo = ["CompensationResolved", "CompensationIntended", "CompensationSucceeded", "RollbackFinished"];
    let by = recorded_by(&crashed, run, &undo).await;
    let operator = crashed.pseudonym("operator@example.com");
    assert!(by.len() >= 6 && by.iter().all(|(_, by)| *by == operator), "{by:?}");
}

#[tokio::test]
async fn case_05_what_an_agent_does_after_an_operators_word_is_recorded_under_the_agent() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = builder(&world, &as_dyn(&store)).start().await.unwrap();
    world.faults("put", [Fault::LoseReply]);
    world.cannot_tell(true);
    let run = enact.run_to_end(request(&[put("a"), put("b")])).await.unwrap().id;
    world.cannot_tell(false);
    let run = enact.resume(run, "operator@example.com").await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed);
    let by = recorded_by(&store, run.id, &["OperatorDecided", "ActionIntended", "RunSucceeded"]).await;
    let (agent, operator) = (store.pseudonym(USER), store.pseudonym("operator@example.com"));
    let expected = [
        ("ActionIntended", agent),
        ("OperatorDecided", operator),
        ("ActionIntended", agent),
        ("RunSucceeded", agent),
    ];
    assert_eq!(by, expected);
}

#[tokio::test]
async fn case_14_a_rollback_goes_to_the_connector_by_its_recorded_name() {
    let (one, two, store) = (World::new(), World::new(), MemoryStore::new());
    let enact = Enact::builder()
        .store(as_dyn(&store))
        .connector("world", one.clone().allow(["put"]).unwrap())
        .connector("second", two.clone().allow(["put"]).unwrap())
        .start()
        .await
        .unwrap();
    let params = || JsonText::parse(r#"{"key": "a", "value": "x"}"#).unwrap();
    let run = enact.run_to_end(RunRequest::act("second", "put", params(), USER)).await.unwrap();
    one.set("a", "x");
    let undone = enact.rollback(run.id, RollbackOptions::by("me")).await.unwrap();
    assert_eq!(undone.status(), RunStatus::RolledBack);
    assert!(two.values().is_empty());
    assert_eq!(one.values()["a"], "x", "the other one is left alone");
}

#[tokio::test]
async fn a_refusal_that_the_code_handles_does_not_end_the_run() {
    let (world, store) = (World::new(), MemoryStore::new());
    let toolbox = world.clone().allow(["put"]).unwrap();
    let builder = Enact::builder().store(as_dyn(&store)).connector("world", toolbox).workflow(common::Script);
    let enact = builder.start().await.unwrap();
    let script = [Do::Try(Box::new(Do::Remove("x".into()))), put("a")];
    let run = enact.run_to_end(request(&script)).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(run.output::<Vec<String>>().unwrap(), ["permission_denied", "a"]);
}
