//! Formats times for people and programs.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use keyferry::clock::Clock;

/// Returns the present time in seconds since 1970.
pub fn now_s() -> i64 {
    Clock::system().now_us().div_euclid(1_000_000)
}

/// Formats a point in time as RFC 3339 in whole seconds. None if RFC 3339 cannot express its year.
pub fn rfc3339(unix_s: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(unix_s)
        .ok()
        .map(|time| time.format(&Rfc3339).unwrap_or_default())
}

/// Formats a point in time as RFC 3339 in milliseconds. None if RFC 3339 cannot express its year.
pub fn rfc3339_ms(unix_ms: i64) -> Option<String> {
    let seconds = rfc3339(unix_ms.div_euclid(1000))?;
    let ms = unix_ms.rem_euclid(1000);
    Some(format!("{}.{ms:03}Z", seconds.trim_end_matches('Z')))
}

/// Formats a duration in its two largest units. A negative duration is shown as 0 s.
pub fn format_duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two_units = |large: i64, large_unit: &str, small: i64, small_unit: &str| {
        if small == 0 {
            format!("{large} {large_unit}")
        } else {
            format!("{large} {large_unit} {small} {small_unit}")
        }
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => two_units(minutes, "min", seconds % 60, "s"),
        (0, _, _) => two_units(hours, "h", minutes, "min"),
        _ => two_units(days, "d", hours, "h"),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_whole_seconds() {
        assert_eq!(rfc3339(1_767_323_045).unwrap(), "2026-01-02T03:04:05Z");
        assert!(rfc3339(i64::MAX).is_none());
        let ms = rfc3339_ms(1_767_323_045_007).unwrap();
        assert_eq!(ms, "2026-01-02T03:04:05.007Z");
    }
}
