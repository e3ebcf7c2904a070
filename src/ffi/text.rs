//! Texts across the boundary: in they are borrowed for the call, out they are the caller's until
//! freed.

use std::ffi::{CStr, CString, c_char};
use std::mem::MaybeUninit;

use crate::error::{Error, ErrorKind, Result};
use crate::ffi::boundary;
use crate::ffi::panic;
use crate::secret::{MAX_VALUE_BYTES, Secret};

/// Reads a text that must be there.
///
/// # Errors
/// [`ErrorKind::NullArgument`], [`ErrorKind::NotUtf8`], both naming the parameter.
///
/// # Safety
/// `text` is NULL or points to bytes that end in NUL and outlive `'a`.
#[inline]
pub unsafe fn required<'a>(text: *const c_char, name: &'static str) -> Result<&'a str> {
    // SAFETY: by this function's contract.
    let text = unsafe { optional(text, name) }?;
    boundary::required(text, name)
}

/// Reads a text that may be NULL.
///
/// # Errors
/// [`ErrorKind::NotUtf8`] naming the parameter.
///
/// # Safety
/// That of [`required`].
#[inline]
pub unsafe fn optional<'a>(text: *const c_char, name: &'static str) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, so it ends in NUL, by this function's contract.
    let bytes = unsafe { CStr::from_ptr(text) };
    utf8(bytes).map(Some).ok_or_else(|| not_utf8(name))
}

/// The text, if it is UTF-8. ASCII, which nearly all is, costs a few instructions.
#[inline]
pub fn utf8(text: &CStr) -> Option<&str> {
    let bytes = text.to_bytes();
    if bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return Some(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes).ok()
}

#[cold]
fn not_utf8(name: &str) -> Error {
    Error::new(ErrorKind::NotUtf8, format!("{name} is not UTF-8"))
}

/// Reads a secret that may be NULL.
///
/// # Errors
/// [`ErrorKind::NotUtf8`], [`ErrorKind::InvalidValue`], both naming the parameter.
///
/// # Safety
/// That of [`required`].
pub unsafe fn optional_secret(text: *const c_char, name: &'static str) -> Result<Option<Secret>> {
    // SAFETY: by this function's contract.
    let text = unsafe { optional(text, name) }?;
    text.map_or(Ok(()), |text| check_length(text, name))?;
    Ok(text.map(Secret::from))
}

/// Refuses what is longer than any value, before it is copied: a host that lacks the memory for
/// that would be aborted.
///
/// # Errors
/// [`ErrorKind::InvalidValue`] naming the parameter.
pub fn check_length(text: &str, name: &str) -> Result<()> {
    if text.len() > MAX_VALUE_BYTES {
        let what = format!(
            "{name} is longer than {MAX_VALUE_BYTES} bytes, which no service takes: copy it again"
        );
        return Err(Error::new(ErrorKind::InvalidValue, what));
    }
    Ok(())
}

/// Gives a text to C.
///
/// # Errors
/// [`ErrorKind::Panic`] if it holds NUL, which no text of ours does.
pub fn write_out(out: &mut MaybeUninit<*mut c_char>, text: String) -> Result<()> {
    let text = CString::new(text)
        .map_err(|_| Error::new(ErrorKind::Panic, "a text of ours holds NUL: report it"))?;
    out.write(text.into_raw());
    Ok(())
}

/// Frees a text that keyferry gave.
///
/// @param text  from an out-parameter named `text_out`; NULL does nothing. Taken.
///
/// Errors:  none
/// Owner:   the text is gone afterwards
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
///
/// # Safety
/// `text` came from keyferry and was not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_text_free(text: *mut c_char) {
    panic::infallible("keyferry_text_free", (), || {
        if !text.is_null() {
            // SAFETY: it came from `CString::into_raw` in `write_out`, by this function's contract.
            drop(unsafe { CString::from_raw(text) });
        }
    });
}
