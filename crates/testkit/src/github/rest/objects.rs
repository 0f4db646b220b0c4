//! Blobs and trees.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::github::git::{Entry, Git, Put};
use crate::github::reply::{Answer, Reply, Stop};
use crate::github::shape::node_id;
use crate::github::state::State;

use super::Call;

/// The largest blob: 100 MB.
const MAX_BLOB: usize = 100_000_000;
/// How many lines of a tree are shown.
const MAX_ENTRIES: usize = 100_000;

pub(super) fn create_blob(state: &mut State, call: &Call<'_>) -> Answer {
    let content = call.needed("content")?;
    let bytes = match call.text("encoding").unwrap_or("utf-8") {
        "base64" => {
            let plain: String = content.split_ascii_whitespace().collect();
            STANDARD.decode(plain).map_err(|_| Stop::refuse(422, "content is not valid Base64"))?
        }
        "utf-8" => content.as_bytes().to_vec(),
        other => return Err(Stop::refuse(422, &format!("{other} is not a valid encoding"))),
    };
    if bytes.len() > MAX_BLOB {
        return Err(Stop::refuse(
            422,
            "Sorry, your input was too large to process. Consider creating the blob in a local clone of the repository and then pushing it to GitHub.",
        ));
    }
    let repo = state.repo(call.key)?;
    let sha = repo.git.write("blob", &bytes)?;
    let url = format!("{}/git/blobs/{sha}", state.repo_url(repo));
    Ok(Reply::new(201, json!({"sha": sha, "url": url})).with("location", url))
}

pub(super) fn get_blob(state: &mut State, call: &Call<'_>) -> Answer {
    let sha = call.param("file_sha");
    let repo = state.repo(call.key)?;
    if !repo.git.is_kind(sha, "blob")? {
        return Err(Stop::not_found());
    }
    let bytes = repo.git.read("blob", sha)?;
    let url = format!("{}/git/blobs/{sha}", state.repo_url(repo));
    Ok(Reply::new(
        200,
        json!({
            "sha": sha, "node_id": node_id("B", format!("{}:{sha}", repo.id)), "size": bytes.len(), "url": url,
            "content": STANDARD.encode(bytes), "encoding": "base64",
        }),
    ))
}

pub(super) fn create_tree(state: &mut State, call: &Call<'_>) -> Answer {
    let repo = state.repo(call.key)?;
    let base = match call.text("base_tree") {
        Some(base) => Some(find_tree(&repo.git, base)?.ok_or_else(|| Stop::refuse(404, "Not Found"))?),
        None => None,
    };
    let entries = call.body.get("tree").and_then(Value::as_array).cloned().unwrap_or_default();
    if entries.is_empty() && base.is_none() {
        return Err(Stop::refuse(422, "Invalid tree info"));
    }
    let puts = entries.iter().map(|entry| put(&repo.git, entry)).collect::<Result<Vec<_>, _>>()?;
    let made = repo.git.make_tree(base.as_deref(), &puts)?;
    let tree = made.ok_or_else(|| Stop::refuse(422, "GitRPC::BadObjectState"))?;
    Ok(Reply::new(201, tree_json(state, call, &tree, false)?))
}

fn put(git: &Git, entry: &Value) -> Result<(String, Put), Stop> {
    let refuse = |message: &str| Stop::refuse(422, message);
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let path = text("path").ok_or_else(|| refuse("Must supply tree.path"))?;
    let odd =
        |part: &str| part.is_empty() || part == "." || part == ".." || part.eq_ignore_ascii_case(".git");
    if path.split('/').any(odd) || path.contains('\0') {
        return Err(refuse("tree.path contains a malformed path component"));
    }
    let mode = text("mode").ok_or_else(|| refuse("Must supply a valid tree.mode"))?;
    let kind = match mode {
        "100644" | "100755" | "120000" => "blob",
        "040000" => "tree",
        "160000" => "commit",
        _ => return Err(refuse("Must supply a valid tree.mode")),
    };
    let put = match (entry.get("sha"), text("content")) {
        (Some(Value::Null), None) => Put::Nothing,
        (Some(Value::String(sha)), None) => {
            // A submodule's commit is elsewhere.
            if mode != "160000" && !git.is_kind(sha, kind)? {
                return Err(refuse(&format!("tree.sha {sha} is not a valid {kind}")));
            }
            Put::Object(mode.to_owned(), sha.clone())
        }
        (None, Some(content)) => Put::Object(mode.to_owned(), git.write("blob", content.as_bytes())?),
        _ => return Err(refuse("Must supply either tree.sha or tree.content.")),
    };
    Ok((path.to_owned(), put))
}

/// A tree by its own name, or by a commit or a branch.
fn find_tree(git: &Git, name: &str) -> Result<Option<String>, Stop> {
    if git.is_kind(name, "tree")? {
        return Ok(Some(name.to_owned()));
    }
    let Some(commit) = git.find_commit(name)? else { return Ok(None) };
    Ok(Some(git.read_commit(&commit)?.tree))
}

pub(super) fn get_tree(state: &mut State, call: &Call<'_>) -> Answer {
    let tree = find_tree(&state.repo(call.key)?.git, call.param("tree_sha"))?.ok_or_else(Stop::not_found)?;
    // Any value means that it is wanted, even 0.
    let deep = call.query.get("recursive").is_some();
    Ok(Reply::new(200, tree_json(state, call, &tree, deep)?))
}

fn tree_json(state: &State, call: &Call<'_>, tree: &str, deep: bool) -> Result<Value, Stop> {
    let repo = state.repo(call.key)?;
    let all = repo.git.list_tree(tree, deep)?;
    let url = format!("{}/git", state.repo_url(repo));
    let form = |entry: &Entry| {
        let mut line = json!({
            "path": entry.path, "mode": entry.mode, "type": entry.kind, "sha": entry.sha,
            "url": format!("{url}/{}s/{}", entry.kind, entry.sha),
        });
        if let (Some(size), Some(line)) = (entry.size, line.as_object_mut()) {
            line.insert("size".to_owned(), json!(size));
        }
        line
    };
    let shown: Value = all.iter().take(MAX_ENTRIES).map(form).collect();
    let truncated = all.len() > MAX_ENTRIES;
    Ok(json!({"sha": tree, "url": format!("{url}/trees/{tree}"), "tree": shown, "truncated": truncated}))
}
