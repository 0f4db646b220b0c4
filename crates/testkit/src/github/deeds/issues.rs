//! Issues, and what pull requests have of them.

use serde_json::json;

use crate::github::ledger::What;
use crate::github::reply::Stop;
use crate::github::state::{Item, Lag, PullState, RepoKey, RepoState, State};

use super::Actor;

/// The longest title, in characters.
const MAX_TITLE: usize = 256;
/// The longest body, in characters.
const MAX_BODY: usize = 65_536;

/// An issue to be made.
#[derive(Debug, Clone, Default)]
pub(in crate::github) struct NewIssue {
    pub(in crate::github) title: String,
    pub(in crate::github) body: Option<String>,
    pub(in crate::github) labels: Vec<String>,
    pub(in crate::github) assignees: Vec<String>,
}

/// What is to be changed; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub(in crate::github) struct ItemEdit {
    pub(in crate::github) title: Option<String>,
    pub(in crate::github) body: Option<Option<String>>,
    pub(in crate::github) open: Option<bool>,
    pub(in crate::github) state_reason: Option<Option<String>>,
    pub(in crate::github) labels: Option<Vec<String>>,
    pub(in crate::github) assignees: Option<Vec<String>>,
    /// The base of a pull request.
    pub(in crate::github) base: Option<String>,
}

impl State {
    /// Makes an issue and gives its number.
    pub(in crate::github) fn open_issue(
        &mut self,
        actor: &Actor,
        key: RepoKey,
        new: NewIssue,
    ) -> Result<u64, Stop> {
        check_text("Issue", Some(&new.title), new.body.as_deref())?;
        let assignees = self.check_assignees(key, &new.assignees)?;
        let number = self.add_item(actor, key, new.title, new.body, None)?;
        let item = self.repo_mut(key)?.item_mut(number)?;
        item.labels = new.labels;
        item.assignees = assignees;
        self.effect((actor.request, &actor.login), Some(key), What::IssueOpened(number));
        Ok(number)
    }

    /// Adds an issue or a pull request; the numbers are of one row.
    pub(in crate::github) fn add_item(
        &mut self,
        actor: &Actor,
        key: RepoKey,
        title: String,
        body: Option<String>,
        pull: Option<PullState>,
    ) -> Result<u64, Stop> {
        let (id, now) = (self.id(), self.clock.now());
        let hidden_for = match self.lag {
            Lag::None => 0,
            Lag::Requests(requests) => requests,
            Lag::UntilTold => u64::MAX,
        };
        let repo = self.repo_mut(key)?;
        let number = repo.next_number();
        let item = Item {
            id,
            number,
            title,
            body,
            by: actor.login.clone(),
            open: true,
            state_reason: None,
            labels: Vec::new(),
            assignees: Vec::new(),
            created_at: now,
            updated_at: now,
            closed_at: None,
            closed_by: None,
            hidden_for,
            pull,
        };
        repo.items.insert(number, item);
        Ok(number)
    }

    /// Edits an issue, or a pull request. All of it is done, or nothing.
    pub(in crate::github) fn edit_item(
        &mut self,
        actor: &Actor,
        key: RepoKey,
        number: u64,
        edit: ItemEdit,
    ) -> Result<(), Stop> {
        let before = self.repo(key)?.item(number)?.clone();
        let resource = if before.pull.is_some() { "PullRequest" } else { "Issue" };
        check_text(resource, edit.title.as_deref(), edit.body.clone().flatten().as_deref())?;
        let assignees = match &edit.assignees {
            Some(logins) => Some(self.check_assignees(key, logins)?),
            None => None,
        };
        if let Some(base) = &edit.base {
            self.check_new_base(key, number, base)?;
        }
        if edit.open == Some(true) && !before.open && before.pull.is_some() {
            self.check_reopening(key, number)?;
        }
        let now = self.clock.now();
        let item = self.repo_mut(key)?.item_mut(number)?;
        item.title = edit.title.unwrap_or_else(|| before.title.clone());
        item.body = edit.body.unwrap_or_else(|| before.body.clone());
        item.labels = edit.labels.unwrap_or_else(|| before.labels.clone());
        item.assignees = assignees.unwrap_or_else(|| before.assignees.clone());
        let content = |item: &Item| {
            (item.title.clone(), item.body.clone(), item.labels.clone(), item.assignees.clone())
        };
        let rebased = edit
            .base
            .as_ref()
            .is_some_and(|base| before.pull.as_ref().is_some_and(|pull| &pull.base_ref != base));
        if content(item) != content(&before) || rebased {
            let what = if item.pull.is_some() { What::PullEdited(number) } else { What::IssueEdited(number) };
            item.updated_at = now;
            self.effect((actor.request, &actor.login), Some(key), what);
        }
        if let Some(base) = edit.base {
            self.set_base(key, number, &base)?;
        }
        match edit.open {
            Some(true) if !before.open => self.reopen_item(actor, key, number),
            Some(false) if before.open => self.close_item(actor, key, number, edit.state_reason.flatten()),
            _ => Ok(()),
        }
    }

