//! Names of branches and of repositories.

use std::borrow::Cow;

use super::pattern::Patterns;
use super::{cleaned, exact, fold, hidden};

/// What names a branch in full.
const FULL: &str = "refs/heads/";

/// The broad form of a branch, for rules that forbid.
pub(crate) fn broad(branch: &str) -> String {
    let folded = fold(branch);
    let clean = cleaned(&folded).unwrap_or(Cow::Borrowed(&folded));
    let mut name = clean.as_ref();
    while let Some(rest) = name.strip_prefix(FULL).or_else(|| name.strip_prefix("heads/")) {
        name = rest;
    }
    name.to_owned()
}

/// The exact form of a branch, for rules that permit.
///
/// # Errors
/// Why it has none: something in it is hidden, or systems differ in what it names.
pub(crate) fn plain(branch: &str) -> Result<String, String> {
    let name = branch.strip_prefix(FULL).unwrap_or(branch);
    if let Some(hidden) = hidden(name) {
        return Err(format!("the name of branch '{}' has {hidden} in it", name.escape_debug()));
    }
    let is_odd = name.is_empty() || name.contains("..") || cleaned(name).as_deref() != Some(name);
    if is_odd {
        return Err(format!(
            "'{name}' is no plain name of a branch: it is empty, or has '..', '//', '\\', or a dot, space or slash at an end"
        ));
    }
    Ok(exact(name).into_owned())
}

/// Branches that are forbidden something.
pub(crate) fn forbidden(branches: &[String]) -> Result<Patterns, String> {
    Patterns::new(branches, broad)
}

/// The form of a repository's name: capital letters do not count.
pub(crate) fn repo(name: &str) -> String {
    name.to_lowercase()
}

/// Repositories that a policy is for.
pub(crate) fn repos(names: &[String]) -> Result<Option<Patterns>, String> {
    if names.is_empty() {
        return Ok(None);
    }
    let is_name =
        |name: &String| name.split('/').count() == 2 && name.split('/').all(|part| !part.is_empty());
    if let Some(wrong) = names.iter().find(|name| !is_name(name)) {
        return Err(format!("'repos': '{wrong}' is no repository: write owner/name, or owner/*"));
    }
    Patterns::new(names, repo).map(Some).map_err(|wrong| format!("'repos': {wrong}"))
}
