//! `cargo xtask`: every developer command of this repository.
//!
//! It knows which commands check the project and in which order. It promises to stop at the first that
//! fails and to say what to do, and never to leave one out in silence. It depends on the standard library
//! alone, so that it builds in a moment on a fresh machine; it knows nothing of the code that it checks.

mod bench;
mod msrv;
mod postgres;
mod readme;
mod step;
mod supply;
mod test;
mod tools;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

/// What a command of xtask ends with. An error is a text for a person: what failed, and what to do.
type Result<T = ()> = std::result::Result<T, String>;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test           everything that CI checks: formatting, dependencies and the Rust that they say they need, clippy,
                 tests, doc tests, docs, README's commands
  test --quick   formatting, clippy and tests
  deps           licences, bans and sources of what the project depends on
  msrv           compiles everything with the oldest Rust that is promised; needs it, or rustup to fetch it
  postgres       runs the tests of the Postgres connector with the oldest and the newest PostgreSQL that are promised;
                 needs npm to fetch them
  tools          finds or installs what `test` needs; `test` does this first
  bench [NAME…]  runs the benchmarks of benches/src/bin in release mode, one after the other
  bench --only runs [--concurrency N] [--seconds S] [--json] [--dir DIR]
                 runs of three actions alone; with --json a line of JSON for each concurrency
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["test"] => test::all(),
        ["test", "--quick"] => test::quick(),
        ["deps"] => supply::check(),
        ["msrv"] => msrv::check(),
        ["postgres"] => postgres::check(),
        ["tools"] => tools::ensure(),
        ["bench", names @ ..] => bench::run_named(names),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the repository.
fn root() -> Result<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("start me as `cargo xtask`, not by my path")?;
    PathBuf::from(here)
        .ancestors()
        .nth(2)
        .map(PathBuf::from)
        .ok_or_else(|| "crates/xtask is not two folders below the root of the repository".to_owned())
}

/// A cargo command at the root: the same cargo that started xtask, with nothing to read from.
fn cargo(args: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root()?).stdin(Stdio::null());
    Ok(command)
}

/// Runs `command` and shows what it prints. An error names it and how it ended.
fn run(command: &mut Command) -> Result {
    let status = command.status().map_err(|error| format!("cannot start `{}`: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", shown(command))) }
}

/// Whether `command` can be started and succeeds; what it prints is not shown.
fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// `command` as a person would type it.
fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
