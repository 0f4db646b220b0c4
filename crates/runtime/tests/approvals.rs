//! Approvals: a durable wait for a person, bound to exactly what was asked.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::time::Duration;

use common::{
    BOSS, Do, Impatient, Rule, TestClock, USER, as_dyn, builder, carry_out, ledger, overwriting, put,
    puts_of_b, request, until_logged,
};
use enact_core::document::{ApprovalOutcome, RunDocument};
use enact_core::error::{Error, ErrorCode};
use enact_core::event::{ApprovalWord, Event};
use enact_core::ids::{EventSeq, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::policy::{Approval, Request, Verdict};
use enact_core::run::{RunStatus, UndoOutcome, Void};
use enact_runtime::{Enact, Recovery, RollbackOptions, Run, RunRequest, Tries, Workflow, WorkflowCx, erase};
use enact_store::MemoryStore;
use enact_testkit::world::{Put, World};
use serde_json::json;

type Judge = fn(&Request<'_>) -> Verdict;

/// The run as a whole has to be approved.
fn every_run(request: &Request<'_>) -> Verdict {
    if request.action().is_none() { Verdict::needs_approval("somebody has to look") } else { Verdict::Pass }
}

fn by_boss_within_an_hour(request: &Request<'_>) -> Verdict {
    match request.action() {
        Some(_) => Verdict::NeedsApproval(
            Approval::new("the boss decides").by([BOSS]).within(Duration::from_secs(3600)),
        ),
        None => Verdict::Pass,
    }
}

async fn start(world: &World, store: &MemoryStore, judge: Judge) -> Enact {
    builder(world, &as_dyn(store)).policy(Rule("first", judge)).start().await.unwrap()
}

fn code(run: &Run) -> Option<ErrorCode> {
    run.state().error.as_ref().map(|error| error.code)
}

async fn names(enact: &Enact, run: RunId) -> Vec<&'static str> {
    let events = enact.store().read(run, EventSeq(1), 1000).await.unwrap();
    events.iter().map(|event| event.event.name()).collect()
}

#[tokio::test]
async fn an_action_waits_for_a_person_and_is_done_when_it_is_approved() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store, puts_of_b).await;
    let waits = enact.run_to_end(request(&[put("a"), put("b"), put("c")])).await.unwrap();
    assert_eq!(waits.status(), RunStatus::AwaitingApproval);
    assert_eq!(ledger(&world), ["put a"], "nothing of what waits has happened");
    let document = RunDocument::new(waits.state());
    let [open] = &document.approvals[..] else { unreachable!("one approval: {document:?}") };
    assert_eq!((open.seq, open.action.as_deref()), (Some(Seq(2)), Some("world.put")));
    assert_eq!(
        (open.reasons[0].policy.as_str(), open.reasons[0].reason.as_str()),
        ("four-eyes", "b is precious")
    );
    assert_eq!(open.params.as_ref().unwrap().value(), json!({ "key": "b", "value": "ours" }));

    let run = enact.approve(waits.id, None, BOSS).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["put a", "put b", "put c"]);
    let document = RunDocument::new(run.state());
    assert_eq!(document.approvals.len(), 1, "it is asked for once, though both gates want it");
    assert_eq!(document.approvals[0].by.as_deref(), Some(BOSS));
    assert!(document.policy_results.iter().all(|result| result.verdict.passed));
}

#[tokio::test]
async fn what_is_only_read_waits_for_a_person_too_when_what_was_found_wants_one() {
    let (world, store) = (World::new(), MemoryStore::new());
    world.set("taken", "theirs");
    let enact = start(&world, &store, overwriting).await;
    let waits = enact.run_to_end(request(&[Do::Get("new".into()), Do::Get("taken".into())])).await.unwrap();
    assert_eq!(waits.status(), RunStatus::AwaitingApproval);
    assert_eq!(waits.state().open_approvals().next().unwrap().seq(), Some(Seq(2)));
    let run = enact.approve(waits.id, None, BOSS).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(run.document().approvals.len(), 1);
}

