//! Bad input: each a clear error with the right exit code, nothing lost, no panic.

mod common;

use std::fs;

use common::{Gave, World};

const ME: [&str; 2] = ["--user", "me@example.com"];

/// Refused with exit 2, in both forms, naming all of these; no store was made.
fn refused(world: &World, args: &[&str], named: &[&str]) -> Gave {
    let gave = world.json(args).exits(2);
    let (_, message) = gave.error();
    for name in named {
        assert!(message.contains(name), "'{name}' is not in: {message}");
    }
    let human = world.enact(args).exits(2);
    assert!(human.stdout.is_empty() && human.stderr.starts_with("error: "), "{human:?}");
    assert!(!human.stderr.contains("panicked"), "{human:?}");
    assert!(!world.path("enact-data/journal").exists(), "nothing was made");
    gave
}

#[test]
fn a_broken_configuration_names_the_file_the_line_and_the_field() {
    let files = "[connectors.files]\nkind = \"filesystem\"\nroot = \"workspace\"\n";
    for (config, named) in [
        ("[store\n", &["enact.toml", "line 1"][..]),
        ("[store]\npaht = \"x\"\n", &["enact.toml", "line 2", "paht"]),
        ("[stroe]\npath = \"x\"\n", &["line 1", "stroe"]),
        ("[store]\npath = 3\n", &["line 2", "string"]),
        ("[audit]\nsigning_key = \"x\"\n", &["line 2", "signing_key", "signing_key_file"]),
        ("[audit]\nsigning_key_file = \"\"\n", &["line 2", "signing_key_file", "empty"]),
        (files, &["line 1", "connectors.files", "allowed_actions"]),
        (&format!("{files}allowed_actions = \"all\"\n"), &["connectors.files", "sequence"]),
        (&format!("{files}allowed_actions = [\"format_disk\"]\n"), &["format_disk", "write_file"]),
        (&format!("{files}allowed_actions = []\nmax_read_byte = 3\n"), &["line 5", "max_read_byte"]),
        (&format!("{files}allowed_actions = []\nmax_concurrency = 0\n"), &["line 5", "max_concurrency"]),
        ("[connectors.x]\nkind = \"ftp\"\nallowed_actions = []\n", &["line 2", "ftp", "filesystem"]),
        ("[connectors.x]\nallowed_actions = []\n", &["connectors.x", "kind"]),
        (
            "[connectors.\"a.b\"]\nkind = \"filesystem\"\nroot = \".\"\nallowed_actions = []\n",
            &["a.b", "name"],
        ),
        (
            "[connectors.files]\nkind = \"filesystem\"\nroot = \"nowhere\"\nallowed_actions = []\n",
            &["line 3", "root", "nowhere"],
        ),
    ] {
        let world = World::new();
        world.write("enact.toml", config);
        refused(&world, &["act", "files.list_dir", ME[0], ME[1]], named);
    }
}

#[test]
fn what_this_build_cannot_honour_is_refused_and_not_left_out() {
    let world = World::new();
    world.write("enact.toml", "[store]\npostgres_url_env = \"URL\"\n");
    let gave = refused(&world, &["connectors"], &["enact.toml", "line", "store.postgres_url_env"]);
    assert_eq!(gave.error().0, "unsupported");
}

#[test]
fn a_name_that_hides_something_is_nobodys() {
    let world = World::new();
    let hidden = "me@example.com\u{200b}";
    for args in [
        &["act", "files.list_dir", "--user", hidden][..],
        &["run", "hello", "--user", hidden],
        &["plan", "hello", "--user", hidden],
        &["approve", "0", "--by", hidden],
        &["deny", "0", "--by", hidden],
        &["rollback", "0", "--by", " "],
    ] {
        refused(&world, args, &["the name"]);
    }
    refused(&world, &["act", "files.list_dir", "--user", hidden], &["U+200B"]);
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let world = World::empty();
    refused(&world, &["runs"], &["enact.toml", "enact init"]);
    refused(&world, &["runs", "--config", "elsewhere.toml"], &["elsewhere.toml"]);
    let gave: Gave =
        world.command(&["runs", "--json"]).env("ENACT_CONFIG", "by-env.toml").output().unwrap().into();
    assert!(gave.exits(2).error().1.contains("by-env.toml"));
}

#[test]
fn a_broken_workflow_names_the_place() {
    for (text, named) in [
        ("name: w\nsteps: [", &["w.yaml", "line"][..]),
        (
            "name: w\nsteps:\n  - { id: a, action: files.write_file, wiht: {} }\n",
            &["w.yaml", "line 3", "wiht"],
        ),
        (
            "name: w\nsteps:\n  - { id: a, action: files.read_file, with: { path: \"{{ payload.x\" } }\n",
            &["w.yaml", "line 3"],
        ),
        (
            "name: w\nsteps:\n  - { id: a, action: files.read_file, with: { path: \"{{ steps.b.output }}\" } }\n",
            &["w.yaml", "b"],
        ),
    ] {
        let world = World::new();
        world.write("w.yaml", text);
        refused(&world, &["run", "w.yaml", ME[0], ME[1]], named);
    }
    let world = World::new();
    refused(&world, &["run", "helo", ME[0], ME[1]], &["helo", "hello"]);
    refused(&world, &["run", "./none.yaml", ME[0], ME[1]], &["none.yaml"]);
}

