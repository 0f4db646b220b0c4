//! Words that the tables of the tests are written in.
#![allow(dead_code, unreachable_pub, reason = "each test takes some of them")]
#![allow(clippy::expect_used, clippy::panic, reason = "it is for tests alone")]

use enact_core::action::Facts;
use enact_core::policy::{Approval, Verdict};
use enact_core::time::Timestamp;
use enact_policy::{Builtin, Case};
use serde_json::{Value, json};

/// Facts from an object.
pub fn facts(object: Value) -> Facts {
    object.as_object().cloned().expect("facts are an object")
}

/// The reason of a no.
pub fn no(case: &Case, policy: &Builtin) -> String {
    match case.judge(policy) {
        Verdict::Deny(reason) => reason,
        other => panic!("{case:?} was not refused by {policy:?}: {other:?}"),
    }
}

/// Asserts that a policy passes a case.
pub fn passes(case: &Case, policy: &Builtin) {
    assert_eq!(case.judge(policy), Verdict::Pass, "{case:?} by {policy:?}");
}

/// What a person is asked.
pub fn asks(case: &Case, policy: &Builtin) -> Approval {
    match case.judge(policy) {
        Verdict::NeedsApproval(approval) => approval,
        other => panic!("{case:?} was not held up: {other:?}"),
    }
}

/// A time.
pub fn at(text: &str) -> Timestamp {
    serde_json::from_value(json!(text)).expect("a time")
}

/// An action on a branch of `octo/app`.
pub fn on_branch(action: &str, branch: &str) -> Case {
    Case::action("github", action, json!({ "repo": "octo/app", "branch": branch }))
}

/// A commit of files of `octo/app`.
pub fn commit(files: Value) -> Case {
    let params = json!({ "repo": "octo/app", "branch": "agent/x", "message": "change", "files": files });
    Case::action("github", "push_commit", params)
}
