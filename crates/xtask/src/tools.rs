//! What the test command needs beside cargo: found, else installed, else named with the command to run.

mod postgres;

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Result, cargo, run, shown, succeeds};

/// Programs that checks start, each with the Debian package that brings it. A test that starts another
/// program adds its line here.
const PROGRAMS: &[(&str, &str)] = &[
    ("bash", "bash"),
    ("timeout", "coreutils"),
    ("setsid", "util-linux"),
    ("flock", "util-linux"),
    ("python3", "python3-minimal"),
];

/// Parts of the Rust toolchain that checks call, as cargo commands and as rustup names them.
const COMPONENTS: &[(&str, &str)] = &[("fmt", "rustfmt"), ("clippy", "clippy")];

/// Makes sure that everything is there.
pub(crate) fn ensure() -> Result {
    for (subcommand, component) in COMPONENTS {
        ensure_component(subcommand, component)?;
    }
    ensure_programs(PROGRAMS)?;
    postgres::ensure()
}

fn ensure_component(subcommand: &str, component: &str) -> Result {
    if !succeeds(&mut cargo(&[subcommand, "--version"])?) {
        let mut add = Command::new("rustup");
        run(add.args(["component", "add", component]).stdin(Stdio::null()))?;
    }
    println!("found cargo {subcommand}");
    Ok(())
}

fn ensure_programs(programs: &[(&str, &str)]) -> Result {
    let absent: Vec<&str> =
        programs.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package).collect();
    if !absent.is_empty() {
        install(&absent)?;
    }
    for (program, package) in programs {
        if !on_path(program) {
            return Err(format!("`{program}` is still missing although package {package} was installed"));
        }
        println!("found {program}");
    }
    Ok(())
}

/// Installs Debian packages; the package lists are fetched only when the first try fails without them.
fn install(packages: &[&str]) -> Result {
    let by_hand = format!("apt-get update && apt-get install -y {}", packages.join(" "));
    if !is_root() {
        return Err(format!("missing: {}. As root, run: {by_hand}", packages.join(", ")));
    }
    let told = |error| format!("{error}\n  By hand: {by_hand}");
    if run(&mut apt_get(&[&["install", "-y"], packages].concat())).is_ok() {
        return Ok(());
    }
    run(&mut apt_get(&["update"])).map_err(told)?;
    run(&mut apt_get(&[&["install", "-y"], packages].concat())).map_err(told)
}

fn apt_get(args: &[&str]) -> Command {
    let mut apt = Command::new("apt-get");
    // Configuration that is there stays as it is, and nobody is asked.
    apt.args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("UCF_FORCE_CONFFOLD", "1")
        .stdin(Stdio::null());
    println!("$ {}", shown(&apt));
    apt
}

fn is_root() -> bool {
    let mut id = Command::new("id");
    id.arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| is_file(&dir.join(program))))
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.is_file())
}
