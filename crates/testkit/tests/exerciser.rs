//! The store exerciser: what it acknowledged is there after kills, and damage does not go unsaid.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

const EXERCISER: &str = env!("CARGO_BIN_EXE_store-exerciser");

/// What `check` found.
#[derive(Debug)]
struct Found {
    /// `have 1..N`
    have: u64,
    /// Lines of `missing` and `corrupt`.
    wrong: Vec<String>,
}

fn check(dir: &Path) -> Found {
    let output = Command::new(EXERCISER).arg("check").arg(dir).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (have, wrong): (Vec<_>, Vec<_>) =
        said.lines().map(ToOwned::to_owned).partition(|line| line.starts_with("have "));
    let [have] = have.as_slice() else { panic!("{said}{}", String::from_utf8_lossy(&output.stderr)) };
    assert_eq!(output.status.success(), wrong.is_empty(), "{said}");
    assert!(wrong.iter().all(|line| line.starts_with("missing ") || line.starts_with("corrupt ")), "{said}");
    Found { have: have.strip_prefix("have 1..").unwrap().parse().unwrap(), wrong }
}

/// Writes until so many more are acknowledged, kills it with signal 9, and gives the number of the last acknowledged.
fn write_until_killed(dir: &Path, more: u64) -> u64 {
    let mut writer = Command::new(EXERCISER).arg("write").arg(dir).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let (mut first, mut last, mut was_killed) = (None, 0, false);
    for line in lines.map_while(Result::ok) {
        let number: u64 = line.strip_prefix("ack ").unwrap().parse().unwrap();
        assert!(first.is_none() || number == last + 1, "{number} behind {last}");
        first.get_or_insert(number);
        last = number;
        if !was_killed && first.is_some_and(|first| last - first >= more) {
            writer.kill().unwrap();
            was_killed = true;
        }
    }
    assert!(was_killed && !writer.wait().unwrap().success(), "it was killed while it wrote");
    last
}

/// Writes so many events, and closes the store.
fn write(dir: &Path, count: u64) -> u64 {
    let output = Command::new(EXERCISER).arg("write").arg(dir).arg(count.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().last().unwrap().strip_prefix("ack ").unwrap().parse().unwrap()
}

/// Asserts that all that was acknowledged is there, and nothing is wrong.
fn assert_whole(dir: &Path, acked: u64) {
    let found = check(dir);
    assert!(found.have >= acked && found.wrong.is_empty(), "{acked} were acknowledged; {found:?}");
}

#[test]
fn what_it_acknowledged_is_there_after_each_kill_and_it_goes_on_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut acked = 0;
    for round in 0..8 {
        let last = write_until_killed(&path, 300 * round + 1);
        assert!(last > acked);
        acked = last;
        assert_whole(&path, acked);
    }
    let last = write(&path, 500);
    assert!(last >= acked + 500);
    assert_whole(&path, last);
    assert!(fs::read_dir(path.join("volumes")).unwrap().count() > 6, "several volumes were sealed");
}

#[test]
fn an_empty_folder_has_nothing_and_what_is_no_store_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(check(&dir.path().join("none")).have, 0);
    fs::write(dir.path().join("file"), "x").unwrap();
    assert!(!check(dir.path()).wrong.is_empty());
}

/// The files of a store, each with its content.
fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    all
}

fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    for (path, bytes) in files(from) {
        let path = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    for folder in ["journal", "volumes", "blobs"] {
        fs::create_dir_all(to.join(folder)).unwrap();
    }
}

/// Asserts that damage of a kind to a file changes nothing that was acknowledged, or is said.
fn damage(kind: &str, seed: u64, rounds: u32, harm: fn(&mut StdRng, &mut Vec<u8>)) {
    let dir = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(seed);
    let (mut said, mut harmless) = (0, 0);
    for is_closed in [false, true] {
        let whole = dir.path().join(format!("whole-{is_closed}"));
        let acked = if is_closed { write(&whole, 1200) } else { write_until_killed(&whole, 1200) };
        let all: Vec<_> = files(&whole).into_iter().collect();
        // A file as often as another, but for blobs, of which there are many.
        let is_blob = |path: &Path| path.starts_with(whole.join("blobs"));
        let (blobs, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(path, _)| is_blob(path));
        for round in 0..rounds {
            let (path, bytes) = if round % 16 == 0 { &blobs } else { &others }.choose(&mut random).unwrap();
            if bytes.is_empty() {
                continue;
            }
            let damaged = dir.path().join("damaged");
            copy(&whole, &damaged);
            let (place, mut harmed) = (path.strip_prefix(&whole).unwrap(), bytes.clone());
            harm(&mut random, &mut harmed);
            fs::write(damaged.join(place), &harmed).unwrap();
            let found = check(&damaged);
            let is_said = !found.wrong.is_empty();
            assert!(
                is_said || found.have >= acked,
                "seed {seed}, round {round}: {kind} in {}: {acked} were acknowledged, and there is {found:?}",
                place.display()
            );
            *if is_said { &mut said } else { &mut harmless } += 1;
        }
    }
    assert!(said > rounds / 4, "{said} were said, {harmless} changed nothing");
}

#[test]
fn a_flipped_bit_anywhere_is_said_or_changes_nothing_that_was_acknowledged() {
    damage("a flipped bit", 9, 50, |random, bytes| {
        // Where something stands, as a rule: much of a prepared segment is empty.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
        let at = random.random_range(0..used);
        bytes[at] ^= 1 << random.random_range(0..8);
    });
}

#[test]
fn a_file_that_was_cut_is_said_or_changes_nothing_that_was_acknowledged() {
    damage("a cut", 10, 20, |random, bytes| bytes.truncate(random.random_range(0..bytes.len())));
}

#[test]
fn a_file_whose_end_is_zeros_is_said_or_changes_nothing_that_was_acknowledged() {
    damage("an end of zeros", 11, 20, |random, bytes| {
        let from = random.random_range(0..bytes.len());
        bytes[from..].fill(0);
    });
}
