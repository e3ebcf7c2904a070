//! Secrets that must not be seen: in no message, no log line, no text for people, and on no wire
//! but their own.

#![expect(unsafe_code, reason = "calls the C functions as C does")]

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, Once};

use keyferry::ffi::log::{KEYFERRY_LOG_DEBUG, keyferry_log_set_callback};

use keyferry_testing::secrets::leaks;

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
