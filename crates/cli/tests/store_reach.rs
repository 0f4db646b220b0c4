//! A store that cannot be reached is an error and never an empty one.

mod common;

use std::fs;
use std::os::unix::fs::symlink;

use common::World;

/// A folder whose configuration names this store.
fn world(store: &str) -> World {
    let world = World::new();
    let config = world.read("enact.toml").replace("\"enact-data\"", &format!("\"{store}\""));
    assert!(config.contains(store), "the store is named");
    world.write("enact.toml", &config);
    world
}

fn cannot_be_reached(world: &World, named: &str) {
    for args in
        [&["runs"][..], &["events"], &["show", "01"], &["store", "verify"], &["store", "backup", "copy"]]
    {
        let (code, message) = world.json(args).exits(1).error();
        assert!(code == "internal" && message.contains(named), "{args:?}: {code}: {message}");
    }
    assert!(!world.path("copy").exists());
}

#[test]
fn a_store_that_was_never_made_is_empty_and_stays_unmade() {
    for store in ["data", "not/yet/data"] {
        let world = world(store);
        assert!(world.enact(&["runs"]).exits(0).stdout.contains("no runs"));
        assert_eq!(world.json(&["store", "verify"]).exits(2).error().0, "not_found");
        assert!(!world.path("data").exists() && !world.path("not").exists());
    }
}

#[test]
fn a_link_that_leads_nowhere_is_not_an_empty_store() {
    let itself = world("data");
    symlink("nowhere", itself.path("data")).unwrap();
    cannot_be_reached(&itself, "data");
    let above = world("disk/data");
    symlink("nowhere", above.path("disk")).unwrap();
    cannot_be_reached(&above, "disk");
    let in_a_circle = world("disk/data");
    symlink("disk", in_a_circle.path("disk")).unwrap();
    cannot_be_reached(&in_a_circle, "disk");
}

#[test]
fn a_store_below_a_plain_file_is_not_an_empty_one() {
    let world = world("file/data");
    world.write("file", "");
    cannot_be_reached(&world, "file/data");
    assert_eq!(fs::read(world.path("file")).unwrap(), b"");
}

#[test]
fn a_store_in_a_folder_that_may_not_be_entered_is_not_an_empty_one() {
    use std::os::unix::fs::PermissionsExt;
    let world = world("closed/data");
    fs::create_dir(world.path("closed")).unwrap();
    fs::set_permissions(world.path("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    // Who may do everything enters it all the same.
    if fs::read_dir(world.path("closed")).is_err() {
        cannot_be_reached(&world, "closed/data");
    } else {
        world.json(&["runs"]).exits(0);
    }
}

#[test]
fn the_events_of_a_store_that_was_never_made_cannot_be_followed() {
    let world = World::new();
    assert_eq!(world.json(&["events"]).exits(0).stdout, "");
    assert_eq!(world.json(&["events", "--follow"]).exits(2).error().0, "not_found");
    assert!(!world.path("enact-data").exists());
}
