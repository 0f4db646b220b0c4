//! Files of rules in Cedar: what is refused of them, and where; what is odd; what they are checked against.
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

use enact_core::policy::Policy;
use rules::{denied, pr, problems, rules, schema};
use serde_json::json;

#[test]
fn a_file_that_is_wrong_is_refused_with_the_place_and_the_rule() {
    for (text, line, rule, why) in [
        ("permit(principal, action, resource)", 1, None, "unexpected end of input"),
        (
            "// é\npermit(principal, action, resource) when { context.params.nosuch };",
            2,
            Some("policy0"),
            "nosuch",
        ),
        (
            "\n@id(\"x\")\npermit(principal, action == Action::\"github.shout\", resource);",
            3,
            Some("x"),
            "github.shout",
        ),
        ("permit(principal == Person::\"a\", action, resource);", 1, Some("policy0"), "Person"),
        ("permit(principal, action, resource) when { principal.nosuch == 1 };", 1, Some("policy0"), "nosuch"),
        ("permit(principal, action, resource) when { principal.role == \"a\" };", 1, Some("policy0"), "role"),
        (
            "permit(principal, action == Action::\"github.merge_pr\", resource) when { context.params.pr_number == \"1\" };",
            1,
            Some("policy0"),
            "",
        ),
        (
            "permit(principal, action == Action::\"github.merge_pr\", resource) when { context.params.expected_head_sha == \"1\" };",
            1,
            Some("policy0"),
            "optional",
        ),
        ("permit(principal, action, resource) when { context.facts.size > 1 };", 1, Some("policy0"), "facts"),
        (
            "permit(principal, action, resource) when { resource.getTag(\"repo\") == \"a\" };",
            1,
            Some("policy0"),
            "tag",
        ),
        (
            "permit(principal, action, resource);\nforbid(principal, action, resource) when { context has fact.rows };",
            2,
            Some("policy1"),
            "'has fact'",
        ),
        (
            "permit(principal, action, resource) unless { principal has roles && (if principal has nosuch then true else false) };",
            1,
            Some("policy0"),
            "'has nosuch'",
        ),
        ("permit(principal == ?principal, action, resource);", 1, Some("policy0"), "template"),
        (
            "@id(\"a\") permit(principal, action, resource);\n@id(\"a\") permit(principal, action, resource);",
            2,
            Some("a"),
            "line 1 has a rule of this name",
        ),
        ("@id(\"\") permit(principal, action, resource);", 1, Some(""), "'@id' is empty"),
        (
            "@aproval(\"x\") permit(principal, action, resource);",
            1,
            Some("policy0"),
            "'@aproval' is not known",
        ),
        ("@approval(\"x\") forbid(principal, action, resource);", 1, Some("policy0"), "cannot be approved"),
        ("@approval(\" \") permit(principal, action, resource);", 1, Some("policy0"), "it is empty"),
        ("@approvers(\"a\") permit(principal, action, resource);", 1, Some("policy0"), "there is none"),
        (
            "@approval(\"x\") @approvers(\"a,,b\") permit(principal, action, resource);",
            1,
            Some("policy0"),
            "an empty name",
        ),
        (
            "@approval(\"x\") @expires_after(\"soon\") permit(principal, action, resource);",
            1,
            Some("policy0"),
            "'soon' is no time",
        ),
        (
            "@approval(\"x\") @expires_after(\"0s\") permit(principal, action, resource);",
            1,
            Some("policy0"),
            "'0s' is no time",
        ),
        (
            "@approval(\"x\") @expires_after(\"-4h\") permit(principal, action, resource);",
            1,
            Some("policy0"),
            "is no time",
        ),
        (
            "@approval(\"x\") @expires_after(\"31d\") permit(principal, action, resource);",
            1,
            Some("policy0"),
            "'31d' is more than 30 days",
        ),
    ] {
        let problems = problems(text);
        let first = &problems.0[0];
        assert_eq!((first.line, first.rule.as_deref()), (line, rule), "{text}: {problems}");
        assert!(problems.to_string().contains(why), "{text}: {problems}");
        assert!(
            problems.to_string().starts_with(&format!("policies.cedar, line {line}, column ")),
            "{problems}"
        );
    }
}

