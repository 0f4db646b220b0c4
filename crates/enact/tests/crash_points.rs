//! A user's test of an own workflow, with a crash at every step: on a folder, and on a world with a ledger.

#![cfg(all(feature = "testing", feature = "filesystem"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use enact::Builder;
use enact::action::{Action, Captured, Doubt, EffectClass, Left, LockKey, Target, Undo};
use enact::connector::{ActionSet, ConfigEnv, Connector, Cx, Identity, Perform};
use enact::event::ApprovalRequested;
use enact::filesystem::{DeleteFile, Filesystem, WriteFile};
use enact::policy::{Policy, Request, Verdict};
use enact::prelude::*;
use enact::schemars::{self, JsonSchema};
use enact::testing::crash_points::{self, Place};
use enact::testing::world::{Get, Put, Remove, World};
use serde::{Deserialize, Serialize};
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

#[test]
fn a_crash_during_the_recovery_from_a_crash_changes_nothing() {
    let request = RunRequest::of(Change, "agent@company.com", &()).unwrap();
    assert!(crash_points::check_twice(&request, Ledger::fresh) > 500);
}

/// As [`Ledger`], where people are asked at each gate: of the run, of a write on its parameters, of one on what is there,
/// and of a read. They say yes, but for changes of a key. Undone is what was done where nothing is allowed.
struct Asking(Ledger, Option<&'static str>);

#[derive(Debug)]
struct FourEyes;

impl Policy for FourEyes {
    fn name(&self) -> &str {
        "four-eyes"
    }

    fn judge(&self, request: &Request<'_>) -> Verdict {
        let exists = request.facts().map(|facts| facts.get("exists").is_some_and(|exists| *exists == true));
        let wanted = match (request.action().map(|action| (action.action, &*action.target.id)), exists) {
            (None, _) | (Some(("put", "new") | ("get", _)), None) => true,
            (Some(("put" | "remove", _)), Some(exists)) => exists,
            _ => false,
        };
        if wanted { Verdict::needs_approval("look at it") } else { Verdict::Pass }
    }
}

#[derive(Debug)]
struct Nothing;

impl Policy for Nothing {
    fn name(&self) -> &str {
        "nothing"
    }

    fn judge(&self, _: &Request<'_>) -> Verdict {
        Verdict::deny("nothing is allowed")
    }
}

impl Place for Asking {
    fn runtime(&self) -> Builder {
        self.0.runtime().policy(FourEyes)
    }

    fn runtime_to_roll_back(&self) -> Builder {
        self.0.runtime().policy(Nothing)
    }

    async fn observe(&self) -> String {
        self.0.observe().await
    }

    fn approves(&self, request: &ApprovalRequested) -> bool {
        let key = request.call.as_ref().and_then(|call| call.target.as_ref()).map(|target| &*target.id);
        self.1.is_none_or(|denied| key != Some(denied))
    }
}

#[test]
fn what_waits_for_people_survives_a_crash_at_every_step_and_is_undone_whatever_policies_say() {
    let request = RunRequest::of(Change, "agent@company.com", &()).unwrap();
    let moments = crash_points::check(&request, || Asking(Ledger::fresh(), None));
    assert!(moments > 40, "each of the five approvals is asked for and given: {moments}");
}

#[test]
fn what_is_denied_stays_denied_with_a_crash_at_every_step() {
    let request = RunRequest::of(Change, "agent@company.com", &()).unwrap();
    // Before any effect, and after one.
    for denied in ["new", "gone"] {
        assert!(crash_points::check(&request, || Asking(Ledger::fresh(), Some(denied))) > 5);
    }
}

/// What the check says of a place on which something is wrong.
fn found_out<P: Place + 'static>(request: RunRequest, fresh: fn() -> P) -> String {
    let check = std::thread::spawn(move || crash_points::check(&request, fresh));
    *check.join().unwrap_err().downcast::<String>().unwrap()
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
    let text = found_out(request, || Forgetful(Ledger::fresh().0));
    assert!(text.contains("with a crash at moment") && text.contains("quarantined"), "{text}");
}

/// A connector whose probe always says that nothing happened, so that the effect is made again.
#[derive(Clone, Debug, Default)]
struct Tally(Arc<AtomicI64>);

/// Adds to the tally. Its undo takes away again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Add {
    by: i64,
}

impl Action for Add {
    const NAME: &'static str = "add";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "takes it away again";
    type Output = ();
    type PreState = ();
    type Undo = Add;

    fn target(&self) -> Target {
        Target::new("tally", "")
    }

    fn lock(&self) -> Option<LockKey> {
        Some(LockKey(String::new()))
    }
}

impl Connector for Tally {
    const KIND: &'static str = "tally";
    type Config = ();

    fn open((): (), _: &ConfigEnv<'_>) -> Result<Self, Error> {
        Ok(Self::default())
    }

    fn actions(set: &mut ActionSet<Self>) {
        set.add::<Add>();
    }

    async fn identity(&self) -> Result<Identity, Error> {
        Ok(Identity("a tally".to_owned()))
    }
}

impl Perform<Add> for Tally {
    type Held = ();

    async fn capture(&self, _: &Cx, _: &Add) -> Result<Captured<Add, ()>, Error> {
        Ok(Captured::ready((), ()))
    }

    async fn perform(&self, _: &Cx, add: &Add, (): &(), (): ()) -> Result<(), Error> {
        self.0.fetch_add(add.by, Ordering::Relaxed);
        Ok(())
    }

    async fn probe(&self, _: &Cx, _: &Add, (): &()) -> Result<Doubt<()>, Error> {
        Ok(Doubt::NotApplied)
    }

    fn undo(&self, add: &Add, (): &(), _: Left<'_, ()>) -> Undo<Add> {
        Undo::By(Add { by: -add.by })
    }
}

struct Count;

impl Workflow for Count {
    const NAME: &'static str = "count";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
        cx.connector::<Tally>("tally")?.act(Add { by: 1 }).await
    }
}

impl Place for Tally {
    fn runtime(&self) -> Builder {
        Enact::builder().connector("tally", self.clone().allow(["add"]).unwrap()).workflow(Count)
    }

    async fn observe(&self) -> String {
        self.0.load(Ordering::Relaxed).to_string()
    }
}

#[test]
fn a_doubled_effect_is_found_out_at_the_moment_that_doubles_it() {
    let text = found_out(RunRequest::of(Count, "agent@company.com", &()).unwrap(), Tally::default);
    assert!(text.contains("Performed of tally.add"), "{text}");
    assert!(text.contains("expected:\n1\nfound:\n2"), "{text}");
}
