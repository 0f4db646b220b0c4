//! No connector reaches the files by which enact itself is held: its store, its configuration, its workflows.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;

use common::World;

const LIST: [&str; 4] = ["act", "files.list_dir", "--user", "me@example.com"];

/// A configuration in `held/enact.toml`, with its store and the root of `files` there.
fn world(store: &str, root: &str, workflows: &str) -> World {
    let world = World::empty();
    for folder in ["held/flows", "work", "work/sub"] {
        fs::create_dir_all(world.path(folder)).unwrap();
    }
    let config = format!(
        "[store]\npath = '{store}'\n[connectors.files]\nkind = 'filesystem'\nroot = '{root}'\n\
         allowed_actions = ['list_dir']\n[workflows]\ndir = '{workflows}'\n"
    );
    world.write("held/enact.toml", &config);
    world
}

fn refused(world: &World, named: &[&str]) {
    let (code, message) =
        world.json(&[&LIST[..], &["--config", "held/enact.toml"]].concat()).exits(2).error();
    assert_eq!(code, "invalid_parameters");
    for name in [&["line 5", "connectors.files", "'root'"], named].concat() {
        assert!(message.contains(name), "'{name}' is not in: {message}");
    }
}

fn accepted(world: &World) {
    world.json(&[&LIST[..], &["--config", "held/enact.toml"]].concat()).exits(0);
}

#[test]
fn a_root_that_holds_the_store_is_refused_also_before_the_store_is_made() {
    refused(&world("../work/data", "../work", "flows"), &["holds '[store] path'", "work/data"]);
    refused(&world("../work/deep/er/data", "../work", "flows"), &["holds '[store] path'"]);
    refused(&world("../work", "../work", "flows"), &["holds '[store] path'"]);
    let world = world("../work/data", "../work", "flows");
    fs::create_dir(world.path("work/data")).unwrap();
    refused(&world, &["holds '[store] path'"]);
}

#[test]
fn a_root_inside_the_store_is_refused() {
    refused(&world("../work", "../work/sub", "flows"), &["lies in '[store] path'"]);
}

#[test]
fn a_link_hides_neither_the_store_nor_the_root() {
    let through_links = world("../other/data", "../door", "flows");
    symlink("work", through_links.path("other")).unwrap();
    symlink("work", through_links.path("door")).unwrap();
    refused(&through_links, &["holds '[store] path'"]);

    let replaceable = world("../work/link/data", "../work", "flows");
    fs::create_dir(replaceable.path("safe")).unwrap();
    symlink("../safe", replaceable.path("work/link")).unwrap();
    refused(&replaceable, &["holds '[store] path'"]);

    let looping = world("../loop/data", "../work", "flows");
    symlink("loop", looping.path("loop")).unwrap();
    refused(&looping, &["'[store] path'", "too many links"]);
}

#[test]
fn a_root_that_holds_the_configuration_or_the_workflows_is_refused() {
    refused(&world("../data", ".", "../flows"), &["holds '--config'", "enact.toml", "allowlist"]);
    refused(&world("../data", "../work", "../work/flows"), &["holds '[workflows] dir'", "work/flows"]);
    refused(&world("../data", "../work", "../work"), &["holds '[workflows] dir'"]);
    let linked = world("../data", "../work", "flows");
    fs::rename(linked.path("held/enact.toml"), linked.path("work/enact.toml")).unwrap();
    symlink("../work/enact.toml", linked.path("held/enact.toml")).unwrap();
    refused(&linked, &["holds '--config'"]);
}

#[test]
fn folders_side_by_side_are_accepted_whatever_their_names_have_in_common() {
    accepted(&world("../work-data", "../work", "flows"));
    accepted(&world("../work/../data", "../work", "flows"));
    accepted(&world("../data", "../work/sub", "../work"));
}

#[test]
fn a_store_that_a_root_holds_can_still_be_looked_at() {
    let world = world("../work/data", "../work", "flows");
    world.json(&["runs", "--config", "held/enact.toml"]).exits(0);
}

#[test]
fn a_root_that_holds_a_file_with_a_secret_of_another_connector_is_refused() {
    let world = world("data", "../work", "flows");
    let config = world.read("held/enact.toml");
    let with_secret = |file: &str| {
        let db = "[connectors.db]\nkind = 'postgres'\nallowed_actions = []";
        world.write("held/enact.toml", &format!("{config}{db}\nurl_file = '{file}'\n"));
    };
    world.write("work/sub/url", "postgres://agent@localhost/db");
    world.write("held/url", "postgres://agent@localhost/db");
    with_secret("../work/sub/url");
    refused(&world, &["holds '[connectors.db] url_file'", "secret"]);
    with_secret("url");
    accepted(&world);
}
