//! Merges in random histories, taken back among later work: the tree is the one that `git revert` gives, and where that
//! has a conflict, so has the undo.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use std::path::Path;
use std::process::Command;

use enact_core::ErrorCode;
use enact_testkit::github::Person;
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::json;
use world::{Hub, REPO};

/// How many histories.
const HISTORIES: u64 = 100;

/// How many of them at the same time.
const AT_ONCE: u64 = 4;

/// Random numbers from a seed.
struct Dice(TestRng);

impl Dice {
    fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.0.next_u64() % u64::try_from(end).unwrap()).unwrap()
    }
}

const FILES: [&str; 4] = ["a.txt", "b.txt", "dir/c.txt", "dir/deep/d.txt"];

fn first_content(file: &str) -> String {
    (0..24).map(|line| format!("{file} line {line}\n")).collect()
}

/// One change of a branch: lines changed, added and removed, a file new, removed or renamed.
fn change(hub: &Hub, who: &Person, branch: &str, dice: &mut Dice) {
    let tree = hub.repo.tree(branch);
    let paths: Vec<&String> = tree.keys().collect();
    let path = paths[dice.below(paths.len())].clone();
    let mut lines: Vec<String> = String::from_utf8_lossy(&tree[&path].1).lines().map(str::to_owned).collect();
    let word = format!("{branch} {}", dice.below(1000));
    match dice.below(10) {
        0 => {
            let name = format!("new/{}.txt", dice.below(6));
            who.push(branch, [(name.as_str(), format!("{word}\n").as_str())]);
            return;
        }
        1 if paths.len() > 2 => {
            who.push_removal(branch, &path);
            return;
        }
        2 if paths.len() > 1 => {
            let to = format!("moved/{}", path.replace('/', "-"));
            let content = lines.join("\n") + "\n";
            who.push(branch, [(to.as_str(), content.as_str())]);
            if to != path {
                who.push_removal(branch, &path);
            }
            return;
        }
        3 | 4 if lines.len() > 3 => {
            let at = dice.below(lines.len());
            lines.remove(at);
        }
        5 => {
            let at = dice.below(lines.len() + 1);
            lines.insert(at, word);
        }
        _ if lines.is_empty() => lines.push(word),
        _ => {
            let at = dice.below(lines.len());
            lines[at] = word;
        }
    }
    who.push(branch, [(path.as_str(), (lines.join("\n") + "\n").as_str())]);
}

/// What git itself makes of it: the tree, or nothing where there is a conflict.
fn by_git(hub: &Hub, scratch: &Path, (method, merge, before): (&str, &str, &str)) -> Option<String> {
    let folder = hub.repo.folder();
    let git = |args: &[&str], at: &Path| {
        let mut command = Command::new("git");
        command.current_dir(at).args(args);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "git").env(format!("GIT_{who}_EMAIL"), "git@example.com");
        }
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if method == "rebase" {
        let base = format!("--merge-base={merge}");
        let (clean, out) = git(&["merge-tree", "--write-tree", &base, "main", before], &folder);
        return clean.then(|| out.lines().next().unwrap_or_default().to_owned());
    }
    let clone = scratch.join("clone");
    assert!(git(&["clone", "-q", folder.to_str().unwrap(), clone.to_str().unwrap()], scratch).0);
    let mut args = vec!["revert", "--no-edit", merge];
    if method == "merge" {
        args.extend(["-m", "1"]);
    }
    let (clean, _) = git(&args, &clone);
    // A revert that changes nothing is no commit for git, and an error; then there was nothing to do.
    let unmerged = !git(&["ls-files", "--unmerged"], &clone).1.is_empty();
    let nothing = !clean && !unmerged && git(&["diff", "--quiet", "HEAD"], &clone).0;
    (clean || nothing).then(|| git(&["rev-parse", "HEAD^{tree}"], &clone).1)
}

/// One history; what became of it.
async fn history(seed: u64) -> &'static str {
    let mut dice = Dice::new(seed);
    let build = |mut builder: enact_testkit::github::RepoBuilder| {
        for file in FILES {
            builder = builder.file(file, first_content(file));
        }
        builder.writer("agent")
    };
    let hub = Hub::of(build, |github| github);
    let (ann, bob) = (hub.repo.person("ann"), hub.repo.person("bob"));
    for _ in 0..=dice.below(3) {
        change(&hub, &ann, "feature", &mut dice);
    }
    for _ in 0..dice.below(3) {
        change(&hub, &bob, "main", &mut dice);
    }
    let number = ann.open_pull("feature", "main", "Random", "");
    let method = ["merge", "squash", "rebase"][dice.below(3)];
    let before = hub.repo.head("main").unwrap();
    let done = match hub.act("merge_pr", json!({ "repo": REPO, "pr_number": number, "method": method })).await
    {
        Ok(done) => done,
        Err(error) => {
            assert_eq!(error.code(), ErrorCode::PreconditionFailed, "seed {seed}: {error}");
            return "not mergeable";
        }
    };
    for _ in 0..dice.below(5) {
        change(&hub, &bob, "main", &mut dice);
    }
    let merge = done.output["sha"].as_str().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let wanted = by_git(&hub, scratch.path(), (method, merge, &before));
    let head = hub.repo.head("main");
    let undone = hub.undo(&done, false).await;
    assert_eq!(hub.leftovers(), [""; 0], "seed {seed}");
    match (wanted, undone) {
        (Some(tree), Ok(_)) => {
            let found = hub.repo.git(["rev-parse", "main^{tree}"]);
            assert_eq!(found, tree, "seed {seed}: {method}");
            "undone"
        }
        (None, Err(error)) => {
            assert_eq!(error.code(), ErrorCode::Conflict, "seed {seed}: {error}");
            assert_eq!(hub.repo.head("main"), head, "seed {seed}");
            "conflict"
        }
        (wanted, undone) => panic!("seed {seed}, {method}: git gives {wanted:?}, the undo {undone:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn undoing_a_merge_gives_the_tree_that_git_revert_gives() {
    let workers = (0..AT_ONCE).map(|worker| {
        tokio::spawn(async move {
            let mut came = Vec::new();
            for seed in (worker..HISTORIES).step_by(usize::try_from(AT_ONCE).unwrap()) {
                came.push(history(seed).await);
            }
            came
        })
    });
    let mut came = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        came.extend(worker.await.unwrap());
    }
    let count = |what: &str| came.iter().filter(|found| **found == what).count();
    eprintln!(
        "undone {}, conflict {}, not mergeable {}",
        count("undone"),
        count("conflict"),
        count("not mergeable")
    );
    assert!(count("undone") > 30 && count("conflict") > 3, "the histories prove too little: {came:?}");
}
