//! MASV cloud by the names that callers look for.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use crate::ffi::boundary;
use crate::ffi::error::keyferry_error;
use crate::ffi::session::{self, keyferry_session};
use crate::ffi::status::keyferry_status;
use crate::ffi::text;
use crate::ffi::token::{self, keyferry_token};

/// Logs in to MASV with e-mail and password: always one `POST /v1/auth`, also where an earlier one
/// was refused. The login is kept for the session's account, so `masv_token_for` works from then
/// on; when it ends and no password is configured, that one answers KEYFERRY_E_LOGIN_REQUIRED. Goes
/// to the network.
///
/// @param session    NULL for the default session
/// @param email      UTF-8; NULL for the configured `masv.email`. Borrowed.
/// @param password   UTF-8; NULL for the configured `masv.password`. Borrowed; our copy is wiped.
/// @param token_out  gets the user token, with `user` and `teams` in its details; may be NULL
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NOT_CONFIGURED if one is neither given nor configured;
///          KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE, KEYFERRY_E_PLUGIN if a configured one
///          can't be had; KEYFERRY_E_BAD_CREDENTIALS for a wrong password, and for accounts with
///          MFA or SSO, which need an API key; KEYFERRY_E_NOT_FOUND, KEYFERRY_E_UNSUPPORTED if MASV
///          is not at `masv.url`; KEYFERRY_E_UNREACHABLE, KEYFERRY_E_TLS, KEYFERRY_E_NO_RESPONSE,
///          KEYFERRY_E_THROTTLED, KEYFERRY_E_UNAVAILABLE, KEYFERRY_E_BAD_RESPONSE,
///          KEYFERRY_E_REDIRECTED, KEYFERRY_E_TIMEOUT, KEYFERRY_E_FORKED; KEYFERRY_E_NOT_UTF8;
///          KEYFERRY_E_INVALID_VALUE if one is empty, longer than 16 KiB or holds a control
///          character
/// Owner:   the caller frees the token with `keyferry_token_free`
/// Threads: [any]
/// Source:  MASV API, `POST /v1/auth`
/// Since:   0.1
///
/// # Safety
/// `email` and `password` are NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn masv_login(
    session: Option<&keyferry_session>,
    email: *const c_char,
    password: *const c_char,
    token_out: Option<&mut MaybeUninit<*mut keyferry_token>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("masv_login", token_out, error_out, |out| {
        // SAFETY: by this function's contract.
        let email = unsafe { text::optional_secret(email, "email") }?;
        // SAFETY: by this function's contract.
        let password = unsafe { text::optional_secret(password, "password") }?;
        let token = session::or_default(session)?.masv_login(email, password)?;
        if let Some(out) = out {
            token::write_out(out, Box::new(token));
        }
        Ok(())
    })
}

/// Gets the headers for a resource of any service, from memory if they are fresh, else from the
/// store or the service. A path with no service before it is MASV's. Short for
/// `keyferry_session_token_for` with nothing but a resource. May go to the network.
///
/// @param session    NULL for the default session
/// @param resource   a URL of a service, `SERVICE:PATH`, a pasted link of get.massive.io, or the path of a MASV thing: `user`,
///                   `packages/ID`, `packages/ID/transfers/ID`, `transfers/ID`, `links/ID?secret=S`. UTF-8. Borrowed.
/// @param token_out  gets the token
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8, KEYFERRY_E_INVALID_RESOURCE,
///          KEYFERRY_E_UNKNOWN_SERVICE, KEYFERRY_E_NO_HEADER, KEYFERRY_E_NOT_CONFIGURED,
///          KEYFERRY_E_LOGIN_REQUIRED, KEYFERRY_E_BAD_CREDENTIALS, KEYFERRY_E_NOT_FOUND,
///          KEYFERRY_E_INSUFFICIENT_ACCESS (a download needs a link), KEYFERRY_E_UNSUPPORTED;
///          KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE if a secret can't be had;
///          KEYFERRY_E_PLUGIN if a plugin that is needed misbehaves; KEYFERRY_E_UNREACHABLE,
///          KEYFERRY_E_TLS, KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED, KEYFERRY_E_UNAVAILABLE,
///          KEYFERRY_E_BAD_RESPONSE, KEYFERRY_E_REDIRECTED; KEYFERRY_E_TIMEOUT, KEYFERRY_E_BUSY if
///          another process that gets it takes too long; KEYFERRY_E_FORKED; `keyferry_status_text`
///          has each remedy
/// Owner:   the caller frees the token with `keyferry_token_free`
/// Threads: [any]; threads that want the same token wait for one request
/// Source:  services' documents
/// Since:   0.1
///
/// # Safety
/// `resource` is NULL or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn masv_token_for(
    session: Option<&keyferry_session>,
    resource: *const c_char,
    token_out: Option<&mut MaybeUninit<*mut keyferry_token>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("masv_token_for", token_out, error_out, |out| {
        let out = boundary::required(out, "token_out")?;
        // SAFETY: by this function's contract.
        let resource = unsafe { text::required(resource, "resource") }?;
        let token = session::or_default(session)?.token(resource)?;
        token::write_out(out, token);
        Ok(())
    })
}
