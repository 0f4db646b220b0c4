//! Putting a new file or link in its place, whole or not at all.
//!
//! Everything is made under one temporary name in the deepest folder that exists: the file itself, or the
//! missing folders with the file in them. It is filled, synced, and given its real name by one rename; the
//! folder is synced. So whatever stops this midway leaves the temporary name and nothing else, and that name is
//! in the intent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};

use enact_core::connector::Cx;
use enact_core::ids::EffectId;
use enact_core::{Error, ErrorCode};
use rustix::fs::{
    self, AtFlags, Gid, Mode as Bits, Nsecs, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
};
use rustix::io::{Errno, Result as OsResult};

use crate::client::{Folder, Place};
use crate::error::{io, os};
use crate::meta::{FileTime, Meta};
use crate::mode::Mode;
use crate::path::Name;
use crate::state::{Bytes, FileNode, LinkNode, check_unchanged, xattr, xattr_names};
use crate::work::Step;

/// How much is copied before asking whether somebody still waits.
const CHUNK_BYTES: usize = 128 * 1024;

/// The temporary name for an effect. Hidden, and different for every effect of the world.
pub(crate) fn temporary_name(effect: EffectId) -> String {
    format!(".enact-{effect}.tmp")
}

/// What a new file is to look like beside its bytes.
#[derive(Debug)]
pub(crate) struct Looks<'a> {
    pub(crate) mode: Mode,
    /// Given where the system permits it.
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) mtime: Option<FileTime>,
    /// Exactly these, or what new files get here.
    pub(crate) xattrs: Option<&'a BTreeMap<String, Bytes>>,
}

/// A place and the temporary name beside it.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    folder: &'a Folder,
    temp: Name,
    /// What is made below the temporary name: missing folders and the file's name; nothing where the
    /// temporary name is the file's own.
    inner: Vec<Name>,
}

impl<'a> Stage<'a> {
    /// The stage for putting something at `place`.
    pub(crate) fn new(place: &'a Place, temp: &str) -> Result<Self, Error> {
        let mut inner: Vec<Name> = place.missing.iter().skip(1).cloned().collect();
        if !place.missing.is_empty() {
            inner.push(place.name.clone());
        }
        Self::below(&place.folder, temp, inner)
    }

    /// The stage with this temporary name in this folder.
    pub(crate) fn below(folder: &'a Folder, temp: &str, inner: Vec<Name>) -> Result<Self, Error> {
        let temp = Name::new(temp).ok_or_else(|| {
            Error::new(ErrorCode::Internal, format!("'{temp}' is no name for a temporary file"))
                .left_nothing()
        })?;
        Ok(Self { folder, temp, inner })
    }

    /// Makes a thing with `make` and puts it at the place, which must still be as its `meta` says.
    ///
    /// An error has left nothing, or says what it left; `in_doubt` where the thing is there and perhaps not
    /// durable.
    pub(crate) fn put(
        &self,
        place: &Place,
        meta: Option<&Meta>,
        step: &Step,
        make: impl FnOnce(&Folder, &Name) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.clear().map_err(|errno| os("remove", &self.temp, errno).left_nothing())?;
        self.prepare(place, make)
            .and_then(|()| step.go_on())
            .and_then(|()| check_unchanged(place, meta))
            .map_err(|error| self.give_up(error))?;
        self.publish(place, meta)?;
        place.sync()
    }

    fn prepare(
        &self,
        place: &Place,
        make: impl FnOnce(&Folder, &Name) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some((file, folders)) = self.inner.split_last() else {
            return make(self.folder, &self.temp);
        };
        let failed = |errno| os("make the folders of", place, errno);
        let mut made = vec![self.folder.create_folder(&self.temp).map_err(failed)?];
        for name in folders {
            let deepest = made.last().unwrap_or(self.folder);
            let next = deepest.create_folder(name).map_err(failed)?;
            made.push(next);
        }
        make(made.last().unwrap_or(self.folder), file)?;
        made.iter().rev().try_for_each(Folder::sync).map_err(failed)
    }

