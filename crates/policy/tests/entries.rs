//! Policies from the entries of `enact.toml`.

mod common;

use enact_core::policy::{Policy, Verdict};
use enact_policy::{Case, Connectors, Effect, RequireApproval, dont_push_to_main, from_entries, names};
use serde_json::{Value, json};

fn connectors() -> Connectors {
    Connectors::default()
        .with("hub", "github", &["push_commit", "merge_pr", "delete_branch", "create_branch"])
        .with("db", "postgres", &["select_rows", "update_row", "delete_row"])
        .with("slack", "slack", &["post_message"])
}

fn all() -> Vec<Value> {
    vec![
        json!({ "name": "dont_push_to_main", "branches": ["main", "release/*"], "repos": ["octo/*"] }),
        json!({ "name": "require_branch_prefix", "prefix": "agent/", "connectors": ["hub"] }),
        json!({ "name": "max_files_per_commit", "max": 20 }),
        json!({ "name": "dont_delete_branch" }),
        json!({ "name": "dont_merge_to_main" }),
        json!({ "name": "dont_delete_row", "tables": ["users"] }),
        json!({ "name": "protect_tables", "tables": ["billing.*"], "reads": true }),
        json!({ "name": "max_rows_affected", "max": 100 }),
        json!({ "name": "dont_delete_file", "paths": ["migrations/**"] }),
        json!({ "name": "restrict_paths", "allow": ["src/**"], "deny": ["**/*.pem"] }),
        json!({ "name": "block_extensions", "extensions": ["exe"] }),
        json!({ "name": "require_channel_allowlist", "channels": ["#general"] }),
        json!({ "name": "block_dms" }),
        json!({ "name": "require_user_role", "roles": ["dev"], "actions": ["*.delete_row"] }),
        json!({ "name": "within_maintenance_window", "days": ["sat"], "from": "22:00", "to": "04:00", "time_zone": "Europe/Berlin" }),
        json!({ "name": "code_freeze_active", "from": "2026-12-20", "until": "2027-01-01", "time_zone": "UTC", "exempt_roles": ["ops"] }),
        json!({ "name": "no_secrets_in_content", "generic": true }),
        json!({ "name": "max_actions_per_run", "max": 50 }),
        json!({ "name": "rate_limit", "max": 30, "per": "1h", "by": ["user", "action"], "connectors": ["slack"] }),
        json!({ "name": "require_approval", "effect": "irreversible", "approvers": ["ann@x"], "expires_after": "4h" }),
    ]
}

#[test]
fn every_built_in_policy_can_be_configured() {
    let policies = from_entries(all(), &connectors()).unwrap();
    let mut configured: Vec<&str> = policies.iter().map(|policy| policy.name()).collect();
    configured.sort_unstable();
    assert_eq!(configured, names().collect::<Vec<_>>());
}

/// Every action of the contract, by kind.
const ACTIONS: [(&str, &[&str]); 4] = [
    ("github", &["create_branch", "create_pr", "create_issue", "delete_branch", "merge_pr", "push_commit"]),
    ("postgres", &["select_rows", "insert_row", "update_row", "delete_row"]),
    ("filesystem", &["read_file", "write_file", "delete_file", "list_dir"]),
    ("slack", &["post_message", "delete_message"]),
];

#[test]
fn case_04_what_a_policy_cannot_read_is_a_no_and_never_a_panic() {
    let named = |name: &str| {
        let mut entry = all().into_iter().find(|entry| entry["name"] == name).unwrap();
        // For every connector: the names of the cases are those of the kinds.
        for key in ["connectors", "actions", "repos"] {
            entry.as_object_mut().unwrap().remove(key);
        }
        from_entries([entry], &Connectors::default()).unwrap().remove(0)
    };
    for (name, actions) in [
        ("dont_push_to_main", &["create_branch", "delete_branch", "push_commit"] as &[_]),
        ("require_branch_prefix", &["create_branch", "create_pr", "delete_branch", "push_commit"]),
        ("max_files_per_commit", &["push_commit", "merge_pr"]),
        ("dont_delete_branch", &["delete_branch"]),
        ("dont_merge_to_main", &["merge_pr"]),
        ("dont_delete_row", &["delete_row"]),
        ("protect_tables", &["select_rows", "insert_row", "update_row", "delete_row"]),
        ("max_rows_affected", &["insert_row", "update_row", "delete_row"]),
        ("dont_delete_file", &["delete_file", "push_commit", "merge_pr"]),
        (
            "restrict_paths",
            &["read_file", "write_file", "delete_file", "list_dir", "push_commit", "merge_pr"],
        ),
        ("block_extensions", &["write_file", "push_commit", "merge_pr"]),
        ("require_channel_allowlist", &["post_message", "delete_message"]),
        ("block_dms", &["post_message", "delete_message"]),
        ("no_secrets_in_content", &[]),
        ("require_approval", &["insert_row", "update_row", "delete_row"]),
    ] {
        let policy = named(name);
        for (kind, action) in
            ACTIONS.iter().flat_map(|(kind, actions)| actions.iter().map(move |action| (kind, action)))
        {
            for odd in [
                json!({}),
                json!(null),
                json!([]),
                json!({ "repo": 1, "branch": [], "files": {}, "path": {}, "table": 2, "channel": null, "head": true }),
            ] {
                let case = Case::action(kind, action, odd).facts(serde_json::Map::new());
                let verdict = case.judge(&*policy);
                assert_eq!(
                    matches!(verdict, Verdict::Deny(_)),
                    actions.contains(action),
                    "{name} on {action}: {verdict:?}"
                );
            }
        }
    }
}

