//! What is deleted for good is in the record: a deletion of ours is taken neither for another's nor for not done.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use std::time::Duration;

use enact_core::action::{Doubt, Undo};
use enact_core::connector::Cx;
use enact_core::ids::Direction;
use enact_core::{Capture, ErrorCode, Prepared};
use enact_testkit::slack::{Fault, What};
use serde_json::json;
use world::{SCOPES, Settled, Space};

const DELETE: &str = "chat.delete";

/// A message of the bot, and what deletes it.
fn deletion(space: &Space) -> (String, Prepared) {
    let ts = space.general.person("agent").post("old");
    let params = json!({ "channel": space.general.id(), "ts": ts });
    (ts, space.prepare("delete_message", &params).unwrap())
}

fn again(space: &Space, ts: &str) -> Prepared {
    space.prepare("delete_message", &json!({ "channel": space.general.id(), "ts": ts })).unwrap()
}

/// Captures and performs, and loses the reply; the probe is left to the test.
async fn lose(space: &Space, action: &Prepared, cx: &Cx) -> enact_core::json::JsonText {
    let Capture::Ready { pre, ready, .. } = action.capture(cx).await.unwrap() else { panic!("already") };
    let error = action.perform(cx, ready).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InDoubt, "{:?}: {error}", space.effects());
    pre
}

#[tokio::test]
async fn without_a_right_to_look_a_lost_deletion_stays_in_doubt() {
    for fault in [Fault::drop_after(DELETE), Fault::drop_before(DELETE)] {
        let space = Space::with(&["chat:write"]);
        let (_, action) = deletion(&space);
        let lost = space.server.fault(fault);
        let settled = space.act_or_probe(action, space.cx(Direction::Forward, false)).await.unwrap();
        assert!(lost.was_reached());
        assert!(
            matches!(&settled, Settled::Unknown(seen) if seen.contains("channels:history")),
            "{settled:?}"
        );
    }
}

#[tokio::test]
async fn a_deletion_that_lists_show_late_is_ours_at_the_next_try() {
    let space = Space::new();
    let (ts, action) = deletion(&space);
    space.server.show_deleted_messages_for(3);
    let lost = space.server.fault(Fault::drop_after(DELETE));
    let cx = space.cx(Direction::Forward, false);
    let settled = space.act_or_probe(action, cx.clone()).await.unwrap();
    assert!(lost.was_reached());
    assert!(matches!(settled, Settled::Nothing), "all looks were at a list that is late: {settled:?}");
    let action = again(&space, &ts);
    let done = space.carry_out(action, space.next_try(&cx)).await.unwrap();
    assert!(!done.already);
    let output = enact_core::json::JsonText::encode(&done.output).unwrap();
    assert!(matches!(done.action.undo(&done.pre, Some(&output)).unwrap(), Undo::Irreversible(_)));
    assert_eq!(space.effects(), [What::Deleted]);
}

#[tokio::test]
async fn a_stone_that_an_earlier_try_may_have_left_is_ours_and_that_of_others_is_not() {
    let space = Space::new();
    let (ts, action) = deletion(&space);
    space.general.person("ann").reply(&ts, "why?");
    let lost = space.server.fault(Fault::drop_after(DELETE));
    let cx = space.cx(Direction::Forward, false);
    lose(&space, &action, &cx).await;
    assert!(lost.was_reached());
    assert!(!space.carry_out(again(&space, &ts), space.next_try(&cx)).await.unwrap().already);
    let first = space.cx(Direction::Forward, false);
    assert!(space.carry_out(again(&space, &ts), first).await.unwrap().already);
}

#[tokio::test]
async fn that_another_action_found_a_message_gone_makes_the_deletion_nobody_elses() {
    let space = Space::new();
    let (ts, action) = deletion(&space);
    let lost = space.server.fault(Fault::drop_after(DELETE));
    let cx = space.cx(Direction::Forward, false);
    lose(&space, &action, &cx).await;
    assert!(lost.was_reached());
    let other = space.cx(Direction::Forward, false);
    space.carry_out(again(&space, &ts), other.clone()).await.unwrap_err();
    assert!(!space.carry_out(again(&space, &ts), space.next_try(&cx)).await.unwrap().already);
    assert!(space.carry_out(again(&space, &ts), space.next_try(&other)).await.unwrap().already);
}

