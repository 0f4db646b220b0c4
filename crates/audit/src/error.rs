use std::path::PathBuf;

use enact_core::ids::RunId;
use enact_core::store::StoreError;

use crate::key::BadKey;
use crate::receipt::BadReceipt;

/// What keeps a log from being signed, or from being proved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The store: what was written is damaged, or cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log is not what was signed, or a signature is not one that is trusted.
    #[error("{}: {what}", path.display())]
    Disproved {
        /// Where the checkpoint is that says so.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The last checkpoint of the log was signed by another key than the one that is to sign the next, or hands over to another.
    #[error("the log '{origin}' is signed by another key than the one that is there; nothing was signed")]
    OtherKey {
        /// The log.
        origin: String,
    },
    /// There is no receipt of this run; nothing was signed.
    #[error("no receipt of run {run} can be given: {why}")]
    NoReceipt {
        /// The run.
        run: RunId,
        /// Why not.
        why: String,
    },
    /// A receipt is not what the log says, or not to be trusted.
    #[error("the receipt does not hold: {0}")]
    Receipt(#[from] BadReceipt),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] BadKey),
}