#[test]
fn all_problems_of_a_file_are_told_at_once_in_its_order() {
    let text = "permit(principal, action, resource) when { principal.b == 1 };\n\
                @x(\"\") forbid(principal, action, resource);\n\
                permit(principal, action == Action::\"none\", resource);";
    let lines: Vec<usize> = problems(text).0.iter().map(|problem| problem.line).collect();
    assert!(lines.is_sorted() && [1, 2, 3].iter().all(|line| lines.contains(line)), "{lines:?}");
}

#[test]
fn what_is_odd_is_a_warning() {
    let never = "permit(principal, action, resource);\n@id(\"never\") forbid(principal, action, resource) when { false };";
    for (text, line, why) in [
        ("", 1, "no rule permits anything"),
        ("forbid(principal, action, resource);", 1, "no rule permits anything"),
        (never, 2, "policy is impossible"),
        (
            "permit(principal, action, resource);\nforbid(principal == User::\"r\u{043e}ot\", action, resource);",
            2,
            "script",
        ),
    ] {
        let cedar = rules(text);
        let warnings = cedar.warnings();
        assert!(
            warnings.iter().any(|warning| warning.line == line && warning.message.contains(why)),
            "{text}: {warnings:?}"
        );
    }
    assert_eq!(rules("@approval(\"why\") permit(principal, action, resource);").warnings(), []);
    let all = "permit(principal, action in Action::\"irreversible\", resource);\npermit(principal, action, resource);";
    assert_eq!(rules(all).warnings(), []);
    assert!(denied(pr(json!({})).judge(&rules(""))).starts_with("no rule of policies.cedar permits"));
}

#[test]
fn an_approval_that_nobody_is_ever_asked_for_is_a_warning() {
    let ask = |head: &str| format!("@id(\"ask\") @approval(\"why\") permit(principal, {head};");
    let create = "action == Action::\"github.create_pr\", resource)";
    let base = "when { context.params has base && context.params.base == \"main\" }";
    for (free, asks) in [
        ("permit(principal, action, resource);", ask(create)),
        ("permit(principal is User, action in Action::\"github\", resource);", ask(create)),
        ("permit(principal, action, resource);", ask(&format!("{create} {base}"))),
        (&format!("permit(principal, {create} {base};"), ask(&format!("{create} {base}"))),
    ] {
        let rules = rules(&format!("{asks}\n{free}"));
        let [warning] = rules.warnings() else { panic!("{free} {asks}: {:?}", rules.warnings()) };
        assert_eq!((warning.line, warning.rule.as_deref()), (1, Some("ask")));
        assert!(warning.message.contains("'policy1' (line 2)"), "{warning}");
    }
    for (free, asks) in [
        (format!("permit(principal, {create} {base};"), ask(create)),
        (format!("permit(principal == User::\"ann\", {create};"), ask(create)),
        ("permit(principal, action in Action::\"read_only\", resource);".to_owned(), ask(create)),
        (format!("permit(principal, {create};"), ask("action in Action::\"github\", resource)")),
        (format!("forbid(principal, {create};"), ask(create)),
    ] {
        assert_eq!(rules(&format!("{asks}\n{free}")).warnings(), [], "{free} {asks}");
    }
}

#[test]
fn its_version_is_its_text() {
    let text = "permit(principal, action, resource);";
    assert_eq!((rules(text).name(), rules(text).version().as_str()), ("cedar", text));
}

#[test]
fn the_schema_is_given_in_cedars_own_language() {
    let schema = schema();
    let text = schema.text();
    for part in ["entity User", "entity Target", "action \"github.create_pr\"", "\"irreversible\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(cedar_schema_reads(text), "{text}");
}

fn cedar_schema_reads(text: &str) -> bool {
    cedar_policy::Schema::from_cedarschema_str(text).is_ok()
}
