//! Policies on messages.

mod common;

use common::{facts, no, passes};
use enact_policy::{BlockDms, Case, block_dms, require_channel_allowlist};
use serde_json::{Value, json};

fn post(channel: &str) -> Case {
    Case::action("slack", "post_message", json!({ "channel": channel, "text": "hello" }))
}

fn posted(channel: &str, id: Value) -> Case {
    post(channel).facts(facts(json!({ "channel_id": id, "history_readable": true })))
}

fn delete(channel: &str) -> Case {
    Case::action("slack", "delete_message", json!({ "channel": channel, "ts": "1.0" }))
}

#[test]
fn a_channel_is_allowed_by_its_name_or_its_id() {
    let policy = require_channel_allowlist(["#general", "C0123456789"]);
    for channel in ["general", "#general", "C0123456789"] {
        passes(&post(channel), &policy);
    }
    passes(&posted("general", json!("C0999999999")), &policy);
    passes(&posted("general", json!(null)), &policy);
    passes(&posted("#random", json!("C0123456789")), &policy);
    passes(&delete("C0123456789"), &policy);
    passes(&delete("C0123456789").facts(facts(json!({ "user": null, "text": null }))), &policy);
}

#[test]
fn a_channel_that_is_not_listed_is_not_written_to() {
    let policy = require_channel_allowlist(["#general", "C0123456789"]);
    for channel in ["C0999999999", "G0123456789", "D0123456789"] {
        no(&post(channel), &policy);
        no(&delete(channel), &policy);
    }
    for (channel, id) in [
        ("random", json!("C0999999999")),
        ("General", json!(null)),
        ("gener\u{430}l", json!(null)),
        ("general\u{200b}", json!(null)),
        ("U0123456789", json!("D0123456789")),
    ] {
        no(&posted(channel, id), &policy);
    }
    no(&posted("general", json!(null)), &require_channel_allowlist(["C0123456789"]));
    no(&post("random"), &require_channel_allowlist(["#general"]));
    no(&post("U0123456789"), &require_channel_allowlist(["#general"]));
}

#[test]
fn direct_messages_are_blocked_however_they_are_asked_for() {
    for channel in [
        "U0123456789",
        "W0123456789",
        "D0123456789",
        "G0123456789",
        "mpdm-ann--bob-1",
        "#MPDM-x",
        "mpdm\u{2010}x",
    ] {
        no(&post(channel), &block_dms());
    }
    no(&delete("D0123456789"), &block_dms());
    no(&posted("general", json!("D0123456789")), &block_dms());
    no(&posted("general", json!("X0123456789")), &block_dms());
    for (channel, id) in
        [("general", json!("C0123456789")), ("general", json!(null)), ("C0123456789", json!("C0123456789"))]
    {
        passes(&post(channel), &block_dms());
        passes(&posted(channel, id), &block_dms());
    }
    let old = BlockDms { except: vec!["G0123456789".into()] }.into_policy();
    passes(&post("G0123456789"), &old);
    no(&post("G0999999999"), &old);
}

#[test]
fn what_is_missing_or_something_else_is_a_no() {
    for policy in [block_dms(), require_channel_allowlist(["C0123456789"])] {
        no(&Case::action("slack", "post_message", json!({ "text": "hello" })), &policy);
        no(&Case::action("slack", "post_message", json!({ "channel": ["general"] })), &policy);
        no(&post("general").facts(facts(json!({}))), &policy);
        no(&posted("general", json!(7)), &policy);
    }
}

#[test]
fn nonsense_is_refused() {
    for policy in [
        require_channel_allowlist(Vec::<String>::new()),
        require_channel_allowlist(["#"]),
        require_channel_allowlist(["@ann"]),
        require_channel_allowlist(["U0123456789"]),
        require_channel_allowlist(["team-*"]),
        BlockDms { except: vec!["general".into()] }.into_policy(),
    ] {
        policy.check().expect_err("it is nonsense");
    }
}
