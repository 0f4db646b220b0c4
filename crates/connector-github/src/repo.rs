//! One repository, as one action sees it: what is there, looked up in full. A look-up that fails is an error; "not there"
//! is only what GitHub said of a repository that can be read.

use std::time::Duration;

use enact_core::connector::Cx;
use enact_core::time::Timestamp;
use enact_core::{Error, ErrorCode};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::GitHub;
use crate::answer::Answer;
use crate::client::{Place, Request};
use crate::error::precondition;
use crate::name::{BranchName, RepoName, Sha, encoded_value};

/// How many items a page has: GitHub's most.
const PER_PAGE: usize = 100;

/// How many pages of a list are read.
const MAX_PAGES: usize = 50;

/// How many pages of commits are read to find one.
const MAX_COMMIT_PAGES: usize = 10;

/// How far the clocks of GitHub's own servers may be apart.
const SKEW: Duration = Duration::from_secs(15 * 60);

/// Whether an item was made before an intent, both by the server's time.
pub(crate) fn is_before(created: Timestamp, since: Timestamp) -> bool {
    created.after(SKEW) < since
}

/// A repository.
pub(crate) struct Repo<'a> {
    pub(crate) github: &'a GitHub,
    pub(crate) cx: &'a Cx,
    /// As it was given.
    pub(crate) name: &'a RepoName,
    place: Place,
}

/// What GitHub says of a repository.
#[derive(Debug, Deserialize)]
pub(crate) struct Info {
    pub(crate) id: u64,
    node_id: String,
    /// What it is called now, whatever name led to it.
    pub(crate) full_name: String,
    pub(crate) default_branch: String,
    #[serde(default)]
    archived: bool,
    #[serde(default = "yes")]
    pub(crate) has_issues: bool,
    /// The server's time, where its answer has one.
    #[serde(skip)]
    pub(crate) date: Option<Timestamp>,
}

fn yes() -> bool {
    true
}

/// A pull request.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Pull {
    pub(crate) number: u64,
    pub(crate) html_url: String,
    pub(crate) state: String,
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    pub(crate) user: Option<Login>,
    #[serde(default)]
    pub(crate) draft: bool,
    pub(crate) head: Side,
    pub(crate) base: Side,
    pub(crate) created_at: Timestamp,
    pub(crate) merged_at: Option<Timestamp>,
    pub(crate) merge_commit_sha: Option<Sha>,
    pub(crate) merged_by: Option<Login>,
    pub(crate) commits: Option<u64>,
}

impl Pull {
    pub(crate) fn is_open(&self) -> bool {
        self.state == "open"
    }

    pub(crate) fn is_merged(&self) -> bool {
        self.merged_at.is_some()
    }

    /// The commit by which it was merged. Not to be seen is not "not merged", and may pass.
    pub(crate) fn merge_commit(&self) -> Result<Sha, Error> {
        self.merge_commit_sha.clone().ok_or_else(|| {
            let message = format!("#{} was merged, and GitHub does not show by which commit", self.number);
            Error::new(ErrorCode::Unavailable, message).retryable().left_nothing()
        })
    }
}

/// Head or base of a pull request.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Side {
    #[serde(rename = "ref")]
    pub(crate) name: String,
    pub(crate) sha: Sha,
    pub(crate) user: Option<Login>,
}

/// An account.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Login {
    pub(crate) id: u64,
    pub(crate) login: String,
}

/// An issue. Lists of issues hold pull requests too.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Issue {
    pub(crate) number: u64,
    pub(crate) html_url: String,
    pub(crate) state: String,
    pub(crate) body: Option<String>,
    pub(crate) user: Option<Login>,
    pub(crate) created_at: Timestamp,
    pull_request: Option<Value>,
}

impl Issue {
    pub(crate) fn is_pull(&self) -> bool {
        self.pull_request.is_some()
    }
}

/// A commit.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Commit {
    pub(crate) message: String,
    pub(crate) tree: Named,
    pub(crate) parents: Vec<Named>,
    pub(crate) author: Author,
}

