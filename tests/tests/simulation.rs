//! A simulation of the runtime: from a seed come a workflow, faults of the outside world, other people's writes,
//! requests, approvals, crashes and restarts. Time is paused, so that hours take milliseconds. Afterwards the world's own ledger
//! says whether each effect was made once or not at all, whether a rollback left the world as it was, and whether
//! anything of others was overwritten.
//!
//! `ENACT_SIM_SEED=7` runs one seed, `ENACT_SIM_SEEDS=100000` more than the usual number. A seed that failed goes to
//! `seeds.txt`.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

#[path = "simulation/judge.rs"]
mod judge;
#[path = "simulation/plan.rs"]
mod plan;
#[path = "simulation/wary.rs"]
mod wary;

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use enact::event::{Decision, Event};
use enact::ids::{Direction, EffectId, EventSeq, RunId, Seq};
use enact::prelude::*;
use enact::run::{Outcome, RunState};
use enact::store::EventStore;
use enact::time::Timestamp;
use enact::{Clock, MemoryStore, Observer, Step};
use enact_testkit::world::World;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use judge::Others;
use plan::{Ask, Chaos, End, LifePlan, Plan, Rng};
use wary::Wary;

/// How many seeds are run by default.
const SEEDS: u64 = 200;

/// No life is longer, in its own time.
const LIFE: Duration = Duration::from_secs(24 * 3600);

/// How often a person sees to a run in one life.
const VISITS: usize = 40;

#[test]
fn whatever_happens_effects_are_made_once_and_nothing_of_others_is_overwritten() {
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse::<u64>().unwrap());
    let kept = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let seeds: Vec<u64> = match (number("ENACT_SIM_SEED"), number("ENACT_SIM_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, count) => kept.map(|line| line.parse().unwrap()).chain(1..=count.unwrap_or(SEEDS)).collect(),
    };
    let mut seen = judge::Seen::default();
    for seed in &seeds {
        if let Err(wrong) = simulate(*seed, &mut seen) {
            panic!(
                "seed {seed}: {wrong}\nrun it alone with ENACT_SIM_SEED={seed}; keep it in tests/tests/seeds.txt\n{:#?}",
                Plan::of(*seed)
            );
        }
    }
    if seeds.len() as u64 >= SEEDS {
        seen.check();
    }
}

/// The same actions whatever happens: the input is the seed, and whether it is the second run.
struct Script;

impl Workflow for Script {
    const NAME: &'static str = "script";
    const VERSION: u32 = 1;
    type Input = (u64, bool);
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, (seed, second): (u64, bool)) -> Result<(), Error> {
        let plan = Plan::of(seed);
        for step in if second { plan.second } else { plan.script } {
            step.take(cx).await?;
        }
        Ok(())
    }
}

/// One simulation, over all its lives.
struct Simulation {
    seed: u64,
    world: World,
    others: Arc<Mutex<Others>>,
    clock: SimClock,
}

/// Goes on over all lives; random numbers come from the seed.
#[derive(Clone, Debug)]
struct SimClock {
    begun: Arc<Mutex<(Duration, Option<tokio::time::Instant>)>>,
    rng: Arc<Mutex<Rng>>,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let (before, since) = *self.begun.lock();
        let now = before + since.map_or(Duration::ZERO, |since| since.elapsed());
        Timestamp::from_unix_us(1_700_000_000_000_000 + u64::try_from(now.as_micros()).unwrap())
    }

    fn random(&self) -> u64 {
        self.rng.lock().next()
    }
}

fn simulate(seed: u64, seen: &mut judge::Seen) -> Result<(), String> {
    let plan = Plan::of(seed);
    let world = World::new();
    let mut others = Others::default();
    for (key, value) in &plan.before {
        others.write(&world, key, value);
    }
    let sim = Simulation {
        seed,
        world,
        others: Arc::new(Mutex::new(others)),
        clock: SimClock { begun: Arc::default(), rng: Arc::new(Mutex::new(Rng::new(seed ^ 0x5eed))) },
    };
    let mut log = MemoryStore::new();
    for life in &plan.lives {
        match sim.live(life, &log)? {
            Some(left) => {
                seen.crashes += 1;
                log = left;
            }
            None => break,
        }
    }
    let events = in_time(async { log.read_all(enact::ids::Position(1), 1024).await });
    judge::judge(
        &events.map_err(|error| error.to_string())?,
        &log,
        (&sim.world, &Wary::of(seed)),
        &sim.others.lock(),
        seen,
    )
}

fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(work)
}

