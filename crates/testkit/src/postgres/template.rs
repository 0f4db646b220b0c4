//! An initialised cluster, made once and copied for each server: `initdb` takes seconds, a copy takes none.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{OrPanic, SUPERUSER, account, doing, place};

/// Copies the template to `data`, and makes it before that if nobody has.
pub(super) fn copy_to(data: &Path, common: &Path) {
    let template = template(common);
    run(Command::new("cp").arg("-a").arg(&template).arg(data));
}

/// Whoever comes first makes it; one that was not finished has another name and is made anew.
fn template(common: &Path) -> PathBuf {
    let (template, unfinished) = (common.join("template"), common.join("template.unfinished"));
    let _lock = lock(&common.join("template.lock"));
    if template.join("PG_VERSION").is_file() {
        return template;
    }
    remove(&unfinished);
    account::make_folder(&unfinished, 0o700);
    let (data, password) = (unfinished.join("data"), unfinished.join("password"));
    account::write_file(&password, SUPERUSER, 0o600);
    let mut initdb = account::command(place::server_programs().join("initdb"));
    initdb.arg("-D").arg(&data).args(["-U", SUPERUSER, "-E", "UTF8", "--locale=C", "--auth=trust"]);
    run(initdb.arg("--pwfile").arg(&password));
    remove(&template);
    fs::rename(&data, &template).or_panic(doing("move the template to", &template));
    remove(&unfinished);
    template
}

/// Waits for the lock and holds it until the file is closed, in whichever way the process ends.
pub(super) fn lock(path: &Path) -> File {
    let file = open(path);
    file.lock().or_panic(doing("lock", path));
    file
}

/// A file to lock.
pub(super) fn open(path: &Path) -> File {
    let file = File::options().create(true).append(true).open(path);
    file.or_panic(doing("open", path))
}

/// Removes a folder that may not be there.
pub(super) fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        panic!("cannot remove {}: {error}", folder.display());
    }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().or_panic(format!("start {command:?}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
