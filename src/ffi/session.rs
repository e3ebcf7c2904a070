//! The session object: configuration, services, cache and store.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;

use crate::error::{Error, ErrorKind, Result};
use crate::ffi::boundary;
use crate::ffi::config::keyferry_config;
use crate::ffi::error::keyferry_error;
use crate::ffi::panic;
use crate::ffi::request::keyferry_request;
use crate::ffi::status::{
    self, KEYFERRY_E_FORKED, KEYFERRY_E_NOT_UTF8, KEYFERRY_E_NULL_ARGUMENT, keyferry_status,
};
use crate::ffi::text;
use crate::ffi::token::{self, KEYFERRY_NO_EXPIRY, keyferry_token};
use crate::secret::Secret;
use crate::session::Session;
use crate::sys::fork;

/// Configuration, services, cache and store. `const keyferry_session *`: any thread, at once. NULL
/// stands for the default session, which is opened at its first use from the user's configuration,
/// is never freed, and opens anew in a forked child.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
pub struct keyferry_session {
    session: Session,
    fork: u32,
}

/// The session of a handle, or the default one.
#[inline]
pub(crate) fn or_default(handle: Option<&keyferry_session>) -> Result<&Session> {
    match handle {
        None => Session::default_session(),
        Some(handle) if handle.fork == fork::generation() => Ok(&handle.session),
        Some(_) => Err(forked_error()),
    }
}

#[cold]
fn forked_error() -> Error {
    Error::new(
        ErrorKind::Forked,
        "this session was opened before a fork: pass NULL, or open another in the child",
    )
}

/// Opens a session. Goes to no network, and starts no thread but those that initialise the plugins
/// which the configuration names; a plugin that can't be used is left out, and whoever asks for its
/// tokens is told why.
///
/// @param config       copied; NULL for the user's `config.toml` and the environment
/// @param session_out  gets the session
/// @param error_out    gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT; KEYFERRY_E_CONFIG, KEYFERRY_E_UNSAFE_FILE if the
///          configuration can't be used: the message names the key; KEYFERRY_E_NOT_CONFIGURED if
///          there is no such `profile`
/// Owner:   the caller frees it with `keyferry_session_free`
/// Threads: [any]
/// Source:  the configuration table in README.md
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_session_open(
    config: Option<&keyferry_config>,
    session_out: Option<&mut MaybeUninit<*mut keyferry_session>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("keyferry_session_open", session_out, error_out, |out| {
        let out = boundary::required(out, "session_out")?;
        fork::watch();
        let session = match config {
            Some(config) => Session::open(config.config.clone())?,
            None => Session::open_user()?,
        };
        boundary::write_out(
            out,
            keyferry_session {
                session,
                fork: fork::generation(),
            },
        );
        Ok(())
    })
}

/// Closes a session: cancels refreshes, ends its threads within a second. Tokens and errors that
/// came from it live on.
///
/// @param session  NULL does nothing; in a forked child nothing is freed, on purpose. Taken.
///
/// Errors:  none
/// Owner:   the session is gone afterwards; no call with it may be in progress
/// Threads: [one]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_session_free(session: Option<Box<keyferry_session>>) {
    panic::infallible("keyferry_session_free", (), || match session {
        Some(session) if session.fork != fork::generation() => std::mem::forget(session),
        session => drop(session),
    });
}

/// Gets the headers for a request, from memory if they are fresh, else from the store or the
/// service. May go to the network.
///
/// @param session    NULL for the default session
/// @param request    what is wanted. Borrowed.
/// @param token_out  gets the token
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  those of `masv_token_for` and `fileverbs_bearer`; KEYFERRY_E_CANCELLED
/// Owner:   the caller frees the token with `keyferry_token_free`
/// Threads: [any]; threads that want the same token wait for one request
/// Source:  services' documents
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_session_token_for(
    session: Option<&keyferry_session>,
    request: Option<&keyferry_request>,
    token_out: Option<&mut MaybeUninit<*mut keyferry_token>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("keyferry_session_token_for", token_out, error_out, |out| {
        let out = boundary::required(out, "token_out")?;
        let token = or_default(session)?.token_for(keyferry_request::checked(request)?)?;
        token::write_out(out, Box::new(token));
        Ok(())
    })
}

