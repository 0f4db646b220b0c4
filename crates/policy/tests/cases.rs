//! Files of cases: what they ask of policies, and what is refused of them.
#![cfg(feature = "cases")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test by panicking")]

mod kinds;

use enact_core::policy::{Counted, Policy, Request, Verdict};
use enact_core::time::Timestamp;
use enact_policy::cases::{CaseResult, Cases, Expected};
use kinds::catalogs;

/// A policy that is a function.
#[derive(Debug)]
struct Rule(&'static str, fn(&Request<'_>) -> Verdict);

impl Policy for Rule {
    fn name(&self) -> &str {
        self.0
    }

    fn judge(&self, request: &Request<'_>) -> Verdict {
        self.1(request)
    }
}

fn no_deletes(request: &Request<'_>) -> Verdict {
    match request.action() {
        Some(action) if action.action.starts_with("delete") => {
            Verdict::deny(format!("{} stays", action.target))
        }
        _ => Verdict::Pass,
    }
}

fn ask_for_large(request: &Request<'_>) -> Verdict {
    let size = request.facts().and_then(|facts| facts.get("size")?.as_u64());
    if size.is_some_and(|size| size > 10) { Verdict::needs_approval("it is large") } else { Verdict::Pass }
}

fn run(text: &str) -> Vec<CaseResult> {
    let cases = Cases::read(text, "cases.yaml", &catalogs()).unwrap_or_else(|error| panic!("{error}"));
    cases.run(&[&Rule("no_deletes", no_deletes), &Rule("ask_for_large", ask_for_large)])
}

