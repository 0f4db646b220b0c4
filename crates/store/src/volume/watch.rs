//! Waking those who wait in sled for what will not come.
//!
//! When a write of sled 0.34 fails, on a full disk for one, it keeps the error and may tell nobody: who waits for the
//! write waits for ever. Whoever asks sled next is mostly given the error, and wakes the others. So a thread looks each
//! second whether a call gets on, and asks where none does. Where that does not help either, nothing will: who waits for
//! what the volume was to do is told, and the store has to be opened again.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long no call of a database may have got on before somebody else asks it; doubled each time.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is doubled.
const DOUBLED: u32 = 4;
/// How often it is waited for, longer each time, before it is said that the database is stuck: 15 seconds in all.
const ASKED: u32 = 4;

/// The calls into a database.
#[derive(Default)]
pub(crate) struct Calls {
    begun: AtomicU64,
    ended: AtomicU64,
    when_stuck: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.so_far())
    }
}

/// A call that is under way.
#[derive(Debug)]
pub(crate) struct Call<'a>(&'a Calls);

impl Calls {
    pub(crate) fn begin(&self) -> Call<'_> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Call(self)
    }

    /// Sets what is done, again and again, while no call gets on.
    pub(crate) fn when_stuck(&self, tell: impl Fn() + Send + Sync + 'static) {
        self.when_stuck.get_or_init(|| Box::new(tell));
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
        Self::patient(db, calls, PATIENCE)
    }

    fn patient(db: &sled::Db, calls: &Arc<Calls>, patience: Duration) -> Self {
        let (stop, stopped) = mpsc::channel();
        let (db, calls) = (db.clone(), Arc::clone(calls));
        let look = move || {
            let (mut before, mut asked) = (calls.so_far(), 0);
            let wait = |asked: u32| stopped.recv_timeout(patience * 2_u32.pow(asked.min(DOUBLED)));
            while wait(asked) == Err(RecvTimeoutError::Timeout) {
                let now = calls.so_far();
                let (begun, ended) = now;
                if begun == ended || now != before {
                    (before, asked) = (now, 0);
                    continue;
                }
                asked = asked.saturating_add(1);
                ask(db.clone());
                if let Some(tell) = calls.when_stuck.get().filter(|_| asked >= ASKED) {
                    tell();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_does_not_get_on_is_told_of_and_one_that_does_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let db = sled::open(dir.path()).unwrap();
        let calls = Arc::new(Calls::default());
        let (stuck, told) = mpsc::channel();
        calls.when_stuck(move || stuck.send(()).unwrap_or_default());
        let _watch = Watch::patient(&db, &calls, Duration::from_millis(10));

        let call = calls.begin();
        told.recv().unwrap();
        told.recv().unwrap();
        drop(call);
        // What was just being told may still come.
        while told.recv_timeout(Duration::from_millis(500)).is_ok() {}
        for _ in 0..100 {
            drop(calls.begin());
        }
        assert_eq!(told.recv_timeout(Duration::from_secs(1)), Err(RecvTimeoutError::Timeout));
    }
}
