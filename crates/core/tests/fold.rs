//! The fold: from every prefix of a log a run can be carried on and rolled back to an end, and an event that may not
//! follow is an error that changes nothing.
//!
//! A small driver plays the runtime and the outside world: it does what [`RunState::next`] says and records what
//! happens. Effects are counted in the driver, not in the log.

#![expect(clippy::panic, reason = "a test stops at what it does not expect")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use enact_core::document::RunDocument;
use enact_core::error::{ErrorCode, Remains};
use enact_core::event::*;
use enact_core::ids::{CallPath, Seq};
use enact_core::run::{Attempt, Next, Outcome, Phase, RunState, RunStatus, UndoOutcome, Undoing};
use proptest::prelude::*;

/// Runs whose every prefix is looked at.
fn logs() -> Vec<(&'static str, Vec<Event>)> {
    let doubt = || failed(2, 1, ErrorCode::InDoubt, Remains::Perhaps, false);
    let one = || then(running(), [intended(&call(1), 1), succeeded(1, 1)]);
    let two = || then(one(), [intended(&call(2), 1), succeeded(2, 1)]);
    let parallel = |seq, branch| call_at(seq, CallPath::root(1).branch(branch, 1));
    vec![
        ("completed", then(two(), [read(3), already_done(4), run_succeeded()])),
        ("refused", then(one(), [refused(2), run_failed(), undo_intended(1, 1, 1), undo_succeeded(1, 1)])),
        (
            "approved, and not",
            then(
                one(),
                [
                    approval_requested(Some(2), "two", u64::from(u32::MAX)),
                    approval_decided(Some(2), "two", ApprovalWord::Approved, Some("boss@company.com")),
                    intended(&call(2), 1),
                    succeeded(2, 1),
                    approval_requested(Some(3), "three", u64::from(u32::MAX)),
                    approval_decided(Some(3), "three", ApprovalWord::Denied, Some("boss@company.com")),
                    refused(3),
                    run_failed(),
                    undo_intended(2, 1, 1),
                    undo_succeeded(2, 1),
                ],
            ),
        ),
        (
            "retried",
            then(
                running(),
                [
                    intended(&call(1), 1),
                    failed(1, 1, ErrorCode::Unavailable, Remains::Nothing, true),
                    intended(&call(1), 2),
                    failed(1, 2, ErrorCode::Forbidden, Remains::Perhaps, false),
                    run_failed(),
                    undo_intended(1, 2, 1),
                    undo_failed(1, 2, ErrorCode::Unavailable, true),
                    undo_intended(1, 2, 2),
                    undo_succeeded(1, 2),
                    Event::RollbackFinished,
                ],
            ),
        ),
        (
            "in doubt",
            then(
                one(),
                [
                    intended(&call(2), 1),
                    doubt(),
                    resolved(2, 1, Finding::Unknown("no record".into()), false),
                    quarantined(Some(2)),
                    decided(Some(2), Decision::NotApplied),
                    intended(&call(2), 2),
                    succeeded(2, 2),
                    run_succeeded(),
                ],
            ),
        ),
        (
            "given up",
            then(
                one(),
                [
                    intended(&call(2), 1),
                    resolved(2, 1, Finding::Unknown("no record".into()), false),
                    quarantined(Some(2)),
                    decided(Some(2), Decision::Abandon),
                    undo_intended(1, 1, 1),
                    undo_succeeded(1, 1),
                    Event::RollbackFinished,
                    rollback(None, false),
                    resolved(2, 1, Finding::Applied(json("{}")), false),
                    undo_intended(2, 1, 1),
                    undo_succeeded(2, 1),
                    Event::RollbackFinished,
                ],
            ),
        ),
        (
            "side by side, cancelled",
            then(
                running(),
                [
                    intended(&parallel(1, 0), 1),
                    intended(&parallel(2, 1), 1),
                    succeeded(2, 1),
                    cancelled(),
                    succeeded(1, 1),
                    undo_intended(2, 1, 1),
                    undo_succeeded(2, 1),
                    undo_skipped(1, 1, Skipped::AlreadyUndone),
                    Event::RollbackFinished,
                ],
            ),
        ),
        (
            "undone in part, then with force",
            then(
                two(),
                [
                    run_succeeded(),
                    rollback(Some(1), false),
                    undo_conflicted(2, 1),
                    Event::RollbackFinished,
                    rollback(None, true),
                    undo_intended(2, 1, 1),
                    undo_succeeded(2, 1),
                    undo_intended(1, 1, 1),
                    undo_failed(1, 1, ErrorCode::InDoubt, false),
                    undo_resolved(1, 1, Finding::NotApplied),
                    undo_intended(1, 1, 2),
                    undo_succeeded(1, 1),
                    Event::RollbackFinished,
                ],
            ),
        ),
        (
            "time, a value and a target that is not there",
            then(
                one(),
                [
                    Event::TimerSet(TimerSet { path: path(8), due: at(50) }),
                    Event::ValueRecorded(ValueRecorded {
                        path: path(9),
                        what: "now".into(),
                        value: json("1"),
                    }),
                    Event::TimerFired(TimerFired { path: path(8) }),
                    capture_failed(2),
                    run_succeeded(),
                ],
            ),
        ),
        ("blocked", then(vec![accepted(OnFailure::Rollback), judged(false)], [blocked()])),
        (
            "kept",
            then(
                vec![accepted(OnFailure::Keep), judged(true)],
                [intended(&call(1), 1), succeeded(1, 1), run_failed()],
            ),
        ),
    ]
}

