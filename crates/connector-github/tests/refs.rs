//! Branches that others move, delete and make at the same time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_core::ids::Direction;
use enact_core::{Capture, ErrorCode};
use serde_json::json;
use world::{Hub, REPO};

#[tokio::test]
async fn a_branch_that_somebody_else_deleted_is_not_counted_as_deleted_by_the_run() {
    for by_graphql in [true, false] {
        let hub = Hub::new();
        hub.server.set_update_refs(by_graphql);
        let params = json!({ "repo": REPO, "branch": "feature" });
        let action = hub.prepare("delete_branch", &params).unwrap();
        let cx = hub.cx(Direction::Forward, false);
        let Capture::Ready { ready, .. } = action.capture(&cx).await.unwrap() else { panic!("gone already") };
        hub.repo.person("ann").delete_branch("feature");
        let error = action.perform(&cx, ready).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Conflict, true), "{error}");
        // The next try finds it done already, so that there is nothing to take back.
        assert!(hub.act("delete_branch", params).await.unwrap().already);
        assert_eq!(hub.effects(), []);
    }
}
