//! What a second rollback, or an operator's word after the first, takes up again, and what it leaves alone.

mod common;

use std::sync::Arc;

use common::*;
use enact_core::action::Target;
use enact_core::error::ErrorCode;
use enact_core::event::*;
use enact_core::ids::Seq;
use enact_core::run::{Next, RunStatus};

#[test]
fn what_an_operator_gave_up_is_looked_up_again_only_when_a_person_asks_for_a_rollback() {
    let given_up = then(
        running(),
        [
            intended(&call(1), 1),
            resolved(1, 1, Finding::Unknown("no record".into()), false),
            quarantined(Some(1)),
            decided(Some(1), Decision::Abandon),
        ],
    );
    let mut state = fold(&given_up).unwrap_or_else(|illegal| panic!("{illegal}"));
    assert_eq!(state.next(), Next::FinishRollback, "giving up asks nobody");
    state.apply(at(10), &Event::RollbackFinished).unwrap_or_else(|illegal| panic!("{illegal}"));
    assert_eq!(state.status(), RunStatus::PartiallyRolledBack);
    for (finding, status) in [
        (Finding::Unknown("still no record".into()), RunStatus::PartiallyRolledBack),
        (Finding::NotApplied, RunStatus::RolledBack),
    ] {
        assert!(state.can_roll_back(None));
        for event in [rollback(None, false), resolved(1, 1, finding, false), Event::RollbackFinished] {
            state.apply(at(11), &event).unwrap_or_else(|illegal| panic!("{illegal}"));
        }
        assert_eq!(state.status(), status);
    }
    assert!(!state.can_roll_back(None), "what is known is not asked again");
}

#[test]
fn what_was_there_already_is_looked_at_again_when_something_newer_on_its_target_is_still_to_be_undone() {
    // The first made a file, the second deleted it: while nobody knows whether the second was undone, it looks as if
    // the first had been.
    let on = |seq| Arc::new(ActionCall { target: call(1).target.clone(), ..(*call(seq)).clone() });
    let log = then(
        running(),
        [
            intended(&on(1), 1),
            succeeded(1, 1),
            intended(&call(2), 1),
            succeeded(2, 1),
            intended(&on(3), 1),
            succeeded(3, 1),
            run_failed(),
            undo_intended(3, 1, 1),
            undo_resolved(3, 1, Finding::Unknown("no answer".into())),
            undo_intended(2, 1, 1),
            undo_succeeded(2, 1),
            undo_skipped(1, 1, Skipped::AlreadyUndone),
            Event::RollbackFinished,
        ],
    );
    for (asked, found) in [
        (rollback(None, false), Some(undo_resolved(3, 1, Finding::NotApplied))),
        (decided(Some(3), Decision::NotApplied), None),
    ] {
        let mut state = fold(&log).unwrap_or_else(|illegal| panic!("{illegal}"));
        let again = [undo_intended(3, 1, 2), undo_succeeded(3, 1)];
        for event in [asked].into_iter().chain(found).chain(again) {
            state.apply(at(20), &event).unwrap_or_else(|illegal| panic!("{illegal}"));
        }
        assert_eq!(state.next(), Next::Compensate { seq: Seq(1), attempt: 1 }, "and not action 2");
    }
}

#[test]
fn what_looked_undone_is_looked_at_again_when_an_operator_says_that_what_was_on_top_of_it_was_undone() {
    // The first made a file, the second deleted it, and its undo failed. Who then says that it is undone has put the
    // file back.
    let mut state = fold(&made_and_deleted(row("t"), true)).unwrap_or_else(|illegal| panic!("{illegal}"));
    let word = decided(Some(2), Decision::Applied);
    state.apply(at(20), &word).unwrap_or_else(|illegal| panic!("{illegal}"));
    assert_eq!(state.status(), RunStatus::RollingBack);
    for event in [undo_intended(1, 1, 1), undo_succeeded(1, 1), Event::RollbackFinished] {
        state.apply(at(21), &event).unwrap_or_else(|illegal| panic!("{illegal}"));
    }
    assert_eq!(state.status(), RunStatus::RolledBack);

    let undone = made_and_deleted(row("t"), false);
    let mut state = fold(&undone).unwrap_or_else(|illegal| panic!("{illegal}"));
    state.apply(at(20), &word).unwrap_or_else(|illegal| panic!("{illegal}"));
    assert_eq!(state.status(), RunStatus::RolledBack, "what was undone needs no other look");
}

#[test]
fn what_looked_undone_is_looked_at_again_beneath_all_of_its_connector_and_what_was_undone_beneath_its_like() {
    let again = Next::Compensate { seq: Seq(1), attempt: 1 };
    for (deleted_from, looked_undone, next) in [
        (row("t").with("where", "id"), true, again),
        (row("t").with("where", "id"), false, again),
        (row("parents"), true, again),
        (row("parents"), false, Next::FinishRollback),
    ] {
        let log = made_and_deleted(deleted_from, looked_undone);
        let mut state = fold(&log).unwrap_or_else(|illegal| panic!("{illegal}"));
        for event in [rollback(None, false), undo_intended(2, 1, 2), undo_succeeded(2, 1)] {
            state.apply(at(20), &event).unwrap_or_else(|illegal| panic!("{illegal}"));
        }
        assert_eq!(state.next(), next, "{log:#?}");
    }
}

fn row(table: &'static str) -> Target {
    Target::new("row", table).with("table", table)
}

/// A run that made a row of `t` and deleted one, of which the undo of the second failed. The first looked undone
/// then, or was undone.
fn made_and_deleted(deleted_from: Target, looked_undone: bool) -> Vec<Event> {
    let on = |seq, target| Arc::new(ActionCall { target: Some(target), ..(*call(seq)).clone() });
    let log = then(
        running(),
        [
            intended(&on(1, row("t")), 1),
            succeeded(1, 1),
            intended(&on(2, deleted_from), 1),
            succeeded(2, 1),
            run_failed(),
            undo_intended(2, 1, 1),
            undo_failed(2, 1, ErrorCode::Unavailable, false),
        ],
    );
    let first = match looked_undone {
        true => vec![undo_skipped(1, 1, Skipped::AlreadyUndone)],
        false => vec![undo_intended(1, 1, 1), undo_succeeded(1, 1)],
    };
    then(then(log, first), [Event::RollbackFinished])
}

#[test]
fn an_operator_has_no_word_on_what_a_rollback_kept() {
    let log = then(
        running(),
        [
            intended(&call(1), 1),
            succeeded(1, 1),
            intended(&call(2), 1),
            succeeded(2, 1),
            run_succeeded(),
            rollback(Some(1), false),
            undo_conflicted(2, 1),
            Event::RollbackFinished,
        ],
    );
    let mut state = fold(&log).unwrap_or_else(|illegal| panic!("{illegal}"));
    for decision in [Decision::Applied, Decision::NotApplied, Decision::Abandon] {
        let Err(illegal) = state.apply(at(20), &decided(Some(1), decision)) else { panic!("it was kept") };
        assert!(illegal.to_string().contains("action 1 was kept"), "{illegal}");
    }
    state.apply(at(20), &rollback(None, false)).unwrap_or_else(|illegal| panic!("{illegal}"));
    for event in [undo_conflicted(2, 1), undo_conflicted(1, 1), Event::RollbackFinished] {
        state.apply(at(20), &event).unwrap_or_else(|illegal| panic!("{illegal}"));
    }
    let word = decided(Some(1), Decision::Applied);
    state.apply(at(20), &word).unwrap_or_else(|illegal| panic!("{illegal}"));
}
