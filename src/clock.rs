//! The wall clock: the system's, or a manual one for tests.
//!
//! Expiry times use this clock. Deadlines use `std::time::Instant`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::sys::clock::coarse_unix_us;

/// The latest time that keyferry accepts from a service: the end of the year 9999. A later time is
/// a mistake.
pub const LATEST_UNIX_S: i64 = 253_402_300_799;

/// A wall clock that is cheap to clone and to read.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Returns the system's coarse wall clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Returns a clock that changes only when [`Clock::advance_us`] is called. Clones share their
    /// time.
    pub fn manual(unix_us: i64) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(unix_us))))
    }

    /// Returns the microseconds since 1970.
    #[inline]
    pub fn now_us(&self) -> i64 {
        match &self.0 {
            Source::System => coarse_unix_us(),
            Source::Manual(now) => now.load(Ordering::Relaxed),
        }
    }

    /// Advances a manual clock. Does nothing on the system clock.
    pub fn advance_us(&self, by: i64) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(by, Ordering::Relaxed);
        }
    }
}
