//! The server that all test processes of one target folder share.
//!
//! Each process holds the file `used` locked, shared with the others, for as long as it lives; so the system knows who
//! uses the server, however they end. `lock` is held by who starts it or ends it. A server counts as started when its
//! `address` is there and its socket answers; whatever else is found is cleared away.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;

use super::cluster::{self, Cluster};
use super::{OrPanic, Server, doing, place, reaper, template};

/// Faster where nobody kills the server.
const SETTINGS: &[(&str, &str)] =
    &[("full_page_writes", "off"), ("max_wal_size", "256MB"), ("shared_buffers", "32MB")];

/// One for each process, until that ends.
pub(super) fn server() -> Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(join).clone()
}

fn join() -> Server {
    let common = place::common_folder();
    let _lock = template::lock(&common.join("lock"));
    let used = use_it(&common.join("used"));
    let folder = common.join("shared");
    let cluster = running(&folder).unwrap_or_else(|| start(&common, &folder));
    Server::of_all(cluster, used)
}

fn use_it(path: &Path) -> File {
    let used = template::open(path);
    used.lock_shared().or_panic(doing("lock", path));
    used.set_modified(SystemTime::now()).or_panic(doing("touch", path));
    used
}

/// The server that somebody else has started, if it answers.
fn running(folder: &Path) -> Option<Cluster> {
    let read = |name| fs::read_to_string(folder.join(name)).ok();
    let port = read("address")?.parse().ok()?;
    let cluster = Cluster::at(folder.to_owned(), read("word")?, port, Vec::new());
    UnixStream::connect(cluster.socket()).ok().map(|_| cluster)
}

fn start(common: &Path, folder: &Path) -> Cluster {
    // Not the folder's name, which stands in the command lines of those who make the template.
    let word = place::common_name().replace("enact-pg-", "enact-shared-");
    cluster::processes(word.clone()).kill();
    template::remove(folder);
    fs::create_dir(folder).or_panic(doing("make the folder", folder));
    let word = format!("{word}-{:016x}", place::unique());
    fs::write(folder.join("word"), &word).or_panic(doing("write into", folder));
    reaper::watch_shared(
        &cluster::processes(word.clone()),
        folder,
        &common.join("lock"),
        &common.join("used"),
    );
    let mut cluster = Cluster::lay(folder.to_owned(), word, SETTINGS);
    // It is nobody's child: it goes on when this process has ended.
    drop(cluster.start_on_a_free_port());
    let (address, unfinished) = (folder.join("address"), folder.join("address.unfinished"));
    fs::write(&unfinished, cluster.port.to_string()).or_panic(doing("write", &unfinished));
    fs::rename(&unfinished, &address).or_panic(doing("write", &address));
    cluster
}