/// The outside world: which attempts' effects are there, and how often each came and went.
#[derive(Debug, Default)]
struct World(BTreeMap<(u64, u32), (u32, u32)>);

impl World {
    fn is_there(&self, of: (u64, u32)) -> bool {
        self.0.get(&of).is_some_and(|(came, went)| came > went)
    }

    fn come(&mut self, of: (u64, u32)) {
        self.0.entry(of).or_default().0 += 1;
    }

    fn go(&mut self, of: (u64, u32)) {
        self.0.entry(of).or_default().1 += 1;
    }

    /// As it is after these events, where what nobody recorded either happened or did not.
    fn after(events: &[Event], unrecorded_happened: bool) -> Self {
        let mut world = Self::default();
        let (mut open, mut open_undo) = (BTreeSet::new(), BTreeSet::new());
        for event in events {
            match event {
                Event::ActionIntended(e) => {
                    open.insert((e.call.seq.0, e.attempt));
                }
                Event::ActionSucceeded(e) => {
                    open.remove(&(e.seq.0, e.attempt));
                    world.come((e.seq.0, e.attempt));
                }
                Event::ActionFailed(e) if e.remains == Remains::Nothing => {
                    open.remove(&(e.seq.0, e.attempt));
                }
                // Whose word counts is the operator's, whatever the truth is.
                Event::OperatorDecided(e) if e.decision == Decision::NotApplied => {
                    open.retain(|(seq, _)| Some(*seq) != e.seq.map(|seq| seq.0));
                }
                Event::CompensationIntended(e) => {
                    open_undo.insert((e.seq.0, e.attempt));
                }
                Event::CompensationSucceeded(CompensationSucceeded { seq, attempt, .. })
                | Event::CompensationSkipped(CompensationSkipped {
                    seq,
                    attempt,
                    why: Skipped::AlreadyUndone,
                }) => {
                    let of = (seq.0, *attempt);
                    open_undo.remove(&of);
                    // It was there, as is seen now.
                    if open.remove(&of) {
                        world.come(of);
                    }
                    world.go(of);
                }
                Event::CompensationResolved(e) => {
                    open_undo.remove(&(e.seq.0, e.attempt));
                }
                _ => {}
            }
        }
        if unrecorded_happened {
            open.into_iter().for_each(|of| world.come(of));
            open_undo.into_iter().for_each(|of| {
                if world.is_there(of) {
                    world.go(of)
                }
            });
        }
        world
    }
}

