//! Reading `enact.toml`: strictly, with the place of each mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io;
use std::path::{Path, PathBuf};

use enact::catalog::Catalog;
use enact::connector::{ConfigEnv, Toolbox};
use enact::error::{Error, ErrorCode};
use enact::policies::EntryProblem;
use enact::policies::cedar::Attribute;
use serde::Deserialize;
use serde_json::Value;
use toml::{Spanned, Table};

use crate::kinds;
use crate::master_key::Place;
use crate::reach::Guarded;
use crate::signing;
use crate::text;

/// The configuration's usual name.
pub(crate) const FILE: &str = "enact.toml";
/// The store's usual place.
const STORE: &str = "enact-data";
/// The signing key's usual place.
const SIGNING_KEY: &str = "enact-signing.key";
/// How many actions of a connector may be under way at once, at most.
const MAX_CONCURRENCY: usize = 10_000;
/// A larger file is none.
const MAX_BYTES: usize = 1024 * 1024;

/// A configuration that was read.
#[derive(Debug)]
pub(crate) struct Config {
    file: PathBuf,
    /// The folder that relative paths are relative to.
    pub(crate) dir: PathBuf,
    text: String,
    raw: Raw,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    store: Store,
    #[serde(default)]
    audit: Audit,
    #[serde(default)]
    connectors: BTreeMap<String, Spanned<Table>>,
    #[serde(default)]
    policies: Vec<Spanned<Table>>,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    workflows: Workflows,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Store {
    path: Option<Spanned<PathBuf>>,
    postgres_url_env: Option<Spanned<String>>,
    master_key_file: Option<Spanned<PathBuf>>,
    master_key_env: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Audit {
    signing_key_file: Option<Spanned<PathBuf>>,
}

/// Declarative policies.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    cedar_file: Option<Spanned<PathBuf>>,
    /// What rules can speak of that is said of users, and its types.
    attributes: Option<BTreeMap<String, Attribute>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Workflows {
    dir: Option<PathBuf>,
}

/// What every connector takes, whatever its kind.
#[derive(Debug, Deserialize)]
struct Common {
    kind: String,
    allowed_actions: Vec<String>,
    max_concurrency: Option<usize>,
}

/// The keys of [`Common`].
pub(crate) const COMMON: [&str; 3] = ["kind", "allowed_actions", "max_concurrency"];

/// The connectors of a command.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// By name.
    pub(crate) toolboxes: BTreeMap<String, Toolbox>,
    /// Those that the command does not need, with what they lack.
    pub(crate) left_out: Vec<(String, String)>,
}

impl Config {
    /// Reads the configuration: `given`, else `$ENACT_CONFIG`, else `./enact.toml`.
    pub(crate) fn load(given: Option<&Path>) -> Result<Self, Error> {
        let named = env::var_os("ENACT_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from);
        let file = given.map(Path::to_owned).or(named).unwrap_or_else(|| FILE.into());
        let text = read(&file)?;
        let raw = toml::from_str(&text).map_err(|error| bad(&file, &text, error.span(), error.message()))?;
        let full = std::path::absolute(&file).unwrap_or_else(|_| file.clone());
        let dir = full.parent().unwrap_or(Path::new(".")).to_owned();
        let config = Self { file, dir, text, raw };
        config.refuse_what_this_build_cannot_do()?;
        config.refuse_what_is_no_path()?;
        config.check_connectors()?;
        Ok(config)
    }

    fn refuse_what_this_build_cannot_do(&self) -> Result<(), Error> {
        let Some(url) = &self.raw.store.postgres_url_env else { return Ok(()) };
        let message = "'store.postgres_url_env' is not supported by this build yet, and is not silently left out; nothing \
                       was opened";
        let place = self.place(Some(url.span()));
        Err(Error::new(ErrorCode::Unsupported, format!("{place}{message}")).left_nothing())
    }

    fn refuse_what_is_no_path(&self) -> Result<(), Error> {
        let Store { master_key_file, master_key_env, .. } = &self.raw.store;
        if let (Some(file), Some(_)) = (master_key_file, master_key_env) {
            let what =
                "[store] master_key_file and master_key_env: the key is in one place, and one is wanted";
            return Err(bad(&self.file, &self.text, Some(file.span()), what));
        }
        let paths = [
            (&self.raw.store.path, "[store] path: a folder is wanted"),
            (&self.raw.store.master_key_file, "[store] master_key_file: a file is wanted"),
            (&self.raw.audit.signing_key_file, "[audit] signing_key_file: a file is wanted"),
            (&self.raw.policy.cedar_file, "[policy] cedar_file: a file is wanted"),
        ];
        paths.into_iter().filter_map(|(path, wanted)| Some((path.as_ref()?, wanted))).try_for_each(
            |(path, wanted)| {
                let bytes = path.get_ref().as_os_str().as_encoded_bytes();
                if !bytes.is_empty() && !bytes.contains(&0) {
                    return Ok(());
                }
                let what = format!("{wanted}; this is empty or has a NUL in it");
                Err(bad(&self.file, &self.text, Some(path.span()), &what))
            },
        )
    }

    /// Where the store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.join(self.raw.store.path.as_ref().map_or(Path::new(STORE), |path| path.get_ref()))
    }

