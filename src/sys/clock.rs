//! The system's coarse wall clock. Reading it takes a few nanoseconds, and it may lag by a few
//! milliseconds.

/// Returns the microseconds since 1970 from the coarse wall clock.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "system calls")]
pub fn coarse_unix_us() -> i64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a writable timespec. The clock exists since Linux 2.6.32.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &mut now) };
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

/// Returns the microseconds since 1970 from the wall clock.
#[cfg(not(target_os = "linux"))]
pub fn coarse_unix_us() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        })
}
