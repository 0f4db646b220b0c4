//! The workflows of a folder, by name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use enact_core::error::{Error, ErrorCode};
use enact_runtime::DynWorkflow;

use crate::declarative::Declarative;
use crate::fields::nearest;

/// How many files a folder of workflows may have.
const MAX_FILES: usize = 10_000;

/// The workflows of a folder: every `*.yaml` in it, without those that begin with a dot and those in folders
/// below.
///
/// A file that cannot be read as a workflow does not hide the others: it is among [`Folder::broken`], and named
/// when a workflow is not found.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    found: BTreeMap<(String, u32), (PathBuf, Arc<Declarative>)>,
    broken: Vec<(PathBuf, Error)>,
}

impl Folder {
    /// Reads the folder.
    ///
    /// # Errors
    /// `not_found`, where there is no such folder; `already_exists`, where two files hold one version of one
    /// workflow; `invalid_parameters`, where there are more than 10,000 files.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let mut folder = Self { path: path.into(), found: BTreeMap::new(), broken: Vec::new() };
        for file in files(&folder.path)? {
            match Declarative::load(&file) {
                Ok(workflow) => folder.add(file, workflow)?,
                Err(error) => folder.broken.push((file, error)),
            }
        }
        Ok(folder)
    }

    /// Every version of every workflow, with its file, by name and version.
    pub fn workflows(&self) -> impl Iterator<Item = (&Path, &Arc<Declarative>)> {
        self.found.values().map(|(path, workflow)| (path.as_path(), workflow))
    }

    /// The files that are no workflows, and why.
    pub fn broken(&self) -> impl Iterator<Item = (&Path, &Error)> {
        self.broken.iter().map(|(path, error)| (path.as_path(), error))
    }

    /// The newest version of a workflow.
    ///
    /// # Errors
    /// `not_found`, naming the ones that there are; why it cannot be read, where the file of that name is broken.
    pub fn find(&self, name: &str) -> Result<Arc<Declarative>, Error> {
        let versions = self.found.range((name.to_owned(), 0)..=(name.to_owned(), u32::MAX));
        match versions.last() {
            Some((_, (_, workflow))) => Ok(Arc::clone(workflow)),
            None => Err(self.not_found(name)),
        }
    }

    fn add(&mut self, path: PathBuf, workflow: Declarative) -> Result<(), Error> {
        let key = (workflow.name().to_owned(), workflow.version());
        if let Some((other, _)) = self.found.get(&key) {
            let message = format!(
                "{} and {} both hold version {} of the workflow '{}'; change the version of one",
                other.display(),
                path.display(),
                key.1,
                key.0
            );
            return Err(Error::new(ErrorCode::AlreadyExists, message).left_nothing());
        }
        self.found.insert(key, (path, Arc::new(workflow)));
        Ok(())
    }

    fn not_found(&self, name: &str) -> Error {
        let meant = |path: &Path| path.file_stem().is_some_and(|stem| stem == name);
        if let Some((_, error)) = self.broken.iter().find(|(path, _)| meant(path)) {
            return error.clone();
        }
        let mut names = self.found.keys().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        names.dedup();
        let near = nearest(name, &names).map_or(String::new(), |near| format!("; did you mean '{near}'?"));
        let list =
            if names.is_empty() { "it has none".to_owned() } else { format!("it has: {}", names.join(", ")) };
        let mut message = format!("no workflow '{name}' in {}{near} ({list})", self.path.display());
        for (_, error) in &self.broken {
            message += &format!("; not read: {}", error.message());
        }
        Error::new(ErrorCode::NotFound, message).left_nothing()
    }
}

/// The files, by name, so that messages are the same each time.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|source| unreadable(folder, &source))? {
        let entry = entry.map_err(|source| unreadable(folder, &source))?;
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if !hidden && Path::new(&name).extension().is_some_and(|extension| extension == "yaml") {
            files.push(entry.path());
        }
        if files.len() > MAX_FILES {
            let message = format!("{} has more than {MAX_FILES} workflows", folder.display());
            return Err(Error::new(ErrorCode::InvalidParameters, message).left_nothing());
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(folder: &Path, source: &std::io::Error) -> Error {
    let code = match source.kind() {
        std::io::ErrorKind::NotFound => ErrorCode::NotFound,
        _ => ErrorCode::InvalidParameters,
    };
    Error::new(code, format!("the folder of workflows {}: {source}", folder.display())).left_nothing()
}
