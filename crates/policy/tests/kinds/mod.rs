//! Every connector that there is, with all its actions allowed. None of them speaks to anybody.

use std::collections::BTreeMap;

use enact_connector_filesystem::Filesystem;
use enact_connector_github::GitHub;
use enact_connector_postgres::Postgres;
use enact_connector_slack::Slack;
use enact_core::Error;
use enact_core::catalog::Catalog;
use enact_core::connector::{Allow, Toolbox};

/// What there is to be known of each, without any of them.
#[allow(dead_code, reason = "not every test needs both")]
pub(crate) fn catalogs() -> BTreeMap<String, Catalog> {
    let all = [
        ("files", Catalog::of::<Filesystem>()),
        ("github", Catalog::of::<GitHub>()),
        ("db", Catalog::of::<Postgres>()),
        ("slack", Catalog::of::<Slack>()),
    ];
    all.into_iter().map(|(name, catalog)| (name.to_owned(), catalog)).collect()
}

#[allow(dead_code, reason = "not every test needs both")]
/// Each connector under the name that CONTRACT.md's example gives it. A runtime has to be there.
pub(crate) fn toolboxes() -> Result<BTreeMap<String, Toolbox>, Error> {
    let none: [&str; 0] = [];
    let all = [
        ("files", Filesystem::new(std::env::temp_dir())?.allow(none)?),
        ("github", GitHub::new("ghp_none")?.allow(none)?),
        ("db", Postgres::new("postgres://nobody@localhost:1/none")?.allow(none)?),
        ("slack", Slack::new("xoxb-none")?.allow(none)?),
    ];
    Ok(all.into_iter().map(|(name, toolbox)| (name.to_owned(), toolbox)).collect())
}
