//! Commits: made, and looked at.

use serde_json::Value;

use crate::github::clock;
use crate::github::git::Ident;
use crate::github::reply::{Answer, Reply, Stop};
use crate::github::state::State;

use super::Call;

pub(super) fn create(state: &mut State, call: &Call<'_>) -> Answer {
    let (message, tree) = (call.needed("message")?, call.needed("tree")?);
    let git = state.repo(call.key)?.git.clone();
    if !git.is_kind(tree, "tree")? {
        return Err(Stop::refuse(422, "Tree SHA does not exist"));
    }
    let parents = call.texts("parents", "sha").unwrap_or_default();
    for parent in &parents {
        if !crate::github::git::is_sha(parent) {
            return Err(Stop::refuse(
                422,
                "The parents parameter must be exactly 40 characters and contain only [0-9a-f].",
            ));
        }
        if !git.is_kind(parent, "commit")? {
            return Err(Stop::refuse(422, "Parent SHA does not exist or is not a commit object"));
        }
    }
    let own = state.ident(call.caller.login().unwrap_or_default());
    let author = match call.body.get("author") {
        Some(author) => ident(author, &own)?,
        None => own,
    };
    let committer = match call.body.get("committer") {
        Some(committer) => ident(committer, &author)?,
        None => author.clone(),
    };
    let sha = git.commit(tree, &parents, (&author, &committer), message)?;
    let body = state.git_commit_json(call.key, &sha)?;
    let location = body.get("url").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Reply::new(201, body).with("location", location))
}

/// Who is named; what is not said is as in `default`.
fn ident(value: &Value, default: &Ident) -> Result<Ident, Stop> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let mut ident = default.clone();
    if let Some(name) = text("name") {
        name.clone_into(&mut ident.name);
    }
    if let Some(email) = text("email") {
        email.clone_into(&mut ident.email);
    }
    if let Some(date) = text("date") {
        let found = clock::parse(date).ok_or_else(|| Stop::refuse(422, "Invalid date"))?;
        (ident.at, ident.offset) = found;
    }
    Ok(ident)
}

pub(super) fn get_git(state: &mut State, call: &Call<'_>) -> Answer {
    let sha = call.param("commit_sha");
    if !state.repo(call.key)?.git.is_kind(sha, "commit")? {
        return Err(Stop::not_found());
    }
    Ok(Reply::new(200, state.git_commit_json(call.key, sha)?))
}

pub(super) fn get(state: &mut State, call: &Call<'_>) -> Answer {
    let name = call.param("ref");
    let sha = state.repo(call.key)?.git.find_commit(name)?;
    let sha = sha.ok_or_else(|| Stop::refuse(422, &format!("No commit found for SHA: {name}")))?;
    Ok(Reply::new(200, state.commit_with_files(call.key, &sha)?))
}

pub(super) fn list(state: &mut State, call: &Call<'_>) -> Answer {
    let repo = state.repo(call.key)?;
    if repo.git.is_empty()? {
        return Err(Stop::refuse(409, "Git Repository is empty."));
    }
    let start = call.query.get("sha").unwrap_or(&repo.default_branch);
    let sha = repo.git.find_commit(start)?.ok_or_else(Stop::not_found)?;
    let mut args = vec!["rev-list", sha.as_str()];
    if let Some(path) = call.query.get("path") {
        args.extend(["--", path]);
    }
    let all: Vec<String> = repo.git.ok(&args)?.lines().map(str::to_owned).collect();
    state.paged(call, &all, |sha| state.commit_json(call.key, sha))
}
