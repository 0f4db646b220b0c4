//! The connector suite, on every action.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_testkit::connector_suite::{Case, check};
use serde_json::json;
use world::Folder;

/// Twice what a record holds inline.
const LARGE: usize = 128 * 1024;

/// "somebody's", as records hold content.
const SOMEBODYS: &str = "c29tZWJvZHkncw==";

#[tokio::test]
async fn write_file_over_a_file() {
    let case = Case::new("write_file", json!({ "path": "docs/a.txt", "content": "new\r\n" }))
        .requires(["path", "content"])
        .refuses(json!({ "path": "a", "content": "x", "content_base64": "eA==" }), "content_base64")
        .refuses(json!({ "path": "../a", "content": "x" }), "path")
        .refuses(json!({ "path": "/a", "content": "x" }), "path")
        .refuses(json!({ "path": "a", "content_base64": "%" }), "content_base64")
        .refuses(json!({ "path": "a", "content": "x", "mode": 755 }), "mode")
        .disturbed_by(|world: &Folder| world.write("docs/a.txt", "somebody's"))
        .keeping(SOMEBODYS);
    check(&case, async || Folder::with_some_files()).await;
}

#[tokio::test]
async fn write_file_over_a_large_file() {
    let case = Case::new("write_file", json!({ "path": "large.bin", "content": "small now" }))
        .disturbed_by(|world: &Folder| world.write("large.bin", "somebody's"))
        .keeping(SOMEBODYS);
    check(&case, async || {
        let world = Folder::with_some_files();
        world.write("large.bin", vec![0xfe; LARGE]);
        world
    })
    .await;
}

#[tokio::test]
async fn write_file_where_there_is_nothing() {
    let params = json!({ "path": "new/deep/er/a.bin", "content_base64": "/wD/", "mode": "0600" });
    let case = Case::new("write_file", params)
        .disturbed_by(|world: &Folder| world.write("new/deep/er/a.bin", "somebody's"));
    check(&case, async || Folder::with_some_files()).await;
}

#[tokio::test]
async fn write_file_that_changes_the_mode_alone() {
    let case = Case::new("write_file", json!({ "path": "docs/a.txt", "content": "old\r\n", "mode": "0700" }))
        .disturbed_by(|world: &Folder| world.set_mode("docs/a.txt", 0o444));
    check(&case, async || Folder::with_some_files()).await;
}

#[tokio::test]
async fn delete_file_of_a_file() {
    let case = Case::new("delete_file", json!({ "path": "docs/a.txt" }))
        .requires(["path"])
        .disturbed_by(|world: &Folder| world.write("docs/a.txt", "somebody's"))
        .keeping(SOMEBODYS);
    check(&case, async || Folder::with_some_files()).await;
}

#[tokio::test]
async fn delete_file_of_a_large_file() {
    let case = Case::new("delete_file", json!({ "path": "large.bin" }));
    check(&case, async || {
        let world = Folder::with_some_files();
        world.write("large.bin", vec![0xfe; LARGE]);
        world
    })
    .await;
}

#[tokio::test]
async fn delete_file_of_a_link() {
    let case = Case::new("delete_file", json!({ "path": "link" }))
        .disturbed_by(|world: &Folder| world.write("link", "somebody's"));
    check(&case, async || Folder::with_some_files()).await;
}

#[tokio::test]
async fn read_file() {
    let case = Case::new("read_file", json!({ "path": "docs/a.txt", "encoding": "base64" }))
        .requires(["path"])
        .refuses(json!({ "path": "docs/a.txt", "encoding": "latin1" }), "encoding");
    check(&case, async || Folder::with_some_files()).await;
}

#[tokio::test]
async fn list_dir() {
    let case = Case::new("list_dir", json!({ "path": "docs" })).refuses(json!({ "path": 7 }), "path");
    check(&case, async || Folder::with_some_files()).await;
}

#[tokio::test]
async fn a_root_stays_the_same_system_when_a_folder_above_it_is_renamed() {
    let base = tempfile::tempdir().unwrap();
    let (old, new) = (base.path().join("old"), base.path().join("new"));
    std::fs::create_dir(&old).unwrap();
    let before = Folder::at(&old, |files| files).toolbox().identity().await.unwrap();
    std::fs::rename(&old, &new).unwrap();
    assert_eq!(Folder::at(&new, |files| files).toolbox().identity().await.unwrap(), before);
    let other = Folder::empty().toolbox().identity().await.unwrap();
    assert_ne!(other, before, "another folder is another system");
}
