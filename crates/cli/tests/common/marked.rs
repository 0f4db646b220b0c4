//! A run that has the same mark in all that a run may have, and where in the store that mark and the run's key are.

use std::str::FromStr;

use enact::ids::RunId;
use serde_json::json;

use super::{World, files};

pub(crate) const CANARY: &str = "canary-7f3a";
/// As pre-states have the beginning of a file with it.
pub(crate) const CANARY_IN_BASE64: &str = "Y2FuYXJ5LTdmM2";

/// A run with the canary in all that a run may have: payload, attributes, parameters, pre-states, results and a blob.
pub(crate) fn marked_run(world: &World) -> String {
    marked_run_with(world, CANARY)
}

pub(crate) fn marked_run_with(world: &World, key: &str) -> String {
    world.write("workspace/old.txt", &format!("{CANARY} as it was"));
    world.write("workspace/large.txt", &format!("{CANARY} ").repeat(20_000));
    world.write(
        "workflows/marked.yaml",
        "name: marked\nsteps:\n  - { id: a, action: files.write_file, with: { path: old.txt, content: '{{ payload.text }}' } }\n  \
         - { id: b, action: files.read_file, with: { path: old.txt } }\n  \
         - { id: c, action: files.delete_file, with: { path: large.txt } }\n",
    );
    let payload = json!({ "text": format!("{CANARY} now") }).to_string();
    let attribute = format!("department={CANARY}");
    let user = format!("{CANARY}@example.com");
    let args = ["run", "marked", "--user", &user, "--attr", &attribute, "--payload", &payload, "--key", key];
    let run = world.json(&args).exits(0).json()["run_id"].as_str().unwrap().to_owned();
    let shown = world.json(&["show", &run]).exits(0).stdout;
    assert!(shown.matches(CANARY).count() >= 3 && shown.contains(CANARY_IN_BASE64), "{shown}");
    run
}

/// The run's key as the journal of the store has it, wrapped: behind the run, the place and the flags of an append.
pub(crate) fn wrapped_key(world: &World, run: &str) -> Vec<u8> {
    let run = RunId::from_str(run).unwrap();
    let journal: Vec<u8> =
        files(&world.path("enact-data/journal")).into_iter().flat_map(|(_, bytes)| bytes).collect();
    let (keyed, secret) = (2, 4);
    let is_append = |at: &usize| journal[*at..].starts_with(run.as_bytes()) && journal[at + 36] & secret != 0;
    let at = (0..journal.len() - 200).find(is_append).unwrap();
    let key = at + 37 + if journal[at + 36] & keyed == 0 { 0 } else { 32 };
    journal[key..key + 62].to_vec()
}

/// The files of the store that hold some bytes, or have them in their names.
pub(crate) fn holding(world: &World, wanted: &[u8]) -> Vec<String> {
    let all = files(&world.path("enact-data")).into_iter();
    all.filter(|(name, bytes)| has(bytes, wanted) || has(name.as_bytes(), wanted))
        .map(|(name, _)| name)
        .collect()
}

/// Pages of zeros, which the segments of the journal are full of, are passed over at once.
fn has(bytes: &[u8], wanted: &[u8]) -> bool {
    const PAGE: usize = 4096;
    (0..bytes.len()).step_by(PAGE).any(|at| {
        let page = &bytes[at..bytes.len().min(at + PAGE + wanted.len())];
        page != &[0; 2 * PAGE][..page.len()] && page.windows(wanted.len()).any(|window| window == wanted)
    })
}
