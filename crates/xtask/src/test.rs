//! The one test command. The list below is the whole of it, in the order in which it runs.

use std::process::{Command, Stdio};

use crate::step::{Step, run_all};
use crate::{Result, cargo, msrv, readme, root, run, succeeds, supply, tools};

/// What takes longer hangs.
const LIMIT: &str = "1200s";

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
    name: "the oldest Rust, as dependencies say",
    hint: "Do without what is newer, or raise `rust-version` and say so: docs/adr/0006.",
    run: msrv::declared,
};
const README: Step = Step {
    name: "README's commands",
    hint: "README.md must tell the truth: mend the command or the text. CONTRIBUTING.md says how its blocks are marked.",
    run: readme::run_commands,
};

/// Everything that CI checks.
pub(crate) fn all() -> Result {
    run_all(&[TOOLS, FORMAT, SUPPLY, OLDEST_RUST, CLIPPY, TESTS, DOC_TESTS, DOCS, README])
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

/// With nextest where it is installed: a test that hangs is then ended by itself, and each has a process of its own. It is
/// not installed from here, because compiling it takes minutes. Plain `cargo test` does the same; it names a test that has
/// run for a minute, and as it ends none, all of them together have a limit.
fn tests() -> Result {
    if succeeds(&mut cargo(&["nextest", "--version"])?) {
        return run(&mut cargo(&["nextest", "run", "--workspace", "--all-features"])?);
    }
    println!(
        "cargo-nextest is not installed: plain `cargo test` does the same, with one limit for all tests"
    );
    let what = ["--workspace", "--all-features", "--lib", "--bins", "--tests", "--examples"];
    run(&mut cargo(&[&["test", "--no-run"][..], &what].concat())?)?;
    limited(&[&["test", "--no-fail-fast"][..], &what].concat())
}

fn doc_tests() -> Result {
    limited(&["test", "--workspace", "--all-features", "--doc"])
}

/// Runs a cargo command that may hang. It and all that it started are ended at the limit, and that is an error.
fn limited(args: &[&str]) -> Result {
    let cargo = cargo(args)?;
    let mut limited = Command::new("timeout");
    limited.args(["--verbose", "--kill-after=10s", LIMIT]).arg(cargo.get_program()).args(cargo.get_args());
    limited.current_dir(root()?).stdin(Stdio::null());
    let said = |error| format!("{error}; 124 and 137 mean that it did not end within {LIMIT}");
    run(&mut limited).map_err(said)
}

fn docs() -> Result {
    let mut doc = cargo(&["doc", "--workspace", "--all-features", "--no-deps"])?;
    run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}
