//! What the benchmarks share: a connector that costs nothing, a workflow of three actions, and a folder on a real
//! disk.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use enact::action::{Action, Captured, Doubt, EffectClass, Left, LockKey, Target, Undo};
use enact::connector::{ActionSet, ConfigEnv, Connector, Cx, Identity, Perform, Toolbox};
use enact::prelude::{Allow, Error, Workflow, WorkflowCx};
use enact::schemars::{self, JsonSchema};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// What a benchmark gives.
pub type Result<T = ()> = std::result::Result<T, Box<dyn StdError>>;

/// A folder for a store, beside the build's output: temporary folders may be in memory.
///
/// # Errors
/// Those of the disk.
pub fn scratch() -> Result<tempfile::TempDir> {
    scratch_in(&std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from))
}

/// The same in a folder that somebody names, which is made where it is not there.
///
/// # Errors
/// Those of the disk.
pub fn scratch_in(dir: &Path) -> Result<tempfile::TempDir> {
    fs::create_dir_all(dir)?;
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(dir)?)
}

/// What a file, or a folder with all in it, takes on the disk, in bytes.
///
/// # Errors
/// Those of the disk.
pub fn size_of(path: &Path) -> Result<u64> {
    let found = fs::symlink_metadata(path)?;
    let mut size = found.blocks() * 512;
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            size += size_of(&entry?.path())?;
        }
    }
    Ok(size)
}

/// How many a second there were since a time.
#[must_use]
pub fn rate(count: u64, start: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let count = count as f64;
    count / start.elapsed().as_secs_f64()
}

/// The middle one.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The value below which a share of all values is.
#[must_use]
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index from a share between 0 and 1"
    )]
    let index = ((sorted.len() as f64 - 1.0) * share) as usize;
    sorted.get(index).copied().unwrap_or_default()
}

/// The largest resident size of this process so far, in MiB, as Linux counts it.
#[must_use]
pub fn peak_memory_mib() -> u64 {
    memory_mib("VmHWM:")
}

/// The resident size of this process now, in MiB, as Linux counts it.
#[must_use]
pub fn resident_memory_mib() -> u64 {
    memory_mib("VmRSS:")
}

fn memory_mib(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|found| found.strip_prefix(line));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or_default()
        / 1024
}

/// A map in memory, behind typed actions: what is measured is enact.
#[derive(Debug, Default)]
pub struct Map {
    values: Arc<Mutex<BTreeMap<String, u64>>>,
    /// While this is set, no effect comes about, as when the outside system hangs.
    hangs: Arc<AtomicBool>,
}

impl Map {
    /// The connector with its actions allowed, and a switch that lets it hang.
    ///
    /// # Errors
    /// None.
    pub fn toolbox() -> Result<(Toolbox, Arc<AtomicBool>)> {
        let map = Self::default();
        let hangs = Arc::clone(&map.hangs);
        Ok((map.allow(["put"])?.max_concurrency(100_000), hangs))
    }
}

/// Puts a number.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Put {
    /// Where.
    pub key: String,
    /// What; `None` removes it.
    pub value: Option<u64>,
}

impl Action for Put {
    const NAME: &'static str = "put";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "puts back the number that was there";
    type Output = ();
    type PreState = Option<u64>;
    type Undo = Unput;

    fn target(&self) -> Target {
        Target::new("number", &self.key)
    }

    fn lock(&self) -> Option<LockKey> {
        Some(LockKey(self.key.clone()))
    }
}

/// Puts back what was there.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unput(Put);

impl Action for Unput {
    const NAME: &'static str = "unput";
    const EFFECT: EffectClass = EffectClass::Reversible;
    const REVERSAL: &'static str = "none; it is an undo";
    type Output = ();
    type PreState = Option<u64>;
    type Undo = enact::action::NoUndo;

    fn target(&self) -> Target {
        self.0.target()
    }

    fn lock(&self) -> Option<LockKey> {
        self.0.lock()
    }
}

impl Connector for Map {
    const KIND: &'static str = "map";
    type Config = ();

    fn open((): (), _: &ConfigEnv<'_>) -> std::result::Result<Self, Error> {
        Ok(Self::default())
    }

    fn actions(set: &mut ActionSet<Self>) {
        set.add::<Put>();
    }

    async fn identity(&self) -> std::result::Result<Identity, Error> {
        Ok(Identity("memory".into()))
    }
}

impl Map {
    fn put(&self, put: &Put) {
        let mut values = self.values.lock();
        match put.value {
            Some(value) => values.insert(put.key.clone(), value),
            None => values.remove(&put.key),
        };
    }

    fn get(&self, put: &Put) -> Option<u64> {
        self.values.lock().get(&put.key).copied()
    }
}

impl Perform<Put> for Map {
    type Held = ();

    async fn capture(&self, _: &Cx, put: &Put) -> std::result::Result<Captured<Put, ()>, Error> {
        Ok(Captured::ready(self.get(put), ()))
    }

    async fn perform(&self, _: &Cx, put: &Put, _: &Option<u64>, (): ()) -> std::result::Result<(), Error> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.put(put);
        Ok(())
    }

    async fn probe(&self, _: &Cx, put: &Put, _: &Option<u64>) -> std::result::Result<Doubt<()>, Error> {
        Ok(if self.get(put) == put.value { Doubt::Applied(()) } else { Doubt::NotApplied })
    }

    fn undo(&self, put: &Put, pre: &Option<u64>, _: Left<'_, ()>) -> Undo<Unput> {
        Undo::By(Unput(Put { key: put.key.clone(), value: *pre }))
    }
}

impl Perform<Unput> for Map {
    type Held = ();

    async fn capture(&self, _: &Cx, unput: &Unput) -> std::result::Result<Captured<Unput, ()>, Error> {
        Ok(Captured::ready(self.get(&unput.0), ()))
    }

    async fn perform(
        &self,
        _: &Cx,
        unput: &Unput,
        _: &Option<u64>,
        (): (),
    ) -> std::result::Result<(), Error> {
        self.put(&unput.0);
        Ok(())
    }

    async fn probe(&self, _: &Cx, unput: &Unput, _: &Option<u64>) -> std::result::Result<Doubt<()>, Error> {
        Ok(if self.get(&unput.0) == unput.0.value { Doubt::Applied(()) } else { Doubt::NotApplied })
    }

    fn undo(&self, _: &Unput, _: &Option<u64>, _: Left<'_, ()>) -> Undo<enact::action::NoUndo> {
        Undo::Nothing
    }
}

/// Three actions, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct ThreePuts;

impl Workflow for ThreePuts {
    const NAME: &'static str = "three-puts";
    const VERSION: u32 = 1;
    type Input = String;
    type Output = ();

    async fn run(&self, cx: &WorkflowCx, name: String) -> std::result::Result<(), Error> {
        let map = cx.connector::<Map>("map")?;
        for number in 1..=3 {
            map.act(Put { key: format!("{name}/{number}"), value: Some(number) }).await?;
        }
        Ok(())
    }
}
