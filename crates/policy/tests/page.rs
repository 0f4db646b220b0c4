//! The page of policies says what is so.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

use enact_policy::{Connectors, from_entries, names};
use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/policies.md");

/// The blocks of TOML.
fn blocks() -> Vec<Value> {
    let blocks = PAGE.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|text| toml::from_str(text).unwrap_or_else(|error| panic!("{text}\n{error}"))).collect()
}

#[test]
fn every_example_can_be_configured() {
    let connectors = Connectors::default()
        .with("github", "github", &["create_branch", "create_pr", "delete_branch", "merge_pr", "push_commit"])
        .with("db", "postgres", &["select_rows", "insert_row", "update_row", "delete_row"])
        .with("files", "filesystem", &["read_file", "write_file", "delete_file", "list_dir"])
        .with("slack", "slack", &["post_message", "delete_message"]);
    let blocks = blocks();
    assert!(blocks.len() > 10);
    for block in blocks {
        let entries = block["policies"].as_array().unwrap().clone();
        if let Err(wrong) = from_entries(entries, &connectors) {
            panic!("{block}\n{wrong}");
        }
    }
}

#[test]
fn every_built_in_policy_has_its_part_and_an_example() {
    let examples: Vec<Value> =
        blocks().iter().flat_map(|block| block["policies"].as_array().unwrap().clone()).collect();
    for name in names() {
        assert!(PAGE.contains(&format!("\n### `{name}`\n")), "{name} has no part");
        assert!(examples.iter().any(|entry| entry["name"] == name), "{name} has no example");
    }
}
