//! Erasing runs and exchanging the master key by the real binary: what is gone, what stays, and what is refused.
#![expect(clippy::indexing_slicing, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::marked::{CANARY, CANARY_IN_BASE64, holding, marked_run, marked_run_with, wrapped_key};
use common::{Gave, World, files};
use serde_json::{Value, json};

fn assert_is_erased(world: &World, run: &str, key: &[u8]) {
    for wanted in [key, CANARY.as_bytes(), CANARY_IN_BASE64.as_bytes()] {
        assert_eq!(holding(world, wanted), [""; 0]);
    }
    let shown = world.json(&["show", run]).exits(0);
    let document = shown.json();
    assert_eq!((&document["status"], &document["user"]), (&json!("completed"), &json!("(erased)")));
    assert!(document["erased"]["at"].is_string() && !shown.stdout.contains(CANARY), "{document}");
    for args in [&["events", run, "--whole"][..], &["replay", run], &["show", run]] {
        let gave = world.enact(args).exits(0);
        assert!(!gave.stdout.contains(CANARY), "{args:?}: {gave:?}");
    }
    world.json(&["store", "verify"]).exits(0);
}

#[test]
fn erasing_a_run_leaves_nothing_of_its_content_in_any_file_and_every_hash_valid() {
    let world = World::new();
    let first = marked_run(&world);
    let first_key = wrapped_key(&world, &first);
    let second = marked_run_with(&world, "another");
    let second_key = wrapped_key(&world, &second);
    // The second is erased from the journal, which is sealed for it, and then the first from a sealed volume.
    for (run, key) in [(&second, &second_key), (&first, &first_key)] {
        assert!(!holding(&world, key).is_empty(), "the search finds it");
        let events = world.json(&["store", "verify"]).exits(0).json();
        let said = world.json(&["erase", run]).exits(0).json();
        assert_eq!((&said["run_id"], &said["status"]), (&json!(run), &json!("completed")));
        assert_is_erased(&world, run, key);
        let after = world.json(&["store", "verify"]).exits(0).json();
        assert_eq!(after["events"].as_u64(), events["events"].as_u64().map(|count| count + 1));
        assert!(after["blobs"].as_u64() < events["blobs"].as_u64());
        let again = world.json(&["erase", run]).exits(0).json();
        assert_eq!(again["erased"], said["erased"], "it was erased once");
        assert_eq!(world.json(&["store", "verify"]).exits(0).json(), after);
    }
    for args in ["runs", "events"] {
        let gave = world.enact(&[args]).exits(0);
        assert!(gave.stdout.contains(&first) && !gave.stdout.contains(CANARY), "{args:?}: {gave:?}");
    }
}

#[test]
fn an_erased_run_cannot_be_undone_resumed_or_decided_on_and_says_so() {
    let world = World::new();
    let run = marked_run(&world);
    world.json(&["erase", &run, "--by", "dpo@example.com"]).exits(0);
    let before = files(&world.path("workspace"));
    for args in [
        &["rollback", &run][..],
        &["rollback", &run, "--force"],
        &["cancel", &run],
        &["resume", &run],
        &["approve", &run],
        &["resolve", &run, "--seq", "1", "--as", "applied"],
    ] {
        let (code, message) = world.json(args).exits(2).error();
        assert!(code == "conflict" && message.contains("its content was erased"), "{args:?}: {message}");
    }
    assert_eq!(files(&world.path("workspace")), before);
    let gave = world.enact(&["show", &run]).exits(0);
    assert!(
        gave.stdout.contains("its content was erased at") && gave.stdout.contains("3 actions"),
        "{gave:?}"
    );
    assert!(!gave.stdout.contains("enact rollback"), "{gave:?}");
    let events = world.enact(&["events", &run]).exits(0).stdout;
    let last: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!(last["kind"], "ContentErased");
    // Its idempotency key was used, and is so still.
    let args = ["run", "marked", "--user", "you@example.com", "--key", CANARY];
    assert_eq!(world.json(&args).json()["run_id"], json!(run));
}

#[test]
fn what_has_not_ended_or_is_not_there_is_not_erased() {
    let world = World::new();
    world.write(
        "workflows/waits.yaml",
        "name: waits\nsteps:\n  - { id: a, action: files.write_file, approval: true, with: { path: a, content: a } }\n",
    );
    let waits = world.json(&["run", "waits", "--user", "me@example.com"]).exits(5).json();
    let run = waits["run_id"].as_str().unwrap();
    let gave = world.json(&["erase", run]).exits(2).json();
    let message = gave["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("it is awaiting_approval, and only a run that has ended is erased"),
        "{message}"
    );
    assert_eq!(gave["error"]["code"], "conflict");
    for unknown in ["f", "01a00000-0000-7000-8000-000000000000", ""] {
        let (code, _) = world.json(&["erase", unknown]).exits(2).error();
        assert!(code == "not_found" || code == "invalid_parameters", "{code}");
    }
    world.json(&["deny", run, "--by", "you@example.com"]).exits(3);
    world.json(&["erase", run]).exits(0);
    let empty = World::new();
    empty.json(&["erase", "0"]).exits(2);
    assert!(!empty.path("enact-data").exists(), "nothing is made to erase something from");
}

