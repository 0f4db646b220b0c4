//! Reading `enact.toml`: strictly, with the place of each mistake.

use std::collections::BTreeMap;
use std::env;
use std::io;
use std::path::{Path, PathBuf};

use enact::connector::{ConfigEnv, Toolbox};
use enact::error::{Error, ErrorCode};
use serde::Deserialize;
use toml::{Spanned, Table};

use crate::kinds;
use crate::reach::Guarded;
use crate::text;

/// The configuration's usual name.
pub(crate) const FILE: &str = "enact.toml";
/// The store's usual place.
const STORE: &str = "enact-data";
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
    audit: Option<Audit>,
    #[serde(default)]
    connectors: BTreeMap<String, Spanned<Table>>,
    #[serde(default)]
    policies: Option<Spanned<toml::Value>>,
    #[serde(default)]
    policy: Option<Spanned<toml::Value>>,
    #[serde(default)]
    workflows: Workflows,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Store {
    path: Option<Spanned<PathBuf>>,
    postgres_url_env: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Audit {
    signing_key_file: Spanned<PathBuf>,
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
const COMMON: [&str; 3] = ["kind", "allowed_actions", "max_concurrency"];

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
        Ok(config)
    }

    fn refuse_what_this_build_cannot_do(&self) -> Result<(), Error> {
        let Raw { store, audit, policies, policy, .. } = &self.raw;
        let url = store.postgres_url_env.as_ref().map(|key| (key.span(), "store.postgres_url_env"));
        let signing = audit.as_ref().map(|audit| (audit.signing_key_file.span(), "audit.signing_key_file"));
        let policies = policies.as_ref().map(|key| (key.span(), "policies"));
        let policy = policy.as_ref().map(|key| (key.span(), "policy"));
        let Some((span, key)) = url.or(signing).or(policies).or(policy) else { return Ok(()) };
        let message = format!(
            "'{key}' is not supported by this build yet, and is not silently left out; nothing was opened"
        );
        Err(Error::new(ErrorCode::Unsupported, format!("{}{message}", self.place(Some(span)))).left_nothing())
    }

    fn refuse_what_is_no_path(&self) -> Result<(), Error> {
        let Some(path) = &self.raw.store.path else { return Ok(()) };
        let bytes = path.get_ref().as_os_str().as_encoded_bytes();
        if !bytes.is_empty() && !bytes.contains(&0) {
            return Ok(());
        }
        let what = "[store] path: a folder is wanted; this is empty or has a NUL in it";
        Err(bad(&self.file, &self.text, Some(path.span()), what))
    }

    /// Where the store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.join(self.raw.store.path.as_ref().map_or(Path::new(STORE), |path| path.get_ref()))
    }

    /// Where declarative workflows are, where that is said.
    pub(crate) fn workflows(&self) -> Option<PathBuf> {
        self.raw.workflows.dir.as_ref().map(|dir| self.dir.join(dir))
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
        guarded.extend(self.workflows().map(|path| Guarded {
            key: "[workflows] dir".into(),
            path,
            whole: false,
            harm: "an agent could rewrite what others run in their own names",
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
        let open = |(name, table): (&String, &Spanned<Table>)| {
            let toolbox = self.connector(name, table.get_ref().clone());
            let toolbox = toolbox.map_err(|error| {
                let place = self.place_of(table.span().start, error.message());
                error.context(format!("{place}[connectors.{name}]"))
            })?;
            Ok((name.clone(), toolbox))
        };
        self.raw.connectors.iter().map(open).collect()
    }

    fn connector(&self, name: &str, mut table: Table) -> Result<Toolbox, Error> {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            let message = "a connector's name has letters, digits, '-' and '_' only";
            return Err(Error::new(ErrorCode::InvalidParameters, message).left_nothing());
        }
        let common: Table = COMMON.iter().filter_map(|key| table.remove_entry(*key)).collect();
        let common: Common = common.try_into().map_err(|error: toml::de::Error| {
            Error::new(ErrorCode::InvalidParameters, error.message().to_owned()).left_nothing()
        })?;
        if let Some(actions) =
            common.max_concurrency.filter(|actions| !(1..=MAX_CONCURRENCY).contains(actions))
        {
            let message = format!("'max_concurrency': {actions} is not from 1 to {MAX_CONCURRENCY}");
            return Err(Error::new(ErrorCode::InvalidParameters, message).left_nothing());
        }
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
