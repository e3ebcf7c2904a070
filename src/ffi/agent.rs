//! The local MASV Agent: its session is state inside it, so what is given is who is signed in, not
//! a header.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use crate::ffi::boundary;
use crate::ffi::error::keyferry_error;
use crate::ffi::session::{self, keyferry_session};
use crate::ffi::status::keyferry_status;
use crate::ffi::text;

/// Says who is signed in to the MASV Agent on this machine. Goes to the agent, never through a
/// proxy.
///
/// @param session    NULL for the default session
/// @param text_out   gets a JSON object with `user` and `teams`, as the agent sent them
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT; KEYFERRY_E_LOGIN_REQUIRED if nobody is signed in;
///          KEYFERRY_E_UNREACHABLE if no agent runs: the message says how to start it;
///          KEYFERRY_E_UNSUPPORTED if what listens there is none; KEYFERRY_E_TLS,
///          KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED, KEYFERRY_E_UNAVAILABLE,
///          KEYFERRY_E_BAD_RESPONSE, KEYFERRY_E_REDIRECTED, KEYFERRY_E_TIMEOUT, KEYFERRY_E_FORKED
/// Owner:   the caller frees the text with `keyferry_text_free`
/// Threads: [any]
/// Source:  MASV Agent, `GET /api/v1/login` and `GET /api/v1/teams`
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn masv_agent_session(
    session: Option<&keyferry_session>,
    text_out: Option<&mut MaybeUninit<*mut c_char>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("masv_agent_session", text_out, error_out, |out| {
        let out = boundary::required(out, "text_out")?;
        text::write_out(out, session::or_default(session)?.agent_session()?)
    })
}

/// Signs in to the MASV Agent, which then acts as this user for all programs of the machine. Goes
/// to the agent.
///
/// @param session    NULL for the default session
/// @param email      UTF-8; NULL for the configured `masv.email`. Borrowed.
/// @param password   UTF-8; NULL for the configured `masv.password`. Borrowed; our copy is wiped.
/// @param text_out   gets a JSON object with `user` and `teams`; may be NULL
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  those of `masv_agent_session`; KEYFERRY_E_NOT_CONFIGURED if one is neither given nor
///          configured; KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE, KEYFERRY_E_PLUGIN if a
///          configured one can't be had; KEYFERRY_E_BAD_CREDENTIALS if they are wrong;
///          KEYFERRY_E_NOT_UTF8; KEYFERRY_E_INVALID_VALUE beyond 16 KiB; KEYFERRY_E_UNSUPPORTED if
///          this agent takes an API key only: the message says how to give it
/// Owner:   the caller frees the text with `keyferry_text_free`
/// Threads: [any]
/// Source:  MASV Agent, `POST /api/v1/login`
/// Since:   0.1
///
/// # Safety
/// `email` and `password` are NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn masv_agent_sign_in(
    session: Option<&keyferry_session>,
    email: *const c_char,
    password: *const c_char,
    text_out: Option<&mut MaybeUninit<*mut c_char>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("masv_agent_sign_in", text_out, error_out, |out| {
        // SAFETY: by this function's contract.
        let email = unsafe { text::optional_secret(email, "email") }?;
        // SAFETY: by this function's contract.
        let password = unsafe { text::optional_secret(password, "password") }?;
        let text = session::or_default(session)?.agent_sign_in(email, password)?;
        out.map_or(Ok(()), |out| text::write_out(out, text))
    })
}

/// Makes a MASV account through an old MASV Transfer Agent and signs in with it. Never called by
/// keyferry itself. Goes to the agent.
///
/// @param session    NULL for the default session
/// @param email      UTF-8. Borrowed.
/// @param password   UTF-8. Borrowed; our copy is wiped.
/// @param name       the person's name, UTF-8. Borrowed.
/// @param text_out   gets a JSON object with `user` and `teams`; may be NULL
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  those of `masv_agent_session`; KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8;
///          KEYFERRY_E_INVALID_VALUE beyond 16 KiB; KEYFERRY_E_BAD_CREDENTIALS if the agent will
///          not; KEYFERRY_E_UNSUPPORTED if it is a new one
/// Owner:   the caller frees the text with `keyferry_text_free`
/// Threads: [any]
/// Source:  MASV Transfer Agent (legacy), `POST /api/v1/signup`
/// Since:   0.1
///
/// # Safety
/// `email`, `password` and `name` are NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn masv_agent_sign_up(
    session: Option<&keyferry_session>,
    email: *const c_char,
    password: *const c_char,
    name: *const c_char,
    text_out: Option<&mut MaybeUninit<*mut c_char>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("masv_agent_sign_up", text_out, error_out, |out| {
        // SAFETY: by this function's contract.
        let email = boundary::required(unsafe { text::optional_secret(email, "email") }?, "email")?;
        // SAFETY: by this function's contract.
        let password = boundary::required(
            unsafe { text::optional_secret(password, "password") }?,
            "password",
        )?;
        // SAFETY: by this function's contract.
        let name = unsafe { text::required(name, "name") }?;
        text::check_length(name, "name")?;
        let text = session::or_default(session)?.agent_sign_up(email, password, name)?;
        out.map_or(Ok(()), |out| text::write_out(out, text))
    })
}
