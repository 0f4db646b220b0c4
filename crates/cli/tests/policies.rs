//! Policies by the command line: what is checked, what is tested, what a refusal looks like.

mod common;

use common::{Gave, World};
use serde_json::{Value, json};

/// A folder of `enact init` with these rules.
fn world(rules: &str) -> World {
    let world = World::new();
    world.write("policies.cedar", rules);
    world
}

fn write(world: &World, path: &str) -> Gave {
    let params = json!({ "path": path, "content": "x" }).to_string();
    world.json(&["act", "files.write_file", "--user", "ann@example.com", "--params", &params])
}

const NOTES: &str = "permit(principal, action == Action::\"run\", resource);\n\
    permit(principal, action in Action::\"filesystem\", resource);\n\
    @id(\"notes-only\") forbid(principal, action == Action::\"files.write_file\", resource)\n\
    unless { context.params.path like \"notes/*\" };\n";

#[test]
fn a_denial_blocks_the_run_and_names_the_rule() {
    let world = world(NOTES);
    write(&world, "notes/a").exits(0);
    let run = write(&world, "other/a").exits(3).json();
    assert_eq!((&run["status"], &run["error"]["code"]), (&json!("blocked"), &json!("policy_denied")));
    let message = run["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("policy 'cedar'") && message.contains("'notes-only' (policies.cedar, line 3)"),
        "{message}"
    );
    let verdicts = run["policy_results"].as_array().unwrap();
    assert!(
        verdicts.iter().any(|verdict| verdict["policy"] == "cedar" && verdict["passed"] == false),
        "{run}"
    );
    assert_eq!(world.workspace(), ["notes", "notes/a"]);
}

#[test]
fn what_no_rule_permits_is_denied_and_a_run_is_judged_as_a_whole() {
    let nobody = world("permit(principal == User::\"root\", action, resource);");
    let run = write(&nobody, "a").exits(3).json();
    let message = run["error"]["message"].as_str().unwrap();
    assert!(message.contains("no rule of policies.cedar permits a run of 'act'"), "{message}");
    assert!(nobody.workspace().is_empty());
    let by_role = world(
        "permit(principal, action, resource) when { principal has role && principal.role == \"lead\" };",
    );
    by_role.json(&["run", "hello", "--user", "ann@example.com"]).exits(3);
    by_role.json(&["run", "hello", "--user", "ann@example.com", "--attr", "role=lead"]).exits(0);
}

#[test]
fn what_capture_finds_is_judged_before_anything_is_done() {
    let world = world(
        "permit(principal, action, resource);\n\
         forbid(principal, action == Action::\"files.write_file\", resource) when { context has facts.exists && context.facts.exists };",
    );
    write(&world, "a").exits(0);
    let params = json!({ "path": "a", "content": "other" }).to_string();
    let again = ["act", "files.write_file", "--user", "ann@example.com", "--params", &params];
    assert_eq!(world.json(&again).exits(3).json()["error"]["code"], "policy_denied");
    assert_eq!(world.read("workspace/a"), "x");
}

#[test]
fn attributes_are_declared_in_the_configuration() {
    let world =
        world("permit(principal, action, resource) when { principal has level && principal.level >= 3 };");
    let (_, message) = world.json(&["policy", "check"]).exits(2).error();
    assert!(message.contains("'has level' is never true"), "{message}");
    let config = world.read("enact.toml");
    let declared = config.replace("[policy]\n", "[policy]\nattributes = { level = \"Long\" }\n");
    world.write("enact.toml", &declared);
    world.json(&["policy", "check"]).exits(0);
    world.json(&["run", "hello", "--user", "ann@example.com", "--attr", "level=2"]).exits(3);
    world.json(&["run", "hello", "--user", "ann@example.com", "--attr", "level=3"]).exits(0);
    world.write("enact.toml", &declared.replace("\"Long\"", "\"Decimal\""));
    let (_, message) = world.json(&["policy", "check"]).exits(2).error();
    assert!(message.contains("enact.toml, line") && message.contains("Set<String>"), "{message}");
}

