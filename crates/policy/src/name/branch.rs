//! Names of branches and of repositories.

use std::borrow::Cow;

use super::pattern::{Patterns, alternatives};
use super::{cleaned, exact, fold, hidden};

/// What names a branch in full.
const FULL: &str = "refs/heads/";

/// The broad form of a branch, for rules that forbid.
pub(crate) fn broad(branch: &str) -> String {
    let folded = fold(branch);
    let clean = cleaned(&folded).unwrap_or(Cow::Borrowed(&folded));
    short(&clean).to_owned()
}

/// A branch without what names it in full, however often.
fn short(mut name: &str) -> &str {
    while let Some(rest) = name.strip_prefix(FULL).or_else(|| name.strip_prefix("heads/")) {
        name = rest;
    }
    name
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
///
/// # Errors
/// A pattern that no branch is ever like.
pub(crate) fn forbidden(branches: &[String]) -> Result<Patterns, String> {
    let named = alternatives(branches)?;
    let is_one = |pattern: &str| {
        let folded = fold(pattern);
        cleaned(&folded).is_some() && !short(&folded).is_empty() && !broad(pattern).is_empty()
    };
    match named.iter().find(|pattern| !is_one(pattern)) {
        None => Patterns::new(named, broad),
        Some(wrong) => Err(format!("'{}' is like no branch: nothing is left of it", wrong.escape_debug())),
    }
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
    let of_repos = |wrong| format!("'repos': {wrong}");
    let named = alternatives(names).map_err(of_repos)?;
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*');
    let is_part = |part: &str| !part.is_empty() && part.chars().all(in_name);
    let is_name = |name: &String| name.split('/').count() == 2 && name.split('/').all(is_part);
    if let Some(wrong) = named.iter().find(|name| !is_name(name)) {
        let wrong = wrong.escape_debug();
        return Err(format!("'repos': '{wrong}' is no repository: write owner/name, or owner/*"));
    }
    Patterns::new(named, repo).map(Some).map_err(of_repos)
}
