//! Access to files below one root, which no path, no link and no race leads out of.
//!
//! It knows open folders and single names: every system call is made on a [`Folder`] that is open already and
//! one [`Name`] in it, and follows no link. A path is walked name by name; links are read and walked the same
//! way, and a `..` in a link goes back to the folder that the walk came from. So a folder is only ever reached
//! from the root downwards, and swapping names meanwhile leads to an error or to another place below the root,
//! never out of it (docs/adr/0005).
//!
//! It does not know actions, content or what is to be undone.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use enact_core::{Error, ErrorCode};
use rustix::fs::{self, Access, AtFlags, Dir, Mode as Bits, OFlags, RenameFlags};
use rustix::io::{Errno, Result as OsResult};

use crate::error::{os, precondition};
use crate::meta::{Kind, Meta};
use crate::path::{DirPath, FilePath, Name};

/// How many links one path may lead through; what Linux allows.
const MAX_LINKS: usize = 40;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The folder that the connector works in.
#[derive(Debug)]
pub(crate) struct Root {
    folder: Folder,
    path: PathBuf,
}

/// What becomes of a link in the last place of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// It is followed.
    Follow,
    /// It is what the path means.
    Keep,
}

/// Where a path leads: a name in a folder, perhaps below folders that do not exist.
#[derive(Debug)]
pub(crate) struct Place {
    /// The deepest folder on the way that exists.
    pub(crate) folder: Folder,
    /// The folders below it that do not exist, outermost first.
    pub(crate) missing: Vec<Name>,
    /// The last name.
    pub(crate) name: Name,
    /// The names from the root to here, with no link among the folders.
    pub(crate) real: Vec<Name>,
}

/// The names from the root to where a path led, with no link among them: whether it still leads there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way(Vec<Name>);

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        write_names(&self.0, f)
    }
}

fn write_names(names: &[Name], f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    for (index, name) in names.iter().enumerate() {
        write!(f, "{}{name}", if index == 0 { "" } else { "/" })?;
    }
    Ok(())
}

impl Place {
    /// How it was reached.
    pub(crate) fn way(&self) -> Way {
        Way(self.real.clone())
    }

    /// What stands here; nothing where the folder is missing.
    pub(crate) fn meta(&self) -> Result<Option<Meta>, Error> {
        if !self.missing.is_empty() {
            return Ok(None);
        }
        self.folder.meta(&self.name).map_err(|errno| os("look at", self, errno))
    }

    /// Makes a name given or taken here durable. The change is there already, so a failure is a doubt.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.folder.sync().map_err(|errno| {
            let error = os("sync the folder of", self, errno);
            let message = format!("{}; '{self}' is changed, perhaps not durably", error.message());
            Error::new(ErrorCode::InDoubt, message).with_source(error)
        })
    }

    /// The path without links.
    pub(crate) fn path(&self) -> Result<FilePath, Error> {
        FilePath::of(&self.real)
    }

    /// The paths of the folders that do not exist, outermost first.
    pub(crate) fn missing_paths(&self) -> Result<Vec<DirPath>, Error> {
        let existing = self.real.len().saturating_sub(self.missing.len() + 1);
        (1..=self.missing.len())
            .map(|more| DirPath::of(self.real.get(..existing + more).unwrap_or_default()))
            .collect()
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_names(&self.real, f)
    }
}

impl Root {
    /// Opens a folder. Its own path is trusted and may lead through links.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let refuse = |what: &str, source: std::io::Error| {
            Error::new(
                ErrorCode::InvalidParameters,
                format!("'root': {} {what}: {source}; name a folder that exists", path.display()),
            )
            .left_nothing()
        };
        let real = path.canonicalize().map_err(|error| refuse("cannot be found", error))?;
        let folder = fs::open(&real, FOLDER, Bits::empty())
            .map_err(|errno| refuse("cannot be opened as a folder", errno.into()))?;
        Ok(Self { folder: Folder(Arc::new(folder)), path: real })
    }

    /// Its path, for people.
    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the system knows of it.
    pub(crate) fn meta(&self) -> Result<Meta, Error> {
        self.folder.own_meta().map_err(|errno| os("look at the root", self.path.display(), errno))
    }

    /// Which filesystem it is on: by its own id where it has one, which stays when it is mounted elsewhere or another
    /// disk is found first; else by its device.
    pub(crate) fn filesystem(&self) -> Result<String, Error> {
        let failed = |errno| os("look at the filesystem of", self.path.display(), errno);
        match self.folder.filesystem_id().map_err(failed)? {
            0 => Ok(format!("device {}", self.meta()?.device)),
            id => Ok(format!("filesystem {id:x}")),
        }
    }

    /// Where a file's path leads.
    pub(crate) fn locate(&self, path: &FilePath, last: Last) -> Result<Place, Error> {
        let mut walk = Walk::new(self, path.as_str(), path.names()?);
        loop {
            let Some(step) = walk.todo.pop_front() else {
                return Err(precondition(format!("'{path}' is a folder")));
            };
            let Step::Down(name) = step else {
                walk.up()?;
                continue;
            };
            if walk.todo.is_empty() {
                if last == Last::Follow && walk.follow(&name)? {
                    continue;
                }
                return Ok(walk.arrive(Vec::new(), name));
            }
            if !walk.down(&name)? {
                return walk.arrive_in_the_void(name);
            }
        }
    }

    /// Opens the folder that a path leads to, through links as well.
    pub(crate) fn open_folder(&self, path: &DirPath) -> Result<Folder, Error> {
        self.reach_folder(path).map(|(folder, _)| folder)
    }

    /// Opens the folder that a path leads to, and says how it was reached.
    pub(crate) fn reach_folder(&self, path: &DirPath) -> Result<(Folder, Way), Error> {
        let mut walk = Walk::new(self, path.as_str(), path.names()?);
        while let Some(step) = walk.todo.pop_front() {
            match step {
                Step::Up => walk.up()?,
                Step::Down(name) if walk.down(&name)? => {}
                Step::Down(_) => return Err(os("open", path, Errno::NOENT)),
            }
        }
        Ok((walk.here(), Way(walk.passed.into_iter().map(|(name, _)| name).collect())))
    }
}

