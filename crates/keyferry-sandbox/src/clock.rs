//! The sandbox's virtual clock, and the two date formats that the services write.
//!
//! The clock only affects token expiry and the `Date` header. Latency is real time, because a
//! caller's deadline is real time too.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

/// A clock that a test can move. Clones share the same time.
#[derive(Clone)]
pub struct Clock {
    source: TimeSource,
    offset_ms: Arc<AtomicI64>,
}

#[derive(Clone)]
enum TimeSource {
    Real,
    Manual(i64),
    Function(Arc<dyn Fn() -> i64 + Send + Sync>),
}

impl Clock {
    /// Returns a clock that follows the system's clock. It can be advanced as well.
    pub fn real() -> Clock {
        Clock::from_source(TimeSource::Real)
    }

    /// Returns a clock that stands still at `start_unix_ms` until it is advanced.
    pub fn manual(start_unix_ms: i64) -> Clock {
        Clock::from_source(TimeSource::Manual(start_unix_ms))
    }

    /// Returns a clock that calls `now_unix_ms` for the time, so that a test's own clock also
    /// drives the sandbox.
    pub fn from_fn(now_unix_ms: Arc<dyn Fn() -> i64 + Send + Sync>) -> Clock {
        Clock::from_source(TimeSource::Function(now_unix_ms))
    }

    fn from_source(source: TimeSource) -> Clock {
        Clock {
            source,
            offset_ms: Arc::new(AtomicI64::new(0)),
        }
    }

    /// Returns the time in milliseconds since 1970, including the offset.
    pub fn now_unix_ms(&self) -> i64 {
        let base = match &self.source {
            TimeSource::Real => real_unix_ms(),
            TimeSource::Manual(start) => *start,
            TimeSource::Function(now) => now(),
        };
        base.saturating_add(self.offset_ms.load(Ordering::SeqCst))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.advance_ms(ms);
    }

    /// Sets the offset from the time that the clock follows, replacing any earlier offset. A
    /// negative offset puts the clock in the past.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::SeqCst);
    }

    pub(crate) fn advance_ms(&self, ms: i64) {
        let moved = self.offset_ms.load(Ordering::SeqCst).saturating_add(ms);
        self.offset_ms.store(moved, Ordering::SeqCst);
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Clock({} ms)", self.now_unix_ms())
    }
}

fn real_unix_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

fn utc_date_time(unix_ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix_ms.div_euclid(1000))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Formats a time for HTTP headers: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(unix_ms: i64) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let at = utc_date_time(unix_ms);
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        DAYS[usize::from(at.weekday().number_days_from_monday())],
        at.day(),
        MONTHS[usize::from(u8::from(at.month())) - 1],
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// Formats a time as MASV does: `2026-07-01T12:00:00.000Z`.
pub(crate) fn rfc3339_ms(unix_ms: i64) -> String {
    let at = utc_date_time(unix_ms);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        unix_ms.rem_euclid(1000)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_the_services_write_them() {
        assert_eq!(http_date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(rfc3339_ms(784_111_777_042), "1994-11-06T08:49:37.042Z");
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(1_000);
        clock.clone().advance(Duration::from_secs(2));
        assert_eq!(clock.now_unix_ms(), 3_000);
        clock.set_offset_ms(-500);
        assert_eq!(clock.now_unix_ms(), 500);
    }
}
