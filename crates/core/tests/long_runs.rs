//! What one event costs does not grow with the run, and what is tried has an end.

mod common;

use common::*;
use enact_core::document::{ActionResult, RunDocument};
use enact_core::error::{ErrorCode, Remains};
use enact_core::event::{Event, Finding};
use enact_core::ids::Seq;
use enact_core::run::{ATTEMPT_BUDGET, ActionEnd, Next, RunState, RunStatus, UndoOutcome};

/// With a scan of all attempts for each event, or for each action that is shown, this takes minutes. Nothing asserts on
/// that: nextest ends a test after five, and with plain `cargo test` it is for who waits to see.
#[test]
fn twenty_thousand_actions_are_done_in_doubt_and_undone_one_event_at_a_time() {
    const ACTIONS: u64 = 20_000;
    let mut state = fold(&running()).unwrap();
    let mut now = 10;
    let mut step = |state: &mut RunState, event: Event| {
        now += 1;
        state.apply(at(now), &event).unwrap();
    };
    for seq in 1..=ACTIONS {
        step(&mut state, intended(&call(seq), 1));
        assert_eq!(state.next(), Next::Settle { seq: Seq(seq), attempt: 1 });
        step(&mut state, succeeded(seq, 1));
        assert_eq!(state.next(), Next::AskWorkflow);
    }
    step(&mut state, run_failed());
    for seq in (1..=ACTIONS).rev() {
        assert_eq!(state.next(), Next::Compensate { seq: Seq(seq), attempt: 1 });
        step(&mut state, undo_intended(seq, 1, 1));
        assert_eq!(state.next(), Next::SettleUndo { seq: Seq(seq), attempt: 1 });
        step(&mut state, undo_succeeded(seq, 1));
    }
    assert_eq!(state.next(), Next::FinishRollback);
    step(&mut state, Event::RollbackFinished);
    assert_eq!(state.status(), RunStatus::RolledBack);
    let shown = RunDocument::detailed(&state).actions.unwrap();
    let is_undone =
        |action: &ActionResult| action.detail.as_ref().unwrap().reversal.outcome == Some(UndoOutcome::Undone);
    assert_eq!(shown.iter().filter(|action| is_undone(action)).count() as u64, ACTIONS);
}

#[test]
fn case_48_an_action_that_takes_its_process_down_each_time_comes_to_an_end() {
    let mut state = fold(&running()).unwrap();
    let call = call(1);
    let mut attempt = 0;
    while state.next() == Next::AskWorkflow && state.actions.get(&Seq(1)).is_none_or(|a| a.end.is_none()) {
        attempt += 1;
        state.apply(at(9), &intended(&call, attempt)).unwrap();
        state.apply(at(9), &resolved(1, attempt, Finding::NotApplied, true)).unwrap();
    }
    assert_eq!(attempt, ATTEMPT_BUDGET);
    let Some(ActionEnd::Failed(error)) = &state.actions[&Seq(1)].end else { panic!("it has not failed") };
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert!(error.message.contains("again and again"), "{error}");
    assert!(state.apply(at(9), &intended(&call, attempt + 1)).is_err());
}

#[test]
fn an_action_that_fails_each_time_comes_to_an_end_whatever_its_workflow_wants() {
    let mut state = fold(&running()).unwrap();
    for attempt in 1..=ATTEMPT_BUDGET {
        state.apply(at(9), &intended(&call(1), attempt)).unwrap();
        let failed = failed(1, attempt, ErrorCode::Unavailable, Remains::Nothing, true);
        state.apply(at(9), &failed).unwrap();
    }
    assert!(matches!(state.actions[&Seq(1)].end, Some(ActionEnd::Failed(_))));
}

#[test]
fn an_undo_that_takes_its_process_down_each_time_ends_as_residue_and_may_be_asked_for_again() {
    let events = then(running(), [intended(&call(1), 1), succeeded(1, 1), run_failed()]);
    let mut state = fold(&events).unwrap();
    let mut tries = 0;
    while state.next() == (Next::Compensate { seq: Seq(1), attempt: 1 }) {
        tries += 1;
        state.apply(at(9), &undo_intended(1, 1, tries)).unwrap();
        state.apply(at(9), &undo_resolved(1, 1, Finding::NotApplied)).unwrap();
    }
    assert_eq!(tries, ATTEMPT_BUDGET);
    state.apply(at(9), &Event::RollbackFinished).unwrap();
    assert_eq!(state.status(), RunStatus::PartiallyRolledBack);
    assert_eq!(state.undo_outcomes()[0].1, UndoOutcome::Failed);

    state.apply(at(9), &rollback(None, false)).unwrap();
    assert_eq!(state.next(), Next::Compensate { seq: Seq(1), attempt: 1 });
}
