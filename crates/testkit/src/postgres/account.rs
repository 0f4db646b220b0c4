//! As whom the parts run: as the test's user, or as another one where that is root, which they refuse.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use super::{OrPanic, doing};

/// Who is asked for when the test runs as root.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// A user and their group.
#[derive(Clone, Copy, Debug)]
struct Account {
    user: u32,
    group: u32,
}

/// The number of the test's user.
pub(super) fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// `None` where the parts run as the test does.
fn other() -> Option<Account> {
    static FOUND: OnceLock<Option<Account>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        if own_user() != 0 {
            return None;
        }
        let account = |name: &&str| Some(Account { user: id("-u", name)?, group: id("-g", name)? });
        let found = CANDIDATES.iter().find_map(account);
        Some(found.unwrap_or_else(|| panic!("root has no user of {CANDIDATES:?} to run PostgreSQL as")))
    })
}

fn id(what: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([what, name]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// A command that runs as the parts do, apart from the test: with no settings of PostgreSQL from outside.
pub(super) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C").current_dir("/");
    if let Some(account) = other() {
        command.uid(account.user).gid(account.group);
    }
    command
}

/// Makes a folder that belongs to the parts' user.
pub(super) fn make_folder(path: &Path, mode: u32) {
    fs::create_dir_all(path).or_panic(doing("make the folder", path));
    hand_over(path, mode);
}

/// Writes a file that belongs to the parts' user.
pub(super) fn write_file(path: &Path, content: &str, mode: u32) {
    fs::write(path, content).or_panic(doing("write", path));
    hand_over(path, mode);
}

fn hand_over(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).or_panic(doing("set the mode of", path));
    if let Some(account) = other() {
        chown(path, Some(account.user), Some(account.group)).or_panic(doing("give away", path));
    }
}
