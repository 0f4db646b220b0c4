//! Work that blocks, done beside the async runtime, and what holds when nobody waits for it any more.
//!
//! Blocking work cannot be taken back by dropping its future. So each piece of work has a flag that says
//! whether somebody still waits, looked at before anything is changed; and work on the same path holds that
//! path's lock. A probe therefore looks only after a dropped `perform` has either landed or seen that it must
//! not: what the probe does not find will not come.

use std::collections::HashSet;
use std::fmt::Debug;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use enact_core::{Error, ErrorCode};
use parking_lot::{Condvar, Mutex};

use crate::path::FilePath;

/// What a piece of work may do to the world.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// It looks.
    Look,
    /// It changes something.
    Change,
}

/// Shared between a piece of work and who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Step {
    given_up: AtomicBool,
    progress: AtomicU64,
}

impl Step {
    /// An error where nobody waits any more. To be asked before each change and between pieces of content.
    pub(crate) fn go_on(&self) -> Result<(), Error> {
        self.progress.fetch_add(1, Ordering::Relaxed);
        if self.given_up.load(Ordering::Acquire) {
            return Err(Error::new(ErrorCode::Timeout, "nobody waits for it any more").left_nothing());
        }
        Ok(())
    }

    /// A reader that goes on only while somebody waits.
    pub(crate) fn reading<R: Read>(&self, from: R) -> impl Read {
        Watched { step: self, from }
    }
}

struct Watched<'a, R> {
    step: &'a Step,
    from: R,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.step.go_on().map_err(io::Error::other)?;
        self.from.read(into)
    }
}

/// Gives up when dropped.
struct Waiting(Arc<Step>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.given_up.store(true, Ordering::Release);
    }
}

/// Does `work` where blocking is allowed, holding the lock of `path` where there is one, and waits for it as
/// long as it makes progress.
pub(crate) async fn run<T: Send + 'static>(
    nature: Nature,
    patience: Duration,
    locks: &Arc<Locks>,
    path: Option<&FilePath>,
    work: impl FnOnce(&Step) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let step = Arc::new(Step::default());
    let waiting = Waiting(Arc::clone(&step));
    let (locks, path) = (Arc::clone(locks), path.cloned());
    let mut task = tokio::task::spawn_blocking(move || {
        let _lock = path.map(|path| locks.take(path));
        step.go_on()?;
        work(&step)
    });
    let mut seen = 0;
    let outcome = loop {
        match tokio::time::timeout(patience, &mut task).await {
            Ok(Ok(outcome)) => break outcome,
            Ok(Err(panicked)) => break Err(broken(nature, panicked)),
            Err(_) => {
                let progress = waiting.0.progress.load(Ordering::Relaxed);
                if progress == seen {
                    break Err(stuck(nature, patience));
                }
                seen = progress;
            }
        }
    };
    if nature == Nature::Look { outcome.map_err(Error::left_nothing) } else { outcome }
}

fn stuck(nature: Nature, patience: Duration) -> Error {
    let seconds = patience.as_secs_f32();
    match nature {
        Nature::Look => {
            let message = format!("the filesystem gave no sign of progress for {seconds} s");
            Error::new(ErrorCode::Timeout, message).retryable()
        }
        Nature::Change => Error::new(
            ErrorCode::InDoubt,
            format!(
                "the filesystem gave no sign of progress for {seconds} s; whether the change lands is not known"
            ),
        ),
    }
}

fn broken(nature: Nature, panicked: tokio::task::JoinError) -> Error {
    let code = match nature {
        Nature::Look => ErrorCode::Internal,
        Nature::Change => ErrorCode::InDoubt,
    };
    Error::new(code, format!("the filesystem connector has a defect: {panicked}")).with_source(panicked)
}

/// One lock per path that is being worked on.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    taken: Mutex<HashSet<FilePath>>,
    freed: Condvar,
}

impl Locks {
    fn take(self: Arc<Self>, path: FilePath) -> Lock {
        let mut taken = self.taken.lock();
        while taken.contains(&path) {
            self.freed.wait(&mut taken);
        }
        taken.insert(path.clone());
        drop(taken);
        Lock { locks: self, path }
    }
}

/// Frees its path when dropped, also by a panic.
struct Lock {
    locks: Arc<Locks>,
    path: FilePath,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.locks.taken.lock().remove(&self.path);
        self.locks.freed.notify_all();
    }
}
