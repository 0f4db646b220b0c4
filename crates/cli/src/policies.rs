//! The policies of a configuration: the one place where they are made.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use enact::catalog::Catalog;
use enact::connector::Toolbox;
use enact::error::{Error, ErrorCode};
use enact::policies::cedar::{Cedar, Problem, Problems, Schema};
use enact::policies::{Connectors, EntriesError, from_entries};
use enact::policy::Policy;
use serde_json::{Value, json};

use crate::config::Config;
use crate::text;

/// A larger file is none.
const MAX_BYTES: usize = 1024 * 1024;

/// All policies, and what is odd about them.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    pub(crate) all: Vec<Arc<dyn Policy>>,
    pub(crate) warnings: Vec<Problem>,
}

/// The policies for a runtime with these connectors.
///
/// # Errors
/// As [`policies`].
pub(crate) fn for_runtime(
    config: &Config,
    open: &BTreeMap<String, Toolbox>,
) -> Result<Vec<Arc<dyn Policy>>, Error> {
    Ok(policies(config, &catalogs(config, open)?)?.all)
}

/// What there is to be known of every configured connector: of those that are open as they are, of others by their kind.
pub(crate) fn catalogs(
    config: &Config,
    open: &BTreeMap<String, Toolbox>,
) -> Result<BTreeMap<String, Catalog>, Error> {
    let mut all = config.catalogs()?;
    all.extend(open.iter().map(|(name, toolbox)| (name.clone(), toolbox.catalog().clone())));
    Ok(all)
}

/// Makes the policies that the configuration names.
///
/// # Errors
/// `invalid_parameters`, with all that is wrong with one of them and where; the file of a policy that cannot be read.
pub(crate) fn policies(config: &Config, catalogs: &BTreeMap<String, Catalog>) -> Result<Policies, Error> {
    let mut policies = Policies { all: built_in(config, catalogs)?, warnings: Vec::new() };
    if let Some(file) = config.cedar_file() {
        let cedar = cedar(config, file, catalogs)?;
        policies.warnings.extend_from_slice(cedar.warnings());
        policies.all.push(Arc::new(cedar));
    }
    Ok(policies)
}

/// Those of `[[policies]]`.
fn built_in(config: &Config, catalogs: &BTreeMap<String, Catalog>) -> Result<Vec<Arc<dyn Policy>>, Error> {
    let known = catalogs.iter().fold(Connectors::default(), |known, (name, catalog)| {
        let actions: Vec<&str> = catalog.actions().map(|spec| spec.name).collect();
        known.with(name, catalog.kind(), &actions)
    });
    from_entries(config.policies(), &known).map_err(|wrong| {
        let message = format!("{}: {wrong}", config.file().display());
        Error::new(ErrorCode::InvalidParameters, message).with_source(wrong).left_nothing()
    })
}

/// What is wrong with policies, each as an object, where an error comes from that; `null` otherwise. A problem has the
/// place that it is known by: in a file of rules, or among the entries of the configuration.
pub(crate) fn problems_of(error: &Error) -> Value {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(Problems(problems)) = error.downcast_ref() {
            return json!(problems);
        }
        if let Some(EntriesError { problems }) = error.downcast_ref() {
            return json!(problems);
        }
        source = error.source();
    }
    Value::Null
}

fn cedar(config: &Config, file: &Path, catalogs: &BTreeMap<String, Catalog>) -> Result<Cedar, Error> {
    let name = file.display().to_string();
    let text = text::read(&config.dir.join(file), MAX_BYTES).map_err(|error| {
        let message = format!("'[policy] cedar_file' ({name}) cannot be read: {error}");
        Error::new(ErrorCode::InvalidParameters, message).left_nothing()
    })?;
    let schema = Schema::with_attributes(named(catalogs), config.attributes())?;
    Ok(Cedar::new(text, &name, Arc::new(schema))?)
}

fn named(catalogs: &BTreeMap<String, Catalog>) -> impl Iterator<Item = (&str, &Catalog)> {
    catalogs.iter().map(|(name, catalog)| (name.as_str(), catalog))
}
