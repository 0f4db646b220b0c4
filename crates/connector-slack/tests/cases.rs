//! What Slack does that breaks others: lost replies, edits and deletions by others, scopes, rates, names.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use std::time::Duration;

use enact_core::action::{Doubt, Undo};
use enact_core::error::Remains;
use enact_core::ids::Direction;
use enact_core::json::JsonText;
use enact_core::{Capture, ErrorCode};
use enact_testkit::slack::{Fault, What};
use serde_json::json;
use world::{SCOPES, Settled, Space};

const POST: &str = "chat.postMessage";

#[tokio::test]
async fn case_slack_no_idempotency_key_a_lost_reply_is_found_and_a_lost_request_is_not() {
    for (fault, there) in [
        (Fault::drop_after(POST), true),
        (Fault::status_after(POST, 502), true),
        (Fault::error_after(POST, "fatal_error"), true),
        (Fault::error_after(POST, "something_new"), true),
        (Fault::drop_before(POST), false),
        (Fault::status(POST, 503), false),
        (Fault::error(POST, "internal_error"), false),
        (Fault::error(POST, "service_unavailable"), false),
    ] {
        let space = Space::new();
        // The same words by somebody else are not ours, nor is a copy of our mark.
        space.general.person("ann").post("done");
        let lost = space.server.fault(fault);
        let params = json!({ "channel": space.general.id(), "text": "done" });
        let action = space.prepare("post_message", &params).unwrap();
        let cx = space.cx(Direction::Forward, false);
        let mark =
            json!({ "event_type": "enact_effect", "event_payload": { "effect": cx.effect().to_string() } });
        space.general.person("eve").post_with("done", mark);
        let settled = space.act_or_probe(action, cx).await.unwrap();
        assert!(lost.was_reached());
        match settled {
            Settled::Done(_, output) => {
                assert!(there, "{output}");
                assert_eq!(output["ts"], space.general.messages()[2].ts);
            }
            Settled::Nothing => assert!(!there),
            other => panic!("{other:?}"),
        }
        assert_eq!(space.effects().len(), usize::from(there));
    }
}

#[tokio::test]
async fn a_lost_reply_in_a_thread_and_on_a_late_page_is_found() {
    for in_thread in [true, false] {
        let space = Space::new();
        space.server.page(2);
        let root = space.general.person("ann").post("question");
        let lost = space.server.fault(Fault::drop_after(POST));
        let mut params = json!({ "channel": "#general", "text": "answer" });
        if in_thread {
            params["thread_ts"] = json!(root);
        }
        let action = space.prepare("post_message", &params).unwrap();
        let cx = space.cx(Direction::Forward, false);
        let Capture::Ready { pre, ready, .. } = action.capture(&cx).await.unwrap() else { panic!("done") };
        for number in 0..5 {
            let ann = space.general.person("ann");
            let text = number.to_string();
            if in_thread {
                ann.reply(&root, &text)
            } else {
                ann.post(&text)
            };
        }
        let error = action.perform(&cx, ready).await.unwrap_err();
        assert_eq!((error.code(), error.remains()), (ErrorCode::InDoubt, Remains::Perhaps));
        for number in 0..5 {
            let ann = space.general.person("ann");
            let text = number.to_string();
            if in_thread {
                ann.reply(&root, &text)
            } else {
                ann.post(&text)
            };
        }
        assert!(lost.was_reached());
        let Doubt::Applied(output) = action.probe(&cx, &pre).await.unwrap() else { panic!("not found") };
        assert_eq!(output.value()["ts"], space.general.messages()[6].ts);
        let undo = space.undo_from(&action, &pre, None);
        space.carry_out(undo, space.cx(Direction::Undo, false)).await.unwrap();
        assert_eq!(space.effects(), [What::Posted, What::Deleted]);
    }
}

