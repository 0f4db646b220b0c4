//! The demo's folder: made with real files, and compared afterwards.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The files that the agent finds, with their modes.
const FILES: [(&str, &[u8], u32); 6] = [
    ("README.md", b"# Project\r\nAs it was, with CRLF.\r\n", 0o644),
    ("notes/todo.md", b"- [ ] write tests\n- [ ] rest\n", 0o640),
    ("assets/logo.bin", &[0, 159, 146, 150, 255, 10, 13, 0], 0o644),
    ("scripts/deploy.sh", b"#!/bin/sh\necho deploying\n", 0o755),
    ("old/draft.txt", b"an old draft\n", 0o600),
    ("old/empty.txt", b"", 0o444),
];

/// What belongs to the demo beside the workspace.
const SETUP: [(&str, &str); 4] = [
    ("enact.toml", include_str!("../../../samples/demo/enact.toml")),
    ("workflows/tidy.yaml", include_str!("../../../samples/demo/tidy.yaml")),
    ("workflows/publish.yaml", include_str!("../../../samples/demo/publish.yaml")),
    ("vault/secret.txt", "not for agents\n"),
];

/// Makes the folder, in the place for temporary files. It stays, to be looked at.
pub(super) fn create() -> io::Result<PathBuf> {
    let dir = tempfile::Builder::new().prefix("enact-demo-").tempdir()?.keep();
    for (name, content) in SETUP {
        write(&dir.join(name), content.as_bytes())?;
    }
    let workspace = dir.join("workspace");
    for (name, content, mode) in FILES {
        let path = workspace.join(name);
        write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    fs::create_dir(workspace.join("archive"))?;
    Ok(dir)
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, content)
}

/// What a folder holds.
#[derive(Debug)]
pub(super) struct Snapshot(BTreeMap<PathBuf, Entry>);

#[derive(PartialEq, Eq, Debug)]
struct Entry {
    mode: u32,
    /// Content and time of a file; `None` for a directory.
    file: Option<(Vec<u8>, SystemTime)>,
}

impl Snapshot {
    /// Reads a folder.
    pub(super) fn of(root: &Path) -> io::Result<Self> {
        let mut entries = BTreeMap::new();
        collect(root, Path::new(""), &mut entries)?;
        Ok(Self(entries))
    }

    /// A line for each entry.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(path, entry)| match &entry.file {
            Some((content, _)) => {
                format!("{:<22} {:>4} bytes  {:o}", path.display(), content.len(), entry.mode)
            }
            None => format!("{:<22} {:>10}  {:o}", format!("{}/", path.display()), "", entry.mode),
        })
    }

    /// What is not as it was.
    pub(super) fn differences(&self, after: &Self) -> Vec<String> {
        let gone = self.0.keys().filter(|path| !after.0.contains_key(*path));
        let new = after.0.keys().filter(|path| !self.0.contains_key(*path));
        let changed =
            self.0.iter().filter(|(path, entry)| after.0.get(*path).is_some_and(|after| after != *entry));
        gone.map(|path| format!("{} is gone", path.display()))
            .chain(new.map(|path| format!("{} is new", path.display())))
            .chain(changed.map(|(path, _)| format!("{} is changed", path.display())))
            .collect()
    }
}

fn collect(root: &Path, below: &Path, entries: &mut BTreeMap<PathBuf, Entry>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let metadata: Metadata = entry.metadata()?;
        let mode = metadata.permissions().mode() & 0o7777;
        if metadata.is_dir() {
            entries.insert(path.clone(), Entry { mode, file: None });
            collect(root, &path, entries)?;
        } else {
            let file = Some((fs::read(entry.path())?, metadata.modified()?));
            entries.insert(path, Entry { mode, file });
        }
    }
    Ok(())
}
