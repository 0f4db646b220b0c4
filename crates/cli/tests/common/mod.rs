//! The real binary, in a folder that `enact init` made.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

pub(crate) mod marked;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A folder with a configuration, workflows and a workspace.
pub(crate) struct World {
    dir: tempfile::TempDir,
}

/// What a command gave.
#[derive(Debug)]
pub(crate) struct Gave {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Gave {
    /// The one document on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code and message of an error before there is a run.
    pub(crate) fn error(&self) -> (String, String) {
        let error = &self.json()["error"];
        (error["code"].as_str().unwrap().to_owned(), error["message"].as_str().unwrap().to_owned())
    }

    /// Asserts an exit code, showing everything where it is another.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.exit, code, "{self:?}");
        self
    }
}

impl From<Output> for Gave {
    fn from(output: Output) -> Self {
        Self {
            exit: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl World {
    /// As `enact init` leaves it, with all actions of files allowed, and without its built-in policies.
    pub(crate) fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        world.enact(&["init"]).exits(0);
        let config = world.read("enact.toml");
        let (before, policies) = config.split_once("[[policies]]").unwrap();
        let after = policies.split_once("\n[").unwrap().1;
        let config = format!("{before}[{after}").replace(r#""list_dir"]"#, r#""list_dir", "delete_file"]"#);
        world.write("enact.toml", &config);
        world
    }

    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The command, in this folder, with nothing of the tester's environment that it looks at.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_enact"));
        command.args(args).current_dir(self.dir.path()).env_remove("ENACT_CONFIG").env_remove("ENACT_LOG");
        command.env("USER", "tester").stdin(Stdio::null());
        command
    }

    pub(crate) fn enact(&self, args: &[&str]) -> Gave {
        self.command(args).output().unwrap().into()
    }

    /// With `--json`.
    pub(crate) fn json(&self, args: &[&str]) -> Gave {
        self.enact(&[args, &["--json"]].concat())
    }

    /// Writes a file by an action, and gives the run.
    pub(crate) fn act_write(&self, path: &str, content: &str) -> String {
        let params = serde_json::json!({ "path": path, "content": content }).to_string();
        let gave = self.json(&["act", "files.write_file", "--user", "me@example.com", "--params", &params]);
        gave.exits(0).json()["run_id"].as_str().unwrap().to_owned()
    }

    /// A workflow `long` of many writes, of `dN/f` each, so that its run is under way for a while.
    pub(crate) fn long(&self, steps: usize) {
        let step = |n| {
            format!(
                "  - {{ id: s{n}, action: files.write_file, with: {{ path: 'd{n}/f', content: '{n}' }} }}\n"
            )
        };
        let steps: String = (0..steps).map(step).collect();
        self.write("workflows/long.yaml", &format!("name: long\nsteps:\n{steps}"));
    }

    /// What the workspace holds, by path.
    pub(crate) fn workspace(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.path("workspace"), &self.path("workspace"), &mut found);
        found.sort();
        found
    }
}

/// Every file below a folder, with its content, sorted.
pub(crate) fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// Copies what is in a folder, with modes and times.
pub(crate) fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(done.success());
}

/// Sends a signal.
pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

/// The folder of a demo whose second run was killed between the effect of action 2 and its record.
pub(crate) struct Parked {
    world: World,
    folder: PathBuf,
    pub(crate) run: String,
}

impl Parked {
    pub(crate) fn new() -> Self {
        let world = World::empty();
        let demo = world.command(&["demo", "--json"]).env("TMPDIR", world.path("")).output().unwrap();
        let folder = PathBuf::from(Gave::from(demo).exits(0).json()["folder"].as_str().unwrap());
        let mut child = world.command(&["demo-child"]).arg(&folder).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let run = said.trim().strip_prefix("parked ").expect("the crash point is reached").to_owned();
        Self { world, folder, run }
    }

    /// A file of the workspace.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join("workspace").join(name)
    }

    /// With `--json`, on the demo's store.
    pub(crate) fn json(&self, args: &[&str]) -> Gave {
        let config = self.folder.join("enact.toml");
        self.world.json(&[args, &["--config", config.to_str().unwrap()]].concat())
    }
}

/// What goes away meanwhile, by a process that is watched, is not there.
fn list(root: &Path, dir: &Path, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        found.push(path.strip_prefix(root).unwrap().display().to_string());
        if path.is_dir() {
            list(root, &path, found);
        }
    }
}
