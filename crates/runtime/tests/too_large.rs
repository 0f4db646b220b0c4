//! What is too large to be recorded comes to an end, or to a person.

mod common;

use common::{Do, as_dyn, builder, put, request, start};
use enact_core::error::ErrorCode;
use enact_core::policy::{Policy, Request, Stage, Verdict};
use enact_core::run::RunStatus;
use enact_core::store::MAX_RECORD_BYTES;
use enact_store::MemoryStore;
use enact_testkit::world::World;

#[tokio::test]
async fn a_read_that_gives_too_much_is_an_error_of_the_action_and_strands_no_run() {
    // Each NUL takes six bytes in JSON.
    let (world, store) = (World::new(), MemoryStore::new());
    world.set("nul", &"\0".repeat(MAX_RECORD_BYTES / 6));
    let enact = start(&world, &store).await;
    let run = enact.run_to_end(request(&[put("a"), Do::Get("nul".into())])).await.unwrap();
    assert_eq!(run.status(), RunStatus::RolledBack);
    let error = run.state().error.clone().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidParameters, "{}", error.message);
    assert!(error.message.contains("bytes") && error.message.contains("get"), "{}", error.message);
    assert!(!world.values().contains_key("a"));
}

/// Says no to actions, at length.
#[derive(Debug)]
struct Verbose;

impl Policy for Verbose {
    fn name(&self) -> &str {
        "verbose"
    }

    fn judge(&self, request: &Request<'_>) -> Verdict {
        match request.stage {
            Stage::Action(_) => Verdict::Deny("no ".repeat(MAX_RECORD_BYTES / 3)),
            _ => Verdict::Pass,
        }
    }
}

#[tokio::test]
async fn a_run_of_which_something_cannot_be_recorded_waits_for_a_person() {
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = builder(&world, &as_dyn(&store)).policy(Verbose).start().await.unwrap();
    let run = enact.run_to_end(request(&[put("a")])).await.unwrap();
    assert_eq!(run.status(), RunStatus::Quarantined);
    let error = run.state().error.clone().unwrap();
    assert!(error.message.contains("limit"), "{}", error.message);
    let run = enact.cancel(run.id, "me", None).await.unwrap();
    assert_eq!(run.status(), RunStatus::RolledBack);
    assert!(world.values().is_empty());
}
