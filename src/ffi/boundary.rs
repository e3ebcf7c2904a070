//! The entry of each exported function: sets out-pointers to NULL before any work, and turns each
//! error into a status code and an error object. [`panic`] catches panics here.
//!
//! The body of each exported function is one call of [`call`], [`call_with_out`], [`call_with_pipe`],
//! [`status_only`] or [`panic::infallible`]. A test checks this.

use std::io::PipeReader;
use std::mem::MaybeUninit;
use std::os::fd::IntoRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, ErrorKind, Result};
use crate::ffi::error::keyferry_error;
use crate::ffi::panic;
use crate::ffi::status::{self, KEYFERRY_OK, keyferry_status};
use crate::log;

/// An out-pointer from C, which may be NULL.
pub type Out<'a, T> = Option<&'a mut MaybeUninit<*mut T>>;

/// Runs the body of a function that can fail. Sets `error_out`, unless it is NULL, to NULL first
/// and to an error object if the body fails.
#[inline]
pub fn call(
    name: &'static str,
    mut error_out: Out<'_, keyferry_error>,
    body: impl FnOnce() -> Result<()>,
) -> keyferry_status {
    if let Some(out) = error_out.as_deref_mut() {
        out.write(std::ptr::null_mut());
    }
    let checked_body = || {
        log::check_not_inside()?;
        body()
    };
    match panic::fallible(name, checked_body) {
        Ok(()) => KEYFERRY_OK,
        Err(error) => fail(error, error_out),
    }
}

/// Runs the body of a function that can fail and creates an object. Sets `out`, unless it is NULL,
/// to NULL first.
#[inline]
pub fn call_with_out<'a, T>(
    name: &'static str,
    mut out: Out<'a, T>,
    error_out: Out<'_, keyferry_error>,
    body: impl FnOnce(Out<'a, T>) -> Result<()>,
) -> keyferry_status {
    if let Some(out) = out.as_deref_mut() {
        out.write(std::ptr::null_mut());
    }
    call(name, error_out, || body(out))
}

/// Runs the body of a function that can fail and opens a pipe, whose reading end the caller then owns.
/// Sets `fd_out`, unless it is NULL, to -1 first.
pub fn call_with_pipe(
    name: &'static str,
    fd_out: Option<&mut MaybeUninit<i32>>,
    error_out: Out<'_, keyferry_error>,
    body: impl FnOnce() -> Result<PipeReader>,
) -> keyferry_status {
    let fd_out = fd_out.map(|out| out.write(-1));
    call(name, error_out, || {
        let fd_out = required(fd_out, "fd_out")?;
        *fd_out = body()?.into_raw_fd();
        Ok(())
    })
}

/// Runs the body of a function that reports only a status code, without an error object. Allocates
/// nothing itself.
#[inline]
pub fn status_only(
    name: &'static str,
    body: impl FnOnce() -> Result<(), keyferry_status>,
) -> keyferry_status {
    panic::infallible(name, status::KEYFERRY_E_PANIC, || {
        body().err().unwrap_or(KEYFERRY_OK)
    })
}

#[cold]
fn fail(error: Error, error_out: Out<'_, keyferry_error>) -> keyferry_status {
    let status = status::from_kind(error.kind);
    if let Some(out) = error_out {
        let object = catch_unwind(AssertUnwindSafe(|| {
            Box::into_raw(Box::new(keyferry_error::new(error)))
        }));
        out.write(object.unwrap_or(std::ptr::null_mut()));
    }
    status
}

/// Unwraps an argument that must not be NULL.
///
/// # Errors
/// [`ErrorKind::NullArgument`] if it is NULL; the message names the parameter.
#[inline]
pub fn required<T>(argument: Option<T>, name: &'static str) -> Result<T> {
    argument.ok_or_else(|| null_error(name))
}

#[cold]
fn null_error(name: &'static str) -> Error {
    Error::new(
        ErrorKind::NullArgument,
        format!("{name} is NULL; pass a value"),
    )
}

/// Passes ownership of an object to the C caller.
#[inline]
pub fn write_out<T>(out: &mut MaybeUninit<*mut T>, object: T) {
    out.write(Box::into_raw(Box::new(object)));
}