/// Does what comes next until nothing does, or an operator has to decide.
fn drive(state: &mut RunState, world: &mut World, events: &mut Vec<Event>) {
    for _ in 0..200 {
        let event = match state.next() {
            Next::Nothing | Next::AwaitOperator => return,
            Next::Judge => judged(true),
            Next::AskWorkflow => run_succeeded(),
            Next::Settle { seq, attempt } => {
                let is_there = world.is_there((seq.0, attempt));
                resolved(
                    seq.0,
                    attempt,
                    if is_there { Finding::Applied(json("{}")) } else { Finding::NotApplied },
                    false,
                )
            }
            Next::Quarantine { seq } => quarantined(Some(seq.0)),
            Next::Compensate { seq, attempt } if world.is_there((seq.0, attempt)) => {
                let tries = state.attempt(seq, attempt).map_or(0, |attempt| attempt.undo_tries);
                let event = undo_intended(seq.0, attempt, tries + 1);
                state.apply(at(900), &event).unwrap_or_else(|illegal| panic!("{illegal}"));
                events.push(event);
                world.go((seq.0, attempt));
                undo_succeeded(seq.0, attempt)
            }
            Next::Compensate { seq, attempt } => undo_skipped(seq.0, attempt, Skipped::NothingToUndo),
            Next::SettleUndo { seq, attempt } => {
                let is_gone = !world.is_there((seq.0, attempt));
                undo_resolved(
                    seq.0,
                    attempt,
                    if is_gone { Finding::Applied(json("{}")) } else { Finding::NotApplied },
                )
            }
            Next::FinishRollback => Event::RollbackFinished,
        };
        state.apply(at(901), &event).unwrap_or_else(|illegal| panic!("{illegal} after {events:#?}"));
        events.push(event);
    }
    panic!("no end after 200 events: {events:#?}");
}

/// Every prefix of every log, with what was not recorded having happened or not.
fn prefixes() -> impl Iterator<Item = (String, Vec<Event>, World)> {
    logs().into_iter().flat_map(|(name, log)| {
        (1..=log.len()).flat_map(move |length| {
            let prefix: Vec<Event> = log.iter().take(length).cloned().collect();
            [false, true].map(|happened| {
                let world = World::after(&prefix, happened);
                (format!("{name}, {length} events, unrecorded happened: {happened}"), prefix.clone(), world)
            })
        })
    })
}

#[test]
fn from_every_prefix_a_run_goes_on_to_an_end_and_no_effect_comes_twice() {
    let mut count = 0;
    for (name, mut events, mut world) in prefixes() {
        let mut state = fold(&events).unwrap_or_else(|illegal| panic!("{name}: {illegal}"));
        drive(&mut state, &mut world, &mut events);
        assert!(state.has_ended() || state.status() == RunStatus::Quarantined, "{name}: {}", state.status());
        assert!(world.0.values().all(|(came, went)| *came <= 1 && went <= came), "{name}: {world:?}");
        let again = fold(&events).unwrap_or_else(|illegal| panic!("{name}: {illegal}"));
        assert_eq!(again.status(), state.status(), "{name}: the log says the same");
        let document = serde_json::to_value(RunDocument::detailed(&state));
        assert!(document.is_ok(), "{name}");
        count += 1;
    }
    assert!(count > 150, "{count} prefixes");
}

#[test]
fn from_every_prefix_a_rollback_leaves_nothing_that_could_be_undone() {
    for (name, mut events, mut world) in prefixes() {
        let mut state = fold(&events).unwrap_or_else(|illegal| panic!("{name}: {illegal}"));
        if state.apply(at(800), &cancelled()).is_ok() {
            events.push(cancelled());
        }
        let force = rollback(None, true);
        if state.apply(at(801), &force).is_ok() {
            events.push(force);
        }
        drive(&mut state, &mut world, &mut events);
        let left: Vec<_> = world.0.keys().filter(|of| world.is_there(**of)).collect();
        let ends = [RunStatus::RolledBack, RunStatus::PartiallyRolledBack, RunStatus::Blocked];
        assert!(ends.contains(&state.status()), "{name}: {}", state.status());
        assert!(left.is_empty(), "{name}: {left:?} is left\n{events:#?}");
        for (seq, outcome, _) in state.undo_outcomes() {
            assert!(
                !outcome.is_residue() || state.status() == RunStatus::PartiallyRolledBack,
                "{name}: action {seq} is {}",
                outcome.as_str()
            );
        }
        assert!(world.0.values().all(|(came, went)| went <= came && *came <= 1), "{name}: {world:?}");
    }
}

#[test]
fn a_rollback_asked_for_again_undoes_nothing_twice() {
    for (name, mut events, mut world) in prefixes() {
        let mut state = fold(&events).unwrap_or_else(|illegal| panic!("{name}: {illegal}"));
        for _ in 0..3 {
            drop(state.apply(at(800), &cancelled()));
            drop(state.apply(at(801), &rollback(None, false)));
            drive(&mut state, &mut world, &mut events);
        }
        assert!(world.0.values().all(|(came, went)| went <= came), "{name}: {world:?}");
    }
}

