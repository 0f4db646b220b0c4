//! What policies are told of other runs: what was admitted lately, over restarts too.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use std::time::Duration;

use common::{Do, TestClock, USER, as_dyn, builder, ledger, put, request};
use enact_core::error::ErrorCode;
use enact_core::json::JsonText;
use enact_core::policy::{Counted, Policy, Request, Stage, Verdict};
use enact_core::run::RunStatus;
use enact_core::time::Timestamp;
use enact_runtime::{Enact, RunRequest, erase};
use enact_store::MemoryStore;
use enact_testkit::world::{Fault, World};

const HOUR: Duration = Duration::from_secs(3600);

/// At most two puts of a user in an hour, at whichever gate.
#[derive(Debug)]
struct TwoAnHour;

impl Policy for TwoAnHour {
    fn name(&self) -> &str {
        "two-an-hour"
    }

    fn judge(&self, request: &Request<'_>) -> Verdict {
        let (Stage::Action(action) | Stage::Captured(action, _)) = &request.stage else {
            return Verdict::Pass;
        };
        let of = Counted { user: Some(request.user), connector: Some("world"), action: Some("put") };
        let since = Timestamp::from_unix_us(request.now.unix_us() - u64::try_from(HOUR.as_micros()).unwrap());
        if action.action == "put" && request.recent.count(&of, since) >= 2 {
            return Verdict::deny("two puts an hour are enough");
        }
        Verdict::Pass
    }

    fn looks_back(&self) -> Duration {
        HOUR
    }
}

async fn start(world: &World, store: &MemoryStore, clock: &TestClock) -> Enact {
    builder(world, &as_dyn(store)).policy(TwoAnHour).clock(clock.clone()).start().await.unwrap()
}

async fn status_of(enact: &Enact, key: &str) -> RunStatus {
    enact.run_to_end(request(&[put(key)])).await.unwrap().status()
}

#[tokio::test]
async fn a_limit_counts_over_runs_and_restarts_and_forgets_what_is_long_past() {
    let (world, store, clock) = (World::new(), MemoryStore::new(), TestClock::new());
    let enact = start(&world, &store, &clock).await;
    assert_eq!(status_of(&enact, "a").await, RunStatus::Completed);
    // Of another action, or of another user, is of no account.
    let read = enact.run_to_end(request(&[Do::Get("a".into())])).await.unwrap();
    assert_eq!(read.status(), RunStatus::Completed);
    enact.shutdown(Duration::from_secs(5)).await;

    let store = store.crash();
    clock.forward(HOUR / 2);
    let enact = start(&world, &store, &clock).await;
    assert_eq!(status_of(&enact, "b").await, RunStatus::Completed);
    let third = enact.run_to_end(request(&[put("c")])).await.unwrap();
    assert_eq!(third.status(), RunStatus::Blocked);
    assert_eq!(third.state().error.as_ref().unwrap().code, ErrorCode::PolicyDenied);
    let script = JsonText::encode(&[put("d")]).unwrap();
    let spelled = RunRequest::new(&*erase(common::Script), USER.to_uppercase(), script.clone());
    assert_eq!(enact.run_to_end(spelled).await.unwrap().status(), RunStatus::Blocked);
    let other = RunRequest::new(&*erase(common::Script), "other@example.com", script);
    assert_eq!(enact.run_to_end(other).await.unwrap().status(), RunStatus::Completed);
    enact.shutdown(Duration::from_secs(5)).await;

    // The first is over an hour ago now, the second is not; and the refused one did not count.
    let store = store.crash();
    clock.forward(HOUR / 2 + Duration::from_secs(1));
    let enact = start(&world, &store, &clock).await;
    assert_eq!(status_of(&enact, "e").await, RunStatus::Completed);
    assert_eq!(status_of(&enact, "f").await, RunStatus::Blocked);
    assert_eq!(ledger(&world), ["put a", "put b", "put d", "put e"]);
}

#[tokio::test(start_paused = true)]
async fn an_action_counts_once_however_often_it_is_tried_and_not_against_itself() {
    let (world, store, clock) = (World::new(), MemoryStore::new(), TestClock::new());
    let enact = start(&world, &store, &clock).await;
    world.faults("put", [Fault::Refuse, Fault::Refuse]);
    let run = enact.run_to_end(request(&[put("a"), put("b")])).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.state().error);
    assert_eq!(run.state().actions.values().map(|action| action.attempts.len()).sum::<usize>(), 4);
    assert_eq!(status_of(&enact, "c").await, RunStatus::Blocked);
}

#[tokio::test]
async fn two_actions_at_the_same_time_cannot_both_be_the_last() {
    let (world, store, clock) = (World::new(), MemoryStore::new(), TestClock::new());
    let enact = start(&world, &store, &clock).await;
    let branches = (0..8).map(|n| vec![Do::Try(Box::new(put(&format!("k{n}"))))]).collect();
    let run = enact.run_to_end(request(&[Do::Join(branches)])).await.unwrap();
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(world.ledger().len(), 2);
    assert_eq!(run.state().accepted.user, USER);
}
