//! What the fields of an operation come to.

use serde_json::{Map, Value, json};

use crate::github::auth::{Caller, Needs};
use crate::github::deeds::{Actor, By};
use crate::github::git::{Update, ZEROS, is_ref_name};
use crate::github::reply::Stop;
use crate::github::shape::node_id;
use crate::github::state::{RepoKey, State};

use super::document::Field;

/// Why a field has no value.
#[derive(Debug)]
pub(super) enum Failed {
    /// The request ends by it.
    Stop(Stop),
    /// An error beside the data: GitHub's type of it, and a sentence.
    Said(&'static str, String),
}

impl From<Stop> for Failed {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Broken(why) => Self::Stop(Stop::Broken(why)),
            Stop::Refused(reply) => {
                let message =
                    reply.body.as_ref().and_then(|body| body.get("message")).and_then(Value::as_str);
                let kind = match reply.status {
                    401 | 403 => "FORBIDDEN",
                    404 => "NOT_FOUND",
                    _ => "UNPROCESSABLE",
                };
                Self::Said(kind, message.unwrap_or_default().to_owned())
            }
        }
    }
}

fn unprocessable<T>(message: impl Into<String>) -> Result<T, Failed> {
    Err(Failed::Said("UNPROCESSABLE", message.into()))
}

impl State {
    /// A field of the operation itself.
    pub(super) fn resolve(&mut self, actor: &Actor, caller: &Caller, field: &Field) -> Result<Value, Failed> {
        let text = |name: &str| field.arguments.get(name).and_then(Value::as_str).unwrap_or_default();
        match field.name.as_str() {
            "viewer" => Ok(pick(&self.graphql_user("User", &actor.login), &field.fields)),
            "repository" => {
                let (owner, name) = (text("owner"), text("name"));
                let renames = field.arguments.get("followRenames") != Some(&Value::Bool(false));
                let moved =
                    self.moved.get(&format!("{owner}/{name}").to_lowercase()).copied().filter(|_| renames);
                let key = self.named(owner, name).or(moved).filter(|key| self.sees(caller, *key));
                let none = || {
                    let message =
                        format!("Could not resolve to a Repository with the name '{owner}/{name}'.");
                    Failed::Said("NOT_FOUND", message)
                };
                self.graphql_repo(key.ok_or_else(none)?, &field.fields)
            }
            "updateRefs" => self.update_refs_field(actor, caller, field),
            _ => Ok(json!(if field.name == "__typename" { "Query" } else { "" })),
        }
    }

    fn graphql_user(&self, kind: &str, login: &str) -> Value {
        let id = self.accounts.user(login).map_or(0, |user| user.id);
        json!({"__typename": kind, "id": node_id("U", id), "databaseId": id, "login": login})
    }

    fn graphql_repo(&self, key: RepoKey, fields: &[Field]) -> Result<Value, Failed> {
        let repo = self.repo(key)?;
        let plain = json!({
            "__typename": "Repository", "id": node_id("R", repo.id), "databaseId": repo.id, "name": repo.name,
            "nameWithOwner": repo.full_name(), "isArchived": repo.archived,
        });
        let mut all = Map::new();
        for field in fields {
            let text = |name: &str| field.arguments.get(name).and_then(Value::as_str);
            let value = match field.name.as_str() {
                "owner" => pick(&self.graphql_user("User", &repo.owner), &field.fields),
                "defaultBranchRef" => {
                    self.graphql_ref(key, &format!("refs/heads/{}", repo.default_branch), &field.fields)?
                }
                "ref" => self.graphql_ref(
                    key,
                    &qualified(text("qualifiedName").unwrap_or_default()),
                    &field.fields,
                )?,
                "object" => {
                    let name = text("oid").or_else(|| text("expression")).unwrap_or_default();
                    match repo.git.find_commit(name)? {
                        Some(sha) => pick(&self.graphql_commit(key, &sha)?, &field.fields),
                        None => Value::Null,
                    }
                }
                name => plain.get(name).cloned().unwrap_or_default(),
            };
            all.insert(field.key.clone(), value);
        }
        Ok(Value::Object(all))
    }

    fn graphql_commit(&self, key: RepoKey, sha: &str) -> Result<Value, Failed> {
        let id = self.repo(key)?.id;
        Ok(json!({"__typename": "Commit", "id": node_id("C", format!("{id}:{sha}")), "oid": sha}))
    }

