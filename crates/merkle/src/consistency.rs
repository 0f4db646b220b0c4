use std::ops::Range;

use crate::subtrees::Subtrees;
use crate::{Hash, node_hash, split};

/// A proof that an older log is the beginning of a newer one (RFC 6962, section 2.1.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consistency {
    /// The number of leaves of the older log; one at least.
    pub older: u64,
    /// The number of leaves of the newer log.
    pub newer: u64,
    /// Hashes of subtrees. None where both are one log.
    pub path: Vec<Hash>,
}

impl Consistency {
    /// The proof. `each` gives the leaves of the newer log in their order. `None` where the older log is empty or larger than
    /// the newer, or there were fewer leaves than `newer`.
    #[must_use]
    pub fn prove(older: u64, newer: u64, each: impl FnOnce(&mut dyn FnMut(Hash))) -> Option<Self> {
        if older == 0 || older > newer {
            return None;
        }
        let parts = parts(older, newer);
        let mut subtrees = Subtrees::default();
        parts.iter().for_each(|range| subtrees.want(range));
        subtrees.read(newer, each);
        let path = parts.iter().map(|range| subtrees.root(range)).collect::<Option<_>>()?;
        Some(Self { older, newer, path })
    }

    /// Whether this proves that the log of `older` leaves with the one root is the beginning of the log of `newer` leaves
    /// with the other (RFC 9162, section 2.1.4.2).
    #[must_use]
    pub fn verify(&self, older_root: Hash, newer_root: Hash) -> bool {
        if self.older == 0 || self.older > self.newer {
            return false;
        }
        if self.older == self.newer {
            return self.path.is_empty() && older_root == newer_root;
        }
        let mut path = self.path.iter();
        let (mut place, mut last) = (self.older - 1, self.newer - 1);
        let below = place.trailing_ones();
        place >>= below;
        last >>= below;
        // Where the older log is one full tree, its root is known and left out.
        let first = if self.older.is_power_of_two() { Some(&older_root) } else { path.next() };
        let Some(first) = first else { return false };
        let (mut older, mut newer) = (*first, *first);
        for part in path {
            if last == 0 {
                return false;
            }
            if place & 1 == 1 || place == last {
                older = node_hash(part, &older);
                newer = node_hash(part, &newer);
                while place & 1 == 0 && place != 0 {
                    place >>= 1;
                    last >>= 1;
                }
            } else {
                newer = node_hash(&newer, part);
            }
            place >>= 1;
            last >>= 1;
        }
        last == 0 && older == older_root && newer == newer_root
    }
}

/// The subtrees that make up both logs, in the order of the proof.
fn parts(older: u64, newer: u64) -> Vec<Range<u64>> {
    // Whether the subtree is one of the older log too, whose root who verifies has.
    let (mut tree, mut is_known, mut parts) = (0..newer, true, Vec::new());
    while older < tree.end {
        let middle = tree.start + split(tree.end - tree.start);
        if older <= middle {
            parts.push(middle..tree.end);
            tree.end = middle;
        } else {
            parts.push(tree.start..middle);
            tree.start = middle;
            is_known = false;
        }
    }
    if !is_known {
        parts.push(tree);
    }
    parts.reverse();
    parts
}