    /// The one step that the world sees.
    fn publish(&self, place: &Place, meta: Option<&Meta>) -> Result<(), Error> {
        let name = place.missing.first().unwrap_or(&place.name);
        let renamed = match meta {
            Some(_) => self.folder.rename_over(&self.temp, name),
            None => self.folder.rename_new(&self.temp, name),
        };
        renamed.map_err(|errno| {
            let error = os("put in place", place, errno);
            match self.folder.meta(&self.temp) {
                // A network filesystem may have done it, lost its answer, and failed when it was asked again.
                Ok(None) => {
                    let message =
                        format!("{}; the temporary name is gone, so it may be there", error.message());
                    Error::new(ErrorCode::InDoubt, message).with_source(error)
                }
                _ => self.give_up(error),
            }
        })
    }

    /// Removes the temporary name, which was not given up for the real one.
    fn give_up(&self, error: Error) -> Error {
        match self.clear() {
            Ok(_) => error.left_nothing(),
            Err(errno) => {
                let left = os("remove the temporary", &self.temp, errno);
                let (code, retry) = (error.code(), error.is_retryable());
                let message = format!("{}; beside that, {}", error.message(), left.message());
                let both = Error::new(code, message).with_source(error);
                if retry { both.retryable() } else { both }
            }
        }
    }

    /// Removes what stands under the temporary name, where it is ours. False where nothing did.
    pub(crate) fn clear(&self) -> OsResult<bool> {
        match self.folder.remove(&self.temp) {
            Err(Errno::ISDIR | Errno::PERM) => self.clear_folders(),
            other => other,
        }
    }

    fn clear_folders(&self) -> OsResult<bool> {
        let mut passed = vec![(self.folder.clone(), &self.temp)];
        for name in &self.inner {
            let Some((folder, last)) = passed.last() else { break };
            match folder.enter(last) {
                Ok(next) => passed.push((next, name)),
                Err(Errno::NOENT) => break,
                Err(errno) => return Err(errno),
            }
        }
        // The innermost is the file, or a folder that has no file yet.
        for (folder, name) in passed.into_iter().rev() {
            match folder.remove(name) {
                Err(Errno::ISDIR | Errno::PERM) => folder.remove_folder(name)?,
                other => other?,
            };
        }
        Ok(true)
    }

    /// Whether anything stands under the temporary name.
    pub(crate) fn is_there(&self) -> OsResult<bool> {
        self.folder.meta(&self.temp).map(|meta| meta.is_some())
    }
}

/// Makes a file with these bytes and looks, synced.
pub(crate) fn make_file(
    place: &Place,
    (folder, name): (&Folder, &Name),
    from: &mut dyn Read,
    looks: &Looks<'_>,
    step: &Step,
) -> Result<(), Error> {
    let failed = |errno| os("write", place, errno);
    let mut file = folder.create_file(name).map_err(failed)?;
    copy(place, from, &mut file, step)?;
    if let Some((uid, gid)) = looks.owner {
        give(&file, uid, gid).map_err(failed)?;
    }
    if let Some(wanted) = looks.xattrs {
        set_xattrs(place, &file, wanted)?;
    }
    // After the owner, which takes set-user-id away, and the access control list, which changes the mode.
    fs::fchmod(&file, Bits::from_raw_mode(looks.mode.bits())).map_err(failed)?;
    if let Some(time) = looks.mtime {
        fs::futimens(&file, &modified(time)).map_err(failed)?;
    }
    fs::fsync(&file).map_err(failed)
}

/// Makes a file as it was kept, synced.
pub(crate) fn restore_file(
    place: &Place,
    at: (&Folder, &Name),
    node: &FileNode,
    cx: &Cx,
    step: &Step,
) -> Result<(), Error> {
    let mut content = node.content.open(cx).map_err(|error| kept(place, error))?;
    let looks = Looks {
        mode: node.mode,
        owner: Some((node.uid, node.gid)),
        mtime: Some(node.mtime),
        xattrs: Some(&node.xattrs),
    };
    make_file(place, at, &mut content, &looks, step)
}

/// Makes a symbolic link as it was kept.
pub(crate) fn restore_link(
    place: &Place,
    (folder, name): (&Folder, &Name),
    node: &LinkNode,
) -> Result<(), Error> {
    let failed = |errno| os("write the link", place, errno);
    folder.create_link(name, &node.target.0).map_err(failed)?;
    let own = folder.meta(name).and_then(|meta| meta.ok_or(Errno::NOENT)).map_err(failed)?;
    if (own.uid, own.gid) != (node.uid, node.gid) {
        let (uid, gid) = (Some(Uid::from_raw(node.uid)), Some(Gid::from_raw(node.gid)));
        permitted(fs::chownat(folder.fd(), name.as_os(), uid, gid, AtFlags::SYMLINK_NOFOLLOW))
            .map_err(failed)?;
    }
    fs::utimensat(folder.fd(), name.as_os(), &modified(node.mtime), AtFlags::SYMLINK_NOFOLLOW).map_err(failed)
}

