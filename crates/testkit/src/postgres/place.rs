//! Where things are: the server's programs, the temporary folders, and ports that are free.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fs;
use std::hash::{Hash, Hasher};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{OrPanic, account, cluster, doing, reaper};

/// Where Debian keeps each version, as `15/bin`.
const VERSIONS: &str = "/usr/lib/postgresql";
/// A socket's path has at most 107 bytes; what stands below the temporary folder takes at most 65.
const LONGEST_TEMP: usize = 40;
/// Below the ports that the system gives to outgoing connections, so that a port which is free stays so.
const PORTS: std::ops::Range<u16> = 10_240..32_000;

/// The folder of the server's programs.
pub(super) fn server_programs() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let complete = |bin: &PathBuf| ["initdb", "postgres"].iter().all(|name| bin.join(name).is_file());
        if let Some(bin) = env::var_os("PG_BIN").map(PathBuf::from) {
            assert!(complete(&bin), "PG_BIN is {}, which has no `initdb` and `postgres`", bin.display());
            return bin;
        }
        let newest = fs::read_dir(VERSIONS)
            .into_iter()
            .flatten()
            .flatten()
            .map(|version| (number(&version.file_name().to_string_lossy()), version.path().join("bin")))
            .filter(|(_, bin)| complete(bin))
            .max();
        let path = env::var_os("PATH").unwrap_or_default();
        newest.map(|(_, bin)| bin).or_else(|| env::split_paths(&path).find(complete)).unwrap_or_else(|| {
            panic!(
                "PostgreSQL's `initdb` and `postgres` are not here: run `cargo xtask tools`, or set PG_BIN"
            )
        })
    })
}

/// `15` and `9.6` in their order.
fn number(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// A program that is on the path or where Debian puts servers.
pub(super) fn program(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("`{name}` is not here: run `cargo xtask tools`"))
}

/// A new folder for one part. Its name is short, since sockets are below it, and is found nowhere else.
pub(super) fn new_folder() -> PathBuf {
    let folder = tempfile::Builder::new().prefix("enact-pg-").rand_bytes(10).tempdir_in(temp());
    let folder = folder.or_panic("make a temporary folder").keep();
    open_to_all(&folder);
    folder
}

/// The folder that all test processes of one target folder share, made if it is not there.
pub(super) fn common_folder() -> PathBuf {
    let folder = temp().join(common_name());
    match fs::create_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        made => made.or_panic(doing("make the folder", &folder)),
    }
    let owner = fs::symlink_metadata(&folder).or_panic(doing("look at", &folder)).uid();
    assert_eq!(owner, account::own_user(), "{} belongs to another user", folder.display());
    open_to_all(&folder);
    folder
}

/// The name of the common folder: another one for each user, temporary folder, target folder, server and form of these
/// tools. Processes are known by it too, so it is of one common folder alone.
pub(super) fn common_name() -> String {
    let mut hash = DefaultHasher::new();
    (temp(), target_folder(), server_programs(), cluster::SETTINGS, reaper::SCRIPT).hash(&mut hash);
    format!("enact-pg-{}-{:016x}", account::own_user(), hash.finish())
}

/// Cargo marks its target folder; a program that was put elsewhere counts with the folder it is in.
fn target_folder() -> PathBuf {
    let program = env::current_exe().or_panic("find the test's own program");
    let marked = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    marked.or(program.parent()).unwrap_or(&program).to_owned()
}

/// The system's temporary folder where the parts can work there, else the usual one.
fn temp() -> PathBuf {
    let temp = env::temp_dir();
    let open =
        |folder: &Path| fs::metadata(folder).is_ok_and(|about| about.permissions().mode() & 0o001 != 0);
    let reachable = account::own_user() != 0 || temp.ancestors().all(open);
    let short = temp.as_os_str().len() <= LONGEST_TEMP;
    if reachable && short && temp.is_absolute() { temp } else { PathBuf::from("/tmp") }
}

fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).or_panic(doing("set the mode of", folder));
}

/// A port of 127.0.0.1 that nobody has at this moment.
pub(super) fn free_port() -> u16 {
    let start = unique() % u64::from(PORTS.end - PORTS.start);
    let start = u16::try_from(start).unwrap_or(0) + PORTS.start;
    (start..PORTS.end)
        .chain(PORTS.start..start)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap_or_else(|| panic!("no port of {PORTS:?} is free"))
}

/// A number that no other call gives, in this process or another one.
pub(super) fn unique() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut hash = DefaultHasher::new();
    (std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed), now).hash(&mut hash);
    hash.finish()
}
