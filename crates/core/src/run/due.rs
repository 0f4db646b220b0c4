//! What of a run's intents is due, kept up as events are folded, so that one event costs the same in a run of
//! ten actions and in one of ten thousand.
//!
//! It knows places in the order of intents, and nothing else of them. Whoever changes an attempt files it again.

use std::collections::BTreeSet;

use super::{Attempt, Outcome};

/// The places of intents for which something is due.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Due {
    /// Whose outcome is to be found out.
    unsettled: BTreeSet<usize>,
    /// Whose outcome nobody but an operator can tell.
    unknown: BTreeSet<usize>,
    /// To be undone, within the scope of the newest rollback; or their undo was begun, and what became of it is to be
    /// found out, whatever that scope.
    undo: BTreeSet<usize>,
}

impl Due {
    /// Puts an attempt where it belongs now. `covered` says whether the newest rollback covers its action.
    pub(super) fn file(&mut self, attempt: &Attempt, covered: bool) {
        let place = attempt.place;
        put(&mut self.unsettled, place, attempt.outcome.is_unsettled());
        put(&mut self.unknown, place, matches!(attempt.outcome, Outcome::Unknown(_)));
        let undo = attempt.undo_was_begun() || covered && attempt.is_undo_due();
        put(&mut self.undo, place, undo);
    }

    pub(super) fn oldest_unsettled(&self) -> Option<usize> {
        self.unsettled.first().copied()
    }

    pub(super) fn oldest_unknown(&self) -> Option<usize> {
        self.unknown.first().copied()
    }

    pub(super) fn newest_undo(&self) -> Option<usize> {
        self.undo.last().copied()
    }
}

fn put(set: &mut BTreeSet<usize>, place: usize, belongs: bool) {
    if belongs {
        set.insert(place);
    } else {
        set.remove(&place);
    }
}
