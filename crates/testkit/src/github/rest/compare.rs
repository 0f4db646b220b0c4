//! Two commits compared: what one has that the other lacks.

use serde_json::json;

use crate::github::git::Git;
use crate::github::page::Page;
use crate::github::reply::{Answer, Reply, Stop};
use crate::github::shape::encode;
use crate::github::state::State;

use super::Call;

/// How many commits are shown where no page is asked for.
const MOST: usize = 250;

pub(super) fn compare(state: &mut State, call: &Call<'_>) -> Answer {
    let (base, head) = call.param("basehead").split_once("...").ok_or_else(Stop::not_found)?;
    let (base_sha, head_sha) = (find(state, call, base)?, find(state, call, head)?);
    let repo = state.repo(call.key)?;
    let git = &repo.git;
    let Some(merge_base) = git.merge_base(&base_sha, &head_sha)? else {
        return Err(Stop::refuse(404, &format!("No common ancestor between {base} and {head}.")));
    };
    let ahead = git.between(&base_sha, &head_sha)?;
    let behind = git.between(&head_sha, &base_sha)?.len();
    let status = match (ahead.len(), behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    let page = page(call);
    let commits = page
        .of_all(&ahead)
        .iter()
        .map(|sha| state.commit_json(call.key, sha))
        .collect::<Result<Vec<_>, _>>()?;
    let files =
        if page.number == 1 { Some(state.files_json(call.key, Some(&merge_base), &head_sha)?) } else { None };
    let (url, name) = (state.repo_url(repo), encode(&repo.full_name()));
    let both = format!("compare/{}...{}", encode(base), encode(head));
    let web = format!("{}/{name}/{both}", state.url);
    let permanent = format!("{}/{name}/compare/{base_sha}...{head_sha}", state.url);
    let body = json!({
        "url": format!("{url}/{both}"), "html_url": web, "permalink_url": permanent,
        "diff_url": format!("{web}.diff"), "patch_url": format!("{web}.patch"),
        "base_commit": state.commit_json(call.key, &base_sha)?,
        "merge_base_commit": state.commit_json(call.key, &merge_base)?,
        "status": status, "ahead_by": ahead.len(), "behind_by": behind, "total_commits": ahead.len(),
        "commits": commits, "files": files.unwrap_or_default(),
    });
    let reply = Reply::new(200, body);
    Ok(match state.links(call, page, ahead.len()) {
        Some(links) => reply.with("link", links),
        None => reply,
    })
}

fn page(call: &Call<'_>) -> Page {
    let asked = call.query.get("page").is_some() || call.query.get("per_page").is_some();
    if asked { Page::of(&call.query) } else { Page { number: 1, size: MOST } }
}

/// `branch`, a commit, or `owner:branch`.
fn find(state: &State, call: &Call<'_>, name: &str) -> Result<String, Stop> {
    let git: &Git = &state.repo(call.key)?.git;
    if let Some(sha) = git.find_commit(name)? {
        return Ok(sha);
    }
    let fork = if name.contains(':') { state.find_head(call.key, name)? } else { None };
    // A fork's commits are seen here once a pull request has brought them.
    match fork {
        Some((_, _, sha)) if git.is_kind(&sha, "commit")? => Ok(sha),
        _ => Err(Stop::not_found()),
    }
}
