//! A user's test that a workflow still replays the runs that were recorded with it. The history is kept in the
//! repository; `ENACT_BLESS=1` makes it where there is none, and never overwrites it.

#![cfg(all(feature = "testing", feature = "filesystem", feature = "yaml"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use enact::connector::Toolbox;
use enact::filesystem::{DeleteFile, Filesystem, WriteFile};
use enact::json::JsonText;
use enact::prelude::*;
use enact::testing::{Divergence, History, RecordedRun, Replay, replays};
use enact::yaml::{Declarative, Loader};

const HISTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/histories/notes.jsonl");

/// How the workflow is written today.
#[derive(Clone, Copy, Default, PartialEq)]
enum Edit {
    #[default]
    None,
    OtherText,
    OtherPath,
    OneLess,
    OneMore,
    OtherEnd,
    AsksForNothing,
    OtherBranches,
    Panics,
    /// Waits for something that no log can hold.
    WaitsElsewhere,
}

#[expect(clippy::panic, reason = "a workflow that panics is one of the edits")]
fn broken() -> ! {
    panic!("a defect")
}

/// Writes notes beside each other, waits, and says when.
#[derive(Default)]
struct Notes(Edit);

impl Workflow for Notes {
    const NAME: &'static str = "notes";
    const VERSION: u32 = 1;
    type Input = Vec<String>;
    type Output = u64;

    async fn run(&self, cx: &WorkflowCx, mut names: Vec<String>) -> Result<u64, Error> {
        let edit = self.0;
        match edit {
            Edit::AsksForNothing => return Ok(0),
            Edit::Panics => broken(),
            Edit::OtherBranches => drop(names.pop()),
            Edit::WaitsElsewhere => std::future::pending().await,
            _ => {}
        }
        let files = cx.connector::<Filesystem>("files")?;
        let (at, luck) = (cx.now().await?, cx.random().await?);
        let branch = |name: String| {
            move |cx: WorkflowCx| async move {
                cx.connector::<Filesystem>("files")?.act(WriteFile::new(&*name, "a note\n")).await
            }
        };
        for written in cx.join(names.into_iter().map(branch)).await {
            written?;
        }
        cx.sleep(Duration::from_millis(1)).await?;
        let text = if edit == Edit::OtherText { String::new() } else { format!("{at} {luck}\n") };
        let path = if edit == Edit::OtherPath { "elsewhere" } else { "when" };
        files.act(WriteFile::new(path, text)).await?;
        if edit != Edit::OneLess {
            files.act(DeleteFile::new("old.txt")).await?;
        }
        match edit {
            Edit::OneMore => files.act(DeleteFile::new("more.txt")).await.map(|_| luck),
            Edit::OtherEnd => Err(Error::new(ErrorCode::NotFound, "not what was looked for")),
            _ => Ok(luck),
        }
    }
}

fn files(root: &Path) -> Toolbox {
    Filesystem::new(root).unwrap().allow(["write_file", "delete_file"]).unwrap()
}

/// Runs something on a folder, and gives what was recorded.
async fn record(request: RunRequest) -> History {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("old.txt"), "old\n").unwrap();
    let store = Arc::new(MemoryStore::new());
    let enact = Enact::builder()
        .store(Arc::clone(&store) as Arc<_>)
        .connector("files", files(folder.path()))
        .workflow(Notes::default())
        .declarative(Loader::default())
        .start()
        .await
        .unwrap();
    let run = enact.run_to_end(request).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    History::of_run(&*store, run.id).await.unwrap()
}

fn names() -> Vec<String> {
    ["a.md", "b.md", "c.md"].map(str::to_owned).to_vec()
}

async fn recorded_notes() -> History {
    record(RunRequest::of(Notes::default(), "agent@company.com", &names()).unwrap()).await
}

#[tokio::test]
async fn the_workflow_replays_the_history_in_the_repository() {
    if !Path::new(HISTORY).exists() {
        assert!(
            std::env::var_os("ENACT_BLESS").is_some(),
            "{HISTORY} is missing; make it with ENACT_BLESS=1"
        );
        std::fs::write(HISTORY, recorded_notes().await.to_json_lines().unwrap()).unwrap();
    }
    replays(&History::read(HISTORY).unwrap(), &Replay::of(Notes::default())).unwrap();
}