/// Gets an unexpired token from memory. Goes to no store and no network; the first use of NULL
/// opens the default session.
///
/// @param session    NULL for the default session
/// @param request    what is wanted. Borrowed.
/// @param token_out  gets the token
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NOT_CACHED if there is none, or none that is good for `min_valid_s` (beyond
///          a token's whole life: for half of it); KEYFERRY_E_NULL_ARGUMENT,
///          KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER,
///          KEYFERRY_E_NOT_CONFIGURED for an unknown account, KEYFERRY_E_FORKED
/// Owner:   the caller frees the token with `keyferry_token_free`
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_session_cached(
    session: Option<&keyferry_session>,
    request: Option<&keyferry_request>,
    token_out: Option<&mut MaybeUninit<*mut keyferry_token>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("keyferry_session_cached", token_out, error_out, |out| {
        let out = boundary::required(out, "token_out")?;
        let token = or_default(session)?.cached(keyferry_request::checked(request)?)?;
        token::write_out(out, Box::new(token));
        Ok(())
    })
}

/// Copies the header line of a fresh token from memory: `Name: value` and NUL. Goes to no store and
/// no network; allocates for links and for odd spellings of a URL; the first use of NULL opens the
/// default session. From the moment on when a refresh is advisable it answers KEYFERRY_E_NOT_CACHED
/// once, so that somebody calls `keyferry_session_token_for`.
///
/// @param session     NULL for the default session
/// @param resource    as for `masv_token_for`. Borrowed.
/// @param buffer      gets the line; may be NULL if `capacity` is 0. After any status but KEYFERRY_OK it may hold bytes of a token.
/// @param capacity    its size in bytes; a line is shorter than 17000
/// @param length_out  gets the line's length in bytes without NUL, also with KEYFERRY_E_BUFFER_TOO_SMALL; may be NULL
///
/// Errors:  KEYFERRY_E_NOT_CACHED: call `keyferry_session_token_for`; KEYFERRY_E_BUFFER_TOO_SMALL;
///          KEYFERRY_E_MULTIPLE_HEADERS; KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8,
///          KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER,
///          KEYFERRY_E_FORKED
/// Owner:   nothing changes hands; the line is a secret: wipe the buffer, whatever the status is
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
///
/// # Safety
/// `resource` ends in NUL; `buffer` has room for `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_session_peek(
    session: Option<&keyferry_session>,
    resource: *const c_char,
    buffer: *mut c_char,
    capacity: usize,
    length_out: Option<&mut MaybeUninit<usize>>,
) -> keyferry_status {
    boundary::status_only("keyferry_session_peek", || {
        if resource.is_null() || (buffer.is_null() && capacity > 0) {
            return Err(KEYFERRY_E_NULL_ARGUMENT);
        }
        let session = match session {
            Some(handle) if handle.fork == fork::generation() => &handle.session,
            Some(_) => return Err(KEYFERRY_E_FORKED),
            None => Session::default_session().map_err(|error| status::from_kind(error.kind))?,
        };
        // SAFETY: not NULL, so it ends in NUL, by this function's contract.
        let resource =
            text::utf8(unsafe { CStr::from_ptr(resource) }).ok_or(KEYFERRY_E_NOT_UTF8)?;
        let line: &mut [MaybeUninit<u8>] = if buffer.is_null() {
            &mut []
        } else {
            // SAFETY: `buffer` has room for `capacity` bytes, by this function's contract; they
            // need not be initialised.
            unsafe { std::slice::from_raw_parts_mut(buffer.cast(), capacity) }
        };
        let peeked = session
            .peek(resource, line)
            .map_err(|error| status::from_kind(error.kind))?;
        if let Some(out) = length_out {
            out.write(peeked.len);
        }
        if peeked.len < capacity {
            Ok(())
        } else {
            Err(status::KEYFERRY_E_BUFFER_TOO_SMALL)
        }
    })
}