#[tokio::test]
async fn a_lost_deletion_counts_as_not_done_only_when_it_can_no_longer_land() {
    let space = Space::of(&SCOPES, |slack| slack.settle_window(Duration::from_secs(60)));
    let (_, action) = deletion(&space);
    let late = space.server.fault(Fault::late(DELETE));
    let pre = lose(&space, &action, &space.cx(Direction::Forward, false)).await;
    let cx = space.cx(Direction::Forward, false);
    let error = action.probe(&cx, &pre).await.unwrap_err();
    assert!(error.is_retryable() && error.wait().unwrap() > Duration::from_secs(30), "{error}");
    assert_eq!(late.land(), "ok");
    assert!(matches!(action.probe(&cx, &pre).await.unwrap(), Doubt::Applied(_)));

    let (_, action) = deletion(&space);
    let lost = space.server.fault(Fault::drop_before(DELETE));
    let pre = lose(&space, &action, &cx).await;
    assert!(lost.was_reached());
    space.around.advance(Duration::from_secs(61));
    assert!(matches!(action.probe(&cx, &pre).await.unwrap(), Doubt::NotApplied));
}

#[tokio::test]
async fn a_deletion_that_is_held_back_too_long_is_not_sent_any_more() {
    let space = Space::of(&SCOPES, |slack| slack.settle_window(Duration::from_secs(60)));
    let (_, action) = deletion(&space);
    let limited = space.server.fault(Fault::rate_limited(DELETE, 31));
    let error = space.carry_out(action, space.cx(Direction::Forward, false)).await.unwrap_err();
    assert!(limited.was_reached());
    assert_eq!(error.code(), ErrorCode::RateLimited);
    assert_eq!(space.server.count(DELETE), 1);
}

#[tokio::test]
async fn a_message_that_no_list_has_shown_yet_is_not_taken_for_deleted() {
    for fault in [Fault::drop_before(DELETE), Fault::drop_after(DELETE)] {
        let space = Space::new();
        space.server.hide_new_messages();
        let (_, action) = deletion(&space);
        let lost = space.server.fault(fault);
        let cx = space.cx(Direction::Forward, false);
        let pre = lose(&space, &action, &cx).await;
        assert!(lost.was_reached());
        let found = action.probe(&cx, &pre).await.unwrap();
        assert!(matches!(&found, Doubt::Unknown(seen) if seen.contains("no list")), "{found:?}");
        space.server.show_new_messages();
        let found = action.probe(&cx, &pre).await.unwrap();
        let there = !space.general.messages().is_empty();
        assert_eq!(matches!(found, Doubt::NotApplied), there, "{found:?}");
    }
    // The same of an undo, which is then sent again.
    let space = Space::new();
    space.server.hide_new_messages();
    let done = space.post("x").await.unwrap();
    let blind = space.server.fault(Fault::error("conversations.history", "missing_scope"));
    let lost = space.server.fault(Fault::drop_before(DELETE));
    let cx = space.cx(Direction::Undo, true);
    let settled = space.act_or_probe(space.undo_of(&done), cx.clone()).await.unwrap();
    assert!(blind.was_reached() && lost.was_reached());
    assert!(matches!(settled, Settled::Nothing), "{settled:?}");
    space.server.show_new_messages();
    space.carry_out(space.undo_of(&done), space.next_try(&cx)).await.unwrap();
    assert_eq!(space.general.messages(), []);
}

#[tokio::test]
async fn an_undo_whose_first_reply_was_lost_is_undone_and_not_already_so() {
    let space = Space::new();
    let done = space.post("x").await.unwrap();
    let lost = space.server.fault(Fault::drop_after(DELETE));
    let cx = space.cx(Direction::Undo, false);
    lose(&space, &space.undo_of(&done), &cx).await;
    assert!(lost.was_reached());
    assert!(!space.carry_out(space.undo_of(&done), space.next_try(&cx)).await.unwrap().already);
    assert_eq!(space.effects(), [What::Posted, What::Deleted]);
}
