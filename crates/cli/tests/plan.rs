//! `enact plan` with the real binary: what a workflow would do, and that nothing is done.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use common::{Gave, World, files};
use enact_testkit::postgres::Server;
use serde_json::{Value, json};

const WORKFLOW: &str = r#"
name: notes
steps:
  - { id: old, action: files.read_file, with: { path: "{{ payload.path }}" } }
  - id: edit
    action: files.write_file
    with: { path: "{{ payload.path }}", content: "{{ steps.old.output.content }}three\n" }
  - { id: fresh, action: files.write_file, with: { path: "new/a.txt", content: "hello\n" }, approval: true }
  - { id: same, action: files.write_file, with: { path: "same.txt", content: "same\n" } }
  - { id: never, action: files.delete_file, when: "{{ payload.path == '' }}", with: { path: "x" } }
  - id: log
    action: files.write_file
    with: { path: "logs/{{ run.id }}.txt", content: "{{ steps.fresh.output.sha256 }}" }
  - { id: gone, action: files.delete_file, with: { path: "same.txt" } }
"#;

fn desk() -> World {
    let world = World::new();
    world.write("workflows/notes.yaml", WORKFLOW);
    world.write("workspace/a.txt", "one\ntwo\n");
    world.write("workspace/same.txt", "same\n");
    world
}

fn plan(world: &World, workflow: &str, payload: &Value) -> Gave {
    world.json(&["plan", workflow, "--user", "me@example.com", "--payload", &payload.to_string()])
}

fn step<'a>(plan: &'a Value, id: &str) -> &'a Value {
    plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).unwrap()
}

#[test]
fn a_plan_shows_each_step_and_changes_nothing() {
    let world = desk();
    let before = files(&world.path("."));
    let plan = plan(&world, "notes", &json!({ "path": "a.txt" })).exits(0).json();
    assert_eq!(files(&world.path(".")), before, "nothing was changed, and no store was made");

    assert_eq!(plan["workflow"], "notes");
    let edit = step(&plan, "edit");
    assert_eq!((&edit["action"], &edit["target"]["id"]), (&json!("files.write_file"), &json!("a.txt")));
    assert_eq!(edit["params"]["content"], "one\ntwo\nthree\n", "what is read is known");
    assert_eq!(edit["before"]["size"], 8);
    let diff = edit["change"].as_str().unwrap();
    assert!(diff.contains("--- a/a.txt\n+++ b/a.txt\n") && diff.contains("\n two\n+three\n"), "{diff}");
    assert!(edit["undo"].as_str().unwrap().starts_with("restores the previous bytes"), "{edit}");
    assert_eq!(edit["unknown"], json!([]));

    let fresh = step(&plan, "fresh");
    assert!(fresh["change"].as_str().unwrap().contains("--- /dev/null\n+++ b/new/a.txt\n"), "{fresh}");
    let wanted = fresh["verdicts"].as_array().unwrap().iter().find(|v| v["policy"] == "workflow").unwrap();
    assert!(wanted["reason"].as_str().unwrap().contains("approval"), "{wanted}");

    let same = step(&plan, "same");
    assert_eq!((&same["already_done"], &same["change"]), (&json!(true), &Value::Null));
    assert_eq!(step(&plan, "never")["skipped"], true);
    let gone = step(&plan, "gone")["change"].as_str().unwrap();
    assert!(gone.contains("+++ /dev/null\n") && gone.contains("\n-same\n"), "{gone}");
}

#[test]
fn what_only_a_run_has_is_named_and_not_made_up() {
    let world = desk();
    let plan = plan(&world, "notes", &json!({ "path": "a.txt" })).exits(0).json();
    let log = step(&plan, "log");
    assert_eq!(log["unknown"], json!(["content", "path"]));
    assert_eq!((&log["params"]["content"], &log["target"]), (&Value::Null, &Value::Null));
    assert!(log["undo"].as_str().unwrap().contains("removes the file"), "how it is undone is known: {log}");
}

#[test]
fn a_step_that_would_fail_as_things_are_says_so_and_the_plan_goes_on() {
    let world = desk();
    let plan = plan(&world, "notes", &json!({ "path": "missing.txt" })).exits(0).json();
    assert_eq!(step(&plan, "old")["error"]["code"], "not_found");
    assert_eq!(step(&plan, "edit")["unknown"], json!(["content"]));
    assert_eq!(step(&plan, "gone")["target"]["id"], "same.txt");
}

