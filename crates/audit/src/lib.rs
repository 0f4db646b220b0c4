//! What makes the log provable to those who do not trust who keeps it.
//!
//! Knows: signing keys, signed notes, checkpoints of a store's log, receipts of its runs, exports. Does not know: the runtime, how records are
//! encoded. Formats are those of [C2SP](https://c2sp.org): [signed notes](https://c2sp.org/signed-note) and
//! [checkpoints](https://c2sp.org/tlog-checkpoint), so that other people's tools can verify them.
//!
//! ```
//! use enact_audit::{Checkpoint, PublicKeys, SigningKey};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::generate();
//! let checkpoint = Checkpoint { origin: "example.org/log".into(), size: 0, root: enact_merkle::empty_root(), successor: None };
//! let note = checkpoint.sign(&[&key])?;
//!
//! // Who verifies needs the public key alone, and has it from elsewhere than from the log.
//! let trusted = PublicKeys::parse(&key.public("example.org/log")?.to_string())?;
//! assert_eq!(Checkpoint::verify(&note.to_string(), &trusted)?, checkpoint);
//! # Ok(()) }
//! ```

mod checkpoint;
mod error;
mod export;
mod kept;
mod key;
mod notary;
mod note;
mod receipt;
mod verify;

pub use checkpoint::{BadCheckpoint, Checkpoint};
pub use error::AuditError;
pub use export::{Export, Filter, Line};
pub use key::{BadKey, PublicKey, PublicKeys, SigningKey};
pub use notary::{Notary, is_signed, origin};
pub use note::{BadNote, SignedNote};
pub use receipt::{
    ActionSaid, ApprovalSaid, AttemptSaid, BadReceipt, EventSaid, Proven, ReasonSaid, Receipt, SaltedDigest,
    Statement, TargetSaid, UndoSaid, VerdictSaid, WordSaid, WorkflowSaid,
};
pub use verify::{KeptElsewhere, Proved, Receipts, verify};