#[tokio::test]
async fn a_history_reads_back_as_it_was_written() {
    let text = recorded_notes().await.to_json_lines().unwrap();
    assert_eq!(History::parse(&text).unwrap().to_json_lines().unwrap(), text);
    let error = History::parse(&text.replacen("{\"position\":2", "{\"position\":\"two\"", 1)).unwrap_err();
    assert!(error.message().contains("line 2"), "{error}");
}

#[tokio::test]
async fn case_47_a_changed_workflow_is_found_out_at_the_call_that_changed_with_both_sides() {
    let history = recorded_notes().await;
    for (edit, path, recorded, now) in [
        (Edit::OtherText, Some("5"), "files.write_file", "asks for files.write_file"),
        (Edit::OtherPath, Some("5"), "\"when\"", "\"elsewhere\""),
        (Edit::OneLess, Some("6"), "files.delete_file", "ended normally"),
        (Edit::OneMore, Some("7"), "a normal end", "more.txt"),
        (Edit::OtherEnd, None, "a normal end", "not what was looked for"),
        (Edit::AsksForNothing, Some("1"), "a recorded value (now)", "ended normally"),
        (Edit::OtherBranches, Some("3.2.1"), "c.md", "ended normally"),
        (Edit::Panics, Some("1"), "a recorded value (now)", "a defect"),
        (Edit::WaitsElsewhere, Some("1"), "a recorded value (now)", "waits for something else"),
    ] {
        let found = Replay::of(Notes(edit)).check(&history.runs()[0]).unwrap_err();
        assert_eq!(found.path.as_ref().map(ToString::to_string).as_deref(), path, "{found}");
        assert!(found.recorded.contains(recorded) && found.now.contains(now), "{found}");

        let error = replays(&history, &Replay::of(Notes(edit))).unwrap_err();
        assert!(error.message().contains("VERSION"), "{error}");
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.downcast_ref::<Divergence>(), Some(&found));
    }
}

#[tokio::test]
async fn every_beginning_of_a_run_is_replayed_and_code_may_go_beyond_it() {
    let history = recorded_notes().await;
    let events = history.runs()[0].events();
    for length in 1..=events.len() {
        let beginning = RecordedRun::new(events[..length].to_vec()).unwrap();
        Replay::of(Notes::default()).check(&beginning).unwrap_or_else(|found| panic!("{length}: {found}"));
    }
    let open = RecordedRun::new(events[..events.len() - 1].to_vec()).unwrap();
    Replay::of(Notes(Edit::OneMore)).check(&open).unwrap();
    Replay::of(Notes(Edit::OtherText)).check(&open).unwrap_err();
}

#[tokio::test]
async fn a_declarative_workflow_is_compared_as_its_connectors_read_it() {
    let text = |path: &str| {
        format!(
            "name: note\nversion: 1\nsteps:\n  - id: write\n    action: files.write_file\n    with: {{ path: '{path}', \
             content: '{{{{ payload.text }}}}' }}\n"
        )
    };
    let workflow = |path: &str| -> Arc<_> { Arc::new(Declarative::parse(text(path)).unwrap()) };
    let input = JsonText::parse(r#"{"text":"hello"}"#).unwrap();
    let history = record(RunRequest::new(&*workflow("note.md"), "agent@company.com", input)).await;

    let folder = tempfile::tempdir().unwrap();
    let replay = |path: &str| Replay::of_dyn(workflow(path)).connector("files", files(folder.path()));
    replays(&history, &replay("./note.md")).unwrap();
    replays(&history, &replay("other.md")).unwrap_err();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a replay touches nothing");
}

#[tokio::test]
async fn a_history_without_a_run_of_the_workflow_checks_nothing_and_says_so() {
    let error = replays(&History::default(), &Replay::of(Notes::default())).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
}
