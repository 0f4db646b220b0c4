//! The JSON schemas of actions' parameters: what the public contract says, and what the actions take.
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod kinds;

use std::collections::{BTreeMap, BTreeSet};

use enact_core::json::JsonText;
use kinds::toolboxes;
use serde_json::{Value, json};

/// The parameters of CONTRACT.md, section 1; `?` stands behind those that are optional.
const CONTRACT: [(&str, &str); 16] = [
    ("github.create_branch", "repo branch from_branch? from_sha?"),
    ("github.create_pr", "repo title body? head base? draft?"),
    ("github.create_issue", "repo title body? labels? assignees?"),
    ("github.delete_branch", "repo branch"),
    ("github.merge_pr", "repo pr_number method? expected_head_sha?"),
    ("github.push_commit", "repo branch message files expected_head_sha?"),
    ("db.select_rows", "table columns? where? order_by? limit?"),
    ("db.insert_row", "table data"),
    ("db.update_row", "table data where"),
    ("db.delete_row", "table where"),
    ("files.read_file", "path encoding?"),
    ("files.write_file", "path content? content_base64? mode?"),
    ("files.delete_file", "path"),
    ("files.list_dir", "path?"),
    ("slack.post_message", "channel text thread_ts? blocks?"),
    ("slack.delete_message", "channel ts"),
];

/// Parameters that each action takes.
fn samples() -> Vec<(&'static str, Value)> {
    let sha = "0123456789abcdef0123456789abcdef01234567";
    vec![
        ("github.create_branch", json!({ "repo": "acme/app", "branch": "agent/a" })),
        ("github.create_branch", json!({ "repo": "acme/app", "branch": "agent/a", "from_branch": "dev" })),
        ("github.create_branch", json!({ "repo": "a/b", "branch": "a", "from_sha": sha.to_uppercase() })),
        ("github.create_pr", json!({ "repo": "acme/app", "title": "It", "head": "eve:b" })),
        (
            "github.create_pr",
            json!({ "repo": "acme/app", "title": "It", "head": "b", "base": "main", "draft": true, "body": "why" }),
        ),
        (
            "github.create_issue",
            json!({ "repo": "acme/app", "title": "It", "labels": ["bug"], "assignees": [] }),
        ),
        ("github.delete_branch", json!({ "repo": "acme/app", "branch": "agent/a" })),
        ("github.merge_pr", json!({ "repo": "acme/app", "pr_number": 7 })),
        (
            "github.merge_pr",
            json!({ "repo": "acme/app", "pr_number": 7, "method": "squash", "expected_head_sha": sha }),
        ),
        (
            "github.push_commit",
            json!({ "repo": "acme/app", "branch": "b", "message": "m", "files": [
            { "path": "a", "content": "x", "mode": "0755" },
            { "path": "b", "content_base64": "eA==", "mode": "100644" },
            { "path": "c", "delete": true },
        ] }),
        ),
        ("db.select_rows", json!({ "table": "people" })),
        (
            "db.select_rows",
            json!({ "table": "public.people", "columns": ["id"], "where": { "id": null }, "order_by": "id desc", "limit": 3 }),
        ),
        ("db.select_rows", json!({ "table": "people", "order_by": ["id", "name"] })),
        (
            "db.insert_row",
            json!({ "table": "people", "data": { "name": "Ada", "born": null, "tags": [1.5] } }),
        ),
        ("db.insert_row", json!({ "table": "people", "data": {} })),
        ("db.update_row", json!({ "table": "people", "data": { "name": "Ada" }, "where": { "id": 1 } })),
        ("db.delete_row", json!({ "table": "people", "where": { "id": 1 } })),
        ("files.read_file", json!({ "path": "a" })),
        ("files.read_file", json!({ "path": "a", "encoding": "base64" })),
        ("files.write_file", json!({ "path": "./a//b", "content": "x", "mode": 420 })),
        ("files.write_file", json!({ "path": "a", "content_base64": "eA==", "mode": "644" })),
        ("files.delete_file", json!({ "path": "a" })),
        ("files.list_dir", json!({})),
        ("files.list_dir", json!({ "path": "a" })),
        ("slack.post_message", json!({ "channel": "#general", "text": "hello" })),
        (
            "slack.post_message",
            json!({ "channel": "C0123456789", "text": "t", "thread_ts": "1700000000.000100",
            "blocks": [{ "type": "section", "text": { "type": "plain_text", "text": "t" } }] }),
        ),
        (
            "slack.post_message",
            json!({ "channel": "C0123456789", "text": "t", "blocks": "[{\"type\":\"divider\"}]" }),
        ),
        ("slack.delete_message", json!({ "channel": "C0123456789", "ts": "1700000000.000100" })),
    ]
}

