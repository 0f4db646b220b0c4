//! The server's clock: the real one, moved by what the test says, or stopped.
//!
//! It starts as the real clock, because what clients sign carries real times. A stopped clock makes every commit
//! that the server makes the same in each run.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Seconds since 1970, as GitHub's answers and commits have them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clock {
    moved_by: i64,
    stopped_at: Option<i64>,
}

impl Clock {
    pub(super) fn now(&self) -> i64 {
        let real = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let base = self.stopped_at.unwrap_or_else(|| i64::try_from(real()).unwrap_or(i64::MAX));
        base.saturating_add(self.moved_by)
    }

    pub(super) fn advance(&mut self, seconds: i64) {
        self.moved_by = self.moved_by.saturating_add(seconds);
    }

    pub(super) fn stop_at(&mut self, seconds: i64) {
        *self = Self { moved_by: 0, stopped_at: Some(seconds) };
    }
}

/// A time as GitHub writes it: `2026-01-31T12:00:00Z`.
pub(super) fn text(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|error| error.to_string(), |time| time.to_string())
}

/// A time as HTTP's `Date` has it.
pub(super) fn http(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// What RFC 3339 says, as seconds since 1970 and git's own form of the offset, such as `+0200`.
pub(super) fn parse(text: &str) -> Option<(i64, String)> {
    let seconds = text.parse::<Timestamp>().ok()?.as_second();
    let offset = match text.get(text.len().checked_sub(6)?..) {
        Some(last) if last.starts_with(['+', '-']) => last.replace(':', ""),
        _ => "+0000".to_owned(),
    };
    Some((seconds, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_with_its_offset_and_written_in_utc() {
        assert_eq!(parse("2026-01-31T12:00:00Z"), Some((1_769_860_800, "+0000".to_owned())));
        assert_eq!(parse("2026-01-31T14:00:00+02:00"), Some((1_769_860_800, "+0200".to_owned())));
        assert_eq!(parse("2026-01-31"), None);
        assert_eq!(text(1_769_860_800), "2026-01-31T12:00:00Z");
    }
}
