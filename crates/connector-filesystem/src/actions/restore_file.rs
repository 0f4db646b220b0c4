//! `restore_file`: the undo of `write_file` and `delete_file`. Agents cannot ask for it.

use enact_core::action::{Action, Captured, Doubt, EffectClass, Left, LockKey, NoUndo, Target, Undo};
use enact_core::connector::{Cx, Perform};
use enact_core::{Error, ErrorCode};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::lock;
use crate::Filesystem;
use crate::client::{Folder, Last, Place, Root};
use crate::error::{naming, os};
use crate::meta::Meta;
use crate::path::{DirPath, FilePath, Name};
use crate::stage::{Stage, restore_file, restore_link, temporary_name};
use crate::state::{Node, Seen, Shape, check_unchanged, keep};
use crate::work::Step;

/// Puts back what was at a path, if what the action left is still there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreFile {
    /// The path without symbolic links among its folders.
    pub path: FilePath,
    /// What was there; nothing where there was nothing.
    pub before: Option<Node>,
    /// What the action left.
    pub after: Shape,
    /// The folders that the action made, outermost first. Removed if they are empty.
    pub created: Vec<DirPath>,
    /// The temporary name that the action used.
    pub leftover: Option<String>,
}

/// What `restore_file` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileRestored {
    /// The path.
    pub path: FilePath,
    /// Whether there is something at the path again; false where it was removed.
    pub exists: bool,
}

/// What the probe needs to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreFilePre {
    /// What is there now.
    pub found: Shape,
    /// The same with its content, where it is not what the action left: somebody's change that `force` is
    /// about to overwrite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overwrites: Option<Node>,
    /// The temporary name used on the way.
    pub temp: String,
}

impl Action for RestoreFile {
    const NAME: &'static str = "restore_file";
    const EFFECT: EffectClass = EffectClass::Irreversible;
    const REVERSAL: &'static str = "an undo is not undone; what it overwrites by force is kept in the record";
    type Output = FileRestored;
    type PreState = RestoreFilePre;
    type Undo = NoUndo;

    fn target(&self) -> Target {
        Target::new("file", self.path.as_str())
    }

    fn lock(&self) -> Option<LockKey> {
        lock(&self.path)
    }
}

impl Perform<RestoreFile> for Filesystem {
    /// What capture found.
    type Held = Option<Meta>;

    async fn capture(
        &self,
        cx: &Cx,
        action: &RestoreFile,
    ) -> Result<Captured<RestoreFile, Option<Meta>>, Error> {
        let (context, undo) = (cx.clone(), action.clone());
        self.look(Some(&action.path), move |root, step| undo.capture(root, &context, step)).await
    }

    async fn perform(
        &self,
        cx: &Cx,
        action: &RestoreFile,
        pre: &RestoreFilePre,
        held: Option<Meta>,
    ) -> Result<FileRestored, Error> {
        let (context, undo, known) = (cx.clone(), action.clone(), pre.clone());
        let work = move |root: &Root, step: &Step| undo.perform(root, &context, step, &known, held.as_ref());
        self.change(&action.path, work).await?;
        Ok(action.output())
    }

    async fn probe(
        &self,
        _: &Cx,
        action: &RestoreFile,
        pre: &RestoreFilePre,
    ) -> Result<Doubt<FileRestored>, Error> {
        let (undo, known) = (action.clone(), pre.clone());
        self.look(Some(&action.path), move |root, step| undo.probe(root, step, &known)).await
    }

    fn undo(&self, _: &RestoreFile, _: &RestoreFilePre, _: Left<'_, FileRestored>) -> Undo<NoUndo> {
        Undo::Irreversible(<RestoreFile as Action>::REVERSAL.into())
    }
}

