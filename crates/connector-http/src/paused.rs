//! For tests: the context of a call under a clock that only the test moves.

use std::sync::Arc;
use std::time::Duration;

use enact_core::connector::{Cx, Surroundings};
use enact_core::ids::{Direction, EffectId, RunId, Seq};
use enact_core::time::Timestamp;
use enact_store::MemoryBlobs;
use tokio::time::Instant;

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The paused clock of the test.
#[derive(Debug)]
struct Clock(Instant);

impl Surroundings for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_us(1_000_000).after(self.0.elapsed())
    }

    fn note(&self, _: &str) {}
}

/// A call that may take so long.
pub(crate) fn cx(lasts: Option<Duration>) -> Cx {
    let run = RunId::from_parts(1_700_000_000_000, [7; 10]);
    let effect = EffectId { run, seq: Seq(1), attempt: 1, direction: Direction::Forward, undo_try: 0 };
    let cx = Cx::new(effect, false, Arc::new(MemoryBlobs::default()));
    let cx = cx.within(Arc::new(Clock(Instant::now())));
    let now = cx.now();
    lasts.map_or(cx.clone(), |lasts| cx.until(now.after(lasts)))
}
