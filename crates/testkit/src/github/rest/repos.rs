//! A repository, and the list of what has happened to its branches.

use serde_json::json;

use crate::github::clock;
use crate::github::page::Page;
use crate::github::reply::{Answer, Reply, Stop};
use crate::github::shape::node_id;
use crate::github::state::{Activity, State};

use super::Call;

pub(super) fn get(state: &mut State, call: &Call<'_>) -> Answer {
    Ok(Reply::new(200, state.full_repo_json(call.key, call.caller.login())?))
}

/// Pages here are known by the activity that they begin after: `after`, or that they end before: `before`.
pub(super) fn activity(state: &mut State, call: &Call<'_>) -> Answer {
    let wanted = |name: &str, value: &str| call.query.get(name).is_none_or(|wanted| wanted == value);
    let by_ref = |activity: &Activity| {
        call.query
            .get("ref")
            .is_none_or(|wanted| activity.name == wanted || activity.name == format!("refs/heads/{wanted}"))
    };
    let repo = state.repo(call.key)?;
    let fits = |activity: &&Activity| {
        by_ref(activity) && wanted("actor", &activity.by) && wanted("activity_type", activity.kind)
    };
    let mut all: Vec<&Activity> = repo.activities.iter().filter(fits).collect();
    if call.query.get("direction") != Some("asc") {
        all.reverse();
    }
    let place = |cursor: &str| {
        let id = cursor.parse().ok();
        let found = all.iter().position(|activity| Some(activity.id) == id);
        found.ok_or_else(|| Stop::refuse(422, "The cursor is invalid"))
    };
    let size = Page::of(&call.query).size;
    let start = match (call.query.get("after"), call.query.get("before")) {
        (Some(after), _) => place(after)? + 1,
        (None, Some(before)) => place(before)?.saturating_sub(size),
        (None, None) => 0,
    };
    let shown: Vec<&Activity> = all.iter().skip(start).take(size).copied().collect();
    let form = |activity: &&Activity| {
        json!({
            "id": activity.id, "node_id": node_id("PSH", activity.id), "before": activity.before,
            "after": activity.after, "ref": activity.name, "timestamp": clock::text(activity.at),
            "activity_type": activity.kind, "actor": state.user_json(&activity.by),
        })
    };
    let reply = Reply::new(200, shown.iter().map(form).collect());
    let url = format!("{}/repositories/{}/activity?per_page={size}", state.url, repo.id);
    let mut links = Vec::new();
    if let Some(last) = shown.last().filter(|_| start + size < all.len()) {
        links.push(format!("<{url}&after={}>; rel=\"next\"", last.id));
    }
    if let Some(first) = shown.first().filter(|_| start > 0) {
        links.push(format!("<{url}&before={}>; rel=\"prev\"", first.id));
    }
    Ok(if links.is_empty() { reply } else { reply.with("link", links.join(", ")) })
}