impl Simulation {
    /// One life. Gives what is left of the log where it ended before its run.
    fn live(&self, life: &LifePlan, log: &MemoryStore) -> Result<Option<MemoryStore>, String> {
        in_time(async {
            self.clock.begun.lock().1 = Some(tokio::time::Instant::now());
            let (asked, asks) = mpsc::unbounded_channel();
            let watch = Watch {
                life: life.clone(),
                log: log.clone(),
                world: self.world.clone(),
                others: Arc::clone(&self.others),
                state: Arc::default(),
                ended: Arc::default(),
                asked,
            };
            let lived = tokio::select! {
                biased;
                () = watch.ended.notified() => Ok(()),
                lived = tokio::time::timeout(LIFE, self.see_to(life, &watch, asks)) => {
                    lived.unwrap_or_else(|_| Err(format!("no end within {LIFE:?}: the run is stranded")))
                }
            };
            if watch.state.lock().stops {
                // Whoever waited was told that the runtime stops.
                watch.ended.notified().await;
            }
            let mut begun = self.clock.begun.lock();
            let lasted = begun.1.take().map_or(Duration::ZERO, |since| since.elapsed());
            begun.0 += lasted;
            let left = watch.state.lock().left.take();
            match left {
                Some(left) => Ok(Some(left)),
                None => lived.map(|()| None),
            }
        })
    }

    fn request(&self, second: bool) -> RunRequest {
        RunRequest::of(Script, judge::AGENT, &(self.seed, second)).unwrap()
    }

    /// Runs the script, or takes it up, and does what people do about that run and others.
    async fn see_to(
        &self,
        life: &LifePlan,
        watch: &Watch,
        mut asks: mpsc::UnboundedReceiver<Ask>,
    ) -> Result<(), String> {
        let toolbox = self.world.clone().allow(["put", "remove", "get"]).unwrap();
        let builder = Enact::builder().store(Arc::new(watch.log.clone())).connector("world", toolbox);
        let builder = builder.workflow(Script).clock(self.clock.clone()).observer(watch.clone());
        let builder = if life.is_wary { builder.policy(Wary::of(self.seed)) } else { builder };
        let enact = builder.recovery(life.recovery).start().await.map_err(|error| error.to_string())?;
        let known = watch.log.runs(None, 10).await.map_err(|error| error.to_string())?;
        let run = match known.last() {
            Some(run) => *run,
            None => enact.submit(self.request(false)).await.map_err(|error| error.to_string())?.run,
        };
        let second = self.request(true);
        let people = enact.clone();
        tokio::spawn(async move {
            while let Some(ask) = asks.recv().await {
                let (people, second) = (people.clone(), second.clone());
                tokio::spawn(async move {
                    // What cannot be asked of the run as it stands is refused.
                    match ask {
                        Ask::Cancel => drop(people.cancel(run, "ann", None).await),
                        Ask::RollBack { to, force } => {
                            let options = RollbackOptions::by("bob").to(to.map(Seq)).force(force);
                            drop(people.rollback(run, options).await);
                        }
                        Ask::Second => drop(people.submit(second).await),
                        Ask::Word { seq, yes: true } => {
                            drop(people.approve(run, seq.map(Seq), wary::BOSS).await);
                        }
                        Ask::Word { seq, yes: false } => {
                            drop(people.deny(run, seq.map(Seq), "bob", None).await);
                        }
                        Ask::Shutdown => people.shutdown(Duration::ZERO).await,
                    }
                });
            }
        });
        let mut people = Rng::new(self.seed ^ 0x9e09_1e00 ^ life.recovery as u64);
        let mut seen_to = BTreeSet::new();
        let mut next = Some(run);
        while let Some(run) = next {
            self.visit(&enact, run, life.recovery == Recovery::Automatic, &mut people).await?;
            seen_to.insert(run);
            // Whatever was asked for meanwhile is there then.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let known = watch.log.runs(None, 10).await.map_err(|error| error.to_string())?;
            next = known.into_iter().find(|run| !seen_to.contains(run));
        }
        // Somebody may have asked for something meanwhile: that ends first.
        enact.shutdown(LIFE).await;
        Ok(())
    }

    /// Sees to a run until it is left as it is. Once it is carried in a life, it is carried on without anybody's help.
    async fn visit(
        &self,
        enact: &Enact,
        run: RunId,
        mut is_carried: bool,
        people: &mut Rng,
    ) -> Result<(), String> {
        for _ in 0..VISITS {
            let now = enact.wait(run).await.map_err(|error| error.to_string())?;
            let is_under_way = matches!(now.status(), RunStatus::Running | RunStatus::RollingBack);
            if is_carried && is_under_way {
                return Err(format!("it is {}, and nobody carries it on", now.status()));
            }
            if self.is_left(enact, now.state(), people).await? {
                return Ok(());
            }
            is_carried |= is_under_way;
        }
        let now = enact.state(run).await.map_err(|error| error.to_string())?;
        if now.has_ended() {
            Ok(())
        } else {
            Err(format!("after {VISITS} visits it is still {}", now.status()))
        }
    }

