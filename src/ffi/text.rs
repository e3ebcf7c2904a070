//! Strings between C and Rust. Arguments are borrowed until the function returns. Returned strings
//! belong to the caller, which frees them.

#![expect(unsafe_code, reason = "C callers")]

use std::ffi::{CStr, CString, OsStr, c_char};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::ffi::boundary;
use crate::ffi::panic;
use crate::secret::{MAX_VALUE_BYTES, Secret};

/// Reads a string argument that must not be NULL.
///
/// # Errors
/// [`ErrorKind::NullArgument`] if it is NULL; [`ErrorKind::NotUtf8`] if it is not UTF-8. The
/// message names the parameter.
///
/// # Safety
/// `text` is NULL, or points to bytes that end in NUL and outlive `'a`.
#[inline]
pub unsafe fn required<'a>(text: *const c_char, name: &'static str) -> Result<&'a str> {
    // SAFETY: the caller makes the same promise as for `optional`.
    let text = unsafe { optional(text, name) }?;
    boundary::required(text, name)
}

/// Reads a string argument that may be NULL.
///
/// # Errors
/// [`ErrorKind::NotUtf8`] if it is not UTF-8. The message names the parameter.
///
/// # Safety
/// The same as for [`required`].
#[inline]
pub unsafe fn optional<'a>(text: *const c_char, name: &'static str) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: `text` is not NULL, and the caller promises that it then ends in NUL.
    let bytes = unsafe { CStr::from_ptr(text) };
    utf8(bytes).map(Some).ok_or_else(|| not_utf8(name))
}

/// Reads the argument `path`, which may be NULL and need not be UTF-8.
///
/// # Safety
/// The same as for [`required`].
pub unsafe fn optional_path<'a>(path: *const c_char) -> Option<&'a Path> {
    if path.is_null() {
        return None;
    }
    // SAFETY: `path` is not NULL, and the caller promises that it then ends in NUL.
    let bytes = unsafe { CStr::from_ptr(path) };
    Some(Path::new(OsStr::from_bytes(bytes.to_bytes())))
}

/// Returns the string if it is UTF-8. For ASCII, by far the most common case, this takes only a few
/// instructions.
#[inline]
pub fn utf8(text: &CStr) -> Option<&str> {
    let bytes = text.to_bytes();
    if bytes.is_ascii() {
        // SAFETY: the bytes are ASCII, which is valid UTF-8.
        return Some(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes).ok()
}

#[cold]
fn not_utf8(name: &str) -> Error {
    Error::new(
        ErrorKind::NotUtf8,
        format!("{name} is not UTF-8; convert it to UTF-8"),
    )
}

/// Reads a secret argument that may be NULL.
///
/// # Errors
/// [`ErrorKind::NotUtf8`] if it is not UTF-8; [`ErrorKind::InvalidValue`] if it is too long. The
/// message names the parameter.
///
/// # Safety
/// The same as for [`required`].
pub unsafe fn optional_secret(text: *const c_char, name: &'static str) -> Result<Option<Secret>> {
    // SAFETY: the caller makes the same promise as for `optional`.
    let text = unsafe { optional(text, name) }?;
    text.map_or(Ok(()), |text| check_length(text, name))?;
    Ok(text.map(Secret::from))
}

/// Rejects a string that is longer than any valid value, before it is copied. Rust aborts the
/// process if there is not enough memory for a copy.
///
/// # Errors
/// [`ErrorKind::InvalidValue`] if it is too long. The message names the parameter.
pub fn check_length(text: &str, name: &str) -> Result<()> {
    if text.len() > MAX_VALUE_BYTES {
        let what = format!(
            "{name} is longer than {MAX_VALUE_BYTES} bytes, the longest value that a service accepts; check that it is the right value"
        );
        return Err(Error::new(ErrorKind::InvalidValue, what));
    }
    Ok(())
}

/// Passes ownership of a string to the C caller.
///
/// # Errors
/// [`ErrorKind::Panic`] if the string contains NUL, which would be a bug in keyferry.
pub fn write_out(out: &mut MaybeUninit<*mut c_char>, text: String) -> Result<()> {
    let text = CString::new(text).map_err(|_| {
        Error::new(
            ErrorKind::Panic,
            "internal error: a string contains NUL; report it as a bug",
        )
    })?;
    out.write(text.into_raw());
    Ok(())
}

/// Frees a string that keyferry returned through a parameter named `text_out`.
///
/// @param text  the string; NULL does nothing. Taken.
///
/// Errors:  none
/// Owner:   takes `text`
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
///
/// # Safety
/// `text` is NULL, or came from keyferry and was not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_text_free(text: *mut c_char) {
    panic::infallible("keyferry_text_free", (), || {
        if !text.is_null() {
            // SAFETY: the caller promises that `text` came from keyferry, so `write_out` got it
            // from `CString::into_raw`, and that nothing has freed it.
            drop(unsafe { CString::from_raw(text) });
        }
    });
}