    /// Where the store's master key is.
    pub(crate) fn master_key(&self) -> Place {
        let Store { master_key_file, master_key_env, .. } = &self.raw.store;
        match (master_key_file, master_key_env) {
            (_, Some(name)) => Place::Env(name.get_ref().clone()),
            (Some(file), None) => Place::File(self.dir.join(file.get_ref())),
            (None, None) => {
                let mut beside = self.store().into_os_string();
                beside.push(".key");
                Place::File(beside.into())
            }
        }
    }

    /// Where the key is that signs the log.
    pub(crate) fn signing_key(&self) -> PathBuf {
        let named = self.raw.audit.signing_key_file.as_ref();
        self.dir.join(named.map_or(Path::new(SIGNING_KEY), |path| path.get_ref()))
    }

    /// Where declarative workflows are, where that is said.
    pub(crate) fn workflows(&self) -> Option<PathBuf> {
        self.raw.workflows.dir.as_ref().map(|dir| self.dir.join(dir))
    }

    /// The built-in policies that it names, with their parameters, as JSON.
    pub(crate) fn policies(&self) -> impl Iterator<Item = Value> {
        self.raw.policies.iter().map(|entry| json_of(&toml::Value::Table(entry.get_ref().clone())))
    }

    /// What is wrong with one of them, with its place.
    pub(crate) fn in_policy(&self, problem: &EntryProblem) -> String {
        let entry = problem.entry.checked_sub(1).and_then(|at| self.raw.policies.get(at));
        let place = match entry {
            Some(entry) => self.place_of(entry.span().start, &problem.message),
            None => self.place(None),
        };
        format!("{place}{problem}")
    }

    /// The file of the rules in Cedar as it is named, relative to `dir`, where one is named.
    pub(crate) fn cedar_file(&self) -> Option<&Path> {
        self.raw.policy.cedar_file.as_ref().map(|file| file.get_ref().as_path())
    }

    /// What rules in Cedar can speak of that is said of users.
    pub(crate) fn attributes(&self) -> BTreeMap<String, Attribute> {
        let mut attributes = Attribute::usual();
        attributes.extend(self.raw.policy.attributes.clone().unwrap_or_default());
        attributes
    }

