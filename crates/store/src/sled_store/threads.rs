//! The threads of a store: waited for, but not for ever.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use enact_core::store::StoreError;

use crate::lock::StoreLock;

/// A thread that works in the folder of a store. It shares the lock: one that is left alone keeps others out of the
/// folder for as long as it may still write there.
#[derive(Debug)]
pub(super) struct Thread<T> {
    handle: JoinHandle<T>,
    /// Nothing is sent; the other end goes with the thread.
    ends: mpsc::Receiver<()>,
}

impl<T: Send + 'static> Thread<T> {
    pub(super) fn spawn(
        name: &str,
        lock: &Arc<StoreLock>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (here, ends) = mpsc::channel();
        let lock = Arc::clone(lock);
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            let _here: mpsc::Sender<()> = here;
            let _lock = lock;
            work()
        });
        let handle = thread.map_err(|error| StoreError::io(format!("starting the thread {name}"), error))?;
        Ok(Self { handle, ends })
    }

    /// Waits until the thread ends. `false`: it did not before the deadline.
    pub(super) fn ends_before(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        self.ends.recv_timeout(left) != Err(RecvTimeoutError::Timeout)
    }

    /// Whether the thread has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ends_before(Instant::now())
    }

    /// What the thread gave; `None` where it panicked.
    pub(super) fn join(self) -> Option<T> {
        self.handle.join().ok()
    }
}
