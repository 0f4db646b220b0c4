//! How long to wait before trying again, and whether that can help.

use std::time::Duration;

use enact_core::error::Error;
use enact_core::store::StoreError;

use crate::clock::Clock;

/// The first wait.
const FIRST: Duration = Duration::from_millis(100);

/// No wait is longer, unless the outside system asks for it.
const LONGEST: Duration = Duration::from_secs(10);

/// No wait that an outside system asks for is obeyed beyond this. An action fails then, and says what was asked for; an
/// undo and a look-up, which nobody else would try again, come back after so long.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// The wait after failure number `failures` (from 1): what the outside system asked for, else twice the wait
/// before, from 0.1 s up to 10 s, less up to half of it at random, so that many do not come back at once.
pub(crate) fn backoff(failures: u32, error: &Error, clock: &dyn Clock) -> Duration {
    if let Some(asked) = error.wait() {
        return asked.min(LONGEST_ASKED);
    }
    let doublings = failures.saturating_sub(1).min(16);
    let full = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let half = full / 2;
    let part = u32::try_from(clock.random() % 1000).unwrap_or_default();
    half + half * part / 999
}

/// Whether the outside system asks for a longer wait than an action is kept waiting for.
pub(crate) fn asks_too_much(error: &Error) -> bool {
    error.wait().is_some_and(|asked| asked > LONGEST_ASKED)
}

/// Whether it is the store that failed, with nothing written, and may serve again.
pub(crate) fn is_blip(error: &Error) -> bool {
    of_store(error).is_some_and(StoreError::may_pass)
}

/// Whether the store has no place for a record, and never will have.
pub(crate) fn is_too_large(error: &Error) -> bool {
    matches!(of_store(error), Some(StoreError::TooLarge { .. }))
}

fn of_store(error: &Error) -> Option<&StoreError> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref::<StoreError>())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::clock::SystemClock;
    use enact_core::error::ErrorCode;
    use enact_core::ids::{EventSeq, RunId};

    #[test]
    fn waits_grow_up_to_a_limit_and_obey_the_outside() {
        let error = Error::new(ErrorCode::Unavailable, "down");
        assert!(backoff(1, &error, &SystemClock) <= FIRST);
        for failures in [8, 40, u32::MAX] {
            let wait = backoff(failures, &error, &SystemClock);
            assert!(wait >= LONGEST / 2 && wait <= LONGEST);
        }
        let asked = error.retry_after(Duration::from_secs(42));
        assert_eq!(backoff(1, &asked, &SystemClock), Duration::from_secs(42));
        let asked = asked.retry_after(Duration::MAX);
        assert_eq!(backoff(1, &asked, &SystemClock), LONGEST_ASKED);
    }

    #[test]
    fn a_refusal_of_the_disk_passes_and_a_store_that_stopped_or_was_written_by_others_does_not() {
        let io = |kind: io::ErrorKind| StoreError::io("appending", kind.into());
        let conflict = |expected, actual| StoreError::Conflict {
            run: RunId::from_parts(1, [7; 10]),
            expected: EventSeq(expected),
            actual: EventSeq(actual),
        };
        for blip in [io(io::ErrorKind::StorageFull), conflict(5, 3)] {
            assert!(is_blip(&blip.into()));
        }
        let lasting = [
            io(io::ErrorKind::InvalidData),
            conflict(3, 5),
            StoreError::Poisoned("a sync failed".into()),
            StoreError::Closed,
        ];
        for error in lasting {
            assert!(!is_blip(&error.into()));
        }
    }
}
