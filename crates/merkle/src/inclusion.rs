use std::ops::Range;

use crate::subtrees::Subtrees;
use crate::{Hash, node_hash, split};

/// A proof that a leaf is at its place in a log of some size (RFC 6962, section 2.1.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inclusion {
    /// The place of the leaf, from 0.
    pub index: u64,
    /// The number of leaves of the log.
    pub size: u64,
    /// The hashes beside the way from the leaf up to the root.
    pub path: Vec<Hash>,
}

impl Inclusion {
    /// Proofs for the leaves at `indices` in a log of `size` leaves, in the order of `indices`. `each` is called once and gives
    /// the leaves in their order; it may stop after `size`. Needs memory with the number of proofs and the logarithm of
    /// the log. Indices from `size` on get no proof, and no index gets one where there were fewer leaves than `size`.
    #[must_use]
    pub fn prove(
        size: u64,
        indices: impl IntoIterator<Item = u64>,
        each: impl FnOnce(&mut dyn FnMut(Hash)),
    ) -> Vec<Self> {
        let ways: Vec<_> = indices.into_iter().filter(|index| *index < size).collect();
        let mut subtrees = Subtrees::default();
        for index in &ways {
            beside(*index, size).iter().for_each(|range| subtrees.want(range));
        }
        subtrees.read(size, each);
        let proof = |index| {
            let path = beside(index, size).iter().map(|range| subtrees.root(range)).collect::<Option<_>>()?;
            Some(Self { index, size, path })
        };
        ways.into_iter().filter_map(proof).collect()
    }

    /// Whether this proves that `leaf` is at `index` in the log of `size` leaves with this root (RFC 9162, section
    /// 2.1.3.2).
    #[must_use]
    pub fn verify(&self, leaf: Hash, root: Hash) -> bool {
        if self.index >= self.size {
            return false;
        }
        let (mut place, mut last) = (self.index, self.size - 1);
        let mut hash = leaf;
        for beside in &self.path {
            if last == 0 {
                return false;
            }
            if place & 1 == 1 || place == last {
                hash = node_hash(beside, &hash);
                while place & 1 == 0 && place != 0 {
                    place >>= 1;
                    last >>= 1;
                }
            } else {
                hash = node_hash(&hash, beside);
            }
            place >>= 1;
            last >>= 1;
        }
        last == 0 && hash == root
    }
}

/// The subtrees beside the way from a leaf up to the root, the lowest first.
fn beside(index: u64, size: u64) -> Vec<Range<u64>> {
    let (mut tree, mut beside) = (0..size, Vec::new());
    while tree.end - tree.start > 1 {
        let middle = tree.start + split(tree.end - tree.start);
        let (left, right) = (tree.start..middle, middle..tree.end);
        let (in_it, other) = if index < middle { (left, right) } else { (right, left) };
        beside.push(other);
        tree = in_it;
    }
    beside.reverse();
    beside
}
