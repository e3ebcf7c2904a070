//! The version of the library.

#![expect(unsafe_code, reason = "C callers")]

use std::ffi::{CStr, c_char};

use crate::ffi::panic;

/// The version of the ABI, which is also the number in the soname. Within one version, nothing is
/// removed or changed.
pub const KEYFERRY_ABI_VERSION: u32 = 0;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };

/// Returns the version of the library at run time, such as `0.1.0`.
///
/// Errors:  none
/// Owner:   the string is static; never free it
/// Threads: [any]
/// Source:  semver.org
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_version() -> *const c_char {
    panic::infallible("keyferry_version", std::ptr::null(), || VERSION.as_ptr())
}

/// Returns the ABI version of the library at run time. `KEYFERRY_ABI_VERSION` is the ABI
/// version of the header.
///
/// Errors:  none
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_abi_version() -> u32 {
    panic::infallible("keyferry_abi_version", KEYFERRY_ABI_VERSION, || {
        KEYFERRY_ABI_VERSION
    })
}
