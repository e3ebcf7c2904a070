//! The request object: a resource and the requirements for its token.

#![expect(unsafe_code, reason = "C callers")]

use std::ffi::c_char;
use std::io::{PipeWriter, Write};
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::ffi::boundary;
use crate::ffi::error::keyferry_error;
use crate::ffi::panic;
use crate::ffi::status::keyferry_status;
use crate::ffi::text;
use crate::ffi::token::{self, keyferry_token};
use crate::model::key::Access;
use crate::model::request::{Login, Request};
use crate::model::token::Token;
use crate::sys::fork;
use crate::sys::sync::Mutex;

/// A resource and the requirements for its token. One thread sets up a request; after that, any
/// thread may use or cancel it.
///
/// A program that often needs a token of one resource should keep its request. The first session
/// that uses the request keeps the parsed resource in it, so each later call with this session is
/// faster than `masv_token_for`. Other sessions may use the request too.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
pub struct keyferry_request {
    request: Request,
    started: Arc<Mutex<Started>>,
    fork: u32,
}

/// How far a fetch that `keyferry_session_start` has started is.
#[derive(Default)]
enum Started {
    #[default]
    No,
    Running,
    Ended(Box<Result<Token>>),
}

/// Receives the outcome of a started fetch.
pub(crate) struct Outcome {
    started: Arc<Mutex<Started>>,
    pipe: PipeWriter,
}

impl Outcome {
    /// Keeps the outcome for `keyferry_request_token`, and then makes the pipe readable.
    pub(crate) fn set(mut self, outcome: Result<Token>) {
        *self.started.lock() = Started::Ended(Box::new(outcome));
        // A caller that has closed its end of the pipe does not wait any more.
        let _ = self.pipe.write_all(&[0]);
    }
}

impl keyferry_request {
    /// Returns the request, or an error if it was created before a fork.
    pub(crate) fn checked(request: Option<&Self>) -> Result<&Request> {
        let request = boundary::required(request, "request")?;
        if request.fork == fork::generation() {
            Ok(&request.request)
        } else {
            Err(forked_error())
        }
    }

    /// Reserves the request for a fetch, whose outcome it then holds.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] if the request already has a fetch or the outcome of one.
    pub(crate) fn start(&self, pipe: PipeWriter) -> Result<Outcome> {
        let mut started = self.started.lock();
        if !matches!(*started, Started::No) {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                "cannot start the request: it is started already; call keyferry_request_token first",
            ));
        }
        *started = Started::Running;
        Ok(Outcome {
            started: Arc::clone(&self.started),
            pipe,
        })
    }

    /// Cancels a started fetch, because no caller can get its outcome any more. In a forked child,
    /// the threads and the locks of the parent are gone.
    fn cancel_started(&self) {
        if self.fork == fork::generation() && matches!(*self.started.lock(), Started::Running) {
            self.request.cancel.cancel();
        }
    }

    /// Takes the outcome of the fetch that was started last.
    fn take_outcome(&self) -> Result<Token> {
        let mut started = self.started.lock();
        match std::mem::take(&mut *started) {
            Started::Ended(outcome) => *outcome,
            other => {
                *started = other;
                Err(Error::new(
                    ErrorKind::InvalidValue,
                    "the request has no result; call keyferry_session_start and wait until its descriptor is readable",
                ))
            }
        }
    }
}

fn forked_error() -> Error {
    Error::new(
        ErrorKind::Forked,
        "this request was created before a fork; create a new one in the child",
    )
}

/// The access that the resource implies. This is the default.
pub const KEYFERRY_ACCESS_ANY: i32 = 0;
/// Full access, for a kind of token that has only one level of access.
pub const KEYFERRY_ACCESS_FULL: i32 = 1;
/// Access to list and download a package.
pub const KEYFERRY_ACCESS_READ: i32 = 2;
/// Access to add files to a package and finalize it.
pub const KEYFERRY_ACCESS_WRITE: i32 = 3;
/// Access to rename, transfer and delete a package, to make it expire, and to create download links
/// for it.
pub const KEYFERRY_ACCESS_MANAGE: i32 = 4;