enum Step {
    Up,
    Down(Name),
}

impl Step {
    /// The step that a part of a link asks for; none for `.` and for nothing.
    fn of(part: &[u8]) -> Option<Self> {
        if part == b".." { Some(Self::Up) } else { Name::new(OsStr::from_bytes(part)).map(Self::Down) }
    }
}

/// A path on its way.
struct Walk<'a> {
    root: &'a Root,
    path: &'a str,
    /// The folders from the root to here, each open.
    passed: Vec<(Name, Folder)>,
    todo: VecDeque<Step>,
    links: usize,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Root, path: &'a str, names: Vec<Name>) -> Self {
        let todo = names.into_iter().map(Step::Down).collect();
        Self { root, path, passed: Vec::new(), todo, links: 0 }
    }

    fn here(&self) -> Folder {
        self.passed.last().map_or(&self.root.folder, |(_, folder)| folder).clone()
    }

    fn up(&mut self) -> Result<(), Error> {
        self.passed.pop().map(drop).ok_or_else(|| self.escape())
    }

    /// Goes into a folder, or puts a link's names before what is still to be walked. False where there is
    /// nothing of that name.
    fn down(&mut self, name: &Name) -> Result<bool, Error> {
        let here = self.here();
        match here.enter(name) {
            Ok(folder) => {
                self.passed.push((name.clone(), folder));
                Ok(true)
            }
            Err(Errno::NOENT) => Ok(false),
            Err(errno @ (Errno::LOOP | Errno::MLINK | Errno::NOTDIR)) => {
                if self.follow(name)? {
                    Ok(true)
                } else {
                    Err(os("walk", self.path, errno))
                }
            }
            Err(errno) => Err(os("walk", self.path, errno)),
        }
    }

    /// Puts a link's names before what is still to be walked; false where `name` is no link.
    fn follow(&mut self, name: &Name) -> Result<bool, Error> {
        let target = match self.here().read_link(name) {
            Ok(target) => target,
            Err(Errno::INVAL | Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(os("read the link", self.path, errno)),
        };
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(os("walk", self.path, Errno::LOOP));
        }
        if target.starts_with(b"/") {
            return Err(self.escape());
        }
        for step in target.split(|byte| *byte == b'/').rev().filter_map(Step::of) {
            self.todo.push_front(step);
        }
        Ok(true)
    }

    fn arrive(self, missing: Vec<Name>, name: Name) -> Place {
        let folder = self.here();
        let mut real: Vec<Name> = self.passed.into_iter().map(|(name, _)| name).collect();
        real.extend(missing.iter().cloned());
        real.push(name.clone());
        Place { folder, missing, name, real }
    }

    /// `first` does not exist; nor does what comes after it.
    fn arrive_in_the_void(mut self, first: Name) -> Result<Place, Error> {
        let mut missing = vec![first];
        while let Some(step) = self.todo.pop_front() {
            match step {
                Step::Down(name) => missing.push(name),
                Step::Up => return Err(os("walk", self.path, Errno::NOENT)),
            }
        }
        let name = missing.pop().ok_or_else(|| os("walk", self.path, Errno::NOENT))?;
        Ok(self.arrive(missing, name))
    }

    fn escape(&self) -> Error {
        Error::new(
            ErrorCode::Forbidden,
            format!("'{}' leads through a symbolic link out of the connector's root", self.path),
        )
        .left_nothing()
    }
}

/// An open folder below the root.
#[derive(Clone, Debug)]
pub(crate) struct Folder(Arc<OwnedFd>);

impl Folder {
    /// Opens a folder in this one.
    pub(crate) fn enter(&self, name: &Name) -> OsResult<Self> {
        fs::openat(self.fd(), name.as_os(), FOLDER, Bits::empty()).map(|fd| Self(Arc::new(fd)))
    }

