//! Waking those who wait in sled for what will not come.
//!
//! When a write of sled 0.34 fails, on a full disk for one, it keeps the error and may tell nobody: who waits for the
//! write waits for ever. Whoever asks sled next is given the error, and wakes the others. So a thread looks each
//! second whether a call gets on, and asks where none does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long no call of a database may have got on before somebody else asks it; doubled each time.
const PATIENCE: Duration = Duration::from_secs(1);

/// The calls into a database.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// A call that is under way.
#[derive(Debug)]
pub(crate) struct Call<'a>(&'a Calls);

impl Calls {
    pub(crate) fn begin(&self) -> Call<'_> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Call(self)
    }

    fn so_far(&self) -> (u64, u64) {
        (self.begun.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed))
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// The thread that looks. It ends when this is dropped, which waits for it.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches the calls into a database. Where no thread is to be had, nobody does.
    pub(crate) fn over(db: &sled::Db, calls: &Arc<Calls>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let (db, calls) = (db.clone(), Arc::clone(calls));
        let look = move || {
            let (mut before, mut patience) = (calls.so_far(), PATIENCE);
            while stopped.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                let now = calls.so_far();
                let (begun, ended) = now;
                let is_stuck = begun > ended && now == before;
                patience = if is_stuck { patience.saturating_mul(2) } else { PATIENCE };
                before = now;
                if is_stuck {
                    ask(db.clone());
                }
            }
        };
        let thread = thread::Builder::new().name("enact-watch".into()).spawn(look);
        Self { stop: Some(stop), thread: thread.ok() }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::warn!("the watch over a volume panicked");
        }
    }
}

/// Asks in a thread of its own, which may have to wait like the others.
fn ask(db: sled::Db) {
    let ask = move || {
        if let Err(error) = db.flush() {
            tracing::warn!(%error, "a volume cannot be written");
        }
    };
    // Where no thread is to be had, it is tried again.
    drop(thread::Builder::new().name("enact-ask".into()).spawn(ask));
}
