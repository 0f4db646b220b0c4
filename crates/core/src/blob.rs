//! Content that is too large for a record: files named by the hash of what they hold.

use std::fmt::{self, Debug};
use std::io::{self, Read};

use serde::{Deserialize, Serialize};

/// Names a blob: the lower-case hexadecimal SHA-256 of its bytes, and their number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobRef {
    /// 64 hexadecimal digits.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
}

impl Debug for BlobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{} ({} bytes)", self.sha256, self.size)
    }
}

/// Where blobs are kept. Calls block on files: call them where blocking is allowed.
///
/// # Contract
/// - When `put` has returned, the content is durable: synced, and so is its folder.
/// - Memory does not grow with the content.
/// - What `open` gives is what was put: a reader whose bytes do not have the hash that names them ends with an
///   error instead of an end of file.
pub trait BlobStore: Debug + Send + Sync + 'static {
    /// Keeps all that `content` gives.
    ///
    /// # Errors
    /// Those of reading and of the disk; nothing is kept then.
    fn put(&self, content: &mut dyn Read) -> io::Result<BlobRef>;

    /// Opens a blob for reading from its beginning.
    ///
    /// # Errors
    /// `NotFound` where there is none, else those of the disk.
    fn open(&self, blob: &BlobRef) -> io::Result<Box<dyn Read + Send>>;
}