#[tokio::test]
async fn case_06_an_approval_is_used_once_and_a_finished_run_cannot_be_approved_again() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store, puts_of_b).await;
    // The same action twice: each is another one, and waits for itself.
    let twice = [put("b"), Do::Remove("a".into()), put("b")];
    world.set("a", "there");
    let waits = enact.run_to_end(request(&twice)).await.unwrap();
    let again = enact.approve(waits.id, Some(Seq(1)), BOSS).await.unwrap();
    // What is there already is no effect, and the second put of the same value would be none.
    assert_eq!(again.status(), RunStatus::AwaitingApproval);
    let first = &again.state().approvals[0].request.digest;
    let second = &again.state().open_approvals().next().unwrap().request.digest;
    assert_ne!(first, second);
    let done = enact.approve(waits.id, None, BOSS).await.unwrap();
    assert_eq!(done.status(), RunStatus::Completed);
    for word in [enact.approve(waits.id, None, BOSS).await, enact.deny(waits.id, None, BOSS, None).await] {
        assert_eq!(word.unwrap_err().code(), ErrorCode::Conflict);
    }
    assert_eq!(enact.state(waits.id).await.unwrap().version, done.state().version, "nothing was recorded");
}

#[tokio::test]
async fn whoever_asked_for_the_run_cannot_approve_it_under_any_spelling() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store, puts_of_b).await;
    let waits = enact.run_to_end(request(&[put("b")])).await.unwrap();
    for by in [USER.to_owned(), USER.to_uppercase(), format!(" {USER} ")] {
        let refused = enact.approve(waits.id, None, by).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::ApprovalDenied);
        assert!(refused.message().contains("somebody else"), "{refused}");
    }
    let still = enact.wait(waits.id).await.unwrap();
    assert_eq!(still.status(), RunStatus::AwaitingApproval);
    // To give it up is another thing.
    let denied = enact.deny(waits.id, None, USER, None).await.unwrap();
    assert_eq!((denied.status(), code(&denied)), (RunStatus::Blocked, Some(ErrorCode::ApprovalDenied)));
}

#[tokio::test]
async fn only_those_who_are_named_may_approve() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store, by_boss_within_an_hour).await;
    let waits = enact.run_to_end(request(&[put("a")])).await.unwrap();
    let refused = enact.approve(waits.id, None, "friend@example.com").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ApprovalDenied);
    assert!(refused.message().contains(BOSS), "{refused}");
    assert_eq!(enact.approve(waits.id, None, BOSS).await.unwrap().status(), RunStatus::Completed);
}

#[tokio::test]
async fn what_is_denied_is_blocked_before_an_effect_and_rolls_back_after_one() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store, puts_of_b).await;
    let waits = enact.run_to_end(request(&[put("b")])).await.unwrap();
    let denied = enact.deny(waits.id, None, BOSS, Some("not today".into())).await.unwrap();
    assert_eq!((denied.status(), code(&denied)), (RunStatus::Blocked, Some(ErrorCode::ApprovalDenied)));
    assert!(denied.state().error.as_ref().unwrap().message.contains("not today"));
    assert!(world.ledger().is_empty());

    let waits = enact.run_to_end(request(&[put("a"), put("b")])).await.unwrap();
    let denied = enact.deny(waits.id, None, BOSS, None).await.unwrap();
    assert_eq!((denied.status(), code(&denied)), (RunStatus::RolledBack, Some(ErrorCode::ApprovalDenied)));
    assert_eq!(ledger(&world), ["put a", "restore a"]);
}

