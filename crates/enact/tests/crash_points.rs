//! A user's test of an own workflow, with a crash at every step: on a folder, and on a world with a ledger.

#![cfg(all(feature = "testing", feature = "filesystem"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use enact::Builder;
use enact::filesystem::{DeleteFile, Filesystem, WriteFile};
use enact::prelude::*;
use enact::testing::crash_points::{self, Place};
use enact::testing::world::{Get, Put, Remove, World};
use tempfile::TempDir;

struct Tidy;

impl Workflow for Tidy {
    const NAME: &'static str = "tidy";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
        let files = cx.connector::<Filesystem>("files")?;
        files.act(WriteFile::new("notes/today.md", "today\n")).await?;
        files.act(WriteFile::new("README", "tidied\n")).await?;
        files.act(DeleteFile::new("old.txt")).await.map(drop)
    }
}

/// A folder.
struct Folder(TempDir);

impl Folder {
    fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("README"), "as it was\n").unwrap();
        fs::write(folder.path().join("old.txt"), "old\n").unwrap();
        Self(folder)
    }
}

impl Place for Folder {
    fn runtime(&self) -> Builder {
        let files = Filesystem::new(self.0.path()).unwrap().allow(["write_file", "delete_file"]).unwrap();
        Enact::builder().connector("files", files).workflow(Tidy)
    }

    async fn observe(&self) -> String {
        let mut seen = String::new();
        list(self.0.path(), &mut seen);
        seen
    }
}

fn list(folder: &Path, seen: &mut String) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            writeln!(seen, "{name}/").unwrap();
            list(&path, seen);
        } else {
            writeln!(seen, "{name}: {:?}", fs::read_to_string(&path).unwrap()).unwrap();
        }
    }
}

#[test]
fn a_workflow_on_files_survives_a_crash_at_every_step() {
    let request = RunRequest::of(Tidy, "agent@company.com", &()).unwrap();
    let moments = crash_points::check(&request, Folder::fresh);
    assert!(moments > 25, "three actions and their undo have more than {moments} moments");
}

struct Change;

impl Workflow for Change {
    const NAME: &'static str = "change";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
        let world = cx.connector::<World>("world")?;
        world.act(Put::new("new", "ours")).await?;
        world.act(Get { key: "old".to_owned() }).await?;
        let both = cx
            .join([("old", true), ("gone", false)].map(|(key, put)| {
                move |cx: WorkflowCx| async move {
                    let world = cx.connector::<World>("world")?;
                    match put {
                        true => world.act(Put::new(key, "ours")).await,
                        false => world.act(Remove { key: key.to_owned() }).await,
                    }
                }
            }))
            .await;
        both.into_iter().collect::<Result<Vec<_>, _>>().map(drop)
    }
}

/// Fails after its effects, so that the runtime undoes them by itself.
struct Fails;

impl Workflow for Fails {
    const NAME: &'static str = "fails";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
        Change.run(cx, ()).await?;
        Err(Error::new(ErrorCode::NotFound, "what comes next is not there"))
    }
}

/// Values, and how often each was changed forward and back: a doubled effect is seen.
struct Ledger(World);

impl Ledger {
    fn fresh() -> Self {
        let world = World::new();
        world.set("old", "theirs");
        world.set("gone", "theirs");
        Self(world)
    }
}

impl Place for Ledger {
    fn runtime(&self) -> Builder {
        let world = self.0.clone().allow(["put", "remove", "get"]).unwrap();
        Enact::builder().connector("world", world).workflow(Change).workflow(Fails)
    }

    async fn observe(&self) -> String {
        let mut standing: Vec<(String, i32)> = Vec::new();
        for effect in self.0.ledger() {
            let change = if effect.action == "restore" { -1 } else { 1 };
            match standing.iter_mut().find(|(key, _)| *key == effect.key) {
                Some((_, count)) => *count += change,
                None => standing.push((effect.key, change)),
            }
        }
        standing.retain(|(_, count)| *count != 0);
        standing.sort();
        format!("{:?}\n{standing:?}", self.0.values())
    }
}

#[test]
fn parallel_actions_survive_a_crash_at_every_step() {
    let request = RunRequest::of(Change, "agent@company.com", &()).unwrap();
    assert!(crash_points::check(&request, Ledger::fresh) > 30);
}

#[test]
fn a_workflow_that_fails_is_undone_with_a_crash_at_every_step() {
    let request = RunRequest::of(Fails, "agent@company.com", &()).unwrap();
    assert!(crash_points::check(&request, Ledger::fresh) > 30);
}

/// A connector that does not say what it did: the check has to see it.
struct Forgetful(World);

impl Place for Forgetful {
    fn runtime(&self) -> Builder {
        self.0.cannot_tell(true);
        let world = self.0.clone().allow(["put", "remove", "get"]).unwrap();
        Enact::builder().connector("world", world).workflow(Change)
    }

    async fn observe(&self) -> String {
        format!("{:?}", self.0.values())
    }
}

#[test]
fn a_connector_that_cannot_settle_a_doubt_is_found_out() {
    let request = RunRequest::of(Change, "agent@company.com", &()).unwrap();
    let check = move || crash_points::check(&request, || Forgetful(Ledger::fresh().0));
    let text = *std::thread::spawn(check).join().unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("with a crash at moment"), "{text}");
    assert!(text.contains("quarantined"), "{text}");
}
