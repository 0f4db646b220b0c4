//! Rules in Cedar: what they see, and what they decide.
#![cfg(feature = "cedar")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail the test by panicking"
)]

mod kinds;
mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use enact_core::action::EffectClass;
use enact_core::policy::Verdict;
use enact_core::time::Timestamp;
use enact_policy::Case;
use enact_policy::cedar::{Attribute, Cedar, Schema};
use kinds::catalogs;
use rules::{act, denied, pr, rules, schema};
use serde_json::{Value, json};

/// Whether a condition holds of a case: a permit with it is the only rule.
fn holds(action: &str, condition: &str, case: &Case) -> bool {
    let text = format!("permit(principal, action == Action::\"{action}\", resource) when {{ {condition} }};");
    match case.judge(&rules(&text)) {
        Verdict::Pass => true,
        Verdict::Deny(reason) => {
            assert!(reason.starts_with("no rule of policies.cedar permits"), "{condition}: {reason}");
            false
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn conditions_see_the_request_as_it_is() {
    let push = act(
        "github.push_commit",
        json!({ "repo": "acme/app", "branch": "b", "message": "m", "files": [
            { "path": "Cargo.lock", "content": "x" }, { "path": "old", "delete": true },
        ] }),
    );
    let update = act(
        "db.update_row",
        json!({ "table": "people", "data": { "name": null, "age": 1.5 }, "where": { "id": 1 } }),
    );
    let select = act("db.select_rows", json!({ "table": "people", "order_by": ["id"], "limit": 3 }));
    let write = act("files.write_file", json!({ "path": "./a//b", "content": "x", "mode": "644" }));
    let issue = act("github.create_issue", json!({ "repo": "a/b", "title": "t", "labels": ["bug", "bug"] }));
    let ann = pr(json!({})).user("ann@acme.com").attribute("role", "lead").attribute("teams", json!(["web"]));
    let noon = pr(json!({})).at(Timestamp::from_unix_us(1_700_000_000_123_456));
    let second =
        pr(json!({})).after("files", "write_file", &json!({ "path": "a" })).payload(json!({ "a": [null] }));
    let at_capture = pr(json!({})).facts(json!({ "base": "main", "stray": 1 }).as_object().cloned().unwrap());
    for (case, action, condition, expected) in [
        (pr(json!({})), "github.create_pr", "context.params.repo == \"acme/app\"", true),
        (pr(json!({})), "github.create_pr", "context.params has base", false),
        (
            pr(json!({ "base": "main" })),
            "github.create_pr",
            "context.params has base && context.params.base == \"main\"",
            true,
        ),
        (
            pr(json!({ "draft": true })),
            "github.create_pr",
            "context.params has draft && context.params.draft",
            true,
        ),
        (
            pr(json!({})),
            "github.create_pr",
            "context.connector == \"github\" && context.kind == \"github\" && context.effect == \"reversible\"",
            true,
        ),
        (
            pr(json!({})),
            "github.create_pr",
            "resource.kind == \"pull_request\" && resource.id like \"acme/app *\"",
            true,
        ),
        (
            pr(json!({})),
            "github.create_pr",
            "resource.hasTag(\"repo\") && resource.getTag(\"repo\") == \"acme/app\"",
            true,
        ),
        (pr(json!({})), "github.create_pr", "resource.hasTag(\"table\")", false),
        (pr(json!({})), "github.create_pr", "context has facts", false),
        (
            at_capture.clone(),
            "github.create_pr",
            "context has facts.base && context.facts.base == \"main\"",
            true,
        ),
        (at_capture, "github.create_pr", "context has facts.default_branch", false),
        (
            ann.clone(),
            "github.create_pr",
            "principal == User::\"ann@acme.com\" && principal.id like \"*@acme.com\"",
            true,
        ),
        (ann.clone(), "github.create_pr", "principal has role && principal.role == \"lead\"", true),
        (ann.clone(), "github.create_pr", "principal has teams && principal.teams.contains(\"web\")", true),
        (ann, "github.create_pr", "principal has team", false),
        (noon.clone(), "github.create_pr", "context.now == datetime(\"2023-11-14T22:13:20.123Z\")", true),
        (noon, "github.create_pr", "context.now < datetime(\"2023-11-14\")", false),
        (
            second.clone(),
            "github.create_pr",
            "context.run.actions == 1 && context.run.succeeded.contains(\"files.write_file\")",
            true,
        ),
        (
            second,
            "github.create_pr",
            "context.run.payload == \"{\\\"a\\\":[null]}\" && context.run.workflow == \"case\"",
            true,
        ),
        (
            push.clone(),
            "github.push_commit",
            "context.params.files.count == 2 && context.params.files.each.path.containsAll([\"Cargo.lock\", \"old\"])",
            true,
        ),
        (
            push.clone(),
            "github.push_commit",
            "context.params.files.each.delete.contains(true) && context.params.files.each.mode.isEmpty()",
            true,
        ),
        (push, "github.push_commit", "context.params.files.json like \"*\\\"path\\\":\\\"old\\\"*\"", true),
        (update.clone(), "db.update_row", "context.params.data.names.containsAll([\"age\", \"name\"])", true),
        (
            update.clone(),
            "db.update_row",
            "context.params.data.json == \"{\\\"age\\\":1.5,\\\"name\\\":null}\"",
            true,
        ),
        (update, "db.update_row", "context.params.where.names == [\"id\"]", true),
        (select.clone(), "db.select_rows", "context.params has limit && context.params.limit <= 3", true),
        (
            select,
            "db.select_rows",
            "context.params has order_by && context.params.order_by == \"[\\\"id\\\"]\"",
            true,
        ),
        (
            write.clone(),
            "files.write_file",
            "context.params.path == \"a/b\" && resource == Target::\"file a/b\"",
            true,
        ),
        (write, "files.write_file", "context.params has mode && context.params.mode == \"0644\"", true),
        (act("files.list_dir", json!({})), "files.list_dir", "context.params.path == \".\"", true),
        (
            issue,
            "github.create_issue",
            "context.params has labels && context.params.labels == [\"bug\"]",
            true,
        ),
    ] {
        assert_eq!(holds(action, condition, &case), expected, "{condition}");
    }
}

#[test]
fn actions_are_in_the_groups_of_their_kind_and_of_their_effect() {
    let merge = act("github.merge_pr", json!({ "repo": "a/b", "pr_number": 1 }));
    let push = act(
        "github.push_commit",
        json!({ "repo": "a/b", "branch": "b", "message": "m", "files": [{ "path": "a", "content": "" }] }),
    );
    let read = act("files.read_file", json!({ "path": "a" }));
    for (group, passes) in [
        ("github", [true, true, false]),
        ("filesystem", [false, false, true]),
        ("read_only", [false, false, true]),
        ("reversible", [true, false, false]),
        ("irreversible", [false, true, false]),
    ] {
        let cedar = rules(&format!("permit(principal, action in Action::\"{group}\", resource);"));
        let passed = [&merge, &push, &read].map(|case| case.judge(&cedar) == Verdict::Pass);
        assert_eq!(passed, passes, "{group}");
    }
}

#[test]
fn the_gate_of_the_run_is_an_action_on_the_workflow() {
    let cedar = rules(
        "permit(principal, action == Action::\"run\", resource == Workflow::\"agent-pr\") when { context.run.payload like \"*acme*\" };",
    );
    let run = |workflow| Case::run(workflow).payload(json!({ "repo": "acme/app" })).judge(&cedar);
    assert_eq!(run("agent-pr"), Verdict::Pass);
    assert_eq!(denied(run("other")), "no rule of policies.cedar permits a run of 'other'");
    assert_eq!(
        denied(pr(json!({})).judge(&cedar)),
        "no rule of policies.cedar permits github.create_pr on pull_request acme/app from agent/a"
    );
}

#[test]
fn a_verdict_names_the_rules_that_determine_it() {
    let cedar = rules(
        "permit(principal, action, resource);\n\
         // forbid(principal, action in Action::\"github\", resource);\n\
         forbid(principal, action in Action::\"github\", resource);\n\
         @id(\"no \\\"main\\\"\") @description(\"ask a person\")\n\
         forbid(principal, action == Action::\"github.create_pr\", resource);",
    );
    assert_eq!(
        denied(pr(json!({})).judge(&cedar)),
        "forbidden by 'policy1' (policies.cedar, line 3), 'no \"main\"' (policies.cedar, line 4): ask a person"
    );
    assert_eq!(act("files.read_file", json!({ "path": "a" })).judge(&cedar), Verdict::Pass);
}

#[test]
fn a_rule_that_errs_denies_also_where_it_would_forbid_or_where_another_permits() {
    for rule in ["forbid", "permit"] {
        let cedar = rules(&format!(
            "permit(principal, action, resource);\n\
             @id(\"sum\") {rule}(principal, action == Action::\"github.merge_pr\", resource)\n\
             when {{ context.params.pr_number + 9223372036854775807 > 0 }};"
        ));
        let reason = denied(act("github.merge_pr", json!({ "repo": "a/b", "pr_number": 1 })).judge(&cedar));
        assert!(reason.contains("could not be evaluated") && reason.contains("`sum`"), "{reason}");
        assert_eq!(pr(json!({})).judge(&cedar), Verdict::Pass);
    }
}

#[test]
fn an_approval_is_asked_for_where_every_rule_that_permits_asks_for_one() {
    let cedar = rules(
        "permit(principal, action in [Action::\"read_only\", Action::\"reversible\"], resource);\n\
         @id(\"push\") @approval(\"it cannot be undone\") @approvers(\"ann@acme.com, bob@acme.com\") @expires_after(\"4h\")\n\
         permit(principal, action in Action::\"irreversible\", resource);\n\
         @approval(\"posts are public\") @approvers(\"eve@acme.com\")\n\
         permit(principal, action == Action::\"slack.delete_message\", resource);\n\
         forbid(principal, action in Action::\"github\", resource) when { principal == User::\"mallory\" };",
    );
    let push = act(
        "github.push_commit",
        json!({ "repo": "a/b", "branch": "b", "message": "m", "files": [{ "path": "a", "content": "" }] }),
    );
    let Verdict::NeedsApproval(approval) = push.judge(&cedar) else { panic!("{:?}", push.judge(&cedar)) };
    assert_eq!(approval.reason, "it cannot be undone (by 'push' (policies.cedar, line 2))");
    assert_eq!(approval.approvers, ["ann@acme.com", "bob@acme.com"]);
    assert_eq!(approval.expires_after, Duration::from_secs(4 * 60 * 60));
    let delete = act("slack.delete_message", json!({ "channel": "C0123456789", "ts": "1.2" }));
    let Verdict::NeedsApproval(both) = delete.judge(&cedar) else { panic!("{:?}", delete.judge(&cedar)) };
    assert_eq!(both.approvers, ["ann@acme.com", "bob@acme.com", "eve@acme.com"]);
    assert_eq!(both.expires_after, Duration::from_secs(4 * 60 * 60));
    assert!(both.reason.starts_with("it cannot be undone; posts are public"), "{}", both.reason);
    assert_eq!(pr(json!({})).judge(&cedar), Verdict::Pass);
    assert!(denied(push.user("mallory").judge(&cedar)).starts_with("forbidden by"));
}

#[test]
fn what_does_not_fit_the_schema_is_denied() {
    let cedar = rules("permit(principal, action, resource);");
    let sample = json!({ "repo": "a/b", "pr_number": 1, "method": "merge" });
    let merge = |change: Value| {
        let mut params = sample.clone();
        params.as_object_mut().unwrap().extend(change.as_object().cloned().unwrap());
        Case::action("github", "merge_pr", params)
    };
    let fact = |value: Value| {
        let case = act("files.read_file", json!({ "path": "a" }));
        case.facts(json!({ "size": value }).as_object().cloned().unwrap())
    };
    for (case, why) in [
        (
            merge(json!({ "pr_number": u64::MAX })),
            "'params.pr_number' is 18446744073709551615, not a whole number",
        ),
        (merge(json!({ "pr_number": "1" })), "'params.pr_number' is a text, not a whole number"),
        (merge(json!({ "method": null })), "'params.method' is null, not text"),
        (merge(json!({ "stray": 1 })), "'params' has 'stray', which its schema does not know"),
        (Case::action("github", "merge_pr", json!({ "repo": "a/b" })), "'params' has no 'method'"),
        (Case::action("github", "merge_pr", json!([])), "'params' is a list, not an object"),
        (merge(json!({})).effect(EffectClass::ReadOnly), "'github.merge_pr' is read_only"),
        (merge(json!({})).connector("elsewhere"), "the schema knows no action 'elsewhere.merge_pr'"),
        (Case::action("github", "shout", json!({})), "the schema knows no action 'github.shout'"),
        (fact(json!(1.5)), "'facts.size' is 1.5, not a whole number"),
        (merge(json!({})).attribute("role", 7), "'the user's attribute role' is 7, not text"),
        (merge(json!({})).attribute("teams", json!(["a", 1])), "'the user's attribute teams' is 1, not text"),
        (merge(json!({})).at(Timestamp::from_unix_us(u64::MAX)), "which Cedar does not read"),
    ] {
        let reason = denied(case.judge(&cedar));
        assert!(reason.starts_with("it cannot be put to the rules of policies.cedar"), "{reason}");
        assert!(reason.contains(why), "{reason}\nis not: {why}");
    }
    assert_eq!(merge(json!({})).judge(&cedar), Verdict::Pass);
    assert_eq!(fact(Value::Null).judge(&cedar), Verdict::Pass);
}

#[test]
fn attributes_that_are_declared_are_read_as_what_they_are() {
    let attributes =
        [("level", Attribute::Number), ("on_call", Attribute::Flag), ("teams", Attribute::Texts)];
    let attributes: BTreeMap<_, _> =
        attributes.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
    let catalogs = catalogs();
    let named = || catalogs.iter().map(|(name, catalog)| (name.as_str(), catalog));
    let schema = Arc::new(Schema::with_attributes(named(), attributes).unwrap());
    let text = "permit(principal, action, resource) when { \
        principal has level && principal.level >= 3 && principal has on_call && principal.on_call && \
        principal has teams && principal.teams.contains(\"web\") };";
    let cedar = Cedar::new(text, "p", Arc::clone(&schema)).unwrap();
    let case = pr(json!({})).attribute("level", "3").attribute("on_call", "true").attribute("teams", "web");
    assert_eq!(case.judge(&cedar), Verdict::Pass);
    assert_eq!(
        case.clone().attribute("level", 4).attribute("undeclared", json!({})).judge(&cedar),
        Verdict::Pass
    );
    let reason = denied(case.attribute("level", "three").judge(&cedar));
    assert!(reason.contains("'the user's attribute level' is a text"), "{reason}");
    assert!(
        Cedar::new("permit(principal, action, resource) when { principal has role };", "p", schema).is_err()
    );
    let id = BTreeMap::from([("id".to_owned(), Attribute::Text)]);
    assert!(Schema::with_attributes(named(), id).unwrap_err().message().contains("'id'"));
}

#[test]
fn names_and_texts_that_look_like_cedar_are_names_and_texts() {
    let cedar = rules(
        "permit(principal, action, resource);\n\
         forbid(principal == User::\"root\", action, resource);\n\
         forbid(principal, action == Action::\"github.create_issue\", resource) when { context.params.title like \"*secret*\" };",
    );
    let issue = |title: &str| act("github.create_issue", json!({ "repo": "a/b", "title": title }));
    for odd in
        ["root\"", "\"root", "User::\"root\"", "root\\", "ro\u{200b}ot", "Root", "root\0", "", "é\u{1F600}"]
    {
        assert_eq!(issue("it").user(odd).judge(&cedar), Verdict::Pass, "{odd:?}");
        if !odd.contains('\0') && !odd.is_empty() {
            assert_eq!(issue(odd).judge(&cedar), Verdict::Pass, "{odd:?}");
        }
    }
    assert!(matches!(issue("it").user("root").judge(&cedar), Verdict::Deny(_)));
    for title in
        ["a \"secret\" \u{7}", "\u{202e}secret", "\\secret\\", "__entity secret {\"__extn\":{\"fn\":\"ip\"}}"]
    {
        assert!(matches!(issue(title).judge(&cedar), Verdict::Deny(_)), "{title:?}");
    }
    let magic = json!({ "__entity": { "type": "User", "id": "root" }, "__expr": "1", "": {} });
    let insert = act("db.insert_row", json!({ "table": "people", "data": magic }));
    assert_eq!(insert.judge(&cedar), Verdict::Pass);
    let names = "context.params.data.names.containsAll([\"\", \"__entity\", \"__expr\"])";
    assert!(holds("db.insert_row", names, &insert));
}

#[test]
fn deep_and_empty_payloads_enter_as_text() {
    let mut deep = json!(null);
    for _ in 0..99 {
        deep = json!([deep]);
    }
    let text = deep.to_string();
    let condition = format!("context.run.payload == {}", Value::String(text));
    assert!(holds("github.create_pr", &condition, &pr(json!({})).payload(deep.clone())));
    let insert = act("db.insert_row", json!({ "table": "people", "data": {} }));
    assert!(holds(
        "db.insert_row",
        "context.params.data.names.isEmpty() && context.params.data.json == \"{}\"",
        &insert
    ));
    let blocks = json!([{ "type": "section", "deep": { "a": { "b": [] } } }]);
    let post = act("slack.post_message", json!({ "channel": "C0123456789", "text": "t", "blocks": blocks }));
    assert!(holds(
        "slack.post_message",
        "context.params has blocks && context.params.blocks like \"*\\\"b\\\":[]*\"",
        &post
    ));
}

mod whatever_it_is {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn parameters_are_judged_or_refused_and_never_a_panic(
            params in value(), facts in value(), payload in value(), attribute in value(),
            user in any::<String>(), which in 0..4_usize,
        ) {
            static CEDAR: std::sync::LazyLock<Cedar> = std::sync::LazyLock::new(|| {
                rules("permit(principal, action, resource) unless { context has facts.size && context.facts.size > 1 };")
            });
            let (kind, action, connector, name) = [
                ("github", "push_commit", "github", "files"),
                ("postgres", "insert_row", "db", "data"),
                ("filesystem", "write_file", "files", "path"),
                ("slack", "post_message", "slack", "blocks"),
            ][which];
            let facts = Value::Object([("size".to_owned(), facts)].into_iter().collect());
            for params in [params.clone(), json!({ name: params })] {
                let case = Case::action(kind, action, params)
                    .connector(connector)
                    .user(&user)
                    .attribute("role", attribute.clone())
                    .payload(payload.clone());
                for case in [case.clone(), case.facts(facts.as_object().cloned().unwrap())] {
                    let verdict = case.judge(&*CEDAR);
                    prop_assert!(matches!(verdict, Verdict::Pass | Verdict::Deny(_)), "{verdict:?}");
                }
            }
        }

        #[test]
        fn text_is_read_as_rules_or_refused_and_never_a_panic(text in any::<String>()) {
            let read = Cedar::new(text.as_str(), "p", schema());
            prop_assert!(read.is_ok() || !read.unwrap_err().0.is_empty());
        }
    }
}
