//! `push_commit`: a commit of many files on a branch, and never by force.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use enact_core::action::{
    Action, Captured, Doubt, EffectClass, FactKind, Facts, Left, LockKey, Preview, Shown, Target, Undo,
};
use enact_core::connector::{Cx, Perform};
use enact_core::json::JsonText;
use enact_core::{Error, ErrorCode};
use futures::{StreamExt as _, TryStreamExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::file::{File, FileMode};
use super::revert_push::RevertPush;
use super::{Looked, branch_lock, branch_target, facts};
use crate::GitHub;
use crate::error::{conflict, precondition, wrong};
use crate::name::{BranchName, RepoName, Sha};
use crate::objects::Entry;
use crate::refs::{Swap, place};
use crate::repo::{Info, Relation, Repo};

/// The most files of one commit.
const MAX_FILES: usize = 1000;

/// The most bytes of all of them together.
const MAX_BYTES: usize = 40 * 1024 * 1024;

/// Text up to this size goes with the tree; GitHub counts each request that makes something.
const MAX_INLINE_BYTES: usize = 64 * 1024;

/// As much as goes with one tree.
const MAX_INLINE_TOTAL: usize = 1024 * 1024;

/// Why a push is not undone.
const STAYS: &str = "a push stays, unless the connector is configured with revert_pushes = true";

/// How many files are sent at the same time.
const AT_ONCE: usize = 4;

/// Pushes a commit onto a branch; onto a new one, which starts at the default branch, where there is none.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Params", into = "Params")]
pub struct PushCommit {
    repo: RepoName,
    branch: BranchName,
    message: String,
    files: Vec<File>,
    expected_head_sha: Option<Sha>,
}

/// The JSON form.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    repo: RepoName,
    branch: BranchName,
    message: String,
    files: Vec<File>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected_head_sha: Option<Sha>,
}

impl TryFrom<Params> for PushCommit {
    type Error = String;

    fn try_from(params: Params) -> Result<Self, String> {
        let Params { repo, branch, message, files, expected_head_sha } = params;
        if message.trim().is_empty() || message.len() > super::MAX_BODY_BYTES || message.contains('\0') {
            let most = super::MAX_BODY_BYTES;
            return Err(format!("'message': give 1 to {most} bytes of text without a NUL"));
        }
        if files.is_empty() || files.len() > MAX_FILES {
            return Err(format!("'files': give 1 to {MAX_FILES} files, not {}", files.len()));
        }
        let bytes: usize = files.iter().filter_map(File::content).map(<[u8]>::len).sum();
        if bytes > MAX_BYTES {
            return Err(format!("'files': they have {bytes} bytes, more than {MAX_BYTES}"));
        }
        let mut paths: Vec<&str> = files.iter().map(File::path).collect();
        paths.sort_unstable();
        if let Some(twice) =
            paths.windows(2).find_map(|pair| (pair.first() == pair.last()).then_some(pair.first()))
        {
            return Err(format!("'files': '{}' is there twice", twice.copied().unwrap_or_default()));
        }
        let filled: BTreeSet<&str> =
            files.iter().filter(|file| file.content().is_some()).map(File::path).collect();
        for path in &filled {
            if let Some(above) = ancestors(path).find(|above| above != path && filled.contains(above)) {
                return Err(format!("'files': '{above}' cannot be a file and the folder of '{path}'"));
            }
        }
        Ok(Self { repo, branch, message, files, expected_head_sha })
    }
}

impl From<PushCommit> for Params {
    fn from(action: PushCommit) -> Self {
        let PushCommit { repo, branch, message, files, expected_head_sha } = action;
        Self { repo, branch, message, files, expected_head_sha }
    }
}

// Content does not belong in traces.
impl fmt::Debug for PushCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PushCommit({} {}, {:?})", self.repo, self.branch, self.files)
    }
}

/// What `push_commit` gives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CommitPushed {
    /// The new commit.
    pub sha: Sha,
}

/// What undo and probe need to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushCommitPre {
    /// The intent.
    pub made: Looked,
    /// Where the branch was; nothing where it is made by the push.
    pub before: Option<Sha>,
    /// The commit's parent.
    pub parent: Sha,
    /// The commit, made and not yet on the branch.
    pub commit: Sha,
}