/// Says that the service refused a token (401): its generation is dead, here and in the store, and
/// the next call gets another. A later generation is not harmed. Rejecting an API key or SecretKey
/// keeps it from being handed out for a while.
///
/// @param session    NULL for the default session
/// @param token      the token. Borrowed; it may come from another session with the same account.
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_STORE, KEYFERRY_E_FORKED
/// Owner:   nothing changes hands: the token is still to be freed
/// Threads: [any]
/// Source:  RFC 9110, section 15.5.2
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_session_reject(
    session: Option<&keyferry_session>,
    token: Option<&keyferry_token>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_session_reject", error_out, || {
        let token = boundary::required(token, "token")?;
        or_default(session)?.reject(&token.token)
    })
}

/// Says that the service refused a value that was got for a resource, by a caller that has no token
/// object. Nothing happens unless it is the present one.
///
/// @param session    NULL for the default session
/// @param resource   what it was got for. Borrowed.
/// @param value      the header's value, with or without `Bearer `. Borrowed.
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  those of `keyferry_session_reject`; KEYFERRY_E_NOT_UTF8, KEYFERRY_E_INVALID_RESOURCE,
///          KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER
/// Owner:   nothing changes hands
/// Threads: [any]
/// Source:  RFC 9110, section 15.5.2
/// Since:   0.1
///
/// # Safety
/// `resource` and `value` are NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_session_reject_value(
    session: Option<&keyferry_session>,
    resource: *const c_char,
    value: *const c_char,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_session_reject_value", error_out, || {
        // SAFETY: by this function's contract.
        let resource = unsafe { text::required(resource, "resource") }?;
        // SAFETY: by this function's contract.
        let value = unsafe { text::required(value, "value") }?;
        // What is longer than any token is none of ours, and is not copied.
        let value = Secret::from(if text::check_length(value, "value").is_ok() {
            value
        } else {
            ""
        });
        or_default(session)?.reject_value(resource, &value)
    })
}

/// Keeps a token that the caller got itself: of a package that it made through a Portal, of a
/// transfer that it started.
///
/// @param session         NULL for the default session
/// @param resource        `packages/ID` or `transfers/ID`, or a URL of that. Borrowed.
/// @param value           the token. Borrowed and copied.
/// @param expires_unix_s  when it ends, seconds since 1970; `KEYFERRY_NO_EXPIRY` to have it read from the token
/// @param error_out       gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8, KEYFERRY_E_INVALID_RESOURCE,
///          KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER; KEYFERRY_E_INVALID_VALUE if it can't
///          be a token or has ended; KEYFERRY_E_UNSUPPORTED if the resource takes no such token;
///          KEYFERRY_E_STORE, KEYFERRY_E_FORKED
/// Owner:   nothing changes hands
/// Threads: [any]
/// Source:  MASV API, `POST /v1/portals/{portal_id}/packages` and `POST /v1/packages/{id}/transfer`
/// Since:   0.1
///
/// # Safety
/// `resource` and `value` are NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_session_adopt(
    session: Option<&keyferry_session>,
    resource: *const c_char,
    value: *const c_char,
    expires_unix_s: i64,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_session_adopt", error_out, || {
        // SAFETY: by this function's contract.
        let resource = unsafe { text::required(resource, "resource") }?;
        // SAFETY: by this function's contract.
        let value = boundary::required(unsafe { text::optional_secret(value, "value") }?, "value")?;
        let expires = (expires_unix_s != KEYFERRY_NO_EXPIRY).then_some(expires_unix_s);
        or_default(session)?.adopt(resource, value, expires)
    })
}

/// Forgets what is kept of a resource: token, record, renewal secret, refusals. Other processes
/// drop theirs at their next read.
///
/// @param session    NULL for the default session
/// @param resource   NULL for everything of every account. Borrowed.
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NOT_UTF8, KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_UNKNOWN_SERVICE,
///          KEYFERRY_E_NO_HEADER; KEYFERRY_E_STORE, KEYFERRY_E_UNSAFE_FILE if something is still in
///          the store; KEYFERRY_E_FORKED
/// Owner:   nothing changes hands
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
///
/// # Safety
/// `resource` is NULL or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_session_forget(
    session: Option<&keyferry_session>,
    resource: *const c_char,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_session_forget", error_out, || {
        // SAFETY: by this function's contract.
        let resource = unsafe { text::optional(resource, "resource") }?;
        or_default(session)?.forget(resource)
    })
}
