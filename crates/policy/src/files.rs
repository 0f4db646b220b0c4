//! Policies on files: of a folder (kind `filesystem`) and of commits (kind `github`).

use serde::{Deserialize, Serialize};

use crate::builtin::{Builtin, Judged, Judging, Made, Params, Refusal, Rule, policies};
use crate::name::path::{Extensions, Forbidden, Permitted, led};
use crate::read::{commit_files, fact_text, merged_files};
use crate::scope::Scope;

const KINDS: &[&str] = &["filesystem", "github"];

/// No file is deleted, neither of a folder nor by a commit or a merge: none at all, or where `paths` are given, none of those.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DontDeleteFile {
    /// Patterns of the paths that stay; all, where none is given.
    pub paths: Vec<String>,
}

/// Files are read, listed, written, deleted, committed and merged only where that is permitted: where `allow` is given, only
/// paths that are like one of it; and never paths that are like one of `deny`, or below one. A symbolic link has to lead to
/// where it may be, too.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestrictPaths {
    /// Patterns of permitted paths, compared as they are.
    pub allow: Vec<String>,
    /// Patterns of forbidden paths, compared by what they look like.
    pub deny: Vec<String>,
}

/// No file with such an extension is written, committed or merged.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockExtensions {
    /// The extensions, with or without a dot before them: `exe`, `tar.gz`.
    pub extensions: Vec<String>,
}

policies!(DontDeleteFile, RestrictPaths, BlockExtensions);

/// [`DontDeleteFile`], for all files.
#[must_use]
pub fn dont_delete_file() -> Builtin {
    DontDeleteFile::default().into()
}

/// [`RestrictPaths`], to paths that are like one of these.
#[must_use]
pub fn restrict_paths<S: Into<String>>(allow: impl IntoIterator<Item = S>) -> Builtin {
    RestrictPaths { allow: allow.into_iter().map(Into::into).collect(), deny: Vec::new() }.into()
}

/// [`BlockExtensions`].
#[must_use]
pub fn block_extensions<S: Into<String>>(extensions: impl IntoIterator<Item = S>) -> Builtin {
    BlockExtensions { extensions: extensions.into_iter().map(Into::into).collect() }.into()
}

/// What an action does to a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deed {
    Read,
    List,
    Write,
    Delete,
}

/// Shows each path to which an action does one of some deeds to `check`; paths that a path really leads to, too.
fn each_path(judging: &Judging<'_>, deeds: &[Deed], mut check: impl FnMut(Deed, &str) -> Judged) -> Judged {
    let deed = match judging.action.action {
        "push_commit" => return each_committed(judging, deeds, check),
        "merge_pr" => return each_merged(judging, deeds, check),
        "read_file" => Deed::Read,
        "list_dir" => Deed::List,
        "write_file" => Deed::Write,
        "delete_file" => Deed::Delete,
        _ => return Ok(()),
    };
    if !deeds.contains(&deed) {
        return Ok(());
    }
    check(deed, judging.text("path")?)?;
    match judging.facts {
        Some(facts) => check(deed, fact_text(facts, "real_path")?),
        None => Ok(()),
    }
}

fn each_committed(
    judging: &Judging<'_>,
    deeds: &[Deed],
    mut check: impl FnMut(Deed, &str) -> Judged,
) -> Judged {
    for file in commit_files(judging)? {
        let deed = if file.deleted { Deed::Delete } else { Deed::Write };
        if !deeds.contains(&deed) {
            continue;
        }
        check(deed, file.path)?;
        if let Some(leads_to) = file.leads_to {
            let path = led(file.path, leads_to);
            check(deed, &path.ok_or_else(|| leads_out(file.path))?)?;
        }
    }
    Ok(())
}

/// What a merge brings along is known once it was looked at.
fn each_merged(judging: &Judging<'_>, deeds: &[Deed], mut check: impl FnMut(Deed, &str) -> Judged) -> Judged {
    let Some(facts) = judging.facts else { return Ok(()) };
    let merged = merged_files(facts)?;
    for path in &merged.paths {
        let deed = if merged.deleted.contains(path) { Deed::Delete } else { Deed::Write };
        if deeds.contains(&deed) {
            check(deed, path)?;
        }
    }
    merged.check_complete()
}