#[test]
fn each_case_is_judged_by_all_policies_at_its_gate() {
    let results = run(r"
cases:
  - name: a run
    workflow: tidy
    expect: allow
  - { name: a read, action: files.read_file, params: { path: ./a }, expect: allow }
  - { name: a deletion, action: files.delete_file, params: { path: ./a }, expect: deny, policies: [no_deletes], reason: file a stays }
  - { name: large, action: files.delete_file, params: { path: a }, facts: { size: 11 }, expect: deny }
  - { name: large to read, action: files.read_file, params: { path: a }, facts: { size: 11 }, expect: needs_approval, policies: [ask_for_large] }
");
    for result in &results {
        assert!(result.passed, "{result:?}");
    }
    assert_eq!(results.iter().map(|result| result.line).collect::<Vec<_>>(), [3, 6, 7, 8, 9]);
    assert_eq!(
        results[3].verdicts.iter().map(|judged| judged.verdict).collect::<Vec<_>>(),
        [Expected::Deny, Expected::NeedsApproval]
    );
}

#[test]
fn a_case_that_is_not_as_it_says_fails_with_what_was_found() {
    let results = run(r"
cases:
  - { name: a, action: files.delete_file, params: { path: a }, expect: allow }
  - { name: b, action: files.read_file, params: { path: a }, expect: deny }
  - { name: c, action: files.delete_file, params: { path: a }, expect: deny, policies: [ask_for_large] }
  - { name: d, action: files.delete_file, params: { path: a }, expect: deny, reason: elsewhere }
");
    let problems: Vec<&str> = results.iter().map(|result| result.problem.as_str()).collect();
    assert_eq!(
        problems,
        [
            "expected allow, found deny",
            "expected deny, found allow",
            "expected deny of 'ask_for_large', found it of: no_deletes",
            "no reason for deny contains 'elsewhere'",
        ]
    );
    assert!(results.iter().all(|result| !result.passed));
}

#[test]
fn a_case_gives_all_that_a_request_has() {
    let text = r"
cases:
  - name: all of it
    user: ann@acme.com
    attributes: { role: lead, teams: [web] }
    workflow: tidy
    payload: { a: [1, null] }
    now: 2026-01-02T03:04:05Z
    action: github.create_branch
    params: { repo: acme/app, branch: x }
    past: [{ action: files.write_file, params: { path: a } }]
    recent: [{ action: db.insert_row, user: bob@acme.com, at: 2026-01-02T03:04:00Z }]
    expect: deny
";
    fn told(request: &Request<'_>) -> Verdict {
        let action = request.action().unwrap();
        let past: Vec<_> = request.past().map(|past| past.call.action.clone()).collect();
        let recent = request.recent.count(&Counted::default(), Timestamp::default());
        Verdict::deny(format!(
            "{} {:?} {} {} {} {} {} {past:?} {recent}",
            request.user,
            request.attributes,
            request.workflow,
            request.payload,
            request.now,
            action.target,
            action.effect
        ))
    }
    let results = Cases::read(text, "c", &catalogs()).unwrap().run(&[&Rule("told", told)]);
    assert_eq!(
        results[0].verdicts[0].reason,
        r#"ann@acme.com {"role": String("lead"), "teams": Array [String("web")]} tidy {"a":[1,null]} 2026-01-02T03:04:05.000000Z branch acme/app x reversible ["write_file"] 1"#
    );
}

#[test]
fn a_policy_that_panics_has_said_no() {
    let text = "cases: [{ name: a, expect: deny, reason: panicked }]";
    let results = Cases::read(text, "c", &catalogs()).unwrap().run(&[&Rule("broken", |_| panic!("broken"))]);
    assert!(results[0].passed, "{:?}", results[0]);
}

#[test]
fn a_file_that_is_wrong_is_refused_with_its_place() {
    for (text, why) in [
        ("cases:\n  - { name: a, expects: deny }", "cases.yaml, line 2, column"),
        ("case: []", "cases.yaml, line 1, column 1: "),
        ("cases: [", "cases.yaml, line "),
        ("cases:\n  - { name: a, expect: maybe }", "maybe"),
        (
            "cases:\n  - { name: a, expect: deny, action: files.shred }",
            "line 2, column 5: case 'a': 'files.shred': the kind 'filesystem' has no action",
        ),
        ("cases:\n  - { name: a, expect: deny, action: shred }", "'shred' is not CONNECTOR.ACTION"),
        (
            "cases:\n  - { name: a, expect: deny, action: none.read_file }",
            "there is: db, files, github, slack",
        ),
        ("cases:\n  - { name: a, expect: deny, action: files.read_file }", "missing field `path`"),
        (
            "cases:\n  - { name: a, expect: deny, action: files.read_file, params: { path: /etc } }",
            "'/etc' is absolute",
        ),
        ("cases:\n  - { name: a, expect: deny, params: {} }", "none is named"),
        ("cases:\n  - { name: a, expect: deny, past: [{ action: x }] }", "'x' is not CONNECTOR.ACTION"),
        ("cases:\n  - { name: a, expect: deny, now: noon }", "line 2"),
        ("cases:\n  - { name: a, expect: deny, user: '' }", "'user': the name is empty"),
        (
            "cases:\n  - { name: a, expect: deny, action: files.read_file, params: { path: a }, facts: { real_pth: .git/x } }",
            "'read_file' finds no 'real_pth'; it finds: ",
        ),
        (
            "cases:\n  - { name: a, expect: deny, action: files.read_file, params: { path: a }, facts: { size: large } }",
            "'size' is \"large\", and would be a whole number",
        ),
    ] {
        let error = Cases::read(text, "cases.yaml", &catalogs()).unwrap_err();
        assert!(
            error.message().starts_with("cases.yaml, line ") && error.message().contains(why),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_file_without_cases_is_refused_and_so_are_all_wrong_cases_at_once() {
    let error = Cases::read("cases: []", "cases.yaml", &catalogs()).unwrap_err();
    assert!(error.message().contains("cases.yaml has no cases"), "{error}");
    let text = "cases:\n  - { name: a, expect: deny, action: x }\n  - { name: b, expect: deny }\n  - { name: c, expect: deny, action: y }";
    let error = Cases::read(text, "cases.yaml", &catalogs()).unwrap_err();
    assert!(
        error.message().contains("case 'a'") && error.message().contains("; cases.yaml, line 4"),
        "{error}"
    );
}