#[test]
fn a_backup_from_before_has_the_run_still_and_one_from_after_has_not() {
    let world = World::new();
    let run = marked_run(&world);
    let key = wrapped_key(&world, &run);
    world.json(&["store", "backup", "before"]).exits(0);
    world.json(&["erase", &run]).exits(0);
    world.json(&["store", "backup", "after"]).exits(0);
    let with = |backup: &str| {
        fs::remove_dir_all(world.path("enact-data")).unwrap();
        world.json(&["store", "restore", backup, "enact-data"]).exits(0);
        world.json(&["store", "verify"]).exits(0);
    };
    with("after");
    assert_is_erased(&world, &run, &key);
    with("before");
    assert!(world.json(&["show", &run]).exits(0).stdout.contains(CANARY));
    // A restored backup is erased as the store was.
    world.json(&["erase", &run]).exits(0);
    assert_is_erased(&world, &run, &key);
}

/// Every command that opens the store.
fn opening(run: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["show", run],
        vec!["runs"],
        vec!["events"],
        vec!["resume"],
        vec!["rollback", run],
        vec!["erase", run],
        vec!["act", "files.list_dir", "--user", "me@example.com"],
        vec!["store", "verify"],
        vec!["store", "backup", "copy"],
        vec!["store", "prune", "--older-than", "1"],
        vec!["store", "rotate-key"],
    ]
}

fn assert_refused(world: &World, run: &str, says: &[&str]) {
    // Who had the lock last is noted, and nothing else.
    let store = || files(&world.path("enact-data")).into_iter().filter(|(name, _)| !name.ends_with("/lock"));
    let before: Vec<_> = store().collect();
    for args in opening(run) {
        let gave = world.json(&args).exits(2);
        let message = gave.error().1;
        assert!(says.iter().all(|says| message.contains(says)), "{args:?}: {message}");
        assert!(store().eq(before.iter().cloned()), "{args:?}");
    }
}

#[test]
fn a_wrong_or_missing_master_key_is_told_by_its_fingerprint_and_damages_nothing() {
    let world = World::new();
    let run = marked_run(&world);
    let key = world.read("enact-data.key");
    let needed = enact::MasterKey::parse(&key).unwrap().fingerprint();
    let put = |text: &str| {
        world.write("enact-data.key", text);
        fs::set_permissions(world.path("enact-data.key"), fs::Permissions::from_mode(0o600)).unwrap();
    };
    let wrong = "ab".repeat(32);
    put(&wrong);
    assert_refused(&world, &run, &[&needed, "nothing was changed"]);
    put("nonsense");
    assert_refused(&world, &run, &["64 hexadecimal digits"]);
    fs::remove_file(world.path("enact-data.key")).unwrap();
    assert_refused(&world, &run, &[&needed, "enact-data.key", "master_key_file"]);
    assert!(!world.path("enact-data.key").exists(), "no other is made in its place");
    put(&key);
    fs::set_permissions(world.path("enact-data.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_refused(&world, &run, &["can be read by others", "chmod 600"]);
    put(&key);
    assert!(world.json(&["show", &run]).exits(0).stdout.contains(CANARY));
    world.json(&["store", "verify"]).exits(0);
}

#[test]
fn a_key_that_was_exchanged_opens_nothing_any_more_and_the_new_one_all() {
    let world = World::new();
    let run = marked_run(&world);
    let old = world.read("enact-data.key");
    let print = world.json(&["store", "rotate-key"]).exits(0).json()["master_key"].clone();
    let new = world.read("enact-data.key");
    assert_ne!(old, new);
    assert_eq!(print, json!(enact::MasterKey::parse(&new).unwrap().fingerprint()));
    assert!(!world.path("enact-data.key.next").exists());
    assert_eq!(fs::metadata(world.path("enact-data.key")).unwrap().permissions().mode() & 0o777, 0o600);
    let later = world.act_write("later", CANARY);
    for run in [&run, &later] {
        assert!(world.json(&["show", run]).exits(0).stdout.contains(CANARY));
    }
    world.json(&["store", "verify"]).exits(0);
    world.write("enact-data.key", &old);
    assert_refused(&world, &run, &["nothing was changed"]);
}

#[test]
fn a_key_from_the_environment_is_used_exchanged_and_in_no_output() {
    let world = World::new();
    let config = world.read("enact.toml");
    world.write("enact.toml", &config.replace("[store]", "[store]\nmaster_key_env = \"STORE_KEY\""));
    let (old, new) = ("1a".repeat(32), "2b".repeat(32));
    let with = |key: &str, args: &[&str]| -> Gave {
        let mut command = world.command(args);
        let gave: Gave =
            command.args(["--json"]).env("STORE_KEY", key).env("NEW_KEY", &new).output().unwrap().into();
        for key in [&old, &new] {
            assert!(!gave.stdout.contains(key.as_str()) && !gave.stderr.contains(key.as_str()), "{gave:?}");
        }
        gave
    };
    let act = ["act", "files.list_dir", "--user", "me@example.com"];
    let (_, message) = world.json(&act).exits(2).error();
    assert!(message.contains("STORE_KEY"), "{message}");
    with(&old, &act).exits(0);
    assert!(!world.path("enact-data.key").exists());
    with(&old, &["store", "rotate-key"]).exits(2);
    with(&old, &["store", "rotate-key", "--new-key-env", "NO_SUCH"]).exits(2);
    with(&old, &["store", "rotate-key", "--new-key-env", "NEW_KEY"]).exits(0);
    with(&old, &["runs"]).exits(2);
    assert_eq!(with(&new, &["runs"]).exits(0).json()["runs"].as_array().unwrap().len(), 1);
}