#[tokio::test]
async fn the_run_as_a_whole_waits_before_its_code_is_asked() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store, every_run).await;
    let waits = enact.run_to_end(request(&[put("a")])).await.unwrap();
    assert_eq!(waits.status(), RunStatus::AwaitingApproval);
    assert_eq!(names(&enact, waits.id).await, ["RunAccepted", "ApprovalRequested"]);
    assert_eq!(world.captures(), 0);
    let run = enact.approve(waits.id, None, BOSS).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["put a"]);

    let waits = enact.run_to_end(request(&[put("b")])).await.unwrap();
    let denied = enact.deny(waits.id, None, BOSS, None).await.unwrap();
    assert_eq!((denied.status(), code(&denied)), (RunStatus::Blocked, Some(ErrorCode::ApprovalDenied)));
    assert_eq!(ledger(&world), ["put a"]);
}

#[tokio::test]
async fn what_was_approved_on_what_was_found_is_asked_for_again_where_something_else_is_found() {
    let (world, store) = (World::new(), MemoryStore::new());
    world.set("k", "theirs");
    let enact = start(&world, &store, overwriting).await;
    let waits = enact.run_to_end(request(&[put("k")])).await.unwrap();
    assert_eq!(waits.status(), RunStatus::AwaitingApproval);
    let open = waits.state().open_approvals().next().unwrap();
    assert_eq!(open.request.facts.as_ref().unwrap().value()["exists"], json!(true));
    assert!(world.ledger().is_empty());
    // The approval is of overwriting; by now there is nothing to overwrite, and nothing to approve.
    world.unset("k");
    let run = enact.approve(waits.id, None, BOSS).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["put k"]);
}

#[tokio::test]
async fn nothing_is_held_while_a_person_is_waited_for() {
    let (world, store) = (World::new(), MemoryStore::new());
    world.set("k", "theirs");
    let enact = start(&world, &store, overwriting).await;
    let waits = enact.run_to_end(request(&[put("k")])).await.unwrap();
    assert_eq!(waits.status(), RunStatus::AwaitingApproval);
    // Another run gets the key of the same target.
    let other = enact.run_to_end(request(&[Do::Remove("k".into())])).await.unwrap();
    assert!(matches!(other.status(), RunStatus::AwaitingApproval | RunStatus::Completed));
    let read = enact.run_to_end(request(&[Do::Get("k".into())])).await.unwrap();
    assert_eq!(read.status(), RunStatus::Completed);
}

#[tokio::test]
async fn an_approval_that_nobody_gives_expires() {
    let (world, store, clock) = (World::new(), MemoryStore::new(), TestClock::new());
    let make = |store: &MemoryStore| {
        builder(&world, &as_dyn(store))
            .policy(Rule("first", by_boss_within_an_hour))
            .clock(clock.clone())
            .recovery(Recovery::OnRequest)
    };
    let enact = make(&store).start().await.unwrap();
    let waits = enact.run_to_end(request(&[put("a")])).await.unwrap();
    clock.forward(Duration::from_secs(3601));
    enact.shutdown(Duration::from_secs(5)).await;

    // Whoever comes first finds that its time is over: with a word that is too late, or to carry it on.
    for how in 0..3 {
        let crashed = store.crash();
        let enact = make(&crashed).start().await.unwrap();
        let expired = match how {
            0 => enact.approve(waits.id, None, BOSS).await.unwrap(),
            1 => enact.deny(waits.id, Some(Seq(1)), BOSS, None).await.unwrap(),
            _ => enact.resume(waits.id, "os:me").await.unwrap(),
        };
        assert_eq!(
            (expired.status(), code(&expired)),
            (RunStatus::Blocked, Some(ErrorCode::ApprovalExpired))
        );
        let decided = expired.state().approvals[0].decided.as_ref().unwrap();
        assert_eq!((decided.word, decided.by.as_ref()), (ApprovalWord::Expired, None));
    }
    assert!(world.ledger().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_approval_expires_by_itself_in_a_runtime_that_goes_on() {
    let (world, store) = (World::new(), MemoryStore::new());
    fn soon(request: &Request<'_>) -> Verdict {
        match request.action() {
            Some(_) => Verdict::NeedsApproval(Approval::new("quick").within(Duration::from_millis(30))),
            None => Verdict::Pass,
        }
    }
    let enact = start(&world, &store, soon).await;
    let waits = enact.run_to_end(request(&[put("a")])).await.unwrap();
    until_logged(&enact, waits.id, "RunBlocked").await;
    let state = enact.state(waits.id).await.unwrap();
    assert_eq!(state.error.as_ref().unwrap().code, ErrorCode::ApprovalExpired);
}

#[tokio::test]
async fn a_wait_survives_a_restart_and_is_not_asked_for_twice() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store, puts_of_b).await;
    let waits = enact.run_to_end(request(&[put("a"), put("b")])).await.unwrap();
    enact.shutdown(Duration::from_secs(5)).await;
    let store = store.crash();

    let enact = start(&world, &store, puts_of_b).await;
    let same = enact.wait(waits.id).await.unwrap();
    assert_eq!(same.status(), RunStatus::AwaitingApproval);
    assert_eq!(same.state().version, waits.state().version, "nothing was recorded anew");
    let run = enact.approve(waits.id, None, BOSS).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["put a", "put b"]);
}