#[tokio::test]
async fn a_message_that_lists_show_late_is_waited_for_and_one_that_lands_late_is_not_sent_again() {
    // Invisible for two lists: an answer in between says when to ask again.
    let space = Space::of(&SCOPES, |slack| slack.settle_window(Duration::from_secs(60)));
    space.server.hide_new_messages_for(2);
    let lost = space.server.fault(Fault::drop_after(POST));
    let action = space.prepare("post_message", &json!({ "channel": "#general", "text": "x" })).unwrap();
    let cx = space.cx(Direction::Forward, false);
    let Capture::Ready { pre, ready, .. } = action.capture(&cx).await.unwrap() else { panic!("done") };
    action.perform(&cx, ready).await.unwrap_err();
    assert!(lost.was_reached());
    for _ in 0..2 {
        let error = action.probe(&cx, &pre).await.unwrap_err();
        assert!(error.is_retryable() && error.wait().unwrap() > Duration::from_secs(30), "{error}");
    }
    let found = action.probe(&cx, &pre).await.unwrap();
    assert!(matches!(found, Doubt::Applied(_)), "{found:?}");

    // On its way while the first life dies.
    let space = Space::of(&SCOPES, |slack| slack.settle_window(Duration::from_secs(60)));
    let late = space.server.fault(Fault::late(POST));
    let action = space.prepare("post_message", &json!({ "channel": "#general", "text": "x" })).unwrap();
    let cx = space.cx(Direction::Forward, false);
    let Capture::Ready { pre, ready, .. } = action.capture(&cx).await.unwrap() else { panic!("done") };
    action.perform(&cx, ready).await.unwrap_err();
    action.probe(&cx, &pre).await.unwrap_err();
    assert_eq!(late.land(), "ok");
    assert!(matches!(action.probe(&cx, &pre).await.unwrap(), Doubt::Applied(_)));
    // What is not there when the window is over counts as lost.
    let space = Space::of(&SCOPES, |slack| slack.settle_window(Duration::from_secs(60)));
    let lost = space.server.fault(Fault::drop_before(POST));
    let action = space.prepare("post_message", &json!({ "channel": "#general", "text": "x" })).unwrap();
    let cx = space.cx(Direction::Forward, false);
    let Capture::Ready { pre, ready, .. } = action.capture(&cx).await.unwrap() else { panic!("done") };
    action.perform(&cx, ready).await.unwrap_err();
    assert!(lost.was_reached());
    space.around.advance(Duration::from_secs(61));
    assert!(matches!(action.probe(&cx, &pre).await.unwrap(), Doubt::NotApplied));
}

#[tokio::test]
async fn a_clock_that_is_hours_ahead_or_behind_does_not_hide_the_message() {
    for skew_s in [-20_000, 20_000] {
        let space = Space::new();
        space.server.advance_clock(skew_s);
        let lost = space.server.fault(Fault::drop_after(POST));
        let action = space.prepare("post_message", &json!({ "channel": "#general", "text": "x" })).unwrap();
        let settled = space.act_or_probe(action, space.cx(Direction::Forward, false)).await.unwrap();
        assert!(lost.was_reached());
        assert!(matches!(settled, Settled::Done(..)), "{settled:?}");
    }
}

#[tokio::test]
async fn case_slack_missing_scopes_leave_a_lost_reply_in_doubt() {
    for (scopes, leaves) in
        [(&["chat:write"][..], false), (&["chat:write", "channels:history", "groups:history"], true)]
    {
        let space = Space::with(scopes);
        let lost = space.server.fault(Fault::drop_after(POST));
        let action =
            space.prepare("post_message", &json!({ "channel": space.general.id(), "text": "x" })).unwrap();
        let cx = space.cx(Direction::Forward, false);
        let Capture::Ready { pre, ready, facts } = action.capture(&cx).await.unwrap() else { panic!("done") };
        assert_eq!(facts["history_readable"], json!(leaves));
        action.perform(&cx, ready).await.unwrap_err();
        assert!(lost.was_reached());
        if leaves {
            // It may be read no more when it is looked up.
            space.general.kick(&space.bot);
        }
        let Doubt::Unknown(seen) = action.probe(&cx, &pre).await.unwrap() else { panic!("it was known") };
        assert!(seen.contains(if leaves { "invite the bot" } else { "channels:history" }), "{seen}");
        // Nobody guesses at the undo either.
        let undo = space.undo_from(&action, &pre, None);
        let error = space.carry_out(undo, space.cx(Direction::Undo, true)).await.unwrap_err();
        assert!(matches!(error.code(), ErrorCode::Forbidden), "{error}");
        assert_eq!(space.effects(), [What::Posted]);
    }
    // A name that cannot be resolved is the same.
    let space = Space::with(&["chat:write", "channels:history"]);
    let lost = space.server.fault(Fault::drop_after(POST));
    let action = space.prepare("post_message", &json!({ "channel": "#general", "text": "x" })).unwrap();
    let settled = space.act_or_probe(action, space.cx(Direction::Forward, false)).await.unwrap();
    assert!(lost.was_reached());
    assert!(matches!(&settled, Settled::Unknown(seen) if seen.contains("#general")), "{settled:?}");
}