#[test]
fn a_configured_policy_judges_as_one_that_was_made() {
    let policies = from_entries([all().swap_remove(1)], &connectors()).unwrap();
    let push = |connector, branch| {
        Case::action("github", "push_commit", json!({ "repo": "octo/app", "branch": branch }))
            .connector(connector)
    };
    assert!(matches!(push("hub", "main").judge(&*policies[0]), Verdict::Deny(_)));
    assert_eq!(push("hub", "agent/x").judge(&*policies[0]), Verdict::Pass);
    assert_eq!(push("other", "main").judge(&*policies[0]), Verdict::Pass);
}

#[test]
fn what_is_wrong_names_the_entry_the_policy_and_the_key() {
    for (entry, says) in [
        (json!({ "name": "require_branch_prefix" }), "'prefix' is missing"),
        (json!({ "name": "require_branch_prefix", "prefix": "" }), "'prefix' is empty"),
        (json!({ "name": "require_branch_prefix", "prefix": 1 }), "'prefix': invalid type"),
        (
            json!({ "name": "require_branch_prefix", "prefx": "a" }),
            "'prefx' is not one of its keys (expected `prefix` or `repos`",
        ),
        (json!({ "name": "max_files_per_commit", "max": 0 }), "'max' is 0"),
        (json!({ "name": "max_files_per_commit", "max": -1 }), "'max': invalid value"),
        (json!({ "name": "max_rows_affected", "max": "many" }), "'max': invalid type"),
        (json!({ "name": "protect_tables", "tables": [] }), "'tables' is empty"),
        (json!({ "name": "protect_tables", "tables": "users" }), "'tables': invalid type"),
        (json!({ "name": "rate_limit", "max": 1, "per": "1w" }), "'per': '1w' is no time"),
        (
            json!({ "name": "rate_limit", "max": 1, "per": "1m", "by": ["team"] }),
            "'by[0]': unknown variant `team`",
        ),
        (json!({ "name": "require_approval" }), "nothing says what needs approval"),
        (
            json!({ "name": "within_maintenance_window", "time_zone": "UTC", "windows": [{ "from": "09:00" }] }),
            "'to' is missing in 'windows[0]'",
        ),
        (
            json!({ "name": "dont_push_to_main", "connectors": ["github"] }),
            "there is no connector 'github'; there are: db, hub, slack",
        ),
        (
            json!({ "name": "dont_push_to_main", "connectors": ["db"] }),
            "'db' is of the kind postgres, and this policy is for github",
        ),
        (json!({ "name": "dont_push_to_main", "connectors": [] }), "'connectors' is empty"),
        (json!({ "name": "dont_push_to_main", "connectors": "hub" }), "'connectors': invalid type"),
        (
            json!({ "name": "require_approval", "actions": ["hub.merge_prs"] }),
            "no connector has an action for 'hub.merge_prs'",
        ),
        (json!({ "name": "require_approval", "actions": ["github.*"] }), "there is no connector 'github'"),
        (json!({ "name": "require_approval", "actions": ["merge_pr"] }), "'merge_pr' is no action"),
        (json!({ "name": "block_dms", "id": "a b" }), "'id': 'a b' is none"),
        (json!({ "name": "block_dms", "id": 7 }), "'id': invalid type"),
    ] {
        let name = entry["name"].as_str().unwrap().to_owned();
        let first = json!({ "name": "dont_delete_row" });
        let error = from_entries([first, entry.clone()], &connectors()).unwrap_err().to_string();
        let begins = format!("[[policies]] number 2, '{name}': ");
        assert!(error.starts_with(&begins) && error.contains(says), "{entry}: {error}");
    }
}

#[test]
fn what_is_no_entry_is_named_by_its_number() {
    for (entry, says) in [
        (json!({ "prefix": "agent/" }), "[[policies]] number 1: 'name' is missing"),
        (json!({ "name": 1 }), "[[policies]] number 1: 'name' is no text"),
        (json!("dont_delete_row"), "[[policies]] number 1: it is no table"),
        (
            json!({ "name": "dont_push" }),
            "[[policies]] number 1, 'dont_push': there is no such policy; there are: block_dms, ",
        ),
    ] {
        let error = from_entries([entry], &connectors()).unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let entries = [json!({ "name": "max_rows_affected" }), json!({ "name": "block_dms" }), json!({})];
    let error = from_entries(entries, &connectors()).unwrap_err();
    assert_eq!(error.problems.len(), 2);
}

#[test]
fn two_of_a_name_are_told_apart_by_an_id() {
    let one = |prefix: &str| json!({ "name": "require_branch_prefix", "prefix": prefix });
    let error = from_entries([one("a/"), one("b/")], &connectors()).unwrap_err().to_string();
    assert!(
        error.contains("number 2") && error.contains("number 1 is recorded under the same name"),
        "{error}"
    );
    let other = json!({ "name": "require_branch_prefix", "prefix": "b/", "id": "b" });
    let policies = from_entries([one("a/"), other], &connectors()).unwrap();
    assert_eq!(policies[1].name(), "require_branch_prefix/b");
}

#[test]
fn the_version_of_a_policy_tells_all_that_it_goes_by() {
    let versions: Vec<String> = [
        dont_push_to_main(),
        dont_push_to_main().on(["hub"]),
        dont_push_to_main().actions(["hub.*"]),
        dont_push_to_main().id("x"),
        RequireApproval { runs: true, ..RequireApproval::default() }.into_policy(),
        RequireApproval { effect: Some(Effect::Write), ..RequireApproval::default() }.into_policy(),
    ]
    .iter()
    .map(Policy::version)
    .collect();
    let mut distinct = versions.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), versions.len());
    assert_eq!(dont_push_to_main().version(), versions[0]);
    let configured =
        from_entries([json!({ "name": "dont_push_to_main", "connectors": ["hub"] })], &connectors()).unwrap();
    assert_eq!(configured[0].version(), versions[1]);
}
