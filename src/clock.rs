//! What time it is: the system's, or a test's.
//!
//! Expiry goes by this wall clock; deadlines go by `std::time::Instant`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::sys::clock::coarse_unix_us;

/// The latest time that is believed of a service: the end of the year 9999. Beyond it stands a
/// mistake.
pub const LATEST_UNIX_S: i64 = 253_402_300_799;

/// A wall clock, cheap to copy and to read.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The system's coarse wall clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands until it is moved. Copies show the same time.
    pub fn manual(unix_us: i64) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(unix_us))))
    }

    /// Microseconds since 1970.
    #[inline]
    pub fn now_us(&self) -> i64 {
        match &self.0 {
            Source::System => coarse_unix_us(),
            Source::Manual(now) => now.load(Ordering::Relaxed),
        }
    }

    /// Moves a manual clock; the system's stays as it is.
    pub fn advance_us(&self, by: i64) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(by, Ordering::Relaxed);
        }
    }
}
