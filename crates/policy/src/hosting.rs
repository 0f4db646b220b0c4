//! Policies on where code is kept: branches, commits, merges. All of them are for connectors of the kind `github`.

use enact_core::action::Facts;
use serde::{Deserialize, Serialize};

use crate::builtin::{Builtin, Judged, Judging, Made, Params, Refusal, Rule, policies};
use crate::name::branch::{self, broad};
use crate::name::exact;
use crate::name::pattern::Patterns;
use crate::read::{fact_text, merged_files};
use crate::scope::Scope;

const KINDS: &[&str] = &["github"];

/// The actions whose parameter `branch` names what they change.
const ON_BRANCHES: &[&str] = &["create_branch", "push_commit", "delete_branch"];

/// The names that a main branch has by default.
pub const MAIN_BRANCHES: [&str; 3] = ["main", "master", "trunk"];

fn main_branches() -> Vec<String> {
    MAIN_BRANCHES.map(str::to_owned).to_vec()
}

/// No change of a main branch: no commit pushed onto one, none made or deleted under its name. Main branches are those of
/// `branches`, and the repository's default branch whatever its name. A merge is judged by [`DontMergeToMain`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DontPushToMain {
    /// Names and patterns of main branches; [`MAIN_BRANCHES`] by default.
    pub branches: Vec<String>,
    /// Only in these repositories, `owner/name` or `owner/*`; in all, where none is named.
    pub repos: Vec<String>,
}

/// No merge into a main branch, as for [`DontPushToMain`]. What a pull request is merged into is known once it was looked
/// up, so this is judged then.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DontMergeToMain {
    /// Names and patterns of main branches; [`MAIN_BRANCHES`] by default.
    pub branches: Vec<String>,
    /// Only in these repositories, `owner/name` or `owner/*`; in all, where none is named.
    pub repos: Vec<String>,
}

/// No branch is deleted: none at all, or where `branches` are given, none of those and not the default branch.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DontDeleteBranch {
    /// Names and patterns of the branches that stay; all, where none is named.
    pub branches: Vec<String>,
    /// Only in these repositories, `owner/name` or `owner/*`; in all, where none is named.
    pub repos: Vec<String>,
}

/// Every branch that is made, pushed to or deleted, and every head of a new pull request, has a name that begins so. Such a
/// rule permits, so names are compared as they are: another case, a letter that looks alike or one that is not seen is
/// another name.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequireBranchPrefix {
    /// The beginning, such as `agent/`.
    pub prefix: String,
    /// Only in these repositories, `owner/name` or `owner/*`; in all, where none is named.
    #[serde(default)]
    pub repos: Vec<String>,
}

/// No commit of more files than this, deleted ones included, and no merge of a pull request that changes more.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxFilesPerCommit {
    /// The most files.
    pub max: u64,
    /// Only in these repositories, `owner/name` or `owner/*`; in all, where none is named.
    #[serde(default)]
    pub repos: Vec<String>,
}

impl Default for DontPushToMain {
    fn default() -> Self {
        Self { branches: main_branches(), repos: Vec::new() }
    }
}

impl Default for DontMergeToMain {
    fn default() -> Self {
        Self { branches: main_branches(), repos: Vec::new() }
    }
}

policies!(DontPushToMain, DontMergeToMain, DontDeleteBranch, RequireBranchPrefix, MaxFilesPerCommit);

/// [`DontPushToMain`], with the default names.
#[must_use]
pub fn dont_push_to_main() -> Builtin {
    DontPushToMain::default().into()
}

/// [`DontMergeToMain`], with the default names.
#[must_use]
pub fn dont_merge_to_main() -> Builtin {
    DontMergeToMain::default().into()
}

/// [`DontDeleteBranch`], for all branches.
#[must_use]
pub fn dont_delete_branch() -> Builtin {
    DontDeleteBranch::default().into()
}