/// Who wrote a commit, and when.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct Author {
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) date: Option<Timestamp>,
}

/// An object of git, by its name.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Named {
    pub(crate) sha: Sha,
}

/// A ref, and where it points.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Ref {
    #[serde(rename = "ref")]
    pub(crate) name: String,
    pub(crate) object: Named,
}

/// A commit as lists have it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Listed {
    pub(crate) sha: Sha,
    pub(crate) parents: Vec<Named>,
    pub(crate) commit: Said,
}

/// What a listed commit says.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Said {
    pub(crate) message: String,
    pub(crate) tree: Named,
    pub(crate) author: Author,
}

/// How one commit stands to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Relation {
    /// They are the same.
    Same,
    /// The later one has the earlier one among its ancestors.
    Contains,
    /// The later one is an ancestor of the earlier one.
    Behind,
    /// Neither.
    Apart,
}

/// What a search through commits came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Sought {
    /// It is there.
    Found(Sha),
    /// It is not there.
    Absent,
    /// There were more commits than are read.
    TooMany,
}

impl GitHub {
    /// A repository, for one step of an action.
    pub(crate) fn repo<'a>(&'a self, cx: &'a Cx, name: &'a RepoName) -> Repo<'a> {
        Repo { github: self, cx, name, place: Place::new(name) }
    }
}

