//! The session object: configuration, services, cache and store.

#![expect(unsafe_code, reason = "C callers")]

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::os::fd::IntoRawFd;

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

/// A session: configuration, services, cache and store. Any number of threads may use one session
/// at the same time.
///
/// NULL stands for the default session. The first call that uses the default session opens it from
/// the user's configuration. keyferry never frees it. A forked child opens its own default session.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
pub struct keyferry_session {
    session: Session,
    fork: u32,
}

/// Returns the session of a handle, or the default session for NULL.
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
        "this session was opened before a fork; pass NULL, or open a new one in the child",
    )
}

/// Opens a session.
///
/// Makes no network request. Starts threads only to initialise the configured plugins. If a plugin
/// cannot be used, this function still succeeds. Only calls that need this plugin fail; their error
/// message gives the reason.
///
/// @param config       NULL for the user's `config.toml` and the environment. Borrowed and copied.
/// @param session_out  receives the session
/// @param error_out    receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `session_out` is NULL;
///          KEYFERRY_E_CONFIG or KEYFERRY_E_UNSAFE_FILE if the configuration cannot be used: the
///            error message names the key;
///          KEYFERRY_E_NOT_CONFIGURED if the selected `profile` does not exist
/// Owner:   the caller frees the session with `keyferry_session_free`
/// Threads: [any]
/// Source:  docs/configuration.md
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

/// Closes and frees a session. It cancels running refreshes and ends the threads of the session
/// within one second. Tokens and errors of the session stay valid.
///
/// @param session  NULL does nothing. In a forked child, keyferry does not free a session from before the fork.
///                 Taken.
///
/// Errors:  none
/// Owner:   takes `session`; no call may be using it
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

/// Gets the headers for the resource of a request.
///
/// Uses the cached token if it is fresh; otherwise loads a token from the store or requests one
/// from the service.
///
/// @param session    NULL for the default session
/// @param request    the resource and the requirements for its token. Borrowed.
/// @param token_out  receives the token
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  all errors of `masv_token_for` and `fileverbs_bearer`;
///          KEYFERRY_E_NULL_ARGUMENT if `request` or `token_out` is NULL;
///          KEYFERRY_E_FORKED if `session` or `request` was created before a fork;
///          KEYFERRY_E_CANCELLED if `request` is cancelled
/// Owner:   the caller frees the token with `keyferry_token_free`
/// Threads: [any]; if several threads need the same token, keyferry fetches it once
/// Source:  API documentation of the services
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

/// Starts a call of `keyferry_session_token_for` on a thread of keyferry, and returns at once. A
/// program with an event loop can wait for the token in this way without a thread of its own.
///
/// `fd_out` receives the reading end of a pipe, which the program adds to its event loop. When it becomes readable,
/// `keyferry_request_token` returns the token or the error. If the resource needs a login, the login
/// may still run when the program closes the descriptor, cancels or frees the request, or ends: it then goes
/// on for other callers.
///
/// @param session    NULL for the default session
/// @param request    the resource and the requirements for its token; it holds the result. Borrowed and copied: it
///                   may be freed at any time.
/// @param fd_out     receives a file descriptor, or -1 on failure
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `request` or `fd_out` is NULL;
///          KEYFERRY_E_INVALID_VALUE if `request` is started already and its result was not taken;
///          KEYFERRY_E_UNREACHABLE if no pipe can be created, because the process has too many open files;
///          KEYFERRY_E_FORKED if `session` or `request` was created before a fork.
///          `keyferry_request_token` returns all other errors.
/// Owner:   the caller closes the descriptor with `close`
/// Threads: [any]; if several threads need the same token, keyferry fetches it once
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_session_start(
    session: Option<&keyferry_session>,
    request: Option<&keyferry_request>,
    fd_out: Option<&mut MaybeUninit<i32>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_session_start", error_out, || {
        let fd_out = boundary::required(fd_out, "fd_out")?.write(-1);
        let copy = keyferry_request::checked(request)?.clone();
        let request = boundary::required(request, "request")?;
        let session = or_default(session)?;
        let (reader, writer) = std::io::pipe().map_err(|error| no_pipe(&error))?;
        let outcome = request.start(writer)?;
        session.start(copy, |token| outcome.set(token));
        *fd_out = reader.into_raw_fd();
        Ok(())
    })
}

#[cold]
fn no_pipe(error: &std::io::Error) -> Error {
    Error::new(
        ErrorKind::Unreachable,
        format!("cannot create a pipe: {error}; raise the limit on open files (`ulimit -n`)"),
    )
}

/// Gets an unexpired token from the cache.
///
/// Does not read the store and makes no network request. The first use of the default session opens
/// it, which reads the configuration.
///
/// @param session    NULL for the default session
/// @param request    the resource and the requirements for its token. Borrowed.
/// @param token_out  receives the token
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NOT_CACHED if no unexpired token is cached, or if the cached token expires
///            before the required time has passed. That time is `min_valid_s` seconds, or half of
///            the token's lifetime if `min_valid_s` exceeds the whole lifetime;
///          KEYFERRY_E_NULL_ARGUMENT if `request` or `token_out` is NULL;
///          KEYFERRY_E_INVALID_RESOURCE if the resource is a misspelt short form;
///          KEYFERRY_E_UNKNOWN_SERVICE if the resource belongs to no configured service;
///          KEYFERRY_E_NO_HEADER if the resource takes no credential header;
///          KEYFERRY_E_NOT_CONFIGURED if the account does not exist;
///          KEYFERRY_E_FORKED if `session` or `request` was created before a fork
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