impl PushCommit {
    /// A commit with files.
    ///
    /// # Errors
    /// `invalid_parameters`, naming what is wrong.
    pub fn new(
        repo: &str,
        branch: &str,
        message: impl Into<String>,
        files: impl IntoIterator<Item = File>,
    ) -> Result<Self, Error> {
        let repo = RepoName::new(repo).map_err(|error| wrong(format!("'repo': {error}")))?;
        let branch = BranchName::new(branch).map_err(|error| wrong(format!("'branch': {error}")))?;
        let files = files.into_iter().collect();
        let params = Params { repo, branch, message: message.into(), files, expected_head_sha: None };
        Self::try_from(params).map_err(wrong)
    }

    /// Only if the branch is at this commit.
    #[must_use]
    pub fn expected_head_sha(mut self, sha: Sha) -> Self {
        self.expected_head_sha = Some(sha);
        self
    }

    /// Where the branch is, and the commit to go on from.
    async fn start(&self, repo: &Repo<'_>, default: &str) -> Result<(Option<Sha>, Sha), Error> {
        let before = repo.branch(&self.branch).await?;
        if let Some(expected) = self.expected_head_sha.as_ref().filter(|sha| before.as_ref() != Some(*sha)) {
            let now = before.map_or_else(|| "not there".to_owned(), |now| format!("at {now}"));
            return Err(conflict(format!(
                "branch {} of {} is {now}, and was expected at {expected}; nothing was pushed",
                self.branch, self.repo
            )));
        }
        let parent = match &before {
            Some(head) => Some(head.clone()),
            None => repo.branch(&BranchName::new(default).map_err(precondition)?).await?,
        };
        let parent = parent.ok_or_else(|| {
            precondition(format!("{} has no branch to start from; make a first commit there", self.repo))
        })?;
        Ok((before, parent))
    }

    /// What stands in the tree where the files are to be, and on the way there.
    async fn there(&self, repo: &Repo<'_>, base: &Sha) -> Result<BTreeMap<String, Entry>, Error> {
        let paths: Vec<&str> = self.files.iter().flat_map(|file| ancestors(file.path())).collect();
        repo.entries(base, &paths).await
    }

    /// What policies may ask about; whether the commit changes nothing, once its tree is made. Not the commit itself: its name
    /// goes by the time at which it was made.
    fn facts(&self, info: &Info, before: Option<&Sha>, changes_nothing: Option<bool>) -> Facts {
        let paths: Vec<&str> = self.files.iter().map(File::path).collect();
        let exists = before.is_some();
        facts(
            info,
            json!({ "exists": exists, "head_sha": before, "paths": paths, "changes_nothing": changes_nothing }),
        )
    }

    /// The tree of the new commit.
    async fn tree(&self, repo: &Repo<'_>, base: &Sha) -> Result<Sha, Error> {
        let there = self.there(repo, base).await?;
        let mut room = MAX_INLINE_TOTAL;
        let mut planned = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let mode = self.mode(file, &there)?;
            let inline = file.as_text().filter(|text| text.len() <= MAX_INLINE_BYTES.min(room));
            room -= inline.map_or(0, str::len);
            planned.push((file, mode, inline));
        }
        let sent: Vec<_> =
            planned.into_iter().map(|(file, mode, inline)| entry(repo, file, mode, inline)).collect();
        let entries = futures::stream::iter(sent).buffered(AT_ONCE).try_collect().await?;
        repo.make_tree(base, entries).await
    }

    /// The mode that a file will have; an error where it cannot stand there.
    fn mode(&self, file: &File, there: &BTreeMap<String, Entry>) -> Result<&'static str, Error> {
        let path = file.path();
        let refuse = |code, why: &str| {
            let message =
                format!("'{path}' in branch {} of {} {why}; nothing was pushed", self.branch, self.repo);
            Err(Error::new(code, message).left_nothing())
        };
        let goes = |path: &str| self.files.iter().any(|file| file.path() == path && file.content().is_none());
        let above = ancestors(path).filter(|above| *above != path);
        if let Some(above) = above
            .into_iter()
            .find(|above| there.get(*above).is_some_and(|entry| entry.kind != "tree") && !goes(above))
        {
            return refuse(ErrorCode::PreconditionFailed, &format!("cannot be: '{above}' is no folder"));
        }
        let entry = there.get(path);
        match (entry.map(|entry| entry.kind.as_str()), file.content(), file.wanted_mode()) {
            (None, None, _) => refuse(ErrorCode::NotFound, "is not there, so it cannot be deleted"),
            (Some("tree"), ..) => refuse(ErrorCode::PreconditionFailed, "is a folder"),
            (Some("commit"), ..) => refuse(ErrorCode::PreconditionFailed, "is a submodule"),
            (_, None, _) => Ok(FileMode::Plain.as_str()),
            (_, Some(_), Some(mode)) => Ok(mode.as_str()),
            (_, Some(_), None) => match entry.map(|entry| entry.mode.as_str()) {
                Some("120000") => refuse(
                    ErrorCode::PreconditionFailed,
                    "is a symbolic link; say with 'mode' what it is to be",
                ),
                Some("100755") => Ok(FileMode::Executable.as_str()),
                _ => Ok(FileMode::Plain.as_str()),
            },
        }
    }
}

