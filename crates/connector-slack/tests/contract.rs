//! The connector suite, on every action.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_testkit::connector_suite::{Case, check};
use serde_json::json;
use world::Space;

/// Every server gives the same ids in the same order.
fn general() -> String {
    Space::new().general.id().to_owned()
}

fn last(space: &Space) -> String {
    space.general.messages().last().unwrap().ts.clone()
}

#[tokio::test]
async fn post_message() {
    let params =
        json!({ "channel": general(), "text": "deployed <https://x.org|it> & more, see https://y.org" });
    let case = Case::new("post_message", params)
        .requires(["channel", "text"])
        .refuses(json!({ "channel": "a b", "text": "x" }), "channel")
        .refuses(json!({ "channel": "#x", "text": " " }), "text")
        .refuses(json!({ "channel": "#x", "text": "x".repeat(40_001) }), "text")
        .refuses(json!({ "channel": "#x", "text": "x", "thread_ts": 1.5 }), "thread_ts")
        .refuses(json!({ "channel": "#x", "text": "x", "blocks": [{}] }), "blocks")
        .disturbed_by(|space: &Space| space.general.person("bob").edit(&last(space), "other"));
    check(&case, async || Space::new()).await;
}

#[tokio::test]
async fn post_message_with_blocks_by_name() {
    let blocks = json!([{ "type": "section", "text": { "type": "mrkdwn", "text": "*done*" } }]);
    let params = json!({ "channel": "#general", "text": "done", "blocks": blocks });
    let case = Case::new("post_message", params).disturbed_by(|space: &Space| {
        let other = json!([{ "type": "section", "text": { "type": "mrkdwn", "text": "*not done*" } }]);
        space.general.person("bob").edit_blocks(&last(space), other);
    });
    check(&case, async || Space::new()).await;
}

#[tokio::test]
async fn delete_message() {
    let fresh = async || {
        let space = Space::new();
        // A message's id is a time: the same in each world.
        space.server.stop_clock(1_800_000_000);
        space.post("old").await.unwrap();
        space
    };
    let space = fresh().await;
    let (channel, ts) = (space.general.id().to_owned(), last(&space));
    let case = Case::new("delete_message", json!({ "channel": channel, "ts": ts }))
        .requires(["channel", "ts"])
        .refuses(json!({ "channel": "#general", "ts": ts }), "channel")
        .refuses(json!({ "channel": channel, "ts": "now" }), "ts");
    check(&case, fresh).await;
}
