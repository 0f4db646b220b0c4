//! Erasing a run and exchanging the master key, killed at each system call that changes something: either nothing came
//! of it or all, and the next command finishes what was begun.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use common::marked::{CANARY, CANARY_IN_BASE64, holding, marked_run, marked_run_with, wrapped_key};
use common::{World, copy};
use enact::ids::RunId;
use enact::runtime::history;
use enact::{MasterKey, SledStore};
use enact_testkit::kill_points::Sweep;

/// What a command changes, put back before each kill.
struct Fixed {
    world: World,
    kept: tempfile::TempDir,
}

impl Fixed {
    fn new(world: World) -> Self {
        let kept = tempfile::tempdir().unwrap();
        copy(&world.path(""), kept.path());
        Self { world, kept }
    }

    fn put_back(&self) {
        fs::remove_dir_all(self.world.path("enact-data")).unwrap();
        drop(fs::remove_file(self.world.path("enact-data.key.next")));
        copy(self.kept.path(), &self.world.path(""));
    }

    /// Kills a command at each of its points, and looks at what is left.
    fn sweep(&self, args: &[&str], check: impl Fn()) {
        let command = |_: &Path| {
            self.put_back();
            self.world.command(args)
        };
        let swept = Sweep::default().run(command, |_, _| check()).unwrap();
        println!("{args:?}: killed at {} of {} mutating calls", swept.points.len(), swept.mutations);
        assert!(swept.points.len() > 10, "the points were reached");
    }

    fn shows(&self, run: &str) -> bool {
        self.world.json(&["show", run]).exits(0).stdout.contains(CANARY)
    }
}

/// Counts how often it was so and how often not: a sweep that saw one alone has not been where it should.
#[derive(Default)]
struct Seen {
    yes: Cell<u32>,
    no: Cell<u32>,
}

impl Seen {
    fn note(&self, is_so: bool) -> bool {
        let count = if is_so { &self.yes } else { &self.no };
        count.set(count.get() + 1);
        is_so
    }

    fn assert_both(&self) {
        assert!(self.yes.get() > 0 && self.no.get() > 0, "{} and {}", self.yes.get(), self.no.get());
    }
}

fn assert_erasing_is_all_or_nothing(fixed: &Fixed, run: &str, key: &[u8]) {
    let world = &fixed.world;
    assert!(!holding(world, key).is_empty(), "the search finds it");
    let whole = Seen::default();
    let id = RunId::from_str(run).unwrap();
    let open = || {
        let key = MasterKey::parse(&world.read("enact-data.key")).unwrap();
        SledStore::options().master_key(key).open(world.path("enact-data")).unwrap()
    };
    let asks = tokio::runtime::Runtime::new().unwrap();
    fixed.sweep(&["erase", run], || {
        // Whatever opens the store next finishes it.
        let store = open();
        let state = asks.block_on(history::load(&store, id)).unwrap().unwrap();
        if whole.note(state.erased.is_none()) {
            assert!(state.accepted.user.contains(CANARY));
            store.verify().unwrap();
            asks.block_on(store.erase(id, "me", state.started_at)).unwrap();
        }
        store.close().unwrap();
        for gone in [key, CANARY_IN_BASE64.as_bytes(), CANARY.as_bytes()] {
            assert_eq!(holding(world, gone), [""; 0]);
        }
        let store = open();
        let state = asks.block_on(history::load(&store, id)).unwrap().unwrap();
        assert!(state.erased.is_some() && !format!("{state:?}").contains(CANARY));
        assert_eq!(store.verify().unwrap().blobs, 1, "the other run has its own still");
    });
    whole.assert_both();
}

#[test]
fn an_erasure_of_a_run_in_the_journal_that_is_killed_anywhere_is_whole_or_nothing() {
    let world = World::new();
    let run = marked_run(&world);
    let key = wrapped_key(&world, &run);
    marked_run_with(&world, "another");
    assert_erasing_is_all_or_nothing(&Fixed::new(world), &run, &key);
}

#[test]
fn an_erasure_of_a_run_in_a_sealed_volume_that_is_killed_anywhere_is_whole_or_nothing() {
    let world = World::new();
    let run = marked_run(&world);
    let key = wrapped_key(&world, &run);
    marked_run_with(&world, "another");
    // Erasing seals the volume that there is.
    let third = world.act_write("third", "3");
    world.json(&["erase", &third]).exits(0);
    assert_erasing_is_all_or_nothing(&Fixed::new(world), &run, &key);
}

#[test]
fn an_exchange_of_the_master_key_that_is_killed_anywhere_leaves_the_store_under_one_that_is_there() {
    let world = World::new();
    let run = marked_run(&world);
    let fixed = Fixed::new(world);
    let world = &fixed.world;
    let old = MasterKey::parse(&world.read("enact-data.key")).unwrap().fingerprint();
    let is_old = Seen::default();
    fixed.sweep(&["store", "rotate-key"], || {
        assert!(fixed.shows(&run));
        let now = MasterKey::parse(&world.read("enact-data.key")).unwrap().fingerprint();
        is_old.note(now == old);
        // One that was cut off is no hindrance to another.
        world.json(&["store", "rotate-key"]).exits(0);
        assert!(fixed.shows(&run) && !world.path("enact-data.key.next").exists());
        let then = MasterKey::parse(&world.read("enact-data.key")).unwrap().fingerprint();
        assert!(then != now && then != old);
        world.json(&["store", "verify"]).exits(0);
    });
    is_old.assert_both();
}
