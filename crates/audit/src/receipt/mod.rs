//! Receipts: what a run did, signed, for those who do not have the log.
//!
//! A [`Statement`] says it, with digests in place of content, and is signed. What the leaves of its events are made of is in it, so that
//! a checkpoint and the paths beside it prove that these events are in the log, at their places; that proof can be made again for a
//! newer checkpoint, and the statement stays.

mod proof;
mod register;
mod said;
mod statement;

use std::fmt::{self, Debug};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub(crate) use self::register::{Registered, Remade};
pub use self::statement::{
    ActionSaid, ApprovalSaid, AttemptSaid, EventSaid, ReasonSaid, SaltedDigest, Statement, TargetSaid,
    UndoSaid, VerdictSaid, WordSaid, WorkflowSaid,
};

use self::proof::{Disclosed, Paths};
use self::statement::TYPE;
use crate::checkpoint::{BadCheckpoint, Checkpoint};
use crate::key::{BadKey, PublicKeys, SigningKey};
use crate::note::{BadNote, SignedNote};

/// What is not a receipt, or not one that is trusted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadReceipt {
    /// It has not the form of a receipt.
    #[error("it is no receipt: {0}")]
    Form(String),
    /// It is not what was signed, or nobody who is trusted signed it.
    #[error("its statement: {0}")]
    Signature(#[from] BadNote),
    /// The checkpoint that proves it is bad.
    #[error("its checkpoint: {0}")]
    Checkpoint(#[from] BadCheckpoint),
    /// The checkpoint, or who signed, is of another log.
    #[error("it is of the log '{log}', and its {what} of '{other}'")]
    Log {
        /// The log of the receipt.
        log: String,
        /// What is of another.
        what: &'static str,
        /// Which.
        other: String,
    },
    /// An event is not in the log as it is said.
    #[error("its event at position {position}: {what}")]
    Event {
        /// Where it is said to be.
        position: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The log says something else of the run.
    #[error("it says something else than the log")]
    Other,
    /// What was disclosed is not what a digest is of.
    #[error("what is disclosed as '{0}' is not what the digest is of")]
    Disclosed(String),
}

/// A receipt of a run.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    statement: Statement,
    /// Lines as a signed note has them.
    signatures: Vec<String>,
    /// A signed note.
    checkpoint: String,
    proof: Paths,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    disclosed: Vec<Disclosed>,
}

/// A receipt that was verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proven {
    /// What it says.
    pub statement: Statement,
    /// The log in which it is proved to be.
    pub checkpoint: Checkpoint,
    /// What the digests were shown to be of that came with it: what each is called, and JSON.
    pub disclosed: Vec<(String, String)>,
}

impl Debug for Receipt {
    /// Says nothing of content that was disclosed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("run_id", &self.statement.run_id).finish_non_exhaustive()
    }
}

impl Receipt {
    /// Reads one, in whatever order and spacing its JSON is. Nothing is verified.
    ///
    /// # Errors
    /// [`BadReceipt::Form`].
    pub fn parse(text: &str) -> Result<Self, BadReceipt> {
        let receipt: Self =
            serde_json::from_str(text).map_err(|error| BadReceipt::Form(error.to_string()))?;
        if receipt.statement.r#type != TYPE {
            let what =
                format!("it is of the form '{}', and this build knows '{TYPE}'", receipt.statement.r#type);
            return Err(BadReceipt::Form(what));
        }
        Ok(receipt)
    }

    /// The receipt as JSON in its one canonical form (RFC 8785), in a line.
    ///
    /// # Errors
    /// None that is known of.
    pub fn to_json(&self) -> serde_json::Result<String> {
        canonical(self)
    }

    /// What it says. Nothing is verified.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Verifies it by public keys alone: that one of them signed the statement and one the checkpoint, that each of its events is in the
    /// log of that checkpoint as it says, and that what is disclosed is what the digests are of. Keys are those of the log that it
    /// names.
    ///
    /// # Errors
    /// A [`BadReceipt`].
    pub fn verify(&self, trusted: &PublicKeys) -> Result<Proven, BadReceipt> {
        let statement = &self.statement;
        let sha256 = sha256(statement)?;
        let (log, run_id, events) = (&statement.log, &statement.run_id, statement.events.len() as u64);
        Signed { log, run_id, events, sha256: &sha256 }.verify(&self.signatures, trusted)?;
        let checkpoint = Checkpoint::verify(&self.checkpoint, trusted)?;
        if checkpoint.origin != statement.log {
            return Err(of_other_log(&statement.log, "checkpoint", &checkpoint.origin));
        }
        self.proof.verify(statement, &checkpoint)?;
        self.disclosed.iter().try_for_each(|disclosed| disclosed.verify(statement))?;
        let disclosed = self.disclosed.iter().map(|it| (it.label.clone(), it.content.clone())).collect();
        Ok(Proven { statement: statement.clone(), checkpoint, disclosed })
    }
}

/// What is signed of a statement: enough to know it by, and short. That no two statements have the same text is by their hashes; that
/// no part of it is taken for another by the lines, of which none has a line feed.
struct Signed<'a> {
    log: &'a str,
    run_id: &'a str,
    /// How many events the run had.
    events: u64,
    /// Of the statement's canonical form, in base64.
    sha256: &'a str,
}

impl Signed<'_> {
    fn text(&self) -> String {
        let Self { log, run_id, events, sha256 } = self;
        format!("{TYPE}\n{log}\n{run_id}\n{events}\n{sha256}\n")
    }

    fn sign(&self, key: &SigningKey) -> Result<Vec<String>, BadKey> {
        Ok(SignedNote::sign(self.text(), self.log, &[key])?.signatures())
    }

    /// Whether a key of the log that is trusted has signed it.
    fn verify(&self, signatures: &[String], trusted: &PublicKeys) -> Result<(), BadReceipt> {
        let note = SignedNote::of(self.text(), signatures)?;
        match note.verify(trusted)?.iter().find(|key| key.name() != self.log) {
            Some(key) => Err(of_other_log(self.log, "signature", key.name())),
            None => Ok(()),
        }
    }
}

/// The hash by which a statement is known.
fn sha256(statement: &Statement) -> Result<String, BadReceipt> {
    let text = canonical(statement).map_err(|error| BadReceipt::Form(error.to_string()))?;
    Ok(STANDARD.encode(Sha256::digest(text)))
}

fn of_other_log(log: &str, what: &'static str, other: &str) -> BadReceipt {
    BadReceipt::Log { log: log.to_owned(), what, other: other.to_owned() }
}

/// The canonical JSON (RFC 8785) of what has no numbers but whole ones of less than 2^53, and no names but those of fields.
fn canonical(what: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(&sorted(serde_json::to_value(what)?))
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(sorted).collect()),
        value => value,
    }
}
