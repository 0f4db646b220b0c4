//! What a workflow actor does when the store fails it: it begins another life on what the log has.
//!
//! A disk may be full, or fail a read, for a while. Nothing was written then, so nothing is decided: the actor waits,
//! reads its run again and goes on from there, as another process would, for as long as this process lives. Who waits
//! for the run waits. What the earlier life sent out reports to the new one, and the keys of targets whose outcome did
//! not get into the log stay held. A store that stopped for good ends the actor: the log is resumed by another process.

use std::sync::Arc;
use std::time::Duration;

use enact_core::error::{Error, ErrorCode};
use enact_core::run::Phase;
use tokio::time::Instant;

use crate::backoff::{backoff, is_blip, is_too_large};
use crate::job::Held;

use super::{Go, Run};

/// Trouble that lies back so far does not count any more.
const FORGIVEN: Duration = Duration::from_secs(60);

/// How often the store failed the run lately.
#[derive(Default)]
pub(super) struct Trouble {
    count: u32,
    last: Option<Instant>,
}

impl Trouble {
    fn another(&mut self) -> u32 {
        if self.last.is_some_and(|last| last.elapsed() >= FORGIVEN) {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.last = Some(Instant::now());
        self.count
    }
}

/// What was held while an outcome was made.
pub(super) struct Holding {
    key: Option<String>,
    held: Held,
}

impl Run {
    /// Begins lives until one of them needs none after it, or the store has stopped.
    pub(super) async fn outlast(&mut self, mut lived: Result<(), Error>) {
        while let Err(error) = lived {
            if self.known && is_too_large(&error) && self.goes_forward() {
                lived = self.ask_a_person(error).await;
                continue;
            }
            // One that was taken up for a request alone is put down; whoever asks, asks again.
            if !is_blip(&error) || !self.known || self.go == Go::Wait {
                return self.halt(error);
            }
            lived = self.live_again(error).await;
        }
    }

    fn goes_forward(&self) -> bool {
        self.state.as_ref().is_some_and(|state| matches!(state.phase, Phase::Judging | Phase::Running))
    }

    /// Something of the run cannot be recorded, however often it is tried.
    async fn ask_a_person(&mut self, error: Error) -> Result<(), Error> {
        self.end_life();
        self.load().await?;
        if !self.goes_forward() {
            return Err(Error::new(ErrorCode::Internal, error.message()));
        }
        self.quarantine(error.context("it cannot go on"), None).await?;
        self.advance().await
    }

    async fn live_again(&mut self, error: Error) -> Result<(), Error> {
        // Others are recovered meanwhile.
        self.place = None;
        self.end_life();
        let count = self.trouble.another();
        tracing::warn!(run = %self.id, %error, count, "the store failed a run; it goes on from the log when it can");
        tokio::time::sleep(backoff(count, &error, &*self.shared.clock)).await;
        {
            let shared = Arc::clone(&self.shared);
            let _place = shared.again.acquire().await;
            match self.load().await {
                // Its acceptance was taken back: it was never accepted, for the reason that is known.
                Err(unknown) if unknown.code() == ErrorCode::NotFound => {
                    self.known = false;
                    return Err(error);
                }
                loaded => loaded?,
            }
        }
        self.advance().await
    }

    /// Forgets all but what others still have to tell: the jobs under way, and the keys that are held.
    fn end_life(&mut self) {
        self.stop_code();
        self.life = self.life.wrapping_add(1);
        self.code_end = None;
        self.replayed.clear();
        self.last = None;
        self.finished = false;
        self.subject = None;
    }

    /// Takes what is held for an outcome until the outcome has its place in the log, whatever life that is in.
    pub(super) fn hold(&mut self, mut held: Held) -> Holding {
        let key = held.guard.take().map(|guard| self.guards.put(guard));
        Holding { key, held }
    }

    /// The outcome has its place.
    pub(super) fn let_go(&mut self, holding: Holding) {
        let Holding { key, held } = holding;
        drop(key.and_then(|key| self.guards.take(&key)));
        drop(held);
    }
}
