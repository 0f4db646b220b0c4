//! What people are told to do next is true: it helps, or is not said.
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::path::PathBuf;

use common::World;
use serde_json::json;

const ME: [&str; 2] = ["--user", "me@example.com"];

#[test]
fn force_is_advised_only_where_it_helps() {
    let world = World::new();
    let run = world.act_write("a.txt", "one");
    world.write("workspace/a.txt", "edited by a person");
    let said = world.enact(&["rollback", &run]).exits(5).stdout;
    assert!(said.contains(&format!("`enact rollback {run} --force` overwrites")), "{said}");

    fs::remove_file(world.path("workspace/a.txt")).unwrap();
    fs::create_dir(world.path("workspace/a.txt")).unwrap();
    for args in [&["rollback", &run][..], &["rollback", &run, "--force"], &["show", &run]] {
        let said = world.enact(args).stdout;
        assert!(!said.contains("--force"), "{args:?}: {said}");
        assert!(said.contains(&format!("`enact rollback {run}` tries again")), "{args:?}: {said}");
    }
    fs::remove_dir(world.path("workspace/a.txt")).unwrap();
    world.enact(&["rollback", &run]).exits(0);
}

#[test]
fn a_workspace_that_was_put_back_elsewhere_is_another_one_also_by_force() {
    let world = World::new();
    let run = world.act_write("a.txt", "one");
    fs::rename(world.path("workspace"), world.path("old")).unwrap();
    world.write("workspace/a.txt", "one");
    for args in [&["rollback", &run][..], &["rollback", &run, "--force"]] {
        let said = world.enact(args).exits(5).stdout;
        assert!(said.contains("now speaks to") && !said.contains("--force"), "{said}");
    }
    assert_eq!(world.read("workspace/a.txt"), "one");
    fs::remove_dir_all(world.path("workspace")).unwrap();
    fs::rename(world.path("old"), world.path("workspace")).unwrap();
    world.enact(&["rollback", &run]).exits(0);
}

/// The only blob of the store.
fn blob(world: &World) -> PathBuf {
    let fan = fs::read_dir(world.path("enact-data/blobs")).unwrap().next().unwrap().unwrap().path();
    fs::read_dir(fan).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn an_undo_whose_content_the_store_lost_ends_with_6_and_says_to_restore_a_backup() {
    let world = World::new();
    world.write("workspace/big", &"x".repeat(300_000));
    let params = json!({ "path": "big" }).to_string();
    let gave = world.json(&["act", "files.delete_file", ME[0], ME[1], "--params", &params]).exits(0).json();
    let run = gave["run_id"].as_str().unwrap();
    let blob = blob(&world);
    let content = fs::read(&blob).unwrap();
    let mut damaged = content.clone();
    damaged[7] ^= 1;
    for damage in [None, Some(&damaged), Some(&content[..9].to_vec())] {
        match damage {
            Some(damaged) => fs::write(&blob, damaged).unwrap(),
            None => fs::remove_file(&blob).unwrap(),
        }
        let gave = world.json(&["rollback", run]).exits(6);
        assert_eq!(gave.json()["rollback"]["actions"][0]["outcome"], "failed", "{gave:?}");
        assert!(gave.stderr.contains("corrupt") && gave.stderr.contains("backup"), "{gave:?}");
        assert!(world.workspace().is_empty());
    }
    fs::write(&blob, content).unwrap();
    world.json(&["rollback", run]).exits(0);
    assert_eq!(world.read("workspace/big").len(), 300_000);
}

#[test]
fn a_run_that_did_nothing_has_no_line_of_undos() {
    let world = World::new();
    world.write(
        "w.yaml",
        "name: w\nsteps:\n- {id: a, action: files.write_file, with: {path: '{{ payload.p }}', content: x}}\n",
    );
    let said = world.enact(&["run", "./w.yaml", ME[0], ME[1]]).exits(4).stdout;
    assert!(!said.contains("undo:"), "{said}");
}

const DB: &str = "\n[connectors.db]\nkind = \"postgres\"\nurl_env = \"ENACT_TEST_NOT_SET\"\nallowed_actions = [\"select_rows\"]\n";

#[test]
fn a_secret_that_is_missing_stops_only_what_needs_it() {
    let world = World::new();
    let run = world.act_write("a.txt", "one");
    let config = world.read("enact.toml") + DB;
    world.write("enact.toml", &config);
    for args in [&["act", "files.list_dir", ME[0], ME[1]][..], &["run", "hello", ME[0], ME[1]]] {
        let gave = world.json(args).exits(0);
        assert!(gave.stderr.contains("'db'") && gave.stderr.contains("ENACT_TEST_NOT_SET"), "{gave:?}");
        gave.json();
    }
    world.json(&["show", &run]).exits(0);
    world.write("w.yaml", "name: w\nsteps:\n- {id: a, action: db.select_rows, with: {table: t}}\n");
    let select = ["act", "db.select_rows", ME[0], ME[1], "--params", r#"{"table": "t"}"#];
    for args in [&select[..], &["run", "./w.yaml", ME[0], ME[1]], &["resume"], &["rollback", &run]] {
        let (_, message) = world.json(args).exits(2).error();
        assert!(message.contains("ENACT_TEST_NOT_SET"), "{args:?}: {message}");
    }
    assert_eq!(world.json(&["show", &run]).exits(0).json()["status"], "completed");
}

#[test]
fn a_mistake_in_a_connector_is_one_for_every_command() {
    let world = World::new();
    world.act_write("a.txt", "one");
    let good = world.read("enact.toml");
    let files = "[connectors.files]";
    for (config, named) in [
        (good.replace(files, &format!("{files}\nmax_read_byte = 3")), "max_read_byte"),
        (good.replace("allowed_actions", "# allowed_actions"), "allowed_actions"),
        (good.replace("root = ", "# root = "), "root"),
        (good.replace("\"filesystem\"", "\"ftp\""), "ftp"),
    ] {
        world.write("enact.toml", &config);
        for args in
            [&["runs"][..], &["events"], &["act", "files.list_dir", ME[0], ME[1]], &["store", "verify"]]
        {
            let (_, message) = world.json(args).exits(2).error();
            assert!(message.contains(named) && message.contains("enact.toml, line"), "{args:?}: {message}");
        }
    }
    world.write("enact.toml", &good.replace(files, &format!("{files}\nmax_read_byte = 3")));
    let (_, message) = world.json(&["runs"]).exits(2).error();
    for key in ["kind", "allowed_actions", "max_concurrency", "timeout_s", "root"] {
        assert!(message.contains(&format!("`{key}`")), "{message}");
    }
}
