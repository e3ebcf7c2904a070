//! Descriptions of a session as JSON.

#![expect(unsafe_code, reason = "C callers")]

use std::ffi::c_char;
use std::mem::MaybeUninit;

use crate::ffi::boundary;
use crate::ffi::error::keyferry_error;
use crate::ffi::json;
use crate::ffi::session::{self, keyferry_session};
use crate::ffi::status::keyferry_status;
use crate::ffi::text;

/// Explains how keyferry would get a token for a resource, and why. The explanation names
/// the service, the account and the token's identifier in the cache. It describes the cached or
/// stored token and its refresh times, but does not contain the token. `origin` says where the token
/// comes from: `memory`, `store`, `setting` (a configured secret is the token) or `service`. `fetch` is
/// the first step if the token must be fetched, else null. Its `step` is `use_secret`, `log_in`, `ask`,
/// `read_secret`, `call_plugin` or `fail`; if it is `fail`, its `failure` has the error and the time of it. `settings` lists
/// the credential settings that the fetch would use, and the source of each.
///
/// Reads the store, and secrets in values, variables and files. Starts no program, and makes no
/// network request.
///
/// @param session    NULL for the default session
/// @param resource   as for `masv_token_for`. Borrowed.
/// @param text_out   receives a JSON object without secrets
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `resource` or `text_out` is NULL;
///          KEYFERRY_E_NOT_UTF8 if `resource` is not UTF-8;
///          KEYFERRY_E_INVALID_RESOURCE if `resource` is malformed, or a misspelt short form;
///          KEYFERRY_E_UNKNOWN_SERVICE if `resource` belongs to no configured service;
///          KEYFERRY_E_NO_HEADER if `resource` takes no credential header;
///          KEYFERRY_E_FORKED if `session` was opened before a fork
/// Owner:   the caller frees the string with `keyferry_text_free`
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
        // SAFETY: the caller promises that `resource` is NULL or ends in NUL.
        let resource = unsafe { text::required(resource, "resource") }?;
        let explanation = session::with(session, |session| session.explain(resource))?;
        text::write_out(out, json::explanation(&explanation).to_string())
    })
}

/// Lists the cached and the stored tokens, without their values.
///
/// Reads the store. Makes no network request.
///
/// @param session    NULL for the default session
/// @param text_out   receives a JSON array without secrets. Each element has `service`, `account`, `kind`, `id`,
///                   `access`, `generation`, `expires_unix_s`, and `expires_here_unix_s`, which is the expiry by
///                   the clock of this machine. Both times are null if the token has no expiry.
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `text_out` is NULL;
///          KEYFERRY_E_STORE or KEYFERRY_E_UNSAFE_FILE if the store cannot be read;
///          KEYFERRY_E_FORKED if `session` was opened before a fork
/// Owner:   the caller frees the string with `keyferry_text_free`
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
        let tokens = session::with(session, |session| json::tokens(&session.inspect()))?;
        text::write_out(out, tokens)
    })
}

/// Gets the counters of the session, such as flights, waits, logins, refreshes and rejected tokens.
/// A flight is one fetch that several callers share.
///
/// Cache hits are not counted, because counting would slow them down. Makes no network request.
///
/// @param session    NULL for the default session
/// @param text_out   receives a JSON object of numbers
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `text_out` is NULL;
///          KEYFERRY_E_FORKED if `session` was opened before a fork
/// Owner:   the caller frees the string with `keyferry_text_free`
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
        let stats = session::with(session, |session| Ok(session.stats()))?;
        text::write_out(out, json::stats(&stats).to_string())
    })
}
