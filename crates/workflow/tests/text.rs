//! What a workflow's text may say, and what is said about a text that is wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use enact_core::error::{Error, ErrorCode, Remains};
use enact_core::event::{OnFailure, WorkflowSource};
use enact_core::json::JsonText;
use enact_runtime::DynWorkflow;
use enact_workflow::Declarative;

const COMPLETE: &str = r#"
name: agent-pr
version: 3
on_failure: keep
steps:
  - id: branch
    action: github.create_branch
    with: { repo: "{{ payload.repo }}", branch: "{{ payload.branch }}" }
  - id: note
    action: files.write_file
    when: "{{ payload.note != '' }}"
    with: { path: "notes/{{ run.id }}.md", content: "{{ payload.note }} at {{ steps.branch.output.sha }}" }
    retry: { max_attempts: 5 }
    timeout: 1m30s
    approval: false
    defer: false
"#;

fn refused(text: &str) -> Error {
    let error = Declarative::parse(text).unwrap_err();
    assert_eq!(error.remains(), Remains::Nothing);
    error
}

/// A workflow of one step with these lines in it.
fn with_step(lines: &str) -> String {
    let lines = lines.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!("name: w\nsteps:\n  - id: first\n    action: files.list_dir\n{lines}")
}

fn complaint(text: &str) -> String {
    let error = refused(text);
    assert_eq!(error.code(), ErrorCode::InvalidParameters, "{error}");
    error.message().to_owned()
}

#[test]
fn the_example_of_the_contract_is_read() {
    let workflow = Declarative::parse(COMPLETE).unwrap();
    assert_eq!((workflow.name(), workflow.version()), ("agent-pr", 3));
    assert_eq!(workflow.on_failure(), OnFailure::Keep);
    assert_eq!(workflow.source(), WorkflowSource::Text(COMPLETE.to_owned()));
}