impl RestoreFile {
    fn capture(&self, root: &Root, cx: &Cx, step: &Step) -> Result<Captured<Self, Option<Meta>>, Error> {
        let place = self.locate(root, cx.force())?;
        let seen = Seen::at(&place, step)?;
        let wanted = Shape::of(self.before.as_ref());
        if seen.shape == wanted && !self.leaves_something(root, &place)? {
            return Ok(Captured::AlreadyDone(self.output()));
        }
        let ours = seen.shape == wanted || seen.shape == self.after;
        let overwrites = if ours { None } else { self.keep_foreign(&place, &seen.shape, cx, step)? };
        if self.before.is_some() && !place.missing.is_empty() && !cx.force() {
            return Err(self.conflict("its folder is gone"));
        }
        let pre = RestoreFilePre { found: seen.shape, overwrites, temp: temporary_name(cx.effect()) };
        Ok(Captured::ready(pre, seen.meta))
    }

    /// Where the path leads; a conflict where it leads elsewhere than it did.
    fn locate(&self, root: &Root, force: bool) -> Result<Place, Error> {
        let place = match root.locate(&self.path, Last::Keep) {
            Err(error) if error.code() == ErrorCode::PreconditionFailed => {
                return Err(self.conflict(error.message()));
            }
            place => place?,
        };
        if force || place.path().is_ok_and(|path| path == self.path) {
            return Ok(place);
        }
        Err(self.conflict(&format!("its folders are symbolic links now, and it leads to '{place}'")))
    }

    /// Keeps what somebody else put here, where `force` wants it overwritten.
    fn keep_foreign(
        &self,
        place: &Place,
        found: &Shape,
        cx: &Cx,
        step: &Step,
    ) -> Result<Option<Node>, Error> {
        if !cx.force() {
            return Err(self.conflict(&format!("it is {found} now, and the action left {}", self.after)));
        }
        match found {
            Shape::Absent => Ok(None),
            Shape::File { .. } | Shape::Symlink { .. } => Ok(Some(keep(place, cx, step)?.0)),
            Shape::Dir | Shape::Other => {
                Err(self.conflict(&format!("it is {found} now, which is not overwritten even by force")))
            }
        }
    }

    fn conflict(&self, why: &str) -> Error {
        let message = format!("'{}' was changed since and is left as it is: {why}", self.path);
        Error::new(ErrorCode::Conflict, message).left_nothing()
    }

    /// Whether anything that the action made on its way is there to be removed.
    fn leaves_something(&self, root: &Root, place: &Place) -> Result<bool, Error> {
        let failed = |errno| os("look for what is left at", place, errno);
        if let Some(temp) = &self.leftover
            && let Some((folder, inner)) = stage_folder(root, &self.path, &self.created)?
            && Stage::below(&folder, temp, inner)?.is_there().map_err(failed)?
        {
            return Ok(true);
        }
        let Some(innermost) = self.existing_created(root)? else { return Ok(false) };
        Ok(self.before.is_none() && innermost.is_empty().map_err(failed)?)
    }

    /// The innermost folder that the action made and that is still there.
    fn existing_created(&self, root: &Root) -> Result<Option<Folder>, Error> {
        for path in self.created.iter().rev() {
            if let Some(folder) = open_existing(root, path)? {
                return Ok(Some(folder));
            }
        }
        Ok(None)
    }

    fn perform(
        &self,
        root: &Root,
        cx: &Cx,
        step: &Step,
        pre: &RestoreFilePre,
        held: Option<&Meta>,
    ) -> Result<(), Error> {
        let place = self.locate(root, cx.force())?;
        check_unchanged(&place, held).map_err(Error::left_nothing)?;
        if let Some(temp) = &self.leftover {
            clear_stage(root, &self.path, &self.created, temp)?;
        }
        if pre.found != Shape::of(self.before.as_ref()) {
            self.put_back(&place, cx, step, pre, held)?;
        }
        if self.before.is_none() { self.remove_created(root) } else { Ok(()) }
    }

