//! The session object: configuration, services, cache and store.

#![expect(unsafe_code, reason = "C callers")]

use std::collections::VecDeque;
use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::ffi::boundary;
use crate::ffi::config::keyferry_config;
use crate::ffi::error::keyferry_error;
use crate::ffi::panic;
use crate::ffi::request::keyferry_request;
use crate::ffi::status::{self, KEYFERRY_E_NOT_UTF8, KEYFERRY_E_NULL_ARGUMENT, keyferry_status};
use crate::ffi::text;
use crate::ffi::token::{self, KEYFERRY_NO_EXPIRY, keyferry_token};
use crate::secret::Secret;
use crate::session::Session;
use crate::sys::fork::{self, PerProcess};
use crate::sys::in_use;
use crate::sys::pipe;
use crate::sys::sync::Mutex;

/// A session: configuration, services, cache and store. Any number of threads may use one session
/// at the same time.
///
/// NULL stands for the default session. The first call that uses the default session opens it from
/// the user's configuration. keyferry never frees it. A forked child opens its own default session.
/// A process with raised privilege (setuid, setgid, file capabilities) has no default session: calls
/// that need it return KEYFERRY_E_CONFIG.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
pub struct keyferry_session {
    /// NULL after `keyferry_session_free`.
    session: AtomicPtr<Session>,
    /// The closed session, until it is freed.
    closed: AtomicPtr<Session>,
    fork: u32,
}

/// The number of freed handles whose memory is kept.
const MAX_FREED: usize = 1024;
/// How long `keyferry_session_free` waits for calls that use the session.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// The addresses of the last freed handles. A call that comes too late finds a handle without a session
/// there, and not memory that has another use.
static FREED: PerProcess<Mutex<VecDeque<usize>>> = PerProcess::new();

/// Calls a function with the session of a handle, or with the default session for NULL. Until the
/// function returns, `keyferry_session_free` does not free the session.
///
/// `call` is called in one place, so that the compiler inlines it: a cache hit takes 10 ns less.
#[inline]
pub(crate) fn with<T, E: From<Error>>(
    handle: Option<&keyferry_session>,
    call: impl FnOnce(&Session) -> Result<T, E>,
) -> Result<T, E> {
    let using = match handle {
        Some(handle) if handle.fork != fork::generation() => return Err(forked_error().into()),
        handle => handle.map(Using::begin),
    };
    let session = match &using {
        Some(using) => using.session().ok_or_else(closed_error)?,
        None => Session::default_session()?,
    };
    match call(session) {
        Err(_) if using.as_ref().is_some_and(|using| using.handle.is_closed()) => {
            Err(closed_error().into())
        }
        outcome => outcome,
    }
}

/// The use of a session by a call. When it ends after the session was closed, the session is freed
/// if no other call uses it.
struct Using<'a> {
    handle: &'a keyferry_session,
    begun: in_use::Use,
}

impl<'a> Using<'a> {
    #[inline]
    fn begin(handle: &'a keyferry_session) -> Self {
        Self {
            handle,
            begun: in_use::begin(handle),
        }
    }

    /// Returns the session, unless it was closed.
    #[inline]
    fn session(&self) -> Option<&Session> {
        // SAFETY: the pointer is NULL, or came from `Box::into_raw`. A closed session is freed only
        // after this use of the handle has ended.
        unsafe { self.handle.session.load(Ordering::Acquire).as_ref() }
    }
}

impl Drop for Using<'_> {
    #[inline]
    fn drop(&mut self) {
        self.begun.end();
        if self.handle.is_closed() {
            self.handle.free_closed();
        }
    }
}

impl keyferry_session {
    #[inline]
    fn is_closed(&self) -> bool {
        self.session.load(Ordering::Acquire).is_null()
    }

