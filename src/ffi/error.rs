//! The error object: every detail of a failure.

use std::ffi::{CString, c_char};

use crate::error::Error;
use crate::ffi::panic;
use crate::ffi::status::{self, KEYFERRY_OK, keyferry_status};

/// Every detail of a failure. Holds no secret. Immutable, outlives the session that it came from.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
pub struct keyferry_error {
    error: Error,
    message: CString,
}

impl keyferry_error {
    /// The object for this error.
    pub fn new(error: Error) -> Self {
        // Control characters can come from a path or an id; a host may print the message on a
        // terminal.
        let shown: String = error
            .message()
            .chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        Self {
            message: CString::new(shown).unwrap_or_default(),
            error,
        }
    }
}

/// The status that the failing call returned.
///
/// @param error  may be NULL: then `KEYFERRY_OK`
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

/// One sentence for people, UTF-8, without a full stop: what is wrong with which thing, and the
/// remedy.
///
/// @param error  may be NULL: then NULL
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

/// The HTTP status behind the failure.
///
/// @param error  may be NULL: then 0
/// @return       the status, 0 where no answer came
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

/// The service's own error number.
///
/// @param error  may be NULL: then 0
/// @return       the number, e.g. 262146 of the MASV Agent; 0 where the service sent none
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

/// After how many milliseconds a new try makes sense.
///
/// @param error  may be NULL: then 0
/// @return       milliseconds; 0 where nobody named a time
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
/// Owner:   the error and its message are gone afterwards
/// Threads: [any], but not while another call uses it
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_error_free(error: Option<Box<keyferry_error>>) {
    panic::infallible("keyferry_error_free", (), || drop(error));
}
