//! Runs with a crash at every step, resumed and rolled back: nothing is lost, doubled or left.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test by panicking")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use enact_connector_github::{
    BranchName, CreateBranch, CreateIssue, CreatePr, DeleteBranch, File, GitHub, MergePr, PushCommit,
};
use enact_core::Error;
use enact_runtime::{Builder, Enact, Note, Observer, RunRequest, Workflow, WorkflowCx};
use enact_testkit::connector_suite::World as _;
use enact_testkit::crash_points::{self, Place};
use enact_testkit::github::Fault;
use parking_lot::Mutex;
use world::{Hub, REPO, connect, usual};

/// What an agent does that proposes a change.
struct Propose;

impl Workflow for Propose {
    const NAME: &'static str = "propose";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
        let github = cx.connector::<GitHub>("github")?;
        let branch = "agent/x";
        github.act(CreateBranch::new(REPO, branch)?).await?;
        let files = [File::text("x.txt", "x\n"), File::deleted("link")];
        github.act(PushCommit::new(REPO, branch, "Change", files)?).await?;
        github.act(CreateIssue::new(REPO, "Look at it")?).await?;
        github.act(CreatePr::new(REPO, "Change", branch)?).await.map(drop)
    }
}

/// What an agent does that merges one.
struct Merge;

impl Workflow for Merge {
    const NAME: &'static str = "merge";
    const VERSION: u32 = 1;
    type Input = ();
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, (): ()) -> Result<(), Error> {
        let github = cx.connector::<GitHub>("github")?;
        github.act(MergePr::new(REPO, 1)?).await?;
        let main =
            BranchName::new("main").map_err(|error| Error::new(enact_core::ErrorCode::Internal, error))?;
        let files = [File::text("after.txt", "after\n")];
        github.act(PushCommit::new(REPO, main.as_str(), "After", files)?).await?;
        github.act(DeleteBranch::new(REPO, "feature")?).await.map(drop)
    }
}

/// A repository in which open issues, open pull requests and files count.
struct Repository(Hub);

impl Repository {
    fn fresh() -> Self {
        Self(Hub::of(usual, |github| github.revert_pushes(true)))
    }

    fn with_pull() -> Self {
        let hub = Self::fresh();
        hub.0.repo.person("ann").open_pull("feature", "main", "Mine", "");
        hub
    }
}

impl Place for Repository {
    fn runtime(&self) -> Builder {
        let github = connect(&self.0.server, &self.0.token, |github| github.revert_pushes(true));
        Enact::builder().connector("github", github).workflow(Propose).workflow(Merge)
    }

    async fn observe(&self) -> String {
        // Marks differ from run to run; a merged pull request stays merged.
        let all = self.0.observe().await;
        let lines = all.lines().map(|line| line.split("<!-- enact:").next().unwrap_or_default());
        lines.filter(|line| !line.starts_with("pull Mine")).collect::<Vec<_>>().join("\n")
    }
}

/// Hears what a connector says.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<String>>>);

impl Observer for Ear {
    fn on_note(&self, note: &Note<'_>) {
        self.0.lock().push(format!("{} {}: {}", note.effect.seq, note.call.action, note.text));
    }
}

#[tokio::test]
async fn who_watches_a_run_is_told_of_a_wait() {
    let place = Repository::fresh();
    let ear = Ear::default();
    let store = Arc::new(enact_store::MemoryStore::new());
    let enact = place.runtime().store(store).observer(ear.clone()).start().await.unwrap();
    let limited = place.0.server.fault(Fault::secondary("POST", "/repos/octo/app/issues", Some(1)));
    enact.run(Propose, "agent@company.com", ()).await.unwrap();
    enact.shutdown(Duration::from_secs(5)).await;
    assert!(limited.was_reached());
    assert_eq!(*ear.0.lock(), ["3 create_issue: waiting 1 s for GitHub's rate limit"]);
}

#[test]
fn proposing_a_change_survives_a_crash_at_every_step() {
    let request = RunRequest::of(Propose, "agent@company.com", &()).unwrap();
    let moments = crash_points::check(&request, Repository::fresh);
    assert!(moments > 30, "four actions and their undo have more than {moments} moments");
}

#[test]
fn merging_one_survives_a_crash_at_every_step() {
    let request = RunRequest::of(Merge, "agent@company.com", &()).unwrap();
    let moments = crash_points::check(&request, Repository::with_pull);
    assert!(moments > 25, "three actions and their undo have more than {moments} moments");
}
