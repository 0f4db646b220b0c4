//! The kinds of connectors that this build has: one line each.

use enact::connector::{Allow, ConfigEnv, Connector, Toolbox};
use enact::error::{Error, ErrorCode};
use enact::filesystem::Filesystem;
use enact::github::GitHub;
use enact::postgres::Postgres;
use enact::slack::Slack;
use toml::Table;

use crate::reach::{self, Guarded};

type Open = fn(Table, &ConfigEnv<'_>, &[String]) -> Result<Toolbox, Error>;

/// A kind: its name, how one is opened, and the key that names the folder below which its actions read and write.
type Kind = (&'static str, Open, Option<&'static str>);

/// Every kind.
const KINDS: &[Kind] = &[
    (Filesystem::KIND, connector::<Filesystem>, Some("root")),
    (GitHub::KIND, connector::<GitHub>, None),
    (Postgres::KIND, connector::<Postgres>, None),
    (Slack::KIND, connector::<Slack>, None),
];

/// Opens a connector of a kind with its part of the configuration and its allowlist.
pub(crate) fn open(
    kind: &str,
    config: Table,
    env: &ConfigEnv<'_>,
    allowed: &[String],
    guarded: &[Guarded<'_>],
) -> Result<Toolbox, Error> {
    let Some((_, open, folder)) = KINDS.iter().find(|(name, ..)| *name == kind) else {
        let known = KINDS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
        let message = format!("'kind': this build has no connector '{kind}'; it has: {known}");
        return Err(Error::new(ErrorCode::InvalidParameters, message).left_nothing());
    };
    if let Some((key, folder)) = folder.and_then(|key| Some((key, config.get(key)?.as_str()?))) {
        reach::check(key, &env.dir.join(folder), guarded)?;
    }
    open(config, env, allowed)
}

fn connector<C: Connector>(config: Table, env: &ConfigEnv<'_>, allowed: &[String]) -> Result<Toolbox, Error> {
    let config = config.try_into().map_err(|error: toml::de::Error| {
        Error::new(ErrorCode::InvalidParameters, error.message().to_owned()).left_nothing()
    })?;
    C::open(config, env)?.allow(allowed).map_err(|error| error.context("'allowed_actions'"))
}
