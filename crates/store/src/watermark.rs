//! A position that only rises, and those who wait for it.

use std::sync::atomic::{AtomicU64, Ordering};

use enact_core::ids::Position;
use enact_core::store::StoreError;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// A position that only rises. Waiting ends with an error when it will not rise any more.
#[derive(Debug, Default)]
pub(crate) struct Watermark {
    position: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    for_position: Vec<(Position, oneshot::Sender<Result<Position, StoreError>>)>,
    stopped: Option<StoreError>,
}

impl Watermark {
    pub(crate) fn new(position: Position) -> Self {
        Self { position: AtomicU64::new(position.0), waiting: Mutex::default() }
    }

    pub(crate) fn get(&self) -> Position {
        Position(self.position.load(Ordering::Acquire))
    }

    /// Raises the position and wakes those who waited for it.
    pub(crate) fn raise(&self, position: Position) {
        self.position.store(position.0, Ordering::Release);
        let reached = {
            let mut waiting = self.waiting.lock();
            waiting.for_position.extract_if(.., |(wanted, _)| *wanted <= position).collect::<Vec<_>>()
        };
        for (_, waiter) in reached {
            // One who does not wait any more need not be told.
            drop(waiter.send(Ok(position)));
        }
    }

    /// Ends all waiting, now and later, for what is not reached.
    pub(crate) fn stop(&self, why: &StoreError) {
        self.waiting.lock().stopped.get_or_insert_with(|| why.clone());
        self.fail_waiting(why);
    }

    /// Ends the waiting of those who wait now. Who waits later may see it rise.
    pub(crate) fn fail_waiting(&self, why: &StoreError) {
        let waiting = std::mem::take(&mut self.waiting.lock().for_position);
        for (_, waiter) in waiting {
            drop(waiter.send(Err(why.clone())));
        }
    }

    /// Waits until the position is `wanted` or higher, and says what it is then.
    pub(crate) async fn reached(&self, wanted: Position) -> Result<Position, StoreError> {
        let receiver = {
            let mut waiting = self.waiting.lock();
            let now = self.get();
            if now >= wanted {
                return Ok(now);
            }
            if let Some(why) = &waiting.stopped {
                return Err(why.clone());
            }
            waiting.for_position.retain(|(_, waiter)| !waiter.is_closed());
            let (sender, receiver) = oneshot::channel();
            waiting.for_position.push((wanted, sender));
            receiver
        };
        receiver.await.unwrap_or(Err(StoreError::Closed))
    }
}