#[tokio::test]
async fn whether_a_lost_reply_could_be_looked_up_is_said_only_where_it_is_known() {
    for (scopes, in_channel, in_thread) in [
        (&["channels:history", "groups:history"][..], json!(true), json!(null)),
        (&["channels:history"], json!(null), json!(null)),
        (&["groups:history"], json!(null), json!(null)),
        (&["im:history"], json!(false), json!(false)),
    ] {
        let space = Space::with(&[scopes, &["chat:write"]].concat());
        let root = space.general.person("ann").post("question");
        let params = json!({ "channel": space.general.id(), "text": "x" });
        let done = space.act("post_message", params.clone()).await.unwrap();
        assert_eq!(done.facts["history_readable"], in_channel, "{scopes:?}");
        let mut params = params;
        params["thread_ts"] = json!(root);
        let done = space.act("post_message", params).await.unwrap();
        assert_eq!(done.facts["history_readable"], in_thread, "{scopes:?}");
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_looked_up_is_left_to_slack() {
    // One item a page, and more pages than are gone through.
    let space = Space::new();
    space.server.page(1);
    for number in 0..100 {
        drop(space.server.channel(&format!("c{number}")));
    }
    let last = space.server.channel("last").invite(&space.bot);
    let params = json!({ "channel": "#last", "text": "x" });
    let done = space.act("post_message", params.clone()).await.unwrap();
    assert_eq!((&done.facts["channel_id"], &done.output["channel"]), (&json!(null), &json!(last.id())));
    space.undo(&done, false).await.unwrap();
    let lost = space.server.fault(Fault::drop_after(POST));
    let action = space.prepare("post_message", &params).unwrap();
    let settled = space.act_or_probe(action, space.cx(Direction::Forward, false)).await.unwrap();
    assert!(lost.was_reached());
    assert!(matches!(settled, Settled::Unknown(_)), "{settled:?}");

    let space = Space::new();
    let limited = space.server.fault(Fault::rate_limited("conversations.list", 90));
    let done = space.act("post_message", json!({ "channel": "#general", "text": "x" })).await.unwrap();
    assert!(limited.was_reached());
    assert_eq!(done.output["channel"], space.general.id());
    assert!(space.around.notes.lock().iter().any(|note| note.contains("it is left to Slack")));
    space.undo(&done, false).await.unwrap();
}

#[tokio::test]
async fn case_slack_missing_scopes_are_named_before_and_when_they_are_missed() {
    let warnings = Space::new().toolbox.warnings().await.unwrap();
    assert_eq!(warnings.len(), 1, "the settle window alone: {warnings:?}");
    let space =
        Space::of(&["chat:write", "im:history"], |slack| slack.settle_window(Duration::from_secs(60)));
    let warnings = space.toolbox.warnings().await.unwrap().join("\n");
    let said = [
        "channels:history",
        "groups:history",
        "--force",
        "stays in doubt",
        "channels:read",
        "not kept in the record",
    ];
    for said in said {
        assert!(warnings.contains(said), "{warnings}");
    }
    assert!(!warnings.contains("chat:write"), "{warnings}");
    let space = Space::with(&["channels:history"]);
    assert!(space.toolbox.warnings().await.unwrap()[0].contains("chat:write"));
    let error = space.post("x").await.unwrap_err();
    assert_eq!((error.code(), error.remains()), (ErrorCode::Forbidden, Remains::Nothing));
    assert!(
        error.message().contains("chat:write") && error.message().contains("channels:history"),
        "{error}"
    );
    space.bot.revoke(&space.token);
    assert!(space.toolbox.warnings().await.unwrap()[0].contains("token"));
    let error = space.post("x").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unauthenticated);
    assert!(!format!("{error:?}").contains(&space.token), "{error:?}");
}

#[tokio::test]
async fn case_slack_a_direct_message_answers_with_another_channel_and_is_undone_there() {
    let space = Space::new();
    let ann = space.server.person("ann");
    let done = space.act("post_message", json!({ "channel": ann, "text": "hello" })).await.unwrap();
    let channel = done.output["channel"].as_str().unwrap();
    assert!(channel.starts_with('D'), "{channel}");
    space.undo(&done, false).await.unwrap();
    assert_eq!(space.bot.direct("ann").messages(), []);
    // Lost, it is found in the conversation that it made.
    let ben = space.server.person("ben");
    let lost = space.server.fault(Fault::drop_after(POST));
    let action = space.prepare("post_message", &json!({ "channel": ben, "text": "hello" })).unwrap();
    let settled = space.act_or_probe(action, space.cx(Direction::Forward, false)).await.unwrap();
    assert!(lost.was_reached());
    let Settled::Done(_, output) = settled else { panic!("{settled:?}") };
    assert_eq!(output["ts"], space.bot.direct("ben").messages()[0].ts);
    // A request that never came made no conversation; that is known only where they may be listed.
    for (scopes, is_known) in [(&SCOPES[..], true), (&["chat:write", "im:history"], false)] {
        let space = Space::with(scopes);
        let ann = space.server.person("ann");
        let lost = space.server.fault(Fault::drop_before(POST));
        let action = space.prepare("post_message", &json!({ "channel": ann, "text": "hello" })).unwrap();
        let settled = space.act_or_probe(action, space.cx(Direction::Forward, false)).await.unwrap();
        assert!(lost.was_reached());
        assert_eq!(matches!(settled, Settled::Nothing), is_known, "{settled:?}");
    }
}

#[tokio::test]
async fn case_slack_edited_meanwhile_is_a_conflict_whether_or_not_it_is_shown_as_edited() {
    for quietly in [false, true] {
        let space = Space::new();
        let done = space.post("one & two <three>").await.unwrap();
        let bob = space.general.person("bob");
        if quietly {
            bob.edit_blocks(done.ts(), json!([{ "type": "divider", "block_id": "x" }]));
        } else {
            bob.edit(done.ts(), "other");
        }
        let error = space.undo(&done, false).await.unwrap_err();
        assert_eq!((error.code(), error.remains()), (ErrorCode::Conflict, Remains::Nothing), "{error}");
        assert_eq!(space.general.messages().len(), 1);
        space.undo(&done, true).await.unwrap();
        assert_eq!(space.general.messages(), []);
    }
}

#[tokio::test]
async fn case_slack_edited_meanwhile_is_a_conflict_in_blocks_of_any_kind() {
    let table = |cell: &str| json!([{ "type": "table", "block_id": "t", "rows": [[{ "type": "raw_text", "text": cell }]] }]);
    let button = |style: &str| {
        let text = json!({ "type": "plain_text", "text": "go" });
        json!([{ "type": "actions", "block_id": "a", "elements": [{ "type": "button", "text": text, "style": style }] }])
    };
    for (was, is) in [(table("1"), table("2")), (button("primary"), button("danger"))] {
        let space = Space::new();
        let params = json!({ "channel": space.general.id(), "text": "x", "blocks": was });
        let done = space.act("post_message", params).await.unwrap();
        space.general.person("bob").edit_blocks(done.ts(), is);
        assert_eq!(space.undo(&done, false).await.unwrap_err().code(), ErrorCode::Conflict);
        assert_eq!(space.general.messages().len(), 1);
    }
}

#[tokio::test]
async fn case_slack_deleted_meanwhile_is_already_undone() {
    let space = Space::new();
    let done = space.post("x").await.unwrap();
    space.general.person("admin").delete(done.ts());
    assert!(space.undo(&done, false).await.unwrap().already);
    // With replies, a stone is left.
    let done = space.post("y").await.unwrap();
    space.general.person("ann").reply(done.ts(), "why?");
    space.general.person("admin").delete(done.ts());
    let undone = space.undo(&done, false).await.unwrap();
    assert!(undone.already);
    assert_eq!(undone.output["replies_left"], 1);
    // Between look and deletion: the next look knows.
    let done = space.post("z").await.unwrap();
    let (admin, ts) = (space.general.person("admin"), done.ts().to_owned());
    let faster = space.server.fault(Fault::just_before("chat.delete", move || admin.delete(&ts)));
    let cx = space.cx(Direction::Undo, false);
    let error = space.carry_out(space.undo_of(&done), cx.clone()).await.unwrap_err();
    assert!(faster.was_reached());
    assert!(error.is_retryable() && error.remains() == Remains::Nothing, "{error}");
    assert!(space.carry_out(space.undo_of(&done), space.next_try(&cx)).await.unwrap().already);
    assert_eq!(space.effects(), [What::Posted; 3]);
}

#[tokio::test]
async fn a_message_that_lists_do_not_show_yet_is_not_taken_for_deleted() {
    let space = Space::of(&SCOPES, |slack| slack.settle_window(Duration::from_secs(60)));
    space.server.hide_new_messages();
    let done = space.post("x").await.unwrap();
    let error = space.undo(&done, false).await.unwrap_err();
    assert!(error.is_retryable() && error.wait().is_some(), "{error}");
    space.server.show_new_messages();
    space.undo(&done, false).await.unwrap();
    assert_eq!(space.effects(), [What::Posted, What::Deleted]);
}

#[tokio::test]
async fn case_slack_thread_parents_replies_of_others_stay_and_are_reported() {
    let space = Space::new();
    let done = space.post("x").await.unwrap();
    let reply = space.general.person("ann").reply(done.ts(), "good");
    let undone = space.undo(&done, false).await.unwrap();
    assert_eq!((undone.already, &undone.output["replies_left"]), (false, &json!(1)));
    assert!(space.around.notes.lock().iter().any(|note| note.contains("1 replies")));
    let left = space.general.messages();
    assert!(left.iter().any(|message| message.ts == reply && !message.tombstone));
    // An answer of ours in somebody's thread goes alone.
    let root = space.general.person("ann").post("question");
    let params = json!({ "channel": space.general.id(), "text": "answer", "thread_ts": root });
    let done = space.act("post_message", params).await.unwrap();
    space.undo(&done, false).await.unwrap();
    assert!(space.general.messages().iter().any(|message| message.ts == root));
    assert!(!space.general.messages().iter().any(|message| message.text == "answer"));
}

#[tokio::test]
async fn case_slack_cant_delete_message_and_compliance_fail_in_sight() {
    let space = Space::new();
    let done = space.post("x").await.unwrap();
    space.server.keep_everything(true);
    let error = space.undo(&done, false).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Forbidden, false));
    assert!(error.message().contains("compliance"), "{error}");
    space.server.keep_everything(false);
    let refused = space.server.fault(Fault::error("chat.delete", "cant_delete_message"));
    let error = space.undo(&done, false).await.unwrap_err();
    assert!(refused.was_reached());
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Forbidden, false));
    assert!(error.message().contains("posted itself"), "{error}");
    let theirs = space.general.person("ann").post("mine");
    let params = json!({ "channel": space.general.id(), "ts": theirs });
    let error = space.act("delete_message", params).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden);
    assert!(error.message().contains("cant_delete_message"), "{error}");
    assert_eq!(space.general.messages().len(), 2);
}

