//! pgbouncer in front of a server.

use std::fs::File;
use std::net::TcpStream;
use std::process::{Child, Stdio};

use super::processes::Processes;
use super::reaper::Reaper;
use super::{Database, OrPanic, SUPERUSER, Server, account, doing, place, text, wait_for};

/// A real pgbouncer, with its own defaults but for what has to do with the test: who may connect, and where to.
#[derive(Debug)]
pub struct Bouncer {
    port: u16,
    first: Child,
    reaper: Option<Reaper>,
    /// It ends with the last who needs it.
    _server: Server,
}

impl Bouncer {
    /// Starts one that gives connections out in a mode: `session`, `transaction` or `statement`.
    ///
    /// # Panics
    /// Where pgbouncer is missing or does not start.
    #[must_use]
    pub fn start(server: &Server, mode: &str) -> Self {
        Self::start_with(server, mode, &[])
    }

    /// The same, with more settings of `pgbouncer.ini`.
    ///
    /// # Panics
    /// Where pgbouncer is missing or does not start.
    #[must_use]
    pub fn start_with(server: &Server, mode: &str, settings: &[(&str, &str)]) -> Self {
        let folder = place::new_folder();
        let processes = Processes { program: "pgbouncer", word: text(&folder).to_owned() };
        let reaper = Reaper::watch(&processes, &folder);
        let (port, users, ini) = (place::free_port(), folder.join("users"), folder.join("pgbouncer.ini"));
        account::write_file(&users, &format!("\"{SUPERUSER}\" \"\"\n"), 0o600);
        let own = [("pool_mode", mode), ("listen_port", &port.to_string()), ("auth_file", text(&users))];
        account::write_file(&ini, &configuration(server, &[&own, settings].concat()), 0o600);
        let path = folder.join("log");
        let log = File::create(&path).or_panic(doing("make", &path));
        let mut command = account::command("setsid");
        command.arg(place::program("pgbouncer")).arg(&ini).stdin(Stdio::null());
        command.stderr(log.try_clone().or_panic("share the log")).stdout(log);
        let mut first = command.spawn().or_panic("start `setsid pgbouncer`");
        let served = wait_for(|| {
            let ended = !matches!(first.try_wait(), Ok(None));
            (ended || TcpStream::connect(("127.0.0.1", port)).is_ok()).then_some(!ended)
        });
        let said = || std::fs::read_to_string(&path).unwrap_or_default();
        assert!(served == Some(true), "pgbouncer does not start:\n{}", said());
        Self { port, first, reaper: Some(reaper), _server: server.clone() }
    }

    /// The URL of a database for the superuser, by this bouncer.
    #[must_use]
    pub fn url(&self, database: &Database) -> String {
        self.url_as(SUPERUSER, database)
    }

    /// The URL of a database for a role, by this bouncer; no password is asked for.
    #[must_use]
    pub fn url_as(&self, role: &str, database: &Database) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{}", self.port, database.name())
    }

    /// Its port of 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.reaper.take());
        self.first.wait().ok();
    }
}

/// Whoever the server knows may connect: roles that are not in the file are looked up there.
fn configuration(server: &Server, settings: &[(&str, &str)]) -> String {
    let host = server.socket_folder();
    let mut ini = format!(
        "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nunix_socket_dir =\n\
         auth_type = trust\nauth_user = {SUPERUSER}\n",
        text(&host),
        server.port()
    );
    for (name, value) in settings {
        ini.push_str(&format!("{name} = {value}\n"));
    }
    ini
}
