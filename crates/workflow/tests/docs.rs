//! What `docs/workflows.md` shows is so.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::fs;
use std::sync::Arc;

use enact_connector_filesystem::Filesystem;
use enact_core::connector::Allow;
use enact_core::json::JsonText;
use enact_core::run::RunStatus;
use enact_runtime::{Enact, RollbackOptions, RunRequest};
use enact_store::MemoryStore;
use enact_workflow::{Declarative, Loader};
use serde_json::json;

/// The first YAML block of the page.
fn example() -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/workflows.md")).unwrap();
    let (_, block) = page.split_once("```yaml\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

#[tokio::test]
async fn the_example_runs_and_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("templates")).unwrap();
    fs::write(root.join("templates/note.md"), "# Notes").unwrap();
    fs::write(root.join("draft.md"), "a draft").unwrap();
    let files = Filesystem::new(root).unwrap().allow(["read_file", "write_file", "delete_file"]).unwrap();
    let builder = Enact::builder().store(Arc::new(MemoryStore::new())).connector("files", files);
    let enact = builder.declarative(Loader::default()).start().await.unwrap();

    let workflow = Declarative::parse(example()).unwrap();
    let payload = json!({ "topic": "rust", "items": ["fast", "safe"], "draft": "draft.md" });
    let run = enact
        .run_to_end(RunRequest::new(&workflow, "me@example.com", JsonText::encode(&payload).unwrap()))
        .await
        .unwrap();

    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    let note = format!("# Notes\n- fast\n- safe\n\nWritten by me@example.com in run {}.\n", run.id);
    assert_eq!(fs::read_to_string(root.join("notes/rust.md")).unwrap(), note);
    assert!(!root.join("draft.md").exists());
    let receipt = fs::read_to_string(root.join("receipts/last.json")).unwrap();
    assert!(receipt.starts_with(r#"{"cleaned":true,"sha256":""#), "{receipt}");

    let run = enact.rollback(run.id, RollbackOptions::by("me@example.com")).await.unwrap();
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert_eq!(fs::read_to_string(root.join("draft.md")).unwrap(), "a draft");
    assert!(!root.join("notes").exists() && !root.join("receipts").exists());
}
