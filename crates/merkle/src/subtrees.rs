//! The roots of some subtrees of a log, in one pass over its leaves.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::frontier::Frontier;
use crate::{Hash, node_hash, split};

/// Subtrees that are wanted, and what their roots are once the leaves were read. Each is a range of leaves as the
/// recursion of RFC 6962 cuts them.
#[derive(Debug, Default)]
pub(crate) struct Subtrees {
    /// By first leaf and number of leaves; the number is a power of two.
    full: BTreeMap<(u64, u64), Option<Hash>>,
}

impl Subtrees {
    pub(crate) fn want(&mut self, range: &Range<u64>) {
        each_full(range, &mut |first, leaves| {
            self.full.entry((first, leaves)).or_default();
        });
    }

    /// Reads the first `size` leaves. `each` gives them in their order.
    pub(crate) fn read(&mut self, size: u64, each: impl FnOnce(&mut dyn FnMut(Hash))) {
        let mut frontier = Frontier::default();
        each(&mut |leaf| {
            if frontier.size() < size {
                frontier.push_then(leaf, |first, leaves, root| {
                    if let Some(wanted) = self.full.get_mut(&(first, leaves)) {
                        *wanted = Some(root);
                    }
                });
            }
        });
    }

    /// The root over a range that was wanted; `None` where there were not enough leaves.
    pub(crate) fn root(&self, range: &Range<u64>) -> Option<Hash> {
        let mut roots = Vec::new();
        each_full(range, &mut |first, leaves| {
            roots.push(self.full.get(&(first, leaves)).copied().flatten());
        });
        let mut roots = roots.into_iter().rev();
        let last = roots.next()?;
        roots.try_fold(last?, |right, left| Some(node_hash(&left?, &right)))
    }
}

/// The full subtrees that a subtree of the recursion is made of, from left to right.
fn each_full(range: &Range<u64>, take: &mut impl FnMut(u64, u64)) {
    let mut first = range.start;
    while first < range.end {
        let left = range.end - first;
        let leaves = if left.is_power_of_two() { left } else { split(left) };
        take(first, leaves);
        first += leaves;
    }
}
