//! Durations as people write them: `250ms`, `30s`, `5m`, `1h30m`.

use std::time::Duration;

/// The longest duration: a day.
const MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The units in the order in which they are written, in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration: whole numbers with units, the larger unit first, more than nothing and at most a day.
///
/// # Errors
/// What is wrong with it, and how it is written.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = |why: &str| Err(format!("'{text}' {why}; write 250ms, 30s, 5m or 1h30m"));
    let Some(ms) = milliseconds(text) else { return wrong("is not a duration") };
    let duration = Duration::from_millis(ms);
    if duration.is_zero() {
        return wrong("is no time at all");
    }
    if duration > MAX {
        return wrong("is more than 24h");
    }
    Ok(duration)
}

fn milliseconds(mut rest: &str) -> Option<u64> {
    let mut units = UNITS.iter();
    let mut sum = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit());
        let (unit, after) = split(after, |c| c.is_ascii_alphabetic());
        // Taking from the same iterator: a unit stands once, and after the larger ones.
        let (_, ms) = units.find(|(name, _)| *name == unit)?;
        sum = number.parse::<u64>().ok()?.checked_mul(*ms)?.checked_add(sum)?;
        rest = after;
    }
    Some(sum)
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1m1s1ms", 61_001),
            ("24h", 86_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_says_how_to_write_one() {
        for text in [
            "",
            "30",
            "s",
            "1.5s",
            "-1s",
            "30 s",
            "30x",
            "30m1h",
            "1s1s",
            "99999999999999999999s",
            "1S",
            "½h",
        ] {
            assert_eq!(
                parse(text),
                Err(format!("'{text}' is not a duration; write 250ms, 30s, 5m or 1h30m"))
            );
        }
        assert!(parse("0s").unwrap_err().contains("is no time at all"));
        assert!(parse("25h").unwrap_err().contains("is more than 24h"));
    }
}
