//! The server that all test processes of one target folder share.
//!
//! Each process holds the file `used` locked, shared with the others, for as long as it lives; so the system knows who
//! uses the server, however they end. `lock` is held by who starts it or ends it. `current` has the word by which the
//! server is known, from before its start, and ends with the name of its folder: each start has one of its own, in
//! which nothing that others have begun goes on. A server counts as started when its `address` is there and its socket
//! answers; whatever else is found is cleared away.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use super::cluster::{self, Cluster};
use super::{OrPanic, Server, doing, place, reaper, template};

/// Faster where nobody kills the server.
const SETTINGS: &[(&str, &str)] =
    &[("full_page_writes", "off"), ("max_wal_size", "256MB"), ("shared_buffers", "32MB")];

/// How the names of the servers' folders begin.
const FOLDERS: &str = "s-";

/// One for each process, until that ends.
pub(super) fn server() -> Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(join).clone()
}

fn join() -> Server {
    let common = place::common_folder();
    let _lock = template::lock(&common.join("lock"));
    let used = use_it(&common.join("used"));
    let cluster = running(&common).unwrap_or_else(|| start(&common));
    Server::of_all(cluster, used)
}

fn use_it(path: &Path) -> File {
    let used = template::open(path);
    used.lock_shared().or_panic(doing("lock", path));
    used.set_modified(SystemTime::now()).or_panic(doing("touch", path));
    used
}

/// The server that somebody else has started, if it answers.
fn running(common: &Path) -> Option<Cluster> {
    let word = fs::read_to_string(common.join("current")).ok()?;
    let folder = folder(common, word.rsplit_once('-')?.1);
    let port = fs::read_to_string(folder.join("address")).ok()?.parse().ok()?;
    let cluster = Cluster::at(folder, word, port, Vec::new());
    UnixStream::connect(cluster.socket()).ok().map(|_| cluster)
}

fn folder(common: &Path, name: &str) -> PathBuf {
    common.join(format!("{FOLDERS}{name}"))
}

fn start(common: &Path) -> Cluster {
    // Not the folder's name, which stands in the command lines of those who make the template.
    let word = place::common_name().replace("enact-pg-", "enact-shared-");
    cluster::processes(word.clone()).kill();
    template::remove_all(common, FOLDERS);
    let name = format!("{:08x}", place::unique() & 0xffff_ffff);
    let (word, folder) = (format!("{word}-{name}"), folder(common, &name));
    write(&common.join("current"), &word);
    reaper::watch_shared(&cluster::processes(word.clone()), &folder, common);
    fs::create_dir(&folder).or_panic(doing("make the folder", &folder));
    let mut cluster = Cluster::lay(folder.clone(), word, SETTINGS);
    // It is nobody's child: it goes on when this process has ended.
    drop(cluster.start_on_a_free_port());
    write(&folder.join("address"), &cluster.port.to_string());
    cluster
}

/// Writes a file that is there as a whole or not at all.
fn write(path: &Path, content: &str) {
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, content).or_panic(doing("write", &unfinished));
    fs::rename(&unfinished, path).or_panic(doing("write", path));
}
