//! A panic in any export ends at the boundary: a status, or NULL, 0 or nothing, and the host lives.
//!
//! The only test of this file, for the injection is one for the whole process.

#![expect(unsafe_code, reason = "calls the C functions as C does")]

use std::collections::BTreeSet;
use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null, null_mut};

use keyferry::ffi::error::keyferry_error;
use keyferry::ffi::panic::injection;
use keyferry::ffi::status::KEYFERRY_E_PANIC;
use keyferry::ffi::{
    agent, config, diagnostics, error, fileverbs, log, masv, request, session, status, text, token,
    version,
};

use super::header::symbols;

type ErrorOut<'a> = Option<&'a mut MaybeUninit<*mut keyferry_error>>;

/// One export: called once, it says whether its panic was contained.
type Row = (&'static str, fn() -> bool);

/// What an out-pointer holds before the call.
fn poison<T>() -> MaybeUninit<*mut T> {
    MaybeUninit::new(NonNull::dangling().as_ptr())
}

fn is_null<T>(out: MaybeUninit<*mut T>) -> bool {
    // SAFETY: made by `poison`, so it was never without a value.
    unsafe { out.assume_init() }.is_null()
}

/// A function with a status gives the number, and an object that says the same.
fn contained(call: impl FnOnce(ErrorOut<'_>) -> i32) -> bool {
    let mut out = poison::<keyferry_error>();
    let number = call(Some(&mut out));
    // SAFETY: made by `poison`, so it was never without a value.
    let error = NonNull::new(unsafe { out.assume_init() })
        .expect("an error object comes with every failure");
    // SAFETY: keyferry gave it, and nobody else has it.
    let error = unsafe { Box::from_raw(error.as_ptr()) };
    let error_status = error::keyferry_error_status(Some(&error));
    error::keyferry_error_free(Some(error));
    number == KEYFERRY_E_PANIC && error_status == KEYFERRY_E_PANIC
}

/// The same for a function that gives an object or a text: its out-pointer is NULL afterwards.
fn contained_and_null<T>(
    call: impl FnOnce(Option<&mut MaybeUninit<*mut T>>, ErrorOut<'_>) -> i32,
) -> bool {
    let mut out = poison();
    contained(|error| call(Some(&mut out), error)) && is_null(out)
}

const ACCESSORS: &[Row] = &[
    ("keyferry_status_text", || {
        status::keyferry_status_text(0).is_null()
    }),
    ("keyferry_version", || version::keyferry_version().is_null()),
    ("keyferry_abi_version", || {
        version::keyferry_abi_version() == version::KEYFERRY_ABI_VERSION
    }),
    ("keyferry_error_status", || {
        error::keyferry_error_status(None) == 0
    }),
    ("keyferry_error_message", || {
        error::keyferry_error_message(None).is_null()
    }),
    ("keyferry_error_http_status", || {
        error::keyferry_error_http_status(None) == 0
    }),
    ("keyferry_error_service_code", || {
        error::keyferry_error_service_code(None) == 0
    }),
    ("keyferry_error_retry_after_ms", || {
        error::keyferry_error_retry_after_ms(None) == 0
    }),
    ("keyferry_token_header_count", || {
        token::keyferry_token_header_count(None) == 0
    }),
    ("keyferry_token_header_name", || {
        token::keyferry_token_header_name(None, 0).is_null()
    }),
    ("keyferry_token_header_value", || {
        token::keyferry_token_header_value(None, 0).is_null()
    }),
    ("keyferry_token_value", || {
        token::keyferry_token_value(None).is_null()
    }),
    ("keyferry_token_service", || {
        token::keyferry_token_service(None).is_null()
    }),
    ("keyferry_token_kind", || {
        token::keyferry_token_kind(None) == 0
    }),
    ("keyferry_token_access", || {
        token::keyferry_token_access(None) == 0
    }),
    ("keyferry_token_expires_unix_s", || {
        token::keyferry_token_expires_unix_s(None) == 0
    }),
    ("keyferry_token_generation", || {
        token::keyferry_token_generation(None) == 0
    }),
    ("keyferry_token_details_json", || {
        token::keyferry_token_details_json(None).is_null()
    }),
];

const DESTRUCTORS: &[Row] = &[
    ("keyferry_error_free", || {
        error::keyferry_error_free(None);
        true
    }),
    ("keyferry_config_free", || {
        config::keyferry_config_free(None);
        true
    }),
    ("keyferry_request_free", || {
        request::keyferry_request_free(None);
        true
    }),
    ("keyferry_request_cancel", || {
        request::keyferry_request_cancel(None);
        true
    }),
    ("keyferry_token_free", || {
        token::keyferry_token_free(None);
        true
    }),
    ("keyferry_session_free", || {
        // SAFETY: NULL is allowed.
        unsafe { session::keyferry_session_free(null_mut()) };
        true
    }),
    ("keyferry_text_free", || {
        // SAFETY: NULL is allowed.
        unsafe { text::keyferry_text_free(null_mut()) };
        true
    }),
];

const SETTERS: &[Row] = &[
    // SAFETY: the texts end in NUL.
    ("keyferry_config_set", || {
        contained(|e| {
            // SAFETY: as above.
            unsafe { config::keyferry_config_set(None, user(), user(), e) }
        })
    }),
    ("keyferry_request_set_min_valid_s", || {
        contained(|e| request::keyferry_request_set_min_valid_s(None, 0, e))
    }),
    ("keyferry_request_set_access", || {
        contained(|e| request::keyferry_request_set_access(None, 0, e))
    }),
    // SAFETY: NULL is allowed.
    ("keyferry_request_set_account", || {
        contained(|e| {
            // SAFETY: as above.
            unsafe { request::keyferry_request_set_account(None, null(), e) }
        })
    }),
    // SAFETY: NULL is allowed.
    ("keyferry_request_set_link_password", || {
        contained(|e| {
            // SAFETY: as above.
            unsafe { request::keyferry_request_set_link_password(None, null(), e) }
        })
    }),
    // SAFETY: NULL is allowed.
    ("keyferry_request_set_login", || {
        contained(|e| {
            // SAFETY: as above.
            unsafe { request::keyferry_request_set_login(None, null(), null(), e) }
        })
    }),
    ("keyferry_request_set_timeout_ms", || {
        contained(|e| request::keyferry_request_set_timeout_ms(None, 0, e))
    }),
    ("keyferry_session_reject", || {
        contained(|e| session::keyferry_session_reject(None, None, e))
    }),
    // SAFETY: the texts end in NUL.
    ("keyferry_session_reject_value", || {
        contained(|e| {
            // SAFETY: as above.
            unsafe { session::keyferry_session_reject_value(None, user(), user(), e) }
        })
    }),
    // SAFETY: the texts end in NUL.
    ("keyferry_session_adopt", || {
        contained(|e| {
            // SAFETY: as above.
            unsafe { session::keyferry_session_adopt(None, user(), user(), 0, e) }
        })
    }),
    // SAFETY: NULL is allowed.
    ("keyferry_session_forget", || {
        contained(|e| {
            // SAFETY: as above.
            unsafe { session::keyferry_session_forget(None, null(), e) }
        })
    }),
    // SAFETY: no function is given.
    ("keyferry_log_set_callback", || {
        contained(|e| {
            // SAFETY: as above.
            unsafe { log::keyferry_log_set_callback(0, None, null_mut::<c_void>(), None, e) }
        })
    }),
    ("keyferry_log_open_pipe", || {
        contained(|e| log::keyferry_log_open_pipe(0, None, e))
    }),
    ("keyferry_session_start", || {
        contained(|e| session::keyferry_session_start(None, None, None, e))
    }),
    ("keyferry_session_peek", peek),
];

fn peek() -> bool {
    let mut length = MaybeUninit::uninit();
    // SAFETY: the text ends in NUL, and a buffer of no bytes may be NULL.
    (unsafe { session::keyferry_session_peek(None, user(), null_mut(), 0, Some(&mut length)) })
        == KEYFERRY_E_PANIC
}

fn user() -> *const c_char {
    c"user".as_ptr()
}

const CONSTRUCTORS: &[Row] = &[
    ("keyferry_config_new", || {
        contained_and_null(|out, e| config::keyferry_config_new(out, e))
    }),
    // SAFETY: NULL is allowed.
    ("keyferry_config_load", || {
        contained_and_null(|out, e| {
            // SAFETY: as above.
            unsafe { config::keyferry_config_load(null(), out, e) }
        })
    }),
    // SAFETY: the text ends in NUL.
    ("keyferry_request_new", || {
        contained_and_null(|out, e| {
            // SAFETY: as above.
            unsafe { request::keyferry_request_new(user(), out, e) }
        })
    }),
    ("keyferry_session_open", || {
        contained_and_null(|out, e| session::keyferry_session_open(None, out, e))
    }),
    ("keyferry_session_token_for", || {
        contained_and_null(|out, e| session::keyferry_session_token_for(None, None, out, e))
    }),
    ("keyferry_request_token", || {
        contained_and_null(|out, e| request::keyferry_request_token(None, out, e))
    }),
    ("keyferry_session_cached", || {
        contained_and_null(|out, e| session::keyferry_session_cached(None, None, out, e))
    }),
    // SAFETY: the text ends in NUL.
    ("keyferry_session_explain", || {
        contained_and_null(|out, e| {
            // SAFETY: as above.
            unsafe { diagnostics::keyferry_session_explain(None, user(), out, e) }
        })
    }),
    ("keyferry_session_list", || {
        contained_and_null(|out, e| diagnostics::keyferry_session_list(None, out, e))
    }),
    ("keyferry_session_stats", || {
        contained_and_null(|out, e| diagnostics::keyferry_session_stats(None, out, e))
    }),
    // SAFETY: NULL is allowed.
    ("masv_login", || {
        contained_and_null(|out, e| {
            // SAFETY: as above.
            unsafe { masv::masv_login(None, null(), null(), out, e) }
        })
    }),
    // SAFETY: the text ends in NUL.
    ("masv_token_for", || {
        contained_and_null(|out, e| {
            // SAFETY: as above.
            unsafe { masv::masv_token_for(None, user(), out, e) }
        })
    }),
    ("masv_agent_session", || {
        contained_and_null(|out, e| agent::masv_agent_session(None, out, e))
    }),
    // SAFETY: NULL is allowed.
    ("masv_agent_sign_in", || {
        contained_and_null(|out, e| {
            // SAFETY: as above.
            unsafe { agent::masv_agent_sign_in(None, null(), null(), out, e) }
        })
    }),
    // SAFETY: the texts end in NUL.
    ("masv_agent_sign_up", || {
        contained_and_null(|out, e| {
            // SAFETY: as above.
            unsafe { agent::masv_agent_sign_up(None, user(), user(), user(), out, e) }
        })
    }),
    ("fileverbs_bearer", || {
        contained_and_null(|out, e| fileverbs::fileverbs_bearer(None, out, e))
    }),
    ("fileverbs_secret_key", || {
        contained_and_null(|out, e| fileverbs::fileverbs_secret_key(None, out, e))
    }),
];

fn exports() -> impl Iterator<Item = &'static Row> {
    [ACCESSORS, DESTRUCTORS, SETTERS, CONSTRUCTORS]
        .into_iter()
        .flatten()
}

#[test]
fn a_panic_in_any_export_ends_at_the_boundary() {
    let called: BTreeSet<_> = exports().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(called, symbols());
    let uncontained: Vec<_> = exports()
        .filter(|(name, call)| {
            injection::arm(name);
            let contained = call();
            assert!(!injection::is_armed(), "{name} did not panic");
            !contained
        })
        .map(|(name, _)| name)
        .collect();
    assert!(
        uncontained.is_empty(),
        "no status, or an out-pointer that is not NULL, after a panic in {uncontained:?}"
    );
}