/// A path and the folders on the way to it: `a`, `a/b`, `a/b/c`.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.filter_map(|end| path.get(..end))
}

/// An entry of the new tree, its content sent to GitHub.
async fn entry(
    repo: &Repo<'_>,
    file: &File,
    mode: &'static str,
    inline: Option<&str>,
) -> Result<Value, Error> {
    let path = file.path();
    Ok(match (file.content(), inline) {
        (None, _) => json!({ "path": path, "mode": mode, "type": "blob", "sha": null }),
        (Some(_), Some(text)) => json!({ "path": path, "mode": mode, "type": "blob", "content": text }),
        (Some(content), None) => {
            let sha = repo.make_blob(path, content).await?;
            json!({ "path": path, "mode": mode, "type": "blob", "sha": sha })
        }
    })
}

impl Repo<'_> {
    /// Whether a branch has a commit.
    pub(crate) async fn has_commit(&self, branch: &BranchName, commit: &Sha) -> Result<bool, Error> {
        let Some(head) = self.branch(branch).await? else { return Ok(false) };
        Ok(matches!(self.relation(commit, &head).await?, Some(Relation::Same | Relation::Contains)))
    }
}

impl Action for PushCommit {
    const NAME: &'static str = "push_commit";
    const EFFECT: EffectClass = EffectClass::Irreversible;
    const REVERSAL: &'static str = "irreversible, unless the connector is configured with `revert_pushes = true`: then \
                                    a revert commit, or the new branch is deleted";
    const FACTS: &'static [(&'static str, FactKind)] = &[
        ("repo", FactKind::Text),
        ("default_branch", FactKind::Text),
        ("exists", FactKind::Flag),
        ("head_sha", FactKind::Text),
        ("paths", FactKind::Texts),
        ("changes_nothing", FactKind::Flag),
    ];
    type Output = CommitPushed;
    type PreState = PushCommitPre;
    type Undo = RevertPush;

    fn target(&self) -> Target {
        branch_target(&self.repo, &self.branch)
    }

    fn lock(&self) -> Option<LockKey> {
        branch_lock(&self.repo, &self.branch)
    }
}

impl Perform<PushCommit> for GitHub {
    type Held = ();

    fn effect(&self) -> EffectClass {
        if self.revert_pushes { EffectClass::Reversible } else { EffectClass::Irreversible }
    }

    /// Makes the commit, which nobody sees as long as no branch leads to it.
    async fn capture(&self, cx: &Cx, action: &PushCommit) -> Result<Captured<PushCommit, ()>, Error> {
        let repo = self.repo(cx, &action.repo);
        let info = repo.writable().await?;
        let (before, parent) = action.start(&repo, &info.default_branch).await?;
        let base = repo.commit(&parent).await?.tree.sha;
        let tree = action.tree(&repo, &base).await?;
        let made = Looked::now(cx, &info);
        let commit = repo.make_commit(&tree, &[&parent], &action.message, made.at).await?;
        let facts = action.facts(&info, before.as_ref(), Some(tree == base));
        Ok(Captured::Ready { pre: PushCommitPre { made, before, parent, commit }, facts, held: () })
    }