    fn put_back(
        &self,
        place: &Place,
        cx: &Cx,
        step: &Step,
        pre: &RestoreFilePre,
        held: Option<&Meta>,
    ) -> Result<(), Error> {
        match &self.before {
            None => {
                step.go_on()?;
                place.folder.remove(&place.name).map_err(|errno| naming("remove", place, errno))?;
                place.sync()
            }
            Some(node) => Stage::new(place, &pre.temp)?.put(place, held, step, |folder, name| match node {
                Node::File(file) => restore_file(place, (folder, name), file, cx, step),
                Node::Symlink(link) => restore_link(place, (folder, name), link),
            }),
        }
    }

    /// Removes the folders that the action made, innermost first, up to one that somebody else uses.
    fn remove_created(&self, root: &Root) -> Result<(), Error> {
        for path in self.created.iter().rev() {
            let Some((parent, name)) = parent_of(root, path)? else { continue };
            match parent.remove_folder(&name) {
                Ok(_) => parent.sync().map_err(|errno| os("sync the folder of", path, errno))?,
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => return Ok(()),
                Err(errno) => return Err(os("remove", path, errno)),
            }
        }
        Ok(())
    }

    fn probe(&self, root: &Root, step: &Step, pre: &RestoreFilePre) -> Result<Doubt<FileRestored>, Error> {
        // Where folders were missing, they are under the temporary name with what is in them.
        let place = root.locate(&self.path, Last::Keep)?;
        Stage::new(&place, &pre.temp)?.clear().map_err(|errno| os("remove", &pre.temp, errno))?;
        let seen = Seen::at(&place, step)?.shape;
        let wanted = Shape::of(self.before.as_ref());
        Ok(if seen == wanted && !self.leaves_something(root, &place)? {
            Doubt::Applied(self.output())
        } else if seen == pre.found || seen == wanted {
            Doubt::NotApplied
        } else {
            Doubt::Unknown(format!("'{}' is {seen} now, neither what it was nor what it is to be", self.path))
        })
    }

    fn output(&self) -> FileRestored {
        FileRestored { path: self.path.clone(), exists: self.before.is_some() }
    }
}

/// Removes what an interrupted `write_file` left under its temporary name.
pub(super) fn clear_stage(
    root: &Root,
    path: &FilePath,
    created: &[DirPath],
    temp: &str,
) -> Result<(), Error> {
    let Some((folder, inner)) = stage_folder(root, path, created)? else { return Ok(()) };
    let cleared = Stage::below(&folder, temp, inner)?.clear();
    cleared.map(drop).map_err(|errno| os("remove", temp, errno))
}

/// The folder in which the temporary name for a file stood, and what stood below that name. Nothing where the
/// folder is gone.
fn stage_folder(
    root: &Root,
    path: &FilePath,
    created: &[DirPath],
) -> Result<Option<(Folder, Vec<Name>)>, Error> {
    let names = path.names()?;
    let existing = names.len().saturating_sub(created.len() + 1);
    let Some((parents, below)) = names.split_at_checked(existing) else { return Ok(None) };
    let inner = if created.is_empty() { Vec::new() } else { below.iter().skip(1).cloned().collect() };
    Ok(open_existing(root, &DirPath::of(parents)?)?.map(|folder| (folder, inner)))
}

/// The folder that holds a folder, and its name there.
fn parent_of(root: &Root, path: &DirPath) -> Result<Option<(Folder, Name)>, Error> {
    let mut names = path.names()?;
    let Some(name) = names.pop() else { return Ok(None) };
    Ok(open_existing(root, &DirPath::of(&names)?)?.map(|folder| (folder, name)))
}

fn open_existing(root: &Root, path: &DirPath) -> Result<Option<Folder>, Error> {
    match root.open_folder(path) {
        Ok(folder) => Ok(Some(folder)),
        Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::PreconditionFailed) => Ok(None),
        Err(error) => Err(error),
    }
}
