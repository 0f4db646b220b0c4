//! The processes of one part, found by their names and by a word that stands in their command lines alone.
//!
//! Every process of a cluster has it there: the first one among its arguments, the others in the title that they give
//! themselves, or, until they do so, in the first one's arguments that they were forked with.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use super::wait_for;

/// What its processes are known by.
#[derive(Clone, Debug)]
pub(super) struct Processes {
    /// Their program, as the kernel names it.
    pub(super) program: &'static str,
    /// The word in their command lines.
    pub(super) word: String,
}

impl Processes {
    /// Those that run. One that has ended and was not yet waited for has no command line.
    pub(super) fn all(&self) -> Vec<Pid> {
        let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
        folders
            .filter_map(|folder| Pid::from_raw(folder.file_name().to_str()?.parse().ok()?))
            .filter(|pid| self.has(*pid))
            .collect()
    }

    /// Whether the process is one of them.
    pub(super) fn has(&self, pid: Pid) -> bool {
        let read = |what| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
        let word = self.word.as_bytes();
        read("comm").trim_ascii_end() == self.program.as_bytes()
            && read("cmdline").windows(word.len()).any(|part| part == word)
    }

    /// Sends a signal to all, the first process first, so that it starts no others meanwhile.
    pub(super) fn signal(&self, first: Pid, signal: Signal) {
        send(first, signal);
        for pid in self.all().into_iter().filter(|pid| *pid != first) {
            send(pid, signal);
        }
    }

    /// Stops all where they are. The second round is for one that was forked while the first was on its way.
    pub(super) fn freeze(&self, first: Pid) {
        self.signal(first, Signal::STOP);
        self.signal(first, Signal::STOP);
    }

    /// Kills all and returns when they are gone.
    pub(super) fn kill(&self) {
        let gone = wait_for(|| {
            let left = self.all();
            left.iter().for_each(|pid| send(*pid, Signal::KILL));
            left.is_empty().then_some(())
        });
        assert!(gone.is_some(), "processes of {} outlive SIGKILL: {:?}", self.word, self.all());
    }
}

/// A process that has ended meanwhile needs no signal.
pub(super) fn send(pid: Pid, signal: Signal) {
    if let Err(error) = kill_process(pid, signal)
        && error != rustix::io::Errno::SRCH
    {
        panic!("cannot send {signal:?} to process {pid}: {error}");
    }
}
