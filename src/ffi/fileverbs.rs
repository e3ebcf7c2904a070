//! FileVerbs by the names that callers look for.

use crate::ffi::boundary;
use crate::ffi::error::keyferry_error;
use crate::ffi::session::{self, keyferry_session};
use crate::ffi::status::keyferry_status;
use crate::ffi::token::{self, keyferry_token};
use std::mem::MaybeUninit;

/// Gets the `Authorization: Bearer` header of FileVerbs, renewed when it is due. May go to the
/// network.
///
/// @param session    NULL for the default session
/// @param token_out  gets the token
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT; KEYFERRY_E_NOT_CONFIGURED without `fileverbs.secret_key` and
///          `fileverbs.api_key`; KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE,
///          KEYFERRY_E_PLUGIN if they can't be had; KEYFERRY_E_BAD_CREDENTIALS if they are wrong;
///          KEYFERRY_E_UNSUPPORTED if FileVerbs is not at `fileverbs.url`; KEYFERRY_E_UNREACHABLE,
///          KEYFERRY_E_TLS, KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED, KEYFERRY_E_UNAVAILABLE,
///          KEYFERRY_E_BAD_RESPONSE, KEYFERRY_E_REDIRECTED; KEYFERRY_E_TIMEOUT, KEYFERRY_E_BUSY if
///          another process that gets it takes too long; KEYFERRY_E_FORKED
/// Owner:   the caller frees the token with `keyferry_token_free`
/// Threads: [any]; threads that want it at the same time wait for one request
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

/// Gets the `SecretKey` header of FileVerbs for machine-to-machine calls: the configured one, in
/// the shape of a token.
///
/// @param session    NULL for the default session
/// @param token_out  gets the token
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT; KEYFERRY_E_NOT_CONFIGURED without `fileverbs.secret_key`;
///          KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE if it can't be had; KEYFERRY_E_PLUGIN,
///          KEYFERRY_E_TIMEOUT and those of the network if a plugin gives it;
///          KEYFERRY_E_BAD_CREDENTIALS for a while after it was rejected; KEYFERRY_E_FORKED
/// Owner:   the caller frees the token with `keyferry_token_free`
/// Threads: [any]
/// Source:  FileVerbs API, SecretKey (Integration, API Secret)
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
    let token = session::or_default(session)?.token(resource)?;
    token::write_out(out, token);
    Ok(())
}