#[test]
fn what_the_allowlist_refuses_is_a_verdict_that_denies() {
    let world = desk();
    let config = world.read("enact.toml");
    world.write("enact.toml", &config.replace(r#", "delete_file"]"#, "]"));
    let gave = plan(&world, "notes", &json!({ "path": "a.txt" })).exits(3).json();
    let verdict = &step(&gave, "gone")["verdicts"][0];
    assert_eq!((&verdict["policy"], &verdict["passed"]), (&json!("allowlist"), &json!(false)));
    assert_eq!(verdict["reason"], "Action 'delete_file' not in allowlist");
}

#[test]
fn what_a_run_would_refuse_at_once_is_refused() {
    let world = desk();
    world.write("workflows/odd.yaml", "name: odd\nsteps:\n  - { id: a, action: files.nothing }\n");
    let (code, message) = plan(&world, "odd", &json!({})).exits(2).error();
    assert_eq!(code, "invalid_parameters");
    assert!(message.contains("nothing"), "{message}");
    let (code, _) = plan(&world, "no-such-workflow", &json!({})).exits(2).error();
    assert_eq!(code, "not_found");
}

const AFTER: &str = r#"
name: after
steps:
  - { id: old, action: files.read_file, with: { path: "{{ payload.path }}" } }
  - { id: edit, action: files.write_file, with: { path: "{{ payload.to }}", content: "x" } }
  - { id: hole, action: files.write_file, with: { path: "c.txt", content: "{{ steps.edit.output.sha256 }}" } }
  - { id: gone, action: files.delete_file, with: { path: "same.txt" } }
"#;

/// Whether all verdicts on the last step of [`AFTER`] let it pass, under a rule in Cedar on deleting.
fn gone_passes(rule: &str, path: &str, to: &str) -> bool {
    let world = desk();
    world.write("workflows/after.yaml", AFTER);
    let rules = "permit(principal, action, resource);\n\
        @id(\"outside\") forbid(principal, action == Action::\"files.write_file\", resource)\n\
        unless { context.params.path != \"private/b\" };\n\
        forbid(principal, action == Action::\"files.delete_file\", resource) unless { ";
    world.write("policies.cedar", &format!("{rules}{rule} }};\n"));
    let gave = world.json(&[
        "plan",
        "after",
        "--user",
        "me@example.com",
        "--payload",
        &json!({ "path": path, "to": to }).to_string(),
    ]);
    let plan = gave.json();
    step(&plan, "gone")["verdicts"].as_array().unwrap().iter().all(|verdict| verdict["passed"] == true)
}

#[test]
fn what_would_fail_or_be_refused_or_is_not_known_has_not_succeeded_for_what_comes_later() {
    let read = "context.run.succeeded.contains(\"files.read_file\")";
    assert!(gone_passes(read, "a.txt", "b.txt"));
    assert!(!gone_passes(read, "missing.txt", "b.txt"), "the read would fail");
    let written = "context.run.succeeded.contains(\"files.write_file\")";
    assert!(gone_passes(written, "a.txt", "b.txt"));
    assert!(
        !gone_passes(written, "a.txt", "private/b"),
        "one write would be refused, of the other nobody knows"
    );
    assert!(gone_passes("context.run.actions == 3", "a.txt", "b.txt"), "all of them were asked for");
}

#[test]
fn a_write_that_fails_or_is_refused_on_what_is_found_has_not_succeeded() {
    let world = desk();
    std::fs::create_dir_all(world.path("workspace/private")).unwrap();
    std::fs::create_dir_all(world.path("workspace/notes")).unwrap();
    std::os::unix::fs::symlink("../private", world.path("workspace/notes/link")).unwrap();
    let config = world.read("enact.toml");
    world.write(
        "enact.toml",
        &format!(
            "{config}\n[[policies]]\nname = \"restrict_paths\"\ndeny = [\"private\"]\n\
             [[policies]]\nname = \"max_actions_per_run\"\nmax = 2\n"
        ),
    );
    world.write(
        "policies.cedar",
        "permit(principal, action, resource);\n\
         forbid(principal, action == Action::\"files.delete_file\", resource)\n\
         unless { context.run.succeeded.contains(\"files.write_file\") };\n",
    );
    world.write(
        "workflows/link.yaml",
        "name: link\nsteps:\n  - { id: a, action: files.write_file, with: { path: notes/link/b, content: x } }\n  \
         - { id: b, action: files.delete_file, with: { path: same.txt } }\n  \
         - { id: c, action: files.delete_file, with: { path: a.txt } }\n",
    );
    let plan = plan(&world, "link", &json!({})).exits(3).json();
    let denied = |id: &str| -> Vec<String> {
        let verdicts = step(&plan, id)["verdicts"].as_array().unwrap().clone();
        let denied = verdicts.iter().filter(|verdict| verdict["passed"] == false);
        denied.map(|verdict| verdict["policy"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(denied("a"), ["restrict_paths"]);
    assert_eq!(denied("b"), ["cedar"]);
    assert_eq!(denied("c"), ["max_actions_per_run", "cedar"]);
}

#[test]
fn for_people_it_says_what_could_not_be_undone_and_what_changes() {
    let world = desk();
    let told =
        world.enact(&["plan", "notes", "--user", "me@example.com", "--payload", r#"{"path": "a.txt"}"#]);
    let told = told.exits(0).stdout;
    for part in ["nothing is changed", "+three", "known when the run is there", "none: it is so already"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_counted_and_shown_and_neither_locked_nor_touched() {
    let db = Server::shared().database().await;
    db.exec(
        "CREATE TABLE users (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text, age numeric);
         INSERT INTO users (name, age) SELECT 'n' || n, 20.10 FROM generate_series(1, 7) n;
         CREATE TABLE audit (n bigserial);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN INSERT INTO audit DEFAULT VALUES; RETURN NULL; END $$;
         CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION note();",
    )
    .await;
    let world = World::empty();
    world.write(
        "enact.toml",
        "[connectors.db]\nkind = \"postgres\"\nurl_env = \"DATABASE_URL\"\nallowed_actions = [\"insert_row\", \
         \"update_row\", \"delete_row\"]\n[workflows]\ndir = \"workflows\"\n",
    );
    world.write(
        "workflows/rows.yaml",
        "name: rows\nsteps:\n  - { id: add, action: db.insert_row, with: { table: users, data: { name: x } } }\n  \
         - { id: age, action: db.update_row, with: { table: users, data: { age: 30 }, where: { age: 20.10 } } }\n  \
         - { id: drop, action: db.delete_row, with: { table: users, where: { name: n3 } } }\n  \
         - { id: none, action: db.delete_row, with: { table: users, where: { name: nobody } } }\n",
    );
    // Somebody has a row locked: a plan does not wait for them.
    let holder = db.client().await;
    holder.batch_execute("BEGIN; SELECT * FROM users WHERE name = 'n3' FOR UPDATE").await.unwrap();
    let mut command = world.command(&["plan", "rows", "--user", "me@example.com", "--json"]);
    let gave: Gave = command.env("DATABASE_URL", db.url()).output().unwrap().into();
    let plan = gave.exits(0).json();
    let age = step(&plan, "age");
    assert_eq!((&age["before"]["rows"], &age["change"]["rows"]), (&json!(7), &json!(7)));
    assert_eq!(age["before"]["sample"].as_array().unwrap().len(), 5);
    assert_eq!(age["change"]["set"], json!({ "age": 30 }));
    assert!(age["change"]["warnings"][0].as_str().unwrap().contains("note"), "{age}");
    assert_eq!(step(&plan, "drop")["before"]["sample"][0]["name"], "n3");
    assert_eq!(step(&plan, "none")["already_done"], true);
    assert_eq!(step(&plan, "add")["change"]["rows"], 1);
    holder.batch_execute("ROLLBACK").await.unwrap();

    let left = db.client().await;
    let next: i32 = left.query_one("SELECT nextval('users_id_seq')::int", &[]).await.unwrap().get(0);
    assert_eq!(next, 8, "not even a number of the sequence was used");
    let noted: i64 = left.query_one("SELECT count(*) FROM audit", &[]).await.unwrap().get(0);
    assert_eq!(noted, 0);
}
