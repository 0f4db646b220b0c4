//! Finding workflows by name.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::fs;
use std::path::Path;

use enact_core::error::ErrorCode;
use enact_runtime::DynWorkflow;
use enact_workflow::Folder;

fn workflow(dir: &Path, file: &str, name: &str, version: u32) {
    let text = format!("name: {name}\nversion: {version}\nsteps: [{{ id: a, action: files.list_dir }}]\n");
    fs::write(dir.join(file), text).unwrap();
}

#[test]
fn a_workflow_is_found_by_its_name_in_its_newest_version() {
    let dir = tempfile::tempdir().unwrap();
    workflow(dir.path(), "deploy-old.yaml", "deploy", 2);
    workflow(dir.path(), "deploy.yaml", "deploy", 10);
    workflow(dir.path(), "note.yaml", "note", 1);

    let folder = Folder::open(dir.path()).unwrap();
    assert_eq!(folder.find("deploy").unwrap().version(), 10);
    let all = folder.workflows().map(|(file, workflow)| {
        (
            file.file_name().unwrap().to_str().unwrap().to_owned(),
            workflow.name().to_owned(),
            workflow.version(),
        )
    });
    assert_eq!(
        all.collect::<Vec<_>>(),
        [
            ("deploy-old.yaml".to_owned(), "deploy".to_owned(), 2),
            ("deploy.yaml".to_owned(), "deploy".to_owned(), 10),
            ("note.yaml".to_owned(), "note".to_owned(), 1)
        ]
    );
}

#[test]
fn other_files_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    workflow(dir.path(), "note.yaml", "note", 1);
    workflow(dir.path(), "note.yml", "note", 1);
    workflow(dir.path(), ".note.yaml", "note", 1);
    fs::create_dir(dir.path().join("below")).unwrap();
    workflow(&dir.path().join("below"), "note.yaml", "note", 1);
    let folder = Folder::open(dir.path()).unwrap();
    assert_eq!((folder.workflows().count(), folder.broken().count()), (1, 0));
}

#[test]
fn two_files_of_one_name_and_version_are_an_error_that_names_both() {
    let dir = tempfile::tempdir().unwrap();
    workflow(dir.path(), "a.yaml", "note", 1);
    workflow(dir.path(), "b.yaml", "note", 1);
    let error = Folder::open(dir.path()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::AlreadyExists);
    for part in ["a.yaml", "b.yaml", "both hold version 1 of the workflow 'note'"] {
        assert!(error.message().contains(part), "{error}");
    }
}

#[test]
fn a_broken_file_hides_no_other_and_is_named_when_nothing_is_found() {
    let dir = tempfile::tempdir().unwrap();
    workflow(dir.path(), "note.yaml", "note", 1);
    fs::write(dir.path().join("bad.yaml"), "name: bad\nsteps: 1").unwrap();

    let folder = Folder::open(dir.path()).unwrap();
    folder.find("note").unwrap();
    assert_eq!(folder.broken().count(), 1);
    let bad = folder.find("bad").unwrap_err();
    assert_eq!(bad.code(), ErrorCode::InvalidParameters);
    assert!(bad.message().contains("bad.yaml: line 2, column 8: steps: "), "{bad}");
    let other = folder.find("nota").unwrap_err();
    assert_eq!(other.code(), ErrorCode::NotFound);
    for part in
        ["no workflow 'nota'", "did you mean 'note'?", "it has: note", "not read: ", "bad.yaml: line 2"]
    {
        assert!(other.message().contains(part), "{other}");
    }
}

#[test]
fn a_missing_folder_and_an_empty_one_say_so() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Folder::open(dir.path()).unwrap().find("x").unwrap_err().message().contains("it has none"));
    assert_eq!(Folder::open(dir.path().join("none")).unwrap_err().code(), ErrorCode::NotFound);
}
