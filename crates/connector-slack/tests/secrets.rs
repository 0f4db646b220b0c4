//! The token is nowhere but in the header of a request.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_testkit::slack::Fault;
use world::Space;

#[tokio::test]
async fn a_token_that_the_server_repeats_is_in_no_error() {
    let space = Space::new();
    let said = format!("bad Bearer {}", space.token);
    let odd = space.server.fault(Fault::error("chat.postMessage", &said));
    let error = space.post("x").await.unwrap_err();
    assert!(odd.was_reached());
    assert!(!format!("{error:?}").contains(&space.token), "{error:?}");
    assert!(error.message().contains("[secret]"), "{error}");
}
