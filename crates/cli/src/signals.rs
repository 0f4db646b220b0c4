//! SIGINT and SIGTERM, heard from the start of the process to its end.
//!
//! The first one asks whoever listens for an orderly end. Where nobody listens, and when another one comes, the process
//! ends at once: that is as safe as any crash, and what was under way is left to be resumed.
//!
//! They are heard by a thread of their own. Whatever blocks elsewhere, such as a disk that does not answer while the
//! store is closed, they are heard.

use std::os::unix::net::UnixStream;
use std::{io, process, thread};

use parking_lot::Mutex;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::failure::Exit;

/// Who is told of the next signal.
static LISTENER: Mutex<Option<oneshot::Sender<()>>> = Mutex::new(None);

/// Hears from now on.
///
/// # Errors
/// Those of the system that gives no thread or no handler.
pub(crate) fn hear() -> io::Result<()> {
    // Where descriptors are missing, tokio panics and says no more.
    drop((0..4).map(|_| UnixStream::pair()).collect::<io::Result<Vec<_>>>()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        // Heard by nobody, so that a file that may not grow is an error and not the end of the process.
        drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?);
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let hearing = async move {
        loop {
            tokio::select! { _ = interrupt.recv() => tell(), _ = terminate.recv() => tell() }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(hearing))?;
    Ok(())
}

fn tell() {
    let listener = LISTENER.lock().take();
    if listener.is_none_or(|listener| listener.send(()).is_err()) {
        process::exit(i32::from(Exit::INTERRUPTED.0));
    }
}

/// As long as it is there, a first signal does not end the process but is told here.
#[derive(Debug)]
pub(crate) struct Listener(oneshot::Receiver<()>);

impl Listener {
    pub(crate) fn new() -> Self {
        let (tell, told) = oneshot::channel();
        *LISTENER.lock() = Some(tell);
        Self(told)
    }

    /// Returns at the first signal.
    pub(crate) async fn heard(&mut self) {
        if (&mut self.0).await.is_err() {
            std::future::pending().await
        }
    }

    /// Listens no more. Says whether there was a signal that nobody was told of.
    pub(crate) fn end(mut self) -> bool {
        self.0.close();
        self.0.try_recv().is_ok()
    }
}

/// Waits for a part of an answer; `None` where a signal came before or with it.
pub(crate) async fn unless_told<T>(part: impl Future<Output = T>) -> Option<T> {
    let mut listener = Listener::new();
    let part = tokio::select! {
        part = part => part,
        () = listener.heard() => return None,
    };
    (!listener.end()).then_some(part)
}
