//! What must hold at the end, by what happened outside.

use std::collections::{BTreeMap, BTreeSet};

use enact::error::Remains;
use enact::event::{Event, StoredEvent};
use enact::ids::{Direction, EffectId, RunId, Seq};
use enact::prelude::*;
use enact::run::{ActionEnd, Outcome, RunState, UndoOutcome, Undoing};
use enact::store::EventStore;
use enact_testkit::world::{Effect, World};

use crate::wary::{self, Wary};

/// In whose name the run is asked for.
pub(crate) const AGENT: &str = "agent@company.com";

/// What others wrote, in their own order. Every value is another one.
#[derive(Debug, Default)]
pub(crate) struct Others {
    last: BTreeMap<String, String>,
}

impl Others {
    pub(crate) fn write(&mut self, world: &World, key: &str, value: &str) {
        world.set(key, value);
        self.last.insert(key.to_owned(), value.to_owned());
    }
}

/// What the seeds came to, so that a simulation in which nothing happens fails.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) crashes: usize,
    undos: usize,
    forced: usize,
    kept: usize,
    second: usize,
    retried: usize,
    approved: usize,
    refused: usize,
    statuses: BTreeMap<&'static str, usize>,
}

impl Seen {
    pub(crate) fn check(&self) {
        println!("{self:?}");
        assert!(self.approved > 20 && self.refused > 10, "{self:?}");
        let ends = ["completed", "rolled_back", "partially_rolled_back"];
        assert!(ends.iter().all(|status| self.statuses.contains_key(status)), "{self:?}");
        assert!(self.crashes > 50 && self.undos > 50 && self.retried > 10, "{self:?}");
        assert!(self.forced > 5 && self.kept > 5 && self.second > 20, "{self:?}");
    }
}

pub(crate) fn judge(
    events: &[StoredEvent],
    log: &impl EventStore,
    (world, wary): (&World, &Wary),
    others: &Others,
    seen: &mut Seen,
) -> Result<(), String> {
    let mut runs: BTreeMap<RunId, Vec<&StoredEvent>> = BTreeMap::new();
    for event in events {
        runs.entry(event.run_id).or_default().push(event);
    }
    let ledger = world.ledger();
    if let Some(effect) = ledger.iter().find(|effect| !runs.contains_key(&effect.id.run)) {
        return Err(format!("an effect without a run: {effect:?}"));
    }
    seen.second += runs.len().saturating_sub(1);
    for (run, events) in &runs {
        let (own, others_runs): (Vec<_>, Vec<_>) =
            ledger.iter().cloned().partition(|effect| effect.id.run == *run);
        let shared = others_runs.into_iter().map(|effect| effect.key).collect();
        by_whom(events, log)?;
        let (used, noes) = wary::judge(wary, events)?;
        seen.approved += used;
        seen.refused += noes;
        judge_run(events, &own, &shared, world, others, seen)?;
    }
    Ok(())
}

/// `shared` are the keys that other runs touched as well.
fn judge_run(
    events: &[&StoredEvent],
    ledger: &[Effect],
    shared: &BTreeSet<String>,
    world: &World,
    others: &Others,
    seen: &mut Seen,
) -> Result<(), String> {
    let state = RunState::fold(events.iter().copied()).map_err(|illegal| illegal.to_string())?;
    let state = state.ok_or("a run without events")?;
    let wrong = |what: String| {
        let log: Vec<_> = events.iter().map(|event| event.event.name()).collect();
        Err(format!("{what}\nledger: {ledger:#?}\nlog: {log:?}\nundos: {:?}", state.undo_outcomes()))
    };
    *seen.statuses.entry(state.status().as_str()).or_default() += 1;
    seen.undos += ledger.iter().filter(|effect| effect.id.direction == Direction::Undo).count();
    seen.retried += state.actions.values().filter(|action| action.attempts.len() > 1).count();
    if !state.has_ended() {
        return wrong(format!("the run is {}", state.status()));
    }
    let forced = forced(events);
    seen.forced += forced.len();
    seen.kept += usize::from(state.rollback.as_ref().is_some_and(|rollback| rollback.to.is_some()));
    let judged = once(ledger).and_then(|()| trampled(ledger, &forced));
    judged.and_then(|()| recorded(&state, ledger)).or_else(wrong)?;
    left(&state, world, others, ledger, (&forced, shared)).or_else(wrong)
}

/// What was done back is recorded under who asked for it, and what the run did under whose it is, whatever life did it.
fn by_whom(events: &[&StoredEvent], log: &impl EventStore) -> Result<(), String> {
    let mut state = None;
    for event in events {
        let now = RunState::step(state, event).map_err(|illegal| illegal.to_string())?;
        let name = event.event.name();
        let who = match &event.event {
            Event::ActionIntended(_) | Event::RunSucceeded(_) | Event::RunFailed(_) => Some(AGENT),
            Event::CancelRequested(asked) => Some(asked.by.as_str()),
            Event::RollbackRequested(asked) => Some(asked.by.as_str()),
            _ if name.starts_with("Compensation") => Some(now.rollback_by()),
            _ => None,
        };
        if let Some(who) = who.filter(|who| event.by != log.pseudonym(who)) {
            return Err(format!("{name} is not recorded under {who}"));
        }
        state = Some(now);
    }
    Ok(())
}

type Undo = (Seq, u32, u32);

fn undo_of(id: &EffectId) -> Undo {
    (id.seq, id.attempt, id.undo_try)
}

