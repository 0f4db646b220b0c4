//! Hashes of records and of rows of records, in the manner of RFC 6962: a leaf is hashed behind a zero byte,
//! a node behind a one, so that neither can be taken for the other.

use sha2::{Digest, Sha256};

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// The hash of a payload as it is stored.
pub(crate) fn payload(payload: &[u8]) -> Hash {
    Sha256::digest(payload).into()
}

/// The leaf hash of a record. The header has a fixed size and begins with a magic, so that no two records
/// give the same bytes to the hash.
pub(crate) fn leaf(header: &[u8], payload_hash: &Hash) -> Hash {
    Sha256::new().chain_update([0]).chain_update(header).chain_update(payload_hash).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root over a row of leaves (RFC 6962, section 2.1), with memory that grows with the logarithm of their
/// number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    /// Roots of full trees, largest first, with the number of their leaves.
    full: Vec<(u64, Hash)>,
}

impl Tree {
    pub(crate) fn push(&mut self, leaf: Hash) {
        let mut top = (1, leaf);
        while let Some((leaves, left)) = self.full.pop_if(|(leaves, _)| *leaves == top.0) {
            top = (leaves * 2, node(&left, &top.1));
        }
        self.full.push(top);
    }

    pub(crate) fn root(&self) -> Hash {
        let mut roots = self.full.iter().rev().map(|(_, root)| *root);
        let Some(last) = roots.next() else { return Sha256::digest([]).into() };
        roots.fold(last, |right, left| node(&left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recursive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            many => {
                let half = many.len().next_power_of_two() / 2;
                node(&recursive(&many[..half]), &recursive(&many[half..]))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_rfc_6962_for_every_number_of_leaves() {
        let leaves: Vec<Hash> = (0..70_u8).map(|n| leaf(&[n], &payload(&[n]))).collect();
        let mut tree = Tree::default();
        for count in 0..leaves.len() {
            assert_eq!(tree.root(), recursive(&leaves[..count]), "{count} leaves");
            tree.push(leaves[count]);
        }
    }
}