fn names(schema: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let all = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let required = schema["required"].as_array().into_iter().flatten();
    (all, required.map(|name| name.as_str().unwrap().to_owned()).collect())
}

#[tokio::test]
async fn parameters_are_exactly_those_of_the_contract() {
    let toolboxes = toolboxes().unwrap();
    let actions = toolboxes.iter().flat_map(|(name, toolbox)| {
        toolbox.actions().map(move |(spec, _)| format!("{name}.{}", spec.name)).collect::<Vec<_>>()
    });
    let named = CONTRACT.iter().map(|(name, _)| (*name).to_owned());
    assert_eq!(actions.collect::<BTreeSet<_>>(), named.collect::<BTreeSet<_>>());
    for (name, parameters) in CONTRACT {
        let (connector, action) = name.split_once('.').unwrap();
        let schema = toolboxes[connector].catalog().schema(action).unwrap();
        let wanted: BTreeMap<&str, bool> =
            parameters.split(' ').map(|word| (word.trim_end_matches('?'), !word.ends_with('?'))).collect();
        let (all, required) = names(&schema);
        let found: BTreeMap<&str, bool> =
            all.iter().map(|name| (name.as_str(), required.contains(name))).collect();
        assert_eq!(found, wanted, "{name}");
        assert_eq!(schema["additionalProperties"], false, "{name}");
        assert!(schema["description"].is_string(), "{name}");
    }
}

#[tokio::test]
async fn what_an_action_takes_and_what_is_recorded_of_it_are_as_its_schemas_say() {
    let toolboxes = toolboxes().unwrap();
    let mut seen = BTreeSet::new();
    for (name, sample) in samples() {
        let (connector, action) = name.split_once('.').unwrap();
        let toolbox = &toolboxes[connector];
        let prepared = toolbox.prepare(action, &JsonText::encode(&sample).unwrap()).unwrap();
        let taken = jsonschema::validator_for(&toolbox.catalog().schema(action).unwrap()).unwrap();
        let recorded =
            jsonschema::validator_for(&toolbox.catalog().recorded_schema(action).unwrap()).unwrap();
        let written = prepared.params().value();
        let judged = toolbox.catalog().judged(action, &JsonText::encode(&sample).unwrap()).unwrap();
        assert_eq!((&judged.params, &judged.target), (prepared.params(), &prepared.target()));
        assert_eq!(taken.validate(&sample).map_err(|error| error.to_string()), Ok(()), "{name} {sample}");
        assert_eq!(taken.validate(&written).map_err(|error| error.to_string()), Ok(()), "{name} {written}");
        assert_eq!(
            recorded.validate(&written).map_err(|error| error.to_string()),
            Ok(()),
            "{name} {written}"
        );
        seen.insert(name);
    }
    assert_eq!(seen.len(), CONTRACT.len());
}

#[tokio::test]
async fn a_schema_refuses_what_its_action_refuses() {
    let toolboxes = toolboxes().unwrap();
    for (name, sample) in [
        ("github.delete_branch", json!({ "repo": "acme", "branch": "a" })),
        ("github.delete_branch", json!({ "repo": "acme/app", "branch": "" })),
        ("github.merge_pr", json!({ "repo": "acme/app", "pr_number": -1 })),
        ("github.merge_pr", json!({ "repo": "acme/app", "pr_number": 1, "method": "force" })),
        ("github.merge_pr", json!({ "repo": "acme/app", "pr_number": 1, "expected_head_sha": "abc" })),
        ("db.update_row", json!({ "table": "people", "data": { "a": 1 }, "where": {} })),
        ("db.delete_row", json!({ "table": "people", "where": {} })),
        ("files.write_file", json!({ "path": "", "content": "x" })),
        ("files.write_file", json!({ "path": "a", "content": "x", "mode": 644 })),
        ("files.write_file", json!({ "path": "a", "content": "x", "mode": "rw" })),
        ("files.read_file", json!({ "path": "a", "encoding": "utf16" })),
        ("files.read_file", json!({ "path": "a", "stray": 1 })),
        ("slack.post_message", json!({ "channel": "#general" })),
    ] {
        let (connector, action) = name.split_once('.').unwrap();
        let toolbox = &toolboxes[connector];
        let schema = jsonschema::validator_for(&toolbox.catalog().schema(action).unwrap()).unwrap();
        assert!(!schema.is_valid(&sample), "{name} {sample}");
        assert!(toolbox.prepare(action, &JsonText::encode(&sample).unwrap()).is_err(), "{name} {sample}");
    }
}
