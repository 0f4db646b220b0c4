//! What README shows is so. (Its Rust is compiled as a doc test, its commands are run by `cargo xtask test`.)

#![cfg(all(feature = "filesystem", feature = "yaml"))]

use std::fs;
use std::sync::Arc;

use enact::filesystem::Filesystem;
use enact::json::JsonText;
use enact::prelude::*;
use enact::yaml::{Declarative, Loader};

const README: &str = include_str!("../../../README.md");

#[tokio::test]
async fn the_workflow_in_yaml_runs_and_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    let draft = folder.path().join("draft.txt");
    fs::write(&draft, "hello").unwrap();
    let files = Filesystem::new(folder.path()).unwrap();
    let enact = Enact::builder()
        .store(Arc::new(MemoryStore::new()))
        .connector("files", files.allow(["read_file", "write_file", "delete_file"]).unwrap())
        .declarative(Loader::default())
        .start()
        .await
        .unwrap();

    let (_, yaml) = README.split_once("```yaml\n").unwrap();
    let workflow = Declarative::parse(yaml.split_once("```").unwrap().0).unwrap();
    let payload = JsonText::parse(r#"{"draft":"draft.txt","name":"index","clean":true}"#).unwrap();
    let run = enact.run_to_end(RunRequest::new(&workflow, "me@example.com", payload)).await.unwrap();

    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    let page = folder.path().join("site/index.html");
    assert_eq!(fs::read_to_string(&page).unwrap(), "<p>hello</p>\n");
    assert!(!draft.exists());

    let run = enact.rollback(run.id, RollbackOptions::by("me@example.com")).await.unwrap();
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert!(!folder.path().join("site").exists());
    assert_eq!(fs::read_to_string(&draft).unwrap(), "hello");
}

#[test]
fn every_link_leads_somewhere() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let links = README.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
    for link in links.filter(|link| !link.starts_with("http")) {
        assert!(fs::exists(format!("{root}/{link}")).unwrap(), "README.md links to {link}");
    }
}
