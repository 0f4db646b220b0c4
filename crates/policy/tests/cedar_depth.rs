//! How deep rules in Cedar may go: what is taken is judged, and what is not is refused with its place.
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

use std::sync::Arc;

use enact_core::policy::Verdict;
use enact_policy::cedar::{Cedar, Schema};
use rules::{pr, problems, rules, schema};
use serde_json::json;

/// A condition that is not true of the case, of any depth.
type Deep = fn(usize) -> String;

const SHAPES: [(&str, Deep); 12] = [
    ("alternatives", |n| {
        (0..n).map(|n| format!("principal.id == \"u{n}\"")).collect::<Vec<_>>().join(" || ")
    }),
    ("conditions", |n| {
        let first = "principal.id == \"x\"".to_owned();
        let more = (0..n).map(|n| format!("!(principal.id like \"*x{n}*\")"));
        std::iter::once(first).chain(more).collect::<Vec<_>>().join(" && ")
    }),
    ("true conditions", |n| format!("{} false", "true && ".repeat(n))),
    ("brackets", |n| format!("{}false{}", "(".repeat(n), ")".repeat(n))),
    ("sets", |n| format!("{}1{} == {}2{}", "[".repeat(n), "]".repeat(n), "[".repeat(n), "]".repeat(n))),
    ("records", |n| {
        let record = |of| format!("{}{of}{}", "{a: ".repeat(n), "}".repeat(n));
        format!("{} == {}", record(1), record(2))
    }),
    ("else", |n| {
        let ifs: String = (0..n).map(|n| format!("if principal.id == \"u{n}\" then true else ")).collect();
        format!("{ifs} false")
    }),
    ("then", |n| format!("{}false{}", "if true then ".repeat(n), " else false".repeat(n))),
    ("if", |n| format!("{}false{}", "if ".repeat(n), " then true else false".repeat(n))),
    ("sums", |n| format!("{}1 == 0", "1 + ".repeat(n))),
    ("negations", |n| format!("{}true{}", "!(".repeat(n | 1), ")".repeat(n | 1))),
    ("calls", |n| format!("{}false{}", "[true].contains(".repeat(n), ")".repeat(n))),
];

fn rule(condition: &str) -> String {
    format!(
        "permit (principal, action, resource);\n@id(\"deep\") forbid (principal, action, resource)\nwhen {{ {condition} }};"
    )
}

/// The rule of the greatest depth that is taken.
fn deepest(shape: Deep, schema: &Arc<Schema>) -> Option<Cedar> {
    (1..250).rev().find_map(|n| match Cedar::new(rule(&shape(n)), "policies.cedar", Arc::clone(schema)) {
        Ok(rules) => Some(rules),
        Err(problems) => {
            let said = problems.to_string();
            assert!(said.contains("levels deep"), "{n}: {said}");
            None
        }
    })
}

#[test]
fn a_rule_as_deep_as_may_be_is_judged_wherever_that_happens() {
    let schema = schema();
    for (name, shape) in SHAPES {
        let rules = deepest(shape, &schema).unwrap_or_else(|| panic!("no {name} are taken"));
        let small = std::thread::Builder::new().stack_size(256 * 1024);
        let verdict = small.spawn(move || pr(json!({})).judge(&rules)).unwrap().join().unwrap();
        assert_eq!(verdict, Verdict::Pass, "{name}");
    }
}

#[test]
fn a_rule_that_is_too_deep_is_refused_with_its_place() {
    for (name, shape) in SHAPES {
        for n in [300, 5000] {
            let problems = problems(&rule(&shape(n)));
            let [problem] = problems.0.as_slice() else { panic!("{name}: {problems}") };
            assert_eq!(problem.line, 3, "{name}");
            assert!(
                problem.column > 100 && problem.message.contains("more than 200 levels deep"),
                "{name}: {problem}"
            );
        }
    }
}

#[test]
fn a_long_list_is_not_deep() {
    let names: Vec<String> = (0..20_000).map(|n| format!("\"u{n}\"")).collect();
    let rules = rules(&rule(&format!("[{}].contains(principal.id)", names.join(", "))));
    assert_eq!(pr(json!({})).judge(&rules), Verdict::Pass);
    assert!(matches!(pr(json!({})).user("u19999").judge(&rules), Verdict::Deny(_)));
}

#[test]
fn a_byte_order_mark_is_named() {
    let said = problems("\u{feff}permit (principal, action, resource);").to_string();
    assert!(said.contains("line 1, column 1") && said.contains("byte order mark"), "{said}");
}