impl Repo<'_> {
    pub(crate) async fn send(&self, request: &Request<'_>) -> Result<Answer, Error> {
        self.github.client.send(Some(self.cx), request).await
    }

    pub(crate) async fn ask(&self, request: &Request<'_>) -> Result<Answer, Error> {
        self.github.client.ask(Some(self.cx), request).await
    }

    /// A request to this repository.
    pub(crate) fn request(&self, method: Method, tail: String, doing: impl Into<String>) -> Request<'_> {
        Request::at(&self.place, method, tail, doing)
    }

    pub(crate) fn get(&self, tail: String, doing: impl Into<String>) -> Request<'_> {
        self.request(Method::GET, tail, doing)
    }

    /// What GitHub says of the repository; an error where it cannot be seen.
    pub(crate) async fn info(&self) -> Result<Info, Error> {
        let request = self.get(String::new(), format!("read the repository {}", self.name));
        let answer = self.ask(&request).await?;
        let date = answer.date_s().map(|seconds| Timestamp::from_unix_us(seconds.saturating_mul(1_000_000)));
        let info = Info { date, ..request.read(&answer)? };
        *self.place.node.lock() = Some(info.node_id.clone());
        Ok(info)
    }

    /// As [`Repo::info`]; an error where nothing can be changed.
    pub(crate) async fn writable(&self) -> Result<Info, Error> {
        let info = self.info().await?;
        if info.archived {
            let message =
                format!("{} is archived, so nothing in it can be changed; unarchive it first", self.name);
            return Err(Error::new(ErrorCode::Forbidden, message).left_nothing());
        }
        Ok(info)
    }

    /// The name that GraphQL has for the repository.
    pub(crate) async fn node(&self) -> Result<String, Error> {
        let known = self.place.node.lock().clone();
        match known {
            Some(node) => Ok(node),
            None => Ok(self.info().await?.node_id),
        }
    }

    /// Something that may not be there. A repository that cannot be seen is an error.
    pub(crate) async fn perhaps(&self, request: &Request<'_>) -> Result<Option<Answer>, Error> {
        let answer = self.send(request).await?;
        if answer.status == StatusCode::NOT_FOUND || is_gone(&answer) {
            self.info().await?;
            return Ok(None);
        }
        request.check(answer).map(Some)
    }

    /// Where a branch points; `None` where the repository has no such branch.
    pub(crate) async fn branch(&self, branch: &BranchName) -> Result<Option<Sha>, Error> {
        let doing = format!("look up branch {branch} of {}", self.name);
        let request = self.get(format!("/git/ref/heads/{}", branch.path()), doing);
        let Some(answer) = self.perhaps(&request).await? else { return Ok(None) };
        let found: Ref = request.read(&answer)?;
        if found.name != branch.full() {
            return Err(request.undescribed(&answer, format_args!("it is of '{}'", found.name)));
        }
        Ok(Some(found.object.sha))
    }

    /// A pull request. None is ever deleted: one that is not to be seen is an error.
    pub(crate) async fn pull(&self, number: u64) -> Result<Pull, Error> {
        let request = self.get(format!("/pulls/{number}"), format!("look up {}#{number}", self.name));
        let Some(answer) = self.perhaps(&request).await? else {
            let message = format!(
                "{} has no pull request #{number}, or the token has no permission to see it",
                self.name
            );
            return Err(Error::new(ErrorCode::NotFound, message).left_nothing());
        };
        request.read(&answer)
    }

    /// An issue; `None` where it was deleted, of which GitHub says 410. 404 is an error: the issue may be in another
    /// repository, or only not to be seen.
    pub(crate) async fn issue(&self, number: u64) -> Result<Option<Issue>, Error> {
        let request = self.get(format!("/issues/{number}"), format!("look up {}#{number}", self.name));
        let answer = self.send(&request).await?;
        if is_gone(&answer) {
            return Ok(None);
        }
        request.read(&request.check(answer)?).map(Some)
    }

    /// A commit, which must be there.
    pub(crate) async fn commit(&self, sha: &Sha) -> Result<Commit, Error> {
        self.look_up_commit(sha).await?.ok_or_else(|| self.no_commit(sha))
    }

    /// The error of a commit that is not there.
    pub(crate) fn no_commit(&self, sha: &Sha) -> Error {
        let message = format!("commit {sha} is not there in {}, or not to be read", self.name);
        Error::new(ErrorCode::NotFound, message).left_nothing()
    }

    async fn look_up_commit(&self, sha: &Sha) -> Result<Option<Commit>, Error> {
        let doing = format!("read commit {} of {}", sha.short(), self.name);
        let request = self.get(format!("/git/commits/{sha}"), doing);
        self.perhaps(&request).await?.map(|answer| request.read(&answer)).transpose()
    }

    /// How `later` stands to `earlier`; `None` where the repository has no such commit as `earlier`.
    pub(crate) async fn relation(&self, earlier: &Sha, later: &Sha) -> Result<Option<Relation>, Error> {
        if earlier == later {
            return Ok(Some(Relation::Same));
        }
        let doing = format!("compare {} with {} in {}", earlier.short(), later.short(), self.name);
        let request = self.get(format!("/compare/{earlier}...{later}?per_page=1"), doing);
        let Some(answer) = self.perhaps(&request).await? else {
            // GitHub compares neither what has no common ancestor nor what is not there.
            self.commit(later).await?;
            return Ok(self.look_up_commit(earlier).await?.map(|_| Relation::Apart));
        };
        match answer.body.get("status").and_then(Value::as_str) {
            Some("identical") => Ok(Some(Relation::Same)),
            Some("ahead") => Ok(Some(Relation::Contains)),
            Some("behind") => Ok(Some(Relation::Behind)),
            Some("diverged") => Ok(Some(Relation::Apart)),
            other => Err(request.undescribed(&answer, format_args!("status {other:?}"))),
        }
    }

    /// Looks for a commit, from `head` back to `stop`.
    pub(crate) async fn seek(
        &self,
        head: &Sha,
        stop: &Sha,
        is_it: impl Fn(&Listed) -> bool,
    ) -> Result<Sought, Error> {
        let (mut found, mut seen) = (Sought::TooMany, 0_usize);
        let doing = format!("look through the commits of {}", self.name);
        let visit = |commit: &Listed| {
            seen += 1;
            if is_it(commit) {
                found = Sought::Found(commit.sha.clone());
                return true;
            }
            if commit.sha == *stop {
                found = Sought::Absent;
            }
            // Commits are listed by their dates, which are of several clocks: one of another line that came after `stop`
            // may be listed after it. So the page is read to its end.
            found == Sought::Absent && seen.is_multiple_of(PER_PAGE)
        };
        let ended = self.pages(&format!("/commits?sha={head}"), &doing, MAX_COMMIT_PAGES, visit).await?;
        Ok(if found == Sought::TooMany && ended { Sought::Absent } else { found })
    }

    /// The commits from `head` back to `stop` and with it, newest first; `None` where that leads elsewhere, or too far.
    pub(crate) async fn since(&self, head: &Sha, stop: &Sha) -> Result<Option<Vec<Listed>>, Error> {
        let (mut since, mut reached) = (Vec::new(), false);
        let doing = format!("list the newest commits of {}", self.name);
        let visit = |commit: &Listed| {
            since.push(commit.clone());
            reached = commit.sha == *stop;
            reached
        };
        self.pages(&format!("/commits?sha={head}"), &doing, 1, visit).await?;
        Ok(reached.then_some(since))
    }

    /// Reads a list item by item until `visit` says that it is enough; whether all of it was read otherwise.
    async fn pages<T: DeserializeOwned>(
        &self,
        tail: &str,
        doing: &str,
        max_pages: usize,
        mut visit: impl FnMut(&T) -> bool,
    ) -> Result<bool, Error> {
        let sign = if tail.contains('?') { '&' } else { '?' };
        for page in 1..=max_pages {
            let request = self.get(format!("{tail}{sign}per_page={PER_PAGE}&page={page}"), doing);
            let answer = self.ask(&request).await?;
            let items: Vec<T> = request.read(&answer)?;
            if items.iter().any(&mut visit) {
                return Ok(true);
            }
            if !answer.has_next() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads a list, with all its pages, and keeps what `pick` picks; `enough` ends it early. A list that is longer
    /// than is read is an error.
    pub(crate) async fn list<T: DeserializeOwned + Clone>(
        &self,
        tail: &str,
        doing: &str,
        pick: impl Fn(&T) -> bool,
        enough: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, Error> {
        let mut picked = Vec::new();
        let visit = |item: &T| {
            if pick(item) {
                picked.push(item.clone());
            }
            enough(item)
        };
        if self.pages(tail, doing, MAX_PAGES, visit).await? {
            return Ok(picked);
        }
        let most = MAX_PAGES * PER_PAGE;
        Err(precondition(format!(
            "cannot {doing}: the list has more than {most} items, and was not read to its end"
        )))
    }

    /// Who owns it now, as the look-ups of this step have found it: it may have been renamed.
    pub(crate) fn owner(&self) -> String {
        self.place.name().owner().to_owned()
    }

    /// The open pull requests of a branch of this repository.
    pub(crate) async fn pulls_of(&self, branch: &BranchName) -> Result<Vec<Pull>, Error> {
        let owner = self.owner();
        let head = encoded_value(&format!("{owner}:{branch}"));
        let doing = format!("list the open pull requests of branch {branch} of {}", self.name);
        // The filter is only a help: what does not fit is dropped here.
        let fits = |pull: &Pull| pull.is_open() && pull.is_from(&owner, branch.as_str());
        self.list(&format!("/pulls?state=open&head={head}"), &doing, fits, |_| false).await
    }

    /// The open pull requests into a branch.
    pub(crate) async fn pulls_into(&self, branch: &BranchName) -> Result<Vec<Pull>, Error> {
        let base = encoded_value(branch.as_str());
        let doing = format!("list the open pull requests into branch {branch} of {}", self.name);
        let fits = |pull: &Pull| pull.is_open() && pull.base.name == branch.as_str();
        self.list(&format!("/pulls?state=open&base={base}"), &doing, fits, |_| false).await
    }
}

/// Whether what was asked for is gone for good; a repository that does without issues says 410 too.
fn is_gone(answer: &Answer) -> bool {
    answer.status == StatusCode::GONE && !answer.words().contains("disabled")
}

impl Pull {
    /// Whether it is from a branch of an owner.
    pub(crate) fn is_from(&self, owner: &str, branch: &str) -> bool {
        let same = self.head.user.as_ref().is_some_and(|user| user.login.eq_ignore_ascii_case(owner));
        same && self.head.name == branch
    }
}
