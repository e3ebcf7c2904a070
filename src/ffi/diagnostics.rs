//! What a session tells of itself, as text.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use crate::ffi::boundary;
use crate::ffi::error::keyferry_error;
use crate::ffi::session::{self, keyferry_session};
use crate::ffi::status::keyferry_status;
use crate::ffi::text;

/// Explains what would happen for a resource and why: service, account, key, what is in memory,
/// when it is refreshed, for how long the last failure is answered. Goes nowhere.
///
/// @param session    NULL for the default session
/// @param resource   as for `masv_token_for`. Borrowed.
/// @param text_out   gets a JSON object without secrets
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8, KEYFERRY_E_INVALID_RESOURCE,
///          KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER, KEYFERRY_E_FORKED
/// Owner:   the caller frees the text with `keyferry_text_free`
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
///
/// # Safety
/// `resource` is NULL or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_session_explain(
    session: Option<&keyferry_session>,
    resource: *const c_char,
    text_out: Option<&mut MaybeUninit<*mut c_char>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("keyferry_session_explain", text_out, error_out, |out| {
        let out = boundary::required(out, "text_out")?;
        // SAFETY: by this function's contract.
        let resource = unsafe { text::required(resource, "resource") }?;
        text::write_out(out, session::or_default(session)?.explain(resource)?)
    })
}

/// Lists the tokens in memory and in the store.
///
/// @param session    NULL for the default session
/// @param text_out   gets a JSON array without secrets: service, account, kind, id, access, generation, expires_unix_s, and
///                   expires_here_unix_s by this machine's clock; both are null where a token has no end
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_FORKED; KEYFERRY_E_STORE, KEYFERRY_E_UNSAFE_FILE if the store can't be read
/// Owner:   the caller frees the text with `keyferry_text_free`
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_session_list(
    session: Option<&keyferry_session>,
    text_out: Option<&mut MaybeUninit<*mut c_char>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("keyferry_session_list", text_out, error_out, |out| {
        let out = boundary::required(out, "text_out")?;
        text::write_out(out, session::or_default(session)?.list()?)
    })
}

/// Counts what the session did: flights, waits, logins, refreshes, refusals. Hits are not counted:
/// that would slow them down.
///
/// @param session    NULL for the default session
/// @param text_out   gets a JSON object of numbers
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_FORKED
/// Owner:   the caller frees the text with `keyferry_text_free`
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_session_stats(
    session: Option<&keyferry_session>,
    text_out: Option<&mut MaybeUninit<*mut c_char>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("keyferry_session_stats", text_out, error_out, |out| {
        let out = boundary::required(out, "text_out")?;
        text::write_out(out, session::or_default(session)?.stats())
    })
}