#[tokio::test]
async fn an_approval_that_was_given_before_a_crash_is_still_one() {
    let (world, store) = (World::new(), MemoryStore::new());
    let first = builder(&world, &as_dyn(&store)).policy(Rule("first", puts_of_b)).start().await.unwrap();
    let waits = first.run_to_end(request(&[put("b")])).await.unwrap();
    // The connector is gone when the word comes, so that the action does not come to its intent.
    first.shutdown(Duration::from_secs(5)).await;
    let nothing = Enact::builder().store(as_dyn(&store)).recovery(Recovery::OnRequest).start().await.unwrap();
    // Without the workflow, the run is set aside after the word is recorded.
    let aside = nothing.approve(waits.id, None, BOSS).await.unwrap();
    assert_eq!(aside.status(), RunStatus::Quarantined);
    nothing.shutdown(Duration::from_secs(5)).await;

    let enact = start(&world, &store, puts_of_b).await;
    let run = enact.resume(waits.id, "os:me").await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(run.state().approvals.len(), 1);
    assert_eq!(ledger(&world), ["put b"]);
}

#[tokio::test]
async fn under_other_policies_it_is_asked_for_again() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store, puts_of_b).await;
    let waits = enact.run_to_end(request(&[put("b")])).await.unwrap();
    enact.shutdown(Duration::from_secs(5)).await;

    let other = builder(&world, &as_dyn(&store)).policy(Rule("second", puts_of_b)).start().await.unwrap();
    let asked = other.wait(waits.id).await.unwrap();
    assert_eq!(asked.status(), RunStatus::AwaitingApproval);
    let [void, now] = &asked.state().approvals[..] else { unreachable!("two requests: {asked:?}") };
    assert_eq!((void.void, now.void), (Some(Void::OtherPolicies), None));
    assert_eq!(waits.state().approvals[0].request, void.request);
    assert_eq!(void.request.digest, now.request.digest, "it is the same action");
    other.shutdown(Duration::from_secs(5)).await;

    // Where nobody wants it any more, the run goes on.
    let free = common::start(&world, &store).await;
    let run = free.wait(waits.id).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["put b"]);
    let words: Vec<_> =
        run.document().approvals.into_iter().map(|one| (one.word, one.void.is_some())).collect();
    assert_eq!(words, [(Some(ApprovalOutcome::Withdrawn), true); 2], "what was asked is not forgotten");
}

