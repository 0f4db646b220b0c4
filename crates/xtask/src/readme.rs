//! README's commands, run as written, so that README.md cannot promise what does not work.
//!
//! Each `sh` or `console` block of README.md has a marker on the last line before it that is not blank:
//!
//! - `<!-- xtask: run -->`: run at the root of the repository;
//! - `<!-- xtask: run in scratch -->`: run in a new empty folder, with the `enact` binary on the path;
//! - `<!-- xtask: skip: WHY -->`: not run, for a reason that a reader of the source accepts.
//!
//! A block without a marker is an error: nothing is left out in silence. A block is one bash script that
//! ends at the first command that fails. In `console` blocks, lines that begin with `$ ` are the commands and
//! the rest is what they print, which is not compared. The test command itself is left out of its own run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::{Result, cargo, root, run};

/// The one test command. README.md has to name it, and `.ci/run` runs it.
const TEST_COMMAND: &str = "cargo xtask test";
/// A block that takes longer hangs.
const LIMIT: &str = "1200s";

/// Where a block runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Root,
    Scratch,
}

/// A block of commands that is to be run.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// The line of README.md on which it begins, from 1.
    line: usize,
    place: Place,
    script: String,
}

/// Runs the marked blocks of README.md in order.
pub(crate) fn run_commands() -> Result {
    let readme = root()?.join("README.md");
    let text =
        fs::read_to_string(&readme).map_err(|error| format!("cannot read {}: {error}", readme.display()))?;
    let blocks = blocks(&text)?;
    if !blocks.iter().any(|block| block.script.lines().any(is_test_command)) {
        return Err(format!("README.md has no block, marked to be run, that names `{TEST_COMMAND}`"));
    }
    for block in &blocks {
        run_block(block).map_err(|error| format!("README.md, line {}: {error}", block.line))?;
    }
    Ok(())
}

fn run_block(block: &Block) -> Result {
    let script = without_test_command(&block.script);
    if script.trim().is_empty() {
        return Ok(());
    }
    println!("--- README.md, line {}\n{script}---", block.line);
    match block.place {
        Place::Root => run(&mut bash(&script, &root()?)),
        Place::Scratch => in_scratch(&script),
    }
}

fn bash(script: &str, folder: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10s", LIMIT, "bash", "-euo", "pipefail", "-c", script]);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs `script` in a new folder, which stays for inspection when the script fails.
fn in_scratch(script: &str) -> Result {
    run(&mut cargo(&["build", "--release", "--package", "enact-cli"])?)?;
    let scratch = env::temp_dir().join(format!("enact-readme-{}", std::process::id()));
    fs::create_dir(&scratch).map_err(|error| format!("cannot create {}: {error}", scratch.display()))?;
    let before = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(release_folder()?).chain(env::split_paths(&before)))
        .map_err(|error| format!("cannot put the enact binary on the path: {error}"))?;
    run(bash(script, &scratch).env("PATH", path))
        .map_err(|error| format!("{error}; its folder is left at {}", scratch.display()))?;
    fs::remove_dir_all(&scratch).map_err(|error| format!("cannot remove {}: {error}", scratch.display()))
}

/// Where cargo puts release binaries: beside the folder in which this binary is.
fn release_folder() -> Result<PathBuf> {
    let own = env::current_exe().map_err(|error| format!("cannot find my own binary: {error}"))?;
    own.ancestors()
        .nth(2)
        .map(|target| target.join("release"))
        .ok_or_else(|| "cannot find cargo's target folder".to_owned())
}

fn is_test_command(line: &str) -> bool {
    let words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
    words.eq(TEST_COMMAND.split_whitespace())
}

fn without_test_command(script: &str) -> String {
    script.lines().filter(|line| !is_test_command(line)).map(|line| format!("{line}\n")).collect()
}

/// All blocks of `text` that are to be run, in order.
fn blocks(text: &str) -> Result<Vec<Block>> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    let mut last = "";
    while let Some((number, line)) = lines.next() {
        if let Some((fence, language)) = opening(line) {
            let body: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != fence).collect();
            found.extend(block(number + 1, language, last, &body)?);
        }
        if !line.trim().is_empty() {
            last = line.trim();
        }
    }
    Ok(found)
}

