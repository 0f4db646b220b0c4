//! docs/policies-cedar.md says what is so.
#![cfg(all(feature = "cedar", feature = "cases"))]
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod kinds;

use std::sync::Arc;

use cedar_policy::SchemaFragment;
use enact_policy::cases::Cases;
use enact_policy::cedar::{Cedar, Schema};
use kinds::catalogs;
use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/policies-cedar.md");

/// The blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let open = format!("```{language}\n");
    PAGE.split(&open).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn schema() -> Arc<Schema> {
    let catalogs = catalogs();
    Arc::new(Schema::new(catalogs.iter().map(|(name, catalog)| (name.as_str(), catalog))).unwrap())
}

#[test]
fn its_rules_are_valid_and_nothing_is_odd_about_them() {
    let blocks = blocks("cedar");
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        let cedar =
            Cedar::new(block, "page", schema()).unwrap_or_else(|problems| panic!("{problems}\n{block}"));
        assert_eq!(cedar.warnings(), [], "{block}");
    }
}

#[test]
fn its_cases_are_as_they_say_of_its_first_rules() {
    let cedar = Cedar::new(blocks("cedar")[0], "page", schema()).unwrap();
    let cases = Cases::read(blocks("yaml")[0], "page", &catalogs()).unwrap();
    let results = cases.run(&[&cedar]);
    assert_eq!(results.len(), 2);
    for result in results {
        assert!(result.passed, "{result:?}");
    }
}

#[test]
fn its_schema_is_the_generated_one() {
    let json = |text: &str| -> Value {
        SchemaFragment::from_cedarschema_str(text).unwrap().0.to_json_value().unwrap()[""].clone()
    };
    let (page, generated) = (json(blocks("cedarschema")[0]), json(&schema().text().replace("__cedar::", "")));
    assert_eq!(page["entityTypes"], generated["entityTypes"]);
    let action = &page["actions"]["files.write_file"];
    assert!(action.is_object());
    assert_eq!(action, &generated["actions"]["files.write_file"]);
}

#[test]
fn it_names_the_facts_of_every_action() {
    let (_, facts) = PAGE.split_once("Facts by action:").unwrap();
    let table = facts.split("An action of an own connector").next().unwrap();
    for (connector, catalog) in catalogs() {
        for spec in catalog.actions() {
            let row = table.lines().find(|row| row.contains(&format!("`{connector}.{}`", spec.name)));
            let row =
                row.or_else(|| table.lines().find(|row| row.starts_with(&format!("| {}", catalog.kind()))));
            for (fact, _) in spec.facts {
                assert!(
                    row.is_some_and(|row| row.contains(&format!("`{fact}`"))),
                    "{connector}.{}: {fact}",
                    spec.name
                );
            }
        }
    }
}
