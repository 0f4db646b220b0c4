//! PostgreSQL and pgbouncer: tests start their own of both, so only the programs are needed and no service.
//!
//! Found by the same rule as by `enact_testkit::postgres`: `$PG_BIN`, else the newest of Debian's, else the path.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{install, is_file, is_root, on_path};
use crate::{Result, shown, succeeds};

/// Where Debian keeps each version, as `15/bin`.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Debian's rule for the cluster that is made when PostgreSQL is installed.
const CREATE_CLUSTER: &str = "/etc/postgresql-common/createcluster.conf";
const PGBOUNCER: &str = "/usr/sbin/pgbouncer";

/// Makes sure that both are there.
pub(super) fn ensure() -> Result {
    let absent: Vec<&str> = [("postgresql", server().is_some()), ("pgbouncer", bouncer())]
        .iter()
        .filter(|(_, found)| !found)
        .map(|(package, _)| *package)
        .collect();
    if absent.contains(&"postgresql") {
        no_default_cluster()?;
    }
    if !absent.is_empty() {
        install(&absent)?;
    }
    if absent.contains(&"pgbouncer") {
        no_service("pgbouncer");
    }
    let found = server().ok_or_else(|| {
        format!(
            "PostgreSQL's `initdb` and `postgres` are in no {VERSIONS}/*/bin; name their folder with PG_BIN"
        )
    })?;
    println!("found PostgreSQL in {}", found.display());
    if !bouncer() {
        return Err(format!("`pgbouncer` is neither on the path nor {PGBOUNCER}"));
    }
    println!("found pgbouncer");
    Ok(())
}

/// The folder of the server's programs.
fn server() -> Option<PathBuf> {
    let complete = |bin: &PathBuf| ["initdb", "postgres"].iter().all(|program| is_file(&bin.join(program)));
    if let Some(bin) = env::var_os("PG_BIN") {
        return Some(PathBuf::from(bin)).filter(complete);
    }
    let newest = fs::read_dir(VERSIONS)
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| (number(&version.file_name().to_string_lossy()), version.path().join("bin")))
        .filter(|(_, bin)| complete(bin))
        .max();
    let path = env::var_os("PATH").unwrap_or_default();
    newest.map(|(_, bin)| bin).or_else(|| env::split_paths(&path).find(complete))
}

/// `15` and `9.6` in their order.
fn number(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

fn bouncer() -> bool {
    on_path("pgbouncer") || is_file(Path::new(PGBOUNCER))
}

/// Says to Debian, before it installs PostgreSQL, that nobody wants a cluster that runs all the time.
fn no_default_cluster() -> Result {
    let path = Path::new(CREATE_CLUSTER);
    if !is_root() || path.exists() {
        return Ok(());
    }
    let told = |error| format!("cannot write {CREATE_CLUSTER}: {error}");
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(told)?;
    fs::write(path, "create_main_cluster = false\n").map_err(told)
}

/// Takes back that Debian starts a service because it was installed. Where services are not run at all, as in most
/// containers, there is nothing to take back and this fails without harm.
fn no_service(name: &str) {
    for args in [&["service", name, "stop"][..], &["update-rc.d", name, "disable"]] {
        let [program, args @ ..] = args else { continue };
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null());
        println!("$ {}", shown(&command));
        if !succeeds(&mut command) {
            println!("(failed, which is no harm where no services are run)");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let mut versions = ["9.6", "15", "10", "9.10"];
        versions.sort_by_key(|version| number(version));
        assert_eq!(versions, ["9.6", "9.10", "10", "15"]);
    }
}