/// What comes next, by looking at every attempt.
fn next_by_looking(state: &RunState) -> Next {
    let unsettled = state
        .attempts()
        .find(|(.., attempt)| attempt.outcome.is_unsettled())
        .map(|(seq, attempt, _)| Next::Settle { seq, attempt });
    let unknown = state
        .attempts()
        .find(|(.., attempt)| matches!(attempt.outcome, Outcome::Unknown(_)))
        .map(|(seq, ..)| Next::Quarantine { seq });
    let undo = state.attempts().rev().find_map(|(seq, attempt, known)| {
        let covered = state.rollback.as_ref().is_none_or(|rollback| rollback.covers(seq));
        match (&known.outcome, &known.undoing) {
            // What was begun is found out about, whatever is to be undone now.
            (_, Undoing::Intended(_) | Undoing::InDoubt(..)) => Some(Next::SettleUndo { seq, attempt }),
            _ if !covered => None,
            (
                Outcome::Done(_) | Outcome::Failed(_, Remains::Perhaps),
                Undoing::Not | Undoing::Retrying(_),
            ) => Some(Next::Compensate { seq, attempt }),
            _ => None,
        }
    });
    match state.phase {
        Phase::Running => unsettled.or(unknown).unwrap_or(Next::AskWorkflow),
        Phase::RollingBack => unsettled.or(undo).unwrap_or(Next::FinishRollback),
        Phase::Judging | Phase::Quarantined | Phase::Ended(_) => state.next(),
    }
}

fn is_undone(attempt: &Attempt) -> bool {
    matches!(attempt.undoing, Undoing::Settled(UndoOutcome::Undone, ..))
}

/// What is undone after an event and was not before it.
fn newly_undone<'a>(before: &'a RunState, after: &'a RunState) -> impl Iterator<Item = (Seq, u32)> + 'a {
    let undone = after.attempts().filter(|(.., attempt)| is_undone(attempt));
    undone
        .map(|(seq, number, _)| (seq, number))
        .filter(|(seq, number)| !before.attempt(*seq, *number).is_some_and(is_undone))
}