    /// Closes an issue, or a pull request without a merge.
    pub(in crate::github) fn close_item(
        &mut self,
        actor: &Actor,
        key: RepoKey,
        number: u64,
        reason: Option<String>,
    ) -> Result<(), Stop> {
        let now = self.clock.now();
        let item = self.repo_mut(key)?.item_mut(number)?;
        item.open = false;
        item.updated_at = now;
        item.closed_at = Some(now);
        item.closed_by = Some(actor.login.clone());
        let what = if item.pull.is_some() {
            What::PullClosed(number)
        } else {
            item.state_reason = Some(reason.unwrap_or_else(|| "completed".to_owned()));
            What::IssueClosed(number)
        };
        self.effect((actor.request, &actor.login), Some(key), what);
        Ok(())
    }

    fn reopen_item(&mut self, actor: &Actor, key: RepoKey, number: u64) -> Result<(), Stop> {
        let now = self.clock.now();
        let item = self.repo_mut(key)?.item_mut(number)?;
        item.open = true;
        item.updated_at = now;
        (item.closed_at, item.closed_by) = (None, None);
        let head = item.pull.as_ref().map(|pull| (pull.head_repo, pull.head_ref.clone()));
        let Some((head_repo, head_ref)) = head else {
            item.state_reason = Some("reopened".to_owned());
            self.effect((actor.request, &actor.login), Some(key), What::IssueReopened(number));
            return Ok(());
        };
        if let Some(sha) = self.repo(head_repo)?.head(&head_ref)? {
            self.take_head(key, number, &sha)?;
        }
        self.effect((actor.request, &actor.login), Some(key), What::PullReopened(number));
        Ok(())
    }

    /// Their logins as they are written, or 422 for one who cannot be assigned.
    fn check_assignees(&self, key: RepoKey, logins: &[String]) -> Result<Vec<String>, Stop> {
        let repo = self.repo(key)?;
        let known = |login: &String| {
            let user = self.accounts.user(login).filter(|user| is_member(repo, &user.login));
            user.map(|user| user.login.clone()).ok_or_else(|| {
                Stop::invalid(vec![
                    json!({"value": login, "resource": "Issue", "field": "assignees", "code": "invalid"}),
                ])
            })
        };
        logins.iter().map(known).collect()
    }
}

fn is_member(repo: &RepoState, login: &str) -> bool {
    repo.owner.eq_ignore_ascii_case(login) || repo.members.contains_key(&login.to_ascii_lowercase())
}

/// Refuses what is empty or too long.
pub(super) fn check_text(resource: &str, title: Option<&str>, body: Option<&str>) -> Result<(), Stop> {
    if title.is_some_and(|title| title.trim().is_empty()) {
        return Err(Stop::invalid_field(resource, "title", "missing_field"));
    }
    let too_long = |text: Option<&str>, most: usize| text.is_some_and(|text| text.chars().count() > most);
    for (field, text, most) in [("title", title, MAX_TITLE), ("body", body, MAX_BODY)] {
        if too_long(text, most) {
            let message = format!("{field} is too long (maximum is {most} characters)");
            return Err(Stop::custom(resource, Some(field), &message));
        }
    }
    Ok(())
}
