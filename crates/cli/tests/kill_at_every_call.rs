//! The real binary, killed at each system call that changes something: whatever it was doing, the next command makes
//! the run whole or undoes it whole.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it does not expect")]

mod common;

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use common::{World, copy};
use enact_testkit::kill_points::{KillPoint, Sweep};
use serde_json::Value;

const ME: [&str; 2] = ["--user", "me@example.com"];
/// How often everything is killed until each call that is asked for was among those that were hit.
const SWEEPS: usize = 4;
/// The size of the file that is deleted: more than a record holds, so that its content is kept in a file of the store.
const OLD_BYTES: usize = 100 * 1024;
const WORKFLOW: &str = r#"
name: work
steps:
  - { id: a, action: files.write_file, with: { path: new/deep/a.txt, content: "a" } }
  - { id: b, action: files.write_file, with: { path: there.txt, content: "changed", mode: "0700" } }
  - { id: c, action: files.read_file, with: { path: there.txt } }
  - { id: d, action: files.delete_file, with: { path: old.bin } }
  - { id: e, action: files.write_file, with: { path: new/e.txt, content: "{{ steps.c.output.sha256 }}" } }
"#;

/// A folder whose workspace and store are put back before each kill. The folder itself stays the same one: an undo
/// goes only to the workspace that its action was done in.
struct Fixed {
    world: World,
    /// Workspace and store as they are put back.
    kept: tempfile::TempDir,
}

impl Fixed {
    /// A store that was used before, and a workspace.
    fn new() -> Self {
        let world = World::new();
        world.write("workflows/work.yaml", WORKFLOW);
        world.write("workspace/there.txt", "as it was\r\n");
        fs::set_permissions(world.path("workspace/there.txt"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::write(world.path("workspace/old.bin"), [0, 159, 146, 150].repeat(OLD_BYTES / 4)).unwrap();
        world.json(&["act", "files.list_dir", ME[0], ME[1]]).exits(0);
        let fixed = Self { world, kept: tempfile::tempdir().unwrap() };
        fixed.keep();
        fixed
    }

    /// What is there now is what is put back from now on.
    fn keep(&self) {
        for name in ["workspace", "enact-data"] {
            let kept = self.kept.path().join(name);
            drop(fs::remove_dir_all(&kept));
            fs::create_dir(&kept).unwrap();
            copy(&self.world.path(name), &kept);
        }
    }

    fn put_back(&self) {
        for name in ["workspace", "enact-data"] {
            for entry in fs::read_dir(self.world.path(name)).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    fs::remove_dir_all(entry).unwrap()
                } else {
                    fs::remove_file(entry).unwrap()
                }
            }
            copy(&self.kept.path().join(name), &self.world.path(name));
        }
    }

    /// What is in the workspace: contents, modes, and the times of files.
    fn picture(&self) -> String {
        let mut lines = Vec::new();
        collect(&self.world.path("workspace"), &mut lines);
        lines.sort();
        lines.join("\n")
    }

    /// The contents alone, for what a run makes anew.
    fn contents(&self) -> Vec<String> {
        let read =
            |name: &&str| fs::read_to_string(self.world.path("workspace").join(name)).unwrap_or_default();
        ["new/deep/a.txt", "there.txt", "old.bin", "new/e.txt"].iter().map(read).collect()
    }

    /// The run of the workflow, where it was accepted: its id and status.
    fn the_run(&self) -> Option<(String, String)> {
        let listed = self.world.json(&["runs", "--workflow", "work"]).exits(0).json();
        let run = listed["runs"].as_array().unwrap().first()?;
        let text = |key: &str| run[key].as_str().unwrap().to_owned();
        Some((text("run_id"), text("status")))
    }

    fn assert_undone_by(&self, args: &[&str], before: &str) {
        let gave = self.world.json(args).exits(0);
        assert_eq!(gave.json()["status"], "rolled_back", "{gave:?}");
        assert_eq!(self.picture(), before);
    }

    /// Kills a command at each of its points, and looks at what is left. Gives the calls at which it was killed.
    fn sweep(&self, args: &[&str], check: impl Fn(&KillPoint)) -> Vec<KillPoint> {
        let command = |_: &Path| {
            self.put_back();
            self.world.command(args)
        };
        // A resumed or undone run may end with another code than 0; how it ends is looked at by `check`.
        let swept = Sweep::default().run(command, |_, point| check(point)).unwrap();
        println!("{args:?}: killed at {} of {} mutating calls", swept.points.len(), swept.mutations);
        assert!(swept.points.len() > 10, "the points were reached");
        swept.points
    }
}