#[tokio::test]
async fn without_a_right_to_look_an_undo_takes_force_and_says_so() {
    let space = Space::with(&["chat:write"]);
    let done = space.post("x").await.unwrap();
    let error = space.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden);
    assert!(error.message().contains("channels:history") && error.message().contains("--force"), "{error}");
    let undone = space.undo(&done, true).await.unwrap();
    assert_eq!((undone.already, &undone.output["replies_left"]), (false, &json!(null)));
    assert_eq!(space.general.messages(), []);
    // Sent twice it is as sent once, and known the second time.
    let cx = space.cx(Direction::Undo, true);
    assert!(space.carry_out(space.undo_of(&done), cx.clone()).await.unwrap_err().is_retryable());
    assert!(space.carry_out(space.undo_of(&done), space.next_try(&cx)).await.unwrap().already);
}

#[tokio::test]
async fn a_deleted_message_is_kept_in_the_record_and_cannot_come_back() {
    let space = Space::new();
    let posted = space.post("secret plan").await.unwrap();
    let params = json!({ "channel": space.general.id(), "ts": posted.ts() });
    let done = space.act("delete_message", params.clone()).await.unwrap();
    assert_eq!(done.pre.value()["said"]["text"], "secret plan");
    assert_eq!(done.facts["text"], "secret plan");
    let output = JsonText::encode(&done.output).unwrap();
    assert!(matches!(done.action.undo(&done.pre, Some(&output)).unwrap(), Undo::Irreversible(_)));
    // Gone already: Slack says so, and the second look knows it.
    let (cx, again) =
        (space.cx(Direction::Forward, false), || space.prepare("delete_message", &params).unwrap());
    let error = space.carry_out(again(), cx.clone()).await.unwrap_err();
    assert!(error.is_retryable() && error.remains() == Remains::Nothing, "{error}");
    assert!(space.carry_out(again(), space.next_try(&cx)).await.unwrap().already);
    assert_eq!(space.effects(), [What::Posted, What::Deleted]);
    // Where it may not be read, that is said instead.
    let space = Space::with(&["chat:write"]);
    let posted = space.post("x").await.unwrap();
    let params = json!({ "channel": space.general.id(), "ts": posted.ts() });
    let done = space.act("delete_message", params).await.unwrap();
    assert!(done.pre.value()["unread"].as_str().unwrap().contains("channels:history"));
}

