//! The one test command. The list below is the whole of it, in the order in which it runs.

use crate::step::{Step, run_all};
use crate::{Result, cargo, readme, run, succeeds, tools};

const TOOLS: Step =
    Step { name: "tools", hint: "Run `cargo xtask tools` again when that is mended.", run: tools::ensure };
const FORMAT: Step = Step { name: "formatting", hint: "Run `cargo fmt`.", run: formatting };
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
const README: Step = Step {
    name: "README's commands",
    hint: "README.md must tell the truth: mend the command or the text. CONTRIBUTING.md says how its blocks are marked.",
    run: readme::run_commands,
};

/// Everything that CI checks.
pub(crate) fn all() -> Result {
    run_all(&[TOOLS, FORMAT, CLIPPY, TESTS, DOC_TESTS, DOCS, README])
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
    run(&mut cargo(&["test", "--workspace", "--all-features", "--tests", "--no-fail-fast"])?)
}

fn doc_tests() -> Result {
    run(&mut cargo(&["test", "--workspace", "--all-features", "--doc"])?)
}

fn docs() -> Result {
    let mut doc = cargo(&["doc", "--workspace", "--all-features", "--no-deps"])?;
    run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}
