//! Answers in threads: where Slack puts them, where they are looked for, and what their undo takes away.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test by panicking"
)]

mod world;

use enact_core::ErrorCode;
use enact_core::ids::Direction;
use enact_core::json::JsonText;
use enact_testkit::slack::{Fault, What};
use serde_json::json;
use world::{SCOPES, Settled, Space};

const POST: &str = "chat.postMessage";

/// What is answered.
#[derive(Clone, Copy, Debug)]
enum To {
    /// The first message of a thread.
    Root,
    /// An answer in a thread.
    Answer,
    /// A message that was deleted.
    Gone,
    /// The first message of a thread, of which only the answers are left.
    Stone,
}

impl To {
    const ALL: [Self; 4] = [Self::Root, Self::Answer, Self::Gone, Self::Stone];

    /// Makes it, and gives its `ts`.
    fn set_up(self, space: &Space) -> String {
        let ann = space.general.person("ann");
        let root = ann.post("question");
        if matches!(self, Self::Gone) {
            ann.delete(&root);
            return root;
        }
        let answer = ann.reply(&root, "more of it");
        if matches!(self, Self::Stone) {
            ann.delete(&root);
        }
        if matches!(self, Self::Answer) { answer } else { root }
    }
}

#[tokio::test]
async fn an_answer_is_posted_once_and_taken_back_wherever_slack_puts_it() {
    for to in To::ALL {
        for lost in [None, Some(Fault::drop_after(POST)), Some(Fault::drop_before(POST))] {
            let space = Space::new();
            let asked = to.set_up(&space);
            let before = space.general.messages();
            let there = lost.as_ref().is_none_or(|fault| format!("{fault:?}").contains("after"));
            let lost = lost.map(|fault| space.server.fault(fault));
            let params = json!({ "channel": space.general.id(), "text": "so", "thread_ts": asked });
            let action = space.prepare("post_message", &params).unwrap();
            let settled = space.act_or_probe(action, space.cx(Direction::Forward, false)).await.unwrap();
            assert!(lost.is_none_or(|lost| lost.was_reached()));
            let (pre, output) = match settled {
                Settled::Done(pre, output) if there => (pre, output),
                Settled::Nothing if !there => continue,
                other => panic!("{to:?}: {other:?}"),
            };
            let posted = space.general.messages().last().unwrap().clone();
            assert_eq!(output["ts"], posted.ts, "{to:?}");
            assert_eq!(output["thread_ts"], json!(posted.thread_ts), "{to:?}");
            let action = space.prepare("post_message", &params).unwrap();
            let output = JsonText::encode(&output).unwrap();
            let undo = space.undo_from(&action, &pre, Some(&output));
            let undone = space.carry_out(undo, space.cx(Direction::Undo, false)).await.unwrap();
            assert!(!undone.already, "{to:?}");
            assert_eq!(space.general.messages(), before, "{to:?}");
            assert_eq!(space.effects(), [What::Posted, What::Deleted], "{to:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_whose_reply_is_lost_for_good_is_found_by_its_mark_when_it_is_undone() {
    for to in To::ALL {
        let space = Space::new();
        let asked = to.set_up(&space);
        let before = space.general.messages();
        let lost = space.server.fault(Fault::drop_after(POST));
        let params = json!({ "channel": space.general.id(), "text": "so", "thread_ts": asked });
        let action = space.prepare("post_message", &params).unwrap();
        let cx = space.cx(Direction::Forward, false);
        let Settled::Done(pre, _) = space.act_or_probe(action, cx).await.unwrap() else { panic!("{to:?}") };
        assert!(lost.was_reached());
        let action = space.prepare("post_message", &params).unwrap();
        let undo = space.undo_from(&action, &pre, None);
        space.carry_out(undo, space.cx(Direction::Undo, false)).await.unwrap();
        assert_eq!(space.general.messages(), before, "{to:?}");
    }
}

#[tokio::test]
async fn an_answer_to_a_message_that_is_gone_says_where_it_went() {
    let space = Space::new();
    let asked = To::Gone.set_up(&space);
    let params = json!({ "channel": space.general.id(), "text": "so", "thread_ts": asked });
    let done = space.act("post_message", params).await.unwrap();
    assert_eq!(done.output["thread_ts"], json!(null));
    assert!(
        space.around.notes.lock().iter().any(|note| note.contains("posted it to the conversation itself"))
    );
}

#[tokio::test]
async fn of_an_answer_whose_thread_is_no_more_nobody_knows_that_it_is_deleted() {
    let space = Space::new();
    let asked = To::Root.set_up(&space);
    let params = json!({ "channel": space.general.id(), "text": "so", "thread_ts": asked });
    let done = space.act("post_message", params).await.unwrap();
    let vanished = space.server.fault(Fault::error("conversations.replies", "thread_not_found"));
    let error = space.undo(&done, false).await.unwrap_err();
    assert!(vanished.was_reached());
    assert_eq!(error.code(), ErrorCode::Forbidden);
    assert!(error.message().contains("thread_not_found") && error.message().contains("--force"), "{error}");
    let vanished = space.server.fault(Fault::error("conversations.replies", "thread_not_found"));
    assert!(!space.undo(&done, true).await.unwrap().already);
    assert!(vanished.was_reached());
    assert_eq!(space.effects(), [What::Posted, What::Deleted]);
}

#[tokio::test]
async fn where_threads_may_not_be_read_a_lost_answer_stays_in_doubt_and_its_undo_takes_force() {
    let refused = || Fault::error("conversations.replies", "not_allowed_token_type");
    // There, and not to be seen; or not there, and not to be known.
    for lost in [Fault::drop_after(POST), Fault::drop_before(POST)] {
        let space = Space::with(&SCOPES);
        let asked = To::Root.set_up(&space);
        let faults = [space.server.fault(lost), space.server.fault(refused())];
        let params = json!({ "channel": space.general.id(), "text": "so", "thread_ts": asked });
        let action = space.prepare("post_message", &params).unwrap();
        let settled = space.act_or_probe(action, space.cx(Direction::Forward, false)).await.unwrap();
        assert!(
            matches!(&settled, Settled::Unknown(seen) if seen.contains("not_allowed_token_type")),
            "{settled:?}"
        );
        assert!(faults.iter().all(|fault| fault.was_reached()));
    }
    let space = Space::new();
    let asked = To::Root.set_up(&space);
    let params = json!({ "channel": space.general.id(), "text": "so", "thread_ts": asked });
    let done = space.act("post_message", params).await.unwrap();
    let blind = space.server.fault(refused().times(2));
    let error = space.undo(&done, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden, "{error}");
    assert!(!space.undo(&done, true).await.unwrap().already);
    assert!(blind.was_reached());
    assert_eq!(space.effects(), [What::Posted, What::Deleted]);
}
