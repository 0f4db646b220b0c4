//! What a seed says: the workflow, and all that happens to it.

use std::time::Duration;

use enact::prelude::*;
use enact_testkit::world::{Fault, Get, Put, Remove, World};

/// Random numbers of a seed (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of.get(self.below(of.len())).copied().unwrap()
    }

    /// Other numbers, which take none from this one's: a seed goes on to be what it was.
    fn aside(&self) -> Self {
        Self(self.0 ^ 0xa51d_e000_a51d_e000)
    }

    fn key(&mut self) -> &'static str {
        self.pick(&["a", "b", "c"])
    }
}

/// One call of the workflow's code.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Put(&'static str, String),
    Remove(&'static str),
    Get(&'static str),
    Sleep(u64),
    Fail,
}

/// A call, how often it is tried, and whether the code handles its error.
#[derive(Clone, Debug)]
pub(crate) struct One {
    call: Call,
    attempts: u32,
    handled: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    One(One),
    Join(Vec<Vec<One>>),
}

impl Step {
    pub(crate) async fn take(self, cx: &WorkflowCx) -> Result<(), Error> {
        match self {
            Self::One(one) => one.take(cx).await,
            Self::Join(branches) => {
                let branches = branches.into_iter().map(|branch| {
                    move |cx: WorkflowCx| async move {
                        for one in branch {
                            one.take(&cx).await?;
                        }
                        Ok(())
                    }
                });
                cx.join(branches).await.into_iter().collect()
            }
        }
    }
}

impl One {
    async fn take(self, cx: &WorkflowCx) -> Result<(), Error> {
        let world = cx.connector::<World>("world")?;
        let tries =
            Tries { max_attempts: self.attempts, timeout: Duration::from_secs(5), ..Tries::default() };
        let gave = match self.call {
            Call::Put(key, value) => world.act_with(Put::new(key, &value), tries).await.map(drop),
            Call::Remove(key) => world.act_with(Remove { key: key.to_owned() }, tries).await.map(drop),
            Call::Get(key) => world.act_with(Get { key: key.to_owned() }, tries).await.map(drop),
            Call::Sleep(ms) => cx.sleep(Duration::from_millis(ms)).await,
            Call::Fail => Err(Error::new(ErrorCode::PreconditionFailed, "the code gives up")),
        };
        if self.handled { Ok(()) } else { gave }
    }
}

/// What a person asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    Cancel,
    /// Of all actions, or of those after one; over what others changed, or not.
    RollBack {
        to: Option<u64>,
        force: bool,
    },
    /// Another run, on the same targets.
    Second,
    /// On what waits for an approval, or on that action.
    Word {
        seq: Option<u64>,
        yes: bool,
    },
    Shutdown,
}

/// What happens at a moment of a life.
#[derive(Clone, Debug)]
pub(crate) enum Chaos {
    /// Somebody else writes.
    Write(&'static str, String),
    Fault(&'static str, Fault),
    Unreachable(u32),
    CannotTell(bool),
    Ask(Ask),
}

/// How a life ends before its run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Crash(usize),
    Shutdown(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct LifePlan {
    pub(crate) chaos: Vec<(usize, Chaos)>,
    pub(crate) end: Option<End>,
    pub(crate) recovery: Recovery,
    /// Whether policies want approvals.
    pub(crate) is_wary: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) before: Vec<(&'static str, String)>,
    pub(crate) script: Vec<Step>,
    /// What another run does, which is asked for in the first life.
    pub(crate) second: Vec<Step>,
    pub(crate) lives: Vec<LifePlan>,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let before = ["a", "b", "c"].into_iter().filter(|_| rng.one_in(2)).collect::<Vec<_>>();
        let before = before.into_iter().map(|key| (key, format!("before {key}"))).collect();
        let mut values = 0;
        let script = (0..1 + rng.below(5)).map(|_| step(&mut rng, &mut values)).collect();
        let crashes = rng.below(4);
        let mut lives: Vec<_> = (0..=crashes).map(|life| life_plan(&mut rng, life, life < crashes)).collect();
        let (mut rng, mut values) = (rng.aside(), 1000);
        let second: Vec<_> = (0..rng.below(4)).map(|_| step(&mut rng, &mut values)).collect();
        if let Some(life) = lives.first_mut().filter(|_| !second.is_empty()) {
            life.chaos.push((1 + rng.below(20), Chaos::Ask(Ask::Second)));
        }
        Self { before, script, second, lives }
    }
}

fn step(rng: &mut Rng, values: &mut u32) -> Step {
    if !rng.one_in(4) {
        return Step::One(one(rng, values));
    }
    let branches = 2 + rng.below(2);
    Step::Join((0..branches).map(|_| (0..1 + rng.below(2)).map(|_| one(rng, values)).collect()).collect())
}

fn one(rng: &mut Rng, values: &mut u32) -> One {
    *values += 1;
    let call = match rng.below(20) {
        0..=9 => Call::Put(rng.key(), format!("ours {values}")),
        10..=13 => Call::Remove(rng.key()),
        14..=15 => Call::Get(rng.key()),
        16..=18 => Call::Sleep(rng.next() % 10_000),
        _ => Call::Fail,
    };
    One { call, attempts: 1 + u32::try_from(rng.below(3)).unwrap(), handled: rng.one_in(5) }
}

fn roll_back(rng: &mut Rng) -> Ask {
    let to = rng.one_in(3).then(|| rng.next() % 4);
    Ask::RollBack { to, force: rng.one_in(3) }
}

fn life_plan(rng: &mut Rng, life: usize, ends: bool) -> LifePlan {
    let mut chaos = Vec::new();
    for number in 0..rng.below(7) {
        let what = match rng.below(12) {
            0..=2 => Chaos::Write(rng.key(), format!("theirs {life} {number}")),
            3..=7 => {
                let action = rng.pick(&["put", "remove", "restore"]);
                let faults = [
                    Fault::Refuse,
                    Fault::Forbid,
                    Fault::LoseReply,
                    Fault::LoseRequest,
                    Fault::FailMidway,
                    Fault::Hang,
                ];
                Chaos::Fault(action, rng.pick(&faults))
            }
            8 => Chaos::Unreachable(1 + u32::try_from(rng.below(7)).unwrap()),
            9 => Chaos::CannotTell(!rng.one_in(3)),
            10 => Chaos::Ask(Ask::Cancel),
            _ => Chaos::Ask(roll_back(&mut rng.aside())),
        };
        chaos.push((1 + rng.below(40), what));
    }
    let at = 1 + rng.below(35);
    let end = ends.then(|| if rng.one_in(5) { End::Shutdown(at) } else { End::Crash(at) });
    let recovery = if rng.one_in(4) { Recovery::OnRequest } else { Recovery::Automatic };
    let mut words = rng.aside();
    let is_wary = !words.one_in(4);
    for _ in 0..words.below(4) {
        let seq = words.one_in(2).then(|| 1 + words.next() % 4);
        chaos.push((1 + words.below(30), Chaos::Ask(Ask::Word { seq, yes: !words.one_in(4) })));
    }
    LifePlan { chaos, end, recovery, is_wary }
}