#[test]
fn version_and_on_failure_have_defaults() {
    let workflow = Declarative::parse(with_step("")).unwrap();
    assert_eq!((workflow.version(), workflow.on_failure()), (1, OnFailure::Rollback));
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_one_that_was_meant() {
    assert_eq!(
        complaint("name: w\nstepz: []"),
        "line 2, column 1: unknown key 'stepz'; did you mean 'steps'? (known here: name, version, on_failure, steps)"
    );
    assert_eq!(
        complaint(&with_step("retries: 3")),
        "line 5, column 5: steps[0]: unknown key 'retries' \
         (known here: id, action, with, when, retry, timeout, approval, defer)"
    );
    assert_eq!(
        complaint(&with_step("retry: { max_attempts: 3, max_atempts: 4 }")),
        "line 5, column 31: steps.first.retry: unknown key 'max_atempts'; did you mean 'max_attempts'? \
         (known here: max_attempts)"
    );
}

#[test]
fn a_missing_field_is_named() {
    for (text, message) in [
        ("{}", "line 1, column 1: 'name' is missing"),
        ("name: w", "line 1, column 1: 'steps' is missing"),
        ("name: w\nsteps:\n  - action: a.b", "line 3, column 5: steps[0]: 'id' is missing"),
        ("name: w\nsteps:\n  - id: a", "line 3, column 5: steps.a: 'action' is missing"),
        (
            "name: w\nsteps:\n  - { id: a, action: a.b, retry: {} }",
            "line 3, column 34: steps.a.retry: 'max_attempts' is missing",
        ),
    ] {
        assert_eq!(complaint(text), message);
    }
}

#[test]
fn a_field_of_the_wrong_kind_says_what_is_wanted() {
    for (text, message) in [
        (
            "",
            "line 1, column 1: a mapping is wanted here, with name, version, on_failure, steps; this is nothing",
        ),
        (
            "- a",
            "line 1, column 1: a mapping is wanted here, with name, version, on_failure, steps; this is a list",
        ),
        ("name: 7\nsteps: []", "line 1, column 7: name: text is wanted here; this is 7"),
        (
            "name: w\nversion: 0\nsteps: []",
            "line 2, column 10: version: a whole number from 1 to 4294967295 is wanted here; this is 0",
        ),
        (
            "name: w\nversion: '1'\nsteps: []",
            "line 2, column 10: version: a whole number from 1 to 4294967295 is wanted here; this is the text '1'",
        ),
        (
            "name: w\non_failure: undo\nsteps: []",
            "line 2, column 13: on_failure: rollback or keep is wanted here; this is the text 'undo'",
        ),
        ("name: w\nsteps: {}", "line 2, column 8: steps: a list of steps is wanted here; this is a mapping"),
        ("name: w\nsteps: []", "line 2, column 8: steps: a workflow has at least one step"),
        (
            "name: w\nsteps: [a]",
            "line 2, column 9: steps[0]: a mapping is wanted here, with id, action, with, when, retry, timeout, approval, defer; this is text",
        ),
    ] {
        assert_eq!(complaint(text), message);
    }
    for (lines, message) in [
        (
            "with: [a]",
            "line 5, column 11: steps.first.with: a mapping of the action's parameters is wanted here; this is a list",
        ),
        (
            "retry: 3",
            "line 5, column 12: steps.first.retry: a mapping is wanted here, with max_attempts; this is a number",
        ),
        (
            "retry: { max_attempts: 0 }",
            "line 5, column 28: steps.first.retry.max_attempts: a whole number from 1 to 100 is wanted here; this is 0",
        ),
        (
            "retry: { max_attempts: 101 }",
            "line 5, column 28: steps.first.retry.max_attempts: a whole number from 1 to 100 is wanted here; this is 101",
        ),
        (
            "retry: { max_attempts: 1.5 }",
            "line 5, column 28: steps.first.retry.max_attempts: a whole number from 1 to 100 is wanted here; this is 1.5",
        ),
        (
            "timeout: 30",
            "line 5, column 14: steps.first.timeout: a duration such as 250ms, 30s, 5m or 1h30m is wanted here; this is 30",
        ),
        (
            "timeout: 30x",
            "line 5, column 14: steps.first.timeout: '30x' is not a duration; write 250ms, 30s, 5m or 1h30m",
        ),
        (
            "approval: maybe",
            "line 5, column 15: steps.first.approval: true or false is wanted here; this is the text 'maybe'",
        ),
    ] {
        assert_eq!(complaint(&with_step(lines)), message);
    }
}

#[test]
fn names_are_safe() {
    for name in ["w", "agent-pr", "Nightly_2", "a.b", "7days"] {
        Declarative::parse(format!("name: {name}\nsteps: [{{ id: a, action: b.c }}]")).unwrap();
    }
    for name in ["a b", "../etc", "a/b", ".hidden", "-f", "w.yaml", "ü", "''", &"x".repeat(101)] {
        let message = complaint(&format!("name: {name}\nsteps: [{{ id: a, action: b.c }}]"));
        assert!(message.starts_with("line 1, column 7: name: '"), "{message}");
        assert!(message.contains("is not a name: up to 100 letters, digits"), "{message}");
    }
}

#[test]
fn ids_are_unique_and_usable_in_expressions() {
    let text = "name: w\nsteps:\n  - { id: a, action: b.c }\n  - { id: a, action: b.c }";
    assert_eq!(
        complaint(text),
        "line 4, column 11: steps[1].id: an earlier step has the id 'a' too; ids are unique"
    );
    assert_eq!(
        complaint("name: w\nsteps: [{ id: make-branch, action: a.b }]"),
        "line 2, column 15: steps[0].id: 'make-branch' cannot be used in expressions: an id is up to 100 letters, \
         digits and '_', and does not begin with a digit; write 'make_branch'"
    );
    for id in ["1st", "a b", "ä", "''"] {
        assert!(
            complaint(&format!("name: w\nsteps: [{{ id: {id}, action: a.b }}]")).contains("cannot be used")
        );
    }
    // Words of the expression language are ids like any other.
    for id in ["in", "not", "if", "true", "none", "loop", "output", "items"] {
        let text = format!(
            "name: w\nsteps:\n  - {{ id: \"{id}\", action: a.b }}\n  - {{ id: z, action: a.b, when: \"{{{{ steps.{id}.success }}}}\" }}"
        );
        Declarative::parse(text).unwrap();
    }
}

#[test]
fn an_action_is_connector_dot_action_and_never_an_expression() {
    for action in
        ["write_file", "files.", ".write_file", "files.write-file", "'files .write file'", "files.1"]
    {
        let message = complaint(&format!("name: w\nsteps: [{{ id: a, action: {action} }}]"));
        assert!(message.ends_with("is not CONNECTOR.ACTION, such as files.write_file"), "{message}");
    }
    Declarative::parse("name: w\nsteps: [{ id: a, action: eu.files.write_file }]").unwrap();
    assert_eq!(
        complaint("name: w\nsteps: [{ id: a, action: \"files.{{ payload.action }}\" }]"),
        "line 2, column 26: steps.a.action: an action cannot be an expression: what a workflow does is known \
         before it runs"
    );
}

#[test]
fn an_expression_that_cannot_be_read_is_named_with_its_place() {
    for (lines, message) in [
        (
            "with: { path: \"{{ payload. }}\" }",
            "line 5, column 19: steps.first.with.path: the expression cannot be read: unexpected end of variable \
             block, expected identifier or integer",
        ),
        (
            "with:\n  files:\n    - { path: a }\n    - { path: \"{% if %}\" }",
            "line 8, column 19: steps.first.with.files[1].path: the expression cannot be read: unexpected end of block",
        ),
        (
            "with: { path: \"{{ steps.later.output }}\" }",
            "line 5, column 19: steps.first.with.path: `steps.later` is never defined: this is the first step",
        ),
        (
            "with: { path: \"{{ steps.first.output }}\" }",
            "line 5, column 19: steps.first.with.path: `steps.first` is never defined: this is the first step",
        ),
        (
            "when: \"{{ payload.x == null }}\"",
            "line 5, column 11: steps.first.when: `null` is never defined: in expressions it is called `none`",
        ),
    ] {
        assert_eq!(complaint(&with_step(lines)), message);
    }
}

#[test]
fn when_is_a_truth_value_or_one_expression() {
    for when in ["true", "false", "\"{{ payload.x }}\"", "\" {{ not payload.x }} \""] {
        Declarative::parse(with_step(&format!("when: {when}"))).unwrap();
    }
    // As text, each of these would hold always.
    for when in
        ["payload.x", "\"{{ payload.x }} and {{ payload.y }}\"", "\"{% if payload.x %}{% endif %}\"", "''"]
    {
        let message = complaint(&with_step(&format!("when: {when}")));
        assert!(
            message.contains("true, false or one single expression \"{{ … }}\" is wanted here"),
            "{message}"
        );
    }
    assert!(complaint(&with_step("when: 1")).contains("an expression such as"));
}

#[test]
fn a_deferred_step_comes_last_and_only_other_deferred_ones_see_it() {
    let text = |defers: bool, uses: &str| {
        format!(
            "name: w\nsteps:\n  - {{ id: last, action: a.b, defer: {defers}, with: {{ x: \"{{{{ steps.{uses}.output }}}}\" }} }}\n  \
             - {{ id: first, action: a.b }}\n"
        )
    };
    let workflow = Declarative::parse(text(true, "first")).unwrap();
    let places: Vec<_> = workflow.foreseen().into_iter().map(|step| step.place).collect();
    assert_eq!(places, ["step 'first'", "step 'last'"]);
    assert!(complaint(&text(false, "first")).contains("steps.last"));
    let other = "name: w\nsteps:\n  - { id: late, action: a.b, defer: true }\n  - { id: next, action: a.b, with: { x: \"{{ steps.late.output }}\" } }\n";
    assert!(complaint(other).contains("late"));
}

#[test]
fn steps_and_text_are_bounded() {
    let steps = |count: usize| {
        let steps = (0..count).map(|n| format!("  - {{ id: s{n}, action: a.b }}\n")).collect::<String>();
        format!("name: w\nsteps:\n{steps}")
    };
    Declarative::parse(steps(1000)).unwrap();
    assert!(
        complaint(&steps(1001)).ends_with("steps: 1001 steps are too many; at most 1000 are carried out")
    );
    let long = format!("name: w\n# {}\n", "x".repeat(1024 * 1024));
    assert!(complaint(&long).ends_with("bytes; at most 1048576 are read"));
}

#[test]
fn the_payload_is_an_object() {
    let workflow = Declarative::parse(COMPLETE).unwrap();
    for input in ["{}", "null", r#"{"repo": 1}"#] {
        workflow.check_input(&JsonText::parse(input).unwrap()).unwrap();
    }
    for (input, kind) in [("[1]", "a list"), ("\"x\"", "text"), ("1", "a number"), ("true", "true or false")]
    {
        let error = workflow.check_input(&JsonText::parse(input).unwrap()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidParameters);
        assert!(error.message().ends_with(&format!("this is {kind}")), "{error}");
    }
    let deep = format!("{{\"a\": {}{} }}", "[".repeat(1000), "]".repeat(1000));
    assert!(JsonText::parse(&deep).is_err(), "what is too deep never becomes an input");
}

#[test]
fn a_file_is_read_and_every_complaint_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("w.yaml");
    std::fs::write(&file, COMPLETE).unwrap();
    assert_eq!(Declarative::load(&file).unwrap().text(), COMPLETE);

    let complaint = |content: &[u8]| {
        std::fs::write(&file, content).unwrap();
        let error = Declarative::load(&file).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidParameters);
        error.message().strip_prefix(&format!("{}: ", file.display())).unwrap().to_owned()
    };
    assert_eq!(complaint(b"name: w"), "line 1, column 1: 'steps' is missing");
    assert_eq!(complaint(b"name: \xff"), "the file is not UTF-8 text (byte 6 is not)");
    assert!(complaint(&vec![b' '; 2 << 20]).starts_with("the file has more than 1048576 bytes"));
    let missing = Declarative::load(dir.path().join("none.yaml")).unwrap_err();
    assert_eq!(missing.code(), ErrorCode::NotFound);
    assert!(missing.message().ends_with("none.yaml: there is no such file"), "{missing}");
    assert!(Declarative::load(dir.path()).unwrap_err().message().contains("the file cannot be read: "));
}
