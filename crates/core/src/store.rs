//! What an event store promises.

use std::fmt::{self, Debug};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::blob::BlobStore;
use crate::error::{Error, ErrorCode};
use crate::event::{NewEvent, StoredEvent};
use crate::ids::{EventSeq, Position, Pseudonym, RunId};
use crate::query::{self, RunPage, RunQuery};

/// The largest record, encoded, in bytes. A larger one is refused before anything is written.
pub const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;

/// The largest append, encoded, in bytes. A larger one is refused before anything is written.
pub const MAX_APPEND_BYTES: usize = 256 * 1024 * 1024;

/// The most events that one call of a `read` gives.
pub const MAX_PAGE: usize = 1024;

/// The append-only log of all runs.
///
/// # Contract
/// - **Order.** Appends of one caller are in the log in the order of their calls; positions have no gaps.
/// - **All or nothing.** The events of one append are all in the log, next to each other, or none is. A record has at
///   most [`MAX_RECORD_BYTES`], an append [`MAX_APPEND_BYTES`].
/// - **Commit.** An event is committed once [`Appended::durable`] has said so: it survives any crash. What is
///   ordered and not yet durable may be lost by a crash, always a whole end of the log, never its middle.
/// - **Poison.** After a failed sync nothing is acknowledged any more: every append and every wait fails with
///   [`StoreError::Poisoned`] until the store is opened anew.
/// - **Readers** see durable events only, and every event that was durable when they asked.
/// - Dropping the future of an append does not take the append back.
pub trait EventStore: Debug + Send + Sync + 'static {
    /// Puts events at the end of a stream. Resolves when they have their place in the log.
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, StoreError>>;

    /// The durable events of a run, from number `from` (1 is the first), at most `limit` and at most
    /// [`MAX_PAGE`]. Empty past the end and for an unknown run.
    fn read(
        &self,
        run: RunId,
        from: EventSeq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredEvent>, StoreError>>;

    /// The durable events of all runs, from position `from` (1 is the first), at most `limit` and at most
    /// [`MAX_PAGE`]. Empty past the end.
    fn read_all(&self, from: Position, limit: usize) -> BoxFuture<'_, Result<Vec<StoredEvent>, StoreError>>;

    /// The position up to which the log is durable.
    fn durable(&self) -> Position;

    /// Waits until the log is durable beyond `position`, and says up to where.
    fn beyond(&self, position: Position) -> BoxFuture<'_, Result<Position, StoreError>>;

    /// Makes all durable that had its place in the log when this was called. Costs nothing where it is so already.
    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The runs that are not closed, oldest first. Bounded by their number, not by history.
    fn open_runs(&self) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>>;

    /// Runs, newest first, older than `before` (all, where that is `None`), at most `limit`. A run is listed
    /// once its acceptance is durable.
    fn runs(&self, before: Option<RunId>, limit: usize) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>>;

    /// The runs for which all that is asked holds, newest first, a page of them: every one that was durable when this was called.
    /// The answer is that of reading every run; a store may know of a shorter way to it.
    fn find_runs(&self, query: RunQuery) -> BoxFuture<'_, Result<RunPage, StoreError>> {
        Box::pin(async move { query::scan(self, &query).await })
    }

    /// The run that was accepted under an idempotency key, where it was accepted within the retention.
    /// Covers ordered and not yet durable acceptances too.
    fn find_key(&self, key: &str) -> BoxFuture<'_, Result<Option<RunId>, StoreError>>;

    /// Where large content of a run is kept. A run may have to be there before it can keep any, and has no other run's.
    fn blobs(&self, run: RunId) -> Arc<dyn BlobStore>;

    /// The pseudonym of a user in this store: one for all [spellings](crate::person::folded) of a name.
    fn pseudonym(&self, user: &str) -> Pseudonym;
}

/// What is to be appended.
#[derive(Clone, Debug)]
pub struct Append {
    /// The stream.
    pub run: RunId,
    /// The number of the stream's last event, as the writer knows it; 0 for a new stream.
    pub expected: EventSeq,
    /// Who may write; see [`Fence`].
    pub fence: Fence,
    /// At least one.
    pub events: Vec<NewEvent>,
    /// What the run is after them.
    pub mark: RunMark,
    /// The idempotency key, with the first events of a run that was asked for under one. The append fails
    /// with [`StoreError::KeyTaken`] where another run has it.
    pub key: Option<String>,
    /// Whether somebody waits for the events to be durable. Others become durable with the next that do.
    pub durability: Durability,
}

/// Whether an append needs a sync of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Sync as soon as possible: the caller awaits [`Appended::durable`].
    Barrier,
    /// Write with the next group. Within a second it is durable without anybody asking.
    Enqueued,
}

/// Whether a run needs anybody's attention after a crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunMark {
    /// It has not ended; recovery looks at it.
    Open,
    /// It has ended.
    Closed,
}