#[test]
fn a_file_of_rules_that_is_wrong_stops_every_command_that_carries_runs_before_anything() {
    let world = world("\n@id(\"x\") permit(principal, action == Action::\"files.shred\", resource);");
    for args in [
        &["policy", "check"][..],
        &["run", "hello", "--user", "ann@example.com"],
        &["act", "files.list_dir", "--user", "ann@example.com"],
        &["resume"],
        &["rollback", "0"],
        &["cancel", "0"],
    ] {
        let (code, message) = world.json(args).exits(2).error();
        assert_eq!(code, "invalid_parameters", "{args:?}");
        assert!(message.starts_with("policies.cedar, line 2, column "), "{args:?}: {message}");
        assert!(message.contains("rule 'x'") && message.contains("files.shred"), "{args:?}: {message}");
    }
    assert!(!world.path("enact-data").exists());
    world.json(&["runs"]).exits(0);
    std::fs::remove_file(world.path("policies.cedar")).unwrap();
    let (_, message) = world.json(&["policy", "check"]).exits(2).error();
    assert!(message.contains("cedar_file") && message.contains("policies.cedar"), "{message}");
}

#[test]
fn check_tells_each_problem_and_its_place() {
    let world = world(
        "permit(principal, action, resource) when { principal.b == 1 };\n\
         @id(\"none\") permit(principal, action == Action::\"files.shred\", resource);",
    );
    let told = world.json(&["policy", "check"]).exits(2);
    let error = &told.json()["error"];
    let problems = error["problems"].as_array().unwrap();
    let places: Vec<_> = problems.iter().map(|problem| (&problem["file"], &problem["line"])).collect();
    let file = json!("policies.cedar");
    assert!(places.contains(&(&file, &json!(1))) && places.contains(&(&file, &json!(2))), "{error}");
    assert!(
        problems.iter().any(|problem| problem["rule"] == "none" && problem["column"].is_u64()),
        "{error}"
    );
    let message = error["message"].as_str().unwrap();
    assert!(problems.iter().all(|problem| message.contains(problem["message"].as_str().unwrap())), "{error}");

    let config = world.read("enact.toml");
    let entries = "\n[[policies]]\nname = \"max_actions_per_run\"\nmax = 3\n[[policies]]\nname = \"restrict_paths\"\n\
                   [[policies]]\nprefix = \"x\"\n";
    world.write("enact.toml", &format!("{config}{entries}"));
    let told = world.json(&["policy", "check"]).exits(2);
    let problems = &told.json()["error"]["problems"];
    assert_eq!(
        (&problems[0]["entry"], &problems[0]["policy"]),
        (&json!(2), &json!("restrict_paths")),
        "{problems}"
    );
    assert!(problems[0]["message"].as_str().unwrap().starts_with("'allow' and 'deny'"), "{problems}");
    assert_eq!((&problems[1]["entry"], &problems[1]["policy"]), (&json!(3), &Value::Null));

    world.write("enact.toml", "nonsense");
    assert_eq!(world.json(&["policy", "check"]).exits(2).json()["error"]["problems"], Value::Null);
}

#[test]
fn check_tells_what_is_odd_and_what_there_is() {
    let world = world(
        "permit(principal, action, resource);\n@id(\"never\") forbid(principal, action, resource) when { false };",
    );
    let checked = world.json(&["policy", "check"]).exits(0).json();
    assert_eq!(checked["policies"], json!(["cedar"]));
    assert_eq!(
        (&checked["warnings"][0]["line"], &checked["warnings"][0]["rule"]),
        (&json!(2), &json!("never"))
    );
    let told = world.enact(&["policy", "check"]).exits(0).stdout;
    assert!(told.contains("policies.cedar, line 2") && told.contains("valid: cedar"), "{told}");
    let config = world.read("enact.toml").replace("cedar_file", "# cedar_file");
    world.write("enact.toml", &config);
    assert_eq!(world.json(&["policy", "check"]).exits(0).json()["policies"], json!([]));
    world.json(&["policy", "test", "policies.test.yaml"]).exits(2);
}

#[test]
fn the_samples_of_init_are_valid_and_pass_their_tests() {
    let world = World::empty();
    world.enact(&["init"]).exits(0);
    assert_eq!(world.json(&["policy", "check"]).exits(0).json()["warnings"], json!([]));
    let results = world.json(&["policy", "test", "policies.test.yaml"]).exits(0).json();
    assert_eq!((&results["passed"], &results["failed"]), (&json!(3), &json!(0)));
    world.json(&["run", "hello", "--user", "ann@example.com"]).exits(0);
    let git = json!({ "path": "sub/.git/config", "content": "x" }).to_string();
    world.json(&["act", "files.write_file", "--user", "ann@example.com", "--params", &git]).exits(3);
    let text = world.read("policies.cedar");
    let (open, stricter) = text.split_once("// Stricter").unwrap();
    let stricter: String =
        stricter.lines().skip(1).map(|line| format!("{}\n", line.trim_start_matches("// "))).collect();
    let stricter = stricter.replace("//", "").replace("Of parameters, as each action has them:", "");
    let without_first = open.replace(
        "permit (principal, action, resource);",
        "permit (principal, action, resource) when { false };",
    );
    world.write("policies.cedar", &format!("{without_first}\n{stricter}"));
    world.json(&["policy", "check"]).exits(0);
}

