//! A folder on the disk with a connector on it, and a way to see all of it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use enact_connector_filesystem::Filesystem;
use enact_core::action::Undo;
use enact_core::blob::BlobStore;
use enact_core::connector::{Allow, Cx, Toolbox};
use enact_core::ids::{Direction, EffectId, RunId, Seq};
use enact_core::json::JsonText;
use enact_core::{Capture, Error, Prepared};
use enact_store::MemoryBlobs;
use enact_testkit::connector_suite::World;
use serde_json::Value;

/// What stands beside the root in `secret.txt`.
pub(crate) const SECRET: &str = "outside";

const ALL: [&str; 4] = ["read_file", "write_file", "delete_file", "list_dir"];

/// A temporary folder; `root` in it is the connector's root, and beside it there is something to protect.
#[derive(Debug)]
pub(crate) struct Folder {
    base: PathBuf,
    toolbox: Toolbox,
    blobs: Arc<dyn BlobStore>,
    effects: AtomicU32,
    _scratch: Option<tempfile::TempDir>,
}

impl World for Folder {
    fn toolbox(&self) -> Toolbox {
        self.toolbox.clone()
    }

    async fn observe(&self) -> String {
        self.picture()
    }
}

impl Folder {
    pub(crate) fn empty() -> Self {
        Self::of(|files| files)
    }

    /// An empty root, and a connector with options.
    pub(crate) fn of(options: impl FnOnce(Filesystem) -> Filesystem) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let world = Self::at(scratch.path(), options);
        Self { _scratch: Some(scratch), ..world }
    }

    /// The world in this folder, made where it is not there yet.
    pub(crate) fn at(base: &Path, options: impl FnOnce(Filesystem) -> Filesystem) -> Self {
        let root = base.join("root");
        if !root.exists() {
            fs::create_dir(&root).unwrap();
            fs::write(base.join("secret.txt"), SECRET).unwrap();
        }
        let toolbox = options(Filesystem::new(root).unwrap()).allow(ALL).unwrap();
        let (blobs, effects) = (Arc::new(MemoryBlobs::default()), AtomicU32::new(1));
        Self { base: base.to_owned(), toolbox, blobs, effects, _scratch: None }
    }

    /// Keeps large content elsewhere.
    pub(crate) fn with_blobs(self, blobs: impl BlobStore) -> Self {
        Self { blobs: Arc::new(blobs), ..self }
    }

    /// A few files with what is easily lost: CRLF, a mode, an old time, an attribute, a link.
    pub(crate) fn with_some_files() -> Self {
        let world = Self::empty();
        world.fill();
        world
    }

    pub(crate) fn fill(&self) {
        let world = self;
        fs::create_dir(world.path("docs")).unwrap();
        world.write("docs/a.txt", "old\r\n");
        world.set_mode("docs/a.txt", 0o640);
        world.set_xattr("docs/a.txt", "user.note", b"kept\xff");
        world.age("docs/a.txt");
        world.write("b.txt", "");
        world.age("b.txt");
        symlink("docs/a.txt", world.path("link")).unwrap();
        let time = rustix::fs::Timespec { tv_sec: 900_000_000, tv_nsec: 1 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(
            rustix::fs::CWD,
            world.path("link"),
            &times,
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.base.join("root")
    }

    /// Beside the root.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    pub(crate) fn toolbox(&self) -> &Toolbox {
        &self.toolbox
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_symlink() => fs::remove_file(&path).unwrap(),
            _ => {}
        }
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap()
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    pub(crate) fn set_mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn mode(&self, path: &str) -> u32 {
        fs::symlink_metadata(self.path(path)).unwrap().mode() & 0o7777
    }

    pub(crate) fn set_xattr(&self, path: &str, name: &str, value: &[u8]) {
        rustix::fs::setxattr(self.path(path), name, value, rustix::fs::XattrFlags::empty()).unwrap();
    }

    /// Gives a file a time of modification long ago, with nanoseconds.
    pub(crate) fn age(&self, path: &str) {
        let old = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
        let file = fs::File::options().append(true).open(self.path(path)).unwrap();
        file.set_times(fs::FileTimes::new().set_modified(old)).unwrap();
    }

    /// All of the root in words: every name, mode, content, time of files, attributes.
    pub(crate) fn picture(&self) -> String {
        let mut text = String::new();
        draw(&self.root(), Path::new(""), &mut text);
        text
    }

    fn cx(&self, direction: Direction, force: bool) -> Cx {
        self.cx_of(direction, self.effects.fetch_add(1, Ordering::Relaxed), force)
    }

    /// The context of an intent that has this number.
    pub(crate) fn cx_of(&self, direction: Direction, attempt: u32, force: bool) -> Cx {
        let run = RunId::from_parts(1_700_000_000_000, [7; 10]);
        let undo_try = u32::from(direction == Direction::Undo);
        let effect = EffectId { run, seq: Seq(1), attempt, direction, undo_try };
        Cx::new(effect, force, Arc::clone(&self.blobs))
    }

    pub(crate) fn prepare(&self, action: &str, params: Value) -> Result<Prepared, Error> {
        self.toolbox.prepare(action, &JsonText::encode(&params)?)
    }

    /// Captures and performs, as the runtime does.
    pub(crate) async fn act(&self, action: &str, params: Value) -> Result<Done, Error> {
        let prepared = self.prepare(action, params)?;
        self.carry_out(prepared, self.cx(Direction::Forward, false)).await
    }

    pub(crate) async fn carry_out(&self, action: Prepared, cx: Cx) -> Result<Done, Error> {
        Ok(match action.capture(&cx).await? {
            Capture::AlreadyDone(output) => {
                Done { action, cx, pre: JsonText::null(), output: output.value(), already: true }
            }
            Capture::Ready { pre, ready, .. } => {
                let output = action.perform(&cx, ready).await?.value();
                Done { action, cx, pre, output, already: false }
            }
        })
    }

    pub(crate) fn undo_of(&self, action: &Prepared, pre: &JsonText) -> Prepared {
        match action.undo(pre, None).unwrap() {
            Undo::By(undo) => self.toolbox.prepare_undo(undo.name, &undo.params).unwrap(),
            other => panic!("no undo: {other:?}"),
        }
    }

    /// Undoes what was done, as the runtime does.
    pub(crate) async fn undo(&self, done: &Done, force: bool) -> Result<Done, Error> {
        let undo = self.undo_of(&done.action, &done.pre);
        self.carry_out(undo, self.cx(Direction::Undo, force)).await
    }
}