/// Creates a request for a resource.
///
/// @param resource     as for `masv_token_for`. A misspelt short form is an error of the function that uses the
///                     request. Borrowed and copied.
/// @param request_out  receives the request
/// @param error_out    receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `resource` or `request_out` is NULL;
///          KEYFERRY_E_NOT_UTF8 if `resource` is not UTF-8;
///          KEYFERRY_E_INVALID_RESOURCE if `resource` is malformed
/// Owner:   the caller frees the request with `keyferry_request_free`
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
///
/// # Safety
/// `resource` is NULL or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_request_new(
    resource: *const c_char,
    request_out: Option<&mut MaybeUninit<*mut keyferry_request>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("keyferry_request_new", request_out, error_out, |out| {
        let out = boundary::required(out, "request_out")?;
        // SAFETY: the caller promises that `resource` is NULL or ends in NUL.
        let resource = unsafe { text::required(resource, "resource") }?;
        crate::model::resource::Resource::parse(resource)?;
        fork::watch();
        boundary::write_out(
            out,
            keyferry_request {
                request: Request::new(resource),
                started: Arc::default(),
                fork: fork::generation(),
            },
        );
        Ok(())
    })
}

/// Sets how long the token must stay valid. keyferry refreshes a token that expires sooner.
///
/// If the service issues only tokens with a shorter lifetime, keyferry returns the freshest one;
/// `keyferry_token_expires_unix_s` gives its expiry.
///
/// @param request      the request
/// @param min_valid_s  seconds; with 0, the default, keyferry refreshes the token only in its refresh windows (see
///                     "Refresh" at the top of this file)
/// @param error_out    receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `request` is NULL
/// Owner:   ownership does not change
/// Threads: [one]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_request_set_min_valid_s(
    request: Option<&mut keyferry_request>,
    min_valid_s: u32,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_request_set_min_valid_s", error_out, || {
        boundary::required(request, "request")?.request.min_valid =
            Duration::from_secs(min_valid_s.into());
        Ok(())
    })
}

/// Sets the access that the token must allow, instead of the access that the resource implies.
///
/// @param request    the request
/// @param access     one of `KEYFERRY_ACCESS_`
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `request` is NULL;
///          KEYFERRY_E_INVALID_VALUE if `access` is not one of `KEYFERRY_ACCESS_`
/// Owner:   ownership does not change
/// Threads: [one]
/// Source:  MASV API, package tokens
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_request_set_access(
    request: Option<&mut keyferry_request>,
    access: i32,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_request_set_access", error_out, || {
        let request = boundary::required(request, "request")?;
        let known = u8::try_from(access).ok().and_then(Access::from_number);
        if known.is_none() && access != KEYFERRY_ACCESS_ANY {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                format!("access {access} is invalid; use one of KEYFERRY_ACCESS_…"),
            ));
        }
        request.request.access = known;
        Ok(())
    })
}

/// Sets the account to use instead of the default account.
///
/// This function does not check whether a profile has the name. If none has it, the first call that uses the
/// request returns KEYFERRY_E_NOT_CONFIGURED.
///
/// @param request    the request
/// @param account    the name of a profile in the configuration, UTF-8; NULL for the default account. Borrowed and
///                   copied.
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `request` is NULL;
///          KEYFERRY_E_NOT_UTF8 if `account` is not UTF-8
/// Owner:   ownership does not change
/// Threads: [one]
/// Source:  keyferry
/// Since:   0.1
///
/// # Safety
/// `account` is NULL or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_request_set_account(
    request: Option<&mut keyferry_request>,
    account: *const c_char,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_request_set_account", error_out, || {
        let request = boundary::required(request, "request")?;
        // SAFETY: the caller promises that `account` is NULL or ends in NUL.
        let account = unsafe { text::optional(account, "account") }?;
        // A name that is too long matches no profile. To avoid a copy of it, use the empty name
        // instead, which matches no profile either.
        request.request.account = account.map(|name| {
            if text::check_length(name, "account").is_ok() {
                name
            } else {
                ""
            }
            .to_owned()
        });
        Ok(())
    })
}

/// Sets the password of a password-protected link.
///
/// @param request    the request
/// @param password   UTF-8; NULL for no password. Borrowed and copied; `keyferry_request_free` wipes the copy.
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `request` is NULL;
///          KEYFERRY_E_NOT_UTF8 if `password` is not UTF-8;
///          KEYFERRY_E_INVALID_VALUE if `password` is empty, longer than 16 KiB or contains a
///            control character
/// Owner:   ownership does not change
/// Threads: [one]
/// Source:  MASV API, `GET /v1/links/{link_id}`, header X-Link-Password
/// Since:   0.1
///
/// # Safety
/// `password` is NULL or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_request_set_link_password(
    request: Option<&mut keyferry_request>,
    password: *const c_char,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_request_set_link_password", error_out, || {
        let request = boundary::required(request, "request")?;
        // SAFETY: the caller promises that `password` is NULL or ends in NUL.
        let password = unsafe { text::optional_secret(password, "password") }?;
        password
            .iter()
            .try_for_each(|password| password.check("password"))?;
        request.request.link_password = password;
        Ok(())
    })
}

