use crate::{Hash, empty_root, node_hash};

/// All of a tree that is needed to go on with it: the roots of the full subtrees that its leaves make, one for each bit
/// of their number. 64 hashes at most.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frontier {
    size: u64,
    /// Largest subtree first.
    roots: Vec<Hash>,
}

impl Frontier {
    /// The frontier of `size` leaves with these subtrees, the largest first; `None` where there have to be more or fewer. What it
    /// says has to be held against a root that is trusted.
    #[must_use]
    pub fn from_parts(size: u64, roots: Vec<Hash>) -> Option<Self> {
        let expected = usize::try_from(size.count_ones()).ok()?;
        (roots.len() == expected).then_some(Self { size, roots })
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the full subtrees, the largest first.
    #[must_use]
    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Puts a leaf at the end.
    pub fn push(&mut self, leaf: Hash) {
        self.push_then(leaf, |_, _, _| ());
    }

    /// As [`push`](Self::push), and says each full subtree that the leaf completes, from the leaf itself upwards: its
    /// first leaf, its number of leaves, its root.
    pub(crate) fn push_then(&mut self, leaf: Hash, mut completed: impl FnMut(u64, u64, Hash)) {
        let (mut first, mut leaves, mut top) = (self.size, 1, leaf);
        completed(first, leaves, top);
        while self.size & leaves != 0 {
            let Some(left) = self.roots.pop() else { break };
            top = node_hash(&left, &top);
            first -= leaves;
            leaves *= 2;
            completed(first, leaves, top);
        }
        self.roots.push(top);
        self.size += 1;
    }

    /// The root over all leaves.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(last) = roots.next() else { return empty_root() };
        roots.fold(*last, |right, left| node_hash(left, &right))
    }
}

impl Extend<Hash> for Frontier {
    fn extend<T: IntoIterator<Item = Hash>>(&mut self, leaves: T) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

impl FromIterator<Hash> for Frontier {
    fn from_iter<T: IntoIterator<Item = Hash>>(leaves: T) -> Self {
        let mut frontier = Self::default();
        frontier.extend(leaves);
        frontier
    }
}
