//! Processes that are killed or interrupted, and what the next one makes of it.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::{Parked, World, signal};
use enact::connector::Allow;
use enact::filesystem::Filesystem;
use enact::json::JsonText;
use enact::store::EventStore;
use enact::{Enact, Recovery, RunRequest, SledStore};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::Signal;
use serde_json::json;

const ME: [&str; 2] = ["--user", "me@example.com"];

/// Starts the run and waits until it has begun to write.
fn begun(world: &World, stderr: Stdio) -> Child {
    let child = world.command(&["run", "long", ME[0], ME[1]]).stdout(Stdio::null()).stderr(stderr).spawn();
    let child = child.unwrap();
    for _ in 0..4000 {
        if Path::exists(&world.path("workspace/d2/f")) {
            return child;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

#[test]
fn an_interrupted_command_exits_130_and_the_run_is_finished_by_resume() {
    for sent in [Signal::INT, Signal::TERM] {
        let world = World::new();
        world.long(900);
        let mut child = begun(&world, Stdio::null());
        signal(&child, sent);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(world.workspace().len() < 1800, "it was interrupted");
        let listed = world.json(&["runs"]).exits(0).json();
        assert_eq!(listed["runs"][0]["status"], "running");
        let id = listed["runs"][0]["run_id"].as_str().unwrap().to_owned();
        assert_eq!(world.json(&["resume"]).exits(0).json()["runs"][0]["status"], "completed");
        assert_eq!(world.workspace().len(), 1800);
        let run = world.json(&["show", &id]).exits(0).json();
        assert!(run["actions"].as_array().unwrap().iter().all(|action| action["already_done"] == false));
        world.json(&["rollback", &id]).exits(0);
        assert!(world.workspace().is_empty());
    }
}

#[test]
fn resume_says_of_each_run_why_it_did_not_complete() {
    let world = World::new();
    world.long(900);
    let mut child = begun(&world, Stdio::null());
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    // A folder stands where the last step writes.
    world.write("workspace/d899/f/theirs", "theirs");
    let resumed = world.enact(&["resume"]).exits(4);
    let (line, reason) = resumed.stdout.split_once('\n').unwrap();
    assert!(line.contains("rolled_back"), "{resumed:?}");
    assert!(reason.contains("d899/f"), "{resumed:?}");
}

/// Makes closing the store wait for ever: its last note goes into a pipe that is full. As long as the pipe is held.
fn closing_hangs(world: &World) -> File {
    let note = world.path("enact-data/closed.new");
    mknodat(CWD, &note, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let no_wait = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
    let mut pipe = OpenOptions::new().read(true).write(true).custom_flags(no_wait).open(note).unwrap();
    for size in [4096, 1] {
        while pipe.write(&vec![0; size]).map_err(|error| error.kind()) != Err(ErrorKind::WouldBlock) {}
    }
    pipe
}

/// What a process prints up to the end of its document.
fn document(child: &mut Child) -> serde_json::Value {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut text = String::new();
    for line in lines {
        text += &line;
        if line == "}" {
            break;
        }
    }
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_signal_while_the_store_is_closed_ends_the_process_and_the_answer_is_out_already() {
    for sent in [Signal::INT, Signal::TERM] {
        let world = World::new();
        world.act_write("a", "1");
        let pipe = closing_hangs(&world);
        let params = r#"{"path": "b", "content": "2"}"#;
        let act = ["act", "files.write_file", ME[0], ME[1], "--params", params, "--json"];
        let mut child = world.command(&act).stdout(Stdio::piped()).spawn().unwrap();
        let run = document(&mut child);
        assert_eq!(run["status"], "completed");
        assert_eq!(child.try_wait().unwrap(), None, "it is closing the store");
        signal(&child, sent);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        drop(pipe);
        std::fs::remove_file(world.path("enact-data/closed.new")).unwrap();
        let id = run["run_id"].as_str().unwrap();
        assert_eq!(world.json(&["show", id]).exits(0).json()["status"], "completed");
    }
}

#[test]
fn a_second_signal_ends_a_process_that_hangs_after_the_first_and_the_run_is_resumable() {
    let world = World::new();
    world.long(300);
    world.act_write("a", "1");
    let pipe = closing_hangs(&world);
    let mut child = begun(&world, Stdio::piped());
    signal(&child, Signal::INT);
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("error: interrupted"), "{said}");
    assert_eq!(child.try_wait().unwrap(), None, "it is closing the store");
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(pipe);
    std::fs::remove_file(world.path("enact-data/closed.new")).unwrap();
    assert_eq!(world.json(&["resume"]).exits(0).json()["runs"][0]["status"], "completed");
}

#[test]
fn what_keeps_a_store_from_being_closed_in_order_is_said_beside_the_answer() {
    let world = World::new();
    world.act_write("a", "1");
    std::os::unix::fs::symlink("/dev/full", world.path("enact-data/closed.new")).unwrap();
    let act = ["act", "files.write_file", ME[0], ME[1], "--params", r#"{"path": "b", "content": "2"}"#];
    let gave = world.json(&act).exits(0);
    assert!(
        gave.stderr.contains("not signed and closed in order") && gave.stderr.contains("closed"),
        "{gave:?}"
    );
    let id = gave.json()["run_id"].as_str().unwrap().to_owned();
    assert_eq!(world.json(&["show", &id]).exits(0).json()["status"], "completed");
}

#[test]
fn following_events_ends_at_a_signal_and_says_nothing_more() {
    for sent in [Signal::INT, Signal::TERM] {
        let world = World::new();
        world.act_write("a", "1");
        let recorded = world.enact(&["events"]).exits(0).stdout;
        let mut child = world
            .command(&["events", "--follow", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut followed = vec![0; recorded.len()];
        child.stdout.as_mut().unwrap().read_exact(&mut followed).unwrap();
        assert_eq!(String::from_utf8(followed).unwrap(), recorded);
        assert_eq!(child.try_wait().unwrap(), None, "it waits for more");
        signal(&child, sent);
        let rest = child.wait_with_output().unwrap();
        assert_eq!(rest.status.code(), Some(130));
        assert_eq!((rest.stdout.as_slice(), rest.stderr.as_slice()), (&b""[..], &b""[..]));
    }
}

#[test]
fn a_killed_run_is_rolled_back_or_cancelled_whole() {
    for command in ["rollback", "cancel"] {
        let world = World::new();
        world.long(600);
        let mut child = begun(&world, Stdio::null());
        child.kill().unwrap();
        child.wait().unwrap();
        let listed = world.json(&["runs"]).exits(0).json();
        assert_eq!(listed["runs"][0]["status"], "running", "{listed}");
        let id = listed["runs"][0]["run_id"].as_str().unwrap();
        assert_eq!(world.json(&[command, id]).exits(0).json()["status"], "rolled_back", "{command}");
        assert!(world.workspace().is_empty());
    }
}

#[test]
fn a_rollback_that_is_killed_again_and_again_is_finished() {
    let world = World::new();
    world.long(300);
    let run = world.json(&["run", "long", ME[0], ME[1]]).exits(0).json();
    let id = run["run_id"].as_str().unwrap().to_owned();
    let mut killed = 0;
    for round in 1..6_usize {
        let mut child =
            world.command(&["rollback", &id]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while world.workspace().len() > 600 - round * 60 && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        killed += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(killed >= 3, "killed {killed} times under way");
    let undone = world.json(&["resume", &id]);
    assert_eq!(undone.json()["status"], "rolled_back", "{undone:?}");
    assert!(world.workspace().is_empty());
}

/// Goes on with the store in this process, with small volumes, until the first of them is sealed.
async fn seal_a_volume(world: &World) {
    let path = world.path("enact-data");
    let key = enact::MasterKey::parse(&world.read("enact-data.key")).unwrap();
    let store = SledStore::options().volume_bytes(64 * 1024).master_key(key).open(&path);
    let store = Arc::new(store.unwrap());
    let files = Filesystem::new(world.path("workspace")).unwrap().allow(["write_file"]).unwrap();
    let enact = Enact::builder().store(Arc::clone(&store) as Arc<dyn EventStore>).connector("files", files);
    let enact = enact.recovery(Recovery::OnRequest).start().await.unwrap();
    let is_sealed = || path.join("volumes/00000001.leaves").exists();
    for n in 0..1000 {
        let params = json!({ "path": "filler", "content": n.to_string().repeat(10_000) }).to_string();
        let filler =
            RunRequest::act("files", "write_file", JsonText::parse(&params).unwrap(), "me@example.com");
        enact.run_to_end(filler).await.unwrap();
        if is_sealed() {
            break;
        }
    }
    assert!(is_sealed());
    enact.shutdown(Duration::from_secs(10)).await;
    store.close().unwrap();
}

#[tokio::test]
async fn resume_names_the_runs_that_a_corrupt_store_does_not_give_and_exits_6() {
    let world = World::new();
    world.long(300);
    let mut child = begun(&world, Stdio::null());
    child.kill().unwrap();
    child.wait().unwrap();
    let listed = world.json(&["runs"]).exits(0).json();
    let id = listed["runs"][0]["run_id"].as_str().unwrap();
    seal_a_volume(&world).await;
    let volume = world.path("enact-data/volumes/00000001/db");
    let mut bytes = std::fs::read(&volume).unwrap();
    bytes.iter_mut().step_by(512).for_each(|byte| *byte ^= 1);
    std::fs::write(&volume, bytes).unwrap();

    let document = world.json(&["resume"]).exits(6).json();
    assert_eq!(document["runs"], json!([]));
    let [not_resumed] = document["not_resumed"].as_array().unwrap().as_slice() else { unreachable!() };
    assert_eq!((&not_resumed["run_id"], &not_resumed["error"]["code"]), (&json!(id), &json!("internal")));
    let message = not_resumed["error"]["message"].as_str().unwrap();
    assert!(message.contains("corrupt") && message.contains("backup"), "{message}");
    let text = world.enact(&["resume"]).exits(6).stdout;
    assert!(text.contains(id) && text.contains(message), "{text}");
    assert!(!text.contains("no runs"), "{text}");
    for command in ["resume", "show", "rollback"] {
        assert!(world.json(&[command, id]).exits(6).error().1.contains("corrupt"), "{command}");
    }
}

#[test]
fn between_an_effect_and_its_record_the_effect_is_found_and_not_made_again() {
    let parked = Parked::new();
    let then = parked.json(&["show", &parked.run]).exits(0).json();
    assert_eq!((&then["status"], &then["actions"][1]["success"]), (&json!("running"), &json!(false)));
    let now = parked.json(&["resume", &parked.run]).exits(0).json();
    assert_eq!(now["status"], "completed");
    assert_eq!(now["actions"][1]["already_done"], false, "it is ours");
    parked.json(&["rollback", &parked.run]).exits(0);
}
