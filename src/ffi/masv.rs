//! The functions for MASV cloud. They have short names, so that MASV developers find them.

#![expect(unsafe_code, reason = "C callers")]

use std::ffi::c_char;
use std::mem::MaybeUninit;

use crate::ffi::boundary;
use crate::ffi::error::keyferry_error;
use crate::ffi::session::{self, keyferry_session};
use crate::ffi::status::keyferry_status;
use crate::ffi::text;
use crate::ffi::token::{self, keyferry_token};

/// Logs in to MASV with e-mail and password.
///
/// Always sends one `POST /v1/auth`, even if MASV rejected an earlier login. keyferry caches and
/// stores the token under the session's account, so that `masv_token_for` can use it. When the
/// token expires and no password is configured, `masv_token_for` returns KEYFERRY_E_LOGIN_REQUIRED.
///
/// @param session    NULL for the default session
/// @param email      UTF-8; NULL for the configured `masv.email`. Borrowed.
/// @param password   UTF-8; NULL for the configured `masv.password`. Borrowed; keyferry wipes its copy.
/// @param token_out  receives the user token, whose details have `user` and `teams`; may be NULL
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NOT_CONFIGURED if e-mail or password is neither passed nor configured;
///          KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE or KEYFERRY_E_PLUGIN if a configured
///            e-mail or password cannot be read;
///          KEYFERRY_E_BAD_CREDENTIALS if the password is wrong, or if the account uses MFA or SSO
///            and therefore needs an API key;
///          KEYFERRY_E_NOT_FOUND or KEYFERRY_E_UNSUPPORTED if the server at `masv.url` is not MASV;
///          KEYFERRY_E_UNREACHABLE, KEYFERRY_E_TLS, KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED,
///            KEYFERRY_E_UNAVAILABLE, KEYFERRY_E_BAD_RESPONSE or KEYFERRY_E_REDIRECTED if the
///            request fails;
///          KEYFERRY_E_TIMEOUT if the request times out;
///          KEYFERRY_E_NOT_UTF8 if `email` or `password` is not UTF-8;
///          KEYFERRY_E_INVALID_VALUE if e-mail or password is empty, longer than 16 KiB or contains
///            a control character;
///          KEYFERRY_E_FORKED if `session` was opened before a fork
/// Owner:   the caller frees the token with `keyferry_token_free`
/// Threads: [any]
/// Source:  MASV API, `POST /v1/auth`
/// Since:   0.1
///
/// # Safety
/// `email` and `password` are each NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn masv_login(
    session: Option<&keyferry_session>,
    email: *const c_char,
    password: *const c_char,
    token_out: Option<&mut MaybeUninit<*mut keyferry_token>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("masv_login", token_out, error_out, |out| {
        // SAFETY: the caller promises that `email` is NULL or ends in NUL.
        let email = unsafe { text::optional_secret(email, "email") }?;
        // SAFETY: the caller promises that `password` is NULL or ends in NUL.
        let password = unsafe { text::optional_secret(password, "password") }?;
        let token = session::with(session, |session| session.masv_login(email, password))?;
        if let Some(out) = out {
            token::write_out(out, Box::new(token));
        }
        Ok(())
    })
}

/// Gets the headers for a resource of any service. A path without a service name belongs to MASV.
///
/// Uses the cached token if it is fresh; otherwise loads a token from the store or requests one
/// from the service. Does the same as `keyferry_session_token_for` with a request for which only
/// the resource is set.
///
/// @param session    NULL for the default session
/// @param resource   a URL of a service; a link copied from get.massive.io; exactly one of the short forms
///                   `user`, `packages/ID`, `packages/ID/transfers/ID`, `transfers/ID`, `links/ID?secret=S`,
///                   `fileverbs:bearer`, `fileverbs:secret-key` and `agent:session`; `SERVICE:/PATH` for the URL of
///                   PATH at a service, such as `masv:/v1/teams`; or `PLUGIN:PATH` for a route of a plugin. UTF-8.
///                   Borrowed.
/// @param token_out  receives the token
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `resource` or `token_out` is NULL;
///          KEYFERRY_E_NOT_UTF8 if `resource` is not UTF-8;
///          KEYFERRY_E_INVALID_RESOURCE if `resource` is malformed, or a misspelt short form;
///          KEYFERRY_E_UNKNOWN_SERVICE if `resource` belongs to no configured service;
///          KEYFERRY_E_NO_HEADER if `resource` takes no credential header;
///          KEYFERRY_E_NOT_CONFIGURED if a required setting is missing;
///          KEYFERRY_E_LOGIN_REQUIRED if the user must log in;
///          KEYFERRY_E_BAD_CREDENTIALS if the service rejects the credential;
///          KEYFERRY_E_NOT_FOUND if the service does not know the requested item;
///          KEYFERRY_E_INSUFFICIENT_ACCESS if the available credentials do not allow the access:
///            for example, a download from a MASV package requires a link to the package;
///          KEYFERRY_E_UNSUPPORTED if the service does not support the operation;
///          KEYFERRY_E_SECRET_SOURCE or KEYFERRY_E_UNSAFE_FILE if a secret cannot be read;
///          KEYFERRY_E_PLUGIN if a required plugin fails;
///          KEYFERRY_E_UNREACHABLE, KEYFERRY_E_TLS, KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED,
///            KEYFERRY_E_UNAVAILABLE, KEYFERRY_E_BAD_RESPONSE or KEYFERRY_E_REDIRECTED if the
///            request fails;
///          KEYFERRY_E_TIMEOUT if the request times out;
///          KEYFERRY_E_BUSY if another process takes too long to fetch the token;
///          KEYFERRY_E_FORKED if `session` was opened before a fork
/// Owner:   the caller frees the token with `keyferry_token_free`
/// Threads: [any]; if several threads need the same token, keyferry fetches it once
/// Source:  API documentation of the services
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
        // SAFETY: the caller promises that `resource` is NULL or ends in NUL.
        let resource = unsafe { text::required(resource, "resource") }?;
        let token = session::with(session, |session| session.token(resource))?;
        token::write_out(out, token);
        Ok(())
    })
}
