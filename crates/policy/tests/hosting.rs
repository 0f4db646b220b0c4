//! Policies on branches, commits and merges.

mod common;

use common::{commit, facts, no, on_branch, passes};
use enact_policy::{
    Case, DontDeleteBranch, DontPushToMain, RequireBranchPrefix, dont_delete_branch, dont_merge_to_main,
    dont_push_to_main, max_files_per_commit, require_branch_prefix,
};
use proptest::prelude::*;
use serde_json::json;

#[test]
fn main_is_not_pushed_to_made_or_deleted_however_it_is_written() {
    for action in ["push_commit", "create_branch", "delete_branch"] {
        for branch in [
            "main",
            "MAIN",
            "Master",
            "trunk",
            "refs/heads/main",
            "refs/heads/refs/heads/main",
            "Refs/Heads/main",
            "heads/main",
            "/main",
            "main/",
            "main.",
            " main ",
            "./main",
            "x/../main",
            "refs\\heads\\main",
            "refs//heads//main",
            "m\u{430}in",
            "ｍａｉｎ",
            "ma\u{200b}in",
            "\u{feff}main",
            "main\u{202e}",
            "ma\u{131}n",
        ] {
            no(&on_branch(action, branch), &dont_push_to_main());
        }
        for branch in ["agent/x", "mains", "agent/main", "maintenance", "feature/master-key"] {
            passes(&on_branch(action, branch), &dont_push_to_main());
        }
    }
}

#[test]
fn case_03_the_exact_parameters_are_judged_whatever_the_payload_says() {
    let honest = json!({ "branch": "agent/x" });
    no(&on_branch("push_commit", "main").payload(honest.clone()), &dont_push_to_main());
    no(&on_branch("push_commit", "main").payload(honest), &require_branch_prefix("agent/"));
    passes(&on_branch("push_commit", "agent/x").payload(json!({ "branch": "main" })), &dont_push_to_main());
}

#[test]
fn the_default_branch_is_a_main_branch_whatever_its_name() {
    for (branch, default, denied) in [
        ("develop", "develop", true),
        ("DEVELOP", "develop", true),
        ("agent/x", "develop", false),
        ("main", "develop", true),
    ] {
        let case = on_branch("push_commit", branch).facts(facts(json!({ "default_branch": default })));
        if denied { drop(no(&case, &dont_push_to_main())) } else { passes(&case, &dont_push_to_main()) }
    }
}

#[test]
fn other_names_and_patterns_of_main_branches_can_be_given() {
    let policy =
        DontPushToMain { branches: vec!["release/*".into(), "prod".into()], repos: vec![] }.into_policy();
    no(&on_branch("push_commit", "Release/1.0"), &policy);
    no(&on_branch("push_commit", "refs/heads/prod"), &policy);
    passes(&on_branch("push_commit", "release/1.0/fix"), &policy);
    passes(&on_branch("push_commit", "release"), &policy);
    passes(&on_branch("push_commit", "main"), &policy);
}

#[test]
fn a_rule_for_some_repositories_does_not_tell_capital_letters_apart() {
    let policy = DontPushToMain { repos: vec!["Octo/*".into()], ..DontPushToMain::default() }.into_policy();
    no(&on_branch("push_commit", "main"), &policy);
    let other = json!({ "repo": "else/app", "branch": "main" });
    passes(&Case::action("github", "push_commit", other), &policy);
    let reason = no(&Case::action("github", "push_commit", json!({ "branch": "main" })), &policy);
    assert!(reason.contains("'repo' is missing"), "{reason}");
}

#[test]
fn a_renamed_repository_is_known_by_its_old_name_and_by_its_new_one() {
    let policy = DontPushToMain { repos: vec!["octo/app".into()], ..DontPushToMain::default() }.into_policy();
    let push =
        |asked: &str| Case::action("github", "push_commit", json!({ "repo": asked, "branch": "main" }));
    let found = |asked, now| push(asked).facts(facts(json!({ "repo": now, "default_branch": "main" })));
    passes(&push("octo/old"), &policy);
    no(&found("octo/old", "Octo/App"), &policy);
    no(&found("octo/app", "octo/new"), &policy);
    passes(&found("octo/old", "octo/new"), &policy);
    for unknown in [json!({ "default_branch": "main" }), json!({ "repo": 1, "default_branch": "main" })] {
        let reason = no(&push("octo/old").facts(facts(unknown)), &policy);
        assert!(reason.contains("the fact 'repo' is"), "{reason}");
    }
}