    async fn perform(
        &self,
        cx: &Cx,
        action: &PushCommit,
        pre: &PushCommitPre,
        (): (),
    ) -> Result<CommitPushed, Error> {
        let cx = &self.in_time(cx, pre.made.at);
        let repo = self.repo(cx, &action.repo);
        let swap = match &pre.before {
            Some(before) => repo.move_branch(&action.branch, before, &pre.commit, false).await?,
            None => repo.create_branch(&action.branch, &pre.commit).await?,
        };
        match swap {
            Swap::Done => Ok(CommitPushed { sha: pre.commit.clone() }),
            Swap::Elsewhere(now) => Err(conflict(format!(
                "branch {} of {} was moved by somebody else ({}); nothing was pushed",
                action.branch,
                action.repo,
                place(now.as_ref())
            ))),
        }
    }

    /// Without the commit: what is made for it would stay with GitHub.
    async fn preview(&self, cx: &Cx, action: &PushCommit) -> Result<Preview<CommitPushed>, Error> {
        let repo = self.repo(cx, &action.repo);
        let info = repo.writable().await?;
        let (before, parent) = action.start(&repo, &info.default_branch).await?;
        let there = action.there(&repo, &repo.commit(&parent).await?.tree.sha).await?;
        let mut files = Vec::with_capacity(action.files.len());
        for file in &action.files {
            action.mode(file, &there)?;
            let change = match (there.contains_key(file.path()), file.content()) {
                (_, None) => "deletes",
                (true, Some(_)) => "changes",
                (false, Some(_)) => "adds",
            };
            files.push(
                json!({ "path": file.path(), "change": change, "size": file.content().map(<[u8]>::len) }),
            );
        }
        let branch = if before.is_some() { "goes on" } else { "is made" };
        let irreversible = (!self.revert_pushes).then(|| STAYS.to_owned());
        let change = JsonText::encode(&json!({ "branch": branch, "from": parent, "files": files }))?;
        let shown = Shown { before: JsonText::null(), change };
        let facts = action.facts(&info, before.as_ref(), None);
        Ok(Preview { already_done: None, facts, shown, irreversible })
    }

    async fn probe(
        &self,
        cx: &Cx,
        action: &PushCommit,
        pre: &PushCommitPre,
    ) -> Result<Doubt<CommitPushed>, Error> {
        let repo = self.repo(cx, &action.repo);
        let look = || async { Ok(repo.has_commit(&action.branch, &pre.commit).await?.then_some(())) };
        if self.settled(cx, pre.made.at, look).await?.is_some() {
            return Ok(Doubt::Applied(CommitPushed { sha: pre.commit.clone() }));
        }
        let now = repo.branch(&action.branch).await?;
        let moved_on = match (&pre.before, &now) {
            (Some(before), Some(now)) => {
                matches!(repo.relation(before, now).await?, Some(Relation::Same | Relation::Contains))
            }
            (before, now) => before == now,
        };
        if moved_on {
            return Ok(Doubt::NotApplied);
        }
        // It may have been pushed, and taken away since. Pushed again, it would undo what somebody did.
        Ok(Doubt::Unknown(format!(
            "branch {} of {} was {} and is {}, without {}: somebody set it back, deleted or made it",
            action.branch,
            action.repo,
            pre.before.as_ref().map_or_else(|| "not there".to_owned(), |before| place(Some(before))),
            place(now.as_ref()),
            pre.commit.short()
        )))
    }

    fn undo(
        &self,
        action: &PushCommit,
        pre: &PushCommitPre,
        left: Left<'_, CommitPushed>,
    ) -> Undo<RevertPush> {
        if !self.revert_pushes {
            return Undo::Irreversible(STAYS.into());
        }
        Undo::By(RevertPush {
            repo: action.repo.clone(),
            branch: action.branch.clone(),
            commit: pre.commit.clone(),
            parent: pre.parent.clone(),
            created: pre.before.is_none(),
            is_done: matches!(left, Left::Done(_)),
            made: pre.made.clone(),
        })
    }
}
