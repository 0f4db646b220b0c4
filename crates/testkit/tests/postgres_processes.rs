//! What the servers promise when test processes start together, die, or find what others have left.
#![cfg(all(feature = "postgres", target_os = "linux"))]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use enact_testkit::postgres::Server;

/// Tells the process below which server to use.
const SERVER: &str = "ENACT_TEST_SERVER";

/// Not a test: a process that uses a server until it is killed or its input ends.
#[test]
#[ignore = "it is started by the others"]
fn uses_a_server() {
    let Ok(which) = std::env::var(SERVER) else { return };
    let server = if which == "shared" { Server::shared() } else { Server::start(&[]) };
    println!("\nfolder={}", server.socket_folder().parent().unwrap().display());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

struct User(Child);

impl User {
    fn start(which: &str, temp: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap());
        process.args(["--exact", "uses_a_server", "--ignored", "--nocapture"]);
        process.env(SERVER, which).env("TMPDIR", temp);
        Self(process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// The server's folder, when it serves.
    fn folder(&mut self) -> PathBuf {
        let lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
        let mut lines = lines.filter_map(|line| line.strip_prefix("folder=").map(PathBuf::from));
        lines.next().unwrap_or_else(|| panic!("the process has no server"))
    }

    fn kill(self) {}
}

impl Drop for User {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A temporary folder that every user reaches, for servers that nobody else shares.
fn temp() -> tempfile::TempDir {
    let temp = tempfile::Builder::new().prefix("pg-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
    temp
}

/// Processes that have the text in their command lines.
fn processes(text: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).filter(|line| line.contains(text)).collect()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What the command lines of a shared server's processes have in them.
fn word(folder: &Path) -> String {
    format!("-{}", folder.file_name().unwrap().to_str().unwrap().strip_prefix("s-").unwrap())
}

/// The folder of a shared server in this temporary folder, when somebody has begun to fill it.
fn begun(temp: &Path) -> Option<PathBuf> {
    let common = fs::read_dir(temp).unwrap().flatten().next()?;
    let mut folders = fs::read_dir(common.path()).unwrap().flatten().map(|entry| entry.path());
    folders.find(|folder| folder.join("s").is_dir())
}

#[test]
fn a_test_that_is_killed_leaves_no_server_of_its_own() {
    let temp = temp();
    let mut user = User::start("own", temp.path());
    let folder = user.folder();
    let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(!processes(&name).is_empty());
    user.kill();
    until("the folder is removed", || !folder.exists());
    until("its processes have ended", || processes(&name).is_empty());
}

#[test]
fn processes_that_start_at_once_share_one_server_and_it_survives_those_that_are_killed() {
    let temp = temp();
    let mut users = [0; 3].map(|_| User::start("shared", temp.path()));
    let folders = users.each_mut().map(User::folder);
    assert!(folders.iter().all(|folder| folder == &folders[0]), "{folders:?}");
    for user in users {
        user.kill();
    }
    let mut next = User::start("shared", temp.path());
    assert_eq!(next.folder(), folders[0]);
    next.kill();
    drop(temp);
    until("a server without its folder ends", || processes(&word(&folders[0])).is_empty());
}

#[test]
fn what_is_left_of_a_server_or_of_its_start_is_cleared_away() {
    let temp = temp();
    let unfinished = User::start("shared", temp.path());
    until("the start has begun", || begun(temp.path()).is_some());
    let first = begun(temp.path()).unwrap();
    unfinished.kill();

    let mut user = User::start("shared", temp.path());
    let second = user.folder();
    assert_ne!(first, second);
    user.kill();

    // As after a restart of the machine: all files are there, and no process.
    let server = fs::read_to_string(second.join("data/postmaster.pid")).unwrap();
    let killed = Command::new("kill").args(["-KILL", server.lines().next().unwrap()]).status().unwrap();
    assert!(killed.success());
    until("the server has died", || {
        !processes(&word(&second)).iter().any(|line| line.contains("cluster_name"))
    });
    let mut user = User::start("shared", temp.path());
    let third = user.folder();
    assert_ne!(second, third);
    until("nothing of the others is left", || {
        [&first, &second].iter().all(|folder| processes(&word(folder)).is_empty() && !folder.exists())
    });
    user.kill();
    drop(temp);
    until("a server without its folder ends", || processes(&word(&third)).is_empty());
}