#[tokio::test]
async fn parallel_actions_wait_each_for_itself_and_others_go_on() {
    let (world, store) = (World::new(), MemoryStore::new());
    fn all_but_c(request: &Request<'_>) -> Verdict {
        match request.action() {
            Some(action) if action.target.id != "c" => Verdict::needs_approval("look"),
            _ => Verdict::Pass,
        }
    }
    let enact = start(&world, &store, all_but_c).await;
    let join = Do::Join(vec![vec![put("a")], vec![put("b")], vec![put("c"), Do::Get("c".into())]]);
    let run = enact.submit(request(&[join])).await.unwrap().run;
    until_logged(&enact, run, "ActionRead").await;
    let waits = enact.wait(run).await.unwrap();
    assert_eq!(waits.status(), RunStatus::AwaitingApproval);
    assert_eq!(ledger(&world), ["put c"]);
    let which = enact.approve(run, None, BOSS).await.unwrap_err();
    assert_eq!(which.code(), ErrorCode::Conflict);
    assert!(which.message().contains("say which one"), "{which}");
    let seqs: Vec<_> = waits.state().open_approvals().map(|open| open.seq()).collect();
    assert_eq!(seqs.len(), 2);
    let first = enact.approve(run, seqs[0], BOSS).await.unwrap();
    assert_eq!(first.status(), RunStatus::AwaitingApproval);
    let done = enact.approve(run, seqs[1], BOSS).await.unwrap();
    assert_eq!(done.status(), RunStatus::Completed);
    assert_eq!(world.ledger().len(), 3);
}

#[tokio::test]
async fn a_run_that_waits_can_be_cancelled_and_rolled_back() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store, puts_of_b).await;
    let one = enact.run_to_end(request(&[put("a"), put("b")])).await.unwrap();
    let cancelled = enact.cancel(one.id, BOSS, None).await.unwrap();
    assert_eq!(cancelled.status(), RunStatus::RolledBack);
    let outcomes: Vec<_> =
        cancelled.state().undo_outcomes().into_iter().map(|(_, outcome, _)| outcome).collect();
    assert_eq!(outcomes, [UndoOutcome::NothingToUndo, UndoOutcome::Undone]);
    assert_eq!(enact.approve(one.id, None, BOSS).await.unwrap_err().code(), ErrorCode::Conflict);

    let two = enact.run_to_end(request(&[put("b")])).await.unwrap();
    let undone = enact.rollback(two.id, RollbackOptions::by(BOSS)).await.unwrap();
    assert_eq!(undone.status(), RunStatus::RolledBack);
    assert_eq!(ledger(&world), ["put a", "restore a"]);
}

#[tokio::test]
async fn shutdown_does_not_wait_for_people() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store, puts_of_b).await;
    let waits = enact.run_to_end(request(&[put("b")])).await.unwrap();
    // It would be given up after this, and a test has less time.
    tokio::time::timeout(Duration::from_secs(60), enact.shutdown(Duration::from_secs(3600))).await.unwrap();
    let enact = start(&world, &store, puts_of_b).await;
    assert_eq!(enact.approve(waits.id, None, BOSS).await.unwrap().status(), RunStatus::Completed);
}

/// Puts `a`, with an approval that the code itself wants.
struct Careful;

impl Workflow for Careful {
    const NAME: &'static str = "careful";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = Vec<String>;

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<Vec<String>, Error> {
        let tries = Tries { approval: true, ..Tries::default() };
        cx.connector::<World>("world")?.act_with(Put::new("a", "ours"), tries).await?;
        carry_out(cx, &[put("b")]).await
    }
}

