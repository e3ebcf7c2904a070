//! The log: messages go to one callback of the host.

use std::ffi::{CString, c_char, c_void};
use std::mem::MaybeUninit;

use crate::error::{Error, ErrorKind};
use crate::ffi::boundary;
use crate::ffi::error::keyferry_error;
use crate::ffi::status::keyferry_status;
use crate::log::{self, Level};

/// Nothing.
pub const KEYFERRY_LOG_OFF: i32 = 0;
/// What the user has to mend.
pub const KEYFERRY_LOG_ERROR: i32 = 1;
/// What works in spite of a fault.
pub const KEYFERRY_LOG_WARN: i32 = 2;
/// Logins, refreshes, refusals.
pub const KEYFERRY_LOG_INFO: i32 = 3;
/// Each exchange.
pub const KEYFERRY_LOG_DEBUG: i32 = 4;

/// Takes a message: `level` is one of `KEYFERRY_LOG_`, `message` is UTF-8 and borrowed for the
/// call, `user_data` is what `keyferry_log_set_callback` was given. Runs on any thread, several at
/// once. Must not call keyferry: such calls get `KEYFERRY_E_REENTRANT`.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
pub type keyferry_log_callback =
    Option<unsafe extern "C" fn(level: i32, message: *const c_char, user_data: *mut c_void)>;

/// Frees `user_data`, once, when no call of the callback runs any more.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
pub type keyferry_log_finalizer = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

struct LogSink {
    callback: unsafe extern "C" fn(i32, *const c_char, *mut c_void),
    user_data: *mut c_void,
    finalizer: keyferry_log_finalizer,
}

// SAFETY: the caller of `keyferry_log_set_callback` promises that `callback` and `user_data` may be
// used from any thread.
unsafe impl Send for LogSink {}
// SAFETY: as above.
unsafe impl Sync for LogSink {}

impl LogSink {
    fn write(&self, level: Level, message: &str) {
        let text = CString::new(message).unwrap_or_default();
        // SAFETY: the caller of `keyferry_log_set_callback` promised a function of this type;
        // `text` lives through the call.
        unsafe { (self.callback)(level as i32, text.as_ptr(), self.user_data) };
    }
}

impl Drop for LogSink {
    fn drop(&mut self) {
        if let Some(finalizer) = self.finalizer {
            // SAFETY: the caller of `keyferry_log_set_callback` promised a function of this type;
            // this runs once.
            unsafe { finalizer(self.user_data) };
        }
    }
}

/// Sets the function that gets the log of the whole library. Replaces the one before: waits until
/// no call of it runs, then runs its finalizer. Messages hold no secret. In a forked child nothing
/// is logged until it calls this itself.
///
/// @param level      up to which level: one of `KEYFERRY_LOG_`
/// @param callback   takes the messages; NULL for silence, then `finalizer` runs at once
/// @param user_data  handed to `callback`; may be NULL. Taken.
/// @param finalizer  frees `user_data`; may be NULL
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_INVALID_VALUE for another level; KEYFERRY_E_REENTRANT from inside a log
///          callback; after both `user_data` is still the caller's
/// Owner:   `user_data` is keyferry's until `finalizer` has run
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
///
/// # Safety
/// `callback` and `finalizer` may be called from any thread with `user_data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_log_set_callback(
    level: i32,
    callback: keyferry_log_callback,
    user_data: *mut c_void,
    finalizer: keyferry_log_finalizer,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_log_set_callback", error_out, || {
        let level = match level {
            KEYFERRY_LOG_OFF => None,
            KEYFERRY_LOG_ERROR => Some(Level::Error),
            KEYFERRY_LOG_WARN => Some(Level::Warn),
            KEYFERRY_LOG_INFO => Some(Level::Info),
            KEYFERRY_LOG_DEBUG => Some(Level::Debug),
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidValue,
                    format!("level {level} is not one of KEYFERRY_LOG_…"),
                ));
            }
        };
        let Some(callback) = callback else {
            log::install(None, None)?;
            if let Some(finalizer) = finalizer {
                // SAFETY: by this function's contract.
                unsafe { finalizer(user_data) };
            }
            return Ok(());
        };
        let sink = LogSink {
            callback,
            user_data,
            finalizer,
        };
        log::install(
            level,
            Some(Box::new(move |level, message| sink.write(level, message))),
        )
    })
}
