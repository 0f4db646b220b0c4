//! How the real parts and the stand-ins fail: they end the test, and say what was being done.

#![expect(clippy::panic, reason = "a test whose outside world fails stops at once, and says why")]

use std::fmt::Display;

/// Ends the test where a part fails, with what was being done.
pub(crate) trait OrPanic<T> {
    fn or_panic(self, doing: impl Display) -> T;
}

impl<T, E: Display> OrPanic<T> for Result<T, E> {
    #[track_caller]
    fn or_panic(self, doing: impl Display) -> T {
        self.unwrap_or_else(|error| panic!("cannot {doing}: {error}"))
    }
}