#[test]
fn cases_that_fail_are_exit_4_and_files_that_are_wrong_exit_2() {
    let world = world(NOTES);
    let case = |expect: &str| {
        format!(
            "cases:\n  - {{ name: a note, action: files.write_file, params: {{ path: x }}, expect: {expect} }}\n"
        )
    };
    world.write("cases.yaml", &case("deny").replace("path: x", "path: x, content: x"));
    world.json(&["policy", "test", "cases.yaml"]).exits(0);
    world.write("cases.yaml", &case("allow").replace("path: x", "path: x, content: x"));
    let failed: Value = world.json(&["policy", "test", "cases.yaml"]).exits(4).json();
    assert_eq!((&failed["failed"], &failed["cases"][0]["line"]), (&json!(1), &json!(2)));
    assert_eq!(failed["cases"][0]["verdicts"][0]["verdict"], "deny");
    let told = world.enact(&["policy", "test", "cases.yaml"]).exits(4).stdout;
    for part in [
        "FAILED",
        "a note",
        "cases.yaml, line 2",
        "expected allow, found deny",
        "'notes-only'",
        "0 passed, 1 failed",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    world.write("cases.yaml", &case("allow"));
    let (_, message) = world.json(&["policy", "test", "cases.yaml"]).exits(2).error();
    assert!(message.contains("cases.yaml, line 2") && message.contains("content"), "{message}");
    world.json(&["policy", "test", "nowhere.yaml"]).exits(2);
    assert!(!world.path("enact-data").exists());
}

#[test]
fn rules_are_checked_and_tested_without_the_secrets_of_connectors() {
    let world = world(
        "permit(principal, action, resource);\n\
         forbid(principal, action == Action::\"hub.create_pr\", resource) when { context.params.repo == \"acme/app\" };",
    );
    let hub = "\n[connectors.hub]\nkind = \"github\"\ntoken_env = \"NO_SUCH_TOKEN\"\nallowed_actions = []\n";
    world.write("enact.toml", &(world.read("enact.toml") + hub));
    world.write(
        "cases.yaml",
        "cases:\n  - { name: a, action: hub.create_pr, params: { repo: acme/app, title: t, head: h }, expect: deny }\n",
    );
    let gave = world.json(&["policy", "test", "cases.yaml"]).exits(0);
    assert!(gave.stderr.contains("NO_SUCH_TOKEN"), "{gave:?}");
    world.json(&["policy", "check"]).exits(0);
    write(&world, "a").exits(0);
}

#[test]
fn no_connector_reaches_the_rules() {
    let world = world("permit(principal, action, resource);");
    world.write("workspace/policies.cedar", "permit(principal, action, resource);");
    let config = world.read("enact.toml").replace("\"policies.cedar\"", "\"workspace/policies.cedar\"");
    world.write("enact.toml", &config);
    let (_, message) = world.json(&["act", "files.list_dir", "--user", "ann@example.com"]).exits(2).error();
    assert!(message.contains("holds '[policy] cedar_file'"), "{message}");
}

#[test]
fn a_plan_shows_what_the_rules_say_and_what_a_person_is_asked() {
    let world = world(
        "permit(principal, action, resource); forbid(principal, action in Action::\"reversible\", resource);",
    );
    let plan = world.json(&["plan", "hello", "--user", "ann@example.com"]).exits(3).json();
    let verdict = &plan["steps"][0]["verdicts"][0];
    assert_eq!((&verdict["policy"], &verdict["passed"]), (&json!("cedar"), &json!(false)), "{plan}");
    assert!(verdict["reason"].as_str().unwrap().contains("'policy1' (policies.cedar, line 1)"), "{plan}");
    world.write("policies.cedar", "permit(principal, action, resource == Missing::\"x\");");
    world.json(&["plan", "hello", "--user", "ann@example.com"]).exits(2);
}

#[test]
fn an_approval_that_a_rule_asks_for_is_waited_for_and_given_by_somebody_else() {
    let world = world(
        "permit(principal, action == Action::\"run\", resource);\n\
         @id(\"ask\") @approval(\"files are dear\") @approvers(\"bob@example.com\")\n\
         permit(principal, action in Action::\"filesystem\", resource);",
    );
    let run = write(&world, "a").exits(5).json();
    assert_eq!(run["status"], "awaiting_approval");
    let id = run["run_id"].as_str().unwrap();
    world.json(&["approve", id, "--by", "eve@example.com"]).exits(2);
    let approved = world.json(&["approve", id, "--by", "bob@example.com"]).exits(0).json();
    assert_eq!(approved["status"], "completed");
    assert_eq!(world.workspace(), ["a"]);
}

/// A folder of `enact init` without rules in Cedar, and with these built-in policies.
fn built_in(policies: &str) -> World {
    let world = World::new();
    let config = world.read("enact.toml");
    let before = config.split("[policy]").next().unwrap_or_default();
    world.write("enact.toml", &format!("{before}\n{policies}"));
    world
}

#[test]
fn built_in_policies_of_the_configuration_judge_runs_and_plans() {
    let world = built_in("[[policies]]\nname = \"restrict_paths\"\nallow = [\"notes/**\"]\n");
    write(&world, "notes/a").exits(0);
    let run = write(&world, "other/a").exits(3).json();
    assert!(run["error"]["message"].as_str().unwrap().contains("policy 'restrict_paths'"), "{run}");
    world.write(
        "workflows/w.yaml",
        "name: w\nsteps:\n  - { id: a, action: files.write_file, with: { path: other/b, content: x } }\n",
    );
    let plan = world.json(&["plan", "w", "--user", "ann@example.com"]).exits(3).json();
    assert_eq!(plan["steps"][0]["verdicts"][0]["passed"], false);
    let checked = world.json(&["policy", "check"]).exits(0).json();
    assert_eq!(checked["policies"], json!(["restrict_paths"]));
}

#[test]
fn a_limit_holds_over_processes_and_in_a_plan() {
    let world = built_in("[[policies]]\nname = \"rate_limit\"\nmax = 2\nper = \"1h\"\nby = [\"user\"]\n");
    write(&world, "a").exits(0);
    world.write(
        "workflows/w.yaml",
        "name: w\nsteps:\n  - { id: a, action: files.write_file, with: { path: x, content: x } }\n",
    );
    let plan = ["plan", "w", "--user", "ann@example.com"];
    world.json(&plan).exits(0);
    write(&world, "b").exits(0);
    let third = write(&world, "c").exits(3).json();
    assert!(third["error"]["message"].as_str().unwrap().contains("rate_limit"), "{third}");
    world.json(&plan).exits(3);
    world.json(&["plan", "w", "--user", "bob@example.com"]).exits(0);
    assert_eq!(world.workspace(), ["a", "b"]);
}

#[test]
fn one_line_makes_what_cannot_be_undone_wait_for_a_person() {
    let world = built_in("[[policies]]\nname = \"require_approval\"\nactions = [\"files.delete_file\"]\n");
    write(&world, "a").exits(0);
    let delete = ["act", "files.delete_file", "--user", "ann@example.com", "--params", r#"{"path": "a"}"#];
    let waits = world.json(&delete).exits(5).json();
    assert_eq!(waits["status"], "awaiting_approval");
    let run = waits["run_id"].as_str().unwrap();
    world.json(&["approve", run, "--by", "boss@example.com"]).exits(0);
    assert!(world.workspace().is_empty());
    // Its undo needs nobody's leave.
    world.json(&["rollback", run]).exits(0);
    assert_eq!(world.workspace(), ["a"]);
}

#[test]
fn nonsense_among_the_policies_is_a_mistake_of_the_configuration() {
    for (policies, part) in [
        ("[[policies]]\nname = \"no_such_policy\"\n", "no_such_policy"),
        ("[[policies]]\nname = \"require_branch_prefix\"\n", "'prefix' is missing"),
        ("[[policies]]\nname = \"restrict_paths\"\nallow = [\"a\"]\nallowed = 1\n", "'allowed'"),
        ("[[policies]]\nprefix = \"x\"\n", "name"),
        ("policies = 3\n", "policies"),
    ] {
        let world = built_in(policies);
        let (code, message) =
            world.json(&["act", "files.list_dir", "--user", "ann@example.com"]).exits(2).error();
        assert_eq!(code, "invalid_parameters", "{message}");
        assert!(message.contains(part), "{part}: {message}");
    }
}
