//! Branches: looked at, and merged into.

use crate::github::reply::{Answer, Reply, Stop};
use crate::github::state::State;

use super::Call;

pub(super) fn list(state: &mut State, call: &Call<'_>) -> Answer {
    let repo = state.repo(call.key)?;
    let wanted = call.query.get("protected").map(|text| text == "true");
    let name = |full: &str| full.strip_prefix("refs/heads/").unwrap_or(full).to_owned();
    let mut all: Vec<(String, String)> = repo
        .git
        .refs_beginning("refs/heads/")?
        .into_iter()
        .map(|found| (name(&found.name), found.sha))
        .collect();
    all.retain(|(branch, _)| wanted.is_none_or(|wanted| repo.is_protected(branch) == wanted));
    state.paged(call, &all, |(branch, sha)| state.short_branch_json(call.key, branch, sha))
}

pub(super) fn get(state: &mut State, call: &Call<'_>) -> Answer {
    let branch = call.param("branch");
    let sha = state.repo(call.key)?.head(branch)?;
    let sha = sha.ok_or_else(|| Stop::refuse(404, "Branch not found"))?;
    Ok(Reply::new(200, state.branch_json(call.key, branch, &sha)?))
}

pub(super) fn merge(state: &mut State, call: &Call<'_>) -> Answer {
    let (base, head) = (call.needed("base")?, call.needed("head")?);
    let base = base.strip_prefix("refs/heads/").unwrap_or(base);
    let repo = state.repo(call.key)?;
    let before = repo.head(base)?.ok_or_else(|| Stop::refuse(404, "Base does not exist"))?;
    let sha = repo.git.find_commit(head)?.ok_or_else(|| Stop::refuse(404, "Head does not exist"))?;
    let default = format!("Merge {head} into {base}");
    let message = call.text("commit_message").unwrap_or(&default);
    match state.merge_into(&call.actor(), call.key, (base, &before), &sha, message)? {
        Some(sha) => Ok(Reply::new(201, state.commit_json(call.key, &sha)?)),
        None => Ok(Reply::empty(204)),
    }
}