fn kept(place: &Place, error: std::io::Error) -> Error {
    Error::new(
        ErrorCode::Internal,
        format!("the content kept for '{place}' cannot be read from the store: {error}"),
    )
    .with_source(error)
}

fn copy(place: &Place, from: &mut dyn Read, to: &mut File, step: &Step) -> Result<(), Error> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        step.go_on()?;
        let read = from.read(&mut chunk).map_err(|error| kept(place, error))?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        to.write_all(bytes).map_err(|error| io("write", place, error))?;
    }
}

/// Gives a file its owner where the system permits it, else its group.
fn give(file: &File, uid: u32, gid: u32) -> OsResult<()> {
    let own = Meta::of(&fs::fstat(file)?);
    if (own.uid, own.gid) == (uid, gid) {
        return Ok(());
    }
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    match fs::fchown(file, uid, gid) {
        Err(Errno::PERM | Errno::NOTSUP | Errno::INVAL) => permitted(fs::fchown(file, None, gid)),
        other => other,
    }
}

fn permitted(done: OsResult<()>) -> OsResult<()> {
    match done {
        Err(Errno::PERM | Errno::NOTSUP | Errno::INVAL) => Ok(()),
        other => other,
    }
}

/// Gives a new file exactly these attributes. Those that the system labels every file with stay.
fn set_xattrs(place: &Place, file: &File, wanted: &BTreeMap<String, Bytes>) -> Result<(), Error> {
    let failed = |name: &str, errno| os(&format!("keep the extended attribute {name} of"), place, errno);
    for name in xattr_names(file).map_err(|errno| failed("names", errno))? {
        let name = String::from_utf8_lossy(&name).into_owned();
        if !wanted.contains_key(&name) && !name.starts_with("security.") {
            fs::fremovexattr(file, &*name).map_err(|errno| failed(&name, errno))?;
        }
    }
    for (name, value) in wanted {
        if xattr(file, name).is_ok_and(|own| own == value.0) {
            continue;
        }
        fs::fsetxattr(file, name.as_str(), &value.0, XattrFlags::empty())
            .map_err(|errno| failed(name, errno))?;
    }
    Ok(())
}

fn modified(time: FileTime) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: time.secs, tv_nsec: Nsecs::from(time.nanos) },
    }
}

#[cfg(test)]
mod tests {
    use std::fs as disk;

    use enact_core::error::Remains;

    use super::*;
    use crate::client::{Last, Root};
    use crate::path::FilePath;

    /// A new file that is made and synced under its temporary name.
    fn staged(root: &tempfile::TempDir) -> (Place, String) {
        let place = Root::open(root.path()).unwrap().locate(&FilePath::from("new"), Last::Keep).unwrap();
        disk::write(root.path().join("temp"), "content").unwrap();
        (place, "temp".into())
    }

    #[test]
    fn a_renaming_that_failed_and_is_there_all_the_same_is_in_doubt() {
        let root = tempfile::tempdir().unwrap();
        let (place, temp) = staged(&root);
        // As on a network filesystem that did it, lost the answer, and asked again.
        disk::rename(root.path().join("temp"), root.path().join("new")).unwrap();

        let error = Stage::new(&place, &temp).unwrap().publish(&place, None).unwrap_err();

        assert_eq!((error.code(), error.remains()), (ErrorCode::InDoubt, Remains::Perhaps), "{error}");
    }

    #[test]
    fn a_renaming_that_was_refused_left_nothing() {
        let root = tempfile::tempdir().unwrap();
        let (place, temp) = staged(&root);
        disk::write(root.path().join("new"), "somebody else's").unwrap();

        let error = Stage::new(&place, &temp).unwrap().publish(&place, None).unwrap_err();

        assert_eq!((error.code(), error.remains()), (ErrorCode::Conflict, Remains::Nothing), "{error}");
        assert!(!root.path().join("temp").exists());
        assert_eq!(disk::read_to_string(root.path().join("new")).unwrap(), "somebody else's");
    }
}
