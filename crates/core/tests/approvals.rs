//! Approvals in the fold: which word may follow which request, and what a run is meanwhile.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use common::*;
use enact_core::event::{ApprovalWord, Event, OnFailure};
use enact_core::ids::Seq;
use enact_core::run::{Phase, RunState, RunStatus};
use enact_core::time::Timestamp;

const BOSS: Option<&str> = Some("boss@company.com");
/// When a request of these tests expires, in seconds.
const EXPIRES: u64 = 1_000;

fn run(events: &[Event]) -> RunState {
    let begin = accepted(OnFailure::Rollback);
    let mut state =
        RunState::begin(run_id(), enact_core::ids::EventSeq(1), Timestamp::from_unix_us(0), &begin).unwrap();
    for event in events {
        state.apply(Timestamp::from_unix_us(0), event).unwrap_or_else(|illegal| panic!("{illegal}"));
    }
    state
}

fn refused_at(state: &RunState, seconds: u64, event: &Event) -> String {
    let mut after = state.clone();
    let illegal = after.apply(Timestamp::from_unix_us(seconds * 1_000_000), event).unwrap_err();
    assert_eq!(after, *state, "what is refused changes nothing");
    illegal.why
}

#[test]
fn a_run_awaits_approval_while_a_request_is_open_and_no_longer() {
    let asked = run(&[judged(true), approval_requested(Some(1), "one", EXPIRES)]);
    assert_eq!((asked.status(), asked.phase), (RunStatus::AwaitingApproval, Phase::Running));
    let approved = run(&[
        judged(true),
        approval_requested(Some(1), "one", EXPIRES),
        approval_decided(Some(1), "one", ApprovalWord::Approved, BOSS),
    ]);
    assert_eq!(approved.status(), RunStatus::Running);
    assert_eq!(approved.approval(Some(Seq(1)), "one").unwrap().decided.as_ref().unwrap().by.as_deref(), BOSS);
    // It went on without: nobody wants it any more.
    let went_on = run(&[judged(true), approval_requested(Some(1), "one", EXPIRES), intended(&call(1), 1)]);
    assert_eq!((went_on.status(), went_on.open_approvals().count()), (RunStatus::Running, 0));
    // Asked anew, it is one request.
    let anew = run(&[
        judged(true),
        approval_requested(Some(1), "one", EXPIRES),
        approval_requested(Some(1), "two", EXPIRES),
    ]);
    assert_eq!(anew.open_approvals().map(|open| open.request.digest.as_str()).collect::<Vec<_>>(), ["two"]);
}

#[test]
fn the_run_as_a_whole_is_approved_before_it_is_judged_and_an_action_after() {
    let judging = run(&[]);
    assert!(
        refused_at(&judging, 0, &approval_requested(Some(1), "one", EXPIRES)).contains("not passed the run")
    );
    let waits = run(&[approval_requested(None, "run", EXPIRES)]);
    assert_eq!((waits.status(), waits.phase), (RunStatus::AwaitingApproval, Phase::Judging));
    let running = run(&[judged(true)]);
    assert!(refused_at(&running, 0, &approval_requested(None, "run", EXPIRES)).contains("already"));
}

#[test]
fn case_06_a_word_is_on_what_was_asked_once_in_time_and_from_somebody_else() {
    let asked = run(&[judged(true), approval_requested(Some(1), "one", EXPIRES)]);
    let word = |digest, word, by| approval_decided(Some(1), digest, word, by);
    for (seconds, event, why) in [
        (0, word("two", ApprovalWord::Approved, BOSS), "something else by now"),
        (0, approval_decided(Some(2), "one", ApprovalWord::Approved, BOSS), "nothing of it waits"),
        (0, word("one", ApprovalWord::Approved, Some("agent@company.com")), "somebody else has to"),
        (0, word("one", ApprovalWord::Approved, Some(" AGENT@Company.com")), "somebody else has to"),
        (0, word("one", ApprovalWord::Approved, Some("agent@company.com\u{200b}")), "somebody else has to"),
        (0, word("one", ApprovalWord::Approved, None), "a word is somebody's"),
        (0, word("one", ApprovalWord::Expired, None), "it expires by itself"),
        (EXPIRES, word("one", ApprovalWord::Expired, BOSS), "it expires by itself"),
        (EXPIRES, word("one", ApprovalWord::Approved, BOSS), "the time for it was over"),
        (EXPIRES, word("one", ApprovalWord::Denied, BOSS), "the time for it was over"),
    ] {
        let refusal = refused_at(&asked, seconds, &event);
        assert!(refusal.contains(why), "{event:?}: {refusal}");
    }
    let mut approved = asked;
    approved.apply(Timestamp::from_unix_us(0), &word("one", ApprovalWord::Approved, BOSS)).unwrap();
    let again = refused_at(&approved, 0, &word("one", ApprovalWord::Denied, BOSS));
    assert!(again.contains("nothing of it waits"), "{again}");
}

#[test]
fn whoever_asked_for_a_run_may_give_it_up() {
    let mut asked = run(&[judged(true), approval_requested(Some(1), "one", EXPIRES)]);
    let no = approval_decided(Some(1), "one", ApprovalWord::Denied, Some("agent@company.com"));
    asked.apply(Timestamp::from_unix_us(0), &no).unwrap();
    assert_eq!(asked.status(), RunStatus::Running);
}
