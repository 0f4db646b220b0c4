//! Times as configuration writes them.

use std::time::Duration;

/// Reads `30s`, `15m`, `24h`, `7d`: a whole number, above 0, and its unit.
pub(crate) fn read(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!("'{text}' is no time: write a whole number above 0 and its unit, such as 30s, 15m, 24h or 7d")
    };
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at_checked(split).ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(seconds).filter(|seconds| *seconds > 0).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

/// The longest that an approval is waited for.
const MAX_EXPIRY: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// As [`read`], for how long an approval is waited for: at most 30 days.
pub(crate) fn expiry(text: &str) -> Result<Duration, String> {
    let time = read(text)?;
    if time > MAX_EXPIRY {
        return Err(format!("'{text}' is more than 30 days"));
    }
    Ok(time)
}