/// Runs a future on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Says how long something in the background goes on.
#[derive(Debug)]
pub(crate) struct Background(AtomicBool);

impl Background {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(true))
    }

    pub(crate) fn goes_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// It ends when this is dropped, also by a failing test.
    pub(crate) fn stop_at_the_end(&self) -> impl Drop + '_ {
        Stop(self)
    }
}

struct Stop<'a>(&'a Background);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

/// An action that was carried out.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) action: Prepared,
    pub(crate) cx: Cx,
    pub(crate) pre: JsonText,
    pub(crate) output: Value,
    pub(crate) already: bool,
}

fn draw(folder: &Path, below: &Path, text: &mut String) {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let (path, shown) = (folder.join(&name), below.join(&name));
        let meta = fs::symlink_metadata(&path).unwrap();
        write!(text, "{shown:?} {:o} {}:{}", meta.mode(), meta.uid(), meta.gid()).unwrap();
        if meta.is_dir() {
            text.push('\n');
            draw(&path, &shown, text);
            continue;
        }
        write!(text, " {}.{:09}", meta.mtime(), meta.mtime_nsec()).unwrap();
        if meta.is_symlink() {
            write!(text, " -> {:?}", fs::read_link(&path).unwrap()).unwrap();
        } else if meta.is_file() {
            let content = fs::read(&path).unwrap();
            let start = &content[..content.len().min(60)];
            let sum =
                content.iter().fold(17_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
            write!(text, " {} bytes {start:?} {sum:x} {:?}", content.len(), xattrs(&path)).unwrap();
        }
        text.push('\n');
    }
}

fn xattrs(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names = vec![0; 4096];
    let length = rustix::fs::listxattr(path, &mut names[..]).unwrap();
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut all: Vec<_> = names
        .map(|name| {
            let name = String::from_utf8(name.to_vec()).unwrap();
            let mut value = vec![0; 4096];
            let length = rustix::fs::getxattr(path, &*name, &mut value[..]).unwrap();
            value.truncate(length);
            (name, value)
        })
        .collect();
    all.sort();
    all
}
