//! Tells whether this process has more rights than the user who started it.

#![expect(unsafe_code, reason = "system calls")]

/// Returns whether the process has raised privilege: its program has the setuid or setgid bit or
/// file capabilities, and these gave the process rights that its caller does not have. The kernel
/// decides this when it starts the program (`AT_SECURE`, see getauxval(3)).
#[cfg(target_os = "linux")]
pub fn is_raised() -> bool {
    // SAFETY: the call takes a number, and reads what the kernel gave this process at its start.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Returns whether the process has raised privilege: its program has the setuid or setgid bit.
#[cfg(not(target_os = "linux"))]
pub fn is_raised() -> bool {
    // SAFETY: the call takes no arguments and cannot fail.
    unsafe { libc::issetugid() != 0 }
}
