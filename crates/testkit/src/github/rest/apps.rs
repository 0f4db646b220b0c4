//! Who one is: people, apps, installations; and tokens for installations.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::github::account::{Grant, Installation, Kind, Permissions};
use crate::github::clock;
use crate::github::ledger::What;
use crate::github::page::Page;
use crate::github::reply::{Answer, Reply, Stop};
use crate::github::shape::node_id;
use crate::github::state::{RepoKey, State};

use super::Call;

/// How long a token of an installation is good.
const HOUR: i64 = 3600;

pub(super) fn user(state: &mut State, call: &Call<'_>) -> Answer {
    let login = call.caller.login().ok_or_else(|| Stop::refuse(401, "Requires authentication"))?;
    Ok(Reply::new(200, state.public_user_json(login)))
}

pub(super) fn rate_limit(state: &mut State, call: &Call<'_>) -> Answer {
    Ok(Reply::new(200, state.limits_json(call.caller)))
}

pub(super) fn app(state: &mut State, call: &Call<'_>) -> Answer {
    let app = own_app(state, call)?;
    let (id, slug) = (app.id, app.slug.clone());
    let since = clock::text(0);
    let url = &state.url;
    Ok(Reply::new(
        200,
        json!({
            "id": id, "slug": slug, "node_id": node_id("A", id), "client_id": format!("Iv1.{id}"),
            "owner": state.user_json(&app.owner), "name": slug, "description": null, "external_url": url,
            "html_url": format!("{url}/apps/{slug}"), "created_at": since, "updated_at": since,
            "permissions": app.permissions, "events": [], "installations_count": 1,
        }),
    ))
}

fn own_app<'a>(state: &'a State, call: &Call<'_>) -> Result<&'a crate::github::account::App, Stop> {
    let crate::github::auth::Caller::App(id) = call.caller else { return Err(Stop::not_found()) };
    state.accounts.app(*id).ok_or_else(Stop::not_found)
}

fn own_installation(state: &State, call: &Call<'_>) -> Result<Installation, Stop> {
    let (app, id) = (own_app(state, call)?.id, call.number_param("installation_id")?);
    let found = state.accounts.installation(id).filter(|found| found.app == app);
    found.cloned().ok_or_else(Stop::not_found)
}

pub(super) fn installation(state: &mut State, call: &Call<'_>) -> Answer {
    let app = own_app(state, call)?.clone();
    let found = own_installation(state, call)?;
    let since = clock::text(0);
    let url = format!("{}/app/installations/{}", state.url, found.id);
    let target = state.accounts.user(&found.account).map_or(0, |user| user.id);
    let suspended = found.suspended.then(|| since.clone());
    Ok(Reply::new(
        200,
        json!({
            "id": found.id, "account": state.user_json(&found.account), "repository_selection": "all",
            "access_tokens_url": format!("{url}/access_tokens"),
            "repositories_url": format!("{}/installation/repositories", state.url), "html_url": url,
            "app_id": app.id, "app_slug": app.slug, "target_id": target, "target_type": "User",
            "permissions": app.permissions, "events": [], "created_at": since, "updated_at": since,
            "single_file_name": null, "suspended_by": null, "suspended_at": suspended,
        }),
    ))
}

pub(super) fn issue_token(state: &mut State, call: &Call<'_>) -> Answer {
    let app = own_app(state, call)?.clone();
    let found = own_installation(state, call)?;
    if found.suspended {
        return Err(Stop::refuse(403, "This installation has been suspended"));
    }
    let permissions = wanted_permissions(call, &app.permissions)?;
    let repos = wanted_repos(state, call, &found)?;
    let (id, expires) = (state.id(), state.clock.now() + HOUR);
    let token = format!("ghs_{id:036}");
    let login = format!("{}[bot]", app.slug);
    let of_repos = repos.is_some();
    let kind =
        Kind::Installation { installation: found.id, permissions: permissions.clone(), repos, expires };
    state.accounts.tokens.insert(token.clone(), Grant::new(id, &login, kind, 5000));
    state.effect((call.number, &login), None, What::TokenIssued);
    Ok(Reply::new(
        201,
        json!({
            "token": token, "expires_at": clock::text(expires), "permissions": permissions,
            "repository_selection": if of_repos { "selected" } else { "all" },
        }),
    ))
}

/// What is asked for, or all that the app has; never more.
fn wanted_permissions(call: &Call<'_>, all: &Permissions) -> Result<Permissions, Stop> {
    let Some(wanted) = call.body.get("permissions").and_then(Value::as_object) else {
        return Ok(all.clone());
    };
    let mut granted = BTreeMap::new();
    for (name, level) in wanted {
        let (level, most) = (level.as_str().unwrap_or_default(), all.get(name).map(String::as_str));
        if most != Some(level) && (most, level) != (Some("write"), "read") {
            return Err(Stop::refuse(422, "The permissions requested are not granted to this installation."));
        }
        granted.insert(name.clone(), level.to_owned());
    }
    granted.entry("metadata".to_owned()).or_insert_with(|| "read".to_owned());
    Ok(granted)
}

fn wanted_repos(state: &State, call: &Call<'_>, of: &Installation) -> Result<Option<Vec<String>>, Stop> {
    let refuse = || {
        Stop::refuse(
            422,
            "There is at least one repository that does not exist or is not accessible to the parent installation.",
        )
    };
    let mut names = Vec::new();
    for name in call.texts("repositories", "name").unwrap_or_default() {
        let key = state.named(&of.account, &name).ok_or_else(refuse)?;
        names.push(state.repo(key)?.full_name());
    }
    for id in call.body.get("repository_ids").and_then(Value::as_array).into_iter().flatten() {
        let mut own = state.repos.iter().filter(|repo| repo.owner.eq_ignore_ascii_case(&of.account));
        names.push(own.find(|repo| Some(repo.id) == id.as_u64()).ok_or_else(refuse)?.full_name());
    }
    Ok((!names.is_empty()).then_some(names))
}

pub(super) fn repositories(state: &mut State, call: &Call<'_>) -> Answer {
    let kind = state.grant(call.caller).map(|grant| grant.kind.clone());
    let Some(Kind::Installation { installation, repos, .. }) = kind else { return Err(Stop::not_found()) };
    let account =
        state.accounts.installation(installation).map(|found| found.account.clone()).unwrap_or_default();
    let listed = |key: &RepoKey| {
        state.repo(*key).is_ok_and(|repo| {
            let chosen = repos.as_ref().is_none_or(|names| names.contains(&repo.full_name()));
            repo.owner.eq_ignore_ascii_case(&account) && chosen
        })
    };
    let all: Vec<RepoKey> = (0..state.repos.len()).filter(listed).collect();
    let page = Page::of(&call.query);
    let shown = page.of_all(&all).iter().map(|key| state.repo_json(*key)).collect::<Result<Vec<_>, _>>()?;
    let selection = if repos.is_some() { "selected" } else { "all" };
    let body = json!({"total_count": all.len(), "repository_selection": selection, "repositories": shown});
    let reply = Reply::new(200, body);
    Ok(match state.links(call, page, all.len()) {
        Some(links) => reply.with("link", links),
        None => reply,
    })
}