/// Makes the request log in to MASV with e-mail and password, as `masv_login` does, even if a token
/// is cached or stored. So a login can wait in an event loop, or have its own account and timeout.
///
/// @param request    a request for the resource `user`
/// @param email      UTF-8; NULL for the configured `masv.email`. Borrowed and copied.
/// @param password   UTF-8; NULL for the configured `masv.password`. Borrowed and copied; `keyferry_request_free`
///                   wipes the copy.
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `request` is NULL;
///          KEYFERRY_E_NOT_UTF8 if `email` or `password` is not UTF-8;
///          KEYFERRY_E_INVALID_VALUE if `email` or `password` is longer than 16 KiB, or if the
///            resource is not `user`
/// Owner:   ownership does not change
/// Threads: [one]
/// Source:  MASV API, `POST /v1/auth`
/// Since:   0.1
///
/// # Safety
/// `email` and `password` are each NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_request_set_login(
    request: Option<&mut keyferry_request>,
    email: *const c_char,
    password: *const c_char,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_request_set_login", error_out, || {
        let request = boundary::required(request, "request")?;
        // SAFETY: the caller promises that `email` is NULL or ends in NUL.
        let email = unsafe { text::optional_secret(email, "email") }?;
        // SAFETY: the caller promises that `password` is NULL or ends in NUL.
        let password = unsafe { text::optional_secret(password, "password") }?;
        if !matches!(&*request.request.resource, "user" | "masv:user") {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                "cannot log in with this request: its resource is another one; create a request for `user`",
            ));
        }
        request.request.login = Some(Login { email, password });
        Ok(())
    })
}

/// Sets how long a call with this request may wait for its token.
///
/// @param request     the request
/// @param timeout_ms  milliseconds, 1 to 600000 (10 minutes); 0, the default, for the configured `http.timeout_ms`
/// @param error_out   receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `request` is NULL;
///          KEYFERRY_E_INVALID_VALUE if `timeout_ms` is above 600000
/// Owner:   ownership does not change
/// Threads: [one]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_request_set_timeout_ms(
    request: Option<&mut keyferry_request>,
    timeout_ms: u32,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_request_set_timeout_ms", error_out, || {
        let request = boundary::required(request, "request")?;
        if timeout_ms > 600_000 {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                "timeout_ms is above 600000 (10 minutes); pass a smaller value",
            ));
        }
        request.request.timeout =
            (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms.into()));
        Ok(())
    })
}

/// Cancels a request for good. All calls that use the request, both waiting and later ones, return
/// `KEYFERRY_E_CANCELLED`.
///
/// A fetch that has started goes on for other callers that wait for the same token.
///
/// @param request  NULL does nothing
///
/// Errors:  none
/// Owner:   ownership does not change
/// Threads: [any], even while another call uses `request`
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_request_cancel(request: Option<&keyferry_request>) {
    panic::infallible("keyferry_request_cancel", (), || {
        if let Ok(request) = keyferry_request::checked(request) {
            request.cancel.cancel();
        }
    });
}

/// Gets the result of `keyferry_session_start`: the token, or the error.
///
/// Call this function after the descriptor of `keyferry_session_start` has become readable. It never waits.
/// Afterwards, the request can be started again.
///
/// @param request    the started request
/// @param token_out  receives the token
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  all errors of `keyferry_session_token_for`;
///          KEYFERRY_E_NULL_ARGUMENT if `request` or `token_out` is NULL;
///          KEYFERRY_E_INVALID_VALUE if the request is not started or has no result yet;
///          KEYFERRY_E_FORKED if `request` was created before a fork
/// Owner:   the caller frees the token with `keyferry_token_free`
/// Threads: [any]; only one call gets the result
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_request_token(
    request: Option<&keyferry_request>,
    token_out: Option<&mut MaybeUninit<*mut keyferry_token>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("keyferry_request_token", token_out, error_out, |out| {
        let out = boundary::required(out, "token_out")?;
        keyferry_request::checked(request)?;
        let request = boundary::required(request, "request")?;
        token::write_out(out, Box::new(request.take_outcome()?));
        Ok(())
    })
}

/// Frees a request and wipes its passwords. A fetch that `keyferry_session_start` has started
/// with this request is cancelled, as with `keyferry_request_cancel`.
///
/// @param request  NULL does nothing. Taken.
///
/// Errors:  none
/// Owner:   takes `request`
/// Threads: [one]: no other call may be using `request`. If another thread waits with it, call
///          `keyferry_request_cancel`, and free the request after that thread's call has returned.
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_request_free(request: Option<Box<keyferry_request>>) {
    panic::infallible("keyferry_request_free", (), || {
        if let Some(request) = request {
            request.cancel_started();
        }
    });
}