fn any_event() -> impl Strategy<Value = Event> {
    let (seq, attempt) = (1..4_u64, 1..4_u32);
    let of = (seq.clone(), attempt.clone());
    let finding = prop_oneof![
        Just(Finding::NotApplied),
        Just(Finding::Applied(json("{}"))),
        Just(Finding::Unknown("?".into())),
    ];
    let skipped = prop_oneof![
        Just(Skipped::AlreadyUndone),
        Just(Skipped::NothingToUndo),
        Just(Skipped::Irreversible("no".into())),
    ];
    let decision = prop_oneof![
        Just(Decision::Applied),
        Just(Decision::NotApplied),
        Just(Decision::Abandon),
        Just(Decision::Retry),
    ];
    let code =
        prop_oneof![Just(ErrorCode::InDoubt), Just(ErrorCode::Unavailable), Just(ErrorCode::Forbidden)];
    let remains = prop_oneof![Just(Remains::Nothing), Just(Remains::Perhaps)];
    let on = proptest::option::of(1..4_u64);
    let digest = proptest::sample::select(vec!["one", "two"]);
    let word = proptest::sample::select(vec![
        (ApprovalWord::Approved, Some("boss@company.com")),
        (ApprovalWord::Approved, Some("Agent@company.com ")),
        (ApprovalWord::Denied, Some("agent@company.com")),
        (ApprovalWord::Expired, None),
    ]);
    prop_oneof![
        (on.clone(), digest.clone(), prop_oneof![Just(0_u64), Just(u64::from(u32::MAX))])
            .prop_map(|(seq, digest, seconds)| approval_requested(seq, digest, seconds)),
        (on, digest, word).prop_map(|(seq, digest, (word, by))| approval_decided(seq, digest, word, by)),
        any::<bool>().prop_map(judged),
        of.clone().prop_map(|(seq, attempt)| intended(&call(seq), attempt)),
        of.clone().prop_map(|(seq, attempt)| succeeded(seq, attempt)),
        (of.clone(), code.clone(), remains, any::<bool>())
            .prop_map(|((seq, attempt), code, remains, retry)| failed(seq, attempt, code, remains, retry)),
        (of.clone(), finding.clone(), any::<bool>())
            .prop_map(|((seq, attempt), finding, retry)| resolved(seq, attempt, finding, retry)),
        seq.clone().prop_map(refused),
        seq.clone().prop_map(read),
        seq.clone().prop_map(already_done),
        seq.clone().prop_map(capture_failed),
        Just(run_succeeded()),
        Just(run_failed()),
        Just(blocked()),
        Just(cancelled()),
        (proptest::option::of(0..4_u64), any::<bool>()).prop_map(|(to, force)| rollback(to, force)),
        (of.clone(), 1..4_u32).prop_map(|((seq, attempt), number)| undo_intended(seq, attempt, number)),
        of.clone().prop_map(|(seq, attempt)| undo_succeeded(seq, attempt)),
        (of.clone(), skipped).prop_map(|((seq, attempt), why)| undo_skipped(seq, attempt, why)),
        of.clone().prop_map(|(seq, attempt)| undo_conflicted(seq, attempt)),
        (of.clone(), code, any::<bool>())
            .prop_map(|((seq, attempt), code, retry)| undo_failed(seq, attempt, code, retry)),
        (of, finding).prop_map(|((seq, attempt), finding)| undo_resolved(seq, attempt, finding)),
        Just(Event::RollbackFinished),
        proptest::option::of(1..4_u64).prop_map(quarantined),
        (proptest::option::of(1..4_u64), decision).prop_map(|(seq, decision)| decided(seq, decision)),
        Just(accepted(OnFailure::Keep)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Events in any order, from any prefix on: each follows or is refused, and a refused one leaves the state as it was.
    #[test]
    fn what_may_not_follow_is_an_error_that_changes_nothing(
        begin in proptest::sample::select(prefixes().map(|(_, log, _)| log).collect::<Vec<_>>()),
        events in proptest::collection::vec(any_event(), 0..60),
    ) {
        let mut state = fold(&begin).map_err(|illegal| TestCaseError::fail(illegal.to_string()))?;
        for event in events {
            let before = state.clone();
            if state.apply(at(5), &event).is_err() {
                prop_assert_eq!(&state, &before, "{:?}", event);
            }
            let status = state.status();
            for (seq, _) in newly_undone(&before, &state) {
                let is_of_an_undo = event.name().starts_with("Compensation");
                let covers = state.rollback.as_ref().is_none_or(|rollback| rollback.covers(seq));
                prop_assert!(is_of_an_undo || covers, "action {} was kept: {:?}", seq, event);
            }
            prop_assert_eq!(state.next(), next_by_looking(&state), "after {:?}", event);
            prop_assert_eq!(state.next() == Next::Nothing, state.has_ended(), "{}", status);
            let outcomes = state.undo_outcomes();
            let rolled_back = status == RunStatus::RolledBack;
            prop_assert!(!rolled_back || outcomes.iter().all(|(_, outcome, _)| *outcome <= UndoOutcome::Undone));
        }
    }
}

#[test]
fn an_event_that_belongs_to_another_phase_is_refused_naming_it() {
    let ended = then(running(), [run_succeeded()]);
    let undoing = then(running(), [intended(&call(1), 1), succeeded(1, 1), run_failed()]);
    for (log, event) in [
        (vec![accepted(OnFailure::Rollback)], intended(&call(1), 1)),
        (vec![accepted(OnFailure::Rollback)], run_succeeded()),
        (running(), judged(true)),
        (running(), accepted(OnFailure::Rollback)),
        (running(), succeeded(1, 1)),
        (running(), undo_intended(1, 1, 1)),
        (running(), Event::RollbackFinished),
        (ended.clone(), intended(&call(1), 1)),
        (ended.clone(), cancelled()),
        (ended, decided(Some(1), Decision::Applied)),
        (undoing.clone(), intended(&call(2), 1)),
        (undoing.clone(), run_succeeded()),
        (undoing.clone(), undo_succeeded(1, 1)),
        (undoing.clone(), undo_intended(1, 1, 2)),
        (undoing, Event::RollbackFinished),
    ] {
        let mut state = fold(&log).unwrap_or_else(|illegal| panic!("{illegal}"));
        let Err(illegal) = state.apply(at(9), &event) else {
            panic!("{} may not follow {log:#?}", event.name())
        };
        assert!(illegal.to_string().contains(event.name()), "{illegal}");
        assert_eq!(state, fold(&log).unwrap_or_else(|illegal| panic!("{illegal}")));
    }
}