/// The fence and the language of a line that opens a fenced block.
fn opening(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let language = line.trim_start_matches('`');
    let fence = line.strip_suffix(language)?;
    (fence.len() >= 3).then_some((fence, language.split_whitespace().next().unwrap_or("")))
}

/// The block with `body`, if it is a block of commands and its marker does not say to skip it.
fn block(line: usize, language: &str, marker: &str, body: &[&str]) -> Result<Option<Block>> {
    let script: String = match language {
        "sh" | "bash" => body.iter().map(|line| format!("{line}\n")).collect(),
        "console" => {
            body.iter().filter_map(|line| line.strip_prefix("$ ")).map(|c| format!("{c}\n")).collect()
        }
        _ => return Ok(None),
    };
    if script.trim().is_empty() {
        return Err(format!("README.md, line {line}: a `{language}` block without a command"));
    }
    let place = match instruction(marker) {
        Some("run") => Place::Root,
        Some("run in scratch") => Place::Scratch,
        Some(skip) if skip.strip_prefix("skip:").is_some_and(|why| !why.trim().is_empty()) => {
            return Ok(None);
        }
        _ => {
            return Err(format!(
                "README.md, line {line}: put `<!-- xtask: run -->`, `<!-- xtask: run in scratch -->` or \
                 `<!-- xtask: skip: WHY -->` before this block"
            ));
        }
    };
    Ok(Some(Block { line, place, script }))
}

fn instruction(marker: &str) -> Option<&str> {
    Some(marker.strip_prefix("<!-- xtask:")?.strip_suffix("-->")?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_sh_block_is_one_script() {
        let text =
            "# Title\n\n<!-- xtask: run -->\n```sh\ncargo build\ncargo xtask test  # as CI does\n```\n";
        let expected = "cargo build\ncargo xtask test  # as CI does\n";
        assert_eq!(
            blocks(text),
            Ok(vec![Block { line: 4, place: Place::Root, script: expected.to_owned() }])
        );
    }

    #[test]
    fn in_a_console_block_only_prompts_are_commands() {
        let text = "<!-- xtask: run in scratch -->\n\n```console\n$ enact init\nwrote enact.toml\n$ enact runs\n```\n";
        let expected = "enact init\nenact runs\n";
        assert_eq!(
            blocks(text),
            Ok(vec![Block { line: 3, place: Place::Scratch, script: expected.to_owned() }])
        );
    }

    #[test]
    fn a_block_of_commands_without_a_marker_is_an_error_that_names_its_line() {
        let error = blocks("text\n\n```sh\nrm -rf /\n```\n").unwrap_err();
        assert!(error.contains("line 3"), "{error}");
    }

    #[test]
    fn a_skipped_block_needs_a_reason() {
        assert_eq!(blocks("<!-- xtask: skip: needs a token -->\n```sh\nenact run x\n```\n"), Ok(vec![]));
        assert!(blocks("<!-- xtask: skip: -->\n```sh\nenact run x\n```\n").is_err());
    }

    #[test]
    fn a_marker_holds_for_the_next_block_only() {
        let text = "<!-- xtask: run -->\n```sh\ntrue\n```\n\n```sh\nfalse\n```\n";
        assert!(blocks(text).unwrap_err().contains("line 6"));
    }

    #[test]
    fn blocks_in_other_languages_are_left_alone_and_may_hold_fences() {
        let text = "````markdown\n```sh\nfalse\n```\n````\n\n```rust\nfn main() {}\n```\n";
        assert_eq!(blocks(text), Ok(vec![]));
    }

    #[test]
    fn the_test_command_is_recognised_however_it_is_spaced_or_commented() {
        assert!(is_test_command("  cargo xtask  test   # minutes"));
        assert!(!is_test_command("cargo xtask test --quick"));
        assert_eq!(without_test_command("a\ncargo xtask test\nb\n"), "a\nb\n");
    }
}