fn leads_out(path: &str) -> Refusal {
    Refusal::No(format!("'{path}' is a symbolic link that leads out of the repository"))
}

/// All files, or some.
#[derive(Debug)]
struct NoDelete(Option<Forbidden>);

impl Rule for NoDelete {
    fn judge(&self, _: &Scope, judging: &Judging<'_>) -> Judged {
        each_path(judging, &[Deed::Delete], |_, path| {
            let stays = self.0.as_ref().is_none_or(|paths| paths.has(path));
            if stays { Err(format!("it deletes '{path}'").into()) } else { Ok(()) }
        })
    }
}

impl Params for DontDeleteFile {
    const NAME: &'static str = "dont_delete_file";
    const KINDS: &'static [&'static str] = KINDS;

    fn rule(&self, _: &Scope) -> Made {
        if self.paths.is_empty() {
            return Ok(Box::new(NoDelete(None)));
        }
        let paths = Forbidden::new(&self.paths).map_err(|wrong| format!("'paths': {wrong}"))?;
        Ok(Box::new(NoDelete(Some(paths))))
    }
}

#[derive(Debug)]
struct Restricted {
    allow: Option<Permitted>,
    deny: Option<Forbidden>,
}

impl Restricted {
    fn check(&self, path: &str) -> Judged {
        if self.deny.as_ref().is_some_and(|deny| deny.has(path)) {
            return Err(format!("'{path}' is among the paths that are denied").into());
        }
        if self.allow.as_ref().is_some_and(|allow| !allow.has(path)) {
            return Err(format!("'{path}' is not among the paths that are allowed").into());
        }
        Ok(())
    }
}

impl Rule for Restricted {
    fn judge(&self, _: &Scope, judging: &Judging<'_>) -> Judged {
        each_path(judging, &[Deed::Read, Deed::List, Deed::Write, Deed::Delete], |deed, path| match deed {
            // A list shows the names below a folder, whatever they are.
            Deed::List if path == "." => self.check("_"),
            Deed::List => self.check(&format!("{path}/_")),
            _ => self.check(path),
        })
    }
}

impl Params for RestrictPaths {
    const NAME: &'static str = "restrict_paths";
    const KINDS: &'static [&'static str] = KINDS;

    fn rule(&self, _: &Scope) -> Made {
        if self.allow.is_empty() && self.deny.is_empty() {
            return Err("'allow' and 'deny' are missing; give one of them".into());
        }
        let allow = (!self.allow.is_empty()).then(|| Permitted::new(&self.allow)).transpose();
        let deny = (!self.deny.is_empty()).then(|| Forbidden::new(&self.deny)).transpose();
        Ok(Box::new(Restricted {
            allow: allow.map_err(|wrong| format!("'allow': {wrong}"))?,
            deny: deny.map_err(|wrong| format!("'deny': {wrong}"))?,
        }))
    }
}

#[derive(Debug)]
struct Blocked(Extensions);

impl Rule for Blocked {
    fn judge(&self, _: &Scope, judging: &Judging<'_>) -> Judged {
        each_path(judging, &[Deed::Write], |_, path| match self.0.of(path) {
            Some(extension) => Err(format!("'{path}' has the extension '{extension}'").into()),
            None => Ok(()),
        })
    }
}

impl Params for BlockExtensions {
    const NAME: &'static str = "block_extensions";
    const KINDS: &'static [&'static str] = KINDS;

    fn rule(&self, _: &Scope) -> Made {
        if self.extensions.is_empty() {
            return Err("'extensions' is empty; name at least one".into());
        }
        let extensions =
            Extensions::new(&self.extensions).map_err(|wrong| format!("'extensions': {wrong}"))?;
        Ok(Box::new(Blocked(extensions)))
    }
}
