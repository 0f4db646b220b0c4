//! git's own plumbing on one bare repository.
//!
//! It knows objects, refs and merges, and nothing of GitHub. Whatever fails is an error with what git said. It reads
//! no configuration but the repository's own, and no index or object folder that its caller was given.

mod commits;
mod merge;
mod refs;
mod trees;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(super) use commits::{Commit, Ident};
pub(super) use merge::Merged;
pub(super) use refs::{RefTo, Update, is_ref_name};
pub(super) use trees::{Entry, Put};

use super::reply::Stop;

/// The name that git gives to nothing.
pub(super) const ZEROS: &str = "0000000000000000000000000000000000000000";
/// What of the caller's environment would make git look elsewhere.
const FOREIGN: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_CEILING_DIRECTORIES",
];

/// A bare repository.
#[derive(Debug, Clone)]
pub(super) struct Git {
    folder: PathBuf,
}

/// What a command of git has said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) out: Vec<u8>,
    pub(super) err: String,
}

impl Git {
    /// Makes an empty bare repository.
    pub(super) fn init(folder: &Path, branch: &str) -> Result<Self, Stop> {
        std::fs::create_dir_all(folder)
            .map_err(|error| Stop::Broken(format!("cannot make {}: {error}", folder.display())))?;
        let git = Self { folder: folder.to_owned() };
        git.ok(&["init", "--quiet", "--bare", "--initial-branch", branch, "."])?;
        // Nothing here outlives a test, and nothing may be thrown away that an answer has named.
        for (key, value) in [("core.fsync", "none"), ("gc.auto", "0"), ("core.logAllRefUpdates", "false")] {
            git.ok(&["config", key, value])?;
        }
        Ok(git)
    }

    /// Lets objects of another repository be seen here, as those of a fork's parent are.
    pub(super) fn borrow_from(&self, other: &Self) -> Result<(), Stop> {
        let list = self.folder.join("objects/info/alternates");
        let line = format!("{}\n", other.folder.join("objects").display());
        std::fs::write(&list, line)
            .map_err(|error| Stop::Broken(format!("cannot write {}: {error}", list.display())))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs git, whatever its exit status.
    pub(super) fn run(&self, args: &[&str], input: &[u8], env: &[(&str, &str)]) -> Result<Said, Stop> {
        let broken = |error: std::io::Error| Stop::Broken(format!("cannot run git {args:?}: {error}"));
        let mut command = Command::new("git");
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.current_dir(&self.folder).args(args).envs(env.iter().copied());
        command.envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null"), ("LC_ALL", "C")]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(broken)?;
        let stdin = child.stdin.take();
        // Written beside the reading, or both sides would wait where input and output are longer than a pipe.
        let output = std::thread::scope(|scope| {
            let writing = scope.spawn(move || stdin.map_or(Ok(()), |mut stdin| stdin.write_all(input)));
            let output = child.wait_with_output();
            // A command that does not read to the end is judged by what it says.
            drop(writing.join());
            output
        });
        let output = output.map_err(broken)?;
        let err = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Ok(Said { code: output.status.code().unwrap_or(-1), out: output.stdout, err })
    }

    /// Runs git, and fails where it does.
    pub(super) fn bytes(&self, args: &[&str], input: &[u8]) -> Result<Vec<u8>, Stop> {
        let said = self.run(args, input, &[])?;
        if said.code == 0 { Ok(said.out) } else { Err(Stop::Broken(format!("git {args:?}: {}", said.err))) }
    }

    /// What git writes, without white space around it.
    pub(super) fn ok(&self, args: &[&str]) -> Result<String, Stop> {
        self.with_input(args, b"")
    }

    pub(super) fn with_input(&self, args: &[&str], input: &[u8]) -> Result<String, Stop> {
        Ok(String::from_utf8_lossy(&self.bytes(args, input)?).trim().to_owned())
    }

    /// Whether git ends with 0; 1 is no, and anything else a failure.
    pub(super) fn asks(&self, args: &[&str]) -> Result<bool, Stop> {
        let said = self.run(args, b"", &[])?;
        match said.code {
            0 => Ok(true),
            1 => Ok(false),
            _ => Err(Stop::Broken(format!("git {args:?}: {}", said.err))),
        }
    }

    /// Writes an object and gives its name. git checks its form.
    pub(super) fn write(&self, kind: &str, content: &[u8]) -> Result<String, Stop> {
        self.with_input(&["hash-object", "-t", kind, "-w", "--stdin"], content)
    }

    /// The kind of an object: `blob`, `tree`, `commit` or `tag`.
    pub(super) fn kind(&self, sha: &str) -> Result<Option<String>, Stop> {
        if !is_sha(sha) {
            return Ok(None);
        }
        let said = self.run(&["cat-file", "-t", sha], b"", &[])?;
        Ok((said.code == 0).then(|| String::from_utf8_lossy(&said.out).trim().to_owned()))
    }

    pub(super) fn is_kind(&self, sha: &str, kind: &str) -> Result<bool, Stop> {
        Ok(self.kind(sha)?.as_deref() == Some(kind))
    }

    /// The content of an object.
    pub(super) fn read(&self, kind: &str, sha: &str) -> Result<Vec<u8>, Stop> {
        self.bytes(&["cat-file", kind, sha], b"")
    }
}

/// Whether it is a full name of an object.
pub(super) fn is_sha(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
