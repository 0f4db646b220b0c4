//! What a receipt says of a run: the form that is signed.
//!
//! All of it is text, whole numbers, truth values, lists and objects with names that are given here, so that it has one canonical form
//! (RFC 8785) in any language. What was JSON stays the text that it was recorded as. A released form never changes: another one gets
//! another [`TYPE`].

use serde::{Deserialize, Serialize};

/// The form; what is signed of a statement begins with it.
pub(super) const TYPE: &str = "enact.receipt.v1";

/// HMAC-SHA256 of something of the run under a key of its own, in hexadecimal digits: it can be told by those alone who are given
/// that key, and by nobody when the run is erased.
pub type SaltedDigest = String;

/// What is said of a run, as far as its log went.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Statement {
    /// The form.
    pub r#type: String,
    /// Which log the run is in; also the name of the keys that sign for it.
    pub log: String,
    /// The run.
    pub run_id: String,
    /// What it was a run of.
    pub workflow: WorkflowSaid,
    /// Who asked for it.
    pub user: String,
    /// What was said of the user; a JSON object, as text.
    pub attributes: String,
    /// The idempotency key under which it was asked for.
    pub key: Option<String>,
    /// Its input.
    pub input: SaltedDigest,
    /// What was to become of its effects when it fails: `rollback`, `keep`.
    pub on_failure: String,
    /// Where it stood; the words of the public contract.
    pub status: String,
    /// What it gave, where it ended normally.
    pub output: Option<SaltedDigest>,
    /// The code of what failed.
    pub error: Option<String>,
    /// When it was accepted.
    pub accepted_at: String,
    /// When it ended, where it had.
    pub ended_at: Option<String>,
    /// SHA-256 of all policies as they were when they judged the run, in hexadecimal digits.
    pub policies: Option<String>,
    /// What they said of the run as a whole.
    pub verdicts: Vec<VerdictSaid>,
    /// What was to be approved.
    pub approvals: Vec<ApprovalSaid>,
    /// Its actions, by number.
    pub actions: Vec<ActionSaid>,
    /// What people said to it, in order: approvals, cancellations, rollbacks, an operator's decisions.
    pub words: Vec<WordSaid>,
    /// Its events, each with what its leaf of the log is made of.
    pub events: Vec<EventSaid>,
}

/// What a run was a run of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WorkflowSaid {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of its text, in hexadecimal digits; `None` where it was code.
    pub sha256: Option<String>,
}

/// A policy's verdict.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct VerdictSaid {
    /// Its name.
    pub policy: String,
    /// Whether it passed.
    pub passed: bool,
    /// Why not, or on which condition.
    pub reason: String,
}

/// A request for approval, and what came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ApprovalSaid {
    /// The action; `None` for the run as a whole.
    pub action: Option<u64>,
    /// SHA-256 of exactly what was to be approved.
    pub digest: String,
    /// SHA-256 of all policies as they were.
    pub policies: String,
    /// Each policy that wanted it, with its reason.
    pub reasons: Vec<ReasonSaid>,
    /// Who could approve; anybody but the run's user, where it is empty.
    pub approvers: Vec<String>,
    /// When it was asked for.
    pub asked_at: String,
    /// Until when it could be given, and used.
    pub expires_at: String,
    /// `approved`, `denied`, `expired`; `None` where there was no word.
    pub word: Option<String>,
    /// Whose word.
    pub by: Option<String>,
    /// Whether it was good for nothing in the end.
    pub void: bool,
}

/// Who wanted an approval, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ReasonSaid {
    /// The policy.
    pub policy: String,
    /// The reason.
    pub reason: String,
}

