//! The functions for FileVerbs. They have short names, so that FileVerbs developers find them.

#![expect(unsafe_code, reason = "C callers")]

use crate::ffi::boundary;
use crate::ffi::error::keyferry_error;
use crate::ffi::session::{self, keyferry_session};
use crate::ffi::status::keyferry_status;
use crate::ffi::token::{self, keyferry_token};
use std::mem::MaybeUninit;

/// Gets the `Authorization: Bearer` header of FileVerbs. keyferry refreshes the token when it is
/// due.
///
/// Uses the cached token if it is fresh; otherwise loads a token from the store or requests one
/// from the service.
///
/// @param session    NULL for the default session
/// @param token_out  receives the token
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `token_out` is NULL;
///          KEYFERRY_E_NOT_CONFIGURED if `fileverbs.secret_key` or `fileverbs.api_key` is not set;
///          KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE or KEYFERRY_E_PLUGIN if one of these
///            keys cannot be read;
///          KEYFERRY_E_BAD_CREDENTIALS if FileVerbs rejects the keys;
///          KEYFERRY_E_UNSUPPORTED if the server at `fileverbs.url` is not FileVerbs;
///          KEYFERRY_E_UNREACHABLE, KEYFERRY_E_TLS, KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED,
///            KEYFERRY_E_UNAVAILABLE, KEYFERRY_E_BAD_RESPONSE or KEYFERRY_E_REDIRECTED if the
///            request fails;
///          KEYFERRY_E_TIMEOUT if the request times out;
///          KEYFERRY_E_BUSY if another process takes too long to fetch the token;
///          KEYFERRY_E_FORKED if `session` was opened before a fork
/// Owner:   the caller frees the token with `keyferry_token_free`
/// Threads: [any]; if several threads need the token at the same time, keyferry fetches it once
/// Source:  FileVerbs API, `POST /accounts/access-token`
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn fileverbs_bearer(
    session: Option<&keyferry_session>,
    token_out: Option<&mut MaybeUninit<*mut keyferry_token>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("fileverbs_bearer", token_out, error_out, |out| {
        write_token(session, "fileverbs:bearer", out)
    })
}

/// Gets the configured `SecretKey` header of FileVerbs as a token. This header is for
/// machine-to-machine requests.
///
/// Makes no network request, unless a plugin supplies the secret.
///
/// @param session    NULL for the default session
/// @param token_out  receives the token
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `token_out` is NULL;
///          KEYFERRY_E_NOT_CONFIGURED if `fileverbs.secret_key` is not set;
///          KEYFERRY_E_SECRET_SOURCE or KEYFERRY_E_UNSAFE_FILE if the setting cannot be read;
///          KEYFERRY_E_PLUGIN, KEYFERRY_E_TIMEOUT, KEYFERRY_E_UNREACHABLE, KEYFERRY_E_TLS,
///            KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED, KEYFERRY_E_UNAVAILABLE,
///            KEYFERRY_E_BAD_RESPONSE or KEYFERRY_E_REDIRECTED if a plugin supplies the secret and
///            fails;
///          KEYFERRY_E_BAD_CREDENTIALS for a while after the secret was rejected;
///          KEYFERRY_E_FORKED if `session` was opened before a fork
/// Owner:   the caller frees the token with `keyferry_token_free`
/// Threads: [any]
/// Source:  FileVerbs API, SecretKey (in the portal: Integration, API Secret)
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn fileverbs_secret_key(
    session: Option<&keyferry_session>,
    token_out: Option<&mut MaybeUninit<*mut keyferry_token>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("fileverbs_secret_key", token_out, error_out, |out| {
        write_token(session, "fileverbs:secret-key", out)
    })
}

fn write_token(
    session: Option<&keyferry_session>,
    resource: &str,
    token_out: Option<&mut MaybeUninit<*mut keyferry_token>>,
) -> crate::error::Result<()> {
    let out = boundary::required(token_out, "token_out")?;
    let token = session::with(session, |session| session.token(resource))?;
    token::write_out(out, token);
    Ok(())
}