#[test]
fn a_merge_is_judged_by_the_base_that_capture_found() {
    let merge = |found| {
        Case::action("github", "merge_pr", json!({ "repo": "octo/app", "pr_number": 1 })).facts(facts(found))
    };
    let policy = dont_merge_to_main();
    passes(&Case::action("github", "merge_pr", json!({ "repo": "octo/app", "pr_number": 1 })), &policy);
    passes(&merge(json!({ "base": "agent/x", "default_branch": "main" })), &policy);
    passes(&Case::action("github", "create_pr", json!({ "repo": "octo/app", "base": "main" })), &policy);
    for (found, reason) in [
        (json!({ "base": "main", "default_branch": "dev" }), "a main branch"),
        (json!({ "base": "dev", "default_branch": "dev" }), "default branch"),
        (json!({ "default_branch": "main" }), "'base' is missing"),
        (json!({ "base": 1, "default_branch": "main" }), "'base' is no text"),
        (json!({ "base": "dev" }), "'default_branch' is missing"),
    ] {
        let said = no(&merge(found), &policy);
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn a_branch_that_is_no_text_or_not_there_is_refused() {
    for params in [json!({ "repo": "octo/app" }), json!({ "repo": "octo/app", "branch": ["main"] })] {
        for policy in [dont_push_to_main(), require_branch_prefix("agent/")] {
            no(&Case::action("github", "push_commit", params.clone()), &policy);
        }
    }
    no(&on_branch("push_commit", "agent/x").facts(facts(json!({}))), &dont_push_to_main());
}

#[test]
fn no_branch_is_deleted_or_none_of_some() {
    no(&on_branch("delete_branch", "agent/x"), &dont_delete_branch());
    passes(&on_branch("create_branch", "agent/x"), &dont_delete_branch());
    let some = || DontDeleteBranch { branches: vec!["release/**".into()], repos: vec![] }.into_policy();
    no(&on_branch("delete_branch", "RELEASE/1/x"), &some());
    passes(&on_branch("delete_branch", "agent/x"), &some());
    let default =
        |name| on_branch("delete_branch", "agent/x").facts(facts(json!({ "default_branch": name })));
    no(&default("agent/x"), &some());
    passes(&default("main"), &some());
}

#[test]
fn a_branch_begins_with_the_prefix_as_it_is() {
    let policy = require_branch_prefix("agent/");
    for action in ["push_commit", "create_branch", "delete_branch"] {
        for branch in ["agent/x", "refs/heads/agent/x", "agent/grün/日本"] {
            passes(&on_branch(action, branch), &policy);
        }
        for branch in [
            "main",
            "agent",
            "agent/",
            "Agent/x",
            "xagent/x",
            "\u{430}gent/x",
            "agent\u{2215}x",
            "agent/../main",
            "agent//x",
            "agent/./x",
            "agent/x.",
            "agent/x ",
            "agent/x/",
            "agent\\x",
            "agent/\u{200b}x",
            "agent/\u{202e}x",
            "agent/x\u{0}",
            "refs/heads/refs/heads/agent/x",
        ] {
            no(&on_branch(action, branch), &policy);
        }
    }
}

#[test]
fn the_head_of_a_new_pull_request_has_the_prefix_also_that_of_a_fork() {
    let open = |head| Case::action("github", "create_pr", json!({ "repo": "octo/app", "head": head }));
    passes(&open("agent/x"), &require_branch_prefix("agent/"));
    passes(&open("octo:agent/x"), &require_branch_prefix("agent/"));
    no(&open("main"), &require_branch_prefix("agent/"));
    no(&open("agent/y:main"), &require_branch_prefix("agent/"));
}

#[test]
fn a_commit_has_as_many_files_as_it_may() {
    let file = |path| json!({ "path": path, "content": "" });
    passes(&commit(json!([file("a"), file("b")])), &max_files_per_commit(2));
    let reason =
        no(&commit(json!([file("a"), file("b"), { "path": "c", "delete": true }])), &max_files_per_commit(2));
    assert!(reason.contains("3 files, more than 2"), "{reason}");
    no(&commit(json!("a")), &max_files_per_commit(2));
    no(&on_branch("push_commit", "agent/x"), &max_files_per_commit(2));
    let merge = |paths: &[&str], complete: bool| {
        let found =
            json!({ "repo": "octo/app", "paths": paths, "deleted_paths": [], "paths_complete": complete });
        Case::action("github", "merge_pr", json!({ "repo": "octo/app", "pr_number": 1 })).facts(facts(found))
    };
    passes(&merge(&["a", "b"], true), &max_files_per_commit(2));
    let reason = no(&merge(&["a", "b", "c"], true), &max_files_per_commit(2));
    assert!(reason.contains("3 files, more than 2"), "{reason}");
    no(&merge(&["a"], false), &max_files_per_commit(2));
}

#[test]
fn a_rule_is_for_the_kind_and_can_be_narrowed_by_name() {
    let push = || on_branch("push_commit", "main").connector("hub");
    no(&push(), &dont_push_to_main());
    no(&push(), &dont_push_to_main().on(["hub"]));
    passes(&push(), &dont_push_to_main().on(["github"]));
    passes(&push(), &dont_push_to_main().actions(["*.delete_branch"]));
    no(&push(), &dont_push_to_main().actions(["hub.*"]));
    passes(&Case::action("other", "push_commit", json!({ "branch": "main" })), &dont_push_to_main());
}

#[test]
fn nonsense_says_no_to_everything_and_tells_beforehand() {
    for policy in [
        require_branch_prefix(""),
        require_branch_prefix("refs/heads/"),
        require_branch_prefix("../x"),
        max_files_per_commit(0),
        dont_push_to_main().on([""]),
        dont_push_to_main().on(Vec::<String>::new()),
        dont_push_to_main().actions(["push_commit"]),
        DontPushToMain { branches: vec![], repos: vec![] }.into_policy(),
        DontPushToMain { branches: vec!["ma?n".into()], repos: vec![] }.into_policy(),
        RequireBranchPrefix { prefix: "agent/".into(), repos: vec!["octo".into()] }.into_policy(),
    ] {
        policy.check().expect_err("it is nonsense");
        no(&Case::run("any"), &policy);
        no(&Case::action("files", "read_file", json!({})), &policy);
    }
}

/// Ways to write a name that a case-blind system or a person takes for the same.
fn written_otherwise(name: &'static str) -> impl Strategy<Value = String> {
    let letters = prop::collection::vec((any::<bool>(), any::<bool>()), name.len());
    let before = prop::sample::select(vec!["", "refs/heads/", "heads/", "/", "./", "a/../", " ", "\u{200b}"]);
    let after = prop::sample::select(vec!["", "/", ".", " ", "/.", "\u{ad}"]);
    (letters, before, after).prop_map(move |(letters, before, after)| {
        let mut text = before.to_owned();
        for (letter, (capital, hidden)) in name.chars().zip(letters) {
            text.push(if capital { letter.to_ascii_uppercase() } else { letter });
            text.extend(hidden.then_some('\u{2060}'));
        }
        text + after
    })
}

proptest! {
    #[test]
    fn a_forbidden_name_is_known_in_every_writing(branch in written_otherwise("release/main")) {
        let policy = DontPushToMain { branches: vec!["release/main".into()], repos: vec![] }.into_policy();
        no(&on_branch("push_commit", &branch), &policy);
    }

    #[test]
    fn what_has_the_prefix_begins_with_it_and_hides_nothing(branch in "(agent/|Agent/|\u{430}gent/)?[a-z./\\\\ \u{200b}]{0,8}") {
        let case = on_branch("push_commit", &branch);
        if case.judge(&require_branch_prefix("agent/")) == enact_core::policy::Verdict::Pass {
            prop_assert!(branch.starts_with("agent/"));
            prop_assert!(!branch.contains("..") && !branch.contains(['\\', '\u{200b}']), "{}", branch);
        }
    }
}