#[tokio::test]
async fn a_workflow_may_want_an_approval_without_any_policy() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = builder(&world, &as_dyn(&store)).workflow(Careful).start().await.unwrap();
    let request = RunRequest::new(&*erase(Careful), USER, JsonText::null());
    let waits = enact.run_to_end(request).await.unwrap();
    assert_eq!(waits.status(), RunStatus::AwaitingApproval);
    assert!(world.ledger().is_empty());
    assert_eq!(waits.state().approvals[0].request.reasons[0].policy, "workflow");
    assert_eq!(enact.approve(waits.id, None, BOSS).await.unwrap().status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["put a", "put b"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_workflow_does_not_wait_for_any_more_is_not_done_when_it_is_approved() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = builder(&world, &as_dyn(&store)).workflow(Impatient(true)).start().await.unwrap();
    let request = RunRequest::new(&*erase(Impatient(true)), USER, JsonText::null());
    let run = enact.submit(request).await.unwrap().run;
    until_logged(&enact, run, "TimerFired").await;
    let waits = enact.wait(run).await.unwrap();
    let late = waits.state().open_approvals().next().unwrap().seq();
    assert_eq!(late, Some(Seq(1)), "the workflow has gone on, and the first request is still open");

    enact.approve(run, late, BOSS).await.unwrap();
    let run = enact.approve(run, Some(Seq(2)), BOSS).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["put b"], "what nobody waited for did not happen");
    let document = RunDocument::new(run.state());
    let refused = document.actions.as_ref().unwrap()[0].error.as_ref().unwrap();
    assert_eq!(refused.code, ErrorCode::ApprovalExpired);
    assert!(refused.message.contains("went on without it"), "{}", refused.message);
}

#[tokio::test]
async fn policies_that_name_nobody_in_common_block() {
    let (world, store) = (World::new(), MemoryStore::new());
    fn other(request: &Request<'_>) -> Verdict {
        match request.action() {
            Some(_) => Verdict::NeedsApproval(Approval::new("others").by(["other@example.com"])),
            None => Verdict::Pass,
        }
    }
    let enact = builder(&world, &as_dyn(&store))
        .policy(Rule("first", by_boss_within_an_hour))
        .policy(Rule("second", other))
        .start()
        .await
        .unwrap();
    let run = enact.run_to_end(request(&[put("a")])).await.unwrap();
    assert_eq!((run.status(), code(&run)), (RunStatus::Blocked, Some(ErrorCode::PolicyDenied)));
}

#[tokio::test]
async fn what_only_whoever_asked_for_it_could_approve_is_blocked_at_once() {
    let (world, store) = (World::new(), MemoryStore::new());
    fn by_the_user(request: &Request<'_>) -> Verdict {
        match request.action() {
            Some(_) => Verdict::NeedsApproval(Approval::new("mine").by([USER.to_uppercase()])),
            None => Verdict::Pass,
        }
    }
    let enact = start(&world, &store, by_the_user).await;
    let run = enact.run_to_end(request(&[put("a")])).await.unwrap();
    assert_eq!((run.status(), code(&run)), (RunStatus::Blocked, Some(ErrorCode::PolicyDenied)));
    let message = &run.state().error.as_ref().unwrap().message;
    assert!(message.contains("nobody but") && message.contains("asked for the run"), "{message}");
    assert_eq!(ledger(&world), [""; 0]);
}

#[tokio::test]
async fn the_word_is_recorded_under_whoever_gave_it() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store, puts_of_b).await;
    let waits = enact.run_to_end(request(&[put("b")])).await.unwrap();
    enact.approve(waits.id, None, BOSS).await.unwrap();
    let events = enact.store().read(waits.id, EventSeq(1), 100).await.unwrap();
    let by = |wanted: fn(&Event) -> bool| events.iter().find(|event| wanted(&event.event)).unwrap().by;
    assert_eq!(by(|event| matches!(event, Event::ApprovalDecided(_))), enact.store().pseudonym(BOSS));
    assert_eq!(by(|event| matches!(event, Event::ActionIntended(_))), enact.store().pseudonym(USER));
}