    /// Closes the session and waits for the calls that use it. The session is freed then, or when the
    /// last of these calls returns. Returns whether this call closed the session.
    fn close(&self) -> bool {
        let deadline = Instant::now() + MAX_WAIT;
        let session = self.session.swap(std::ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: the pointer is NULL, or came from `Box::into_raw`. No other call frees the session,
        // because it is not in `closed` yet.
        let Some(open) = (unsafe { session.as_ref() }) else {
            return false;
        };
        open.close();
        in_use::wait_unused(self, deadline);
        self.closed.store(session, Ordering::Release);
        self.free_closed();
        true
    }

    /// Frees the closed session if no call uses it.
    #[cold]
    fn free_closed(&self) {
        if !in_use::wait_unused(self, Instant::now()) {
            return;
        }
        let session = self.closed.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if !session.is_null() {
            // SAFETY: the pointer came from `Box::into_raw`, only this call has it now, and no call
            // uses the session.
            drop(unsafe { Box::from_raw(session) });
        }
    }
}

/// Keeps the memory of a freed handle for a while.
fn keep_freed(handle: &keyferry_session) {
    let mut freed = FREED.get_or_init(Mutex::default).lock();
    freed.push_back(std::ptr::from_ref(handle).expose_provenance());
    if freed.len() <= MAX_FREED {
        return;
    }
    if let Some(oldest) = freed.pop_front() {
        let oldest = std::ptr::with_exposed_provenance_mut::<keyferry_session>(oldest);
        // SAFETY: the address came from `Box::into_raw`, and this process freed the handle.
        let oldest = unsafe { Box::from_raw(oldest) };
        if !in_use::wait_unused(&*oldest, Instant::now()) {
            // A call hangs. When it returns, it frees the session, and needs the handle for that.
            std::mem::forget(oldest);
        }
    }
}

#[cold]
fn closed_error() -> Error {
    Error::new(
        ErrorKind::Cancelled,
        "the session was closed; open a new session",
    )
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
///            error message names the key. KEYFERRY_E_CONFIG also if the process has raised
///            privilege (setuid, setgid, file capabilities) and `config` is NULL or has settings
///            that such a process cannot use: the error message names AT_SECURE;
///          KEYFERRY_E_NOT_CONFIGURED if the selected `profile` does not exist
/// Owner:   the caller frees the session with `keyferry_session_free`
/// Threads: [any], but no other call may be changing or freeing `config`
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
        in_use::prepare();
        boundary::write_out(
            out,
            keyferry_session {
                session: AtomicPtr::new(Box::into_raw(Box::new(session))),
                closed: AtomicPtr::default(),
                fork: fork::generation(),
            },
        );
        Ok(())
    })
}

/// Closes and frees a session, and ends its threads within one second. It cancels running logins and
/// refreshes. A refresh that was sent may still be answered and stored during that second. Tokens and errors of
/// the session stay valid.
///
/// Other threads may be using the session. Their calls return KEYFERRY_E_CANCELLED, and this function
/// waits for them, at most one second. If a call takes longer, for example because a plugin hangs,
/// the memory of the session is freed when that call returns.
///
/// @param session  NULL does nothing. In a forked child, keyferry does not free a session from before the fork.
///                 Taken.
///
/// Errors:  none
/// Owner:   takes `session`; no new call may use it
/// Threads: [any], even while other calls use `session`
/// Source:  keyferry
/// Since:   0.1
///
/// # Safety
/// `session` is NULL, or came from `keyferry_session_open`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_session_free(session: *mut keyferry_session) {
    panic::infallible("keyferry_session_free", (), || {
        // SAFETY: the caller promises that `session` is NULL or a handle. A handle is freed only
        // after its session.
        let handle = unsafe { session.as_ref() };
        if let Some(handle) = handle.filter(|handle| handle.fork == fork::generation())
            && handle.close()
        {
            keep_freed(handle);
        }
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
        let token = with(session, |session| {
            session.boxed_token_for(keyferry_request::checked(request)?)
        })?;
        token::write_out(out, token);
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
    boundary::call_with_pipe("keyferry_session_start", fd_out, error_out, || {
        let copy = keyferry_request::checked(request)?.clone();
        let request = boundary::required(request, "request")?;
        with(session, |session| {
            let (reader, writer) = pipe::create()?;
            let outcome = request.start(writer)?;
            session.start(copy, |token| outcome.set(token));
            Ok(reader)
        })
    })
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
        let token = with(session, |session| {
            session.boxed_cached(keyferry_request::checked(request)?)
        })?;
        token::write_out(out, token);
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
        let length =
            with(session, |session| session.peek(resource, line)).map_err(status::from_kind)?;
        if let Some(out) = length_out {
            out.write(length);
        }
        if length < capacity {
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
        with(session, |session| session.reject(&token.token))
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
        with(session, |session| session.reject_value(resource, &value))
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
        with(session, |session| session.adopt(resource, value, expires))
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
        with(session, |session| session.forget(resource))
    })
}
