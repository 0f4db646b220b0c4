//! The shell that outlives a test, ends what the test started, and removes its folder.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::processes::Processes;
use super::{OrPanic, text};

/// What it runs.
pub(super) const SCRIPT: &str = include_str!("reap.sh");

/// Reaps when it is dropped, and when the process that has it ends in any way.
#[derive(Debug)]
pub(super) struct Reaper(Child);

impl Reaper {
    /// Watches over the processes and the folder of one part.
    pub(super) fn watch(processes: &Processes, folder: &Path) -> Self {
        let mut shell = shell("after-input", processes, folder);
        Self(shell.stdin(Stdio::piped()).spawn().or_panic("start `setsid sh`"))
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        while self.0.wait().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {}
    }
}

/// Starts the one that watches over what is shared; it ends by itself.
pub(super) fn watch_shared(processes: &Processes, folder: &Path, common: &Path) {
    let mut shell = shell("when-unused", processes, folder);
    let shell = shell.arg(common).spawn();
    // It outlives this process, and whoever inherits it waits for it.
    drop(shell.or_panic("start `setsid sh`"));
}

/// In a session of its own and without the test's streams, so that what ends the test does not end it.
fn shell(mode: &str, processes: &Processes, folder: &Path) -> Command {
    let mut shell = Command::new("setsid");
    shell.args(["sh", "-c", SCRIPT, "reap.sh", mode, processes.program, &processes.word, text(folder)]);
    shell.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell
}
