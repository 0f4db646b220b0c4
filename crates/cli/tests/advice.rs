//! What people are told to do next is true: it helps, or is not said.
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;

use common::World;

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