    fn graphql_ref(&self, key: RepoKey, name: &str, fields: &[Field]) -> Result<Value, Failed> {
        let repo = self.repo(key)?;
        let Some(found) = repo.git.ref_to(name)? else { return Ok(Value::Null) };
        let short =
            |prefix: &str| name.strip_prefix(prefix).map(|short| (prefix.to_owned(), short.to_owned()));
        let (prefix, short) = short("refs/heads/")
            .or_else(|| short("refs/tags/"))
            .unwrap_or_else(|| ("refs/".to_owned(), name.replacen("refs/", "", 1)));
        let plain = json!({
            "__typename": "Ref", "id": node_id("REF", format!("{}:{name}", repo.id)), "name": short, "prefix": prefix,
        });
        let mut all = Map::new();
        for field in fields {
            let value = match field.name.as_str() {
                "target" => pick(&self.graphql_commit(key, &found.sha)?, &field.fields),
                name => plain.get(name).cloned().unwrap_or_default(),
            };
            all.insert(field.key.clone(), value);
        }
        Ok(Value::Object(all))
    }

    /// All of the updates are made, or none.
    fn update_refs_field(&mut self, actor: &Actor, caller: &Caller, field: &Field) -> Result<Value, Failed> {
        let input = field.arguments.get("input").cloned().unwrap_or_default();
        let id = input.get("repositoryId").and_then(Value::as_str).unwrap_or_default();
        let key = self
            .repos
            .iter()
            .position(|repo| node_id("R", repo.id) == id)
            .filter(|key| self.sees(caller, *key));
        let none =
            || Failed::Said("NOT_FOUND", format!("Could not resolve to a node with the global id of '{id}'"));
        let key = key.ok_or_else(none)?;
        self.authorize(caller, key, Needs::Write("contents"))?;
        let wanted = input.get("refUpdates").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut updates: Vec<Update> = Vec::new();
        for wanted in &wanted {
            let update = self.wanted_update(key, wanted)?;
            if updates.iter().any(|other| other.name == update.name) {
                return unprocessable(format!("Ref {} is updated more than once", update.name));
            }
            updates.push(update);
        }
        updates.retain(|update| update.before != update.after);
        self.change_refs(actor, key, &updates, By::Push)?;
        let id = input.get("clientMutationId").cloned().unwrap_or_default();
        Ok(pick(&json!({"__typename": "UpdateRefsPayload", "clientMutationId": id}), &field.fields))
    }

    fn wanted_update(&self, key: RepoKey, wanted: &Value) -> Result<Update, Failed> {
        let text = |name: &str| wanted.get(name).and_then(Value::as_str);
        let (name, after) = (text("name").unwrap_or_default(), text("afterOid").unwrap_or_default());
        let git = &self.repo(key)?.git;
        if name.starts_with("refs/pull/") || !is_ref_name(git, name)? {
            return unprocessable(format!("{name} is not a valid ref name."));
        }
        let now = git.ref_to(name)?.map_or_else(|| ZEROS.to_owned(), |found| found.sha);
        if let Some(before) = text("beforeOid").filter(|before| *before != now) {
            return unprocessable(format!("Ref cannot be updated: {name} is at {now} and not at {before}"));
        }
        if after == ZEROS && now == ZEROS {
            return unprocessable(format!("Reference does not exist: {name}"));
        }
        if after != ZEROS {
            // GitHub takes nothing but commits here, not even for tags.
            match git.kind(after)?.as_deref() {
                Some("commit") => {}
                Some(kind) => return unprocessable(format!("Invalid object type {kind}, expected commit")),
                None => return unprocessable(format!("Object does not exist: {after}")),
            }
        }
        let moved = now != ZEROS && after != ZEROS && now != after;
        let force = wanted.get("force").and_then(Value::as_bool).unwrap_or(false);
        if moved && !force && !git.is_ancestor(&now, after)? {
            return unprocessable(format!("Update is not a fast forward: {name}"));
        }
        Ok(Update { name: name.to_owned(), before: now, after: after.to_owned() })
    }
}

/// A branch may be named without its prefix.
fn qualified(name: &str) -> String {
    if name.starts_with("refs/") { name.to_owned() } else { format!("refs/heads/{name}") }
}

/// The fields that are asked for.
fn pick(all: &Value, fields: &[Field]) -> Value {
    fields
        .iter()
        .map(|field| (field.key.clone(), all.get(&field.name).cloned().unwrap_or_default()))
        .collect::<Map<_, _>>()
        .into()
}
