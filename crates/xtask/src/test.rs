//! The one test command. The list below is the whole of it, in the order in which it runs.

use std::fs;
use std::process::{Command, Stdio};

use crate::step::{Step, run_all};
use crate::{Result, cargo, readme, root, run, succeeds, supply, tools};

const TOOLS: Step =
    Step { name: "tools", hint: "Run `cargo xtask tools` again when that is mended.", run: tools::ensure };
const FORMAT: Step = Step { name: "formatting", hint: "Run `cargo fmt`.", run: formatting };
const SUPPLY: Step = Step {
    name: "dependencies",
    hint: "deny.toml has the lists; docs/adr/0002 says what is taken in and why.",
    run: supply::check,
};
const CLIPPY: Step = Step {
    name: "clippy",
    hint: "Mend what it shows; an exception is `#[expect(…, reason = \"…\")]`.",
    run: clippy,
};
const TESTS: Step =
    Step { name: "tests", hint: "The failures are listed above, each with what it printed.", run: tests };
const DOC_TESTS: Step = Step {
    name: "doc tests",
    hint: "An example in the docs does not compile or does not hold.",
    run: doc_tests,
};
const DOCS: Step = Step { name: "docs", hint: "Mend the links and comments that it shows.", run: docs };
const OLDEST_RUST: Step = Step {
    name: "the oldest Rust",
    hint: "Do without what is newer, or raise `rust-version` and say so: docs/adr/0006.",
    run: oldest_rust,
};
const README: Step = Step {
    name: "README's commands",
    hint: "README.md must tell the truth: mend the command or the text. CONTRIBUTING.md says how its blocks are marked.",
    run: readme::run_commands,
};

/// Everything that CI checks.
pub(crate) fn all() -> Result {
    run_all(&[TOOLS, FORMAT, SUPPLY, CLIPPY, TESTS, DOC_TESTS, DOCS, OLDEST_RUST, README])
}

/// What is worth running before each commit.
pub(crate) fn quick() -> Result {
    run_all(&[FORMAT, CLIPPY, TESTS])
}

fn formatting() -> Result {
    run(&mut cargo(&["fmt", "--all", "--check"])?)
}

fn clippy() -> Result {
    let args = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    run(&mut cargo(&args)?)
}

/// With nextest where it is installed: a test that hangs is then ended, and each has a process of its own.
fn tests() -> Result {
    if succeeds(&mut cargo(&["nextest", "--version"])?) {
        return run(&mut cargo(&["nextest", "run", "--workspace", "--all-features"])?);
    }
    println!("cargo-nextest is not installed: plain `cargo test` does the same, but lets a test hang");
    run(&mut cargo(&[
        "test",
        "--workspace",
        "--all-features",
        "--lib",
        "--bins",
        "--tests",
        "--examples",
        "--no-fail-fast",
    ])?)
}

fn doc_tests() -> Result {
    run(&mut cargo(&["test", "--workspace", "--all-features", "--doc"])?)
}

fn docs() -> Result {
    let mut doc = cargo(&["doc", "--workspace", "--all-features", "--no-deps"])?;
    run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Checks with the Rust that Cargo.toml names as the oldest. Where that is not there and cannot be had (its server is
/// not one of the registries that a build machine has to reach), this says so and goes on.
fn oldest_rust() -> Result {
    let root = root()?;
    let path = root.join("Cargo.toml");
    let manifest =
        fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .ok_or_else(|| format!("{} names no rust-version", path.display()))?
        .trim_matches('"');
    let is_there = |version: &str| {
        succeeds(Command::new("rustup").args(["run", version, "rustc", "--version"]).stdin(Stdio::null()))
    };
    let mut install = Command::new("rustup");
    install.args(["toolchain", "install", "--profile", "minimal", version]).stdin(Stdio::null());
    if !is_there(version) && !succeeds(&mut install) {
        println!("NOT CHECKED: Rust {version} is not installed here and cannot be fetched");
        return Ok(());
    }
    let mut check = Command::new("rustup");
    check.args(["run", version, "cargo", "check", "--workspace", "--all-features", "--locked"]);
    // Cargo tells those that it starts which compiler to use.
    check.env_remove("RUSTC").env_remove("RUSTDOC").env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    run(check.current_dir(&root).stdin(Stdio::null()))
}
