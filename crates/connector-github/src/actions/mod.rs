//! The actions, one file each: parameters, what they touch, how they are carried out, proved and undone.

pub mod close_issue;
pub mod close_pr;
pub mod create_branch;
pub mod create_issue;
pub mod create_pr;
pub mod delete_branch;
pub mod delete_created_branch;
pub mod file;
pub mod merge_pr;
pub mod push_commit;
pub mod restore_branch;
pub mod revert_merge;
pub mod revert_push;

use std::fmt::Display;

use enact_core::Error;
use enact_core::action::{Facts, LockKey, Shown, Target};
use enact_core::connector::Cx;
use enact_core::json::JsonText;
use enact_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::close_issue::CloseIssue;
pub use self::close_pr::ClosePr;
pub use self::create_branch::CreateBranch;
pub use self::create_issue::CreateIssue;
pub use self::create_pr::CreatePr;
pub use self::delete_branch::DeleteBranch;
pub use self::delete_created_branch::DeleteCreatedBranch;
pub use self::file::{File, FileMode};
pub use self::merge_pr::{MergePr, Method};
pub use self::push_commit::PushCommit;
pub use self::restore_branch::RestoreBranch;
pub use self::revert_merge::RevertMerge;
pub use self::revert_push::RevertPush;
use crate::error::precondition;
use crate::name::{BranchName, RepoName};
use crate::repo::{Info, Repo};

/// The longest title or message, in bytes; GitHub's limit for a title is 256 characters, for a body 65,536.
const MAX_BODY_BYTES: usize = 65_000;

/// The longest title, in characters.
const MAX_TITLE_CHARS: usize = 256;

/// What would change, in a sentence.
fn told(change: String) -> Shown {
    Shown { before: JsonText::null(), change: JsonText::encode(&change).unwrap_or_default() }
}

/// What an intent has to remember where the parameters say the rest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Looked {
    /// When it was looked.
    pub at: Timestamp,
    /// The effect id: by it, what was made is known again.
    pub effect: String,
    /// What the server's clock said then. What is older is of no request of this intent.
    pub since: Timestamp,
    /// GitHub's number of the repository, which stays whatever it is called.
    pub repo_id: u64,
}

impl Looked {
    fn now(cx: &Cx, info: &Info) -> Self {
        let at = cx.now();
        let since = info.date.unwrap_or(at);
        Self { at, effect: cx.effect().to_string(), since, repo_id: info.id }
    }
}

impl Repo<'_> {
    /// An error where nothing can be changed, or where the name leads to another repository than it did for an intent:
    /// its numbers are those of other things.
    async fn still(&self, made: &Looked) -> Result<(), Error> {
        let info = self.writable().await?;
        if info.id == made.repo_id {
            return Ok(());
        }
        Err(precondition(format!(
            "{} is another repository now (number {}) and is left as it is; that of the action has the number {}",
            self.name, info.id, made.repo_id
        )))
    }
}

fn target(kind: &'static str, repo: &RepoName, id: impl Display) -> Target {
    Target::new(kind, format!("{repo} {id}")).with("repo", repo.as_str())
}

fn branch_target(repo: &RepoName, branch: &BranchName) -> Target {
    target("branch", repo, branch).with("branch", branch.as_str())
}

/// Requests for one branch wait for each other.
fn branch_lock(repo: &RepoName, branch: &BranchName) -> Option<LockKey> {
    Some(LockKey(format!("{} heads/{branch}", repo.key())))
}

/// Requests for one pull request wait for each other.
fn pull_lock(repo: &RepoName, number: u64) -> Option<LockKey> {
    Some(LockKey(format!("{} pull/{number}", repo.key())))
}

/// Facts: what is so of every repository, and those of the action, an object.
fn facts(info: &Info, own: Value) -> Facts {
    let mut facts = Facts::from_iter([
        ("repo".to_owned(), json!(info.full_name)),
        ("default_branch".to_owned(), json!(info.default_branch)),
    ]);
    match own {
        Value::Object(own) => facts.extend(own),
        other => drop(facts.insert("facts".to_owned(), other)),
    }
    facts
}

/// Reads a title: not empty, of one line, not too long.
fn title<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let title = String::deserialize(from)?;
    let chars = title.chars().count();
    if title.trim().is_empty() || chars > MAX_TITLE_CHARS || title.contains(['\n', '\r', '\0']) {
        return Err(serde::de::Error::custom(format!(
            "give one line of 1 to {MAX_TITLE_CHARS} characters; this has {chars}"
        )));
    }
    Ok(title)
}

/// Reads a body: not too long.
fn body<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let body = Option::<String>::deserialize(from)?;
    if let Some(bytes) = body.as_ref().map(String::len).filter(|bytes| *bytes > MAX_BODY_BYTES) {
        return Err(serde::de::Error::custom(format!("it has {bytes} bytes, more than {MAX_BODY_BYTES}")));
    }
    Ok(body)
}

/// Reads the number of a pull request.
fn number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    match u64::deserialize(from)? {
        0 => Err(serde::de::Error::custom("pull requests are numbered from 1")),
        number => Ok(number),
    }
}
