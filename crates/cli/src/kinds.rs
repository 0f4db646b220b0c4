//! The kinds of connectors that this build has: one line each.

use enact::catalog::Catalog;
use enact::connector::{Allow, ConfigEnv, Connector, Toolbox};
use enact::error::{Error, ErrorCode};
use enact::filesystem::Filesystem;
use enact::github::GitHub;
use enact::postgres::Postgres;
use enact::slack::Slack;
use toml::Table;

use crate::config::COMMON;
use crate::reach::{self, Guarded};

type Open = fn(Table, &ConfigEnv<'_>, &[String]) -> Result<Toolbox, Error>;

/// A kind: its name, how its configuration is read and how one is opened, the key that names the folder below which
/// its actions read and write; and what its actions are.
type Kind = (&'static str, fn(Table) -> Result<(), Error>, Open, Option<&'static str>, fn() -> Catalog);

/// Every kind.
const KINDS: &[Kind] = &[
    (
        Filesystem::KIND,
        check_config::<Filesystem>,
        connector::<Filesystem>,
        Some("root"),
        Catalog::of::<Filesystem>,
    ),
    (GitHub::KIND, check_config::<GitHub>, connector::<GitHub>, None, Catalog::of::<GitHub>),
    (Postgres::KIND, check_config::<Postgres>, connector::<Postgres>, None, Catalog::of::<Postgres>),
    (Slack::KIND, check_config::<Slack>, connector::<Slack>, None, Catalog::of::<Slack>),
];

fn find(kind: &str) -> Result<&'static Kind, Error> {
    KINDS.iter().find(|(name, ..)| *name == kind).ok_or_else(|| {
        let known = KINDS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
        let message = format!("'kind': this build has no connector '{kind}'; it has: {known}");
        Error::new(ErrorCode::InvalidParameters, message).left_nothing()
    })
}

/// Reads the configuration of a connector of a kind, and opens nothing.
pub(crate) fn check(kind: &str, config: Table) -> Result<(), Error> {
    let (_, check, ..) = find(kind)?;
    check(config)
}

/// What the actions of a kind are.
pub(crate) fn catalog(kind: &str) -> Result<Catalog, Error> {
    let (.., catalog) = find(kind)?;
    Ok(catalog())
}

/// Opens a connector of a kind with its part of the configuration and its allowlist.
pub(crate) fn open(
    kind: &str,
    config: Table,
    env: &ConfigEnv<'_>,
    allowed: &[String],
    guarded: &[Guarded<'_>],
) -> Result<Toolbox, Error> {
    let (_, _, open, folder, _) = find(kind)?;
    if let Some((key, folder)) = folder.and_then(|key| Some((key, config.get(key)?.as_str()?))) {
        reach::check(key, &env.dir.join(folder), guarded)?;
    }
    open(config, env, allowed)
}

fn connector<C: Connector>(config: Table, env: &ConfigEnv<'_>, allowed: &[String]) -> Result<Toolbox, Error> {
    C::open(read::<C>(config)?, env)?.allow(allowed).map_err(|error| error.context("'allowed_actions'"))
}

fn check_config<C: Connector>(config: Table) -> Result<(), Error> {
    read::<C>(config).map(drop)
}

fn read<C: Connector>(config: Table) -> Result<C::Config, Error> {
    config.try_into().map_err(|error: toml::de::Error| {
        let common = COMMON.map(|key| format!("`{key}`")).join(", ");
        let message = match error.message() {
            message if message.starts_with("unknown field") => {
                format!("{message}, or one of every connector: {common}")
            }
            message => message.to_owned(),
        };
        Error::new(ErrorCode::InvalidParameters, message).left_nothing()
    })
}