/// Copies the header line `Name: value` of a fresh cached token into a buffer, followed by a NUL.
///
/// Does not read the store and makes no network request. Allocates memory in two cases only: for a
/// MASV link (`links/ID?secret=S`), and for a URL that keyferry must normalize. Examples are a URL
/// with upper-case letters in its host, and a URL with percent-encoded characters. The first use of
/// the default session opens it, which reads the configuration.
///
/// When the token becomes due for a refresh, exactly one call of this function returns
/// KEYFERRY_E_NOT_CACHED, although the token is still valid. That caller should call
/// `keyferry_session_token_for`, which starts the refresh. All other calls still return the token.
///
/// @param session     NULL for the default session
/// @param resource    as for `masv_token_for`. Borrowed.
/// @param buffer      receives the line; may be NULL if `capacity` is 0. After any status other than KEYFERRY_OK it
///                    may contain bytes of a token.
/// @param capacity    the size of `buffer` in bytes; a line is shorter than 17000 bytes
/// @param length_out  receives the length of the line in bytes without NUL, even if the status is
///                    KEYFERRY_E_BUFFER_TOO_SMALL; may be NULL
///
/// Errors:  KEYFERRY_E_NOT_CACHED if no fresh token is cached: call `keyferry_session_token_for`;
///          KEYFERRY_E_BUFFER_TOO_SMALL if the line and its NUL do not fit;
///          KEYFERRY_E_MULTIPLE_HEADERS if the token has more than one header;
///          KEYFERRY_E_NULL_ARGUMENT if `resource` is NULL, or if `buffer` is NULL and `capacity`
///            is not 0;
///          KEYFERRY_E_NOT_UTF8 if `resource` is not UTF-8;
///          KEYFERRY_E_INVALID_RESOURCE if `resource` is malformed, or a misspelt short form;
///          KEYFERRY_E_UNKNOWN_SERVICE if `resource` belongs to no configured service;
///          KEYFERRY_E_NO_HEADER if `resource` takes no credential header;
///          KEYFERRY_E_FORKED if `session` was opened before a fork
/// Owner:   ownership does not change; the line is a secret: wipe `buffer` whatever the status is
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
///
/// # Safety
/// `resource` is NULL or ends in NUL. `buffer` has room for `capacity` bytes.
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
        // SAFETY: `resource` is not NULL, and the caller promises that it then ends in NUL.
        let resource =
            text::utf8(unsafe { CStr::from_ptr(resource) }).ok_or(KEYFERRY_E_NOT_UTF8)?;
        let line: &mut [MaybeUninit<u8>] = if buffer.is_null() {
            &mut []
        } else {
            // SAFETY: the caller promises that `buffer` has room for `capacity` bytes, which need
            // not be initialised.
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

/// Reports that the service answered 401 to a token. This function does not name the resource. From
/// then on, this session no longer returns the token for any resource. All other sessions and processes go on using
/// the token until a newer one is stored. A newer token is not affected.
///
/// The next call that needs the token finds out whether the token is still valid, in the way that
/// `keyferry_session_reject_value` describes. If it is valid, this session returns it again after 10
/// seconds. Prefer `keyferry_session_reject_value`, which names the resource. This function makes no
/// network request.
///
/// @param session    NULL for the default session
/// @param token      the token. Borrowed; it may come from another session with the same account.
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `token` is NULL;
///          KEYFERRY_E_STORE if the store cannot be written;
///          KEYFERRY_E_FORKED if `session` was opened before a fork
/// Owner:   ownership does not change: the caller still frees `token`
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

/// Reports that the service answered 401 to a header value at a resource. Does nothing unless the
/// value belongs to the current token of the resource.
///
/// From then on, keyferry no longer returns this token for this resource, in any process. It goes on
/// returning the token for all other resources until a newer token is stored. keyferry ignores the resource's
/// query, and remembers the last 64 resources of each token.
///
/// The next call for the resource finds out whether the token is still valid: keyferry sends a
/// request that the service accepts with every valid token. If the token is not valid, the call returns a new one. If the token
/// is valid, the call returns KEYFERRY_E_INSUFFICIENT_ACCESS. If the service has no such request,
/// keyferry replaces the token, but at most once in 10 seconds. This interval grows to 1 minute, 10
/// minutes and 1 hour if the new tokens are rejected too. During the interval, the call returns
/// KEYFERRY_E_BAD_CREDENTIALS, and `keyferry_error_retry_after_ms` says how long to wait. A
/// configured API key or SecretKey cannot be replaced; keyferry returns it again after the interval.
///
/// Makes no network request itself.
///
/// @param session    NULL for the default session
/// @param resource   the resource that the value was returned for. Borrowed.
/// @param value      the value of the header, with or without `Bearer `; UTF-8. Borrowed.
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `resource` or `value` is NULL;
///          KEYFERRY_E_NOT_UTF8 if `resource` or `value` is not UTF-8;
///          KEYFERRY_E_INVALID_RESOURCE if `resource` is malformed, or a misspelt short form;
///          KEYFERRY_E_UNKNOWN_SERVICE if `resource` belongs to no configured service;
///          KEYFERRY_E_NO_HEADER if `resource` takes no credential header;
///          KEYFERRY_E_STORE if the store cannot be written;
///          KEYFERRY_E_FORKED if `session` was opened before a fork
/// Owner:   ownership does not change
/// Threads: [any]
/// Source:  RFC 9110, section 15.5.2
/// Since:   0.1
///
/// # Safety
/// `resource` and `value` are each NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_session_reject_value(
    session: Option<&keyferry_session>,
    resource: *const c_char,
    value: *const c_char,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_session_reject_value", error_out, || {
        // SAFETY: the caller promises that `resource` is NULL or ends in NUL.
        let resource = unsafe { text::required(resource, "resource") }?;
        // SAFETY: the caller promises that `value` is NULL or ends in NUL.
        let value = unsafe { text::required(value, "value") }?;
        // A value that is too long belongs to no token. Pass the empty string in its place, which
        // also belongs to no token and needs no copy.
        let value = Secret::from(if text::check_length(value, "value").is_ok() {
            value
        } else {
            ""
        });
        or_default(session)?.reject_value(resource, &value)
    })
}

