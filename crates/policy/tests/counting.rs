//! Policies on how much is done.

mod common;

use std::time::Duration;

use common::{at, no, passes};
use enact_core::action::EffectClass;
use enact_core::policy::Policy;
use enact_policy::{By, Case, MaxActionsPerRun, RateLimit, max_actions_per_run, rate_limit};
use serde_json::json;

fn post() -> Case {
    Case::action("slack", "post_message", json!({})).at(at("2026-11-25T12:00:00Z"))
}

#[test]
fn a_run_asks_for_as_many_actions_as_it_may() {
    let once = post().after("slack", "post_message", &json!({}));
    passes(&post(), &max_actions_per_run(1));
    no(&once, &max_actions_per_run(1));
    passes(&once, &max_actions_per_run(2));
    passes(&Case::run("any"), &max_actions_per_run(1));
}

#[test]
fn only_what_the_limit_is_for_counts() {
    let after = post().after("files", "read_file", &json!({})).after("slack", "delete_message", &json!({}));
    no(&after, &max_actions_per_run(2));
    passes(&after, &max_actions_per_run(2).on(["slack"]));
    no(&after, &max_actions_per_run(1).on(["slack"]));
    passes(&after, &max_actions_per_run(1).actions(["slack.post_message"]));
    let writes = || MaxActionsPerRun { max: 2, writes_only: true }.into_policy();
    no(&after, &writes());
    passes(&after.effect(EffectClass::ReadOnly), &writes());
}

#[test]
fn what_was_admitted_within_the_time_counts() {
    let policy = rate_limit(2, "1h", []);
    let one = post().admitted(at("2026-11-25T11:00:00Z"), "a@x", "files", "read_file");
    passes(&one, &policy);
    no(&one.clone().admitted(at("2026-11-25T11:59:00Z"), "b@x", "db", "insert_row"), &policy);
    passes(&one.admitted(at("2026-11-25T10:59:59Z"), "b@x", "db", "insert_row"), &policy);
    assert_eq!(policy.looks_back(), Duration::from_secs(3600));
}

#[test]
fn each_user_connector_and_action_can_be_counted_on_its_own() {
    let now = at("2026-11-25T12:00:00Z");
    let busy = post().admitted(now, "agent@example.com", "slack", "delete_message");
    let others = post().admitted(now, "other@example.com", "slack", "post_message");
    let elsewhere = post().admitted(now, "agent@example.com", "chat", "post_message");
    let spelled = post().admitted(now, "Agent@Example.com\u{200b}", "slack", "post_message");
    no(&spelled, &rate_limit(1, "1m", [By::User]));
    for (by, busy_denied, others_denied, elsewhere_denied) in [
        (vec![], true, true, true),
        (vec![By::User], true, false, true),
        (vec![By::Connector], true, true, false),
        (vec![By::Action], false, true, true),
        (vec![By::User, By::Connector, By::Action], false, false, false),
    ] {
        for (case, denied) in [(&busy, busy_denied), (&others, others_denied), (&elsewhere, elsewhere_denied)]
        {
            let policy = rate_limit(1, "1m", by.clone());
            if denied { drop(no(case, &policy)) } else { passes(case, &policy) }
        }
    }
}

#[test]
fn a_limit_on_some_actions_counts_only_those() {
    let now = at("2026-11-25T12:00:00Z");
    let case =
        post().admitted(now, "a@x", "db", "insert_row").admitted(now, "a@x", "slack", "delete_message");
    passes(&case, &rate_limit(1, "1m", []).actions(["slack.post_message"]));
    no(&case, &rate_limit(1, "1m", []).on(["slack"]));
    no(&case, &rate_limit(2, "1m", []).actions(["slack.*", "db.*"]));
    passes(&case, &rate_limit(1, "1m", []).actions(["db.*"]));
    passes(&case, &rate_limit(2, "1m", [By::Connector]).actions(["slack.*", "db.*"]));
}

#[test]
fn nonsense_is_refused() {
    for policy in [
        max_actions_per_run(0),
        rate_limit(0, "1m", []),
        rate_limit(1, "", []),
        rate_limit(1, "1", []),
        rate_limit(1, "0m", []),
        rate_limit(1, "-1m", []),
        rate_limit(1, "1 m", []),
        rate_limit(1, "1w", []),
        rate_limit(1, "99999999999999999999d", []),
        rate_limit(1, "32d", []),
        rate_limit(1, "1m", [By::User, By::User]),
        rate_limit(1, "1m", []).on(["slack"]).actions(["db.insert_row"]),
        RateLimit::default().into_policy(),
    ] {
        policy.check().expect_err("it is nonsense");
    }
}
