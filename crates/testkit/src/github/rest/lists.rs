//! The lists of pull requests and of issues, which may show late what is new.

use std::cmp::Reverse;

use crate::github::clock;
use crate::github::reply::{Answer, Stop};
use crate::github::state::{Item, PullState, State};

use super::Call;

pub(super) fn pulls(state: &mut State, call: &Call<'_>) -> Answer {
    let mut all = shown(state, call, |item| item.pull.is_some())?;

    if let Some(base) = call.query.get("base") {
        all.retain(|item| item.pull.as_ref().is_some_and(|pull| pull.base_ref == base));
    }
    // Without an owner the filter says nothing, and everything is listed.
    if let Some((owner, branch)) = call.query.get("head").and_then(|head| head.split_once(':')) {
        let of =
            |pull: &PullState| state.repo(pull.head_repo).map(|repo| repo.owner.eq_ignore_ascii_case(owner));
        all.retain(|item| {
            item.pull.as_ref().is_some_and(|pull| pull.head_ref == branch && of(pull).unwrap_or(false))
        });
    }
    // Newest first where they are sorted by age, and last where by anything else.
    let by_age = call.query.get("sort").is_none_or(|sort| sort == "created");
    sort(&mut all, call, by_age);
    let numbers = numbers(&all);
    state.paged(call, &numbers, |number| state.simple_pull_json(call.key, *number))
}

pub(super) fn issues(state: &mut State, call: &Call<'_>) -> Answer {
    let mut all = shown(state, call, |_| true)?;

    let query = |name: &str| call.query.get(name);
    if let Some(creator) = query("creator") {
        all.retain(|item| item.by.eq_ignore_ascii_case(creator));
    }
    match query("assignee") {
        Some("none") => all.retain(|item| item.assignees.is_empty()),
        Some("*") => all.retain(|item| !item.assignees.is_empty()),
        Some(login) => all.retain(|item| item.assignees.iter().any(|own| own.eq_ignore_ascii_case(login))),
        None => {}
    }
    for label in query("labels").into_iter().flat_map(|labels| labels.split(',')) {
        all.retain(|item| item.labels.iter().any(|own| own.eq_ignore_ascii_case(label.trim())));
    }
    if let Some(since) = query("since") {
        let (since, _) =
            clock::parse(since).ok_or_else(|| Stop::invalid_field("Issue", "since", "invalid"))?;
        all.retain(|item| item.updated_at >= since);
    }
    sort(&mut all, call, true);
    let numbers = numbers(&all);
    state.paged(call, &numbers, |number| state.issue_json(call.key, *number))
}

/// Those in the state that is asked for, without those that lists do not show yet.
fn shown(state: &mut State, call: &Call<'_>, kind: impl Fn(&Item) -> bool) -> Result<Vec<Item>, Stop> {
    let wanted = call.query.get("state").unwrap_or("open");
    let mut all = Vec::new();
    for item in state.repo_mut(call.key)?.items.values_mut() {
        if item.hidden_for > 0 {
            // One that waits to be told does not count.
            if item.hidden_for != u64::MAX {
                item.hidden_for -= 1;
            }
            continue;
        }
        let fits = wanted == "all" || item.open == (wanted == "open");
        if fits && kind(item) {
            all.push(item.clone());
        }
    }
    Ok(all)
}

fn sort(all: &mut [Item], call: &Call<'_>, newest_first: bool) {
    let by_update = call.query.get("sort") == Some("updated");
    let time = |item: &Item| (if by_update { item.updated_at } else { item.created_at }, item.number);
    let newest_first = call.query.get("direction").map_or(newest_first, |direction| direction != "asc");
    if newest_first {
        all.sort_by_key(|item| Reverse(time(item)));
    } else {
        all.sort_by_key(time);
    }
}

fn numbers(all: &[Item]) -> Vec<u64> {
    all.iter().map(|item| item.number).collect()
}