/// [`RequireBranchPrefix`].
#[must_use]
pub fn require_branch_prefix(prefix: impl Into<String>) -> Builtin {
    RequireBranchPrefix { prefix: prefix.into(), ..RequireBranchPrefix::default() }.into()
}

/// [`MaxFilesPerCommit`].
#[must_use]
pub fn max_files_per_commit(max: u64) -> Builtin {
    MaxFilesPerCommit { max, ..MaxFilesPerCommit::default() }.into()
}

/// A rule in some repositories.
#[derive(Debug)]
struct Within<R> {
    repos: Option<Patterns>,
    rule: R,
}

/// A rule on an action in a repository.
trait InRepo: std::fmt::Debug + Send + Sync {
    fn judge(&self, judging: &Judging<'_>) -> Judged;
}

impl<R: InRepo> Rule for Within<R> {
    fn judge(&self, _: &Scope, judging: &Judging<'_>) -> Judged {
        let within = match &self.repos {
            None => true,
            Some(repos) => {
                let has = |name| repos.has(&branch::repo(name));
                // An old name leads to a renamed repository.
                let now = judging.facts.map(|facts| fact_text(facts, "repo")).transpose()?;
                has(judging.text("repo")?) || now.is_some_and(has)
            }
        };
        if within { self.rule.judge(judging) } else { Ok(()) }
    }
}

fn within<R: InRepo + 'static>(repos: &[String], rule: R) -> Made {
    Ok(Box::new(Within { repos: branch::repos(repos)?, rule }))
}

/// Main branches by name; the default branch is known from what was captured.
#[derive(Debug)]
struct Main(Patterns);

impl Main {
    fn new(branches: &[String]) -> Result<Self, String> {
        if branches.is_empty() {
            return Err("'branches' is empty; leave it out for main, master and trunk".into());
        }
        branch::forbidden(branches).map(Self).map_err(|wrong| format!("'branches': {wrong}"))
    }

    /// A no, where it is one.
    fn refuse(&self, verb: &str, branch: &str, facts: Option<&Facts>) -> Judged {
        let name = broad(branch);
        if self.0.has(&name) {
            return Err(format!("{verb} '{branch}', a main branch").into());
        }
        match facts {
            Some(facts) if is_default(&name, facts)? => {
                Err(format!("{verb} '{branch}', the repository's default branch").into())
            }
            _ => Ok(()),
        }
    }
}

/// Whether a branch, in its broad form, is the repository's default branch.
fn is_default(name: &str, facts: &Facts) -> Result<bool, Refusal> {
    Ok(broad(fact_text(facts, "default_branch")?) == name)
}

#[derive(Debug)]
struct NoPush(Main);

impl InRepo for NoPush {
    fn judge(&self, judging: &Judging<'_>) -> Judged {
        let verb = match judging.action.action {
            "push_commit" => "it pushes to",
            "create_branch" => "it creates",
            "delete_branch" => "it deletes",
            _ => return Ok(()),
        };
        self.0.refuse(verb, judging.text("branch")?, judging.facts)
    }
}

impl Params for DontPushToMain {
    const NAME: &'static str = "dont_push_to_main";
    const KINDS: &'static [&'static str] = KINDS;

    fn rule(&self, _: &Scope) -> Made {
        within(&self.repos, NoPush(Main::new(&self.branches)?))
    }
}

#[derive(Debug)]
struct NoMerge(Main);

impl InRepo for NoMerge {
    fn judge(&self, judging: &Judging<'_>) -> Judged {
        match judging.facts {
            Some(facts) if judging.is(&["merge_pr"]) => {
                self.0.refuse("it merges into", fact_text(facts, "base")?, Some(facts))
            }
            _ => Ok(()),
        }
    }
}

impl Params for DontMergeToMain {
    const NAME: &'static str = "dont_merge_to_main";
    const KINDS: &'static [&'static str] = KINDS;

    fn rule(&self, _: &Scope) -> Made {
        within(&self.repos, NoMerge(Main::new(&self.branches)?))
    }
}

