//! The kinds of connectors that this build has: one line each.

use enact::connector::{Allow, ConfigEnv, Connector, Toolbox};
use enact::error::{Error, ErrorCode};
use enact::filesystem::Filesystem;
use enact::postgres::Postgres;
use toml::Table;

type Open = fn(Table, &ConfigEnv<'_>, &[String]) -> Result<Toolbox, Error>;

/// Every kind.
const KINDS: &[(&str, Open)] =
    &[(Filesystem::KIND, connector::<Filesystem>), (Postgres::KIND, connector::<Postgres>)];

/// Opens a connector of a kind with its part of the configuration and its allowlist.
pub(crate) fn open(
    kind: &str,
    config: Table,
    env: &ConfigEnv<'_>,
    allowed: &[String],
) -> Result<Toolbox, Error> {
    let Some((_, open)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        let known = KINDS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let message = format!("'kind': this build has no connector '{kind}'; it has: {known}");
        return Err(Error::new(ErrorCode::InvalidParameters, message).left_nothing());
    };
    open(config, env, allowed)
}

fn connector<C: Connector>(config: Table, env: &ConfigEnv<'_>, allowed: &[String]) -> Result<Toolbox, Error> {
    let config = config.try_into().map_err(|error: toml::de::Error| {
        Error::new(ErrorCode::InvalidParameters, error.message().to_owned()).left_nothing()
    })?;
    C::open(config, env)?.allow(allowed).map_err(|error| error.context("'allowed_actions'"))
}