/// An action, what became of it, and of its undo.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ActionSaid {
    /// Its number.
    pub seq: u64,
    /// The connector's name.
    pub connector: String,
    /// Its name within the connector.
    pub action: String,
    /// The version of its parameters' form.
    pub version: u32,
    /// `read_only`, `reversible`, `irreversible`.
    pub effect: String,
    /// What it touched; `None` where the parameters could not be read.
    pub target: Option<TargetSaid>,
    /// Its exact parameters.
    pub params: SaltedDigest,
    /// The verdicts on it.
    pub verdicts: Vec<VerdictSaid>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptSaid>,
    /// `refused`, `capture_failed`, `read`, `already_done`, `done`, `failed`; `None` where it had not ended.
    pub outcome: Option<String>,
    /// What it gave, where it succeeded.
    pub output: Option<SaltedDigest>,
    /// The code of its error.
    pub error: Option<String>,
    /// What became of it in the newest rollback, in the words of the public contract; `None` where none covered it.
    pub reversal: Option<String>,
}

/// What an action touched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TargetSaid {
    /// The kind of thing.
    pub kind: String,
    /// Which one.
    pub id: String,
    /// What else identifies it, as pairs of name and value, by name.
    pub attributes: Vec<(String, String)>,
}

/// One attempt of an action.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AttemptSaid {
    /// Which system it was on.
    pub system: String,
    /// The state that it was about to change.
    pub pre_state: SaltedDigest,
    /// `done`, `failed`, `not_applied`, `in_doubt`, `abandoned`.
    pub outcome: String,
    /// The undoing action, where one was intended and is known.
    pub undo: Option<UndoSaid>,
}

/// The undo of an attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct UndoSaid {
    /// The name of the undoing action.
    pub action: String,
    /// Its exact parameters.
    pub params: SaltedDigest,
    /// How often it was intended.
    pub tries: u32,
}

/// A person's word.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WordSaid {
    /// The number of the event that recorded it.
    pub event_seq: u64,
    /// `approved`, `denied`, `cancel`, `rollback`, `force_rollback`, `applied`, `not_applied`, `abandon`, `retry`.
    pub word: String,
    /// Whose.
    pub by: String,
    /// The action that it is on, or the last one that a rollback keeps; `None` for the run as a whole.
    pub action: Option<u64>,
    /// The reason that was given.
    pub reason: Option<String>,
}

/// An event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EventSaid {
    /// Its number within the run.
    pub event_seq: u64,
    /// Its place in the whole log.
    pub position: u64,
    /// When it happened.
    pub at: String,
    /// Its kind.
    pub kind: String,
    /// The action that it is about.
    pub action: Option<u64>,
    /// The header of its record, without leaf hash and checksum, in base64.
    pub header: String,
    /// SHA-256 of its payload as it is stored, in base64.
    pub payload: String,
}

impl Statement {
    /// Every digest of something of the run, with what it is called there.
    pub(super) fn digests(&self) -> Vec<(String, &SaltedDigest)> {
        let mut digests = vec![(label::INPUT.to_owned(), &self.input)];
        digests.extend(self.output.iter().map(|output| (label::OUTPUT.to_owned(), output)));
        for action in &self.actions {
            let seq = action.seq;
            digests.push((label::params(seq), &action.params));
            digests.extend(action.output.iter().map(|output| (label::output(seq), output)));
            for (number, attempt) in (1..).zip(&action.attempts) {
                digests.push((label::pre_state(seq, number), &attempt.pre_state));
                digests.extend(attempt.undo.iter().map(|undo| (label::undo(seq, number), &undo.params)));
            }
        }
        digests
    }
}

/// What the digests of a run are called: no two of them the same, so that none tells anything of another.
pub(super) mod label {
    pub(in crate::receipt) const INPUT: &str = "input";
    pub(in crate::receipt) const OUTPUT: &str = "output";

    pub(in crate::receipt) fn params(seq: u64) -> String {
        format!("actions.{seq}.params")
    }

    pub(in crate::receipt) fn output(seq: u64) -> String {
        format!("actions.{seq}.output")
    }

    pub(in crate::receipt) fn pre_state(seq: u64, attempt: u32) -> String {
        format!("actions.{seq}.attempts.{attempt}.pre_state")
    }

    pub(in crate::receipt) fn undo(seq: u64, attempt: u32) -> String {
        format!("actions.{seq}.attempts.{attempt}.undo.params")
    }
}