    /// The file, for messages.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// What no connector may reach.
    fn guarded(&self) -> Vec<Guarded<'_>> {
        let file = std::path::absolute(&self.file).unwrap_or_else(|_| self.file.clone());
        let mut guarded = vec![
            Guarded {
                key: "[store] path".into(),
                path: self.store(),
                whole: true,
                harm: "an agent could read and destroy the record of what was done",
            },
            Guarded {
                key: "--config".into(),
                path: file,
                whole: false,
                harm: "an agent could lift its own allowlist",
            },
        ];
        if let Place::File(path) = self.master_key() {
            guarded.push(Guarded {
                key: "[store] master_key_file".into(),
                path,
                whole: false,
                harm: "an agent could read what the record of everybody is encrypted under",
            });
        }
        guarded.push(Guarded {
            key: "[audit] signing_key_file".into(),
            path: self.signing_key(),
            whole: false,
            harm: "an agent could sign a record of its own making",
        });
        guarded.push(Guarded {
            key: "[audit] signing_key_file, its public keys".into(),
            path: signing::public_file(&self.signing_key()),
            whole: false,
            harm: "an agent could have a record of its own making trusted",
        });
        guarded.extend(self.workflows().map(|path| Guarded {
            key: "[workflows] dir".into(),
            path,
            whole: false,
            harm: "an agent could rewrite what others run in their own names",
        }));
        guarded.extend(self.cedar_file().map(|path| Guarded {
            key: "[policy] cedar_file".into(),
            path: self.dir.join(path),
            whole: false,
            harm: "an agent could lift the rules that it is held by",
        }));
        guarded.extend(self.secrets());
        guarded
    }

    /// The files in which connectors find their secrets, and what else they trust.
    fn secrets(&self) -> Vec<Guarded<'_>> {
        let mut secrets = Vec::new();
        for (name, table) in &self.raw.connectors {
            let files = table.get_ref().iter().filter(|(key, _)| key.ends_with("_file"));
            secrets.extend(files.filter_map(|(key, file)| {
                Some(Guarded {
                    key: format!("[connectors.{name}] {key}").into(),
                    path: self.dir.join(file.as_str()?),
                    whole: false,
                    harm: "an agent could read a secret, or put another in its place",
                })
            }));
        }
        secrets
    }

    /// Opens every connector.
    pub(crate) fn connectors(&self) -> Result<BTreeMap<String, Toolbox>, Error> {
        self.connectors_for(None).map(|opened| opened.toolboxes)
    }

    /// Opens every connector, but for those that are not `needed` and whose secret is not there. Where that is not said,
    /// all are needed.
    pub(crate) fn connectors_for(&self, needed: Option<&BTreeSet<String>>) -> Result<Opened, Error> {
        let mut opened = Opened::default();
        for (name, table) in &self.raw.connectors {
            let can_wait = needed.is_some_and(|needed| !needed.contains(name));
            if let Some(lacks) = lacking(table.get_ref()).filter(|_| can_wait) {
                opened.left_out.push((name.clone(), lacks));
                continue;
            }
            let toolbox = self.connector(name, table.get_ref().clone());
            opened
                .toolboxes
                .insert(name.clone(), toolbox.map_err(|error| self.in_connector(name, table, error))?);
        }
        Ok(opened)
    }

    /// What there is to be known of every connector by its kind, without opening it.
    pub(crate) fn catalogs(&self) -> Result<BTreeMap<String, Catalog>, Error> {
        let one = |(name, table): (&String, &Spanned<Table>)| {
            let (common, _) = common(name, table.get_ref().clone())?;
            Ok((name.clone(), kinds::catalog(&common.kind)?))
        };
        self.raw.connectors.iter().map(one).collect()
    }

    /// Reads every connector's part without opening it: a mistake is one for every command.
    fn check_connectors(&self) -> Result<(), Error> {
        self.raw.connectors.iter().try_for_each(|(name, table)| {
            let read = common(name, table.get_ref().clone());
            let checked = read.and_then(|(common, table)| kinds::check(&common.kind, table));
            checked.map_err(|error| self.in_connector(name, table, error))
        })
    }

    fn in_connector(&self, name: &str, table: &Spanned<Table>, error: Error) -> Error {
        let place = self.place_of(table.span().start, error.message());
        error.context(format!("{place}[connectors.{name}]"))
    }

    fn connector(&self, name: &str, table: Table) -> Result<Toolbox, Error> {
        let (common, table) = common(name, table)?;
        let env = ConfigEnv { name, dir: &self.dir };
        let toolbox = kinds::open(&common.kind, table, &env, &common.allowed_actions, &self.guarded())?;
        Ok(match common.max_concurrency {
            Some(actions) => toolbox.max_concurrency(actions),
            None => toolbox,
        })
    }

    fn place(&self, span: Option<std::ops::Range<usize>>) -> String {
        place(&self.file, &self.text, span)
    }

    /// The place of a mistake in the section that begins there: the line of the key that the message names in
    /// quotes, where there is one, else the section's.
    fn place_of(&self, section: usize, message: &str) -> String {
        let key = message.split(['\'', '`']).nth(1).unwrap_or_default();
        let names_it = |line: &str| !key.is_empty() && line.trim_start().starts_with(key);
        let mut offset = section;
        for line in self.text.get(section..).unwrap_or_default().split_inclusive('\n') {
            if offset > section && line.trim_start().starts_with('[') {
                break;
            }
            if names_it(line) {
                return self.place(Some(offset..offset));
            }
            offset += line.len();
        }
        self.place(Some(section..section))
    }
}

