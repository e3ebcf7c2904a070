//! The log: keyferry sends its messages to one callback of the application, or to a pipe.

#![expect(unsafe_code, reason = "C callers")]

use std::ffi::{CString, c_char, c_void};
use std::mem::MaybeUninit;

use crate::error::{Error, ErrorKind, Result};
use crate::ffi::boundary;
use crate::ffi::error::keyferry_error;
use crate::ffi::status::keyferry_status;
use crate::log::{self, Level};
use crate::sys::pipe;

/// Log nothing.
pub const KEYFERRY_LOG_OFF: i32 = 0;
/// An error that the user must fix.
pub const KEYFERRY_LOG_ERROR: i32 = 1;
/// A fault after which keyferry continues to work.
pub const KEYFERRY_LOG_WARN: i32 = 2;
/// Logins, refreshes and rejections.
pub const KEYFERRY_LOG_INFO: i32 = 3;
/// Every HTTP request.
pub const KEYFERRY_LOG_DEBUG: i32 = 4;

/// Receives a log message.
///
/// Any thread may run the callback, and several threads may run it at the same time. It must not
/// call keyferry: such a call returns `KEYFERRY_E_REENTRANT`.
///
/// The callback must return. It must not leave with `longjmp`, with an exception, or by ending its
/// thread. Otherwise all later calls of this thread return `KEYFERRY_E_REENTRANT`,
/// and `keyferry_log_set_callback` waits for ever.
///
/// @param level      one of `KEYFERRY_LOG_`
/// @param message    UTF-8. Borrowed.
/// @param user_data  the pointer that `keyferry_log_set_callback` received
#[expect(non_camel_case_types, reason = "the name that C programs see")]
pub type keyferry_log_callback =
    Option<unsafe extern "C" fn(level: i32, message: *const c_char, user_data: *mut c_void)>;

/// Frees `user_data`. keyferry calls it once, after the last call of the callback has returned.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
pub type keyferry_log_finalizer = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

struct LogSink {
    callback: unsafe extern "C" fn(i32, *const c_char, *mut c_void),
    user_data: *mut c_void,
    finalizer: keyferry_log_finalizer,
}

// SAFETY: the caller of `keyferry_log_set_callback` promises that any thread may use `callback` and
// `user_data`.
unsafe impl Send for LogSink {}
// SAFETY: the caller of `keyferry_log_set_callback` promises that several threads may use
// `callback` and `user_data` at the same time.
unsafe impl Sync for LogSink {}

impl LogSink {
    fn write(&self, level: Level, message: &str) {
        let text = CString::new(message).unwrap_or_default();
        // SAFETY: the caller of `keyferry_log_set_callback` promises that `callback` is a function
        // of this type. `text` lives until the call returns.
        unsafe { (self.callback)(level as i32, text.as_ptr(), self.user_data) };
    }
}

impl Drop for LogSink {
    fn drop(&mut self) {
        if let Some(finalizer) = self.finalizer {
            // SAFETY: the caller of `keyferry_log_set_callback` promises that `finalizer` is a
            // function of this type. It runs once, because `drop` does.
            unsafe { finalizer(self.user_data) };
        }
    }
}

/// Sets the function that receives the log messages of the whole library. The messages contain no
/// secrets.
///
/// `callback` replaces the callback or the pipe that was set before: keyferry waits until no call of
/// the previous callback is running, and then runs the finalizer of the previous callback. A forked
/// child logs nothing until it calls this function itself, and never runs the finalizer of a callback
/// of its parent.
///
/// @param level      the most detailed level to log: one of `KEYFERRY_LOG_`
/// @param callback   receives the messages; NULL turns the log off, and `finalizer` then runs at once
/// @param user_data  is passed to `callback`; may be NULL. Taken.
/// @param finalizer  frees `user_data`; may be NULL
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_INVALID_VALUE if `level` is not one of `KEYFERRY_LOG_`;
///          KEYFERRY_E_REENTRANT if a log callback calls this function;
///          after either error the caller still owns `user_data`
/// Owner:   keyferry owns `user_data` until `finalizer` has run
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
///
/// # Safety
/// Any thread may call `callback` and `finalizer` with `user_data`, several at the same time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_log_set_callback(
    level: i32,
    callback: keyferry_log_callback,
    user_data: *mut c_void,
    finalizer: keyferry_log_finalizer,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_log_set_callback", error_out, || {
        let level = level_from(level)?;
        let Some(callback) = callback else {
            log::install(None, None)?;
            if let Some(finalizer) = finalizer {
                // SAFETY: the caller promises that `finalizer` may be called with `user_data`.
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

/// Sends the log messages of the whole library to a pipe, for a program with an event loop. The
/// messages contain no secrets.
///
/// `fd_out` receives the reading end. Each message is one line of UTF-8: the digit of its level, a
/// space, the message. A line has at most 4096 bytes; a longer message is cut.
///
/// keyferry never waits for the reader. If the pipe is full, messages are lost, and the next line
/// says how many.
///
/// The pipe replaces the callback or the pipe that was set before. The reader of a pipe that was
/// replaced reads the rest, and then the end of the file. `keyferry_log_set_callback` with NULL turns
/// the log off. If the program only closes the descriptor, keyferry discards the messages. A forked
/// child logs nothing until it sets its own pipe or callback.
///
/// @param level      the most detailed level to log: one of `KEYFERRY_LOG_`
/// @param fd_out     receives a file descriptor that doesn't block, or -1 on failure
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `fd_out` is NULL;
///          KEYFERRY_E_INVALID_VALUE if `level` is not one of `KEYFERRY_LOG_`;
///          KEYFERRY_E_UNREACHABLE if no pipe can be created, because the process has too many open files;
///          KEYFERRY_E_REENTRANT if a log callback calls this function
/// Owner:   the caller closes the descriptor with `close`
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_log_open_pipe(
    level: i32,
    fd_out: Option<&mut MaybeUninit<i32>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_pipe("keyferry_log_open_pipe", fd_out, error_out, || {
        let level = level_from(level)?;
        let (reader, writer) = pipe::create_nonblocking()?;
        log::install(level, Some(log::pipe_sink(writer)))?;
        Ok(reader)
    })
}

fn level_from(number: i32) -> Result<Option<Level>> {
    match number {
        KEYFERRY_LOG_OFF => Ok(None),
        KEYFERRY_LOG_ERROR => Ok(Some(Level::Error)),
        KEYFERRY_LOG_WARN => Ok(Some(Level::Warn)),
        KEYFERRY_LOG_INFO => Ok(Some(Level::Info)),
        KEYFERRY_LOG_DEBUG => Ok(Some(Level::Debug)),
        _ => Err(Error::new(
            ErrorKind::InvalidValue,
            format!("level {number} is invalid; use one of KEYFERRY_LOG_…"),
        )),
    }
}
