//! Secrets that must not be seen: in no message, no log line, no text for people, and on no wire
//! but their own.

#![expect(unsafe_code, reason = "calls the C functions as C does")]

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, Once};

use keyferry::ffi::log::{KEYFERRY_LOG_DEBUG, keyferry_log_set_callback};
use keyferry_sandbox::credentials as c;

pub(crate) use keyferry_testing::secret_forms::forms;

/// Everything that the sandbox takes for a credential.
const SECRETS: [&str; 12] = [
    c::PASSWORD,
    c::SECOND_PASSWORD,
    c::API_KEY,
    c::SECOND_API_KEY,
    c::SECRET_KEY,
    c::FV_API_KEY,
    c::LINK_SECRET,
    c::PROTECTED_LINK_SECRET,
    c::LINK_PASSWORD,
    c::ENCODED_LINK_SECRET,
    c::ENCODED_LINK_SECRET_IN_URL,
    c::ARCHIVED_LINK_SECRET,
];

/// Where every JWT begins; all tokens of the sandbox are some unless a test says otherwise.
const JWT: &str = "eyJ";

/// Whether a text holds a secret in any of its forms, whatever the case of its letters; `others`
/// are secrets of this test.
pub(crate) fn leaks(text: &str, others: &[&str]) -> bool {
    let lower = text.to_lowercase();
    let all = SECRETS
        .iter()
        .chain(others)
        .filter(|secret| secret.len() >= 6);
    text.contains(JWT)
        || all
            .flat_map(|secret| forms(secret))
            .any(|form| lower.contains(&form.to_lowercase()))
}

static LEAKED: Mutex<Vec<String>> = Mutex::new(Vec::new());

unsafe extern "C" fn record_leak(_level: i32, message: *const c_char, _data: *mut c_void) {
    // SAFETY: the library's messages end in NUL.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy();
    if leaks(&message, &[]) {
        LEAKED.lock().unwrap().push(message.into_owned());
    }
}

/// Looks at all that is logged from now on, down to each exchange.
pub(crate) fn watch_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: `record_leak` takes any message, and there is no data.
        let status = unsafe {
            keyferry_log_set_callback(
                KEYFERRY_LOG_DEBUG,
                Some(record_leak),
                std::ptr::null_mut(),
                None,
                None,
            )
        };
        assert_eq!(status, 0);
    });
}

/// Fails if anything logged so far held a secret.
pub(crate) fn check_log() {
    let leaked = LEAKED.lock().unwrap();
    assert!(leaked.is_empty(), "{leaked:?}");
}

#[test]
fn the_search_finds_what_it_is_to_find() {
    for secret in SECRETS {
        for form in forms(secret) {
            assert!(leaks(&format!("it says: {form}!"), &[]), "{form}");
        }
    }
    assert!(
        leaks("a eyJhbGciOi", &[])
            && leaks("x opaque-1 y", &["opaque-1"])
            && !leaks("check `masv.password`", &[])
    );
}