/// Adds a token that the caller got from the service without keyferry. Examples are the token of a
/// package that the caller created in a Portal (a MASV team's upload page), and the token of a
/// transfer that the caller started.
///
/// Caches and stores the token. Makes no network request.
///
/// @param session         NULL for the default session
/// @param resource        `packages/ID`, `transfers/ID`, or the URL of a package or transfer. Borrowed.
/// @param value           the token, UTF-8. Borrowed and copied.
/// @param expires_unix_s  the expiry in seconds since 1970; `KEYFERRY_NO_EXPIRY` if the caller does not know the
///                        expiry: keyferry then reads it from the token
/// @param error_out       receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `resource` or `value` is NULL;
///          KEYFERRY_E_NOT_UTF8 if `resource` or `value` is not UTF-8;
///          KEYFERRY_E_INVALID_RESOURCE if `resource` is malformed, or a misspelt short form;
///          KEYFERRY_E_UNKNOWN_SERVICE if `resource` belongs to no configured service;
///          KEYFERRY_E_NO_HEADER if `resource` takes no credential header;
///          KEYFERRY_E_INVALID_VALUE if `value` cannot be a token, or the token has expired;
///          KEYFERRY_E_UNSUPPORTED if a token of `resource` cannot be added;
///          KEYFERRY_E_STORE if the store cannot be written;
///          KEYFERRY_E_FORKED if `session` was opened before a fork
/// Owner:   ownership does not change
/// Threads: [any]
/// Source:  MASV API, `POST /v1/portals/{portal_id}/packages` and `POST /v1/packages/{id}/transfer`
/// Since:   0.1
///
/// # Safety
/// `resource` and `value` are each NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_session_adopt(
    session: Option<&keyferry_session>,
    resource: *const c_char,
    value: *const c_char,
    expires_unix_s: i64,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_session_adopt", error_out, || {
        // SAFETY: the caller promises that `resource` is NULL or ends in NUL.
        let resource = unsafe { text::required(resource, "resource") }?;
        // SAFETY: the caller promises that `value` is NULL or ends in NUL.
        let value = boundary::required(unsafe { text::optional_secret(value, "value") }?, "value")?;
        let expires = (expires_unix_s != KEYFERRY_NO_EXPIRY).then_some(expires_unix_s);
        or_default(session)?.adopt(resource, value, expires)
    })
}

/// Removes everything that keyferry caches or stores for a resource: the token, the secret that
/// refreshes the token, and recorded rejections of a credential. Other processes remove their
/// copies when they next read the store.
///
/// Makes no network request.
///
/// @param session    NULL for the default session
/// @param resource   NULL for all resources of all accounts; otherwise as for `masv_token_for`. Borrowed.
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NOT_UTF8 if `resource` is not UTF-8;
///          KEYFERRY_E_INVALID_RESOURCE if `resource` is malformed, or a misspelt short form;
///          KEYFERRY_E_UNKNOWN_SERVICE if `resource` belongs to no configured service;
///          KEYFERRY_E_NO_HEADER if `resource` takes no credential header;
///          KEYFERRY_E_STORE or KEYFERRY_E_UNSAFE_FILE if data cannot be removed from the store;
///          KEYFERRY_E_FORKED if `session` was opened before a fork
/// Owner:   ownership does not change
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
        // SAFETY: the caller promises that `resource` is NULL or ends in NUL.
        let resource = unsafe { text::optional(resource, "resource") }?;
        or_default(session)?.forget(resource)
    })
}