#[tokio::test]
async fn case_slack_429_is_waited_for_as_it_says() {
    for method in [POST, "auth.test"] {
        let space = Space::new();
        let limited = space.server.fault(Fault::rate_limited(method, 1));
        space.post("x").await.unwrap();
        assert!(limited.was_reached());
        assert!(space.around.notes.lock().iter().any(|note| note.contains("1 s for Slack's rate limit")));
        assert_eq!(space.effects(), [What::Posted]);
    }
    // Longer than the action has time: the next try is told when.
    let space = Space::new();
    let limited = space.server.fault(Fault::rate_limited(POST, 90));
    let error = space.post("x").await.unwrap_err();
    assert!(limited.was_reached());
    assert_eq!((error.code(), error.remains()), (ErrorCode::RateLimited, Remains::Nothing));
    assert!(error.is_retryable());
    assert_eq!(error.wait(), Some(Duration::from_secs(90)));
    // Held back so long, it could land when it counts as lost.
    let space = Space::of(&SCOPES, |slack| slack.settle_window(Duration::from_secs(60)));
    let limited = space.server.fault(Fault::rate_limited(POST, 31));
    assert_eq!(space.post("x").await.unwrap_err().code(), ErrorCode::RateLimited);
    assert!(limited.was_reached());
}

