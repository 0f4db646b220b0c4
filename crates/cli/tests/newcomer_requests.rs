//! What is asked for is refused before anything happens where it cannot be meant.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it does not expect")]

mod common;

use common::World;

const ME: [&str; 2] = ["--user", "me@example.com"];

/// A run of four writes.
fn four(world: &World) -> String {
    let steps = (1..=4).map(|n| {
        format!("  - {{ id: s{n}, action: files.write_file, with: {{ path: 'f{n}', content: 'x' }} }}\n")
    });
    world.write("workflows/four.yaml", &format!("name: four\nsteps:\n{}", steps.collect::<String>()));
    let run = world.json(&["run", "four", ME[0], ME[1]]).exits(0).json();
    run["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_rollback_to_an_action_that_the_run_does_not_have_is_refused_and_undoes_nothing() {
    let world = World::new();
    let run = four(&world);
    for to in ["5", "99", "18446744073709551615"] {
        let (code, message) = world.json(&["rollback", &run, "--to", to]).exits(2).error();
        assert_eq!(code, "invalid_parameters");
        assert!(message.contains(to) && message.contains("4 actions"), "{message}");
    }
    assert_eq!(world.workspace().len(), 4);
    assert_eq!(world.json(&["show", &run]).exits(0).json()["status"], "completed");
}

#[test]
fn a_rollback_keeps_what_it_names_and_may_go_further_back_to_the_very_beginning() {
    let world = World::new();
    let run = four(&world);
    for (to, left) in [("4", 4), ("2", 2), ("0", 0)] {
        let document = world.json(&["rollback", &run, "--to", to]).exits(0).json();
        assert_eq!(
            (document["status"].as_str(), world.workspace().len()),
            (Some("rolled_back"), left),
            "{to}"
        );
    }
}
