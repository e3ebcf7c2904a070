//! The functions for the MASV Agent on this machine. The agent keeps the login itself, so requests
//! to it need no credential header. These functions return the signed-in user.

#![expect(unsafe_code, reason = "C callers")]

use std::ffi::c_char;
use std::mem::MaybeUninit;

use crate::error::Result;
use crate::ffi::boundary;
use crate::ffi::error::keyferry_error;
use crate::ffi::json;
use crate::ffi::session::{self, keyferry_session};
use crate::ffi::status::keyferry_status;
use crate::ffi::text;
use crate::ports::service::AgentSession;

/// Gets the user who is signed in to the MASV Agent on this machine.
///
/// Sends a request to the agent, never through a proxy. Does not use the cache.
///
/// @param session    NULL for the default session
/// @param text_out   receives a JSON object with `user` and `teams`, as the agent sent them
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `text_out` is NULL;
///          KEYFERRY_E_LOGIN_REQUIRED if no user is signed in to the agent;
///          KEYFERRY_E_UNREACHABLE if no agent is running: the error message says how to start one;
///          KEYFERRY_E_UNSUPPORTED if the server at `agent.url` is not a MASV Agent;
///          KEYFERRY_E_TIMEOUT if the request times out;
///          KEYFERRY_E_TLS, KEYFERRY_E_NO_RESPONSE, KEYFERRY_E_THROTTLED, KEYFERRY_E_UNAVAILABLE,
///            KEYFERRY_E_BAD_RESPONSE or KEYFERRY_E_REDIRECTED if the request fails;
///          KEYFERRY_E_FORKED if `session` was opened before a fork
/// Owner:   the caller frees the string with `keyferry_text_free`
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
        let user = session::with(session, |session| session.agent_session())?;
        write_user(out, user)
    })
}

/// Signs in to the MASV Agent, which then acts as this user for all programs on the machine.
///
/// Sends a request to the agent, never through a proxy. Does not use the cache.
///
/// @param session    NULL for the default session
/// @param email      UTF-8; NULL for the configured `masv.email`. Borrowed.
/// @param password   UTF-8; NULL for the configured `masv.password`. Borrowed; keyferry wipes its copy.
/// @param text_out   receives a JSON object with `user` and `teams`; may be NULL
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  all errors of `masv_agent_session`;
///          KEYFERRY_E_NOT_CONFIGURED if e-mail or password is neither passed nor configured;
///          KEYFERRY_E_SECRET_SOURCE, KEYFERRY_E_UNSAFE_FILE or KEYFERRY_E_PLUGIN if a configured
///            e-mail or password cannot be read;
///          KEYFERRY_E_BAD_CREDENTIALS if the agent rejects e-mail or password;
///          KEYFERRY_E_NOT_UTF8 if `email` or `password` is not UTF-8;
///          KEYFERRY_E_INVALID_VALUE if e-mail or password is empty, longer than 16 KiB or contains
///            a control character;
///          KEYFERRY_E_UNSUPPORTED if this agent accepts only an API key: the error message says
///            how to set it
/// Owner:   the caller frees the string with `keyferry_text_free`
/// Threads: [any]
/// Source:  MASV Agent, `POST /api/v1/login`
/// Since:   0.1
///
/// # Safety
/// `email` and `password` are each NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn masv_agent_sign_in(
    session: Option<&keyferry_session>,
    email: *const c_char,
    password: *const c_char,
    text_out: Option<&mut MaybeUninit<*mut c_char>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("masv_agent_sign_in", text_out, error_out, |out| {
        // SAFETY: the caller promises that `email` is NULL or ends in NUL.
        let email = unsafe { text::optional_secret(email, "email") }?;
        // SAFETY: the caller promises that `password` is NULL or ends in NUL.
        let password = unsafe { text::optional_secret(password, "password") }?;
        let user = session::with(session, |session| session.agent_sign_in(email, password))?;
        out.map_or(Ok(()), |out| write_user(out, user))
    })
}

/// Creates a MASV account through an old MASV Transfer Agent, which then signs in to
/// this account. Only the application calls this function; keyferry never does so by itself.
///
/// Sends a request to the agent, never through a proxy. Does not use the cache.
///
/// @param session    NULL for the default session
/// @param email      UTF-8. Borrowed.
/// @param password   UTF-8. Borrowed; keyferry wipes its copy.
/// @param name       the name of the person, UTF-8. Borrowed.
/// @param text_out   receives a JSON object with `user` and `teams`; may be NULL
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  all errors of `masv_agent_session`;
///          KEYFERRY_E_NULL_ARGUMENT if `email`, `password` or `name` is NULL;
///          KEYFERRY_E_NOT_UTF8 if `email`, `password` or `name` is not UTF-8;
///          KEYFERRY_E_INVALID_VALUE if `email`, `password` or `name` is longer than 16 KiB, or if
///            `email` or `password` is empty or contains a control character;
///          KEYFERRY_E_BAD_CREDENTIALS if the agent rejects the new account;
///          KEYFERRY_E_UNSUPPORTED if this agent cannot create accounts: only the old MASV Transfer
///            Agent can create them
/// Owner:   the caller frees the string with `keyferry_text_free`
/// Threads: [any]
/// Source:  MASV Transfer Agent (legacy), `POST /api/v1/signup`
/// Since:   0.1
///
/// # Safety
/// `email`, `password` and `name` are each NULL or end in NUL.
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
        // SAFETY: the caller promises that `email` is NULL or ends in NUL.
        let email = boundary::required(unsafe { text::optional_secret(email, "email") }?, "email")?;
        // SAFETY: the caller promises that `password` is NULL or ends in NUL.
        let password = boundary::required(
            unsafe { text::optional_secret(password, "password") }?,
            "password",
        )?;
        // SAFETY: the caller promises that `name` is NULL or ends in NUL.
        let name = unsafe { text::required(name, "name") }?;
        text::check_length(name, "name")?;
        let user = session::with(session, |session| {
            session.agent_sign_up(email, password, name)
        })?;
        out.map_or(Ok(()), |out| write_user(out, user))
    })
}

fn write_user(out: &mut MaybeUninit<*mut c_char>, user: AgentSession) -> Result<()> {
    text::write_out(out, json::agent_session(user).to_string())
}
