//! How this process was started.

#![expect(unsafe_code, reason = "reads what the kernel passed to the program")]

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr;

/// Returns the path that this program was started with, as the caller wrote it: relative or
/// absolute, and possibly a symbolic link.
pub fn started_as() -> Option<PathBuf> {
    // SAFETY: the call only takes a number.
    let address = unsafe { libc::getauxval(libc::AT_EXECFN) };
    let path = ptr::with_exposed_provenance::<libc::c_char>(usize::try_from(address).ok()?);
    if path.is_null() {
        return None;
    }
    // SAFETY: the kernel put the string there when it started the program, and it stays until the
    // process ends.
    let path = unsafe { CStr::from_ptr(path) };
    Some(OsStr::from_bytes(path.to_bytes()).into())
}
