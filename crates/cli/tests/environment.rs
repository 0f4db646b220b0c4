//! Odd input and a poor environment: each an error that says what is wrong, and never a panic, a wait or silence.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use common::{Gave, World};
use rustix::fs::{CWD, FileType, Mode, mknodat};

const RUN: [&str; 4] = ["run", "hello", "--user", "me@example.com"];

/// The command, in a shell that has set a limit.
fn limited(world: &World, limit: &str, args: &[&str]) -> Gave {
    let enact = world.command(&[]);
    let script = format!("ulimit {limit} && exec \"$0\" \"$@\"");
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", &script]).arg(enact.get_program()).args(args);
    shell.current_dir(world.path(".")).output().unwrap().into()
}

#[test]
fn an_empty_key_is_refused_as_an_empty_user_is() {
    let world = World::new();
    for key in ["", " "] {
        let (code, message) = world.json(&[&RUN[..], &["--key", key]].concat()).exits(2).error();
        assert!(code == "invalid_parameters" && message.contains("key"), "{message}");
    }
    assert!(world.workspace().is_empty());
}

#[test]
fn a_store_without_a_path_is_refused_with_its_line() {
    for path in ["", "a\\u0000b"] {
        let world = World::new();
        let config = world.read("enact.toml").replace("\"enact-data\"", &format!("\"{path}\""));
        world.write("enact.toml", &config);
        for args in [&RUN[..], &["runs"]] {
            let (_, message) = world.json(args).exits(2).error();
            assert!(message.contains("line 5") && message.contains("[store] path"), "{message}");
        }
    }
}

#[test]
fn a_concurrency_beyond_all_bounds_is_refused_with_its_line() {
    for actions in ["0", "10001", "9223372036854775807"] {
        let world = World::new();
        let config = world
            .read("enact.toml")
            .replace("# max_concurrency = 8", &format!("max_concurrency = {actions}"));
        world.write("enact.toml", &config);
        let (_, message) = world.json(&RUN).exits(2).error();
        assert!(message.contains("'max_concurrency'") && message.contains("10000"), "{message}");
    }
}

#[test]
fn a_pipe_is_no_workflow_and_nobody_waits_for_it() {
    let world = World::new();
    mknodat(CWD, world.path("workflows/pipe.yaml"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    for name in ["pipe", "workflows/pipe.yaml"] {
        let (_, message) = world.json(&["run", name, "--user", "me@example.com"]).exits(2).error();
        assert!(message.contains("pipe.yaml") && message.contains("plain file"), "{message}");
    }
    world.json(&RUN).exits(0);
}

#[test]
fn too_few_descriptors_and_files_that_may_not_grow_are_errors() {
    let world = World::new();
    for (limit, named) in [("-n 6", "Too many open files"), ("-f 64", "File too large")] {
        let gave = limited(&world, limit, &RUN);
        assert!(gave.exit == 1 && gave.stderr.starts_with("error: "), "{limit}: {gave:?}");
        assert!(gave.stderr.contains(named), "{limit}: {gave:?}");
    }
    world.json(&RUN).exits(0);
}

#[test]
fn who_asks_is_known_by_number_where_the_environment_has_no_name() {
    let world = World::new();
    let run = world.act_write("a", "1");
    let mut rollback = world.command(&["rollback", &run]);
    let gave: Gave = rollback.env_remove("USER").env_remove("LOGNAME").output().unwrap().into();
    gave.exits(0);
    let by = format!("os:uid:{}", rustix::process::getuid().as_raw());
    assert!(world.enact(&["events", &run]).exits(0).stdout.contains(&by), "{by}");
}

#[test]
fn what_helps_against_a_conflict_is_said() {
    let world = World::new();
    let run = world.act_write("a", "1");
    world.write("workspace/a", "somebody else's");
    let gave = world.enact(&["rollback", &run]).exits(5);
    assert!(gave.stdout.contains(&format!("`enact rollback {run} --force`")), "{gave:?}");
    assert!(!gave.stdout.contains("in_doubt:") && !gave.stdout.contains("resolve"), "{gave:?}");
}
