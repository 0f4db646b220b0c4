//! Reading what is judged. What should be there and is not, or is something else, cannot be judged: that is a no.

use enact_core::action::{EffectClass, Facts};
use enact_core::policy::ActionRequest;
use serde_json::Value;

use crate::builtin::{Judged, Judging, Refusal};

impl<'a> Judging<'a> {
    /// A parameter that has to be there.
    pub(crate) fn param(&self, key: &str) -> Result<&'a Value, Refusal> {
        self.action.params.get(key).ok_or_else(|| missing("parameter", key))
    }

    /// A parameter that is text.
    pub(crate) fn text(&self, key: &str) -> Result<&'a str, Refusal> {
        self.param(key)?.as_str().ok_or_else(|| no_text("parameter", key))
    }

    /// Whether the action is one of these.
    pub(crate) fn is(&self, actions: &[&str]) -> bool {
        actions.contains(&self.action.action)
    }

    /// Whether the action changes anything.
    pub(crate) fn writes(&self) -> bool {
        writes(self.action)
    }
}

/// Whether an action changes anything.
pub(crate) fn writes(action: &ActionRequest<'_>) -> bool {
    action.effect != EffectClass::ReadOnly
}

/// A fact that has to be there.
pub(crate) fn fact<'a>(facts: &'a Facts, key: &str) -> Result<&'a Value, Refusal> {
    facts.get(key).ok_or_else(|| missing("fact", key))
}

/// A fact that is text.
pub(crate) fn fact_text<'a>(facts: &'a Facts, key: &str) -> Result<&'a str, Refusal> {
    fact(facts, key)?.as_str().ok_or_else(|| no_text("fact", key))
}

fn missing(what: &str, key: &str) -> Refusal {
    Refusal::No(format!("the {what} '{key}' is missing, so it cannot be judged"))
}

pub(crate) fn no_text(what: &str, key: &str) -> Refusal {
    Refusal::No(format!("the {what} '{key}' is no text, so it cannot be judged"))
}

/// A fact that is a list of texts.
fn fact_texts<'a>(facts: &'a Facts, key: &str) -> Result<Vec<&'a str>, Refusal> {
    let texts = fact(facts, key)?.as_array().map(|all| all.iter().map(Value::as_str).collect());
    texts
        .flatten()
        .ok_or_else(|| Refusal::No(format!("the fact '{key}' is no list of texts, so it cannot be judged")))
}

/// The files that `merge_pr` changes.
pub(crate) struct MergedFiles<'a> {
    pub(crate) paths: Vec<&'a str>,
    /// Those that are not there any more after it.
    pub(crate) deleted: Vec<&'a str>,
    is_complete: bool,
}

impl MergedFiles<'_> {
    /// A no, where there are others that nobody knows.
    pub(crate) fn check_complete(&self) -> Judged {
        if self.is_complete {
            return Ok(());
        }
        Err("not all files are known that the pull request changes, so it cannot be judged".into())
    }
}

/// The files that `merge_pr` changes, as capture found them.
pub(crate) fn merged_files(facts: &Facts) -> Result<MergedFiles<'_>, Refusal> {
    let is_complete = fact(facts, "paths_complete")?
        .as_bool()
        .ok_or("the fact 'paths_complete' is neither true nor false, so it cannot be judged")?;
    let (paths, deleted) = (fact_texts(facts, "paths")?, fact_texts(facts, "deleted_paths")?);
    Ok(MergedFiles { paths, deleted, is_complete })
}

/// A file of a commit.
#[derive(Clone, Copy)]
pub(crate) struct CommitFile<'a> {
    pub(crate) path: &'a str,
    /// Whether the commit takes it away.
    pub(crate) deleted: bool,
    /// Where it leads, of a symbolic link.
    pub(crate) leads_to: Option<&'a str>,
}

/// The files of `push_commit`.
pub(crate) fn commit_files<'a>(judging: &Judging<'a>) -> Result<Vec<CommitFile<'a>>, Refusal> {
    let files = judging
        .param("files")?
        .as_array()
        .ok_or("the parameter 'files' is no list, so it cannot be judged")?;
    files.iter().enumerate().map(|(at, file)| commit_file(at, file)).collect()
}

fn commit_file(at: usize, file: &Value) -> Result<CommitFile<'_>, Refusal> {
    let path = file
        .get("path")
        .and_then(Value::as_str)
        .ok_or_else(|| format!("files[{at}] has no 'path' that is text, so it cannot be judged"))?;
    let deleted = match file.get("delete") {
        None => false,
        Some(Value::Bool(deleted)) => *deleted,
        Some(_) => return Err(format!("'delete' of files[{at}] is neither true nor false").into()),
    };
    let is_link = match file.get("mode") {
        None => false,
        Some(Value::String(mode)) => mode == "120000",
        Some(_) => return Err(format!("'mode' of files[{at}] is no text, so it cannot be judged").into()),
    };
    let leads_to = match (is_link, file.get("content").and_then(Value::as_str)) {
        (true, None) => {
            return Err(
                format!("files[{at}] is a symbolic link and does not say in text where it leads").into()
            );
        }
        (true, leads_to) => leads_to,
        (false, _) => None,
    };
    Ok(CommitFile { path, deleted, leads_to })
}
