//! A server: one cluster that runs, shared by all tests or of one test alone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use rustix::process::{Pid, Signal};

use super::cluster::{self, Cluster};
use super::processes::send;
use super::reaper::Reaper;
use super::{Database, SUPERUSER, place, shared, text, tls, wait_for};

const NOT_RUNNING: &str = "the server does not run: `restart` starts it again";

/// A PostgreSQL server. Clones are the same server, and so is that of its databases; one of a test's own ends with
/// the last of them.
#[derive(Clone, Debug)]
pub struct Server(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cluster: Cluster,
    hold: Mutex<Hold>,
    certificate: Option<PathBuf>,
}

/// What keeps the server running.
#[derive(Debug)]
enum Hold {
    /// The lock that says that it is used; the system releases it when the process ends.
    Shared { _used: File },
    /// Its first process, where it runs, and who ends it.
    Own { first: Option<Child>, reaper: Option<Reaper> },
}

impl Server {
    /// The server of all test processes of one target folder. Who comes first starts it, and it ends when
    /// nobody has used it for about 20 seconds. Nobody may kill or stop it.
    ///
    /// # Panics
    /// Where PostgreSQL is missing or does not start.
    #[must_use]
    pub fn shared() -> Self {
        shared::server()
    }

    /// A server of the test's own, with settings of `postgresql.conf`. It ends when it is dropped.
    ///
    /// # Panics
    /// Where PostgreSQL is missing or does not start.
    #[must_use]
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_laid(settings, |_| None)
    }

    /// A server of the test's own that was initialised for itself, which takes a few seconds: all others come of one
    /// template, whose system identifier they share.
    ///
    /// # Panics
    /// Where PostgreSQL is missing or does not start.
    #[must_use]
    pub fn start_initialised(settings: &[(&str, &str)]) -> Self {
        Self::start_laid(settings, |cluster| {
            cluster.initialise();
            None
        })
    }

    /// A server of the test's own that asks TCP clients for TLS and a password, and has a certificate for
    /// `localhost` and 127.0.0.1. [`Server::ca_file`] is the authority that signed it. The superuser's password is
    /// `postgres`. Who comes by the unix socket is trusted, as ever.
    ///
    /// # Panics
    /// Where PostgreSQL is missing or does not start.
    #[must_use]
    pub fn start_tls(settings: &[(&str, &str)]) -> Self {
        Self::start_laid(settings, |cluster| Some(tls::set_up(cluster)))
    }

    fn start_laid(settings: &[(&str, &str)], set_up: impl Fn(&mut Cluster) -> Option<PathBuf>) -> Self {
        let folder = place::new_folder();
        let word = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let reaper = Reaper::watch(&cluster::processes(word.clone()), &folder);
        let mut cluster = Cluster::lay(folder, word, settings);
        let certificate = set_up(&mut cluster);
        let first = cluster.start_on_a_free_port();
        let hold = Hold::Own { first: Some(first), reaper: Some(reaper) };
        Self(Arc::new(Inner { cluster, hold: Mutex::new(hold), certificate }))
    }

    /// The shared server, while `used` is locked.
    pub(super) fn of_all(cluster: Cluster, used: File) -> Self {
        let hold = Mutex::new(Hold::Shared { _used: used });
        Self(Arc::new(Inner { cluster, hold, certificate: None }))
    }

    /// A fresh database. On the shared server it is dropped with its handle.
    ///
    /// # Panics
    /// Where the server does not make it.
    pub async fn database(&self) -> Database {
        Database::create(self).await
    }

    /// Its port of 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.cluster.port
    }

    /// The folder of its unix socket.
    #[must_use]
    pub fn socket_folder(&self) -> PathBuf {
        self.0.cluster.sockets()
    }

    /// The certificate, in PEM, that signed the server's, if the server speaks TLS.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        self.0.certificate.as_deref()
    }

    /// Kills the server with all its processes at once, so that nothing of what is in its memory is written. It can
    /// be started again.
    ///
    /// # Panics
    /// If it does not run, or is the shared one.
    pub fn kill_9(&self) {
        self.end(|cluster, first| cluster.kill(first));
        self.0.cluster.clear_after_kill();
    }

    /// Kills one server process, as the system does that runs out of memory. PostgreSQL then ends the connections
    /// of all others as well, and recovers. `backend` is what `pg_backend_pid()` says.
    ///
    /// # Panics
    /// If the server has no such process, does not run, or is the shared one.
    pub fn kill_backend(&self, backend: i32) {
        let first = self.first();
        send(self.backend(backend), Signal::KILL);
        drop(first);
    }

    /// Ends one connection, as an administrator does with `pg_terminate_backend`.
    ///
    /// # Panics
    /// If the server has no such process.
    pub fn terminate_backend(&self, backend: i32) {
        send(self.backend(backend), Signal::TERM);
    }

    /// Stops the server without ending anything in order; it recovers when it is started again. Connections are told
    /// so, which [`Server::kill_9`] does not.
    ///
    /// # Panics
    /// If it does not run, does not stop, or is the shared one.
    pub fn stop_immediate(&self) {
        self.end(|cluster, first| {
            cluster.processes.signal(first, Signal::CONT);
            send(first, Signal::QUIT);
        });
    }

    fn end(&self, how: impl FnOnce(&Cluster, Pid)) {
        let mut first = self.own().take().unwrap_or_else(|| panic!("{NOT_RUNNING}"));
        how(&self.0.cluster, pid(&first));
        let ended = wait_for(|| first.try_wait().transpose());
        assert!(matches!(ended, Some(Ok(_))), "the server does not end: {ended:?}");
    }

    /// Starts again on the same data, port and socket, and returns when clients are served. What still runs is stopped
    /// before, as [`Server::stop_immediate`] does.
    ///
    /// # Panics
    /// If it does not start, or is the shared one.
    pub fn restart(&self) {
        self.stop_if_it_runs();
        let started = self.0.cluster.start();
        *self.own() = Some(started.unwrap_or_else(|log| panic!("PostgreSQL does not start again:\n{log}")));
    }

    fn stop_if_it_runs(&self) {
        if self.own().is_some() {
            self.stop_immediate();
        }
    }

    /// As [`Server::restart`], and as a copy that takes over does it: recovered from its log, on a new timeline.
    ///
    /// # Panics
    /// As [`Server::restart`].
    pub fn restart_on_a_new_timeline(&self) {
        self.stop_if_it_runs();
        self.0.cluster.recover("recovery.signal", false);
        self.restart();
    }

    /// As [`Server::restart`], as a standby that nobody sends anything to: it can be read.
    ///
    /// # Panics
    /// As [`Server::restart`].
    pub fn restart_as_standby(&self) {
        self.stop_if_it_runs();
        self.0.cluster.recover("standby.signal", true);
        self.restart();
    }

    /// As [`Server::restart`]; before that, its data are copied.
    ///
    /// # Panics
    /// As [`Server::restart`].
    pub fn restart_and_keep_copy(&self) {
        self.stop_if_it_runs();
        self.0.cluster.keep_copy();
        self.restart();
    }

    /// As [`Server::restart`], on the data of the copy that was kept.
    ///
    /// # Panics
    /// As [`Server::restart`], and where no copy was kept.
    pub fn restart_from_copy(&self) {
        self.stop_if_it_runs();
        self.0.cluster.put_copy_back();
        self.restart();
    }

    /// Stops all its processes where they are: connections stay open, and nobody answers.
    ///
    /// # Panics
    /// If it does not run, or is the shared one.
    pub fn pause(&self) {
        self.0.cluster.processes.freeze(pid(&self.first()));
    }

    /// Lets a paused server go on.
    ///
    /// # Panics
    /// If it does not run, or is the shared one.
    pub fn resume(&self) {
        self.0.cluster.processes.signal(pid(&self.first()), Signal::CONT);
    }

    fn backend(&self, number: i32) -> Pid {
        let backend = Pid::from_raw(number).filter(|pid| self.0.cluster.processes.has(*pid));
        backend.unwrap_or_else(|| panic!("process {number} is none of this server"))
    }

    /// The first process of the test's own server, if it runs.
    fn own(&self) -> MappedMutexGuard<'_, Option<Child>> {
        MutexGuard::try_map(self.0.hold.lock(), |hold| match hold {
            Hold::Own { first, .. } => Some(first),
            Hold::Shared { .. } => None,
        })
        .unwrap_or_else(|_| panic!("this server is shared by all tests: use one of `Server::start`"))
    }

    /// The same, of a server that has to run.
    fn first(&self) -> MappedMutexGuard<'_, Child> {
        let Ok(first) = MappedMutexGuard::try_map(self.own(), Option::as_mut) else {
            panic!("{NOT_RUNNING}");
        };
        first
    }

    /// Whether its databases are to be dropped one by one.
    pub(super) fn is_shared(&self) -> bool {
        matches!(*self.0.hold.lock(), Hold::Shared { .. })
    }

    /// The URL of a database by the unix socket.
    pub(super) fn url(&self, role: &str, database: &str) -> String {
        let folder = percent_encoded(text(&self.socket_folder()));
        format!("postgres://{}@{folder}:{}/{database}", percent_encoded(role), self.port())
    }

    /// The URL of a database by TCP, for the superuser.
    pub(super) fn url_tcp(&self, database: &str) -> String {
        let port = self.port();
        if self.ca_file().is_some() {
            return format!("postgres://{SUPERUSER}:{SUPERUSER}@localhost:{port}/{database}?sslmode=require");
        }
        format!("postgres://{SUPERUSER}@127.0.0.1:{port}/{database}")
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Hold::Own { first, reaper } = self.hold.get_mut() {
            drop(reaper.take());
            first.as_mut().map(Child::wait).transpose().ok();
        }
    }
}

fn pid(child: &Child) -> Pid {
    let number = i32::try_from(child.id()).ok();
    number.and_then(Pid::from_raw).unwrap_or_else(|| panic!("{} is no number of a process", child.id()))
}

/// Every byte but letters and digits, so that a path can stand where a URL has its host.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}