#[tokio::test]
async fn a_no_is_final_whatever_is_there_by_then_and_whatever_the_policies_say() {
    let (world, store) = (World::new(), MemoryStore::new());
    world.set("k", "theirs");
    let enact = start(&world, &store, overwriting).await;
    let waits = enact.run_to_end(request(&[put("k")])).await.unwrap();
    // By now there is nothing to overwrite, and nobody would have to be asked.
    world.unset("k");
    let denied = enact.deny(waits.id, None, BOSS, None).await.unwrap();
    assert_eq!((denied.status(), code(&denied)), (RunStatus::Blocked, Some(ErrorCode::ApprovalDenied)));

    let waits = enact.run_to_end(request(&[put("j"), put("j")])).await.unwrap();
    assert_eq!(waits.status(), RunStatus::Completed);
    world.set("i", "theirs");
    let waits = enact.run_to_end(request(&[put("i")])).await.unwrap();
    enact.shutdown(Duration::from_secs(5)).await;
    // The word comes to a runtime that cannot carry the run on, and the next one has no policies.
    let nothing = Enact::builder().store(as_dyn(&store)).recovery(Recovery::OnRequest).start().await.unwrap();
    assert_eq!(nothing.deny(waits.id, None, BOSS, None).await.unwrap().status(), RunStatus::Quarantined);
    nothing.shutdown(Duration::from_secs(5)).await;
    let free = common::start(&world, &store).await;
    let denied = free.resume(waits.id, "os:me").await.unwrap();
    assert_eq!((denied.status(), code(&denied)), (RunStatus::Blocked, Some(ErrorCode::ApprovalDenied)));
    assert_eq!(ledger(&world), ["put j"]);
}

#[tokio::test]
async fn a_run_as_a_whole_is_decided_in_another_process() {
    let (world, store) = (World::new(), MemoryStore::new());
    let make =
        || builder(&world, &as_dyn(&store)).policy(Rule("first", every_run)).recovery(Recovery::OnRequest);
    let enact = make().start().await.unwrap();
    let yes = enact.run_to_end(request(&[put("a")])).await.unwrap();
    let no = enact.run_to_end(request(&[put("b")])).await.unwrap();
    enact.shutdown(Duration::from_secs(5)).await;

    let enact = make().start().await.unwrap();
    assert_eq!(enact.approve(yes.id, None, BOSS).await.unwrap().status(), RunStatus::Completed);
    assert_eq!(enact.approve(no.id, None, USER).await.unwrap_err().code(), ErrorCode::ApprovalDenied);
    assert_eq!(enact.deny(no.id, None, BOSS, None).await.unwrap().status(), RunStatus::Blocked);
    assert_eq!(ledger(&world), ["put a"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_approved_is_done_once_though_its_time_is_over_meanwhile() {
    fn soon(request: &Request<'_>) -> Verdict {
        match request.action() {
            Some(_) => Verdict::NeedsApproval(Approval::new("quick").within(Duration::from_secs(5))),
            None => Verdict::Pass,
        }
    }
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = start(&world, &store, soon).await;
    let waits = enact.run_to_end(request(&[put("a")])).await.unwrap();
    world.close_gate();
    let approving = tokio::spawn({
        let (enact, run) = (enact.clone(), waits.id);
        async move { enact.approve(run, None, BOSS).await.unwrap().status() }
    });
    common::until("the action is under way", || world.at_gate() == 1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.open_gate();
    assert_eq!(approving.await.unwrap(), RunStatus::Completed);
    assert_eq!(ledger(&world), ["put a"]);
}

#[tokio::test]
async fn an_undo_needs_no_leave_of_any_policy() {
    let (world, store) = (World::new(), MemoryStore::new());
    let free = common::start(&world, &store).await;
    let run = free.run_to_end(request(&[put("a")])).await.unwrap();
    free.shutdown(Duration::from_secs(5)).await;
    let strict = start(&world, &store, |_| Verdict::deny("nothing at all")).await;
    assert_eq!(strict.run_to_end(request(&[put("b")])).await.unwrap().status(), RunStatus::Blocked);
    let undone = strict.rollback(run.id, RollbackOptions::by(BOSS)).await.unwrap();
    assert_eq!(undone.status(), RunStatus::RolledBack);
    assert_eq!(ledger(&world), ["put a", "restore a"]);
}