#[tokio::test]
async fn messages_to_one_channel_are_a_second_apart() {
    let space = Space::new();
    space.server.one_post_a_second();
    for number in 0..3 {
        space.post(&number.to_string()).await.unwrap();
    }
    let refused = space.server.requests().iter().filter(|request| request.status == Some(429)).count();
    assert_eq!(refused, 0, "it did not come to a refusal");
    assert_eq!(space.general.messages().len(), 3);
    assert!(space.around.notes.lock().iter().any(|note| note.contains("one message a second")));
}

#[tokio::test]
async fn a_clock_that_is_set_back_holds_no_message_up() {
    let space = Space::new();
    space.post("before").await.unwrap();
    space.around.set_back(Duration::from_secs(3600));
    space.post("after").await.unwrap();
    assert_eq!(space.general.messages().len(), 2);
}

#[tokio::test]
async fn messages_by_a_name_that_is_not_resolved_and_by_its_id_are_a_second_apart() {
    let space = Space::with(&["chat:write"]);
    space.server.one_post_a_second();
    space.act("post_message", json!({ "channel": "#general", "text": "x" })).await.unwrap();
    space.post("y").await.unwrap();
    let refused = space.server.requests().iter().filter(|request| request.status == Some(429)).count();
    assert_eq!(refused, 0, "it did not come to a refusal");
}

#[tokio::test]
async fn what_slack_would_refuse_or_cut_off_is_refused_before() {
    let space = Space::new();
    let long = json!({ "channel": "#general", "text": "x".repeat(40_001) });
    assert_eq!(space.prepare("post_message", &long).unwrap_err().code(), ErrorCode::InvalidParameters);
    let whole = json!({ "channel": "#general", "text": "x".repeat(40_000) });
    space.act("post_message", whole).await.unwrap();
    // What only Slack knows is refused by Slack, in its words.
    let blocks = json!([{ "type": "nonsense" }]);
    let params = json!({ "channel": "#general", "text": "x", "blocks": blocks });
    let error = space.act("post_message", params).await.unwrap_err();
    assert_eq!((error.code(), error.remains()), (ErrorCode::InvalidParameters, Remains::Nothing));
    assert!(error.message().contains("invalid_blocks"), "{error}");
    let error = space.act("post_message", json!({ "channel": "#none", "text": "x" })).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    let other = space.server.channel("other");
    let error = space.act("post_message", json!({ "channel": other.id(), "text": "x" })).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden);
    assert!(error.message().contains("invite the bot"), "{error}");
    space.general.archive();
    assert_eq!(space.post("x").await.unwrap_err().code(), ErrorCode::Forbidden);
}