fn collect(dir: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let (path, metadata) = (entry.path(), entry.metadata().unwrap());
        let mode = metadata.mode();
        if metadata.is_dir() {
            lines.push(format!("{} {mode:o}", path.display()));
            collect(&path, lines);
        } else {
            let modified = (metadata.mtime(), metadata.mtime_nsec());
            lines.push(format!("{} {mode:o} {modified:?} {:?}", path.display(), fs::read(&path).unwrap()));
        }
    }
}

fn assert_whole(run: &Value) {
    assert_eq!(run["status"], "completed", "{run}");
    for action in run["actions"].as_array().unwrap() {
        assert_eq!((&action["success"], &action["already_done"]), (&true.into(), &false.into()), "{run}");
    }
}

#[test]
fn a_run_that_is_killed_anywhere_is_finished_undone_or_cancelled_whole() {
    let fixed = Fixed::new();
    let before = fixed.picture();
    // What the run makes, left alone.
    fixed.world.enact(&["run", "work", ME[0], ME[1]]).exits(0);
    let after = fixed.contents();
    let statuses = RefCell::new(Vec::new());

    let kill_everywhere = || {
        fixed.sweep(&["run", "work", ME[0], ME[1]], |point| {
            let Some((run, status)) = fixed.the_run() else {
                assert_eq!(fixed.picture(), before, "a run that was not accepted did nothing");
                return;
            };
            statuses.borrow_mut().push(status.clone());
            match point.number % 3 {
                0 => {
                    assert_whole(&fixed.world.json(&["resume", &run]).exits(0).json());
                    assert_eq!(fixed.contents(), after);
                    fixed.assert_undone_by(&["rollback", &run], &before);
                }
                1 => fixed.assert_undone_by(&["rollback", &run], &before),
                _ if status == "completed" => fixed.assert_undone_by(&["rollback", &run], &before),
                _ => fixed.assert_undone_by(&["cancel", &run], &before),
            }
            fixed.world.json(&["store", "verify"]).exits(0);
        })
    };
    // Threads take turns as they like, so that a call can be missed; then everything is killed once more.
    let mut missed = vec!["write", "fsync", "rename"];
    for _ in 0..SWEEPS {
        let points = kill_everywhere();
        let of_blobs = || points.iter().filter(|point| point.subject.contains("blobs/"));
        missed.retain(|call| !of_blobs().any(|point| point.call.contains(call)));
        if missed.is_empty() {
            break;
        }
    }
    assert_eq!(missed, [""; 0], "killed while the content of old.bin is kept");
    let statuses = statuses.into_inner();
    assert!(statuses.iter().any(|status| status == "running"), "killed under way: {statuses:?}");
}

#[test]
fn case_44_a_rollback_that_is_killed_anywhere_is_finished() {
    let fixed = Fixed::new();
    let before = fixed.picture();
    fixed.world.enact(&["run", "work", ME[0], ME[1]]).exits(0);
    fixed.keep();
    let (run, _) = fixed.the_run().unwrap();
    let under_way = RefCell::new(0);
    fixed.sweep(&["rollback", &run], |point| {
        let (_, status) = fixed.the_run().unwrap();
        if status == "rolling_back" {
            *under_way.borrow_mut() += 1;
            if point.number % 2 == 0 {
                // Exit 4: it was resumed, and did not complete.
                assert_eq!(fixed.world.json(&["resume", &run]).exits(4).json()["status"], "rolled_back");
            }
        }
        fixed.assert_undone_by(&["rollback", &run], &before);
        fixed.world.json(&["store", "verify"]).exits(0);
    });
    assert!(under_way.into_inner() > 5, "killed under way");
}

#[test]
fn a_recovery_that_is_killed_anywhere_is_finished_by_the_next() {
    let fixed = Fixed::new();
    let before = fixed.picture();
    // A run that was killed half-way.
    let half_way = tempfile::tempdir().unwrap();
    fixed.sweep(&["run", "work", ME[0], ME[1]], |_| {
        let is_half_way = fixed.contents()[0] == "a" && fixed.contents()[1] != "changed";
        if is_half_way && fs::read_dir(half_way.path()).unwrap().next().is_none() {
            for name in ["workspace", "enact-data"] {
                fs::create_dir(half_way.path().join(name)).unwrap();
                copy(&fixed.world.path(name), &half_way.path().join(name));
            }
        }
    });
    let fixed = Fixed { world: fixed.world, kept: half_way };
    fixed.put_back();
    let (run, status) = fixed.the_run().expect("a run was killed half-way");
    assert_eq!(status, "running");
    fixed.sweep(&["resume", &run], |_| {
        assert_whole(&fixed.world.json(&["resume", &run]).exits(0).json());
        fixed.assert_undone_by(&["rollback", &run], &before);
    });
}
