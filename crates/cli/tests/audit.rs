//! Signing and proving the log by the real binary.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::{World, copy};
use serde_json::{Value, json};

fn verified(world: &World) -> Value {
    world.json(&["audit", "verify"]).exits(0).json()
}

/// Signs the log, and keeps the checkpoint elsewhere.
fn keep(world: &World, name: &str) {
    let note = world.enact(&["audit", "checkpoint"]).exits(0).stdout;
    world.write(name, &note);
}

fn mode(world: &World, name: &str) -> u32 {
    fs::metadata(world.path(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn every_command_that_records_something_leaves_the_log_signed() {
    let world = World::new();
    world.json(&["audit", "verify"]).exits(2);
    let run = world.act_write("a", "1");
    assert_eq!((mode(&world, "enact-signing.key"), mode(&world, "enact-data/checkpoints")), (0o600, 0o600));
    let mut checkpoints = 1;
    for args in [&["show", &run][..], &["rollback", &run], &["resume"], &["erase", &run], &["runs"]] {
        let before = verified(&world);
        assert_eq!(
            (&before["signed"], &before["checkpoints"]),
            (&before["up_to"], &json!(checkpoints)),
            "{args:?}"
        );
        world.json(args).exits(0);
        let records = matches!(args, ["rollback" | "erase", _]);
        checkpoints += u64::from(records);
        let after = verified(&world);
        assert_eq!(after["checkpoints"], json!(checkpoints), "{args:?}");
        assert_eq!(before["up_to"] != after["up_to"], records, "{args:?}");
    }
    let said = world.enact(&["audit", "verify"]).exits(0).stdout;
    assert!(said.contains("as they were signed in 3 checkpoints"), "{said}");
}

#[test]
fn what_a_killed_command_recorded_is_said_to_be_unsigned_until_the_next_one_signs_it() {
    let world = World::new();
    world.act_write("a", "1");
    let signed = verified(&world)["signed"].clone();
    let lines = world.read("enact-data/checkpoints");
    world.act_write("b", "1");
    // As if the command had been killed after its answer.
    world.write("enact-data/checkpoints", &lines);
    let partly = verified(&world);
    assert_eq!(partly["signed"], signed);
    assert!(partly["up_to"].as_u64() > signed.as_u64());
    let said = world.enact(&["audit", "verify"]).exits(0).stdout;
    assert!(said.contains("are not signed yet"), "{said}");
    world.enact(&["resume"]).exits(0);
    let whole = verified(&world);
    assert_eq!(whole["signed"], whole["up_to"]);
}

#[test]
fn the_log_is_proved_without_the_master_key_and_the_signing_key_by_the_public_key_alone() {
    let world = World::new();
    world.act_write("a", "1");
    let whole = verified(&world);
    fs::rename(world.path("enact-signing.pub"), world.path("auditor.pub")).unwrap();
    fs::remove_file(world.path("enact-signing.key")).unwrap();
    fs::remove_file(world.path("enact-data.key")).unwrap();
    let (_, message) = world.json(&["audit", "verify"]).exits(2).error();
    assert!(message.contains("enact-signing.pub") && message.contains("--public-key"), "{message}");
    let args = ["audit", "verify", "--public-key", "auditor.pub"];
    assert_eq!(world.json(&args).exits(0).json(), whole);
    assert!(!world.path("enact-data.key").exists() && !world.path("enact-signing.key").exists());

    let other = World::new();
    other.act_write("a", "1");
    world.write("other.pub", &other.read("enact-signing.pub"));
    let (_, message) = world.json(&["audit", "verify", "--public-key", "other.pub"]).exits(6).error();
    assert!(message.contains("no signature of a key that is trusted"), "{message}");
}

#[test]
fn a_log_that_was_replaced_with_the_signing_key_at_hand_is_found_by_a_checkpoint_kept_elsewhere() {
    let world = World::new();
    world.act_write("a", "1");
    let (before, lines) = (world.path("before"), world.read("enact-data/checkpoints"));
    copy(&world.path("enact-data"), &before);
    world.act_write("b", "1");
    keep(&world, "kept.checkpoint");
    let args = ["audit", "verify", "--checkpoint", "kept.checkpoint"];
    world.json(&args).exits(0);

    fs::rename(world.path("enact-data"), world.path("original")).unwrap();
    fs::rename(&before, world.path("enact-data")).unwrap();
    assert_eq!(world.read("enact-data/checkpoints"), lines);
    world.json(&["audit", "verify"]).exits(0);
    let (_, message) = world.json(&args).exits(6).error();
    assert!(message.contains("kept.checkpoint") && message.contains("is cut off"), "{message}");
    world.act_write("c", "2");
    world.json(&["audit", "verify"]).exits(0);
    let (_, message) = world.json(&args).exits(6).error();
    assert!(message.contains("are not those that were signed"), "{message}");

    fs::remove_dir_all(world.path("enact-data")).unwrap();
    world.act_write("a", "1");
    world.json(&["audit", "verify"]).exits(0);
    let (_, message) = world.json(&args).exits(6).error();
    assert!(message.contains("it is of the log"), "{message}");
}

#[test]
fn a_key_is_exchanged_and_who_has_the_first_public_key_can_check_what_follows() {
    let world = World::new();
    world.act_write("a", "1");
    let (old, first) = (world.read("enact-signing.key"), world.read("enact-signing.pub"));
    world.write("first.pub", &first);
    let said = world.json(&["audit", "rotate-key"]).exits(0).json();
    assert_ne!(world.read("enact-signing.key"), old);
    assert!(!world.path("enact-signing.key.next").exists());
    assert_eq!(mode(&world, "enact-signing.key"), 0o600);
    let keys = world.read("enact-signing.pub");
    assert_eq!(keys, format!("{first}{}\n", said["public_key"].as_str().unwrap()));
    world.act_write("b", "1");
    for trusted in ["first.pub", "enact-signing.pub"] {
        let proved = world.json(&["audit", "verify", "--public-key", trusted]).exits(0).json();
        assert_eq!((&proved["signed"], &proved["checkpoints"]), (&proved["up_to"], &json!(3)));
    }

    // The old key signs nothing any more, and nothing is done that could not be signed.
    world.write("enact-signing.key", &old);
    let events = verified(&world)["events"].clone();
    let act = ["act", "files.list_dir", "--user", "me@example.com"];
    let (_, message) = world.json(&act).exits(2).error();
    assert!(message.contains("is not the one by which the log") && message.contains("--lost"), "{message}");
    assert_eq!(verified(&world)["events"], events);
}

#[test]
fn an_exchange_that_was_cut_off_is_finished_by_the_next_command() {
    let world = World::new();
    world.act_write("a", "1");
    let old = world.read("enact-signing.key");
    world.json(&["audit", "rotate-key"]).exits(0);
    let new = world.read("enact-signing.key");
    // As it is when the log knows the new key, and it is not in its place.
    fs::rename(world.path("enact-signing.key"), world.path("enact-signing.key.next")).unwrap();
    world.write("enact-signing.key", &old);
    fs::set_permissions(world.path("enact-signing.key"), fs::Permissions::from_mode(0o600)).unwrap();
    world.act_write("b", "1");
    assert_eq!(world.read("enact-signing.key"), new);
    assert!(!world.path("enact-signing.key.next").exists());
    verified(&world);
    // As it is when the log does not know it yet.
    fs::copy(world.path("enact-data.key"), world.path("enact-signing.key.next")).unwrap();
    world.act_write("c", "1");
    assert_eq!(world.read("enact-signing.key"), new);
    world.json(&["audit", "rotate-key"]).exits(0);
    verified(&world);
}

#[test]
fn a_lost_or_open_signing_key_stops_what_is_new_and_never_an_undo() {
    let world = World::new();
    let run = world.act_write("a", "1");
    let act = ["act", "files.list_dir", "--user", "me@example.com"];
    fs::set_permissions(world.path("enact-signing.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let (_, message) = world.json(&act).exits(2).error();
    assert!(message.contains("can be read by others") && message.contains("rotate-key"), "{message}");
    fs::remove_file(world.path("enact-signing.key")).unwrap();
    let (_, message) = world.json(&act).exits(2).error();
    assert!(message.contains("is not there") && message.contains("--lost"), "{message}");
    assert!(!world.path("enact-signing.key").exists(), "no other is made in its place");

    let undone = world.json(&["rollback", &run]).exits(0);
    assert!(undone.stderr.contains("is recorded, and not signed"), "{undone:?}");
    assert!(verified(&world)["signed"].as_u64() < verified(&world)["up_to"].as_u64());
    world.json(&["audit", "rotate-key"]).exits(2);
    let first = world.read("enact-signing.pub");
    world.json(&["audit", "rotate-key", "--lost"]).exits(0);
    world.json(&act).exits(0);
    let proved = verified(&world);
    assert_eq!(proved["signed"], proved["up_to"]);
    world.write("first.pub", &first);
    let (_, message) = world.json(&["audit", "verify", "--public-key", "first.pub"]).exits(6).error();
    assert!(
        message.contains("line 2") && message.contains("no signature of a key that is trusted"),
        "{message}"
    );
}

#[test]
fn no_connector_reaches_the_signing_key_or_what_is_trusted() {
    let world = World::new();
    let config = world.read("enact.toml");
    for file in ["workspace/s.key", "workspace/enact-signing.pub/../s.key"] {
        world.write("enact.toml", &format!("{config}\n[audit]\nsigning_key_file = \"{file}\"\n"));
        let act = ["act", "files.list_dir", "--user", "me@example.com"];
        let (_, message) = world.json(&act).exits(2).error();
        assert!(message.contains("signing_key_file"), "{message}");
        assert!(!world.path("workspace/s.key").exists());
    }
}

#[test]
fn case_40_a_record_that_is_changed_is_named_by_its_position() {
    let world = World::new();
    world.act_write("a", "1");
    world.act_write("b", "1");
    let journal = fs::read_dir(world.path("enact-data/journal")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&journal).unwrap();
    let at = bytes.len() / 2;
    let at = (0..at).rev().find(|at| bytes.get(*at).is_some_and(|byte| *byte != 0)).unwrap();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
    fs::write(journal, bytes).unwrap();
    let (_, message) = world.json(&["audit", "verify"]).exits(6).error();
    assert!(message.contains("corrupt"), "{message}");
}

#[test]
fn a_receipt_is_checked_by_the_public_key_alone_in_another_folder() {
    let world = World::new();
    let run = world.act_write("a", "a secret of the company");
    world.json(&["rollback", &run]).exits(0);
    let receipt = world.enact(&["receipt", &run]).exits(0).stdout;
    assert_eq!(receipt, world.json(&["receipt", &run]).exits(0).stdout, "JSON, however it is asked for");
    assert!(!receipt.contains("a secret of the company") && !receipt.contains("disclosed"));

    let auditor = World::new();
    auditor.write("receipt.json", &receipt);
    auditor.write("auditor.pub", &world.read("enact-signing.pub"));
    let check = ["audit", "verify", "--receipt", "receipt.json", "--public-key", "auditor.pub"];
    let proven = auditor.json(&check).exits(0).json();
    assert_eq!((&proven["run_id"], &proven["status"]), (&json!(run), &json!("rolled_back")));
    assert_eq!(
        proven["events"],
        json!(
            serde_json::from_str::<Value>(&receipt).unwrap()["statement"]["events"].as_array().unwrap().len()
        )
    );
    let said = auditor.enact(&check).exits(0).stdout;
    assert!(said.contains(&format!("the receipt holds: run {run}")), "{said}");

    // Whoever is shown the content can check that it is that of the receipt.
    let disclosed = world.enact(&["receipt", &run, "--disclose"]).exits(0).stdout;
    auditor.write("receipt.json", &disclosed);
    let shown = auditor.json(&check).exits(0).json();
    assert_eq!(shown["disclosed"]["actions.1.params"]["content"], json!("a secret of the company"));

    for (from, to) in
        [("rolled_back", "completed"), ("\"a secret", "\"no secret"), ("\"user\":\"", "\"user\":\"x")]
    {
        auditor.write("receipt.json", &disclosed.replacen(from, to, 1));
        auditor.json(&check).exits(6);
    }
    auditor.write("receipt.json", "{}");
    let error = auditor.json(&check).exits(6).json();
    assert!(error["error"]["message"].as_str().unwrap().contains("it is no receipt"), "{error}");
    auditor.json(&["audit", "verify", "--receipt", "nowhere", "--public-key", "auditor.pub"]).exits(2);
}

#[test]
fn the_log_is_held_against_receipts_and_an_erased_run_has_none_any_more() {
    let world = World::new();
    let (first, second) = (world.act_write("a", "1"), world.act_write("b", "2"));
    for run in [&first, &first, &second] {
        world.enact(&["receipt", run]).exits(0);
    }
    assert_eq!(verified(&world)["receipts"], json!({ "same": 2, "gone": 0, "locked": 0 }));
    assert_eq!(mode(&world, "enact-data/receipts"), 0o600);
    world.json(&["erase", &first]).exits(0);
    assert_eq!(verified(&world)["receipts"], json!({ "same": 1, "gone": 1, "locked": 0 }));
    let refused = world.json(&["receipt", &first]).exits(2).json();
    assert!(refused["error"]["message"].as_str().unwrap().contains("was erased"), "{refused}");
    world.json(&["receipt", "nothing"]).exits(2);
    let said = world.enact(&["audit", "verify"]).exits(0).stdout;
    assert!(said.contains("1 receipts say what it says, 1 are of runs that were erased"), "{said}");

    let register = world.read("enact-data/receipts");
    world.write("enact-data/receipts", &register.replace("\"events\":", "\"events\":1"));
    let found = world.json(&["audit", "verify"]).exits(6).json();
    assert!(found["error"]["message"].as_str().unwrap().contains("line 1"), "{found}");
}

/// The lines of an export.
fn exported(world: &World, args: &[&str]) -> Vec<Value> {
    let said = world.enact(&[&["audit", "export"], args].concat()).exits(0).stdout;
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_log_is_exported_as_lines_and_the_next_export_goes_on() {
    let world = World::new();
    let first = world.act_write("a", "token ghp_16C7e42F292c6912E7710c838347Ae178B4a");
    let all = exported(&world, &[]);
    assert_eq!((&all[0]["type"], &all[0]["format"]), (&json!("begin"), &json!("enact.export.v1")));
    let end = all.last().unwrap();
    assert_eq!((&end["type"], &end["position"]), (&json!("end"), &json!(all.len() - 2)));
    let text = world.enact(&["audit", "export"]).exits(0).stdout;
    assert!(!text.contains("ghp_16C7"), "it is redacted as what is printed elsewhere");
    assert!(world.enact(&["audit", "export", "--whole"]).exits(0).stdout.contains("ghp_16C7"));

    let second = world.act_write("b", "2");
    let next = (all.len() - 1).to_string();
    let more = exported(&world, &["--from", &next]);
    assert!(more.iter().filter(|line| line["type"] == "event").all(|line| line["run_id"] == json!(second)));
    assert_eq!(more[1]["event_seq"], json!(1));
    let of_first = exported(&world, &["--run", &first, "--kind", "ActionIntended", "--before", "2999-01-01"]);
    assert_eq!((of_first.len(), &of_first[1]["run_id"]), (3, &json!(first)));
    let last: u64 = exported(&world, &[]).last().unwrap()["position"].as_u64().unwrap();
    let nothing_yet = exported(&world, &["--from", &(last + 1).to_string()]);
    assert_eq!(
        (nothing_yet.len(), &nothing_yet[1]["position"]),
        (2, &json!(last)),
        "the end is where one goes on"
    );
    let behind = (last + 2).to_string();
    for bad in [
        &["--from", &behind][..],
        &["--kind", "Nothing"],
        &["--since", "yesterday"],
        &["--since", "2026-02-30"],
        &["--run", "none"],
    ] {
        world.enact(&[&["audit", "export"], bad].concat()).exits(2);
    }
}

#[test]
fn old_runs_are_pruned_and_the_log_is_proved_as_before() {
    let world = World::new();
    let old = world.act_write("a", "1");
    world.enact(&["receipt", &old]).exits(0);
    // The active volume is sealed by it.
    let erased = world.act_write("b", "1");
    world.json(&["erase", &erased]).exits(0);
    let kept = world.enact(&["audit", "checkpoint"]).exits(0).stdout;
    world.write("kept", &kept);
    let before = verified(&world);
    assert_eq!(
        world.json(&["audit", "prune", "--before", "2020-01-01"]).exits(0).json()["volumes"],
        json!(0)
    );
    let pruned = world.json(&["audit", "prune", "--before", "2999-01-01"]).exits(0).json();
    assert_eq!(pruned["volumes"], json!(1), "{pruned}");
    let after = world.json(&["audit", "verify", "--checkpoint", "kept"]).exits(0).json();
    assert_eq!((&after["root"], &after["up_to"]), (&before["root"], &before["up_to"]));
    assert!(after["events"].as_u64() < before["events"].as_u64());
    assert_eq!(after["receipts"], json!({ "same": 0, "gone": 1, "locked": 0 }));
    assert_eq!(exported(&world, &[])[1]["type"], json!("pruned"));
    world.json(&["show", &old]).exits(2);
    world.enact(&["audit", "prune", "--before", "soon"]).exits(2);
}
