//! Texts of 16 MiB where there is no memory for a copy of one. The limit is the whole process's, so
//! this is alone here.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![expect(unsafe_code, reason = "calls the C functions as C does")]

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use keyferry::ffi::agent::{masv_agent_sign_in, masv_agent_sign_up};
use keyferry::ffi::config::{keyferry_config_load, keyferry_config_new, keyferry_config_set};
use keyferry::ffi::diagnostics;
use keyferry::ffi::masv::{masv_login, masv_token_for};
use keyferry::ffi::request::{
    keyferry_request_new, keyferry_request_set_account, keyferry_request_set_link_password,
};
use keyferry::ffi::session as door;
use keyferry::ffi::status::{
    KEYFERRY_E_CONFIG, KEYFERRY_E_INVALID_RESOURCE, KEYFERRY_E_INVALID_VALUE,
    KEYFERRY_E_NOT_CONFIGURED, KEYFERRY_OK, keyferry_status,
};

/// Makes an object, which nobody frees.
fn made<T>(
    call: impl FnOnce(Option<&mut MaybeUninit<*mut T>>) -> keyferry_status,
) -> &'static mut T {
    let mut out = MaybeUninit::uninit();
    assert_eq!(call(Some(&mut out)), KEYFERRY_OK);
    // SAFETY: the call succeeded, so it wrote a pointer.
    let object = unsafe { out.assume_init() };
    // SAFETY: it lives until it is freed, and nobody frees it.
    unsafe { &mut *object }
}

/// From now on hardly more memory can be had than there is.
fn hold_memory() {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm")
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let most = pages * 4096 + (8 << 20);
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: `limit` is there to be read.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}

#[test]
fn a_text_beyond_all_limits_is_refused_before_it_is_copied() {
    let long = CString::new(vec![b'x'; 16 << 20]).unwrap();
    let (long, user, email) = (long.as_ptr(), c"user".as_ptr(), c"masv.email".as_ptr());
    let config = made(|out| keyferry_config_new(out, None));
    // SAFETY: the texts end in NUL.
    assert_eq!(
        // SAFETY: as above.
        unsafe {
            keyferry_config_set(
                Some(config),
                c"masv.url".as_ptr(),
                c"http://127.0.0.1:1".as_ptr(),
                None,
            )
        },
        KEYFERRY_OK
    );
    let session: Option<&_> = Some(made(|out| {
        door::keyferry_session_open(Some(config), out, None)
    }));
    // SAFETY: the texts end in NUL.
    let request = made(|out| unsafe { keyferry_request_new(user, out, None) });
    hold_memory();
    let is = |name: &str, expected: keyferry_status, status: keyferry_status| {
        assert_eq!(status, expected, "{name}")
    };
    // SAFETY: the texts end in NUL.
    is("load", KEYFERRY_E_CONFIG, unsafe {
        keyferry_config_load(long, Some(&mut MaybeUninit::uninit()), None)
    });
    // SAFETY: the texts end in NUL.
    is("key", KEYFERRY_E_CONFIG, unsafe {
        keyferry_config_set(Some(config), long, user, None)
    });
    // SAFETY: the texts end in NUL.
    is("value", KEYFERRY_E_INVALID_VALUE, unsafe {
        keyferry_config_set(Some(config), email, long, None)
    });
    // SAFETY: the texts end in NUL.
    is("request", KEYFERRY_E_INVALID_RESOURCE, unsafe {
        keyferry_request_new(long, Some(&mut MaybeUninit::uninit()), None)
    });
    // SAFETY: the texts end in NUL.
    is("link", KEYFERRY_E_INVALID_VALUE, unsafe {
        keyferry_request_set_link_password(Some(request), long, None)
    });
    // SAFETY: the texts end in NUL.
    is("account", KEYFERRY_OK, unsafe {
        keyferry_request_set_account(Some(request), long, None)
    });
    let mut token = MaybeUninit::uninit();
    is(
        "its use",
        KEYFERRY_E_NOT_CONFIGURED,
        door::keyferry_session_token_for(session, Some(request), Some(&mut token), None),
    );
    // SAFETY: the texts end in NUL.
    is("token", KEYFERRY_E_INVALID_RESOURCE, unsafe {
        masv_token_for(session, long, Some(&mut token), None)
    });
    // SAFETY: the texts end in NUL.
    is("login", KEYFERRY_E_INVALID_VALUE, unsafe {
        masv_login(session, email, long, None, None)
    });
    // SAFETY: the texts end in NUL.
    is("sign in", KEYFERRY_E_INVALID_VALUE, unsafe {
        masv_agent_sign_in(session, long, long, None, None)
    });
    // SAFETY: the texts end in NUL.
    is("sign up", KEYFERRY_E_INVALID_VALUE, unsafe {
        masv_agent_sign_up(session, email, email, long, None, None)
    });
    // SAFETY: the texts end in NUL.
    is("adopt", KEYFERRY_E_INVALID_VALUE, unsafe {
        door::keyferry_session_adopt(session, c"packages/P".as_ptr(), long, 0, None)
    });
    // SAFETY: the texts end in NUL.
    is("reject", KEYFERRY_OK, unsafe {
        door::keyferry_session_reject_value(session, user, long, None)
    });
    // SAFETY: the texts end in NUL.
    is("forget", KEYFERRY_E_INVALID_RESOURCE, unsafe {
        door::keyferry_session_forget(session, long, None)
    });
    // SAFETY: the text ends in NUL, and a buffer of no bytes may be NULL.
    is("peek", KEYFERRY_E_INVALID_RESOURCE, unsafe {
        door::keyferry_session_peek(session, long, null_mut(), 0, None)
    });
    // SAFETY: the texts end in NUL.
    is("explain", KEYFERRY_E_INVALID_RESOURCE, unsafe {
        diagnostics::keyferry_session_explain(session, long, Some(&mut MaybeUninit::uninit()), None)
    });
}