/// The undos that might overwrite what others changed.
fn forced(events: &[&StoredEvent]) -> BTreeSet<Undo> {
    let (mut state, mut forced) = (None, BTreeSet::new());
    for event in events {
        let Ok(now) = RunState::step(state, event) else { break };
        let force = now.rollback.as_ref().is_some_and(|rollback| rollback.force);
        if let Event::CompensationIntended(undo) = &event.event
            && force
        {
            forced.insert((undo.seq, undo.attempt, undo.undo_try));
        }
        state = Some(now);
    }
    forced
}

/// Each action has one effect forward at most, and each intent of an undo one back. (An undo that landed and was
/// reported as failed may be made again, where the target looks again as the action left it: it does no harm then.)
fn once(ledger: &[Effect]) -> Result<(), String> {
    let mut made = BTreeSet::new();
    for effect in ledger {
        let (attempt, undo_try) = match effect.id.direction {
            Direction::Forward => (0, 0),
            Direction::Undo => (effect.id.attempt, effect.id.undo_try),
        };
        if !made.insert((effect.id.seq, attempt, undo_try)) {
            return Err(format!("{} was made twice", effect.id));
        }
    }
    Ok(())
}

/// An undo replaces what its action left, and nothing else, unless that is what was asked for.
fn trampled(ledger: &[Effect], forced: &BTreeSet<Undo>) -> Result<(), String> {
    for undo in ledger.iter().filter(|effect| effect.id.direction == Direction::Undo) {
        let of = EffectId { direction: Direction::Forward, undo_try: 0, ..undo.id };
        let may_overwrite = forced.contains(&undo_of(&undo.id));
        match ledger.iter().find(|effect| effect.id == of) {
            Some(action) if (may_overwrite || action.after == undo.before) && action.before == undo.after => {
            }
            action => return Err(format!("{} replaced something else than {action:?}", undo.id)),
        }
    }
    Ok(())
}

/// The log says of each effect what the ledger says.
fn recorded(state: &RunState, ledger: &[Effect]) -> Result<(), String> {
    let has = |id| ledger.iter().any(|effect| effect.id == id);
    for effect in ledger {
        if effect.id.run != state.id || state.attempt(effect.id.seq, effect.id.attempt).is_none() {
            return Err(format!("{} has no intent", effect.id));
        }
    }
    for (seq, attempt, known) in state.attempts() {
        let of = |direction, undo_try| EffectId { run: state.id, seq, attempt, direction, undo_try };
        let is_there = has(of(Direction::Forward, 0));
        let says = match &known.outcome {
            Outcome::Done(_) => Some(true),
            Outcome::NotApplied | Outcome::Failed(_, Remains::Nothing) => Some(false),
            Outcome::Failed(_, Remains::Perhaps) | Outcome::Unknown(_) | Outcome::Abandoned => None,
            Outcome::Pending | Outcome::InDoubt(_) => {
                return Err(format!("attempt {attempt} of action {seq} is open: {:?}", known.outcome));
            }
        };
        if says.is_some_and(|says| says != is_there) {
            return Err(format!("attempt {attempt} of action {seq} is {:?}", known.outcome));
        }
        let undone = (1..=known.undo_tries).any(|undo_try| has(of(Direction::Undo, undo_try)));
        if matches!(known.undoing, Undoing::Settled(UndoOutcome::Undone, ..)) && !undone {
            return Err(format!("attempt {attempt} of action {seq} was never undone"));
        }
    }
    for (seq, action) in &state.actions {
        let made = ledger.iter().any(|effect| effect.id.seq == *seq);
        if matches!(action.end, Some(ActionEnd::Read(_) | ActionEnd::AlreadyDone(_))) && made {
            return Err(format!("action {seq} did nothing, and has an effect"));
        }
    }
    Ok(())
}

/// What is undone left the world as others would have it, where all of it is undone and nothing by force.
fn left(
    state: &RunState,
    world: &World,
    others: &Others,
    ledger: &[Effect],
    (forced, shared): (&BTreeSet<Undo>, &BTreeSet<String>),
) -> Result<(), String> {
    if !matches!(state.status(), RunStatus::RolledBack | RunStatus::PartiallyRolledBack) {
        return Ok(());
    }
    let mut residue = BTreeSet::new();
    for (seq, outcome, _) in state.undo_outcomes() {
        if outcome.is_residue() {
            let params = state.actions.get(&seq).map(|action| action.call.params.value());
            residue.extend(params.and_then(|params| Some(params.get("key")?.to_string())));
        }
    }
    if state.status() == RunStatus::RolledBack && !residue.is_empty() {
        return Err(format!("rolled back, with {residue:?} left"));
    }
    let overwritten = ledger.iter().filter(|effect| forced.contains(&undo_of(&effect.id)));
    let kept =
        ledger.iter().filter(|effect| !state.rollback.as_ref().is_some_and(|all| all.covers(effect.id.seq)));
    let excepted = overwritten.chain(kept).map(|effect| &effect.key).chain(shared);
    residue.extend(excepted.map(|key| format!("\"{key}\"")));
    for key in ["a", "b", "c"].into_iter().filter(|key| !residue.contains(&format!("\"{key}\""))) {
        let (now, wanted) = (world.values().get(key).cloned(), others.last.get(key).cloned());
        if now != wanted {
            return Err(format!("{}: '{key}' is {now:?}, and others left {wanted:?}", state.status()));
        }
    }
    Ok(())
}
