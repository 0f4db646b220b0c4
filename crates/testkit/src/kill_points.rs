//! Kills a program at every system call that changes something, to test what it finds when it comes back.
//!
//! A [`Sweep`] runs a command again and again, each time in a new scratch folder: the first run is killed at
//! its first mutating call, the second at its second, until a run ends by itself. After each kill the
//! caller looks at what is left.
//!
//! # What is promised
//! - **The kill comes before the call.** The calling thread is held at the entry of the call, and SIGKILL is
//!   sent while it is there: that call has no effect, and all that the thread did before is done. The state
//!   after a call is therefore the state before the next one; the last point is the exit of the program.
//!   Another thread may be in the middle of a call of its own, which is then done or not, as in any crash.
//! - **Calls are counted over all threads and processes of the command together.** (`strace -e inject=…:when=N`
//!   counts for each thread and each name of a call apart, so the calls of one thread hide behind
//!   those of a busier one and are never reached. That is why the tracer here is our own.)
//! - **The whole command dies at once**: every process that it started gets SIGKILL.
//! - A run counts only if the thread that made the call was really ended by SIGKILL, and a sweep that
//!   reached no point is an error.
//!
//! # What counts as a mutating call
//! Creating, opening for truncation, writing, syncing, renaming, linking, removing, and changing length, mode,
//! owner, times or attributes of files and folders. Writes to pipes, sockets, devices and
//! event counters are not state and do not count, nor does what goes to the standard output and error that
//! the sweep gives the command.
//!
//! # What this does not know
//! A kill is not a power cut: the kernel keeps what was written but not synced. Threads race, so the N-th call
//! of two runs need not be the same call. Changes through mapped memory and io_uring are not seen.
//!
//! Needs Linux with glibc, and leave to trace one's own children.

mod calls;
mod trace;

use std::fmt;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use tempfile::NamedTempFile;

/// How a command is killed, point after point. A new one visits every point, at most 2,000 of them, and expects
/// a run that is left alone to end with code 0.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    stride: NonZeroUsize,
    at_most: usize,
    exit_code: i32,
}

/// One mutating call, and the place in the run at which it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillPoint {
    /// The how manieth mutating call of the run it is, from 1.
    pub number: usize,
    /// Name of the call, as in the manual.
    pub call: &'static str,
    /// What it is about: a path as the program gave it, or the file behind a descriptor.
    pub subject: String,
}

/// What a whole sweep did.
#[derive(Clone, Debug)]
pub struct Swept {
    /// Where the command was killed, in the order of the runs.
    pub points: Vec<KillPoint>,
    /// How many mutating calls the last run made, the one that was left alone.
    pub mutations: usize,
}

/// Why a sweep proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// Files of the sweep itself, or starting the command.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system does not let us trace.
    #[error(
        "cannot trace the command ({doing}): {source}. A container's seccomp profile or kernel.yama.ptrace_scope \
         may forbid it: allow ptrace of own children"
    )]
    Trace {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: Errno,
    },
    /// The thread that reached the point ended in another way than by our signal.
    #[error("the command was to be killed at {point}, but ended with {ended}")]
    NotKilled {
        /// Where it was to be killed.
        point: KillPoint,
        /// How it ended.
        ended: String,
    },
    /// A run that was not killed did not end as it should.
    #[error("left alone, the command ended with {ended} instead of code {expected}. It said:\n{output}")]
    WrongEnd {
        /// How it ended.
        ended: String,
        /// The code that it should have ended with.
        expected: i32,
        /// Its standard output and error.
        output: String,
    },
    /// The limit of the sweep.
    #[error(
        "{at_most} points were reached and the command has more: raise `at_most`, or take a larger `stride`"
    )]
    TooMany {
        /// The limit.
        at_most: usize,
    },
    /// Nothing was tested.
    #[error("the command made no mutating call: no point was reached. It said:\n{output}")]
    NothingReached {
        /// Its standard output and error.
        output: String,
    },
}

impl Default for Sweep {
    fn default() -> Self {
        Self { stride: NonZeroUsize::MIN, at_most: 2000, exit_code: 0 }
    }
}

impl Sweep {
    /// Visits the first point and then only each `stride`-th; zero counts as one.
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        Self { stride: NonZeroUsize::new(stride).unwrap_or(NonZeroUsize::MIN), ..self }
    }

    /// How many kills there may be; a command with more points is an error.
    #[must_use]
    pub fn at_most(self, kills: usize) -> Self {
        Self { at_most: kills, ..self }
    }

    /// The code with which a run that is left alone ends.
    #[must_use]
    pub fn exit_code(self, code: i32) -> Self {
        Self { exit_code: code, ..self }
    }

    /// Runs the sweep. `command` prepares the scratch folder it is given and says what to run there; its
    /// program, arguments, folder and added variables are used, its standard streams are not. `check` sees the
    /// scratch folder after each kill, when every process of the command is gone; it panics, as tests do,
    /// where something is wrong, and the point and the command's output are then printed.
    ///
    /// # Errors
    /// When the sweep proves nothing: the command could not be traced, was not killed where it should have
    /// been, did not end well when it was left alone, or has no point or too many.
    pub fn run(
        &self,
        command: impl Fn(&Path) -> Command,
        check: impl Fn(&Path, &KillPoint),
    ) -> Result<Swept, SweepError> {
        let mut points = Vec::new();
        let mut number = 1;
        loop {
            let scratch = tempfile::tempdir().map_err(io("make a scratch folder"))?;
            let log = NamedTempFile::new().map_err(io("make a file for the command's output"))?;
            match killed_at(number, &command(scratch.path()), &log)? {
                trace::End::Killed(point) if points.len() == self.at_most => {
                    drop(point);
                    return Err(SweepError::TooMany { at_most: self.at_most });
                }
                trace::End::Killed(point) => {
                    let shown = ShownOnPanic { point: &point, log: log.path() };
                    check(scratch.path(), &point);
                    drop(shown);
                    points.push(point);
                }
                trace::End::ByItself { code, ended, mutations } => {
                    let output = read(log.path());
                    if code != Some(self.exit_code) {
                        return Err(SweepError::WrongEnd { ended, expected: self.exit_code, output });
                    }
                    if points.is_empty() {
                        return Err(SweepError::NothingReached { output });
                    }
                    return Ok(Swept { points, mutations });
                }
            }
            number += self.stride.get();
        }
    }
}

/// Runs `command` on a thread of its own: only the thread that starts a process may trace it and wait for
/// its threads, and other children of the caller's thread are none of our business.
fn killed_at(number: usize, command: &Command, log: &NamedTempFile) -> Result<trace::End, SweepError> {
    let parts = trace::Launch::of(command);
    std::thread::scope(|scope| scope.spawn(|| trace::run(&parts, number, log)).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn io(doing: &'static str) -> impl Fn(std::io::Error) -> SweepError {
    move |source| SweepError::Io { doing, source }
}

fn read(log: &Path) -> String {
    fs::read(log)
        .map_or_else(|error| format!("({error})"), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

impl fmt::Display for KillPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mutating call {}: {} {}", self.number, self.call, self.subject)
    }
}

/// Says where the command was killed when a check fails.
struct ShownOnPanic<'a> {
    point: &'a KillPoint,
    log: &'a Path,
}

impl Drop for ShownOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("killed at {}; until then the command said:\n{}", self.point, read(self.log));
        }
    }
}