#[test]
fn wrong_arguments_are_refused_naming_them() {
    let world = World::new();
    let act = |action: &'static str, params: &'static str| ["act", action, ME[0], ME[1], "--params", params];
    for (args, named) in [
        (&["run", "hello"][..], &["--user"][..]),
        (&["run", "hello", "--user", ""], &["user"]),
        (&["run", "hello", ME[0], ME[1], "--payload", "{"], &["--payload"]),
        (&["run", "hello", ME[0], ME[1], "--payload", "[1]"], &["payload"]),
        (&["run", "hello", ME[0], ME[1], "--payload", "@none.json"], &["none.json"]),
        (&["run", "hello", ME[0], ME[1], "--attr", "novalue"], &["novalue"]),
        (&["run", "hello", ME[0], ME[1], "--attr", "a=[\"b\"]"], &["--attr a=a --attr a=b"]),
        (&["act", "files.list_dir", ME[0], ME[1], "--attr", "novalue"], &["novalue"]),
        (&["runs", "--status", "great"], &["great", "completed"]),
        (&["rollback", "0190", "--to", "x"], &["--to"]),
        (&["resolve", "0190", "--seq", "1", "--as", "maybe"], &["maybe"]),
        (&["replay", "0190", "--until", "0"], &["--until"]),
        (&act("write_file", "{}"), &["CONNECTOR.ACTION"]),
        (&act("disk.write_file", "{}"), &["disk", "files"]),
        (&act("files.fly", "{}"), &["fly", "write_file"]),
        (&act("files.write_file", r#"{"path": "a"}"#), &["content"]),
        (&act("files.write_file", r#"{"path": "a", "content": "x", "owner": 1}"#), &["owner"]),
        (&act("files.write_file", r#"{"path": 3, "content": "x"}"#), &["path"]),
        (&act("files.read_file", r#"{"path": "../outside"}"#), &["path"]),
        (&act("files.read_file", r#"["a"]"#), &["JSON object", "a list"]),
        (&act("files.read_file", r#"{"path": "a", "path": "b"}"#), &["'path' stands twice"]),
        (&["frobnicate"], &["frobnicate"]),
    ] {
        let gave = world.json(args).exits(2);
        let (_, message) = gave.error();
        assert!(named.iter().all(|name| message.contains(name)), "{args:?}: {message}");
    }
    assert!(world.workspace().is_empty());
    assert_eq!(world.json(&["runs"]).exits(0).json()["runs"].as_array().unwrap().len(), 0);
}

#[test]
fn an_unknown_or_ambiguous_run_is_refused() {
    let world = World::new();
    world.act_write("a", "1");
    world.act_write("b", "1");
    assert!(world.json(&["show", "ffff"]).exits(2).error().1.contains("ffff"));
    let same_beginning = world.json(&["show", "01"]).exits(2);
    assert!(same_beginning.error().1.contains("several"), "{same_beginning:?}");
    world.json(&["rollback", "ffff"]).exits(2);
    world.json(&["resume", "ffff"]).exits(2);
}

#[test]
fn a_store_that_another_process_holds_is_named_with_its_lock() {
    let world = World::new();
    world.act_write("a", "1");
    let lock = fs::File::open(world.path("enact-data")).unwrap();
    lock.lock().unwrap();
    for args in [&["runs"][..], &["resume"], &["act", "files.list_dir", ME[0], ME[1]]] {
        let (_, message) = world.json(args).exits(1).error();
        assert!(message.contains("enact-data/lock"), "{message}");
    }
    drop(lock);
    world.json(&["runs"]).exits(0);
}

#[test]
fn a_corrupt_store_is_reported_and_left_alone() {
    let world = World::new();
    world.act_write("a", "1");
    drop(fs::remove_file(world.path("enact-data/closed")));
    let segment = world.path("enact-data/journal/000000000001.journal");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[600] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    for args in [&["runs"][..], &["resume"], &["store", "verify"]] {
        let (_, message) = world.json(args).exits(6).error();
        assert!(message.contains("journal") && message.contains("backup"), "{message}");
    }
    assert_eq!(fs::read(&segment).unwrap(), bytes);
}

#[test]
fn a_store_of_a_later_format_is_left_alone() {
    let world = World::new();
    world.act_write("a", "1");
    let file = world.path("enact-data/store");
    let mut bytes = fs::read(&file).unwrap();
    bytes[4] = 200;
    let end = bytes.len() - 4;
    let crc = crc32fast::hash(&bytes[..end]).to_le_bytes();
    bytes[end..].copy_from_slice(&crc);
    fs::write(&file, &bytes).unwrap();
    let (code, message) = world.json(&["runs"]).exits(2).error();
    assert!(code == "unsupported" && message.contains("newer enact"), "{code}: {message}");
}

#[test]
fn a_folder_that_is_no_store_is_left_alone() {
    let world = World::new();
    world.write("enact-data/diary.txt", "mine");
    let gave = world.json(&["act", "files.list_dir", ME[0], ME[1]]).exits(1);
    assert!(gave.error().1.contains("diary.txt"));
    assert_eq!(world.read("enact-data/diary.txt"), "mine");
}

#[test]
fn text_that_an_agent_chose_cannot_move_the_cursor() {
    let world = World::new();
    world.act_write("a\u{1b}[2Jb", "x");
    let run = world.json(&["runs"]).json()["runs"][0]["run_id"].as_str().unwrap().to_owned();
    for args in [&["show", &run][..], &["runs"], &["rollback", &run]] {
        let gave = world.enact(args).exits(0);
        assert!(!gave.stdout.contains('\u{1b}') && !gave.stderr.contains('\u{1b}'), "{gave:?}");
    }
}
