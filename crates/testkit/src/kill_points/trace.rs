//! Runs a command under ptrace and kills it at one of its mutating calls.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tempfile::NamedTempFile;

use super::{KillPoint, SweepError, calls, io};

/// How a run ended.
pub(super) enum End {
    /// We killed it.
    Killed(KillPoint),
    /// It made fewer mutating calls than were waited for.
    ByItself { code: Option<i32>, ended: String, mutations: usize },
}

/// The parts of a command that can be read back from it.
pub(super) struct Launch {
    words: Vec<OsString>,
    folder: Option<PathBuf>,
    variables: Vec<(OsString, Option<OsString>)>,
}

impl Launch {
    pub(super) fn of(command: &Command) -> Self {
        let owned = |(name, value): (&OsStr, Option<&OsStr>)| (name.to_owned(), value.map(OsStr::to_owned));
        Self {
            words: std::iter::once(command.get_program())
                .chain(command.get_args())
                .map(OsStr::to_owned)
                .collect(),
            folder: command.get_current_dir().map(PathBuf::from),
            variables: command.get_envs().map(owned).collect(),
        }
    }

    /// Starts the command behind a shell that stops itself first, so that not one call goes by unseen.
    fn held(&self, log: &NamedTempFile) -> std::io::Result<Child> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""]).args(&self.words);
        if let Some(folder) = &self.folder {
            shell.current_dir(folder);
        }
        for (name, value) in &self.variables {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let log = log.as_file();
        shell.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?).spawn()
    }
}

/// Runs a command and kills it at its mutating call `number`. Must have a thread of its own.
pub(super) fn run(launch: &Launch, number: usize, log: &NamedTempFile) -> Result<End, SweepError> {
    let child = launch.held(log).map_err(io("start the command"))?;
    let root = Pid::from_raw(child.id().cast_signed());
    let mut tracer = Tracer {
        root,
        log: log.path().to_owned(),
        number,
        mutations: 0,
        point: None,
        tasks: HashSet::new(),
        victim: None,
        ended: WaitStatus::StillAlive,
    };
    tracer.begin()?;
    tracer.follow()?;
    tracer.end()
}

struct Tracer {
    /// The process that was started.
    root: Pid,
    /// Where its output goes.
    log: PathBuf,
    /// At which mutating call to kill.
    number: usize,
    mutations: usize,
    /// Where it was killed.
    point: Option<KillPoint>,
    /// Every thread of every process that has been seen; killing a thread kills its process.
    tasks: HashSet<Pid>,
    /// The thread that reached the point.
    victim: Option<Pid>,
    /// How the victim ended, or, as long as there is none, the process that was started.
    ended: WaitStatus,
}

impl Tracer {
    /// Attaches to the stopped shell and lets it go on. Should we die, all that we trace dies too.
    fn begin(&mut self) -> Result<(), SweepError> {
        waitpid(self.root, Some(WaitPidFlag::WUNTRACED)).map_err(told("waiting for it to start"))?;
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_EXITKILL;
        let attached = ptrace::seize(self.root, options).map_err(told("attaching"));
        // Whatever attaching said, the shell must not stay behind stopped.
        let woken = kill(self.root, if attached.is_ok() { Signal::SIGCONT } else { Signal::SIGKILL });
        attached.and(woken.map_err(told("letting it go on")))
    }

    /// Goes from stop to stop until every process is gone.
    fn follow(&mut self) -> Result<(), SweepError> {
        let any = Pid::from_raw(-1);
        let ours = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            match waitpid(any, Some(ours)) {
                Err(Errno::ECHILD) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(told("waiting for its next call")(error)),
                Ok(status @ (WaitStatus::Exited(task, _) | WaitStatus::Signaled(task, ..))) => {
                    self.gone(task, status);
                }
                Ok(status) => {
                    if let Some(task) = status.pid() {
                        self.stopped(task, status)?;
                    }
                }
            }
        }
    }

    fn gone(&mut self, task: Pid, status: WaitStatus) {
        self.tasks.remove(&task);
        if task == self.victim.unwrap_or(self.root) {
            self.ended = status;
        }
    }

    fn stopped(&mut self, task: Pid, status: WaitStatus) -> Result<(), SweepError> {
        self.tasks.insert(task);
        if matches!(status, WaitStatus::PtraceSyscall(_)) {
            self.count(task)?;
        }
        if self.victim.is_some() {
            // One may have been born while we killed the others.
            return self.kill_all();
        }
        let signal = match status {
            WaitStatus::Stopped(_, signal) => Some(signal),
            _ => None,
        };
        unless_gone(ptrace::syscall(task, signal)).map_err(told("letting it go on"))
    }

    /// Counts the call of `task` if it is a mutating one, and makes it the victim if it is the one waited for.
    fn count(&mut self, task: Pid) -> Result<(), SweepError> {
        let entering = match ptrace::syscall_info(task) {
            Ok(info) => info.op == libc::PTRACE_SYSCALL_INFO_ENTRY,
            Err(Errno::ESRCH) => false,
            Err(error) => return Err(told("asking for its call")(error)),
        };
        if self.victim.is_some() || !entering {
            return Ok(());
        }
        let found = calls::mutation(task, self.root, &self.log);
        let Some(found) = found.map_err(io("read the arguments of a call"))? else { return Ok(()) };
        self.mutations += 1;
        if self.mutations == self.number {
            self.victim = Some(task);
            self.point = Some(KillPoint { number: self.number, call: found.call, subject: found.subject });
        }
        Ok(())
    }

    fn kill_all(&self) -> Result<(), SweepError> {
        self.tasks
            .iter()
            .try_for_each(|task| unless_gone(kill(*task, Signal::SIGKILL)))
            .map_err(told("killing it"))
    }

    fn end(self) -> Result<End, SweepError> {
        let ended = format!("{:?}", self.ended);
        match (self.point, self.ended) {
            (Some(point), WaitStatus::Signaled(_, Signal::SIGKILL, _)) => Ok(End::Killed(point)),
            (Some(point), _) => Err(SweepError::NotKilled { point, ended }),
            (None, WaitStatus::Exited(_, code)) => {
                Ok(End::ByItself { code: Some(code), ended, mutations: self.mutations })
            }
            (None, _) => Ok(End::ByItself { code: None, ended, mutations: self.mutations }),
        }
    }
}

/// A task that is gone already needs nothing more: waiting will tell how it ended.
fn unless_gone(done: nix::Result<()>) -> nix::Result<()> {
    match done {
        Err(Errno::ESRCH) => Ok(()),
        other => other,
    }
}

fn told(doing: &'static str) -> impl Fn(Errno) -> SweepError {
    move |source| SweepError::Trace { doing, source }
}
