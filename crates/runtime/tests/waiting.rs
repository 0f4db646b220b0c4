//! What runs cost that wait for people.

mod common;

use std::sync::atomic::{AtomicU32, Ordering};

use common::{BOSS, Rule, USER, as_dyn, builder, ledger, put, puts_of_b, request};
use enact_core::error::ErrorCode;
use enact_core::policy::{Request, Verdict};
use enact_core::run::RunStatus;
use enact_store::MemoryStore;
use enact_testkit::world::World;

#[tokio::test]
async fn runs_that_wait_for_people_take_no_place_from_others_and_have_a_limit_of_their_own() {
    let (world, store) = (World::new(), MemoryStore::new());
    let make =
        || builder(&world, &as_dyn(&store)).policy(Rule("first", puts_of_b)).max_runs(1).max_waiting(3);
    let enact = make().start().await.unwrap();
    let mut waits = Vec::new();
    for _ in 0..3 {
        waits.push(enact.run_to_end(request(&[put("b")])).await.unwrap().id);
        if waits.len() < 3 {
            assert_eq!(enact.run_to_end(request(&[put("a")])).await.unwrap().status(), RunStatus::Completed);
        }
    }
    let refused = enact.run_to_end(request(&[put("a")])).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert!(refused.message().contains("wait for a person"), "{refused}");
    // Those that are decided make place, and each is decided once.
    enact.deny(waits[0], None, BOSS, None).await.unwrap();
    assert_eq!(enact.approve(waits[1], None, USER).await.unwrap_err().code(), ErrorCode::ApprovalDenied);
    assert_eq!(enact.run_to_end(request(&[put("c")])).await.unwrap().status(), RunStatus::Completed);
    for run in &waits[1..] {
        assert_eq!(enact.wait(*run).await.unwrap().status(), RunStatus::AwaitingApproval);
        assert_eq!(enact.approve(*run, None, BOSS).await.unwrap().status(), RunStatus::Completed);
    }
    assert_eq!(ledger(&world), ["put a", "put c", "put b"], "the same value again is no effect");
}

static JUDGED: AtomicU32 = AtomicU32::new(0);

#[tokio::test]
async fn a_word_that_is_refused_has_nothing_judged_again() {
    fn every_run(request: &Request<'_>) -> Verdict {
        JUDGED.fetch_add(1, Ordering::SeqCst);
        if request.action().is_none() { Verdict::needs_approval("look") } else { Verdict::Pass }
    }
    let (world, store) = (World::new(), MemoryStore::new());
    let enact = builder(&world, &as_dyn(&store)).policy(Rule("first", every_run)).start().await.unwrap();
    let run = enact.run_to_end(request(&[put("a")])).await.unwrap().id;
    let judged = JUDGED.load(Ordering::SeqCst);
    for _ in 0..5 {
        assert_eq!(enact.approve(run, None, USER).await.unwrap_err().code(), ErrorCode::ApprovalDenied);
        assert_eq!(enact.wait(run).await.unwrap().status(), RunStatus::AwaitingApproval);
    }
    assert_eq!(JUDGED.load(Ordering::SeqCst), judged);
    assert_eq!(enact.approve(run, None, BOSS).await.unwrap().status(), RunStatus::Completed);
}
