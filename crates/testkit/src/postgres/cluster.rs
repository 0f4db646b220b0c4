//! One cluster on the disk, and its first process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Pid;

use super::processes::Processes;
use super::{OrPanic, account, doing, place, template, text, wait_for};

/// What every cluster starts with, before what its test asks for.
pub(super) const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("max_connections", "200"),
    ("shared_buffers", "16MB"),
    ("huge_pages", "off"),
    ("fsync", "off"),
    ("timezone", "UTC"),
];
/// The server's name in the command lines of its processes.
const PROGRAM: &str = "postgres";
/// How often another port is tried.
const PORTS_TRIED: usize = 5;

/// A cluster: its data, its socket and its log are in one folder.
#[derive(Debug)]
pub(super) struct Cluster {
    /// That folder.
    pub(super) folder: PathBuf,
    /// Its port, of 127.0.0.1 and in the socket's name.
    pub(super) port: u16,
    /// Its processes.
    pub(super) processes: Processes,
    /// What it is started with.
    pub(super) settings: Vec<(String, String)>,
}

impl Cluster {
    /// Lays the template's data into `folder`; nothing runs yet.
    pub(super) fn lay(folder: PathBuf, word: String, settings: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let settings = SETTINGS.iter().chain(settings).map(own).collect();
        let cluster = Self::at(folder, word, 0, settings);
        account::make_folder(&cluster.sockets(), 0o755);
        template::copy_to(&cluster.data(), &place::common_folder());
        cluster
    }

    /// A cluster that another process has laid.
    pub(super) fn at(folder: PathBuf, word: String, port: u16, settings: Vec<(String, String)>) -> Self {
        Self { folder, port, processes: processes(word), settings }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The folder of its socket.
    pub(super) fn sockets(&self) -> PathBuf {
        self.folder.join("s")
    }

    /// Its socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.sockets().join(format!(".s.PGSQL.{}", self.port))
    }

    /// Takes new data of its own instead of the template's.
    pub(super) fn initialise(&self) {
        fs::remove_dir_all(self.data()).or_panic(doing("remove", &self.data()));
        template::initialise(&self.folder, &self.data());
    }

    /// Lets the next start recover as the file of this name says, from the log that is there. Clients are served
    /// meanwhile, or only then.
    pub(super) fn recover(&self, signal: &str, meanwhile: bool) {
        let path = self.data().join("postgresql.auto.conf");
        let known = fs::read_to_string(&path).or_panic(doing("read", &path));
        let settings = format!("{known}restore_command = 'false'\nhot_standby = {meanwhile}\n");
        account::write_file(&path, &settings, 0o600);
        account::write_file(&self.data().join(signal), "", 0o600);
    }

    fn copy(&self) -> PathBuf {
        self.folder.join("copy")
    }

    /// Copies the data of a server that does not run.
    pub(super) fn keep_copy(&self) {
        template::copy(&self.data(), &self.copy());
    }

    /// The same, back.
    pub(super) fn put_copy_back(&self) {
        fs::remove_dir_all(self.data()).or_panic(doing("remove", &self.data()));
        template::copy(&self.copy(), &self.data());
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Starts on a port that is free.
    pub(super) fn start_on_a_free_port(&mut self) -> Child {
        for _ in 0..PORTS_TRIED {
            self.port = place::free_port();
            match self.start() {
                Ok(first) => return first,
                // Somebody took the port after we had looked.
                Err(log) if log.contains("could not bind") => remove_file(&self.log()),
                Err(log) => panic!("PostgreSQL does not start:\n{log}"),
            }
        }
        panic!("PostgreSQL found none of {PORTS_TRIED} ports free that were free");
    }

    /// Starts, and returns when clients are served. An error is what the server has logged.
    pub(super) fn start(&self) -> Result<Child, String> {
        let mut first = self.command().spawn().or_panic("start `setsid postgres`");
        let log = || fs::read_to_string(self.log()).unwrap_or_default();
        let served = wait_for(|| match first.try_wait() {
            Ok(None) => self.serves(first.id()).then_some(Ok(())),
            Ok(Some(ended)) => Some(Err(format!("{}\n{ended}", log()))),
            Err(error) => Some(Err(error.to_string())),
        });
        served.unwrap_or_else(|| Err(format!("{}\nnot ready in time", log()))).map(|()| first)
    }

    fn command(&self) -> Command {
        let log = File::options().create(true).append(true).open(self.log());
        let log = log.or_panic(doing("open", &self.log()));
        let mut command = account::command("setsid");
        command.arg(place::server_programs().join("postgres"));
        command.args(["-D", text(&self.data()), "-p", &self.port.to_string()]);
        command.args(["-k", text(&self.sockets())]);
        command.arg("-c").arg(format!("cluster_name={}", self.processes.word));
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.stdin(Stdio::null()).stderr(log.try_clone().or_panic("share the log")).stdout(log);
        command
    }

    /// The first process writes its number and its state into a file: the eighth line says when it is ready.
    fn serves(&self, first: u32) -> bool {
        let state = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let mut lines = state.lines().map(str::trim);
        lines.next() == Some(&first.to_string()) && lines.nth(6) == Some("ready")
    }

    /// Kills all processes at once: they are frozen before the first one dies, so that none sees it.
    pub(super) fn kill(&self, first: Pid) {
        self.processes.freeze(first);
        self.processes.kill();
    }

    /// Takes away what a killed server has left outside of its data: the shared memory by which it knows that it
    /// runs, and the number of its process, which may be another program's by now.
    pub(super) fn clear_after_kill(&self) {
        let path = self.data().join("postmaster.pid");
        let state = fs::read_to_string(&path).unwrap_or_default();
        let memory = state.lines().nth(6).and_then(|line| line.split_whitespace().nth(1));
        if let Some(memory) = memory {
            // Only tidiness: a server that starts again on the same data finds and removes it too.
            drop(Command::new("ipcrm").args(["-m", memory]).stdin(Stdio::null()).output());
        }
        remove_file(&path);
    }
}

/// The processes of a cluster with this word.
pub(super) fn processes(word: String) -> Processes {
    Processes { program: PROGRAM, word }
}

fn remove_file(path: &Path) {
    fs::remove_file(path).or_panic(doing("remove", path));
}
