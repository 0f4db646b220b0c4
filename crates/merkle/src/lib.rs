//! The Merkle tree of RFC 6962 over a log: its root, and proofs that a record is in it and that an older log is the
//! beginning of a newer one.
//!
//! Knows: hashes and how they are put together. Does not know: what a record is, where leaves are kept. All that is
//! made here needs memory with the logarithm of the log alone; the leaves are read once, in their order.
//!
//! ```
//! use enact_merkle::{Consistency, Frontier, Inclusion, leaf_hash};
//!
//! let leaves: Vec<_> = ["one", "two", "three"].map(|text| leaf_hash(text.as_bytes())).to_vec();
//! let root = |leaves: &[_]| leaves.iter().copied().collect::<Frontier>().root();
//!
//! let proofs = Inclusion::prove(3, [1], |take| leaves.iter().for_each(|leaf| take(*leaf)));
//! assert!(proofs[0].verify(leaves[1], root(&leaves)));
//! assert!(!proofs[0].verify(leaves[2], root(&leaves)));
//!
//! let grown = Consistency::prove(2, 3, |take| leaves.iter().for_each(|leaf| take(*leaf))).unwrap();
//! assert!(grown.verify(root(&leaves[..2]), root(&leaves)));
//! ```

mod consistency;
mod frontier;
mod inclusion;
mod subtrees;

use std::fmt::{self, Debug};

use ring::digest::{Context, SHA256};

pub use consistency::Consistency;
pub use frontier::Frontier;
pub use inclusion::Inclusion;

/// A SHA-256.
pub type Hash = [u8; 32];

/// The SHA-256 of data that comes piece by piece.
#[derive(Clone)]
pub struct Hasher(Context);

impl Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    /// Nothing has come yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The hash of all that came.
    #[must_use]
    pub fn finish(self) -> Hash {
        let mut hash = Hash::default();
        hash.copy_from_slice(self.0.finish().as_ref());
        hash
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

/// The SHA-256 of data that is in parts.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finish()
}

/// The hash of a leaf: of its data behind a zero byte, so that no leaf can be taken for a node (RFC 6962, section 2.1).
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    leaf_hash_of(&[data])
}

/// As [`leaf_hash`], of data that is in parts.
#[must_use]
pub fn leaf_hash_of(parts: &[&[u8]]) -> Hash {
    hash(0, parts)
}

/// The hash of a node: of both hashes below it behind a one.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash(1, &[left, right])
}

/// The root of a log that has no leaves.
#[must_use]
pub fn empty_root() -> Hash {
    sha256(&[])
}

fn hash(what: u8, parts: &[&[u8]]) -> Hash {
    let mut hasher = Hasher::new();
    hasher.update(&[what]);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finish()
}

/// The number of leaves in the left subtree of a tree of `size` leaves, two at least: the largest power of two below it.
fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - size.saturating_sub(1).leading_zeros())
}
