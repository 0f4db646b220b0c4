//! Refs: one by its exact name, or those whose names begin alike; made, moved, deleted.

use crate::github::deeds::By;
use crate::github::git::{RefTo, Update, ZEROS, is_ref_name};
use crate::github::reply::{Answer, Reply, Stop};
use crate::github::state::State;

use super::Call;

/// The full name; in an address it is without `refs/`.
fn full_name(call: &Call<'_>) -> String {
    format!("refs/{}", call.param("ref"))
}

/// 409 where there is nothing at all.
fn not_empty(state: &State, call: &Call<'_>) -> Result<(), Stop> {
    if state.repo(call.key)?.git.is_empty()? {
        return Err(Stop::refuse(409, "Git Repository is empty."));
    }
    Ok(())
}

pub(super) fn get(state: &mut State, call: &Call<'_>) -> Answer {
    not_empty(state, call)?;
    let found = state.repo(call.key)?.git.ref_to(&full_name(call))?.ok_or_else(Stop::not_found)?;
    Ok(Reply::new(200, state.ref_json(call.key, &found)?))
}

pub(super) fn matching(state: &mut State, call: &Call<'_>) -> Answer {
    not_empty(state, call)?;
    let found = state.repo(call.key)?.git.refs_beginning(&full_name(call))?;
    let all = found.iter().map(|found| state.ref_json(call.key, found)).collect::<Result<_, _>>()?;
    Ok(Reply::new(200, all))
}

pub(super) fn create(state: &mut State, call: &Call<'_>) -> Answer {
    not_empty(state, call)?;
    let (name, sha) = (call.needed("ref")?, call.needed("sha")?);
    let git = state.repo(call.key)?.git.clone();
    if !name.starts_with("refs/") || name.matches('/').count() < 2 || !is_ref_name(&git, name)? {
        return Err(Stop::refuse(422, &format!("{name} is not a valid ref name.")));
    }
    check_target(state, call, name, sha)?;
    if git.ref_to(name)?.is_some() {
        return Err(Stop::refuse(422, "Reference already exists"));
    }
    state.create_ref(&call.actor(), call.key, name, sha)?;
    answer(state, call, 201, name)
}

pub(super) fn update(state: &mut State, call: &Call<'_>) -> Answer {
    let (name, sha) = (full_name(call), call.needed("sha")?.to_owned());
    let git = state.repo(call.key)?.git.clone();
    let found = existing(state, call, &name)?;
    check_target(state, call, &name, &sha)?;
    let fast = found.kind == "commit" && git.is_ancestor(&found.sha, &sha)?;
    if !call.flag("force") && !fast {
        return Err(Stop::refuse(422, "Update is not a fast forward"));
    }
    let update = Update { name: name.clone(), before: found.sha, after: sha };
    state.change_refs(&call.actor(), call.key, &[update], By::Push)?;
    answer(state, call, 200, &name)
}

pub(super) fn delete(state: &mut State, call: &Call<'_>) -> Answer {
    let name = full_name(call);
    let found = existing(state, call, &name)?;
    let update = Update { name, before: found.sha, after: ZEROS.to_owned() };
    state.change_refs(&call.actor(), call.key, &[update], By::Push)?;
    Ok(Reply::empty(204))
}

fn existing(state: &State, call: &Call<'_>, name: &str) -> Result<RefTo, Stop> {
    // What GitHub keeps for pull requests cannot be changed.
    if name.starts_with("refs/pull/") {
        return Err(Stop::refuse(422, "Reference cannot be updated"));
    }
    let found = state.repo(call.key)?.git.ref_to(name)?;
    found.ok_or_else(|| Stop::refuse(422, "Reference does not exist"))
}

/// Refuses what a ref cannot lead to.
fn check_target(state: &State, call: &Call<'_>, name: &str, sha: &str) -> Result<(), Stop> {
    if !crate::github::git::is_sha(sha) {
        let message = "The sha parameter must be exactly 40 characters and contain only [0-9a-f].";
        return Err(Stop::refuse(422, message));
    }
    match state.repo(call.key)?.git.kind(sha)?.as_deref() {
        None => Err(Stop::refuse(422, "Object does not exist")),
        Some(kind) if kind != "commit" && name.starts_with("refs/heads/") => {
            Err(Stop::refuse(422, "Reference update failed"))
        }
        Some(_) => Ok(()),
    }
}

fn answer(state: &State, call: &Call<'_>, status: u16, name: &str) -> Answer {
    let found = state.repo(call.key)?.git.ref_to(name)?.ok_or_else(Stop::not_found)?;
    let body = state.ref_json(call.key, &found)?;
    let location = body.get("url").and_then(|url| url.as_str()).unwrap_or_default().to_owned();
    let reply = Reply::new(status, body);
    Ok(if status == 201 { reply.with("location", location) } else { reply })
}
