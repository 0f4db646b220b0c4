//! An initialised cluster, made once and copied for each server: `initdb` takes seconds, a copy takes none.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{OrPanic, SUPERUSER, account, doing, place};

/// Copies the template to `data`, and makes it before that if nobody has.
pub(super) fn copy_to(data: &Path, common: &Path) {
    copy(&template(common), data);
}

/// Copies data to where nothing is yet.
pub(super) fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").arg(from).arg(to));
}

/// Whoever comes first makes it. One that was not finished has a name of its own, since `initdb` goes on when the
/// process is killed that started it.
fn template(common: &Path) -> PathBuf {
    let template = common.join("template");
    let _lock = lock(&common.join("template.lock"));
    if template.join("PG_VERSION").is_file() {
        return template;
    }
    remove_all(common, "unfinished-");
    let unfinished = common.join(format!("unfinished-{:08x}", place::unique()));
    account::make_folder(&unfinished, 0o700);
    let data = unfinished.join("data");
    initialise(&unfinished, &data);
    fs::rename(&data, &template).or_panic(doing("move the template to", &template));
    remove_all(common, "unfinished-");
    template
}

/// Makes the data of a new cluster, with help of a file in `folder`.
pub(super) fn initialise(folder: &Path, data: &Path) {
    let password = folder.join("password");
    account::write_file(&password, SUPERUSER, 0o600);
    account::make_folder(data, 0o700);
    let mut initdb = account::command(place::server_programs().join("initdb"));
    initdb.arg("-D").arg(data).args(["-U", SUPERUSER, "-E", "UTF8", "--locale=C", "--auth=trust"]);
    run(initdb.arg("--pwfile").arg(&password));
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

/// Removes the folders whose names begin so. What is still being written to stays for the next time.
pub(super) fn remove_all(common: &Path, prefix: &str) {
    for entry in fs::read_dir(common).or_panic(doing("read", common)).flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().or_panic(format!("start {command:?}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
