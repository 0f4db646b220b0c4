//! Runs the benchmarks: the programs of `benches/src/bin`, in release mode, never two at a time.

use crate::{Result, cargo, root, run};

/// Runs the benchmarks named, or all of them. `--only NAME` runs one, and gives it the words behind.
pub(crate) fn run_named(names: &[&str]) -> Result {
    if let ["--only", name, words @ ..] = names {
        known(&[name])?;
        return start(name, words);
    }
    known(names)?;
    for bench in found()?.iter().filter(|bench| names.is_empty() || names.contains(&bench.as_str())) {
        println!("\n==> {bench}");
        start(bench, &[])?;
    }
    Ok(())
}

fn known(names: &[&str]) -> Result {
    let all = found()?;
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|bench| bench == *name)) {
        return Err(format!("there is no benchmark `{unknown}`; there are: {}", all.join(", ")));
    }
    Ok(())
}

fn start(bench: &str, words: &[&str]) -> Result {
    let mut command =
        cargo(&["run", "--quiet", "--release", "--package", "enact-benches", "--bin", bench, "--"])?;
    run(command.args(words))
}

/// The names of all benchmarks, sorted.
fn found() -> Result<Vec<String>> {
    let folder = root()?.join("benches/src/bin");
    let entries =
        std::fs::read_dir(&folder).map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort();
    if names.is_empty() { Err(format!("no benchmark in {}", folder.display())) } else { Ok(names) }
}
