//! `delete_file`: a file or a symbolic link, never what a link leads to.

use enact_core::Error;
use enact_core::action::{
    Action, Captured, Doubt, EffectClass, FactKind, Left, LockKey, Shown, Target, Undo,
};
use enact_core::connector::{Cx, Perform};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::restore_file::RestoreFile;
use super::{PLACE_FACTS, check_place, check_replaceable, facts, lock, read_of};
use crate::Filesystem;
use crate::client::{Last, Root};
use crate::error::{naming, precondition};
use crate::meta::{Kind, Meta};
use crate::path::FilePath;
use crate::show;
use crate::state::{Node, Seen, Shape, check_unchanged, keep};
use crate::work::Step;

/// Deletes a file. Of a symbolic link, the link.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteFile {
    /// The file, below the connector's root.
    path: FilePath,
}

/// What `delete_file` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileDeleted {
    /// The path, in its one spelling.
    pub path: FilePath,
    /// The SHA-256 of the content that was there, hexadecimal; `null` where there was no file, or a link.
    pub sha256: Option<String>,
}

/// What undo and probe need to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteFilePre {
    /// The path without symbolic links among its folders.
    pub path: FilePath,
    /// What will be deleted.
    pub before: Node,
}

impl DeleteFile {
    /// Deletes a file.
    pub fn new(path: impl Into<FilePath>) -> Self {
        Self { path: path.into() }
    }
}

impl Action for DeleteFile {
    const NAME: &'static str = "delete_file";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "recreates it with captured content and metadata";
    const FACTS: &'static [(&'static str, FactKind)] = PLACE_FACTS;
    type Output = FileDeleted;
    type PreState = DeleteFilePre;
    type Undo = RestoreFile;

    fn target(&self) -> Target {
        Target::new("file", self.path.as_str())
    }

    fn lock(&self) -> Option<LockKey> {
        lock(&self.path)
    }

    fn shown_by(&self) -> Option<(&'static str, Value)> {
        read_of(&self.path)
    }
}

impl Perform<DeleteFile> for Filesystem {
    /// The file that capture found.
    type Held = Meta;

    async fn capture(&self, cx: &Cx, action: &DeleteFile) -> Result<Captured<DeleteFile, Meta>, Error> {
        let (cx, action) = (cx.clone(), action.clone());
        self.look(None, move |root, step| action.capture(root, &cx, step)).await
    }

    async fn perform(
        &self,
        _: &Cx,
        action: &DeleteFile,
        pre: &DeleteFilePre,
        held: Meta,
    ) -> Result<FileDeleted, Error> {
        let (path, real) = (action.path.clone(), pre.path.clone());
        self.change(&pre.path, move |root, step| delete(root, step, &path, &real, &held)).await?;
        Ok(action.output(pre))
    }

    async fn probe(
        &self,
        _: &Cx,
        action: &DeleteFile,
        pre: &DeleteFilePre,
    ) -> Result<Doubt<FileDeleted>, Error> {
        let path = pre.path.clone();
        let look = move |root: &Root, step: &Step| Seen::at(&root.locate(&path, Last::Keep)?, step);
        let seen = self.look(Some(&pre.path), look).await?.shape;
        Ok(if seen == Shape::Absent {
            Doubt::Applied(action.output(pre))
        } else if seen == Shape::of(Some(&pre.before)) {
            Doubt::NotApplied
        } else {
            Doubt::Unknown(format!("'{}' is {seen} now, not what was to be deleted", pre.path))
        })
    }

    fn show(&self, action: &DeleteFile, pre: &DeleteFilePre) -> Shown {
        Shown {
            before: show::node(Some(&pre.before)),
            change: show::change(&action.path, Some(&pre.before), None),
        }
    }

    fn undo(&self, _: &DeleteFile, pre: &DeleteFilePre, _: Left<'_, FileDeleted>) -> Undo<RestoreFile> {
        Undo::By(RestoreFile {
            path: pre.path.clone(),
            before: Some(pre.before.clone()),
            after: Shape::Absent,
            created: Vec::new(),
            leftover: None,
        })
    }
}

impl DeleteFile {
    fn capture(&self, root: &Root, cx: &Cx, step: &Step) -> Result<Captured<Self, Meta>, Error> {
        let place = root.locate(&self.path, Last::Keep)?;
        let Some(meta) = place.meta()? else {
            return Ok(Captured::AlreadyDone(FileDeleted { path: self.path.clone(), sha256: None }));
        };
        if !matches!(meta.kind, Kind::File | Kind::Symlink) {
            let kind = meta.kind;
            return Err(precondition(format!(
                "'{place}' is {kind}; delete_file deletes files and links only"
            )));
        }
        check_replaceable(&place, &meta, "delete")?;
        let (before, held) = keep(&place, cx, step)?;
        let pre = DeleteFilePre { path: place.path()?, before };
        Ok(Captured::Ready { facts: facts(&place, Some(&held)), pre, held })
    }

    fn output(&self, pre: &DeleteFilePre) -> FileDeleted {
        let sha256 = match &pre.before {
            Node::File(file) => Some(file.content.sha256().to_owned()),
            Node::Symlink(_) => None,
        };
        FileDeleted { path: self.path.clone(), sha256 }
    }
}

fn delete(root: &Root, step: &Step, path: &FilePath, real: &FilePath, held: &Meta) -> Result<(), Error> {
    let place = root.locate(path, Last::Keep).map_err(Error::left_nothing)?;
    check_place(&place, real, None)?;
    check_unchanged(&place, Some(held)).map_err(Error::left_nothing)?;
    step.go_on()?;
    place.folder.remove(&place.name).map_err(|errno| naming("delete", &place, errno))?;
    place.sync()
}
