//! The error object, which has the details of a failure.

#![expect(unsafe_code, reason = "C callers")]

use std::ffi::{CString, c_char};

use crate::error::Error;
use crate::ffi::panic;
use crate::ffi::status::{self, KEYFERRY_OK, keyferry_status};
use crate::text::replace_unprintable;

/// The details of a failure, without secrets. An error is immutable and stays valid after its
/// session is freed.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
pub struct keyferry_error {
    error: Error,
    message: CString,
}

impl keyferry_error {
    /// Creates the object for an error.
    pub fn new(error: Error) -> Self {
        // A path or an ID in the message may contain control characters, and the application may
        // print the message on a terminal.
        let message = replace_unprintable(error.message(), '?').into_owned();
        Self {
            message: CString::new(message).unwrap_or_default(),
            error,
        }
    }
}

/// Returns the status code that the failed call returned.
///
/// @param error  NULL gives `KEYFERRY_OK`
///
/// Errors:  none
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_error_status(error: Option<&keyferry_error>) -> keyferry_status {
    panic::infallible("keyferry_error_status", KEYFERRY_OK, || {
        error.map_or(KEYFERRY_OK, |error| status::from_kind(error.error.kind))
    })
}

/// Returns the error message for people. It says what is wrong and what to do about it, and names the
/// affected item, such as a file or a setting. It is one line of UTF-8 without a full stop at the
/// end.
///
/// @param error  NULL gives NULL
///
/// Errors:  none
/// Owner:   borrowed from `error`, valid until it is freed
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_error_message(error: Option<&keyferry_error>) -> *const c_char {
    panic::infallible("keyferry_error_message", std::ptr::null(), || {
        error.map_or(std::ptr::null(), |error| error.message.as_ptr())
    })
}

/// Returns the HTTP status of the response that caused the failure.
///
/// @param error  NULL gives 0
/// @return       the status; 0 if there was no response
///
/// Errors:  none
/// Threads: [any]
/// Source:  RFC 9110, section 15
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_error_http_status(error: Option<&keyferry_error>) -> i32 {
    panic::infallible("keyferry_error_http_status", 0, || {
        error
            .and_then(|error| error.error.http_status)
            .map_or(0, i32::from)
    })
}

/// Returns the service's own error code.
///
/// @param error  NULL gives 0
/// @return       the code, such as 262146 of the MASV Agent; 0 if the service sent none
///
/// Errors:  none
/// Threads: [any]
/// Source:  MASV API and MASV Agent, error bodies
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_error_service_code(error: Option<&keyferry_error>) -> i64 {
    panic::infallible("keyferry_error_service_code", 0, || {
        error
            .and_then(|error| error.error.service_code)
            .unwrap_or(0)
    })
}

/// Returns how long to wait before a retry.
///
/// @param error  NULL gives 0
/// @return       milliseconds; 0 if no time is known
///
/// Errors:  none
/// Threads: [any]
/// Source:  RFC 9110, section 10.2.3 (Retry-After)
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_error_retry_after_ms(error: Option<&keyferry_error>) -> u64 {
    panic::infallible("keyferry_error_retry_after_ms", 0, || {
        error
            .and_then(|error| error.error.retry_after_ms)
            .unwrap_or(0)
    })
}

/// Frees an error.
///
/// @param error  NULL does nothing. Taken.
///
/// Errors:  none
/// Owner:   takes `error` and its message
/// Threads: [any], but not while another call uses `error`
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_error_free(error: Option<Box<keyferry_error>>) {
    panic::infallible("keyferry_error_free", (), || drop(error));
}