    /// What stands under a name, itself and not what it links to.
    pub(crate) fn meta(&self, name: &Name) -> OsResult<Option<Meta>> {
        match fs::statat(self.fd(), name.as_os(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Meta::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    pub(crate) fn own_meta(&self) -> OsResult<Meta> {
        fs::fstat(self.fd()).map(|stat| Meta::of(&stat))
    }

    /// The id that the filesystem gives itself; 0 where it has none.
    pub(crate) fn filesystem_id(&self) -> OsResult<u64> {
        fs::fstatvfs(self.fd()).map(|statistics| statistics.f_fsid)
    }

    /// Opens a plain file for reading. Anything else is refused without being opened: opening a pipe may wait
    /// for ever, and opening a device may do something.
    pub(crate) fn open_file(&self, name: &Name) -> OsResult<Result<File, Kind>> {
        match self.meta(name)?.ok_or(Errno::NOENT)?.kind {
            Kind::File => {}
            other => return Ok(Err(other)),
        }
        // Whoever swaps the file for a pipe right here finds that we do not wait.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(fs::openat(self.fd(), name.as_os(), flags, Bits::empty())?);
        match Meta::of(&fs::fstat(&file)?).kind {
            Kind::File => Ok(Ok(file)),
            other => Ok(Err(other)),
        }
    }

    /// Asks whether the system would let us write into a file.
    pub(crate) fn may_write(&self, name: &Name) -> OsResult<()> {
        fs::accessat(self.fd(), name.as_os(), Access::WRITE_OK, AtFlags::empty())
    }

    /// Makes a new file that only we can read, for writing.
    pub(crate) fn create_file(&self, name: &Name) -> OsResult<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(self.fd(), name.as_os(), flags, Bits::RUSR | Bits::WUSR).map(File::from)
    }

    /// Makes a folder, with the permissions that the process gives to new ones.
    pub(crate) fn create_folder(&self, name: &Name) -> OsResult<Self> {
        fs::mkdirat(self.fd(), name.as_os(), Bits::RWXU | Bits::RWXG | Bits::RWXO)?;
        self.enter(name)
    }

    pub(crate) fn create_link(&self, name: &Name, target: &[u8]) -> OsResult<()> {
        fs::symlinkat(OsStr::from_bytes(target), self.fd(), name.as_os())
    }

    pub(crate) fn read_link(&self, name: &Name) -> OsResult<Vec<u8>> {
        fs::readlinkat(self.fd(), name.as_os(), Vec::new()).map(std::ffi::CString::into_bytes)
    }

    /// Removes a file or a link. False where there is none.
    pub(crate) fn remove(&self, name: &Name) -> OsResult<bool> {
        found(fs::unlinkat(self.fd(), name.as_os(), AtFlags::empty()))
    }

    /// Removes an empty folder. False where there is none.
    pub(crate) fn remove_folder(&self, name: &Name) -> OsResult<bool> {
        found(fs::unlinkat(self.fd(), name.as_os(), AtFlags::REMOVEDIR))
    }

    /// Gives a thing a new name in this folder, in place of what has that name.
    pub(crate) fn rename_over(&self, from: &Name, to: &Name) -> OsResult<()> {
        fs::renameat(self.fd(), from.as_os(), self.fd(), to.as_os())
    }

    /// Gives a thing a new name in this folder, which nothing may have: `EXIST` otherwise. A filesystem that
    /// cannot promise this is asked first instead.
    pub(crate) fn rename_new(&self, from: &Name, to: &Name) -> OsResult<()> {
        let once = fs::renameat_with(self.fd(), from.as_os(), self.fd(), to.as_os(), RenameFlags::NOREPLACE);
        match once {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                if self.meta(to)?.is_some() {
                    return Err(Errno::EXIST);
                }
                self.rename_over(from, to)
            }
            other => other,
        }
    }

    /// Makes names given and taken in this folder durable.
    pub(crate) fn sync(&self) -> OsResult<()> {
        fs::fsync(self.fd())
    }

    /// The names in this folder, in the order in which the system gives them, at most `limit` and one more.
    pub(crate) fn names(&self, limit: usize) -> OsResult<Vec<Name>> {
        let is_name = |entry: OsResult<fs::DirEntry>| match entry {
            Ok(entry) => Name::new(OsStr::from_bytes(entry.file_name().to_bytes())).map(Ok),
            Err(errno) => Some(Err(errno)),
        };
        Dir::read_from(self.fd())?.filter_map(is_name).take(limit.saturating_add(1)).collect()
    }

    pub(crate) fn is_empty(&self) -> OsResult<bool> {
        self.names(0).map(|names| names.is_empty())
    }

    pub(crate) fn fd(&self) -> impl AsFd + '_ {
        self.0.as_fd()
    }
}

fn found(removed: OsResult<()>) -> OsResult<bool> {
    match removed {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}