/// All branches, or some.
#[derive(Debug)]
struct NoDelete(Option<Main>);

impl InRepo for NoDelete {
    fn judge(&self, judging: &Judging<'_>) -> Judged {
        if !judging.is(&["delete_branch"]) {
            return Ok(());
        }
        let branch = judging.text("branch")?;
        let Some(some) = &self.0 else { return Err(format!("it deletes branch '{branch}'").into()) };
        let name = broad(branch);
        let kept = some.0.has(&name);
        let is_default = judging.facts.map_or(Ok(false), |facts| is_default(&name, facts))?;
        if kept || is_default {
            Err(format!("it deletes branch '{branch}', which is to stay").into())
        } else {
            Ok(())
        }
    }
}

impl Params for DontDeleteBranch {
    const NAME: &'static str = "dont_delete_branch";
    const KINDS: &'static [&'static str] = KINDS;

    fn rule(&self, _: &Scope) -> Made {
        let some = if self.branches.is_empty() { None } else { Some(Main::new(&self.branches)?) };
        within(&self.repos, NoDelete(some))
    }
}

#[derive(Debug)]
struct Prefix(String);

impl Prefix {
    fn check(&self, branch: &str) -> Judged {
        let name = branch::plain(branch)?;
        match name.strip_prefix(&self.0) {
            Some(rest) if !rest.is_empty() => Ok(()),
            _ => Err(format!("the name of branch '{branch}' does not begin with '{}'", self.0).into()),
        }
    }
}

impl InRepo for Prefix {
    fn judge(&self, judging: &Judging<'_>) -> Judged {
        if judging.is(ON_BRANCHES) {
            self.check(judging.text("branch")?)
        } else if judging.is(&["create_pr"]) {
            let head = judging.text("head")?;
            // Of a fork: `owner:branch`.
            self.check(head.split_once(':').map_or(head, |(_, branch)| branch))
        } else {
            Ok(())
        }
    }
}

impl Params for RequireBranchPrefix {
    const NAME: &'static str = "require_branch_prefix";
    const KINDS: &'static [&'static str] = KINDS;

    fn rule(&self, _: &Scope) -> Made {
        let prefix = self.prefix.strip_prefix("refs/heads/").unwrap_or(&self.prefix);
        if prefix.is_empty() {
            return Err("'prefix' is empty".into());
        }
        branch::plain(&format!("{prefix}x")).map_err(|wrong| format!("'prefix': {wrong}"))?;
        within(&self.repos, Prefix(exact(prefix).into_owned()))
    }
}

#[derive(Debug)]
struct MaxFiles(u64);

impl InRepo for MaxFiles {
    fn judge(&self, judging: &Judging<'_>) -> Judged {
        match (judging.action.action, judging.facts) {
            ("push_commit", _) => {
                let files = judging.param("files")?.as_array().map(Vec::len);
                let files = files.ok_or("the parameter 'files' is no list, so it cannot be judged")?;
                self.check("the commit has", files)
            }
            ("merge_pr", Some(facts)) => {
                let merged = merged_files(facts)?;
                self.check("the pull request changes", merged.paths.len())?;
                merged.check_complete()
            }
            _ => Ok(()),
        }
    }
}

impl MaxFiles {
    fn check(&self, what: &str, files: usize) -> Judged {
        let max = self.0;
        if files as u64 > max { Err(format!("{what} {files} files, more than {max}").into()) } else { Ok(()) }
    }
}

impl Params for MaxFilesPerCommit {
    const NAME: &'static str = "max_files_per_commit";
    const KINDS: &'static [&'static str] = KINDS;

    fn rule(&self, _: &Scope) -> Made {
        if self.max == 0 {
            return Err("'max' is 0; to forbid commits, leave push_commit out of allowed_actions".into());
        }
        within(&self.repos, MaxFiles(self.max))
    }
}
