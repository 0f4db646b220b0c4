//! `list_dir`: what is in a folder.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use enact_core::action::{
    Action, Captured, Doubt, EffectClass, FactKind, Facts, Left, LockKey, NoUndo, Target, Undo,
};
use enact_core::connector::{Cx, Perform};
use enact_core::{Error, ErrorCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::os::unix::ffi::OsStrExt;

use super::{PLACE_FACTS, check_way, read_only};
use crate::Filesystem;
use crate::client::{Folder, Root, Way};
use crate::error::os;
use crate::meta::Kind;
use crate::path::{DirPath, Name};
use crate::work::Step;

/// How many entries `list_dir` gives at most. A larger folder is an error, never a part of the list.
pub const MAX_ENTRIES: usize = 10_000;

/// Lists a folder, sorted by the bytes of the names. A symbolic link to a folder below the root is followed;
/// links in the list are listed as links.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListDir {
    /// The folder, below the connector's root; `.` is the root.
    #[serde(default = "root")]
    path: DirPath,
}

fn root() -> DirPath {
    DirPath::from(".")
}

/// What `list_dir` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DirListed {
    /// What is in the folder.
    pub entries: Vec<Entry>,
}

/// One thing in a folder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its name. Bytes that are not UTF-8 are shown as U+FFFD.
    pub name: String,
    /// The exact bytes of a name that is not UTF-8. No action can name such a thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_base64: Option<String>,
    /// What it is: `file`, `dir`, `symlink` or `other`.
    pub kind: Kind,
    /// The bytes of a file, the length of what a link says; 0 for anything else.
    pub size: u64,
}

impl ListDir {
    /// Lists a folder; `.` is the root.
    pub fn new(path: impl Into<DirPath>) -> Self {
        Self { path: path.into() }
    }
}

impl Action for ListDir {
    const NAME: &'static str = "list_dir";
    const EFFECT: EffectClass = EffectClass::ReadOnly;
    const REVERSAL: &'static str = "read-only";
    const FACTS: &'static [(&'static str, FactKind)] = PLACE_FACTS;
    type Output = DirListed;
    type PreState = ();
    type Undo = NoUndo;

    fn target(&self) -> Target {
        Target::new("directory", self.path.as_str())
    }

    fn lock(&self) -> Option<LockKey> {
        None
    }
}

impl Perform<ListDir> for Filesystem {
    /// Where the path led when policies were asked.
    type Held = Way;

    async fn capture(&self, _: &Cx, action: &ListDir) -> Result<Captured<ListDir, Way>, Error> {
        let path = action.path.clone();
        let (_, held) = self.look(None, move |root, _| root.reach_folder(&path)).await?;
        let facts = Facts::from_iter([
            ("exists".into(), json!(true)),
            ("real_path".into(), json!(held.to_string())),
            ("is_symlink".into(), json!(false)),
        ]);
        Ok(Captured::Ready { pre: (), facts, held })
    }

    async fn perform(&self, _: &Cx, action: &ListDir, (): &(), held: Way) -> Result<DirListed, Error> {
        let path = action.path.clone();
        self.look(None, move |root, step| list(root, step, &path, &held)).await
    }

    async fn probe(&self, _: &Cx, _: &ListDir, (): &()) -> Result<Doubt<DirListed>, Error> {
        Err(read_only())
    }

    fn undo(&self, _: &ListDir, (): &(), _: Left<'_, DirListed>) -> Undo<NoUndo> {
        Undo::Nothing
    }
}

fn list(root: &Root, step: &Step, path: &DirPath, held: &Way) -> Result<DirListed, Error> {
    let (folder, way) = root.reach_folder(path)?;
    check_way(&way, held)?;
    let mut names = folder.names(MAX_ENTRIES).map_err(|errno| os("list", path, errno))?;
    if names.len() > MAX_ENTRIES {
        return Err(Error::new(
            ErrorCode::InvalidParameters,
            format!("'{path}' has more than {MAX_ENTRIES} entries, the most that list_dir gives"),
        ));
    }
    names.sort_by(|one, other| one.as_os().cmp(other.as_os()));
    let mut entries = Vec::with_capacity(names.len());
    for name in names {
        step.go_on()?;
        entries
            .extend(entry(&folder, &name).map_err(|errno| os("look at", format!("{path}/{name}"), errno))?);
    }
    Ok(DirListed { entries })
}

/// The entry of a name; nothing where it has gone meanwhile.
fn entry(folder: &Folder, name: &Name) -> rustix::io::Result<Option<Entry>> {
    let exact = name.as_os().to_str().is_none().then(|| STANDARD.encode(name.as_os().as_bytes()));
    Ok(folder.meta(name)?.map(|meta| Entry {
        name: name.to_string(),
        name_base64: exact,
        kind: meta.kind,
        size: if matches!(meta.kind, Kind::File | Kind::Symlink) { meta.size } else { 0 },
    }))
}
