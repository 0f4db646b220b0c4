//! What a person has to approve.

mod common;

use std::time::Duration;

use common::{asks, facts, no, passes};
use enact_core::action::{EffectClass, Facts};
use enact_core::policy::APPROVAL_EXPIRES_AFTER;
use enact_policy::{Case, Effect, RequireApproval, require_approval};
use serde_json::{Value, json};

fn merge() -> Case {
    Case::action("github", "merge_pr", json!({}))
}

fn found(rows: u64, irreversible: Value) -> Facts {
    facts(json!({ "rows": rows, "cascades": { "public.u": 1 }, "irreversible": irreversible }))
}

fn update() -> Case {
    Case::action("postgres", "update_row", json!({})).connector("db")
}

#[test]
fn actions_are_approved_by_name_once_at_the_gate_of_their_parameters() {
    let policy = require_approval(["github.merge_pr", "slack.*"]);
    let asked = asks(&merge(), &policy);
    assert_eq!(asked.reason, "github.merge_pr needs approval");
    assert_eq!((asked.approvers.len(), asked.expires_after), (0, APPROVAL_EXPIRES_AFTER));
    asks(&Case::action("slack", "post_message", json!({})), &policy);
    passes(&merge().facts(facts(json!({}))), &policy);
    passes(&Case::action("github", "create_pr", json!({})), &policy);
    passes(&Case::run("any"), &policy);
}

#[test]
fn approvers_and_a_time_can_be_given() {
    let policy = RequireApproval {
        approvers: vec!["ann@x".into()],
        expires_after: Some("4h".into()),
        ..RequireApproval::default()
    };
    let asked = asks(&merge(), &policy.into_policy().actions(["github.merge_pr"]));
    assert_eq!(
        (asked.approvers, asked.expires_after),
        (vec!["ann@x".to_owned()], Duration::from_secs(4 * 3600))
    );
}

#[test]
fn what_cannot_be_undone_is_approved_whenever_that_is_known() {
    let policy =
        RequireApproval { effect: Some(Effect::Irreversible), ..RequireApproval::default() }.into_policy();
    asks(&merge().effect(EffectClass::Irreversible), &policy);
    passes(&merge().effect(EffectClass::Irreversible).facts(facts(json!({}))), &policy);
    passes(&merge(), &policy);
    passes(&merge().facts(facts(json!({}))), &policy);
    // A table without a key: only capture knows.
    passes(&update(), &policy);
    passes(&update().facts(found(1, json!(null))), &policy);
    asks(&update().facts(found(1, json!("public.t has no primary key"))), &policy);
    no(&update().facts(facts(json!({ "rows": 1 }))), &policy);
    no(&update().facts(found(1, json!(7))), &policy);
}

#[test]
fn changes_of_many_rows_are_approved_where_they_were_counted() {
    let policy = RequireApproval { rows_above: Some(10), ..RequireApproval::default() }.into_policy();
    passes(&update(), &policy);
    passes(&update().facts(found(9, json!(null))), &policy);
    let asked = asks(&update().facts(found(10, json!(null))), &policy);
    assert_eq!(asked.reason, "db.update_row changes 11 rows, more than 10, and needs approval");
    no(&update().facts(facts(json!({ "rows": 100 }))), &policy);
    passes(&merge().facts(facts(json!({}))), &policy);
}

#[test]
fn all_conditions_have_to_hold() {
    let writes = || {
        RequireApproval { effect: Some(Effect::Write), ..RequireApproval::default() }
            .into_policy()
            .actions(["db.*"])
    };
    asks(&update(), &writes());
    passes(&update().effect(EffectClass::ReadOnly), &writes());
    passes(&merge(), &writes());
    let both = RequireApproval {
        effect: Some(Effect::Irreversible),
        rows_above: Some(10),
        ..RequireApproval::default()
    };
    let both = both.into_policy();
    passes(&update().facts(found(5, json!("no key"))), &both);
    passes(&update().facts(found(50, json!(null))), &both);
    asks(&update().facts(found(50, json!("no key"))), &both);
    asks(&update().effect(EffectClass::Irreversible).facts(found(50, json!(null))), &both);
}

#[test]
fn a_run_is_approved_as_a_whole() {
    let all = RequireApproval { runs: true, ..RequireApproval::default() }.into_policy();
    asks(&Case::run("any"), &all);
    passes(&merge(), &all);
    let some =
        RequireApproval { workflows: vec!["deploy".into()], ..RequireApproval::default() }.into_policy();
    asks(&Case::run("deploy"), &some);
    passes(&Case::run("other"), &some);
}

#[test]
fn nonsense_is_refused() {
    let time = |text: &str| RequireApproval {
        runs: true,
        expires_after: Some(text.into()),
        ..RequireApproval::default()
    };
    for policy in [
        RequireApproval::default().into_policy(),
        RequireApproval { runs: true, ..RequireApproval::default() }.into_policy().on(["db"]),
        RequireApproval { runs: true, rows_above: Some(1), ..RequireApproval::default() }.into_policy(),
        RequireApproval { runs: true, approvers: vec![String::new()], ..RequireApproval::default() }
            .into_policy(),
        time("0h").into_policy(),
        time("soon").into_policy(),
        time("31d").into_policy(),
        require_approval(["merge_pr"]),
        require_approval(["github.merge_*"]),
        require_approval(Vec::<String>::new()),
    ] {
        policy.check().expect_err("it is nonsense");
    }
}