    /// What a person does about a run that nobody carries. True where it is left as it is.
    async fn is_left(&self, enact: &Enact, state: &RunState, people: &mut Rng) -> Result<bool, String> {
        let run = state.id;
        self.world.cannot_tell(people.one_in(4));
        let done = match state.status() {
            RunStatus::Running | RunStatus::RollingBack if people.one_in(3) => {
                enact.rollback(run, RollbackOptions::by("ann")).await
            }
            RunStatus::Running | RunStatus::RollingBack => enact.resume(run, "ann").await,
            RunStatus::Quarantined => {
                let unknown = state
                    .attempts()
                    .find(|(.., attempt)| matches!(attempt.outcome, Outcome::Unknown(_)))
                    .map(|(seq, attempt, _)| EffectId {
                        run,
                        seq,
                        attempt,
                        direction: Direction::Forward,
                        undo_try: 0,
                    });
                let Some(unknown) = unknown else {
                    return Err(format!("it is in quarantine and nothing is in doubt: {:?}", state.error));
                };
                // People look, and say what is.
                let is_there = self.world.ledger().iter().any(|effect| effect.id == unknown);
                let word = if is_there { Decision::Applied } else { Decision::NotApplied };
                match people.below(5) {
                    0 => enact.resume(run, "ann").await,
                    1 => enact.rollback(run, RollbackOptions::by("ann")).await,
                    2 => enact.resolve(run, unknown.seq, Decision::Abandon, "ann").await,
                    _ => enact.resolve(run, unknown.seq, word, "ann").await,
                }
            }
            RunStatus::AwaitingApproval => wary::decide(enact, state, people).await,
            RunStatus::Completed | RunStatus::PartiallyRolledBack if people.one_in(2) => {
                enact.rollback(run, RollbackOptions::by("ann")).await
            }
            _ => return Ok(true),
        };
        match done {
            Ok(_) => Ok(false),
            // Somebody else was faster.
            Err(error) if error.code() == ErrorCode::Conflict => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Counts moments: makes happen what the plan says, and ends the life.
#[derive(Clone)]
struct Watch {
    life: LifePlan,
    log: MemoryStore,
    world: World,
    others: Arc<Mutex<Others>>,
    state: Arc<Mutex<Moments>>,
    ended: Arc<Notify>,
    asked: mpsc::UnboundedSender<Ask>,
}

#[derive(Default)]
struct Moments {
    count: usize,
    stops: bool,
    left: Option<MemoryStore>,
}

impl Watch {
    fn ask(&self, ask: Ask) {
        if self.asked.send(ask).is_err() {
            println!("nobody is there to ask for it: {ask:?}");
        }
    }

    fn moment(&self) {
        let now = {
            let mut state = self.state.lock();
            state.count += 1;
            state.count
        };
        for (_, chaos) in self.life.chaos.iter().filter(|(at, _)| *at == now) {
            match chaos {
                Chaos::Write(key, value) => self.others.lock().write(&self.world, key, value),
                Chaos::Fault(action, fault) => self.world.faults(action, [*fault]),
                Chaos::Unreachable(probes) => self.world.unreachable(*probes),
                Chaos::CannotTell(whether) => self.world.cannot_tell(*whether),
                Chaos::Ask(ask) => self.ask(*ask),
            }
        }
        match self.life.end {
            Some(End::Crash(at)) if at == now => {
                self.state.lock().left = Some(self.log.crash());
                self.ended.notify_one();
                resume_unwind(Box::new("crash"));
            }
            Some(End::Shutdown(at)) if at == now => {
                self.state.lock().stops = true;
                self.ask(Ask::Shutdown);
                let (log, state, ended) =
                    (self.log.clone(), Arc::clone(&self.state), Arc::clone(&self.ended));
                tokio::spawn(async move {
                    // Long enough for what ends in order.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    let mut state = state.lock();
                    state.stops = false;
                    state.left = Some(log.reopen());
                    ended.notify_one();
                });
            }
            _ => {}
        }
    }
}

impl Observer for Watch {
    fn on_step(&self, _: &Step<'_>) {
        self.moment();
    }

    fn on_event(&self, _: RunId, _: EventSeq, _: &Event) {
        self.moment();
    }
}
