//! The wall clock and the boot-time clock: the system's, or manual ones for tests.
//!
//! Expiry times use these clocks. Deadlines use `std::time::Instant`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::sys::clock::{boot_name, boot_us, coarse_unix_us};
use crate::sys::sync::Mutex;

/// The latest time that keyferry accepts from a service: the end of the year 9999. A later time is
/// a mistake.
pub const LATEST_UNIX_S: i64 = 253_402_300_799;

/// How often [`SteadyClock::now_us`] compares the two clocks.
const CHECK_US: i64 = 1_000_000;
/// A smaller difference between the two clocks is ignored: they are not read at the same instant,
/// and the wall clock is coarse.
const TOLERANCE_US: i64 = 1_000_000;

/// A wall clock and a boot-time clock. It is cheap to clone and to read.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<Manual>),
}

struct Manual {
    unix_us: AtomicI64,
    boot_us: AtomicI64,
}

impl Clock {
    /// Returns the system's clocks. The wall clock is the coarse one.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Returns a clock that changes only when [`Clock::advance_us`] or [`Clock::set_us`] is called.
    /// Clones share their time.
    pub fn manual(unix_us: i64) -> Self {
        Self(Source::Manual(Arc::new(Manual {
            unix_us: AtomicI64::new(unix_us),
            boot_us: AtomicI64::new(0),
        })))
    }

    /// Returns the microseconds since 1970 by the wall clock.
    #[inline]
    pub fn now_us(&self) -> i64 {
        match &self.0 {
            Source::System => coarse_unix_us(),
            Source::Manual(manual) => manual.unix_us.load(Ordering::Relaxed),
        }
    }

    /// Returns the microseconds since the boot, also while the machine was suspended. `None` if the
    /// system has no such clock.
    pub fn boot_us(&self) -> Option<i64> {
        match &self.0 {
            Source::System => boot_us(),
            Source::Manual(manual) => Some(manual.boot_us.load(Ordering::Relaxed)),
        }
    }

    /// Returns the name of the boot that [`Clock::boot_us`] counts from, if known.
    pub fn boot_name(&self) -> Option<String> {
        match &self.0 {
            Source::System => boot_name(),
            Source::Manual(_) => Some("manual".to_owned()),
        }
    }

    /// Lets time pass on a manual clock. A negative time sets only the wall clock back. Does
    /// nothing on the system clock.
    pub fn advance_us(&self, by: i64) {
        if let Source::Manual(manual) = &self.0 {
            manual.unix_us.fetch_add(by, Ordering::Relaxed);
            manual.boot_us.fetch_add(by.max(0), Ordering::Relaxed);
        }
    }

    /// Sets the wall clock of a manual clock, without letting time pass. Does nothing on the system
    /// clock.
    pub fn set_us(&self, unix_us: i64) {
        if let Source::Manual(manual) = &self.0 {
            manual.unix_us.store(unix_us, Ordering::Relaxed);
        }
    }
}

/// A wall clock that is never set back: when the wall clock falls behind the boot-time clock, this
/// clock goes on as if it had not been set. It follows the wall clock forward.
///
/// A read costs one read of the wall clock. The boot-time clock is read only when the last
/// comparison was more than 1 s ago, or when the wall clock shows an earlier time than then.
pub struct SteadyClock {
    wall: Clock,
    /// The wall clock at the last comparison.
    checked_us: AtomicI64,
    /// How far the wall clock was set back in all.
    set_back_us: AtomicI64,
    /// The greatest lead of this clock over the boot-time clock so far.
    lead_us: Mutex<i64>,
}

impl SteadyClock {
    /// Creates a clock that shows the time of the wall clock until that is set back.
    pub fn new(wall: Clock) -> Self {
        Self {
            wall,
            checked_us: AtomicI64::new(i64::MIN),
            set_back_us: AtomicI64::new(0),
            lead_us: Mutex::new(i64::MIN),
        }
    }

    /// Returns the microseconds since 1970.
    #[inline]
    pub fn now_us(&self) -> i64 {
        let wall_us = self.wall.now_us();
        let since_us = wall_us.wrapping_sub(self.checked_us.load(Ordering::Acquire));
        // A negative time is a large unsigned number.
        if (since_us as u64) < CHECK_US as u64 {
            wall_us.wrapping_add(self.set_back_us.load(Ordering::Relaxed))
        } else {
            self.compare()
        }
    }

    /// Returns how far this clock is ahead of the wall clock.
    pub fn set_back_us(&self) -> i64 {
        self.now_us();
        self.set_back_us.load(Ordering::Relaxed)
    }

    #[cold]
    fn compare(&self) -> i64 {
        let mut lead_us = self.lead_us.lock();
        let wall_us = self.wall.now_us();
        let Some(boot_us) = self.wall.boot_us() else {
            return wall_us;
        };
        let mut set_back_us = self.set_back_us.load(Ordering::Relaxed);
        let now_lead_us = wall_us.saturating_add(set_back_us).saturating_sub(boot_us);
        if now_lead_us < lead_us.saturating_sub(TOLERANCE_US) {
            set_back_us = set_back_us.saturating_add(lead_us.saturating_sub(now_lead_us));
            self.set_back_us.store(set_back_us, Ordering::Relaxed);
        } else {
            *lead_us = now_lead_us.max(*lead_us);
        }
        // This store comes last, so that a caller that sees it adds the right time.
        self.checked_us.store(wall_us, Ordering::Release);
        wall_us.saturating_add(set_back_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: i64 = 1_000_000;

    #[test]
    fn a_clock_that_is_set_back_goes_on_and_one_that_is_set_forward_is_followed() {
        let wall = Clock::manual(1_000 * SECOND_US);
        let steady = SteadyClock::new(wall.clone());
        let now_s = || steady.now_us() / SECOND_US;
        assert_eq!(now_s(), 1_000);
        wall.advance_us(10 * SECOND_US);
        wall.set_us(600 * SECOND_US);
        assert_eq!((now_s(), steady.set_back_us()), (1_010, 410 * SECOND_US));
        wall.advance_us(5 * SECOND_US);
        assert_eq!(now_s(), 1_015);
        wall.set_us(100 * SECOND_US);
        wall.advance_us(5 * SECOND_US);
        assert_eq!((now_s(), steady.set_back_us()), (1_020, 915 * SECOND_US));
        wall.set_us(200 * SECOND_US);
        assert_eq!(now_s(), 1_115);
    }

    #[test]
    fn small_steps_back_are_noticed_when_they_add_up() {
        let wall = Clock::manual(0);
        let steady = SteadyClock::new(wall.clone());
        steady.now_us();
        for passed_s in 1..100 {
            wall.advance_us(SECOND_US);
            wall.set_us(wall.now_us() - SECOND_US / 4);
            let behind_us = passed_s * SECOND_US - steady.now_us();
            assert!((0..=2 * SECOND_US).contains(&behind_us), "{behind_us}");
        }
    }
}
