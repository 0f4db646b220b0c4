//! Built-in policies in a real runtime, on a real folder: what they go by is what the connector gives them.

#![cfg(all(feature = "policies", feature = "filesystem"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use enact::filesystem::Filesystem;
use enact::json::JsonText;
use enact::policies::{self, Connectors, from_entries};
use enact::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with notes, something private, and a link from the one to the other.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in [("notes/a.md", "a"), ("private/b.md", "b")] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    symlink("../private", folder.path().join("notes/link")).unwrap();
    folder
}

async fn on(folder: &TempDir, policies: Value) -> Enact {
    let actions = ["read_file", "write_file", "delete_file", "list_dir"];
    let files = Filesystem::new(folder.path()).unwrap().allow(actions).unwrap();
    let connectors: Connectors = [("files", &files)].into_iter().collect();
    let policies = from_entries(policies.as_array().unwrap().clone(), &connectors).unwrap();
    let builder = Enact::builder().store(Arc::new(MemoryStore::new())).policies(policies);
    builder.connector("files", files).start().await.unwrap()
}

/// How one action ends, and what the policy said.
async fn act(enact: &Enact, action: &str, params: Value) -> (RunStatus, String) {
    let params = JsonText::encode(&params).unwrap();
    let run = enact.run_to_end(RunRequest::act("files", action, params, "agent@example.com")).await.unwrap();
    let no = run.document().policy_results.into_iter().find(|result| !result.verdict.passed);
    (run.status(), no.map(|result| result.verdict.reason).unwrap_or_default())
}

#[tokio::test]
async fn where_a_link_leads_is_judged_by_what_the_connector_found() {
    let folder = folder();
    let enact = on(&folder, json!([{ "name": "restrict_paths", "allow": ["notes/**"] }])).await;
    for (action, params) in [
        ("read_file", json!({ "path": "notes/a.md" })),
        ("list_dir", json!({ "path": "notes" })),
        ("write_file", json!({ "path": "notes/new/c.md", "content": "c" })),
        ("delete_file", json!({ "path": "notes/a.md" })),
    ] {
        assert_eq!(act(&enact, action, params).await, (RunStatus::Completed, String::new()), "{action}");
    }
    for (action, params) in [
        ("read_file", json!({ "path": "notes/link/b.md" })),
        ("list_dir", json!({ "path": "notes/link" })),
        ("write_file", json!({ "path": "notes/link/b.md", "content": "c" })),
        ("delete_file", json!({ "path": "notes/link/b.md" })),
        ("list_dir", json!({})),
    ] {
        let (status, reason) = act(&enact, action, params).await;
        assert_eq!(status, RunStatus::Blocked, "{action}: {reason}");
        assert!(reason.contains("not among the paths that are allowed"), "{action}: {reason}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("private/b.md")).unwrap(), "b");
}

#[tokio::test]
async fn a_run_does_no_more_than_its_policies_let_it_and_what_it_did_stays_out_of_the_reasons() {
    let folder = folder();
    let enact = on(
        &folder,
        json!([
            { "name": "dont_delete_file" },
            { "name": "block_extensions", "extensions": ["sh"] },
            { "name": "no_secrets_in_content" },
            { "name": "rate_limit", "max": 1, "per": "1h", "by": ["user"], "actions": ["files.write_file"] },
        ]),
    )
    .await;
    let secret = format!("postgres://app:{}@db/app", "hunter2x");
    for (action, params, says) in [
        ("delete_file", json!({ "path": "notes/a.md" }), "deletes 'notes/a.md'"),
        ("write_file", json!({ "path": "run.SH", "content": "x" }), "extension 'sh'"),
        (
            "write_file",
            json!({ "path": "a", "content": secret }),
            "an address with a password in content of 'a'",
        ),
    ] {
        let (status, reason) = act(&enact, action, params).await;
        assert!(status == RunStatus::Blocked && reason.contains(says), "{action}: {reason}");
        assert!(!reason.contains("hunter2x"), "{reason}");
    }
    let write = |path: &str| json!({ "path": path, "content": "fine" });
    assert_eq!(act(&enact, "write_file", write("one")).await, (RunStatus::Completed, String::new()));
    let (status, reason) = act(&enact, "write_file", write("two")).await;
    assert!(status == RunStatus::Blocked && reason.contains("within 1h"), "{reason}");
}

#[tokio::test]
async fn a_policy_that_was_given_nonsense_lets_nothing_through() {
    let folder = folder();
    let files = Filesystem::new(folder.path()).unwrap().allow(["read_file"]).unwrap();
    let builder = Enact::builder().store(Arc::new(MemoryStore::new())).connector("files", files);
    let enact = builder.policy(policies::restrict_paths(["/notes/**"])).start().await.unwrap();
    let (status, reason) = act(&enact, "read_file", json!({ "path": "notes/a.md" })).await;
    assert!(status == RunStatus::Blocked && reason.contains("configured wrongly"), "{reason}");
}