/// What every connector takes, and the rest of its part.
fn common(name: &str, mut table: Table) -> Result<(Common, Table), Error> {
    let invalid = |message: String| Error::new(ErrorCode::InvalidParameters, message).left_nothing();
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return Err(invalid("a connector's name has letters, digits, '-' and '_' only".to_owned()));
    }
    let common: Table = COMMON.iter().filter_map(|key| table.remove_entry(*key)).collect();
    let common: Common =
        common.try_into().map_err(|error: toml::de::Error| invalid(error.message().to_owned()))?;
    match common.max_concurrency {
        Some(actions) if !(1..=MAX_CONCURRENCY).contains(&actions) => {
            Err(invalid(format!("'max_concurrency': {actions} is not from 1 to {MAX_CONCURRENCY}")))
        }
        _ => Ok((common, table)),
    }
}

/// The environment variable that a connector's secret should be in and is not.
fn lacking(table: &Table) -> Option<String> {
    let variables =
        table.iter().filter(|(key, _)| key.ends_with("_env")).filter_map(|(_, name)| name.as_str());
    variables
        .filter(|name| env::var_os(name).is_none())
        .map(|name| format!("the environment variable {name} is not set"))
        .next()
}

/// A value of TOML as one of JSON. Dates and times are text there.
fn json_of(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        toml::Value::Boolean(holds) => Value::from(*holds),
        toml::Value::Datetime(at) => Value::from(at.to_string()),
        toml::Value::Array(items) => items.iter().map(json_of).collect(),
        toml::Value::Table(entries) => {
            Value::Object(entries.iter().map(|(key, value)| (key.clone(), json_of(value))).collect())
        }
    }
}

fn read(file: &Path) -> Result<String, Error> {
    let unreadable = |error: io::Error| {
        let hint = if error.kind() == io::ErrorKind::NotFound { "; `enact init` writes one" } else { "" };
        let message = format!("the configuration {} cannot be read: {error}{hint}", file.display());
        Error::new(ErrorCode::InvalidParameters, message).left_nothing()
    };
    text::read(file, MAX_BYTES).map_err(unreadable)
}

fn bad(file: &Path, text: &str, span: Option<std::ops::Range<usize>>, what: &str) -> Error {
    Error::new(ErrorCode::InvalidParameters, format!("{}{what}", place(file, text, span))).left_nothing()
}

fn place(file: &Path, text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let Some(before) = span.and_then(|span| text.get(..span.start)) else {
        return format!("{}: ", file.display());
    };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{}, line {line}, column {column}: ", file.display())
}
