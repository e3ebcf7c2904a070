//! The system's clocks: the coarse wall clock, and the clock that counts from the boot.
//!
//! Reading the coarse wall clock takes a few nanoseconds, and it may lag by a few milliseconds.

/// Returns the microseconds since 1970 from the coarse wall clock.
#[cfg(target_os = "linux")]
#[inline]
pub fn coarse_unix_us() -> i64 {
    read(libc::CLOCK_REALTIME_COARSE)
}

/// Returns the microseconds since the boot, also while the machine was suspended. Nobody can set
/// this clock. `None` on systems without it.
#[cfg(target_os = "linux")]
pub fn boot_us() -> Option<i64> {
    Some(read(libc::CLOCK_BOOTTIME))
}

#[cfg(target_os = "linux")]
#[inline]
#[expect(unsafe_code, reason = "system calls")]
fn read(clock: libc::clockid_t) -> i64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a writable timespec. The clocks exist since Linux 2.6.39.
    unsafe { libc::clock_gettime(clock, &mut now) };
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

/// Returns the name of the boot that [`boot_us`] counts from. A container may have its own boot
/// clock, so the name includes the time namespace. `None` if the kernel does not tell.
#[cfg(target_os = "linux")]
pub fn boot_name() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    // A kernel before Linux 5.6 has no time namespaces.
    let namespace = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
    Some(format!("{} {}", id.trim(), namespace.display()))
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

/// Returns `None`: only Linux has this clock.
#[cfg(not(target_os = "linux"))]
pub fn boot_us() -> Option<i64> {
    None
}

/// Returns `None`: only Linux has this name.
#[cfg(not(target_os = "linux"))]
pub fn boot_name() -> Option<String> {
    None
}
