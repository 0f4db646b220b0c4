//! Pull requests: opened, looked at, edited, merged.

use serde_json::{Value, json};

use crate::github::deeds::{ItemEdit, MergeHow, NewPull};
use crate::github::reply::{Answer, Reply, Stop};
use crate::github::state::{Mergeable, State};

use super::Call;

/// How many commits of a pull request can be listed.
const MAX_COMMITS: usize = 250;

pub(super) fn create(state: &mut State, call: &Call<'_>) -> Answer {
    let new = NewPull {
        title: call.needed("title")?.to_owned(),
        body: call.text("body").map(str::to_owned),
        head: call.needed("head")?.to_owned(),
        base: call.needed("base")?.to_owned(),
        draft: call.flag("draft"),
        can_modify: call.body.get("maintainer_can_modify").and_then(Value::as_bool).unwrap_or(true),
    };
    let number = state.open_pull(&call.actor(), call.key, new)?;
    let body = state.pull_json(call.key, number)?;
    let location = body.get("url").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Reply::new(201, body).with("location", location))
}

/// Whether it can be merged is worked out after the first who asks has been answered.
pub(super) fn get(state: &mut State, call: &Call<'_>) -> Answer {
    let number = call.number_param("pull_number")?;
    let body = state.pull_json(call.key, number)?;
    let (item, pull) = state.repo(call.key)?.pull(number)?;
    if item.open && matches!(pull.mergeable, Mergeable::Unknown) {
        state.work_out(call.key, number)?;
    }
    Ok(Reply::new(200, body))
}

pub(super) fn update(state: &mut State, call: &Call<'_>) -> Answer {
    let number = call.number_param("pull_number")?;
    let (item, _) = state.repo(call.key)?.pull(number)?;
    may_edit(state, call, &item.by)?;
    let edit = ItemEdit {
        title: call.text("title").map(str::to_owned),
        body: call.text("body").map(|body| Some(body.to_owned())),
        open: call.text("state").map(|text| text == "open"),
        base: call.text("base").map(str::to_owned),
        ..ItemEdit::default()
    };
    state.edit_item(&call.actor(), call.key, number, edit)?;
    Ok(Reply::new(200, state.pull_json(call.key, number)?))
}

/// One edits what one has made; those who may push edit everything.
pub(super) fn may_edit(state: &State, call: &Call<'_>, by: &str) -> Result<(), Stop> {
    if call.caller.login() == Some(by) || state.may_push(call.caller, call.key) {
        return Ok(());
    }
    Err(Stop::refuse(403, "Must have admin rights to Repository."))
}

pub(super) fn commits(state: &mut State, call: &Call<'_>) -> Answer {
    let repo = state.repo(call.key)?;
    let (_, pull) = repo.pull(call.number_param("pull_number")?)?;
    let mut all = repo.git.between(&pull.base_sha, &pull.head_sha)?;
    all.truncate(MAX_COMMITS);
    state.paged(call, &all, |sha| state.commit_json(call.key, sha))
}

pub(super) fn files(state: &mut State, call: &Call<'_>) -> Answer {
    let repo = state.repo(call.key)?;
    let (_, pull) = repo.pull(call.number_param("pull_number")?)?;
    let base = repo.git.merge_base(&pull.base_sha, &pull.head_sha)?;
    let all = state.files_json(call.key, base.as_deref(), &pull.head_sha)?;
    state.paged(call, &all, |file| Ok(file.clone()))
}

pub(super) fn is_merged(state: &mut State, call: &Call<'_>) -> Answer {
    let (_, pull) = state.repo(call.key)?.pull(call.number_param("pull_number")?)?;
    if pull.merged.is_some() { Ok(Reply::empty(204)) } else { Err(Stop::not_found()) }
}

pub(super) fn merge(state: &mut State, call: &Call<'_>) -> Answer {
    let number = call.number_param("pull_number")?;
    let how = MergeHow {
        method: call.text("merge_method").unwrap_or("merge").to_owned(),
        sha: call.text("sha").map(str::to_owned),
        title: call.text("commit_title").map(str::to_owned),
        message: call.text("commit_message").map(str::to_owned),
    };
    let sha = state.merge_pull(&call.actor(), call.key, number, &how)?;
    Ok(Reply::new(200, json!({"sha": sha, "merged": true, "message": "Pull Request successfully merged"})))
}