/// Who may write a stream. In a store that one process owns, always [`Fence::NONE`]; in a shared store the
/// token of the lease, so that a writer who lost the lease is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Fence(pub u64);

impl Fence {
    /// For stores that one process owns.
    pub const NONE: Self = Self(0);
}

/// An append that has its place in the log.
pub struct Appended {
    /// The number of the stream's last event now.
    pub version: EventSeq,
    /// The position of the last of the events.
    pub position: Position,
    durable: BoxFuture<'static, Result<(), StoreError>>,
}

impl Appended {
    /// Made by a store.
    pub fn new(
        version: EventSeq,
        position: Position,
        durable: BoxFuture<'static, Result<(), StoreError>>,
    ) -> Self {
        Self { version, position, durable }
    }

    /// Waits until the events are durable.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`] or [`StoreError::Io`], where they will never be said to be durable.
    pub async fn durable(self) -> Result<(), StoreError> {
        self.durable.await
    }
}

impl Debug for Appended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appended").field("version", &self.version).field("position", &self.position).finish()
    }
}

/// What can go wrong with a store.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Somebody else wrote the stream.
    #[error("run {run} is at event {actual}, not {expected}: somebody else wrote it")]
    Conflict {
        /// The stream.
        run: RunId,
        /// What the writer thought.
        expected: EventSeq,
        /// What is.
        actual: EventSeq,
    },
    /// The idempotency key belongs to another run.
    #[error("the idempotency key is taken by run {0}")]
    KeyTaken(RunId),
    /// A record is larger than [`MAX_RECORD_BYTES`], or an append than [`MAX_APPEND_BYTES`].
    #[error("{size} bytes to record are over the limit of {limit}")]
    TooLarge {
        /// Encoded, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// It is not known any more what the disk has, as after a failed sync; nothing is acknowledged any more.
    #[error("the store stopped: {0}; open it again to see what was kept")]
    Poisoned(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Another process has the store.
    #[error("the store is locked by another process: {}{}", path.display(), holder(*pid))]
    Locked {
        /// The lock.
        path: PathBuf,
        /// The process that holds it, where that is known.
        pid: Option<u32>,
    },
    /// What is on the disk is not what was written.
    #[error("the store is corrupt: {}: {what}; restore it from a backup", path.display())]
    Corrupt {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// A later version of enact wrote it.
    #[error(
        "{} has format {found}, this build reads up to {known}; use a newer enact", path.display()
    )]
    NewerFormat {
        /// The file or folder.
        path: PathBuf,
        /// The format on the disk.
        found: u32,
        /// The newest format of this build.
        known: u32,
    },
    /// What is recorded in the store is encrypted, and needs another key than was given, or one at all.
    #[error(
        "the store {} is encrypted under the master key {needed}, and {}; nothing was changed", path.display(),
        what_was_given(given.as_deref())
    )]
    WrongKey {
        /// The folder of the store.
        path: PathBuf,
        /// The fingerprint of the key that is needed.
        needed: String,
        /// The fingerprint of the key that was given.
        given: Option<String>,
    },
    /// The content of the run was erased, and nothing can be done with it or about it any more.
    #[error("the content of run {0} was erased; nothing was changed")]
    Erased(RunId),
    /// The content of a run cannot be erased.
    #[error("run {run} cannot be erased: {why}; nothing was changed")]
    CannotErase {
        /// The run.
        run: RunId,
        /// Why.
        why: String,
    },
    /// The disk said no.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, and on which file.
        what: String,
        /// What the disk said.
        source: Arc<io::Error>,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

fn what_was_given(print: Option<&str>) -> String {
    print.map_or_else(|| "no key was given".to_owned(), |print| format!("the key that was given is {print}"))
}

impl StoreError {
    /// An input or output error with what was tried.
    pub fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source: Arc::new(source) }
    }

    /// Whether it may go another way later: the disk said no, and nothing was written; or events that had their
    /// place were taken back. Whoever carries a run goes on from what the log has then.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Io { source, .. } => {
                !matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
            }
            Self::Conflict { expected, actual, .. } => actual < expected,
            _ => false,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Conflict { .. }
            | StoreError::KeyTaken(_)
            | StoreError::Erased(_)
            | StoreError::CannotErase { .. } => ErrorCode::Conflict,
            StoreError::TooLarge { .. } | StoreError::WrongKey { .. } => ErrorCode::InvalidParameters,
            StoreError::NewerFormat { .. } => ErrorCode::Unsupported,
            StoreError::Closed => ErrorCode::Unavailable,
            StoreError::Poisoned(_)
            | StoreError::Locked { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Io { .. } => ErrorCode::Internal,
        };
        Self::new(code, error.to_string()).with_source(error)
    }
}
